/*
 * A ring's records as text.  Logger.
 *
 * Two renderings are made in one go, since the record may be overwritten
 * as soon as the tail has moved: JSON for the file, lines for people.
 * A batch is for one file, so that its write is noted as one.  Where it
 * ends depends on the records alone, so that a restarted
 * logger makes the very bytes again that a killed one was writing.
 */
#include "main/logger.h"

#include "core/record.h"

void
logger_text_init(struct logger_text *t)
{
	*t = (struct logger_text){ .wants_human = false };
	text_init(&t->json);
	text_init(&t->human);
	text_init(&t->raw);
}

void
logger_text_fini(struct logger_text *t)
{
	text_fini(&t->json);
	text_fini(&t->human);
	text_fini(&t->raw);
}

/* A line of the console is cut where a pipe would tear it. */
static void
add_human(struct logger_text *t, struct str record)
{
	struct text	line;
	char		buf[LOGGER_LINE - 1];

	text_init_fixed(&line, buf, sizeof(buf));
	if (record_text(&line, record, t->colour) == -1)
		return;
	text_add(&t->human, text_str(&line));
	text_c(&t->human, '\n');
}

static void
add_raw(struct logger_text *t, struct str record)
{
	uint32_t	n = (uint32_t)record.n;

	if (record.n > RECORD_MAX)
		return;
	text_add(&t->raw, str_make((const char *)&n, sizeof(n)));
	text_add(&t->raw, record);
}

/* What nobody can read goes with the others. */
static bool
is_for_another(struct logger_text *t, struct str record)
{
	enum record_kind	kind = record_kind(record);
	enum logger_which	which = kind == RECORD_LINE ? LOGGER_LINES :
	    LOGGER_RECORDS;

	if (kind == RECORD_NONE)
		return false;
	if (t->json.n == 0)
		t->which = which;
	return t->which != which;
}

void
logger_text_fill(struct logger_text *t, struct ring *r, uint64_t end,
    size_t max)
{
	bool		splits = t->splits && end == UINT64_MAX;
	uint64_t	pos = ring_tail(r);
	struct str	record;
	size_t		n;

	t->json.n = t->human.n = t->raw.n = 0;
	t->full = false;
	t->which = LOGGER_RECORDS;
	t->pos = pos;
	while (pos != end && ring_next(r, &pos, &record)) {
		n = t->json.n;
		if (splits && is_for_another(t, record)) {
			t->full = true;
			return;
		}
		if (record_write(&t->json, record, &t->style) == -1)
			t->bad++;
		if (t->json.n > max && n != 0) {
			t->json.n = n;
			t->full = true;
			return;
		}
		if (t->wants_human)
			add_human(t, record);
		if (t->wants_raw)
			add_raw(t, record);
		t->pos = pos;
	}
	/* a ring that did not hold was emptied: its tail is elsewhere */
	t->pos = pos;
}

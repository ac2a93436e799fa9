/*
 * Handler respond: a fixed answer.  Workers; the builder reads its key.
 */
#include "conf/load.h"
#include "core/handler.h"
#include "core/route.h"
#include "core/template.h"

struct respond {
	uint64_t	status;
	struct template	text;
};

static int
fail_value(struct conf_load *load, enum diag_id id,
    const struct conf_item *it, struct str word, const char *why)
{
	struct conf_span	sp = conf_word_span(it, word);
	struct text		t;

	text_init(&t);
	text_safe(&t, str_sub(word, 0, 80));
	diag_at(conf_load_diags(load), id, &sp, NULL, "respond",
	    "\"%.*s\": %s", STR_FMT(text_str(&t)), why);
	text_fini(&t);
	return -1;
}

static int
fail_status(struct conf_load *load, const struct conf_item *it,
    struct str word, const char *why)
{
	return fail_value(load, DIAG_VALUE_STATUS, it, word, why);
}

/* It may have several lines. */
static int
check_text(struct conf_load *load, const struct conf_item *it, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char	c = (unsigned char)s.p[i];

		if ((c < 0x20 || c == 0x7f) && c != '\t' && c != '\n')
			return fail_value(load, DIAG_VALUE_TEXT, it,
			    str_sub(s, i, i + 1),
			    "there is a control character");
	}
	return 0;
}

static int
parse_respond(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct respond		*r = dst;
	struct str		 rest = it->val, word = STR("");

	if (!str_word(&rest, " \t\n", &word) ||
	    str_to_u64(word, 999, &r->status) == -1)
		return fail_status(load, it, word,
		    "the value begins with a status");
	if (r->status < 200 || r->status > 599)
		return fail_status(load, it, word,
		    "the status is a number from 200 to 599");
	rest = str_trim(rest);
	if (check_text(load, it, rest) == -1)
		return -1;
	if (rest.n > 0 && (r->status == 204 || r->status == 304))
		return fail_status(load, it, word,
		    "an answer with this status has no text");
	return template_parse(load, row, it, rest, TEMPLATE_TEXT,
	    &r->text);
}

static int
link_respond(struct conf_load *load, struct conf_obj *obj, void *part)
{
	return template_check(load, obj, "respond",
	    &((struct respond *)part)->text);
}

/* The generation may go before the text has left. */
static void
start(struct exchange *x)
{
	const struct respond	*r = handler_part(x);

	exchange_skip_request(x);
	exchange_reply(x, (unsigned)r->status,
	    STR("text/plain; charset=utf-8"), template_expand(&r->text, x, NULL,
	    0));
	exchange_handler_done(x);
}

static const struct conf_row rows[] = {
	{
		.key = "respond", .type = CONF_CUSTOM,
		.off = offsetof(struct respond, status),
		.flags = CONF_F_HANDLER, .parse = parse_respond,
		.example = "200 It works",
		.text = "Answers with this status and text, in which variables "
		    "stand for what the request has."
	},
	{ .key = NULL }
};

const struct conf_group respond_group = {
	"respond", rows, sizeof(struct respond), link_respond
};

const struct handler handler_respond = {
	.name = "respond", .group = &respond_group, .start = start
};

/*
 * Which HTTP version a connection speaks (version.h).  Workers; the
 * parser: builder and tools.
 *
 * The first bytes are looked at, not taken: the codec reads them itself.
 * A client of HTTP/2 sends its preface at once; whoever differs from it in
 * any byte, or says nothing until the time for a head is over, is given to
 * HTTP/1.1, which knows what to answer.
 */
#include "core/version.h"

#include "base/must.h"
#include "core/secure.h"

#define ALL_MAX	8	/* versions */

/* of serve.codecs, whose memory the codec takes over */
struct version {
	struct conn	*c;		/* ref */
	struct timer	 timer;
	struct ev_task	 task;
};
_Static_assert(sizeof(struct version) <= CODEC_CONN_MAX, "a first look");

static unsigned
find(struct str alpn)
{
	unsigned	i;

	for (i = 0; codecs[i].alpn != NULL; i++)
		if (str_eq(alpn, str_from(codecs[i].alpn)))
			return i;
	return 0;
}

static void
begin(struct conn *c, unsigned http)
{
	c->http = (uint8_t)http;
	conn_begin(c);
}

/* --- by the first bytes --- */

static void
drop(struct version *v)
{
	struct conn	*c = v->c;
	struct serve	*s = c->listener->serve;

	ev_timer_off(s->ev, &v->timer);
	ev_cancel(&v->task);
	c->version = NULL;
	c->sniffing = false;
	slab_put(&s->codecs, v);
}

void
version_close(struct conn *c)
{
	drop(c->version);
	io_close(&c->io, false);
	conn_on_gone(c, FAIL_NONE);
}

/* Both were spoken when it was sniffed at first; now it may be one. */
static void
choose(struct version *v, const char *alpn)
{
	struct conn	*c = v->c;
	unsigned	 http = find(str_from(alpn));

	drop(v);
	if (c->listener->http & 1U << http)
		begin(c, http);
	else
		version_start(c, STR(""));
}

/* RFC 9113 3.4; the rest of it the codec checks. */
static void
look(struct version *v)
{
	struct str	want = STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	struct io	*io = &v->c->io;
	char		 buf[24];
	size_t		 got = 0;
	enum io_rc	 rc;

	must(want.n == sizeof(buf));
	rc = io_peek(io, buf, sizeof(buf), &got);
	if (rc == IO_EOF || rc == IO_ERR) {
		version_close(v->c);
		return;
	}
	if (!str_eq(str_make(buf, got), str_sub(want, 0, got))) {
		choose(v, "http/1.1");
		return;
	}
	if (got == sizeof(buf)) {
		choose(v, "h2");
		return;
	}
	io->fd.ready &= (uint8_t)~IO_R;
	if (io->fd.ready & IO_GONE)
		choose(v, "http/1.1");
	else if (io_watch(io) == -1)
		version_close(v->c);
}

static void
on_io(struct io *io, unsigned what)
{
	if (what & (IO_R | IO_GONE))
		look(io->ctx);
}

static void
on_task(struct ev_task *t)
{
	look(container_of(t, struct version, task));
}

static void
on_timer(struct timer *t)
{
	choose(container_of(t, struct version, timer), "http/1.1");
}

static void
sniff(struct conn *c)
{
	struct listener	*l = c->listener;
	struct version	*v = slab_get(&l->serve->codecs);

	*v = (struct version){ .c = c };
	c->version = v;
	c->sniffing = true;
	timer_init(&v->timer, on_timer);
	ev_task_init(&v->task, on_task);
	c->io.on = on_io;
	c->io.ctx = v;
	ev_timer(l->serve->ev, &v->timer, l->env.limits.header_ms);
	ev_post(l->serve->ev, EV_READY, &v->task);
}

void
version_start(struct conn *c, struct str alpn)
{
	uint32_t	may = c->listener->http;
	unsigned	h1 = find(STR("http/1.1")), h2 = find(STR("h2"));

	if (alpn.n > 0)
		begin(c, find(alpn));
	else if ((may & 1U << h2) == 0)
		begin(c, h1);
	else if ((may & 1U << h1) == 0)
		begin(c, h2);
	else if (c->io.caps & IO_C_SECURE)
		begin(c, h1);
	else
		sniff(c);
}

uint32_t
version_bits(const struct listener_conf *l)
{
	uint32_t	all = 0;

	if (l->http != 0)
		return l->http;
	if (!secure_has(l))
		return 1U << find(STR("http/1.1"));
	for (unsigned i = 0; codecs[i].alpn != NULL; i++)
		if (codecs[i].server != NULL)
			all |= 1U << i;
	return all;
}

bool
version_is_current(const struct conn *c, const struct listener_conf *l)
{
	return c->raw || c->greeting || c->sniffing ||
	    (version_bits(l) & 1U << c->http) != 0;
}

bool
version_has_h2(const struct listener_conf *l)
{
	return (version_bits(l) & 1U << find(STR("h2"))) != 0;
}

void
version_alpn(struct text *t, uint32_t bits)
{
	struct str	s;
	unsigned	n = 0;

	while (codecs[n].alpn != NULL)
		n++;
	while (n-- > 0) {
		if (codecs[n].server == NULL ||
		    (bits != 0 && (bits & 1U << n) == 0))
			continue;
		s = str_from(codecs[n].alpn);
		text_c(t, (char)s.n);
		text_add(t, s);
	}
}

/* --- the key --- */

static int
add_word(struct str word, uint32_t *bits)
{
	for (unsigned i = 0; codecs[i].alpn != NULL; i++)
		if (codecs[i].server != NULL &&
		    str_eq(word, str_from(codecs[i].version))) {
			must(i < ALL_MAX);
			*bits |= 1U << i;
			return 0;
		}
	return -1;
}

int
version_parse(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct str		 rest = it->val, word;
	struct conf_span	 at;
	uint32_t		*bits = dst;

	*bits = 0;
	if (str_eq(str_trim(rest), STR("auto")))
		return 0;
	while (str_word(&rest, " \t,", &word)) {
		if (add_word(word, bits) == 0)
			continue;
		at = conf_word_span(it, word);
		diag_at(conf_load_diags(load), DIAG_VALUE_CHOICE, &at, NULL,
		    row->key, "\"%.*s\" is no HTTP version that is spoken "
		    "here: 1.1, 2 or auto", STR_FMT(str_sub(word, 0, 80)));
		return -1;
	}
	if (*bits != 0)
		return 0;
	diag_at(conf_load_diags(load), DIAG_VALUE_EMPTY, &it->vspan, NULL,
	    row->key, "there is no version");
	return -1;
}

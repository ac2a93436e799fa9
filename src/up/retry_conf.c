/*
 * Keys retry.* of [upstream].  Builder and tools; those of [route] are in
 * handler/proxy_retry_conf.c.
 */
#include "up/retry.h"

#include "http/grpc.h"
#include "up/upstream.h"

#define DAY_MS		(24 * 60 * 60 * 1000)
#define AT(member)	offsetof(struct retry_conf, member)

const struct retry_conf retry_none;

const struct retry_conf *
retry_of(const struct conf_obj *upstream)
{
	const struct retry_conf	*c = NULL;

	if (upstream->part != NULL)
		c = conf_part(upstream, &retry_group);
	return c == NULL ? &retry_none : c;
}

static unsigned
bit_of(struct str word)
{
	static const struct {
		struct str	word;
		unsigned	bit;
	} bits[] = {
		{ STR_INIT("connect"), RETRY_ON_CONNECT },
		{ STR_INIT("refused_stream"), RETRY_ON_REFUSED },
		{ STR_INIT("reset"), RETRY_ON_RESET },
		{ STR_INIT("first_byte"), RETRY_ON_FIRST_BYTE },
		{ STR_INIT("503"), RETRY_ON_503 },
		{ STR_INIT("grpc_cancelled"), RETRY_ON_GRPC(GRPC_CANCELLED) },
		{ STR_INIT("grpc_deadline_exceeded"),
		    RETRY_ON_GRPC(GRPC_DEADLINE_EXCEEDED) },
		{ STR_INIT("grpc_internal"), RETRY_ON_GRPC(GRPC_INTERNAL) },
		{ STR_INIT("grpc_resource_exhausted"),
		    RETRY_ON_GRPC(GRPC_RESOURCE_EXHAUSTED) },
		{ STR_INIT("grpc_unavailable"),
		    RETRY_ON_GRPC(GRPC_UNAVAILABLE) }
	};

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (str_eq(word, bits[i].word))
			return bits[i].bit;
	return 0;
}

int
retry_read_words(struct conf_load *load, const struct conf_obj *obj,
    struct retry_conf *c)
{
	const struct conf_item	*it = conf_item(load, obj, "retry.on");
	struct conf_span	 at = conf_obj_span(obj);
	bool			 off = false;

	c->on = 0;
	for (size_t i = 0; i < c->words.n; i++) {
		off |= bit_of(c->words.v[i]) == 0;
		c->on |= bit_of(c->words.v[i]);
	}
	if (!off || c->words.n == 1)
		return 0;
	diag_at(conf_load_diags(load), DIAG_VALUE_CHOICE,
	    it != NULL ? &it->vspan : &at, obj, "retry.on",
	    "off excludes other conditions");
	return -1;
}

static int
link_retry(struct conf_load *load, struct conf_obj *obj, void *part)
{
	return retry_read_words(load, obj, part);
}

static const struct conf_row rows[] = {
	{
		.key = "retry.on", .type = CONF_LIST, .off = AT(words),
		.def = "connect refused_stream reset first_byte 503",
		.choices = RETRY_WORDS, .flags = CONF_F_ROUTE,
		.example = "connect",
		.text = "What a request is asked of another server for: "
		    "connect (nothing could be sent), refused_stream (the "
		    "server did not begin with it), reset (it ended before "
		    "its answer), first_byte (timeout.first_byte is over), "
		    "503 (with a Retry-After of at most a second), and of "
		    "gRPC the codes that a server answers with alone, "
		    "before any message: grpc_cancelled, "
		    "grpc_deadline_exceeded, grpc_internal, "
		    "grpc_resource_exhausted, grpc_unavailable; off "
		    "repeats nothing.  What was sent is repeated only if "
		    "the method is idempotent: GET, HEAD, PUT, DELETE, "
		    "OPTIONS; calls of gRPC also after a code that is "
		    "named here."
	}, {
		.key = "retry.tries", .type = CONF_INT, .off = AT(tries),
		.def = "2", .max = 10, .flags = CONF_F_ROUTE,
		.example = "1",
		.text = "Attempts after the first one, each at a server "
		    "that was not asked yet; 0 repeats nothing.  One that "
		    "was cut, for its server went out of service, does not "
		    "count."
	}, {
		.key = "retry.budget", .type = CONF_INT,
		.unit = CONF_PERCENT, .off = AT(budget), .def = "20",
		.max = 100, .example = "10",
		.text = "What requests allow of further attempts, in "
		    "percent of their number, over all workers.  Each one "
		    "takes of it, also after a refused connection."
	}, {
		.key = "retry.floor", .type = CONF_INT, .off = AT(floor),
		.def = "3", .max = 1000, .example = "10",
		.text = "Further attempts that each second allows besides.  "
		    "What is not used is kept, up to ten seconds' worth."
	}, {
		.key = "retry.backoff", .type = CONF_TIME,
		.off = AT(backoff), .def = "25ms", .max = DAY_MS,
		.flags = CONF_F_ROUTE, .example = "10ms",
		.text = "How long the first further attempt waits at most; "
		    "twice that for the second, and so on.  Each wait is a "
		    "random part of it, also after a refused connection.  "
		    "0 waits for nothing."
	}, {
		.key = "retry.backoff_max", .type = CONF_TIME,
		.off = AT(backoff_max), .def = "250ms", .max = DAY_MS,
		.flags = CONF_F_ROUTE, .example = "1s",
		.text = "No attempt waits longer than that."
	}, {
		.key = "retry.body", .type = CONF_SIZE, .off = AT(body),
		.def = "64k", .max = 1 << 20, .flags = CONF_F_ROUTE,
		.example = "16k",
		.text = "How much of a request's body is kept for another "
		    "attempt; a longer one is not repeated once the server "
		    "was given bytes of it.  It counts as [limits] buffers."
	}, {
		.key = "retry.cut", .type = CONF_BOOL, .off = AT(cut),
		.def = "on", .flags = CONF_F_ROUTE, .example = "off",
		.text = "When a server goes down, is ejected or is taken "
		    "out by sluicectl server down, requests that wait there "
		    "without a byte of an answer are asked of another "
		    "server at once, if retry.on is not off, the method is "
		    "idempotent or nothing of it was sent, and the body "
		    "was kept.  The server may have begun with such a "
		    "request.  off lets them wait as before."
	},
	{ .key = NULL }
};

const struct conf_group retry_group = {
	"retry", rows, sizeof(struct retry_conf), link_retry
};

/*
 * Handler echo: tells the request back, as text.  Workers.  For finding
 * out what arrives behind other gateways; the body is not part of it.
 */
#include "base/text.h"
#include "core/handler.h"

struct echo {
	bool	on;
};

static void
start(struct exchange *x)
{
	const struct msg	*m = x->req;
	const struct hdr	*h;
	struct str		 all;
	struct text		 t;

	text_init(&t);
	text_fmt(&t, "client %.*s\nid %.*s\n\n%.*s %.*s HTTP/%.*s\n"
	    "host: %.*s\n", STR_FMT(exchange_client_ip(x)), STR_FMT(x->id),
	    STR_FMT(m->method), STR_FMT(m->target),
	    STR_FMT(msg_version(m)),
	    STR_FMT(m->authority));
	for (size_t i = 0; i < m->hdrs.n; i++) {
		h = &m->hdrs.v[i];
		if ((h->flags & HDR_F_DEAD) == 0)
			text_fmt(&t, "%.*s: %.*s\n", STR_FMT(h->name),
			    STR_FMT(h->val));
	}
	all = arena_dup(x->arena, text_str(&t));
	text_fini(&t);
	exchange_skip_request(x);
	exchange_reply(x, 200, STR("text/plain; charset=utf-8"), all);
	exchange_handler_done(x);
}

static const struct conf_row rows[] = {
	{
		.key = "echo", .type = CONF_BOOL,
		.off = offsetof(struct echo, on),
		.flags = CONF_F_HANDLER, .example = "on",
		.text = "Answers with the request as it arrived, without its "
		    "body. It tells every field: not for the public."
	},
	{ .key = NULL }
};

const struct conf_group echo_group = {
	"echo", rows, sizeof(struct echo), NULL
};

const struct handler handler_echo = {
	.name = "echo", .group = &echo_group, .start = start
};

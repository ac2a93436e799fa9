/*
 * What clients of gRPC are told (error_grpc.h).  Workers.
 *
 * Over HTTP/2 a failure before the answer's head is a head alone, with
 * status 200, grpc-status and grpc-message ("Trailers-Only"); behind the
 * head it is the trailers that end the answer, if no length was promised:
 * clients see a message that was cut, for messages have lengths of their
 * own.  Whoever speaks HTTP/1 is no client of gRPC, but may be something
 * between: it gets the status and page of HTTP, and these fields besides.
 */
#include "core/error_grpc.h"

#include "http/grpc.h"

#define MESSAGE_MAX	1000	/* bytes of an answer's text */

bool
error_grpc_takes(const struct exchange *x)
{
	return x->grpc && x->req->major == 2;
}

/* Who has left, or takes nothing, is told nothing. */
bool
error_grpc_tells(const struct exchange *x, enum fail why)
{
	return error_grpc_takes(x) && grpc_of_fail(why) != GRPC_CANCELLED;
}

/* A server that resets a stream says with which code. */
static enum grpc_status
status_of(const struct exchange *x)
{
	bool	reset = x->fail == FAIL_SERVER_RESET ||
		    x->fail == FAIL_STREAM_REFUSED ||
		    x->fail == FAIL_RESET_IN_BODY;

	return reset && x->grpc_reset != GRPC_STATUS_NONE ?
	    (enum grpc_status)x->grpc_reset : grpc_of_fail(x->fail);
}

/* The row's text, and what finds it in the logs. */
static struct str
message_of(const struct exchange *x)
{
	const struct fail_row	*r = fail_row(x->fail);

	return arena_fmt(x->arena, "%s (%s%s%.*s)", r->text, r->name,
	    x->id.n > 0 ? " " : "", STR_FMT(x->id));
}

static void
add_fields(struct exchange *x, struct hdrs *hs, enum grpc_status status,
    struct str text)
{
	hdr_add(x->arena, hs, HDR_GRPC_STATUS, arena_fmt(x->arena, "%u",
	    (unsigned)status));
	hdr_add(x->arena, hs, HDR_GRPC_MESSAGE, grpc_encode(x->arena,
	    str_sub(text, 0, MESSAGE_MAX)));
}

static struct msg *
new_head(struct exchange *x)
{
	struct msg	*m = exchange_new_head(x, 200);

	hdr_add(x->arena, &m->hdrs, HDR_CONTENT_TYPE, GRPC_TYPE);
	return m;
}

struct msg *
error_grpc_make(struct exchange *x, unsigned http, struct str text,
    const char *who)
{
	struct msg	*m = new_head(x);

	add_fields(x, &m->hdrs, grpc_of_http(http), text);
	x->acc.str[ACCESS_CAUSE] = arena_fmt(x->arena, "%s HTTP status %u",
	    who, http);
	return m;
}

bool
error_grpc_reply(struct exchange *x, unsigned http, struct str text)
{
	if (!error_grpc_takes(x))
		return false;
	if (text.n == 0)
		text = arena_fmt(x->arena, "HTTP status %u", http);
	exchange_respond(x, error_grpc_make(x, http, text, "the answer was"),
	    WAIST_END);
	return true;
}

void
error_grpc_fields(struct exchange *x, struct hdrs *hs)
{
	x->grpc_status = (uint8_t)status_of(x);
	add_fields(x, hs, status_of(x), message_of(x));
}

struct msg *
error_grpc_head(struct exchange *x)
{
	struct msg	*m = new_head(x);

	error_grpc_fields(x, &m->hdrs);
	return m;
}

bool
error_grpc_end(struct exchange *x, enum fail why)
{
	struct sink	*out = &x->client->out;
	struct hdrs	 hs = { 0 };

	if (!x->head_sent || !error_grpc_tells(x, why) || x->counted ||
	    (x->res_flags & WAIST_END) != 0 || x->res->status != 200 ||
	    x->res->body != BODY_UNKNOWN)
		return false;
	error_grpc_fields(x, &hs);
	x->aborted = true;
	out->ops->trailers(out, &hs);
	out->ops->end(out);
	return true;
}

void
error_grpc_note(struct exchange *x, const struct hdrs *hs)
{
	int	code = grpc_read_status(hdr_val(hs, HDR_GRPC_STATUS));

	if (x->grpc && code >= 0)
		x->grpc_status = (uint8_t)code;
}

/* What nobody said is what a client makes of it. */
static unsigned
final_status(const struct exchange *x)
{
	unsigned	http = (unsigned)x->acc.num[ACCESS_STATUS];

	if (x->grpc_status != GRPC_STATUS_NONE)
		return x->grpc_status;
	if (x->fail != FAIL_NONE && !x->error_page)
		return status_of(x);
	return grpc_of_http(http);
}

void
error_grpc_count(struct exchange *x)
{
	unsigned	code;

	if (!x->grpc)
		return;
	code = final_status(x);
	x->acc.str[ACCESS_GRPC_STATUS] = code < GRPC_N ? grpc_name(code) :
	    arena_fmt(x->arena, "%u", code);
	/* a code that nobody knows is an unknown one */
	stat_add((enum stat_id)(STAT_GRPC_OK + (code < GRPC_N ? code :
	    GRPC_UNKNOWN)), 1);
}
_Static_assert(STAT_GRPC_UNAUTHENTICATED - STAT_GRPC_OK ==
    GRPC_UNAUTHENTICATED, "stat.tbl and grpc.tbl must agree");

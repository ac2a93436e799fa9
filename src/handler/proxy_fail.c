/*
 * What is told of an attempt that failed.  Workers.
 *
 * Each is one line with the request's id, the server, the attempt and the
 * cause; it counts by its row of the fail table, against the server if
 * that says so, and is noted as the last of its kind.  A line is a
 * warning while something is done about it, an error when the request
 * fails with it; each row has a flood guard of its own.
 */
#include "handler/proxy_fail.h"

#include "handler/proxy.h"

struct str
proxy_cause(const struct proxy *p)
{
	char	buf[128];

	if (p->what == NULL || p->what[0] == '\0')
		return STR("");
	if (p->error == 0)
		return str_from(p->what);
	return arena_fmt(p->x->arena, "%s: %s", p->what,
	    strerror_r(p->error, buf, sizeof(buf)));
}

/* The time is over: who was waited for? */
static const char *
late_type(const struct proxy *p)
{
	if (p->queue.in != NULL)
		return "connection_limit_reached";
	if (p->step == PROXY_QUEUE)
		return "dns_timeout";
	if (p->wait.waiting)
		return "connection_timeout";
	if (!p->answered && !p->hold && proxy_is_clients_turn(p))
		return "http_request_error";
	return NULL;
}

const char *
proxy_error_type(const struct proxy *p, enum fail why)
{
	switch (why) {
	case FAIL_DIAL_UNREACHABLE:
		/* a socket file has no address that could be unroutable */
		return p->server != NULL &&
		    p->server->addr.family == AF_UNIX ?
		    "destination_unavailable" : NULL;
	case FAIL_TOTAL_TIMEOUT:
	case FAIL_DEADLINE_EXCEEDED:
		return late_type(p);
	default:
		return NULL;
	}
}

static void
note_last(const struct proxy *p, enum fail why)
{
	struct last_who	who = { .id = p->x->id, .upstream = p->up->name,
	    .server = p->server->text };

	last_note(why, &who, ev_wall_ms(p->x->serve->ev));
}

void
proxy_note_error(const struct proxy *p, enum fail why)
{
	note_last(p, why);
}

static void
count(struct proxy *p, enum fail why)
{
	note_last(p, why);
	attempt_failed(&p->attempt, why);
}

void
proxy_count(struct proxy *p, enum fail why)
{
	if (!p->told && p->server != NULL)
		count(p, why);
}

static void
say(struct proxy *p, enum fail why, const char *then)
{
	const struct fail_row	*row = fail_row(why);
	struct str		 cause = proxy_cause(p);
	struct logctx		 lc = p->x->lc;
	enum log_level		 level = then != NULL ? LOG_WARN : LOG_ERR;

	lc.ids.code = row->name;
	if (p->server == NULL)
		log_line(&lc, level, __FILE__, "upstream \"%.*s\": %s%s%s",
		    STR_FMT(p->up->name), row->name,
		    then != NULL ? "; " : "", then != NULL ? then : "");
	else
		log_line(&lc, level, __FILE__, "server \"%.*s\" of "
		    "\"%.*s\": attempt %llu failed: %s%s%.*s%s%s",
		    STR_FMT(p->server->text), STR_FMT(p->up->name),
		    (unsigned long long)p->x->acc.num[ACCESS_ATTEMPTS],
		    row->name, cause.n > 0 ? ": " : "", STR_FMT(cause),
		    then != NULL ? "; " : "", then != NULL ? then : "");
}

void
proxy_tell(struct proxy *p, enum fail why, const char *then)
{
	/* what the client did is told by its own row */
	if (p->told || p->up == NULL || (fail_row(why)->proxy[0] == '\0' &&
	    why != FAIL_SERVER_ERROR && why != FAIL_GRPC_ERROR &&
	    why != FAIL_ATTEMPT_CUT))
		return;
	p->told = true;
	/* that there was no other attempt is not how one ended */
	if (p->server != NULL && why != FAIL_RETRY_BUDGET)
		count(p, why);
	say(p, why, then);
}

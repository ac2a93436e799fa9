/*
 * An exchange whose connection was upgraded: from here on there are no
 * messages, only bytes, which its handler moves.  Workers.
 *
 * It may go on for hours while nothing happens, so it holds as little as
 * it can: no generation, nothing of the request but what its access
 * record says, which is written at the end.
 */
#include "core/chain.h"
#include "core/int.h"
#include "core/listener.h"

/* What the record has of the request's head becomes the arena's. */
static void
own_record(struct exchange *x)
{
	static const enum access_id	ids[] = { ACCESS_ID, ACCESS_METHOD,
	    ACCESS_HOST, ACCESS_TARGET, ACCESS_REFERER, ACCESS_USER_AGENT };
	struct str			*v = x->acc.str;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		v[ids[i]] = arena_dup(x->arena, v[ids[i]]);
	x->id = v[ACCESS_ID];
	x->lc.ids.request = x->id;
}

static void
forget_request(struct exchange *x)
{
	x->path = x->asked = x->host = STR_NONE;
	x->uri = (struct uri){ 0 };
	x->caps = NULL;
	x->pattern = NULL;
}

struct io *
exchange_take(struct exchange *x, struct source *wait, struct chunk *rest)
{
	struct sink	*out = &x->client->out;
	struct io	*io;

	if (!x->stream)
		own_record(x);
	io = conn_take(x->conn, rest);
	if (io == NULL) {
		if (out->from == NULL)
			waist_join(wait, out);
		return NULL;
	}
	if (out->from == wait) {
		out->from = NULL;
		wait->to = NULL;
	}
	x->stream = true;
	x->serve->nstream++;
	forget_request(x);
	/* filters have seen all that there was for them */
	chain_done(x);
	x->route = NULL;
	if (x->gen != NULL)
		gen_unref(x->serve->gens, &x->gen);
	return io;
}

void
exchange_moved(struct exchange *x, size_t got, size_t put)
{
	if (x->client == NULL)
		return;
	x->client->got += got;
	x->client->sent += put;
}

void
exchange_taken_end(struct exchange *x, enum fail why, struct str cause)
{
	if (x->client == NULL)
		return;
	if (why != FAIL_NONE)
		exchange_note(x, why, cause);
	conn_close(x->conn, why);
}

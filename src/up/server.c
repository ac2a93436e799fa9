/*
 * Run-time twins of servers: how long they live, and which of them an
 * exchange has asked.  Workers.
 */
#include "up/server.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/names.h"
#include "up/server_tls.h"
#include "up/upstream.h"

struct server *
server_ref(struct server *s)
{
	s->uses++;
	return s;
}

void
server_unref(struct server **p)
{
	struct server	*s = *p;

	*p = NULL;
	if (s == NULL)
		return;
	must(s->uses > 0);
	if (--s->uses > 0)
		return;
	must(s->nopen == 0);
	ev_timer_off(s->upstream->serve->ev, &s->idle_end);
	server_tls_forget(s);
	if (s->shake != NULL)
		free(s->shake->said);
	free(s->shake);
	free(s->multi);
	free(s);
}

/* Most servers have neither, and there may be thousands. */
struct server_multi *
server_multi(struct server *s)
{
	if (s->multi == NULL) {
		s->multi = must_calloc(1, sizeof(*s->multi));
		list_init(&s->multi->shared);
		list_init(&s->multi->shares);
	}
	return s->multi;
}

struct server_shake *
server_shake(struct server *s)
{
	if (s->shake == NULL)
		s->shake = must_calloc(1, sizeof(*s->shake));
	return s->shake;
}

/* A path is rare and long: it is read from the text. */
void
server_addr(const struct server *s, struct sock_addr *a)
{
	if (s->addr.family == AF_UNIX)
		must(sock_parse(s->text, -1, a, NULL) == 0);
	else
		sock_of_peer(a, &s->addr);
}

struct str
server_host(const struct server *s)
{
	return s->name != NULL ? s->name->host : s->text;
}

/* A row that went on to another life has another server's limit. */
uint32_t
server_lease(const struct server *s)
{
	if (atomic_load_explicit(&s->board->tag, memory_order_relaxed) !=
	    s->tag)
		return 0;
	return atomic_load_explicit(&s->board->lease, memory_order_relaxed);
}

/* --- servers that were asked --- */

bool
tried_has(const struct tried *t, const struct server *s)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->tag[i] == s->tag)
			return true;
	return false;
}

void
tried_add(struct tried *t, struct arena *a, const struct server *s)
{
	uint64_t	*old = t->tag;

	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 4 : t->cap * 2;
		t->tag = arena_alloc(a, t->cap * sizeof(*t->tag));
		if (t->n > 0)
			memcpy(t->tag, old, t->n * sizeof(*t->tag));
	}
	t->tag[t->n++] = s->tag;
}

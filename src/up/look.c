/*
 * Looks at choices that are not made.  Workers.
 *
 * The twins of requests are looked at, so that the same tables, keys and
 * views speak; nothing is counted, taken or turned on by it.
 */
#include "up/look.h"

#include <string.h>

#include "core/serve.h"
#include "up/hash.h"
#include "up/sticky.h"

/* The twin of the row that new requests come to. */
static struct upstream *
find_twin(struct serve *serve, uint32_t row)
{
	struct upstream	*up;
	struct str	 key;
	size_t		 i = 0;
	void		*val;

	while (map_next(&serve->upstreams, &i, &key, &val)) {
		up = val;
		if (up->cur && up->row == row)
			return up;
	}
	return NULL;
}

/* Who else has made the cookie; LOOK_NOBODY: none of this gateway. */
static uint32_t
find_maker(struct serve *serve, struct str cookie)
{
	const struct upstream	*up;
	struct sticky_told	 told;
	struct str		 key;
	size_t			 i = 0;
	void			*val;

	while (map_next(&serve->upstreams, &i, &key, &val)) {
		up = val;
		if (up->cur && up->sticky != NULL &&
		    (sticky_read(up->sticky, cookie, ev_wall_ms(serve->ev),
		    &told) || told.late))
			return up->row;
	}
	return LOOK_NOBODY;
}

static void
look_cookie(struct upstream *up, struct str cookie, struct look_told *t)
{
	static const struct tried	 none;
	const struct server		*s;
	struct sticky_told		 told;

	if (!sticky_read(up->sticky, cookie, ev_wall_ms(up->serve->ev),
	    &told)) {
		if (!told.late)
			t->other = find_maker(up->serve, cookie);
		t->cookie = told.late ? LOOK_LATE :
		    t->other != LOOK_NOBODY ? LOOK_OTHER : LOOK_FORGED;
		return;
	}
	t->renew = told.old;
	view_refresh(up);
	s = sticky_member(up, told.number);
	if (s == NULL) {
		t->cookie = LOOK_GONE;
		return;
	}
	t->server = s->row;
	t->cookie = sticky_find(up, told.number, &none) == s ? LOOK_GOOD :
	    LOOK_AWAY;
}

static void
look_hash(struct upstream *up, uint64_t hash, struct look_told *t)
{
	static const struct tried	 none;
	struct pick			 p = { .tried = &none, .hash = hash };
	struct hash_place		 way[LOOK_WAY];
	const struct server		*s;

	view_refresh(up);
	if (up->view.n == 0)
		return;
	t->nway = (uint32_t)hash_follow(up, &p, way, LOOK_WAY);
	for (uint32_t i = 0; i < t->nway; i++) {
		t->way[i].server = way[i].s->row;
		t->way[i].how = (uint32_t)way[i].how;
	}
	s = up->balance->pick(up, &p);
	if (s != NULL)
		t->picked = s->row;
}

static struct look_told
look(struct serve *serve, const struct look_ask *ask)
{
	struct look_told	 t = { .upstream = LOOK_NOBODY,
	    .other = LOOK_NOBODY, .server = LOOK_NOBODY,
	    .picked = LOOK_NOBODY };
	struct upstream		*up = find_twin(serve, ask->upstream);

	if (up == NULL)
		return t;
	t.upstream = ask->upstream;
	if (up->sticky != NULL && ask->given && ask->ncookie <= LOOK_COOKIE)
		look_cookie(up, str_make(ask->cookie, ask->ncookie), &t);
	if (up->balance == &balancer_hash && ask->hashed)
		look_hash(up, ask->hash, &t);
	return t;
}

size_t
look_answer(struct serve *serve, struct str payload,
    struct look_told out[LOOK_MAX])
{
	struct look_ask	ask;
	size_t		n = payload.n / sizeof(ask);

	if (payload.n % sizeof(ask) != 0 || n > LOOK_MAX)
		return 0;
	for (size_t i = 0; i < n; i++) {
		memcpy(&ask, payload.p + i * sizeof(ask), sizeof(ask));
		out[i] = look(serve, &ask);
	}
	return n;
}

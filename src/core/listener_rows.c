/*
 * What listeners share on the board: one lease word each, which counts
 * their connections (max_conns) and says when a limit was logged last.
 * Master; workers read.
 *
 * A row is of a name.  It is freed when no generation in use names it and
 * no connection holds of it.
 */
#include "core/listener.h"
#include "core/listener_limit.h"
#include "core/limit.h"

/* 0 is the tag of what is free. */
static uint64_t
name_tag(struct str name)
{
	uint64_t	h = str_hash(name, STR_HASH0);

	return h == 0 ? 1 : h;
}

uint32_t
listener_row(const struct shm *shm, struct str name)
{
	uint64_t			 tag = name_tag(name);
	const struct lease_word		*w;

	for (uint32_t i = 0; i < shm_rows(shm, &lease_listeners); i++) {
		w = shm_row(shm, &lease_listeners, i);
		if (atomic_load_explicit(&w->tag, memory_order_acquire) ==
		    tag)
			return (LEASE_LISTENER | i) + 1;
	}
	return 0;
}

static void
free_rows(struct shm *shm, uint64_t oldest)
{
	struct lease_word	*w;

	for (uint32_t i = 0; i < shm_rows(shm, &lease_listeners); i++) {
		w = shm_row(shm, &lease_listeners, i);
		if (w->tag != 0 && w->generation < oldest &&
		    lease_count(&w->taken) == 0)
			w->tag = 0;
	}
}

static struct lease_word *
make_row(struct shm *shm, struct str name, struct err *e)
{
	struct lease_word	*w = NULL;
	uint32_t		 i, n = shm_rows(shm, &lease_listeners);

	for (i = 0; i < n; i++) {
		w = shm_row(shm, &lease_listeners, i);
		if (w->tag == 0)
			break;
	}
	if (i == n) {
		if (shm_grow(shm, &lease_listeners, n + 1, e) == -1)
			return NULL;
		w = shm_row(shm, &lease_listeners, n);
	}
	w->refused = 0;
	w->said_ms = 0;
	w->tag = name_tag(name);
	return w;
}

static bool
has_peers(const struct listener_conf *c)
{
	return c->share.per_ip != 0 || c->share.rate.n != 0;
}

bool
listener_has_limit(const struct listener_conf *c)
{
	return c->share.conns != 0 || has_peers(c);
}

int
listener_link_rows(struct shm *shm, const struct conf *conf,
    uint64_t oldest, struct err *e)
{
	struct conf_objs		 all = conf_all(conf,
	    &listener_section);
	const struct listener_conf	*c;
	struct lease_word		*w;
	uint32_t			 row;

	free_rows(shm, oldest);
	for (size_t i = 0; i < all.n; i++) {
		c = (const struct listener_conf *)all.v[i];
		if (!listener_has_limit(c))
			continue;
		if (has_peers(c) && limit_grow(shm, e) == -1)
			return -1;
		row = listener_row(shm, c->obj.name);
		w = row == 0 ? make_row(shm, c->obj.name, e) :
		    shm_row(shm, &lease_listeners,
		    row - 1 - LEASE_LISTENER);
		if (w == NULL)
			return -1;
		w->limit = (uint32_t)c->share.conns;
		w->generation = conf->number;
	}
	return 0;
}

uint64_t
listener_cost(const struct conf *conf)
{
	struct conf_objs	all = conf_all(conf, &listener_section);
	uint64_t		sum = 0;
	bool			peers = false;

	for (size_t i = 0; i < all.n; i++) {
		const struct listener_conf	*c =
		    (const struct listener_conf *)all.v[i];

		if (listener_has_limit(c))
			sum += shm_cost(&lease_listeners, 1);
		peers |= has_peers(c);
	}
	return sum + (peers ? shm_cost(&lease_addrs, LEASE_BUCKETS) : 0);
}

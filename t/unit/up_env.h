/*
 * A configuration whose only object is an upstream "u", and what a process
 * does with it.
 */
#ifndef T_UNIT_UP_ENV_H
#define T_UNIT_UP_ENV_H

#include <check.h>

#include "up/upstream.h"

/* what a struct conf points to */
struct up_env {
	struct conf_obj			*objs[1];
	const struct conf_section	*sections[2];
	const struct conf_obj		*slots[2];
};

/* The conf has this upstream, of n servers of weight 1, and nothing else. */
static void
up_env_set(struct up_env *u, struct conf *c, struct upstream_conf *uc,
    struct server_conf *sc, size_t n, uint64_t number)
{
	uc->obj.name = STR("u");
	uc->obj.section = &upstream_section;
	uc->servers = (struct server_list){ sc, n };
	for (size_t i = 0; i < n; i++)
		sc[i].weight = 1;
	u->objs[0] = &uc->obj;
	u->sections[0] = &upstream_section;
	u->slots[0] = u->slots[1] = &uc->obj;
	c->sections = u->sections;
	c->number = number;
	c->objs[0].v = u->objs;
	c->objs[0].n = 1;
	c->names[0].slot = u->slots;
	c->names[0].cap = 1;
}

static inline void
up_env_publish(struct serve *serve, struct conf *c)
{
	struct err	e;

	ck_assert_msg(upstream_link_rows(serve->shm, c, c->number, &e) == 0,
	    "%s", e.text);
	ck_assert_msg(upstream_part.prepare(serve, c, &e) == 0, "%s", e.text);
	upstream_part.commit(serve, c);
	upstream_settle_rows(serve->shm, c);
}

#endif

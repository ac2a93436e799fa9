/*
 * What GET /v1/upstreams says of a server's probes and ejections.  Control
 * process.  The words are written by health and workers: shown, and never
 * used as an index without a look.
 */
#include "control/int.h"

#include "os/proc.h"
#include "up/probes.h"
#include "up/upstream_rows.h"
#include "up/view.h"

static void
set_num(json_t *j, const char *name, uint64_t v)
{
	json_object_set_new(j, name, api_num(v));
}

/* NULL: there was none yet.  The row is that of a probe that failed. */
static json_t *
describe_last(const struct board_probe *p)
{
	uint64_t	 last = atomic_load(&p->last), why = last >> 48;
	json_t		*j;

	if (last == 0)
		return json_null();
	j = json_object();
	json_object_set_new(j, "fail", why == FAIL_NONE || why >= FAIL_N ?
	    json_null() : json_string(fail_row((enum fail)why)->name));
	set_num(j, "ms", last & 0xffffffffffffULL);
	return j;
}

/* Well, or so long without a verdict that it may be taken for that. */
static bool
is_known(const struct board_probe *p)
{
	uint64_t	begun = atomic_load(&p->begun_ms);

	return atomic_load(&p->probes) > atomic_load(&p->failed) ||
	    ev_wall_ms(self->ev) >= begun + PROBES_KNOWN_MS;
}

static json_t *
describe(const struct board_probe *p, uint64_t tag)
{
	uint32_t	 type = atomic_load(&p->type);
	json_t		*j;

	if (atomic_load(&p->tag) != tag || type == PROBE_OFF ||
	    type > PROBE_GRPC)
		return json_null();
	j = json_object();
	json_object_set_new(j, "type", json_string(probe_types[type]));
	set_num(j, "probes", atomic_load(&p->probes));
	set_num(j, "failures", atomic_load(&p->failed));
	set_num(j, "late", atomic_load(&p->late));
	set_num(j, "changes", atomic_load(&p->changes));
	set_num(j, "streak", atomic_load(&p->streak));
	set_num(j, "lately_us", atomic_load(&p->lately_us));
	json_object_set_new(j, "last", describe_last(p));
	json_object_set_new(j, "known", json_boolean(is_known(p)));
	return j;
}

void
api_add_probe(json_t *j, uint32_t row, uint64_t tag)
{
	const struct board_server_live	*l;
	const struct board_probe	*p;
	uint64_t			 word, until, now = ev_ms(self->ev);

	l = shm_row(self->shm, &board_servers_live, row);
	word = atomic_load(&l->state);
	until = atomic_load(&l->eject_until);
	set_num(j, "ejections", atomic_load(&l->ejections));
	set_num(j, "ejected_ms", (word & STATE_BIT(SERVER_EJECTED)) != 0 &&
	    until > now ? until - now : 0);
	set_num(j, "share", (word & STATE_BIT(SERVER_SLOW)) != 0 ?
	    atomic_load(&l->ramp) : RAMP_FULL);
	if (row >= shm_rows(self->shm, &board_probes)) {
		json_object_set_new(j, "probe", json_null());
		return;
	}
	p = shm_row(self->shm, &board_probes, row);
	json_object_set_new(j, "probe", describe(p, tag));
}

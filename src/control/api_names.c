/*
 * GET /v1/names: names of servers, their addresses and how they were
 * found.  Control process.
 */
#include "control/int.h"

#include "control/names.h"
#include "os/proc.h"

static const char *
state_word(enum name_state s)
{
	switch (s) {
	case NAME_ASKING:
		return "asking";
	case NAME_HELD:
		return "resolved";
	default:
		return "failing";
	}
}

/* What the board has, which is what requests get. */
static json_t *
list_addresses(const struct name_use *u)
{
	const struct board_server	*s;
	uint32_t			 row[NAME_MEMBERS];
	uint64_t			 version;
	json_t				*all = json_array();
	const struct board_name		*b;
	struct sock_addr		 a;
	char				 buf[NAMES_ADDR];
	int				 n;

	b = shm_row(self->shm, &board_names, u->row);
	n = atomic_load(&b->tag) != u->tag ? 0 :
	    names_read(b, row, &version);
	for (int i = 0; i < n; i++) {
		if (row[i] >= shm_rows(self->shm, &board_servers))
			continue;
		s = shm_row(self->shm, &board_servers, row[i]);
		if (names_addr(s, &a, buf) == -1)
			continue;
		json_array_append_new(all, json_pack("{s:s, s:o}", "address",
		    buf, "weight", api_num(atomic_load(&s->weight))));
	}
	return all;
}

static json_t *
describe(const struct name_use *u)
{
	const struct lookup	*l = u->lookup;
	const char		*why;
	enum name_state		 state = lookup_state(l, &why);
	struct text		 t;
	json_t			*j;

	text_init(&t);
	lookup_why(l, &t);
	j = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "upstream", u->upstream, "server", u->text, "state",
	    state_word(state), "why", api_text(text_str(&t)), "since_ms",
	    api_num(l->since_ms), "again_ms", api_num(lookup_left(l)),
	    "asked", api_num(l->asked), "failed", api_num(l->failed),
	    "addresses", list_addresses(u));
	text_fini(&t);
	return j;
}

void
api_names(struct exchange *x)
{
	struct names	*ns = api_of(x)->names;
	json_t		*all = json_array();
	struct list	*l;

	list_each(l, &ns->uses)
		json_array_append_new(all,
		    describe(container_of(l, struct name_use, node)));
	api_answer(x, 200, json_pack("{s:i, s:s, s:o}", "v", 1, "resolver",
	    ns->servers == NULL ? "/etc/resolv.conf" : ns->servers, "names",
	    all));
}

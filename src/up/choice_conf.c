/*
 * Keys of [upstream] that say which of its servers a client gets: hash.*
 * and sticky.*.  Builder; workers read.
 */
#include "up/hash.h"
#include "up/sticky.h"

#define DAY_MS		(24 * 60 * 60 * 1000LL)
#define SECRET_MIN	16
#define AT(member)	offsetof(struct choice_conf, member)

static int
fail(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, const char *why)
{
	struct conf_span	sp = conf_word_span(it, it->val);

	diag_at(conf_load_diags(load), DIAG_VALUE_CHOICE, &sp, NULL, row->key,
	    "%s", why);
	return -1;
}

static int
parse_key(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct template		*t = dst;

	if (template_parse(load, row, it, it->val, TEMPLATE_ASKER, t) == -1)
		return -1;
	return t->fixed ? fail(load, row, it, "without a variable all "
	    "requests have the same key") : 0;
}

static int
parse_name(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];

	if (!hdr_is_token(it->val))
		return fail(load, row, it, "no cookie has such a name");
	*(struct str *)dst = arena_dup(conf_load_arena(load), it->val);
	return 0;
}

static int
link_choice(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct upstream_conf		*up = (struct upstream_conf *)obj;
	struct choice_conf		*c = part;
	const struct conf_item		*it;
	struct str			 name;

	if (c->load > 0 && c->load < 100) {
		it = conf_item(load, obj, "hash.load");
		diag_at(conf_load_diags(load), DIAG_VALUE_RANGE,
		    it == NULL ? NULL : &it->vspan, obj, "hash.load",
		    "hash.load: less than 100 would leave requests over");
		return -1;
	}
	if (c->sticky == STICKY_CLIENT) {
		up->balance = &balancer_hash;
		if (!conf_is_set(load, obj, "hash.load"))
			c->load = 0;
	}
	name = str_from(up->balance->name);
	upstream_add_digest(up, name.p, name.n);
	upstream_add_digest(up, &c->load, sizeof(c->load));
	upstream_add_digest(up, &c->sticky, sizeof(c->sticky));
	upstream_add_digest(up, c->name.p, c->name.n);
	upstream_add_digest(up, &c->ttl, sizeof(c->ttl));
	upstream_add_digest(up, c->secret.p, c->secret.n);
	return 0;
}

const struct choice_conf *
choice_conf(const struct upstream_conf *up)
{
	static const struct choice_conf	none = { .load = 0 };

	return up->obj.part == NULL ? &none :
	    conf_part(&up->obj, &choice_group);
}

static const struct conf_alias sessions[] = {
	{ "sticky_sessions", CONF_COUNT, "cookie" },
	{ NULL, CONF_COUNT, NULL }
};

static const struct conf_row rows[] = {
	{
		.key = "hash.key", .type = CONF_CUSTOM, .off = AT(key),
		.parse = parse_key, .example = "${cookie.session}",
		.text = "What balance = hash goes by, with variables: "
		    "${client}, ${header.NAME}, ${cookie.NAME}, ${host}, "
		    "${path}, ${path.NAME}, ${query} and ${scheme}.  "
		    "Requests with one key go to one server.  The client's "
		    "address if it is not set, or comes to nothing."
	}, {
		.key = "hash.load", .type = CONF_INT, .off = AT(load),
		.def = "125", .max = 1000, .example = "150",
		.text = "Percent of its share of the requests under way "
		    "that balance = hash gives a server: what is beyond "
		    "goes to others, which few requests do as well if they "
		    "come at one time.  At least 100; 0 is no bound, and the "
		    "default with sticky = client."
	}, {
		.key = "sticky", .aliases = sessions, .type = CONF_ENUM,
		.off = AT(sticky), .def = "off", .choices = STICKY_WORDS,
		.example = "cookie",
		.text = "Whether a client keeps its server.  cookie: by a "
		    "cookie that names the server, not its address, and is "
		    "signed.  It is obeyed while that server is not down, "
		    "ejected, open or in maintenance; one that drains keeps "
		    "its clients.  Servers do not get to see it, nor do "
		    "those of other upstreams.  client: by the client's "
		    "address, as balance = hash does."
	}, {
		.key = "sticky.name", .type = CONF_CUSTOM, .off = AT(name),
		.parse = parse_name, .example = "SERVER",
		.text = "Name of the cookie.  If it is not set, sluice_NAME "
		    "with the upstream's name, and sluice.NAME with the "
		    "route's where that has the servers."
	}, {
		.key = "sticky.ttl", .type = CONF_TIME, .off = AT(ttl),
		.def = "0", .max = 366 * DAY_MS, .example = "8h",
		.text = "How long the cookie is good for, in whole minutes; "
		    "used in its later half, it is renewed.  0: until the "
		    "browser is closed."
	}, {
		.key = "sticky.secret", .type = CONF_STR, .off = AT(secret),
		.min = SECRET_MIN, .max = 1024, .flags = CONF_F_SECRET,
		.example = "0123456789abcdef0123456789abcdef",
		.text = "The secret that cookies are signed with, for "
		    "several machines.  If it is not set, one is made when "
		    "sluiced starts; then a restart makes cookies invalid, "
		    "a reload or an upgrade does not."
	},
	{ .key = NULL }
};

const struct conf_group choice_group = {
	"choice", rows, sizeof(struct choice_conf), link_choice
};

/*
 * Keys of [upstream]: outlier, outlier.*, slow_start.  Builder and tools.
 */
#include "up/watch_conf.h"

#include "up/balance_lint.h"
#include "up/version_lint.h"
#include "up/upstream.h"

#define DAY_MS		(24 * 60 * 60 * 1000)
#define AT(member)	offsetof(struct watch_conf, member)

static const struct watch_conf none;

const struct watch_conf *
watch_conf_of(const struct upstream_conf *c)
{
	const struct watch_conf	*w = c->obj.part == NULL ? NULL :
	    conf_part(&c->obj, &watch_group);

	return w == NULL ? &none : w;
}

/* The last group of an upstream; a twin has a copy of it. */
static int
link_watch(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct upstream_conf		*c = container_of(obj,
	    struct upstream_conf, obj);
	const struct watch_conf		*w = part;
	const struct outlier_conf	*o = &w->outlier;

	balance_lint(load, obj);
	version_lint(load, obj);
	upstream_add_digest(c, (uint64_t[]){ o->on,
	    (uint64_t)o->consecutive, (uint64_t)o->rate,
	    (uint64_t)o->requests, o->window, o->time, o->max_time,
	    (uint64_t)o->share, w->slow_start }, 9 * sizeof(uint64_t));
	return 0;
}

static const struct conf_row rows[] = {
	{
		.key = "outlier", .type = CONF_BOOL, .off = AT(outlier.on),
		.def = "on", .example = "off",
		.text = "Whether a server whose requests fail is ejected: "
		    "for a while it gets none.  What counts is an attempt "
		    "that the server failed, and an answer of 5xx; of a "
		    "call of gRPC one of UNKNOWN, INTERNAL, UNAVAILABLE or "
		    "DATA_LOSS, or of DEADLINE_EXCEEDED if its caller set "
		    "no deadline.  A probe that succeeds (health.type) ends "
		    "an ejection."
	}, {
		.key = "outlier.consecutive", .type = CONF_INT,
		.off = AT(outlier.consecutive), .def = "5",
		.max = 1000000, .example = "10",
		.text = "So many failures in a row, over all workers, eject "
		    "a server at once; 0 never does."
	}, {
		.key = "outlier.rate", .type = CONF_INT, .unit = CONF_PERCENT,
		.off = AT(outlier.rate), .def = "50", .max = 100,
		.example = "20",
		.text = "When more than this percentage of its requests "
		    "within outlier.window fail, a server is ejected; "
		    "0 never does."
	}, {
		.key = "outlier.requests", .type = CONF_INT,
		.off = AT(outlier.requests), .def = "20", .min = 1,
		.max = 1000000, .example = "100",
		.text = "With fewer requests than that within "
		    "outlier.window its rate says nothing about a server."
	}, {
		.key = "outlier.window", .type = CONF_TIME,
		.off = AT(outlier.window), .def = "10s", .min = 1000,
		.max = DAY_MS, .example = "30s",
		.text = "The time that outlier.rate is about."
	}, {
		.key = "outlier.time", .type = CONF_TIME,
		.off = AT(outlier.time), .def = "10s", .min = 1000,
		.max = DAY_MS, .example = "5s",
		.text = "How long the first ejection lasts; the nth lasts "
		    "n times as long.  Each such time without an ejection "
		    "takes one off n."
	}, {
		.key = "outlier.max_time", .type = CONF_TIME,
		.off = AT(outlier.max_time), .def = "300s", .min = 1000,
		.max = DAY_MS, .example = "60s",
		.text = "The longest ejection."
	}, {
		.key = "outlier.share", .type = CONF_INT,
		.unit = CONF_PERCENT, .off = AT(outlier.share), .def = "50",
		.max = 100, .example = "30",
		.text = "The percentage of an upstream's servers that may be "
		    "ejected at a time: at least one, and never the last "
		    "that takes requests.  Those that fail their probes, or "
		    "where nobody listens, do not count and are not spared "
		    "by it: with 50 one of three may be ejected for its "
		    "answers, and two that refuse connections."
	}, {
		.key = "slow_start", .type = CONF_TIME, .off = AT(slow_start),
		.def = "10s", .max = DAY_MS, .example = "30s",
		.text = "How long a server that comes back, or comes to "
		    "others, has less than its share: from a tenth of its "
		    "weight on, a tenth more each tenth of that time; 0 "
		    "gives it all at once."
	},
	{ .key = NULL }
};

const struct conf_group watch_group = {
	"watch", rows, sizeof(struct watch_conf), link_watch
};

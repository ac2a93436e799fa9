/*
 * Keys breaker.* of [upstream], and how they come to the board: what is
 * counted there by all has to be judged by all with the same numbers,
 * also by processes that read no configuration.  Builder; master.
 */
#include "up/breaker_conf.h"

#include "up/breaker.h"
#include "up/upstream.h"
#include "up/watch_conf.h"

#define DAY_MS		(24 * 60 * 60 * 1000)
#define AT(member)	offsetof(struct breaker_conf, member)

/* --- on the board --- */

static uint32_t
least(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

static void
write_row(struct shm *shm, uint32_t row, const struct upstream_conf *up)
{
	struct board_breaker_conf	*b;
	const struct breaker_conf	*c = NULL;

	b = shm_row(shm, &board_breaker_confs, row);
	/* an upstream that no file has made has no groups */
	if (up->obj.part != NULL)
		c = conf_part(&up->obj, &breaker_group);
	if (c == NULL || !c->on) {
		atomic_store(&b->on, 0);
		return;
	}
	atomic_store(&b->failures, (uint32_t)c->failures);
	atomic_store(&b->rate, (uint32_t)c->rate);
	atomic_store(&b->requests, (uint32_t)c->requests);
	atomic_store(&b->window, (uint32_t)c->window);
	atomic_store(&b->open, (uint32_t)c->open);
	atomic_store(&b->open_max, (uint32_t)c->open_max);
	atomic_store(&b->timeout, (uint32_t)c->timeout);
	atomic_store(&b->probes, (uint32_t)c->probes);
	atomic_store(&b->successes, least((uint64_t)c->successes,
	    (uint64_t)c->probes));
	atomic_store(&b->slow_start,
	    (uint32_t)watch_conf_of(up)->slow_start);
	/* rows of servers first: who sees that there is one looks at them */
	if (atomic_load(&b->was_on) == 0)
		breaker_begin_all(shm, row);
	atomic_store(&b->was_on, 1);
	atomic_store(&b->on, 1);
}

int
breaker_link(struct shm *shm, uint32_t row, const struct upstream_conf *c,
    bool fresh, struct err *e)
{
	if (shm_grow(shm, &board_breaker_confs, row + 1, e) == -1)
		return -1;
	if (fresh)
		write_row(shm, row, c);
	return 0;
}

void
breaker_settle(struct shm *shm, uint32_t row, const struct upstream_conf *c)
{
	if (row < shm_rows(shm, &board_breaker_confs))
		write_row(shm, row, c);
}

/* --- keys --- */

static void
check_order(struct conf_load *load, const struct conf_obj *obj,
    struct breaker_conf *c)
{
	const struct conf_item	*most = conf_item(load, obj,
	    "breaker.open_max");
	const struct conf_item	*good = conf_item(load, obj,
	    "breaker.successes");

	if (c->open > c->open_max && most == NULL)
		c->open_max = c->open;
	if (c->open > c->open_max)
		diag_at(conf_load_diags(load), DIAG_TIME_ORDER,
		    &most->vspan, obj, "breaker.open_max",
		    "breaker.open_max (%llu ms) is less than breaker.open "
		    "(%llu ms)", (unsigned long long)c->open_max,
		    (unsigned long long)c->open);
	if (c->successes > c->probes && good != NULL)
		diag_at(conf_load_diags(load), DIAG_REQUEST_LIMITS,
		    &good->vspan, obj, "breaker.successes",
		    "breaker.successes (%lld) is more than breaker.probes "
		    "(%lld) can bring", (long long)c->successes,
		    (long long)c->probes);
}

static const struct conf_alias failure_threshold[] = {
	{ "failure_threshold", CONF_COUNT, NULL }, { NULL, CONF_COUNT, NULL }
};
static const struct conf_alias success_threshold[] = {
	{ "success_threshold", CONF_COUNT, NULL }, { NULL, CONF_COUNT, NULL }
};
static const struct conf_alias open_timeout[] = {
	{ "open_timeout", CONF_SECONDS, NULL }, { NULL, CONF_COUNT, NULL }
};
static const struct conf_alias half_open_max[] = {
	{ "half_open_max", CONF_COUNT, NULL }, { NULL, CONF_COUNT, NULL }
};

static const struct conf_row rows[] = {
	{
		.key = "breaker.failures", .type = CONF_INT,
		.off = AT(failures), .def = "5", .max = 1000000,
		.aliases = failure_threshold, .example = "3",
		.text = "Failures of a server in a row, over all workers, "
		    "that open its breaker; 0: their rate alone does.  A "
		    "failure is an answer with 5xx, a code of gRPC that is "
		    "the server's fault (see outlier) or a row of Failures "
		    "that is.  There is a breaker where "
		    "any key of breaker.* is set."
	}, {
		.key = "breaker.rate", .type = CONF_INT,
		.unit = CONF_PERCENT, .off = AT(rate), .def = "50",
		.max = 100, .example = "30",
		.text = "Part of the requests of breaker.window, if they are "
		    "at least breaker.requests, whose failing opens the "
		    "breaker; 0 is none."
	}, {
		.key = "breaker.requests", .type = CONF_INT,
		.off = AT(requests), .def = "20", .min = 1,
		.max = 100000, .example = "100",
		.text = "From how many requests on breaker.rate counts."
	}, {
		.key = "breaker.window", .type = CONF_TIME,
		.off = AT(window), .def = "10s", .min = 1000,
		.max = DAY_MS, .example = "30s",
		.text = "The time that breaker.rate looks back, in tenths of "
		    "itself."
	}, {
		.key = "breaker.open", .type = CONF_TIME, .off = AT(open),
		.def = "5s", .min = 10, .max = DAY_MS,
		.aliases = open_timeout, .example = "2s",
		.text = "How long an open breaker lets nothing through; "
		    "twice as long each time that probes fail."
	}, {
		.key = "breaker.open_max", .type = CONF_TIME,
		.off = AT(open_max), .def = "60s", .min = 10,
		.max = DAY_MS, .example = "5m",
		.text = "The longest that it becomes."
	}, {
		.key = "breaker.probes", .type = CONF_INT,
		.off = AT(probes), .def = "3", .min = 1,
		.max = BREAKER_PROBES, .aliases = half_open_max,
		.example = "5",
		.text = "Requests that a half-open breaker lets through in "
		    "total, over all workers, to see how the server is.  "
		    "One that fails opens it again; so does one whose "
		    "worker died."
	}, {
		.key = "breaker.successes", .type = CONF_INT,
		.off = AT(successes), .def = "3", .min = 1,
		.max = BREAKER_PROBES, .aliases = success_threshold,
		.example = "2",
		.text = "How many of them have to be answered well to close "
		    "it; at most breaker.probes, which the default follows."
	}, {
		.key = "breaker.timeout", .type = CONF_TIME,
		.off = AT(timeout), .def = "0", .max = DAY_MS,
		.example = "2s",
		.text = "How long a probe may be without an answer until it "
		    "counts as failed; the request itself goes on.  0: as "
		    "long as the request's own timeout.connect and "
		    "timeout.first_byte."
	},
	{ .key = NULL }
};

/* Any of its keys turns it on. */
static int
link_breaker(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct breaker_conf	*c = part;

	for (const struct conf_row *r = rows; r->key != NULL; r++)
		c->on |= conf_is_set(load, obj, r->key);
	if (c->on)
		check_order(load, obj, c);
	return 0;
}

const struct conf_group breaker_group = {
	"breaker", rows, sizeof(struct breaker_conf), link_breaker
};

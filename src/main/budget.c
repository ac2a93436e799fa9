/*
 * The board's budget.  Builder and sluiced -t.  Rows that processes may
 * come to touch are summed: twice the workers, because a roll has the old
 * and the new one at a time, and the roles of the roster.
 */
#include "main/budget.h"

#include "core/cert_use.h"
#include "core/lease.h"
#include "core/listener_limit.h"
#include "core/settings.h"
#include "os/proc.h"
#include "up/upstream.h"

int
budget_check(struct conf_load *cl, const struct conf *conf)
{
	const struct settings_board *b = conf_one(conf, &board_section);
	const struct conf_item *it;
	const struct proc_row *r;
	unsigned others = 0, workers = 2 * settings_workers(conf);
	uint64_t slots, leases, servers, addrs, sum;
	struct text t;

	for (r = procs; r->name != NULL; r++)
		others += r->count;
	slots = board_cost(workers, others);
	leases = shm_cost(&lease_shadows, workers + others);
	servers = upstream_cost(conf, workers + 1);
	addrs = listener_cost(conf) + cert_use_cost(conf);
	sum = slots + leases + servers + addrs;
	if (b->max == 0 || sum <= b->max)
		return 0;
	text_init(&t);
	text_fmt(&t, "the board needs %llu MiB: processes with their logs and "
	    "requests in flight %llu, leases %llu, servers %llu, "
	    "listeners and certificates %llu; max is ",
	    (unsigned long long)(sum >> 20), (unsigned long long)(slots >> 20),
	    (unsigned long long)(leases >> 20),
	    (unsigned long long)(servers >> 20),
	    (unsigned long long)(addrs >> 20));
	text_size(&t, b->max);
	it = conf_item(cl, &b->obj, "max");
	diag_at(conf_load_diags(cl), DIAG_BOARD_MAX,
	    it != NULL ? &it->vspan : NULL, &b->obj, "max", "%.*s",
	    STR_FMT(text_str(&t)));
	text_fini(&t);
	return -1;
}

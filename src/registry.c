/*
 * The table of contents: what there is of each kind, in plain arrays.
 * All processes.  The roster of processes is main/procs.c.
 */
#include "core/cert_use.h"
#include "core/chain.h"
#include "core/error.h"
#include "core/handler.h"
#include "core/health.h"
#include "core/https.h"
#include "core/lease.h"
#include "core/mail.h"
#include "core/listener.h"
#include "core/log_conf.h"
#include "core/pass.h"
#include "core/regex.h"
#include "core/rewrite.h"
#include "core/route.h"
#include "core/secret.h"
#include "core/secure.h"
#include "core/secure_host.h"
#include "core/settings.h"
#include "core/ticket.h"
#include "handler/proxy.h"
#include "handler/proxy_identity.h"
#include "handler/static.h"
#include "tls/cert.h"
#include "up/breaker.h"
#include "up/fail_count.h"
#include "up/names.h"
#include "up/retry.h"
#include "up/outlier.h"
#include "up/probes.h"
#include "up/server_use.h"

/* --- sections of the configuration --- */

const struct conf_section *const conf_sections[] = {
	&settings_section,
	&limits_section,
	&log_section,
	&board_section,
	&health_section,
	&ssl_section,
	&cert_section,
	&tls_section,
	&listener_section,
	&upstream_section,
	&route_section,
	NULL
};

/* What is served without a file: --root and --port say more. */
const char conf_builtin[] =
    "[listener web]\n"
    "bind = 127.0.0.1:8080\n"
    "\n"
    "[route hello]\n"
    "path = /*\n"
    "priority = -1\n"
    "respond = 200 sluice runs. Give it a configuration with -c FILE, "
    "or a directory to serve with --root DIR.\n";

/* --- HTTP versions --- */

const struct codec codecs[] = {
	{ "http/1.1", "1.1", &h1_server, &h1_client },
	{ "h2", "2", &h2_server, &h2_client },
	{ NULL, NULL, NULL, NULL }
};

/* --- what answers; a handler's keys are a group of [route] --- */

extern const struct handler	handler_echo, handler_redirect, handler_respond;
extern const struct conf_group	echo_group, redirect_group, respond_group;

const struct handler *const handlers[] = {
	&handler_proxy,
	&handler_static,
	&handler_redirect,
	&handler_respond,
	&handler_echo,
	NULL
};

/* --- what can be asked for its health --- */

extern const struct health_part	health_balancer, health_config, health_static;

const struct health_part *const health_parts[] = {
	&health_balancer,
	&health_config,
	&health_static,
	NULL
};

/* --- conditions of routes; their keys are groups of [route] too --- */

extern const struct route_cond	cond_cookie, cond_from, cond_header,
    cond_method, cond_query, cond_upgrade;
extern const struct conf_group	cond_cookie_group, cond_from_group,
    cond_header_group, cond_method_group, cond_query_group,
    cond_upgrade_group;

const struct route_cond *const route_conds[] = {
	&cond_method,
	&cond_header,
	&cond_query,
	&cond_cookie,
	&cond_from,
	&cond_upgrade,
	NULL
};

const struct conf_group *const route_groups[] = {
	&route_group,
	&rewrite_group,
	&https_route_group,
	&pass_group,
	&error_group,
	&secure_route_group,
	&cond_method_group,
	&cond_header_group,
	&cond_query_group,
	&cond_cookie_group,
	&cond_from_group,
	&cond_upgrade_group,
	&proxy_group,
	&proxy_retry_group,
	&proxy_identity_group,
	&static_group,
	&redirect_group,
	&respond_group,
	&echo_group,
	NULL
};

/* whose keys a route may have for servers of its own */
const struct conf_section *const route_guest = &upstream_section;

/* --- filters, balancers --- */

const struct filter *const filters[] = {
	NULL
};

const struct balancer *const balancers[] = {
	&balancer_two_choices,
	&balancer_round_robin,
	&balancer_least_conn,
	&balancer_random,
	&balancer_hash,
	NULL
};

/* --- what a process keeps across generations --- */

const struct serve_part *const serve_parts[] = {
	&log_part,
	&secure_part,
	&upstream_part,
	&queue_part,
	&static_part,
	&proxy_part,
	&regex_part,
	NULL
};

/* --- regions of the board --- */

const struct shm_region *const shm_regions[] = {
	&board_globals,
	&board_keys,
	&board_tickets,
	&board_slots,
	&board_panics,
	&board_stats,
	&board_totals,
	&board_flights,
	&board_lasts,
	&board_rings,
	&lease_heads,
	&lease_words,
	&lease_listeners,
	&lease_addrs,
	&lease_shadows,
	&board_mails,
	&board_servers,
	&board_paths,
	&board_upstream_names,
	&board_servers_live,
	&board_server_uses,
	&board_breakers,
	&board_breaker_probes,
	&board_breaker_confs,
	&board_fail_counts,
	&board_upstreams,
	&board_retries,
	&board_retry_uses,
	&board_names,
	&board_queues,
	&board_outliers,
	&board_probes,
	&board_cert_uses,
	NULL
};

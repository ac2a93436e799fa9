/*
 * [sluice], [limits], [log] and [board]: singletons that belong to no
 * other module.  Builder and tools fill them, every process reads them.
 *
 * Places have defaults that depend on who starts: below /run and the
 * state directory for root, below the user's XDG directories for others,
 * so that `sluiced -f` works without any file.
 */
#include "core/settings.h"

#include <stdlib.h>
#include <unistd.h>

#include "conf/load.h"
#include "config.h"
#include "core/log_conf.h"
#include "os/place.h"
#include "tls/cert.h"
#include "tls/ticket.h"

#define AT(member)	offsetof(struct settings, member)
#define AT_LIMITS(member)	offsetof(struct settings_limits, member)
#define AT_LOG(member)	offsetof(struct settings_log, member)

#define WORKERS_MAX	256
#define DAY_MS		(24 * 3600 * INT64_C(1000))
#define PID1_DELAY	5000	/* ms: containers learn late of an end */

static int
parse_workers(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct conf_span	 sp;
	struct err		 e;
	int64_t			 v = 0;

	if (!str_eq(it->val, STR("auto")) &&
	    conf_val_int(it->val, 1, WORKERS_MAX, &v, &e) == -1) {
		sp = conf_word_span(it, it->val);
		diag_at(conf_load_diags(load), DIAG_VALUE_INT, &sp, NULL,
		    row->key, "\"%.*s\" is neither auto nor a number from 1 "
		    "to %d", STR_FMT(str_sub(it->val, 0, 80)), WORKERS_MAX);
		return -1;
	}
	*(uint64_t *)dst = (uint64_t)v;
	return 0;
}

static struct str
find_env(struct conf_load *load, struct str name)
{
	char *const	*env = conf_load_opts(load)->env;
	struct str	 s;

	for (; env != NULL && *env != NULL; env++) {
		s = str_from(*env);
		if (str_starts(s, name) && s.n > name.n &&
		    s.p[name.n] == '=')
			return str_sub(s, name.n + 1, s.n);
	}
	return STR_NONE;
}

/* Places of somebody who is not root. */
static void
set_places(struct conf_load *load, struct settings *s)
{
	struct arena	*a = conf_load_arena(load);
	struct str	 run = find_env(load, STR("XDG_RUNTIME_DIR"));
	struct str	 state = find_env(load, STR("XDG_STATE_HOME"));
	struct str	 home = find_env(load, STR("HOME"));
	char		 buf[512];

	/* one that is too long is refused where the socket is bound */
	if (!conf_is_set(load, &s->obj, "run_dir") &&
	    place_run_dir(buf, sizeof(buf), run) == 0)
		s->run_dir = arena_dup(a, str_from(buf));
	if (conf_is_set(load, &s->obj, "state_dir"))
		return;
	if (state.n > 0)
		s->state_dir = arena_fmt(a, "%.*s/sluice", STR_FMT(state));
	else if (home.n > 0)
		s->state_dir = arena_fmt(a, "%.*s/.local/state/sluice",
		    STR_FMT(home));
	else
		s->state_dir = arena_fmt(a, "/tmp/sluice-%u/state",
		    (unsigned)geteuid());
}

static int
link_sluice(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct settings	*s = part;

	if (!conf_load_opts(load)->as_root)
		set_places(load, s);
	/* As PID 1, or built for one: see drain.delay in sluice.conf(5). */
	if (!conf_is_set(load, obj, "drain.delay") &&
	    (getpid() == 1 || getppid() == 1))
		s->drain_delay = PID1_DELAY;
	return 0;
}

static const struct conf_row sluice_rows[] = {
	{
		.key = "workers", .type = CONF_CUSTOM, .off = AT(workers),
		.def = "auto", .reload = CONF_ROLL, .parse = parse_workers,
		.example = "4",
		.text = "Worker processes: a number from 1 to 256, or auto "
		    "for as many as processors may be used (affinity, and "
		    "the control group's quota rounded up)."
	}, {
		.key = "user", .type = CONF_STR, .off = AT(user),
		.def = "sluice", .min = 1, .max = 32, .reload = CONF_ROLL,
		.example = "www-data",
		.text = "Whom all processes but the master run as, when "
		    "started as root.  If there is no user sluice it is "
		    "nobody."
	}, {
		.key = "run_dir", .type = CONF_PATH, .off = AT(run_dir),
		.def = SL_RUNDIR, .min = 1, .max = 90,
		.reload = CONF_UPGRADE, .example = "/run/sluice2",
		.text = "Directory of the control socket and the pid file. "
		    "Without root: sluice below XDG_RUNTIME_DIR, or "
		    "/tmp/sluice-UID where that is not set; both must be "
		    "the user's own, and nobody else may write there."
	}, {
		.key = "state_dir", .type = CONF_PATH, .off = AT(state_dir),
		.def = SL_STATEDIR, .min = 1, .max = 1024,
		.reload = CONF_UPGRADE, .example = "/srv/sluice",
		.text = "Directory of what outlives the daemon. "
		    "Without root: sluice below XDG_STATE_HOME, or "
		    ".local/state/sluice below HOME."
	}, {
		.key = "include", .type = CONF_LINES, .off = AT(include),
		.example = "conf.d/*.conf",
		.text = "A file or a glob, to be read in addition; may be "
		    "repeated.  Names are relative to the file they stand "
		    "in, those of a glob are sorted bytewise.  A glob may "
		    "match nothing."
	}, {
		.key = "match", .type = CONF_ENUM, .off = AT(match),
		.def = "specific", .choices = "specific|first",
		.example = "first",
		.text = "Which of the routes that fit is taken: the most "
		    "specific one, or the first in the files."
	}, {
		.key = "proxy_status", .type = CONF_ENUM,
		.off = AT(proxy_status), .def = "on",
		.choices = "off|on|full", .example = "full",
		.text = "Whether errors that come of a server have the field "
		    "Proxy-Status (RFC 9209), which says what went wrong: "
		    "the type of the error, the name of the failure and, if "
		    "the server said one, its status.  full adds the server "
		    "and what the system said of it, which tells strangers "
		    "of your network."
	}, {
		.key = "trusted_proxies", .type = CONF_CUSTOM,
		.off = AT(trusted), .flags = CONF_F_MANY,
		.parse = trust_parse, .example = "10.0.0.0/8, ::1",
		.text = "Addresses and networks of proxies that are believed "
		    "what they say of a request: its client (client_field), "
		    "X-Forwarded-Proto, X-Forwarded-Host, X-Request-ID and "
		    "its deadline; unix is whoever comes over a socket file."
	}, {
		.key = "client_field", .type = CONF_ENUM,
		.off = AT(client_field), .def = "x-forwarded-for",
		.choices = CLIENT_FIELDS, .example = "forwarded",
		.text = "The field in which trusted proxies name the client; "
		    "the other two are not read, for proxies pass on what "
		    "they do not know."
	}, {
		.key = "resolver", .type = CONF_CUSTOM, .off = AT(resolver),
		.flags = CONF_F_MANY, .parse = settings_parse_resolver,
		.example = "10.0.0.2, [fd00::2]:5353",
		.text = "Name servers that are asked for the addresses of "
		    "servers' names, each with port 53 unless it says "
		    "another.  They are addresses, of which localhost is "
		    "127.0.0.1.  Without it: those of /etc/resolv.conf, "
		    "whose changes are noticed."
	}, {
		.key = "drain.delay", .type = CONF_TIME, .unit = CONF_SECONDS,
		.off = AT(drain_delay), .def = "0s", .max = DAY_MS,
		.example = "5s",
		.text = "How long a stopping daemon goes on accepting, so "
		    "that balancers before it notice first; 5s as process 1."
	}, {
		.key = "drain.timeout", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT(drain_timeout), .def = "60s",
		.max = DAY_MS, .example = "90s",
		.text = "How long requests of a worker that is replaced may "
		    "go on."
	}, {
		.key = "drain.streams", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT(drain_streams), .def = "1h",
		.max = 30 * DAY_MS, .example = "4h",
		.text = "The same for upgraded connections (WebSocket), "
		    "tunnels and calls of gRPC, if that is more; and how "
		    "long the first two may go on when their listener or "
		    "their server is not configured any more, or the "
		    "server's name has not its address."
	}, {
		.key = "stop", .type = CONF_TIME, .unit = CONF_SECONDS,
		.off = AT(stop), .def = "30s", .max = DAY_MS,
		.example = "10s",
		.text = "How long requests, upgraded connections and tunnels "
		    "may go on when the daemon stops."
	}, {
		.key = "core_dumps", .type = CONF_BOOL,
		.off = AT(core_dumps), .def = "off", .example = "on",
		.text = "Whether a worker that has private keys may leave a "
		    "core file, with the keys in it, when it dies, and be "
		    "looked into by other programs of its user."
	}, {
		.key = "error_page.*", .type = CONF_CUSTOM,
		.off = AT(error_pages), .flags = CONF_F_MANY,
		.parse = error_parse_pages,
		.example = "html:<h1>${reason}</h1>",
		.text = "What is sent in place of the built-in page of a "
		    "status: error_page.404, or error_page.4xx and .5xx for "
		    "those without one of their own.  A file (.html, .json, "
		    ".txt, .xml, .svg; at most 256 KiB), or html:, json: or "
		    "text: and the text itself; Errors of the gateway above "
		    "says more."
	},
	{ .key = NULL }
};

static const struct conf_group sluice_group = {
	"sluice", sluice_rows, sizeof(struct settings), link_sluice
};
static const struct conf_group *const sluice_groups[] = {
	&sluice_group, &cert_sluice_group, &ticket_group, NULL
};
const struct conf_section settings_section = {
	.type = "sluice", .groups = sluice_groups,
	.text = "The daemon itself."
};

/* --- limits --- */

/* One of the two was set, for the defaults fit each other. */
static int
check_within(struct conf_load *load, struct conf_obj *obj, const char *key,
    uint64_t v, uint64_t whole)
{
	const struct conf_item	*it;

	if (v <= whole)
		return 0;
	it = conf_item(load, obj, key);
	if (it == NULL)
		it = conf_item(load, obj, "header_bytes");
	diag_at(conf_load_diags(load), DIAG_REQUEST_LIMITS,
	    it != NULL ? &it->vspan : NULL, obj, key,
	    "%s (%llu bytes) is more than header_bytes (%llu bytes)", key,
	    (unsigned long long)v, (unsigned long long)whole);
	return -1;
}

static int
link_limits(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct settings_limits	*l = part;
	int			 rc;

	rc = check_within(load, obj, "header_field", l->header_field,
	    l->header_bytes);
	if (check_within(load, obj, "target", l->target,
	    l->header_bytes) == -1)
		rc = -1;
	return rc;
}

static const struct conf_row limits_rows[] = {
	{
		.key = "header_bytes", .type = CONF_SIZE,
		.off = AT_LIMITS(header_bytes), .def = "32k", .min = 1024,
		.max = 61440, .example = "16k",
		.text = "Bytes of a request's head; more is answered 431."
	}, {
		.key = "header_field", .type = CONF_SIZE,
		.off = AT_LIMITS(header_field), .def = "16k", .min = 256,
		.max = 61440, .example = "8k",
		.text = "Bytes of one header field; more is answered 431."
	}, {
		.key = "header_count", .type = CONF_INT,
		.off = AT_LIMITS(header_count), .def = "128", .min = 1,
		.max = 1000, .example = "64",
		.text = "Header fields of a request; more is answered 431."
	}, {
		.key = "target", .type = CONF_SIZE,
		.off = AT_LIMITS(target), .def = "8k", .min = 64,
		.max = 61440, .example = "4k",
		.text = "Bytes of a request's target (path and query); more "
		    "is answered 414."
	}, {
		.key = "body", .type = CONF_SIZE, .off = AT_LIMITS(body),
		.def = "16m", .example = "1m",
		.text = "Bytes of a request's body; more is answered 413. "
		    "0 is no limit; max_body of a route holds in its place."
	}, {
		.key = "buffers", .type = CONF_SIZE, .off = AT_LIMITS(buffers),
		.def = "64m", .min = 1 << 20, .example = "256m",
		.text = "Memory that a worker means to have in bodies on "
		    "their way.  A message may hold 64 KiB, and 256 KiB if "
		    "it moves fast or less than a quarter of this is in use; "
		    "with half of it in use none more than 64 KiB, with all "
		    "of it none more than two pages of 16 KiB.  So a worker "
		    "holds at most buffers + 32 KiB for each body under way, "
		    "and its part of what the kernel lets the user have in "
		    "pipes (/proc/sys/fs/pipe-user-pages-soft)."
	}, {
		.key = "requests_per_connection", .type = CONF_INT,
		.off = AT_LIMITS(requests), .def = "10000", .min = 0,
		.max = 1000000000, .example = "1000",
		.text = "Requests after which a connection is closed; 0 is "
		    "no limit."
	}, {
		.key = "connection_age", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT_LIMITS(age), .def = "1h",
		.max = 30 * DAY_MS, .example = "10m",
		.text = "Age at which a connection is closed, after the "
		    "request under way and with 10 per cent of jitter; 0 is "
		    "no limit."
	},
	{ .key = NULL }
};

static const struct conf_group limits_group = {
	"limits", limits_rows, sizeof(struct settings_limits), link_limits
};
static const struct conf_group *const limits_groups[] = {
	&limits_group, &cert_limits_group, NULL
};
const struct conf_section limits_section = {
	.type = "limits", .groups = limits_groups,
	.text = "What a request and a connection may be."
};

/* --- log --- */

/* Whether s begins with one of the words of file_pattern; its bytes. */
static size_t
pattern_word(struct str s)
{
	static const struct str	words[] = { STR("{name}"), STR("{date}"),
	    STR("{pid}"), STR("{hostname}") };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_starts(s, words[i]))
			return words[i].n;
	return 0;
}

static int
link_log(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct str		 s = ((struct settings_log *)part)->pattern;
	const struct conf_item	*it = conf_item(load, obj, "file_pattern");
	enum diag_id		 id = DIAG_VALUE_PATTERN;
	const char		*why = NULL;
	size_t			 n;

	if (s.n > 0 && s.p[0] == '.')
		why = "begins with a dot";
	if (str_find(s, '/', 0) >= 0)
		why = "names a directory, which the key directory is for";
	for (size_t i = 0; i < s.n && why == NULL; i += n == 0 ? 1 : n) {
		n = pattern_word(str_sub(s, i, s.n));
		if (n != 0 || (s.p[i] != '{' && s.p[i] != '}'))
			continue;
		id = DIAG_VALUE_TEMPLATE;
		why = "has another word in braces than name, date, pid and "
		    "hostname";
	}
	if (why == NULL)
		return 0;
	diag_at(conf_load_diags(load), id, it != NULL ? &it->vspan : NULL,
	    obj, "file_pattern", "file_pattern: \"%.*s\" %s", STR_FMT(s), why);
	return -1;
}

static const struct conf_row log_rows[] = {
	{
		.key = "access", .type = CONF_BOOL, .off = AT_LOG(access),
		.def = "on", .example = "off",
		.text = "Whether each request gets an access record."
	}, {
		.key = "enable_request_ids", .type = CONF_BOOL,
		.off = AT_LOG(ids), .def = "on", .example = "off",
		.text = "Whether each request has an id, which stands in its "
		    "records and in X-Request-ID of the response and of the "
		    "request to an upstream.  That of a trusted proxy is "
		    "kept if it has 1 to 128 letters, digits, dots, "
		    "underscores and hyphens; others are UUIDs of version 7."
	}, {
		.key = "level", .type = CONF_ENUM, .off = AT_LOG(level),
		.def = "info", .choices = "error,err|warning,warn|info|debug",
		.example = "debug",
		.text = "The least important lines that are written."
	}, {
		.key = "level.*", .type = CONF_CUSTOM, .off = AT_LOG(levels),
		.flags = CONF_F_MANY, .parse = settings_parse_levels,
		.example = "debug",
		.text = "The same for the lines of one module, as named in "
		    "their field module: level.proxy = debug."
	}, {
		.key = "directory", .type = CONF_PATH,
		.off = AT_LOG(directory), .min = 1, .max = 1024,
		.example = "/var/log/sluice",
		.text = "Directory of the log files; log below state_dir if "
		    "it is not set."
	}, {
		.key = "file_pattern", .type = CONF_STR,
		.off = AT_LOG(pattern), .def = "{name}.log", .min = 1,
		.max = 100, .example = "{name}-{date}.log",
		.text = "Name of the log file: {name} is sluice, {date} the "
		    "local day as 2026-01-31, {pid} the master's process id "
		    "and {hostname} the host's name.  Files of another "
		    "pattern, and of one before, are never touched.  With "
		    "format common or combined there are two: {name} is "
		    "access for requests and error for lines of processes; "
		    "a pattern without {name} has -error before its last "
		    "suffix for these."
	}, {
		.key = "rotation_strategy", .type = CONF_ENUM,
		.off = AT_LOG(rotation), .def = "both",
		.choices = "both|size|time|none", .example = "time",
		.text = "When a new file is begun: at file_size_mb, at local "
		    "midnight, at both, or never.  The old one gets a "
		    "number behind its name, unless {date} gives the new one "
		    "another name.  Numbers count upwards: .1 is the oldest, "
		    "and no file is renamed twice, other than logrotate has "
		    "it.  With none the files are somebody "
		    "else's: nothing is compressed or removed either."
	}, {
		.key = "file_size_mb", .type = CONF_INT,
		.off = AT_LOG(file_size), .def = "1", .min = 1,
		.max = 1048576, .example = "512",
		.text = "Size, in units of 1048576 bytes, at which a file "
		    "ends; it may be a little more, for what is written at "
		    "once stays together.  The default suits a trial: a "
		    "busy gateway writes that much in a fraction of a second "
		    "and should set more."
	}, {
		.key = "retention_days", .type = CONF_TIME, .unit = CONF_DAYS,
		.off = AT_LOG(retention), .def = "30d", .max = 3650 * DAY_MS,
		.example = "7d",
		.text = "How long a file is kept after its last line; 0 is "
		    "for ever."
	}, {
		.key = "max_rotated_files", .type = CONF_INT,
		.off = AT_LOG(max_rotated), .def = "0", .max = 1000000,
		.example = "20",
		.text = "Rotated files that are kept, the newest; 0 keeps all "
		    "within retention_days."
	}, {
		.key = "compress_rotated_logs", .type = CONF_BOOL,
		.off = AT_LOG(compress), .def = "on", .example = "off",
		.text = "Whether rotated files become .gz, by a process of "
		    "low priority."
	}, {
		.key = "output_mode", .type = CONF_ENUM,
		.off = AT_LOG(output_mode), .def = "both",
		.choices = "both|file|console", .example = "file",
		.text = "Where records go: console is standard error, with "
		    "-f only; without it all go to the file."
	}, {
		.key = "overflow", .type = CONF_ENUM,
		.off = AT_LOG(overflow), .def = "drop",
		.choices = "drop|block", .example = "block",
		.text = "What happens when records come faster than they "
		    "can be written: drop loses some and counts them, block "
		    "lets requests wait."
	},
	{ .key = NULL }
};

static const struct conf_group log_group = {
	"log", log_rows, sizeof(struct settings_log), link_log
};
static const struct conf_group *const log_groups[] = {
	&log_group, &log_conf_group, NULL
};
const struct conf_section log_section = {
	.type = "log", .groups = log_groups,
	.text = "Access records and lines."
};

/* --- board --- */

static const struct conf_row board_rows[] = {
	{
		.key = "max", .type = CONF_SIZE,
		.off = offsetof(struct settings_board, max), .def = "0",
		.reload = CONF_ROLL, .example = "512m",
		.text = "Bytes of shared memory that the configuration may "
		    "come to use; one that may need more is refused.  0 is "
		    "no limit."
	},
	{ .key = NULL }
};

static const struct conf_group board_group = {
	"board", board_rows, sizeof(struct settings_board), NULL
};
static const struct conf_group *const board_groups[] = {
	&board_group, NULL
};
const struct conf_section board_section = {
	.type = "board", .groups = board_groups,
	.text = "Shared memory of all processes."
};

/* --- reading --- */

const struct settings *
settings_get(const struct conf *c)
{
	return conf_one(c, &settings_section);
}

const struct settings_limits *
settings_limits(const struct conf *c)
{
	return conf_one(c, &limits_section);
}

const struct settings_log *
settings_log(const struct conf *c)
{
	return conf_one(c, &log_section);
}

int
settings_log_dir(const struct conf *c, char *dir, size_t size,
    struct err *e)
{
	struct str	s = settings_log(c)->directory;
	struct text	t;

	text_init_fixed(&t, dir, size - 1);
	text_add(&t, s.n != 0 ? s : settings_get(c)->state_dir);
	if (s.n == 0)
		text_add(&t, STR("/log"));
	dir[t.n] = '\0';
	return t.cut ? err_set(e, "the path of the log's folder is too long")
	    : 0;
}

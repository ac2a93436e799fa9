/*
 * The command line of sluiced.  Master before anything else.  One table
 * drives parsing and usage; every option is looked up by name, so that
 * -c and --config are one row.
 */
#include "main/opts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "config.h"
#include "os/priv.h"

enum opt_id {
	OPT_CONFIG, OPT_FOREGROUND, OPT_TEST, OPT_STRICT, OPT_JSON, OPT_DNS,
	OPT_DUMP,
	OPT_DUMP_SET, OPT_DUMP_SCHEMA, OPT_DUMP_MDOC, OPT_DUMP_WORDS,
	OPT_ROOT, OPT_PORT, OPT_SET, OPT_SIGNAL, OPT_PIDFILE,
	OPT_VERSION, OPT_HANDOVER, OPT_HELP
};

struct opt_row {
	enum opt_id	 id;
	const char	*shrt;
	const char	*lng;
	const char	*arg;		/* NULL: none */
	const char	*text;
};

static const struct opt_row rows[] = {
	{ OPT_CONFIG, "-c", "--config", "FILE", "configuration file" },
	{ OPT_FOREGROUND, "-f", "--foreground", NULL,
	    "stay in the foreground" },
	{ OPT_TEST, "-t", "--test", NULL,
	    "check the configuration and exit" },
	{ OPT_STRICT, "-W", "--strict", NULL,
	    "with -t: warnings fail too (exit 3)" },
	{ OPT_JSON, NULL, "--json", NULL, "with -t: diagnostics as JSON" },
	{ OPT_DNS, NULL, "--strict-dns", NULL,
	    "with -t: names of servers must have addresses" },
	{ OPT_DUMP, "-T", "--dump", NULL,
	    "print every setting with its origin" },
	{ OPT_DUMP_SET, NULL, "--dump-set", NULL,
	    "print what differs from the defaults" },
	{ OPT_DUMP_SCHEMA, NULL, "--dump-schema", NULL,
	    "print all keys, types and bounds as JSON" },
	{ OPT_DUMP_MDOC, NULL, "--dump-mdoc", NULL,
	    "print the reference part of sluice.conf(5)" },
	{ OPT_DUMP_WORDS, NULL, "--dump-words", NULL,
	    "print options and keys (used by completion)" },
	{ OPT_ROOT, NULL, "--root", "DIR", "serve this directory" },
	{ OPT_PORT, NULL, "--port", "N", "listen on this port" },
	{ OPT_SET, NULL, "--set", "SECTION.KEY=VALUE",
	    "override one setting; may be repeated" },
	{ OPT_SIGNAL, "-s", "--signal", "WORD",
	    "tell the running daemon: reload, drain, stop, reopen, upgrade" },
	{ OPT_PIDFILE, "-p", "--pidfile", "FILE",
	    "pid file (RUN_DIR/sluiced.pid)" },
	{ OPT_VERSION, "-V", "--version", NULL, "print the version" },
	{ OPT_HANDOVER, NULL, "--handover-check", NULL,
	    "can this program take over? (used by upgrades)" },
	{ OPT_HELP, "-h", "--help", NULL, "print this" },
};
#define NROW (sizeof(rows) / sizeof(rows[0]))

void
opts_usage(void)
{
	char left[64];
	size_t i;

	printf("usage: sluiced [options]\n");
	for (i = 0; i < NROW; i++) {
		snprintf(left, sizeof(left), "%s%s%s %s",
		    rows[i].shrt != NULL ? rows[i].shrt : "",
		    rows[i].shrt != NULL ? ", " : "    ", rows[i].lng,
		    rows[i].arg != NULL ? rows[i].arg : "");
		printf("  %-30s %s\n", left, rows[i].text);
	}
	printf("\nExit codes: 0 done, 1 configuration error, 2 usage, "
	    "3 warnings with -W,\n4 environment.  See sluiced(8) and "
	    "sluice.conf(5).\n");
}

void
opts_words(void)
{
	size_t i;

	for (i = 0; i < NROW; i++)
		printf("option\t%s\t%s\t%s\t%s\n",
		    rows[i].shrt != NULL ? rows[i].shrt : "", rows[i].lng,
		    rows[i].arg != NULL ? rows[i].arg : "", rows[i].text);
}

/* Row of an argument; *val: what follows '=' of a long one. */
static const struct opt_row *
find(const char *arg, const char **val)
{
	size_t i, n;

	*val = NULL;
	for (i = 0; i < NROW; i++) {
		if (rows[i].shrt != NULL && strcmp(arg, rows[i].shrt) == 0)
			return &rows[i];
		n = strlen(rows[i].lng);
		if (strncmp(arg, rows[i].lng, n) != 0)
			continue;
		if (arg[n] == '\0')
			return &rows[i];
		if (arg[n] == '=' && rows[i].arg != NULL) {
			*val = arg + n + 1;
			return &rows[i];
		}
	}
	return NULL;
}

static void
apply(struct opts *o, enum opt_id id, const char *val)
{
	static const enum opts_mode mode_of[] = {
		[OPT_TEST] = MODE_TEST, [OPT_DUMP] = MODE_DUMP,
		[OPT_DUMP_SET] = MODE_DUMP_SET,
		[OPT_DUMP_SCHEMA] = MODE_DUMP_SCHEMA,
		[OPT_DUMP_MDOC] = MODE_DUMP_MDOC,
		[OPT_DUMP_WORDS] = MODE_DUMP_WORDS,
		[OPT_SIGNAL] = MODE_SIGNAL, [OPT_VERSION] = MODE_VERSION,
		[OPT_HANDOVER] = MODE_HANDOVER, [OPT_HELP] = MODE_HELP,
	};

	switch (id) {
	case OPT_CONFIG:
		o->config = val;
		return;
	case OPT_FOREGROUND:
		o->foreground = true;
		return;
	case OPT_STRICT:
		o->strict = true;
		return;
	case OPT_JSON:
		o->json = true;
		return;
	case OPT_DNS:
		o->strict_dns = true;
		return;
	case OPT_ROOT:
		o->root = val;
		return;
	case OPT_PORT:
		o->port = val;
		return;
	case OPT_SET:
		o->set = must_realloc(o->set,
		    (o->nset + 2) * sizeof(*o->set));
		o->set[o->nset++] = val;
		o->set[o->nset] = NULL;
		return;
	case OPT_SIGNAL:
		o->signal = val;
		break;
	case OPT_PIDFILE:
		o->pidfile = val;
		return;
	default:
		break;
	}
	/* -t with -T: the last word wins, as with every other option */
	o->mode = mode_of[id];
}

int
opts_parse(struct opts *o, int argc, char **argv)
{
	const struct opt_row *row;
	const char *val;
	int i;

	memset(o, 0, sizeof(*o));
	o->argc = argc;
	o->argv = argv;
	for (i = 1; i < argc; i++) {
		row = find(argv[i], &val);
		if (row == NULL) {
			fprintf(stderr, "sluiced: %s \"%s\": see sluiced "
			    "--help\n", argv[i][0] == '-' ?
			    "unknown option" : "no argument is taken:",
			    argv[i]);
			return EXIT_USAGE;
		}
		if (row->arg != NULL && val == NULL) {
			if (++i == argc) {
				fprintf(stderr, "sluiced: %s needs %s: see "
				    "sluiced --help\n", row->lng, row->arg);
				return EXIT_USAGE;
			}
			val = argv[i];
		}
		apply(o, row->id, val);
	}
	return 0;
}

void
opts_fini(struct opts *o)
{
	free(o->set);
	o->set = NULL;
}

/* A variable of the environment; an empty one is as good as none. */
static const char *
env(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : NULL;
}

void
opts_conf(const struct opts *o, struct conf_opts *co)
{
	extern char **environ;
	const char *file = o->config;

	memset(co, 0, sizeof(*co));
	if (file == NULL)
		file = env("SLUICE_CONF");
	co->file_given = file != NULL;
	co->file = file != NULL ? file : SL_CONF_FILE;
	co->root = o->root != NULL ? o->root : env("SLUICE_ROOT");
	co->port = o->port != NULL ? o->port : env("SLUICE_PORT");
	co->set = o->set;
	co->env = environ;
	co->as_root = priv_is_root();
}

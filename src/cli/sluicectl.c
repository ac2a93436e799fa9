/*
 * sluicectl: the operator's tool.  A client of the control socket; one
 * table of commands drives parser, usage and what is asked.  A command is
 * a request whose answer is shown as text, or as it came with -o json.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "cli/client.h"
#include "cli/explain.h"
#include "cli/follow.h"
#include "cli/named.h"
#include "cli/peek.h"
#include "cli/server.h"
#include "cli/show.h"
#include "conf/diag.h"
#include "config.h"
#include "control/api.h"
#include "http/fail.h"
#include "os/place.h"

/* exit codes; those of sluiced, as far as they occur here */
enum { DONE = 0, FAILED = 1, USAGE = 2, NOBODY = 4 };

/* what the command line said */
struct ctl {
	const char	*sock;		/* -s */
	char		 path[512];	/* else */
	bool		 json;
	const char	*word;		/* the command */
	char		**args;		/* own: what is behind it */
	size_t		 narg;
};

struct command {
	const char	*name;
	const char	*arg;		/* the one it takes, or NULL */
	const char	*meth;
	const char	*target;	/* NULL: not in this version */
	unsigned	 ms;		/* to wait */
	void		(*show)(struct show *, const json_t *);
	const char	*text;
	const char	*usage;		/* of its words, if it reads them */
	/* reads them: adds to the target, or sets the answer */
	int		(*read)(char *const *, size_t, struct text *,
			    json_t **);
};

#define SHORT_MS	10000	/* control answers at once, or it is hung */
#define LONG_MS		100000	/* longer than the API itself waits */

static const struct command commands[] = {
	{ "status", NULL, "GET", API_STATUS, SHORT_MS, show_status,
	    "is it serving; its processes", NULL, NULL },
	{ "version", NULL, "GET", API_VERSION, SHORT_MS, show_version,
	    "version of the sluiced that runs", NULL, NULL },
	{ "reload", NULL, "POST", API_RELOAD, LONG_MS, show_reload,
	    "read the configuration anew; waits for the outcome", NULL,
	    NULL },
	{ "reload --plan", NULL, "POST", API_PLAN, LONG_MS, show_plan,
	    "what that would change; nothing is changed", NULL, NULL },
	{ "roll", NULL, "POST", API_ROLL, LONG_MS, show_roll,
	    "replace the workers one by one", NULL, NULL },
	{ "explain", NULL, "GET", "", SHORT_MS, show_explain,
	    "which route a request would take, and why",
	    "[-X METHOD] [-H FIELD] [--from IP] [--config FILE] URL",
	    explain_read },
	{ "upstreams", NULL, "GET", API_UPSTREAMS, SHORT_MS,
	    show_upstreams, "servers: state, counts, connections, times",
	    "[NAME]", named_read },
	{ "server", NULL, "POST", API_SERVERS, SHORT_MS, show_server,
	    "keep requests from a server, or change its share",
	    "drain|up|down|weight UPSTREAM SERVER [N|default]",
	    server_read },
	{ "why", NULL, "GET", API_FAILURES, SHORT_MS, show_why,
	    "what a failure of the log is, and what to do about it",
	    "[NAME|STATUS]", named_read },
	{ "log", NULL, "GET", API_LOG, SHORT_MS, show_log,
	    "what was recorded lately; -f: and what comes",
	    "[-f] [FILTER]", follow_read },
	{ "generations", NULL, "GET", API_GENERATIONS, SHORT_MS,
	    show_generations, "configurations in use, by process", NULL,
	    NULL },
	{ "names", NULL, "GET", API_NAMES, SHORT_MS, show_names,
	    "names of servers and their addresses", NULL, NULL },
	{ "certs", NULL, "GET", API_CERTS, SHORT_MS, show_certs,
	    "certificates: names, days left, how often they were shown",
	    "[NAME]", named_read },
	{ "metrics", NULL, "GET", API_METRICS, SHORT_MS, show_metrics,
	    "every counter, summed", NULL, NULL },
	{ "board", "--dump", "GET", API_BOARD, SHORT_MS, show_board,
	    "processes straight from shared memory", NULL, NULL },
	{ .name = "top" },
	{ .name = "history" }, { .name = "diff" }, { .name = "rollback" },
	{ .name = "get" }, { .name = "set" }, { .name = "trace" },
	{ .name = "errors" }, { .name = "backup" }, { .name = "restore" },
};
#define NCOMMAND	(sizeof(commands) / sizeof(commands[0]))

struct option {
	const char	*name;
	const char	*arg;		/* NULL: none */
	const char	*text;
};

static const struct option options[] = {
	{ "-s", "SOCKET", "control socket; also SLUICE_SOCKET" },
	{ "-o", "text|json", "for people, or the answer as it came" },
	{ "-V", NULL, "version of this program" },
};
#define NOPTION		(sizeof(options) / sizeof(options[0]))

/* --- the command line --- */

/* For completion: options and commands, one a line, fields between tabs. */
static void
dump_words(void)
{
	const struct command *c;
	const struct option *o;

	for (o = options; o < options + NOPTION; o++)
		printf("option\t%s\t\t%s\t%s\n", o->name,
		    o->arg != NULL ? o->arg : "", o->text);
	for (c = commands; c < commands + NCOMMAND; c++)
		if (c->target != NULL)
			printf("command\t%s\t%s\t%s\n", c->name,
			    c->arg != NULL ? c->arg : c->usage != NULL ?
			    c->usage : "", c->text);
	printf("command\thelp\t\tthis text\n");
}

/* What does not exist yet is not shown. */
static void
usage(FILE *f)
{
	const struct command *c;
	const struct option *o;
	char name[64];

	fprintf(f, "usage: sluicectl [-s SOCKET] [-o text|json] COMMAND\n\n");
	for (c = commands; c < commands + NCOMMAND; c++) {
		if (c->target == NULL)
			continue;
		snprintf(name, sizeof(name), "%s%s%s%s", c->name,
		    c->arg != NULL ? " [" : "", c->arg != NULL ? c->arg : "",
		    c->arg != NULL ? "]" : "");
		fprintf(f, "  %-16s  %s\n", name, c->text);
		if (c->usage != NULL)
			fprintf(f, "  %-16s  %s\n", "", c->usage);
	}
	fprintf(f, "  %-16s  %s\n\n", "help", "this text");
	for (o = options; o < options + NOPTION; o++) {
		snprintf(name, sizeof(name), "%s %s", o->name,
		    o->arg != NULL ? o->arg : "");
		fprintf(f, "  %-16s  %s\n", name, o->text);
	}
	fprintf(f, "\n"
	    "exit status: 0 done, 1 refused by sluiced, 2 usage, 4 nobody "
	    "answers\n");
}

static int
wrong(const char *what, const char *word)
{
	fprintf(stderr, "sluicectl: %s \"%s\": see sluicectl help\n", what,
	    word);
	return USAGE;
}

static int
parse_format(struct ctl *c, const char *word)
{
	if (strcmp(word, "json") != 0 && strcmp(word, "text") != 0)
		return wrong("-o takes text or json, not", word);
	c->json = word[0] == 'j';
	return 0;
}

/* An option with a value: in the same word or the next. */
static int
parse_value(struct ctl *c, char **argv, int *i)
{
	const char *opt = argv[*i], *val = opt + 2;

	if (*val == '\0')
		val = argv[++*i];
	if (val == NULL)
		return wrong("there is no value for", opt);
	if (opt[1] == 'o')
		return parse_format(c, val);
	c->sock = val;
	return 0;
}

/* The options with a value may stand behind the command too. */
static bool
is_option(const char *arg, const char *letters)
{
	return arg[0] == '-' && arg[1] != '\0' &&
	    strchr(letters, arg[1]) != NULL;
}

static int
parse(struct ctl *c, char **argv)
{
	int i, rc;

	for (i = 1; argv[i] != NULL; i++) {
		if (is_option(argv[i], "so")) {
			rc = parse_value(c, argv, &i);
			if (rc != 0)
				return rc;
		} else if (c->word == NULL && (strcmp(argv[i], "-h") == 0 ||
		    strcmp(argv[i], "--help") == 0))
			c->word = "help";
		else if (c->word == NULL && (strcmp(argv[i], "-V") == 0 ||
		    strcmp(argv[i], "--version") == 0))
			c->word = "-V";
		else if (c->word == NULL &&
		    strcmp(argv[i], "--dump-words") == 0)
			c->word = "--dump-words";
		else if (c->word == NULL && argv[i][0] == '-')
			return wrong("unknown option", argv[i]);
		else if (c->word == NULL)
			c->word = argv[i];
		else
			c->args[c->narg++] = argv[i];
	}
	if (c->word == NULL) {
		usage(stderr);
		return USAGE;
	}
	return 0;
}

/* Is there a socket in one's own folder, where nobody else may write? */
static bool
find_own(struct ctl *c, struct str xdg)
{
	struct err e;
	char dir[sizeof(c->path) - sizeof("/control.sock")];

	if (place_run_dir(dir, sizeof(dir), xdg) == -1)
		return false;
	snprintf(c->path, sizeof(c->path), "%s/control.sock", dir);
	if (access(c->path, F_OK) != 0)
		return false;
	if (place_check(dir, &e) == 0)
		return true;
	fprintf(stderr, "sluicectl: not looked at: %s\n", e.text);
	return false;
}

/*
 * Where sluiced listens: as root below the run directory; as anybody else
 * where one's own sluiced puts it, if there is a socket.
 */
static void
find_socket(struct ctl *c)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (c->sock == NULL)
		c->sock = getenv("SLUICE_SOCKET");
	if (c->sock != NULL && *c->sock != '\0')
		return;
	c->sock = SL_RUNDIR "/control.sock";
	if (geteuid() == 0)
		return;
	if ((dir != NULL && find_own(c, str_from(dir))) ||
	    find_own(c, STR("")))
		c->sock = c->path;
}

/* --- asking --- */

static int
say_nobody(const struct ctl *c, const struct answer *a, const struct err *e)
{
	if (a->reached) {
		fprintf(stderr, "sluicectl: %s: %s\n", c->sock, e->text);
		return NOBODY;
	}
	fprintf(stderr, "sluicectl: nobody answers on %s: %s\n"
	    "  is it running?      start it: sluiced -c FILE, or systemctl "
	    "start sluice\n"
	    "  with other folders? name its socket: sluicectl -s "
	    "RUN_DIR/control.sock\n", c->sock, e->text);
	return NOBODY;
}

/* What the board says takes the place of the answer that brought it. */
static json_t *
look_at_board(const struct ctl *c, const struct answer *a, json_t *hello)
{
	struct err e = { "the answer brought no descriptors" };
	json_t *j = NULL;

	if (a->nfd == 2)
		j = peek_board(a->fds, hello, c->narg > 0, &e);
	json_decref(hello);
	if (j == NULL)
		fprintf(stderr, "sluicectl: %s\n", e.text);
	return j;
}

/* The bytes as they came; the board has no others than ours. */
static void
print_json(const struct answer *a, const json_t *board)
{
	if (board == NULL) {
		fwrite(a->body.p, 1, a->body.n, stdout);
		return;
	}
	json_dumpf(board, stdout, JSON_COMPACT);
	putchar('\n');
}

static void
print_text(void (*show)(struct show *, const json_t *), const json_t *j,
    FILE *f)
{
	struct show s = { .color = diag_wants_color(fileno(f)) };

	text_init(&s.out);
	show(&s, j);
	fwrite(s.out.p, 1, s.out.n, f);
	text_fini(&s.out);
}

/*
 * 409: sluiced tried and it did not do; 400, 404: it was asked wrongly;
 * anything else: it could not try.  A plan says which exit code it is.
 */
static int
tell_error(const struct ctl *c, const struct command *cmd,
    const struct answer *a, const json_t *j)
{
	json_int_t code = json_integer_value(json_object_get(j, "code"));

	if (c->json)
		print_json(a, NULL);
	else
		print_text(show_error, j, stderr);
	if (cmd->show == show_plan && code == NOBODY)
		return NOBODY;
	if (a->status == 400 || a->status == 404)
		return USAGE;
	return a->status == 409 ? FAILED : NOBODY;
}

static int
tell(const struct ctl *c, const struct command *cmd, const struct answer *a)
{
	json_t *j = json_loadb(a->body.p, a->body.n, 0, NULL);
	bool board = cmd->show == show_board;
	int code = DONE;

	if (!json_is_object(j)) {
		fprintf(stderr, "sluicectl: what answers on %s is not "
		    "sluiced: status %u without JSON\n", c->sock, a->status);
		json_decref(j);
		return NOBODY;
	}
	if (a->status != 200) {
		code = tell_error(c, cmd, a, j);
		json_decref(j);
		return code;
	}
	if (board)
		j = look_at_board(c, a, j);
	if (j == NULL)
		return NOBODY;
	/* a name that no certificate has */
	if (json_is_false(json_object_get(j, "covered")))
		code = FAILED;
	if (c->json)
		print_json(a, board ? j : NULL);
	else
		print_text(cmd->show, j, stdout);
	json_decref(j);
	return code;
}

/* Found without asking anybody. */
static void
tell_own(const struct ctl *c, const struct command *cmd, json_t *j)
{
	if (c->json) {
		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
	} else
		print_text(cmd->show, j, stdout);
	json_decref(j);
}

static int
no_failure(const char *word)
{
	struct text near;

	text_init(&near);
	fail_near(str_from(word), &near);
	fprintf(stderr, "sluicectl: there is no failure or status \"%s\"%s"
	    "%.*s\n", word, near.n > 0 ? "; near it: " : ": see sluicectl "
	    "why", STR_FMT(text_str(&near)));
	text_fini(&near);
	return USAGE;
}

/* What a failure means is known without anybody. */
static int
tell_table(const struct ctl *c, const struct command *cmd,
    const struct err *e)
{
	json_t *j = named_failures(c->args, c->narg);

	if (j == NULL)
		return no_failure(c->args[0]);
	fprintf(stderr, "sluicectl: nobody answers on %s: %s; what was seen "
	    "is not known\n", c->sock, e->text);
	tell_own(c, cmd, j);
	return DONE;
}

static int
ask(struct ctl *c, const struct command *cmd, const char *target)
{
	struct answer a;
	struct err e;
	int code;

	find_socket(c);
	if (cmd->show == show_log)
		code = follow_run(c->sock, target, c->json, &a, &e);
	else
		code = client_ask(c->sock, cmd->meth, target, cmd->ms, &a,
		    &e);
	if (code < 0 && cmd->show == show_why && !a.reached)
		code = tell_table(c, cmd, &e);
	else if (code < 0)
		code = say_nobody(c, &a, &e);
	else if (cmd->show != show_log || a.status != 200)
		code = tell(c, cmd, &a);
	client_free(&a);
	return code;
}

static int
run(struct ctl *c, const struct command *cmd)
{
	json_t *j = NULL;
	struct text target;
	int code = DONE;

	text_init(&target);
	text_add(&target, str_from(cmd->target));
	if (cmd->read != NULL)
		code = cmd->read(c->args, c->narg, &target, &j);
	text_c(&target, '\0');
	if (j != NULL)
		tell_own(c, cmd, j);
	else if (code == DONE)
		code = ask(c, cmd, target.p);
	text_fini(&target);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "sluicectl: writing: %s\n", strerror(errno));
		code = NOBODY;
	}
	return code;
}

/* "reload --plan" is a row of its own; its second word is taken off. */
static const struct command *
find(struct ctl *c)
{
	size_t i, n = strlen(c->word);

	for (i = 0; i < NCOMMAND && c->narg > 0; i++)
		if (strncmp(commands[i].name, c->word, n) == 0 &&
		    commands[i].name[n] == ' ' &&
		    strcmp(commands[i].name + n + 1, c->args[0]) == 0) {
			c->args++;
			c->narg--;
			return &commands[i];
		}
	for (i = 0; i < NCOMMAND; i++)
		if (strcmp(commands[i].name, c->word) == 0)
			return &commands[i];
	return NULL;
}

/* The row of the command, and whether its argument is one. */
static int
choose(struct ctl *c)
{
	const struct command *cmd = find(c);
	size_t most;

	if (cmd == NULL)
		return wrong("unknown command", c->word);
	if (cmd->target == NULL) {
		fprintf(stderr, "sluicectl: %s: not in this version\n",
		    c->word);
		return USAGE;
	}
	most = cmd->arg != NULL ? 1 : 0;
	if (cmd->read == NULL && c->narg > 0 && (most == 0 ||
	    strcmp(c->args[0], cmd->arg) != 0))
		return wrong("the command does not take", c->args[0]);
	if (cmd->read == NULL && c->narg > most)
		return wrong("the command does not take", c->args[most]);
	return run(c, cmd);
}

int
main(int argc, char **argv)
{
	struct ctl c = { .args = must_calloc((size_t)argc + 1,
	    sizeof(*argv)) };
	char **args = c.args;
	int code;

	code = parse(&c, argv);
	if (code == 0 && strcmp(c.word, "help") == 0)
		usage(stdout);
	else if (code == 0 && strcmp(c.word, "-V") == 0)
		printf("sluicectl %s\n", SL_VERSION);
	else if (code == 0 && strcmp(c.word, "--dump-words") == 0)
		dump_words();
	else if (code == 0)
		code = choose(&c);
	free(args);
	return code;
}

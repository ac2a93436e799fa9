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

#include "cli/client.h"
#include "cli/peek.h"
#include "cli/show.h"
#include "conf/diag.h"
#include "config.h"
#include "control/api.h"
#include "os/place.h"

/* exit codes; those of sluiced, as far as they occur here */
enum { DONE = 0, FAILED = 1, USAGE = 2, NOBODY = 4 };

/* what the command line said */
struct ctl {
	const char	*sock;		/* -s */
	char		 path[512];	/* else */
	bool		 json;
	const char	*word;		/* the command */
	const char	*arg;		/* its argument, or NULL */
	const char	*more;		/* the one behind it, or NULL */
};

struct command {
	const char	*name;
	const char	*arg;		/* the one it takes, or NULL */
	const char	*meth;
	const char	*target;	/* NULL: not in this version */
	unsigned	 ms;		/* to wait */
	void		(*show)(struct show *, const json_t *);
	const char	*text;
};

#define SHORT_MS	10000	/* control answers at once, or it is hung */
#define LONG_MS		100000	/* longer than the API itself waits */

static const struct command commands[] = {
	{ "status", NULL, "GET", API_STATUS, SHORT_MS, show_status,
	    "is it serving; its processes" },
	{ "version", NULL, "GET", API_VERSION, SHORT_MS, show_version,
	    "version of the sluiced that runs" },
	{ "reload", NULL, "POST", API_RELOAD, LONG_MS, show_reload,
	    "read the configuration anew; waits for the outcome" },
	{ "roll", NULL, "POST", API_ROLL, LONG_MS, show_roll,
	    "replace the workers one by one" },
	{ "generations", NULL, "GET", API_GENERATIONS, SHORT_MS,
	    show_generations, "configurations in use, by process" },
	{ "metrics", NULL, "GET", API_METRICS, SHORT_MS, show_metrics,
	    "every counter, summed" },
	{ "board", "--dump", "GET", API_BOARD, SHORT_MS, show_board,
	    "processes straight from shared memory" },
	{ .name = "top" }, { .name = "explain" }, { .name = "upstreams" },
	{ .name = "why" }, { .name = "server" }, { .name = "certs" },
	{ .name = "log" }, { .name = "history" }, { .name = "diff" },
	{ .name = "rollback" }, { .name = "get" }, { .name = "set" },
	{ .name = "trace" }, { .name = "errors" }, { .name = "backup" },
	{ .name = "restore" },
};
#define NCOMMAND	(sizeof(commands) / sizeof(commands[0]))

/* --- the command line --- */

/* What does not exist yet is not shown. */
static void
usage(FILE *f)
{
	const struct command *c;
	char name[64];

	fprintf(f, "usage: sluicectl [-s SOCKET] [-o text|json] COMMAND\n\n");
	for (c = commands; c < commands + NCOMMAND; c++) {
		if (c->target == NULL)
			continue;
		snprintf(name, sizeof(name), "%s%s%s%s", c->name,
		    c->arg != NULL ? " [" : "", c->arg != NULL ? c->arg : "",
		    c->arg != NULL ? "]" : "");
		fprintf(f, "  %-16s  %s\n", name, c->text);
	}
	fprintf(f, "  %-16s  %s\n\n", "help", "this text");
	fprintf(f, "  -s SOCKET         control socket; also SLUICE_SOCKET\n"
	    "  -o text|json      for people, or the answer as it came\n"
	    "  -V                version of this program\n\n"
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
		else if (c->word == NULL && argv[i][0] == '-')
			return wrong("unknown option", argv[i]);
		else if (c->word == NULL)
			c->word = argv[i];
		else if (c->arg == NULL)
			c->arg = argv[i];
		else
			c->more = argv[i];
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
		j = peek_board(a->fds, hello, c->arg != NULL, &e);
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

/* 409: sluiced tried and it did not do; anything else: it could not try. */
static int
tell_error(const struct ctl *c, const struct answer *a, const json_t *j)
{
	if (c->json)
		print_json(a, NULL);
	else
		print_text(show_error, j, stderr);
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
		code = tell_error(c, a, j);
		json_decref(j);
		return code;
	}
	if (board)
		j = look_at_board(c, a, j);
	if (j == NULL)
		return NOBODY;
	if (c->json)
		print_json(a, board ? j : NULL);
	else
		print_text(cmd->show, j, stdout);
	json_decref(j);
	return code;
}

static int
run(struct ctl *c, const struct command *cmd)
{
	struct answer a;
	struct err e;
	int code;

	find_socket(c);
	if (client_ask(c->sock, cmd->meth, cmd->target, cmd->ms, &a, &e) < 0)
		code = say_nobody(c, &a, &e);
	else
		code = tell(c, cmd, &a);
	client_free(&a);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "sluicectl: writing: %s\n", strerror(errno));
		code = NOBODY;
	}
	return code;
}

/* The row of the command, and whether its argument is one. */
static int
choose(struct ctl *c)
{
	const struct command *cmd = commands;

	while (cmd < commands + NCOMMAND && strcmp(cmd->name, c->word) != 0)
		cmd++;
	if (cmd == commands + NCOMMAND)
		return wrong("unknown command", c->word);
	if (cmd->target == NULL || (c->arg != NULL &&
	    strcmp(c->word, "reload") == 0 &&
	    strcmp(c->arg, "--plan") == 0)) {
		fprintf(stderr, "sluicectl: %s%s%s: not in this version\n",
		    c->word, cmd->target == NULL ? "" : " ",
		    cmd->target == NULL ? "" : c->arg);
		return USAGE;
	}
	if (c->arg != NULL && (cmd->arg == NULL ||
	    strcmp(c->arg, cmd->arg) != 0))
		return wrong("the command does not take", c->arg);
	if (c->more != NULL)
		return wrong("the command does not take", c->more);
	return run(c, cmd);
}

int
main(int argc, char **argv)
{
	struct ctl c = { 0 };
	int code;

	(void)argc;
	code = parse(&c, argv);
	if (code != 0)
		return code;
	if (strcmp(c.word, "help") == 0) {
		usage(stdout);
		return DONE;
	}
	if (strcmp(c.word, "-V") == 0) {
		printf("sluicectl %s\n", SL_VERSION);
		return DONE;
	}
	return choose(&c);
}

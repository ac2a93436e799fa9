/*
 * sluicectl explain: asked through the control socket, or of a file that
 * nobody runs, which is loaded here as sluiced would load it.  sluicectl.
 */
#include "cli/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/load.h"
#include "control/api.h"
#include "control/explain.h"
#include "os/priv.h"

#define TARGET_MAX	8000	/* control refuses targets above 8192 */

enum { DONE = 0, FAILED = 1, USAGE = 2, NOFILE = 4 };

struct words {
	struct explain	 q;
	const char	*config;
};

static int
wrong(const char *what, const char *word)
{
	fprintf(stderr, "sluicectl: explain: %s \"%s\": see sluicectl "
	    "help\n", what, word);
	return USAGE;
}

static int
set_option(struct words *w, const char *opt, const char *val)
{
	if (strcmp(opt, "-X") == 0)
		w->q.method = str_from(val);
	else if (strcmp(opt, "--from") == 0)
		w->q.from = str_from(val);
	else if (strcmp(opt, "--config") == 0 || strcmp(opt, "-c") == 0)
		w->config = val;
	else if (w->q.nfield == EXPLAIN_FIELDS)
		return wrong("too many fields:", val);
	else
		w->q.field[w->q.nfield++] = str_from(val);
	return 0;
}

/* "-X", "-XGET", "--from=IP": the option's name; *val what is behind. */
static const char *
find_option(const char *word, const char **val)
{
	static const char *const	names[] = { "-X", "-H", "-c",
	    "--from", "--config" };
	size_t				n;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		n = strlen(names[i]);
		if (strncmp(word, names[i], n) != 0)
			continue;
		*val = word + n;
		if (**val == '\0')
			*val = NULL;
		else if (n > 2 && *(*val)++ != '=')
			continue;
		return names[i];
	}
	return NULL;
}

static int
read_words(struct words *w, char *const *words, size_t n)
{
	const char	*opt, *val;
	int		 rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		opt = find_option(words[i], &val);
		if (opt == NULL && words[i][0] == '-')
			return wrong("unknown option", words[i]);
		if (opt == NULL && w->q.url.n > 0)
			return wrong("there is a URL already:", words[i]);
		if (opt == NULL) {
			w->q.url = str_from(words[i]);
			continue;
		}
		if (val == NULL && ++i == n)
			return wrong("there is no value for", opt);
		rc = set_option(w, opt, val != NULL ? val : words[i]);
	}
	if (rc == 0 && w->q.url.n == 0)
		return wrong("there is no", "URL");
	return rc;
}

/* --- online --- */

static void
add_query(struct text *t, char sep, const char *name, struct str val)
{
	text_fmt(t, "%c%s=", sep, name);
	for (size_t i = 0; i < val.n; i++) {
		unsigned char	c = (unsigned char)val.p[i];

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || strchr("-._~/", c) != NULL)
			text_c(t, (char)c);
		else
			text_fmt(t, "%%%02X", c);
	}
}

static void
put_target(const struct words *w, struct text *t)
{
	text_add(t, STR(API_EXPLAIN));
	add_query(t, '?', "url", w->q.url);
	if (w->q.method.n > 0)
		add_query(t, '&', "method", w->q.method);
	if (w->q.from.n > 0)
		add_query(t, '&', "from", w->q.from);
	for (unsigned i = 0; i < w->q.nfield; i++)
		add_query(t, '&', "field", w->q.field[i]);
}

/* --- offline --- */

static void
tell_diags(struct conf_load *l)
{
	struct diags	*d = conf_load_diags(l);
	struct text	 t;

	diag_set_color(d, diag_wants_color(STDERR_FILENO));
	text_init(&t);
	diag_print(d, &t, "configuration NOT usable");
	fwrite(t.p, 1, t.n, stderr);
	text_fini(&t);
}

static int
ask_file(const struct words *w, json_t **answer)
{
	extern char	**environ;
	struct conf_opts  o = { .file = w->config, .file_given = true,
	    .root = getenv("SLUICE_ROOT"), .port = getenv("SLUICE_PORT"),
	    .env = environ, .as_root = true };
	struct conf_load *l = conf_load_new(&o);
	struct arena	  mem;
	struct conf	 *conf;
	struct err	  e;
	int		  code = DONE;

	arena_init(&mem, NULL);
	conf = conf_load_run(l, &mem);
	if (conf == NULL) {
		tell_diags(l);
		code = diag_is_env(conf_load_diags(l)) ? NOFILE : FAILED;
	} else {
		*answer = explain_run(conf, &w->q, NULL, &e);
		if (*answer == NULL) {
			fprintf(stderr, "sluicectl: explain: %s\n", e.text);
			code = USAGE;
		}
	}
	conf_load_free(&l);
	arena_fini(&mem);
	return code;
}

int
explain_read(char *const *words, size_t n, struct text *target,
    json_t **answer)
{
	struct words	w = { .config = NULL };
	int		rc;

	*answer = NULL;
	rc = read_words(&w, words, n);
	if (rc != 0)
		return rc;
	if (w.config != NULL)
		return ask_file(&w, answer);
	put_target(&w, target);
	if (target->n > TARGET_MAX) {
		fprintf(stderr, "sluicectl: explain: this is more than the "
		    "control socket takes; --config FILE takes it\n");
		return USAGE;
	}
	return 0;
}

/*
 * The command line of sluiced, as one table: parser, usage and the man
 * page's synopsis follow it.
 */
#ifndef SL_MAIN_OPTS_H
#define SL_MAIN_OPTS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/load.h"

/* exit codes of every program */
#define EXIT_OK		0
#define EXIT_CONFIG	1	/* the configuration is wrong */
#define EXIT_USAGE	2
#define EXIT_WARN	3	/* warnings, with -W */
#define EXIT_ENV	4	/* file, port, permission, nobody listening */

enum opts_mode {
	MODE_RUN, MODE_TEST, MODE_DUMP, MODE_DUMP_SET, MODE_DUMP_SCHEMA,
	MODE_DUMP_MDOC, MODE_DUMP_WORDS, MODE_SIGNAL, MODE_VERSION,
	MODE_HANDOVER, MODE_HELP
};

struct opts {
	enum opts_mode	 mode;
	const char	*config;	/* -c; NULL: the default file */
	bool		 foreground;
	bool		 strict;	/* -W */
	bool		 json;
	bool		 strict_dns;
	const char	*root;
	const char	*port;
	const char	**set;		/* own: --set, NULL-terminated */
	size_t		 nset;
	const char	*signal;	/* -s */
	const char	*pidfile;	/* -p */
	int		 argc;		/* as started, for exec */
	char		**argv;
};

/* 0; EXIT_USAGE after it told why on stderr. */
int opts_parse(struct opts *, int argc, char **argv);
void opts_fini(struct opts *);
void opts_usage(void);
/* The options, one a line: short, long, argument, text between tabs. */
void opts_words(void);

/* The options that loading needs; file defaults are applied. */
void opts_conf(const struct opts *, struct conf_opts *);

#endif

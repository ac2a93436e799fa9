/*
 * The API's answers as text for people.  sluicectl.
 */
#ifndef SL_CLI_SHOW_H
#define SL_CLI_SHOW_H

#include <jansson.h>

#include "base/text.h"

struct show {
	struct text	out;		/* own */
	bool		color;
};

/*
 * One per command.  What an answer lacks, or has in another form than
 * this program knows, is shown as empty or 0.
 */
void show_version(struct show *, const json_t *);
void show_status(struct show *, const json_t *);
void show_generations(struct show *, const json_t *);
void show_names(struct show *, const json_t *);
void show_certs(struct show *, const json_t *);
void show_metrics(struct show *, const json_t *);
void show_reload(struct show *, const json_t *);
void show_plan(struct show *, const json_t *);
void show_explain(struct show *, const json_t *);
void show_roll(struct show *, const json_t *);
/* A record, one line. */
void show_log(struct show *, const json_t *);
void show_server(struct show *, const json_t *);
void show_upstreams(struct show *, const json_t *);
void show_why(struct show *, const json_t *);
void show_board(struct show *, const json_t *);

/* An answer that is an error. */
void show_error(struct show *, const json_t *);

#endif

/*
 * What the files that show answers share.  sluicectl.
 */
#ifndef SL_CLI_INT_H
#define SL_CLI_INT_H

#include "cli/show.h"

enum show_color { SHOW_PLAIN, SHOW_GOOD, SHOW_BAD };

/* A member's text or number; "" or 0 if it is none. */
struct str show_str(const json_t *, const char *name);
unsigned long long show_num(const json_t *, const char *name);
/* "350ms", "12s", "5m 3s", "2h 10m", "3d 4h": two units at most. */
#define SHOW_AGE	48
void show_age(char out[SHOW_AGE], unsigned long long ms);
/* A member's text, safe for a terminal. */
void show_safe(struct show *, const json_t *, const char *name);
/* A word in colour, if there is any; the rest of a line stays plain. */
void show_paint(struct show *, enum show_color, struct str word);
/* Lines stay lines; whatever else is in them is escaped. */
void show_lines(struct show *, struct str text);
/* A table of weights and breakers, if there are any: show_balance.c. */
void show_balance(struct show *, const json_t *servers);
/* A table of the servers that are probed, if any is: show_probes.c. */
void show_probes(struct show *, const json_t *servers,
    unsigned long long now_ms);

#endif

/*
 * What conditions of routes share: reading words and pairs of their keys,
 * and matching names with values.  Builder; workers match.
 *
 * All keys of conditions are rows with a parse function, so that `not.*`
 * reads any of them into a struct of its own (cond_not.c).
 */
#ifndef SL_CORE_COND_H
#define SL_CORE_COND_H

#include "conf/load.h"
#include "core/route.h"

/* "\"word\": why" at the word of an item; -1. */
int cond_fail(struct conf_load *, const struct conf_row *,
    const struct conf_item *, struct str word, const char *why);

/* The same at the key itself. */
int cond_fail_name(struct conf_load *, const struct conf_row *,
    const struct conf_item *, const char *why);

/* Its value has no word. */
int cond_fail_empty(struct conf_load *, const struct conf_row *,
    const struct conf_item *);

/*
 * Words at blanks and commas of all items.  read() takes each and returns
 * NULL or why it cannot be.  -1 after a report.
 */
int cond_parse_words(struct conf_load *, const struct conf_row *, void *dst,
    const struct conf_item *items, size_t n,
    const char *(*read)(struct arena *, void *dst, struct str word));

/* Into a struct conf_pairs: what stood for the asterisk, and the value. */
int cond_parse_pairs(struct conf_load *, const struct conf_row *, void *dst,
    const struct conf_item *items, size_t n);
/* How many names are asked for. */
uint32_t cond_count_pairs(const struct conf_pairs *, bool fold);

/*
 * True if for each name one of its values is there, by has().  fold: names
 * are equal whatever their case.
 */
bool cond_match_pairs(const struct conf_pairs *, const struct exchange *,
    bool fold, bool (*has)(const struct exchange *,
    const struct conf_pair *));

/* True if all that the second lets through, the first does too. */
bool cond_covers_pairs(const struct conf_pairs *wide,
    const struct conf_pairs *narrow, bool fold);

/* The value fits: it is that text, or anything for "*". */
bool cond_fits(const struct conf_pair *want, struct str val);

/* not.*: the row's parse function, into a struct route_nots. */
int cond_parse_not(struct conf_load *, const struct conf_row *, void *dst,
    const struct conf_item *items, size_t n);

#endif

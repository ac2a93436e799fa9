/*
 * The Cookie field, read as servers do (RFC 6265 4.2): pairs at
 * semicolons, names in their case, one pair of quotes around a value taken
 * off.  Workers.
 */
#ifndef SL_HTTP_COOKIE_H
#define SL_HTTP_COOKIE_H

#include "http/msg.h"

/* Takes the next pair off a field's value; false when nothing is left. */
bool cookie_next(struct str *rest, struct str *name, struct str *val);

/* The first cookie of that name in all fields, or STR_NONE. */
struct str cookie_get(const struct hdrs *, struct str name);

/*
 * The fields without the cookies whose name is() says so; one with nothing
 * else is taken out.  What is left of a value is in the arena.
 */
typedef bool (*cookie_is_fn)(const void *ctx, struct str name);
void cookie_drop(struct arena *, struct hdrs *, cookie_is_fn is,
    const void *ctx);

#endif

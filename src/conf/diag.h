/*
 * Diagnostics of a configuration: id, severity, place, cause, fix.  All
 * are collected, sorted by file and line, and printed once, at most
 * DIAG_MAX of them, as text with the line and a caret or as JSON.
 */
#ifndef SL_CONF_DIAG_H
#define SL_CONF_DIAG_H

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

#define DIAG_MAX	20

/* DIAG(id, name): E.. are errors, W.. warnings, N.. notices */
enum diag_id {
#define DIAG(id, name, fix)	DIAG_##name,
#include "conf/diag.tbl"
#undef DIAG
	DIAG_NID
};

struct conf_span;
struct conf_obj;

struct diags;

struct diags *diag_new(void);
void diag_free(struct diags **);

/*
 * Adds one.  at: where (NULL: nowhere), obj: section it concerns (NULL:
 * none), key: "" or the row's key; the text is one sentence, lower case,
 * no full stop, values quoted.
 */
void diag_at(struct diags *, enum diag_id, const struct conf_span *at,
    const struct conf_obj *obj, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/* The "did you mean" part of the diagnostic just added. */
void diag_hint(struct diags *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* How many were added, those that are not printed included. */
unsigned diag_errors(const struct diags *);
/* The same of warnings; notices count as neither. */
unsigned diag_warnings(const struct diags *);
/* True if one of that id was added (tests, exit codes). */
bool diag_has(const struct diags *, enum diag_id);
/* True if a diagnostic says that the environment is at fault (exit 4). */
bool diag_is_env(const struct diags *);

/* Colours in diag_print; off at first. */
void diag_set_color(struct diags *, bool on);
/* True if fd is a terminal and NO_COLOR is not set. */
bool diag_wants_color(int fd);

/*
 * Prints all, then one summary line: "2 errors, 1 warning" and verdict,
 * which the caller supplies ("configuration NOT loaded; ...").
 */
void diag_print(struct diags *, struct text *, const char *verdict);
/* {"v":1,"errors":..,"warnings":..,"diagnostics":[..]} */
void diag_json(struct diags *, struct text *);

/* "E0102" of an id, its one-sentence fix, or "". */
const char *diag_code(enum diag_id);
const char *diag_fix(enum diag_id);

#endif

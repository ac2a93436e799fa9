/*
 * Always-on assertions.  A failed one is a panic: the text goes to the
 * process's panic buffer (kept in shared memory, so that the master can
 * tell it), then abort(); the master restarts the process.
 */
#ifndef SL_BASE_MUST_H
#define SL_BASE_MUST_H

#include <stddef.h>

#define must(cond)							\
	((cond) ? (void)0 : must_fail(__FILE__, __LINE__, __func__, #cond))

/* Takes a panic text; set once per process by main/, may be NULL. */
typedef void (*must_fn)(const char *text, size_t n);

/* Never returns.  Async-signal-safe as far as the hook is. */
void must_fail(const char *file, int line, const char *func,
    const char *cond) __attribute__((noreturn));

/* Ends the process with a reason that is no broken invariant (no memory). */
void must_die(const char *why) __attribute__((noreturn));

/* The hook that gets the text; NULL for none. */
void must_set_hook(must_fn);

/* malloc and friends that end the process instead of returning NULL. */
void *must_alloc(size_t);
void *must_calloc(size_t n, size_t size);
void *must_realloc(void *, size_t);
/* Gives what is free back to the system; takes as long as that is large. */
void must_trim(void);

#endif

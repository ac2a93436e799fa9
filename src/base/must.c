/*
 * Assertions that stay in, and allocation that cannot fail.  Every process.
 *
 * A panic may come from a signal handler (the watchdog's SIGABRT) or from
 * a heap in ruins, so its text is put together by hand in a buffer on the
 * stack and leaves by write(2): no stdio, no malloc.  The hook then keeps
 * it where the master finds it, and abort() leaves the core.
 */
#include "base/must.h"

#include <stdlib.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define PANIC_MAX	512

struct panic {
	size_t	n;
	char	text[PANIC_MAX];
};

/* The one global of this floor: must() has no context to hang it off. */
static must_fn hook;

/* Leaves room for the newline; what is longer is cut. */
static void
put(struct panic *p, const char *s)
{
	while (*s != '\0' && p->n < sizeof(p->text) - 1)
		p->text[p->n++] = *s++;
}

static void
put_int(struct panic *p, int v)
{
	char		 buf[16];
	char		*at = buf + sizeof(buf) - 1;
	unsigned	 u = v < 0 ? 0 : (unsigned)v;

	*at = '\0';
	do {
		*--at = (char)('0' + u % 10);
		u /= 10;
	} while (u != 0);
	put(p, at);
}

/*
 * The hook sees the text without its newline.  It is taken away first, so
 * that a panic inside the hook ends here and does not come round again.
 */
static void __attribute__((noreturn))
end(struct panic *p)
{
	must_fn	fn = hook;
	ssize_t	ignored;

	hook = NULL;
	p->text[p->n] = '\n';
	ignored = write(STDERR_FILENO, p->text, p->n + 1);
	(void)ignored;
	if (fn != NULL)
		fn(p->text, p->n);
	abort();
}

void
must_fail(const char *file, int line, const char *func, const char *cond)
{
	struct panic	p;

	p.n = 0;
	put(&p, "panic: ");
	put(&p, file);
	put(&p, ":");
	put_int(&p, line);
	put(&p, ": ");
	put(&p, func);
	put(&p, ": ");
	put(&p, cond);
	end(&p);
}

void
must_die(const char *why)
{
	struct panic	p;

	p.n = 0;
	put(&p, "fatal: ");
	put(&p, why);
	end(&p);
}

void
must_set_hook(must_fn fn)
{
	hook = fn;
}

/* malloc(0) may be NULL without a failure: one byte is asked for instead. */
void *
must_alloc(size_t n)
{
	void	*p = malloc(n != 0 ? n : 1);

	if (p == NULL)
		must_die("out of memory");
	return p;
}

void *
must_calloc(size_t n, size_t size)
{
	void	*p = n != 0 && size != 0 ? calloc(n, size) : calloc(1, 1);

	if (p == NULL)
		must_die("out of memory");
	return p;
}

void *
must_realloc(void *old, size_t n)
{
	void	*p = realloc(old, n != 0 ? n : 1);

	if (p == NULL)
		must_die("out of memory");
	return p;
}

void
must_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

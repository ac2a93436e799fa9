/*
 * Named fault points of test builds; empty elsewhere.
 *
 * SLUICE_FAULT is read at the first question and kept in a page that is
 * shared with the children: when the master asks before it forks, a count
 * of one means one process of all.
 */
#include "os/fault.h"

#ifdef SL_FAULTS

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/must.h"
#include "base/str.h"

#define NFAULT	16
#define FOREVER	INT64_MAX

struct fault {
	char		name[48];
	_Atomic int64_t	skip;		/* times it is not to hit before */
	_Atomic int64_t	left;		/* times it is still to hit */
};

/* points[NFAULT]; own: a shared mapping.  Test builds only. */
static struct fault *points;

static int64_t
number(struct str s)
{
	uint64_t	n;

	must(str_to_u64(s, INT32_MAX, &n) == 0);
	return (int64_t)n;
}

static void
parse(struct fault *f, struct str word)
{
	ptrdiff_t	colon = str_find(word, ':', 0);
	ptrdiff_t	plus;
	struct str	name = word;

	atomic_store(&f->left, FOREVER);
	if (colon >= 0) {
		name = str_sub(word, 0, (size_t)colon);
		word = str_sub(word, (size_t)colon + 1, word.n);
		plus = str_find(word, '+', 0);
		if (plus >= 0) {
			atomic_store(&f->skip,
			    number(str_sub(word, 0, (size_t)plus)));
			word = str_sub(word, (size_t)plus + 1, word.n);
		}
		atomic_store(&f->left, number(word));
	}
	must(str_to_c(name, f->name, sizeof(f->name)) == 0);
}

void
fault_init(void)
{
	struct str	rest = str_from(getenv("SLUICE_FAULT"));
	struct str	word;
	void		*p;

	if (points != NULL)
		return;
	p = mmap(NULL, NFAULT * sizeof(*points), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(p != MAP_FAILED);
	points = p;
	for (unsigned i = 0; i < NFAULT && str_word(&rest, ",", &word); i++)
		parse(&points[i], word);
}

bool
fault_hit(const char *name)
{
	struct fault	*f;

	fault_init();
	for (f = points; f < points + NFAULT && f->name[0] != '\0'; f++) {
		if (strcmp(f->name, name) != 0)
			continue;
		if (atomic_load(&f->left) == FOREVER)
			return true;
		if (atomic_fetch_sub(&f->skip, 1) > 0)
			return false;
		return atomic_fetch_sub(&f->left, 1) > 0;
	}
	return false;
}

#endif

/*
 * Range fields against a size, which is the first eight bytes: every range
 * lies within it, and all of them have no more bytes than there are.  The
 * rest serves as a date, too: what is read is written and read again.
 */
#include "base/must.h"
#include "http/date.h"
#include "http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_range(struct str in, uint64_t size)
{
	struct range	v[RANGE_MAX];
	uint64_t	sum = 0;
	unsigned	n;
	unsigned	i;
	enum range_rc	rc = range_parse(in, size, v, &n);

	must(n <= RANGE_MAX);
	must(rc != RANGE_OK || n > 0);
	for (i = 0; rc == RANGE_OK && i < n; i++) {
		must(v[i].first <= v[i].last && v[i].last < size);
		must(v[i].last - v[i].first < size - sum);
		sum += v[i].last - v[i].first + 1;
	}
}

static void
check_date(struct str in, uint64_t now)
{
	char	text[DATE_LEN];
	int64_t	one;
	int64_t	two;

	date_format((int64_t)now, text);
	must(date_parse(str_make(text, DATE_LEN), 0, &one) == 0);
	date_iso(now, text);
	if (date_parse(in, (int64_t)now, &one) < 0)
		return;
	date_format(one, text);
	/* a leap second at the end of time is cut off */
	must(date_parse(str_make(text, DATE_LEN), 0, &two) == 0);
	must(one == two || one == two + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str	in = str_make((const char *)p, n);
	uint64_t	size;

	if (n < sizeof(size))
		return 0;
	memcpy(&size, p, sizeof(size));
	in = str_sub(in, sizeof(size), n);
	check_range(in, size);
	check_date(in, size);
	return 0;
}

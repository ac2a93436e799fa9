/*
 * How many workers should run: what the scheduler lets this process use.
 * Master and tools, at start and reload.
 *
 * Two things bound it: the affinity mask, and the quota of the control
 * group and of each group above it (cgroup v2: cpu.max "QUOTA PERIOD" in
 * microseconds or "max"; v1: two files).  A quota of 1.5 processors gives
 * two workers: a rounded down one would leave half a processor idle.
 */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "core/settings.h"

#define CGROUP		"/sys/fs/cgroup"
#define CPUS_MAX	256	/* workers at most */

static struct str
read_small(const char *path, char *buf, size_t size)
{
	int	fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t	n;

	if (fd == -1)
		return STR_NONE;
	n = read(fd, buf, size);
	close(fd);
	return n <= 0 ? STR_NONE : str_make(buf, (size_t)n);
}

/* Processors of a quota, rounded up; UINT_MAX: none. */
static unsigned
count_quota(struct str quota, struct str period)
{
	uint64_t	q, p;

	if (str_to_u64(quota, INT64_MAX / 2, &q) == -1 ||
	    str_to_u64(period, INT64_MAX / 2, &p) == -1 || p == 0 || q == 0)
		return UINT_MAX;
	q = (q + p - 1) / p;
	return q < UINT_MAX ? (unsigned)q : UINT_MAX;
}

/* The group's own cpu.max; path begins with a slash. */
static unsigned
quota_of(struct str path)
{
	char		name[PATH_MAX], buf[128];
	struct str	s, quota, period;

	if (snprintf(name, sizeof(name), CGROUP "%.*s/cpu.max",
	    STR_FMT(path)) >= (int)sizeof(name))
		return UINT_MAX;
	s = read_small(name, buf, sizeof(buf));
	if (!str_word(&s, " \n", &quota) || !str_word(&s, " \n", &period))
		return UINT_MAX;
	return count_quota(quota, period);
}

/* "0::/a/b": the least of /a/b, /a and the root. */
static unsigned
quota_v2(void)
{
	char		buf[PATH_MAX];
	struct str	s = read_small("/proc/self/cgroup", buf, sizeof(buf));
	struct str	line, path = STR("");
	unsigned	least, q;

	while (str_word(&s, "\n", &line))
		if (str_starts(line, STR("0::/")))
			path = str_sub(line, 3, line.n);
	least = quota_of(STR(""));
	while (path.n > 1) {
		q = quota_of(path);
		least = q < least ? q : least;
		while (path.n > 0 && path.p[path.n - 1] != '/')
			path.n--;
		path.n -= path.n > 0;
	}
	return least;
}

static unsigned
quota_v1(void)
{
	char		a[64], b[64];
	struct str	quota, period;

	quota = read_small(CGROUP "/cpu/cpu.cfs_quota_us", a, sizeof(a));
	period = read_small(CGROUP "/cpu/cpu.cfs_period_us", b, sizeof(b));
	while (quota.n > 0 && quota.p[quota.n - 1] == '\n')
		quota.n--;
	while (period.n > 0 && period.p[period.n - 1] == '\n')
		period.n--;
	return count_quota(quota, period);
}

static unsigned
count_cpus(void)
{
	cpu_set_t	set;
	long		n;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)CPU_COUNT(&set);
	/* More processors than the mask has bits. */
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

unsigned
settings_workers(const struct conf *c)
{
	unsigned	n, q;

	if (settings_get(c)->workers != 0)
		return (unsigned)settings_get(c)->workers;
	n = count_cpus();
	q = quota_v2();
	n = q < n ? q : n;
	q = quota_v1();
	n = q < n ? q : n;
	n = n < CPUS_MAX ? n : CPUS_MAX;
	return n > 0 ? n : 1;
}

/*
 * Domains and dots of resolv.conf.  Control process.
 *
 * c-ares reads them, too, but newer versions tell only what their caller
 * had set before.
 */
#include "control/search.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX	16384	/* of resolv.conf */
#define HOST_MAX	256
#define SEPS		" \t,"

/* One that is no name of a domain is left out; the root says nothing. */
static void
add_domain(struct search *s, struct str d)
{
	if (d.n > 0 && d.p[d.n - 1] == '.')
		d = str_sub(d, 0, d.n - 1);
	if (d.n == 0 || s->n == SEARCH_DOMAINS ||
	    str_to_c(d, s->domain[s->n], DNS_NAME) == -1)
		return;
	s->n++;
}

static void
set_domains(struct search *s, struct str list)
{
	struct str	d;

	s->n = 0;
	while (str_word(&list, SEPS, &d))
		add_domain(s, d);
}

static void
set_options(struct search *s, struct str list)
{
	struct str	w;
	uint64_t	n;

	while (str_word(&list, SEPS, &w)) {
		if (!str_starts(w, STR("ndots:")) ||
		    str_to_u64(str_sub(w, 6, w.n), UINT32_MAX, &n) == -1)
			continue;
		s->ndots = n > SEARCH_NDOTS ? SEARCH_NDOTS : (unsigned)n;
		s->has_ndots = true;
	}
}

/* The last of several lines holds. */
void
search_read(struct search *s, struct str text)
{
	bool		may_domains = !s->has_domains;
	bool		may_ndots = !s->has_ndots;
	struct str	line, key;

	while (str_word(&text, "\n", &line)) {
		if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';' ||
		    !str_word(&line, SEPS, &key))
			continue;
		if (str_eq(key, STR("search")) && may_domains) {
			set_domains(s, line);
			s->has_domains = true;
		} else if (str_eq(key, STR("domain")) && may_domains) {
			if (str_word(&line, SEPS, &key))
				set_domains(s, key);
			s->has_domains = true;
		} else if (str_eq(key, STR("options")) && may_ndots)
			set_options(s, line);
	}
}

static void
read_file(struct search *s, const char *path)
{
	char	 buf[FILE_MAX];
	size_t	 n = 0;
	ssize_t	 rc;
	int	 fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return;
	while (n < sizeof(buf) && (rc = read(fd, buf + n,
	    sizeof(buf) - n)) > 0)
		n += (size_t)rc;
	close(fd);
	search_read(s, str_make(buf, n));
}

void
search_load(struct search *s, const char *path)
{
	const char	*domains = getenv("LOCALDOMAIN");
	const char	*options = getenv("RES_OPTIONS");
	const char	*dot;
	char		 host[HOST_MAX];

	memset(s, 0, sizeof(*s));
	s->ndots = 1;
	if (domains != NULL) {
		set_domains(s, str_from(domains));
		s->has_domains = true;
	}
	if (options != NULL)
		set_options(s, str_from(options));
	read_file(s, path);
	if (s->has_domains || gethostname(host, sizeof(host)) == -1)
		return;
	host[sizeof(host) - 1] = '\0';
	dot = strchr(host, '.');
	if (dot != NULL)
		add_domain(s, str_from(dot + 1));
}

static unsigned
count_dots(const char *name)
{
	unsigned	n = 0;

	for (; *name != '\0'; name++)
		n += *name == '.';
	return n;
}

/* name and domain with a dot between; false: that is too long. */
static bool
join(const char *name, const char *domain, char out[DNS_NAME])
{
	int	n = snprintf(out, DNS_NAME, "%s%s%s", name,
	    domain[0] != '\0' ? "." : "", domain);

	return n > 0 && n < DNS_NAME - 1;
}

bool
search_name(const struct search *s, const char *name, unsigned nth,
    char out[DNS_NAME])
{
	size_t		len = strlen(name);
	unsigned	plain, fit = 0;

	if (len > 0 && name[len - 1] == '.')
		return nth == 0 && str_to_c(str_make(name, len - 1), out,
		    DNS_NAME) == 0;
	/* the plain name goes first if it has dots enough, else last */
	plain = count_dots(name) >= s->ndots ? 0 : s->n;
	for (unsigned i = 0; i <= s->n; i++)
		if (join(name, i == plain ? "" :
		    s->domain[i > plain ? i - 1 : i], out) && fit++ == nth)
			return true;
	return false;
}

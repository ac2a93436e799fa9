/*
 * Answers of name servers.  The first byte chooses the type of records.
 * Addresses are in order, names of hosts have only their bytes, and
 * lengths stay in their bounds.
 */
#include <string.h>

#include "base/must.h"
#include "control/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_host(const char *s)
{
	size_t	n = strnlen(s, DNS_NAME);

	must(n > 0 && n < DNS_NAME && s[0] != '.' && s[n - 1] != '.');
	for (size_t i = 0; i < n; i++)
		must((s[i] >= 'a' && s[i] <= 'z') ||
		    (s[i] >= '0' && s[i] <= '9') || s[i] == '-' ||
		    s[i] == '_' || (s[i] == '.' && s[i + 1] != '.'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const enum dns_type	types[] = { DNS_A, DNS_AAAA, DNS_SRV };
	static struct dns_answer	a;
	enum dns_type			type;

	if (n == 0)
		return 0;
	type = types[p[0] % 3];
	if (dns_parse(p + 1, n - 1, type, &a) == -1)
		return 0;
	must(a.n <= DNS_RECORDS && a.ttl <= INT32_MAX);
	must(!a.cut || a.n == DNS_RECORDS);
	for (unsigned i = 1; i < a.n && type != DNS_SRV; i++)
		must(memcmp(a.rec[i - 1].ip, a.rec[i].ip, 16) <= 0);
	for (unsigned i = 0; i < a.n && type == DNS_SRV; i++)
		check_host(a.rec[i].host);
	return 0;
}

/*
 * Priorities (RFC 9218 4, a dictionary of RFC 8941 3.2).  Workers.
 *
 * Of the dictionary two members are known, u and i; others, and parameters
 * of these, are passed over.
 */
#include "codec/h2/h2_priority.h"

/* "u=3" or "i" or "i=?0", without parameters. */
static void
read_member(struct str s, struct h2_priority *p)
{
	if (s.n == 3 && s.p[0] == 'u' && s.p[1] == '=' && s.p[2] >= '0' &&
	    s.p[2] <= '0' + H2_URGENCY_MAX)
		p->urgency = (uint8_t)(s.p[2] - '0');
	else if (str_eq(s, STR("i")) || str_eq(s, STR("i=?1")))
		p->incremental = true;
	else if (str_eq(s, STR("i=?0")))
		p->incremental = false;
}

void
h2_priority_parse(struct str s, struct h2_priority *p)
{
	struct str	word, member;

	while (str_word(&s, ",", &word)) {
		word = str_trim(word);
		if (str_word(&word, ";", &member))
			read_member(str_trim(member), p);
	}
}

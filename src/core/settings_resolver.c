/*
 * [sluice] resolver.  Builder.
 */
#include "core/settings.h"

#include "conf/load.h"
#include "os/sock.h"

#define PORT_DNS	53

/* Why nobody can be asked there, or NULL. */
static const char *
check_addr(const struct sock_addr *a)
{
	switch (a->u.sa.sa_family) {
	case AF_INET:
		return a->u.in4.sin_port == 0 ? "port 0 cannot be asked" :
		    a->u.in4.sin_addr.s_addr == INADDR_ANY ?
		    "a resolver needs an address" : NULL;
	case AF_INET6:
		return a->u.in6.sin6_port == 0 ? "port 0 cannot be asked" :
		    NULL;
	default:
		return "a resolver is asked over UDP and TCP";
	}
}

int
settings_parse_resolver(struct conf_load *load, const struct conf_row *row,
    void *dst, const struct conf_item *items, size_t n)
{
	struct str		 rest, word;
	struct sock_addr	 a;
	struct conf_span	 sp;
	struct text		 t;
	struct err		 e;
	const char		*why;
	int			 rc = 0;

	text_init(&t);
	for (size_t i = 0; i < n; i++)
		for (rest = items[i].val; str_word(&rest, " \t,", &word);) {
			why = sock_parse(word, PORT_DNS, &a, &e) == -1 ?
			    e.text : check_addr(&a);
			if (why == NULL) {
				text_add(&t, t.n > 0 ? STR(",") : STR(""));
				sock_text(&t, &a);
				continue;
			}
			sp = conf_word_span(&items[i], word);
			diag_at(conf_load_diags(load), DIAG_VALUE_ADDR, &sp,
			    NULL, row->key, "%s", why);
			rc = -1;
		}
	*(struct str *)dst = arena_dup(conf_load_arena(load), text_str(&t));
	text_fini(&t);
	return rc;
}

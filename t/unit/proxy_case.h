/* One gateway per test and one route to its server 0, for test_proxy*.c. */
#ifndef SL_T_PROXY_CASE_H
#define SL_T_PROXY_CASE_H

#include "proxy_env.h"

#define N(a)	((int)(sizeof(a) / sizeof((a)[0])))

#define GET(target) \
	"GET " target " HTTP/1.1\r\nHost: a.example\r\n\r\n"
#define OK_SMALL \
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static struct env	env;
static struct env	*const t = &env;

static inline void
setup(void)
{
	env_init(t);
}

static inline void
teardown(void)
{
	env_fini(t);
}

/* One route that forwards all to server 0. */
static inline void
start_one(const char *more)
{
	char	keys[512];

	snprintf(keys, sizeof(keys), "[route r]\npath = /*\nupstream = u\n"
	    "[upstream u]\nserver = $0\n%s", more);
	env_start(t, keys);
}

static inline void
ck_has(const char *head, const char *want)
{
	ck_assert_msg(strstr(head, want) != NULL, "no \"%s\" in \"%s\"",
	    want, head);
}

static inline void
ck_lacks(const char *head, const char *what)
{
	ck_assert_msg(strcasestr(head, what) == NULL, "\"%s\" in \"%s\"",
	    what, head);
}

/* Answers the next request of a server's connection. */
static inline void
serve_one(struct peer *s, const char *answer)
{
	peer_head(t, s);
	peer_send(t, s, answer);
}

#endif

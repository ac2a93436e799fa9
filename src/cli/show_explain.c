/*
 * What explain found, as text: a line for each station of the request.
 * sluicectl.
 */
#include "cli/int.h"

#include <time.h>

#define OTHERS_SHOWN	8

static void
begin(struct show *s, const char *what)
{
	text_fmt(&s->out, "%-10s", what);
}

static void
add_request(struct show *s, const json_t *r)
{
	begin(s, "request");
	show_safe(s, r, "method");
	text_add(&s->out, str_eq(show_str(r, "scheme"), STR("https")) ?
	    STR(" https://") : STR(" "));
	show_safe(s, r, "host");
	show_safe(s, r, "path");
	if (show_str(r, "query").n > 0) {
		text_c(&s->out, '?');
		show_safe(s, r, "query");
	}
	text_add(&s->out, STR(" from "));
	show_safe(s, r, "from");
	if (show_str(r, "proxy").n > 0) {
		text_add(&s->out, STR(" over proxy "));
		show_safe(s, r, "proxy");
	}
	text_c(&s->out, '\n');
}

static void
add_listener(struct show *s, const json_t *l)
{
	begin(s, "listener");
	if (!json_is_object(l)) {
		text_add(&s->out, STR("none\n"));
		return;
	}
	show_safe(s, l, "name");
	text_c(&s->out, ' ');
	show_safe(s, l, "address");
	if (json_is_true(json_object_get(l, "guessed")))
		text_add(&s->out, STR("   (no listener has the URL's port; "
		    "this is the first)"));
	if (show_str(l, "note").n > 0) {
		text_add(&s->out, STR("   "));
		show_paint(s, SHOW_BAD, show_str(l, "note"));
	}
	text_c(&s->out, '\n');
}

/* The words of an array, with what stands between. */
static void
add_words(struct show *s, const json_t *all, const char *between)
{
	const char	*p;

	for (size_t i = 0; i < json_array_size(all); i++) {
		p = json_string_value(json_array_get(all, i));
		text_fmt(&s->out, "%s", i > 0 ? between : "");
		text_safe(&s->out, str_from(p != NULL ? p : ""));
	}
}

/* "one (ECDSA, until 2027-01-31, by its wildcard)" */
static void
add_cert(struct show *s, const json_t *c)
{
	time_t		at = (time_t)json_integer_value(
	    json_object_get(c, "until"));
	struct tm	tm;
	char		day[32] = "?";

	if (gmtime_r(&at, &tm) != NULL)
		strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	if (json_is_true(json_object_get(c, "dev")))
		text_add(&s->out, STR("of development"));
	else
		show_safe(s, c, "cert");
	text_add(&s->out, STR(" ("));
	show_safe(s, c, "kind");
	text_fmt(&s->out, ", until %s, by ", day);
	show_safe(s, c, "match");
	text_c(&s->out, ')');
}

static void
add_shaken(struct show *s, const json_t *t)
{
	const json_t	*certs = json_object_get(t, "certs");

	text_add(&s->out, STR(": "));
	add_words(s, json_object_get(t, "versions"), " ");
	text_add(&s->out, STR(", by "));
	show_safe(s, t, "policy");
	text_add(&s->out, show_str(t, "policy").n > 0 ? STR("") :
	    STR("the listener"));
	text_add(&s->out, STR(", ALPN "));
	add_words(s, json_object_get(t, "alpn"), " ");
	if (!str_eq(show_str(t, "client"), STR("off"))) {
		text_add(&s->out, STR(", client certificate "));
		show_safe(s, t, "client");
	}
	text_c(&s->out, '\n');
	begin(s, "cert");
	for (size_t i = 0; i < json_array_size(certs); i++) {
		text_add(&s->out, i > 0 ? STR(", ") : STR(""));
		add_cert(s, json_array_get(certs, i));
	}
	text_add(&s->out, json_array_size(certs) == 0 ? STR("none\n") :
	    STR("\n"));
	if (show_str(t, "hsts").n == 0)
		return;
	begin(s, "hsts");
	show_safe(s, t, "hsts");
	text_c(&s->out, '\n');
}

static void
add_tls(struct show *s, const json_t *t)
{
	if (!json_is_object(t))
		return;
	begin(s, "tls");
	show_safe(s, t, "name");
	text_add(&s->out, show_str(t, "name").n > 0 ? STR("") :
	    STR("no name"));
	if (!json_is_true(json_object_get(t, "passed"))) {
		add_shaken(s, t);
		return;
	}
	text_add(&s->out, STR(" is passed on: the connection is not opened "
	    "here\n"));
}

static void
add_redirect(struct show *s, const json_t *r)
{
	begin(s, "redirect");
	text_fmt(&s->out, "%llu ", show_num(r, "status"));
	show_safe(s, r, "location");
	text_add(&s->out, STR("   ("));
	show_safe(s, r, "by");
	text_add(&s->out, STR(")\n"));
}

/* What a route asks of the client's certificate. */
static void
add_client(struct show *s, const json_t *c)
{
	const json_t	*sans = json_object_get(c, "sans");
	size_t		 n = json_array_size(json_object_get(c,
	    "fingerprints"));

	if (!json_is_object(c))
		return;
	begin(s, "client");
	text_add(&s->out, STR("a certificate is needed"));
	if (json_array_size(sans) > 0)
		text_add(&s->out, STR(", for "));
	add_words(s, sans, " or ");
	if (n > 0)
		text_fmt(&s->out, ", one of %zu fingerprints", n);
	text_c(&s->out, '\n');
}

/* "legacy: method no" */
static void
add_failed(struct show *s, const json_t *c)
{
	show_safe(s, c, "route");
	text_add(&s->out, STR(": "));
	show_safe(s, c, "failed");
	text_add(&s->out, STR(" no"));
}

/* Those that were tried before the route, in that order. */
static void
add_tried(struct show *s, const json_t *all)
{
	const json_t	*c;
	size_t		 n = 0;

	for (size_t i = 0; i < json_array_size(all); i++) {
		c = json_array_get(all, i);
		if (!json_is_string(json_object_get(c, "failed")))
			break;
		if (n++ == 0)
			begin(s, "tried");
		else
			text_add(&s->out, STR(", "));
		add_failed(s, c);
	}
	if (n > 0)
		text_c(&s->out, '\n');
}

/* What would come next if the route were not there. */
static void
add_later(struct show *s, const json_t *all)
{
	size_t	n = 0;

	for (size_t i = 0; i < json_array_size(all); i++) {
		if (!json_is_true(json_object_get(json_array_get(all, i),
		    "later")))
			continue;
		if (n++ == 0)
			begin(s, "fits too");
		else
			text_add(&s->out, STR(", "));
		show_safe(s, json_array_get(all, i), "route");
	}
	if (n > 0)
		text_c(&s->out, '\n');
}

static void
add_others(struct show *s, const json_t *all)
{
	size_t	n = json_array_size(all);

	if (n == 0)
		return;
	begin(s, "others");
	for (size_t i = 0; i < n && i < OTHERS_SHOWN; i++) {
		if (i > 0)
			text_add(&s->out, STR(", "));
		add_failed(s, json_array_get(all, i));
	}
	if (n > OTHERS_SHOWN)
		text_fmt(&s->out, " and %zu more", n - OTHERS_SHOWN);
	text_c(&s->out, '\n');
}

static void
add_route(struct show *s, const json_t *r)
{
	begin(s, "route");
	show_paint(s, SHOW_GOOD, show_str(r, "name"));
	if (show_num(r, "line") > 0) {
		text_add(&s->out, STR("   ("));
		show_safe(s, r, "file");
		text_fmt(&s->out, ":%llu)", show_num(r, "line"));
	}
	text_c(&s->out, '\n');
}

/* Health answers without a route, too. */
static void
add_none(struct show *s, bool bad)
{
	begin(s, "route");
	show_paint(s, bad ? SHOW_BAD : SHOW_PLAIN, STR("none"));
	text_c(&s->out, '\n');
}

static void
add_answer(struct show *s, const json_t *a)
{
	begin(s, "answer");
	/* a handshake that is refused has none */
	if (show_num(a, "status") > 0)
		text_fmt(&s->out, "%llu ", show_num(a, "status"));
	if (show_str(a, "grpc_status").n > 0) {
		text_fmt(&s->out, "with grpc-status %llu, ",
		    show_num(a, "grpc_code"));
		show_safe(s, a, "grpc_status");
		text_add(&s->out, STR("; "));
	}
	show_safe(s, a, "fail");
	text_add(&s->out, STR(": "));
	show_safe(s, a, "text");
	if (show_str(a, "allow").n > 0) {
		text_add(&s->out, STR(" (Allow: "));
		show_safe(s, a, "allow");
		text_c(&s->out, ')');
	}
	text_c(&s->out, '\n');
}

static void
add_filters(struct show *s, const json_t *all)
{
	const json_t	*f;

	if (json_array_size(all) == 0)
		return;
	begin(s, "use");
	for (size_t i = 0; i < json_array_size(all); i++) {
		f = json_array_get(all, i);
		if (i > 0)
			text_add(&s->out, STR(" -> "));
		show_safe(s, f, "filter");
		if (show_str(f, "name").n > 0) {
			text_c(&s->out, ':');
			show_safe(s, f, "name");
		}
	}
	text_c(&s->out, '\n');
}

static void
add_handler(struct show *s, const json_t *h)
{
	const json_t	*all = json_object_get(h, "settings"), *one;

	begin(s, "handler");
	show_safe(s, h, "name");
	for (size_t i = 0; i < json_array_size(all); i++) {
		one = json_array_get(all, i);
		text_add(&s->out, i == 0 ? STR(": ") : STR(", "));
		show_safe(s, one, "key");
		text_add(&s->out, STR(" = "));
		show_safe(s, one, "value");
	}
	text_c(&s->out, '\n');
}

/* "10.0.0.5:80 weight 2, 3 under way" */
static void
add_candidate(struct show *s, const json_t *c)
{
	show_safe(s, c, "server");
	text_fmt(&s->out, " weight %g, %llu under way",
	    json_real_value(json_object_get(c, "weight")),
	    show_num(c, "active"));
}

static void
add_choice(struct show *s, const json_t *u)
{
	const json_t	*in = json_object_get(u, "candidates");
	const json_t	*out = json_object_get(u, "passed_over"), *c;
	size_t		 i;

	if (show_str(u, "tier").n > 0) {
		begin(s, "asked");
		show_safe(s, u, "tier");
		text_add(&s->out, STR(": "));
	}
	for (i = 0; i < json_array_size(in) && i < OTHERS_SHOWN; i++) {
		text_add(&s->out, i == 0 ? STR("") : STR("; "));
		add_candidate(s, json_array_get(in, i));
	}
	if (json_array_size(in) > i)
		text_fmt(&s->out, " and %zu more", json_array_size(in) - i);
	if (show_str(u, "tier").n > 0)
		text_c(&s->out, '\n');
	for (i = 0; i < json_array_size(out) && i < OTHERS_SHOWN; i++) {
		if (i == 0)
			begin(s, "not asked");
		c = json_array_get(out, i);
		text_add(&s->out, i == 0 ? STR("") : STR(", "));
		show_safe(s, c, "server");
		text_add(&s->out, STR(" ("));
		show_safe(s, c, "why");
		text_c(&s->out, ')');
	}
	if (json_array_size(out) > i)
		text_fmt(&s->out, " and %zu more", json_array_size(out) - i);
	if (json_array_size(out) > 0)
		text_c(&s->out, '\n');
	if (show_str(u, "rule").n == 0)
		return;
	begin(s, "choice");
	show_safe(s, u, "rule");
	text_c(&s->out, '\n');
}

/* "cookie    sluice_app -> 10.0.0.5:80: its server is asked" */
static void
add_cookie(struct show *s, const json_t *c)
{
	if (!json_is_object(c))
		return;
	begin(s, "cookie");
	show_safe(s, c, "cookie");
	if (show_str(c, "server").n > 0) {
		text_add(&s->out, STR(" -> "));
		show_safe(s, c, "server");
	}
	text_add(&s->out, STR(": "));
	show_safe(s, c, "text");
	if (show_str(c, "upstream").n > 0) {
		text_add(&s->out, STR(" (upstream "));
		show_safe(s, c, "upstream");
		text_c(&s->out, ')');
	}
	if (json_is_true(json_object_get(c, "renew")))
		text_add(&s->out, STR("; it is renewed"));
	text_c(&s->out, '\n');
}

/* The servers on the way of the key, as far as they are known. */
static void
add_way(struct show *s, const json_t *all)
{
	const json_t	*one;
	const char	*how;

	for (size_t i = 0; i < json_array_size(all); i++) {
		one = json_array_get(all, i);
		how = json_string_value(json_object_get(one, "how"));
		text_add(&s->out, i == 0 ? STR(" -> ") : STR(", then "));
		show_safe(s, one, "server");
		if (how != NULL && strcmp(how, "over") == 0)
			text_add(&s->out, STR(" (has too much)"));
		else if (how != NULL && strcmp(how, "out") == 0)
			text_add(&s->out, STR(" (not asked)"));
	}
}

static void
add_key(struct show *s, const json_t *h)
{
	if (!json_is_object(h))
		return;
	begin(s, "key");
	show_safe(s, h, "key");
	text_add(&s->out, STR(" (by "));
	show_safe(s, h, "by");
	text_c(&s->out, ')');
	add_way(s, json_object_get(h, "order"));
	text_add(&s->out, STR("; "));
	show_safe(s, h, "text");
	text_c(&s->out, '\n');
}

/* The upstream that the route names, or one that follows. */
static void
add_upstream(struct show *s, const json_t *u, const char *label)
{
	const json_t	*all = json_object_get(u, "servers");

	begin(s, label);
	show_safe(s, u, "name");
	text_add(&s->out, STR("   "));
	show_safe(s, u, "balance");
	text_add(&s->out, STR(": "));
	add_words(s, all, ", ");
	if (show_str(u, "next").n > 0) {
		text_add(&s->out, STR(" -> "));
		show_safe(s, u, "next");
	}
	text_c(&s->out, '\n');
	add_choice(s, u);
	add_cookie(s, json_object_get(u, "sticky"));
	add_key(s, json_object_get(u, "hash"));
}

/* What answers when no server of those before it can. */
static void
add_fallback(struct show *s, const json_t *f)
{
	bool	now = json_is_true(json_object_get(f, "now"));

	if (json_is_object(json_object_get(f, "upstream"))) {
		add_upstream(s, json_object_get(f, "upstream"), now ?
		    "now" : "fallback");
		return;
	}
	begin(s, now ? "now" : "fallback");
	text_add(&s->out, STR("page "));
	show_safe(s, f, "page");
	text_fmt(&s->out, ", status %llu\n", show_num(f, "status"));
}

static void
add_upstreams(struct show *s, const json_t *u)
{
	const json_t	*f;

	if (!json_is_object(u))
		return;
	add_upstream(s, u, "upstream");
	while (json_is_object(f = json_object_get(u, "fallback"))) {
		add_fallback(s, f);
		u = json_object_get(f, "upstream");
	}
}

void
show_explain(struct show *s, const json_t *j)
{
	const json_t	*route = json_object_get(j, "route");
	const json_t	*tried = json_object_get(j, "candidates");
	const json_t	*handler = json_object_get(j, "handler");

	add_request(s, json_object_get(j, "request"));
	add_listener(s, json_object_get(j, "listener"));
	add_tls(s, json_object_get(j, "tls"));
	add_tried(s, tried);
	if (json_is_object(route)) {
		add_route(s, route);
		add_client(s, json_object_get(j, "client"));
		add_filters(s, json_object_get(j, "filters"));
		add_handler(s, handler);
		add_upstreams(s, json_object_get(j, "upstream"));
	} else if (json_is_object(handler)) {
		add_none(s, false);
		add_handler(s, handler);
		if (json_is_object(json_object_get(j, "redirect")))
			add_redirect(s, json_object_get(j, "redirect"));
	} else {
		add_none(s, true);
		add_answer(s, json_object_get(j, "answer"));
	}
	add_later(s, tried);
	add_others(s, json_object_get(j, "others"));
}

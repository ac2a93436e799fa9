/*
 * What servers are told beside the request itself.  Builder.
 */
#include "up/told.h"

#include "http/uri.h"

int
told_parse_host(struct conf_load *load, const struct conf_row *row,
    void *dst, const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct told_host	*h = dst;
	struct conf_span	 sp;
	struct str		 host;
	int			 port;

	h->how = HOST_TEXT;
	if (str_eq(it->val, STR("preserve")))
		h->how = HOST_PRESERVE;
	else if (str_eq(it->val, STR("server")))
		h->how = HOST_SERVER;
	else if (uri_parse_host(it->val, &host, &port) == FAIL_NONE &&
	    host.n > 0)
		h->text = arena_dup(conf_load_arena(load), it->val);
	else {
		sp = conf_word_span(it, it->val);
		diag_at(conf_load_diags(load), DIAG_VALUE_CHOICE, &sp, NULL,
		    row->key, "\"%.*s\": this is neither preserve nor "
		    "server nor a host", STR_FMT(str_sub(it->val, 0, 80)));
		return -1;
	}
	return 0;
}

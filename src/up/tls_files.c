/*
 * Who names files of TLS.  Master, control.
 */
#include "up/tls_files.h"

#include "tls/cert.h"
#include "tls/terms.h"
#include "up/server_tls.h"

struct walk {
	void		(*on)(void *, const struct tls_file *);
	void		*ctx;
};

static void
give(const struct walk *w, struct tls_file f)
{
	if (f.path.n > 0)
		w->on(w->ctx, &f);
}

static void
give_terms(const struct walk *w, const struct conf_obj *o,
    const struct tls_terms *t)
{
	give(w, (struct tls_file){ TLS_FILE_CA, t->ca_file, o, t->cas.from,
	    t->cas.until });
	give(w, (struct tls_file){ TLS_FILE_CRL, t->crl_file, o,
	    t->crls.from, t->crls.until });
}

static void
give_upstream(const struct walk *w, const struct conf_obj *o,
    const struct server_tls_conf *t)
{
	const struct tls_cert	*c = t->client.pair;

	give(w, (struct tls_file){ TLS_FILE_SERVER_CA, t->ca, o, 0,
	    t->ca_until });
	give(w, (struct tls_file){ TLS_FILE_SHOWN, t->cert, o,
	    c != NULL ? c->from : 0, c != NULL ? c->until : 0 });
	give(w, (struct tls_file){ TLS_FILE_KEY, t->key, o, 0, 0 });
}

void
tls_files_each(const struct conf *c,
    void (*on)(void *, const struct tls_file *), void *ctx)
{
	struct walk			 w = { on, ctx };
	const struct tls_terms		*t;
	const struct server_tls_conf	*s;
	struct conf_objs		 all;

	for (size_t i = 0; conf_sections[i] != NULL; i++) {
		all = conf_all(c, conf_sections[i]);
		for (size_t k = 0; k < all.n; k++) {
			t = conf_part(all.v[k], &tls_terms_group);
			s = conf_part(all.v[k], &server_tls_group);
			if (t != NULL && t->client != TLS_CLIENT_OFF)
				give_terms(&w, all.v[k], t);
			if (s != NULL && s->used)
				give_upstream(&w, all.v[k], s);
		}
	}
}

const char *
tls_files_word(enum tls_file_kind k)
{
	static const char *const	words[TLS_FILE_NKIND] = {
		[TLS_FILE_CA] = "client_ca", [TLS_FILE_CRL] = "client_crl",
		[TLS_FILE_SERVER_CA] = "server_ca",
		[TLS_FILE_SHOWN] = "shown", [TLS_FILE_KEY] = "key"
	};

	return words[k];
}

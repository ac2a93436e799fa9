/*
 * [cert NAME], and keys of [sluice] and [limits] that are about them.
 * Builder and tools.
 */
#include "tls/cert_conf.h"

#include "tls/int.h"

#define AT(member)	offsetof(struct cert_conf, member)

/* Either cert, with the keys that belong to it, or directory. */
static int
link_cert(struct conf_load *load, struct conf_obj *obj, void *part)
{
	static const char *const	 alone[] = { "cert", "key", "names" };
	const struct cert_conf		*cc = part;
	const struct conf_item		*it;

	if (cc->directory.n == 0 && cc->cert.n > 0)
		return 0;
	if (cc->directory.n == 0) {
		struct conf_span	at = conf_obj_span(obj);

		diag_at(conf_load_diags(load), DIAG_KEY_MISSING, &at, obj,
		    "cert", "cert \"%.*s\" has neither cert nor directory",
		    STR_FMT(obj->name));
		return -1;
	}
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		it = conf_item(load, obj, alone[i]);
		if (it == NULL)
			continue;
		diag_at(conf_load_diags(load), DIAG_CERT_BOTH, &it->kspan,
		    obj, alone[i], "%s has no meaning beside directory",
		    alone[i]);
		return -1;
	}
	return 0;
}

static const struct conf_row rows[] = {
	{
		.key = "cert", .type = CONF_PATH, .off = AT(cert), .min = 1,
		.max = 1024, .example = "/etc/ssl/a.example.crt",
		.text = "File of the certificate in PEM, behind it those "
		    "that sign it, each by the next; the root may be left "
		    "out.  RSA from 2048 bits, ECDSA on P-256, P-384 and "
		    "P-521, and Ed25519."
	}, {
		.key = "key", .type = CONF_PATH, .off = AT(key), .min = 1,
		.max = 1024, .example = "/etc/ssl/private/a.example.key",
		.text = "File of the private key in PEM: PKCS#8, PKCS#1 or "
		    "SEC1.  Without it the key stands in the file of the "
		    "certificate.  It is read with root's rights, at start and "
		    "at each reload; those who serve get what it says, not "
		    "the file."
	}, {
		.key = "passphrase", .type = CONF_STR, .off = AT(passphrase),
		.min = 1, .max = 1024, .flags = CONF_F_SECRET,
		.example = "${file:/run/secrets/key}",
		.text = "What opens an encrypted key: ${file:PATH} or "
		    "${env:NAME} keep it out of this file."
	}, {
		.key = "names", .type = CONF_LIST, .off = AT(names),
		.example = "a.example *.a.example",
		.text = "Names that the certificate is used for, each of "
		    "which it must have; those with other letters than "
		    "ASCII as xn--...  *. stands for one label.  Without "
		    "the key: all names that it has.  A name may have a "
		    "certificate of each kind (RSA, ECDSA, Ed25519); of two "
		    "of a kind the one whose names say so is used, else the "
		    "one that is valid for longer."
	}, {
		.key = "default", .type = CONF_BOOL, .off = AT(fallback),
		.def = "off", .example = "on",
		.text = "Whether it serves clients that name no host, or one "
		    "without a certificate; one of each kind may.  Without "
		    "such it is the first [cert]."
	}, {
		.key = "directory", .type = CONF_PATH, .off = AT(directory),
		.min = 1, .max = 1024, .example = "/etc/ssl/sluice",
		.text = "In place of cert and key: a directory of pairs "
		    "NAME.crt and NAME.key, or NAME.pem with both in one.  "
		    "Other files there are not looked at."
	},
	{ .key = NULL }
};

static const struct conf_group group = {
	"cert", rows, sizeof(struct cert_conf), link_cert
};
static const struct conf_group *const groups[] = { &group, NULL };

/* --- keys of singletons --- */

struct cert_sluice {
	int			unknown;
	int			watch;
	struct cert_days	warn;
};

static int
parse_days(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	struct cert_days	*d = dst;
	struct str		 rest, word;
	struct conf_span	 at;
	struct vec		 v;
	struct err		 e;
	uint64_t		 ms;
	int			 rc = 0;

	vec_init(&v, sizeof(int64_t));
	for (size_t i = 0; i < n; i++)
		for (rest = items[i].val; str_word(&rest, " \t,", &word); ) {
			if (conf_val_time(word, CONF_DAYS, &ms, &e) == 0) {
				*(int64_t *)vec_push(&v) =
				    (int64_t)(ms / 1000);
				continue;
			}
			at = conf_word_span(&items[i], word);
			diag_at(conf_load_diags(load), DIAG_VALUE_TIME, &at,
			    NULL, row->key, "%s: %s", row->key, e.text);
			rc = -1;
		}
	d->v = arena_alloc(conf_load_arena(load), (v.n + 1) * sizeof(*d->v));
	if (v.n > 0)
		memcpy((int64_t *)(uintptr_t)d->v, v.p, v.n * sizeof(*d->v));
	d->n = v.n;
	vec_fini(&v);
	return rc;
}

static const struct conf_row sluice_rows[] = {
	{
		.key = "tls.unknown", .type = CONF_ENUM,
		.off = offsetof(struct cert_sluice, unknown),
		.def = "default", .choices = "default|refuse",
		.example = "refuse",
		.text = "What clients get who name a host without a "
		    "certificate, or none at all, as those do that connect "
		    "to an address: the default certificate "
		    "(see default of [cert]), or an alert that ends the "
		    "handshake.  With tls = dev see there."
	}, {
		.key = "watch", .type = CONF_ENUM,
		.off = offsetof(struct cert_sluice, watch), .def = "off",
		.choices = "off|certs", .example = "certs",
		.text = "With certs a change of a file that [cert] names, or "
		    "of one of its directories, or of what stands where such "
		    "a directory was, or of one of tls.client_ca, "
		    "tls.client_crl, and tls.ca, tls.cert and tls.key of "
		    "[upstream] brings a reload about, half "
		    "a second behind the last such change; a key that does "
		    "not go with its certificate is waited for, 5 s more, "
		    "before it is an error.  Keys of "
		    "tickets are not watched.  It is a reload "
		    "like any other: what was edited meanwhile in the "
		    "configuration holds from then on, too.  A link is "
		    "watched itself, not the file it leads to."
	}, {
		.key = "tls.expiry_warn", .type = CONF_CUSTOM,
		.off = offsetof(struct cert_sluice, warn),
		.def = "30d 14d 7d 3d 1d", .flags = CONF_F_MANY,
		.parse = parse_days, .example = "21d 7d 2d 12h",
		.text = "How long before a certificate expires a line of the "
		    "log says so, once at each of the times; empty: never.  "
		    "The metric certificate_days_left tells the least of "
		    "all, below 0 when one has expired; without certificates "
		    "it is not there.  The same is said of files of "
		    "tls.client_ca, tls.ca and tls.cert of [upstream] "
		    "(authority_days_left), and of "
		    "tls.client_crl (revocation_list_hours_left), of those "
		    "not before three quarters of their time are over.  "
		    "Authorities that have expired do not count beside one "
		    "of their file that has not."
	},
	{ .key = NULL }
};

const struct conf_group cert_sluice_group = {
	"cert_sluice", sluice_rows, sizeof(struct cert_sluice), NULL
};

struct cert_limits {
	int64_t	certs;
};

static const struct conf_row limits_rows[] = {
	{
		.key = "certs", .type = CONF_INT,
		.off = offsetof(struct cert_limits, certs), .def = "1000",
		.min = 1, .max = 1000000, .example = "5000",
		.text = "Certificates that a worker keeps ready for "
		    "handshakes, those asked for last; any other is made "
		    "ready when it is asked for.  One takes about 12 KiB."
	},
	{ .key = NULL }
};

const struct conf_group cert_limits_group = {
	"cert_limits", limits_rows, sizeof(struct cert_limits), NULL
};

const struct conf_section cert_section = {
	.type = "cert", .named = true, .groups = groups, .done = cert_build,
	.text = "A certificate with its key, or a directory of them."
};

/*
 * The index of certificates: any bytes are an index or none.  The digest
 * is made right at first, so that what it covers is looked at as well.
 */
#include "base/must.h"
#include "tls/cert_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_cert		 c = { .file = STR("a"), .key_file =
	    STR("a") };
	struct stat		 st;
	struct cert_index	*ix;
	struct arena		 a;
	struct text		 t;

	arena_init(&a, NULL);
	text_init(&t);
	text_add(&t, str_make((const char *)data, size));
	(void)cert_index_read(&a, text_str(&t));
	if (size >= CERT_INDEX_HEAD)
		cert_index_end(&t);
	ix = cert_index_read(&a, text_str(&t));
	memset(&st, 0, sizeof(st));
	must(cert_index_count(ix) <= size);
	if (cert_index_find(ix, &a, &c, &st, &st))
		must(cert_index_has(ix, c.id) && c.kind < TLS_NKIND);
	text_fini(&t);
	arena_fini(&a);
	return 0;
}

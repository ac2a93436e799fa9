/*
 * Keys of tickets: seeds on the board, and what policies derive of them.
 */
#include "core/ticket.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"

static const struct shm_region *const table[] = {
	&board_keys, &board_tickets, NULL
};

static struct shm *
make(void)
{
	struct err	 e;
	struct shm	*shm = shm_new(table, &e);

	ck_assert_msg(shm != NULL, "%s", e.text);
	return shm;
}

static struct tls_digest
digest(uint8_t c)
{
	struct tls_digest	d;

	memset(&d, c, sizeof(d));
	return d;
}

/* --- the board --- */

START_TEST(rotates_when_it_is_time)
{
	struct shm		*shm = make();
	struct tls_seeds	 s = { .version = 0 }, t = { .version = 0 };
	struct err		 e;

	ticket_follow(shm, &s);
	ck_assert_uint_eq(s.n, 0);
	ck_assert_int_eq(ticket_rotate(shm, 1000, UINT64_MAX, &e), 1);
	ck_assert_int_eq(ticket_rotate(shm, 5000, UINT64_MAX, &e), 0);
	ck_assert_int_eq(ticket_rotate(shm, 1999, 1000, &e), 0);
	ck_assert_int_eq(ticket_rotate(shm, 2000, 1000, &e), 1);
	ck_assert_int_eq(ticket_rotate(shm, 2000, 1000, &e), 0);
	/* the clock was set back: one more, and it goes on from there */
	ck_assert_int_eq(ticket_rotate(shm, 100, 1000, &e), 1);
	ck_assert_int_eq(ticket_rotate(shm, 200, 1000, &e), 0);
	ticket_follow(shm, &s);
	ck_assert_uint_eq(s.n, 3);
	ck_assert_uint_eq(s.version, 3);
	for (uint64_t at = 2000; at < 20000; at += 1000) {
		ck_assert_int_eq(ticket_rotate(shm, at, 1000, &e), 1);
		t = s;
		ticket_follow(shm, &s);
		ck_assert_uint_eq(s.n, TLS_SEEDS);
		/* the newest is new, the others have moved on by one */
		for (int i = 0; i < TLS_SEEDS; i++) {
			ck_assert_uint_eq(s.len[i], TICKET_SEED);
			ck_assert_int_eq(memcmp(s.v[0], t.v[i], TICKET_SEED)
			    == 0, 0);
		}
		ck_assert_mem_eq(s.v[1], t.v[0], TICKET_SEED);
		ck_assert_mem_eq(s.v[2], t.v[1], TICKET_SEED);
	}
	shm_free(&shm);
}
END_TEST

/* --- a policy's keys --- */

struct box {
	unsigned char	name[TICKET_NAME];
	unsigned char	iv[16];
	unsigned char	data[64];
	int		n;
	unsigned char	mac[32];
};

static int
seal(const struct ticket_ring *r, struct box *b, const char *text)
{
	EVP_CIPHER_CTX	*c = EVP_CIPHER_CTX_new();
	EVP_MAC		*hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX	*m = EVP_MAC_CTX_new(hmac);
	size_t		 mac_n;
	int		 rc = ticket_seal(r, b->name, b->iv, c, m), more;

	if (rc == 0) {
		EVP_EncryptUpdate(c, b->data, &b->n,
		    (const unsigned char *)text, (int)strlen(text));
		EVP_EncryptFinal_ex(c, b->data + b->n, &more);
		b->n += more;
		ck_assert_int_eq(EVP_MAC_init(m, NULL, 0, NULL), 1);
		EVP_MAC_update(m, b->data, (size_t)b->n);
		EVP_MAC_final(m, b->mac, &mac_n, sizeof(b->mac));
	}
	EVP_CIPHER_CTX_free(c);
	EVP_MAC_CTX_free(m);
	EVP_MAC_free(hmac);
	return rc;
}

/* What ticket_open answers; text is what was sealed, if it opens. */
static int
unseal(const struct ticket_ring *r, const struct box *b, char *text)
{
	EVP_CIPHER_CTX	*c = EVP_CIPHER_CTX_new();
	EVP_MAC		*hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX	*m = EVP_MAC_CTX_new(hmac);
	unsigned char	 mac[32];
	size_t		 mac_n;
	int		 rc = ticket_open(r, b->name, b->iv, c, m), n, more;

	if (rc > 0) {
		ck_assert_int_eq(EVP_MAC_init(m, NULL, 0, NULL), 1);
		EVP_MAC_update(m, b->data, (size_t)b->n);
		EVP_MAC_final(m, mac, &mac_n, sizeof(mac));
		ck_assert_mem_eq(mac, b->mac, sizeof(mac));
		EVP_DecryptUpdate(c, (unsigned char *)text, &n, b->data,
		    b->n);
		ck_assert_int_eq(EVP_DecryptFinal_ex(c,
		    (unsigned char *)text + n, &more), 1);
		text[n + more] = '\0';
	}
	EVP_CIPHER_CTX_free(c);
	EVP_MAC_CTX_free(m);
	EVP_MAC_free(hmac);
	return rc;
}

START_TEST(each_policy_has_its_own)
{
	struct tls_seeds	s = { .version = 1, .n = 1, .len = { 48 } };
	struct tls_digest	one = digest(1), two = digest(2);
	struct ticket_ring	a, b, c;
	struct box		box;
	char			text[65];

	ticket_init(&a);
	ticket_init(&b);
	ticket_init(&c);
	memset(s.v[0], 7, sizeof(s.v[0]));
	ck_assert_int_eq(ticket_fit(&a, &s, &one), 0);
	ck_assert_int_eq(ticket_fit(&b, &s, &two), 0);
	ck_assert_int_eq(ticket_fit(&c, &s, &one), 0);
	ck_assert_int_eq(seal(&a, &box, "a session"), 0);
	/* the same policy in another process opens it, no other does */
	ck_assert_int_eq(unseal(&c, &box, text), 1);
	ck_assert_str_eq(text, "a session");
	ck_assert_int_eq(unseal(&b, &box, text), 0);
	ck_assert(memcmp(&a.v[0].cipher, &b.v[0].cipher, 32) != 0);
	ck_assert(memcmp(&a.v[0].mac, &b.v[0].mac, 32) != 0);
	ck_assert(memcmp(&a.v[0].cipher, &a.v[0].mac, 32) != 0);
	ticket_fini(&a);
	ticket_fini(&b);
	ticket_fini(&c);
}
END_TEST

START_TEST(older_keys_open)
{
	struct shm		*shm = make();
	struct tls_seeds	 s = { .version = 0 };
	struct tls_digest	 d = digest(1);
	struct ticket_ring	 r;
	struct box		 box;
	struct err		 e;
	char			 text[65];

	ticket_init(&r);
	ck_assert_int_eq(ticket_fit(&r, &s, &d), -1);
	for (int turn = 0; turn < 5; turn++) {
		ck_assert_int_eq(ticket_rotate(shm, 1000U * (unsigned)turn +
		    1000, 1000, &e), 1);
		ticket_follow(shm, &s);
		ck_assert_int_eq(ticket_fit(&r, &s, &d), 0);
		if (turn == 0)
			ck_assert_int_eq(seal(&r, &box, "old"), 0);
		ck_assert_int_eq(unseal(&r, &box, text), turn == 0 ? 1 :
		    turn < TLS_SEEDS ? 2 : 0);
	}
	ticket_fini(&r);
	shm_free(&shm);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("ticket");
	TCase	*tc = tcase_create("ticket");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, rotates_when_it_is_time);
	tcase_add_test(tc, each_policy_has_its_own);
	tcase_add_test(tc, older_keys_open);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

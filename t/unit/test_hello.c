/*
 * The name out of a ClientHello: whole, cut into records and segments, and
 * what is none.  Pins, as they are written.
 */
#include "tls/hello.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "tls/client.h"

#define NAME	"Www.A.example."

static unsigned char	msg[512];
static size_t		nmsg;

static void
put(const void *p, size_t n)
{
	memcpy(msg + nmsg, p, n);
	nmsg += n;
}

static void
put_num(size_t v, unsigned bytes)
{
	while (bytes-- > 0)
		msg[nmsg++] = (unsigned char)(v >> 8 * bytes);
}

/* A message that asks for a name; "": without the extension. */
static void
make(const char *name)
{
	size_t	n = strlen(name), ext = n == 0 ? 0 : n + 9;

	nmsg = 0;
	put_num(1, 1);
	put_num(2 + 32 + 1 + 4 + 2 + 2 + 5 + ext, 3);
	put_num(0x303, 2);
	put("01234567890123456789012345678901", 32);
	put_num(0, 1);
	put_num(2, 2);
	put_num(0x1301, 2);
	put_num(1, 1);
	put_num(0, 1);
	put_num(5 + ext, 2);
	put_num(10, 2);
	put_num(1, 2);
	put_num(0, 1);
	if (n == 0)
		return;
	put_num(0, 2);
	put_num(n + 5, 2);
	put_num(n + 3, 2);
	put_num(0, 1);
	put_num(n, 2);
	put(name, n);
}

/* The message in records of size bytes. */
static struct str
wrap(unsigned char *out, size_t size)
{
	size_t	n = 0, part;

	for (size_t at = 0; at < nmsg; at += part) {
		part = nmsg - at < size ? nmsg - at : size;
		memcpy(out + n, "\x16\x03\x01", 3);
		out[n + 3] = (unsigned char)(part >> 8);
		out[n + 4] = (unsigned char)part;
		memcpy(out + n + 5, msg + at, part);
		n += 5 + part;
	}
	return str_make((const char *)out, n);
}

START_TEST(test_cuts)
{
	unsigned char	out[4096];
	char		room[4096];
	struct str	in, name;

	make(NAME);
	for (size_t size = 1; size <= nmsg; size++) {
		in = wrap(out, size);
		ck_assert_int_eq(tls_hello_parse(in, room, &name), HELLO_DONE);
		ck_assert(str_eq(name, STR("www.a.example")));
		for (size_t n = 0; n < in.n; n++)
			ck_assert_int_eq(tls_hello_parse(str_sub(in, 0, n),
			    room, &name), HELLO_MORE);
	}
}
END_TEST

START_TEST(test_none)
{
	unsigned char	out[4096];
	char		room[4096];
	struct str	name;

	make("");
	ck_assert_int_eq(tls_hello_parse(wrap(out, nmsg), room, &name),
	    HELLO_DONE);
	ck_assert_uint_eq(name.n, 0);
}
END_TEST

/* A length that says more than its surroundings hold. */
START_TEST(test_lies)
{
	static const size_t	at[] = { 38, 39, 40, 43, 45, 46, 53, 55, 58 };
	unsigned char		out[4096];
	char			room[4096];
	struct str		name;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		make("a.example");
		msg[at[i]] = 0xff;
		ck_assert_msg(tls_hello_parse(wrap(out, nmsg), room, &name) !=
		    HELLO_MORE, "at %zu", at[i]);
		ck_assert_uint_le(name.n, 253);
	}
	/* what is no name counts as none */
	make("a b");
	ck_assert_int_eq(tls_hello_parse(wrap(out, nmsg), room, &name),
	    HELLO_DONE);
	ck_assert_uint_eq(name.n, 0);
	make("a.example");
	msg[1] = 1;
	ck_assert_int_eq(tls_hello_parse(wrap(out, nmsg), room, &name),
	    HELLO_BAD);
	ck_assert_int_eq(tls_hello_parse(STR("GET / HTTP/1.1\r\n"), room,
	    &name), HELLO_BAD);
	ck_assert_int_eq(tls_hello_parse(STR("\x16\x03\x01\x00\x00"), room,
	    &name), HELLO_BAD);
}
END_TEST

START_TEST(test_pins)
{
	uint8_t	pin[TLS_PIN_BYTES];

	ck_assert(tls_client_pin(STR("00112233445566778899aabbccddeeff"
	    "00112233445566778899AABBCCDDEEFF"), pin));
	ck_assert_uint_eq(pin[0], 0);
	ck_assert_uint_eq(pin[31], 0xff);
	ck_assert(tls_client_pin(
	    STR("//////////////////////////////////////////8="), pin));
	ck_assert_uint_eq(pin[31], 0xff);
	ck_assert(!tls_client_pin(STR(""), pin));
	ck_assert(!tls_client_pin(STR("//8="), pin));
	ck_assert(!tls_client_pin(STR("x0112233445566778899aabbccddeeff"
	    "00112233445566778899AABBCCDDEEFF"), pin));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("hello");
	TCase	*tc = tcase_create("hello");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, test_cuts);
	tcase_add_test(tc, test_none);
	tcase_add_test(tc, test_lies);
	tcase_add_test(tc, test_pins);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}

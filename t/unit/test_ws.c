/*
 * WebSocket: the handshake's example of RFC 6455, heads of frames.
 */
#include "codec/ws/ws.h"

#include <check.h>
#include <stdlib.h>

/* RFC 6455 1.3 */
START_TEST(test_handshake)
{
	const uint8_t	nonce[WS_NONCE] = "the sample nonce";
	char		key[WS_KEY];
	char		acc[WS_ACCEPT];

	ws_key(key, nonce);
	ck_assert(str_eq(str_make(key, WS_KEY),
	    STR("dGhlIHNhbXBsZSBub25jZQ==")));
	ws_accept(acc, str_make(key, WS_KEY));
	ck_assert(str_eq(str_make(acc, WS_ACCEPT),
	    STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
}
END_TEST

static const struct {
	struct str	in;
	enum ws_rc	rc;
	size_t		used;
	uint64_t	len;
} heads[] = {
	{ STR_INIT(""), WS_NEED, 0, 0 },
	{ STR_INIT("\x8a"), WS_NEED, 0, 0 },
	{ STR_INIT("\x8a\x04"), WS_DONE, 2, 4 },
	{ STR_INIT("\x81\x05hello"), WS_DONE, 2, 5 },
	{ STR_INIT("\x01\x7d"), WS_DONE, 2, 125 },
	{ STR_INIT("\x02\x7e\x00\x7e"), WS_DONE, 4, 126 },
	{ STR_INIT("\x02\x7e\x00"), WS_NEED, 0, 0 },
	{ STR_INIT("\x02\x7e\x00\x7d"), WS_BAD, 0, 0 },
	{ STR_INIT("\x82\x7f\0\0\0\0\0\1\0\0"), WS_DONE, 10, 65536 },
	{ STR_INIT("\x82\x7f\0\0\0\0\0\0\xff\xff"), WS_BAD, 0, 0 },
	{ STR_INIT("\x82\x7f\x80\0\0\0\0\0\0\0"), WS_BAD, 0, 0 },
	{ STR_INIT("\x8a\x84"), WS_BAD, 0, 0 },		/* masked */
	{ STR_INIT("\x8a\x7e"), WS_BAD, 0, 0 },		/* a long pong */
	{ STR_INIT("\x0a"), WS_BAD, 0, 0 },		/* half a pong */
	{ STR_INIT("\x83"), WS_BAD, 0, 0 },		/* no such opcode */
	{ STR_INIT("\xc1"), WS_BAD, 0, 0 },		/* an extension */
};

START_TEST(test_heads)
{
	struct ws_head	h;

	ck_assert_int_eq(ws_read_head(heads[_i].in, &h), heads[_i].rc);
	if (heads[_i].rc != WS_DONE)
		return;
	ck_assert_uint_eq(h.used, heads[_i].used);
	ck_assert_uint_eq(h.len, heads[_i].len);
}
END_TEST

/* RFC 6455 5.7: a masked "Hello", as a ping */
START_TEST(test_write)
{
	static const uint8_t	mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	char			out[WS_OUT];

	ck_assert_uint_eq(ws_write(out, WS_PING, STR("Hello"), mask), 11);
	ck_assert(str_eq(str_make(out, 11),
	    STR("\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("ws");
	TCase	*tc = tcase_create("ws");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, test_handshake);
	tcase_add_loop_test(tc, test_heads, 0,
	    sizeof(heads) / sizeof(heads[0]));
	tcase_add_test(tc, test_write);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

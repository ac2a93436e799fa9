/*
 * Heads of frames: what is read does not depend on what follows, nor is
 * less than a head taken for one; frames that we write are what they say.
 */
#include "base/must.h"
#include "codec/ws/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_ours(struct str payload)
{
	static const uint8_t	mask[4];
	char			out[WS_OUT];
	struct ws_head		h;
	size_t			n;

	payload = str_sub(payload, 0, WS_CONTROL);
	n = ws_write(out, WS_PING, payload, mask);
	must(n == 6 + payload.n);
	/* without its mask it is what a server may send */
	memmove(out + 2, out + 6, payload.n);
	out[1] &= 0x7f;
	must(ws_read_head(str_make(out, n - 4), &h) == WS_DONE);
	must(h.used == 2 && h.len == payload.n && h.opcode == WS_PING);
	must(str_eq(str_make(out + 2, payload.n), payload));
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct str	s = str_make((const char *)in, n);
	struct ws_head	h, g;
	enum ws_rc	rc = ws_read_head(s, &h);

	check_ours(s);
	if (rc == WS_NEED) {
		must(n < 10);
		return 0;
	}
	if (rc == WS_BAD)
		return 0;
	must(h.used >= 2 && h.used <= 10 && h.used <= n);
	must(h.opcode < WS_CLOSE || (h.fin && h.len <= WS_CONTROL));
	for (size_t i = 0; i < h.used; i++)
		must(ws_read_head(str_sub(s, 0, i), &g) == WS_NEED);
	must(ws_read_head(str_sub(s, 0, h.used), &g) == WS_DONE);
	must(g.len == h.len);
	return 0;
}

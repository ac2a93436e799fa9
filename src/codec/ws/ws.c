/*
 * WebSocket syntax (RFC 6455).  Health; later all that speak it.
 */
#include "codec/ws/ws.h"

#include <openssl/evp.h>

#include "base/must.h"

#define GUID	"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"	/* RFC 6455 1.3 */
#define SHA1	20

void
ws_key(char out[WS_KEY], const uint8_t nonce[WS_NONCE])
{
	unsigned char	buf[WS_KEY + 1];

	must(EVP_EncodeBlock(buf, nonce, WS_NONCE) == WS_KEY);
	memcpy(out, buf, WS_KEY);
}

void
ws_accept(char out[WS_ACCEPT], struct str key)
{
	char		in[WS_KEY + sizeof(GUID)];
	unsigned char	sum[EVP_MAX_MD_SIZE], buf[WS_ACCEPT + 1];
	unsigned	n = 0;

	must(key.n == WS_KEY);
	memcpy(in, key.p, WS_KEY);
	memcpy(in + WS_KEY, GUID, sizeof(GUID) - 1);
	must(EVP_Digest(in, WS_KEY + sizeof(GUID) - 1, sum, &n, EVP_sha1(),
	    NULL) == 1 && n == SHA1);
	must(EVP_EncodeBlock(buf, sum, SHA1) == WS_ACCEPT);
	memcpy(out, buf, WS_ACCEPT);
}

static bool
is_known(uint8_t opcode)
{
	return opcode <= WS_BINARY || (opcode >= WS_CLOSE &&
	    opcode <= WS_PONG);
}

static uint64_t
number(struct str s)
{
	uint64_t	v = 0;

	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | (unsigned char)s.p[i];
	return v;
}

enum ws_rc
ws_read_head(struct str in, struct ws_head *h)
{
	unsigned char	b0, b1;
	size_t		more;

	if (in.n < 1)
		return WS_NEED;
	b0 = (unsigned char)in.p[0];
	h->fin = (b0 & 0x80) != 0;
	h->opcode = b0 & 0x0f;
	if ((b0 & 0x70) != 0 || !is_known(h->opcode) ||
	    (h->opcode >= WS_CLOSE && !h->fin))
		return WS_BAD;
	if (in.n < 2)
		return WS_NEED;
	b1 = (unsigned char)in.p[1];
	if ((b1 & 0x80) != 0 || (h->opcode >= WS_CLOSE && b1 > WS_CONTROL))
		return WS_BAD;
	more = b1 == 127 ? 8 : b1 == 126 ? 2 : 0;
	if (in.n < 2 + more)
		return WS_NEED;
	h->used = 2 + more;
	h->len = more == 0 ? b1 : number(str_sub(in, 2, h->used));
	/* the shortest form is the only one (5.2) */
	if ((more == 2 && h->len < 126) || (more == 8 &&
	    (h->len <= UINT16_MAX || h->len > INT64_MAX)))
		return WS_BAD;
	return WS_DONE;
}

size_t
ws_write(char *out, enum ws_opcode opcode, struct str payload,
    const uint8_t mask[4])
{
	must(payload.n <= WS_CONTROL);
	out[0] = (char)(0x80 | opcode);
	out[1] = (char)(0x80 | payload.n);
	memcpy(out + 2, mask, 4);
	for (size_t i = 0; i < payload.n; i++)
		out[6 + i] = (char)((unsigned char)payload.p[i] ^
		    mask[i % 4]);
	return 6 + payload.n;
}

/*
 * Chains of addresses: each line of the input is one of the field.  The
 * client is the peer, or an address that can be written and read again;
 * of whom is not trusted nothing is believed.
 */
#include "base/must.h"
#include "core/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_again(const struct sock_peer *c)
{
	struct sock_peer	again;
	struct text		t;
	char			buf[64];

	must(c->family == AF_INET || c->family == AF_INET6 ||
	    c->family == AF_UNIX);
	must((c->family == AF_INET) == net_is_mapped(c->ip));
	text_init_fixed(&t, buf, sizeof(buf));
	sock_peer_text(&t, c);
	must(client_read(text_str(&t), &again) == 0);
	must(again.family == c->family);
	must(memcmp(again.ip, c->ip, sizeof(c->ip)) == 0);
}

/* What is sound is so again, and so is what stands behind it. */
static void
check_sound(struct arena *a, struct str line)
{
	struct str	s = client_sound(line);
	struct str	more;
	struct text	t;

	text_init(&t);
	text_add(&t, s);
	text_add(&t, STR(", for=a;b=\"c,\""));
	more = arena_dup(a, text_str(&t));
	text_fini(&t);
	must(str_eq(client_sound(s), s));
	must(str_eq(client_sound(more), more));
}

static void
check_field(enum client_field f, const struct hdrs *hs)
{
	struct net		 nets[2];
	struct trust		 t = { nets, 2 };
	struct sock_peer	 peer, client;
	bool			 secure = false;

	must(net_parse(STR("10.0.0.0/8"), &nets[0]) == NULL);
	must(net_parse(STR("unix"), &nets[1]) == NULL);
	must(client_read(STR("10.0.0.1:7"), &peer) == 0);
	must(client_find(&t, f, hs, &peer, &client, &secure));
	check_again(&client);
	must(client_read(STR("192.0.2.1:7"), &peer) == 0);
	secure = false;
	must(!client_find(&t, f, hs, &peer, &client, &secure) && !secure);
	must(memcmp(&client, &peer, sizeof(peer)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const enum hdr_id	ids[] = {
		[CLIENT_XFF] = HDR_X_FORWARDED_FOR,
		[CLIENT_FORWARDED] = HDR_FORWARDED,
		[CLIENT_REAL_IP] = HDR_X_REAL_IP
	};
	struct str			in = str_make((const char *)p, n);
	struct str			rest, line;
	struct arena			a;
	struct hdrs			hs;

	for (int f = CLIENT_XFF; f <= CLIENT_REAL_IP; f++) {
		arena_init(&a, NULL);
		memset(&hs, 0, sizeof(hs));
		for (rest = in; str_word(&rest, "\n", &line);)
			hdr_add(&a, &hs, ids[f], str_trim(line));
		for (size_t i = 0; i < hs.n; i++)
			check_sound(&a, hs.v[i].val);
		check_field((enum client_field)f, &hs);
		arena_fini(&a);
	}
	return 0;
}

/*
 * Bodies of gRPC in two pieces, cut where the first byte says: the same is
 * found as in one, and no length goes unseen.  The rest serves as a
 * timeout, a status and a text, too.
 */
#include "base/must.h"
#include "http/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MAX	4096

static void
check_scan(struct str in, size_t cut)
{
	struct grpc_scan	one = { 0 }, two = { 0 };
	bool			a = grpc_scan(&one, in, MAX), b;

	b = grpc_scan(&two, str_sub(in, 0, cut), MAX) &&
	    grpc_scan(&two, str_sub(in, cut, in.n), MAX);
	must(a == b && one.messages == two.messages);
	must(!a || (one.left == two.left && one.left <= MAX &&
	    one.have == two.have && one.length == two.length));
	must(a || one.left > MAX);
}

static void
check_fields(struct str in)
{
	struct arena	a;
	struct str	s;
	uint64_t	ms = grpc_read_timeout(in), again;
	int		code = grpc_read_status(in);

	must(code >= -1 && code < 100);
	arena_init(&a, NULL);
	s = grpc_encode(&a, in);
	must(s.n <= 3 * in.n && (s.n == 0 || hdr_is_value(str_trim(s))));
	if (ms != GRPC_FAR) {
		again = grpc_read_timeout(grpc_write_timeout(&a, ms));
		must(again <= ms && ms - again < 3600000);
	}
	arena_fini(&a);
}

/* What is written is read as nothing; what comes has a state or none. */
static void
check_health(struct str in)
{
	struct arena	a;
	struct str	s;
	uint64_t	status;

	if (grpc_read_health(in, &status) == 0)
		must(in.n >= GRPC_PREFIX);
	arena_init(&a, NULL);
	s = grpc_write_health(&a, in);
	must(grpc_read_health(s, &status) == 0 && status == 0);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str	in = str_make((const char *)p, n);

	if (n == 0)
		return 0;
	in = str_sub(in, 1, n);
	check_scan(in, in.n * p[0] / 256);
	check_fields(in);
	check_health(in);
	return 0;
}

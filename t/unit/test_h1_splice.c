/*
 * The queue of a writing codec with what is offered to be spliced: bytes,
 * credit and what the source is told, in each way that an offer ends.
 */
#include <sys/socket.h>

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "codec/h1/h1_outq.h"
#include "pair_env.h"

#define BODY	300000

static struct page_pool		 pages;
static struct slab		 chunks;
static struct arena		 arena;
static struct h1_outq		 q;
static struct sink		 k;
static struct source		 src;
static uint64_t			 taken;
static unsigned			 ntaken;
static enum io_rc		 last_rc;

static void
on_taken(struct source *s, uint64_t n, enum io_rc rc)
{
	ck_assert_ptr_eq(s, &src);
	taken += n;
	ntaken++;
	last_rc = rc;
}

static const struct source_ops src_ops = { .taken = on_taken };

/* A message with a head and a body of so many bytes under way. */
static void
begin(int64_t length, bool chunked)
{
	page_pool_init(&pages, 0);
	slab_init(&chunks, 8192, 0);
	arena_init(&arena, &chunks);
	pair_init();
	taken = ntaken = 0;
	last_rc = IO_OK;
	h1_outq_init(&q, &arena, &pages);
	k = (struct sink){ .credit = q.window };
	src = (struct source){ .ops = &src_ops };
	waist_join(&src, &k);
	q.left = length;
	q.chunked = chunked;
	h1_outq_set_splice(&q, &k, &out, &pipes);
	ck_assert(k.splice);
	h1_outq_copy(&q, STR("head;"));
}

static void
end(void)
{
	h1_outq_fini(&q);
	ck_assert_ptr_null(q.pipe);
	ck_assert_uint_eq(pipes.nbusy, 0);
	ck_assert_uint_eq(pages.live, 0);
	pair_fini();
	arena_fini(&arena);
	slab_fini(&chunks);
	page_pool_fini(&pages);
}

static void
offer(uint64_t n)
{
	struct chunk	c = { .kind = CHUNK_SPLICE, .n = n };

	c.u.from = &in;
	ck_assert_int_eq(h1_outq_data(&q, &k, c, 0), FLOW_FULL);
	ck_assert_int_le(k.credit, 0);
	ck_assert(h1_outq_has_work(&q));
}

/* Writes until nothing more goes; returns the last answer. */
static enum io_rc
drive(void)
{
	enum io_rc	rc = IO_OK;
	size_t		n;

	while (rc == IO_OK && h1_outq_has_work(&q))
		rc = h1_outq_write(&q, &out, &k, &n);
	return rc;
}

static void
come(const char *text)
{
	size_t	n = strlen(text);

	ck_assert_int_eq(write(far_in, text, n), (ssize_t)n);
	ev_turn(ev, 0);
}

static void
went(const char *want)
{
	char	buf[256] = "";
	ssize_t	n = read(far_out, buf, sizeof(buf) - 1);

	ck_assert_str_eq(n > 0 ? buf : "", want);
	ev_turn(ev, 0);
}

START_TEST(test_pieces)
{
	begin(10, false);
	come("abcd");
	offer(10);
	/* what is here, then the socket has no more: the offer is back */
	ck_assert_int_eq(drive(), IO_AGAIN);
	went("head;abcd");
	ck_assert_uint_eq(taken, 4);
	ck_assert_int_eq(last_rc, IO_AGAIN);
	ck_assert_int_eq(k.credit, q.window);
	ck_assert_int_eq(q.left, 6);
	ck_assert(!h1_outq_has_work(&q));
	ck_assert_uint_eq(pipes.nbusy, 0);
	come("efghij");
	offer(6);
	/* the last bytes wait for the end to be told */
	drive();
	ck_assert_uint_eq(taken, 10);
	ck_assert_int_eq(last_rc, IO_OK);
	went("");
	ck_assert_uint_eq(q.bytes, 6);
	h1_outq_end(&q);
	ck_assert(!q.bad && q.ended);
	ck_assert_uint_eq(h1_outq_next(&q), 6);
	ck_assert_int_eq(drive(), IO_OK);
	went("efghij");
	ck_assert_uint_eq(pipes.nbusy, 0);
	end();
}
END_TEST

START_TEST(test_chunked)
{
	begin(BODY_UNKNOWN, true);
	come("abc");
	offer(INT64_MAX);
	drive();
	went("head;3\r\nabc\r\n");
	shutdown(far_in, SHUT_WR);
	ev_turn(ev, 0);
	offer(INT64_MAX);
	drive();
	ck_assert_int_eq(last_rc, IO_EOF);
	h1_outq_end(&q);
	drive();
	went("0\r\n\r\n");
	end();
}
END_TEST

START_TEST(test_ends)
{
	begin(10, false);
	come("ab");
	close(far_in);
	far_in = dup(far_out);
	ev_turn(ev, 0);
	offer(10);
	drive();
	/* what was there goes first, then the end is told */
	went("head;ab");
	ck_assert_uint_eq(taken, 2);
	ck_assert_int_eq(last_rc, IO_EOF);
	ck_assert_int_eq(q.left, 8);
	h1_outq_end(&q);
	ck_assert(q.bad);
	end();
}
END_TEST

START_TEST(test_receiver_gone)
{
	begin(10, false);
	come("ab");
	close(far_out);
	far_out = dup(far_in);
	ev_turn(ev, 0);
	offer(10);
	ck_assert_int_eq(drive(), IO_ERR);
	end();
}
END_TEST

START_TEST(test_no_pipe)
{
	begin(10, false);
	come("abcd");
	pipes.budget = 0;
	offer(10);
	drive();
	went("head;");
	ck_assert_uint_eq(taken, 0);
	ck_assert_uint_eq(ntaken, 1);
	ck_assert_int_eq(last_rc, IO_AGAIN);
	ck_assert(!k.splice);
	ck_assert_int_gt(k.credit, 0);
	ck_assert(io_can(&in, IO_R));
	/* one is free again: the next time the queue is empty it says so */
	pipes.budget = PIPE_SMALL;
	h1_outq_copy(&q, STR("x"));
	drive();
	ck_assert(k.splice);
	end();
}
END_TEST

START_TEST(test_forget)
{
	begin(10, false);
	offer(10);
	ck_assert_int_eq(q.left, 0);
	h1_outq_forget(&q, &k);
	ck_assert_int_eq(q.left, 10);
	ck_assert_uint_eq(ntaken, 0);
	ck_assert_ptr_null(q.from);
	drive();
	went("head;");
	end();
}
END_TEST

START_TEST(test_too_much)
{
	struct chunk	c = { .kind = CHUNK_SPLICE, .n = 11 };

	begin(10, false);
	c.u.from = &in;
	h1_outq_data(&q, &k, c, 0);
	ck_assert(q.bad);
	ck_assert_ptr_null(q.from);
	end();
}
END_TEST

/* Fills the receiver until the pipe stands still. */
static size_t
stall(const char *data)
{
	size_t	sent = 0;
	ssize_t	n;

	offer(BODY);
	for (;;) {
		n = write(far_in, data + sent, BODY - sent);
		if (n > 0)
			sent += (size_t)n;
		ev_turn(ev, 0);
		drive();
		if (q.from == NULL && sent < BODY)
			offer(BODY - taken);
		if (!io_can(&out, IO_W) && q.pipe != NULL && q.pipe->n > 0)
			return sent;
		ck_assert(n > 0 || q.from != NULL);
	}
}

START_TEST(test_stall)
{
	static char	 data[BODY], got[BODY + 5];
	size_t		 sent, have = 0, held;
	ssize_t		 n;

	for (size_t i = 0; i < BODY; i++)
		data[i] = (char)('a' + i % 23);
	begin(BODY, false);
	setsockopt(io_fd(&out), SOL_SOCKET, SO_SNDBUF, &(int){ 65536 },
	    sizeof(int));
	sent = stall(data);
	held = q.pipe->n;
	/* too much is in pages already: it stays */
	pages.soft = 1;
	q.pipe->stalled(q.pipe);
	ck_assert_uint_eq(q.pipe->n, held);
	pages.soft = 0;
	q.pipe->stalled(q.pipe);
	ck_assert_ptr_null(q.pipe);
	ck_assert_uint_eq(pipes.nbusy, 0);
	ck_assert_uint_ge(pages.live, held);
	while (have < BODY + 5) {
		n = read(far_out, got + have, sizeof(got) - have);
		if (n > 0)
			have += (size_t)n;
		n = sent < BODY ? write(far_in, data + sent, BODY - sent) : 0;
		if (n > 0)
			sent += (size_t)n;
		ev_turn(ev, 0);
		if (q.from == NULL && taken < BODY)
			offer(BODY - taken);
		if (taken == BODY)
			h1_outq_end(&q);
		drive();
	}
	ck_assert(memcmp(got, "head;", 5) == 0);
	ck_assert(memcmp(got + 5, data, BODY) == 0);
	end();
}
END_TEST

START_TEST(test_memory)
{
	struct chunk	c = { .kind = CHUNK_CONST, .n = 1 };

	begin(1000000, false);
	c.u.mem.p = "x";
	q.window = k.credit = H1_WINDOW_FAST;
	/* half of it is in use, then all of it */
	pages.soft = 1 << 20;
	pages.live += 600 << 10;
	drive();
	ck_assert_int_eq(k.credit, H1_WINDOW);
	pages.live += 600 << 10;
	h1_outq_data(&q, &k, c, 0);
	ck_assert_int_le(k.credit, H1_WINDOW_LEAST);
	pages.live -= 1200 << 10;
	end();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("h1_splice");
	TCase	*t = tcase_create("h1_splice");
	SRunner	*r;
	int	 failed;

	signal(SIGPIPE, SIG_IGN);
	tcase_add_test(t, test_pieces);
	tcase_add_test(t, test_chunked);
	tcase_add_test(t, test_ends);
	tcase_add_test(t, test_receiver_gone);
	tcase_add_test(t, test_no_pipe);
	tcase_add_test(t, test_forget);
	tcase_add_test(t, test_too_much);
	tcase_add_test(t, test_stall);
	tcase_add_test(t, test_memory);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

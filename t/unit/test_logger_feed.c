/*
 * main/logger_feed: the past is kept within bounds, what comes is sent,
 * and who does not read misses what is counted.
 */
#include "main/logger_feed.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "os/sock.h"

struct bed {
	struct ev		*ev;
	struct logger_feed	 f;
	struct chan		 chan;		/* the asker's end */
	unsigned		 frames;
	unsigned		 ends;		/* of a past */
	uint64_t		 records;
	uint64_t		 dropped;
	uint64_t		 id;
	char			 last;		/* first byte of the last one */
};

static void
on_frame(struct chan *c, struct frame *f)
{
	struct bed		*b = c->ctx;
	struct feed_head	 h;
	size_t			 at = sizeof(h);
	uint32_t		 n;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(f->head.op, CHAN_LOG);
	memcpy(&h, f->data, sizeof(h));
	b->frames++;
	b->dropped += h.dropped;
	b->id = f->head.id;
	if (at == f->head.len)
		b->ends++;
	for (; at < f->head.len; at += sizeof(n) + n) {
		memcpy(&n, f->data + at, sizeof(n));
		b->last = f->data[at + sizeof(n)];
		b->records++;
	}
	ck_assert_uint_eq(at, f->head.len);
}

static void
turns(struct bed *b)
{
	for (int i = 0; i < 50; i++)
		ev_turn(b->ev, 0);
}

static struct bed *
make(void)
{
	struct bed	*b = calloc(1, sizeof(*b));
	struct err	 e;
	int		 fds[2];

	b->ev = ev_new(NULL, &e);
	ck_assert_ptr_nonnull(b->ev);
	logger_feed_init(&b->f, b->ev);
	ck_assert_int_eq(sock_pair(fds, &e), 0);
	logger_feed_join(&b->f, fds[0]);
	ck_assert_int_eq(chan_open(&b->chan, b->ev, fds[1], on_frame, b, &e),
	    0);
	return b;
}

static void
done(struct bed *b)
{
	chan_close(&b->chan);
	logger_feed_fini(&b->f);
	turns(b);
	ev_free(&b->ev);
	free(b);
}

/* n records of size bytes, in one batch. */
static void
put(struct bed *b, unsigned n, uint32_t size, char what)
{
	size_t	 one = sizeof(size) + size;
	char	*p = malloc(n * one);

	memset(p, what, n * one);
	for (unsigned i = 0; i < n; i++)
		memcpy(p + i * one, &size, sizeof(size));
	logger_feed_put(&b->f, str_make(p, n * one));
	free(p);
}

static void
ask(struct bed *b, uint64_t id, uint64_t past, bool live)
{
	struct feed_ask		q = { past, live };
	struct frame_head	h = { .op = CHAN_LOG, .id = id,
	    .len = sizeof(q) };

	ck_assert_int_eq(chan_send(&b->chan, &h, &q, NULL, 0), 0);
	turns(b);
}

START_TEST(past_then_live)
{
	struct bed	*b = make();

	put(b, 3, 100, 'a');
	turns(b);
	ck_assert_uint_eq(b->frames, 0);
	ask(b, 7, FEED_PAST_ALL, true);
	ck_assert_uint_eq(b->records, 3);
	ck_assert_uint_eq(b->ends, 1);
	ck_assert_uint_eq(b->id, 7);
	put(b, 2, 100, 'b');
	turns(b);
	ck_assert_uint_eq(b->records, 5);
	ck_assert_uint_eq(b->id, 0);
	ck_assert_int_eq(b->last, 'b');
	ask(b, 0, 0, false);
	put(b, 2, 100, 'c');
	turns(b);
	ck_assert_uint_eq(b->records, 5);
	done(b);
}
END_TEST

/* A batch is larger than a frame: none is split, none is missing. */
START_TEST(large_batch)
{
	struct bed	*b = make();

	ask(b, 1, 0, true);
	put(b, 40, 16384, 'a');
	turns(b);
	ck_assert_uint_eq(b->records, 40);
	ck_assert_uint_eq(b->frames, 1 + 14);
	done(b);
}
END_TEST

/* Many small batches: the past goes in frames that are full. */
START_TEST(small_batches)
{
	struct bed	*b = make();

	for (int i = 0; i < 3000; i++)
		put(b, 1, 20, 'a');
	ask(b, 1, FEED_PAST_ALL, false);
	ck_assert_uint_eq(b->records, 3000);
	ck_assert_uint_eq(b->ends, 1);
	ck_assert_uint_eq(b->frames, 1 + 3000 * 24 / FEED_BYTES + 1);
	done(b);
}
END_TEST

START_TEST(bounds)
{
	struct bed	*b = make();

	for (int i = 0; i < 100; i++)
		put(b, 10, 5000, 'a');
	ck_assert_uint_le(b->f.nkept, 2U << 20);
	ck_assert_uint_gt(b->f.nkept, 1U << 20);
	done(b);
}
END_TEST

/* Nobody reads: what the channel does not take is counted, then told. */
START_TEST(slow)
{
	struct bed	*b = make();
	unsigned	 sent = 0;

	ask(b, 1, 0, true);
	for (; sent < 4000; sent += 10)
		put(b, 10, 5000, 'a');
	ck_assert_uint_gt(b->f.dropped, 0);
	for (int i = 0; i < 200; i++)
		turns(b);
	logger_feed_age(&b->f);
	turns(b);
	ck_assert_uint_eq(b->records + b->dropped, sent);
	ck_assert_uint_eq(b->f.dropped, 0);
	put(b, 1, 10, 'z');
	turns(b);
	ck_assert_int_eq(b->last, 'z');
	ck_assert_uint_gt(b->dropped, 0);
	done(b);
}
END_TEST

/* Another asker comes: the one before is let go. */
START_TEST(rejoined)
{
	struct bed	*b = make();
	struct err	 e;
	int		 fds[2];

	ask(b, 1, 0, true);
	chan_close(&b->chan);
	ck_assert_int_eq(sock_pair(fds, &e), 0);
	logger_feed_join(&b->f, fds[0]);
	ck_assert(!b->f.live);
	ck_assert_int_eq(chan_open(&b->chan, b->ev, fds[1], on_frame, b, &e),
	    0);
	put(b, 1, 10, 'a');
	ask(b, 2, FEED_PAST_ALL, false);
	ck_assert_uint_eq(b->records, 1);
	/* and gone without another */
	chan_close(&b->chan);
	turns(b);
	ck_assert_ptr_null(b->f.peer);
	put(b, 1, 10, 'a');
	done(b);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("logger_feed");
	TCase	*c = tcase_create("logger_feed");
	SRunner	*r = srunner_create(s);
	int	 failed;

	tcase_set_timeout(c, 60);
	tcase_add_test(c, past_then_live);
	tcase_add_test(c, small_batches);
	tcase_add_test(c, large_batch);
	tcase_add_test(c, bounds);
	tcase_add_test(c, slow);
	tcase_add_test(c, rejoined);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

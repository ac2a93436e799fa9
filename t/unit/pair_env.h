/*
 * Two transports over sockets, each with its far end, and pipes to splice
 * between them.
 */
#ifndef T_UNIT_PAIR_ENV_H
#define T_UNIT_PAIR_ENV_H

#include <sys/socket.h>

#include <check.h>
#include <unistd.h>

#include "io/pipe.h"

static struct ev		*ev;
static struct pipe_pool		 pipes;
static struct io		 in, out;
static int			 far_in, far_out;

static void
on_nothing(struct io *io, unsigned what)
{
	(void)io;
	(void)what;
}

static void
pair_open(struct io *io, int *far)
{
	int	fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fd), 0);
	ck_assert_int_eq(io_sock_open(io, ev, fd[0], 0, on_nothing, NULL), 0);
	*far = fd[1];
}

static void
pair_init(void)
{
	ev = ev_new(NULL, NULL);
	pipe_pool_init(&pipes, ev);
	pipe_pool_share(&pipes, 1);
	pair_open(&in, &far_in);
	pair_open(&out, &far_out);
	ev_turn(ev, 0);
}

static void
pair_fini(void)
{
	io_close(&in, false);
	io_close(&out, false);
	close(far_in);
	close(far_out);
	pipe_pool_fini(&pipes);
	ck_assert_uint_eq(pipes.used, 0);
	ev_free(&ev);
}

#endif

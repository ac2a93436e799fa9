/*
 * Signals as events of the loop.  Every process.  The classic self-pipe:
 * it works with each backend alike and the handler is one write(2).
 */
#include "os/sig.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* write end of the pipe; the one thing a handler can know */
static volatile sig_atomic_t sig_wfd = -1;

static void
on_signal(int signo)
{
	int saved = errno;
	unsigned char c = (unsigned char)signo;

	/* a full pipe means that the loop will look anyway */
	if (sig_wfd >= 0 && write(sig_wfd, &c, 1) < 0)
		errno = saved;
	errno = saved;
}

static void
on_pipe(struct ev_fd *fd, unsigned what)
{
	struct sig *s = container_of(fd, struct sig, fd);
	unsigned char buf[64];
	ssize_t n, i;

	(void)what;
	while ((n = read(fd->fd, buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++)
			s->on(s->ctx, buf[i]);
	fd->ready &= (uint8_t)~EV_R;
}

void
sig_put_back(struct sig *s)
{
	unsigned char buf[64];
	ssize_t n, i;

	while ((n = read(s->fd.fd, buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++)
			kill(getpid(), buf[i]);
}

int
sig_open(struct sig *s, struct ev *ev, const int *signos, sig_fn on,
    void *ctx, struct err *e)
{
	struct sigaction sa = { .sa_handler = on_signal,
	    .sa_flags = SA_RESTART };
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return err_sys(e, "cannot make the signal pipe");
	s->ev = ev;
	s->on = on;
	s->ctx = ctx;
	sig_wfd = fds[1];
	ev_fd_init(&s->fd, fds[0], on_pipe);
	if (ev_add(ev, &s->fd, EV_EDGE, e) < 0)
		return -1;
	sigemptyset(&sa.sa_mask);
	for (; *signos != 0; signos++)
		sigaction(*signos, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

pid_t
sig_fork(void)
{
	/* what a process does to itself; they cannot wait */
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
	    SIGABRT, SIGSYS };
	sigset_t most, was;
	pid_t pid;
	size_t i;

	sigfillset(&most);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&most, own[i]);
	sigprocmask(SIG_BLOCK, &most, &was);
	pid = fork();
	if (pid != 0)
		sigprocmask(SIG_SETMASK, &was, NULL);
	return pid;
}

void
sig_forget(struct sig *s)
{
	int signo;

	for (signo = 1; signo < 32; signo++)
		if (signo != SIGKILL && signo != SIGSTOP)
			signal(signo, SIG_DFL);
	if (sig_wfd >= 0) {
		close(sig_wfd);
		close(s->fd.fd);
		sig_wfd = -1;
	}
}

void
sig_unblock(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void
sig_reset(struct sig *s)
{
	sig_forget(s);
	sig_unblock();
}

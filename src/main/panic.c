/*
 * Panic texts.  Every process.  must_fail gives the invariant that broke;
 * signal handlers on a stack of their own add the signal and a backtrace,
 * written through a pipe because backtrace_symbols_fd() is the form that
 * allocates nothing.  The text lies in shared memory, so the master reads
 * it when the process is gone.
 */
#include "main/panic.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"
#include "config.h"
#include "core/board.h"
#include "os/fault.h"
#include "os/proc.h"

#define FRAMES	32

static struct board_panic *
page(void)
{
	if (self == NULL || self->shm == NULL)
		return NULL;
	return shm_row(self->shm, &board_panics, self->slot);
}

static void
add(struct board_panic *p, const char *text, size_t n)
{
	uint32_t len = p->len;

	if (len >= SLOT_PANIC)
		return;
	if (n > SLOT_PANIC - len)
		n = SLOT_PANIC - len;
	memcpy(p->text + len, text, n);
	p->len = len + (uint32_t)n;
}

static void
on_must(const char *text, size_t n)
{
	struct board_panic *p = page();

	if (p == NULL)
		return;
	add(p, text, n);
	add(p, "\n", 1);
}

static void
add_trace(struct board_panic *p)
{
	void *pc[FRAMES];
	char buf[512];
	ssize_t got;
	int n, fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return;
	n = backtrace(pc, FRAMES);
	backtrace_symbols_fd(pc, n, fds[1]);
	while ((got = read(fds[0], buf, sizeof(buf))) > 0)
		add(p, buf, (size_t)got);
	close(fds[0]);
	close(fds[1]);
}

static void
on_crash(int signo)
{
	struct board_panic *p = page();
	char word[] = "signal ??\n";

	if (p != NULL) {
		word[7] = (char)('0' + signo / 10);
		word[8] = (char)('0' + signo % 10);
		add(p, word, sizeof(word) - 1);
		add_trace(p);
	}
	while (FAULT("panic_hang"))
		pause();
	/* the handler was reset by SA_RESETHAND: this ends the process */
	raise(signo);
}

void
panic_init(void)
{
	static const int signos[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE,
	    SIGILL };
	struct sigaction sa = { .sa_handler = on_crash,
	    .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK | SA_NODEFER) };
	stack_t st = { .ss_size = 65536 };
	void *pc[1];
	size_t i;

	must_set_hook(on_must);
	/* only the kernel knows it from here on */
	st.ss_sp = mmap(NULL, st.ss_size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (st.ss_sp != MAP_FAILED)
		sigaltstack(&st, NULL);
	/* the first call loads a library, which a handler may not do */
	(void)backtrace(pc, 1);
	for (i = 0; i < sizeof(signos) / sizeof(signos[0]); i++) {
		/* a sanitizer's report of a bad access is better than ours */
#if defined(__SANITIZE_ADDRESS__)
		if (signos[i] != SIGABRT)
			continue;
#endif
		sigaction(signos[i], &sa, NULL);
	}
}

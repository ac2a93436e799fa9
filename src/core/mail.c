/*
 * Wakes between processes: mailboxes on the board, eventfds beside them.
 */
#include "core/mail.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"

struct mail {
	struct shm	*shm;		/* ref */
	int		 fd[SLOT_MAX];	/* own; -1: not known here */
	/* of who listens */
	struct ev	*ev;		/* ref; NULL: nobody does */
	struct ev_fd	 in;		/* watches fd[slot] */
	unsigned	 slot;
	mail_fn		 on;
	void		*ctx;		/* of the listener */
};

const struct shm_region board_mails = {
	"mail", SHM_LIVE, 2, sizeof(struct board_mail), 16,
	"letters to processes: bits of what may go on"
};

struct mail *
mail_new(void)
{
	struct mail	*m = must_calloc(1, sizeof(*m));

	for (unsigned i = 0; i < SLOT_MAX; i++)
		m->fd[i] = -1;
	return m;
}

void
mail_free(struct mail **p)
{
	struct mail	*m = *p;

	*p = NULL;
	if (m == NULL)
		return;
	if (m->ev != NULL)
		ev_del(m->ev, &m->in, false);
	for (unsigned i = 0; i < SLOT_MAX; i++)
		if (m->fd[i] >= 0)
			close(m->fd[i]);
	free(m);
}

void
mail_set_board(struct mail *m, struct shm *shm)
{
	m->shm = shm;
}

static struct board_mail *
box_of(const struct mail *m, unsigned slot)
{
	if (slot >= SLOT_MAX || slot >= shm_rows(m->shm, &board_mails))
		return NULL;
	return shm_row(m->shm, &board_mails, slot);
}

/* A full counter wakes as well. */
static void
ring(int fd)
{
	uint64_t	one = 1;
	ssize_t		n;

	do
		n = write(fd, &one, sizeof(one));
	while (n == -1 && errno == EINTR);
}

int
mail_make(struct mail *m, unsigned slot, struct err *e)
{
	struct board_mail	*b;

	if (shm_grow(m->shm, &board_mails, slot + 1, e) == -1)
		return -1;
	b = box_of(m, slot);
	for (unsigned t = 0; t < MAIL_NTOPIC; t++)
		for (unsigned i = 0; i < MAIL_KEYS / 64; i++)
			atomic_store(&b->bits[t][i], 0);
	if (m->fd[slot] >= 0)
		return 0;
	m->fd[slot] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->fd[slot] == -1)
		return err_sys(e, "cannot make an eventfd");
	return 1;
}

int
mail_fd(const struct mail *m, unsigned slot)
{
	return slot < SLOT_MAX ? m->fd[slot] : -1;
}

void
mail_add(struct mail *m, unsigned slot, int fd)
{
	if (slot >= SLOT_MAX || m->fd[slot] >= 0) {
		close(fd);
		return;
	}
	m->fd[slot] = fd;
	/* there may be letters from before it could be rung */
	ring(fd);
}

void
mail_post(struct mail *m, unsigned slot, enum mail_topic topic, uint32_t key)
{
	struct board_mail	*b = m == NULL ? NULL : box_of(m, slot);
	unsigned		 bit = key % MAIL_KEYS;

	if (b == NULL)
		return;
	atomic_fetch_or(&b->bits[topic][bit / 64], 1ULL << bit % 64);
	if (m->fd[slot] >= 0)
		ring(m->fd[slot]);
}

void
mail_post_all(struct mail *m, enum mail_topic topic, uint32_t key)
{
	for (unsigned slot = 0; m != NULL && slot < SLOT_MAX; slot++)
		if (m->fd[slot] >= 0)
			mail_post(m, slot, topic, key);
}

/* --- the listener --- */

static void
read_word(struct mail *m, enum mail_topic topic, unsigned word, uint64_t bits)
{
	unsigned	bit;

	for (; bits != 0; bits &= bits - 1) {
		bit = (unsigned)__builtin_ctzll(bits);
		m->on(m->ctx, topic, word * 64 + bit);
	}
}

/* The bell is silenced first: a letter that comes later rings again. */
static void
on_ring(struct ev_fd *fd, unsigned what)
{
	struct mail		*m = container_of(fd, struct mail, in);
	struct board_mail	*b = box_of(m, m->slot);
	uint64_t		 n;

	(void)what;
	if (read(fd->fd, &n, sizeof(n)) == -1 && errno != EAGAIN)
		return;
	for (unsigned t = 0; b != NULL && t < MAIL_NTOPIC; t++)
		for (unsigned i = 0; i < MAIL_KEYS / 64; i++)
			read_word(m, (enum mail_topic)t, i,
			    atomic_exchange(&b->bits[t][i], 0));
}

int
mail_listen(struct mail *m, struct ev *ev, unsigned slot, mail_fn on,
    void *ctx, struct err *e)
{
	if (mail_fd(m, slot) == -1)
		return err_set(e, "slot %u has no eventfd", slot);
	m->slot = slot;
	m->on = on;
	m->ctx = ctx;
	ev_fd_init(&m->in, m->fd[slot], on_ring);
	if (ev_add(ev, &m->in, EV_LEVEL, e) == -1)
		return -1;
	m->ev = ev;
	return 0;
}

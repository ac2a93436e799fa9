/*
 * Wakes between processes: each slot that waits for others has an eventfd
 * and a mailbox on the board.  Workers and health post, workers wait, the
 * master makes the descriptors.
 *
 * A letter is a bit: topic and key modulo MAIL_KEYS, so a box never
 * overflows and a letter is at worst one too many.  The bit is set before
 * the descriptor is written, which is done each time: who dies in between
 * has told nobody, and the next letter tells both.  The master keeps the
 * descriptor of a slot for good; those made after a process was forked
 * reach it as CHAN_MAIL frames.
 */
#ifndef SL_CORE_MAIL_H
#define SL_CORE_MAIL_H

#include "core/board.h"
#include "os/ev.h"

#define MAIL_KEYS	512

/* what letters are about; keys are rows of upstream_live */
enum mail_topic {
	MAIL_ROOM,	/* a waiter of the upstream may go on */
	MAIL_IDLE,	/* idle connections to its servers are wanted */
	MAIL_STATE,	/* one of its servers went out of service */
	MAIL_NTOPIC
};

/* the box of a slot; region `mail` of live; set by all, taken by its own */
struct board_mail {
	_Atomic uint64_t bits[MAIL_NTOPIC][MAIL_KEYS / 64];
};
_Static_assert(sizeof(struct board_mail) == 192, "board mail");

extern const struct shm_region board_mails;

/* A process's side: descriptors of slots; self->mail, or NULL. */
struct mail;
struct mail *mail_new(void);
void mail_free(struct mail **);
/* Before anything else is done with it: where the boxes are. */
void mail_set_board(struct mail *, struct shm *);

/*
 * Master: the slot has an empty box and a descriptor from now on; 1 if
 * the descriptor is a new one, which others do not have, -1: none.
 */
int mail_make(struct mail *, unsigned slot, struct err *);
/* The descriptor of a slot, or -1; slots have numbers below SLOT_MAX. */
int mail_fd(const struct mail *, unsigned slot);
/* Takes the descriptor of a slot, and has its owner look at its box. */
void mail_add(struct mail *, unsigned slot, int fd);

/*
 * From now on on() is called for each letter to this slot, with the key
 * as the bit has it: modulo MAIL_KEYS.
 */
typedef void (*mail_fn)(void *ctx, enum mail_topic, uint32_t key);
int mail_listen(struct mail *, struct ev *, unsigned slot, mail_fn,
    void *ctx, struct err *);

/* The same to every process that has a box. */
void mail_post_all(struct mail *, enum mail_topic, uint32_t key);
/* Leaves a letter and rings; NULL: this process cannot wake others. */
void mail_post(struct mail *, unsigned slot, enum mail_topic, uint32_t key);

#endif

/*
 * Panic texts: what a dying process leaves on the board for the master to
 * tell.  Every process.
 */
#ifndef SL_MAIN_PANIC_H
#define SL_MAIN_PANIC_H

/* Takes over failed invariants and the signals of broken programs. */
void panic_init(void);

#endif

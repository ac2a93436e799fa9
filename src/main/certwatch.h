/*
 * [sluice] watch: files of certificates that change bring a reload about.
 * Master, who may look into the directories where keys lie; it reads
 * nothing there.
 */
#ifndef SL_MAIN_CERTWATCH_H
#define SL_MAIN_CERTWATCH_H

struct master;

/* Another generation is live: watches what it names, and no more. */
void certwatch_update(struct master *);
void certwatch_fini(struct master *);

#endif

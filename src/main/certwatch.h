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
/*
 * A reload of ours found a key that does not go with its chain, of which
 * nothing was told: it is tried again, at last with its failure told.
 */
void certwatch_wait(struct master *);
void certwatch_fini(struct master *);

#endif

/*
 * Files as a process that must not wait opens and reads them.  One file
 * per system.
 */
#ifndef SL_OS_FS_H
#define SL_OS_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FS_NO_LINKS	0x01	/* no symbolic link in the path */
#define FS_ANYWHERE	0x02	/* links may lead out of dir */
#define FS_CACHED	0x04	/* EAGAIN if the disk had to be asked */
#define FS_PATH		0x08	/* a directory, only as a place (O_PATH) */

/*
 * Opens a relative path for reading.  It cannot leave dir (EXDEV), but
 * with FS_ANYWHERE, where the caller sees to it that there is no "..".
 * -1 with errno.
 */
int fs_open_below(int dir, const char *path, unsigned flags);

/* Reads what is in memory already; -1 with EAGAIN if some of it is not. */
ssize_t fs_read_cached(int fd, void *buf, size_t n, uint64_t off);

/* True if these bytes of it can be read without waiting. */
bool fs_is_cached(int fd, uint64_t off, uint64_t n);

#endif

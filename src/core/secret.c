/*
 * Keys of this machine's own.  The master makes, workers read.
 */
#include "core/secret.h"

#include <sys/random.h>

#include <errno.h>
#include <string.h>

const struct shm_region board_keys = {
	"keys", SHM_SECRET, 1, sizeof(struct board_key), 8,
	"keys that are made at the start"
};

/* getrandom gives up to 256 bytes whole, or is interrupted before any. */
static int
make_key(struct board_key *k, struct err *e)
{
	ssize_t	n;

	do
		n = getrandom(k->key, sizeof(k->key), 0);
	while (n == -1 && errno == EINTR);
	if (n != (ssize_t)sizeof(k->key))
		return err_sys(e, "secret: the system gives no random bytes");
	atomic_store_explicit(&k->made, 1, memory_order_release);
	return 0;
}

int
secret_grow(struct shm *shm, struct err *e)
{
	struct board_key	*k;

	if (shm_grow(shm, &board_keys, SECRET_N, e) == -1)
		return -1;
	for (uint32_t i = 0; i < SECRET_N; i++) {
		k = shm_row(shm, &board_keys, i);
		if (atomic_load(&k->made) == 0 && make_key(k, e) == -1)
			return -1;
	}
	return 0;
}

int
secret_get(const struct shm *shm, enum secret which,
    uint8_t key[SECRET_BYTES])
{
	struct board_key	*k;

	if (shm == NULL || shm_rows(shm, &board_keys) <= (uint32_t)which)
		return -1;
	k = shm_row(shm, &board_keys, which);
	if (atomic_load_explicit(&k->made, memory_order_acquire) == 0)
		return -1;
	memcpy(key, k->key, SECRET_BYTES);
	return 0;
}

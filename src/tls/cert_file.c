/*
 * Files of certificates and keys.
 */
#include "tls/cert_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

#define FILE_MAX	(1 << 20)

static int
read_all(int fd, char *buf, size_t size, size_t *n)
{
	ssize_t	got;

	for (*n = 0; *n < size; *n += (size_t)got) {
		got = read(fd, buf + *n, size - *n);
		if (got == -1 && errno == EINTR)
			got = 0;
		else if (got <= 0)
			return got == 0 ? 0 : -1;
	}
	return 0;
}

/* A FIFO must not hold the builder, hence O_NONBLOCK. */
int
cert_file_read(const char *path, struct cert_file *f, struct err *e)
{
	int	 fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = -1;
	char	*buf;
	size_t	 n = 0, size;

	f->text = STR_NONE;
	if (fd == -1)
		return err_sys(e, "cannot be read");
	if (fstat(fd, &f->st) == -1 || !S_ISREG(f->st.st_mode)) {
		err_set(e, "is no file");
	} else if (f->st.st_size > FILE_MAX) {
		err_set(e, "has more than 1 MiB");
	} else {
		size = (size_t)f->st.st_size;
		buf = must_alloc(size + 1);
		rc = read_all(fd, buf, size, &n);
		f->text = str_make(buf, n);
		if (rc == -1)
			err_sys(e, "cannot be read");
	}
	close(fd);
	return rc;
}

bool
cert_file_is_open(const struct cert_file *f)
{
	return (f->st.st_mode & 07) != 0;
}

void
cert_file_drop(struct cert_file *f)
{
	char	*p = (char *)(uintptr_t)f->text.p;

	if (p != NULL)
		explicit_bzero(p, f->text.n);
	free(p);
	f->text = STR_NONE;
}

static int
compare(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

int
cert_file_list(const char *dir, struct vec *names, struct err *e)
{
	DIR		*d = opendir(dir);
	struct dirent	*ent;
	struct str	 s;
	char		*copy;

	vec_init(names, sizeof(struct str));
	if (d == NULL)
		return err_sys(e, "cannot be read");
	while ((ent = readdir(d)) != NULL) {
		s = str_from(ent->d_name);
		if (s.p[0] == '.' || (!str_ends(s, STR(".crt")) &&
		    !str_ends(s, STR(".pem"))))
			continue;
		copy = must_alloc(s.n + 1);
		memcpy(copy, s.p, s.n + 1);
		*(struct str *)vec_push(names) = str_make(copy, s.n);
	}
	closedir(d);
	if (names->n > 0)
		qsort(names->p, names->n, sizeof(struct str), compare);
	return 0;
}

void
cert_file_forget(struct vec *names)
{
	for (size_t i = 0; i < names->n; i++)
		free((char *)(uintptr_t)
		    ((struct str *)vec_at(names, i))->p);
	vec_fini(names);
}

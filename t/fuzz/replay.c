/*
 * A plain main for the fuzz targets: gives every file of a corpus to the
 * target, so that `make check` covers the corpus without clang.
 *
 * usage: fuzz_X PATH ...	files, or directories of files
 *
 * The input lies at the end of its own allocation, so that reading one
 * byte too far is found under ASan.  The closing line is that of Check,
 * which t/lib/unit.py counts; a target that dies prints none.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What replay counted. */
struct tally {
	unsigned	ran;
	unsigned	failed;
};

/* All bytes of a file in memory of exactly that size, or NULL. */
static uint8_t *
slurp(const char *path, size_t *n)
{
	uint8_t *p = NULL;
	FILE *f = fopen(path, "rb");
	struct stat st;

	if (f == NULL)
		return NULL;
	if (fstat(fileno(f), &st) == 0) {
		*n = (size_t)st.st_size;
		/* malloc(0) may be NULL, which would look like an error */
		p = malloc(*n > 0 ? *n : 1);
		if (p != NULL && fread(p, 1, *n, f) != *n) {
			free(p);
			p = NULL;
		}
	}
	fclose(f);
	return p;
}

static void
replay_file(const char *path, struct tally *t)
{
	size_t n;
	uint8_t *p = slurp(path, &n);

	t->ran++;
	if (p == NULL) {
		perror(path);
		t->failed++;
		return;
	}
	/* said before, so that a crash names its input */
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(p, n);
	free(p);
}

static void
replay_dir(const char *path, struct tally *t)
{
	struct dirent **names;
	char file[4096];
	int n = scandir(path, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path,
			    names[i]->d_name);
			replay_file(file, t);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

int
main(int argc, char **argv)
{
	struct tally t = { 0, 0 };
	struct stat st;

	for (int i = 1; i < argc; i++) {
		unsigned before = t.ran;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			replay_dir(argv[i], &t);
		else
			replay_file(argv[i], &t);
		if (t.ran == before) {
			fprintf(stderr, "%s: no input in there\n", argv[i]);
			t.ran++;
			t.failed++;
		}
	}
	printf("Checks: %u, Failures: %u, Errors: 0\n", t.ran, t.failed);
	return t.failed != 0;
}

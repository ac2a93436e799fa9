/*
 * The error of set-up code: one sentence, filled where it happened and
 * reported once by the outermost caller ("what failed: why").
 */
#ifndef SL_BASE_ERR_H
#define SL_BASE_ERR_H

struct err {
	char	text[512];
};

/* Fills e (which may be NULL) and returns -1. */
int err_set(struct err *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same followed by ": " and the text of errno. */
int err_sys(struct err *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif

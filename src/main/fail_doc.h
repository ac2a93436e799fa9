/*
 * The failures as a section of the manual, for sluiced --dump-mdoc.
 */
#ifndef SL_MAIN_FAIL_DOC_H
#define SL_MAIN_FAIL_DOC_H

#include <stdio.h>

/* Writes .Sh FAILURES from the table. */
void fail_doc_print(FILE *);

#endif

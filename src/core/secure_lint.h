/*
 * What is odd about TLS as a whole: terms that no certificate can serve,
 * redirects to nowhere, keys of which nothing comes.  Builder and -t.
 */
#ifndef SL_CORE_SECURE_LINT_H
#define SL_CORE_SECURE_LINT_H

#include "conf/load.h"

/* When all is linked.  Warns. */
void secure_lint(struct conf_load *);

/* Warns of hosts of routes with TLS that no certificate is for. */
void secure_cover(struct conf_load *);

/* -1 after it told of terms by which every handshake fails; warns. */
int secure_fit(struct conf_load *);

/* Has an object a key of its own that is not as the default is? */
const struct conf_item *secure_lint_said(struct conf_load *,
    const struct conf_obj *, const struct conf_row *);

/* Does anybody use a [tls NAME]? */
bool secure_lint_used(const struct conf *, const struct conf_obj *);

#endif

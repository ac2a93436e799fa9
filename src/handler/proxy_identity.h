/*
 * Fields that tell a server who the client is by its certificate, where a
 * route says so (identity.NAME).  Workers; the builder reads the keys.
 */
#ifndef SL_HANDLER_PROXY_IDENTITY_H
#define SL_HANDLER_PROXY_IDENTITY_H

#include "core/exchange.h"

extern const struct conf_group proxy_identity_group;

/* Is it one of these, that the client must not say itself? */
bool proxy_identity_drops(const struct exchange *, const struct hdr *);
/* Adds those that have a value. */
void proxy_identity_add(struct exchange *, struct hdrs *);

#endif

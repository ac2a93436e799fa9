/*
 * The memory of nghttp2, from slabs of the process.
 */
#ifndef SL_CODEC_H2_MEM_H
#define SL_CODEC_H2_MEM_H

#include <nghttp2/nghttp2.h>

#include "base/sizes.h"

/* As nghttp2 wants it. */
nghttp2_mem h2_mem(struct sizes *);

#endif

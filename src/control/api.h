/*
 * The control API: HTTP/1.1 and JSON under /v1 on RUN_DIR/control.sock.
 * Paths are for ever; every answer is an object with "v":1.
 *
 *	GET  /v1/version      program, version, library versions
 *	GET  /v1/status       processes, generation, sums of counters
 *	GET  /v1/generations  those in use, by whom
 *	POST /v1/reload       200 with the generation or 409 with diagnostics
 *	POST /v1/roll         replaces the workers one by one
 *	GET  /v1/metrics      the stat rows as JSON
 *	GET  /v1/board        no body; descriptors of dir and live, read-only
 */
#ifndef SL_CONTROL_API_H
#define SL_CONTROL_API_H

#include "core/handler.h"

#define API_VERSION	"/v1/version"
#define API_STATUS	"/v1/status"
#define API_GENERATIONS	"/v1/generations"
#define API_RELOAD	"/v1/reload"
#define API_ROLL	"/v1/roll"
#define API_METRICS	"/v1/metrics"
#define API_BOARD	"/v1/board"

extern const struct handler api_handler;

/* Told by the control process: a reload's or roll's outcome. */
void api_report(uint64_t id, struct frame *);

#endif

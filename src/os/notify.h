/*
 * Telling the service manager (sd_notify(3) protocol, without its
 * library): nothing happens unless NOTIFY_SOCKET is set.  Master only.
 */
#ifndef SL_OS_NOTIFY_H
#define SL_OS_NOTIFY_H

/* Sends state, e.g. "READY=1\nSTATUS=...".  Never fails loudly. */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* RELOADING=1 with the time that Type=notify-reload asks for. */
void notify_reloading(void);

#endif

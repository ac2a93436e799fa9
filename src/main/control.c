/*
 * The control process.  It serves the control API on the master's unix
 * socket, with a struct serve of its own and one handler, so that HTTP is
 * spoken by the same code as everywhere.  Generations do not concern its
 * listener, whose limits are fixed: an error in a configuration never
 * locks the operator out.
 *
 * Who may connect is decided twice: by the mode of the socket, and here
 * by the peer's credentials, for a mode is easily changed by mistake.
 */
#include "main/skel.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "control/api.h"
#include "control/names.h"
#include "core/listener.h"
#include "main/roles.h"

static const struct listener_conf limits = {
	.obj = { .name = STR_INIT("control"), .section = &listener_section },
	.limits = {
		.header_bytes = 16384, .header_field = 8192,
		.header_count = 64, .target = 8192, .header_ms = 10000,
		.body_ms = 10000, .write_ms = 60000, .idle_ms = 75000
	}
};

/* --- who is let in --- */

static bool
admit(struct listener *l, int fd)
{
	gid_t gid, group = self->start->m->user.gid;
	uid_t uid;

	(void)l;
	if (sock_cred(fd, &uid, &gid) == 0 && (uid == 0 || uid == geteuid() ||
	    gid == group || sock_in_group(fd, group)))
		return true;
	stat_add(STAT_REFUSED, 1);
	return false;
}

/* --- the skeleton's hooks --- */

static void
on_drained(struct serve *s)
{
	(void)s;
	skel_exit(0);
}

static void
drain(void *ctx, const struct drain *d)
{
	struct api *a = ctx;

	api_give_up(a);
	a->serve.drained = on_drained;
	serve_drain(&a->serve, d->limit, 0);
}

static void
expire(void *ctx, uint64_t number)
{
	struct api *a = ctx;

	exchange_expire(&a->serve, number);
}

static void
on_report(struct api *a, const struct frame *f)
{
	struct api_outcome o = { .id = f->head.id };
	struct str rest = str_make(f->data, f->head.len);
	struct report r;

	if (rest.n < sizeof(r))
		return;
	memcpy(&r, rest.p, sizeof(r));
	rest = str_sub(rest, sizeof(r), rest.n);
	if ((uint64_t)r.why_n + r.text_n + r.json_n != rest.n)
		return;
	o.generation = r.generation;
	o.code = r.code;
	o.why = str_sub(rest, 0, r.why_n);
	o.text = str_sub(rest, r.why_n, r.why_n + r.text_n);
	o.json = str_sub(rest, r.why_n + r.text_n, rest.n);
	o.fd = f->nfd == 1 ? f->fds[0] : -1;
	api_report(a, &o);
}

/* Replies to sets of addresses, one behind the other. */
static void
on_names(struct api *a, const struct frame *f)
{
	struct str rest = str_make(f->data, f->head.len);
	struct name_reply r;

	while (rest.n >= sizeof(r)) {
		memcpy(&r, rest.p, sizeof(r));
		rest = str_sub(rest, sizeof(r), rest.n);
		if (r.nwhy > rest.n)
			return;
		names_answer(a->names, r.tag, r.changed != 0,
		    str_sub(rest, 0, r.nwhy));
		rest = str_sub(rest, r.nwhy, rest.n);
	}
}

static void
commit(void *ctx, struct gen *g)
{
	struct api *a = ctx;

	names_commit(a->names, g->conf);
}

static void
on_frame(void *ctx, struct frame *f)
{
	if (f->head.op == CHAN_NAMES)
		on_names(ctx, f);
	if (f->head.op == CHAN_REPORT)
		on_report(ctx, f);
	if (f->head.op == CHAN_LOOK)
		api_explain_told(ctx, f->head.id, str_make(f->data,
		    f->head.len));
	if (f->head.op == CHAN_PEER && f->nfd == 1) {
		api_log_join(ctx, f->fds[0]);
		f->fds[0] = -1;
	}
}

/* --- start --- */

static int
start(struct api *a, struct err *e)
{
	struct sock_addr addr;
	struct listen_addr la = { .conf = &limits, .addr = &addr };
	struct listener *l;
	int fd = self->start->m->ctl_fd, i;
	unsigned index;

	if (serve_init(&a->serve, self->ev, self->shm, self->gens,
	    &self->log, e) < 0)
		return -1;
	api_init(a, self->start->ro_fd);
	a->names = must_calloc(1, sizeof(*a->names));
	names_init(a->names, self->ev, self->shm);
	for (i = 0; i < skel_npeer(); i++)
		api_log_join(a, skel_peer(i, &index));
	if (sock_local(fd, &addr) < 0)
		return err_sys(e, "control socket");
	l = listener_attach(&a->serve, &la, fd, e);
	if (l == NULL)
		return -1;
	l->admit = admit;
	listener_start(l);
	names_commit(a->names, self->gens->cur->conf);
	return 0;
}

int
control_run(void)
{
	struct api *a = must_calloc(1, sizeof(*a));
	struct skel_hooks hooks = { .ctx = a, .commit = commit,
	    .expire = expire, .drain = drain, .frame = on_frame };
	struct err e;
	int status;

	if (start(a, &e) < 0) {
		log_err(&self->lc, "control: cannot start: %s", e.text);
		return EXIT_ENV;
	}
	status = skel_run(&hooks);
	names_fini(a->names);
	free(a->names);
	serve_fini(&a->serve);
	free(a);
	return status;
}

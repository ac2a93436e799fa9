/*
 * Privileges on Linux.  Master, builder and every child at its start.
 * Capabilities by the raw system call, so that no library is needed for
 * five bits; seccomp as classic BPF made from lists of system calls.
 */
#include "os/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int
priv_find_user(const char *name, struct priv_user *u, struct err *e)
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (getpwnam_r(name, &pw, buf, sizeof(buf), &found) != 0 ||
	    found == NULL)
		return err_set(e, "there is no user \"%s\"", name);
	u->uid = pw.pw_uid;
	u->gid = pw.pw_gid;
	snprintf(u->name, sizeof(u->name), "%s", name);
	return 0;
}

bool
priv_is_root(void)
{
	return geteuid() == 0;
}

/* The capability may have been given without root (systemd, setcap). */
static bool
has_bind_cap(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { 0 }, { 0 } };

	return syscall(SYS_capget, &head, caps) == 0 &&
	    (caps[0].effective & 1U << CAP_NET_BIND_SERVICE) != 0;
}

unsigned
priv_first_port(void)
{
	FILE *f;
	unsigned first = IPPORT_RESERVED;

	if (has_bind_cap())
		return 0;
	f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	if (f == NULL)
		return first;
	if (fscanf(f, "%u", &first) != 1)
		first = IPPORT_RESERVED;
	fclose(f);
	return first;
}

/*
 * What root gets at exec, by an upgrade say, is the bounding set: the
 * same few.  They go while there is the right to, in the first program.
 */
static int
limit_exec(uint64_t keep, struct err *e)
{
	int i, have, rc = 0;

	for (i = 0; i < 64; i++) {
		have = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
		if (have < 0)
			break;
		if (have > 0 && (keep & 1ULL << i) == 0 &&
		    prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			rc = err_sys(e, "cannot give up capability %d for "
			    "programs to come", i);
	}
	return rc;
}

int
priv_limit_master(struct err *e)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { 0 }, { 0 } };
	uint32_t keep = 1U << CAP_NET_BIND_SERVICE | 1U << CAP_SETUID |
	    1U << CAP_SETGID | 1U << CAP_KILL | 1U << CAP_DAC_READ_SEARCH;
	int rc = limit_exec(keep, e);

	if (syscall(SYS_capget, &head, caps) < 0)
		return err_sys(e, "cannot read capabilities");
	caps[0].permitted &= keep;
	caps[0].effective = caps[0].permitted;
	caps[0].inheritable = 0;
	memset(&caps[1], 0, sizeof(caps[1]));
	if (syscall(SYS_capset, &head, caps) < 0)
		return err_sys(e, "cannot give up capabilities");
	return rc;
}

int
priv_become(const struct priv_user *u, struct err *e)
{
	if (geteuid() != 0)
		return 0;
	if (u->uid == 0)
		return 0;
	if (setgroups(1, &u->gid) < 0 || setresgid(u->gid, u->gid, u->gid) < 0
	    || setresuid(u->uid, u->uid, u->uid) < 0)
		return err_sys(e, "cannot become user \"%s\"", u->name);
	if (setuid(0) == 0)
		return err_set(e, "user \"%s\" can become root again",
		    u->name);
	return 0;
}

/* The rights to files alone, so that the way back is open. */
int
priv_as_user(const struct priv_user *u, void (*look)(void *ctx), void *ctx,
    struct err *e)
{
	gid_t was[NGROUPS_MAX];
	int n, death = 0, dumps = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

	if (geteuid() != 0 || u->uid == 0) {
		look(ctx);
		return 0;
	}
	n = getgroups(NGROUPS_MAX, was);
	if (n < 0 || setgroups(1, &u->gid) < 0)
		return err_sys(e, "cannot change groups");
	(void)prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	setfsgid(u->gid);
	setfsuid(u->uid);
	look(ctx);
	setfsuid(0);
	setfsgid(getegid());
	/* the kernel forgets both at such a change */
	(void)prctl(PR_SET_PDEATHSIG, death, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, dumps, 0, 0, 0);
	if (setgroups((size_t)n, was) < 0)
		return err_sys(e, "cannot have the groups again");
	return 0;
}

void
priv_allow_dumps(bool may)
{
	(void)prctl(PR_SET_DUMPABLE, may, 0, 0, 0);
}

int
priv_no_new(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "cannot set no_new_privs");
	return 0;
}

/*
 * Gives a directory that was just made away; one that is written by the
 * group stays in root's.  Whatever took its place meanwhile is left alone.
 */
static int
give(const char *path, const struct priv_user *u, unsigned mode,
    struct err *e)
{
	gid_t gid = (mode & 0020) != 0 ? 0 : u->gid;
	int rc, fd;

	if (geteuid() != 0 || u->uid == 0)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = fd < 0 || fchown(fd, u->uid, gid) < 0 || fchmod(fd, mode) < 0 ?
	    err_sys(e, "cannot give directory \"%s\" to \"%s\"", path,
	    u->name) : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

int
priv_make_dir(const char *path, const struct priv_user *u, unsigned mode,
    struct err *e)
{
	char buf[4096];
	struct stat st;
	size_t i, n = strnlen(path, sizeof(buf));

	if (n == 0 || n >= sizeof(buf))
		return err_set(e, "the path of a directory is too long");
	memcpy(buf, path, n + 1);
	for (i = 1; i < n; i++) {
		if (buf[i] != '/')
			continue;
		buf[i] = '\0';
		if (mkdir(buf, 0755) < 0 && errno != EEXIST)
			return err_sys(e, "cannot make directory \"%s\"",
			    buf);
		buf[i] = '/';
	}
	if (mkdir(buf, mode) == 0)
		return give(buf, u, mode, e);
	if (errno != EEXIST)
		return err_sys(e, "cannot make directory \"%s\"", path);
	if (stat(buf, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, "\"%s\" is no directory", path);
	/* one that exists is somebody's: it stays as it is */
	return 0;
}

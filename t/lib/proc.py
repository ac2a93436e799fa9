"""The real sluiced, in the foreground, with events instead of sleeps.

The master tells its state over NOTIFY_SOCKET (sd_notify); readiness,
reloads and stops are awaited there.  Roles are read from the titles of
its children ("sluiced: worker 2").  At the end no process of the session
may be left and no sanitizer may have found anything.
"""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

from lib import http, net
from lib.cmd import BIN, KIND, children, mapped, pss, run, session, title
from lib.net import Deadline
from lib.notify import Notify

# keys that a config of a test gets unless it sets them itself
DEFAULTS = {
    "sluice": {"run_dir": "@dir@/run", "state_dir": "@dir@/state",
               "workers": "2"},
    # files that are read while they are written stay where they are
    "log": {"directory": "@dir@/log", "rotation_strategy": "none"},
}
if KIND == "cover":     # counts are written by who may write them
    DEFAULTS["sluice"]["user"] = "root"
BROKEN = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|"
                    r"UndefinedBehavior|^==\d+==ERROR", re.M)


def board_rows(data, region):
    """Rows of a region, of the bytes of its segment (src/os/shm.h)."""
    for at in range(32, 32 + 24 * 200, 200):
        if data[at:at + 24].rstrip(b"\0") != region.encode():
            continue
        _, stride, base, nchunk, *chunks = struct.unpack(
            "<4I20Q", data[at + 24:at + 200])
        return [data[c + i * stride:c + (i + 1) * stride]
                for k, c in enumerate(chunks[:nchunk])
                for i in range(base << k)]
    raise KeyError(region)


TWINS = None    # makes listeners of every HTTP version; conftest.py


def complete(conf, values):
    """The config with DEFAULTS added and @name@ replaced."""
    for section, keys in DEFAULTS.items():
        own = re.search(rf"^\[{section}\]\n(.*?)(?=^\[|\Z)", conf,
                        re.M | re.S)
        lines = "".join(
            f"{k} = {v}\n" for k, v in keys.items()
            if not own or not re.search(rf"^{k}\s*=", own.group(1), re.M))
        if own:
            at = own.end(1)
            conf = conf[:own.start(1)] + lines + conf[own.start(1):at] + \
                conf[at:]
        else:
            conf = f"[{section}]\n{lines}\n{conf}"
    conf = re.sub(r"@(\w+)@", lambda m: str(values(m.group(1))), conf)
    return TWINS(conf, values) if TWINS else conf


class Sluice:
    def __init__(self, directory):
        self.dir = str(directory)
        self.ports = {}
        self.conf_path = os.path.join(self.dir, "sluice.conf")
        self.err_path = os.path.join(self.dir, "stderr")
        self.control = os.path.join(self.dir, "run", "control.sock")
        self.notify = Notify(os.path.join(self.dir, "notify"))
        self.proc = self.pidfd = None
        self.sid = 0
        self.program = f"{BIN}/sluiced"
        self.bare = False               # started without a config
        self.may_break = False          # set where a panic is expected

    # --- config ---

    def value(self, name):
        """@dir@, @port@, @port2@ ... of a config."""
        if name == "dir":
            return self.dir
        if not name.startswith("port"):
            return f"@{name}@"
        if name not in self.ports:
            self.ports[name] = net.free_port()
        return self.ports[name]

    @property
    def port(self):
        return self.value("port")

    def write(self, conf, name="sluice.conf"):
        """Writes a config, complete, by rename as an editor does."""
        path = os.path.join(self.dir, name)
        text = complete(conf, self.value) if name == "sluice.conf" \
            else re.sub(r"@(\w+)@", lambda m: str(self.value(m.group(1))),
                        conf)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(path + ".new", path)
        return path

    # --- life ---

    def env(self, **extra):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith("SLUICE_")}
        env["NOTIFY_SOCKET"] = self.notify.path
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=1")
        env.setdefault("UBSAN_OPTIONS",
                       "print_stacktrace=1:halt_on_error=1")
        env.update(extra)
        return env

    def start(self, conf=None, args=(), ready=True, env=None, prefix=()):
        """Starts sluiced -f and waits until it is ready."""
        if conf is not None:
            self.write(conf)
        self.notify.drain()
        file = () if self.bare else ("-c", self.conf_path)
        with open(self.err_path, "ab") as err:
            self.proc = subprocess.Popen(
                [*prefix, self.program, "-f", *file, *args],
                stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                env=self.env(**(env or {})), cwd=self.dir,
                start_new_session=True)
        self.sid = self.proc.pid
        if self.pidfd is not None:
            os.close(self.pidfd)
        self.pidfd = os.pidfd_open(self.proc.pid)
        if ready:
            try:
                self.notify.wait("READY", pidfd=self.pidfd)
            except (ChildProcessError, TimeoutError) as e:
                raise AssertionError(f"{e}:\n{self.stderr()}") from None
        return self

    @property
    def pid(self):
        return self.proc.pid

    def send(self, sig):
        os.kill(self.pid, sig)

    def reload(self, conf=None, seconds=None):
        """SIGHUP; returns the fields of the notification that ended it."""
        if conf is not None:
            self.write(conf)
        self.notify.drain()
        self.send(signal.SIGHUP)
        self.notify.wait("RELOADING", seconds=seconds, pidfd=self.pidfd)
        return self.notify.wait("READY", seconds=seconds, pidfd=self.pidfd)

    def stop(self, sig=signal.SIGTERM, seconds=None):
        """Ends sluiced, waits for all of it; returns the exit code."""
        if self.proc is None:
            return None
        if self.proc.poll() is None:
            self.send(sig)
        try:
            return self.wait(seconds)
        finally:
            self.check_leftovers()

    def wait(self, seconds=None):
        try:
            return self.proc.wait(net.WAIT if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"sluiced did not end:\n{self.stderr()}") from None

    # --- processes ---

    def children(self, pid=None):
        """Pids of the children of the master (or of pid)."""
        return children(pid or self.pid)

    def roles(self):
        """{"worker 1": pid, "logger": pid ...} by title."""
        out = {}
        for pid in self.children():
            m = re.match(r"sluiced: ([\w -]+)", title(pid))
            if m:
                out[m.group(1).strip()] = pid
        return out

    def workers(self):
        return sorted(p for r, p in self.roles().items()
                      if r.startswith("worker"))

    def wait_role(self, role, other_than=None, seconds=None):
        """The pid of a role, once it is not `other_than` any more."""
        deadline = Deadline(f"a new {role}", seconds)
        while True:
            pid = self.roles().get(role)
            if pid is not None and pid != other_than:
                return pid
            # a fork has no event that a stranger could await
            net.wait_fd(self.pidfd, min(deadline.left(), 0.02))

    def wait_child(self):
        """Waits until the master has forked anything."""
        deadline = Deadline("a child")
        while not self.children():
            net.wait_fd(self.pidfd, min(deadline.left(), 0.02))

    def wait_mapped(self, role, generations):
        """Waits until a process has mapped so many generations."""
        deadline = Deadline(f"{generations} generations in {role}")
        while mapped(self.roles()[role], "sluice-conf") != generations:
            net.wait_fd(self.pidfd, min(deadline.left(), 0.02))

    def kill(self, role, sig=signal.SIGKILL):
        """Kills a role's process, waits for its end; returns its pid."""
        pid = self.roles()[role]
        os.kill(pid, sig)
        if sig != signal.SIGSTOP:
            net.wait_pid_gone(pid)
        return pid

    def pss(self, files=True):
        """Summed PSS of master and children, in KiB."""
        return pss([self.pid] + self.children(), files)

    def check_leftovers(self):
        """Ends what outlived the master, and says so."""
        end = time.monotonic() + 2 * net.SCALE
        while (left := session(self.sid)) and time.monotonic() < end:
            try:
                net.wait_pid_gone(left[0], max(end - time.monotonic(), 0.01))
            except TimeoutError:
                pass
        names = [f"{p} {title(p)}" for p in left]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        assert not left, f"processes left: {names}"

    # --- what it says ---

    def stderr(self):
        return "\n".join(net.read_lines(self.err_path))

    def wait_stderr(self, pattern, count=1, seconds=None):
        return net.wait_file(self.err_path, pattern, seconds, count)

    def log(self, name=""):
        """Records of the JSON files in the log directory."""
        out, top = [], os.path.join(self.dir, "log")
        for file in sorted(os.listdir(top)) if os.path.isdir(top) else []:
            if name in file:
                out += [json.loads(ln) for ln in
                        net.read_lines(os.path.join(top, file))]
        return out

    def wait_log(self, pattern, count=1, seconds=None):
        """Waits until `count` lines of the log directory match."""
        what, top = re.compile(pattern), os.path.join(self.dir, "log")
        deadline = Deadline(f"{pattern!r} in the log", seconds)
        os.makedirs(top, exist_ok=True)
        watch = net.Watch(top)
        try:
            while True:
                found = [ln for f in sorted(os.listdir(top)) for ln in
                         net.read_lines(os.path.join(top, f))
                         if what.search(ln)]
                if len(found) >= count:
                    return found
                watch.wait(deadline.left())
        finally:
            watch.close()

    # --- sluicectl and sluiced as commands ---

    def ctl(self, *args, ok=True):
        """Runs sluicectl on this control socket."""
        done = run("sluicectl", "-s", self.control, *args)
        if ok:
            assert done.returncode == 0, done.stderr
        return done

    def ctl_json(self, *args):
        return json.loads(self.ctl("-o", "json", *args).stdout)

    def board_fds(self):
        """Descriptors and answer of GET /v1/board."""
        with net.connect(self.control) as c:
            c.sendall(http.request("GET", "/v1/board",
                                   {"Connection": "close"}))
            data, fds = b"", []
            while True:
                piece, more, _, _ = socket.recv_fds(c, 65536, 16)
                fds += more
                if not piece:
                    break
                data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200 ")
        return fds, json.loads(body)

    def server_rows(self, upstream):
        """Addresses of an upstream that have a row on the board."""
        fds, _ = self.board_fds()
        # whoever had it before has moved its offset
        data = os.pread(fds[0], os.fstat(fds[0]).st_size, 0)
        for fd in fds:
            os.close(fd)
        up = [n for n, r in enumerate(board_rows(data, "upstream_names"))
              if r[1:1 + r[0]] == upstream.encode()]
        # struct board_server: tag, lease, row of its upstream, .., 64: addr
        return [r[64:].rstrip(b"\0").decode()
                for r in board_rows(data, "servers")
                if any(r[:8]) and int.from_bytes(r[12:16], "little") in up]

    def close(self):
        """Gives back what the test held; a master still there is ended."""
        if self.proc is not None:
            self.proc.kill()
            self.proc.wait()
            os.close(self.pidfd)
            self.proc = self.pidfd = None
        self.notify.sock.close()

    def check_broken(self):
        found = BROKEN.search(self.stderr())
        assert self.may_break or not found, self.stderr()

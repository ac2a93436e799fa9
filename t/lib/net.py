"""Loopback ports, events of files and processes, deadlines."""
import collections
import ctypes
import errno
import fcntl
import os
import random
import re
import select
import socket
import struct
import termios
import time

# sanitizers and coverage make everything slower
SCALE = 4 if os.environ.get("SLUICE_KIND") in ("asan", "cover") else 1
WAIT = 10 * SCALE       # for what is expected to happen

# of the processes that share the tests each has ports of its own
PART = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
PARTS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_given = collections.deque(maxlen=1000)


class Deadline:
    """`left()` raises when the time is over: no test hangs."""

    def __init__(self, what, seconds=None):
        self.what = what
        self.end = time.monotonic() + (WAIT if seconds is None else seconds)

    def left(self):
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{self.what}: not in time")
        return left


def wait_fd(fd, seconds):
    """Waits until one of the descriptors is readable; returns those.

    poll, not select: soaks hold more descriptors than select can name.
    """
    p = select.poll()
    for f in [] if fd is None else fd if isinstance(fd, list) else [fd]:
        p.register(f, select.POLLIN)
    return [f for f, _ in p.poll(max(seconds, 0) * 1000)]


def until(what, right, seconds=None, fd=None):
    """Waits for what has no event that a stranger could await; returns it.

    fd: a descriptor that is readable when looking again is worth it.
    """
    deadline = Deadline(what, seconds)
    while not (found := right()):
        wait_fd(fd, min(deadline.left(), 0.02))
    return found


def wait_taken(sock, seconds=None):
    """Waits until the other end has read all that was sent by a unix
    socket, or its kernel all that was by TCP."""
    end = Deadline("all is read", seconds)
    while fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)) != bytes(4):
        wait_fd(None, min(end.left(), 0.001))


def free_port(host="127.0.0.1"):
    """A port nobody has now, and that was not given out a while ago: who has
    it may still have to take it.  It is below those that the system takes
    for connections: one of these may be gone by the time a listener wants
    it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randrange(16384 + PART, 32768, PARTS)
        if port in _given:
            continue
        with socket.socket(family, socket.SOCK_STREAM) as s:
            try:
                s.bind((host, port))
            except OSError as e:
                if e.errno != errno.EADDRINUSE:
                    raise
                continue
        _given.append(port)
        return port


def connect(addr, timeout=None, rcvbuf=0):
    """A socket to a port of 127.0.0.1, a (host, port) or a unix path."""
    timeout = WAIT if timeout is None else timeout
    if isinstance(addr, str):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        s.connect(addr)
        return s
    if isinstance(addr, int):
        addr = ("127.0.0.1", addr)
    family = socket.AF_INET6 if ":" in addr[0] else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(timeout)
    if rcvbuf:      # before connect: it decides the window
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.connect(addr)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def reset(sock):
    """Closes so that the peer sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


def wait_pid_gone(pid, seconds=None):
    """Waits until a process that need not be a child has exited."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        left = Deadline(f"exit of {pid}", seconds).left()
        if not wait_fd(fd, left):
            raise TimeoutError(f"process {pid} lives on")
    finally:
        os.close(fd)


_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE = 0x2, 0x80, 0x100
_libc = ctypes.CDLL(None, use_errno=True)


def wait_refused(port, seconds=None):
    """Waits until nobody listens on a port of 127.0.0.1 any more."""
    deadline = Deadline(f"port {port} closed", seconds)
    while True:
        try:
            connect(port).close()
        except ConnectionError:
            return
        wait_fd(None, min(deadline.left(), 0.02))


class Watch:
    """Says when something in a directory is written, made or renamed."""

    def __init__(self, directory):
        self.fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0 or _libc.inotify_add_watch(
                self.fd, os.fsencode(directory),
                _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE) < 0:
            raise OSError(ctypes.get_errno(), "inotify", directory)

    def wait(self, seconds):
        if wait_fd(self.fd, seconds):
            os.read(self.fd, 65536)

    def close(self):
        os.close(self.fd)


def wait_file(path, pattern, seconds=None, count=1):
    """Waits until `count` lines of a file match; returns these lines."""
    what = re.compile(pattern)
    deadline = Deadline(f"{pattern!r} in {path}", seconds)
    watch = Watch(os.path.dirname(path))
    try:
        while True:
            found = [ln for ln in read_lines(path) if what.search(ln)]
            if len(found) >= count:
                return found
            watch.wait(deadline.left())
    finally:
        watch.close()


def read_lines(path):
    """The whole lines of a file that may not be there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
    except FileNotFoundError:
        return []
    return text[:text.rfind("\n") + 1].split("\n")[:-1]


def listen(host="127.0.0.1", backlog=128):
    """A socket that listens and accepts nobody by itself."""
    s = socket.create_server((host, 0), backlog=backlog)
    s.settimeout(WAIT)
    return s


def wait_port(port, seconds=None):
    """Waits until somebody accepts connections there."""
    def there():
        try:
            connect(port).close()
        except OSError:
            return False
        return True
    until(f"port {port}", there, seconds)

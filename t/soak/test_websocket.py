"""5,000 WebSockets over 100 reloads; 20 rolls, which drain in their time.

SOAK_SCALE multiplies the counts; CI runs a twentieth.
"""
import os
import resource
import select
import socket
import time

from lib import http, net, wire, ws
from lib.cmd import Thread, pss
from lib.peer import Peer, slow

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
CONF = """
[sluice]
workers = 2
drain.timeout = 2s
drain.streams = 5s
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
server = %s
max_conns = 0
%s
[route all]
path = /*
upstream = app
""" + wire.PROBE


def times(n, least=2):
    return max(int(n * SCALE), least)


def room(n):
    """As many WebSockets as both of their ends here may have descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = (hard - 500) // 2
    assert most >= n, f"{hard} descriptors are too few: see ulimit -Hn"
    return n


class Echo:
    """An echo server for thousands: one thread, one epoll."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.sock.setblocking(False)
        self.addr = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.poll = select.epoll()
        self.poll.register(self.sock, select.EPOLLIN)
        self.conns = {}         # fd: [socket, bytes, whether upgraded]
        self.thread = Thread(self._run)

    def _run(self):
        while not self.sock._closed:
            for fd, _ in self.poll.poll(0.2):
                if fd == self.sock.fileno():
                    self._accept()
                elif fd in self.conns:
                    self._serve(fd)

    def _accept(self):
        while True:
            try:
                s, _ = self.sock.accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.conns[s.fileno()] = [s, b"", False]
            self.poll.register(s, select.EPOLLIN)

    def _serve(self, fd):
        c = self.conns[fd]
        try:
            data = c[0].recv(65536)
        except OSError:
            data = b""
        if not data:
            self.conns.pop(fd)
            self.poll.unregister(fd)
            c[0].close()
            return
        c[1] += data
        if not c[2] and b"\r\n\r\n" in c[1]:
            head, c[1] = c[1].split(b"\r\n\r\n", 1)
            k = next(ln.split(b": ")[1] for ln in head.split(b"\r\n")
                     if ln.lower().startswith(b"sec-websocket-key"))
            c[0].sendall(b"HTTP/1.1 101 Switching Protocols\r\n"
                         b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                         b"Sec-WebSocket-Accept: %s\r\n\r\n" %
                         ws.accept(k.decode()).encode())
            c[2] = True
        while c[2] and (f := ws.parse(c[1])):
            c[1] = c[1][f[3]:]
            c[0].sendall(ws.frame(f[2], f[1], f[0], mask=False))

    def stop(self):
        self.sock.close()
        self.thread.join()
        for c in self.conns.values():
            c[0].close()


def test_survive_reloads(sluice):
    n, reloads = room(times(5000, 100)), times(100, 5)
    app = Echo()
    s = sluice(CONF % (app.addr, ""))
    with http.Client(s.port) as c:
        wire.goes_on(c)
    workers = s.workers()
    empty = pss(workers)
    all_ = [ws.Socket(s.port, f"/{i}") for i in range(n)]
    full = pss(workers)
    begun = time.monotonic()
    with http.Client(s.port) as c:
        for i in range(reloads):
            s.reload(CONF % (app.addr, f"timeout.total = {i + 10}s"))
            wire.goes_on(c)
            all_[i * 37 % n].echo(b"%d" % i)
    took = time.monotonic() - begun
    sums = wire.sums(s)
    assert sums["upgrades"] == sums["upgrades_total"] == n
    assert s.workers() == workers
    # none of them holds a generation of those that went by
    live = s.ctl_json("generations")
    assert max(p["generations"] for p in live["processes"]) == 1
    for i, w in enumerate(all_):
        w.echo(b"again %d" % i)
    late = pss(workers)
    print(f"{n} WebSockets, {reloads} reloads in {took:.1f} s; workers' "
          f"KiB: {empty} without, {full} with, {late} at the end: "
          f"{(full - empty) / n:.1f} each")
    for w in all_:
        w.close()
    deadline = net.Deadline("all are closed", 60)
    while wire.sums(s)["upgrades"] > 0:
        net.wait_fd(None, min(deadline.left(), 0.05))
    app.stop()


def until_end(sock, begun):
    """Seconds until a connection ended."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - begun


def test_rolls_drain_in_time(sluice):
    """Requests end after drain.timeout, streams after drain.streams, and
    the workers that had them are gone then."""
    app, body = Echo(), Peer(default=slow(1 << 30, gap=0.05))
    s = sluice(CONF % (app.addr, "") + f"""
[route slow]
path = /slow
target = {body.addr}
""")
    waits = []
    for i in range(times(20)):
        w = ws.Socket(s.port, f"/{i}", timeout=60)
        d = http.Client(s.port, 60)
        d.send(http.request("GET", "/slow"))
        d.head()
        old, now = s.workers(), time.monotonic()
        waits.append((Thread(until_end, d.sock, now),
                      Thread(until_end, w.c.sock, now), old))
        s.ctl("roll")
        with ws.Socket(s.port, "/now") as v:
            v.echo(b"from one that serves")
    took = []
    for plain, stream, old in waits:
        took.append((plain.join(30), stream.join(30)))
        for pid in old:
            net.wait_pid_gone(pid, 15)
    print(f"requests ended {min(t[0] for t in took):.1f} to "
          f"{max(t[0] for t in took):.1f} s after a roll began, streams "
          f"{min(t[1] for t in took):.1f} to "
          f"{max(t[1] for t in took):.1f} s")
    for plain, stream in took:
        assert 1.9 <= plain <= 4 * net.SCALE, took
        assert 4.9 <= stream <= 8 * net.SCALE, took
    assert len(s.workers()) == 2
    s.wait_log('"fail":"draining"', 2 * len(waits))
    body.stop()
    app.stop()

"""max_conns = 10 over 4 workers, 500 clients, a worker killed every 5 s.

The backend never has more than 10 connections, by the kernel's table; none
is leaked; every waiter of a living worker is served or told in time.
SOAK_SCALE multiplies the 60 seconds.
"""
import os
import selectors
import socket
import threading
import time

import pytest

from lib import http, net, tcp, wire

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
SECONDS = max(60 * SCALE, 10)
CLIENTS = 500
LIMIT = 10
TIMEOUT = 3.0           # queue_timeout
SLACK = 2.0             # of the clients' own clock: they share two cores

CONF = """
[sluice]
workers = 4
[listener web]
bind = 127.0.0.1:@port@
timeout.idle = 10m
[upstream app]
server = 127.0.0.1:{port}
max_conns = 10
queue = {queue}
queue_timeout = 3s
[log]
access = off
[route all]
path = /*
upstream = app
"""


def is_established(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\1"


class Backend(threading.Thread):
    """Answers each request a little later; one thread for all."""

    DELAY = 0.005

    def __init__(self):
        super().__init__(daemon=True)
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.sock.setblocking(False)
        self.port = self.sock.getsockname()[1]
        self.sel = selectors.DefaultSelector()
        self.sel.register(self.sock, selectors.EVENT_READ)
        self.due = []               # (when, sock), in order
        self.open, self.most = set(), 0
        self.served = 0
        self.over = False
        self.moved = threading.Condition()      # after each turn

    def run(self):
        while not self.over:
            self.turn()
            with self.moved:
                self.moved.notify_all()
        for key in list(self.sel.get_map().values()):
            key.fileobj.close()

    def wait(self, is_true, seconds, what):
        with self.moved:
            assert self.moved.wait_for(is_true, seconds), what

    def turn(self):
        left = self.due[0][0] - time.monotonic() if self.due else 0.1
        for key, _ in self.sel.select(max(left, 0)):
            if key.fileobj is self.sock:
                self.accept()
            else:
                self.read(key)
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            self.answer(self.due.pop(0)[1])

    def accept(self):
        """All there are, then what state the kernel has them in.

        Those that are established in two passes were so all at once.
        """
        while True:
            try:
                conn, _ = self.sock.accept()
            except BlockingIOError:
                break
            conn.setblocking(False)
            self.sel.register(conn, selectors.EVENT_READ, b"")
            self.open.add(conn)
        alive = {c for c in self.open if is_established(c)}
        alive = {c for c in alive if is_established(c)}
        self.most = max(self.most, len(alive))

    def read(self, key):
        try:
            data = key.fileobj.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.open.discard(key.fileobj)
            self.sel.unregister(key.fileobj)
            key.fileobj.close()
            return
        data = key.data + data
        if data.endswith(b"\r\n\r\n"):
            self.due.append((time.monotonic() + self.DELAY, key.fileobj))
            data = b""
        self.sel.modify(key.fileobj, selectors.EVENT_READ, data)

    def answer(self, sock):
        self.served += 1
        try:
            sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            pass


class Clients(threading.Thread):
    """All clients in one thread: each asks again when it was answered."""

    DATA = http.request("GET", "/")

    def __init__(self, port, n):
        super().__init__(daemon=True)
        self.port, self.sel = port, selectors.DefaultSelector()
        self.began = {}             # of what is under way, by socket
        self.statuses = {}
        self.cut, self.late, self.slowest = 0, [], 0.0
        self.over = False
        self.again = []             # (when, socket or None)
        self.n = n

    def ask(self, sock):
        try:
            if sock is None:
                sock = socket.create_connection(("127.0.0.1", self.port),
                                                10)
                sock.setblocking(False)
                self.sel.register(sock, selectors.EVENT_READ, b"")
            sock.send(self.DATA)
        except OSError:
            self.lose(sock)
            return
        self.began[sock] = time.monotonic()

    def lose(self, sock):
        """A killed worker takes its own with it."""
        self.cut += 1
        if sock is not None:
            self.began.pop(sock, None)
            self.sel.unregister(sock)
            sock.close()
            self.again = [p for p in self.again if p[1] is not sock]
        self.again.append((time.monotonic() + 0.05, None))

    def run(self):
        for _ in range(self.n):
            self.ask(None)
        while not self.over or self.began:
            self.turn()
        self.sel.close()

    def turn(self):
        for key, _ in self.sel.select(0.02):
            try:
                data = key.fileobj.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.lose(key.fileobj)
                continue
            self.read(key, key.data + data)
        now = time.monotonic()
        for sock, began in list(self.began.items()):
            if now - began > TIMEOUT + SLACK + 10:      # never told
                self.late.append(now - began)
                self.lose(sock)
        due = [s for when, s in self.again if when <= now]
        self.again = [p for p in self.again if p[0] > now]
        for sock in due:
            if not self.over:
                self.ask(sock)
            elif sock is not None:
                self.sel.unregister(sock)
                sock.close()

    def read(self, key, data):
        head, mark, body = data.partition(b"\r\n\r\n")
        length = [ln.split(b":")[1] for ln in head.split(b"\r\n")
                  if ln.lower().startswith(b"content-length")]
        if not mark or len(body) < int(length[0]):
            self.sel.modify(key.fileobj, selectors.EVENT_READ, data)
            return
        self.sel.modify(key.fileobj, selectors.EVENT_READ, b"")
        took = time.monotonic() - self.began.pop(key.fileobj)
        status = int(data[9:12])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.slowest = max(self.slowest, took)
        if took > TIMEOUT + SLACK:
            self.late.append(took)
        # who was refused does not ask at once
        self.again.append((time.monotonic() + (0.2 if status == 503 else 0),
                           key.fileobj))


def wait_metric(s, name, value, seconds):
    """Counters ring no bell; an end of the master is seen at once."""
    end = net.Deadline(name, seconds)
    while wire.sums(s)[name] != value():
        assert not net.wait_fd(s.pidfd, min(end.left(), 0.05)), "it ended"


@pytest.mark.parametrize("queue", [600, 256])
def test_limit_holds(sluice, queue):
    backend = Backend()
    backend.start()
    s = sluice(CONF.format(port=backend.port, queue=queue))
    s.may_break = True
    table, clients = tcp.Table(backend.port), Clients(s.port, CLIENTS)
    table.start()
    clients.start()
    end = time.monotonic() + SECONDS
    kills = 0
    while time.monotonic() < end:
        clients.join(min(5, max(SECONDS / 12, 2)))
        assert clients.is_alive() and backend.is_alive()
        before, role = backend.served, f"worker {kills % 4 + 1}"
        s.wait_role(role, s.kill(role), 15)
        kills += 1
        backend.wait(lambda: backend.served > before, 10, "it stands still")
    clients.over = True
    clients.join(TIMEOUT + SLACK + 30)
    assert not clients.is_alive()
    table.over.set()
    table.join()
    print(f"queue {queue}: {clients.statuses}, cut {clients.cut}, "
          f"slowest {clients.slowest:.2f} s, most {table.most} of "
          f"{table.looks} looks, {backend.most} at accept, {kills} kills, "
          f"served {backend.served}, connections "
          f"{wire.sums(s)['upstream_connections_total']}")
    assert table.most <= LIMIT and backend.most <= LIMIT
    assert not clients.late, sorted(clients.late)[-5:]
    assert set(clients.statuses) <= {200, 503}
    if queue > CLIENTS:
        assert set(clients.statuses) == {200}
    # nothing is leaked: who waits, who is counted, what is open
    wait_metric(s, "upstream_queue", lambda: 0, 10)
    wait_metric(s, "upstream_connections",
                lambda: tcp.established(backend.port), 10)
    # and all ten can be had again
    more = Clients(s.port, 100)
    backend.most = 0
    more.start()
    backend.wait(lambda: backend.most == LIMIT, 20, "a place is lost")
    more.over = True
    more.join(30)
    backend.over = True
    backend.join()

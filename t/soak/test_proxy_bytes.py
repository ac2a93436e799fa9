"""1,000 slow readers and 1,000 slow senders of 100 MB bodies: what they
hold of memory, and whether anybody else notices them.

The bound is that of [limits] buffers in sluice.conf(5).  Two gateways run
at the same time, one without slow clients, and are asked in turn: what
disturbs the machine disturbs both.
"""
import json
import os
import resource
import selectors
import socket
import statistics
import subprocess
import threading

from lib import http, net, wire
from lib.bench import tool
from lib.cmd import pss

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
N = max(int(1000 * SCALE), 20)      # of each kind
SIZE = 100 << 20
WORKERS = 2
BUFFERS = 16 << 20
EACH = 32 << 10                     # pages of a body, beyond buffers
OTHER = 32 << 10                    # heads, exchange and connections
ROUNDS, SECONDS, RATE = 9, 2, 400
CONF = """
[sluice]
workers = %d
[log]
access = off
[limits]
buffers = %d
body = 0
[listener web]
bind = 127.0.0.1:@port@
[upstream big]
server = 127.0.0.1:%d max_conns=0
[upstream small]
server = 127.0.0.1:%d
[route small]
path = /1k
upstream = small
[route big]
path = /big
upstream = big
"""


class Big(threading.Thread):
    """Answers GET with a long body and swallows those of PUT, both as fast
    as they are taken; one thread."""

    def __init__(self):
        super().__init__(daemon=True)
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.sock.setblocking(False)
        self.port = self.sock.getsockname()[1]
        self.sel = selectors.EpollSelector()
        self.sel.register(self.sock, selectors.EVENT_READ)
        self.left, self.over = {}, False
        self.start()

    def run(self):
        data = memoryview(bytes(1 << 18))
        while not self.over:
            for key, _ in self.sel.select(0.2):
                if key.fileobj is self.sock:
                    self.accept()
                    continue
                try:
                    self.serve(key.fileobj, data)
                except BlockingIOError:
                    pass
                except OSError:
                    self.drop(key.fileobj)
        for key in list(self.sel.get_map().values()):
            key.fileobj.close()

    def accept(self):
        try:
            while True:
                c, _ = self.sock.accept()
                c.setblocking(False)
                self.sel.register(c, selectors.EVENT_READ)
        except BlockingIOError:
            pass

    def drop(self, c):
        self.sel.unregister(c)
        self.left.pop(c, None)
        c.close()

    def serve(self, c, data):
        if c in self.left:
            while self.left[c] > 0:
                self.left[c] -= c.send(data[:self.left[c]])
            self.drop(c)
            return
        head = c.recv(1 << 18)
        if not head:
            self.drop(c)
        elif head.startswith(b"GET "):
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            self.left[c] = SIZE
            self.sel.modify(c, selectors.EVENT_WRITE)


class Slow(threading.Thread):
    """All slow clients: each moves a little once in a while."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.over, self.moved, self.lost = threading.Event(), 0, 0
        self.socks = []
        for i in range(2 * N):
            s = net.connect(port, rcvbuf=32768)
            s.sendall(http.request("GET", "/big") if i % 2 == 0 else
                      http.request("PUT", "/big", [
                          ("Content-Length", str(SIZE))]))
            s.setblocking(False)
            self.socks.append(s)
        self.start()

    def run(self):
        piece = bytes(200000)
        while not self.over.wait(0.01):
            for i, s in enumerate(self.socks):
                if i % 50 == 0 and self.over.wait(0.01):
                    break
                try:
                    if i % 2 == 0:
                        n = len(s.recv(2048))
                        self.lost += n == 0
                    else:
                        n = s.send(piece if self.moved < N * 200000
                                   else piece[:2048])
                    self.moved += n
                except BlockingIOError:
                    pass

    def close(self):
        self.over.set()
        self.join()
        for s in self.socks:
            s.close()


def p99(load, port):
    done = subprocess.run(
        [load, "-c", "16", "-r", str(RATE), "-d", str(SECONDS), "-l", "1024",
         str(port), "/1k"], capture_output=True, text=True, check=False)
    out = json.loads(done.stdout)
    assert out["errors"] == 0, out["why"]
    return out["p99_us"]


def test_slow_ones(sluice, tmp):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load, small = tool("load"), net.free_port()
    origin = subprocess.Popen([tool("origin"), str(small)])
    end = net.Deadline("origin")
    while True:
        try:
            net.connect(small).close()
            break
        except ConnectionError:
            net.wait_fd(None, min(end.left(), 0.02))
    big = Big()
    conf = CONF % (WORKERS, BUFFERS, big.port, small)
    quiet, s = sluice(conf), sluice(conf)
    slow = None
    try:
        for one in quiet, s:
            p99(load, one.port)
        before = pss(s.workers())
        slow = Slow(s.port)
        ratios, most, pages = [], 0, 0
        for _ in range(ROUNDS):
            alone = p99(load, quiet.port)
            ratios.append(p99(load, s.port) / alone)
            most = max(most, pss(s.workers()))
            pages = max(pages, wire.sums(s)["page_bytes"])
        conns = wire.sums(s)["connections"]
        assert slow.lost == 0 and slow.moved > 0
    finally:
        if slow:
            slow.close()
        big.over = True
        origin.kill()
        origin.wait()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ratio = statistics.median(ratios)
    print(f"{2 * N} slow bodies: {pages / 1e6:.1f} MB of pages, workers "
          f"{before / 1e3:.1f} to {most / 1e3:.1f} MB; p99 of others "
          f"{ratio:.2f} of what it is without")
    assert conns >= 2 * N
    assert pages <= WORKERS * BUFFERS + 2 * N * EACH
    assert (most - before) * 1024 <= WORKERS * BUFFERS + \
        2 * N * (EACH + OTHER)
    assert ratio <= 1.5

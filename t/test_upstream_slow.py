"""Clients that are slow on purpose, before a proxied server: they are cut
in their time, nobody else notices, and the server is not blamed."""
import contextlib
import json
import threading
import time

import pytest

from lib import http, net, wire
from lib.peer import Peer, no_body, respond

pytestmark = [pytest.mark.versions, pytest.mark.turns]

LIMIT = 0.4
CONF = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
timeout.header = 400ms
timeout.body = 400ms
timeout.write = 400ms
timeout.idle = 700ms
[listener calm]
bind = 127.0.0.1:@port2@
[limits]
body = 0
[upstream app]
server = {}
timeout.between = {}
[route all]
path = /*
upstream = app
"""
BIG = 24 << 20


@pytest.fixture(scope="module")
def gate():
    with Peer() as app, wire.gateway(CONF.format(app.addr, "60s")) as s:
        s.app = app
        yield s


def pause(seconds):
    """Time itself is under test."""
    threading.Event().wait(seconds)


@contextlib.contextmanager
def took(least, most=net.WAIT / 2):
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    assert least * 0.95 <= seconds < most, seconds


def blamed(s):
    """Failed attempts, of any kind."""
    with http.Client(s.control) as c:
        metrics = json.loads(c.get("/v1/metrics").body)["metrics"]
    return sum(m["sum"] for m in metrics
               if "attempt" in m["name"] and "fail" in m)


def failed(s, row):
    """Requests that ended with a row of the fail table."""
    with http.Client(s.control) as c:
        metrics = json.loads(c.get("/v1/metrics").body)["metrics"]
    found, = [m["sum"] for m in metrics if m.get("fail") == row and
              m["name"] == "requests_failed_total"]
    return found


def swallow(conn, _):
    """A server that reads whatever comes and answers at its end."""
    try:
        while conn.sock.recv(1 << 20):
            pass
    except OSError:
        pass
    return False


# --- uploads ---

@pytest.mark.parametrize("first", [0, 1000, 900000])
@pytest.mark.parametrize("chunks", [False, True])
def test_upload_that_stalls(gate, first, chunks, version):
    """Long bodies, which are spliced, as short ones."""
    before = blamed(gate)
    gate.app.script.append(no_body(swallow))
    how = ("Transfer-Encoding", "chunked") if chunks else \
        ("Content-Length", "5000000")
    with http.Client(gate.port) as c:
        c.send(http.request("PUT", "/stall", [how, *wire.JSON.items()]))
        if version == "h1":
            c.send((b"4c4b40\r\n" if chunks else b"") + b"x" * first)
        elif first:
            data = b"x" * first
            c.send(b"%x\r\n%s\r\n" % (first, data) if chunks else data)
        with took(0.35):
            r = c.response()
        wire.is_fail(r, "body_timeout")
        if version == "h1":
            with contextlib.suppress(http.Closed):
                assert c.rest() == b""
    # a body of which nothing came may not have asked the server at all
    gate.app.script.clear()
    assert blamed(gate) == before
    assert http.get(gate.port).status == 200


def test_upload_that_crawls(sluice, peer):
    """The least rate holds for spliced bodies, too."""
    app = peer([no_body(swallow)])
    s = sluice(CONF.format(app.addr, "60s").replace(
        "timeout.body = 400ms", "timeout.body = 5s\n"
        "timeout.min_rate = 64k"))
    with http.Client(s.port, timeout=30) as c:
        c.send(http.request("PUT", "/", [("Content-Length", "50000000"),
                                         *wire.JSON.items()]))
        c.send(b"x" * 600000)
        with took(8, 20 * net.SCALE):
            while c.is_idle(0.3):
                c.send(b"slow")
            r = c.response()
        wire.is_fail(r, "body_too_slow")


@pytest.mark.h1
@pytest.mark.parametrize("first", [10, 600000])
def test_upload_after_the_answer_began(gate, first):
    """Then the client may take its time: nobody waits for it."""
    size = first + 5

    def step(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        conn.take(first)
        conn.send(conn.take(5))
        return True
    gate.app.script.append(no_body(step))
    with http.Client(gate.port) as c:
        c.send(http.request("PUT", "/", [("Content-Length", str(size))]))
        assert c.head().status == 200
        c.send(b"x" * first)
        for byte in (b"h", b"e", b"l", b"l"):
            pause(0.15 if byte != b"e" else 2 * LIMIT)
            c.send(byte)
        c.send(b"o")
        assert c._take(5) == b"hello"
        assert c.get().status == 200


# --- downloads ---

def big(conn, _):
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
    piece = bytes(1 << 20)
    try:
        for _ in range(BIG >> 20):
            conn.send(piece)
    except OSError:
        return False
    return True


@pytest.mark.h1
def test_reader_that_stalls(gate):
    before = blamed(gate)
    gate.app.script.append(big)
    k = net.connect(gate.port, rcvbuf=4096)
    with http.Client(gate.port, sock=k) as c:
        c.send(http.request("GET", "/big?stalled"))
        assert c.head().status == 200
        rec = wire.record(gate, target="/big?stalled")
        assert rec["fail"] == "write_timeout"
        assert 380000 <= rec["duration_us"] < 1500000 * net.SCALE
    assert blamed(gate) == before
    assert http.get(gate.port).status == 200


@pytest.mark.h1
def test_reader_that_is_slow(sluice, peer):
    """Neither is it a stall, nor is the server the slow one."""
    app = peer([big])
    s = sluice(CONF.format(app.addr, "150ms"))
    k = net.connect(s.port, rcvbuf=65536)
    with http.Client(s.port, sock=k) as c:
        c.send(http.request("GET", "/"))
        left = int(c.head()["content-length"]) - len(c.buf)
        with took(1.0):
            for _ in range(8):
                pause(0.2)
                left -= len(c.sock.recv(1 << 20))
            while left:
                data = c.sock.recv(min(left, 1 << 20))
                assert data
                left -= len(data)
        c.buf = b""
        assert c.get().status == 200


# --- many of them ---

FORMS = {
    "head": b"GET / HTTP/1.1\r\n", "silent": b"",
    "body": http.request("PUT", "/put", [("Content-Length", "9")]) + b"x",
    "read": http.request("GET", "/big")}


def crowd(port, n):
    """n slow clients of each form: (form, socket)."""
    out = []
    for form, data in FORMS.items():
        for _ in range(n):
            k = net.connect(port, rcvbuf=4096 if form == "read" else 0)
            if data:
                k.sendall(data)
            out.append((form, k))
    return out


def crawl(slow):
    """A bit more of each head; those that are cut take no more."""
    for form, k in slow:
        if form == "head":
            with contextlib.suppress(OSError):
                k.send(b"A: b\r\n")


@pytest.mark.h1
def test_many(sluice):
    """Eighty at once; others are answered as if they were not there."""
    def step(conn, req):
        if req.target == "/big":
            return big(conn, req)
        return (swallow if req.target == "/put" else respond())(conn, req)
    with Peer(default=no_body(step)) as app:
        s = sluice(CONF.format(app.addr, "60s"))
        with http.Client(s.ports["port2"]) as c:
            assert c.get("/fast").body == b"ok\n"
            slow, times = crowd(s.port, 20), []
            end = time.monotonic() + 4 * LIMIT
            while time.monotonic() < end:
                crawl(slow)
                for _ in range(20):
                    began = time.monotonic()
                    assert c.get("/fast").body == b"ok\n"
                    times.append(time.monotonic() - began)
            # the machine may stumble once, the gateway may not wait
            assert sorted(times)[len(times) * 9 // 10] < 0.1 * net.SCALE
            # all of them are gone, those that read nothing as well
            late = time.monotonic() + net.WAIT
            while wire.sums(s)["connections"] > 1:
                assert time.monotonic() < late
                assert c.get("/fast").body == b"ok\n"
        assert failed(s, "header_timeout") >= 20
        assert failed(s, "body_timeout") == 20
        assert failed(s, "write_timeout") == 20
        for _, k in slow:
            k.close()

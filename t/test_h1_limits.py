"""Limits exactly at their bounds, and times."""
import os
import threading
import time

import pytest

from lib import http, net, wire
from lib.peer import Peer

LISTEN = """
[listener web]
bind = 127.0.0.1:@port@
"""
# smaller than the defaults, so that each is the first to be met
LIMITS = """
[limits]
header_bytes = 4k
header_field = 1k
header_count = 20
target = 512
body = 1000
"""


@pytest.fixture(scope="module")
def gate():
    with Peer() as app, wire.gateway(LIMITS + LISTEN + f"""
[upstream app]
server = {app.addr}
[route app]
path = /*
upstream = app
[route wide]
path = /wide
max_body = 5000
upstream = app
[route narrow]
path = /narrow
max_body = 10
upstream = app
[route any]
path = /any
max_body = 0
upstream = app
""" + wire.PROBE) as s:
        s.app = app
        yield s
        assert not app.errors


def ask(gate, data, row, method="GET", pieces=0):
    """A request at a bound: served, or refused with a row."""
    seen = len(gate.app.requests)
    with http.Client(gate.port) as c:
        if pieces:
            c.send_pieces(data, pieces)
        else:
            c.send(data)
        r = c.response(method)
        if row is None:
            assert r.status == 200, r
            assert len(gate.app.requests) == seen + 1
            wire.goes_on(c)
        else:
            wire.is_fail(r, row)
            wire.ends(c)
            assert len(gate.app.requests) == seen
    return r


def head(*lines):
    return b"\r\n".join((b"GET / HTTP/1.1", b"Host: a", *lines, b"", b""))


pieces = pytest.mark.parametrize("pieces", [0, 1, 100])


@pieces
@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("form", ["/", "/?", "/%41", "http://a/"])
def test_target(gate, over, form, pieces):
    target = form.encode() + b"a" * (512 + over - len(form))
    ask(gate, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        "line_too_long" if over else None, pieces=pieces)


@pieces
@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("name", [b"A: ", b"A:", b"A:  ", b"A" * 500 + b":"])
def test_one_field(gate, over, name, pieces):
    ask(gate, head(name + b"b" * (1024 + over - len(name))),
        "field_too_large" if over else None, pieces=pieces)


@pieces
@pytest.mark.parametrize("over", [0, 1])
def test_fields(gate, over, pieces):
    ask(gate, head(*[b"A: b"] * (19 + over)),
        "too_many_fields" if over else None, pieces=pieces)


@pieces
@pytest.mark.parametrize("over", [0, 1])
def test_head(gate, over, pieces):
    lines = [b"A: " + b"b" * 900] * 4
    left = 4096 + over - len(head(*lines, b"A: "))
    data = head(*lines, b"A: " + b"b" * left)
    assert len(data) == 4096 + over
    ask(gate, data, "header_too_large" if over else None, pieces=pieces)


def test_no_end_of_head(gate):
    """It is refused when the limit is passed, not when it ends."""
    ask(gate, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 1000,
        "header_too_large")
    ask(gate, b"G" * 5000, "line_too_long")


BODIES = [("/", 1000), ("/wide", 5000), ("/narrow", 10)]


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("target,limit", BODIES)
def test_body(gate, target, limit, over):
    r = ask(gate, http.request("POST", target, body=b"x" * (limit + over)),
            "body_too_large" if over else None)
    if over:
        assert b"limits.body" in r.body


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("target,limit", BODIES)
@pytest.mark.parametrize("size", [1, 64, 100000])
def test_body_in_chunks(gate, target, limit, over, size):
    """Chunks tell their sum only as they come."""
    n = limit + over
    parts = [b"x" * min(size, n - i) for i in range(0, n, size)]
    ask(gate, http.request("POST", target, [
        ("Transfer-Encoding", "chunked")]) + http.chunked(*parts),
        "body_too_large" if over else None)


def test_body_without_limit(gate):
    data = os.urandom(300000)
    ask(gate, http.request("POST", "/any", body=data), None)
    assert gate.app.requests[-1].body == data
    ask(gate, http.request("POST", "/any", [
        ("Transfer-Encoding", "chunked")]) + http.chunked(data), None)
    assert gate.app.requests[-1].body == data


def test_body_of_a_route_without_server(gate):
    with http.Client(gate.port) as c:
        r = c.ask("POST", "/probe", body=b"x" * 1001)
        wire.is_fail(r, "body_too_large")
        wire.ends(c)


@pytest.mark.parametrize("status,key,data", [
    (414, b"limits.target ",
     b"GET /" + b"a" * 512 + b" HTTP/1.1\r\nHost: a\r\n"),
    (414, b"limits.target ", b"GET /" + b"a" * 5000),
    (431, b"limits.header_bytes ",
     head(*[b"A: " + b"a" * 900] * 5)[:-2]),
    (431, b"limits.header_field ", head(b"A: " + b"a" * 1022)[:-2]),
    (431, b"limits.header_count ", head(*[b"A: b"] * 20)[:-2]),
    (413, b"limits.body, or max_body of the route, ",
     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n"),
    (413, b"limits.body, or max_body of the route, ",
     b"POST /narrow HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n"),
])
@pytest.mark.parametrize("accept", ["text/plain", "text/html",
                                    "application/json"])
def test_names_the_key(gate, status, key, data, accept):
    """Who is refused is told which limit it was, in each form."""
    if status == 413:
        data += b"Accept: " + accept.encode() + b"\r\n"
    with http.Client(gate.port) as c:
        c.send(data + b"\r\n")
        r = c.response()
    assert r.status == status
    assert key in r.body
    if status == 413:
        kind = r["content-type"].partition(";")[0]
        assert kind == accept.replace("/json", "/problem+json")


@pytest.mark.parametrize("status,data", [
    (400, b"GET / HTTP/1.1\r\n\r\n"),
    (405, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (413, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"),
    (414, b"GET /" + b"a" * 512 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    (417, b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"),
    (431, b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 1022 + b"\r\n\r\n"),
    (501, b"POST / HTTP/1.1\r\nHost: a\r\n"
          b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
])
def test_statuses(gate, status, data):
    with http.Client(gate.port) as c:
        c.send(data)
        assert c.response().status == status


@pytest.mark.parametrize("over", [0, 1])
def test_largest(sluice, peer, over):
    """Limits as wide as they may be: a head goes through in one piece."""
    app = peer()
    s = sluice(f"""
[limits]
header_bytes = 61440
header_field = 61440
target = 61440
{LISTEN}
[route all]
path = /*
target = {app.addr}
""")
    line = b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n"
    data = line + head(b"A: ").partition(b"\r\n")[2][:-4]
    data += b"b" * (61440 + over - len(data) - 4) + b"\r\n\r\n"
    with http.Client(s.port) as c:
        c.send_pieces(data, 5000)
        r = c.response()
        if over:
            wire.is_fail(r, "header_too_large")
        else:
            assert r.status == 200
            assert app.requests[0].target == "/" + "a" * 20000
            assert len(app.requests[0].get("a")) > 41000
            c.send(data)
            assert c.response().status == 200


# --- times ---

TIMES = """
timeout.header = 400ms
timeout.body = 400ms
timeout.write = 400ms
timeout.idle = 700ms
"""


@pytest.fixture(scope="module")
def timed():
    # the body of a site's file does not fit the buffers of two sockets
    with Peer() as app, wire.gateway(LISTEN + TIMES + f"""
[upstream app]
server = {app.addr}
[route app]
path = /app
upstream = app
[route site]
path = /*
static = @dir@/www
""" + wire.PROBE, {"big.bin": bytes(32 << 20)}) as s:
        s.app = app
        yield s


class Took:
    """Asserts that the block took about that long, not less."""

    def __init__(self, least, most=net.WAIT / 2):
        self.least, self.most = least, most

    def __enter__(self):
        self.began = time.monotonic()

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.began
        assert kind or self.least * 0.95 <= took < self.most, took


def pause(seconds):
    """Time itself is under test."""
    threading.Event().wait(seconds)


@pytest.mark.parametrize("part", [b"G", b"GET / HTTP/1.1", b"GET / HTTP/1.1"
                                  b"\r\nHost: a\r\n", b"\r\n"])
def test_header_timeout(timed, part):
    with http.Client(timed.port) as c:
        with Took(0.4):
            c.send(part)
            r = c.response()
        wire.is_fail(r, "header_timeout")
        wire.ends(c)


def test_header_timeout_is_of_the_whole(timed):
    """Bytes that trickle gain no time."""
    with http.Client(timed.port) as c:
        with Took(0.4, 3 * net.SCALE):
            c.send(b"GET / HTTP/1.1\r\n")
            while c.is_idle(0.1):
                c.send(b"A: b\r\n")
            r = c.response()
        wire.is_fail(r, "header_timeout")


def test_header_timeout_of_the_second(timed):
    with http.Client(timed.port) as c:
        wire.goes_on(c)
        pause(0.5)      # idle time is not the header's
        with Took(0.4):
            c.send(b"GET /pro")
            r = c.response()
        wire.is_fail(r, "header_timeout")


def test_idle(timed):
    """After an answer: silence, then the end and no word."""
    with http.Client(timed.port) as c:
        wire.goes_on(c)
        with Took(0.7):
            wire.ends(c)


def test_nothing_at_all(timed):
    with http.Client(timed.port) as c:
        with Took(0.4):
            wire.ends(c)


@pytest.mark.parametrize("target", ["/app", "/probe"])
@pytest.mark.parametrize("chunks", [False, True])
def test_body_timeout(timed, chunks, target):
    seen = len(timed.app.requests)
    how = ("Transfer-Encoding", "chunked") if chunks else \
        ("Content-Length", "10")
    with http.Client(timed.port) as c:
        c.send(http.request("POST", target, [how]))
        c.send(b"5\r\nhel" if chunks else b"hel")
        if target == "/probe":          # answered without its body
            assert c.response().status == 200
        else:
            with Took(0.35):
                r = c.response()
            wire.is_fail(r, "body_timeout")
        with Took(0.0):
            wire.ends(c)
    assert len(timed.app.requests) == seen


def test_body_that_moves(timed):
    """Each byte begins the time anew."""
    with http.Client(timed.port) as c:
        with Took(0.8):
            c.send(http.request("POST", "/app", [("Content-Length", "5")]))
            for byte in (b"h", b"e", b"l", b"l", b"o"):
                pause(0.2)
                c.send(byte)
            assert c.response().status == 200
    assert timed.app.requests[-1].body == b"hello"


def test_expected_body_that_never_comes(timed):
    with http.Client(timed.port) as c:
        c.send(http.request("POST", "/app", [
            ("Expect", "100-continue"), ("Content-Length", "5")]))
        assert c.head().status == 100
        with Took(0.35):
            r = c.response()
        wire.is_fail(r, "body_timeout")
        wire.ends(c)


def test_write_timeout(timed):
    """A client that takes nothing is cut, and the log says why."""
    with http.Client(timed.port, sock=net.connect(timed.port,
                                                  rcvbuf=4096)) as c:
        c.send(http.request("GET", "/big.bin?stalled"))
        assert c.head().status == 200
        record = wire.record(timed, target="/big.bin?stalled")
        assert record["fail"] == "write_timeout"
        assert 380000 <= record["duration_us"] < 600000 * net.SCALE
        try:
            got = len(c.rest())
        except http.Closed:
            got = len(c.buf)
        assert got < 32 << 20


def test_slow_reader_is_no_stall(timed):
    """Who takes a little all the time may take longer than the limit."""
    with http.Client(timed.port, sock=net.connect(timed.port,
                                                  rcvbuf=65536)) as c:
        c.send(http.request("GET", "/big.bin"))
        r = c.head()
        left = int(r["content-length"]) - len(c.buf)
        with Took(1.0):
            for _ in range(12):
                pause(0.1)
                left -= len(c.sock.recv(1 << 20))
            while left:
                data = c.sock.recv(min(left, 1 << 20))
                assert data
                left -= len(data)


def test_min_rate(sluice, peer):
    """After 10 s a body must have come at the least rate."""
    app = peer()
    s = sluice(LISTEN + f"""
timeout.body = 5s
timeout.min_rate = 100
[route all]
path = /*
target = {app.addr}
""")
    with http.Client(s.port, timeout=30) as c:
        c.send(http.request("POST", "/", [("Content-Length", "5000")]))
        with Took(9.5, 20 * net.SCALE):
            while c.is_idle(0.3):
                c.send(b"slow")
            r = c.response()
        wire.is_fail(r, "body_too_slow")
        wire.ends(c)
    assert not app.requests

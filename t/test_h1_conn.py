"""Connections of clients: keep-alive, pipelining, 1.0, 100-continue,
bodies up, and how they end."""
import hashlib
import os
import threading
import time

import pytest

from lib import http, net, wire
from lib.peer import Gone, Peer, hold, no_body, raw, respond

BIG = os.urandom(3 << 20)


def echo(conn, req):
    """Answers with what was asked."""
    body = f"{req.method} {req.target} ".encode() + req.body
    return respond(body=body)(conn, req)


def by_target(conn, req):
    step = STEPS.get(req.target, echo)
    return step(conn, req)


STEPS = {
    "/chunked": respond(chunks=[b"one ", b"two"], trailers=[("X-Sum", "2")]),
    "/empty": respond(status=204, body=b""),
}

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[route moved]
path = /moved
redirect = 301 /new
""" + wire.PROBE


@pytest.fixture(scope="module")
def gate():
    with Peer(default=by_target) as app, wire.gateway(CONF + f"""
[route site]
path = /site/*
static = @dir@/www
[upstream app]
server = {app.addr}
[route app]
path = /*
upstream = app
""", {"site/a.txt": b"file a\n", "site/big.bin": BIG}) as s:
        s.app = app
        yield s
        assert not app.errors


# --- keep-alive ---

def test_many_on_one(gate):
    before = wire.sums(gate)
    with http.Client(gate.port) as c:
        for i in range(30):
            assert c.get(f"/{i}").body == f"GET /{i} ".encode()
            assert c.get("/site/a.txt").body == b"file a\n"
            assert not c.ask("HEAD", "/site/a.txt").closes
            wire.goes_on(c)
    after = wire.sums(gate)
    assert after["connections_total"] == before["connections_total"] + 1
    assert after["requests_total"] == before["requests_total"] + 120


@pytest.mark.parametrize("value", ["close", "Close", "x, close",
                                   "keep-alive, close"])
@pytest.mark.parametrize("target", ["/a", "/probe", "/site/a.txt", "/moved",
                                    "/chunked", "/empty"])
def test_close_is_obeyed(gate, value, target):
    with http.Client(gate.port) as c:
        c.send(http.request("GET", target, {"Connection": value}) +
               http.request("GET", "/never"))
        r = c.response()
        assert r.closes and "close" in r.get("connection")
        wire.ends(c)
    assert "/never" not in [q.target for q in gate.app.requests]


def test_half_close(gate):
    """A client that says no more still gets what is answered here, and
    what it asked for before that."""
    with http.Client(gate.port) as c:
        c.send(http.request("GET", "/a") + http.request("GET", "/probe") +
               http.request("GET", "/site/big.bin"))
        c.shut()
        assert c.response().body == b"GET /a "
        assert c.response().body == b"probe"
        assert c.response().body == BIG
        wire.ends(c)


HALF = """
[listener web]
bind = 127.0.0.1:@port@
half_close = {word}
[upstream app]
server = {addr}
timeout.first_byte = 50s
[route all]
path = /*
upstream = app
"""


def until_gone(sent=b""):
    """Says so much, then waits for the end of who asked: (step, event)."""
    gone = threading.Event()

    def step(conn, req):
        conn.send(sent)
        try:
            conn.more()
        except Gone:
            gone.set()
        return False
    return step, gone


def left(s, target, status=0):
    """The record of a client that left."""
    r = wire.record(s, target=target)
    assert r["fail"] == "client_gone" and r["status"] == status, r
    return r


def test_half_close_while_it_waits(sluice, peer):
    gate = threading.Event()
    app = peer([hold(gate)])
    s = sluice(HALF.format(word="on", addr=app.addr))
    with http.Client(s.port) as c:
        c.send(http.request())
        c.shut()
        app.wait_requests(1)
        gate.set()
        assert c.response().body == b"ok\n"
        wire.ends(c)


@pytest.mark.parametrize("headers", [[], [("Connection", "close")]],
                         ids=["stays", "once"])
@pytest.mark.parametrize("how", ["close", "shut"])
def test_end_while_it_waits(sluice, peer, how, headers):
    """Who ends his direction has left: the server is not waited for."""
    step, gone = until_gone()
    app = peer(default=step)
    s = sluice(HALF.format(word="off", addr=app.addr))
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/left", headers))
        app.wait_requests(1)
        if how == "shut":
            c.shut()
            wire.ends(c)
        else:
            c.close()
        assert gone.wait(net.WAIT)
    assert left(s, "/left")["attempts"] == 1
    # nothing is held against the server
    assert "error" not in [r.get("level") for r in s.log()]


@pytest.mark.parametrize("headers,body", [
    ([], None), ([], b"abc"), ([("Connection", "close")], None)],
    ids=["bare", "body", "once"])
def test_end_with_the_request(sluice, peer, headers, body):
    """It may be known before anybody is asked."""
    app = peer(default=until_gone()[0])
    s = sluice(HALF.format(word="off", addr=app.addr))
    with http.Client(s.port) as c:
        c.send(http.request("POST", "/both", headers, body=body))
        c.shut()
        wire.ends(c)
    left(s, "/both")


def test_end_behind_pipelined(sluice, peer):
    """What was asked before the last is answered; the last is cut."""
    one = threading.Event()
    app = peer([hold(one), hold(one), until_gone()[0]])
    s = sluice(HALF.format(word="off", addr=app.addr))
    with http.Client(s.port) as c:
        c.send(b"".join(http.request("GET", f"/{i}") for i in range(3)))
        app.wait_requests(1)
        c.shut()
        one.set()
        assert c.response().body == b"ok\n"
        assert c.response().body == b"ok\n"
        assert c.rest() == b""
    left(s, "/2")
    for target in "/0", "/1":
        assert "fail" not in wire.record(s, target=target)


def test_end_within_a_stream(sluice, peer):
    """Of events that seldom come; the server is not blamed."""
    step, gone = until_gone(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n")
    app = peer([step])
    s = sluice(HALF.format(word="off", addr=app.addr))
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/events"))
        assert c.head().status == 200
        c.close()
        assert gone.wait(net.WAIT)
    left(s, "/events", 200)
    assert "error" not in [r.get("level") for r in s.log()]


def test_unread_body_and_the_next(gate):
    """respond reads no body; what follows it is found all the same."""
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/probe", body=b"x" * 10000))
        assert c.response().body == b"probe"
        wire.goes_on(c)
        c.send(http.request("POST", "/probe", [
            ("Transfer-Encoding", "chunked")]) + http.chunked(b"GET / HTTP"))
        assert c.response().body == b"probe"
        wire.goes_on(c)


# --- pipelining ---

@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_pipelined(gate, size):
    """Fifty at once, of all kinds; answered in order."""
    sent, want = b"", []
    for i in range(50):
        kind = i % 5
        if kind == 0:
            sent += http.request("GET", f"/p{i}")
            want.append(("GET", 200, f"GET /p{i} ".encode()))
        elif kind == 1:
            sent += http.request("POST", f"/p{i}", body=b"b%d" % i)
            want.append(("POST", 200, b"POST /p%d b%d" % (i, i)))
        elif kind == 2:
            sent += http.request("HEAD", "/site/a.txt")
            want.append(("HEAD", 200, b""))
        elif kind == 3:
            sent += http.request("PUT", f"/p{i}", [
                ("Transfer-Encoding", "chunked")]) + http.chunked(b"c", b"d")
            want.append(("PUT", 200, b"PUT /p%d cd" % i))
        else:
            sent += http.request("GET", "/moved")
            want.append(("GET", 301, None))
    with http.Client(gate.port) as c:
        if size:
            c.send_pieces(sent, size)
        else:
            c.send(sent)
        for method, status, body in want:
            r = c.response(method)
            assert r.status == status and not r.closes
            assert body is None or r.body == body
        wire.goes_on(c)


def test_pipelined_beyond_a_turn(gate):
    """More than one turn of the loop takes, with nothing to wake it."""
    n = 600
    with http.Client(gate.port) as c:
        c.send(http.request("GET", "/probe") * n)
        for _ in range(n):
            assert c.response().body == b"probe"


def test_pipelined_big(gate):
    """An answer that does not fit the socket holds the next ones back."""
    with http.Client(gate.port, sock=net.connect(gate.port,
                                                 rcvbuf=4096)) as c:
        c.send(http.request("GET", "/site/big.bin") * 3 +
               http.request("GET", "/probe"))
        for _ in range(3):
            assert c.response().body == BIG
        assert c.response().body == b"probe"


# --- HTTP/1.0 ---

@pytest.mark.parametrize("target,body", [
    ("/a", b"GET /a "), ("/site/a.txt", b"file a\n"), ("/probe", b"probe"),
    ("/chunked", b"one two")])
@pytest.mark.parametrize("keep", [False, True])
def test_10(gate, target, body, keep):
    headers = {"Connection": "keep-alive"} if keep else {}
    with http.Client(gate.port) as c:
        r = c.ask("GET", target, headers, version="1.0")
        assert r.status == 200 and r.body == body
        assert r.framing in ("length", "close")
        if keep and target != "/chunked":       # its length was not known
            assert r.get("connection").lower() == "keep-alive"
            wire.goes_on(c)
        else:
            assert r.framing == "close" or r.closes
            wire.ends(c)


def test_10_gets_no_interim(sluice, peer):
    app = peer(default=raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                           b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    s = sluice(f"""
[listener web]
bind = 127.0.0.1:@port@
[route all]
path = /*
target = {app.addr}
""")
    with http.Client(s.port) as c:
        r = c.ask(version="1.0")
        assert r.body == b"ok" and not r.informational
        wire.ends(c)


# --- Expect: 100-continue ---

EXPECT = {"Expect": "100-continue"}


def test_expect_met(gate):
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/e", [
            ("Expect", "100-continue"), ("Content-Length", "5")]))
        assert c.head().status == 100
        c.send(b"hello")
        r = c.response()
        assert r.body == b"POST /e hello" and not r.informational
        wire.goes_on(c)


def test_expect_chunked(gate):
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/e", [
            ("Expect", "100-Continue"), ("Transfer-Encoding", "chunked")]))
        assert c.head().status == 100
        c.send(http.chunked(b"hel", b"lo"))
        assert c.response().body == b"POST /e hello"


def test_expect_with_the_body(gate):
    """Who does not wait for the 100 is served as well."""
    with http.Client(gate.port) as c:
        assert c.ask("POST", "/e", EXPECT, b"x" * 9).body == \
            b"POST /e " + b"x" * 9
        wire.goes_on(c)


def test_expect_refused_by_server(sluice, peer):
    """The final answer comes without the body ever being sent."""
    app = peer([no_body(respond(status=403, reason="No", body=b"no"))])
    s = sluice(f"""
[listener web]
bind = 127.0.0.1:@port@
[route all]
path = /*
target = {app.addr}
""")
    with http.Client(s.port) as c:
        c.send(http.request("POST", "/e", [
            ("Expect", "100-continue"), ("Content-Length", "5")]))
        r = c.response()
        assert r.status == 403 and r.body == b"no" and not r.informational
        if r.closes:
            wire.ends(c)
        else:
            c.send(b"hello" + http.request("GET", "/next"))
            assert c.response().status == 200


def test_expect_refused_by_limit(sluice):
    s = sluice("[limits]\nbody = 10\n" + CONF)
    with http.Client(s.port) as c:
        c.send(http.request("POST", "/probe", [
            ("Expect", "100-continue"), ("Content-Length", "11")]))
        r = c.response()
        assert not r.informational
        wire.is_fail(r, "body_too_large")
        wire.ends(c)


# --- methods and forms of the target ---

@pytest.mark.parametrize("target", ["/a", "/probe", "/site/a.txt",
                                    "/moved", "/site/big.bin"])
def test_head_is_get_without_body(gate, target):
    with http.Client(gate.port) as c:
        full = c.get(target)
        r = c.ask("HEAD", target)
        assert r.status == full.status and r.body == b""
        if target != "/a":                      # that echoes the method
            assert r["content-length"] == str(len(full.body))
        wire.goes_on(c)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH",
                                    "OPTIONS", "PROPFIND", "x-own"])
def test_methods(gate, method):
    with http.Client(gate.port) as c:
        r = c.ask(method, "/m", body=b"data")
        assert r.status == 200 and r.body == f"{method} /m data".encode()


def test_options_star(gate):
    seen = len(gate.app.requests)
    with http.Client(gate.port) as c:
        r = c.ask("OPTIONS", "*")
        assert r.status in (200, 204) and r.body == b""
        wire.goes_on(c)
    assert seen == len(gate.app.requests)


def test_trace_and_connect(gate):
    seen = len(gate.app.requests)
    with http.Client(gate.port) as c:
        wire.is_fail(c.ask("TRACE", "/"), "trace_refused")
        wire.goes_on(c)
        wire.is_fail(c.ask("CONNECT", "localhost:80", host="localhost:80"),
                     "connect_refused")
        wire.ends(c)
    assert seen == len(gate.app.requests)


def test_absolute_form(gate):
    """Its host is the one that counts (RFC 9112 3.2.2)."""
    with http.Client(gate.port) as c:
        r = c.get("http://name.example:81/x?y", host="name.example:81")
        assert r.body == b"GET /x?y "
    assert gate.app.requests[-1].get("host") == "name.example:81"


# --- bodies up ---

@pytest.mark.parametrize("sizes", [[1], [16383, 1, 16384, 16385], [65536] * 9,
                                   list(range(1, 400, 7))])
@pytest.mark.parametrize("write", [0, 1000, 65536])
def test_chunked_up(gate, sizes, write):
    pieces = [os.urandom(n) for n in sizes]
    data = http.request("PUT", "/up", [
        ("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]) + \
        http.chunked(*pieces, trailers=[("X-Sum", "abc")])
    with http.Client(gate.port) as c:
        if write:
            c.send_pieces(data, write)
        else:
            c.send(data)
        assert c.response().body == b"PUT /up " + b"".join(pieces)
        assert gate.app.requests[-1].trailers == [("x-sum", "abc")]
        wire.goes_on(c)


def test_big_up(gate):
    with http.Client(gate.port) as c:
        c.send(http.request("PUT", "/big", body=BIG))
        r = c.response()
        assert hashlib.sha256(r.body).digest() == hashlib.sha256(
            b"PUT /big " + BIG).digest()


def test_trailers_down(gate):
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/chunked", {"TE": "trailers", "Connection": "TE"})
        assert r.body == b"one two" and r.trailers == [("x-sum", "2")]
        wire.goes_on(c)


# --- how connections end ---

def test_requests_per_connection(sluice):
    s = sluice("[limits]\nrequests_per_connection = 3\n" + CONF)
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/probe") * 5)
        assert [c.response().closes for _ in range(3)] == [False, False, True]
        wire.ends(c)


def test_connection_age(sluice):
    s = sluice("[limits]\nconnection_age = 1s\n"
               "requests_per_connection = 0\n" + CONF)
    with http.Client(s.port) as c:
        began = time.monotonic()
        while not c.get("/probe").closes:
            assert time.monotonic() < began + net.WAIT
        assert time.monotonic() >= began + 0.85
        wire.ends(c)


LIMITED = "[limits]\nbody = 1000\n" + CONF


# whoever reads no body finds out only when its length is told
@pytest.mark.parametrize("target,chunks", [("/probe", False), ("/a", False),
                                           ("/a", True)])
def test_413_while_the_client_sends(sluice, peer, target, chunks):
    """It is told why although it sends on: no reset eats the answer."""
    app = peer()
    s = sluice(LIMITED + f"[route a]\npath = /a\ntarget = {app.addr}\n")
    size = 200000
    with http.Client(s.port) as c:
        how = ("Transfer-Encoding", "chunked") if chunks else \
            ("Content-Length", str(1 << 26))
        c.send(http.request("POST", target, [how]))
        piece = http.chunked(b"x" * 1000)[:-5] if chunks else b"x" * 1000
        for _ in range(size // 1000):
            c.send(piece)
        r = c.response()
        wire.is_fail(r, "body_too_large")
        assert b"limits.body" in r.body
        wire.ends(c)
    assert not app.requests


def test_refused_while_the_client_sends(sluice):
    s = sluice(CONF)
    with http.Client(s.port) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n")
        c.send(b"y" * 200000)
        wire.is_fail(c.response(), "bad_field_name")
        wire.ends(c)


def test_linger_ends(sluice):
    """Who neither reads nor leaves does not keep the connection."""
    s = sluice(CONF)
    with http.Client(s.port) as c:
        c.send(b"GET / HTTP/1.1\r\n\r\n")
        wire.is_fail(c.response(), "host_missing")
        wire.ends(c)
        # 2 s of lingering, then the other side is gone for good
        deadline = net.Deadline("the end of lingering")
        while True:
            try:
                c.send(b"z")
            except (BrokenPipeError, ConnectionResetError):
                break
            threading.Event().wait(min(0.05, deadline.left()))

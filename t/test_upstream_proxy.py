"""Requests through a proxy to a server, and its answers back."""
import collections
import contextlib
import hashlib
import os
import re
import socket
import threading

import pytest

from lib import http, net, wire
from lib.cmd import Thread
from lib.peer import (Gone, close_now, delay, hold, no_body, raw,
                      reset_now, respond)
from lib.trace import traced

pytestmark = pytest.mark.versions

LISTEN = """
[listener web]
bind = 127.0.0.1:@port@
""" + wire.PROBE
UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def conf(*addrs, more="", top="", route=""):
    servers = "".join(f"server = {a}\n" for a in addrs)
    return f"{top}{LISTEN}[upstream app]\nbalance = round_robin\n" \
        f"{servers}{more}\n[route all]\npath = /*\nupstream = app\n{route}"


@pytest.fixture(scope="module")
def gate():
    """One server whose next answers a test may set: gate.app.script."""
    with wire.with_app(conf) as s:
        yield s


def last(gate):
    return gate.app.requests[-1]


# --- the request ---

@pytest.mark.parametrize("target,seen", [
    ("/", "/"), ("/a/b?c=d&e=%2f?/", "/a/b?c=d&e=%2f?/"), ("/?", "/?"),
    ("/a/../b", "/b"), ("/a/./b/", "/a/b/"), ("/%7euser", "/~user"),
    ("/a//b", "/a//b"), ("/%61/%2e%2e/c", "/c"), ("/a%20b", "/a%20b"),
    ("/caf%c3%a9", None), ("/a;b=c,d", "/a;b=c,d"), ("/a/..", "/"),
    ("/x?../../y", "/x?../../y"), ("/?a#", 400), ("/a%2fb", 400),
    ("/a%00b", 400), ("/a\\b", 400), ("/../a", 400), ("/%2e%2e/a", 400),
    ("/a%zz", 400), ("/a%5cb", 400), ("/a/../../b", 400), ("/%", 400),
])
def test_target(gate, target, seen):
    before = len(gate.app.requests)
    with http.Client(gate.port) as c:
        r = c.get(target)
        if seen == 400:
            assert r.status == 400 and wire.told(r)[0] in (
                "bad_path", "path_above_root", "bad_target")
            assert len(gate.app.requests) == before
        else:
            assert r.status == 200
            assert last(gate).target == (
                seen or last(gate).target) and len(
                gate.app.requests) == before + 1
            if seen is None:    # octets the same, in one of both cases
                assert last(gate).target.upper() == target.upper()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH",
                                    "OPTIONS", "HEAD", "PROPFIND", "get"])
@pytest.mark.parametrize("body", [None, b"", b"data"])
def test_method(gate, method, body):
    with http.Client(gate.port) as c:
        r = c.ask(method, "/m", body=body)
        assert r.status == 200
        wire.goes_on(c)
    assert last(gate).method == method
    assert last(gate).body == (body or b"")


SIZES = [0, 1, 100, 16383, 16384, 16385, 65536, 262145, 3 << 20]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chunks", [False, True])
def test_body_up(gate, size, chunks, version):
    data = os.urandom(size)
    with http.Client(gate.port) as c:
        if chunks:
            step = max(1, size // 7)
            c.send(http.request("PUT", "/u", [
                ("Transfer-Encoding", "chunked")]) + http.chunked(
                *[data[i:i + step] for i in range(0, size, step)]))
            r = c.response()
        else:
            r = c.ask("PUT", "/u", body=data)
        assert r.status == 200
        wire.goes_on(c)
    assert last(gate).body == data
    if version != "h1" and chunks and not data:
        return      # a head that ends its stream has no body
    how = "transfer-encoding" if chunks else "content-length"
    assert last(gate).get(how) == ("chunked" if chunks else str(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["length", "chunked", "close"])
def test_body_down(gate, size, how, version):
    data = os.urandom(size)
    head = b"HTTP/1.1 200 OK\r\n"
    if how == "length":
        step = respond(body=data)
    elif how == "chunked":
        step = respond(chunks=[data[i:i + 5000]
                               for i in range(0, size, 5000)])
    else:
        step = raw(head + b"\r\n" + data, then_close=True)
    gate.app.script.append(step)
    with http.Client(gate.port) as c:
        r = c.get("/d")
        assert hashlib.sha256(r.body).digest() == \
            hashlib.sha256(data).digest()
        assert version != "h1" or \
            r.framing == ("length" if how == "length" else "chunked")
        wire.goes_on(c)


def test_both_at_once(gate):
    """The answer begins while the request goes on; neither waits."""
    def step(conn, req):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(10):
            piece = conn.take(1000)
            conn.send(b"%x\r\n%s\r\n" % (len(piece), piece.upper()))
        conn.send(b"0\r\n\r\n")
        return True
    gate.app.script.append(no_body(step))
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/b", [("Content-Length", "10000")]))
        r = c.head()
        for _ in range(10):
            c.send(b"x" * 1000)
            got = b""
            while len(got) < 1000:
                got += c.piece()
            assert got == b"X" * 1000
        assert r.status == 200 and c.piece() == b""
        wire.goes_on(c)


def test_trailers(gate):
    gate.app.script.append(respond(chunks=[b"a"], trailers=[
        ("X-Sum", "1"), ("Content-Length", "5"), ("X-Two", "2")]))
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/t", [
            ("Transfer-Encoding", "chunked"), ("TE", "trailers"),
            ("Connection", "TE")]) + http.chunked(
            b"b", trailers=[("X-Up", "3"), ("Host", "evil")]))
        assert c.response().trailers == [("x-sum", "1"), ("x-two", "2")]
    assert last(gate).trailers == [("x-up", "3")]


# --- fields ---

HOP = [("Keep-Alive", "timeout=5"), ("Proxy-Connection", "close"),
       ("Upgrade", "foo"), ("Connection", "x-named, Upgrade"),
       ("X-Named", "1")]


@pytest.mark.h1
def test_hop_by_hop_up(gate):
    """All of them end here but the upgrade, which the server may take."""
    with http.Client(gate.port) as c:
        c.ask("GET", "/h", HOP + [("Proxy-Authorization", "Basic eA=="),
                                  ("TE", "gzip"), ("X-Kept", "2")])
    have = {n for n, _ in last(gate).headers}
    assert "x-kept" in have
    assert not have & {"keep-alive", "proxy-connection", "x-named",
                       "proxy-authorization", "te"}
    assert last(gate).get("upgrade") == "foo"
    assert last(gate).get("connection").lower() == "upgrade"


def test_hop_by_hop_down(gate):
    gate.app.script.append(respond(headers=HOP + [
        ("Proxy-Authenticate", "Basic"), ("X-Kept", "2")]))
    with http.Client(gate.port) as c:
        r = c.get("/h")
        assert r["x-kept"] == "2"
        assert not {n for n, _ in r.headers} & {
            "keep-alive", "proxy-connection", "upgrade", "x-named"}
        assert "x-named" not in (r.get("connection") or "")
        wire.goes_on(c)


def test_fields_stay(gate):
    """All others arrive as they were, in order, double ones too."""
    up = [("X-A", "1"), ("x-b", "two  words"), ("X-A", "3"),
          ("Cookie", "a=b; c=d"), ("Accept", "*/*"),
          ("Authorization", "Bearer x"), ("X-Empty", ""),
          ("X-Long", "l" * 9000)]
    down = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-D", ""),
            ("Server", "app/1"), ("ETag", '"x"'), ("X-Long", "m" * 9000)]
    gate.app.script.append(respond(status=418, reason="Tea Pot",
                                   headers=down))
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/f", up)
    names = {n.lower() for n, _ in up}
    assert [f for f in last(gate).headers if f[0] in names] == [
        (n.lower(), v) for n, v in up]
    names = {n.lower() for n, _ in down}
    assert [f for f in r.headers if f[0] in names] == [
        (n.lower(), v) for n, v in down]
    assert r.status == 418


@pytest.mark.h1
def test_forwarded(gate):
    """What clients say about themselves is not believed."""
    claims = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"),
              ("X-Forwarded-Host", "evil"), ("X-Real-IP", "1.2.3.4"),
              ("Forwarded", "for=1.2.3.4"), ("X-Forwarded-Port", "443"),
              ("Via", "1.0 client")]
    with http.Client(gate.port) as c:
        c.ask("GET", "/x", claims, host="shop.example:8080")
        c.ask("GET", "/y", version="1.0")
    first, second = gate.app.requests[-2:]
    assert first.all("x-forwarded-for") == ["127.0.0.1"]
    assert first.all("x-forwarded-proto") == ["http"]
    assert first.all("x-forwarded-host") == ["shop.example:8080"]
    assert first.all("x-real-ip") == ["127.0.0.1"]
    assert not first.all("forwarded") and not first.all("x-forwarded-port")
    assert first.get("via") == "1.0 client, 1.1 sluice"
    assert second.get("via") == "1.0 sluice"


def test_via_down(gate):
    gate.app.script.append(respond(headers=[("Via", "1.1 inner")]))
    with http.Client(gate.port) as c:
        assert c.get().get("via") == "1.1 inner, 1.1 sluice"


def test_request_id(gate):
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/id", {"X-Request-ID": "mine"})
    assert re.fullmatch(UUID7, r["x-request-id"])
    assert last(gate).all("x-request-id") == [r["x-request-id"]]


@pytest.mark.parametrize("how,want", [
    ("preserve", "shop.example:81"), ("server", None), ("in.side", "in.side")])
def test_host(sluice, peer, how, want):
    app = peer()
    s = sluice(conf(app.addr, more=f"host_header = {how}"))
    assert http.get(s.port, "/", host="shop.example:81").status == 200
    assert app.requests[0].all("host") == [want or app.addr]
    assert app.requests[0].get("x-forwarded-host") == "shop.example:81"


# --- answers ---

@pytest.mark.parametrize("status", [200, 201, 204, 206, 301, 304, 400, 404,
                                    417, 429, 500, 502, 503, 599])
def test_status(gate, status):
    empty = status in (204, 304)
    gate.app.script.append(respond(status=status,
                                   body=b"" if empty else b"text"))
    with http.Client(gate.port) as c:
        r = c.get("/s")
        assert r.status == status and r.body == (b"" if empty else b"text")
        wire.goes_on(c)


def test_head(gate):
    gate.app.script.append(respond(body=b"12345"))
    with http.Client(gate.port) as c:
        r = c.ask("HEAD", "/s")
        assert r["content-length"] == "5" and r.body == b""
        wire.goes_on(c)


def test_interim(gate):
    gate.app.script.append(raw(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n", OK))
    with http.Client(gate.port) as c:
        r = c.get()
        assert [i.status for i in r.informational] == [103, 102]
        assert r.informational[0]["link"] == "</a.css>"
        assert r.body == b"ok"


@pytest.mark.parametrize("status", [200, 413])
def test_early_answer(gate, status):
    """The server answers without reading: so does the gateway."""
    def step(conn, req):
        conn.send(b"HTTP/1.1 %d Early\r\nConnection: close\r\n"
                  b"Content-Length: 5\r\n\r\nearly" % status)
        return False
    gate.app.script.append(no_body(step))
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/e", [("Content-Length", "150000")]))
        c.send(b"x" * 100)
        r = c.response()
        assert r.status == status and r.body == b"early"


@pytest.mark.h1
def test_10_server(gate):
    gate.app.script.append(raw(b"HTTP/1.0 200 OK\r\n\r\nold",
                               then_close=True))
    with http.Client(gate.port) as c:
        r = c.get()
        assert r.body == b"old" and r.version == "1.1"
        assert "1.0 sluice" in r["via"]
        wire.goes_on(c)


# --- servers ---

def test_round_robin(sluice, peer):
    """Exact over both workers, whoever accepts."""
    apps = [peer() for _ in range(3)]
    s = sluice(conf(*[a.addr for a in apps]))
    for _ in range(30):
        assert http.get(s.port).status == 200
    assert [len(a.requests) for a in apps] == [10, 10, 10]


def test_refused_then_next(sluice, peer):
    app = peer()
    s = sluice(conf(f"127.0.0.1:{net.free_port()}", app.addr))
    for _ in range(8):
        assert http.get(s.port).body == b"ok\n"
    # a body does not matter: nothing of it was sent
    with http.Client(s.port) as c:
        for _ in range(4):
            assert c.ask("POST", "/", body=b"x" * 50000).status == 200
    assert len(app.requests) == 12


def test_all_refuse(sluice):
    s = sluice(conf(*[f"127.0.0.1:{net.free_port()}" for _ in range(3)]))
    with http.Client(s.port) as c:
        r = c.get("/none")
        wire.is_fail(r, "dial_refused")
        assert b"The server refused the connection." in r.body
        wire.goes_on(c)
    record = wire.record(s, target="/none")
    assert record["attempts"] == 3 and record["status"] == 502
    assert record["upstream"] == "app"


def test_connect_timeout(sluice, peer):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        knockers = []
        for _ in range(4):      # more than its queue takes
            knockers.append(socket.socket())
            knockers[-1].setblocking(False)
            knockers[-1].connect_ex(("127.0.0.1", port))
        app = peer()
        s = sluice(conf(f"127.0.0.1:{port}",
                        more="timeout.connect = 200ms"))
        wire.is_fail(http.get(s.port), "dial_timeout")
        s.reload(conf(f"127.0.0.1:{port}", app.addr,
                      more="timeout.connect = 200ms"))
        for _ in range(2):
            assert http.get(s.port).status == 200
        for k in knockers:
            k.close()


def test_unix_socket(sluice, peer, tmp):
    app = peer(path=f"{tmp}/app.sock")
    s = sluice(conf(app.addr))
    os.chmod(f"{tmp}/app.sock", 0o666)
    with http.Client(s.port) as c:
        assert c.ask("POST", "/x", body=b"data").status == 200
        assert app.requests[0].body == b"data"
        app.stop()
        os.unlink(f"{tmp}/app.sock")
        assert c.get("/gone").status == 502


# --- connections to servers ---

ONE = "[sluice]\nworkers = 1\n"


def test_reuse(sluice, peer):
    app = peer()
    s = sluice(conf(app.addr, top=ONE))
    with http.Client(s.port) as c:
        for _ in range(10):
            assert c.ask("POST", "/", body=b"x").status == 200
    for _ in range(10):
        assert http.get(s.port).status == 200
    assert app.connections == 1
    assert wire.sums(s)["upstream_reused_total"] == 19


@pytest.mark.parametrize("step", [
    respond(headers=[("Connection", "close")]),
    raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    raw(b"HTTP/1.1 200 OK\r\n\r\nok", then_close=True)])
def test_no_reuse(sluice, peer, step):
    app = peer(default=step)
    s = sluice(conf(app.addr, top=ONE))
    with http.Client(s.port) as c:
        for _ in range(3):
            assert c.get().status == 200
    assert app.connections == 3


@pytest.mark.parametrize("method,served", [("GET", True), ("HEAD", True),
                                           ("PUT", True), ("POST", False)])
@pytest.mark.parametrize("end", [close_now(), reset_now()])
def test_stale(sluice, peer, method, served, end):
    """A pooled connection dies under a request: asked again if it may."""
    app = peer([respond(), end])
    s = sluice(conf(app.addr, top=ONE))
    with http.Client(s.port) as c:
        assert c.get("/first").status == 200
        r = c.ask(method, "/second")
        assert [q.conn for q in app.requests] == (
            [1, 1, 2] if served else [1, 1])
        if served:
            assert r.status == 200
        else:
            wire.is_fail(r, "reset_before_head")
        wire.goes_on(c)


def test_fresh_one_that_dies(sluice, peer):
    """On a connection of its own nothing is repeated."""
    app = peer([close_now()])
    s = sluice(conf(app.addr, top=ONE))
    wire.is_fail(http.get(s.port), "reset_before_head")
    assert len(app.requests) == 1


@pytest.mark.parametrize("headers", [[], [("Connection", "close")]],
                         ids=["stays", "once"])
def test_client_gone(sluice, peer, headers):
    """Who leaves cancels what was asked for him."""
    gone = threading.Event()

    def step(conn, req):
        try:
            conn.more()
        except Gone:
            gone.set()
        return False
    app = peer(default=step)
    s = sluice(conf(app.addr))
    c = http.Client(s.port)
    c.send(http.request("GET", "/left", headers))
    app.wait_requests(1)
    c.reset()
    assert gone.wait(net.WAIT)
    record = wire.record(s, target="/left")
    assert record["fail"] == "client_gone" and record["status"] == 0


@pytest.mark.h1
def test_client_that_asks_once(sluice, peer):
    """It is not watched while its answer may come at once: taking it,
    asking, answering and closing are all that it costs."""
    s = sluice(conf(peer().addr, top=ONE))
    n, once = 100, [("Connection", "close")]
    http.get(s.port, headers=once)
    with traced(s, s.roles()["worker 1"]) as names:
        for _ in range(n):
            assert http.get(s.port, headers=once).status == 200
    got = collections.Counter(names)
    assert got["sendto"] >= 2 * n, got
    # a server that is late for once, and the listener's own
    assert got["epoll_ctl"] <= n / 2, got


def test_client_gone_in_answer(sluice, peer):
    gone = threading.Event()

    def step(conn, req):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                conn.send(b"x" * 65536)
        except OSError:
            gone.set()
        return False
    app = peer(default=step)
    s = sluice(conf(app.addr))
    c = http.Client(s.port)
    c.send(http.request())
    assert c.head().status == 200
    c.reset()
    assert gone.wait(net.WAIT)


# --- time ---

@pytest.mark.parametrize("where", ["more", "route"])
def test_first_byte_timeout(sluice, peer, where):
    late = threading.Event()
    app = peer([hold(late)])
    s = sluice(conf(app.addr, **{where: "timeout.first_byte = 200ms\n"}))
    with http.Client(s.port) as c:
        wire.is_fail(c.get("/late"), "first_byte_timeout")
        late.set()
        # the late answer is nobody's: the next has its own
        app.default = respond(body=b"second")
        assert c.get("/next").body == b"second"


LATE = "timeout.connect = 50s\ntimeout.first_byte = 50s\n" \
    "timeout.between = 50s\ntimeout.total = 100s\n"


def half(conn, req):
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
    return hold(threading.Event())(conn, req)


@pytest.mark.parametrize("key,step,row", [
    ("connect", None, "dial_timeout"),
    ("first_byte", hold(threading.Event()), "first_byte_timeout"),
    ("first_byte", no_body(hold(threading.Event())), "send_timeout"),
    ("between", half, "between_timeout"),
    ("total", hold(threading.Event()), "total_timeout")])
def test_times_of_a_route(sluice, peer, key, step, row):
    """Each time of the upstream may be another one for a route; what is
    under way in the other routes goes on."""
    app = peer(default=step)
    addr, keep = app.addr, None
    if step is None:            # a queue that is full: who connects waits
        keep = [socket.create_server(("127.0.0.1", 0), backlog=0)]
        addr = "127.0.0.1:%d" % keep[0].getsockname()[1]
        for _ in range(2):
            keep.append(socket.socket())
            keep[-1].setblocking(False)
            keep[-1].connect_ex(keep[0].getsockname())
    more = "timeout.connect = 200ms\n" if key == "total" else ""
    s = sluice(conf(addr, more=LATE, route="[route other]\npath = /own\n"
                    f"upstream = app\n{more}timeout.{key} = 300ms\n"))
    with http.Client(s.port) as other, http.Client(s.port) as c:
        other.send(http.request("GET", "/"))
        with contextlib.suppress(http.Closed, OSError):
            c.send(http.request("POST", "/own", body=b"x" * (
                12 << 20 if row == "send_timeout" else 1)))
            c.response()
        assert wire.record(s, target="/own")["fail"] == row
        assert "/" not in [r.get("target") for r in s.log()]
    for k in keep or ():
        k.close()


def test_between_timeout(sluice, peer):
    never = threading.Event()

    def step(conn, req):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
        never.wait(net.WAIT)
        return False
    app = peer(default=step)
    s = sluice(conf(app.addr, more="timeout.between = 200ms"))
    with http.Client(s.port) as c:
        with pytest.raises(http.Closed):
            c.get("/stall")
    never.set()
    assert wire.record(s, target="/stall")["fail"] == "between_timeout"


@pytest.mark.parametrize("more", ["", "HTTP/1.1 103 E\r\n\r\n"])
def test_head_that_stalls(sluice, peer, more):
    """It is the head that first_byte waits for, not its first byte."""
    app = peer(default=lambda conn, req: conn.send(
        more.encode() + b"HTTP/1.1 200 OK\r\nA: ") or hold(
            threading.Event())(conn, req))
    s = sluice(conf(app.addr, more="timeout.first_byte = 300ms\n"
                    "timeout.between = 30s\n"))
    with http.Client(s.port) as c:
        wire.is_fail(c.ask("GET", "/stall", wire.JSON), "first_byte_timeout")
    s.wait_log("first_byte_timeout: its head began, but did not end")


def test_between_is_of_pauses(sluice, peer):
    def step(conn, req):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for byte in (b"h", b"e", b"l", b"l", b"o"):
            delay(0.15, raw(byte))(conn, req)
        return True
    s = sluice(conf(peer(default=step).addr,
                    more="timeout.between = 500ms"))
    assert http.get(s.port).body == b"hello"


def test_total_timeout(sluice, peer):
    never = threading.Event()
    app = peer(default=hold(never))
    s = sluice(conf(app.addr, more="timeout.connect = 100ms\n"
                    "timeout.total = 300ms"))
    wire.is_fail(http.get(s.port), "total_timeout")
    never.set()


# --- answers that break off: never a clean end ---

CUTS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"4\r\npart\r\n",
    "in_size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"4\r\npart\r\n1",
    "last_chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"4\r\npart\r\n0\r\n",
}


@pytest.mark.h1
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("minor", ["1.0", "1.1"])
@pytest.mark.parametrize("reset", [False, True])
def test_cut(gate, cut, minor, reset):
    def step(conn, req):
        conn.send(CUTS[cut])
        if reset:
            sent.wait(net.WAIT)
            net.reset(conn.sock)
        return False
    sent = threading.Event()
    gate.app.script.append(step)
    target = f"/{cut}-{minor}-{reset}"
    with http.Client(gate.port) as c:
        c.send(http.request("GET", target, version=minor))
        r = c.head()
        assert r.status == 200
        sent.set()
        with pytest.raises(http.Closed) as why:
            c.body(r)
        if minor == "1.0" and cut != "length":
            # its end would be that of the body: only a reset is honest
            assert "reset" in str(why.value)
    assert wire.record(gate, target=target)["fail"] == "reset_in_body"


@pytest.mark.h1
def test_cut_has_no_trailers(gate):
    """Not even why: behind a last chunk the body would pass for whole."""
    gate.app.script.append(raw(CUTS["chunks"], then_close=True))
    with http.Client(gate.port) as c:
        c.send(http.request("GET", "/no-trailers", {"TE": "trailers"}))
        assert c.head().get("transfer-encoding") == "chunked"
        assert c.rest() == b"4\r\npart\r\n"
    rec = wire.record(gate, target="/no-trailers")
    assert rec["fail"] == "reset_in_body"


@pytest.mark.parametrize("data,row", [
    (b"", "reset_before_head"), (b"HTTP/1.1 2", "reset_in_head"),
    (b"HTTP/1.1 200 OK\r\nA: b\r\n", "reset_in_head")])
def test_cut_in_head(gate, data, row):
    gate.app.script.append(raw(data, then_close=True))
    with http.Client(gate.port) as c:
        wire.is_fail(c.ask("POST", "/cut"), row)
        wire.goes_on(c)


def test_many_at_once(gate):
    """Answers go to those who asked."""
    def echo(conn, req):
        return respond(body=req.target.encode() + req.body)(conn, req)

    def ask(i):
        with http.Client(gate.port) as c:
            for k in range(20):
                r = c.ask("POST", f"/{i}-{k}", body=b"x" * (k * 1000))
                assert r.body == f"/{i}-{k}".encode() + b"x" * (k * 1000)
    before, gate.app.default = gate.app.default, echo
    try:
        for t in [Thread(ask, i) for i in range(8)]:
            t.join()
    finally:
        gate.app.default = before

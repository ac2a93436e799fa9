"""Connections of HTTP/2: many exchanges on one, bodies with windows both
ways, ends and times."""
import os
import re
import signal
import socket
import threading

import pytest

from lib import h2, http, net, wire
from lib.h2 import (DATA, GOAWAY, HEADERS, PING, RST, frame, request, rst,
                    window)
from lib.peer import Peer, delay, hold, raw, respond

CONF = """
[sluice]
workers = 1
stop = 5s
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[upstream app]
server = {app}
[route app]
path = /app*
upstream = app
[route site]
path = /www/*
strip_prefix = auto
static = @dir@/www
""" + wire.PROBE
BIG = os.urandom(3 << 20)


@pytest.fixture(scope="module")
def gate():
    with wire.with_app(lambda a: CONF.format(app=a),
                       default=respond(body=b"app")) as s:
        wire.put(s.dir, "big.bin", BIG)
        wire.put(s.dir, "f.txt", b"0123456789")
        yield s


@pytest.fixture
def c(gate):
    with h2.H2(gate.port, timeout=10) as c:
        yield c


def slow_answer(*pieces):
    return raw(*pieces)


# --- messages ---

def test_static(c):
    r = c.response(c.ask_for("GET", "/www/f.txt"))
    assert r.status == 200 and r.body == b"0123456789"
    assert r["content-length"] == "10" and r["etag"] and r["date"]
    r = c.response(c.ask_for("GET", "/www/f.txt", {"Range": "bytes=2-4"}))
    assert r.status == 206 and r.body == b"234"
    r = c.response(c.ask_for("HEAD", "/www/f.txt"), "HEAD")
    assert r["content-length"] == "10" and r.body == b""
    r = c.response(c.ask_for("GET", "/www/f.txt",
                             {"If-None-Match": r["etag"]}))
    assert r.status == 304 and r.get("content-length") is None


def test_large_file(c):
    r = c.response(c.ask_for("GET", "/www/big.bin"))
    assert r.body == BIG


def test_both_versions(gate):
    """By the first bytes, however they come."""
    assert http.get(gate.port, "/probe").body == b"probe"
    with h2.H2(gate.port, greet=False, timeout=5) as c:
        hello = h2.PREFACE + h2.settings()
        for i in range(len(hello)):
            c.send(hello[i:i + 1])
        assert c.response(c.ask_for("GET", "/probe")).body == b"probe"
    with http.Client(gate.port) as c1:
        c1.send_pieces(http.request("GET", "/probe"))
        assert c1.response().body == b"probe"
    with http.Client(gate.port) as c1:
        c1.send(b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c1.response().status == 400


def test_proxied(gate, c):
    seen = len(gate.app.requests)
    r = c.response(c.ask_for("GET", "/app?x", [
        ("Host", "example.org"), ("cookie", "a=b"), ("cookie", "c=d"),
        ("x-own", "1"), ("x-own", "2")]))
    assert r.status == 200 and r.body == b"app"
    req = gate.app.requests[seen]
    assert req.target == "/app?x" and req.get("host") == "example.org"
    assert req.all("cookie") == ["a=b; c=d"]
    assert req.all("x-own") == ["1", "2"]
    assert req.get("via") == "2.0 sluice"
    assert req.get("x-forwarded-for") == "127.0.0.1"
    assert req.get("x-forwarded-proto") == "http"


def test_record(gate, c):
    r = c.response(c.ask_for("GET", "/probe?record"))
    rec = wire.record(gate, r["x-request-id"])
    assert rec["version"] == "2.0" and rec["status"] == 200
    assert rec["target"] == "/probe?record"
    # a head and a body, each behind nine bytes
    assert 23 < rec["bytes_out"] < 400 and 9 < rec["bytes_in"] < 200


def test_record_of_a_head(gate, c):
    """An answer of one frame has bytes as well."""
    r = c.response(c.ask_for("HEAD", "/probe?head"), "HEAD")
    assert 23 < wire.record(gate, r["x-request-id"])["bytes_out"] < 400


def test_upload(gate, c):
    seen = len(gate.app.requests)
    body = os.urandom(200000)
    sid = c.ask_for("POST", "/app", end=False)
    c.upload(sid, body)
    assert c.response(sid).status == 200
    assert gate.app.requests[seen].body == body


def test_upload_of_known_length(gate, c):
    seen = len(gate.app.requests)
    sid = c.ask_for("POST", "/app", {"Content-Length": "3"}, end=False)
    c.data(sid, b"ab", False)
    c.data(sid, b"c")
    assert c.response(sid).status == 200
    req = gate.app.requests[seen]
    assert req.body == b"abc" and req.get("content-length") == "3"


def test_trailers(gate, c):
    """Both ways."""
    gate.app.script.append(raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        b"0\r\nX-Sum: 7\r\n\r\n"))
    seen = len(gate.app.requests)
    sid = c.ask_for("POST", "/app", {"te": "trailers"}, end=False)
    c.data(sid, b"abc", False)
    c.headers([("x-check", "9"), ("content-length", "9")], sid=sid)
    r = c.response(sid)
    assert r.body == b"abc" and r.trailers == [("x-sum", "7")]
    assert gate.app.requests[seen].trailers == [("x-check", "9")]


def test_informational(gate, c):
    gate.app.script.append(raw(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    r = c.response(c.ask_for("GET", "/app"))
    assert [i.status for i in r.informational] == [103]
    assert r.informational[0]["link"] == "</a>" and r.body == b"ok"


def test_continue(gate, c):
    sid = c.ask_for("POST", "/app", {"Expect": "100-continue"}, end=False)
    assert c.head(sid).status == 100
    c.data(sid, b"abc")
    assert c.response(sid).status == 200


def test_answer_before_the_request_has_ended(c):
    """The rest may come; a stream that does not end is reset."""
    sid = c.ask_for("POST", "/probe", end=False)
    assert c.response(sid).body == b"probe"
    f = c.frame(lambda f: f.sid == sid and f.type == RST)
    assert f.body == bytes(4)


# --- resets and other ends ---

def test_reset_reaches_the_server(gate, c):
    """A client's reset ends the attempt; its siblings go on."""
    gone = threading.Event()

    def wait(conn, _):
        while conn.sock.recv(1):
            pass
        gone.set()
    gate.app.script.append(wait)
    seen = len(gate.app.requests)
    sid = c.ask_for("GET", "/app?gone")
    gate.app.wait_requests(seen + 1)
    c.send(rst(sid))
    assert gone.wait(5)
    assert c.response(c.ask_for("GET", "/probe")).body == b"probe"
    rec = wire.record(gate, target="/app?gone")
    assert rec["fail"] == "client_reset" and rec["cause"] == "CANCEL"


def test_server_breaks_off(gate, c):
    """An answer that is cut is never taken for a whole one."""
    gate.app.script.append(raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        then_close=True))
    sid = c.ask_for("GET", "/app?cut")
    with pytest.raises(h2.Reset) as e:
        c.response(sid)
    assert e.value.code == h2.INTERNAL
    assert c.response(c.ask_for("GET", "/probe")).body == b"probe"


def test_client_leaves(gate):
    seen = len(gate.app.requests)
    gate.app.script.append(hold(threading.Event()))
    with h2.H2(gate.port) as c:
        c.ask_for("GET", "/app?left")
        gate.app.wait_requests(seen + 1)
    assert wire.record(gate, target="/app?left")["fail"] == "client_gone"


# --- windows ---

def test_stuck_stream(gate, c):
    """One stream whose window is shut holds up no other."""
    stuck = c.ask_for("GET", "/www/big.bin")
    c.head(stuck)
    others = [c.ask_for("GET", "/probe") for _ in range(99)]
    # what the stuck one sent has used the connection's window
    c.send(window(0, 1 << 20))
    assert all(c.response(s).body == b"probe" for s in others)
    n = sum(len(f.body) for f in c.kept if f.sid == stuck)
    assert n <= 65535
    c.send(window(stuck, 8 << 20), window(0, 8 << 20))
    assert c.response(c.ask_for("GET", "/probe")).body == b"probe"


def test_slow_server_stops_its_stream(gate, c):
    """An upload that nobody takes: its window shuts, others go on."""
    release = threading.Event()

    def later(conn, req):
        release.wait(10)
        respond()(conn, req)
    from lib.peer import no_body
    gate.app.script.append(no_body(later))
    sid = c.ask_for("POST", "/app?slow", end=False)
    sent, piece = 0, bytes(16384)
    left = 65535
    while True:
        while left >= len(piece):
            c.data(sid, piece, False)
            left -= len(piece)
            sent += len(piece)
        c.ping()
        left += c.room.pop(sid, 0)
        if left < len(piece):
            break
    assert sent < 32 << 20
    assert c.response(c.ask_for("GET", "/probe")).body == b"probe"
    release.set()


def test_window_grows(c):
    """With what the path holds while a PING goes round."""
    for _ in range(5):      # while the server keeps up with it
        sid = c.ask_for("POST", "/app?grow", end=False)
        c.upload(sid, bytes(16 << 20))
        assert c.response(sid).status == 200
        if c.most > 65536:
            break
    assert 65536 < c.most <= 4 << 20


def test_small_pieces(sluice):
    """They share pages while they wait, and do not hold one each."""
    go = threading.Event()
    with Peer([hold(go)], default=respond()) as app:
        s = sluice(CONF.format(app=f"{app.addr} max_conns=1"))
        with h2.H2(s.port, timeout=10) as first, \
                h2.H2(s.port, timeout=10) as c:
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one = first.ask_for("GET", "/app")
            app.wait_requests(1)
            sid = c.ask_for("POST", "/app", end=False)
            for _ in range(5000):
                c.send(frame(DATA, 0, sid, b"a"))
            c.ping()
            assert wire.sums(s)["page_bytes"] < 1 << 20
            c.data(sid, b"b")
            go.set()
            assert first.response(one).status == 200
            assert c.response(sid).status == 200
        assert app.requests[1].body == b"a" * 5000 + b"b"


# --- priorities ---

def order(c, *urgent):
    """The streams whose bytes come, in their order."""
    c.send(h2.settings((4, 0)))
    c.ping()
    ids = [c.ask_for("GET", "/www/big.bin", {"Priority": u})
           for u in urgent]
    for sid in ids:
        c.head(sid)
    c.send(window(0, 8 << 20), h2.settings((4, 1 << 20)))
    out = []
    for _ in range(60):
        out.append(ids.index(c.frame(lambda f: f.type == DATA).sid))
    return out


def test_urgency(c):
    """RFC 9218: the most urgent goes first, all of it."""
    got = order(c, "u=5", "u=1")
    assert got[:50] == [1] * 50


def test_incremental(c):
    """Equals that may be read as they come share."""
    got = order(c, "u=2, i", "u=2, i")
    assert {0, 1} == set(got[:8])


def test_priority_update(c):
    """PRIORITY_UPDATE overrules the field."""
    c.send(h2.settings((4, 0)))
    c.ping()
    ids = [c.ask_for("GET", "/www/big.bin", {"Priority": "u=1"}),
           c.ask_for("GET", "/www/big.bin", {"Priority": "u=5"})]
    for sid in ids:
        c.head(sid)
    c.send(frame(h2.PRIORITY_UPDATE, 0, 0,
                 ids[1].to_bytes(4, "big") + b"u=0"))
    c.ping()
    c.send(window(0, 8 << 20), h2.settings((4, 1 << 20)))
    first = c.frame(lambda f: f.type == DATA)
    assert first.sid == ids[1]


# --- the end ---

def test_drain(gate, sluice):
    """GOAWAY in two steps; what was asked meanwhile is answered."""
    never = threading.Event()
    with Peer(default=delay(0.5, respond(body=b"late"))) as app:
        s = sluice(CONF.format(app=app.addr))
        with h2.H2(s.port, timeout=10) as c:
            c.pongs = False
            sid = c.ask_for("GET", "/app")
            app.wait_requests(1)
            s.send(signal.SIGTERM)
            f = c.frame(lambda f: f.type == GOAWAY)
            assert int.from_bytes(f.body[:4], "big") == 0x7fffffff
            assert f.body[4:8] == bytes(4)
            other = c.ask_for("GET", "/probe")
            assert c.response(other).body == b"probe"
            f = c.frame(lambda f: f.type == h2.PING and not f.flags)
            c.send(frame(h2.PING, h2.ACK, 0, f.body))
            f = c.frame(lambda f: f.type == GOAWAY)
            assert int.from_bytes(f.body[:4], "big") == other
            assert c.response(sid).body == b"late"
            c.ends()
        never.set()


def limited(sluice, keys, top=""):
    return sluice(top + """
[listener web]
bind = 127.0.0.1:@port@
http = 2
""" + keys + wire.PROBE)


def test_requests_of_a_connection(sluice):
    s = limited(sluice, "", "[limits]\nrequests_per_connection = 3\n")
    with h2.H2(s.port, timeout=5) as c:
        for _ in range(3):
            assert c.response(c.ask_for("GET", "/probe")).status == 200
        assert c.goaway() == 0


def test_max_streams(sluice):
    s = limited(sluice, "max_streams = 7\n")
    with h2.H2(s.port, timeout=5) as c:
        c.response(c.ask_for("GET", "/probe"))
        assert c.settings[3] == 7


def test_idle(sluice):
    """Told to go, and gone when it has understood."""
    s = limited(sluice, "timeout.idle_http2 = 200ms\n")
    with h2.H2(s.port, timeout=5) as c:
        assert c.response(c.ask_for("GET", "/probe")).status == 200
        assert c.goaway() == 0
        f = c.frame(lambda f: f.type == h2.PING)
        c.send(frame(h2.PING, h2.ACK, 0, f.body))
        # the second one names the last stream that counts
        assert [f.body for f in c.ends() if f.type == GOAWAY] == [
            bytes((0, 0, 0, 1)) + bytes(4)]


def test_head_that_never_ends(sluice):
    """Without its end, in slow pieces, or no SETTINGS: one row, counted."""
    s = limited(sluice, "timeout.header = 300ms\n")
    with h2.H2(s.port, timeout=5) as c:
        c.ping()        # an ACK within the head would be wrong
        c.headers(request("GET", "/probe"), flags=0)
        assert c.goaway() == h2.CALM
        c.ends()
    with h2.H2(s.port, timeout=5) as c:
        c.ping()
        sid = c.headers(request("GET", "/probe"), flags=0)
        for i in range(7):
            if net.wait_fd(c.sock, 0.1):
                break
            c.say(frame(h2.CONTINUATION, 0, sid, h2.literal(f"a{i}", "b")))
        c.ends()
    with net.connect(s.port, timeout=5) as sock:    # and no ACK of ours
        sock.sendall(h2.PREFACE)
        said = b"".join(iter(lambda: sock.recv(65536), b""))
        assert said[-17:-8] == b"\0\0\x08\x07" + bytes(5)
        assert int.from_bytes(said[-4:], "big") == h2.SETTINGS_TIMEOUT
    net.until("three of them", lambda: wire.fails(s)["h2_header_timeout"] == 3)
    s.wait_log("closed: h2_header_timeout")


def test_body_that_stalls(gate, sluice):
    with Peer() as app:
        s = limited(sluice, f"""timeout.body = 300ms
[upstream app]
server = {app.addr}
[route app]
path = /app
upstream = app
""")
        with h2.H2(s.port, timeout=5) as c:
            sid = c.ask_for("POST", "/app", end=False)
            c.data(sid, b"ab", False)
            r = c.response(sid)
            assert r.status == 408 and wire.told(r)[0] == "body_timeout"
            assert c.response(c.ask_for("GET", "/probe")).status == 200


def test_client_that_reads_nothing(sluice):
    """Of one stream, then of the whole connection."""
    s = limited(sluice, "timeout.write = 400ms\n[route site]\n"
                "path = /www/*\nstrip_prefix = auto\nstatic = @dir@/www\n")
    wire.put(s.dir, "big.bin", bytes(32 << 20))
    with h2.H2(s.port, timeout=5) as c:
        sid = c.ask_for("GET", "/www/big.bin")
        c.head(sid)
        f = c.frame(lambda f: f.sid == sid and f.type == RST)
        assert int.from_bytes(f.body, "big") == h2.CANCEL
        c.send(window(0, 1 << 20))
        assert c.response(c.ask_for("GET", "/probe")).body == b"probe"
        rec = wire.record(s, target="/www/big.bin")
        assert rec["fail"] == "write_timeout"
    sock = net.connect(s.port, rcvbuf=4096)
    with h2.H2(s.port, sock=sock, own=[(4, 64 << 20)]) as c:
        c.send(window(0, 64 << 20))
        c.ask_for("GET", "/www/big.bin?2")
        rec = wire.record(s, target="/www/big.bin?2")
        assert rec["fail"] == "write_timeout"


def test_body_too_large(sluice):
    s = limited(sluice, "[route app]\npath = /app\nmax_body = 10\n"
                "echo = on\n")
    with h2.H2(s.port, timeout=5) as c:
        sid = c.ask_for("POST", "/app", {"Content-Length": "11"}, end=False)
        r = c.response(sid)
        assert r.status == 413 and wire.told(r)[0] == "body_too_large"


def test_listener_that_goes(sluice):
    """A reload without it retires its connections gently."""
    conf = """
[listener web]
bind = 127.0.0.1:@port@
http = 2
[listener other]
bind = 127.0.0.1:@port2@
""" + wire.PROBE
    s = sluice(conf)
    with h2.H2(s.port, timeout=5) as c:
        assert c.response(c.ask_for("GET", "/probe")).status == 200
        s.reload(re.sub(r"(?s)\[listener web\].*?(?=\[listener)", "", conf))
        assert c.goaway() == 0
        c.ends()


def spoken(http, cut=False):
    """Without TLS, by these versions."""
    return f"""
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
http = {http}
{"on_change = cut" * cut}
[upstream app]
server = 127.0.0.1:@port2@
[route app]
path = /app
upstream = app
""" + wire.PROBE


@pytest.mark.parametrize("http1", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_version_that_goes(sluice, http1, cut):
    """Those who speak it are let go, with what is under way or cut."""
    s = sluice(spoken("1.1 2", cut))
    never = threading.Event()
    with Peer(port=s.value("port2"), default=hold(never)) as app, \
            h2.H2(s.port, timeout=10) as c, http.Client(s.port) as d:
        assert c.response(c.ask_for("GET", "/probe")).status == 200
        assert d.get("/probe").status == 200
        sid = c.ask_for("GET", "/app")
        d.send(http.request("GET", "/app"))
        app.wait_requests(2)
        s.reload(spoken("1.1 2", cut))
        s.reload(spoken("2" if http1 else "1.1", cut))
        if cut and http1:
            assert d.rest() == b""
        elif cut:
            assert not [f for f in c.ends() if f.sid == sid and f.end]
        elif not http1:
            assert c.goaway() == 0
        never.set()
        if not cut or http1:
            assert c.response(sid).status == 200
        if not cut or not http1:
            assert d.response().closes is http1
        if http1:
            assert c.response(c.ask_for("GET", "/probe")).status == 200
        else:
            assert not d.get("/probe").closes
            c.ends()


@pytest.mark.parametrize("now", ["1.1", "2"])
def test_version_that_goes_unsaid(sluice, now):
    """Whose first bytes are waited for speaks what is left."""
    s = sluice(spoken("1.1 2"))
    with net.connect(s.port) as c:
        c.sendall(h2.PREFACE[:7])
        net.until("it is there", lambda: wire.sums(s)["connections"] == 1)
        s.reload(spoken(now))
        c.sendall(h2.PREFACE[7:] + h2.settings())
        got = c.recv(4096)
        assert got[3] == h2.SETTINGS if now == "2" else \
            got.startswith(b"HTTP/1.1 505 ")


def test_behind_the_proxy_protocol(gate, sluice):
    """The greeting comes before the version is looked at."""
    with Peer() as app:
        s = sluice(f"""
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
proxy_protocol = on
proxy_protocol_from = 127.0.0.1
[upstream app]
server = {app.addr}
[route app]
path = /*
upstream = app
""")
        with h2.H2(s.port, timeout=5, greet=False) as c:
            hello = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n" + \
                h2.PREFACE + h2.settings()
            for i in range(0, len(hello), 7):
                c.send(hello[i:i + 7])
            assert c.response(c.ask_for("GET", "/a")).status == 200
        assert app.requests[0].get("x-forwarded-for") == "192.0.2.7"


def test_upgrade_of_the_binary(sluice):
    """Connections end gently, and none of their requests is lost."""
    with Peer(default=delay(0.3, respond(body=b"late"))) as app:
        s = sluice(CONF.format(app=app.addr))
        with h2.H2(s.port, timeout=10) as c:
            sid = c.ask_for("GET", "/app")
            app.wait_requests(1)
            s.send(signal.SIGUSR2)
            assert c.response(sid).body == b"late"
            assert c.goaway() == 0
        assert http.get(s.port, "/probe").body == b"probe"


def test_https_without_tls(c):
    """The origin of another port."""
    r = c.response(c.ask_for("GET", "/probe", scheme="https"))
    assert r.status == 421 and wire.told(r)[0] == "misdirected"


FRONT = """
[sluice]
trusted_proxies = 127.0.0.1
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[listener told]
bind = 127.0.0.1:@port2@
http = 1.1 2
proxy_protocol = on
proxy_protocol_from = 127.0.0.1
[upstream app]
server = {app}
[route all]
path = /*
upstream = app
"""
HEAD = b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
ADDRS = bytes((192, 0, 2, 7, 192, 0, 2, 1, 4, 0, 0, 80))


def test_https_behind_a_front(sluice):
    """A trusted proxy ended TLS, or one that speaks the PROXY protocol."""
    with Peer() as app:
        s = sluice(FRONT.format(app=app.addr))

        def told(c, scheme, more=()):
            r = c.response(c.ask_for("GET", "/x", more, scheme=scheme))
            if r.status == 421:
                return wire.told(r)[0]
            return app.requests[-1].get("x-forwarded-proto")
        with h2.H2(s.port, timeout=5) as c:
            assert told(c, "https") == "https"
            assert told(c, "http") == "http"
            assert told(c, "http", {"X-Forwarded-Proto": "https"}) == "https"
            assert told(c, "https", {"X-Forwarded-Proto": "http"}) == "http"
        for tls, right, wrong in ((b"\x20\0\5\1\0\0\0\0", "https", "http"),
                                  (b"\x20\0\5\0\0\0\0\0", "http", "https"),
                                  (b"", "http", "https")):
            sock = net.connect(s.value("port2"), 5)
            n = len(ADDRS) + len(tls)
            sock.sendall(HEAD + n.to_bytes(2, "big") + ADDRS + tls)
            with h2.H2(None, sock=sock) as c:
                assert told(c, right) == right
                assert told(c, wrong) == "misdirected"


def test_counters(sluice):
    s = sluice(CONF.format(app="127.0.0.1:1"))
    with h2.H2(s.port, timeout=5) as c:
        for _ in range(3):
            c.response(c.ask_for("GET", "/probe"))
    http.get(s.port, "/probe")
    wire.wait_metric(s, "requests_total", 4)
    sums = wire.sums(s)
    assert sums["requests_http2_total"] == 3
    assert sums["connections_http2_total"] == 1


def test_client_says_goaway(sluice):
    """What it has asked is answered; then the connection ends, for
    nothing that it may send means anything any more."""
    go = threading.Event()
    with Peer(default=hold(go)) as app:
        s = sluice(CONF.format(app=app.addr))
        with h2.H2(s.port, timeout=10) as c:
            sid = c.ask_for("GET", "/app")
            app.wait_requests(1)
            c.send(frame(GOAWAY, 0, 0, bytes(8)))
            c.ping()
            go.set()
            assert c.response(sid).status == 200
            last = [f for f in c.ends() if f.type == GOAWAY][-1]
        assert last.body == bytes((0, 0, 0, sid)) + bytes(4)
        with h2.H2(s.port, timeout=10) as c:
            assert c.response(c.ask_for("GET", "/probe")).status == 200
            c.send(frame(GOAWAY, 0, 0, bytes(8)),
                   frame(PING, 0, 0, bytes(8)))
            assert GOAWAY in [f.type for f in c.ends()]


def test_counters_of_streams(sluice):
    """What clients do with streams, and what is done to them."""
    go = threading.Event()
    with Peer(default=hold(go)) as app:
        s = sluice(CONF.format(app=app.addr).replace(
            "http = 1.1 2", "http = 1.1 2\nmax_streams = 3"))
        with h2.H2(s.port, timeout=10) as c:
            # who has not heard of the limit is refused; later it is an error
            sids = [c.ask_for("GET", f"/app?{i}") for i in range(4)]
            with pytest.raises(h2.Reset) as e:
                c.head(sids[3])
            assert e.value.code == h2.REFUSED
            app.wait_requests(3)
            wire.wait_metric(s, "http2_streams", 3)
            c.send(rst(sids[0]))
            wire.wait_metric(s, "http2_streams", 2)
            go.set()
            for sid in sids[1:3]:
                assert c.response(sid).status == 200
            bad = c.headers(request("G T", "/"))
            assert c.response(bad).status == 400
            c.frame(lambda f: f.type == RST and f.sid == bad)
            c.ping()
            c.send(frame(GOAWAY, 0, 0, bytes(8)))
            c.ends()
        sums = wire.sums(s)
    assert {n: sums[f"http2_{n}"] for n in (
        "streams", "streams_total", "streams_refused_total", "resets_total",
        "resets_sent_total", "goaway_total", "goaway_sent_total",
        "pings_total")} == {
            "streams": 0, "streams_total": 4, "streams_refused_total": 1,
            "resets_total": 1, "resets_sent_total": 1, "goaway_total": 1,
            "goaway_sent_total": 1, "pings_total": 1}


def test_version_in_a_template(sluice):
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[route all]
path = /*
respond = 200 by ${version}
""")
    with h2.H2(s.port, timeout=5) as c:
        assert c.response(c.ask_for("GET", "/")).body == b"by 2.0"
    assert http.get(s.port, "/").body == b"by 1.1"


# --- heads ---

def test_head_of_many_frames(c):
    """A head larger than one frame, within the limits."""
    fields = request("GET", "/probe") + [("a%d" % i, "b" * 9000)
                                         for i in range(3)]
    data = h2.block(fields)
    sid = c.next_id()
    c.send(frame(HEADERS, h2.END, sid, data[:16000]),
           frame(h2.CONTINUATION, h2.END_HEADERS, sid, data[16000:]))
    assert c.response(sid).body == b"probe"


def test_limits_of_heads(c):
    for fields, row in ((
            [("a%d" % i, "b" * 4000) for i in range(9)], "header_too_large"),
            ([("a", "b" * 16384)], "field_too_large"),
            ([("a", "b")] * 129, "too_many_fields")):
        data = h2.block(request("GET", "/probe") + fields)
        sid = c.next_id()
        c.send(frame(HEADERS, h2.END, sid, data[:16384]))
        for i in range(16384, len(data) + 16384, 16384):
            c.send(frame(h2.CONTINUATION, h2.END_HEADERS
                         if i >= len(data) - 16384 else 0, sid,
                         data[i:i + 16384])
                   if i < len(data) else b"")
        if len(data) <= 16384:
            c.send(frame(h2.CONTINUATION, h2.END_HEADERS, sid))
        r = c.response(sid)
        assert r.status == 431 and wire.told(r)[0] == row
    assert c.response(c.ask_for("GET", "/probe")).body == b"probe"

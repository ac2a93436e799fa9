"""Upgraded connections: WebSocket and whatever else is agreed on.

Here against scripted ends, for what real ones do not do; those are in
test_upstream_websocket.py.
"""
import hashlib
import json
import os
import socket
import time
from threading import Event

import pytest

from lib import http, net, wire, ws
from lib.cmd import Thread
from lib.peer import Gone, Peer, close_now, raw, respond

LISTEN = """
[listener web]
bind = 127.0.0.1:@port@
""" + wire.PROBE
ASK = [("Connection", "Upgrade"), ("Upgrade", "tide")]
MANY = 10 * 1024 * 1024


def conf(*addrs, more="", top="", route=""):
    servers = "".join(f"server = {a}\n" for a in addrs)
    return f"{top}{LISTEN}[upstream app]\nbalance = round_robin\n" \
        f"{servers}{more}\n[route all]\npath = /*\nupstream = app\n{route}"


@pytest.fixture(scope="module")
def gate():
    """One server whose next answers a test may set: gate.app.script."""
    with Peer(default=ws.echoes()) as app, \
            wire.gateway(conf(app.addr)) as s:
        s.app = app
        yield s
        assert not app.errors


def until(right, what):
    """Waits for what has no event that a stranger could await."""
    deadline = net.Deadline(what)
    while not (found := right()):
        net.wait_fd(None, min(deadline.left(), 0.01))
    return found


def quiet(s, open_now=0):
    """Waits until so many upgraded connections are open; all counters."""
    def right():
        sums = wire.sums(s)
        return sums if sums["upgrades"] == open_now else None
    return until(right, f"{open_now} upgrades")


def no_pages(s):
    """Waits until no page is held; the gauge is set each second."""
    until(lambda: wire.sums(s)["page_bytes"] == 0, "no page held")


def tide(gate, target, then, fields=(), sock=None, **kw):
    """A connection upgraded to `tide`, whose server does `then`."""
    gate.app.script = [ws.talks(then, "tide")]
    c = http.Client(gate.port, sock=sock)
    c.send(http.request(kw.pop("method", "GET"), target,
                        [*ASK, *fields], **kw))
    r = c.response()
    assert r.status == 101 and r["upgrade"] == "tide", r
    assert r["connection"].lower() == "upgrade"
    assert not r.all("content-length") and not r.all("transfer-encoding")
    return c


def drop(conn, _):
    """Reads to the end."""
    try:
        while True:
            conn.more()
            conn.buf = b""
    except Gone:
        pass


# --- the handshake ---

def test_echo(gate):
    before = wire.sums(gate)
    with ws.Socket(gate.port, "/echo") as w:
        w.echo(b"hello")
        now = quiet(gate, 1)
        assert now["upgrades_total"] == before["upgrades_total"] + 1
        assert now["upstream_connections"] >= 1
        no_pages(gate)      # nothing waits, nothing is held
        w.echo(b"\0\xff" * 70000, ws.BINARY)
        w.send(b"\x03\xe8bye", ws.CLOSE)
        assert w.frame() == (True, ws.CLOSE, b"\x03\xe8bye")
        assert w.c.rest() == b""
    req = gate.app.requests[-1]
    assert req.get("connection") == "upgrade"
    assert req.get("upgrade") == "websocket"
    assert req.get("sec-websocket-version") == "13"
    assert req.all("x-forwarded-for") == ["127.0.0.1"]
    r = wire.record(gate, target="/echo")
    assert r["status"] == 101 and "fail" not in r
    assert r["bytes_in"] > 140000 and r["bytes_out"] > 140000
    assert r["server"] == gate.app.addr and r["upstream"] == "app"
    assert r["method"] == "GET" and r["id"] == req.get("x-request-id")
    after = quiet(gate)
    assert after["upgrade_received_bytes_total"] > 140000
    assert after["upgrade_sent_bytes_total"] > 140000


def test_early_data_both_ways(gate):
    """Bytes in one segment with the head, from either side."""
    gate.app.script = [ws.echoes(behind=ws.frame(b"first", mask=False))]
    with http.Client(gate.port) as c:
        c.send(http.request("GET", "/early", ws.fields()) +
               ws.frame(b"soon") + ws.frame(b"later"))
        r = c.response()
        assert r.status == 101
        w = ws.Socket.__new__(ws.Socket)
        w.c = c
        assert [w.frame()[2] for _ in range(3)] == \
            [b"first", b"soon", b"later"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_in_pieces(gate, size):
    with http.Client(gate.port) as c:
        c.send_pieces(http.request("GET", "/pieces", ws.fields()) +
                      ws.frame(b"one") + ws.frame(b"two"), size)
        assert c.response().status == 101
        w = ws.Socket.__new__(ws.Socket)
        w.c = c
        assert w.frame()[2] == b"one" and w.frame()[2] == b"two"


@pytest.mark.parametrize("status,reason", [
    (200, "OK"), (403, "Forbidden"), (426, "Upgrade Required"),
    (503, "Busy")])
def test_refused(gate, status, reason):
    """As any other answer; both connections go on."""
    gate.app.script = [respond(status, b"no", reason=reason)]
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/refused", ws.fields())
        assert r.status == status and r.body == b"no"
        assert not r.all("upgrade")
        was = gate.app.requests[-1].conn
        gate.app.script = [respond(body=b"next")]
        assert c.get("/x").body == b"next"
        assert gate.app.requests[-1].conn == was


@pytest.mark.parametrize("asked,told", [
    (None, "websocket"), ("websocket", "tide"), ("tide/1", "tide/2"),
    ("websocket", "websocket, tide")])
def test_not_asked_for(gate, asked, told):
    gate.app.script = [ws.talks(drop, told)]
    fields = [("Connection", "upgrade"), ("Upgrade", asked)] if asked else []
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/odd", [*fields, *wire.JSON.items()])
        wire.is_fail(r, "unexpected_upgrade")
        wire.goes_on(c)
    assert quiet(gate)["upgrades"] == 0


def test_chosen_of_several(gate):
    gate.app.script = [ws.talks(drop, "TIDE/2")]
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/several", [("Connection", "upgrade"),
                                      ("Upgrade", "foam, tide/2, wave")])
        assert r.status == 101 and r["upgrade"] == "TIDE/2"
    assert gate.app.requests[-1].get("upgrade") == "foam, tide/2, wave"


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n"


@pytest.mark.parametrize("head,row", [
    (SWITCH + b"\r\n", "unexpected_upgrade"),
    (SWITCH + b"Upgrade: websocket\r\n\r\n", "unexpected_upgrade"),
    (SWITCH + b"Connection: upgrade\r\n\r\n", "unexpected_upgrade"),
    (SWITCH + b"Connection: upgrade\r\nUpgrade: websocket\r\n"
     b"Content-Length: 5\r\n\r\nhello", "bad_response_framing")])
def test_broken_101(gate, head, row):
    gate.app.script = [raw(head, then_close=True)]
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/broken", [*ws.fields(), *wire.JSON.items()])
        wire.is_fail(r, row)


def test_no_deadline(sluice, peer):
    """The time of the answer's head is none of the stream's."""
    app = peer([ws.echoes()])
    s = sluice(conf(app.addr, more="timeout.total = 20s\n",
                    route="deadline = on\n"))
    with ws.Socket(s.port, "/", [("X-Request-Deadline", "9000")]) as w:
        w.echo(b"hello")
    assert app.requests[0].get("x-request-deadline") is None
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/plain"))
        app.wait_requests(2)
    assert int(app.requests[1].get("x-request-deadline")) <= 20000


@pytest.mark.parametrize("fields,told", [
    (b"Upgrade: TLS/1.2, tide\r\nConnection: upgrade\r\n", "TLS/1.2, tide"),
    (b"Upgrade: tide\r\nUpgrade: foam\r\nConnection: upgrade\r\n",
     "tide, foam"),
    (b"Upgrade: tide\r\n", "tide"), (b"", None)])
@pytest.mark.parametrize("close", [False, True])
def test_426(gate, fields, told, close):
    """What is required is told (RFC 9110 15.5.22), and it is an answer."""
    head = b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n"
    gate.app.script = [raw(head + fields + b"\r\nno", then_close=True)]
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/426", [("Connection", "close")] if close else [])
        assert r.status == 426 and r.body == b"no"
        assert r.get("upgrade") == told
        want = (["upgrade"] if told else []) + (["close"] if close else [])
        assert r.get("connection") == (", ".join(want) or None)
        if not close:
            wire.goes_on(c)


def test_upgrade_of_others(gate):
    """With another status it is between the server and us."""
    gate.app.script = [raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                           b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\nok")]
    r = http.get(gate.port, "/200")
    assert r.body == b"ok" and r.get("upgrade") is None


def test_closed_before_101():
    """On a connection of its own: one that was kept would be replaced."""
    with Peer(default=close_now()) as app, \
            wire.gateway(conf(app.addr)) as s, http.Client(s.port) as c:
        r = c.ask("GET", "/closed", [*ws.fields(), *wire.JSON.items()])
        wire.is_fail(r, "reset_before_head")
        wire.goes_on(c)


@pytest.mark.parametrize("upgrade,left", [
    ("h2c", None), ("H2C, websocket", "websocket"), ("TLS/1.2", None),
    ("HTTP/2.0, tide", "tide"), ("h2c,, TLS/1.0", None)])
def test_http_in_disguise(gate, upgrade, left):
    """No upgrade to a protocol whose requests nobody would look at."""
    gate.app.script = [respond(body=b"plain")]
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/disguise", [
            ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", upgrade),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
        assert r.status == 200 and r.body == b"plain"
    req = gate.app.requests[-1]
    assert req.get("upgrade") == left
    assert req.get("http2-settings") is None
    assert req.get("connection") == ("upgrade" if left else None)


@pytest.mark.parametrize("method,version", [("HEAD", "1.1"),
                                            ("GET", "1.0")])
def test_knows_no_upgrade(gate, method, version):
    gate.app.script = [respond()]
    with http.Client(gate.port) as c:
        r = c.ask(method, "/old", ws.fields(), version=version)
        assert r.status == 200
    assert gate.app.requests[-1].get("upgrade") is None


def test_request_with_body(gate):
    """As docker exec asks: a POST whose answer is a stream."""
    def then(conn, req):
        conn.send(req.body[::-1])
        conn.send(conn.take(3))
    with tide(gate, "/exec", then, method="POST", body=b"abc") as c:
        c.send(b"xyz")
        assert c.rest() == b"cbaxyz"


def test_upgrade_before_the_body_came(gate):
    def step(conn, _):
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\n"
                  b"Connection: upgrade\r\nUpgrade: tide\r\n\r\n")
        drop(conn, None)
        return False
    step.wants_body = False
    gate.app.script = [step]
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/half", [
            *ASK, ("Content-Length", "10"), *wire.JSON.items()]) + b"12345")
        wire.is_fail(c.response(), "unexpected_upgrade")


# --- bytes ---

def test_ten_megabytes_each_way(gate):
    down, up = os.urandom(MANY), os.urandom(MANY)

    def then(conn, _):
        t = Thread(conn.send, down)
        got = conn.take(len(up))
        t.join(60)
        conn.send(hashlib.sha256(got).digest())
    with tide(gate, "/big", then) as c:
        t = Thread(c.send, up)
        got = c.rest()
        t.join(60)
    assert got[:-32] == down
    assert got[-32:] == hashlib.sha256(up).digest()
    r = wire.record(gate, target="/big")
    assert r["bytes_in"] >= MANY and r["bytes_out"] >= MANY
    quiet(gate)
    no_pages(gate)


def test_back_pressure(gate):
    """Who does not read is felt by who sends; nothing is piled up."""
    sent, full = [], Event()

    def then(conn, _):
        conn.sock.settimeout(1)
        try:
            while True:
                conn.sock.sendall(b"p" * 65536)
                sent.append(65536)
        except TimeoutError:
            full.set()
        conn.sock.settimeout(None)
    with tide(gate, "/press", then) as c:
        assert full.wait(net.WAIT)
        assert sum(sent) < 32 * MANY
        held = until(lambda: wire.sums(gate)["page_bytes"], "pages held")
        assert held <= 256 * 1024 + 16384
        n = len(c.rest())
    assert n >= sum(sent)
    quiet(gate)
    no_pages(gate)


def test_half_close_of_client(gate):
    def then(conn, _):
        try:
            while True:
                conn.more()
        except Gone:
            pass
        conn.send(b"got " + conn.buf)
    with tide(gate, "/half-client", then) as c:
        c.send(b"all")
        c.shut()
        assert c.rest() == b"got all"
    assert "fail" not in wire.record(gate, target="/half-client")


def test_half_close_of_server(gate):
    got = []

    def then(conn, _):
        conn.send(b"mine")
        conn.sock.shutdown(socket.SHUT_WR)
        got.append(conn.take(5))
        drop(conn, None)
    with tide(gate, "/half-server", then) as c:
        assert c.rest() == b"mine"
        c.send(b"yours")
    assert "fail" not in wire.record(gate, target="/half-server")
    assert got == [b"yours"]


def test_client_leaves(gate):
    left = []

    def then(conn, _):
        drop(conn, None)
        left.append(True)
    c = tide(gate, "/leaves", then)
    c.send(b"x")
    c.close()
    until(lambda: left, "the server's end")
    quiet(gate)


def test_client_breaks_off(gate):
    c = tide(gate, "/breaks", drop)
    c.reset()
    r = wire.record(gate, target="/breaks")
    assert r["fail"] == "client_gone" and r["status"] == 101


def test_server_breaks_off(gate):
    def then(conn, _):
        conn.send(b"so far")
        conn.take(1)
        net.reset(conn.sock)
    with tide(gate, "/broken-off", then) as c:
        assert c._take(6) == b"so far"
        c.send(b"x")
        with pytest.raises(http.Closed, match="reset"):
            c.rest()
    assert wire.record(gate, target="/broken-off")["fail"] == "stream_reset"


def test_words_before_a_reset(gate):
    """A client that reads slowly has them all before it is told."""
    words, gone = os.urandom(120000), Event()

    def then(conn, _):
        conn.send(words)
        net.wait_taken(conn.sock)
        net.reset(conn.sock)
        gone.set()
    k = net.connect(gate.port, rcvbuf=8192)
    with tide(gate, "/words", then, sock=k) as c:
        assert gone.wait(net.WAIT)
        assert c._take(len(words)) == words
    assert wire.record(gate, target="/words")["fail"] == "stream_reset"
    quiet(gate)


def test_last_words(gate):
    """What a server said before it took no more is not lost."""
    def then(conn, _):
        conn.send(b"last words")
        conn.sock.shutdown(socket.SHUT_RD)
        conn.sock.shutdown(socket.SHUT_WR)
    with tide(gate, "/words", then) as c:
        assert c._take(10) == b"last words"


# --- time, limits, counts ---

def test_idle_time(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(app.addr, more="timeout.stream_idle = 400ms\n"))
    with ws.Socket(s.port, "/idle") as w:
        for _ in range(8):      # either direction counts
            w.echo(b"x")
            net.wait_fd(None, 0.1)
        begun = time.monotonic()
        assert w.c.rest() == b""
        assert 0.2 < time.monotonic() - begun < 5
    r = wire.record(s, target="/idle")
    assert r["fail"] == "stream_idle_timeout" and r["status"] == 101
    with http.Client(s.control) as c:
        rows = json.loads(c.get("/v1/metrics").body)["metrics"]
    assert [m["sum"] for m in rows if m["name"] == "requests_failed_total"
            and "stream_idle_timeout" in str(m)] == [1], rows


def test_idle_time_of_a_route(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(app.addr, route="timeout.stream_idle = 200ms\n"
                    "timeout.total = 100ms\ntimeout.connect = 100ms\n"))
    with ws.Socket(s.port, "/idle") as w:
        for _ in range(4):      # longer than timeout.total
            w.echo(b"x")
            net.wait_fd(None, 0.1)
        assert w.c.rest() == b""
    assert wire.record(s, target="/idle")["fail"] == "stream_idle_timeout"


def test_other_times_do_not_hold(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(app.addr, more="timeout.first_byte = 200ms\n"
                    "timeout.between = 200ms\n").replace(
        "[listener web]\n", "[listener web]\ntimeout.idle = 200ms\n"
        "timeout.body = 200ms\ntimeout.write = 200ms\n"))
    with ws.Socket(s.port, "/long") as w:
        net.wait_fd(None, 0.7)
        w.echo(b"still there")


def test_holds_a_lease_of_its_server(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(f"{app.addr} max_conns=1"))
    with ws.Socket(s.port, "/one") as w:
        with http.Client(s.port) as c:
            r = c.ask("GET", "/two", ws.fields())
            assert r.status == 503
        w.echo(b"x")
    quiet(s)
    with ws.Socket(s.port, "/three") as w:
        w.echo(b"x")


def test_never_pooled(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(app.addr))
    with ws.Socket(s.port) as w:
        w.echo(b"x")
    assert quiet(s)["upstream_connections_idle"] == 0
    app.script = [respond()]
    assert http.get(s.port).status == 200
    assert app.requests[-1].conn == 2


# --- reloads, rolls, stops ---

def test_reloads_leave_it_alone(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(app.addr))
    many = [ws.Socket(s.port, f"/{i}") for i in range(20)]
    for i in range(20):
        s.reload(conf(app.addr, more=f"timeout.total = {i + 5}s\n"))
        for w in many:
            w.echo(b"%d" % i)
    live = s.ctl_json("generations")
    assert max(p["generations"] for p in live["processes"]) == 1
    assert wire.sums(s)["upgrades"] == 20
    for w in many:
        w.close()
    quiet(s)


def cut(w, s, target, cause):
    """Waits until sluice ends the connection; its record says why."""
    assert w.c.rest() == b""
    r = wire.record(s, target=target)
    assert r["fail"] == "draining" and r.get("cause") == cause, r


def test_server_removed(peer, sluice):
    app, other = peer(default=ws.echoes()), peer(default=ws.echoes())
    top = "[sluice]\ndrain.streams = 1s\n"
    s = sluice(conf(app.addr, top=top))
    w = ws.Socket(s.port, "/removed")
    s.reload(conf(app.addr, other.addr, top=top))
    with ws.Socket(s.port, "/stays") as v:
        s.reload(conf(other.addr, top=top))
        w.echo(b"so far")
        stays = v if other.connections else None
        cut(w, s, "/removed", "its server was removed")
        if stays:
            stays.echo(b"x")
    w.close()


def test_listener_removed(peer, sluice):
    app = peer(default=ws.echoes())
    top = "[sluice]\ndrain.streams = 1s\n"
    both = conf(app.addr, top=top) + \
        "\n[listener more]\nbind = 127.0.0.1:@port2@\n"
    s = sluice(both)
    with ws.Socket(s.port, "/stays") as v, \
            ws.Socket(s.value("port2"), "/removed") as w:
        s.reload(conf(app.addr, top=top))
        w.echo(b"so far")
        cut(w, s, "/removed", "its listener was removed")
        v.echo(b"x")


def test_listener_cut(peer, sluice):
    """on_change = cut: streams and requests end with the commit."""
    app = peer(default=ws.echoes())
    top = "[sluice]\ndrain.streams = 1h\n"
    both = conf(app.addr, top=top) + """
[listener more]
bind = 127.0.0.1:@port2@
on_change = cut
"""
    s = sluice(both)
    with ws.Socket(s.port, "/stays") as v, \
            ws.Socket(s.value("port2"), "/removed") as w, \
            http.Client(s.value("port2")) as idle:
        s.reload(both + "timeout.idle = 60s\n")
        w.echo(b"nothing that matters has changed")
        s.reload(conf(app.addr, top=top))
        assert w.c.rest() == b"" and idle.rest() == b""
        assert wire.record(s, target="/removed")["fail"] == "draining"
        v.echo(b"x")


def test_who_comes_back_stays(peer, sluice):
    app, other = peer(default=ws.echoes()), peer(default=ws.echoes())
    top = "[sluice]\ndrain.streams = 2s\n"
    s = sluice(conf(app.addr, top=top))
    with ws.Socket(s.port, "/back") as w:
        s.reload(conf(other.addr, top=top))
        s.reload(conf(other.addr, app.addr, top=top))
        net.wait_fd(None, 2.5)
        w.echo(b"x")


def roll(s):
    """Replaces the workers; returns the pids of those before."""
    before = s.workers()
    s.ctl("roll")
    return before


def test_roll_lets_streams_go_on(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(app.addr, top="[sluice]\nworkers = 1\n"
                    "drain.timeout = 0s\ndrain.streams = 3s\n"))
    with ws.Socket(s.port, "/rolled") as w, \
            http.Client(s.port) as plain:
        old, = roll(s)
        assert plain.rest() == b""      # no request, no stream
        w.echo(b"from the old one")
        with ws.Socket(s.port, "/new") as v:
            v.echo(b"from the new one")
            cut(w, s, "/rolled", None)
            net.wait_pid_gone(old)
            v.echo(b"still")


def test_rolled_worker_ends_with_its_last_stream(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(app.addr, top="[sluice]\nworkers = 1\n"))
    with ws.Socket(s.port, "/last") as w:
        old, = roll(s)
        w.echo(b"x")
    net.wait_pid_gone(old)


def test_stop_shortens_a_drain(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(app.addr, top="[sluice]\nworkers = 1\nstop = 1s\n"))
    with ws.Socket(s.port, "/short") as w:
        roll(s)
        w.echo(b"x")
        assert s.stop() == 0
        assert w.c.rest() == b""


def test_stop_ends_streams_in_its_time(peer, sluice):
    app = peer(default=ws.echoes())
    s = sluice(conf(app.addr, top="[sluice]\nstop = 1s\n"))
    with ws.Socket(s.port, "/stop") as w:
        done = Thread(s.stop)
        w.echo(b"x")
        assert w.c.rest() == b""
        assert done.join() == 0


# --- CONNECT ---

def tunnel(conn, _):
    """A forward proxy that echoes."""
    conn.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    try:
        while True:
            if conn.buf:
                data, conn.buf = conn.buf, b""
                conn.send(data)
            conn.more()
    except Gone:
        return False


@pytest.fixture(scope="module")
def tunnels():
    with Peer(default=tunnel) as app, wire.gateway(
            conf(app.addr) +
            "\n[route tunnel]\nmethod = CONNECT\nhost = *.example\n"
            "upstream = app\n[route text]\nhost = text.test\n"
            "respond = 200 no\n") as s:
        s.app = app
        yield s
        assert not app.errors


def connect(c, authority, more=()):
    c.send(http.request("CONNECT", authority, more, host=authority))
    return c.response("CONNECT")


def test_connect_is_refused(gate):
    before = len(gate.app.requests)
    with http.Client(gate.port) as c:
        r = connect(c, "a.example:443", wire.JSON.items())
        wire.is_fail(r, "connect_refused")
    assert len(gate.app.requests) == before


def test_connect_of_a_route(tunnels):
    with http.Client(tunnels.port) as c:
        c.send(http.request("CONNECT", "a.example:443",
                            host="a.example:443") + b"early")
        r = c.response("CONNECT")
        assert r.status == 200 and r.reason == "Connection established"
        assert not r.all("content-length") and not r.all("connection")
        assert c._take(5) == b"early"
        c.send(b"more")
        assert c._take(4) == b"more"
        c.shut()
        assert c.rest() == b""
    req = tunnels.app.requests[-1]
    assert req.raw.startswith(b"CONNECT a.example:443 HTTP/1.1\r\n"
                              b"Host: a.example:443\r\n")
    (line,) = tunnels.wait_log('"host":"a.example:443"')
    assert '"status":200' in line and '"route":"tunnel"' in line


@pytest.mark.parametrize("authority", ["b.test:443", "text.test:80"])
def test_connect_elsewhere_is_refused(tunnels, authority):
    """No route names it, or none that can open a tunnel."""
    with http.Client(tunnels.port) as c:
        wire.is_fail(connect(c, authority, wire.JSON.items()),
                     "connect_refused")


def test_connect_that_the_server_refuses(tunnels):
    tunnels.app.script = [respond(403, b"not you", reason="Forbidden")]
    with http.Client(tunnels.port) as c:
        r = connect(c, "c.example:443")
        assert r.status == 403 and r.body == b"not you"
        wire.goes_on(c)

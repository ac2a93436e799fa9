"""HTTP/2 to servers: many requests over few connections, what limits
them, ends of streams and connections, heads and bodies both ways."""
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import h2, http, net, rpc, wire
from lib.breaker import half_open
from lib.h2 import (CALM, CANCEL, DATA, END, END_HEADERS, HEADERS, INTERNAL,
                    NO_ERROR, block, frame, window)
from lib.h2peer import H2Peer, answer, at_head, frames, hold, quiet, refuse
from lib.h2peer import reset

CONF = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[upstream app]
server = h2c://{addr}
{more}
[route all]
path = /*
upstream = app
"""


@pytest.fixture
def h2peer():
    made = []

    def make(*args, **kw):
        made.append(H2Peer(*args, **kw))
        return made[-1]

    yield make
    for p in made:
        p.stop()
    assert not [e for p in made for e in p.errors]


def start(sluice, p, more=""):
    return sluice(CONF.format(addr=p.addr, more=more))


def many(s, n, target="/", **kw):
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: http.get(s.port, target, **kw),
                             range(n)))


def stat(s, name):
    return wire.sums(s)[name]


def said(s, text):
    """A line of the log on standard error."""
    return s.wait_stderr(re.escape(text))


# --- many over few ---

def test_get(sluice, h2peer):
    p = h2peer([answer(body=b"hello", headers=[("x-a", "b")])])
    s = start(sluice, p)
    r = http.get(s.port, "/x?y")
    assert (r.status, r.body, r.get("x-a")) == (200, b"hello", "b")
    assert r.get("via") == "2.0 sluice"
    q = p.requests[0]
    assert q.fields[:4] == [(":method", "GET"), (":scheme", "http"),
                            (":authority", "localhost"), (":path", "/x?y")]
    assert q.get("via") == "1.1 sluice"
    assert not {n for n, _ in q.fields} & {"host", "connection", "te"}


def test_one_connection(sluice, h2peer):
    go = threading.Event()
    p = h2peer(default=hold(go))
    s = start(sluice, p)
    with ThreadPoolExecutor(40) as pool:
        all_ = [pool.submit(http.get, s.port, "/") for _ in range(40)]
        p.wait_requests(40)
        go.set()
        assert {f.result().status for f in all_} == {200}
    assert p.connections == 1


@pytest.mark.parametrize("own,key", [(10, 100), (100, 10)])
def test_limit_of_streams(sluice, h2peer, own, key):
    """Another connection comes only when all are full."""
    go = threading.Event()
    p = h2peer(default=hold(go), own=((3, own),))
    s = start(sluice, p, f"pool.streams = {key}")
    with ThreadPoolExecutor(25) as pool:
        all_ = [pool.submit(http.get, s.port, "/") for _ in range(25)]
        p.wait_requests(25)
        assert p.connections == 3
        assert max(sum(r.conn == n for r in p.requests)
                   for n in (1, 2, 3)) == 10
        go.set()
        assert {f.result().status for f in all_} == {200}


def test_queue(sluice, h2peer):
    """With max_conns used up, and all their streams, requests wait."""
    go = threading.Event()
    p = h2peer(default=hold(go))
    s = start(sluice, p, "max_conns = 1\npool.streams = 4\n"
              "queue_timeout = 20s")
    with ThreadPoolExecutor(12) as pool:
        all_ = [pool.submit(http.get, s.port, "/") for _ in range(12)]
        p.wait_requests(4)
        net.until("eight wait", lambda: stat(s, "upstream_queue") == 8)
        assert len(p.requests) == 4
        go.set()
        assert {f.result().status for f in all_} == {200}
    assert p.connections == 1


def test_lower_limit(sluice, h2peer):
    """A limit that is lowered later holds for who comes then."""
    go = threading.Event()
    p = h2peer([answer()], default=hold(go))
    s = start(sluice, p)
    assert http.get(s.port, "/").status == 200
    c = p.conns[0]
    c.send(h2.settings((3, 1)))
    c.wait("it is heard", lambda: sum(
        f.type == h2.SETTINGS and f.flags & h2.ACK for f in c.seen) == 2)
    with ThreadPoolExecutor(3) as pool:
        all_ = []
        for n in range(2, 5):   # while one is dialled, one alone waits for it
            all_.append(pool.submit(http.get, s.port, "/"))
            p.wait_requests(n)
        go.set()
        assert {f.result().status for f in all_} == {200}
    assert [r.conn for r in p.requests].count(1) == 2
    assert p.connections == 2


# --- replayed: the server has not looked at it ---

def test_refused(sluice, h2peer):
    """Any method, and none of the tries."""
    p = h2peer([refuse(), refuse(), answer(body=b"third")])
    s = start(sluice, p, "retry.tries = 0")
    r = http.Client(s.port).ask("POST", "/", body=b"hello")
    assert (r.status, r.body) == (200, b"third")
    assert [q.body for q in p.requests] == [b"hello"] * 3
    assert stat(s, "upstream_http2_refused_total") == 2
    assert stat(s, "upstream_retries_total") == 0


def test_refused_for_ever(sluice, h2peer):
    """With pauses that grow: who refuses is full."""
    p = h2peer(default=refuse())
    s = start(sluice, p)
    r = http.get(s.port, "/")
    assert r.status == 503
    assert "connection_limit_reached" in r.get("proxy-status", "")
    assert len(p.requests) == 9
    *_, last = wire.record(s, target="/")["tries"].split(", ")
    assert int(last.split("+")[1].split()[0]) > 20000   # of 900 ms at most


def test_refused_by_one_of_two(sluice, h2peer):
    """The other one is asked, and the full one not again."""
    full, idle = h2peer(default=refuse()), h2peer()
    s = sluice(CONF.format(addr=full.addr, more=f"""
server = h2c://{idle.addr}
balance = round_robin
retry.tries = 0
"""))
    for i in range(20):
        assert http.get(s.port, f"/{i}").status == 200
    assert len(idle.requests) == 20 and len(full.requests) == 10


def test_refused_by_both(sluice, h2peer):
    """What one has refused is nothing to the upstream behind it."""
    first, second = h2peer(default=refuse()), h2peer([refuse()])
    s = sluice(CONF.format(addr=first.addr, more=f"""
fallback = other
retry.tries = 0
retry.backoff = 10ms
[upstream other]
server = h2c://{second.addr}
retry.tries = 0
"""))
    assert http.get(s.port, "/").status == 200
    assert (len(first.requests), len(second.requests)) == (9, 2)


def away(c, r):
    """The connection ends before the request."""
    c.goaway(max(0, r.sid - 2))


def test_refused_and_no_other_has_room(sluice, h2peer):
    """It is not left for the queue of one that is full."""
    go = threading.Event()
    app = h2peer(default=answer(body=b"a"))
    full = h2peer(default=hold(go), own=((3, 1),))
    s = sluice(CONF.format(addr=app.addr, more=f"""
server = h2c://{full.addr} max_conns=1
balance = round_robin
queue_timeout = 200ms
retry.tries = 0
"""))
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(http.get, s.port, "/held") for _ in range(2)]
        full.wait_requests(1)
        net.until("one is answered", lambda: any(f.done() for f in held))
        for script in ([refuse(), refuse()], [away]):
            app.script.extend(script)
            r = http.get(s.port, "/")
            assert (r.status, r.body) == (200, b"a")
        go.set()
        assert {f.result().status for f in held} == {200}
    assert stat(s, "upstream_http2_refused_total") == 3
    assert stat(s, "upstream_queued_total") == 0


def test_goaway_for_ever(sluice, h2peer):
    """From the second time on another server is asked."""
    bad, app = h2peer(default=away), h2peer()
    s = sluice(CONF.format(addr=bad.addr, more=f"""
server = h2c://{app.addr}
balance = hash
hash.load = 0
hash.key = ${{path}}
retry.tries = 0
"""))
    for i in range(20):
        n = len(bad.requests)
        assert http.get(s.port, f"/{i}").status == 200
        assert len(bad.requests) - n in (0, 2)
    assert bad.requests and len(app.requests) == 20


def test_goaway_of_probe(sluice, h2peer):
    """It says nothing of a server that is about to be well, either."""
    p = h2peer([answer(500), away])
    s = start(sluice, p, """
retry.tries = 0
outlier = off
breaker.failures = 1
breaker.open = 300ms
breaker.probes = 1
breaker.successes = 1
""")
    assert http.get(s.port, "/").status == 500
    half_open(s)
    assert http.get(s.port, "/").status == 200
    s.wait_log("breaker half_open -> closed")
    assert len(p.requests) == 3


def test_goaway_of_sticky(sluice, h2peer):
    """A session stays with its server when that ends a connection."""
    peers = [h2peer(default=answer(body=b"%d" % i)) for i in range(2)]
    s = sluice(CONF.format(addr=peers[0].addr, more=f"""
server = h2c://{peers[1].addr}
balance = round_robin
sticky = cookie
retry.tries = 0
"""))
    first = http.get(s.port, "/")
    mine = peers[int(first.body)]
    field = {"Cookie": first["set-cookie"].split(";")[0]}
    for _ in range(5):
        n = mine.connections
        mine.script.append(away)
        r = http.get(s.port, "/", headers=field)
        assert r.body == first.body and r.get("set-cookie") is None
        assert mine.connections == n + 1
    assert stat(s, "sticky_moved_total") == 0


def test_goaway(sluice, h2peer):
    """Streams above its number are asked elsewhere, those below go on."""
    go = threading.Event()
    p = h2peer([hold(go, answer(body=b"old")), quiet()],
               default=answer(body=b"new"))
    s = start(sluice, p, "retry.tries = 0")
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(http.get, s.port, "/")
        p.wait_requests(1)
        two = pool.submit(http.Client(s.port).ask, "POST", "/", body=b"x")
        p.wait_requests(2)
        p.conns[0].goaway(p.requests[0].sid)
        assert two.result().body == b"new"
        assert p.requests[2].conn == 2 and p.requests[2].body == b"x"
        go.set()
        assert one.result().body == b"old"
    assert stat(s, "upstream_http2_goaway_total") == 1
    assert http.get(s.port, "/").body == b"new"
    assert p.connections == 2


def test_goaway_idle(sluice, h2peer):
    p = h2peer()
    s = start(sluice, p)
    assert http.get(s.port, "/").status == 200
    p.conns[0].goaway(p.requests[0].sid)
    net.until("it is gone", lambda: stat(s, "upstream_connections") == 0)
    assert http.get(s.port, "/").status == 200
    assert p.connections == 2


def test_counters(sluice, h2peer):
    """Of streams, and of ends that either side says."""
    go = threading.Event()
    p = h2peer([hold(go), reset(INTERNAL), quiet()])
    s = start(sluice, p, "retry.on = off")
    with h2.H2(s.port) as c:
        first = c.ask_for("GET", "/1")
        p.wait_requests(1)
        assert c.response(c.ask_for("GET", "/2")).status == 502
        third = c.ask_for("GET", "/3")
        p.wait_requests(3)
        assert stat(s, "upstream_http2_streams") == 2
        c.send(h2.rst(third))
        p.conns[0].wait_reset(p.requests[2].sid)
        go.set()
        assert c.response(first).status == 200
        p.conns[0].send(frame(DATA, 0, 0))
        net.until("it ends", lambda: stat(s, "upstream_connections") == 0)
    assert {n: stat(s, f"upstream_http2_{n}") for n in (
        "streams", "streams_total", "resets_total", "resets_sent_total",
        "goaway_total", "goaway_sent_total")} == {
            "streams": 0, "streams_total": 3, "resets_total": 1,
            "resets_sent_total": 1, "goaway_total": 0,
            "goaway_sent_total": 1}


# --- resets, and the client's ---

def test_reset(sluice, h2peer):
    """Only that stream: the connection serves on."""
    p = h2peer([reset(INTERNAL), reset(INTERNAL)])
    s = start(sluice, p, "retry.on = off")
    r = http.get(s.port, "/")
    assert r.status == 502
    assert said(s, "server_reset: INTERNAL_ERROR")
    assert http.get(s.port, "/").status == 502
    assert http.get(s.port, "/").status == 200
    assert p.connections == 1


def test_reset_in_body(sluice, h2peer):
    p = h2peer([frames(
        lambda n: frame(HEADERS, END_HEADERS, n, block([(":status", "200")])),
        lambda n: frame(DATA, 0, n, b"part"),
        lambda n: h2.rst(n, INTERNAL))])
    s = start(sluice, p)
    with pytest.raises(http.Closed):
        http.get(s.port, "/")
    assert http.get(s.port, "/").status == 200
    assert p.connections == 1


def test_client_leaves(sluice, h2peer):
    """Its stream is reset, and no other."""
    go = threading.Event()
    p = h2peer([hold(go), quiet()])
    s = start(sluice, p)
    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(http.get, s.port, "/")
        p.wait_requests(1)
        with http.Client(s.port) as c:
            c.send(http.request("GET", "/b"))
            p.wait_requests(2)
        assert p.conns[0].wait_reset(p.requests[1].sid) == CANCEL
        go.set()
        assert one.result().status == 200


def test_early_answer(sluice, h2peer):
    """RST NO_ERROR behind an answer ends the upload, not the answer."""
    def step(c, r):
        c.reply(r.sid, 200, [("content-length", "5")])
        c.data(r.sid, b"early")
        c.rst(r.sid, NO_ERROR)
    p = h2peer([at_head(step)])
    s = start(sluice, p)
    with http.Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n"
               b"\r\n" + bytes(1000))
        assert c.response("POST").body == b"early"
    assert http.get(s.port, "/").status == 200
    assert p.connections == 1


def test_early_answers_with_reset(sluice, h2peer):
    """As often as one likes: the reset behind the end is no stray frame."""
    def step(c, r):
        c.send(frame(HEADERS, END_HEADERS, r.sid,
                     block([(":status", "200")])),
               frame(DATA, END, r.sid, b"early"), h2.rst(r.sid, NO_ERROR))
    p = h2peer(default=step)
    s = start(sluice, p)
    with h2.H2(s.port, timeout=10) as c:
        for _ in range(30):
            sids = [c.ask_for("POST", "/", end=False) for _ in range(50)]
            for sid in sids:
                c.data(sid, b"body")
            assert all(c.response(sid).body == b"early" for sid in sids)
    assert p.connections == 1


def test_flushes(sluice, h2peer):
    """An empty DATA behind each head is no flood, nor its own request's end."""
    go = threading.Event()

    def step(c, r):
        c.reply(r.sid)
        c.send(frame(DATA, 0, r.sid))

        def rest():
            go.wait(10)
            c.send(frame(DATA, END, r.sid, b"body"))
        threading.Thread(target=rest, daemon=True).start()
    p = h2peer(default=step)
    s = start(sluice, p)
    with h2.H2(s.port, timeout=10) as c:
        sids = [c.ask_for("GET", "/") for _ in range(60)]
        for sid in sids:
            assert c.head(sid).status == 200
        go.set()
        for sid in sids:
            f = c.frame(lambda f, sid=sid: f.sid == sid)
            assert f.body == b"body"
    assert p.connections == 1


def test_early_without_reset(sluice, h2peer):
    """We reset it, then, for nobody wants the rest."""
    p = h2peer([at_head(answer(body=b"early"))])
    s = start(sluice, p)
    with http.Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n"
               b"\r\n" + bytes(1000))
        assert c.response("POST").body == b"early"
    assert p.conns[0].wait_reset(p.requests[0].sid) == CANCEL


# --- bodies ---

def test_slow_client(sluice, h2peer):
    """It stops its own stream, and none beside it."""
    big = bytes(8 << 20)
    go = threading.Event()

    def step(c, r):
        def run():
            c.reply(r.sid)
            go.set()
            c.send(*[frame(DATA, 0, r.sid, big[:16384])] * 3)
        threading.Thread(target=run, daemon=True).start()
    p = h2peer([step], default=answer(body=big))
    s = start(sluice, p)
    slow = [h2.H2(s.port, own=((4, 1000),)) for _ in range(1)]
    for c in slow:
        c.ask_for("GET", "/slow")
        c.read()
    assert go.wait(10)
    for _ in range(3):
        r = http.get(s.port, "/fast")
        assert r.status == 200 and len(r.body) == len(big)
    assert p.connections == 1


def test_many_slow_streams(sluice):
    """Twenty that stand still, once all were quick, stop no other."""
    server = sluice("[sluice]\nworkers = 1\n[listener web]\n"
                    "bind = 127.0.0.1:@port@\nhttp = 1.1 2\n"
                    "[route files]\npath = /*\nstatic = @dir@/www\n")
    wire.put(server.dir, "big", bytes(8 << 20))
    s = sluice(CONF.format(addr=f"127.0.0.1:{server.port}", more=""))
    with h2.H2(s.port, timeout=10) as c:
        c.send(window(0, 1 << 29))
        got = {c.ask_for("GET", "/big"): 0 for _ in range(20)}
        while min(got.values()) < 65535:    # as far as each may have
            f = c.read()
            if f.type == DATA:
                got[f.sid] += len(f.body)
        for _ in range(3):
            r = http.get(s.port, "/big")
            assert r.status == 200 and len(r.body) == 8 << 20


def test_big_both_ways(sluice, h2peer):
    body = bytes(range(256)) * 8192
    p = h2peer(default=lambda c, r: answer(body=r.body)(c, r))
    s = start(sluice, p)
    r = http.Client(s.port).ask("POST", "/", body=body)
    assert r.body == body
    with h2.Client(s.port) as c:
        assert c.ask("POST", "/", body=body).body == body
    assert p.connections == 1


def test_trailers(sluice, h2peer):
    p = h2peer([answer(body=b"x", trailers=[("x-sum", "1")])])
    s = start(sluice, p)
    with http.Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: "
               b"te\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
               b"x-in: 2\r\n\r\n")
        r = c.response("POST")
    assert ("x-sum", "1") in [(n.lower(), v) for n, v in r.trailers]
    assert ("x-in", "2") in p.requests[0].trailers
    assert p.requests[0].get("te") == "trailers"


@pytest.mark.parametrize("status", [204, 304])
def test_no_body(sluice, h2peer, status):
    p = h2peer([answer(status, b"")])
    s = start(sluice, p)
    r = http.get(s.port, "/")
    assert (r.status, r.body) == (status, b"")
    assert http.get(s.port, "/").status == 200


def test_head(sluice, h2peer):
    """With its end behind the head, or in a frame of its own."""
    def late(c, r):
        c.reply(r.sid, 200, [("content-length", "7")])
        c.data(r.sid, b"")
    p = h2peer([answer(headers=[("content-length", "7")]), late])
    s = start(sluice, p)
    for _ in range(2):
        r = http.Client(s.port).ask("HEAD", "/")
        assert (r.status, r.get("content-length")) == (200, "7")
    assert p.connections == 1


def test_interim(sluice, h2peer):
    def step(c, r):
        c.reply(r.sid, 103, [("link", "</a>")])
        answer()(c, r)
    p = h2peer([step])
    s = start(sluice, p)
    with h2.Client(s.port) as c:
        r = c.get("/")
        assert [i.status for i in r.informational] == [103]
        assert r.status == 200


def test_expect(sluice, h2peer):
    """A 100 lets the body go."""
    def step(c, r):
        assert r.get("expect") == "100-continue"
        c.reply(r.sid, 100)
    p = h2peer([at_head(step)])
    s = start(sluice, p)
    with http.Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
               b"Content-Length: 3\r\n\r\n")
        p.wait_requests(1)
        q = p.requests[0]
        c.send(b"abc")
        net.until("its body", lambda: q.body == b"abc")
        answer(body=b"done")(p.conns[0], q)
        assert c.response("POST").body == b"done"


def test_cookies(sluice, h2peer):
    """Crumbs of a client become one field."""
    p = h2peer()
    s = start(sluice, p)
    with h2.Client(s.port) as c:
        c.get("/", headers=[("cookie", "a=1"), ("cookie", "b=2")])
    assert p.requests[0].all("cookie") == ["a=1; b=2"]


# --- time ---

def test_ping(sluice, h2peer):
    """One that says nothing is asked, and given up."""
    p = h2peer(default=quiet())
    s = start(sluice, p, "pool.ping = 200ms\nretry.on = off")
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(http.get, s.port, "/")
        p.wait_requests(1)
        c = p.conns[0]
        c.wait("a ping", lambda: len(c.pings) > 1)     # it is answered
        c.pongs = False
        r = one.result()
    assert r.status == 504
    assert said(s, "failed: ping_timeout")
    assert stat(s, "upstream_http2_pings_total") > 1


def test_ping_early(sluice, h2peer):
    """Callers who give up sooner than pool.ping need not all do so in vain
    for that long; but it is asked no more often."""
    p = h2peer([answer()], default=quiet(), windows=False)
    s = start(sluice, p, "pool.ping = 10m\nretry.on = off")
    # SETTINGS may come behind the first
    assert http.get(s.port, "/first").status == 200
    with h2.H2(s.port, timeout=10) as c:
        for _ in range(3):
            a = rpc.call(c, "/t.T/Get", b"x", timeout="100m")
            assert a.status == 4 and "deadline_exceeded" in a.message
            p.conns[0].wait("a ping", lambda: p.conns[0].pings)
    assert p.connections == 1 and len(p.conns[0].pings) == 1
    assert stat(s, "upstream_http2_pings_total") == 1


def head_alone(c, r):
    c.reply(r.sid)


@pytest.mark.parametrize("step,size,row", [
    (quiet(), 0, "first_byte_timeout"),
    (at_head(quiet()), 1 << 20, "send_timeout"),
    (head_alone, 0, "between_timeout")])
def test_dead_path(sluice, h2peer, step, size, row):
    """Who waited in vain, and heard nothing of others, is the last one."""
    p = h2peer([answer(), step], windows=False)
    s = start(sluice, p, "timeout.first_byte = 300ms\nretry.on = off\n"
              "timeout.between = 300ms")
    # SETTINGS may come behind the first
    assert http.get(s.port, "/first").status == 200
    with http.Client(s.port) as c:
        try:
            assert c.ask("POST", "/", body=bytes(size)).status == 504
        except http.Closed:
            assert row == "between_timeout"
    assert wire.record(s, target="/")["fail"] == row
    assert http.get(s.port, "/next").status == 200
    assert [r.conn for r in p.requests] == [1, 1, 2]
    net.until("it is closed", lambda: p.conns[0].eof)


def test_quiet_beside_others(sluice, h2peer):
    """A server that is slow with one of them keeps its connection."""
    p = h2peer([quiet()])
    s = start(sluice, p, "timeout.first_byte = 1s\nretry.on = off")
    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(http.get, s.port, "/")
        p.wait_requests(1)
        end = time.monotonic() + 0.005      # not of the same millisecond
        while time.monotonic() < end:
            assert http.get(s.port, "/x").status == 200
        assert one.result().status == 504
    assert http.get(s.port, "/x").status == 200
    assert p.connections == 1


def test_idle(sluice, h2peer):
    p = h2peer()
    s = start(sluice, p, "pool.idle = 100ms")
    assert http.get(s.port, "/").status == 200
    net.until("it is gone", lambda: stat(s, "upstream_connections") == 0)
    net.until("its end", lambda: p.conns[0].eof)
    assert p.conns[0].seen[-1].type == h2.GOAWAY


def test_requests(sluice, h2peer):
    p = h2peer()
    s = start(sluice, p, "pool.requests = 2")
    for _ in range(4):
        assert http.get(s.port, "/").status == 200
    assert p.connections == 2


# --- versions ---

def test_upgrade(sluice, h2peer):
    p = h2peer()
    s = start(sluice, p)
    r = http.get(s.port, "/", headers={
        "Connection": "upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Key": "x" * 22 + "==", "Sec-WebSocket-Version": "13"})
    assert r.status == 502
    assert "http_upgrade_failed" in r.get("proxy-status", "")
    assert p.requests == []


def test_reload(sluice, h2peer):
    """Who is under way goes on; the connection goes then."""
    go = threading.Event()
    p = h2peer([hold(go)])
    s = start(sluice, p)
    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(http.get, s.port, "/")
        p.wait_requests(1)
        s.write(CONF.format(addr=p.addr, more="pool.streams = 50"))
        s.reload()
        assert http.get(s.port, "/").status == 200
        assert p.connections == 2
        go.set()
        assert one.result().status == 200
    net.until("the old one is gone",
              lambda: stat(s, "upstream_connections") == 1)


def test_flood(sluice, h2peer):
    """A server that floods is ended as a client is."""
    def step(c, r):
        c.say(frame(h2.PING, 0, 0, bytes(8)) * 600)
    p = h2peer([step])
    s = start(sluice, p, "retry.on = off")
    assert http.get(s.port, "/").status == 502
    assert said(s, "server_flood: ping_flood")
    net.until("GOAWAY", lambda: p.conns[0].eof)
    assert any(f.type == h2.GOAWAY and f.body[7] == CALM
               for f in p.conns[0].seen)
    assert http.get(s.port, "/").status == 200


def test_shown(sluice, h2peer):
    p = h2peer()
    s = start(sluice, p)
    assert http.get(s.port, "/shown").status == 200
    up, = s.ctl_json("upstreams")["upstreams"]
    assert up["servers"][0]["http"] == 2
    shown = s.ctl("upstreams").stdout
    assert re.search(r"HTTP.*\n +\S+ +up +- +\S+ +2 ", shown)
    assert wire.record(s, target="/shown")["server_version"] == "2.0"

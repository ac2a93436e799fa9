"""Requests that are asked of another server when one has failed."""
import json
import os
import re
import threading
import time

import pytest

from lib import http, net, wire
from lib.cmd import Thread
from lib.peer import close_now, hold, no_body, raw, reset_now, respond

pytestmark = [pytest.mark.versions, pytest.mark.turns]

BUSY = respond(status=503, body=b"busy\n", headers=[("Retry-After", "1")])
ONE = "[sluice]\nworkers = 1\n"


def conf(*addrs, more="", route="", top=ONE):
    servers = "".join(f"server = {a}\n" for a in addrs)
    return f"{top}[listener web]\nbind = 127.0.0.1:@port@\n{wire.PROBE}" \
        f"[upstream app]\nbalance = round_robin\n" \
        f"outlier = off\n{servers}{more}\n" \
        f"[route all]\npath = /*\nupstream = app\n{route}"


def dead():
    return f"127.0.0.1:{net.free_port()}"


def tries(record):
    """[(server, microseconds, row or "")] of an access record."""
    out = []
    for word in record.get("tries", "").split(", "):
        addr, us, *row = word.split(" ")
        out.append((addr, int(us[1:]), row[0] if row else ""))
    return out


class Pair:
    """A gateway over two servers; the first one asked does something."""

    def __init__(self, sluice, peer, step, more="", route="", first=None):
        self.bad = first or peer(default=step).addr
        self.good = peer(default=respond(body=b"good\n"))
        self.s = sluice(conf(self.bad, self.good.addr, more=more,
                             route=route))


# --- conditions and methods ---

IDEMPOTENT = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]
OTHERS = ["POST", "PATCH", "BREW"]
PART = raw(b"HTTP/1.1 200 OK\r\nA: ", then_close=True)


@pytest.mark.parametrize("method", IDEMPOTENT + OTHERS)
@pytest.mark.parametrize("step,row", [
    (close_now(), "reset_before_head"), (reset_now(), "reset_before_head"),
    (PART, "reset_in_head")])
def test_reset(sluice, peer, method, step, row):
    p = Pair(sluice, peer, step)
    with http.Client(p.s.port) as c:
        r = c.ask(method, "/x")
        wire.goes_on(c)
    record = wire.record(p.s, target="/x")
    if method in OTHERS:
        assert r.status == 502 and record["fail"] == row
        assert record["attempts"] == 1 and "tries" not in record
        return
    assert r.status == 200 and record["attempts"] == 2
    (a, at, why), (b, later, none) = tries(record)
    assert (a, why) == (p.bad, row) and (b, none) == (p.good.addr, "")
    assert record["server"] == b and record["attempt_us"] == later
    # the record's time is that of the loop's turn, in which others had theirs
    assert at <= later <= record["duration_us"] + 1000 * net.SCALE


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_refused(sluice, peer, method):
    """Nothing was sent: the method does not matter."""
    p = Pair(sluice, peer, None, first=dead())
    with http.Client(p.s.port) as c:
        assert c.ask(method, "/x", body=b"b").body == b"good\n"
    assert [t[2] for t in tries(wire.record(p.s, target="/x"))] == \
        ["dial_refused", ""]
    assert wire.sums(p.s)["upstream_retries_total"] == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_first_byte(sluice, peer, method):
    never = threading.Event()
    p = Pair(sluice, peer, hold(never), more="timeout.first_byte = 200ms\n")
    with http.Client(p.s.port) as c:
        r = c.ask(method, "/x")
    never.set()
    if method == "GET":
        assert r.body == b"good\n"
        assert tries(wire.record(p.s, target="/x"))[0][2] == \
            "first_byte_timeout"
    else:
        wire.is_fail(r, "first_byte_timeout")
        assert not p.good.requests


CONDITIONS = {
    "connect": None, "reset": close_now(), "first_byte": "hang",
    "503": BUSY}


@pytest.mark.parametrize("on", ["off", "none", "connect", "reset",
                                "first_byte", "503", "connect reset"])
@pytest.mark.parametrize("what", CONDITIONS)
def test_on(sluice, peer, on, what):
    """Each word lets its own failure be repeated, and no other."""
    never = threading.Event()
    step = hold(never) if what == "first_byte" else CONDITIONS[what]
    p = Pair(sluice, peer, step, first=dead() if step is None else None,
             more=f"retry.on = {on}\ntimeout.first_byte = 200ms\n")
    r = http.get(p.s.port)
    never.set()
    assert (r.body == b"good\n") == (what in on.split())
    assert len(p.good.requests) == (what in on.split())


def test_route_says_more(sluice, peer):
    """A route's words hold in place of the upstream's."""
    bad, good = peer(default=close_now()), peer()
    s = sluice(conf(bad.addr, good.addr, more="retry.on = reset",
                    route="retry.on = off\n[route b]\npath = /b\n"
                    "upstream = app\n"))
    wire.is_fail(http.get(s.port, "/a"), "reset_before_head")
    for _ in range(3):
        assert http.get(s.port, "/b").status == 200
    wire.is_fail(http.get(s.port, "/a"), "reset_before_head")


@pytest.mark.parametrize("n", [0, 1, 2])
def test_tries(sluice, peer, n):
    bad = [peer(default=reset_now()) for _ in range(4)]
    s = sluice(conf(*[b.addr for b in bad], more=f"retry.tries = {n}"))
    wire.is_fail(http.get(s.port, "/x"), "reset_before_head")
    asked = [len(b.requests) for b in bad]
    # each at another server
    assert sum(asked) == n + 1 and max(asked) == 1
    assert wire.record(s, target="/x")["attempts"] == n + 1


# --- bodies ---

SIZES = [0, 1, 1024, 20000, 65535, 65536, 65537, 200000]


def half(n):
    """Reads so much of the body before it resets."""
    def step(conn, req):
        conn.take(n)
        net.reset(conn.sock)
        return False
    return no_body(step)


def whole(conn, req):
    """Reads all of the body before it resets."""
    conn.body(req)
    net.reset(conn.sock)
    return False


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("read", [0, 1])
def test_body(sluice, peer, size, chunked, read):
    """Up to 64 KiB are kept for another server."""
    p = Pair(sluice, peer, no_body(whole) if read else half(0))
    data = os.urandom(size)
    with http.Client(p.s.port) as c:
        if chunked:
            pieces = [data[i:i + 700] for i in range(0, size, 700)]
            c.send(http.request("PUT", "/x", [
                ("Transfer-Encoding", "chunked")]) +
                http.chunked(*pieces, trailers=[("X-T", "1")]))
        else:
            c.send(http.request("PUT", "/x", [
                ("Content-Length", str(size))]) + data)
        r = c.response()
        if size <= 65536:
            assert r.body == b"good\n"
            assert p.good.requests[0].body == data
            if chunked:
                assert p.good.requests[0].trailers == [("x-t", "1")]
            wire.goes_on(c)
        elif read or r.status != 200:
            # what the server took cannot be given to another
            assert r.status == 502 and not p.good.requests
        else:
            # it was quicker than the rest of the body
            assert p.good.requests[0].body == data


def test_body_in_pieces(sluice, peer):
    """The rest comes after the first server has failed."""
    p = Pair(sluice, peer, half(1000))
    data = os.urandom(50000)
    with http.Client(p.s.port) as c:
        c.send(http.request("PUT", "/x", [("Content-Length", "50000")]) +
               data[:1000])
        net.until("the other one is asked", lambda: p.good.connections)
        for at in range(1000, 50000, 7000):
            c.send(data[at:at + 7000])
        assert c.response().body == b"good\n"
    assert p.good.requests[0].body == data


def test_body_limit(sluice, peer):
    p = Pair(sluice, peer, half(10), more="retry.body = 9\n")
    with http.Client(p.s.port) as c:
        wire.is_fail(c.ask("PUT", "/x", body=b"0123456789"),
                     "reset_before_head")
    assert not p.good.requests


# --- 503 ---

@pytest.mark.parametrize("after,repeated", [
    ("0", True), ("1", True), ("2", False), ("60", False), (None, False),
    ("soon", False), ("Sun, 06 Nov 1994 08:49:37 GMT", True),
    ("Sun, 06 Nov 2094 08:49:37 GMT", False)])
def test_503(sluice, peer, after, repeated):
    fields = [("Retry-After", after)] if after else []
    p = Pair(sluice, peer, respond(status=503, body=b"busy\n",
                                   headers=fields))
    r = http.get(p.s.port, "/x")
    if repeated:
        assert r.body == b"good\n"
        assert tries(wire.record(p.s, target="/x"))[0][2] == "server_error"
    else:
        assert r.status == 503 and r.body == b"busy\n"
        assert r.get("retry-after") == after


def test_503_connection_serves_on(sluice, peer):
    """The answer nobody gets is read to its end."""
    app = peer(default=BUSY)
    good = peer()
    s = sluice(conf(app.addr, good.addr))
    for _ in range(6):
        assert http.get(s.port).status == 200
    assert app.connections == 1 and len(app.requests) >= 3


@pytest.mark.parametrize("size", [40000, 5 << 20])
def test_503_large(sluice, peer, size):
    p = Pair(sluice, peer, respond(status=503, body=bytes(size),
                                   headers=[("Retry-After", "1")]))
    assert http.get(p.s.port).body == b"good\n"


def test_503_post(sluice, peer):
    """The server may have done it: the client decides."""
    p = Pair(sluice, peer, BUSY)
    with http.Client(p.s.port) as c:
        r = c.ask("POST", "/x", body=b"b")
    assert r.status == 503 and r.body == b"busy\n"


def test_503_from_all(sluice, peer):
    """Nobody is left to ask: the last answer is the client's."""
    apps = [peer(default=BUSY) for _ in range(2)]
    s = sluice(conf(*[a.addr for a in apps]))
    r = http.get(s.port, "/x")
    assert r.status == 503 and r.body == b"busy\n"
    assert r["retry-after"] == "1"
    assert wire.record(s, target="/x")["attempts"] == 2


# --- time ---

def test_deadline(sluice, peer):
    """timeout.total holds over all attempts."""
    never = threading.Event()
    bad = [peer(default=hold(never)) for _ in range(3)]
    s = sluice(conf(*[b.addr for b in bad], more="timeout.connect = 100ms\n"
                    "timeout.first_byte = 200ms\ntimeout.total = 300ms\n"))
    began = time.monotonic()
    r = http.get(s.port, "/x")
    took = time.monotonic() - began
    never.set()
    wire.is_fail(r, "total_timeout")
    assert 0.29 <= took < 3     # the loop's clock is its turn's beginning
    assert 2 <= wire.record(s, target="/x")["attempts"] <= 2


def test_backoff(sluice, peer):
    """Random, and no longer than it says; the second may be twice that."""
    bad = [peer(default=reset_now()) for _ in range(3)]
    s = sluice(conf(*[b.addr for b in bad], more="retry.floor = 1000\n"
                    "retry.backoff = 40ms\nretry.backoff_max = 60ms\n"))
    first, second = [], []
    with http.Client(s.port) as c:
        for i in range(60):
            c.get(f"/{i}")
    for i in range(60):
        t = tries(wire.record(s, target=f"/{i}"))
        assert len(t) == 3
        first.append((t[1][1] - t[0][1]) / 1000)
        second.append((t[2][1] - t[1][1]) / 1000)
    first.sort()
    second.sort()
    # a few may wait for the machine
    assert first[48] < 40 + 20 and second[48] < 60 + 20
    assert first[0] < 15 and first[-1] > 20 and second[-1] > 35


def test_no_backoff(sluice, peer):
    bad = [peer(default=reset_now()) for _ in range(3)]
    s = sluice(conf(*[b.addr for b in bad], more="retry.backoff = 0\n"))
    http.get(s.port, "/x")
    t = tries(wire.record(s, target="/x"))
    assert t[2][1] - t[0][1] < 100000


# --- the budget ---

def test_budget(sluice, peer):
    """500 requests at servers that all reset: no storm follows."""
    bad = [peer(default=reset_now()) for _ in range(3)]
    s = sluice(conf(*[b.addr for b in bad], top="[sluice]\nworkers = 4\n",
                    more="retry.backoff = 1ms\n"))
    rows = []

    def ask(n):
        with http.Client(s.port) as c:
            for i in range(n):
                rows.append(wire.told(c.ask("GET", "/x", wire.JSON))[0])
    began = time.monotonic()
    for t in [Thread(ask, 50) for _ in range(10)]:
        t.join()
    took = time.monotonic() - began
    asked = sum(len(b.requests) for b in bad)
    assert asked <= 1.2 * 500 + 3 * took + 30
    # and it is spent: what came in less a request or so
    assert asked >= 500 + 30 + 100 - 5
    assert set(rows) == {"retry_budget", "reset_before_head"}
    n = wire.sums(s)
    assert n["upstream_retries_total"] == asked - 500
    assert n["upstream_retries_refused_total"] == rows.count("retry_budget")


def test_budget_row(sluice, peer):
    """The client is told to come back, the log has the cause."""
    bad = [peer(default=reset_now()) for _ in range(2)]
    s = sluice(conf(*[b.addr for b in bad], more="retry.floor = 0\n"
                    "retry.budget = 0\n"))
    r = http.get(s.port, "/x")
    rid = wire.is_fail(r, "retry_budget")
    assert r.status == 503 and r["retry-after"] == "1"
    record = wire.record(s, target="/x")
    assert record["cause"] == "reset_before_head"
    lines = [json.loads(ln) for ln in s.wait_log(
        f'"level":"error".*"request":"{rid}"')]
    assert any(re.search("attempt 1 failed: retry_budget: "
                         "reset_before_head$", ln["msg"]) for ln in lines)


def test_budget_passes_503_on(sluice, peer):
    p = Pair(sluice, peer, BUSY, more="retry.floor = 0\nretry.budget = 0\n")
    r = http.get(p.s.port)
    assert r.status == 503 and r.body == b"busy\n"


def test_stale_is_free(sluice, peer):
    """A pooled connection that was closed costs no budget."""
    app = peer([respond(), close_now()])
    s = sluice(conf(app.addr, more="retry.floor = 0\nretry.budget = 0\n"))
    with http.Client(s.port) as c:
        assert c.get("/1").status == 200
        assert c.get("/2").status == 200
    assert wire.sums(s)["upstream_retries_total"] == 0
    t = tries(wire.record(s, target="/2"))
    assert [x[2] for x in t] == ["reset_before_head", ""]


def test_reload_keeps_budget(sluice, peer):
    """A floor that changes neither forfeits what is there nor blocks."""
    bad = [peer(default=reset_now()) for _ in range(2)]
    addrs = [b.addr for b in bad]
    s = sluice(conf(*addrs, more="retry.budget = 0\nretry.floor = 1\n"))
    with http.Client(s.port) as c:
        for _ in range(20):
            c.get("/x")
    used = wire.sums(s)["upstream_retries_total"]
    assert 10 <= used <= 14
    s.reload(conf(*addrs, more="retry.budget = 0\nretry.floor = 1000\n"))
    wire.within(5, s, "/x", lambda r: wire.told(r)[0] != "retry_budget")
    s.reload(conf(*addrs, more="retry.budget = 0\nretry.floor = 0\n"))
    for _ in range(3):
        wire.is_fail(http.get(s.port), "retry_budget")


def test_budget_over_a_death(sluice, peer):
    """A worker that is killed takes nothing with it, nor leaves a gap."""
    bad = [peer(default=reset_now()) for _ in range(3)]
    s = sluice(conf(*[b.addr for b in bad], top="[sluice]\nworkers = 4\n",
                    more="retry.backoff = 0\n"))
    sent = []

    def ask():
        for _ in range(60):
            sent.append(1)
            with http.Client(s.port) as c:
                try:
                    c.get("/x")
                except (http.Closed, ConnectionError):
                    pass        # of the one that was killed
    began = time.monotonic()
    threads = [Thread(ask) for _ in range(8)]
    net.until("half of it", lambda: len(sent) > 200)
    s.wait_role("worker 2", s.kill("worker 2"))
    for t in threads:
        t.join()
    took = time.monotonic() - began
    asked = sum(len(b.requests) for b in bad)
    assert asked <= 1.2 * len(sent) + 3 * took + 30
    assert asked >= 1.2 * len(sent) + 30 - 15


def test_budget_told_once(sluice, peer):
    """One line for a request that finds none left, with what failed."""
    bad = [peer(default=reset_now()) for _ in range(2)]
    s = sluice(conf(*[b.addr for b in bad],
                    more="retry.budget = 0\nretry.floor = 0\n"))
    r = http.get(s.port, "/", headers=[("Accept", "application/json")])
    assert wire.told(r)[0] == "retry_budget"
    s.wait_stderr("retry_budget: reset_before_head")
    lines = [n for n in s.stderr().splitlines() if "attempt 1 failed" in n]
    assert len(lines) == 1, lines
    assert wire.sums(s)["upstream_retries_refused_total"] == 1

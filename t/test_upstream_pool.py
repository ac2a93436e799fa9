"""max_conns over all workers, the queue, idle connections, reuse."""
import json
import os
import signal
import socket
import threading
import time

import pytest

from lib import http, net, tcp, wire
from lib.peer import hold, no_body, raw, reset_now, respond

pytestmark = [pytest.mark.versions, pytest.mark.turns]

CONF = """
[sluice]
workers = {workers}
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
server = {addr}
balance = round_robin
{keys}
[route all]
path = /*
upstream = app
"""


def conf(app, keys="", workers=1):
    return CONF.format(addr=app.addr, keys=keys, workers=workers)


def metric(s, name):
    return wire.sums(s)[name]


def metric_of(s, name):
    all_of = s.ctl_json("metrics")["metrics"]
    row = next(r for r in all_of if r["name"] == name)
    return {p["pid"]: p["value"] for p in row["processes"]}


def ask(s, n, target="/"):
    """n requests under way, on connections of their own."""
    out = []
    for i in range(n):
        c = http.Client(s.port)
        c.send(http.request("GET", f"{target}{i}"))
        out.append(c)
    return out


def ask_until_wait(s, workers, least=8):
    """At least so many that wait, of so many workers some.

    By bursts, which are spread: those that come one by one on a busy
    machine may all be the same worker's.
    """
    out = []
    while len(out) < 200:
        out += ask(s, 8)
        wire.wait_metric(s, "upstream_queue", len(out))
        by_pid = metric_of(s, "upstream_queue")
        if len(out) >= least and workers <= sum(
                by_pid[pid] > 0 for pid in s.workers()):
            return out
    raise AssertionError("a worker has none")


ONE = "max_conns = 1\nqueue_timeout = 20s"


def busy(sluice, peer, keys=ONE, n=1, workers=1):
    """n requests are at the server, and stay there until `go` is set:
    (go, server, gateway, their clients)."""
    go = threading.Event()
    app = peer(default=hold(go))
    s = sluice(conf(app, keys, workers))
    clients = ask(s, n)
    app.wait_requests(n)
    return go, app, s, clients


def statuses(clients):
    return [c.response().status for c in clients]


# --- the limit ---

def test_limit_holds_over_workers(sluice, peer):
    go = threading.Event()
    app = peer(default=hold(go))
    s = sluice(conf(app, "max_conns = 3\nqueue_timeout = 20s", workers=4))
    with tcp.Table(app.port) as table:
        clients = ask(s, 24)
        app.wait_requests(3)
        wire.wait_metric(s, "upstream_queue", 21)
        net.until("a look", lambda: table.most == 3)
        go.set()
        assert statuses(clients) == [200] * 24
    assert table.most == 3
    assert len(app.requests) == 24
    assert metric(s, "upstream_queue") == 0
    assert metric(s, "upstream_queued_total") == 21
    assert metric(s, "upstream_queue_timeouts_total") == 0


def test_servers_with_room_are_asked(sluice, peer):
    """One at its limit is passed over; only then requests wait."""
    go = threading.Event()
    one, two = peer(default=hold(go)), peer(default=hold(go))
    s = sluice(conf(one, f"server = {two.addr} max_conns=4\nmax_conns = 1\n"
                    "queue = 1\nqueue_timeout = 20s", workers=2))
    clients = ask(s, 5)
    one.wait_requests(1)
    two.wait_requests(4)
    assert metric(s, "upstream_queued_total") == 0
    clients += ask(s, 1)
    wire.wait_metric(s, "upstream_queue", 1)
    go.set()
    assert statuses(clients) == [200] * 6
    assert tcp.established(one.port) <= 1
    assert tcp.established(two.port) <= 4


def test_order(sluice, peer):
    go, app, s, clients = busy(sluice, peer)
    for i in range(5):
        clients += ask(s, 1, f"/{i}-")
        wire.wait_metric(s, "upstream_queue", i + 1)
    go.set()
    assert statuses(clients) == [200] * 6
    assert [r.target for r in app.requests] == [
        "/0", "/0-0", "/1-0", "/2-0", "/3-0", "/4-0"]
    # one connection served them all
    assert app.connections == 1


def test_order_over_workers(sluice, peer):
    """Who waits clearly longer is first, whichever worker has it."""
    go, app, s, clients = busy(sluice, peer, workers=4)
    began = {}              # it came between these two times
    for i in range(12):
        start = time.monotonic()
        clients += ask(s, 1, f"/{i:02}-")
        wire.wait_metric(s, "upstream_queue", i + 1)
        began[f"/{i:02}-0"] = start, time.monotonic()
        net.wait_fd(None, 0.04)         # more than the slack
    go.set()
    assert statuses(clients) == [200] * 13
    end = time.monotonic()
    got = [r.target for r in app.requests][1:]
    assert sorted(got) == sorted(began)
    # of two workers' the older one, but for 20 ms and a quarter; one may
    # find the place that a letter promised to another who is on its way
    early = [first for n, first in enumerate(got) if any(
        began[first][0] - began[later][1] >
        0.02 + (end - began[first][0]) / 4 for later in got[n + 1:])]
    assert len(early) <= 1, (early, got)


# --- what becomes of those that wait ---

def refused(r, word):
    assert r.status == 503
    assert r["retry-after"] == "1"
    assert "; error=connection_limit_reached" in r["proxy-status"]
    assert word in r.text
    return True


def test_full(sluice, peer):
    go, app, s, clients = busy(sluice, peer, ONE + "\nqueue = 2", workers=2)
    clients += ask(s, 2)
    wire.wait_metric(s, "upstream_queue", 2)
    for _ in range(4):
        assert refused(http.get(s.port, "/"), "queue_full")
    go.set()
    assert statuses(clients) == [200] * 3
    assert metric(s, "upstream_queue_full_total") == 4
    up, = s.ctl_json("upstreams", "app")["upstreams"]
    assert up["queue"] == {"waiting": 0, "waited": 2, "timed_out": 0,
                           "refused": 4}
    assert "queue: 0 wait, 2 have, 0 in vain, 4 found it full" in \
        s.ctl("upstreams").stdout
    s.stop()
    assert {r["fail"] for r in s.log() if r.get("status") == 503} == \
        {"queue_full"}


def test_timeout(sluice, peer):
    go, app, s, first = busy(
        sluice, peer, "max_conns = 1\nqueue_timeout = 200ms")
    assert refused(http.get(s.port, "/late"), "queue_timeout")
    assert metric(s, "upstream_queue") == 0
    assert metric(s, "upstream_queue_timeouts_total") == 1
    go.set()
    assert statuses(first) == [200]
    s.stop()
    late, = [r for r in s.log() if r.get("target") == "/late"]
    assert late["fail"] == "queue_timeout" and "attempts" not in late
    assert 150000 < late["queue_us"] < 5000000
    assert len(app.requests) == 1


def test_no_queue(sluice, peer):
    go, app, s, first = busy(sluice, peer, "max_conns = 1\nqueue = 0")
    assert refused(http.get(s.port, "/"), "dial_limit")
    go.set()
    assert statuses(first) == [200]


@pytest.mark.parametrize("keys, word", [
    ("queue = 0", "dial_limit"), ("queue_timeout = 200ms", "queue_timeout"),
    ("queue = 1\nqueue_timeout = 20s", "queue_full")])
def test_told_after_an_attempt(sluice, peer, keys, word):
    """What ends the wait has an error line, though one failed before it."""
    go = threading.Event()
    app = peer(default=hold(go))
    s = sluice(conf(app, f"max_conns = 1\n{keys}\n"
                    f"server = 127.0.0.1:{net.free_port()}"))
    clients = ask(s, 1)
    app.wait_requests(1)
    if word == "queue_full":
        clients += ask(s, 1)
        wire.wait_metric(s, "upstream_queue", 1)
    r = http.get(s.port, "/late")
    assert refused(r, word)
    line, = [json.loads(ln) for ln in s.wait_log(
        f'"level":"error".*"request":"{r["x-request-id"]}"')]
    assert line["msg"] == f'upstream "app": {word}'
    go.set()
    assert statuses(clients) == [200] * len(clients)


def test_total_rules(sluice, peer):
    """A wait is part of timeout.total."""
    go, app, s, first = busy(
        sluice, peer,
        ONE + "\ntimeout.connect = 100ms\ntimeout.total = 200ms")
    r = http.get(s.port, "/")
    assert r.status == 504 and "total_timeout" in r.text
    assert statuses(first) == [504]
    assert metric(s, "upstream_queue") == 0
    go.set()


@pytest.mark.parametrize("how", ["reset", "close", "body"])
def test_waiter_leaves(sluice, peer, how):
    """Its place is another's at once, and the server never hears of it."""
    go, app, s, clients = busy(sluice, peer, ONE + "\nqueue = 2")
    gone, stays = http.Client(s.port), ask(s, 1, "/stays")
    gone.send(http.request("POST", "/gone",
                           body=b"x" * 1000 if how == "body" else None))
    wire.wait_metric(s, "upstream_queue", 2)
    if how == "reset":
        gone.reset()
    else:
        gone.close()
    wire.wait_metric(s, "upstream_queue", 1)
    stays += ask(s, 1, "/stays")
    wire.wait_metric(s, "upstream_queue", 2)
    go.set()
    assert statuses(clients + stays) == [200, 200, 200]
    assert [r.target for r in app.requests] == ["/0", "/stays0", "/stays0"]


# --- processes that die ---

def test_killed_holder(sluice, peer):
    """Its connections end with it; others get their places."""
    go = threading.Event()
    app = peer(default=hold(go))
    s = sluice(conf(app, "max_conns = 2\nqueue_timeout = 20s", workers=2))
    s.may_break = True
    with tcp.Table(app.port) as table:
        first = ask(s, 2)
        app.wait_requests(2)
        waiting = ask_until_wait(s, 2, 16)
        s.kill("worker 1")
        go.set()
        ended = []
        for c in first + waiting:
            try:
                ended.append(c.response().status)
            except (http.Closed, OSError):
                ended.append(0)
        assert set(ended) <= {0, 200} and 200 in ended
        assert http.get(s.port, "/").status == 200
    assert table.most <= 2
    s.wait_role("worker 1")
    wire.wait_metric(s, "upstream_queue", 0)


def test_hung_waiter_holds_up_nobody(sluice, peer):
    """A wake that goes to a process that hangs is not the only one."""
    go, app, s, first = busy(sluice, peer, workers=2)
    # the oldest are those of the stopped one
    waiting = ask_until_wait(s, 2)
    by_pid = metric_of(s, "upstream_queue")
    # one of the two holds the connection; the other one is stopped
    holder = connection_owner(app.port)
    stopped, = [pid for pid in s.workers() if pid != holder]
    os.kill(stopped, signal.SIGSTOP)
    go.set()
    assert statuses(first) == [200]
    own = by_pid[holder]
    net.until("its own are served", lambda: len(app.requests) == 1 + own)
    os.kill(stopped, signal.SIGCONT)
    assert set(statuses(waiting)) == {200}


def connection_owner(port):
    """The process that has a connection to the port."""
    inodes = {f"socket:[{inode}]" for _, inode in tcp.rows(port)}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fds = os.listdir(f"/proc/{pid}/fd")
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") in inodes
                   for fd in fds):
                if int(pid) != os.getpid():
                    return int(pid)
        except OSError:
            continue
    raise AssertionError("nobody has it")


# --- idle connections ---

def test_idle_is_given_up(sluice, peer):
    """A pooled connection of one worker is no place lost to the other."""
    app = peer()
    s = sluice(conf(app, "max_conns = 1\nqueue_timeout = 10s", workers=4))
    with tcp.Table(app.port) as table:
        for i in range(40):
            assert http.get(s.port, f"/{i}").status == 200
        net.until("a look", lambda: table.most == 1)
    assert table.most == 1
    assert metric(s, "upstream_queue_timeouts_total") == 0
    assert metric(s, "upstream_connections") == 1


def test_idle_times(sluice, peer):
    """pool.idle, and less of it if the server says so."""
    app = peer([respond(headers=[("Keep-Alive", "timeout=1, max=9")])])
    s = sluice(conf(app, "pool.idle = 20s"))
    assert http.get(s.port, "/").status == 200
    assert tcp.established(app.port) == 1
    net.until("the server's time", lambda: tcp.established(app.port) == 0)
    assert http.get(s.port, "/").status == 200
    s.reload(conf(app, "pool.idle = 100ms"))
    assert http.get(s.port, "/").status == 200
    net.until("pool.idle", lambda: tcp.established(app.port) == 0)


def test_size(sluice, peer):
    """More come back than are kept; those that are kept serve again."""
    go, app, s, clients = busy(sluice, peer, "pool.size = 2", n=6)
    go.set()
    assert statuses(clients) == [200] * 6
    net.until("two are kept", lambda: tcp.established(app.port) == 2)
    assert metric(s, "upstream_connections_idle") == 2
    assert statuses(ask(s, 1) + ask(s, 1)) == [200] * 2
    assert app.connections == 6


@pytest.mark.parametrize("keys, per_conn", [
    ("pool.requests = 2", 2), ("pool.size = 0", 1), ("pool.age = 1ms", 1)])
def test_kept_no_longer(sluice, peer, keys, per_conn):
    app = peer()
    s = sluice(conf(app, keys))
    for _ in range(6):
        assert http.get(s.port, "/").status == 200
        if "age" in keys:
            net.until("old", lambda: tcp.established(app.port) == 0)
    assert app.connections == 6 // per_conn


# --- reload ---

@pytest.mark.parametrize("keys", [
    "pool.size = 0", "pool.requests = 1", "pool.age = 1ms",
    "pool.idle = 50ms"])
def test_pool_is_tightened(sluice, peer, keys):
    """What idles already ends by the keys of the new configuration."""
    app = peer()
    s = sluice(conf(app, "pool.idle = 60s"))
    assert http.get(s.port, "/").status == 200
    wire.wait_metric(s, "upstream_connections_idle", 1)
    s.reload(conf(app, keys))
    net.until("it ends", lambda: tcp.established(app.port) == 0)
    assert http.get(s.port, "/").status == 200
    assert app.connections == 2


@pytest.mark.parametrize("workers, n", [(1, 12), (2, 12)])
def test_old_waiters_hold_up_nobody(sluice, peer, workers, n):
    """Those who wait for a server of the last configuration do not keep
    requests from an idle one of this configuration."""
    keys = "max_conns = 2\nqueue_timeout = 20s"
    go, old, s, clients = busy(sluice, peer, keys, n=2, workers=workers)
    clients += ask(s, n)
    wire.wait_metric(s, "upstream_queue", n)
    new = peer(default=respond(body=b"new"))
    s.reload(conf(new, keys, workers))
    for _ in range(4):
        r = http.get(s.port, "/new")
        assert (r.status, r.body) == (200, b"new")
    # these are more than have room, and wait for one another only
    assert statuses(ask(s, 12)) == [200] * 12
    assert metric(s, "upstream_queue") == n
    assert len(old.requests) == 2
    go.set()
    assert statuses(clients) == [200] * (n + 2)
    assert len(old.requests) == n + 2


def test_limit_is_raised(sluice, peer):
    go, app, s, clients = busy(sluice, peer, workers=2)
    clients += ask(s, 3)
    wire.wait_metric(s, "upstream_queue", 3)
    s.reload(conf(app, "max_conns = 3\nqueue_timeout = 20s", workers=2))
    app.wait_requests(3)
    wire.wait_metric(s, "upstream_queue", 1)
    go.set()
    assert statuses(clients) == [200] * 4


def test_limit_is_lowered(sluice, peer):
    go, app, s, clients = busy(sluice, peer, "max_conns = 6", n=6, workers=2)
    go.set()
    assert statuses(clients) == [200] * 6
    wire.wait_metric(s, "upstream_connections_idle", 6)
    s.reload(conf(app, "max_conns = 2", workers=2))
    net.until("idle ones go", lambda: tcp.established(app.port) <= 2)
    assert statuses(ask(s, 20)) == [200] * 20
    assert tcp.established(app.port) <= 2


def test_limit_appears(sluice, peer):
    """What was open before there was a limit is counted."""
    go, app, s, clients = busy(sluice, peer, "max_conns = 0", n=4, workers=2)
    s.reload(conf(app, "max_conns = 4\nqueue_timeout = 20s", workers=2))
    clients += ask(s, 1)
    wire.wait_metric(s, "upstream_queue", 1)
    assert tcp.established(app.port) == 4
    go.set()
    assert statuses(clients) == [200] * 5


def test_worker_of_a_roll(sluice, peer):
    """Workers that came later are woken, and wake those before them."""
    go, app, s, first = busy(sluice, peer, workers=2)
    before = s.workers()
    s.ctl("roll")
    waiting = ask(s, 8)
    wire.wait_metric(s, "upstream_queue", 8)
    go.set()
    assert statuses(first + waiting) == [200] * 9
    for pid in before:
        net.wait_pid_gone(pid)


def test_more_workers(sluice, peer):
    """Slots that nobody had before: who runs already can wake them."""
    keys = "max_conns = 1\nqueue_timeout = 30s"
    go, app, s, clients = busy(sluice, peer, keys)
    s.reload(conf(app, keys, workers=6))
    for i in range(2, 7):
        s.wait_role(f"worker {i}")
    clients += ask_until_wait(s, 3)
    go.set()
    assert set(statuses(clients)) == {200}


def test_upgrade(sluice, peer):
    """Workers of both programs wait in one queue, and wake each other."""
    go, app, s, clients = busy(
        sluice, peer, "max_conns = 1\nqueue_timeout = 30s", workers=2)
    clients += ask(s, 4)
    wire.wait_metric(s, "upstream_queue", 4)
    old = s.workers()
    s.notify.drain()
    s.send(signal.SIGUSR2)
    s.notify.wait("READY")
    clients += ask(s, 4)
    wire.wait_metric(s, "upstream_queue", 8)
    go.set()
    assert statuses(clients) == [200] * 9
    for pid in old:
        net.wait_pid_gone(pid)
    assert http.get(s.port, "/").status == 200


# --- reuse ---

def test_post_is_never_sent_twice(sluice, peer):
    """A pooled connection that dies under a POST with a body."""
    app = peer([respond(), reset_now()])
    s = sluice(conf(app))
    assert http.get(s.port, "/").status == 200
    r = http.Client(s.port).ask("POST", "/post", body=b"x" * 1000)
    assert r.status == 502 and "reset_before_head" in r.text
    assert [q.method for q in app.requests] == ["GET", "POST"]
    # the same with one that may be repeated
    app.script[:] = [respond(), reset_now()]
    assert http.get(s.port, "/").status == 200
    assert http.get(s.port, "/again").status == 200
    assert [q.target for q in app.requests[2:]] == ["/", "/again", "/again"]


def test_dead_one_is_not_given_to_a_post(sluice, peer):
    """It is looked at: the end may be in the socket already."""
    app = peer()
    s = sluice(conf(app))
    for _ in range(20):
        assert http.get(s.port, "/").status == 200
        cut_all(app)
        r = http.Client(s.port).ask("POST", "/post", body=b"x")
        assert r.status == 200


def cut_all(app):
    for sock in list(app._open.values()):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


DOUBTS = {
    "extra bytes": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP"),
    "extra answer": raw(b"HTTP/1.1 204 No Content\r\n\r\n"
                        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "close": raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                 b"Content-Length: 2\r\n\r\nok"),
    "close among others": raw(b"HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\n"
                              b"Content-Length: 2\r\n\r\nok"),
    "1.0": raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "1.0 until close": raw(b"HTTP/1.0 200 OK\r\n\r\nok", then_close=True),
    "until close": raw(b"HTTP/1.1 200 OK\r\n\r\nok", then_close=True),
    "no time": raw(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\n"
                   b"Content-Length: 2\r\n\r\nok"),
    "1xx with bytes behind": raw(
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"
        b"Content-Length: 2\r\n\r\nokHTTP/1.1 103 Early Hints\r\n\r\n"),
    "interim behind": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                          b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("why", DOUBTS)
def test_no_reuse_after_doubt(sluice, peer, why):
    app = peer([DOUBTS[why]])
    s = sluice(conf(app))
    assert http.get(s.port, "/").status in (200, 204)
    net.until("it is closed", lambda: tcp.established(app.port) == 0)
    assert http.get(s.port, "/").status == 200
    assert [q.conn for q in app.requests] == [1, 2]


def test_no_reuse_after_an_early_answer(sluice, peer):
    """The rest of the body would be taken for the next request."""
    app = peer([no_body(respond(413, b"no\n"))])
    s = sluice(conf(app))
    with http.Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n"
               b"\r\n" + b"x" * 1000)
        assert c.response("POST").status == 413
    assert http.get(s.port, "/").status == 200
    assert app.requests[-1].conn == 2


def test_reuse_goes_on(sluice, peer):
    """What gives no doubt keeps its connection."""
    app = peer([
        raw(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"
            b"Content-Length: 2\r\n\r\nok"),
        respond(chunks=[b"a", b"b"]), respond(204, b""),
        raw(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
            b"Content-Length: 2\r\n\r\nok"),
        respond(headers=[("Keep-Alive", "timeout=60")])])
    s = sluice(conf(app))
    for _ in range(6):
        assert http.get(s.port, "/").status in (200, 204)
    assert app.connections == 1

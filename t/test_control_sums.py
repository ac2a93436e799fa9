"""Statistics of attempts: all places that count one count the same."""
import threading
import time

from lib import http
from lib.peer import close_now, hold, reset_now, respond
from lib.watch import conf, wait_until


def upstream(s):
    return s.ctl_json("upstreams", "app")["upstreams"][0]


def why(s, name):
    return s.ctl_json("why", name)["failures"][0]


def failed(s, name):
    """Of the counter of all upstreams, by row."""
    for m in s.ctl_json("metrics")["metrics"]:
        if m["name"] == "upstream_attempts_failed_total" and \
                m.get("fail") == name:
            return m["sum"]
    return None


def later():
    """Which of two workers' failures was the last is told by the ms."""
    until = time.time_ns() + 2 * 10**6
    while time.time_ns() < until:
        pass


def test_server_error(sluice, peer):
    """An answer of 5xx is a failed attempt wherever that is asked."""
    a = peer(default=respond(status=500))
    s = sluice(conf(a.addr))
    for _ in range(6):
        http.get(s.port, "/x")
    later()
    r = http.get(s.port, "/x")
    up = upstream(s)
    assert up["failures"] == {"server_error": 7}
    assert up["servers"][0]["failures"] == 7
    assert failed(s, "server_error") == 7
    got = why(s, "server_error")
    assert got["attempts"] == 7 and got["requests"] == 0
    assert got["last"]["server"] == a.addr
    assert got["last"]["id"] == r["x-request-id"]
    text = s.ctl("why", "server_error").stdout
    assert "a server's: this ends an attempt, and no request" in text
    assert "The client gets that answer as it is" in text


def test_503_that_is_repeated(sluice, peer):
    """It counts once, though another server is asked for it."""
    soon = respond(status=503, headers=[("Retry-After", "0")])
    a, b = peer(default=soon), peer()
    s = sluice(conf(a.addr, b.addr, keys="balance = round_robin\n"
                    "outlier = off"))
    for _ in range(4):
        assert http.get(s.port, "/x").status == 200
    n = len(a.requests)
    assert n == 2
    assert upstream(s)["failures"] == {"server_error": n}
    assert failed(s, "server_error") == n


def test_budget_ends_no_attempt(sluice, peer):
    a, b = [peer(default=reset_now()) for _ in range(2)]
    s = sluice(conf(a.addr, b.addr, keys="outlier = off\n"
                    "retry.budget = 0\nretry.floor = 0"))
    for _ in range(3):
        assert http.get(s.port, "/x").status == 503
    assert upstream(s)["failures"] == {"reset_before_head": 3}
    got = why(s, "retry_budget")
    assert got["requests"] == 3 and got["attempts"] == 0
    assert failed(s, "reset_before_head") == 3
    assert failed(s, "retry_budget") is None


def test_they_add_up(sluice, peer):
    """requests + retries + replays = attempts."""
    a, b = peer([reset_now()], default=respond()), peer()
    s = sluice(conf(a.addr, b.addr, keys="outlier = off\n"
                    "balance = round_robin"))
    for _ in range(10):
        assert http.get(s.port, "/x").status == 200
    wait_until("they are pooled", lambda: all(
        v["connections"]["idle"] for v in upstream(s)["servers"]))
    # what is pooled dies with its next request
    for p in (a, b):
        p.default = stale()
    for _ in range(6):
        assert http.get(s.port, "/x").status == 200
    up = upstream(s)
    r = up["retries"]
    assert r["made"] == 1 and r["replays"] > 0
    assert r["requests"] + r["made"] + r["replays"] == \
        sum(v["attempts"] for v in up["servers"])
    sums = s.ctl_json("status")["sums"]
    assert sums["upstream_replays_total"] == r["replays"]
    assert sums["upstream_attempts_total"] == \
        sum(v["attempts"] for v in up["servers"])


def stale():
    """The first request of a connection is answered, the next one is
    not: it ends without a byte."""
    seen = set()

    def step(conn, req):
        if id(conn) in seen:
            return close_now()(conn, req)
        seen.add(id(conn))
        return respond()(conn, req)
    return step


def test_attempt_cut(sluice, peer):
    free = threading.Event()
    a, b = peer(default=hold(free)), peer()
    s = sluice(conf(a.addr, b.addr, keys="balance = round_robin"))
    with http.Client(s.port) as c, http.Client(s.port) as d:
        for x in (c, d):
            x.send(http.request("GET", "/x"))
        wait_until("it was asked", lambda: a.requests)
        s.ctl("server", "down", "app", a.addr)
        assert [x.response().status for x in (c, d)] == [200, 200]
    free.set()
    assert upstream(s)["failures"] == {"attempt_cut": 1}
    assert failed(s, "attempt_cut") == 1
    assert "The client gets the answer of another server" in \
        s.ctl("why", "attempt_cut").stdout

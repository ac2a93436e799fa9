"""Ejection of servers whose requests fail: when, how long, how many, and
what ends it."""
import concurrent.futures
import itertools
import threading
import time

import pytest

from lib import http, net
from lib.load import Load
from lib.peer import reset_now, respond
from lib.watch import (Health, ask_cut, conf, cut, line, servers, stamp,
                       wait_change, wait_until)

OFF = "slow_start = 0\n"
BAD = respond(status=500)


def ask(s, n):
    """So many requests, each on a connection of its own."""
    return [http.get(s.port, "/x").status for _ in range(n)]


def in_turn(*steps):
    """The steps one after the other, again and again."""
    turns = itertools.cycle(steps)
    return lambda conn, req: next(turns)(conn, req)


def test_in_a_row(sluice, peer):
    """The fifth failure over all workers ejects; nothing follows."""
    good, bad = peer(), peer(default=BAD)
    s = sluice(conf(good.addr, bad.addr, workers=4, keys=OFF))
    statuses = ask(s, 40)
    wait_change(s, bad.addr, "up", "ejected", "server_error")
    assert len(bad.requests) == 5 and statuses.count(500) == 5
    got = servers(s)[bad.addr]
    assert (got["state"], got["why"]) == ("ejected", "server_error")
    assert got["ejections"] == 1 and 0 < got["ejected_ms"] <= 10000
    assert servers(s)[good.addr]["state"] == "up"


def test_success_between(sluice, peer):
    """Failures in a row are that: a success begins the count anew."""
    good, bad = peer(), peer([BAD] * 4 + [respond()] + [BAD] * 4 +
                             [respond()] * 100)
    s = sluice(conf(good.addr, bad.addr, keys=OFF +
                    "outlier.rate = 0"))
    ask(s, 40)
    assert servers(s)[bad.addr]["state"] == "up"
    assert servers(s)[bad.addr]["failures"] == 8


@pytest.mark.parametrize("how", ["reset", "refused"])
def test_connections(sluice, peer, how):
    good, bad = peer(), peer(default=reset_now())
    why = "reset_before_head"
    if how == "refused":
        bad.stop()
        why = "dial_refused"
    s = sluice(conf(good.addr, bad.addr, keys=OFF))
    ask(s, 30)
    wait_change(s, bad.addr, "up", "ejected", why)


@pytest.mark.parametrize("status", [200, 500])
def test_cut_bodies(sluice, peer, status):
    """An answer that breaks off is one failure, whatever its head said:
    the fifth in a row ejects, and the good head is no success between."""
    good, bad = peer(), peer(default=cut(status))
    s = sluice(conf(good.addr, bad.addr, keys=OFF + "outlier.rate = 0"))
    ask_cut(s, 8)
    got = servers(s)[bad.addr]
    assert (got["state"], got["failures"]) == ("up", 4)
    ask_cut(s, 12)
    wait_change(s, bad.addr, "up", "ejected")
    assert len(bad.requests) == 5
    assert servers(s)[bad.addr]["failures"] == 5


def test_long_answer(sluice, peer):
    """One that goes on for long stands between failures."""
    end = threading.Event()

    def step(conn, req):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        end.wait(net.WAIT)
        conn.send(b"cd")
        return True
    good, bad = peer(), peer([BAD] * 3 + [step], default=BAD)
    s = sluice(conf(good.addr, bad.addr, workers=1, keys=OFF +
                    "outlier.rate = 0"))
    ask(s, 6)
    with http.Client(s.port) as long, http.Client(s.port) as other:
        other.get("/x")
        long.send(http.request("GET", "/x"))
        bad.wait_requests(4)
        at = time.monotonic() + 1.2
        wait_until("it is a long one", lambda: time.monotonic() > at)
        ask(s, 8)
        assert servers(s)[bad.addr]["state"] == "up"
        assert servers(s)[bad.addr]["failures"] == 7
        end.set()
        assert long.response().status == 200


def test_4xx_is_well(sluice, peer):
    good, other = peer(), peer(default=respond(status=404))
    s = sluice(conf(good.addr, other.addr, keys=OFF))
    ask(s, 60)
    assert servers(s)[other.addr]["state"] == "up"
    assert servers(s)[other.addr]["failures"] == 0


def test_rate(sluice, peer):
    """More than half of twenty fail, never five in a row."""
    good, bad = peer(), peer(default=in_turn(BAD, BAD, respond()))
    s = sluice(conf(good.addr, bad.addr, keys=OFF))
    ask(s, 2 * 18)
    assert servers(s)[bad.addr]["state"] == "up"
    with Load(s.port, "/x", conns=2, per_conn=1,
              want=lambda r: r.status in (200, 500)) as load:
        wait_change(s, bad.addr, "up", "ejected", "server_error")
    assert not load.failures


def test_less_than_half(sluice, peer):
    """A window of an odd number has a bit more than a half of every two."""
    good, bad = peer(), peer(default=in_turn(respond(), BAD, respond()))
    s = sluice(conf(good.addr, bad.addr, keys=OFF +
                    "outlier.window = 1s"))
    with Load(s.port, "/x", conns=2, per_conn=1,
              want=lambda r: r.status in (200, 500)) as load:
        load.wait(150)
    end = time.monotonic() + 0.3
    wait_until("two looks", lambda: time.monotonic() > end)
    assert not load.failures and len(bad.requests) > 40
    assert servers(s)[bad.addr]["state"] == "up"


def test_off(sluice, peer):
    good, bad = peer(), peer(default=BAD)
    s = sluice(conf(good.addr, bad.addr, keys="outlier = off"))
    ask(s, 100)
    assert servers(s)[bad.addr]["state"] == "up"
    assert len(bad.requests) == 50


def test_reload_to_off(sluice, peer):
    good, bad = peer(), peer(default=BAD)
    s = sluice(conf(good.addr, bad.addr, keys=OFF))
    ask(s, 20)
    wait_change(s, bad.addr, "up", "ejected")
    s.reload(conf(good.addr, bad.addr, keys=OFF + "outlier = off"))
    wait_change(s, bad.addr, "ejected", "up")


def test_time_grows(sluice, peer):
    """Each ejection is outlier.time longer, to the 100 ms, up to the
    longest; then n falls again."""
    good, bad = peer(), peer(default=BAD)
    s = sluice(conf(good.addr, bad.addr, keys=OFF +
                    "outlier.time = 1s\noutlier.max_time = 2500ms"))
    with Load(s.port, "/x", conns=2, per_conn=1,
              want=lambda r: r.status in (200, 500)) as load:
        back = wait_change(s, bad.addr, "ejected", "up", count=3,
                           seconds=20 * net.SCALE)
    assert not load.failures
    gone = wait_change(s, bad.addr, "up", "ejected", count=3)
    long = [stamp(b) - stamp(g) for g, b in zip(gone, back)]
    for got, want in zip(long, [1.0, 2.0, 2.5]):
        assert want - 0.02 <= got <= want + 0.15 * net.SCALE, long
    n = servers(s)[bad.addr]["ejections"]
    assert 3 <= n <= 4
    bad.default = respond()
    wait_until("n is less", lambda: servers(s)[bad.addr]["ejections"] < n - 1,
               15 * net.SCALE)


@pytest.mark.parametrize("n,share,most", [
    (4, 50, 2), (5, 50, 2), (2, 50, 1), (10, 5, 1), (3, 100, 2), (1, 100, 0)])
def test_share(sluice, peer, n, share, most):
    """All fail, all workers see it at once: never more than that."""
    all = [peer(default=BAD) for _ in range(n)]
    s = sluice(conf(*[p.addr for p in all], workers=4, keys=OFF +
                    f"outlier.share = {share}\noutlier.time = 60s\npanic = 0"))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: http.get(s.port, "/x"), range(40 * n)))
    states = [v["state"] for v in servers(s).values()]
    assert states.count("ejected") == most
    assert states.count("up") == n - most
    if most:
        s.wait_log(r'of \\"app\\": up -> ejected', most)
    assert len([r for r in s.log() if "-> ejected" in r.get("msg", "")]) \
        == most


def test_down_does_not_count(sluice, peer):
    """Servers that fail their probes leave the share to others; the last
    that takes requests stays."""
    health = [Health(step=BAD) for _ in range(5)]
    all = [peer(default=h) for h in health]
    health[0].ok = health[1].ok = False
    # one probe each; a later one that succeeds would end an ejection
    s = sluice(conf(*[p.addr for p in all], keys=OFF + """
outlier.share = 40
outlier.time = 60s
panic = 0
health.path = /health
health.interval = 1h
health.fall = 1
"""))
    for h in health:
        h.wait_probes(0 if h.probed else 1)
    for p in all[:2]:
        wait_change(s, p.addr, "up", "down")
    ask(s, 60)
    states = [v["state"] for v in servers(s).values()]
    assert states[:2] == ["down"] * 2
    assert sorted(states[2:]) == ["ejected", "ejected", "up"]


def test_probe_ends_it(sluice, peer):
    """Long before its time, and only a probe that began in it."""
    health = Health(step=BAD)
    good, bad = peer(), peer(default=health)
    s = sluice(conf(good.addr, bad.addr, keys=OFF + """
outlier.time = 60s
health.path = /health
health.interval = 500ms
"""))
    ask(s, 10)
    gone, = wait_change(s, bad.addr, "up", "ejected")
    back, = wait_change(s, bad.addr, "ejected", "up")
    assert stamp(back) - stamp(gone) < 0.7 * net.SCALE
    assert len(health.asked) == 5
    # a probe that fails does not
    health.ok = False
    wait_change(s, bad.addr, "up", "down")
    assert servers(s)[bad.addr]["ejections"] == 1


def test_panic(sluice, peer):
    """Ejected servers are asked when too few are left, and stay so."""
    all = [peer(default=BAD) for _ in range(4)]
    s = sluice(conf(*[p.addr for p in all], keys=OFF +
                    "outlier.share = 100\noutlier.time = 60s\npanic = 50"))
    ask(s, 100)
    states = [v["state"] for v in servers(s).values()]
    assert states.count("ejected") == 3
    before = [len(p.requests) for p in all]
    ask(s, 40)
    assert all[0].requests and [len(p.requests) - n
                                for p, n in zip(all, before)] == [10] * 4


def test_operator(sluice, peer):
    """What an operator brings up has no past."""
    good, bad = peer(), peer(default=BAD)
    s = sluice(conf(good.addr, bad.addr, keys=OFF))
    for n in 5, 10:
        ask(s, 20)
        assert len(bad.requests) == n
        wait_change(s, bad.addr, "up", "ejected", count=n // 5)
        s.ctl("server", "up", "app", bad.addr)
        wait_change(s, bad.addr, "ejected", "up", count=n // 5)
        assert servers(s)[bad.addr]["ejections"] == 0


def test_window_goes_on(sluice, peer):
    """While the share forbids it nothing is kept for later: who has been
    well for a window is not ejected when another one comes back."""
    first, then = peer(default=BAD), peer()
    s = sluice(conf(first.addr, then.addr, workers=1, keys=OFF +
                    "outlier.time = 4s\noutlier.window = 1s"))
    ask(s, 12)
    wait_change(s, first.addr, "up", "ejected")
    first.default, then.default = respond(), BAD
    end = time.monotonic() + 1
    while time.monotonic() < end:
        ask(s, 1)
    then.default = respond()
    n = len(then.requests)
    # less often than before, so that all of it together would eject
    wait_until("the first is back", lambda: ask(s, 1) and
               servers(s)[first.addr]["state"] == "up", 9 * net.SCALE)
    end = time.monotonic() + 0.4
    wait_until("some looks", lambda: time.monotonic() > end)
    assert 20 < len(then.requests) - n < n
    assert servers(s)[then.addr]["state"] == "up"


def test_health_dies(sluice, peer):
    """An ejection ends though the process that ends them was away."""
    good, bad = peer(), peer(default=BAD)
    s = sluice(conf(good.addr, bad.addr, keys=OFF +
                    "outlier.time = 1s"))
    pid = s.kill("health")
    ask(s, 10)
    wait_change(s, bad.addr, "up", "ejected")
    s.wait_role("health", pid)
    wait_change(s, bad.addr, "ejected", "up")
    assert len(s.wait_log(line(bad.addr, "up", "ejected"))) == 1

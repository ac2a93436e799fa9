"""Who waits for which server, who probes one, and whom a panic lets ask."""
import threading

import pytest

from lib import http, net
from lib.breaker import half_open, wait_breaker, wait_queue
from lib.peer import hold, respond
from lib.watch import Health, conf, servers, wait_change, wait_until

pytestmark = [pytest.mark.versions, pytest.mark.turns]

ILL = respond(status=500)


class Asked(threading.Thread):
    """A request on its own connection."""

    def __init__(self, s, cookie=None):
        super().__init__(daemon=True)
        self.s, self.cookie, self.text = s, cookie, None
        self.start()

    def run(self):
        with http.Client(self.s.port) as c:
            self.text = c.get("/", headers=[("Cookie", self.cookie or
                                             "a=b")]).text

    def wait(self):
        self.join(net.WAIT)
        return self.text


def name(app, text, event=None):
    """A server that says its name, once it may."""
    step = respond(body=text.encode())
    app.default = hold(event, step) if event else step


@pytest.mark.parametrize("workers", [1, 4])
def test_sticky_waiters(sluice, peer, workers):
    """Those that wait for one server do not hold up the others."""
    a, b = peer(), peer()
    name(a, "a")
    name(b, "b")
    s = sluice(conf(f"{a.addr} max_conns=1", f"{b.addr} max_conns=1",
                    workers=workers, keys="sticky = cookie\nqueue = 100\n"
                    "queue_timeout = 1m\n"))
    cookie = None
    while not cookie:
        r = http.get(s.port, "/")
        if r.text == "a":
            cookie = r["set-cookie"].split(";")[0]
    let_a, let_b = threading.Event(), threading.Event()
    name(a, "a", let_a)
    name(b, "b", let_b)
    was = len(a.requests), len(b.requests)
    stick = [Asked(s, cookie)]
    a.wait_requests(was[0] + 1)
    stick += [Asked(s, cookie) for _ in range(12)]
    wait_queue(s, 12)
    free = [Asked(s)]
    b.wait_requests(was[1] + 1)
    free += [Asked(s) for _ in range(4)]
    wait_queue(s, 16)
    let_b.set()
    assert [t.wait() for t in free] == ["b"] * 5
    # and one that comes later
    assert Asked(s).wait() == "b"
    assert len(a.requests) == was[0] + 1
    let_a.set()
    assert [t.wait() for t in stick] == ["a"] * 13


def test_probe_over_dead_connection(sluice, peer):
    """A pooled connection that died is no verdict: the probe goes on over
    another one."""
    app = peer()
    s = sluice(conf(app.addr, workers=1, keys="outlier = off\n"
                    "breaker.failures = 2\nbreaker.open = 200ms\n"
                    "breaker.probes = 1\n"))
    assert http.get(s.port, "/").status == 200
    app.default = ILL
    assert [http.get(s.port, "/").status for _ in range(2)] == [500, 500]
    assert app.connections == 1

    def step(conn, req):
        if conn.number > 1:
            return respond()(conn, req)
        net.reset(conn.sock)
        return False
    app.default = step
    half_open(s)
    assert http.get(s.port, "/").status == 200
    wait_breaker(s, 1, "half_open -> closed: 1 of 1 probes were answered "
                 "well")
    assert app.connections == 2
    assert not [r for r in s.log() if "half_open -> open" in r.get("msg", "")]


def test_waiters_probe(sluice, peer):
    """Who waits probes a server whose time has come; then all go there."""
    a, b = peer(), peer(default=ILL)
    s = sluice(conf(f"{a.addr} max_conns=1", b.addr, workers=1,
                    keys="outlier = off\nretry.on = off\nslow_start = 0\n"
                    "breaker.failures = 1\nbreaker.open = 300ms\n"
                    "breaker.probes = 1\nqueue = 10\nqueue_timeout = 1m\n"
                    "timeout.first_byte = 1m\n"))
    while not b.requests:
        http.get(s.port, "/")
    wait_breaker(s, 1, "closed -> open")
    name(b, "b")
    let, was = threading.Event(), len(a.requests)
    name(a, "a", let)
    first = Asked(s)
    a.wait_requests(was + 1)
    assert [t.wait() for t in [Asked(s) for _ in range(4)]] == ["b"] * 4
    assert first.is_alive() and len(a.requests) == was + 1
    let.set()
    assert first.wait() == "a"


def test_retry_after(sluice, peer):
    """How long a server stays ejected says nothing of those that serve."""
    a, b = peer(), peer(default=ILL)
    s = sluice(conf(f"{a.addr} max_conns=1", b.addr, workers=1,
                    keys="slow_start = 0\nretry.on = off\nqueue = 0\n"
                    "outlier.time = 250s\n"))
    for _ in range(12):
        http.get(s.port, "/")
    wait_change(s, b.addr, "up", "ejected")
    let, was = threading.Event(), len(a.requests)
    name(a, "a", let)
    first = Asked(s)
    a.wait_requests(was + 1)
    r = http.get(s.port, "/")
    assert (r.status, r["retry-after"]) == (503, "1")
    let.set()
    assert first.wait() == "a"


def test_panic_retries(sluice, peer):
    """In a panic first attempts go to all, the next one to the fit, and
    only then one to the sick."""
    apps = [Health() for _ in range(5)]
    peers = [peer(default=h) for h in apps]
    for h in apps[1:]:
        h.ok = False

    def cut(conn, req):
        net.reset(conn.sock)
        return False
    s = sluice(conf(*[p.addr for p in peers], workers=1, keys="outlier = "
                    "off\nslow_start = 0\nhealth.path = /health\n"
                    "health.interval = 100ms\nhealth.fall = 2\n"
                    "retry.tries = 3\nretry.backoff = 0\n"
                    "retry.floor = 1000\n",
                    top="[log]\naccess = on\nformat = json\n"))
    for p in peers[1:]:
        wait_change(s, p.addr, "up", "down")
    for h in apps:
        h.step = cut
    for _ in range(10):
        before = [len(h.asked) for h in apps]
        assert http.get(s.port, "/").status == 502
        asked = [len(h.asked) - n for h, n in zip(apps, before)]
        assert max(asked) == 1 and sum(asked) == 4
    s.stop()
    tries = [r["tries"].split(", ") for r in s.log() if "tries" in r]
    assert len(tries) == 10
    for v in tries:
        assert any(a.startswith(peers[0].addr) for a in v[:2])


def test_retries_with_one_that_rises(sluice, peer):
    """One that is down, but was well when it was probed last."""
    def cut(conn, req):
        net.reset(conn.sock)
        return False
    fit, ill = Health(), Health(step=respond(body=b"well"))
    a, b = peer(default=fit), peer(default=ill)
    s = sluice(conf(a, b, keys="outlier = off\nhealth.path = /health\n"
                    "health.interval = 100ms\nhealth.fall = 2\n"
                    "health.rise = 100\npanic = 0\n"))
    ill.ok = False
    wait_change(s, b.addr, "up", "down")
    fit.step = cut
    assert http.get(s.port, "/").status == 502
    ill.ok = True
    ill.wait_probes(2)
    wait_until("a good probe",
               lambda: servers(s)[b.addr]["probe"]["streak"] > 0)
    assert http.get(s.port, "/").text == "well"
    assert servers(s)[b.addr]["state"] == "down"
    ill.ok = False
    ill.wait_probes(2)
    wait_until("a bad one",
               lambda: servers(s)[b.addr]["probe"]["streak"] == 0)
    assert http.get(s.port, "/").status == 502

"""Servers that go out of service while requests wait for them."""
import re
import threading
import time

import pytest

from lib import http, net, wire
from lib.attempts import attempts, changes
from lib.cmd import Thread
from lib.peer import Gone, reset_now, respond

pytestmark = [pytest.mark.versions, pytest.mark.turns]

PROBED = "health.path = /h\nhealth.interval = 100ms\nhealth.fall = 1\n" \
    "health.rise = 1\noutlier = off\npanic = 0\nbalance = round_robin\n"


def conf(*addrs, more="", workers=4):
    servers = "".join(f"server = {a}\n" for a in addrs)
    return f"[sluice]\nworkers = {workers}\n[listener web]\n" \
        f"bind = 127.0.0.1:@port@\n{wire.PROBE}" \
        f"[upstream app]\n{servers}{PROBED}{more}\n" \
        f"[route all]\npath = /*\nupstream = app\n"


class Sick:
    """A server whose probes fail when it is told so, and that hangs."""

    def __init__(self, peer, hangs=True):
        self.well, self.free = True, threading.Event()
        self.hangs = hangs
        self.peer = peer(default=self.step)

    def step(self, conn, req):
        if req.target == "/h":
            return respond(status=200 if self.well else 500)(conn, req)
        if self.hangs and not self.free.wait(net.WAIT):
            raise Gone
        return respond(body=b"from a\n")(conn, req)

    def asked(self):
        return [q for q in self.peer.requests if q.target != "/h"]


def ask(s, out, method, target):
    with http.Client(s.port) as c:
        out.append(c.ask(method, target).body)


@pytest.mark.parametrize("n", [1, 20])
def test_down(sluice, peer, n):
    """All that wait at it in four workers are asked of the other one."""
    a, b = Sick(peer), peer(default=respond(body=b"from b\n"))
    s = sluice(conf(a.peer.addr, b.addr))
    out = []
    threads = [Thread(ask, s, out, "GET", f"/{i}") for i in range(2 * n)]
    net.until("they wait", lambda: len(a.asked()) == n)
    began = time.monotonic()
    a.well = False
    for t in threads:
        t.join()
    assert out == [b"from b\n"] * (2 * n)
    assert time.monotonic() - began < net.WAIT / 2
    a.free.set()
    cut = [r for r in (wire.record(s, target=f"/{i}")
                       for i in range(2 * n)) if "tries" in r]
    assert len(cut) == n
    for r in cut:
        assert re.fullmatch(rf"{a.peer.addr} \+\d+ attempt_cut, "
                            rf"{b.addr} \+\d+", r["tries"])
    assert wire.sums(s)["upstream_attempts_cut_total"] == n
    up, = s.ctl_json("upstreams", "app")["upstreams"]
    assert up["retries"]["cut"] == up["retries"]["made"] == n
    s.wait_log(f"{a.peer.addr}.*up -> down")
    s.wait_log("attempt_cut: probe_status; another server is asked", n)


@pytest.mark.parametrize("tries", [0, 1])
def test_cut_is_no_try(sluice, peer, tries):
    """Whose server goes out of service has all retry.tries yet."""
    a, c = Sick(peer), peer(default=respond(body=b"from c\n"))
    b = peer(default=lambda conn, req: (
        respond() if req.target == "/h" else reset_now())(conn, req))
    s = sluice(conf(a.peer.addr, c.addr, b.addr, workers=1,
                    more=f"retry.tries = {tries}\n"))
    out = []
    t = Thread(ask, s, out, "GET", "/x")
    net.until("it waits", lambda: len(a.asked()) == 1)
    a.well = False
    s.wait_log(f"{a.peer.addr}.*up -> down")
    if tries == 0:
        a.free.set()
    t.join()
    a.free.set()
    assert out == [[b"from a\n"], [b"from c\n"]][tries]
    record = wire.record(s, target="/x")
    assert record["attempts"] == [1, 3][tries]


def test_panic(sluice, peer):
    """Who was asked while it was sick waits on when another one goes."""
    sick = [Sick(peer) for _ in range(5)]
    for p in sick[1:]:
        p.well = False
    s = sluice(conf(*[p.peer.addr for p in sick], more="panic = 50",
                    workers=1).replace("panic = 0\n", ""))
    for p in sick[1:]:
        s.wait_log(f"{p.peer.addr}.*up -> down")
    out = []
    threads = [Thread(ask, s, out, "GET", f"/{i}") for i in range(10)]
    net.until("they wait", lambda: sum(len(p.asked()) for p in sick) == 10)
    assert all(len(p.asked()) == 2 for p in sick)
    s.ctl("server", "down", "app", sick[4].peer.addr)
    net.until("those of the one are asked elsewhere",
              lambda: sum(len(p.asked()) for p in sick) == 12)
    up, = s.ctl_json("upstreams", "app")["upstreams"]
    assert up["retries"]["cut"] == 2
    for p in sick:
        p.free.set()
    for t in threads:
        t.join()
    assert len(sick[4].asked()) == 2
    up, = s.ctl_json("upstreams", "app")["upstreams"]
    assert up["retries"]["cut"] == up["retries"]["made"] == 2
    assert up["retries"]["refused"] == 0


def test_others_wait_on(sluice, peer):
    """What may not be repeated has its answer, if one comes."""
    a, b = Sick(peer), peer(default=respond(body=b"from b\n"))
    s = sluice(conf(a.peer.addr, b.addr))
    out = []
    t = Thread(ask, s, out, "POST", "/post")
    net.until("it waits", lambda: len(a.asked()) == 1)
    a.well = False
    s.wait_log(f"{a.peer.addr}.*up -> down")
    assert http.get(s.port).body == b"from b\n"
    a.free.set()
    t.join()
    assert out == [b"from a\n"] and "tries" not in wire.record(
        s, target="/post")


def outages(s, addr):
    """[(from, to)] in which the log has the server as down."""
    out, since = [], None
    for c in changes(s.log()):
        if c.server == addr and c.now == "down":
            since = c.at
        elif c.server == addr and since is not None:
            out.append((since, c.at))
            since = None
    return out


def test_none_begins_later(sluice, peer):
    """From 10 ms after a state was set on nobody asks there, over all
    workers; each request is answered."""
    a, b = Sick(peer, hangs=False), peer(default=respond(body=b"from b\n"))
    s = sluice(conf(a.peer.addr, b.addr))
    stop, out = threading.Event(), []

    def load():
        with http.Client(s.port) as c:
            while not stop.is_set():
                out.append(c.get("/load").status)
    threads = [Thread(load) for _ in range(8)]
    for n in range(1, 4):
        a.well = False
        s.wait_log(f"{a.peer.addr}.* -> down", n)
        at = len(out)
        net.until("some more", lambda: len(out) > at + 200)
        a.well = True
        s.wait_log(f"{a.peer.addr}.*down -> ", n)
        at = len(out)
        net.until("some more", lambda: len(out) > at + 200)
    stop.set()
    for t in threads:
        t.join()
    assert set(out) == {200}
    net.until("all is logged", lambda: sum(
        r.get("target") == "/load" for r in s.log()) == len(out))
    down = outages(s, a.peer.addr)
    assert len(down) == 3
    late = [(at - since, server) for r in s.log()
            if r.get("target") == "/load" for server, at in attempts(r)
            for since, until in down
            if server == a.peer.addr and since + 10000 < at < until - 1000]
    assert not late


@pytest.mark.parametrize("where", ["upstream", "route"])
def test_off(sluice, peer, where):
    """Who waits there goes on waiting, and gets its answer."""
    a, b = Sick(peer), peer(default=respond(body=b"from b\n"))
    text = conf(a.peer.addr, b.addr)
    text = conf(a.peer.addr, b.addr, more="retry.cut = off") \
        if where == "upstream" else text + "retry.cut = off\n"
    s = sluice(text)
    out = []
    threads = [Thread(ask, s, out, "GET", f"/{i}") for i in range(2)]
    net.until("it waits", lambda: len(a.asked()) == 1)
    s.ctl("server", "down", "app", a.peer.addr)
    net.until("the other one has it", lambda: len(out) == 1)
    assert http.get(s.port, "/x").text == "from b\n"
    a.free.set()
    for t in threads:
        t.join()
    assert sorted(out) == [b"from a\n", b"from b\n"]
    assert wire.sums(s)["upstream_attempts_cut_total"] == 0


def test_drain_and_down(sluice, peer):
    """drain leaves who waits alone; down cuts it."""
    a, b = Sick(peer), peer(default=respond(body=b"from b\n"))
    s = sluice(conf(a.peer.addr, b.addr))
    out = []
    threads = [Thread(ask, s, out, "GET", f"/{i}") for i in range(2)]
    net.until("it waits", lambda: len(a.asked()) == 1)
    s.ctl("server", "drain", "app", a.peer.addr)
    net.until("the other one has it", lambda: len(out) == 1)
    assert http.get(s.port, "/x").text == "from b\n"
    assert wire.sums(s)["upstream_attempts_cut_total"] == 0
    s.ctl("server", "down", "app", a.peer.addr)
    for t in threads:
        t.join()
    assert out == [b"from b\n"] * 2
    a.free.set()

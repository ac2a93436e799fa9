"""Which servers there are to choose from: the fit, backups, in a panic
all; and what becomes of keys and sessions when a server's state changes."""
import collections

import pytest

from lib import http
from lib.peer import reset_now, respond
from lib.watch import conf, line, servers, wait_change

pytestmark = [pytest.mark.versions, pytest.mark.turns]

BALANCERS = ["two_choices", "round_robin", "least_conn", "random", "hash"]
KEYS = """
balance = {}
hash.key = ${{path}}
hash.load = 0
health.path = /health
health.interval = 100ms
health.timeout = 1s
health.fall = 1
health.rise = 1
slow_start = 0
{}
"""


class App:
    """A server whose probes fail while it is not well; it says its name."""

    def __init__(self, peer, name):
        self.well, self.name = True, name
        self.peer = peer(default=self.step)
        self.addr = self.peer.addr
        self.step_ill = None        # of requests, while it is not well

    def step(self, conn, req):
        if self.step_ill and not self.well and req.target != "/health":
            return self.step_ill(conn, req)
        status = 200 if self.well or req.target != "/health" else 500
        return respond(status=status, body=self.name.encode())(conn, req)


@pytest.fixture
def apps(peer):
    return lambda n: [App(peer, chr(ord("a") + i)) for i in range(n)]


def names(s, n=60, cookie=None):
    """Who answers n requests for as many paths, over two connections."""
    out = collections.Counter()
    for k in range(2):
        with http.Client(s.port) as c:
            for i in range(n // 2):
                r = c.get(f"/{i}", headers={"Cookie": cookie or "a=b"})
                assert r.status == 200
                out[r.text] += 1
    return out


def fall(s, *apps):
    for a in apps:
        a.well = False
    for a in apps:
        wait_change(s, a.addr, "up", "down", "probe_status")


def rise(s, *apps):
    for a in apps:
        a.well = True
    for a in apps:
        wait_change(s, a.addr, "down", "up")


@pytest.mark.parametrize("word", BALANCERS)
def test_backups(sluice, apps, word):
    """Asked when less than `panic` percent of the others are fit."""
    a, b, c, d = all_ = apps(4)
    s = sluice(conf(a.addr, b.addr, c.addr, f"{d.addr} backup",
                    keys=KEYS.format(word, "panic = 40")))
    assert set(names(s)) == set("abc")
    fall(s, a)
    assert set(names(s)) == set("bc")       # two of three are enough
    fall(s, b)
    assert set(names(s)) == set("cd")       # one of three is not
    fall(s, c)
    assert set(names(s)) == set("d")
    rise(s, a, b, c)
    assert set(names(s)) == set("abc")
    assert all(v["state"] == "up" for v in servers(s).values())
    assert len(all_) == 4


@pytest.mark.parametrize("word", BALANCERS)
def test_panic(sluice, apps, word):
    """Without backups all are asked, for the few could not bear it."""
    a, b, c = apps(3)
    s = sluice(conf(a.addr, b.addr, c.addr,
                    keys=KEYS.format(word, "panic = 50")))
    fall(s, a)
    assert set(names(s)) == set("bc")
    fall(s, b)
    assert set(names(s)) == set("abc")
    # the last one goes: nobody is asked
    fall(s, c)
    r = http.get(s.port, "/x")
    assert r.status == 503 and "no_server" in r.text


@pytest.mark.parametrize("word", BALANCERS)
def test_panic_retries_with_the_fit(sluice, apps, word):
    """First attempts go to all, the next one to one that is fit."""
    all_ = apps(5)
    s = sluice(conf(*[a.addr for a in all_], keys=KEYS.format(
        word, "outlier = off\nretry.floor = 1000")))
    sick, fit = all_[:4], all_[4]
    for a in sick:
        a.step_ill = reset_now()
    fall(s, *sick)
    got = names(s, 200)
    assert got == {fit.name: 200}
    tries = [r.get("tries", "").split(", ") for r in s.log()
             if r.get("status") == 200 and "target" in r]
    assert {len(t) for t in tries} == {1, 2}
    asked = collections.Counter(t[0].split(" ")[0] for t in tries
                                if len(t) == 2)
    assert set(asked) == {a.addr for a in sick}


def test_hash_goes_on_and_back(sluice, apps):
    """A change of state moves that server's keys alone, and back."""
    all_ = apps(5)
    s = sluice(conf(*[a.addr for a in all_], keys=KEYS.format("hash", "")))

    def where():
        with http.Client(s.port) as c:
            return [c.get(f"/{i}").text for i in range(300)]

    was = where()
    fall(s, all_[2])
    now = where()
    assert "c" not in now
    assert all(n == w for w, n in zip(was, now) if w != "c")
    assert len({n for w, n in zip(was, now) if w == "c"}) == 4
    rise(s, all_[2])
    assert where() == was


def test_sticky_leaves_the_sick(sluice, apps):
    a, b = apps(2)
    s = sluice(conf(a.addr, b.addr, keys=KEYS.format(
        "round_robin", "sticky = cookie\npanic = 0")))
    r = http.get(s.port)
    if r.text == "b":
        a, b = b, a
    cookie = r["set-cookie"].split(";")[0]
    assert set(names(s, cookie=cookie)) == {a.name}
    fall(s, a)
    with http.Client(s.port) as c:
        r = c.get("/", headers={"Cookie": cookie})
    assert r.text == b.name
    new = r["set-cookie"].split(";")[0]
    rise(s, a)
    assert set(names(s, cookie=new)) == {b.name}
    assert set(names(s, cookie=cookie)) == {a.name}
    assert line(a.addr, "down", "up")


def test_sticky_of_who_drains(sluice, apps):
    """A server that drains keeps its clients and gets no new ones; in
    maintenance it keeps none."""
    a, b = apps(2)
    s = sluice(conf(a.addr, b.addr, keys=KEYS.format(
        "round_robin", "sticky = cookie")))
    r = http.get(s.port)
    if r.text == "b":
        a, b = b, a
    cookie = r["set-cookie"].split(";")[0]
    s.ctl("server", "drain", "app", a.addr)
    assert set(names(s, cookie=cookie)) == {a.name}
    assert set(names(s)) == {b.name}
    s.ctl("server", "down", "app", a.addr)
    assert set(names(s, cookie=cookie)) == {b.name}
    s.ctl("server", "up", "app", a.addr)
    assert set(names(s, cookie=cookie)) == {a.name}

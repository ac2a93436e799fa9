"""Requests over servers: by turns, by chance, by what is under way."""
import collections
import contextlib
import threading

import pytest

from lib import http, net, ws
from lib.load import Load
from lib.peer import hold, respond
from lib.spread import counts, is_share, prefix, servers

pytestmark = [pytest.mark.versions, pytest.mark.turns]

CONF = """
[sluice]
workers = {workers}
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
{servers}
{keys}
[route all]
path = /*
upstream = app
"""


def conf(lines, keys="", workers=4):
    return CONF.format(workers=workers, keys=keys,
                       servers="".join(f"server = {s}\n" for s in lines))


def weighted(addrs, weights):
    return [f"{a} weight={w}" for a, w in zip(addrs, weights)]


# --- by turns ---

def test_turns_are_exact(sluice):
    """Four workers, one schedule."""
    addrs = servers(sluice, 3)
    s = sluice(conf(weighted(addrs, (5, 3, 1)), "balance = round_robin"))
    got = counts(s.port, 10000)
    assert [got[a] for a in addrs] == prefix((5, 3, 1), 10000) == \
        [5556, 3333, 1111]
    # more of them go on where these ended
    got += counts(s.port, 7)
    assert [got[a] for a in addrs] == prefix((5, 3, 1), 10007)


def test_turns_with_a_worker_killed(sluice):
    """10,000 requests, a worker killed half way: what is missing of the
    schedule's prefix was in flight in that worker, and nothing else."""
    weights, n = (5, 3, 1), 10000
    addrs = servers(sluice, 3)
    s = sluice(conf(weighted(addrs, weights), "balance = round_robin"))
    with Load(s.port, conns=12) as load:
        load.wait(n // 2)
        s.kill("worker 2")
        # those that the worker had are failures: no reason to end
        net.until("all of them", lambda: load.done >= n, 6 * net.WAIT)
    s.wait_role("worker 2")
    s.stop()
    records = [r for r in s.log() if "target" in r]
    lost = sum(r.get("fail") == "worker_lost" for r in records)
    done = collections.Counter(r["server"] for r in records
                               if r.get("fail") != "worker_lost")
    done = [done[a] for a in addrs]
    assert sum(done) >= n and lost <= 12
    # some of those in flight had drawn no ticket yet
    assert any(all(0 <= t - d for t, d in zip(prefix(weights, drawn), done))
               for drawn in range(sum(done), sum(done) + lost + 1)), \
        (done, lost)


@pytest.mark.parametrize("word", ["round_robin", "two_choices",
                                  "least_conn", "random", "hash"])
def test_weight_by_reload(sluice, word):
    """A new weight is every worker's at once; with 0 there is nothing."""
    addrs = servers(sluice, 2)
    s = sluice(conf(weighted(addrs, (1, 0)), f"balance = {word}"))
    assert counts(s.port, 200) == {addrs[0]: 200}
    s.reload(conf(weighted(addrs, (0, 1)), f"balance = {word}"))
    assert counts(s.port, 200) == {addrs[1]: 200}


# --- by chance ---

@pytest.mark.parametrize("word", ["two_choices", "random", ""])
def test_shares(sluice, word):
    """One request at a time: by weight alone."""
    addrs = servers(sluice, 3)
    s = sluice(conf(weighted(addrs, (5, 3, 1)),
                    f"balance = {word}" if word else ""))
    if not word:
        up, = s.ctl_json("upstreams", "app")["upstreams"]
        assert up["balance"] == "two_choices"
    got = counts(s.port, 3000, conns=1)
    for a, w in zip(addrs, (5, 3, 1)):
        assert is_share(got[a], 3000, w / 9), got


# --- by what is under way ---

class Held:
    """Servers that keep who asks for /hold until they are told."""

    def __init__(self, peer, n):
        self.go = threading.Event()
        self.peers = [peer(default=self.step) for _ in range(n)]
        self.addrs = [p.addr for p in self.peers]
        self.clients = []

    def step(self, conn, req):
        name = "127.0.0.1:%d" % conn.sock.getsockname()[1]
        if req.target.startswith("/hold"):
            return hold(self.go, respond(body=name.encode()))(conn, req)
        return respond(body=name.encode())(conn, req)

    def count(self):
        return [sum(r.target.startswith("/hold") for r in p.requests)
                for p in self.peers]

    def ask(self, port, target="/hold"):
        """One more that is under way when this returns."""
        n = sum(self.count())
        c = http.Client(port)
        c.send(http.request("GET", target))
        self.clients.append(c)
        deadline = net.Deadline("a request at a server")
        while sum(self.count()) == n:
            deadline.left()
            threading.Event().wait(0.002)

    def release(self):
        self.go.set()
        for c in self.clients:
            assert c.response().status == 200
            c.close()


@pytest.fixture
def held(peer):
    made = []

    def make(n):
        made.append(Held(peer, n))
        return made[-1]

    yield make
    for h in made:
        h.go.set()
        for c in h.clients:
            c.close()


def test_least_conn_over_workers(sluice, held):
    """Each further request goes to whoever has least, whichever worker."""
    h = held(3)
    s = sluice(conf(h.addrs, "balance = least_conn"))
    for i in range(24):
        h.ask(s.port)
        assert sorted(h.count()) == sorted(
            i // 3 + (k < i % 3 + 1) for k in range(3))
    h.release()


@pytest.mark.h1
def test_least_conn_finds_the_idle(sluice, held):
    h = held(4)
    s = sluice(conf(h.addrs, "balance = least_conn"))
    for _ in range(3):
        h.ask(s.port)
    idle = h.addrs[h.count().index(0)]
    # one may begin before another worker has counted the end of the last
    got = sum((counts(s.port, 20, conns=1) for _ in range(12)),
              collections.Counter())
    assert got[idle] >= 240 - 12, got
    h.release()


def test_least_conn_by_weight(sluice, held):
    h = held(2)
    s = sluice(conf(weighted(h.addrs, (3, 1)), "balance = least_conn"))
    for _ in range(16):
        h.ask(s.port)
    assert h.count() == [12, 4]
    h.release()


@pytest.mark.h1
def test_two_choices_avoid_the_busy(sluice, held):
    """Of three the one with most to do is never the better of two."""
    h = held(3)
    s = sluice(conf(h.addrs))
    while len(set(h.count())) != 3:
        h.ask(s.port)
    most = h.count().index(max(h.count()))
    got = sum((counts(s.port, 20, conns=1) for _ in range(12)),
              collections.Counter())
    assert got[h.addrs[most]] <= 12, got
    h.release()


@pytest.mark.h1
def test_websockets_are_under_way(sluice, peer):
    """As long as they last, not only until they are upgraded."""
    apps = [peer(default=ws.echoes()) for _ in range(3)]
    s = sluice(conf([a.addr for a in apps], "balance = least_conn"))
    with contextlib.ExitStack() as stack:
        for i in range(6):
            c = stack.enter_context(ws.Socket(s.port, "/chat"))
            c.echo(b"x")
            assert sorted(len(a.requests) for a in apps) == sorted(
                i // 3 + (k < i % 3 + 1) for k in range(3))


# --- backups ---

def test_backup_waits(sluice):
    addrs = servers(sluice, 3)
    s = sluice(conf([addrs[0], addrs[1], f"{addrs[2]} backup"]))
    got = counts(s.port, 500)
    assert set(got) == set(addrs[:2])
    # whoever is no backup has gone from the file
    s.reload(conf([f"{addrs[2]} backup"]))
    assert counts(s.port, 100) == {addrs[2]: 100}


def test_next_server(sluice):
    """A dead server's requests go to others, by every balancer."""
    addrs = servers(sluice, 2)
    dead = f"127.0.0.1:{net.free_port()}"
    for word in ("two_choices", "round_robin", "least_conn", "random",
                 "hash"):
        s = sluice(conf(addrs + [dead], f"balance = {word}"))
        assert sum(counts(s.port, 60).values()) == 60
        s.stop()

"""What probes make of servers: counts, speeds, all workers at once, and
what a reload or the death of a process leaves."""
import contextlib
import itertools
import signal
import subprocess
import sys
import time

import pytest

from lib import dns, http, net
from lib.board import Rows
from lib.load import Load
from lib.peer import Peer, respond
from lib.watch import (Health, conf, line, servers, stamp, wait_change,
                       wait_until)

FAST = "health.path = /health\nhealth.interval = 100ms\n" \
    "health.timeout = 400ms\nhealth.fall = 2\nslow_start = 0\n"


STATE = 8               # offset in a row of server_live
EPOCH = 56              # and of upstream_live


@pytest.mark.parametrize("also", [False, True])
def test_dies_half_way(sluice, peer, also):
    """A state was ended, and who ended it died before he told of it: the
    server is asked again all the same, also if that was health."""
    a, b = peer(), peer()
    s = sluice(conf(a.addr, b.addr, keys="slow_start = 0"))

    def asked(n):
        before = len(b.requests)
        for _ in range(10):
            assert http.get(s.port, "/").status == 200
        return len(b.requests) - before == n

    assert asked(5)
    s.ctl("server", "down", "app", b.addr)
    wait_until("nobody asks it", lambda: asked(0))
    with contextlib.closing(Rows(s, "server_live")) as rows:
        if also:
            pid = s.kill("health")
        rows.put(1, STATE, int(time.time() * 1000))
    if also:
        s.wait_role("health", pid)
    wait_until("workers see it", lambda: asked(5))


def test_told_once(sluice, peer):
    """Workers look again once for each change, whoever made it: health,
    which looks for what was not told, finds that these were."""
    well, ill = Health(), Health()
    a, b = peer(default=well), peer(default=ill)
    s = sluice(conf(a.addr, b.addr, keys=FAST))
    well.wait_probes(1)
    with contextlib.closing(Rows(s, "upstream_live")) as rows:
        before = rows.get(0, EPOCH)

        def moved():
            well.wait_probes(5)     # of which health makes one in 100 ms
            return rows.get(0, EPOCH) - before

        assert moved() == 0
        s.ctl("server", "drain", "app", a.addr)
        assert moved() == 1
        ill.ok = False
        wait_change(s, b.addr, "up", "down", "probe_status")
        assert moved() == 2
        ill.ok = True
        wait_change(s, b.addr, "down", "up")
        assert moved() == 3


def test_counts(sluice, peer):
    """Down with the third failure in a row, up with the second success:
    each probe sees what the one before made of it."""
    answers = itertools.chain([1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1],
                              itertools.repeat(1))
    seen = []

    def step(conn, req):
        seen.append(servers(s)[app.addr]["state"])
        return respond(status=200 if next(answers) else 500)(conn, req)

    s = sluice(start=False)
    app = peer(default=step)
    s.start(conf(app.addr, keys="health.path = /health\n"
                 "health.interval = 100ms\nslow_start = 0\n"))
    app.wait_requests(15, 30 * net.SCALE)
    assert seen[:14] == ["up"] * 8 + ["down"] * 4 + ["up"] * 2
    assert servers(s)[app.addr]["probe"]["changes"] == 2


def test_speeds(sluice, peer):
    """Healthy, in transition, down: by the clock of the server."""
    def well(conn, req):        # but for the third, fourth and fifth
        return respond(status=500 if 3 <= len(health.probed) <= 5 else 200)(
            conn, req)

    health = Health(well)
    app = peer(default=health)
    s = sluice(conf(app.addr, keys="health.path = /health\n"
                    "health.interval = 1600ms\nhealth.fall = 2\n"
                    "slow_start = 0"))
    wait_change(s, app.addr, "up", "down", "probe_status")
    wait_change(s, app.addr, "down", "up")
    wait_until("eight probes", lambda: len(health.probed) >= 8)
    t = health.probed
    gaps = [b - a for a, b in zip(t, t[1:])]
    want = [1.6, 1.6, 1.0, 3.2, 3.2, 1.0, 1.6]
    for got, ms in zip(gaps, want):
        assert 0.89 * ms <= got <= 1.11 * ms + 0.3 * net.SCALE, (gaps, want)


def test_first_probe(sluice, peer):
    """Within a second of the start, spread, and all are up until then."""
    all = [peer(default=Health()) for _ in range(20)]
    s = sluice(conf(*[p.addr for p in all], keys="health.path = /health"))
    up = time.time()
    assert {v["state"] for v in servers(s).values()} == {"up"}
    assert s.ctl("upstreams").returncode == 0
    for p in all:
        p.wait_requests(1)
    first = sorted(p.default.probed[0] for p in all)
    assert first[-1] < up + 1 + 0.2 * net.SCALE
    assert first[-1] - first[0] > 0.3
    assert not [r for r in s.log() if "slow_start" in r.get("msg", "")]


def test_all_workers_at_once(sluice, peer):
    """No worker asks a server that is down, each asks one that is back."""
    health = [Health(), Health()]
    a, b = [peer(default=h) for h in health]
    s = sluice(conf(a.addr, b.addr, keys=FAST, workers=4))
    with Load(s.port, "/x", conns=16, per_conn=5) as load:
        load.wait(400)
        health[1].ok = False
        wait_change(s, b.addr, "up", "down", "probe_status")
        down = servers(s)[b.addr]["since_ms"] / 1000
        load.wait(600)
        health[1].ok = True
        wait_change(s, b.addr, "down", "up")
        up = servers(s)[b.addr]["since_ms"] / 1000
        load.wait(800)
    assert not load.failures
    # the server tells when its thread came to it, the records when they began
    slack = 0.03 * net.SCALE
    late = [t for t in health[1].asked if down + 4 * slack < t < up]
    assert not late, (down, up, late)
    s.stop()
    records = [r for r in s.log() if r.get("target") == "/x"]
    after = [r for r in records if r["server"] == b.addr and
             stamp(r) > up]
    assert {r["worker"] for r in after} == {1, 2, 3, 4}
    # before, none of those that began while it was down
    assert not [r for r in records if r["server"] == b.addr and
                down + slack < stamp(r) < up - slack]


SERVER = """
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\\n")
    def log_message(self, *a):
        pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H)
print("ready", flush=True)
s.serve_forever()
"""


@contextlib.contextmanager
def process(port):
    p = subprocess.Popen([sys.executable, "-c", SERVER, str(port)],
                         stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert p.stdout.readline() == b"ready\n"
        yield p
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def test_frozen(sluice):
    """A process that is stopped accepts connections and says nothing."""
    port = net.free_port()
    addr = f"127.0.0.1:{port}"
    with process(port) as p:
        s = sluice(conf(addr, keys=FAST))
        wait_until("a probe", lambda: servers(s)[addr]["probe"]["probes"])
        p.send_signal(signal.SIGSTOP)
        wait_change(s, addr, "up", "down", "first_byte_timeout")
        p.send_signal(signal.SIGCONT)
        wait_change(s, addr, "down", "up")
        assert http.get(s.port, "/").status == 200
        p.kill()
        p.wait()
        wait_change(s, addr, "up", "down", "dial_refused")


def test_all_down(sluice, peer):
    """Nobody is asked then, and all is well again later."""
    health = Health()
    app = peer(default=health)
    s = sluice(conf(app.addr, keys=FAST))
    health.ok = False
    wait_change(s, app.addr, "up", "down")
    assert http.get(s.port, "/x").status == 503 and not health.asked
    health.ok = True
    wait_change(s, app.addr, "down", "up")
    assert http.get(s.port, "/x").status == 200


def test_reload(sluice, peer):
    """What does not change goes on as it was; what does begins anew."""
    health = Health(), Health()
    a, b = [peer(default=h) for h in health]
    s = sluice(conf(a.addr, b.addr, keys=FAST))
    health[1].ok = False
    wait_change(s, b.addr, "up", "down")
    before = servers(s)[b.addr]
    for n in range(3):
        s.reload(conf(a.addr, b.addr, keys=FAST + f"pool.size = {n}"))
        now = servers(s)[b.addr]
        assert now["state"] == "down"
        assert now["since_ms"] == before["since_ms"]
        assert now["probe"]["probes"] >= before["probe"]["probes"]
        assert now["probe"]["changes"] == 1
    assert servers(s)[a.addr]["state"] == "up"
    # other settings: it is still down, and its counts in a row begin anew
    s.reload(conf(a.addr, b.addr, keys=FAST + "health.expect = 200-599"))
    assert servers(s)[b.addr]["probe"]["changes"] in (1, 2)
    wait_change(s, b.addr, "down", "up")
    health[1].wait_probes(3)
    assert servers(s)[b.addr]["state"] == "up"
    # without probes nobody is down
    s.reload(conf(a.addr, b.addr, keys=FAST))
    wait_change(s, b.addr, "up", "down", count=2)
    s.reload(conf(a.addr, b.addr))
    wait_change(s, b.addr, "down", "up", count=2)
    n = len(health[0].probed)
    assert {v["probe"] for v in servers(s).values()} == {None}
    assert http.get(s.port, "/x").status == 200
    assert len(health[0].probed) == n


def test_reload_adds(sluice, peer):
    """Servers that come are probed, those that go are not any more."""
    health = Health(), Health()
    a, b = [peer(default=h) for h in health]
    s = sluice(conf(a.addr, keys=FAST))
    health[0].wait_probes(1)
    s.reload(conf(b.addr, keys=FAST))
    health[1].wait_probes(2)
    n = len(health[0].probed)
    health[1].wait_probes(5)
    assert len(health[0].probed) <= n + 1


def test_health_dies(sluice, peer):
    """States stay, counts go on, and so do probes."""
    health = Health(), Health()
    a, b = [peer(default=h) for h in health]
    s = sluice(conf(a.addr, b.addr, keys=FAST))
    health[1].ok = False
    wait_change(s, b.addr, "up", "down")
    before = servers(s)[b.addr]
    pid = s.kill("health")
    got = servers(s)
    assert got[b.addr]["state"] == "down" and got[a.addr]["state"] == "up"
    s.wait_role("health", pid)
    health[0].wait_probes(2)
    health[1].wait_probes(2)
    now = servers(s)
    assert now[b.addr]["since_ms"] == before["since_ms"]
    assert now[b.addr]["probe"]["probes"] >= before["probe"]["probes"]
    assert now[b.addr]["probe"]["changes"] == 1
    health[1].ok = True
    wait_change(s, b.addr, "down", "up")
    assert len(s.wait_log(line(b.addr, "up", "down"))) == 1


def test_worker_dies(sluice, peer):
    """A worker that comes knows at once who is down."""
    health = Health(), Health()
    a, b = [peer(default=h) for h in health]
    s = sluice(conf(a.addr, b.addr, keys=FAST, workers=1))
    health[1].ok = False
    wait_change(s, b.addr, "up", "down")
    pid = s.kill("worker 1")
    s.wait_role("worker 1", pid)
    n = len(health[1].asked)
    for _ in range(20):
        assert http.get(s.port, "/x").status == 200
    assert len(health[1].asked) == n


@pytest.mark.parametrize("records", [1, 2])
def test_names(sluice, records):
    """Each address of a name is probed, also one that comes later."""
    port, hosts = net.free_port(), ["127.0.0.2", "127.0.0.3"]
    health = Health(), Health()
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(host=h, port=port, default=d))
                 for h, d in zip(hosts, health)]
        zone = {("app.test", dns.A): hosts[:records],
                ("app.test", dns.AAAA): []}
        d = stack.enter_context(dns.Scripted(zone))
        s = sluice(conf(f"app.test:{port}", keys=FAST,
                        top=f"resolver = {d.addr}"))
        health[0].wait_probes(1)
        assert peers[0].requests[0].get("host") == f"app.test:{port}"
        d.zone[("app.test", dns.A)] = hosts
        health[1].wait_probes(2)
        assert servers(s)[peers[1].addr]["probe"]["type"] == "http"
        health[1].ok = False
        wait_change(s, peers[1].addr, "up", "down", "probe_status")
        n = len(health[1].asked)
        for _ in range(10):
            assert http.get(s.port, "/x").status == 200
        assert len(health[1].asked) == n
        # the address goes: nobody asks it any more
        d.zone[("app.test", dns.A)] = hosts[:1]
        wait_until("one address", lambda: peers[1].addr not in
                   [a for a, v in servers(s).items()
                    if v["state"] != "removed"], 20 * net.SCALE)
        health[0].wait_probes(2)
        n = len(health[1].probed)
        health[0].wait_probes(5)
        assert len(health[1].probed) <= n + 1
        s.stop()


def test_exhausted(sluice, peer):
    """No descriptor here says nothing of the servers."""
    app = peer(default=Health())
    s = sluice(conf(app.addr, keys=FAST), env={"SLUICE_FAULT": "probe_full"})
    s.wait_log("probes: none can begin: Too many open files")
    got = servers(s)[app.addr]
    assert got["state"] == "up" and got["probe"]["probes"] == 0
    assert http.get(s.port, "/x").status == 200

"""Slow start: who is led in, who is not, and how its share grows."""
import contextlib
import time

import pytest

from lib import dns, http, net
from lib.load import Load
from lib.peer import Peer, respond
from lib.watch import Health, conf, servers, wait_change, wait_until

KEYS = "health.path = /health\nhealth.interval = 100ms\nhealth.fall = 2\n" \
    "balance = round_robin\n"


def shares(a, b, begin, end, parts):
    """b's share of the requests in each part of that time."""
    out = []
    for i in range(parts):
        lo = begin + (end - begin) * i / parts
        hi = begin + (end - begin) * (i + 1) / parts
        na, nb = [sum(lo <= t < hi for t in h.asked) for h in (a, b)]
        assert na + nb >= 20, "too few requests to tell"
        out.append(nb / (na + nb))
    return out


def test_share_grows(sluice, peer):
    """From an eleventh to half of two servers' requests."""
    a, b = Health(), Health()
    pa, pb = peer(default=a), peer(default=b)
    s = sluice(conf(pa.addr, pb.addr, keys=KEYS + "slow_start = 4s"))
    b.ok = False
    wait_change(s, pb.addr, "up", "down")
    with Load(s.port, "/x", conns=4) as load:
        load.wait(50)
        b.ok = True
        wait_change(s, pb.addr, "down", "slow_start")
        begin = time.time()
        assert servers(s)[pb.addr]["share"] <= 200
        wait_change(s, pb.addr, "slow_start", "up")
        end = time.time()
        load.wait(200)
    assert not load.failures
    assert 3.8 <= end - begin <= 4.3 * net.SCALE
    got = shares(a, b, begin, end, 4)
    assert got == sorted(got) and got[0] < 0.25 and got[3] > 0.42, got
    assert servers(s)[pb.addr]["share"] == 1000


def test_not_at_start(sluice, peer):
    """Nor a new upstream's servers, nor one whose settings change."""
    a, b = peer(default=Health()), peer(default=Health())
    s = sluice(conf(a.addr, keys=KEYS))
    http.get(s.port, "/x")
    s.reload(conf(a.addr, keys=KEYS + "pool.size = 3"))
    s.reload(conf(a.addr, keys=KEYS).replace("upstream app", "upstream two")
             .replace("upstream = app", "upstream = two"))
    s.kill("health")
    s.wait_role("health")
    a.default.wait_probes(2)
    assert not [r for r in s.log() if "slow_start" in r.get("msg", "")]
    # one that joins it
    s.reload(conf(a.addr, b.addr, keys=KEYS + "slow_start = 1s").replace(
        "upstream app", "upstream two").replace("upstream = app",
                                                "upstream = two"))
    s.wait_log(r'of \\"two\\": up -> slow_start')
    s.wait_log(r'of \\"two\\": slow_start -> up')
    told = [r for r in s.log() if "slow_start" in r.get("msg", "")]
    assert len(told) == 2 and all(b.addr in r["msg"] for r in told)


def test_joins_slowly(sluice, peer):
    """From the first request on."""
    a, b = peer(), peer()
    s = sluice(conf(a.addr, workers=1, keys="balance = round_robin"))
    s.reload(conf(a.addr, b.addr, workers=1, keys="balance = round_robin"))
    for _ in range(33):
        assert http.get(s.port, "/x").status == 200
    assert len(b.requests) <= 33 / 11 + 1
    assert servers(s)[b.addr]["state"] == "slow_start"


def test_refused_reload(sluice, peer):
    """A server of a generation that never came is none of ours."""
    a = peer()
    s = sluice(conf(a.addr))
    s.write("[upstream app]\nserver = x\nnonsense = 1\n")
    s.reload()
    assert list(servers(s)) == [a.addr]
    assert servers(s)[a.addr]["state"] == "up"


def test_off(sluice, peer):
    a, b = Health(), Health()
    pa, pb = peer(default=a), peer(default=b)
    s = sluice(conf(pa.addr, pb.addr, keys=KEYS + "slow_start = 0"))
    b.ok = False
    wait_change(s, pb.addr, "up", "down")
    b.ok = True
    wait_change(s, pb.addr, "down", "up")
    # turned off while it runs
    s.reload(conf(pa.addr, pb.addr, keys=KEYS + "slow_start = 1h"))
    b.ok = False
    wait_change(s, pb.addr, "up", "down", count=2)
    b.ok = True
    wait_change(s, pb.addr, "down", "slow_start")
    s.reload(conf(pa.addr, pb.addr, keys=KEYS + "slow_start = 0"))
    wait_change(s, pb.addr, "slow_start", "up")


def test_ejection(sluice, peer):
    """What was ejected comes back slowly too."""
    good, bad = peer(), peer([respond(status=500)] * 5)
    s = sluice(conf(good.addr, bad.addr,
                    keys="outlier.time = 1s\nslow_start = 1s"))
    for _ in range(12):
        http.get(s.port, "/x")
    wait_change(s, bad.addr, "up", "ejected")
    wait_change(s, bad.addr, "ejected", "slow_start")
    wait_change(s, bad.addr, "slow_start", "up")


def test_names_at_the_start(sluice, peer):
    """Who has no answer yet when the others are there joins nobody."""
    a, port = peer(), net.free_port()
    with Peer(host="127.0.0.2", port=port) as b, dns.Scripted(
            {("app.test", dns.A): None, ("app.test", dns.AAAA): []}) as d:
        s = sluice(conf(a.addr, f"app.test:{port}", keys=KEYS,
                        top=f"resolver = {d.addr}"))
        assert http.get(s.port, "/x").status == 200
        d.zone[("app.test", dns.A)] = ["127.0.0.2"]
        wait_until("the name", lambda: b.addr in servers(s))
        assert {x["state"] for x in servers(s).values()} == {"up"}
        assert not [r for r in s.log() if "slow_start" in r.get("msg", "")]
        s.stop()


@pytest.mark.parametrize("health", [True, False])
def test_names(sluice, health):
    """An address that joins others; the first ones do not."""
    port, hosts = net.free_port(), ["127.0.0.2", "127.0.0.3"]
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(host=h, port=port))
                 for h in hosts]
        d = stack.enter_context(dns.Scripted(
            {("app.test", dns.A): hosts[:1], ("app.test", dns.AAAA): []}))
        s = sluice(conf(f"app.test:{port}", top=f"resolver = {d.addr}",
                        keys=KEYS if health else "slow_start = 2s"))
        assert http.get(s.port, "/x").status == 200
        d.zone[("app.test", dns.A)] = hosts
        wait_change(s, peers[1].addr, "up", "slow_start")
        assert servers(s)[peers[0].addr]["state"] == "up"
        if health:      # while it lasts the death of a process is nothing
            pid = s.kill("health")
            s.wait_role("health", pid)
            before = servers(s)[peers[1].addr]["since_ms"]
            wait_until("more of it", lambda: servers(s)[peers[1].addr]
                       ["share"] > 100)
            assert servers(s)[peers[1].addr]["since_ms"] == before
        else:
            wait_change(s, peers[1].addr, "slow_start", "up")
        s.stop()

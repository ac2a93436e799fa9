"""What sluicectl explain says of the choice among servers, and the
statistics of GET /v1/upstreams and /balancer/status: the same as workers
do."""
import json
import threading

import pytest

from lib import http, net
from lib.cmd import run
from lib.peer import hold, reset_now, respond

CONF = """
[sluice]
workers = 2
stop = 1s
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
balance = {balance}
{servers}
{keys}
[route app]
path = /*
upstream = app
"""


def conf(*servers, balance="round_robin", keys=""):
    lines = "\n".join(f"server = {x}" for x in servers)
    return CONF.format(balance=balance, servers=lines, keys=keys)


def pick(s):
    return s.ctl_json("explain", f"http://a:{s.port}/")["upstream"]


def upstream(s, name="app"):
    up, = s.ctl_json("upstreams", name)["upstreams"]
    return up


def last_asked(s, *peers):
    before = [len(p.requests) for p in peers]
    assert http.get(s.port, "/").status == 200
    got, = [p for p, b in zip(peers, before) if len(p.requests) > b]
    return got


def test_round_robin_tells_the_next(sluice, peer):
    """Over a whole schedule with weights, and when one is drained."""
    a, b, c = peer(), peer(), peer()
    s = sluice(conf(f"{a.addr} weight=5", f"{b.addr} weight=3", c.addr))
    for _ in range(18):
        up = pick(s)
        assert up["rule"] == "the next turn of the schedule"
        assert up["tier"] == "main" and up["passed_over"] == []
        assert last_asked(s, a, b, c).addr == up["next"]
    assert [x["weight"] for x in up["candidates"]] == [5, 3, 1]
    s.ctl("server", "drain", "app", a.addr)
    for _ in range(8):
        up = pick(s)
        assert up["passed_over"] == [{"server": a.addr, "why": "drain"}]
        assert last_asked(s, b, c).addr == up["next"]


@pytest.mark.parametrize("balance", ["least_conn", "two_choices"])
def test_less_busy(sluice, peer, balance):
    a, b = peer(), peer()
    s = sluice(conf(a.addr, b.addr, balance=balance))
    assert pick(s)["next"] is None      # both are idle
    let = threading.Event()
    a.default = b.default = hold(let)
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/"))
        deadline = net.Deadline("a request at a server")
        while not a.requests and not b.requests:
            assert deadline.left() > 0
            net.wait_fd(None, 0.01)
        busy, idle = (a, b) if a.requests else (b, a)
        up = pick(s)
        assert up["next"] == idle.addr
        active = {x["server"]: x["active"] for x in up["candidates"]}
        assert active == {busy.addr: 1, idle.addr: 0}
        let.set()
        assert c.response().status == 200


def test_why_not(sluice, peer):
    """Backups, weights, breakers: all that are passed over have a why."""
    a, b, c, d = peer(), peer(default=respond(500)), peer(), peer()
    s = sluice(conf(a.addr, b.addr, f"{c.addr} backup", f"{d.addr} weight=0",
                    keys="breaker.failures = 1\nbreaker.open = 1m"))
    while not b.requests:
        http.get(s.port, "/")
    up = pick(s)
    assert up["next"] == a.addr and up["rule"] == "the only one"
    assert {x["server"]: x["why"] for x in up["passed_over"]} == {
        b.addr: "open", c.addr: "a backup", d.addr: "its weight is 0"}
    s.ctl("server", "down", "app", a.addr)
    up = pick(s)
    assert (up["tier"], up["next"]) == ("backup", c.addr)
    s.ctl("server", "down", "app", c.addr)
    up = pick(s)
    assert (up["tier"], up["next"]) == ("empty", None)
    text = s.ctl("explain", f"http://a:{s.port}/").stdout
    assert f"{a.addr} (maintenance)" in text
    assert "choice    nobody may be asked" in text
    assert http.get(s.port, "/").status == 503


def test_probe_is_next(sluice, peer):
    """A breaker whose time is over goes before the balancer's choice."""
    a, b = peer(), peer(default=respond(500))
    s = sluice(conf(a.addr, b.addr,
                    keys="breaker.failures = 1\nbreaker.open = 50ms"))
    while not b.requests:
        http.get(s.port, "/")
    deadline = net.Deadline("the end of the breaker's time")
    while pick(s)["next"] != b.addr:
        assert deadline.left() > 0
        net.wait_fd(None, 0.01)
    assert pick(s)["rule"] == "its breaker is to be probed"
    b.default = respond()
    assert last_asked(s, a, b) is b


def test_offline(sluice, peer):
    a = peer()
    s = sluice(conf(a.addr, "127.0.0.1:9"))
    off = json.loads(run("sluicectl", "-o", "json", "explain", "--config",
                         s.conf_path, "http://a/").stdout)["upstream"]
    assert off["next"] is None and "candidates" not in off
    assert "nothing runs" in off["rule"]


def test_statistics(sluice, peer):
    a, b = peer(), peer(default=respond(500))
    dead = f"127.0.0.1:{net.free_port()}"
    s = sluice(conf(f"{a.addr} weight=2", b.addr, f"{dead} backup",
                    keys="breaker.failures = 3"))
    for _ in range(12):
        http.get(s.port, "/")
    up = upstream(s)
    assert (up["tier"], up["usable"], up["open"]) == ("main", 1, 1)
    assert up["failures"] == {"server_error": 3}
    rows = {r["address"]: r for r in up["servers"]}
    assert rows[a.addr]["passed_over"] is None
    assert rows[a.addr]["weight_now"] == 2.0
    assert rows[a.addr]["attempts"] + rows[b.addr]["attempts"] == 12
    got = rows[b.addr]["breaker"]
    assert (got["state"], got["opened"], got["probes"]) == ("open", 1, 0)
    assert 0 < got["turn_in_ms"] <= 5000
    assert rows[b.addr]["passed_over"] == "open"
    assert rows[b.addr]["failures"] == rows[b.addr]["attempts"] == 3
    assert rows[dead]["backup"] and rows[dead]["passed_over"] == "a backup"
    s.ctl("server", "down", "app", a.addr)
    assert http.get(s.port, "/").status == 502
    up = upstream(s)
    assert up["tier"] == "backup"
    assert up["failures"] == {"server_error": 3, "dial_refused": 1}
    text = s.ctl("upstreams").stdout
    assert "1 of 3 usable (backup)" in text
    assert "failures: dial_refused 1, server_error 3" in text
    row, = [ln for ln in text.split("\n") if b.addr in ln and "left" in ln]
    assert row.split()[1:4] == ["1", "-", "open"]


def test_retries(sluice, peer):
    """What an upstream's retries came to, wherever it is told."""
    bad = [peer(default=reset_now()) for _ in range(2)]
    s = sluice(conf(*[b.addr for b in bad],
                    keys="outlier = off\nretry.budget = 0\n"
                    "retry.floor = 1\nretry.backoff = 0\n") +
               "[upstream other]\nserver = 127.0.0.1:9\n")
    for _ in range(20):
        http.get(s.port, "/")
    asked = sum(len(b.requests) for b in bad)
    made, refused = asked - 20, 40 - asked
    assert 10 <= made < 20
    assert upstream(s)["retries"] == {
        "requests": 20, "made": made, "refused": refused, "cut": 0,
        "replays": 0, "left": 0}
    assert upstream(s, "other")["retries"] == {
        "requests": 0, "made": 0, "refused": 0, "cut": 0,
        "replays": 0, "left": 30}
    assert f"  retries: {made} for 20 requests, {refused} refused, 0 cut, " \
        "0 left\n" in s.ctl("upstreams").stdout
    told = json.loads(http.get(s.port, "/balancer/status").body)
    app, = told["upstreams"]
    assert (app["retries"], app["retries_refused"],
            app["attempts_cut"]) == (made, refused, 0)
    assert told["upstream_retries_total"] == made
    sums = s.ctl_json("status")["sums"]
    assert sums["upstream_retries_total"] == made
    assert sums["upstream_retries_refused_total"] == refused
    # a worker that is gone takes none of it with it
    s.wait_role("worker 1", s.kill("worker 1"))
    s.wait_role("worker 2", s.kill("worker 2"))
    now = upstream(s)["retries"]
    assert now["made"] == made and now["requests"] == 20


def test_component(sluice, peer):
    """/balancer: 503 while an upstream in use has nobody to ask."""
    a, b = peer(), peer()
    s = sluice(conf(a.addr, b.addr))
    assert http.get(s.port, "/balancer/health").status == 200
    for p in (a, b):
        assert http.get(s.port, "/balancer/health").status == 200
        s.ctl("server", "down", "app", p.addr)
    assert http.get(s.port, "/balancer/health").status == 503
    r = http.get(s.port, "/balancer/status")
    told = json.loads(r.body)
    assert r.status == 200 and told["status"] == "failed"
    assert told["upstreams"] == [
        {"name": "app", "balance": "round_robin", "tier": "empty",
         "servers": 2, "usable": 0, "open": 0, "retries": 0,
         "retries_refused": 0, "attempts_cut": 0}]
    assert told["breaker_opened_total"] == 0
    assert told["upstream_attempts_total"] == 0
    s.ctl("server", "up", "app", a.addr)
    assert http.get(s.port, "/balancer/health").status == 200
    # an upstream that no route uses is missed by nobody
    s.reload(conf(a.addr) + "[upstream idle]\nserver = 127.0.0.1:9\n")
    s.ctl("server", "down", "idle", "127.0.0.1:9")
    assert http.get(s.port, "/balancer/health").status == 200


def test_keys_of_a_route(sluice, peer):
    """A route with servers of its own has its breaker."""
    a = peer(default=respond(500))
    s = sluice(f"""
[sluice]
workers = 2
stop = 1s
[listener web]
bind = 127.0.0.1:@port@
[route app]
path = /*
target = {a.addr}
breaker.failures = 2
""")
    assert [http.get(s.port, "/").status for _ in range(4)] == [
        500, 500, 503, 503]
    assert upstream(s, "@app")["servers"][0]["breaker"]["state"] == "open"

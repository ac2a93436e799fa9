"""sluicectl upstreams: what all workers have of each server."""
import signal
import threading

import pytest

from lib import http, net, ws
from lib.peer import delay, hold, respond
from lib.watch import wait_until

CONF = """
[sluice]
workers = {workers}
stop = 1s
[listener web]
bind = 127.0.0.1:@port@
"""


def conf(workers, **ups):
    out = CONF.format(workers=workers)
    for name, servers in ups.items():
        lines = "".join(f"server = {s}\n" for s in servers)
        out += f"[upstream {name}]\nbalance = round_robin\n{lines}" \
            f"[route {name}]\npath = /{name}/*\nupstream = {name}\n"
    return out


def servers(s, name):
    up, = s.ctl_json("upstreams", name)["upstreams"]
    assert up["name"] == name
    return {v["address"]: v for v in up["servers"]}


def wait_conns(s, name, addr, **want):
    """Waits until the server's connections are counted as wanted."""
    deadline = net.Deadline(f"connections {want}")
    while True:
        got = servers(s, name)[addr]["connections"]
        if all(got[k] == v for k, v in want.items()):
            return got
        assert deadline.left() > 0, got
        net.wait_fd(None, 0.02)     # nothing tells of a count


def test_counts(sluice, peer):
    app = peer()
    dead = f"127.0.0.1:{net.free_port()}"
    s = sluice(conf(2, app=[app.addr, dead], idle=[app.addr]))
    for _ in range(20):
        assert http.get(s.port, "/app/").status == 200
    all = servers(s, "app")
    good, bad = all[app.addr], all[dead]
    assert good["state"] == "up" and good["why"] is None
    assert good["attempts"] == 20 and good["failures"] == 0
    assert good["last_failure"] is None
    t = good["first_byte"]
    assert t["count"] == 20 == sum(b["count"] for b in t["buckets"])
    assert 0 < t["p50_us"] <= t["p90_us"] <= t["p99_us"]
    assert t["lately_us"] > 0 and t["sum_us"] >= 20
    assert bad["attempts"] == bad["failures"] > 0
    assert bad["last_failure"]["fail"] == "dial_refused"
    assert bad["connections"] == {"open": 0, "idle": 0, "active": 0}
    assert bad["first_byte"]["count"] == 0
    now = s.ctl_json("upstreams")["now_ms"]
    assert good["since_ms"] <= bad["last_failure"]["ms"] <= now
    # the same server of another upstream counts by itself
    assert servers(s, "idle")[app.addr]["attempts"] == 0
    names = [u["name"] for u in s.ctl_json("upstreams")["upstreams"]]
    assert sorted(names) == ["app", "idle"]


def test_text(sluice, peer):
    app = peer()
    dead = f"127.0.0.1:{net.free_port()}"
    s = sluice(conf(1, app=[app.addr], bad=[dead]))
    http.get(s.port, "/app/")
    http.get(s.port, "/bad/")
    text = s.ctl("upstreams").stdout
    assert text.startswith("2 of 2 servers up in 2 upstreams\n")
    row, = [ln.split() for ln in text.split("\n") if app.addr in ln]
    assert row[1] == "up" and row[4:7] == ["1.1", "1", "0"]
    row, = [ln.split() for ln in text.split("\n") if dead in ln]
    assert row[4:8] == ["-", "1", "1", "dial_refused"]
    assert app.addr not in s.ctl("upstreams", "bad").stdout
    done = s.ctl("upstreams", "nobody", ok=False)
    assert done.returncode == 2 and "no_upstream" in done.stderr
    assert s.ctl("upstreams", "a", "b", ok=False).returncode == 2


def test_query(sluice, peer):
    s = sluice(conf(1, app=[peer().addr]))
    with http.Client(s.control) as c:
        for target, status in (("/v1/upstreams?name=app", 200),
                               ("/v1/upstreams?name=%61pp", 200),
                               ("/v1/upstreams?name=", 400),
                               ("/v1/upstreams?nam=app", 400),
                               ("/v1/upstreams?name=a&name=b", 400),
                               ("/v1/upstreams?name=%zz", 400),
                               ("/v1/upstreams?name=b", 404),
                               ("/v1/failures?name=no_route", 200),
                               ("/v1/failures?name=b", 404),
                               ("/v1/failures?x", 400)):
            assert c.get(target).status == status, target


def test_connections(sluice, peer):
    """Held requests and pooled connections over all workers."""
    let = threading.Event()
    app = peer(default=hold(let))
    s = sluice(conf(2, app=[app.addr]))
    clients = [http.Client(s.port) for _ in range(6)]
    for c in clients:
        c.send(http.request("GET", "/app/"))
    app.wait_requests(6)
    assert servers(s, "app")[app.addr]["connections"] == {
        "open": 6, "idle": 0, "active": 6}
    let.set()
    for c in clients:
        assert c.response().status == 200
    wait_conns(s, "app", app.addr, active=0, idle=6, open=6)
    app.stop()
    wait_conns(s, "app", app.addr, active=0, idle=0, open=0)
    for c in clients:
        c.close()


def test_websockets_are_active(sluice, peer):
    app = peer(default=ws.echoes())
    s = sluice(conf(2, app=[app.addr]))
    with ws.Socket(s.port, "/app/1") as a, ws.Socket(s.port, "/app/2") as b:
        a.echo(b"x")
        b.echo(b"y")
        got = servers(s, "app")[app.addr]["connections"]
        assert got == {"open": 2, "idle": 0, "active": 2}
    wait_conns(s, "app", app.addr, open=0, active=0)


def test_dead_worker(sluice, peer):
    """Its connections are gone with it; what it timed is kept."""
    let = threading.Event()
    app = peer([respond()] * 10, default=hold(let))
    s = sluice(conf(1, app=[app.addr]))
    for _ in range(10):
        assert http.get(s.port, "/app/").status == 200
    before = servers(s, "app")[app.addr]["first_byte"]
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/app/"))
        app.wait_requests(11)
        assert servers(s, "app")[app.addr]["connections"]["active"] == 1
        s.wait_role("worker 1", s.kill("worker 1", signal.SIGKILL))
        wait_conns(s, "app", app.addr, open=0, idle=0, active=0)
    after = servers(s, "app")[app.addr]
    assert after["first_byte"]["count"] == before["count"] == 10
    assert after["first_byte"]["buckets"] == before["buckets"]
    assert after["attempts"] == 11
    let.set()
    assert http.get(s.port, "/app/").status == 200
    wait_conns(s, "app", app.addr, open=1, idle=1, active=0)
    assert servers(s, "app")[app.addr]["first_byte"]["count"] == 11


def test_roll(sluice, peer):
    """New workers begin at nothing; what the old ones timed is kept."""
    app = peer()
    s = sluice(conf(2, app=[app.addr]))
    for _ in range(10):
        assert http.get(s.port, "/app/").status == 200
    old = s.workers()
    s.ctl("roll")
    for pid in old:
        net.wait_pid_gone(pid)
    wait_conns(s, "app", app.addr, open=0, idle=0, active=0)
    assert http.get(s.port, "/app/").status == 200
    got = servers(s, "app")[app.addr]
    assert got["first_byte"]["count"] == got["attempts"] == 11
    assert got["connections"]["open"] == 1


def test_reload_keeps(sluice, peer):
    """A server that stays keeps its counts; one that goes is removed."""
    app, other = peer(), peer()
    s = sluice(conf(1, app=[app.addr, other.addr]))
    for _ in range(4):
        http.get(s.port, "/app/")
    s.reload(conf(1, app=[app.addr]))
    all = servers(s, "app")
    assert all[app.addr]["attempts"] == 2
    assert all[app.addr]["first_byte"]["count"] == 2
    assert all[app.addr]["connections"]["open"] == 1
    if other.addr in all:
        assert all[other.addr]["state"] == "removed"
    http.get(s.port, "/app/")
    assert servers(s, "app")[app.addr]["attempts"] == 3
    # a new life of a row begins at nothing
    for _ in range(2):
        s.reload(conf(1, app=[app.addr]))
    s.reload(conf(1, app=[app.addr, other.addr]))
    got = servers(s, "app")[other.addr]
    assert got["attempts"] in (0, 2)
    assert got["first_byte"]["count"] == got["attempts"]
    assert got["connections"] == {"open": 0, "idle": 0, "active": 0}


@pytest.mark.parametrize("ms", [30, 200])
def test_times(sluice, peer, ms):
    """A time lies in a bucket that is at most twice as wide."""
    app = peer(default=delay(ms / 1000))
    s = sluice(conf(1, app=[app.addr]))
    for _ in range(3):
        http.get(s.port, "/app/")
    t = servers(s, "app")[app.addr]["first_byte"]
    assert t["sum_us"] >= 3000 * ms
    assert 500 * ms <= t["p50_us"] <= t["p99_us"] <= 4000 * ms * net.SCALE
    assert 1000 * ms <= t["lately_us"] <= 4000 * ms * net.SCALE
    for b in t["buckets"]:
        assert b["below_us"] > 1000 * ms


def test_removed_are_forgotten(sluice, peer):
    """After five seconds, and they count no more than before."""
    app, other = peer(), peer()
    s = sluice(conf(1, app=[app.addr, other.addr]))
    for _ in range(4):
        http.get(s.port, "/app/")
    s.reload(conf(1, app=[app.addr]))
    wait_until("it is gone", lambda: set(servers(s, "app")) == {app.addr},
               20 * net.SCALE)
    text = s.ctl("upstreams").stdout
    assert "usable" not in text and other.addr not in text


def test_without_an_address(sluice, peer):
    """An upstream none of whose names has one is there all the same."""
    app = peer()
    s = sluice(conf(1, app=[app.addr], bad=["nobody.invalid:80"]))
    ups = {u["name"]: u for u in s.ctl_json("upstreams")["upstreams"]}
    assert set(ups) == {"app", "bad"}
    assert ups["bad"]["servers"] == [] and ups["bad"]["usable"] == 0
    assert "\nbad, " in s.ctl("upstreams", "bad").stdout

"""sluicectl server: what operators want of a server, for all workers at
once and across reloads."""
import os
import threading

import pytest

from lib import http, ws
from lib.peer import hold, respond

CONF = """
[sluice]
workers = {workers}
stop = 1s
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
balance = round_robin
slow_start = {slow}
{servers}
{keys}
[route app]
path = /*
upstream = app
"""


def conf(*peers, workers=3, keys="", slow="0"):
    lines = "\n".join(f"server = {p.addr}" for p in peers)
    return CONF.format(workers=workers, servers=lines, keys=keys,
                       slow=slow)


def asked(s, *peers, n=12):
    """How many of n requests each of them gets."""
    before = [len(p.requests) for p in peers]
    for _ in range(n):
        assert http.get(s.port, "/").status == 200
    return [len(p.requests) - b for p, b in zip(peers, before)]


def server(s, *words):
    return s.ctl_json("server", *words)


def test_drain(sluice, peer):
    """No new requests from the answer on; what was begun ends well."""
    a, b = peer(), peer()
    s = sluice(conf(a, b))
    let = threading.Event()
    a.default = b.default = hold(let)
    clients = [http.Client(s.port) for _ in range(4)]
    for c in clients:
        c.send(http.request("GET", "/"))
    a.wait_requests(2)
    b.wait_requests(2)
    got = server(s, "drain", "app", a.addr)
    assert got["state"] == "drain" and got["active"] == 2
    let.set()
    for c in clients:
        assert c.response().status == 200
        c.close()
    assert asked(s, a, b) == [0, 12]
    s.wait_log(rf"{a.addr}.*up -> drain")
    assert server(s, "up", "app", a.addr)["state"] == "up"
    assert asked(s, a, b) == [6, 6]


def test_down(sluice, peer):
    a, b = peer(), peer()
    s = sluice(conf(a, b))
    assert server(s, "down", "app", a.addr)["state"] == "maintenance"
    assert asked(s, a, b) == [0, 12]
    # one takes the other's place
    assert server(s, "drain", "app", a.addr)["state"] == "drain"
    assert server(s, "down", "app", a.addr)["state"] == "maintenance"
    assert server(s, "up", "app", a.addr)["state"] == "up"
    assert asked(s, a, b) == [6, 6]
    # nobody is left
    for p in (a, b):
        server(s, "down", "app", p.addr)
    assert http.get(s.port, "/").status == 503
    server(s, "up", "app", b.addr)
    assert asked(s, a, b) == [0, 12]


def test_comes_back_slowly(sluice, peer):
    """With slow_start it has a tenth first; who was not away has all."""
    a, b = peer(), peer()
    s = sluice(conf(a, b, slow="1m"))
    assert server(s, "up", "app", a.addr)["state"] == "up"
    server(s, "down", "app", a.addr)
    assert server(s, "up", "app", a.addr)["state"] == "slow_start"
    got = asked(s, a, b, n=22)
    assert 1 <= got[0] <= 4 and sum(got) == 22


def test_weight(sluice, peer):
    a, b = peer(), peer()
    s = sluice(conf(a, b))
    got = server(s, "weight", "app", a.addr, "3")
    assert (got["weight"], got["override"], got["state"]) == (1, 3, "up")
    assert asked(s, a, b) == [9, 3]
    assert server(s, "weight", "app", a.addr, "0")["override"] == 0
    assert asked(s, a, b) == [0, 12]
    got = server(s, "weight", "app", a.addr, "default")
    assert got["override"] is None
    assert asked(s, a, b) == [6, 6]


def test_kept(sluice, peer):
    """By reloads, new workers and a death of control; not by a restart."""
    a, b = peer(), peer()
    s = sluice(conf(a, b))
    server(s, "drain", "app", a.addr)
    server(s, "weight", "app", b.addr, "7")
    s.reload(conf(a, b, keys="timeout.total = 1m"))
    assert asked(s, a, b) == [0, 12]
    s.ctl("roll")
    assert asked(s, a, b) == [0, 12]
    s.wait_role("control", s.kill("control"))
    up, = s.ctl_json("upstreams", "app")["upstreams"]
    rows = {r["address"]: r for r in up["servers"]}
    assert rows[a.addr]["state"] == "drain"
    assert rows[b.addr]["override"] == 7
    s.stop()
    s.start()
    assert asked(s, a, b) == [6, 6]


def test_drained_streams_go_on(sluice, peer):
    a = peer(default=ws.echoes())
    s = sluice(conf(a))
    with ws.Socket(s.port, "/") as c:
        c.echo(b"before")
        server(s, "drain", "app", a.addr)
        c.echo(b"after")
        assert server(s, "down", "app", a.addr)["active"] == 1
        c.echo(b"still")


def test_up_closes_breaker(sluice, peer):
    a = peer(default=respond(500))
    s = sluice(conf(a, keys="breaker.failures = 1"))
    assert http.get(s.port, "/").status == 500
    assert http.get(s.port, "/").status == 503
    a.default = respond()
    assert server(s, "up", "app", a.addr)["state"] == "up"
    assert asked(s, a) == [12]
    s.wait_log("breaker open -> closed: by the operator")


@pytest.mark.parametrize("words, said", [
    (("drain", "ap", "SERVER"), 'no upstream "ap"; "app" is one'),
    (("drain", "app", "127.0.0.1:1"), 'no server "127.0.0.1:1" of upstream '
     '"app"; "SERVER" is one'),
    (("weight", "app", "SERVER", "1001"), "bad_query"),
    (("weight", "app", "SERVER", "x"), "bad_query"),
    (("weight", "app", "SERVER"), "no number"),
    (("stop", "app", "SERVER"), "drain, up, down or weight"),
    (("drain", "app"), "belong behind"),
    (("drain", "app", "SERVER", "4"), "a word too many"),
    ((), "drain, up, down or weight"),
])
def test_wrong_words(sluice, peer, words, said):
    a = peer()
    s = sluice(conf(a, workers=1))
    done = s.ctl("server", *(w.replace("SERVER", a.addr) for w in words),
                 ok=False)
    assert done.returncode == 2
    assert said.replace("SERVER", a.addr) in done.stderr
    assert asked(s, a, n=1) == [1]


def test_query(sluice, peer):
    """What the API refuses changes nothing."""
    a = peer()
    s = sluice(conf(a, workers=1))
    good = f"/v1/servers?upstream=app&server={a.addr}&do=drain"
    with http.Client(s.control) as c:
        for method, target, status in (
                ("GET", good, 405), ("POST", "/v1/servers", 400),
                ("POST", good + "&weight=1", 400),
                ("POST", good + "&more=1", 400),
                ("POST", good.replace("drain", "weight"), 400),
                ("POST", good.replace("drain", "kill"), 400),
                ("POST", good.replace("=app", "=b"), 404)):
            assert c.ask(method, target).status == status, target
        assert asked(s, a, n=1) == [1]
        assert c.ask("POST", good).status == 200
    assert http.get(s.port, "/").status == 503


def test_text(sluice, peer):
    a = peer()
    s = sluice(conf(a, workers=1))
    assert s.ctl("server", "drain", "app", a.addr).stdout == \
        f"{a.addr} of app: drain, weight 1, 0 requests under way\n"
    assert s.ctl("server", "weight", "app", a.addr, "5").stdout == \
        f"{a.addr} of app: drain, weight 5 in place of 1, " \
        "0 requests under way\n"


def test_unix(sluice, peer, tmp):
    a, b = peer(path=f"{tmp}/a.sock"), peer()
    os.chmod(f"{tmp}/a.sock", 0o777)
    s = sluice(conf(a, b))
    server(s, "drain", "app", a.addr)
    assert asked(s, a, b) == [0, 12]
    server(s, "up", "app", a.addr[len("unix:"):])
    assert asked(s, a, b) == [6, 6]

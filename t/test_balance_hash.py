"""balance = hash: which keys go where, what moves, and the bound."""
import collections
import threading

import pytest

from lib import http, net
from lib.peer import hold
from lib.spread import ask_all, servers

pytestmark = [pytest.mark.versions, pytest.mark.turns]

CONF = """
[sluice]
workers = 4
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
{servers}
balance = hash
{keys}
[route all]
path = /*
upstream = app
"""
BY_PATH = "hash.key = ${path}"
KEYS = [f"/user/{i}" for i in range(10000)]


def conf(addrs, keys=BY_PATH):
    return CONF.format(servers="".join(f"server = {a}\n" for a in addrs),
                       keys=keys)


def moved(a, b):
    return [k for k in a if a[k] != b[k]]


def test_one_of_ten_goes(sluice):
    """At most 1/10 + 2 % of the keys move; and all of them back."""
    addrs = servers(sluice, 10)
    s = sluice(conf(addrs, BY_PATH + "\nhash.load = 0"))
    was = ask_all(s.port, KEYS)
    shares = collections.Counter(was.values())
    assert len(shares) == 10 and all(
        800 < n < 1200 for n in shares.values()), shares
    gone = addrs[3]
    s.reload(conf(addrs[:3] + addrs[4:], BY_PATH + "\nhash.load = 0"))
    now = ask_all(s.port, KEYS)
    assert gone not in now.values()
    assert shares[gone] <= len(moved(was, now)) <= 1200
    # the order of the lines does not matter, nor does who asks
    s.reload(conf(addrs[::-1], BY_PATH + "\nhash.load = 0"))
    assert ask_all(s.port, KEYS, conns=3) == was
    # another machine chooses alike
    other = sluice(conf(addrs, BY_PATH + "\nhash.load = 0"))
    assert ask_all(other.port, KEYS) == was


def test_dead_server(sluice):
    """Its keys alone go elsewhere, to all others, while it is dead."""
    addrs = servers(sluice, 4)
    dead = f"127.0.0.1:{net.free_port()}"
    # all may have been sent to it before the first was refused
    keys = BY_PATH + "\nhash.load = 0\nretry.budget = 100"
    s = sluice(conf(addrs + [dead], keys))
    asked = KEYS[:400]
    now = ask_all(s.port, asked)
    s.reload(conf(addrs + [f"{dead} backup"], keys))
    without = ask_all(s.port, asked)
    elsewhere = moved(now, without)
    # but for the fifth that the dead one had, they stay where they are
    assert len(elsewhere) < 400 * 0.27
    assert set(now.values()) == set(addrs)


@pytest.mark.parametrize("key,field", [
    ("${header.X-User}", "X-User: {}"),
    ("${cookie.sid}", "Cookie: a=b; sid={}"),
    ("${host}", "Host: {}.example"), ("${query}", None)])
def test_keys(sluice, key, field):
    addrs = servers(sluice, 5)
    s = sluice(conf(addrs, f"hash.key = {key}\nhash.load = 0"))
    seen = {}
    for i in range(60):
        name, _, val = (field or "X: ").partition(": ")
        target = "/" if field else f"/?u={i % 20}"
        with http.Client(s.port) as c:
            r = c.get(target, headers={name: val.format(i % 20)})
        assert seen.setdefault(i % 20, r.text) == r.text
    assert len(set(seen.values())) > 2


@pytest.mark.parametrize("keys", [
    "hash.load = 0", "sticky = client",
    "hash.key = ${cookie.none}\nhash.load = 0"])
def test_by_client(sluice, keys):
    """The address, if there is no key or it comes to nothing."""
    addrs = servers(sluice, 5)
    s = sluice("[sluice]\ntrusted_proxies = 127.0.0.1\nworkers = 4\n" +
               conf(addrs, keys).replace("[sluice]\nworkers = 4\n", ""))
    seen = {}
    for i in range(60):
        ip = f"192.0.2.{i % 20}"
        with http.Client(s.port) as c:
            r = c.get("/", headers={"X-Forwarded-For": ip})
        assert seen.setdefault(ip, r.text) == r.text
    assert len(set(seen.values())) > 2


def test_bound(sluice, peer):
    """One hot key loads nobody above 1.25 of the mean, and 1."""
    go = threading.Event()
    apps = [peer(default=hold(go)) for _ in range(5)]
    s = sluice(conf([a.addr for a in apps]))
    clients = []
    try:
        for i in range(1, 41):
            c = http.Client(s.port)
            clients.append(c)
            c.send(http.request("GET", "/hot"))
            deadline = net.Deadline("a request at a server")
            while sum(len(a.requests) for a in apps) < i:
                deadline.left()
                threading.Event().wait(0.002)
            most = max(len(a.requests) for a in apps)
            assert most <= 1.25 * i / 5 + 1, i
        assert sum(bool(a.requests) for a in apps) >= 4
    finally:
        go.set()
        for c in clients:
            assert c.response().status == 200
            c.close()
    deadline = net.Deadline("the end of all of them")
    while any(v["connections"]["active"] for v in s.ctl_json(
            "upstreams", "app")["upstreams"][0]["servers"]):
        deadline.left()
    # when it is calm again, the key has its one server
    before = [len(a.requests) for a in apps]
    with http.Client(s.port) as c:
        for _ in range(20):
            assert c.get("/hot").status == 200
    after = [len(a.requests) - n for a, n in zip(apps, before)]
    assert sorted(after) == [0, 0, 0, 0, 20]

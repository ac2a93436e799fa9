"""Sticky sessions: who keeps which server, and what the cookie says."""
import re
import signal
import threading

import pytest

from lib import http, net, ws
from lib.breaker import half_open
from lib.peer import hold, respond
from lib.spread import servers

CONF = """
[sluice]
workers = 4
trusted_proxies = 127.0.0.2
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
{servers}
sticky = cookie
{keys}
[route all]
path = /*
upstream = app
"""
SET = re.compile(r"([^=]+)=([A-Za-z0-9_-]{38}); Path=/"
                 r"(; Max-Age=[0-9]+)?; HttpOnly; SameSite=Lax(; Secure)?")


def conf(addrs, keys=""):
    return CONF.format(servers="".join(f"server = {a}\n" for a in addrs),
                       keys=keys)


def cookie_of(r):
    """(name, value) of the one cookie that was set, or None."""
    if not r.all("set-cookie"):
        return None
    m = SET.fullmatch(r["set-cookie"])
    assert m, r["set-cookie"]
    return m.group(1), m.group(2)


def ask(s, cookie=None, target="/", more=()):
    fields = list(more)
    if cookie:
        fields.append(("Cookie", "%s=%s" % cookie))
    with http.Client(s.port) as c:
        return c.get(target, headers=fields)


def stays(s, cookie, server, n=40):
    """Over connections to all workers, and without a new cookie."""
    for _ in range(n):
        r = ask(s, cookie)
        assert (r.status, r.text) == (200, server)
        assert cookie_of(r) is None


def stat(s, name):
    return s.ctl_json("metrics")["sums"][name] \
        if "sums" in s.ctl_json("metrics") else s.ctl_json("status")[
            "sums"][name]


def sessions(s, n=6):
    """{server: cookie} of clients that come for the first time."""
    out = {}
    for _ in range(20 * n):
        r = ask(s)
        out.setdefault(r.text, cookie_of(r))
        if len(out) == n:
            return out
    raise AssertionError(out)


def test_keeps_its_server(sluice):
    """Over workers, reloads, the end of a worker, a roll."""
    addrs = servers(sluice, 6)
    s = sluice(conf(addrs))
    known = sessions(s)
    assert {name for name, _ in known.values()} == {"sluice_app"}
    for server, cookie in known.items():
        assert server.encode().hex() not in cookie[1]
        stays(s, cookie, server, 8)
    s.reload(conf(addrs[:2] + ["127.0.0.1:9"] + addrs[2:],
                  "balance = round_robin"))
    for server, cookie in known.items():
        stays(s, cookie, server, 4)
    s.wait_role("worker 1", s.kill("worker 1", signal.SIGKILL))
    s.ctl("roll")
    for server, cookie in known.items():
        stays(s, cookie, server, 4)


def test_leaves_with_its_server(sluice):
    """Gone from the file: another one, a new cookie, and counted."""
    addrs = servers(sluice, 3)
    s = sluice(conf(addrs))
    known = sessions(s, 3)
    s.reload(conf(addrs[:2]))
    r = ask(s, known[addrs[2]])
    assert r.text in addrs[:2] and cookie_of(r) is not None
    stays(s, cookie_of(r), r.text, 10)
    assert s.ctl_json("status")["sums"]["sticky_moved_total"] == 1
    assert s.ctl_json("status")["sums"]["sticky_invalid_total"] == 0


def test_dead_server(sluice, peer):
    """Asked in vain: another one answers, and has the client now."""
    addrs = servers(sluice, 2)
    app = peer(default=respond(body=b"peer"))
    s = sluice(conf(addrs + [app.addr]))
    cookie = sessions(s, 3)["peer"]
    app.stop()
    r = ask(s, cookie)
    assert r.text in addrs and cookie_of(r)[1] != cookie[1]
    stays(s, cookie_of(r), r.text, 10)


@pytest.mark.parametrize("what", ["cut", "changed", "empty", "junk",
                                  "other"])
def test_forged(sluice, what):
    """No better than none."""
    addrs = servers(sluice, 2)
    s = sluice(conf(addrs) + f"""
[upstream more]
server = {addrs[0]}
sticky = cookie
sticky.name = sluice_app
[route more]
path = /more
upstream = more
""")
    name, val = cookie_of(ask(s, target="/more" if what == "other" else "/"))
    last = "B" if val[20] != "B" else "C"
    val = {"cut": val[:-1], "changed": val[:20] + last + val[21:],
           "empty": "", "junk": "%00\"x", "other": val}[what]
    for n in range(1, 5):
        assert cookie_of(ask(s, (name, val))) is not None
        sums = s.ctl_json("status")["sums"]
        assert sums["sticky_invalid_total"] == n
    assert sums["sticky_moved_total"] == 0


def test_servers_do_not_see_it(sluice, peer):
    app = peer()
    s = sluice(conf([app.addr], "sticky.name = S"))
    cookie = cookie_of(ask(s))
    assert cookie[0] == "S"
    for fields, left in (
            ([("Cookie", "a=1; S=%s; b=2" % cookie[1])], ["a=1; b=2"]),
            ([("Cookie", "S=%s" % cookie[1])], []),
            ([("Cookie", "S=x"), ("Cookie", "s=1")], ["s=1"]),
            ([("Cookie", "a=S=1")], ["a=S=1"])):
        ask(s, more=fields)
        assert app.requests[-1].all("cookie") == left


def test_servers_see_none_of_the_others(sluice, peer):
    """A host's cookies are for the gateway, whichever of its upstreams is
    asked; other hosts may have such names for themselves."""
    app, more, plain, other, last = [peer() for _ in range(5)]
    s = sluice(conf([app.addr]).replace("path = /*", "host = *.shop.test\n"
                                        "path = /*") + f"""
[upstream more]
server = {more.addr}
sticky = cookie
sticky.name = MORE
fallback = last
[upstream last]
server = {last.addr}
sticky = cookie
[upstream plain]
server = {plain.addr}
[route more]
host = a.shop.test www.shop.test
path = /more
upstream = more
[route plain]
host = a.shop.test
path = /plain
upstream = plain
[route own]
host = a.shop.test
path = /own
target = {plain.addr}
sticky = cookie
[route other]
path = /*
upstream = other
[upstream other]
server = {other.addr}
""")
    ours = "sluice_app", "MORE", "sluice_last", "sluice.own"
    sent = "a=1; " + "".join(f"{n}=x; " for n in ours) + "b=2"
    for host, path, at, left in (
            ("a.shop.test", "/", app, ()),
            ("A.Shop.test:80", "/more", more, ()),
            ("a.shop.test", "/plain", plain, ()),
            ("a.shop.test", "/own", plain, ()),
            ("b.a.shop.test", "/plain", app, ours[1:]),
            ("www.shop.test", "/plain", app, ("sluice.own",)),
            ("shop.test", "/", other, ours),
            ("other.test", "/", other, ours)):
        n = len(at.requests)
        with http.Client(s.port) as c:
            assert c.ask("GET", path, [("Host", host), ("Cookie", sent),
                                       ("Cookie", "c=3")]).status == 200
        want = "; ".join(["a=1", *(f"{n}=x" for n in left), "b=2"])
        assert at.requests[n].all("cookie") == [want, "c=3"]
    # with the one that uses it gone, nothing is taken out
    s.reload(conf([app.addr]).replace("sticky = cookie", ""))
    ask(s, more=[("Cookie", sent)])
    assert app.requests[-1].all("cookie") == [sent]


def test_attributes(sluice, peer):
    """Secure where the client came by TLS; Max-Age with a time."""
    app = peer(default=respond(headers=[("Set-Cookie", "own=1")]))
    s = sluice(conf([app.addr], "sticky.ttl = 8h"))
    r = ask(s)
    own, ours = r.all("set-cookie")
    assert own == "own=1" and SET.fullmatch(ours).group(3, 4) == (
        "; Max-Age=28800", None)
    # not everybody is believed
    r = ask(s, more=[("X-Forwarded-Proto", "https")])
    assert SET.fullmatch(r.all("set-cookie")[1]).group(4) is None
    s.reload(conf([app.addr]).replace("127.0.0.2", "127.0.0.1"))
    r = ask(s, more=[("X-Forwarded-Proto", "https")])
    assert SET.fullmatch(r.all("set-cookie")[1]).group(3, 4) == (
        None, "; Secure")


def test_secret(sluice):
    """Machines with one secret know each other's cookies, others none."""
    addrs = servers(sluice, 4)
    keys = "sticky.secret = one secret of them all"
    a, b = sluice(conf(addrs, keys)), sluice(conf(addrs[::-1], keys))
    c = sluice(conf(addrs, "sticky.secret = another secret, as long"))
    for server, cookie in sessions(a, 4).items():
        stays(b, cookie, server, 4)
        assert cookie_of(ask(c, cookie)) is not None
    # a restart, too
    known = sessions(a, 4)
    a.stop()
    a.start()
    for server, cookie in known.items():
        stays(a, cookie, server, 4)
    assert "one secret" not in a.ctl("reload", "--plan").stdout
    with open(f"/proc/{a.roles()['control']}/maps", encoding="utf-8") as f:
        assert "sluice-keys" not in f.read()


def test_restart_without_secret(sluice):
    addrs = servers(sluice, 2)
    s = sluice(conf(addrs))
    cookie = cookie_of(ask(s))
    s.stop()
    s.start()
    assert cookie_of(ask(s, cookie)) is not None
    assert s.ctl_json("status")["sums"]["sticky_invalid_total"] == 1


def test_upgrade_keeps(sluice):
    """A new program in the old one's place knows the cookies."""
    addrs = servers(sluice, 3)
    s = sluice(conf(addrs))
    known = sessions(s, 3)
    s.notify.drain()
    s.send(signal.SIGUSR2)
    s.notify.wait("READY", pidfd=s.pidfd)
    for server, cookie in known.items():
        stays(s, cookie, server, 8)


def test_waits_for_room(sluice, peer):
    """The one place of its server is taken: it waits, others do not."""
    go = threading.Event()
    steps = [respond(body=b"a"), hold(go, respond(body=b"a"))]
    a, b = peer(steps, default=respond(body=b"a")), \
        peer(default=respond(body=b"b"))
    s = sluice(conf([f"{a.addr} max_conns=1", b.addr],
                    "balance = round_robin\nqueue_timeout = 20s"))
    first = ask(s)
    assert first.text == "a"
    mine = cookie_of(first)
    with http.Client(s.port) as c, http.Client(s.port) as d:
        c.send(http.request("GET", "/", {"Cookie": "%s=%s" % mine}))
        a.wait_requests(2)
        d.send(http.request("GET", "/", {"Cookie": "%s=%s" % mine}))
        s.wait_queue = net.Deadline("a request in the queue")
        while s.ctl_json("status")["sums"]["upstream_queue"] == 0:
            s.wait_queue.left()
        assert {ask(s).text for _ in range(4)} == {"b"}
        assert d.is_idle()
        go.set()
        assert c.response().text == "a"
        r = d.response()
        assert r.text == "a" and cookie_of(r) is None


class Pair:
    """Two servers, the first with a client of its own."""

    def __init__(self, sluice, peer, keys):
        self.a, self.b = peer(default=respond(body=b"a")), \
            peer(default=respond(body=b"b"))
        self.s = sluice(conf([self.a.addr, self.b.addr],
                             "slow_start = 0\n" + keys))
        self.mine = sessions(self.s, 2)["a"]

    def fail(self, n):
        """So many of its client's requests fail there."""
        self.a.default = respond(500)
        for _ in range(n):
            assert ask(self.s, self.mine).status == 500
        self.a.default = respond(body=b"a")

    def moves(self):
        """Its client has another server now, and keeps that."""
        r = ask(self.s, self.mine)
        assert r.text == "b" and cookie_of(r)[1] != self.mine[1]
        stays(self.s, cookie_of(r), "b", 5)
        return cookie_of(r)


def test_open_breaker(sluice, peer):
    """Others serve its clients; half open it lets one of them through."""
    p = Pair(sluice, peer, "outlier = off\nbreaker.failures = 3\n"
             "breaker.open = 1s\nbreaker.successes = 2")
    p.fail(3)
    other = p.moves()
    half_open(p.s)
    stays(p.s, p.mine, "a", 2)      # two good answers close it
    up, = p.s.ctl_json("upstreams", "app")["upstreams"]
    assert up["servers"][0]["breaker"]["state"] == "closed"
    stays(p.s, p.mine, "a", 5)
    stays(p.s, other, "b", 5)
    assert p.s.ctl_json("status")["sums"]["sticky_moved_total"] == 1


def test_half_open_breaker_is_full(sluice, peer):
    """All of a turn's probes are out: its client goes elsewhere."""
    p = Pair(sluice, peer, "outlier = off\nbreaker.failures = 3\n"
             "breaker.open = 1s\nbreaker.probes = 1\n"
             "breaker.successes = 1")
    p.fail(3)
    half_open(p.s)
    go = threading.Event()
    p.a.default = hold(go, respond(body=b"a"))
    n = len(p.a.requests)
    with http.Client(p.s.port) as c:
        c.send(http.request("GET", "/", {"Cookie": "%s=%s" % p.mine}))
        p.a.wait_requests(n + 1)
        p.moves()
        go.set()
        r = c.response()
        assert r.text == "a" and cookie_of(r) is None
    stays(p.s, p.mine, "a", 5)


def test_ejected(sluice, peer):
    """Until the ejection is over; who did not come meanwhile is back."""
    p = Pair(sluice, peer, "outlier.time = 1s")
    p.fail(5)
    p.s.wait_log("up -> ejected")
    other = p.moves()
    p.s.wait_log("ejected -> up")
    stays(p.s, p.mine, "a", 5)
    stays(p.s, other, "b", 5)


def test_websocket(sluice, peer):
    apps = [peer(default=ws.echoes()) for _ in range(3)]
    s = sluice(conf([a.addr for a in apps]))
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/chat", ws.fields()))
        cookie = cookie_of(c.head())
    one, = [a for a in apps if a.requests]
    for _ in range(9):
        with ws.Socket(s.port, "/chat",
                       more=[("Cookie", "%s=%s" % cookie)]) as c:
            c.echo(b"x")
    assert len(one.requests) == 10


# --- in a route ---

def test_route(sluice):
    """A route's own servers, with the words of other gateways."""
    addrs = servers(sluice, 3)
    s = sluice(f"""
[listener web]
bind = 127.0.0.1:@port@
[route api]
path = /*
targets = {" ".join(addrs)}
strategy = least_connections
sticky_sessions = on
""")
    known = sessions(s, 3)
    assert {name for name, _ in known.values()} == {"sluice.api"}
    for server, cookie in known.items():
        stays(s, cookie, server, 5)
    up, = s.ctl_json("upstreams", "@api")["upstreams"]
    assert up["balance"] == "least_conn"

"""What sluicectl explain says of a choice that the request itself brings:
its cookie, the key of its hash, and what follows when no server can."""
import json
import os
import signal
import threading
from urllib.parse import quote

import pytest

from lib import http, net
from lib.cmd import run
from lib.peer import hold, respond
from lib.spread import servers

HEAD = """
[sluice]
workers = 2
stop = 1s
[listener web]
bind = 127.0.0.1:@port@
"""


def upstream(name, addrs, keys=""):
    return f"[upstream {name}]\noutlier = off\nslow_start = 0\n" + "".join(
        f"server = {a}\n" for a in addrs) + keys + "\n"


def route(name, path, to, more=""):
    return f"[route {name}]\npath = {path}\nupstream = {to}\n{more}\n"


def explain(s, path="/", *words):
    """(JSON of its upstream, text)."""
    url = f"http://a:{s.port}{path}"
    return s.ctl_json("explain", url, *words)["upstream"], \
        s.ctl("explain", url, *words).stdout


def cookie(r):
    return r["set-cookie"].split(";")[0]


def asked(s, path="/", headers=None):
    """The server that answers: it says its address."""
    with http.Client(s.port) as c:
        r = c.get(path, headers=headers or {})
        assert r.status == 200
        return r.text


# --- cookies ---

STICKY = "sticky = cookie\nsticky.ttl = 10m\n"


def says(s, value, path="/"):
    words = [] if value is None else ["-H",
                                      f"Cookie: x=1; sluice_app={value}"]
    up, text = explain(s, path, *words)
    line, = [ln for ln in text.split("\n") if ln.startswith("cookie")]
    return up, up["sticky"], line


def test_cookie_names_its_server(sluice):
    """Whom it names is next, whatever the balancer says, and is asked."""
    addrs = servers(sluice, 3)
    s = sluice(HEAD + upstream("app", addrs, STICKY) +
               route("all", "/*", "app"))
    for _ in range(6):
        with http.Client(s.port) as c:
            r = c.get("/")
        name, _, value = cookie(r).partition("=")
        up, told, line = says(s, value)
        assert told == {"cookie": name, "given": True, "says": "good",
                        "text": "its server is asked", "renew": False,
                        "server": r.text, "upstream": None}
        assert (up["next"], up["rule"]) == (r.text, "its cookie names it")
        assert line == f"cookie    sluice_app -> {r.text}: its server is " \
            "asked"
        assert asked(s, headers={"Cookie": cookie(r)}) == r.text
    up, told, line = says(s, None)
    assert (told["says"], told["given"]) == ("none", False)
    assert "the answer brings one" in line and up["next"] is None


def test_cookie_in_vain(sluice):
    """Forged, of another upstream, its server away or gone."""
    addrs = servers(sluice, 3)
    conf = HEAD + upstream("more", addrs[:1], STICKY) + \
        route("more", "/more", "more")
    s = sluice(conf + upstream("app", addrs, STICKY) +
               route("all", "/*", "app"))
    got = {}
    while len(got) < 3:
        with http.Client(s.port) as c:
            r = c.get("/")
        got[r.text] = cookie(r).split("=")[1]
    value = got[addrs[0]]
    bad = "B" if value[20] != "B" else "C"
    for wrong in (value[:-1], value[:20] + bad + value[21:], "x", "",
                  "A" * 38, "y" * 5000):
        up, told, line = says(s, wrong)
        assert (told["says"], told["server"]) == ("forged", None), wrong
        assert told["given"] and up["next"] is None
        assert "as good as none" in line
    with http.Client(s.port) as c:
        other = cookie(c.get("/more")).split("=")[1]
    up, told, line = says(s, other)
    assert (told["says"], told["upstream"]) == ("other", "more")
    assert line.endswith("(upstream more)")
    # one that drains keeps its clients; one in maintenance does not
    s.ctl("server", "drain", "app", addrs[0])
    up, told, _ = says(s, value)
    assert (told["says"], up["next"]) == ("good", addrs[0])
    s.ctl("server", "down", "app", addrs[0])
    up, told, line = says(s, value)
    assert (told["says"], told["server"]) == ("away", addrs[0])
    assert up["next"] is None and "may not be asked" in line
    s.reload(conf + upstream("app", addrs[1:], STICKY) +
             route("all", "/*", "app"))
    up, told, line = says(s, value)
    assert (told["says"], told["server"]) == ("gone", None)
    assert "is gone" in line
    # explaining asked nobody and counted nothing
    sums = s.ctl_json("status")["sums"]
    assert sums["sticky_invalid_total"] == sums["sticky_moved_total"] == 0


def test_cookie_of_before_a_restart(sluice):
    addrs = servers(sluice, 2)
    s = sluice(HEAD + upstream("app", addrs, STICKY) +
               route("all", "/*", "app"))
    value = cookie(http.get(s.port)).split("=")[1]
    s.stop()
    s.start()
    assert says(s, value)[1]["says"] == "forged"
    assert "before a restart" in says(s, value)[2]


def test_no_worker_tells(sluice):
    """Stopped ones are not waited for; one that runs is enough."""
    addrs = servers(sluice, 3)
    s = sluice(HEAD + upstream("app", addrs, STICKY) +
               route("all", "/*", "app"))
    r = http.get(s.port)
    value, pids = cookie(r).split("=")[1], s.roles()
    os.kill(pids["worker 1"], signal.SIGSTOP)
    try:
        for _ in range(2):
            up, told, _ = says(s, value)
            assert (told["says"], up["next"]) == ("good", r.text)
        os.kill(pids["worker 2"], signal.SIGSTOP)
        up, told, line = says(s, value)
        assert (told["says"], told["server"]) == ("unknown", None)
        assert "no worker told" in line and up["next"] is None
    finally:
        for n in "12":
            os.kill(pids[f"worker {n}"], signal.SIGCONT)
    assert says(s, value)[1]["says"] == "good"


def test_many_at_once(sluice):
    """More than control lets wait: all are answered; a client that leaves
    does no harm."""
    s = sluice(HEAD + upstream("app", servers(sluice, 2), STICKY) +
               route("all", "/*", "app"))
    value = cookie(http.get(s.port)).split("=")[1]
    target = "/v1/explain?url=" + quote(f"http://a:{s.port}/", "") + \
        "&field=" + quote(f"Cookie: sluice_app={value}", "")
    pids = s.roles()
    for n in "12":
        os.kill(pids[f"worker {n}"], signal.SIGSTOP)
    try:
        clients = [http.Client(s.control) for _ in range(20)]
        for c in clients:
            c.send(http.request("GET", target))
        clients.pop(0).close()
    finally:
        for n in "12":
            os.kill(pids[f"worker {n}"], signal.SIGCONT)
    for c in clients:
        told = json.loads(c.response().body)["upstream"]["sticky"]
        assert told["says"] in ("good", "unknown")
        c.close()
    assert says(s, value)[1]["says"] == "good"


# --- keys ---

def key_line(text):
    line, = [ln for ln in text.split("\n") if ln.startswith("key ")]
    return line


@pytest.mark.parametrize("load", [0, 125])
def test_key(sluice, load):
    """As it expands behind rewrites, and the server it comes to."""
    addrs = servers(sluice, 5)
    keys = "balance = hash\nhash.key = ${header.X-User}-${path}\n" \
        f"hash.load = {load}\n"
    s = sluice(HEAD + upstream("app", addrs, keys) +
               route("all", "/api/*", "app", "strip_prefix = /api"))
    met = set()
    for i in range(12):
        up, text = explain(s, f"/api/u/{i}", "-H", "X-User: joe")
        got = asked(s, f"/api/u/{i}", {"X-User": "joe"})
        key = up["hash"]
        assert (key["key"], key["by"], key["load"]) == (
            f"joe-/u/{i}", "hash.key", load)
        assert up["next"] == got == key["order"][0]["server"]
        assert {p["how"] for p in key["order"]} == {"takes"}
        assert len({p["server"] for p in key["order"]}) == 4
        assert up["rule"] == "by the hash of its key"
        line = key_line(text)
        assert f"joe-/u/{i} (by hash.key) -> {got}, then " in line
        assert ("no bound" in line) == (load == 0)
        assert ("125 %" in line) == (load == 125)
        met.add(got)
        # the second is who gets it when the first may not
        s.ctl("server", "down", "app", got)
        second = key["order"][1]["server"]
        up, text = explain(s, f"/api/u/{i}", "-H", "X-User: joe")
        assert up["next"] == second == asked(s, f"/api/u/{i}",
                                             {"X-User": "joe"})
        assert up["hash"]["order"][0] == {"server": got, "how": "out"}
        assert "the first is not asked" in up["rule"]
        assert f"{got} (not asked), then {second}" in key_line(text)
        s.ctl("server", "up", "app", got)
    assert len(met) > 1


def test_key_by_client(sluice):
    addrs = servers(sluice, 4)
    s = sluice(HEAD.replace("stop", "trusted_proxies = 127.0.0.1\nstop") +
               upstream("app", addrs, "sticky = client\n") +
               route("all", "/*", "app"))
    for i in range(6):
        up, text = explain(s, "/", "-H", f"X-Forwarded-For: 192.0.2.{i}")
        assert up["hash"]["key"] == f"192.0.2.{i}"
        assert (up["hash"]["by"], up["hash"]["load"]) == ("client", 0)
        assert "sticky" not in up and "no bound" in key_line(text)
        assert up["next"] == asked(
            s, "/", {"X-Forwarded-For": f"192.0.2.{i}"})


def test_key_over_the_bound(sluice, peer):
    """A busy server: the next on the key's way is told, and asked."""
    go = threading.Event()
    apps = [peer(default=hold(go)) for _ in range(4)]
    s = sluice(HEAD + upstream("app", [a.addr for a in apps],
                               "balance = hash\nhash.key = ${path}\n") +
               route("all", "/*", "app"))
    first = explain(s, "/hot")[0]["next"]
    by = {a.addr: a for a in apps}
    with http.Client(s.port) as c, http.Client(s.port) as d:
        c.send(http.request("GET", "/hot"))
        by[first].wait_requests(1)
        deadline = net.Deadline("what is under way at the first")
        while True:
            up, text = explain(s, "/hot")
            if up["hash"]["order"][0]["how"] == "over":
                break
            assert deadline.left() > 0
        assert "the first has more than its share" in up["rule"]
        second = up["hash"]["order"][1]["server"]
        assert up["next"] == second != first
        assert f"{first} (has too much), then {second}" in key_line(text)
        d.send(http.request("GET", "/hot"))
        by[second].wait_requests(1)
        go.set()
        assert c.response().status == d.response().status == 200
    assert len(by[first].requests) == 1


# --- fallbacks ---

def dead():
    return f"127.0.0.1:{net.free_port()}"


def test_fallback_upstream(sluice, peer):
    """The chain with all that is said of each; who answers now."""
    a, b = dead(), peer(default=respond(body=b"b"))
    key = "balance = hash\nhash.key = ${path}\n"
    s = sluice(start=False)
    page = os.path.join(s.dir, "sorry.html")
    with open(page, "w", encoding="ascii") as f:
        f.write("sorry\n")
    os.chmod(page, 0o644)
    s.start(HEAD + upstream("a", [a], "fallback = b\nsticky = cookie") +
            upstream("b", [b.addr, dead()], key + f"fallback = {page}") +
            route("all", "/*", "a"))
    up, text = explain(s, "/x")
    assert up["next"] == a and not up["fallback"]["now"]
    then = up["fallback"]["upstream"]
    assert (then["name"], then["hash"]["key"]) == ("b", "/x")
    assert then["fallback"] == {"now": False, "page": page, "status": 503}
    assert "\nfallback  b   hash: " in text
    assert f"\nfallback  page {page}, status 503\n" in text
    s.ctl("server", "down", "a", a)
    up, text = explain(s, "/x")
    assert (up["tier"], up["next"]) == ("empty", None)
    assert up["fallback"]["now"] and "\nnow       b   hash: " in text
    for server in up["fallback"]["upstream"]["servers"]:
        s.ctl("server", "down", "b", server)
    up, text = explain(s, "/x")
    assert up["fallback"]["upstream"]["fallback"]["now"]
    assert f"\nnow       page {page}, status 503\n" in text
    r = http.get(s.port, "/x")
    assert (r.status, r.text) == (503, "sorry\n")


def test_without(sluice):
    """None of it where there is none of it."""
    s = sluice(HEAD + upstream("app", [dead()]) + route("all", "/*", "app"))
    up, text = explain(s)
    assert up["fallback"] is None
    assert "sticky" not in up and "hash" not in up
    for word in ("cookie", "key ", "fallback", "now "):
        assert not [ln for ln in text.split("\n") if ln.startswith(word)]


def test_offline(sluice):
    """The file alone: keys expand, what follows is told, no server is."""
    s = sluice(HEAD + upstream("a", [dead(), dead()], "fallback = b\n"
                               "balance = hash\nhash.key = ${path}\n"
                               "hash.load = 0\nsticky = cookie\n") +
               upstream("b", [dead()]) + route("all", "/*", "a"))
    done = run("sluicectl", "-o", "json", "explain", "--config",
               s.conf_path, "http://a/x", "-H", "Cookie: sluice_a=1")
    up = json.loads(done.stdout)["upstream"]
    assert up["next"] is None and up["hash"] == {
        "key": "/x", "by": "hash.key", "load": 0, "order": None,
        "text": "no bound: it keeps its server however busy that is"}
    assert (up["sticky"]["says"], up["sticky"]["given"]) == (
        "unknown", True)
    assert "nothing runs" in up["sticky"]["text"]
    assert up["fallback"]["upstream"]["name"] == "b"

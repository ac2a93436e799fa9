"""What follows when no server of an upstream can answer."""
import json
import os
import re
import threading

import pytest

from lib import conf as confs
from lib import http, net, wire
from lib.peer import close_now, hold, reset_now, respond

pytestmark = pytest.mark.versions

ONE = "[sluice]\nworkers = 1\n"
HEAD = f"{ONE}[listener web]\nbind = 127.0.0.1:@port@\n{wire.PROBE}"


def dead():
    return f"127.0.0.1:{net.free_port()}"


def upstream(name, server, more=""):
    return f"[upstream {name}]\nbalance = round_robin\noutlier = off\n" \
        f"server = {server}\n{more}\n"


def route(up="a", more=""):
    return f"[route all]\npath = /*\nupstream = {up}\n{more}\n"


def test_other_upstream(sluice, peer):
    """The log names who answered in the end; both are told of."""
    b = peer(default=respond(body=b"from b\n"))
    first = dead()
    s = sluice(HEAD + upstream("a", first, "fallback = b") +
               upstream("b", b.addr, "host_header = server") + route())
    r = http.get(s.port, "/x", host="shop.example")
    assert r.body == b"from b\n"
    record = wire.record(s, target="/x")
    assert record["upstream"] == "b" and record["server"] == b.addr
    assert record["attempts"] == 2 and "fail" not in record
    assert re.fullmatch(rf"{first} \+\d+ dial_refused, {b.addr} \+\d+",
                        record["tries"])
    assert b.requests[0].get("host") == b.addr
    s.wait_log(f'server .*{first}.* of .*a.*dial_refused.*'
               'upstream .*b.* is asked')
    assert wire.sums(s)["upstream_fallbacks_total"] == 1


def test_after_all_tries(sluice, peer):
    """Each upstream has attempts of its own."""
    bad = [peer(default=reset_now()) for _ in range(4)]
    b = [peer(default=reset_now()), peer()]
    lines = "".join(f"server = {p.addr}\n" for p in bad)
    s = sluice(HEAD + f"[upstream a]\noutlier = off\n{lines}fallback = b\n" +
               upstream("b", b[0].addr, f"server = {b[1].addr}") + route())
    for i in range(2):
        assert http.get(s.port, f"/{i}").status == 200
    assert sum(len(p.requests) for p in bad) == 6
    assert len(b[1].requests) == 2


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("size", [10, 65536, 70000])
def test_body_goes_over(sluice, peer, method, size):
    """Only what may be repeated is, and only what was kept."""
    a, b = peer(default=close_now()), peer()
    s = sluice(HEAD + upstream("a", a.addr, "fallback = b") +
               upstream("b", b.addr) + route())
    data = os.urandom(size)
    with http.Client(s.port) as c:
        r = c.ask(method, "/x", body=data)
    if method == "PUT" and size <= 65536:
        assert r.status == 200 and b.requests[0].body == data
    else:
        wire.is_fail(r, "reset_before_head")
        assert not b.requests


def test_not_sent_goes_over(sluice, peer):
    b = peer()
    s = sluice(HEAD + upstream("a", dead(), "fallback = b") +
               upstream("b", b.addr) + route())
    with http.Client(s.port) as c:
        assert c.ask("POST", "/x", body=b"x" * 100000).status == 200


def test_without_retries(sluice, peer):
    """A fallback is no retry: it follows with these turned off."""
    a, b = peer(default=close_now()), peer()
    s = sluice(HEAD + upstream("a", a.addr, "fallback = b\nretry.on = off") +
               upstream("b", b.addr) + route())
    with http.Client(s.port) as c:
        assert c.ask("PUT", "/x", body=b"body").status == 200
    assert b.requests[0].body == b"body"


def test_never_in_an_answer(sluice, peer):
    """Once the client has a byte, nobody else is asked."""
    def step(conn, req):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
        return False
    a, b = peer(default=step), peer()
    s = sluice(HEAD + upstream("a", a.addr, "fallback = b") +
               upstream("b", b.addr) + route())
    with http.Client(s.port) as c:
        with pytest.raises(http.Closed):
            c.get("/x")
    assert wire.record(s, target="/x")["fail"] == "reset_in_body"
    assert not b.requests


def test_an_error_is_an_answer(sluice, peer):
    a, b = peer(default=respond(status=500, body=b"mine\n")), peer()
    s = sluice(HEAD + upstream("a", a.addr, "fallback = b") +
               upstream("b", b.addr) + route())
    assert http.get(s.port).body == b"mine\n"


# --- what was chosen for the first one is chosen anew ---

def test_sticky(sluice, peer):
    """The other upstream's cookie is read and set; the servers there see
    neither, and the first one's stays good."""
    b = [peer(default=respond(body=b"%d" % i)) for i in range(3)]
    a = peer(default=respond(body=b"a"))
    lines = "sticky = cookie\n" + "".join(
        f"server = {p.addr}\n" for p in b[1:])
    s = sluice(HEAD + upstream("a", a.addr, "fallback = b\n"
                               "sticky = cookie") +
               upstream("b", b[0].addr, lines) + route())
    first = http.get(s.port)["set-cookie"].split(";")[0]
    assert first.startswith("sluice_a=")
    s.ctl("server", "down", "a", a.addr)
    with http.Client(s.port) as c:
        r = c.get("/", headers={"Cookie": f"{first}; x=1"})
        mine = r["set-cookie"].split(";")[0]
        assert mine.startswith("sluice_b=")
        for _ in range(12):
            again = c.get("/", headers={"Cookie": f"{first}; {mine}; x=1"})
            assert again.body == r.body and not again.all("set-cookie")
        assert {q.get("cookie") for p in b for q in p.requests} == {"x=1"}
        s.ctl("server", "up", "a", a.addr)
        r = c.get("/", headers={"Cookie": f"{first}; {mine}"})
        assert r.body == b"a" and not r.all("set-cookie")
    sums = wire.sums(s)
    assert sums["sticky_invalid_total"] == sums["sticky_moved_total"] == 0


@pytest.mark.parametrize("first", ["round_robin", "hash"])
def test_hash(sluice, peer, first):
    """By the other upstream's key, whatever the first one goes by."""
    b = [peer(default=respond(body=b"%d" % i)) for i in range(3)]
    lines = "".join(f"server = {p.addr}\n" for p in b)
    keys = "balance = hash\nhash.load = 0\nhash.key = ${path}\n"
    own = keys.replace("path", "query") if first == "hash" else ""
    direct = "[route b]\npath = /*\nhost = b\nupstream = b\n"
    s = sluice(HEAD + f"[upstream a]\noutlier = off\nserver = {dead()}\n"
               f"{own}fallback = b\n[upstream b]\n{lines}{keys}" +
               route() + direct)
    with http.Client(s.port) as c:
        got = [(c.get(f"/{i}").body, c.get(f"/{i}", host="b").body)
               for i in range(30)]
    assert all(x == y for x, y in got) and len({x for x, _ in got}) == 3


def test_budget(sluice, peer):
    """Retries at the other upstream are paid for by that one."""
    a, b = [peer(default=reset_now()) for _ in range(2)], \
        [peer(default=reset_now()), peer()]
    none = "retry.floor = 0\nretry.budget = 0\n"
    for poor in "ab":
        s = sluice(HEAD + upstream("a", a[0].addr, f"server = {a[1].addr}\n"
                                   "fallback = b\n" + (none if poor == "a"
                                                       else "")) +
                   upstream("b", b[0].addr, f"server = {b[1].addr}\n" +
                            (none if poor == "b" else "")) + route())
        with http.Client(s.port) as c:
            first = c.get("/x")
        if poor == "a":
            assert first.status == 200
            assert wire.record(s, target="/x")["attempts"] == 3
        else:
            wire.is_fail(first, "retry_budget")
        s.stop()


def test_budgets_refuse(sluice, peer):
    """Each of the two tells of it, and their sum."""
    app = [peer(default=reset_now()) for _ in range(4)]
    none = "retry.floor = 0\nretry.budget = 0\n"
    s = sluice(HEAD + upstream("a", app[0].addr, f"server = {app[1].addr}\n"
                               f"fallback = b\n{none}") +
               upstream("b", app[2].addr, f"server = {app[3].addr}\n{none}")
               + route())
    wire.is_fail(http.get(s.port, "/x"), "retry_budget")
    assert wire.record(s, target="/x")["attempts"] == 2
    assert [u["retries"]["refused"]
            for u in s.ctl_json("upstreams")["upstreams"]] == [1, 1]
    assert wire.sums(s)["upstream_retries_refused_total"] == 2


@pytest.mark.turns
def test_deadline_stays(sluice, peer):
    """The whole takes no longer for it, and the server is told the rest."""
    never = threading.Event()
    a, b = peer(default=hold(never)), peer(default=hold(never))
    s = sluice(HEAD + upstream("a", a.addr, "fallback = b\n"
                               "timeout.connect = 100ms\n"
                               "timeout.first_byte = 300ms\n"
                               "timeout.total = 700ms") +
               upstream("b", b.addr, "timeout.total = 30s") + route())
    wire.is_fail(http.get(s.port, "/x"), "total_timeout")
    never.set()
    left = int(b.requests[0].get("x-request-deadline"))
    assert 0 < left <= 400
    assert wire.record(s, target="/x")["duration_us"] < 5e6


@pytest.mark.parametrize("keys,row", [
    ("queue = 0", "dial_limit"), ("queue_timeout = 200ms", "queue_timeout")])
def test_no_room(sluice, peer, keys, row):
    """The one place is taken: the other upstream is asked."""
    go = threading.Event()
    a, b = peer(default=hold(go)), peer(default=respond(body=b"from b\n"))
    s = sluice(HEAD + upstream("a", f"{a.addr} max_conns=1",
                               f"fallback = b\n{keys}") +
               upstream("b", b.addr) + route())
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/held"))
        a.wait_requests(1)
        with http.Client(s.port) as d:
            assert d.ask("POST", "/x", body=b"x").body == b"from b\n"
        s.wait_log(f"{row}; upstream .*b.* is asked")
        go.set()
        assert c.response().status == 200
    record = wire.record(s, target="/x")
    assert record["upstream"] == "b" and record["attempts"] == 1
    assert (record.get("queue_us", 0) > 0) == (row == "queue_timeout")


@pytest.mark.turns
def test_times(sluice, peer):
    """The route's own times go with it; others are the fallback's."""
    never = threading.Event()
    b = peer(default=hold(never))
    s = sluice(HEAD + upstream("a", dead(), "fallback = b\n"
                               "timeout.first_byte = 20s") +
               upstream("b", b.addr, "timeout.first_byte = 200ms") + route())
    wire.is_fail(http.get(s.port), "first_byte_timeout")
    s.reload(HEAD + upstream("a", dead(), "fallback = b") +
             upstream("b", b.addr, "timeout.first_byte = 20s") +
             route(more="timeout.first_byte = 200ms"))
    wire.is_fail(http.get(s.port), "first_byte_timeout")
    never.set()


# --- chains ---

def test_chain(sluice, peer):
    e = peer(default=respond(body=b"from e\n"))
    s = sluice(HEAD + "".join(
        upstream(n, dead(), f"fallback = {m}")
        for n, m in ("ab", "bc", "cd", "de")) + upstream("e", e.addr) +
        route())
    assert http.get(s.port, "/x").body == b"from e\n"
    record = wire.record(s, target="/x")
    assert record["attempts"] == 5 and record["upstream"] == "e"


def refused(tmp, text):
    confs.write(tmp, text.replace("@port@", "8080"))
    done = confs.test(tmp)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("chain,want", [
    ("ab ba", "a -> b -> a"), ("aa", "a -> a"),
    ("ab bc ca", "a -> b -> c -> a"),
    ("ab bc cd de ef", "a -> b -> c -> d -> e -> f")])
def test_bad_chain(tmp, chain, want):
    pairs = dict(p for p in chain.split())
    names = sorted(set(chain) - {" "})
    text = HEAD + "".join(
        upstream(n, "127.0.0.1:1", f"fallback = {pairs[n]}" if n in pairs
                 else "") for n in names) + route()
    shown = refused(tmp, text)
    line = text[:text.index("fallback")].count("\n") + 1
    assert "E0309" in shown and want in shown and f":{line}:" in shown


def test_unknown(tmp):
    shown = refused(tmp, HEAD + upstream("a", "127.0.0.1:1",
                                             "fallback = nobody") + route())
    assert "E0210" in shown and "nobody" in shown


# --- pages ---

PAGE = b"<h1>Sorry, ${status} ${reason}</h1>\n<p>${fail} ${request_id}\n"


def paged(sluice, server, more="", name="sorry.html", data=PAGE):
    s = sluice(start=False)
    path = os.path.join(s.dir, name)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, 0o644)
    s.start(HEAD + upstream("a", server, f"fallback = {path}\n{more}") +
            route())
    return s


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_page(sluice, accept):
    """503, whatever failed; the log has the reason."""
    s = paged(sluice, dead())
    with http.Client(s.port) as c:
        r = c.ask("GET", "/x", {"Accept": accept})
        wire.goes_on(c)
    rid = r["x-request-id"]
    assert r.status == 503 and r["retry-after"] == "1"
    assert r["content-type"] == "text/html; charset=utf-8"
    assert r.body.decode() == "<h1>Sorry, 503 Service Unavailable</h1>\n" \
        f"<p>dial_refused {rid}\n"
    assert "dial_refused" in r["proxy-status"]
    record = wire.record(s, target="/x")
    assert record["status"] == 503 and record["fail"] == "dial_refused"
    assert wire.sums(s)["upstream_fallback_pages_total"] == 1


def test_when_again(sluice):
    """Retry-After is with 503 alone: the page's, or the gateway's own.  The
    failure that opened the breaker tells of it already."""
    more = "breaker.failures = 1\nbreaker.open = 30s\n"
    s = paged(sluice, dead(), more)
    for row in ("dial_refused", "breaker_open"):
        r = http.get(s.port, "/x")
        assert r.status == 503 and f"<p>{row} " in r.text
        assert 28 <= int(r["retry-after"]) <= 30
    # without a page it is 502 once, and has none
    s = sluice(HEAD + upstream("a", dead(), more) + route())
    r = http.get(s.port, "/x")
    assert r.status == 502 and r.get("retry-after") is None
    r = http.get(s.port, "/x")
    assert r.status == 503 and 28 <= int(r["retry-after"]) <= 30


@pytest.mark.parametrize("first", ["down", "open"])
def test_when_again_is_not_known(sluice, first):
    """An operator's word ends when it ends, whatever the breaker's time."""
    address = dead()
    s = paged(sluice, address, "breaker.failures = 1\nbreaker.open = 30s\n")
    if first == "open":
        assert http.get(s.port).status == 503
    s.ctl("server", "down", "a", address)
    r = http.get(s.port)
    assert (r.status, r["retry-after"]) == (503, "1")


def test_page_for_post(sluice, peer):
    """What may not be asked twice gets the page."""
    app = peer(default=close_now())
    s = paged(sluice, app.addr)
    with http.Client(s.port) as c:
        assert c.ask("POST", "/x", body=b"x").status == 503


def test_page_in_time(sluice, peer):
    never = threading.Event()
    s = paged(sluice, peer(default=hold(never)).addr,
              more="timeout.connect = 100ms\ntimeout.total = 200ms\n",
              name="sorry.json", data=b'{"why":"${fail}"}')
    r = http.get(s.port)
    never.set()
    assert r.status == 503 and json.loads(r.body) == {"why": "total_timeout"}


def test_page_at_the_end(sluice, peer):
    """Of a chain: POST passes over upstreams that may not be asked."""
    s = sluice(start=False)
    path = os.path.join(s.dir, "sorry.txt")
    with open(path, "w", encoding="ascii") as f:
        f.write("later\n")
    os.chmod(path, 0o644)
    a, b = peer(default=close_now()), peer(default=close_now())
    s.start(HEAD + upstream("a", a.addr, "fallback = b") +
            upstream("b", b.addr, f"fallback = {path}") + route())
    with http.Client(s.port) as c:
        for method, asked in (("POST", 0), ("GET", 1)):
            r = c.ask(method, "/x")
            assert r.status == 503 and r.body == b"later\n"
            assert len(b.requests) == asked


def test_no_such_page(tmp):
    for name, want in (("/no/such.html", "E0312"), ("/etc/passwd", "E0312")):
        shown = refused(tmp, HEAD + upstream(
            "a", "127.0.0.1:1", f"fallback = {name}") + route())
        assert want in shown, shown


def test_client_errors_stay(sluice, peer):
    """A page is for what servers do, not for what clients do."""
    app = peer()
    s = paged(sluice, app.addr)
    s.reload()
    with http.Client(s.port) as c:
        assert c.get("/x").status == 200
        c.send(b"POST /x HTTP/1.1\r\nHost: a\r\n"
               b"Content-Length: 99999999\r\n\r\n")
        assert c.response().status == 413

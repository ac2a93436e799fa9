"""Servers that are given by name: who is asked for them, what becomes of
the answers, and when."""
import contextlib
import json
import os
import signal
import subprocess
import threading

import pytest

from lib import dns, http, net, wire, ws
from lib.cmd import run
from lib.dns import A, AAAA, SRV, Dnsmasq, Scripted
from lib.named import addresses, conf, names, peers, resolved, who
from lib.net import Deadline
from lib.peer import Peer, hold, respond


@pytest.fixture
def dnsmasq(tmp):
    made = []

    def make(hosts, **kw):
        made.append(Dnsmasq(tmp, hosts, **kw))
        return made[-1]
    yield make
    for d in made:
        d.stop()


# --- a real name server ---

def test_change_reaches_all_workers(sluice, dnsmasq):
    with peers("127.0.0.2", "127.0.0.3") as (one, two):
        d = dnsmasq({"app.test": ["127.0.0.2"]})
        s = sluice(conf(d, f"app.test:{one.port}", top="workers = 4"))
        resolved(s)
        assert who(s, 20) == {"127.0.0.2"}
        # requests go on all the while, on kept connections too
        stop, answers = threading.Event(), []

        def ask():
            with http.Client(s.port) as c:
                while not stop.is_set():
                    answers.append(c.get("/").status)
        asking = [threading.Thread(target=ask) for _ in range(4)]
        for t in asking:
            t.start()
        d.set({"app.test": ["127.0.0.3"]})
        resolved(s, "changed")
        before = len(one.requests)
        assert who(s, 40) == {"127.0.0.3"}
        stop.set()
        for t in asking:
            t.join()
        # at most those that were chosen before the line was written
        assert len(one.requests) - before <= len(asking)
        assert set(answers) == {200}
        assert addresses(s, f"app.test:{one.port}") == [two.addr]


def test_idle_connections_go(sluice, dnsmasq):
    with peers("127.0.0.2", "127.0.0.3") as (one, _):
        d = dnsmasq({"app.test": ["127.0.0.2", "127.0.0.3"]})
        s = sluice(conf(d, f"app.test:{one.port}", top="workers = 1"))
        resolved(s)
        assert who(s) == {"127.0.0.2", "127.0.0.3"}
        assert len(one._open) == 1
        kept = one.connections
        # who stays keeps its connections, whatever else changes
        d.set({"app.test": ["127.0.0.2"]})
        resolved(s, "changed")
        assert who(s) == {"127.0.0.2"}
        assert one.connections == kept
        d.set({"app.test": ["127.0.0.3"]})
        resolved(s, "changed", 2)
        # without a request that would look
        deadline = Deadline("end of the idle connection")
        while one._open:
            net.wait_fd(None, min(deadline.left(), 0.02))
        assert who(s) == {"127.0.0.3"}
        # the one that came back has its slow start, once health has seen it
        want = {f"127.0.0.2:{one.port}": "removed",
                f"127.0.0.3:{one.port}": "slow_start"}
        net.until("a slow start", lambda: {
            x["address"]: x["state"] for x in
            s.ctl_json("upstreams")["upstreams"][0]["servers"]} == want)


def test_names_beside_addresses(sluice, script):
    """Two names and an address in one upstream; one server of both."""
    with peers("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5") as all_:
        port = all_[0].port
        d = script({("a.test", A): ["127.0.0.2", "127.0.0.3"],
                    ("b.test", A): ["127.0.0.3", "127.0.0.4"]})
        s = sluice(conf(d, f"a.test:{port} b.test:{port}",
                        more=f"server = 127.0.0.5:{port}"))
        resolved(s, count=2)
        assert [http.get(s.port, "/").text for _ in range(8)].count(
            "127.0.0.3") == 2
        assert who(s, 8) == {f"127.0.0.{i}" for i in (2, 3, 4, 5)}
        # what one name gives up the other one still has
        d.zone[("a.test", A)] = ["127.0.0.2"]
        resolved(s, "changed")
        assert who(s, 8) == {f"127.0.0.{i}" for i in (2, 3, 4, 5)}
        d.zone[("b.test", A)] = ["127.0.0.2"]
        resolved(s, "changed", 2)
        assert who(s, 8) == {"127.0.0.2", "127.0.0.5"}
        # one name leaves with a reload, the address stays
        s.reload(conf(d, f"b.test:{port}"))
        assert who(s, 8) == {"127.0.0.2"}


def test_request_in_flight_ends(sluice, dnsmasq):
    go = threading.Event()
    with peers("127.0.0.2", "127.0.0.3") as (one, _):
        one.script = [hold(go, respond(body=b"late"))]
        d = dnsmasq({"app.test": ["127.0.0.2"]})
        s = sluice(conf(d, f"app.test:{one.port}", top="workers = 1"))
        with http.Client(s.port) as c:
            c.send(http.request("GET", "/"))
            one.wait_requests(1)
            d.set({"app.test": ["127.0.0.3"]})
            resolved(s, "changed")
            assert who(s) == {"127.0.0.3"}
            go.set()
            assert c.response().text == "late"
            # its connection is not kept
            deadline = Deadline("end of its connection")
            while one._open:
                net.wait_fd(None, min(deadline.left(), 0.02))


def test_goes_and_comes_back_in_use(sluice, dnsmasq):
    """An upstream that only a download still uses is taken out, its rows
    go, and it is there again: it has the name as it is then."""
    go = threading.Event()

    def step(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        go.wait(net.WAIT)
        conn.send(b"half")
        return True
    with peers("127.0.0.2", "127.0.0.3") as (one, _):
        one.script = [step]
        d = dnsmasq({"app.test": ["127.0.0.2"]})
        text = conf(d, f"app.test:{one.port}", top="workers = 1")
        s = sluice(text)
        with http.Client(s.port) as c:
            c.send(http.request("GET", "/"))
            r = c.head()
            bare = text.split("[upstream app]")[0]
            for i in range(3):
                s.reload(bare + f"[route r]\npath = /{i}\nrespond = 200 x\n")
            s.reload(text)
            assert who(s) == {"127.0.0.2"}
            d.set({"app.test": ["127.0.0.3"]})
            resolved(s, "changed")
            assert who(s) == {"127.0.0.3"}
            go.set()
            c.body(r)
            assert r.body == b"halfhalf"


def test_both_families(sluice, dnsmasq):
    with peers("127.0.0.2", "::1") as (four, _):
        d = dnsmasq({"app.test": ["127.0.0.2", "::1"]})
        s = sluice(conf(d, f"app.test:{four.port}"))
        assert who(s, 6) == {"127.0.0.2", "::1"}
        assert sorted(addresses(s, f"app.test:{four.port}")) == sorted(
            [f"127.0.0.2:{four.port}", f"[::1]:{four.port}"])


def test_gone_and_back(sluice, dnsmasq):
    """No such name: the last addresses hold; full again: it recovers."""
    with peers("127.0.0.2", "127.0.0.3") as (one, _):
        d = dnsmasq({"app.test": ["127.0.0.2"]})
        s = sluice(conf(d, f"app.test:{one.port}"))
        resolved(s)
        d.set({"other.test": ["127.0.0.9"]})
        s.wait_stderr(r'name "app.test": failing: no such name; what it '
                      r'said last still holds')
        assert who(s) == {"127.0.0.2"}
        told = names(s)[0]
        assert told["state"] == "failing" and told["why"] == "no such name"
        assert told["failed"] > 0
        d.set({"app.test": ["127.0.0.3"]})
        s.wait_stderr(r'name "app.test": recovered')
        resolved(s, "changed")
        assert who(s) == {"127.0.0.3"}
        assert names(s)[0]["state"] == "resolved"
        # a change of state is a line, a try is none
        assert len([ln for ln in s.stderr().split("\n")
                    if "failing:" in ln]) == 1


def test_services(sluice, dnsmasq):
    """SRV: targets, ports, weights; the best priority that there is."""
    with Peer(host="127.0.0.2", default=respond(body=b"a")) as a, \
            Peer(host="127.0.0.3", default=respond(body=b"b")) as b, \
            Peer(host="127.0.0.4", default=respond(body=b"c")) as c:
        hosts = {"a.test": ["127.0.0.2"], "b.test": ["127.0.0.3"],
                 "c.test": ["127.0.0.4"]}
        srv = "_http._tcp.app.test"
        d = dnsmasq(hosts, srv=[f"{srv},a.test,{a.port},1,5",
                                f"{srv},b.test,{b.port},1,0",
                                f"{srv},c.test,{c.port},2,7"])
        s = sluice(conf(d, f"dns+srv://{srv}"))
        assert who(s, 8) == {"a", "b"}
        got = {x["address"]: x["weight"] for x in names(s)[0]["addresses"]}
        assert got == {a.addr: 5, b.addr: 1}
        text = s.ctl("names").stdout
        assert f"{a.addr} weight=5" in text and srv in text
        # the service changes; dnsmasq reads that at its start alone
        d.stop()
        d.start([f"{srv},nobody.test,1,1,5", f"{srv},c.test,{c.port},2,7"])
        resolved(s, "changed")
        assert who(s) == {"c"}


def test_service_with_a_host_that_is_not_there(sluice, dnsmasq):
    """The others serve; which one is missing is told, and why."""
    srv = "_http._tcp.app.test"
    with peers("127.0.0.2") as (one,):
        d = dnsmasq({"a.test": ["127.0.0.2"]},
                    srv=[f"{srv},a.test,{one.port},1,5",
                         f"{srv},gone.test,{one.port},1,5"])
        s = sluice(conf(d, f"dns+srv://{srv}"))
        assert who(s) == {"127.0.0.2"}
        (name,) = names(s)
        assert (name["state"], name["why"]) == \
            ("resolved", "gone.test: no such name")
        assert "gone.test: no such name" in s.ctl("names").stdout
        # without any host the service is what has failed
        d.stop()
        d.start([f"{srv},gone.test,{one.port},1,5"])
        deadline = Deadline("failing service")
        while (name := names(s)[0])["state"] != "failing":
            net.wait_fd(None, min(deadline.left(), 0.05))
        assert name["why"] == "gone.test: no such name"
        assert [a["address"] for a in name["addresses"]] == [one.addr]


def test_many_names(sluice, dnsmasq):
    """100 names, some of them the same, each with its own server."""
    port = net.free_port()
    with Peer(host="127.0.1.1", port=port) as app:
        d = dnsmasq({f"n{i}.test": [f"127.0.1.{i}"] for i in range(1, 101)},
                    ttl=60)
        routes = "".join(
            f"[upstream u{i}]\nserver = n{i}.test:{app.port}\n"
            f"[route r{i}]\npath = /r{i}\nupstream = u{i}\n"
            for i in range(1, 101))
        s = sluice(conf(d, f"n1.test:{app.port}") + routes)
        # the log has at most 100 of a kind in a second: the API has all
        deadline = Deadline("100 names")
        while not all(n["addresses"] for n in names(s)):
            net.wait_fd(None, min(deadline.left(), 0.02))
        got = {n["server"]: [a["address"] for a in n["addresses"]]
               for n in names(s)}
        assert got == {f"n{i}.test:{port}": [f"127.0.1.{i}:{port}"]
                       for i in range(1, 101)}
        assert http.get(s.port, "/r1").status == 200
        assert http.get(s.port, "/r2").status == 502
        # one lookup for both uses of n1
        asked = [m["sum"] for m in s.ctl_json("metrics")["metrics"]
                 if m["name"] == "names_asked_total"]
        assert asked == [100]


def test_many_addresses(sluice, script):
    """100 addresses do not fit into a datagram: they come over TCP."""
    want = [f"127.0.9.{i}" for i in range(1, 101)]
    d = script({("app.test", A): want[::-1]}, udp_max=1232)
    s = sluice(conf(d, "app.test:9"))
    resolved(s)
    assert addresses(s, "app.test:9") == [f"{a}:9" for a in want]
    assert d.streamed
    # turned round it is the same set; one less is another
    d.zone[("app.test", A)] = want[50:] + want[:50]
    d.wait_asked("app.test", sum(q[1] == A for q in d.asked) + 2)
    assert "changed: " not in s.stderr()
    d.zone[("app.test", A)] = want[1:]
    resolved(s, "changed")
    assert addresses(s, "app.test:9") == [f"{a}:9" for a in want[1:]]


def test_more_addresses_than_fit(sluice, script):
    """Of 300 the same 128 stay, whichever come first."""
    want = [f"127.0.{8 + i // 250}.{1 + i % 250}" for i in range(300)]
    d = script({("app.test", A): want}, udp_max=1232)
    s = sluice(conf(d, "app.test:9"))
    resolved(s)
    s.wait_stderr('name "app.test": more than 128 addresses')
    first = addresses(s, "app.test:9")
    assert first == [f"{a}:9" for a in want[:128]]
    d.zone[("app.test", A)] = want[200:] + want[:200]
    d.wait_asked("app.test", sum(q[1] == A for q in d.asked) + 2)
    assert addresses(s, "app.test:9") == first
    assert "changed: " not in s.stderr()


def test_address_under_another_name(sluice, script):
    """It goes by the name that has it, its connections stay."""
    with peers("127.0.0.2") as (app,):
        d = script({("a.test", A): ["127.0.0.2"],
                    ("b.test", A): ["127.0.0.3"]})
        s = sluice(conf(d, f"a.test:{app.port}",
                        f"server = b.test:{app.port}\nhost_header = server"))
        resolved(s, count=2)

        def hosts():
            n = len(app.requests)
            while len(app.requests) < n + 2:
                http.get(s.port, "/")
            return {r.get("host") for r in app.requests[n:]}
        assert hosts() == {f"a.test:{app.port}"}
        # for a while both have it, then the first one does not
        d.zone[("b.test", A)] = ["127.0.0.2"]
        resolved(s, "changed")
        d.zone[("a.test", A)] = ["127.0.0.3"]
        resolved(s, "changed", 2)
        assert hosts() == {f"b.test:{app.port}"}


def test_stream_of_an_address_that_left(sluice, script):
    """Its time begins when the set changes, not with the next reload."""
    port = net.free_port()
    with Peer(host="127.0.0.2", port=port, default=ws.echoes()), \
            Peer(host="127.0.0.3", port=port, default=ws.echoes()):
        d = script({("app.test", A): ["127.0.0.2"]})
        s = sluice(conf(d, f"app.test:{port}",
                        top="drain.streams = 1s\n"))
        resolved(s)
        w, back = ws.Socket(s.port, "/left"), ws.Socket(s.port, "/back")
        d.zone[("app.test", A)] = ["127.0.0.3"]
        resolved(s, "changed")
        with ws.Socket(s.port, "/stays") as v:
            w.echo(b"so far")
            assert w.c.rest() == b""
            r = wire.record(s, target="/left")
            assert r["fail"] == "draining"
            assert r["cause"] == "its server was removed"
            v.echo(b"x")
        w.close()
        back.close()


@pytest.mark.parametrize("fault", ["names_refused", "names_lost"])
def test_set_is_sent_again(sluice, script, fault):
    """One that the master refuses, one whose answer does not come."""
    d = script({("app.test", A): ["127.0.0.2"]})
    s = sluice(conf(d, "app.test:9"), env={"SLUICE_FAULT": f"{fault}:1"})
    if fault == "names_refused":
        s.wait_stderr("the master refused its addresses: fault point")
        resolved(s)
    deadline = Deadline("the first set")
    while addresses(s, "app.test:9") != ["127.0.0.2:9"]:
        net.wait_fd(None, min(deadline.left(), 0.02))
    d.zone[("app.test", A)] = ["127.0.0.3"]
    resolved(s, "changed")
    assert addresses(s, "app.test:9") == ["127.0.0.3:9"]


def test_many_names_are_one_pass(sluice, script):
    """300 names that change at once, and all of them arrive."""
    d = script({(f"n{i}.test", A): ["127.0.0.2"] for i in range(300)})
    more = "".join(f"server = n{i}.test:9\n" for i in range(1, 300))
    s = sluice(conf(d, "n0.test:9", more))

    def wait(addr):
        deadline = Deadline(f"300 times {addr}")
        while {a["address"] for n in names(s) for a in n["addresses"]} != \
                {addr} or not all(n["addresses"] for n in names(s)):
            net.wait_fd(None, min(deadline.left(), 0.02))
    wait("127.0.0.2:9")
    for key in list(d.zone):
        d.zone[key] = ["127.0.0.3"]
    wait("127.0.0.3:9")


def test_reload_keeps_addresses(sluice, script):
    with peers("127.0.0.2", "127.0.0.3") as (one, _):
        d = script({("app.test", A): ["127.0.0.2"],
                    ("new.test", A): ["127.0.0.3"]}, ttl=60)
        text = conf(d, f"app.test:{one.port}", top="workers = 1")
        s = sluice(text)
        assert who(s) == {"127.0.0.2"}
        asked, conns = len(d.asked), one.connections
        s.reload(text + "[upstream x]\nserver = app.test:1\n")
        assert len(names(s)) == 2
        s.reload(text + "[route y]\npath = /y\nrespond = 200 y\n")
        assert who(s) == {"127.0.0.2"}
        assert len(d.asked) == asked and one.connections == conns
        # a generation that adds a name serves it from its first moment
        s.reload(text.replace("app.test", "new.test"))
        assert who(s) == {"127.0.0.3"}
        assert [n["server"] for n in names(s)] == [f"new.test:{one.port}"]


def test_roll_and_control_death(sluice, script):
    """New processes have the members at once, without another question."""
    with peers("127.0.0.2") as (one,):
        d = script({("app.test", A): ["127.0.0.2"]}, ttl=60)
        s = sluice(conf(d, f"app.test:{one.port}"))
        assert who(s) == {"127.0.0.2"}
        d.zone[("app.test", A)] = dns.silent
        asked = len(d.asked)
        s.ctl("roll")
        assert who(s) == {"127.0.0.2"} and len(d.asked) == asked
        old = s.roles()["control"]
        os.kill(old, signal.SIGKILL)
        s.wait_role("control", other_than=old)
        d.wait_asked("app.test", 2)
        assert who(s) == {"127.0.0.2"}


# --- scripted ones: time, silence, nonsense ---

@pytest.mark.parametrize("ttl,low,high", [(0, 900, 1000), (30, 20000, 30000),
                                          (86400, 50000, 60000),
                                          (2 ** 31, 900, 1000)])
def test_ttl(sluice, script, ttl, low, high):
    d = script({("app.test", A): ["127.0.0.2"]}, ttl=ttl)
    s = sluice(conf(d, "app.test:80"))
    resolved(s)
    left = names(s)[0]["again_ms"]
    assert low - 900 <= left <= high
    if high == 1000:
        d.wait_asked("app.test", 3)


def test_ttl_of_aliases(sluice, script):
    """An alias on the way may run out sooner than the address."""
    def answer(query, make):
        target = dns.pack_name("real.test")
        return make(query, [
            dns.record(dns.CNAME, "real.test", 7),
            dns.record(A, "127.0.0.2", 50, target)])
    d = script({("app.test", A): answer})
    s = sluice(conf(d, "app.test:80"))
    resolved(s)
    assert 5000 < names(s)[0]["again_ms"] <= 7000
    assert addresses(s, "app.test:80") == ["127.0.0.2:80"]


def test_order_is_no_change(sluice, script):
    turn = []

    def answer(query, make):
        turn.append(1)
        ips = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        n = len(turn) % 3
        return make(query, [dns.record(A, ip, 1)
                            for ip in ips[n:] + ips[:n]])
    d = script({("app.test", A): answer})
    s = sluice(conf(d, "app.test:80"))
    d.wait_asked("app.test", 4)
    assert "changed:" not in s.stderr()


def test_start_without_any(sluice, script):
    """It starts, says why, and serves as soon as there is an address."""
    with peers("127.0.0.2") as (one,):
        d = script()
        s = sluice(conf(d, f"app.test:{one.port}"))
        s.wait_stderr('name "app.test": failing: no such name; it never '
                      'had any addresses')
        r = http.get(s.port, "/")
        assert r.status == 502 and "error=dns_error" in r["proxy-status"]
        assert json.loads(http.get(s.port, "/", headers={
            "Accept": "application/json"}).body)["fail"] == "name_error" \
            or "name_error" in r.text
        s.wait_log("name_error")
        d.zone[("app.test", A)] = ["127.0.0.2"]
        resolved(s)
        assert who(s) == {"127.0.0.2"}


def test_first_answer_is_waited_for(sluice, script):
    """A request before it waits as long as a dial may take."""
    with peers("127.0.0.2") as (one,):
        d = script({("app.test", A): dns.silent})
        s = sluice(conf(d, f"app.test:{one.port}"))
        d.wait_asked("app.test", 1)
        with http.Client(s.port) as c:
            c.send(http.request("GET", "/"))
            d.zone[("app.test", A)] = ["127.0.0.2"]
            # the second try, two seconds after the first
            assert c.response().text == "127.0.0.2"


def test_silent_resolver(sluice, script):
    with peers("127.0.0.2") as (one,):
        d = script({("app.test", A): dns.silent,
                    ("app.test", AAAA): dns.silent})
        s = sluice(conf(d, f"app.test:{one.port}"))
        s.wait_stderr('name "app.test": failing: time-out')
        r = http.get(s.port, "/")
        assert r.status == 504 and "error=dns_timeout" in r["proxy-status"]
        # one that answers late: what it had holds meanwhile
        d.zone = {("app.test", A): ["127.0.0.2"]}
        s.wait_stderr('name "app.test": recovered')
        resolved(s)
        assert who(s) == {"127.0.0.2"}
        d.zone = {("app.test", A): dns.silent, ("app.test", AAAA): dns.silent}
        s.wait_stderr("failing: time-out", 2)
        assert who(s) == {"127.0.0.2"}


def test_dead_resolver(sluice):
    with peers("127.0.0.2") as (one,):
        port = net.free_port()
        s = sluice(conf(f"127.0.0.1:{port}", f"app.test:{one.port}"))
        s.wait_stderr('name "app.test": failing: ')
        assert http.get(s.port, "/").status in (502, 504)
        with Scripted({("app.test", A): ["127.0.0.2"]}, port=port):
            resolved(s)
            assert who(s) == {"127.0.0.2"}
        s.wait_stderr("failing: ", 2)
        assert who(s) == {"127.0.0.2"}


def test_second_resolver(sluice, script):
    """The first of two is silent."""
    with peers("127.0.0.2") as (one,):
        a = script({("app.test", A): dns.silent,
                    ("app.test", AAAA): dns.silent})
        b = script({("app.test", A): ["127.0.0.2"]})
        s = sluice(conf(f"{a.addr} {b.addr}", f"app.test:{one.port}"))
        resolved(s)
        assert who(s) == {"127.0.0.2"}


@pytest.mark.parametrize("bad", [
    dns.fails(dns.SERVER_FAILED), dns.fails(dns.REFUSED),
    lambda q, make: make(q),
    lambda q, make: make(q)[:11],
    lambda q, make: make(q, [dns.record(A, "127.0.0.9", 1)])[:-2],
    lambda q, make: make(q, [b"\xc0\x0c\0\x01\0\x01\0\0\0\1\0\3abc"]),
    lambda q, make: make(q, [dns.record(A, "0.0.0.0", 1)]),
], ids=["failed", "refused", "empty", "cut", "cut record", "bad record",
        "no address"])
def test_bad_answers_hold_the_last(sluice, script, bad):
    with peers("127.0.0.2", "127.0.0.3") as (one, _):
        d = script({("app.test", A): ["127.0.0.2"]})
        s = sluice(conf(d, f"app.test:{one.port}"))
        assert who(s) == {"127.0.0.2"}
        d.zone[("app.test", A)] = bad
        d.wait_asked("app.test", len(d.asked) // 2 + 2)
        assert who(s) == {"127.0.0.2"}
        d.zone[("app.test", A)] = ["127.0.0.3"]
        resolved(s, "changed")
        assert who(s) == {"127.0.0.3"}


def test_one_family_fails(sluice, script):
    """The other one is renewed, and what failed keeps what it had."""
    d = script({("app.test", A): ["127.0.0.2"], ("app.test", AAAA): ["::1"]})
    s = sluice(conf(d, "app.test:80"))
    resolved(s)
    d.zone[("app.test", AAAA)] = dns.fails(dns.SERVER_FAILED)
    d.zone[("app.test", A)] = ["127.0.0.3"]
    resolved(s, "changed")
    assert sorted(addresses(s, "app.test:80")) == ["127.0.0.3:80",
                                                   "[::1]:80"]
    d.zone[("app.test", AAAA)] = []
    resolved(s, "changed", 2)
    assert addresses(s, "app.test:80") == ["127.0.0.3:80"]


def test_limit_of_each_address(sluice, script):
    """max_conns holds for addresses of names, over all workers."""
    go = threading.Event()
    with peers("127.0.0.2") as (one,):
        one.default = hold(go)
        d = script({("app.test", A): ["127.0.0.2"]})
        s = sluice(conf(d, f"app.test:{one.port} max_conns=2"))
        resolved(s)
        with contextlib.ExitStack() as stack:
            some = [stack.enter_context(http.Client(s.port))
                    for _ in range(2)]
            for c in some:
                c.send(http.request("GET", "/"))
            one.wait_requests(2)
            with http.Client(s.port) as c:
                c.send(http.request("GET", "/"))
                net.wait_fd(c.sock, 2)
                assert one.connections == 2
                go.set()
            for c in some:
                assert c.response().status == 200


def test_host_field(sluice, script):
    with peers("127.0.0.2") as (one,):
        d = script({("app.test", A): ["127.0.0.2"]})
        s = sluice(conf(d, f"app.test:{one.port}",
                        more="host_header = server"))
        assert who(s) == {"127.0.0.2"}
        assert one.requests[0].get("host") == f"app.test:{one.port}"


def test_target_of_a_route(sluice, script):
    with peers("127.0.0.2") as (one,):
        d = script({("app.test", A): ["127.0.0.2"]})
        s = sluice(f"""
[sluice]
resolver = {d.addr}
[listener web]
bind = 127.0.0.1:@port@
[route all]
path = /*
target = http://App.test:{one.port}
""")
        assert who(s) == {"127.0.0.2"}
        assert names(s)[0]["upstream"] == "@all"


def test_other_resolver_by_reload(sluice, script):
    with peers("127.0.0.2", "127.0.0.3") as (one, _):
        a = script({("app.test", A): ["127.0.0.2"]}, ttl=60)
        b = script({("app.test", A): ["127.0.0.3"]}, ttl=60)
        s = sluice(conf(a, f"app.test:{one.port}"))
        assert who(s) == {"127.0.0.2"}
        s.reload(conf(b, f"app.test:{one.port}"))
        resolved(s, "changed")
        assert who(s) == {"127.0.0.3"}


def test_rows_do_not_grow(sluice, script):
    """Addresses that come and go use the same rows again in the end."""
    d = script({("app.test", A): ["127.0.0.2"]})
    s = sluice(conf(d, "app.test:80"))
    resolved(s)
    for i in range(3, 6):
        d.zone[("app.test", A)] = [f"127.0.0.{i}"]
        resolved(s, "changed", i - 2)
    assert "127.0.0.5:80" in s.server_rows("app")
    assert len(s.server_rows("app")) <= 4


def test_strict_dns(sluice, script):
    with Scripted({("app.test", A): ["127.0.0.2"],
                   ("_a._tcp.app.test", SRV): [(1, 1, 80, "app.test")]}) as d:
        s = sluice(conf(d, "app.test:80",
                        more="server = dns+srv://_a._tcp.app.test"),
                   start=False)
        s.write(conf(d, "app.test:80",
                     more="server = dns+srv://_a._tcp.app.test"))
        done = run("sluiced", "-t", "--strict-dns", "-c", s.conf_path)
        assert done.returncode == 0, done.stderr
        s.write(conf(d, "app.test:80 none.test:80"))
        assert run("sluiced", "-t", "-c", s.conf_path).returncode == 0
        done = run("sluiced", "-t", "--strict-dns", "-c", s.conf_path)
        assert done.returncode == 1
        assert '"none.test:80" does not resolve: no such name' in done.stderr
        assert done.stderr.count("E0223") == 1


def test_names_of_the_hosts_file(sluice, script):
    """/etc/hosts goes before every name server."""
    with open("/etc/hosts", encoding="utf-8") as f:
        own = [ln.split("#")[0].split() for ln in f]
    own = [w for w in own if len(w) > 1 and ":" not in w[0] and
           w[1] != "localhost"]
    if not own:
        pytest.skip("/etc/hosts has no name of its own")
    d = script()
    s = sluice(conf(d, f"{own[0][1]}:80"))
    resolved(s)
    assert f"{own[0][0]}:80" in addresses(s, f"{own[0][1].lower()}:80")
    assert not d.asked


def test_resolv_conf(sluice, tmp):
    """Its servers, its domains, and that it changes."""
    path = os.path.join(tmp, "resolv.conf")
    own = ["unshare", "-m", "sh", "-c",
           f'mount --bind {path} /etc/resolv.conf && exec "$@"', "sh"]

    def say(text):
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
    say("nameserver 127.0.53.1\nsearch none.test app.test\n")
    if os.geteuid() != 0 or subprocess.run(
            [*own, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mounts of our own here")
    with contextlib.ExitStack() as stack:
        try:
            one, two = (stack.enter_context(Scripted(
                {("www.app.test", A): [f"127.0.0.{n + 1}"]}, ttl=60,
                host=f"127.0.53.{n}", port=53)) for n in (1, 2))
        except OSError as e:
            pytest.skip(f"port 53: {e}")
        app, _ = stack.enter_context(peers("127.0.0.2", "127.0.0.3"))
        s = sluice(conf("", f"www:{app.port}").replace("resolver = ", ""),
                   start=False)
        s.start(prefix=own)
        assert who(s) == {"127.0.0.2"}
        assert [q for q in one.asked if q[1] == A] == [
            ("www.none.test", A), ("www.app.test", A)]
        say("nameserver 127.0.53.2\nsearch app.test\noptions ndots:1\n")
        s.wait_stderr("resolver: /etc/resolv.conf has changed")
        resolved(s, "changed")
        assert who(s) == {"127.0.0.3"}
        assert ("www.app.test", A) in two.asked

"""Two dials at once to the addresses of a name (RFC 8305): which one wins,
and who is told of the other."""
import contextlib
import select
import socket
import time

import pytest

from lib import http, net, tls
from lib.certs import Cert
from lib.dns import A, AAAA
from lib.named import conf, resolved
from lib.net import Deadline
from lib.peer import Peer, respond

pytestmark = [pytest.mark.versions, pytest.mark.turns]


# a connection of HTTP/2 is dialled for all who come meanwhile
SCHEMES = pytest.mark.parametrize("scheme", ["", "h2c://"])


def full(host, port):
    """A server that takes no more connections: dials hang."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = [socket.create_server((host, port), family=family, backlog=0)]
    for _ in range(8):
        made.append(socket.socket(family))
        made[-1].setblocking(False)
        made[-1].connect_ex((host, port))
    return made


@pytest.mark.parametrize("slow,quick", [("127.0.0.2", "::1"),
                                        ("::1", "127.0.0.2")])
def test_other_family_is_quicker(sluice, script, slow, quick):
    """A dial that hangs is overtaken by one in the other family."""
    with Peer(host=quick, default=respond(body=quick.encode())) as app:
        hung = full(slow, app.port)
        d = script({("app.test", A): [h for h in (slow, quick)
                                      if ":" not in h],
                    ("app.test", AAAA): [h for h in (slow, quick)
                                         if ":" in h]}, ttl=60)
        s = sluice(conf(d, f"app.test:{app.port}", top="workers = 1",
                        more="timeout.connect = 8s\npool.size = 0"))
        resolved(s)
        for _ in range(4):
            start = time.monotonic()
            assert http.get(s.port, "/").text == quick
            assert time.monotonic() - start < 4
        # nothing is left of the dials that lost
        deadline = Deadline("end of the dials")
        while connections(s) != 0:
            net.wait_fd(None, min(deadline.left(), 0.02))
        for c in hung:
            c.close()
        s.stop()
        # the time is that of both dials; of those that took the other one
        # at once there are some as well
        took = [r["connect_us"] for r in s.log() if r.get("status") == 200]
        assert len(took) == 4 and max(took) >= 249000


def connections(s):
    return next(m["sum"] for m in s.ctl_json("metrics")["metrics"]
                if m["name"] == "upstream_connections")


def by_address(s):
    return {x["address"]: x for x in
            s.ctl_json("upstreams")["upstreams"][0]["servers"]}


@contextlib.contextmanager
def both_hang(sluice, script, more, scheme=""):
    """(gateway, a client, {address: sockets}) with two dials under way."""
    port, hosts = net.free_port(), ("127.0.0.2", "::1")
    hung = {f"[{h}]:{port}" if ":" in h else f"{h}:{port}": full(h, port)
            for h in hosts}
    d = script({("app.test", A): hosts[:1], ("app.test", AAAA): hosts[1:]},
               ttl=60)
    s = sluice(conf(d, f"{scheme}app.test:{port}", top="workers = 1",
                    more=more))
    resolved(s)
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/"))
        deadline = Deadline("the second dial")
        while connections(s) < 2:
            net.wait_fd(None, min(deadline.left(), 0.01))
        yield s, c, hung
    for made in hung.values():
        for sock in made:
            sock.close()


@SCHEMES
def test_who_failed_last_is_blamed(sluice, script, scheme):
    """The first dial is refused while the second one goes on."""
    with both_hang(sluice, script, "timeout.connect = 3s",
                   scheme) as (s, c, hung):
        first, = [a for a, x in by_address(s).items() if x["attempts"]]
        last, = set(hung) - {first}
        hung[first][0].close()      # the next SYN will be refused
        r = c.response()
        assert r.status == 504 and "dial_timeout" in r.text
        shown = by_address(s)
        assert {a: (x["attempts"], x["failures"], x["last_failure"]["fail"])
                for a, x in shown.items()} == {
                    first: (1, 1, "dial_refused"),
                    last: (1, 1, "dial_timeout")}
        s.stop()
        record, = [r for r in s.log() if r.get("target") == "/"]
        assert record["server"] == last and record["attempts"] == 1


@SCHEMES
def test_both_are_late(sluice, script, scheme):
    """Both were asked: neither is asked again."""
    with both_hang(sluice, script, "timeout.connect = 600ms",
                   scheme) as (s, c, _):
        r = c.response()
        assert r.status == 504 and "dial_timeout" in r.text
        assert [(x["attempts"], x["failures"])
                for x in by_address(s).values()] == [(1, 1), (1, 1)]


@SCHEMES
def test_raced_goes_down(sluice, script, scheme):
    """The second dial's server goes out of service before it answers: no
    attempt begins there."""
    with both_hang(sluice, script, "timeout.connect = 20s",
                   scheme) as (s, c, hung):
        first, = [a for a, x in by_address(s).items() if x["attempts"]]
        last, = set(hung) - {first}
        name = s.ctl_json("upstreams")["upstreams"][0]["name"]
        assert s.ctl("server", "down", name, last).returncode == 0
        listener, *queued = hung[last]
        for sock in queued:         # room for the dial that hangs
            sock.close()
        listener.settimeout(net.WAIT)
        deadline = Deadline("end of the second dial")
        while connections(s) > 1:
            if net.wait_fd(listener, min(deadline.left(), 0.05)):
                listener.accept()[0].close()
        assert by_address(s)[last]["attempts"] == 0
        hung[first][0].close()
        r = c.response()
        assert r.status == 502 and "dial_refused" in r.text
        assert [by_address(s)[a]["attempts"] for a in (first, last)] == [1, 0]


def test_no_race_without_weight(sluice, script):
    """What the operator keeps requests away from is not dialled."""
    port, hosts = net.free_port(), ("127.0.0.2", "::1")
    made = sum((full(h, port) for h in hosts), [])
    d = script({("app.test", A): hosts[:1], ("app.test", AAAA): hosts[1:]},
               ttl=60)
    s = sluice(conf(d, f"app.test:{port}", top="workers = 1",
                    more="timeout.connect = 600ms"))
    resolved(s)
    name = s.ctl_json("upstreams")["upstreams"][0]["name"]
    other = f"[::1]:{port}"
    assert s.ctl("server", "weight", name, other, "0").returncode == 0
    r = http.get(s.port, "/")
    assert r.status == 504 and "dial_timeout" in r.text
    assert {a: x["attempts"] for a, x in by_address(s).items()} == {
        f"127.0.0.2:{port}": 1, other: 0}
    for sock in made:
        sock.close()


def test_race_is_left(sluice, script):
    """The client goes while two dials are under way."""
    with both_hang(sluice, script, "timeout.connect = 20s") as (s, c, _):
        c.reset()
        deadline = Deadline("end of the dials")
        while connections(s) != 0:
            net.wait_fd(None, min(deadline.left(), 0.02))


def listen(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


@pytest.mark.parametrize("shakes", [True, False])
def test_a_handshake_is_not_raced(sluice, script, tmp, shakes):
    """The first to connect has won, be its handshake slow: the other
    address is not dialled meanwhile, nor when that fails."""
    port = net.free_port()
    ctx = tls.server(Cert("app.test"), tmp)
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(listen(h, port))
                for h in ("127.0.0.2", "::1")]
        d = script({("app.test", A): ["127.0.0.2"],
                    ("app.test", AAAA): ["::1"]}, ttl=60)
        s = sluice(conf(d, f"https://app.test:{port}", top="workers = 1",
                        more="tls.verify = off\nretry.tries = 0\n"
                        "timeout.connect = 20s\npool.size = 0"),
                   env={"SLUICE_FAULT": "dial_slow"})
        resolved(s)
        c = stack.enter_context(http.Client(s.port))
        c.send(http.request("GET", "/"))
        (first, ), _, _ = select.select(made, [], [], net.WAIT)
        other, = [m for m in made if m is not first]
        sock = stack.enter_context(first.accept()[0])
        assert not net.wait_fd(other, 0.6)
        if shakes:
            sock = stack.enter_context(ctx.wrap_socket(
                sock, server_side=True))
            assert sock.recv(4).startswith(b"GET")
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                         b"\r\nok")
        sock.close()
        r = c.response()
        assert (r.status, r.text) == (200, "ok") if shakes else \
            r.status == 502 and "tls_upstream_handshake" in r.text
        assert not net.wait_fd(other, 0)
        assert connections(s) == 0

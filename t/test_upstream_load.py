"""Load through the proxy: no request fails, every answer is the right one,
and nothing is left of it afterwards.  Longer ones are in soak/."""
import contextlib
import hashlib
import os
import signal
import socket

import pytest

from lib import http, net, wire
from lib.load import Load
from lib.peer import respond

CONF = """
[sluice]
workers = 2
drain.timeout = 5s
stop = 5s
[listener web]
bind = 127.0.0.1:@port@
%s
[upstream app]
server = %s
[route all]
path = /*
upstream = app
"""
BIG = os.urandom(2 << 20)
PIECES = [os.urandom(n) for n in (1, 700, 16384, 40000)]


def echo(conn, req):
    """What was asked for: a long body, chunks, or the request's own."""
    if req.target == "/big":
        return respond(body=BIG)(conn, req)
    if req.target == "/chunks":
        return respond(chunks=PIECES)(conn, req)
    return respond(body=req.body or req.target.encode())(conn, req)


def conf(addr, keys=""):
    return CONF % (keys, addr)


@pytest.fixture(scope="module")
def gate():
    with wire.with_app(conf, default=echo) as s:
        yield s


def descriptors(s):
    return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in s.workers()}


def settled(s):
    """Waits until nothing is under way; all counters then."""
    def right():
        n = wire.sums(s)
        busy = n["upstream_connections"] - n["upstream_connections_idle"] + \
            n["requests_started_total"] - n["requests_total"]
        return None if busy or n["connections"] else n
    return net.until("nothing under way", right)


def is_body(data):
    digest = hashlib.sha256(data).digest()
    return lambda r: r.status == 200 and \
        hashlib.sha256(r.body).digest() == digest


def loads(port):
    """Kinds of load, ten connections of each."""
    up = os.urandom(100_000)
    for target, want, kw in (
            ("/small", b"/small", {}), ("/big", BIG, {"conns": 3}),
            ("/chunks", b"".join(PIECES), {}),
            ("/up", up, {"method": "POST", "body": up}),
            ("/once", b"/once", {"per_conn": 1})):
        yield Load(port, target, want=is_body(want), **{"conns": 10, **kw})


def test_concurrent(gate):
    """A thousand requests of each kind, all kinds at once."""
    before = settled(gate)
    with contextlib.ExitStack() as stack:
        all_of = [stack.enter_context(ld) for ld in loads(gate.port)]
        for ld in all_of:
            ld.wait(1000 if ld.data.startswith(b"GET /s") else 200,
                    60 * net.SCALE)
    for ld in all_of:
        assert not ld.failures
    after = settled(gate)
    done = sum(ld.done for ld in all_of)
    assert after["responses_2xx_total"] - before["responses_2xx_total"] >= \
        done
    for name in ("requests_aborted_total", "requests_worker_lost_total",
                 "responses_5xx_total", "responses_4xx_total"):
        assert after[name] == before[name], name


def test_rapid_cycles(gate):
    """Connections that come and go at each stage leave nothing behind."""
    with Load(gate.port, "/x", want=is_body(b"/x"), conns=4) as warm:
        warm.wait(100)
    settled(gate)
    before = descriptors(gate)
    head = http.request("POST", "/x", body=b"x" * 5000)
    with Load(gate.port, "/x", want=is_body(b"/x"), conns=4,
              per_conn=1) as others:
        for n in range(600):
            c = http.Client(gate.port)
            c.send(head[:n * 9 % len(head)])
            if n % 3 == 0:
                c.reset()
            else:
                if n % 3 == 1:
                    c.shut()
                c.close()
        others.wait(100)
    assert not others.failures
    n = settled(gate)
    net.until("no page held", lambda: wire.sums(gate)["page_bytes"] == 0)
    # pooled connections may be fewer, or one for each that asked at once
    room = n["upstream_connections"] + 8
    for pid, most in before.items():
        assert descriptors(gate)[pid] <= most + room
    assert gate.workers() == list(before)


def test_reload_roll_upgrade(sluice, peer):
    """Nobody notices, whatever is replaced."""
    app = peer(default=echo)
    s = sluice(conf(app.addr))
    with contextlib.ExitStack() as stack:
        all_of = [stack.enter_context(ld) for ld in loads(s.port)]
        for n in range(20):
            s.reload(conf(app.addr, f"timeout.idle = {60 + n}s"))
            all_of[0].wait(20)
        old = s.workers()
        s.ctl("roll")
        for pid in old:
            net.wait_pid_gone(pid, 30 * net.SCALE)
        all_of[0].wait(100)
        old = s.workers()
        s.notify.drain()
        s.send(signal.SIGUSR2)
        s.notify.wait("READY")
        for pid in old:
            net.wait_pid_gone(pid, 30 * net.SCALE)
        for ld in all_of:
            ld.wait(20)
    for ld in all_of:
        assert not ld.failures


def test_limiter(sluice, peer):
    """Who is over the limit is closed at once; who is not is served."""
    app = peer(default=echo)
    s = sluice(conf(app.addr, "max_new_conns_per_ip = 60/m burst=30"))
    served = 0
    for _ in range(300):
        with contextlib.suppress(http.Closed, OSError), \
                http.Client(s.port) as c:
            served += c.get("/x").body == b"/x"
    n = wire.sums(s)
    assert 30 <= served < 60
    assert n["connections_rate_limited_total"] == 300 - served
    assert len(app.requests) == served
    # the limit is of an address, and of connections, not of requests
    other = socket.create_connection(("127.0.0.1", s.port), net.WAIT,
                                     source_address=("127.0.0.9", 0))
    with http.Client(s.port, sock=other) as c:
        for _ in range(200):
            assert c.get("/x").body == b"/x"

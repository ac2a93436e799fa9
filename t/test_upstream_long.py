"""Long bodies both ways, whatever version either side speaks: whole, as fast
as they are taken, and nothing of them is left.  How little they cost over
HTTP/1.1 is in test_upstream_bytes.py."""
import contextlib
import os
import threading

import pytest

from lib import h2peer, http, net, peer, wire

pytestmark = pytest.mark.versions

MB = 1 << 20
DATA = os.urandom(5 * MB)
CONF = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
[limits]
body = 0
[upstream app]
server = {scheme}{addr}
retry.on = off
[route all]
path = /*
upstream = app
""" + wire.PROBE


@pytest.fixture(scope="module", params=["http", "h2c"])
def gate(request):
    """One gateway for each kind of server."""
    two = request.param == "h2c"
    with (h2peer.H2Peer if two else peer.Peer)() as app, wire.gateway(
            CONF.format(scheme="h2c://" if two else "",
                        addr=app.addr)) as s:
        s.app, s.two = app, two
        yield s


def answers(gate, body, chunks=False, **kw):
    if gate.two:
        return h2peer.answer(body=body, headers=() if chunks else [
            ("content-length", str(len(body)))], **kw)
    if chunks:
        return peer.respond(chunks=[body[i:i + 50000] for i in range(
            0, len(body), 50000)], **kw)
    return peer.respond(body=body, **kw)


def breaks(gate, n):
    """n bytes of an answer, and then none."""
    def one(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" %
                  len(DATA) + DATA[:n])
        return False

    def two(c, r):
        c.reply(r.sid, 200, [("content-length", str(len(DATA)))])
        c.upload(r.sid, DATA[:n], end=False)
        c.rst(r.sid, h2peer.CANCEL)
    return two if gate.two else one


def nothing_left(gate):
    for name in ("requests", "page_bytes", "upstream_http2_streams"):
        if name in wire.sums(gate):
            net.until(f"{name} is 0", lambda n=name: wire.sums(gate)[n] == 0)


@pytest.mark.parametrize("chunks", [False, True])
def test_down(gate, chunks):
    gate.app.script[:] = [answers(gate, DATA, chunks)]
    with http.Client(gate.port) as c:
        r = c.get(f"/down?{chunks}")
        assert r.status == 200 and r.body == DATA
        assert (r.get("content-length") is None) == chunks
        wire.goes_on(c)
    nothing_left(gate)


@pytest.mark.parametrize("chunks", [False, True])
def test_up(gate, chunks):
    how = ("Transfer-Encoding", "chunked") if chunks else \
        ("Content-Length", str(len(DATA)))
    gate.app.script[:] = []
    with http.Client(gate.port) as c:
        c.send(http.request("PUT", f"/up?{chunks}", [how]) + (http.chunked(
            *[DATA[i:i + 50000] for i in range(0, len(DATA), 50000)])
            if chunks else DATA))
        assert c.response().status == 200
        wire.goes_on(c)
    put = next(r for r in gate.app.requests
               if r.target == f"/up?{chunks}" and r.body)
    assert put.body == DATA
    gate.app.requests.clear()
    nothing_left(gate)


def test_client_leaves(gate, version):
    """In the middle of an answer: the server is not kept busy with it."""
    done = threading.Event()
    big = answers(gate, bytes(64 * MB))

    def step(conn, req):
        try:
            return big(conn, req)
        except (OSError, http.Closed):
            return False
        finally:
            done.set()
    gate.app.script[:] = [step]
    c = http.Client(gate.port)
    c.send(http.request("GET", f"/leaves?{version}"))
    assert c.head().status == 200
    c.take(MB) if version != "h1" else c._take(MB)
    c.close()
    rec = wire.record(gate, target=f"/leaves?{version}")
    assert rec["fail"] == "client_gone"
    assert done.wait(net.WAIT)
    nothing_left(gate)
    assert http.get(gate.port).status == 200


@pytest.mark.parametrize("n", [10, 3 * MB])
def test_server_breaks_off(gate, version, n):
    """What came before is not told as the whole."""
    gate.app.script[:] = [breaks(gate, n)]
    target = f"/breaks?{version}&{n}"
    with http.Client(gate.port) as c, contextlib.suppress(http.Closed):
        r = c.get(target)
        raise AssertionError(f"{len(r.body)} bytes are no answer")
    rec = wire.record(gate, target=target)
    assert rec["fail"] == "reset_in_body"
    nothing_left(gate)
    assert http.get(gate.port).status == 200

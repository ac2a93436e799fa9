"""The end of the gateway, or of a worker, and the calls that are under way
then: each stream is told, none ends with the connection alone."""
import signal
import ssl

import pytest

from lib import h2, net, rpc
from lib.h2peer import H2Peer, at_head

CONF = """
[sluice]
workers = 1
stop = 300ms
drain.timeout = 300ms
drain.streams = {streams}
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
{tls}
[upstream app]
server = h2c://{addr}
[route all]
path = /*
upstream = app
"""
S = "/t.v1.Test/"


@pytest.fixture(name="app")
def _app():
    @at_head
    def step(c, r):
        """A head and a message, or nothing; and no end."""
        if "Begun" in r.target:
            c.reply(r.sid, headers=[("content-type", r.get(
                "content-type", "text/plain"))])
            c.data(r.sid, rpc.message(b"one"), False)
    with H2Peer(default=step) as p:
        yield p
        assert not p.errors


def connect(s, how):
    sock = net.connect(s.port, 20)
    if how != "tls":
        return sock
    ctx = ssl.create_default_context()
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    ctx.set_alpn_protocols(["h2"])
    return ctx.wrap_socket(sock, server_hostname="localhost")


@pytest.mark.parametrize("how", ["term", "roll", "tls"])
def test_streams(sluice, app, how):
    s = sluice(CONF.format(addr=app.addr, streams="300ms",
                           tls="tls = dev" * (how == "tls")))
    with h2.H2(None, sock=connect(s, how)) as c:
        scheme = "https" if how == "tls" else "http"
        call = rpc.begin(c, S + "CallBegun", b"x", end=False, scheme=scheme)
        held = rpc.begin(c, S + "Call", b"x", scheme=scheme)
        page = c.ask_for("GET", "/Begun", scheme=scheme)
        none = c.ask_for("GET", "/", scheme=scheme)
        for sid in (call, page):
            assert c.head(sid).status == 200
        app.wait_requests(4)
        if how == "roll":
            assert s.ctl("roll").returncode == 0
        else:
            s.send(signal.SIGTERM)
        frames = c.ends()
    ends = {}
    for f in frames:
        if f.sid and (f.end or f.type == h2.RST):
            assert f.sid not in ends
            ends[f.sid] = f
    for sid in (call, held):
        fields = dict(ends[sid].fields)
        assert fields["grpc-status"] == "14"
        assert "draining" in fields["grpc-message"]
        assert (":status" in fields) is (sid == held)
    for sid in (page, none):
        f = ends[sid]
        assert f.type == h2.RST
        assert int.from_bytes(f.body, "big") == h2.CANCEL
    last = [f for f in frames if f.type == h2.GOAWAY][-1]
    assert int.from_bytes(last.body[:4], "big") == none
    assert int.from_bytes(last.body[4:8], "big") == h2.NO_ERROR


@pytest.mark.parametrize("streams, ends", [("1h", False), ("600ms", True)])
def test_drain_streams(sluice, app, streams, ends):
    """A roll ends requests after drain.timeout; calls have longer, those
    without a head too, and so have others that are none, on no connection
    but theirs."""
    s = sluice(CONF.format(addr=app.addr, streams=streams, tls=""))
    with h2.H2(s.port, timeout=20) as c, h2.H2(s.port, timeout=20) as other:
        call = rpc.begin(c, S + "CallBegun", b"x", end=False)
        held = rpc.begin(c, S + "Call", b"x")
        page = c.ask_for("GET", "/Begun")
        alone = other.ask_for("GET", "/Begun")
        heads = [(on, sid, on.head(sid)) for on, sid in (
            (c, page), (other, alone))]
        app.wait_requests(4)
        to = {r.target: r for r in app.requests}
        assert s.ctl("roll").returncode == 0
        for on, sid, head in heads:
            with pytest.raises(h2.Reset):
                on.body(sid, head)
        other.ends()
        if not ends:
            for name, sid in (("CallBegun", call), ("Call", held)):
                r = to[S + name]
                conn = app.conns[r.conn - 1]
                if name == "Call":
                    conn.reply(r.sid, headers=[("content-type", rpc.TYPE)])
                conn.data(r.sid, rpc.message(b"two"), False)
                conn.trailers(r.sid, [("grpc-status", "0")])
        for sid in (call, held):
            a = rpc.answer(c, sid)
            assert a.status == (14 if ends else 0)
            assert ("draining" in a.message) is ends
        c.ends()

"""TLS towards clients: all that works without it works with it."""
import os
import signal
import socket
import ssl
import subprocess
from threading import Event

import pytest

from lib import http, net, tls, wire, ws
from lib.certs import Cert
from lib.load import Load
from lib.peer import Peer, hold, respond

BIG = os.urandom(700_000)


def conf(app, listener="", cert=""):
    return f"""
[listener web]
bind = 127.0.0.1:@port@
tls = on
{listener}
[listener plain]
bind = 127.0.0.1:@port2@
[cert a]
cert = @dir@/a.crt
key = @dir@/a.key
{cert}
[upstream app]
server = {app}
[route app]
path = /app/*
upstream = app
[route all]
path = /*
static = @dir@/www
"""


@pytest.fixture(scope="module")
def ca():
    return Cert("test ca", ca=True)


@pytest.fixture(scope="module")
def gate(ca):
    leaf = Cert("localhost", "a.example", by=ca)
    files = {"big": BIG, "small": b"small\n", "../a.crt": leaf.chain,
             "../a.key": leaf.key_pem()}
    with Peer() as app, wire.gateway(conf(app.addr), files) as s:
        s.ca, s.app = ca, app
        yield s
        assert not app.errors


@pytest.fixture(params=["1.2", "1.3"])
def ctx(gate, request):
    return tls.context(gate.ca, **(tls.V12 if request.param == "1.2" else
                                   tls.V13))


def test_files(gate, ctx):
    with tls.Client(gate.port, ctx) as c:
        for _ in range(3):
            assert c.get("/small").body == b"small\n"
            assert c.get("/big").body == BIG
        assert c.ask("HEAD", "/big")["content-length"] == str(len(BIG))


def test_ranges(gate, ctx):
    with tls.Client(gate.port, ctx) as c:
        r = c.get("/big", headers={"Range": "bytes=16380-33000"})
        assert r.status == 206 and r.body == BIG[16380:33001]


def test_slow_reader(gate, ctx):
    """The kernel's buffers are full for long: nothing is lost or twice."""
    raw = net.connect(gate.port, rcvbuf=4096)
    sock = ctx.wrap_socket(raw, server_hostname="localhost")
    with http.Client(None, sock=sock) as c:
        c.send(http.request("GET", "/big"))
        r = c.head()
        got = c.buf
        while len(got) < int(r["content-length"]):
            got += sock.recv(3000)
    assert got == BIG


def test_proxied(gate, ctx):
    before = len(gate.app.requests)
    gate.app.script[:] = [respond(body=BIG), respond(chunks=[b"a" * 20000,
                                                             b"b", b"c"])]
    with tls.Client(gate.port, ctx) as c:
        assert c.get("/app/1").body == BIG
        assert c.ask("POST", "/app/2", body=BIG).body == \
            b"a" * 20000 + b"bc"
    one, two = gate.app.requests[before:]
    assert one.get("x-forwarded-proto") == "https"
    assert two.body == BIG
    assert http.get(gate.value("port2"), "/app/3").status == 200
    assert gate.app.requests[-1].get("x-forwarded-proto") == "http"


def test_pipelined(gate, ctx):
    """Many requests in one record: all are answered, in order."""
    one = http.request("GET", "/small")
    with tls.Client(gate.port, ctx) as c:
        c.send(one * 100)
        for _ in range(100):
            assert c.response().body == b"small\n"


def test_in_pieces(gate, ctx):
    """A record for each byte."""
    with tls.Client(gate.port, ctx) as c:
        c.send_pieces(http.request("POST", "/app/x", body=b"abc"))
        assert c.response().status == 200
    assert gate.app.requests[-1].body == b"abc"


def test_ends(gate, ctx):
    """The server's end is told, after the last byte, before the close."""
    with tls.Client(gate.port, ctx) as c:
        c.sock.suppress_ragged_eofs = False
        c.send(http.request("GET", "/small", {"Connection": "close"}))
        assert c.response().body == b"small\n"
        assert c.rest() == b""


def test_early_answer(gate, ctx):
    """It is not reset away by what the client still sends."""
    with tls.Client(gate.port, ctx) as c:
        c.send(b"POST /app/y HTTP/1.1\r\nHost: a\r\n"
               b"Content-Length: 99999999\r\n\r\n" + bytes(100_000))
        assert c.response().status == 413


@pytest.mark.parametrize("how", ["shut", "reset"])
def test_client_leaves(gate, ctx, how):
    """While its request is under way: the server's is ended, too."""
    gone = Event()
    gate.app.script[:] = [hold(gone)]
    n, target = len(gate.app.requests), f"/app/{how}-{os.urandom(4).hex()}"
    with tls.Client(gate.port, ctx) as c:
        c.send(http.request("GET", target))
        gate.app.wait_requests(n + 1)
        if how == "shut":
            c.sock.shutdown(socket.SHUT_RDWR)
        else:
            net.reset(c.sock)
        assert wire.record(gate, target=target)["fail"] == "client_gone"
    gone.set()


def test_websocket(gate, ctx):
    gate.app.script[:] = [ws.echoes()]
    with ws.Socket(0, "/app/ws", c=tls.Client(gate.port, ctx)) as s:
        for n in (1, 1000, 70_000, 300_000):
            s.echo(os.urandom(n), ws.BINARY)
        s.send(b"", ws.CLOSE)
        assert s.frame()[1] == ws.CLOSE


def test_says_so(gate, ctx):
    """The access record, and absolute targets."""
    with tls.Client(gate.port, ctx) as c:
        r = c.get("/small?scheme")
        assert wire.record(gate, r["x-request-id"])["scheme"] == "https"
        r = c.get("https://localhost/small", headers={"Host": "localhost"})
        assert r.status == 200
        r = c.get("http://localhost/small", headers={"Host": "localhost"})
        assert r.status == 421


def test_idle_connections(gate):
    """They hold nothing of the pages, and are counted as idle."""
    many = [tls.Client(gate.port, tls.context(gate.ca)) for _ in range(20)]
    for c in many:
        assert c.get("/small").status == 200
    net.until("idle connections",
              lambda: wire.sums(gate)["connections_idle"] >= 20)
    for c in many:
        assert c.get("/small").status == 200
        c.close()


# --- before and behind ---

def test_proxy_protocol(gate, sluice, ca):
    """The header stands before the handshake, in clear."""
    s = sluice(start=False)
    Cert("localhost", by=ca).write(s.dir, "a")
    s.start(conf(gate.app.addr, "proxy_protocol = on"))
    os.makedirs(os.path.join(s.dir, "www"), exist_ok=True)
    head = b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\r\n"
    with tls.Client(s.port, tls.context(ca), first=head) as c:
        assert c.get("/app/proxied").status == 200
    assert gate.app.requests[-1].get("x-forwarded-for") == "192.0.2.1"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        tls.Client(s.port, tls.context(ca))


@pytest.fixture
def one(sluice, ca):
    s = sluice(start=False)
    Cert("localhost", by=ca).write(s.dir, "a")
    with Peer() as app:
        s.app = app
        s.start(conf(app.addr))
        yield s


def test_reload(one, ca):
    """What did not change keeps its connections; else they end gently."""
    ctx = tls.context(ca)
    with tls.Client(one.port, ctx) as c:
        assert c.get("/app/1").status == 200
        one.reload()
        assert c.get("/app/2").status == 200
        one.reload(conf(one.app.addr, "tls.groups = X25519"))
        assert c.get("/app/3").closes
    with tls.Client(one.port, ctx) as c:
        assert c.get("/app/4").status == 200
        busy = Event()
        one.app.script[:] = [hold(busy)]
        n = len(one.app.requests)
        c.send(http.request("GET", "/app/5"))
        one.app.wait_requests(n + 1)
        one.reload(conf(one.app.addr).replace("tls = on", "tls = off"))
        busy.set()
        r = c.response()
        assert r.status == 200 and r.closes
    assert http.get(one.port, "/app/6").status == 200
    one.reload(conf(one.app.addr))
    assert tls.get(one.port, "/app/7", ctx).status == 200


def test_reload_within_a_handshake(one, ca):
    """Who has begun is served by what holds now."""
    s, mem = net.connect(one.port), (ssl.MemoryBIO(), ssl.MemoryBIO())
    o = tls.context(ca).wrap_bio(*mem, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        o.do_handshake()
    hello = mem[1].read()
    s.sendall(hello[:100])
    wire.wait_metric(one, "tls_handshakes", 1)
    one.reload(conf(one.app.addr, "tls.versions = 1.3"))
    one.reload(conf(one.app.addr))
    s.sendall(hello[100:])
    mem[0].write(s.recv(65536))
    o.do_handshake()
    s.sendall(mem[1].read())
    o.write(http.request("GET", "/app/x", {"Connection": "close"}))
    s.sendall(mem[1].read())
    while data := s.recv(65536):
        mem[0].write(data)
    assert o.read(65536).startswith(b"HTTP/1.1 200 ")
    s.close()


def test_drains(one, ca):
    """A stop ends requests and says goodbye."""
    busy = Event()
    one.app.script[:] = [hold(busy)]
    with tls.Client(one.port, tls.context(ca)) as c, \
            tls.Client(one.port, tls.context(ca)) as idle:
        idle.sock.suppress_ragged_eofs = False
        c.send(http.request("GET", "/app/last"))
        one.app.wait_requests(1)
        one.send(signal.SIGTERM)
        assert idle.rest() == b""
        busy.set()
        r = c.response()
        assert r.status == 200 and r.closes
        assert c.rest() == b""
    assert one.wait() == 0


@pytest.mark.parametrize("version", [tls.V12, tls.V13],
                         ids=["1.2", "1.3"])
def test_sessions_live(one, ca, version):
    """One worker's session is resumed by all, whatever came between; only
    those of another policy are not."""
    ctx = tls.context(ca, **version)

    def session():
        with tls.Client(one.port, ctx) as c:
            assert c.get("/app/first").status == 200
            return c.sock.session

    def resumed(n=12):
        seen = set()
        for _ in range(n):
            with tls.Client(one.port, ctx, session=kept) as c:
                rid = c.get("/app/again")["x-request-id"]
                assert c.sock.session_reused
            seen.add(wire.record(one, rid)["worker"])
        return seen
    kept = session()
    net.until("both workers", lambda: len(resumed()) == 2)
    one.reload()
    resumed()
    one.ctl("roll")
    resumed()
    old = set(one.children())
    one.notify.drain()
    one.send(signal.SIGUSR2)
    one.notify.wait("READY")
    for pid in old:
        net.wait_pid_gone(pid)
    resumed()
    one.reload(conf(one.app.addr, "tls.groups = X25519 P-256"))
    with tls.Client(one.port, ctx, session=kept) as c:
        assert not c.sock.session_reused
        assert c.get("/app/new").status == 200


def test_leaves_no_keys_behind(one):
    """A worker with keys may not be dumped, which is as much as that others
    of its user may not look into it."""
    def shown():
        out = set()
        for pid in one.workers():
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                ids = dict(ln.split(":", 1) for ln in f)
            uid, gid = (int(ids[k].split()[0]) for k in ("Uid", "Gid"))
            who = {} if os.geteuid() else {
                "user": uid, "group": gid, "extra_groups": []}
            out.add(subprocess.run(
                ["cat", f"/proc/{pid}/maps"], capture_output=True,
                check=False, **who).returncode == 0)
        return out
    assert shown() == {False}
    one.reload("[sluice]\ncore_dumps = on\n" + conf(one.app.addr))
    assert shown() == {True}
    one.reload(conf(one.app.addr))
    assert shown() == {False}


@pytest.mark.parametrize("how", ["reload", "roll", "upgrade"])
def test_under_load(one, ca, how):
    """No request is lost, whatever is done meanwhile."""
    ctx = tls.context(ca)
    with Load(one.port, "/app/load", per_conn=7,
              client=lambda a: tls.Client(a, ctx)) as load:
        load.wait(50)
        for _ in range(2):
            if how == "reload":
                one.reload()
            elif how == "roll":
                one.ctl("roll")
            else:
                one.send(signal.SIGUSR2)
                one.notify.wait("READY", pidfd=one.pidfd)
            load.wait(50)
    assert not load.failures

"""Connections that are led on by the name they ask for, beside names that
are served here, on one port."""
import contextlib
import os
import socket
import ssl
import subprocess
import threading

import pytest

from lib import http, net, tls, wire
from lib.certs import Cert
from lib.peer import Peer, respond

CONF = """
[sluice]
workers = {workers}
[listener web]
bind = 127.0.0.1:@port@
tls = on
timeout.handshake = 2s
{listener}
[cert a]
cert = @dir@/a.crt
key = @dir@/a.key
[upstream app]
server = {app}
{upstream}
[route pass]
host = pass.example *.deep.example
tls = passthrough
upstream = app
{route}
[route all]
path = /*
respond = 200 here
"""


def conf(app, workers=1, listener="", upstream="", route=""):
    return CONF.format(app=app, workers=workers, listener=listener,
                       upstream=upstream, route=route)


@pytest.fixture
def app(tmp):
    with Peer(tls=tls.server(Cert("pass.example"), tmp, "app")) as p:
        p.cert = p.tls
        yield p
        assert not p.errors


@pytest.fixture
def gate(sluice, tmp, app):
    Cert("localhost").write(tmp, "a")

    def make(server=None, **kw):
        s = sluice(conf(server or app.addr, **kw))
        s.app = app
        return s
    return make


def hello(name, ctx=None):
    """The ClientHello of a real client, as bytes."""
    ctx = ctx or tls.context()
    inc, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    obj = ctx.wrap_bio(inc, out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        obj.do_handshake()
    return out.read(), obj, inc, out


def split_records(data, at):
    """The same message in two records."""
    body = data[5:]
    return b"".join(data[:3] + len(p).to_bytes(2, "big") + p
                    for p in (body[:at], body[at:]))


def finish(sock, obj, inc, out):
    """Goes on with a handshake whose ClientHello was sent by hand."""
    while True:
        try:
            obj.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(out.read())
            data = sock.recv(65536)
            if not data:
                raise EOFError("the end") from None
            inc.write(data)
    sock.sendall(out.read())


@pytest.mark.parametrize("version", [tls.V12, tls.V13])
def test_both(gate, version):
    """Names that are passed on, and others, from the same port."""
    s = gate()
    for name in ("pass.example", "PASS.example", "a.deep.example",
                 "a.b.deep.example"):
        with tls.Client(s.port, tls.context(**version), name) as c:
            assert c.peer == ssl.PEM_cert_to_DER_cert(
                open(f"{s.dir}/app.crt", encoding="ascii").read())
            assert c.get("/x").body == b"ok\n"
            assert c.get("/y").body == b"ok\n"
    n = len(s.app.requests)
    for name in ("localhost", "deep.example", "xpass.example", None):
        with tls.Client(s.port, tls.context(**version), name) as c:
            assert c.get("/x").body == b"here"
    assert len(s.app.requests) == n == 8
    assert wire.sums(s)["tls_passed_total"] == 4


def test_record(gate):
    s = gate(listener="[log]\noutput_mode = both")
    assert tls.get(s.port, "/x", name="pass.example").body == b"ok\n"
    net.until("console", lambda: " CONNECT pass.example 200 " in s.stderr())
    assert " CONNECT pass.example 200 " in s.ctl("log").stdout
    r = wire.record(s, target="pass.example")
    assert r["method"] == "CONNECT" and r["scheme"] == "tls"
    assert r["sni"] == r["host"]
    assert r["host"] == "pass.example" and r["route"] == "pass"
    assert r["upstream"] == "app" and r["server"] == s.app.addr
    assert r["status"] == 200 and "fail" not in r and "version" not in r
    assert r["bytes_in"] > 300 and r["bytes_out"] > 500
    assert s.ctl_json("upstreams")


def test_split(gate):
    """In two records, each byte in a segment of its own."""
    s = gate()
    data, obj, inc, out = hello("pass.example")
    data = split_records(data, 60)
    with net.connect(s.port) as sock:
        for i in range(len(data)):
            sock.sendall(data[i:i + 1])
        finish(sock, obj, inc, out)
        obj.write(http.request())
        sock.sendall(out.read())
        while True:
            inc.write(sock.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                assert obj.read(65536).startswith(b"HTTP/1.1 200")
                break


def test_split_served_here(gate):
    s = gate()
    data, obj, inc, out = hello("localhost")
    with net.connect(s.port) as sock:
        for i in range(len(data)):
            sock.sendall(data[i:i + 1])
        finish(sock, obj, inc, out)
        assert obj.getpeercert(True)


def test_half_hello(gate):
    """Who does not end it is gone after the time for handshakes."""
    s = gate()
    data = hello("pass.example")[0]
    with net.connect(s.port) as sock:
        sock.sendall(data[:-10])
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""
    assert not s.app.connections
    s.wait_log("closed: tls_handshake_timeout")


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x7f\xff" + b"x" * 20000,
                                  b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
                                  b"GET / HTTP/1.1\r\n\r\n", b"\x80\x00"])
def test_garbage(gate, data):
    """What is no ClientHello is answered as without passthrough."""
    s = gate()
    with net.connect(s.port) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
            while sock.recv(65536):
                pass
    assert not s.app.connections
    assert tls.get(s.port, "/").body == b"here"


def test_bytes(gate):
    """All that is sent arrives, both ways, and moves without copies."""
    big = os.urandom(5_000_000)
    s = gate()
    s.app.script[:] = [respond(body=big)] * 2
    with tls.Client(s.port, name="pass.example") as c:
        for _ in range(2):
            assert c.ask("PUT", "/x", body=big).body == big
    assert [r.body == big for r in s.app.requests] == [True, True]


def test_ends(gate):
    """Each side's end is told to the other one."""
    s = gate()
    with tls.Client(s.port, name="pass.example") as c:
        s.app.script[:] = [respond(headers=[("Connection", "close")])]
        assert c.get("/x").body == b"ok\n"
        assert c.rest() == b""
    wire.record(s, target="pass.example")


def test_refused(gate):
    """Another server is asked; without one the client is let go."""
    with net.listen() as dead:
        addr = "127.0.0.1:%d" % dead.getsockname()[1]
    s = gate(upstream=f"server = {addr}\nbalance = round_robin")
    for _ in range(4):
        assert tls.get(s.port, "/x", name="pass.example").body == b"ok\n"
    alone = conf(addr)
    s.reload(alone)
    with pytest.raises((ssl.SSLError, OSError)):
        tls.get(s.port, "/x", name="pass.example")
    s.wait_log(f'server \\\\"{addr}\\\\" of .*failed: dial_refused')
    assert tls.get(s.port, "/x").body == b"here"


def test_send_proxy(gate):
    """The header of the PROXY protocol, then all as it came."""
    got = bytearray()
    with net.listen() as server:
        addr = "127.0.0.1:%d" % server.getsockname()[1]
        s = gate(addr, upstream="send_proxy = v1")
        data = hello("pass.example")[0]
        with net.connect(s.port) as c:
            c.sendall(data)
            port = c.getsockname()[1]
            sock, _ = server.accept()
            with sock:
                sock.settimeout(net.WAIT)
                while len(got) < len(data) + 40:
                    got += sock.recv(65536)
                    if got.endswith(data):
                        break
                sock.sendall(b"anything")
                assert c.recv(100) == b"anything"
    head, rest = bytes(got).split(b"\r\n", 1)
    assert head == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d" % (port, s.port)
    assert rest == data


def test_proxy_protocol_in(gate):
    s = gate(listener="proxy_protocol = on", route="from = 192.0.2.1")
    line = "PROXY TCP4 {} 198.51.100.1 5 443\r\n"
    for who, body in (("192.0.2.1", b"ok\n"), ("192.0.2.2", b"here")):
        with tls.Client(s.port, name="pass.example",
                        first=line.format(who).encode()) as c:
            assert c.get("/").body == body


def test_other_listener(gate):
    s = gate(route="""listener = other
[listener other]
bind = 127.0.0.1:@port2@
tls = on""")
    assert tls.get(s.port, "/", name="pass.example").body == b"here"
    assert tls.get(s.value("port2"), "/",
                   name="pass.example").body == b"ok\n"


def test_reload(gate):
    """A tunnel goes on when the route is gone; who comes then is served
    here."""
    s = gate()
    with tls.Client(s.port, name="pass.example") as c:
        assert c.get("/x").body == b"ok\n"
        s.reload(conf(s.app.addr).replace("tls = passthrough\n", ""))
        with tls.Client(s.port, name="pass.example") as other:
            assert other.peer != c.peer
        assert c.get("/y").body == b"ok\n"


def test_drain(gate):
    """A stop waits for what is open."""
    s = gate(route="")
    c = tls.Client(s.port, name="pass.example")
    assert c.get("/x").body == b"ok\n"
    s.send(15)
    net.wait_refused(s.port)
    assert c.get("/y").body == b"ok\n"
    c.close()
    assert s.wait() == 0


def test_idle(gate):
    s = gate(upstream="timeout.stream_idle = 300ms")
    with tls.Client(s.port, name="pass.example") as c:
        assert c.get("/x").body == b"ok\n"
        assert c.rest() == b""
    assert wire.record(s, target="pass.example")["fail"] == \
        "stream_idle_timeout"


def test_client_leaves(gate):
    """While the server is dialled: nobody is waited for."""
    with net.listen(backlog=0) as slow:
        addr = slow.getsockname()
        full = [socket.socket() for _ in range(4)]
        for f in full:
            f.setblocking(False)
            f.connect_ex(addr)
        s = gate("127.0.0.1:%d" % addr[1], upstream="timeout.connect = 60s")
        with net.connect(s.port) as sock:
            sock.sendall(hello("pass.example")[0])
            net.until("it is dialled", lambda:
                      wire.sums(s)["upstream_connections"] == 1)
        r = wire.record(s, target="pass.example")
        assert r["fail"] == "client_gone"
        for f in full:
            f.close()


def test_many(gate):
    """From several threads and workers, with both kinds mixed."""
    s = gate(workers=2)
    wrong = []

    def run(i):
        try:
            for k in range(25):
                own = (i + k) % 2
                body = tls.get(s.port, "/x", name="localhost" if own else
                               "pass.example").body
                if body != (b"here" if own else b"ok\n"):
                    wrong.append(body)
        except Exception as e:                  # told by the assertion
            wrong.append(e)

    all = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for t in all:
        t.start()
    for t in all:
        t.join()
    assert not wrong
    net.until("all have ended",
              lambda: wire.sums(s)["upgrades"] == 0)


def test_misdirected(gate):
    """What is passed on is not answered here, whatever fits besides."""
    s = gate()
    with tls.Client(s.port, tls.context(), "localhost") as c:
        for host, status in (("localhost", 200), ("pass.example", 421),
                             ("a.deep.example", 421), ("deep.example", 200),
                             ("PASS.example", 421), ("localhost", 200)):
            r = c.get("/x", headers={"Host": host})
            assert r.status == status and not r.closes
            if status == 421:
                wire.is_fail(r, "misdirected_request")
    with tls.Client(s.port, tls.context(), None) as c:
        assert c.get("/x", headers={"Host": "pass.example"}).status == 421
    assert not s.app.requests
    assert "pass" not in s.ctl_json("certs")["certs"][0]["routes"]
    j = s.ctl_json("explain", f"https://localhost:{s.port}/",
                   "-H", "Host: pass.example")
    assert j["answer"]["fail"] == "misdirected_request"


def test_misdirected_by_client(gate):
    """Whom a route does not pass on is answered: not by what a request
    says of its client, but by who is connected."""
    s = gate(route="from = 192.0.2.1", workers="1\n"
             "trusted_proxies = 127.0.0.1\nclient_field = x-forwarded-for")
    with tls.Client(s.port, tls.context(), "pass.example") as c:
        for who in ("192.0.2.1", "192.0.2.2"):
            r = c.get("/x", headers={"Host": "pass.example",
                                     "X-Forwarded-For": who})
            assert r.status == 200 and r.body == b"here"


ROUTER = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
tls = on
[listener plain]
bind = 127.0.0.1:@port2@
[upstream app]
server = {app}
[route pass]
host = pass.example *.deep.example
listener = web
tls = passthrough
upstream = app
[route all]
listener = plain
path = /*
respond = 200 here
"""


def test_no_certificate(sluice, app):
    """A router by names alone has none; other names are refused with the
    alert for it, and may be served without TLS."""
    s = sluice(ROUTER.format(app=app.addr))
    assert tls.get(s.port, "/x", name="pass.example").body == b"ok\n"
    for name in ("localhost", "xpass.example", None):
        with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
            tls.get(s.port, "/x", name=name)
    s.wait_log("closed: tls_unknown_name")
    for host in ("other.example", "pass.example"):
        r = http.get(s.value("port2"), "/x", headers={"Host": host})
        assert r.status == 200 and r.body == b"here"
    j = s.ctl_json("explain", f"https://localhost:{s.port}/")
    assert j["answer"]["fail"] == "tls_unknown_name"
    s.reload(ROUTER.format(app=app.addr).replace("respond = 200 here",
             "respond = 200 new"))
    assert tls.get(s.port, "/x", name="pass.example").body == b"ok\n"


def test_plain_is_led(sluice, app):
    """Who asks for such a host without TLS is led to it."""
    s = sluice(ROUTER.format(app=app.addr).replace(
        "@port2@", "@port2@\nredirect_https = on"))
    r = http.get(s.value("port2"), "/x", headers={"Host": "pass.example"})
    assert r.status == 301
    assert r["location"] == f"https://pass.example:{s.port}/x"


def test_told(sluice, tmp):
    """What a route that passes on may not say."""
    Cert("localhost").write(tmp, "a")

    def told(text):
        s = sluice(text, start=False)
        Cert("localhost").write(s.dir, "a")
        return subprocess.run(
            [s.program, "-t", "-c", s.conf_path], env=s.env(), check=False,
            capture_output=True, text=True).stderr

    good = conf("127.0.0.1:1")
    assert "configuration OK" in told(good)
    for line in ("path = /x", "method = GET", "hsts = on",
                 "strip_prefix = auto", "not.method = GET"):
        assert "E0346" in told(conf("127.0.0.1:1", route=line)), line
    assert "E0346" in told(good.replace("host = pass.example *", "host = *")
                           .replace("*.deep.example", "*"))
    assert "E0346" in told(good.replace(
        "host = pass.example *.deep.example\n", ""))
    assert "W0344" in told(good.replace("tls = on\n", ""))
    assert "E0346" in told(conf("https://127.0.0.1:1"))

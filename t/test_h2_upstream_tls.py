"""HTTP/2 to servers of TLS, by ALPN, and to servers that others wrote."""
import contextlib
import os
import socket
import subprocess
import sys

import pytest

from lib import certs, h2, http, net, rpc, tls, wire, ws
from lib.certs import Cert
from lib.cmd import tool
from lib.h2peer import H2Peer, reset
from lib.peer import respond

ONE = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[upstream app]
retry.tries = 0
{lines}
[route all]
path = /*
upstream = app
"""


@pytest.fixture(scope="module")
def ca():
    return Cert("test ca", ca=True)


@pytest.fixture
def serve(ca, tmp):
    """Makes a scripted server with a certificate for localhost."""
    made = []

    def make(*args, **kw):
        ctx = tls.server(Cert("localhost", "127.0.0.1", by=ca), tmp)
        made.append(H2Peer(*args, tls=ctx, **kw))
        return made[-1]

    yield make
    for p in made:
        p.stop()
    assert not [e for p in made for e in p.errors]


@pytest.fixture
def start(sluice, ca, tmp):
    file = certs.put(tmp, "ca.pem", ca.pem)

    def make(*lines):
        return sluice(ONE.format(lines="\n".join(
            lines + (f"tls.ca = {file}",))))
    return make


# --- which version ---

@pytest.mark.parametrize("scheme,key,also,version", [
    ("h2", "auto", False, "2.0"), ("h2", "auto", True, "2.0"),
    ("https", "auto", False, "2.0"), ("https", "auto", True, "2.0"),
    ("https", "1.1", True, "1.1"), ("https", "2", True, "2.0"),
    ("https", "1.1 2", True, "2.0"), ("h2", "1.1", True, "2.0")])
def test_version(start, serve, scheme, key, also, version):
    p = serve(also=also)
    s = start(f"server = {scheme}://{p.addr}", f"http = {key}")
    for _ in range(2):
        assert http.get(s.port, "/x").status == 200
    assert p.connections == 1
    assert p.shaken[0].alpn == ("h2" if version == "2.0" else "http/1.1")
    assert p.requests[0].version == ("HTTP/2" if version == "2.0"
                                     else "HTTP/1.1")
    if version == "2.0":
        assert (":scheme", "https") in p.requests[0].fields


def test_only_h1(start, ca, tmp, peer):
    """One of https:// that offers nothing is asked with HTTP/1.1."""
    p = peer(tls=tls.server(Cert("localhost", "127.0.0.1", by=ca), tmp))
    s = start(f"server = https://{p.addr}")
    assert http.get(s.port, "/").status == 200


def test_key_without_tls(sluice):
    """http = 2 begins with HTTP/2 at once."""
    with H2Peer() as p:
        s = sluice(ONE.format(lines=f"server = {p.addr}\nhttp = 2"))
        assert http.get(s.port, "/").status == 200
        assert p.requests[0].version == "HTTP/2"


def test_many(start, serve):
    """By ALPN, too, requests share a connection."""
    p = serve(also=True)
    s = start(f"server = https://{p.addr}")
    with h2.H2(s.port) as c:
        all_ = [c.ask_for("GET", f"/{i}") for i in range(50)]
        assert {c.response(i).status for i in all_} == {200}
    assert p.connections == 1


def test_many_of_h1(start, serve):
    """Who waited for a connection that turned out to be HTTP/1.1."""
    p = serve(also=True)
    p.tls.set_alpn_protocols(["http/1.1"])
    s = start(f"server = https://{p.addr}")
    with h2.H2(s.port) as c:
        all_ = [c.ask_for("GET", f"/{i}") for i in range(20)]
        assert {c.response(i).status for i in all_} == {200}
    assert {r.version for r in p.requests} == {"HTTP/1.1"}


def test_websocket(start, serve):
    """It has a connection of its own, with HTTP/1.1."""
    p = serve(also=True)
    s = start(f"server = https://{p.addr}")
    assert http.get(s.port, "/").status == 200
    p.script.append(ws.echoes())
    with ws.Socket(s.port, "/ws") as w:
        w.echo(b"hello")
    assert [x.alpn for x in p.shaken] == ["h2", "http/1.1"]
    assert http.get(s.port, "/").status == 200
    assert p.connections == 2


H1_REQUIRED = 13


@pytest.mark.parametrize("how", ["reset", "goaway"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_wants_h1(start, serve, method, how):
    """Asked again as the server wants it, and for a while from the start."""
    p = serve([reset(H1_REQUIRED) if how == "reset" else
               lambda c, r: c.goaway(0, H1_REQUIRED)], also=True)
    s = start(f"server = https://{p.addr}")
    with http.Client(s.port) as c:
        for _ in range(3):
            assert c.ask(method, "/x", body=b"body").status == 200
    assert [r.version for r in p.requests] == ["HTTP/2"] + 3 * ["HTTP/1.1"]
    assert {r.body for r in p.requests} == {b"body"}
    assert [x.alpn for x in p.shaken] == ["h2", "http/1.1"]
    s.wait_log("server_wants_h1.*; it is asked again over HTTP/1.1")
    assert wire.sums(s)["upstream_replays_total"] == 1


def test_wants_h1_of_grpc(start, serve):
    """It is nothing without HTTP/2: no other call is kept from it."""
    p = serve([reset(H1_REQUIRED), reset(H1_REQUIRED)], also=True)
    s = start(f"server = https://{p.addr}")
    with h2.H2(s.port) as c:
        assert rpc.call(c, "/a.B/C", b"x").status == 14
        for _ in range(2):
            assert c.response(c.ask_for("GET", "/x")).status == 200
            rpc.call(c, "/a.B/C", b"x")
    assert [r.version for r in p.requests] == [
        "HTTP/2", "HTTP/2", "HTTP/1.1", "HTTP/2", "HTTP/1.1", "HTTP/2"]


def test_name(start, serve):
    p = serve()
    s = start(f"server = h2://localhost:{p.port}")
    assert http.get(s.port, "/").status == 200
    assert p.requests[0].version == "HTTP/2"


# --- probes ---

@pytest.mark.parametrize("scheme", ["h2", "https", "h2c"])
def test_probe(sluice, ca, tmp, scheme):
    """They speak what requests do."""
    ctx = None if scheme == "h2c" else tls.server(
        Cert("localhost", "127.0.0.1", by=ca), tmp)
    file = certs.put(tmp, "ca.pem", ca.pem)
    with H2Peer(tls=ctx) as p:
        s = sluice(ONE.format(lines=f"server = {scheme}://{p.addr}\n"
                              "health.path = /healthz\n"
                              "health.interval = 100ms" +
                              (f"\ntls.ca = {file}" if ctx else "")))
        p.wait_requests(3)
        assert {r.target for r in p.requests} == {"/healthz"}
        assert {r.version for r in p.requests} == {"HTTP/2"}
        assert http.get(s.port, "/").status == 200
        assert wire.sums(s)["probes_failed_total"] == 0
        assert "died" not in s.stderr() and not p.errors


# --- servers of others ---

NODE = r"""
const http2 = require('http2'), fs = require('fs');
const [top, port, secure] = process.argv.slice(-3);
const s = secure === 'tls' ? http2.createSecureServer({
    key: fs.readFileSync(top + '/server.key'),
    cert: fs.readFileSync(top + '/server.crt')}) : http2.createServer();
s.on('stream', (st, h) => {
    if (h[':method'] === 'POST') {
        const parts = [];
        st.on('data', (d) => parts.push(d));
        st.on('end', () => {
            st.respond({':status': 200}, {waitForTrailers: true});
            st.on('wantTrailers', () => st.sendTrailers({'x-end': 'yes'}));
            st.end(Buffer.concat(parts));
        });
    } else {
        st.respond({':status': 200, 'set-cookie': ['a=1', 'b=2']});
        st.end('node ' + h[':path'] + ' ' + (h.cookie || ''));
    }
});
s.listen(+port, '127.0.0.1');
"""

PYTHON = r"""
import socket, sys, h2.config, h2.connection, h2.events

def pump(c, todo):
    for i in list(todo):
        while todo[i] and (n := min(c.local_flow_control_window(i),
                                    16384)) > 0:
            c.send_data(i, todo[i][:n])
            todo[i] = todo[i][n:]
        if not todo[i]:
            c.end_stream(i)
            del todo[i]

def serve(sock):
    c = h2.connection.H2Connection(h2.config.H2Configuration(
        client_side=False))
    c.initiate_connection()
    sock.sendall(c.data_to_send())
    bodies, todo = {}, {}
    while data := sock.recv(65536):
        for e in c.receive_data(data):
            if isinstance(e, h2.events.DataReceived):
                c.acknowledge_received_data(e.flow_controlled_length,
                                            e.stream_id)
                bodies.setdefault(e.stream_id, []).append(e.data)
            elif isinstance(e, h2.events.StreamEnded):
                c.send_headers(e.stream_id, [(":status", "200")])
                todo[e.stream_id] = b"".join(
                    bodies.pop(e.stream_id, [b"python"]))
        pump(c, todo)
        sock.sendall(c.data_to_send())

s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    serve(s.accept()[0])
"""

NGINX = """
daemon off;
worker_processes 1;
error_log {top}/error.log;
pid {top}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    http2_max_concurrent_streams 8;
    client_body_temp_path {top}/body;
    proxy_temp_path {top}/proxy;
    fastcgi_temp_path {top}/fastcgi;
    uwsgi_temp_path {top}/uwsgi;
    scgi_temp_path {top}/scgi;
    client_max_body_size 64m;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {top}/server.crt;
        ssl_certificate_key {top}/server.key;
        location / {{ return 200 "nginx $server_protocol"; }}
    }}
}}
"""


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(port, *args):
    p = subprocess.Popen(args, stderr=subprocess.PIPE)
    try:
        net.until("it listens",
                  lambda: listens(port) or p.poll() is not None)
        assert p.poll() is None, p.stderr.read()
        yield
    finally:
        p.terminate()     # its workers, too
        p.communicate()


def material(ca, top):
    Cert("localhost", "127.0.0.1", by=ca).write(top, "server")


@pytest.mark.parametrize("how", ["plain", "tls"])
def test_node(start, sluice, ca, tmp, how):
    port = net.free_port()
    material(ca, tmp)
    with running(port, tool("node"), "-e", NODE, tmp, str(port), how):
        s = start(f"server = https://127.0.0.1:{port}") if how == "tls" \
            else sluice(ONE.format(lines=f"server = h2c://127.0.0.1:{port}"))
        r = http.get(s.port, "/a?b", headers={"Cookie": "c=3; d=4"})
        assert r.body == b"node /a?b c=3; d=4"
        assert r.all("set-cookie") == ["a=1", "b=2"]
        body = os.urandom(3 << 20)
        with h2.Client(s.port) as c:
            r = c.ask("POST", "/", body=body)
            assert r.body == body
            assert ("x-end", "yes") in r.trailers
        assert http.get(s.port, "/").status == 200


def test_python_h2(sluice):
    port = net.free_port()
    with running(port, sys.executable, "-c", PYTHON, str(port)):
        s = sluice(ONE.format(lines=f"server = h2c://127.0.0.1:{port}"))
        for _ in range(20):
            assert http.get(s.port, "/").body == b"python"
        body = os.urandom(300000)
        r = http.Client(s.port).ask("POST", "/", body=body)
        assert r.body == body


def test_nginx(start, ca, tmp):
    """Its limit of streams is kept: more connections, and no refusal."""
    port = net.free_port()
    material(ca, tmp)
    conf = os.path.join(tmp, "nginx.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(NGINX.format(top=tmp, port=port))
    with running(port, tool("nginx"), "-p", tmp, "-c", conf, "-e",
                 f"{tmp}/error.log"):
        s = start(f"server = h2://127.0.0.1:{port}")
        with h2.H2(s.port) as c:
            all_ = [c.ask_for("GET", "/") for _ in range(90)]
            assert {c.response(i).body for i in all_} == {b"nginx HTTP/2.0"}
        assert wire.sums(s)["upstream_http2_refused_total"] == 0


def test_h1_answers_still(start, serve):
    """Which of its versions a server chooses may change."""
    p = serve(also=True)
    s = start(f"server = https://{p.addr}", "pool.requests = 1")
    assert http.get(s.port, "/").status == 200
    p.tls.set_alpn_protocols(["http/1.1"])
    p.script.append(respond(body=b"old"))
    assert http.get(s.port, "/").body == b"old"
    p.tls.set_alpn_protocols(["h2"])
    assert http.get(s.port, "/").body == b"ok\n"

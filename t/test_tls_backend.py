"""TLS to servers: who is believed, what is shown, what is kept.

The servers are Python's ssl, nginx and openssl s_server; what went over
the wire is what they say of it.
"""
import base64
import contextlib
import hashlib
import json
import os
import ssl
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from lib import http, net, tls, wire
from lib.certs import Cert, put
from lib.peer import Peer, respond

ONE = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
retry.tries = 0
{lines}
[route all]
path = /*
upstream = app
"""


def conf(*lines):
    return ONE.format(lines="\n".join(lines))


@pytest.fixture(scope="module")
def ca():
    return Cert("test ca", ca=True)


@pytest.fixture
def ca_file(ca, tmp):
    return put(tmp, "ca.pem", ca.pem)


@pytest.fixture
def app(ca, tmp):
    """A server with a certificate for localhost and for its address."""
    with serve(tmp, Cert("localhost", "127.0.0.1", by=ca)) as p:
        yield p


@contextlib.contextmanager
def serve(tmp, cert, name="server", script=(), path=None, **kw):
    ctx = tls.server(cert, tmp, name, **kw)
    ctx.set_alpn_protocols(["http/1.1", "h2"])
    names = []
    ctx.sni_callback = lambda sock, name, _: names.append(name)
    with Peer(list(script), tls=ctx, path=path) as p:
        p.names = names
        yield p
        assert not p.errors


def pin(cert, form="hex"):
    der = cert.key.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)
    sha = hashlib.sha256(der).digest()
    return sha.hex() if form == "hex" else base64.b64encode(sha).decode()


def put_to(s, body, method="PUT"):
    with http.Client(s.port) as c:
        return c.ask(method, "/x", body=body)


def fails(s, row, cause, status=502):
    r = http.get(s.port, "/x")
    assert r.status == status
    rid = wire.is_fail(r, row)
    line, = s.wait_log(f'"request":"{rid}".*attempt 1 failed: {row}')
    assert cause in json.loads(line)["msg"], line
    return r


# --- who is believed ---

@pytest.mark.parametrize("version", [tls.V12, tls.V13])
def test_name(sluice, ca, ca_file, tmp, version):
    with serve(tmp, Cert("localhost", by=ca), **version) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}"))
        assert http.get(s.port, "/x").body == b"ok\n"
        assert app.names == ["localhost"]
        assert app.shaken[0].alpn == "http/1.1"


def test_address(sluice, app, ca_file):
    """It is checked as an address, and is not sent as a name."""
    s = sluice(conf(f"server = https://{app.addr}", f"tls.ca = {ca_file}"))
    assert http.get(s.port, "/x").body == b"ok\n"
    assert app.names == [None]


def test_all_of_an_upstream(sluice, app, ca_file):
    s = sluice(conf(f"server = {app.addr}", "tls = on",
                    f"tls.ca = {ca_file}", "tls.name = localhost"))
    assert http.get(s.port, "/x").body == b"ok\n"
    assert app.names == ["localhost"]


def test_socket(sluice, ca, ca_file, tmp):
    with serve(tmp, Cert("localhost", by=ca), path=f"{tmp}/app.sock") as app:
        os.chmod(f"{tmp}/app.sock", 0o666)
        s = sluice(conf(f"server = {app.addr}", "tls = on",
                        f"tls.ca = {ca_file}", "tls.name = localhost"))
        assert http.get(s.port, "/x").body == b"ok\n"


def test_unknown_ca(sluice, app):
    """The system's CAs, which did not sign it."""
    s = sluice(conf(f"server = https://localhost:{app.port}"))
    fails(s, "tls_upstream_verify", "unable to get local issuer "
          'certificate: subject "CN=localhost", issuer "CN=test ca"')
    assert not app.requests and app.refused
    assert wire.sums(s)["upstream_tls_handshakes_failed_total"] == 1


def test_wrong_name(sluice, ca, ca_file, tmp):
    with serve(tmp, Cert("other.example", by=ca)) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}"))
        fails(s, "tls_upstream_name", 'hostname mismatch: wanted "localhost", '
              "its certificate is for other.example")
        assert not app.requests


def test_wrong_names(sluice, ca, ca_file, tmp):
    """A few of its names are shown, and none as more than a name."""
    cert = Cert('e"v\nil', "10.0.0.9", "b.test", "c" * 70, "d.test",
                "e.test", by=ca, since=-9, days=-1)
    with serve(tmp, cert) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}"))
        fails(s, "tls_upstream_name", "certificate is for e?v?il, 10.0.0.9, "
              f"b.test, {'c' * 64}... and 2 more; it has expired, too")


def test_no_h2(sluice, app, ca_file):
    app.tls.set_alpn_protocols(["http/1.1"])
    s = sluice(conf(f"server = h2://localhost:{app.port}",
                    f"tls.ca = {ca_file}"))
    fails(s, "tls_upstream_no_h2", "ALPN: it chose nothing")


def test_wrong_address(sluice, ca, ca_file, tmp):
    with serve(tmp, Cert("localhost", by=ca)) as app:
        s = sluice(conf(f"server = https://{app.addr}",
                        f"tls.ca = {ca_file}"))
        fails(s, "tls_upstream_name", "IP address mismatch: wanted "
              '"127.0.0.1", its certificate is for localhost')


def test_common_name(sluice, ca, ca_file, tmp):
    """A name of the subject alone is none (RFC 9525)."""
    class Bare(Cert):
        pass
    cert = Bare("localhost", by=ca, ca=True)    # without a SAN
    with serve(tmp, cert) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}"))
        assert http.get(s.port, "/x").status == 502
        assert not app.requests


def test_expired(sluice, ca, ca_file, tmp):
    with serve(tmp, Cert("localhost", by=ca, since=-9, days=-1)) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}"))
        fails(s, "tls_upstream_verify", "certificate has expired")
        assert not app.requests


def test_verify_off(sluice, ca, tmp):
    with serve(tmp, Cert("other.example", by=ca, since=-9, days=-1)) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        "tls.verify = off"))
        assert http.get(s.port, "/x").body == b"ok\n"
        assert "W0343" in s.stderr()


# --- pins ---

@pytest.mark.parametrize("form", ["hex", "base64"])
def test_pin(sluice, tmp, form):
    """The key is enough: no CA, no name, and no date."""
    cert = Cert("whatever", since=-9, days=-1)
    with serve(tmp, cert) as app:
        s = sluice(conf(f"server = https://{app.addr} "
                        f"pin={pin(Cert('x'))} pin={pin(cert, form)}"))
        assert http.get(s.port, "/x").body == b"ok\n"


def test_wrong_pin(sluice, ca, ca_file, tmp):
    """A CA that is trusted does not help."""
    cert = Cert("127.0.0.1", by=ca)
    with serve(tmp, cert) as app:
        s = sluice(conf(f"server = https://{app.addr} pin={pin(Cert('x'))}",
                        f"tls.ca = {ca_file}"))
        fails(s, "tls_upstream_pin", "its key is none of pin=: it has "
              f"pin={pin(cert)}")
        assert not app.requests


# --- certificates of ours ---

@pytest.mark.parametrize("version", [tls.V12, tls.V13])
@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_shown(sluice, ca, ca_file, tmp, version, kind):
    mine = Cert("gateway", by=ca, kind=kind)
    crt, key = mine.write(tmp, "mine")
    with serve(tmp, Cert("localhost", by=ca), clients=ca, **version) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}", f"tls.cert = {crt}",
                        f"tls.key = {key}"))
        assert http.get(s.port, "/x").body == b"ok\n"
        assert app.shaken[0].cert == ssl.PEM_cert_to_DER_cert(
            mine.pem.decode())


@pytest.mark.parametrize("version", [tls.V12, tls.V13])
def test_not_shown(sluice, ca, ca_file, tmp, version):
    """With TLS 1.3 the alert comes when the request was sent."""
    with serve(tmp, Cert("localhost", by=ca), clients=ca, **version) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}"))
        fails(s, "tls_upstream_alert", "certificate required" if
              version is tls.V13 else "handshake failure")
        assert not app.requests


# --- other ways to fail ---

def test_no_tls_there(sluice):
    class Plain(Peer):
        def _shake(self, conn):
            conn.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            conn.more()
            return False

    with Plain() as app:
        s = sluice(conf(f"server = https://{app.addr} pin={pin(Cert('x'))}"))
        fails(s, "tls_upstream_handshake",
              "it does not speak TLS: wrong version number")


def test_silence(sluice):
    """The time to connect is for the handshake, too."""
    with net.listen() as quiet:
        port = quiet.getsockname()[1]
        s = sluice(conf(f"server = https://localhost:{port}",
                        "timeout.connect = 300ms"))
        r = http.get(s.port, "/x")
        assert r.status == 504 and wire.is_fail(r, "tls_upstream_timeout")


def test_versions(sluice, ca, ca_file, tmp):
    with serve(tmp, Cert("localhost", by=ca), **tls.V12) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}", "tls.versions = 1.3"))
        r = http.get(s.port, "/x")
        assert r.status == 502
        assert wire.told(r)[0] in ("tls_upstream_alert",
                                   "tls_upstream_handshake")


def test_next_server(sluice, ca, ca_file, tmp):
    """Nothing was sent: a POST goes to another server as well."""
    with serve(tmp, Cert("other.example", by=ca)) as bad, \
            serve(tmp, Cert("localhost", by=ca), "good") as good:
        s = sluice(conf(f"server = https://localhost:{bad.port}",
                        f"server = https://localhost:{good.port}",
                        f"tls.ca = {ca_file}", "balance = round_robin",
                        "retry.tries = 1"))
        for _ in range(4):
            r = put_to(s, b"body", "POST")
            assert r.body == b"ok\n"
        assert len(good.requests) == 4 and not bad.requests
        assert {r.body for r in good.requests} == {b"body"}


# --- sessions, the pool ---

@pytest.mark.parametrize("version", [tls.V12, tls.V13])
def test_resumed(sluice, ca, ca_file, tmp, version):
    """Each connection after the first resumes what the one before left."""
    close = respond(headers=[("Connection", "close")])
    with serve(tmp, Cert("localhost", by=ca), script=[close] * 5,
               **version) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}"))
        for _ in range(5):
            assert http.get(s.port, "/x").body == b"ok\n"
        assert [c.reused for c in app.shaken] == [False] + [True] * 4
        n = wire.sums(s)
        assert n["upstream_tls_handshakes_total"] == 5
        assert n["upstream_tls_resumed_total"] == 4


def test_pooled(sluice, app, ca_file):
    """One connection for all, though tickets come while it is idle."""
    s = sluice(conf(f"server = https://{app.addr}", f"tls.ca = {ca_file}"))
    for _ in range(5):
        assert http.get(s.port, "/x").body == b"ok\n"
    assert app.connections == 1
    n = wire.sums(s)
    assert n["upstream_reused_total"] == 4


def test_reload(sluice, app, ca, ca_file, tmp):
    """What is kept goes on where nothing changes, and nowhere else."""
    text = conf(f"server = https://{app.addr}", f"tls.ca = {ca_file}")
    s = sluice(text)
    assert http.get(s.port, "/x").body == b"ok\n"
    s.reload(text.replace("retry.tries = 0", "retry.tries = 1"))
    assert http.get(s.port, "/x").body == b"ok\n"
    s.reload(text + "[route more]\npath = /more\nrespond = 200 more\n")
    assert http.get(s.port, "/x").body == b"ok\n"
    s.reload(text.replace("[route", "pool.idle = 30s\n[route"))
    assert http.get(s.port, "/x").body == b"ok\n"
    assert app.connections == 1
    other = put(tmp, "other.pem", Cert("other ca", ca=True).pem)
    s.reload(text.replace(ca_file, other))
    r = http.get(s.port, "/x")
    assert wire.is_fail(r, "tls_upstream_verify")
    assert not any(c.reused for c in app.shaken)


def test_big_bodies(sluice, ca, ca_file, tmp):
    big = os.urandom(3_000_000)
    with serve(tmp, Cert("localhost", by=ca),
               script=[respond(body=big)] * 2) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}"))
        for _ in range(2):
            r = put_to(s, big)
            assert r.body == big
        assert [r.body == big for r in app.requests] == [True, True]


def test_cut_answer(sluice, ca, ca_file, tmp):
    """An end without close_notify is not the end of an answer."""
    def cut(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        conn.sock.shutdown(2)
        return False
    with serve(tmp, Cert("localhost", by=ca), script=[cut]) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}"))
        with pytest.raises(http.Closed):
            http.get(s.port, "/x")


def test_send_proxy(sluice, ca, ca_file, tmp):
    """The PROXY protocol's header goes before TLS."""
    heads = []

    class Behind(Peer):
        def _shake(self, conn):
            heads.append(conn.sock.recv(200, 2))
            conn.sock.recv(heads[-1].index(b"\n") + 1)
            return super()._shake(conn)

    ctx = tls.server(Cert("localhost", by=ca), tmp)
    with Behind(tls=ctx) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}", "send_proxy = v1"))
        assert http.get(s.port, "/x").body == b"ok\n"
        assert heads[0].startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")


def test_keys(sluice, app, ca_file, tmp):
    """What -t says of keys and lines that cannot be."""
    def told(*lines):
        s = sluice(conf(*lines), start=False)
        return subprocess.run(
            [s.program, "-t", "-c", s.conf_path], env=s.env(),
            capture_output=True, text=True, check=False).stderr
    assert "E0345" in told("server = unix:/run/a", "tls = on")
    assert "E0345" in told("server = dns+srv://_http._tcp.a", "tls = on")
    assert "E0320" in told("server = https://a:1", f"tls.ca = {tmp}/no")
    empty = put(tmp, "empty.pem", b"")
    assert "E0321" in told("server = https://a:1", f"tls.ca = {empty}")
    assert "W0342" in told("server = a:1", f"tls.ca = {ca_file}")
    assert "64 hex digits" in told("server = https://a:1 pin=abc")
    assert "at most 4" in told("server = https://a:1" +
                               f" pin={pin(Cert('x'))}" * 5)
    assert "E0136" in told("server = https://a:1", "tls.groups = what")
    assert "tls.cert" in told("server = https://a:1",
                              f"tls.key = {ca_file}")
    mine = Cert("x")
    crt, _ = mine.write(tmp, "mine")
    _, key = Cert("y").write(tmp, "yours")
    assert "E0322" in told("server = https://a:1", f"tls.cert = {crt}",
                           f"tls.key = {key}")


# --- probes ---

PROBED = ["health.interval = 100ms", "health.timeout = 1s",
          "health.fall = 1", "health.rise = 1"]


def state(s, want):
    """Waits until the one server is so; what sluicectl has of it."""
    def look():
        up, = s.ctl_json("upstreams")["upstreams"]
        server, = up["servers"]
        return server if server["state"] in want else None
    return net.until(f"the server is one of {want}", look)


@pytest.mark.parametrize("kind", ["tls", "http"])
def test_probe(sluice, ca, ca_file, tmp, kind):
    """Well while its certificate is; then down, with the reason."""
    more = ["health.path = /healthz"] if kind == "http" else []
    with serve(tmp, Cert("localhost", by=ca)) as app:
        s = sluice(conf(f"server = https://localhost:{app.port}",
                        f"tls.ca = {ca_file}", f"health.type = {kind}",
                        *more, *PROBED))
        net.until("it was probed", lambda: len(app.shaken) > 2)
        state(s, ("up",))
        assert all(r.target == "/healthz" for r in app.requests)
        assert bool(app.requests) == (kind == "http")
        assert not any(c.reused for c in app.shaken)
        tls.server(Cert("other.example", by=ca), tmp)       # its files
        app.tls.load_cert_chain(f"{tmp}/server.crt", f"{tmp}/server.key")
        # a probe between the two files meets a key of another certificate
        net.until("the reason", lambda: "tls_upstream_name" in str(
            state(s, ("down",))))
        tls.server(Cert("localhost", by=ca), tmp)
        app.tls.load_cert_chain(f"{tmp}/server.crt", f"{tmp}/server.key")
        state(s, ("up", "slow_start"))


def test_probe_silence(sluice, ca_file):
    with net.listen() as quiet:
        port = quiet.getsockname()[1]
        s = sluice(conf(f"server = https://localhost:{port}",
                        f"tls.ca = {ca_file}", "health.type = tls",
                        *PROBED, "health.timeout = 200ms"))
        assert "tls_upstream_timeout" in str(state(s, ("down",)))


# --- real ones ---

NGINX = """
daemon off; pid {top}/n.pid; error_log {top}/n.err;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {top}/b; proxy_temp_path {top}/p;
  fastcgi_temp_path {top}/f; uwsgi_temp_path {top}/u;
  scgi_temp_path {top}/s;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {crt}; ssl_certificate_key {key};
    ssl_client_certificate {ca}; ssl_verify_client on;
    ssl_protocols {protocols}; keepalive_requests 2;
    location / {{
      return 200 "$ssl_protocol $ssl_client_s_dn $ssl_session_reused\\n";
    }}
  }}
}}
"""


@contextlib.contextmanager
def started(*cmd):
    p = subprocess.Popen(cmd, stdin=subprocess.PIPE,
                         stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        yield p
    finally:
        p.terminate()     # its workers, too
        p.wait()
        p.stdin.close()


@pytest.mark.parametrize("protocols", ["TLSv1.2", "TLSv1.3"])
def test_nginx(sluice, ca, ca_file, tmp, protocols):
    crt, key = Cert("localhost", by=ca).write(tmp, "nginx")
    mine = Cert("gateway", by=ca).write(tmp, "mine")
    port = net.free_port()
    text = NGINX.format(top=tmp, port=port, crt=crt, key=key, ca=ca_file,
                        protocols=protocols)
    put(tmp, "nginx.conf", text.encode())
    with started("nginx", "-c", f"{tmp}/nginx.conf", "-p", tmp):
        net.wait_port(port)
        s = sluice(conf(f"server = https://localhost:{port}",
                        f"tls.ca = {ca_file}", f"tls.cert = {mine[0]}",
                        f"tls.key = {mine[1]}"))
        said = [http.get(s.port, "/x").body.decode().split()
                for _ in range(6)]
        assert {w[0] for w in said} == {protocols}
        assert {w[1] for w in said} == {"CN=gateway"}
        assert [w[2] for w in said] == ["."] * 2 + ["r"] * 4


def test_s_server(sluice, ca, ca_file, tmp):
    """One cipher, one group, one answer."""
    crt, key = Cert("localhost", by=ca, kind="rsa").write(tmp, "openssl")
    port = net.free_port()
    with started("openssl", "s_server", "-accept", f"127.0.0.1:{port}",
                 "-cert", crt, "-key", key, "-tls1_2", "-www",
                 "-cipher", "ECDHE-RSA-AES256-GCM-SHA384",
                 "-groups", "P-384"):
        net.wait_port(port)
        s = sluice(conf(f"server = https://localhost:{port}",
                        f"tls.ca = {ca_file}"))
        assert b"ECDHE-RSA-AES256-GCM-SHA384" in http.get(s.port, "/").body

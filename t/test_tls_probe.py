"""Probes of servers that want a certificate, and where its key lies."""
import contextlib
import os
import signal
import ssl
import subprocess

import pytest

from lib import http, memory, net, tls
from lib.certs import Cert, put
from lib.peer import Peer

CONF = """
[sluice]
workers = 2
{top}
[listener web]
bind = 127.0.0.1:@port@
{listener}
[upstream app]
server = https://localhost:{port}
tls.ca = @dir@/ca.pem
{lines}
{probes}
[route all]
path = /*
upstream = app
"""

PROBES = """
health.type = {kind}
health.interval = 100ms
health.timeout = 2s
health.fall = 1
health.rise = 1
"""
MINE = "tls.cert = @dir@/mine.crt\ntls.key = @dir@/mine.key"


def conf(port, lines=MINE, kind="http", top="", listener=""):
    probes = PROBES.format(kind=kind) if kind else ""
    if kind == "http":
        probes += "health.path = /healthz\n"
    return CONF.format(port=port, lines=lines, probes=probes, top=top,
                       listener=listener)


def state(s, *want):
    """Waits until the one server is so; what sluicectl has of it."""
    def look():
        up, = s.ctl_json("upstreams")["upstreams"]
        server, = up["servers"]
        return server if server["state"] in want else None
    return net.until(f"the server is one of {want}", look)


@pytest.fixture
def ca(tmp):
    ca = Cert("test ca", ca=True)
    put(tmp, "ca.pem", ca.pem)
    return ca


def demand(ca, tmp, **version):
    """A server that wants a certificate of the CA."""
    return Peer(tls=tls.server(Cert("localhost", by=ca), tmp, "server",
                               clients=ca, **version))


def shown(app):
    """Certificates that clients have shown."""
    return {c.cert for c in app.shaken}


def der(cert):
    return ssl.PEM_cert_to_DER_cert(cert.pem.decode())


@pytest.mark.parametrize("version", [tls.V12, tls.V13])
@pytest.mark.parametrize("kind", ["http", "tls"])
@pytest.mark.parametrize("alg", ["ec", "rsa", "ed25519"])
def test_shown(sluice, ca, tmp, version, kind, alg):
    mine = Cert("gateway", by=ca, kind=alg)
    mine.write(tmp, "mine", password="open it")
    with demand(ca, tmp, **version) as app:
        s = sluice(conf(app.port, MINE + "\ntls.passphrase = open it",
                        kind))
        net.until("it was probed", lambda: len(app.shaken) > 2)
        state(s, "up")
        assert shown(app) == {der(mine)}
        assert bool(app.requests) == (kind == "http")
        if kind == "http":
            assert {r.target for r in app.requests} == {"/healthz"}
        assert http.get(s.port, "/x").body == b"ok\n"


@pytest.mark.parametrize("version", [tls.V12, tls.V13])
def test_not_shown(sluice, ca, tmp, version):
    """Without a certificate such a server is not well."""
    with demand(ca, tmp, **version) as app:
        s = sluice(conf(app.port, ""))
        assert "tls_upstream_alert" in str(state(s, "down"))
        assert not app.requests


def test_in_the_file_of_the_certificate(sluice, ca, tmp):
    mine = Cert("gateway", by=ca)
    put(tmp, "both.pem", mine.key_pem() + mine.chain)
    with demand(ca, tmp) as app:
        s = sluice(conf(app.port, "tls.cert = @dir@/both.pem"))
        net.until("it was probed", lambda: len(app.shaken) > 2)
        state(s, "up")
        assert shown(app) == {der(mine)}


def test_reload(sluice, ca, tmp):
    """The next generation's is shown from its commit on."""
    first, second = Cert("gateway", by=ca), Cert("gateway", by=ca)
    first.write(tmp, "mine")
    with demand(ca, tmp) as app:
        s = sluice(conf(app.port))
        net.until("it was probed", lambda: app.shaken)
        state(s, "up")
        health = s.roles()["health"]
        second.write(tmp, "mine")
        s.reload()
        n = len(app.shaken)
        net.until("it was probed again", lambda: len(app.shaken) > n + 2)
        assert {c.cert for c in app.shaken[n + 1:]} == {der(second)}
        state(s, "up")
        assert s.roles()["health"] == health
        # a probe that is turned on later has it, too
        s.reload(conf(app.port, kind=None))
        n = len(app.shaken)
        s.reload(conf(app.port, kind="tls"))
        net.until("it is probed", lambda: len(app.shaken) > n + 2)
        assert shown(app) == {der(first), der(second)}


def test_health_anew(sluice, ca, tmp):
    """A health process that died maps it again."""
    mine = Cert("gateway", by=ca)
    mine.write(tmp, "mine")
    with demand(ca, tmp) as app:
        s = sluice(conf(app.port))
        state(s, "up")
        health = s.roles()["health"]
        os.kill(health, signal.SIGKILL)
        net.until("another one", lambda: s.roles().get("health") not in
                  (None, health))
        n = len(app.shaken)
        net.until("it probes", lambda: len(app.shaken) > n + 2)
        assert shown(app) == {der(mine)}


@pytest.mark.parametrize("kind", ["http", None])
def test_where_keys_are(sluice, ca, tmp, kind):
    """Those for servers: workers, and health if it probes; no others'."""
    mine, own = Cert("gateway", by=ca), Cert("a.example")
    mine.write(tmp, "mine")
    own.write(tmp, "own")
    with demand(ca, tmp) as app:
        s = sluice(conf(app.port, kind=kind, listener="tls = on") +
                   "[cert a]\ncert = @dir@/own.crt\nkey = @dir@/own.key\n")
        if kind:
            state(s, "up")
        assert tls.get(s.port, "/x").body == b"ok\n"
        s.reload()
        for role, pid in {"master": s.pid, **s.roles()}.items():
            worker = role.startswith("worker")
            assert memory.has_key(pid, own) == worker, role
            assert memory.has_key(pid, mine) == (
                worker or role == "health" and kind is not None), role


def test_core_files(sluice, ca, tmp):
    """Who holds a key leaves none, be it for servers alone."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    Cert("gateway", by=ca).write(tmp, "mine")

    def dump(s):
        return {memory.may_dump(pid) for role, pid in s.roles().items()
                if role.startswith("worker") or role == "health"}

    with demand(ca, tmp) as app:
        s = sluice(conf(app.port))
        assert dump(s) == {False}
        s.reload(conf(app.port, top="core_dumps = on"))
        assert dump(s) == {True}
        s.reload(conf(app.port))
        assert dump(s) == {False}


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
    ssl_client_certificate {top}/ca.pem; ssl_verify_client on;
    location / {{ return 200 "$ssl_client_s_dn\\n"; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(ca, tmp):
    """One that answers 400 to who shows no certificate; its port."""
    crt, key = Cert("localhost", by=ca).write(tmp, "nginx")
    port = net.free_port()
    put(tmp, "nginx.conf", NGINX.format(top=tmp, port=port, crt=crt,
                                        key=key).encode())
    p = subprocess.Popen(["nginx", "-c", f"{tmp}/nginx.conf", "-p", tmp],
                         stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        net.wait_port(port)
        yield port
    finally:
        p.terminate()
        p.wait()


def test_nginx(sluice, ca, tmp):
    Cert("gateway", by=ca).write(tmp, "mine")
    with nginx(ca, tmp) as port:
        s = sluice(conf(port, ""))
        assert state(s, "down")["why"] == "probe_status"
        s.reload(conf(port))
        state(s, "up", "slow_start")
        assert http.get(s.port, "/x").body == b"CN=gateway\n"

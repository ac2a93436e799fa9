"""The rows of the fail table that a handshake of TLS provokes: nobody asked
for anything yet, so there is a line of the log and a count."""
import contextlib
import ssl

from lib import http, net, tls
from lib.certs import Cert
from lib.fail_env import ONE, case, proxied

LINE = "info"           # the level of their lines


def start(env, more="", top=ONE, faults="", ca=False):
    """A gateway with TLS before the server of all."""
    leaf = Cert("localhost", ca=ca)
    files = {"../a.crt": leaf.chain, "../a.key": leaf.key_pem()}
    env.start(proxied(env.main.app.addr, top=top + f"tls = on\n{more}\n"
                      "[cert a]\ncert = @dir@/a.crt\nkey = @dir@/a.key\n"),
              faults, files)
    return leaf


def shake(env, ctx=None, **kw):
    """A handshake that must fail; there is no request."""
    try:
        with tls.Client(env.gate.port, ctx, **kw) as c:
            # a client of TLS 1.3 is through before the server is
            c.rest()
    except (ssl.SSLError, http.Closed, ConnectionError):
        return None, None
    raise AssertionError("the handshake went through")


def say(env, data):
    with http.Client(env.gate.port) as c:
        c.send(data)
        with contextlib.suppress(http.Closed):
            return c.rest()
    return b""


@case
def plain_on_tls(env):
    start(env)
    said = say(env, http.request())
    assert said.startswith(b"HTTP/1.1 400 ") and b"speaks TLS" in said
    return None, None


@case
def tls_bad_hello(env):
    start(env)
    assert say(env, b"\x80\x2e\x01\x03\x01") == b""
    return None, None


@case
def tls_version(env):
    start(env, "tls.versions = 1.3")
    return shake(env, tls.context(**tls.V12))


@case
def tls_no_shared_cipher(env):
    start(env)
    ctx = tls.context(**tls.V12)
    ctx.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    return shake(env, ctx)


@case
def tls_no_protocol(env):
    start(env)
    return shake(env, tls.context(alpn=["spdy/3"]))


@case
def tls_unknown_name(env):
    start(env, top=ONE.replace("[sluice]", "[sluice]\ntls.unknown = refuse"))
    return shake(env, name="b.example")


@case
def tls_alert(env):
    start(env)
    return shake(env, tls.context(Cert("another ca", ca=True)))


@case
def tls_handshake_timeout(env):
    start(env, "timeout.handshake = 200ms")
    assert say(env, b"\x16\x03\x01\x02\x00\x01") == b""
    return None, None


@case
def tls_client_gone(env):
    start(env)
    s = net.connect(env.gate.port)
    s.sendall(b"\x16\x03\x01\x02\x00\x01")
    s.close()
    return None, None


@case
def tls_failed(env):
    start(env, faults="tls_cert")
    return shake(env)


ASKS = "tls.client = {}\ntls.client_ca = @dir@/a.crt"


def pki(env):
    """An authority of clients, and a context with one that is no more."""
    late = Cert("late", since=-9, days=-1)
    c = tls.context()
    c.load_cert_chain(*late.write(env.gate.dir, "late"))
    return c


def routed(env, words, ctx=None, name="localhost"):
    """The answer of a route with these words, at /asks."""
    start(env, ASKS.format("optional") + "\n[route asks]\npath = /asks\n"
          f"respond = 200 in\n{words}", ca=True)
    if callable(ctx):
        ctx = ctx(env)
    return tls.get(env.gate.port, "/asks", ctx, name), None


@case
def tls_client_missing(env):
    start(env, ASKS.format("required"), ca=True)
    return shake(env)


@case
def tls_client_refused(env):
    start(env, ASKS.format("required"), ca=True)
    return shake(env, pki(env))


@case
def client_cert_missing(env):
    return routed(env, "client_cert = required")


@case
def client_cert_refused(env):
    return routed(env, "client_cert = required", pki)


@case
def misdirected_request(env):
    return routed(env, "host = localhost\ntls_policy = other\n[tls other]\n"
                  "tls.versions = 1.3", name="b.example")

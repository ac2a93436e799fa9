"""Requests that came without TLS: led to it, refused, or answered all the
same; and who is told to come by it from now on."""
import subprocess

import pytest

from lib import http, tls, wire
from lib.certs import Cert
from lib.peer import respond

CONF = """
[listener plain]
bind = 127.0.0.1:@port@
{plain}
[listener safe]
bind = 127.0.0.1:@port2@
tls = on
{safe}
[cert a]
cert = @dir@/a.crt
key = @dir@/a.key
[route site]
path = /*
respond = 200 site
{route}
"""


@pytest.fixture
def gate(sluice, tmp):
    Cert("localhost").write(tmp, "a")

    def make(plain="", safe="", route="", more=""):
        return sluice(CONF.format(plain=plain, safe=safe, route=route) +
                      more)
    return make


def ask(s, target="/x", method="GET", **fields):
    with http.Client(s.port) as c:
        return c.ask(method, target, headers=fields)


def place(s, *args, **kw):
    r = ask(s, *args, **kw)
    return r.status, r.get("location")


def test_statuses(gate):
    s = gate("redirect_https = on")
    port = s.value("port2")
    want = f"https://a.example:{port}/x?y=%20"
    for method, status in (("GET", 301), ("HEAD", 301), ("POST", 308),
                           ("PUT", 308), ("OPTIONS", 308)):
        assert place(s, "/x?y=%20", method, Host="A.example:80") == \
            (status, want)
    assert tls.get(port, "/x").body == b"site"


def test_body_is_not_lost(gate):
    """The connection goes on behind a body that nobody reads."""
    s = gate("redirect_https = 443")
    with http.Client(s.port) as c:
        for _ in range(2):
            r = c.ask("POST", "/x", body=b"b" * 5000,
                      headers={"Host": "a.example"})
            assert (r.status, r["location"]) == (308, "https://a.example/x")


def test_hosts(gate):
    s = gate("redirect_https = 444")
    assert place(s, Host="[::1]:8080")[1] == "https://[::1]:444/x"
    assert place(s, "/", Host="10.0.0.1")[1] == "https://10.0.0.1:444/"
    # absolute-form is of the same request
    assert place(s, "http://b.example/q", Host="b.example") == \
        (301, "https://b.example:444/q")
    r = http.raw(s.port, b"GET / HTTP/1.0\r\n\r\n")
    assert b" 403 " in r.split(b"\r\n")[0] and b"tls_required" in r


def test_no_route(gate):
    """Also where there is nothing: what is there, the other port knows."""
    s = gate("redirect_https = on",
             route="host = other.example")
    assert place(s, "/none", Host="a.example")[0] == 301


def test_exempt(gate):
    s = gate("redirect_https = on\nredirect_exempt = /status /hooks/*")
    for path in ("/.well-known/acme-challenge/token", "/status",
                 "/hooks/", "/hooks/a/b", "/x/../status"):
        assert ask(s, path).status == 200, path
    for path in ("/status/", "/hooks", "/.well-known/acme-challenge",
                 "/.well-known/acme-challenge/../../x"):
        assert ask(s, path).status == 301, path


def test_health(gate):
    s = gate("redirect_https = on")
    assert ask(s, "/health").status == 200
    assert ask(s, "/ping").body == b"pong"


def test_trusted_proxy(gate):
    """TLS may end before us; only those are believed who are trusted."""
    s = gate("redirect_https = on", more="[sluice]\n"
             "trusted_proxies = 127.0.0.1\n")
    assert ask(s, **{"X-Forwarded-Proto": "https"}).status == 200
    assert ask(s, **{"X-Forwarded-Proto": "http"}).status == 301
    assert ask(s).status == 301
    with open(s.conf_path, encoding="utf-8") as f:
        s.reload(f.read().replace("trusted_proxies = 127.0.0.1", ""))
    assert ask(s, **{"X-Forwarded-Proto": "https"}).status == 301


def test_route_redirect(gate):
    s = gate(route="tls_required = redirect",
             more="[route open]\npath = /open\nrespond = 200 open\n")
    assert place(s, Host="a") == (301, f"https://a:{s.value('port2')}/x")
    assert ask(s, "/open").body == b"open"
    assert tls.get(s.value("port2"), "/x").body == b"site"


@pytest.mark.parametrize("path", ["/x", "/.well-known/acme-challenge/x"])
def test_route_refuse(gate, path):
    s = gate(route="tls_required = refuse", plain="redirect_https = on")
    r = ask(s, path)
    assert r.status == 403 and wire.is_fail(r, "tls_required")
    assert tls.get(s.value("port2"), path).body == b"site"


def test_alias(gate):
    s = gate(route="ssl_required = true")
    assert ask(s).status == 301
    assert 'is read as "tls_required"' in s.stderr()


# --- HSTS ---

STS = "strict-transport-security"


def test_hsts(gate, peer):
    app = peer(default=respond(headers=[(STS, "max-age=1")]))
    s = gate(plain="hsts = on", safe="hsts = 365d includeSubDomains preload",
             more=f"""
[route off]
path = /off
respond = 200 off
hsts = off
[route own]
path = /own
respond = 200 own
hsts = 1h
[route app]
path = /app*
upstream = app
[upstream app]
server = {app.addr}
""")
    port = s.value("port2")
    all = "max-age=31536000; includeSubDomains; preload"
    assert tls.get(port, "/x")[STS] == all
    assert tls.get(port, "/off").get(STS) is None
    assert tls.get(port, "/own")[STS] == "max-age=3600"
    r = tls.get(port, "/app")
    assert [v for n, v in r.headers if n == STS] == [all]
    # without TLS it must not be said (RFC 6797 7.2)
    for path in ("/x", "/own"):
        assert ask(s, path).get(STS) is None


def test_hsts_of_errors(gate):
    s = gate(safe="hsts = on", route="host = other.example")
    r = tls.get(s.value("port2"), "/none")
    assert r.status == 404 and r[STS] == "max-age=31536000"


# --- [ssl] ---

def test_ssl(sluice, tmp):
    Cert("localhost").write(tmp, "a")
    conf = """
[listener web]
bind = 127.0.0.77:@port@
[ssl]
enabled = true
cert_file = @dir@/a.crt
key_file = @dir@/a.key
redirect_http = true
[route site]
path = /*
respond = 200 site
"""
    s = sluice(conf)
    with http.Client(("127.0.0.77", s.port)) as c:
        r = c.get("/x", headers={"Host": "a.example"})
    assert (r.status, r["location"]) == (301, "https://a.example:8443/x")
    assert tls.get(("127.0.0.77", 8443), "/x").body == b"site"
    assert "[ssl] is read as a [listener]" in s.stderr()


def test_told(sluice, tmp):
    """What -t says."""
    Cert("localhost").write(tmp, "a")

    def told(**kw):
        s = sluice(CONF.format(**dict(dict(plain="", safe="", route=""),
                                      **kw)), start=False)
        return subprocess.run(
            [s.program, "-t", "-c", s.conf_path], env=s.env(), check=False,
            capture_output=True, text=True).stderr

    assert "the port of https" in told(plain="redirect_https = 70000")
    assert "only end it" in told(plain="redirect_exempt = /a*b")
    assert "365d" in told(safe="hsts = soon")
    assert "preload only" in told(safe="hsts = 30d preload")
    assert "stand includeSub" in told(safe="hsts = 30d all")
    assert "redirect" in told(route="tls_required = what")

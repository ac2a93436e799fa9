"""sluicectl explain of TLS: it says what the gateway itself does."""
import json
import re
import ssl

import pytest

from lib import http, tls, wire
from lib.certs import Cert, put
from lib.cmd import run
from lib.peer import Peer

CONF = """
[sluice]
tls.unknown = {unknown}
[listener web]
bind = 127.0.0.1:@port@
tls = on
http = {versions}
hsts = 30d
[listener plain]
bind = 127.0.0.1:@port2@
redirect_https = @port@
redirect_exempt = /open/*
[listener bare]
bind = 127.0.0.1:@port3@
[cert one]
cert = @dir@/one.crt
key = @dir@/one.key
[cert wild]
cert = @dir@/wild.crt
key = @dir@/wild.key
[tls old]
tls.versions = 1.2
[tls must]
tls.versions = 1.3
tls.client = optional
tls.client_ca = @dir@/ca.crt
[upstream app]
server = {app}
[route pass]
host = pass.example
from = 127.0.0.0/8
tls = passthrough
upstream = app
[route old]
host = old.wild.example
tls_policy = old
hsts = off
respond = 200 old
[route must]
host = must.wild.example
tls_policy = must
client_cert = required
client_san = *.clients.example
respond = 200 must
[route never]
path = /never
client_cert = required
respond = 200 never
[route need]
path = /need
tls_required = refuse
respond = 200 need
[route led]
path = /led
listener = bare
tls_required = redirect
respond = 200 led
[route all]
path = /*
respond = 200 all
"""


@pytest.fixture
def gate(sluice, tmp):
    ca = Cert("clients", ca=True)
    put(tmp, "ca.crt", ca.pem)
    Cert("alice.clients.example", by=ca).write(tmp, "alice")
    Cert("one.example", "pass.example").write(tmp, "one")
    Cert("*.wild.example", kind="rsa", days=30).write(tmp, "wild")
    with Peer(tls=tls.server(Cert("pass.example"), tmp, "app")) as app:
        def make(unknown="default", versions="auto"):
            s = sluice(CONF.format(app=app.addr, unknown=unknown,
                                   versions=versions))
            s.app = app
            return s
        yield make


def explain(s, *args):
    """The same online and of the file."""
    j = s.ctl_json("explain", *args)
    off = json.loads(run("sluicectl", "-o", "json", "explain", "--config",
                         s.conf_path, *args).stdout)
    for k in ("listener", "tls", "route", "answer", "redirect", "client"):
        assert j.get(k) == off.get(k)
    return j


def text(s, *args):
    out = s.ctl("explain", *args).stdout
    out = re.sub(r"conf:\d+", "conf:N", out).replace(s.conf_path, "conf")
    return re.sub(r"until [\d-]{10}", "until DAY", out).splitlines()


@pytest.mark.parametrize("name, cert, match, policy", [
    ("one.example", "one", "name", None),
    ("ONE.example.", "one", "name", None),
    ("a.wild.example", "wild", "wildcard", None),
    ("a.b.wild.example", "one", "default", None),
    ("old.wild.example", "wild", "wildcard", "old"),
    ("must.wild.example", "wild", "wildcard", "must"),
    ("nobody.test", "one", "default", None),
    ("127.0.0.1", "one", "default", None),
])
def test_which(gate, name, cert, match, policy):
    """The certificate, the terms, and what is answered."""
    s = gate()
    j = explain(s, f"https://{name}:{s.port}/x")
    asked = "" if name == "127.0.0.1" else name
    with tls.Client(s.port, tls.context(), asked.rstrip(".") or None) as c:
        seen = c.peer
        version = c.version
        r = c.get("/x", headers={"Host": name})
        hsts = r.get("strict-transport-security", "")
    t = j["tls"]
    assert t["name"] == asked.lower().rstrip(".") and not t["passed"]
    assert [(x["cert"], x["match"]) for x in t["certs"]] == [(cert, match)]
    with open(f"{s.dir}/{cert}.crt", encoding="ascii") as f:
        assert ssl.PEM_cert_to_DER_cert(f.read()) == seen
    assert t["policy"] == policy and t["hsts"] == hsts
    assert f"TLSv{t['versions'][-1]}" == version
    assert t["alpn"] == ["h2", "http/1.1"]
    assert j["request"]["scheme"] == "https"
    if name.startswith("must"):
        assert t["client"] == "optional" and r.status == 403
        assert j["client"] == {"sans": ["DNS:*.clients.example"],
                               "fingerprints": []}
        assert j["route"]["name"] == "must"
        return
    assert t["client"] == "off" and j.get("client") is None
    assert j["route"]["name"] == r.text == (policy or "all")


def test_text(gate):
    s = gate(versions="1.1")
    assert text(s, f"https://must.wild.example:{s.port}/x") == [
        "request   GET https://must.wild.example/x from 127.0.0.1",
        f"listener  web 127.0.0.1:{s.port}",
        "tls       must.wild.example: 1.3, by must, ALPN http/1.1, "
        "client certificate optional",
        "cert      wild (RSA, until DAY, by wildcard)",
        "hsts      max-age=2592000",
        "route     must   (conf:N)",
        "client    a certificate is needed, for DNS:*.clients.example",
        "handler   respond: respond = 200 must",
        "fits too  all",
        "others    pass: host no, old: host no, never: path no, "
        "need: path no, led: path no",
    ]
    out = text(s, f"https://127.0.0.1:{s.port}/never")
    assert out[2] == "tls       no name: 1.2 1.3, by the listener, ALPN " \
        "http/1.1"
    assert "answer    403 client_cert_missing: A certificate of the " \
        "client is needed here." in out


@pytest.mark.parametrize("a, b, refused", [
    ("one.example", "nobody.test", False),
    ("one.example", "old.wild.example", True),
    ("old.wild.example", "one.example", True),
    ("127.0.0.1", "old.wild.example", True),
    ("old.wild.example", "must.wild.example", True),
    ("must.wild.example", "MUST.wild.example", False),
])
def test_misdirected(gate, a, b, refused):
    """The name of the URL is that of the handshake, Host another one."""
    s = gate()
    j = explain(s, f"https://{a}:{s.port}/x", "-H", f"Host: {b}")
    with tls.Client(s.port, tls.context(),
                    None if a == "127.0.0.1" else a) as c:
        r = c.get("/x", headers={"Host": b})
    if refused:
        assert r.status == j["answer"]["status"] == 421
        assert j["answer"]["fail"] == "misdirected_request"
        assert j["route"] is None and j["others"] == []
    else:
        assert j["route"] is not None and r.status in (200, 403)


def test_refused_name(gate):
    s = gate(unknown="refuse")
    url = f"https://nobody.test:{s.port}/"
    j = explain(s, url)
    assert j["route"] is None and j["tls"]["certs"] == []
    assert (j["answer"]["status"], j["answer"]["fail"]) == \
        (0, "tls_unknown_name")
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        tls.get(s.port, name="nobody.test")
    out = text(s, url)
    assert "cert      none" in out
    assert out[-1] == "answer    tls_unknown_name: The client asked for a " \
        "name that has no certificate here."


def test_passed_on(gate):
    s = gate()
    url = f"https://pass.example:{s.port}/any/../where"
    j = explain(s, url, "-X", "POST")
    assert j["tls"] == {"name": "pass.example", "passed": True}
    assert j["route"]["name"] == "pass" and j["candidates"] == []
    assert j["upstream"]["servers"] == [s.app.addr]
    assert tls.get(s.port, name="pass.example").body == b"ok\n"
    assert len(s.app.requests) == 1
    out = text(s, url)
    assert out[2] == "tls       pass.example is passed on: the connection " \
        "is not opened here"
    assert out[3] == "route     pass   (conf:N)"
    # its condition does not hold: it is opened here
    j = explain(s, "--from", "192.0.2.1", url)
    assert not j["tls"]["passed"] and j["route"]["name"] == "all"
    assert j["tls"]["certs"][0]["cert"] == "one"
    assert {"route": "pass", "failed": "tls"} in j["others"]


def test_redirect(gate):
    s = gate()
    plain, bare = s.value("port2"), s.value("port3")
    for method, status in (("GET", 301), ("HEAD", 301), ("POST", 308)):
        url = f"http://one.example:{plain}/a?b=1"
        j = explain(s, "-X", method, url)
        with http.Client(plain) as c:
            r = c.ask(method, "/a?b=1", {"Host": "one.example"})
        assert r.status == j["redirect"]["status"] == status
        assert r["location"] == j["redirect"]["location"]
        assert j["redirect"]["by"] == "redirect_https"
        assert j["handler"]["name"] == "redirect" and j["route"] is None
        assert j["tls"] is None and j["request"]["scheme"] == "http"
    assert (f"redirect  301 https://one.example:{s.port}/a   "
            "(redirect_https)") in text(s, f"http://one.example:{plain}/a")
    j = explain(s, f"http://one.example:{bare}/led")
    assert j["redirect"]["by"] == "tls_required"
    assert http.get(bare, "/led").status == 301
    # exempt, and those that TLS alone may ask for
    assert explain(s, f"http://one.example:{plain}/open/x")["route"][
        "name"] == "all"
    assert http.get(plain, "/open/x").text == "all"
    for port in plain, bare:
        j = explain(s, f"http://one.example:{port}/need")
        assert (j["answer"]["status"], j["answer"]["fail"]) == \
            (403, "tls_required")
        wire.is_fail(http.get(port, "/need"), "tls_required")
    assert explain(s, f"https://one.example:{s.port}/need")["route"][
        "name"] == "need"
    # [health] is answered all the same
    j = explain(s, f"http://127.0.0.1:{plain}/health")
    assert j["handler"]["name"] == "health" and "redirect" not in j
    assert http.get(plain, "/health").status == 200


def test_behind_a_proxy(gate):
    """By what a trusted proxy says, a request came by TLS."""
    s = gate()
    url = f"http://one.example:{s.value('port3')}/need"
    field = ("-H", "X-Forwarded-Proto: https")
    assert explain(s, url, *field)["answer"]["fail"] == "tls_required"
    with open(s.conf_path, encoding="utf-8") as f:
        conf = f.read()
    s.reload(conf.replace("[sluice]\n",
                          "[sluice]\ntrusted_proxies = 127.0.0.1\n", 1))
    j = explain(s, url, *field, "-H", "X-Forwarded-For: 192.0.2.9")
    assert j["route"]["name"] == "need" and j["tls"] is None
    assert j["request"]["scheme"] == "https"
    assert http.get(s.value("port3"), "/need", headers={
        "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.9"}
    ).text == "need"


def test_wrong_port(gate):
    """Plain HTTP to a port of TLS, and TLS to a plain one."""
    s = gate()
    j = explain(s, f"http://one.example:{s.port}/")
    assert j["answer"]["fail"] == "plain_on_tls" and j["route"] is None
    assert j["answer"]["status"] == http.get(s.port, "/").status == 400
    bare = s.value("port3")
    j = explain(s, f"https://one.example:{bare}/")
    assert j["answer"]["fail"] == "tls_on_plain" and j["tls"] is None
    with http.Client(bare) as c:
        c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        wire.is_fail(c.response(), "tls_on_plain")


def test_guess(gate):
    """No listener has the port: the first that speaks so."""
    s = gate()
    j = explain(s, "https://one.example/x")
    assert j["listener"]["name"] == "web" and j["listener"]["guessed"]
    assert j["tls"]["name"] == "one.example"
    j = explain(s, "http://one.example/x")
    assert j["listener"]["name"] == "plain" and j["listener"]["guessed"]
    assert j["redirect"]["location"] == f"https://one.example:{s.port}/x"
    # a path alone asks the first as it speaks, by the name of Host
    j = explain(s, "/x", "-H", "Host: old.wild.example:99")
    assert j["listener"]["name"] == "web" and not j["listener"]["guessed"]
    assert j["tls"]["name"] == "old.wild.example"
    assert j["route"]["name"] == "old"


def test_dev(sluice):
    s = sluice("[listener web]\nbind = 127.0.0.1:@port@\ntls = dev\n"
               "[route all]\nrespond = 200 all\n")
    j = explain(s, f"https://localhost:{s.port}/")
    assert [c["dev"] for c in j["tls"]["certs"]] == [True]
    assert any(ln.startswith("cert      of development (ECDSA, until ")
               for ln in text(s, f"https://localhost:{s.port}/"))

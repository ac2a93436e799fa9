"""Certificates of clients: who comes in, what routes ask, what is told."""
import contextlib
import json
import ssl

import pytest

from lib import http, net, tls, wire
from lib.certs import Cert, crl, put
from lib.tls_hosts import V12, V13, Files, conf, session

BAD = ("expired", "early", "wrong", "self")


@pytest.fixture
def files(tmp):
    return Files(tmp)


@pytest.fixture(params=[V12, V13], ids=["1.2", "1.3"])
def version(request):
    return request.param


def let_in(s, ctx, name):
    """The answer, or None if the handshake failed."""
    with contextlib.suppress(ssl.SSLError, ConnectionError, http.Closed):
        return session(s, ctx, name)[0]
    return None


def test_who_comes_in(sluice, files, version):
    s = sluice(conf())
    for who in ("good", "second", "revoked", "deep", None, *BAD):
        ctx = files.context(who, version)
        got = {n: let_in(s, ctx, f"{n}.example") is not None
               for n in ("plain", "ask", "must", "crl", "deep")}
        assert got == {
            "plain": True, "ask": True,
            "must": who in ("good", "second", "revoked", "deep"),
            "crl": who in ("good", "second"),
            "deep": who in ("good", "second", "revoked")}, who
    assert let_in(s, files.context("wrong", version), "other.example")
    assert not let_in(s, files.context("good", version), "other.example")


@pytest.mark.parametrize("who, name, why", [
    ("expired", "must", "certificate has expired"),
    ("early", "must", "certificate is not yet valid"),
    ("wrong", "must", "unable to get local issuer certificate"),
    ("revoked", "crl", "certificate revoked"),
    (None, "must", "did not return a certificate"),
])
def test_what_the_log_says(sluice, files, version, who, name, why):
    s = sluice(conf())
    assert not let_in(s, files.context(who, version), f"{name}.example")
    row = "tls_client_refused" if who else "tls_client_missing"
    line, = s.wait_log(row)
    assert why in line
    got = json.loads(line)
    assert got.get("client_fingerprint") == (
        files.clients[who].fingerprint if who else None)
    assert got.get("client_cert", "").startswith("CN=") == bool(who)


@pytest.mark.parametrize("who, alert", [
    (None, "CERTIFICATE_REQUIRED"), ("wrong", "UNKNOWN_CA"),
    ("expired", "CERTIFICATE_EXPIRED")])
def test_alert_reaches_who_goes_on(sluice, files, who, alert):
    """Whoever sends more right behind its Finished, as clients of HTTP/2
    do, is told, too."""
    s = sluice(conf())
    ctx = files.context(who, V13)
    for _ in range(10):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        obj = ctx.wrap_bio(into, out, server_hostname="must.example")
        with net.connect(s.port) as sock:
            with pytest.raises(ssl.SSLWantReadError):
                obj.do_handshake()
            sock.sendall(out.read())
            while True:
                try:
                    into.write(sock.recv(65536))
                    obj.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    pass
            # nothing of it was sent yet
            obj.write(b"x" * 100_000)
            sock.sendall(out.read())
            while data := sock.recv(65536):
                into.write(data)
            with pytest.raises(ssl.SSLError, match=alert):
                obj.read()


def route(words, path="/x"):
    return f"""
[route x]
host = ask.example
path = {path}
{words}
respond = 200 in
"""


def ask(s, ctx, path="/x", name="ask.example", headers=()):
    with tls.Client(s.port, ctx, name) as c:
        return c.get(path, headers={"Host": name, **dict(headers)})


def came(s, r, files):
    """Who it was by the access record; None: it has nobody."""
    got = wire.record(s, r["x-request-id"])
    assert ("client_cert" in got) == ("client_fingerprint" in got)
    who = [k for k, c in files.clients.items()
           if c.fingerprint == got.get("client_fingerprint")]
    assert not who or got["client_cert"].startswith("CN=")
    return who[0] if who else None


def test_records_of_a_connection(sluice, files, version):
    """Each request of it has its client, beside those of another."""
    s = sluice(conf())
    host = {"Host": "must.example"}
    who = ("good", "second")
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(
            tls.Client(s.port, files.context(w, version), "must.example"))
            for w in who]
        for _ in range(3):
            assert [came(s, c.get("/x", headers=host), files)
                    for c in conns] == list(who)


def test_resumed(sluice, files, version):
    """A session has its client with it."""
    s = sluice(conf())
    ctx = files.context("good", version)
    for again in (None, 1):
        r, old, _ = session(s, ctx, "must.example", old if again else None)
        assert came(s, r, files) == "good"
        assert wire.record(s, r["x-request-id"]).get("tls_resumed") == again


def test_route_asks(sluice, files, version):
    s = sluice(conf(more=route("client_cert = required")))
    for who in ("good", "second", "revoked", "deep"):
        r = ask(s, files.context(who, version))
        assert r.text == "in"
        assert came(s, r, files) == who
    wire.is_fail(ask(s, files.context(None, version)), "client_cert_missing")
    for who in BAD:
        r = ask(s, files.context(who, version))
        wire.is_fail(r, "client_cert_refused")
        assert wire.record(s, r["x-request-id"])["cause"]
        assert came(s, r, files) == who
        # others serve whoever comes, and believe nothing
        r = ask(s, files.context(who, version), "/")
        assert r.text == "ask"
        assert came(s, r, files) is None


@pytest.mark.parametrize("words, who", [
    ("client_san = alice.clients.example", ["good"]),
    ("client_san = *.CLIENTS.example", ["good", "second"]),
    ("client_san = *.example", ["deep", "revoked"]),
    ("client_san = *", []),
    ("client_san = DNS:bob.* gone.example", ["revoked"]),
    ("client_san = DNS:bob.*.example gone.example", ["second", "revoked"]),
    ("client_san = URI:spiffe://example/*", ["good"]),
    ("client_san = URI:SPIFFE://example/*", []),
    ("client_san = uri:spiffe://*/bob", []),
    ("client_san = email:*@example.org", ["good"]),
    ("client_san = IP:192.0.2.7", ["good"]),
    ("client_san = IP:192.0.2.70", []),
    ("client_san = spiffe", []),
])
def test_route_asks_for_names(sluice, files, words, who):
    s = sluice(conf(more=route(words)))
    for one in ("good", "second", "revoked", "deep"):
        r = ask(s, files.context(one))
        if one in who:
            assert r.text == "in", one
        else:
            wire.is_fail(r, "client_cert_refused")
            assert "client_san" in wire.record(
                s, r["x-request-id"])["cause"]
    wire.is_fail(ask(s, files.context("wrong")), "client_cert_refused")
    wire.is_fail(ask(s, files.context()), "client_cert_missing")


def test_route_asks_for_prints(sluice, files, version):
    c = files.clients
    colons = ":".join(c["good"].fingerprint.upper()[i:i + 2]
                      for i in range(0, 64, 2))
    s = sluice(conf(more=route(
        f"client_fingerprint = {colons}\n"
        f"client_fingerprint = {c['deep'].fingerprint} "
        f"{c['wrong'].fingerprint}\n"
        "client_san = *.clients.example *.example")))
    for who, good in (("good", True), ("second", False), ("deep", True),
                      ("revoked", False)):
        r = ask(s, files.context(who, version))
        assert r.status == (200 if good else 403)
    # its digest is right, it itself is not
    wire.is_fail(ask(s, files.context("wrong", version)),
                 "client_cert_refused")


def test_plain_listener(sluice, files):
    s = sluice(conf(more=route("client_cert = required") + """
[listener plain]
bind = 127.0.0.1:@port2@
"""))
    r = http.get(s.value("port2"), "/x", headers={"Host": "ask.example"})
    wire.is_fail(r, "client_cert_missing")


IDENTITY = "".join(f"identity.X-Client-{n} = ${{tls.client.{n.lower()}}}\n"
                   for n in ("Subject", "Issuer", "San", "Serial",
                             "Fingerprint", "Verify"))


def proxied(addr):
    return conf(more=f"""
[upstream app]
server = {addr}
[route app]
host = ask.example
path = /app/*
upstream = app
{IDENTITY}
[route bare]
host = ask.example
path = /bare/*
upstream = app
""")


LIES = {f"X-Client-{n}": "lie" for n in ("Subject", "SAN", "verify")} | \
    {"X_Client_Serial": "lie", "x-client_fingerprint": "lie"}


def told(request):
    return {n.lower().replace("_", "-"): v for n, v in request.headers
            if n.lower().replace("_", "-").startswith("x-client-")}


def test_servers_are_told(sluice, peer, files, version):
    app = peer()
    s = sluice(proxied(app.addr))
    good = files.clients["good"]
    r = ask(s, files.context("good", version), "/app/", headers=LIES)
    assert r.status == 200
    assert told(app.requests[-1]) == {
        "x-client-subject": "CN=alice.clients.example",
        "x-client-issuer": "CN=clients",
        "x-client-san": "DNS:alice.clients.example, "
                        "URI:spiffe://example/alice, "
                        "email:alice@example.org, IP:192.0.2.7",
        "x-client-serial": hex_of(good.x.serial_number),
        "x-client-fingerprint": good.fingerprint,
        "x-client-verify": "SUCCESS"}
    for who, verify in ((None, "NONE"), ("expired",
                        "FAILED: certificate has expired"),
                        ("wrong", "FAILED: unable to get local issuer "
                         "certificate")):
        ask(s, files.context(who, version), "/app/", headers=LIES)
        assert told(app.requests[-1]) == {"x-client-verify": verify}, who
    # where it was not asked for it is not told, and nothing is believed
    ask(s, files.context("good", version), "/bare/")
    assert told(app.requests[-1]) == {}


def hex_of(n):
    h = f"{n:x}"
    return h if len(h) % 2 == 0 else "0" + h


def test_names_cannot_forge(sluice, peer, files):
    """What a certificate says is told as one name, in one line."""
    evil = Cert("a, O=Admin\r\nX-Admin: 1",
                "spiffe://x/,DNS:admin.example\r\nX-Admin: 1",
                by=files.ca)
    evil.write(files.top, "evil")
    app = peer()
    s = sluice(proxied(app.addr))
    assert ask(s, files.context("evil"), "/app/").status == 200
    got = told(app.requests[-1])
    assert "x-admin" not in dict(app.requests[-1].headers)
    assert got["x-client-subject"] == \
        "CN=a\\, O=Admin\\0D\\0AX-Admin: 1"
    assert got["x-client-san"] == \
        "DNS:a%2C%20O=Admin%0D%0AX-Admin:%201, " \
        "URI:spiffe://x/%2CDNS:admin.example%0D%0AX-Admin:%201"


def test_templates(sluice, files):
    s = sluice(conf(more="""
[route x]
host = ask.example
path = /x
respond = 200 <${tls.client.subject}> ${tls.client.verify}
"""))
    assert ask(s, files.context("good")).text == \
        "<CN=alice.clients.example> SUCCESS"
    assert ask(s, files.context()).text == "<> NONE"
    assert ask(s, files.context("wrong")).text.startswith("<> FAILED: ")


def test_resumed_identity(sluice, peer, files, version):
    app = peer()
    s = sluice(proxied(app.addr))
    ctx = files.context("good", version)
    old = session(s, ctx, "ask.example")[1]
    with tls.Client(s.port, ctx, "ask.example", session=old) as c:
        assert c.sock.session_reused
        c.get("/app/", headers={"Host": "ask.example"})
    assert told(app.requests[-1])["x-client-fingerprint"] == \
        files.clients["good"].fingerprint


def test_expired_identity_is_not_resumed(sluice, files, version):
    """Who has come in by a certificate that ends shows it once more."""
    brief = Cert("brief.clients.example", by=files.ca, seconds=4)
    brief.write(files.top, "brief")
    s = sluice(conf())
    ctx = files.context("brief", version)
    r, old, _ = session(s, ctx, "must.example")
    assert r.status == 200
    net.until("its end", lambda: brief.ended)
    with pytest.raises((ssl.SSLError, ConnectionError, http.Closed)):
        session(s, ctx, "must.example", old)
    s.wait_log("tls_client_refused.*has expired")


def test_crl_follows_reload(sluice, files, version):
    s = sluice(conf())
    ctx = files.context("second", version)
    assert let_in(s, ctx, "crl.example")
    files.revoke(files.clients["second"])
    s.reload()
    assert not let_in(s, ctx, "crl.example")
    assert let_in(s, files.context("revoked", version), "crl.example")


def test_expired_crl(sluice, files, version):
    """Nobody knows who is revoked now: nobody is let in; -t says so."""
    files.revoke(days=-1)
    s = sluice(conf())
    assert "W0340" in s.stderr() and "expired list" in s.stderr()
    assert not let_in(s, files.context("good", version), "crl.example")
    s.wait_log("tls_client_refused.*CRL has expired")


def test_two_lists(sluice, files, version):
    """Each authority has its own; one that has none lets nobody in."""
    terms = {"two": "tls.client = required\ntls.client_ca = @dir@/two.crt\n"
             "tls.client_crl = @dir@/two.crl"}
    put(files.top, "two.crt", files.ca.pem + files.other.pem)
    put(files.top, "two.crl", crl(files.ca) +
        crl(files.other, files.clients["wrong"]))
    leaf = Cert("two.example", by=files.root)
    leaf.write(files.top, "a")
    s = sluice(conf(terms=terms))
    fresh = Cert("fresh.example", by=files.other)
    fresh.write(files.top, "fresh")
    assert let_in(s, files.context("good", version), "two.example")
    assert let_in(s, files.context("fresh", version), "two.example")
    assert not let_in(s, files.context("wrong", version), "two.example")
    put(files.top, "two.crl", crl(files.ca))
    s.reload()
    s.wait_log("no list of an authority")
    assert not let_in(s, files.context("fresh", version), "two.example")

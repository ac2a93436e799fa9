"""Policies of TLS by host: the name of the handshake chooses, the host of a
request must have the same."""
import ssl
import struct

import pytest

from lib import h2, http, net, tls, wire
from lib.tls_hosts import TERMS, V12, V13, Files, conf, session


@pytest.fixture
def files(tmp):
    return Files(tmp)


def fails(s, ctx, name):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with tls.Client(s.port, ctx, name) as c:
            c.get("/", headers={"Host": name})


def body(s, ctx, name, host=None):
    with tls.Client(s.port, ctx, name) as c:
        return c.get("/", headers={"Host": host or name})


def test_versions_by_name(sluice, files):
    s = sluice(conf())
    v12, v13 = files.context(version=V12), files.context(version=V13)
    for name in ("plain", "suite", "group", "ask"):
        for ctx in (v12, v13):
            assert session(s, ctx, f"{name}.example")[0].text == name
    assert session(s, v12, "old.example")[0].text == "old"
    assert session(s, v13, "new.example")[0].text == "new"
    fails(s, v13, "old.example")
    fails(s, v12, "new.example")


def test_ciphers_and_groups_by_name(sluice, files):
    s = sluice(conf())
    for ctx in (files.context(version=V12), files.context(version=V13)):
        with tls.Client(s.port, ctx, "suite.example") as c:
            assert "AES_256" in c.sock.cipher()[0].replace("AES256",
                                                           "AES_256")
    weak = files.context(version=V12)
    weak.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    fails(s, weak, "suite.example")
    assert session(s, weak, "plain.example")[0].text == "plain"
    p256 = files.context()
    p256.set_ecdh_curve("prime256v1")
    fails(s, p256, "group.example")
    assert session(s, p256, "plain.example")[0].text == "plain"


def test_names_fold_and_wildcards(sluice, files):
    s = sluice(conf(more="""
[tls wild]
tls.versions = 1.2
[route wild]
host = *.wild.example
tls_policy = wild
respond = 200 wild
[tls exact]
tls.versions = 1.3
[route exact]
host = x.wild.example
tls_policy = exact
respond = 200 exact
"""))
    any_ = files.context()
    for name, version in (("a.wild.example", "TLSv1.2"),
                          ("A.Wild.EXAMPLE", "TLSv1.2"),
                          ("x.wild.example", "TLSv1.3"),
                          ("OLD.example", "TLSv1.2"),
                          ("localhost", "TLSv1.3")):
        with tls.Client(s.port, any_, name) as c:
            assert c.version == version, name
            assert c.get("/", headers={"Host": name}).status == 200


def test_listeners_have_their_own(sluice, files):
    """A route's policy holds where the route does."""
    s = sluice(conf(more="""
[listener more]
bind = 127.0.0.1:@port2@
tls = on
tls_policy = old
[route there]
host = x.wild.example
listener = web
tls_policy = new
respond = 200 there
[route here]
host = x.wild.example
listener = more
tls_policy = suite
respond = 200 here
"""))
    s2 = type("S", (), {"port": s.value("port2")})
    ctx = files.context()
    with tls.Client(s2.port, ctx, "localhost") as c:
        assert c.version == "TLSv1.2"
    with tls.Client(s.port, ctx, "localhost") as c:
        assert c.version == "TLSv1.3"
    assert body(s, ctx, "x.wild.example").text == "there"
    assert body(s2, ctx, "x.wild.example").text == "here"
    fails(s, files.context(version=V12), "x.wild.example")
    assert body(s2, files.context(version=V12), "x.wild.example").text == \
        "here"


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_misdirected(sluice, files, version):
    s = sluice(conf())
    ctx = files.context("good", version)
    own = "old" if version == V12 else "new"
    names = [n for n in TERMS if n not in ("old", "new", "other")] + [own]
    with_none = tls.context(low=version, high=version)
    for a in names:
        for b in names:
            r = body(s, ctx, f"{a}.example", f"{b}.example")
            if a == b:
                assert r.text == a
            else:
                rid = wire.is_fail(r, "misdirected_request")
                assert not r.closes
                assert wire.record(s, rid)["cause"] == (
                    f'its handshake was for "{a}.example", whose policy '
                    f'of TLS is not that of "{b}.example"')
        # hosts that nobody names have the listener's, as has no name
        r = body(s, ctx, f"{a}.example", "elsewhere.example")
        assert r.status == (200 if a == "plain" else 421)
    r = body(s, with_none, None, "plain.example")
    assert r.status == 200
    rid = wire.is_fail(body(s, with_none, None, "ask.example"),
                       "misdirected_request")
    assert "was for no host, whose" in wire.record(s, rid)["cause"]
    # on one connection, again and again
    with tls.Client(s.port, ctx, "ask.example") as c:
        for host, status in (("ask", 200), ("must", 421), ("ask", 200),
                             ("plain", 421), ("ask", 200)):
            r = c.get("/", headers={"Host": f"{host}.example"})
            assert r.status == status


def test_misdirected_before_routes(sluice, files):
    """Neither 404 nor 405 tells what the other host has."""
    s = sluice(conf(more="""
[route only]
host = must.example
path = /only
method = POST
respond = 200 only
"""))
    ctx = files.context()
    with tls.Client(s.port, ctx, "plain.example") as c:
        for method, target in (("GET", "/only"), ("TRACE", "/"),
                               ("POST", "/only"), ("GET", "/nothing")):
            assert c.ask(method, target,
                         {"Host": "must.example"}).status == 421


def ask(c, host):
    return c.get("/", headers={"Host": f"{host}.example"})


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("cut", [False, True])
def test_reload(sluice, files, version, cut):
    """New connections have new terms; old ones end, if theirs changed."""
    words = "on_change = cut" if cut else ""
    s = sluice(conf(listener=words))
    ctx = files.context("good", version)
    names = [n for n in ("plain", "ask", "must", "suite", "crl")]
    open_ = {n: tls.Client(s.port, ctx, f"{n}.example") for n in names}
    none = tls.Client(s.port, tls.context(low=version, high=version), None)
    for n, c in open_.items():
        assert ask(c, n).text == n
    assert ask(none, "plain").text == "plain"
    other = {**TERMS, "ask": TERMS["ask"] + "\ntls.groups = P-256"}
    s.reload(conf(listener=words, terms=other))
    # idle ones whose policy changed are let go
    net.wait_fd(open_["ask"].sock, net.WAIT)
    assert open_["ask"].rest() == b""
    for n, c in open_.items():
        if n != "ask":
            r = ask(c, n)
            assert r.text == n and not r.closes
    assert not ask(none, "plain").closes
    with tls.Client(s.port, ctx, "ask.example") as c:
        assert ask(c, "ask").text == "ask"
        # the listener's own are those of names that nobody names, and of
        # no name at all; and of hosts whose [tls] says the same
        s.reload(conf(listener=words + "\ntls.groups = P-256",
                      terms={**other, "plain": "tls.groups = P-256"}))
        net.wait_fd(none.sock, net.WAIT)
        assert none.rest() == b"" and open_["plain"].rest() == b""
        assert ask(open_["must"], "must").text == "must"
        assert not ask(c, "ask").closes
        # a route takes its host's policy away
        s.reload(conf(listener=words, terms={
            k: v for k, v in other.items() if k != "must"}))
        net.wait_fd(open_["must"].sock, net.WAIT)
        assert open_["must"].rest() == b""
        assert not ask(open_["crl"], "crl").closes
    for c in (none, *open_.values()):
        c.close()


def test_reload_new_list(sluice, files):
    """Another list of revoked certificates is another policy."""
    s = sluice(conf())
    ctx = files.context("good")
    with tls.Client(s.port, ctx, "crl.example") as c, \
            tls.Client(s.port, ctx, "must.example") as d:
        assert ask(c, "crl").text == "crl"
        assert ask(d, "must").text == "must"
        files.revoke(files.clients["good"])
        s.reload()
        net.wait_fd(c.sock, net.WAIT)
        assert c.rest() == b""
        assert not ask(d, "must").closes
    with pytest.raises(http.Closed, match="REVOKED"), \
            tls.Client(s.port, ctx, "crl.example") as c:
        ask(c, "crl")


@pytest.mark.parametrize("asked", [0, 1])
@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_idle_at_reload(sluice, files, asked, alpn):
    """Nobody is answered by what the policy of before let in: who has no
    request under way is closed with the reload."""
    s = sluice(conf("workers = 1"))
    ctx = files.context("good")
    ctx.set_alpn_protocols([alpn])
    sock = ctx.wrap_socket(net.connect(s.port),
                           server_hostname="must.example")
    c = h2.Client(None, sock=sock, scheme="https") if alpn == "h2" else \
        http.Client(None, sock=sock)
    with c:
        for _ in range(asked):
            assert ask(c, "must").text == "must"
        net.until("it has shaken hands",
                  lambda: wire.sums(s)["tls_handshakes"] == 0)
        s.reload(conf("workers = 1", terms={**TERMS, "must": TERMS["other"]}))
        with pytest.raises((http.Closed, ConnectionError)):
            ask(c, "must")


def test_requirement_is_of_now(sluice, files):
    """An identity that older terms found is none by newer ones."""
    hold = """
[route slow]
host = ask.example
path = /
client_cert = required
respond = 200 let in
"""
    s = sluice(conf(more=hold))
    ctx = files.context("good")
    with tls.Client(s.port, ctx, "ask.example") as c:
        c.send(b"POST / HTTP/1.1\r\nHost: ask.example\r\n"
               b"Content-Length: 5\r\n\r\n")
        assert c.response("POST").text == "let in"
        files.revoke(files.clients["good"])
        s.reload(conf(more=hold, terms={
            **TERMS, "ask": TERMS["ask"] +
            "\ntls.client_crl = @dir@/ca.crl"}))
        # the body that is still awaited keeps the connection
        c.send(b"12345" + b"GET / HTTP/1.1\r\nHost: ask.example\r\n\r\n")
        r = None
        try:
            r = c.response()
        except Exception as e:          # it was closed instead
            assert "Closed" in type(e).__name__
        assert r is None or r.status == 421
    r = body(s, ctx, "ask.example")
    wire.is_fail(r, "client_cert_refused")
    assert "revoked" in wire.record(s, r["x-request-id"])["cause"]


def test_many_hosts(sluice, files):
    """A thousand hosts of some policies: still the right ones."""
    many = "".join(f"[route r{i}]\nhost = h{i}.wild.example\n"
                   f"tls_policy = {'old' if i % 2 else 'new'}\n"
                   f"respond = 200 {i}\n" for i in range(1000))
    s = sluice(conf(more=many))
    for i in (0, 1, 500, 998, 999):
        ctx = files.context(version=V12 if i % 2 else V13)
        assert body(s, ctx, f"h{i}.wild.example").text == str(i)
        fails(s, files.context(version=V13 if i % 2 else V12),
              f"h{i}.wild.example")


def exactly(c, n):
    data = b""
    while len(data) < n:
        more = c.sock.recv(n - len(data))
        assert more
        data += more
    return data


def ext(kind, body):
    return struct.pack(">HH", kind, len(body)) + body


def hello(name, group, share, sid=b"s" * 32):
    """A ClientHello of TLS 1.3 as bytes of the wire."""
    host = name.encode()
    exts = ext(0, struct.pack(">HBH", len(host) + 3, 0, len(host)) + host) \
        + ext(43, b"\x02\x03\x04") + ext(13, b"\x00\x02\x04\x03") \
        + ext(10, struct.pack(">HHH", 4, 0x1e, group)) \
        + ext(51, struct.pack(">HHH", len(share) + 4, group, len(share)) +
              share if share else b"\x00\x00")
    body = b"\x03\x03" + b"r" * 32 + bytes([len(sid)]) + sid + \
        b"\x00\x02\x13\x01" + b"\x01\x00" + \
        struct.pack(">H", len(exts)) + exts
    msg = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(msg)) + msg


@pytest.mark.parametrize("second, alert", [
    ("must", None), ("MUST", None), ("plain", 47), ("group", 47),
])
def test_name_of_the_second_hello(sluice, files, second, alert):
    """Who is asked for another hello cannot go to another policy."""
    s = sluice(conf())
    x25519 = bytes([9]) + bytes(31)
    with http.Client(s.port) as c:
        c.send(hello("must.example", 0x1d, b""))
        head = exactly(c, 5)
        again = exactly(c, int.from_bytes(head[3:], "big"))
        # a ServerHello with the random that asks for another one
        assert head[0] == 22 and again[6:10] == bytes.fromhex("cf21ad74")
        c.send(hello(f"{second}.example", 0x1d, x25519))
        kinds = {}
        while not kinds.keys() & {21, 23}:
            head = exactly(c, 5)
            kinds[head[0]] = exactly(
                c, int.from_bytes(head[3:], "big"))
    assert (kinds[21][1] if 21 in kinds else None) == alert

"""HTTP/2 by TLS: a stream whose host has other terms than the name of the
handshake is refused, and no other one."""
import pytest

from lib import h2, http, net, rpc, tls, wire
from lib.tls_hosts import TERMS, V12, V13, Files, conf

UNKNOWN = 2     # of gRPC


@pytest.fixture
def files(tmp):
    return Files(tmp)


def connect(s, ctx, name):
    ctx.set_alpn_protocols(["h2", "http/1.1"])
    sock = ctx.wrap_socket(net.connect(s.port), server_hostname=name)
    assert sock.selected_alpn_protocol() == "h2"
    return h2.Client(None, sock=sock, scheme="https")


def post(host):
    return h2.request("POST", authority=host, scheme="https")


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_misdirected(sluice, files, version):
    s = sluice(conf())
    with connect(s, files.context("good", version), "ask.example") as c:
        for name, status in (("ask", 200), ("must", 421), ("ASK", 200),
                             ("plain", 421), ("crl", 421), ("ask", 200)):
            r = c.get("/", host=f"{name}.example")
            assert r.status == status, name
            if status == 421:
                wire.is_fail(r, "misdirected_request")
            else:
                assert r.text == "ask"
        # a host that nobody names has the listener's terms
        assert c.get("/", host="nobody.test").status == 421
    with connect(s, files.context("good", version), "plain.example") as c:
        assert c.get("/", host="nobody.test").text == "all"
        assert c.get("/", host="must.example").status == 421


def test_misdirected_call(sluice, files):
    """UNKNOWN: by UNAVAILABLE it would be tried again over this one."""
    s = sluice(conf())
    with connect(s, files.context("good"), "ask.example") as c:
        for host in ("must", "plain"):
            r = rpc.call(c.h2, "/a.B/C", b"x", authority=f"{host}.example",
                         scheme="https")
            assert r.alone and r.status == UNKNOWN
            assert "(misdirected_request " in r.message


def test_by_host(sluice, files):
    """Host in place of :authority decides as well; both must agree."""
    s = sluice(conf())
    with connect(s, files.context(), "plain.example") as c:
        for host, status in (("plain", 200), ("must", 421)):
            fields = [(n, v) for n, v in h2.request(scheme="https")
                      if n != ":authority"]
            sid = c.h2.headers(fields + [("host", f"{host}.example")])
            assert c.h2.response(sid).status == status
        sid = c.h2.headers(h2.request(authority="plain.example",
                                       scheme="https") +
                           [("host", "must.example")])
        assert c.h2.response(sid).status == 400
        assert c.get("/", host="plain.example").text == "plain"


def test_others_go_on(sluice, files):
    """Streams that are open while one is refused, and those behind it."""
    s = sluice(conf())
    with connect(s, files.context(), "plain.example") as c:
        up = [c.h2.headers(post("plain.example"), end=False) for _ in range(3)]
        refused = c.h2.headers(post("must.example"), end=False)
        wire.is_fail(c.h2.response(refused), "misdirected_request")
        for sid in up:
            c.h2.data(sid, b"x" * 100)
            assert c.h2.response(sid).text == "plain"
        many = [c.h2.ask_for(authority=f"{n}.example", scheme="https")
                for n in ("plain", "must") * 20]
        got = [c.h2.response(sid).status for sid in many]
        assert got == [200, 421] * 20
        c.h2.ping()


def test_reload(sluice, files):
    """Whose policy changed is told to go, others are not."""
    s = sluice(conf())
    with connect(s, files.context(), "plain.example") as c, \
            connect(s, files.context(), "ask.example") as d:
        assert c.get("/", host="plain.example").text == "plain"
        assert d.get("/", host="ask.example").text == "ask"
        s.reload(conf(terms={**TERMS, "ask": TERMS["ask"] +
                             "\ntls.groups = P-256"}))
        assert d.h2.goaway() == h2.NO_ERROR
        assert c.get("/", host="plain.example").text == "plain"
        c.h2.ping()


def test_identity(sluice, files):
    """What a route asks of the client's certificate holds per stream."""
    s = sluice(conf(more="""
[route mine]
host = ask.example
path = /mine
client_cert = required
client_san = alice.clients.example
respond = 200 ${tls.client.san}
"""))
    for who, status in (("good", 200), ("second", 403), (None, 403)):
        with connect(s, files.context(who), "ask.example") as c:
            assert c.get("/", host="ask.example").status == 200
            r = c.get("/mine", host="ask.example")
            assert r.status == status
            assert c.get("/", host="ask.example").status == 200


def test_http1_beside_it(sluice, files):
    """The same port, the same name, the other version."""
    s = sluice(conf())
    ctx = files.context()
    with connect(s, files.context(), "plain.example") as c:
        with tls.Client(s.port, ctx, "plain.example") as d:
            assert isinstance(d, http.Client) and d.alpn is None
            assert d.get("/", headers={"Host": "plain.example"}).text == \
                c.get("/", host="plain.example").text == "plain"

"""Heads of HTTP/2 that would be ambiguous in HTTP/1 reach no backend.

Behind the gateway stands a server that must never see a connection; each
request is refused with the row that names what is wrong, in the record
and on the page, and the stream is reset as malformed.
"""
import pytest

from lib import h2, wire
from lib.h2 import PROTOCOL, RST, block, literal, request
from lib.peer import Peer

BASE = {":method": "GET", ":scheme": "http", ":path": "/a",
        ":authority": "localhost"}
BAD = []


def bad(row, *more, first=(), **kw):
    """A request with some pseudo-header fields changed, fields besides."""
    own = {":" + k: v for k, v in kw.items()}
    head = [(n, own.get(n, v)) for n, v in BASE.items()
            if own.get(n, v) is not None]
    BAD.append((row, block(first) + block(head) + block(more)))


SPLIT = "GET / HTTP/1.1\r\nHost: b\r\n\r\nGET /b"
# the method
for m in ("GET /b HTTP/1.1\r\nHost: b\r\nX:", "GE T", "GET\t", "GET\r",
          "GET\n", "GET\0", "", "GET:", "GET/", "(GET)", "G\x80T", '"GET"'):
    bad("bad_field_value" if set(m) & set("\r\n\0") or m.endswith("\t") else
        "bad_method", method=m)
# the path
for p in ("/a b", "/a HTTP/1.1\r\nHost: b\r\n\r\n", "/a\r\nX: b", "/a\n",
          "/a\0", "/a\tb", "", "a", "?a", "http://b/a", "//b@c/ d", "/a#b",
          "*", "/\x7f", "/\x80", " /a", "/a ", "https:/a", "/a\x01"):
    bad("bad_field_value" if set(p) & set("\r\n\0\x7f\x01") or
        p != p.strip() else "bad_target", path=p)
# authority and Host
for a in ("u@localhost", "u:p@localhost", "local host",
          "localhost:80:80", "localhost:x", "localhost,b", "localhost/b",
          "[::1", "a..b", ".a", "a\\b", "a?b", "a#b", "a%62", "localhost:65536",
          "\x80"):
    bad("bad_host", authority=a)
for a in ("a\r\nHost: b", "a\0", "a\n", " a", "a\r"):
    bad("bad_field_value", authority=a)
for h in ("b", "localhost.b", "localhost:81", "localhost, b"):
    bad("bad_host" if "," in h else "host_mismatch", ("host", h))
bad("host_twice", ("host", "localhost"), ("host", "b"))
bad("host_missing", authority=None)
bad("bad_host", ("host", "a b"), authority=None)
bad("bad_host", ("host", ""), authority=None)
# the scheme
for s in ("", "HTTP/1.1", "h2c", "http:", "http://b/"):
    bad("bad_pseudo", scheme=s)
# pseudo-header fields out of place
bad("bad_pseudo", first=[(":path", "/b")])
bad("bad_pseudo", first=[(":authority", "b")])
bad("bad_pseudo", first=[(":method", "POST")])
bad("bad_pseudo", first=[("a", "b")])
bad("bad_pseudo", (":path", "/b"))
bad("bad_pseudo", first=[(":host", "b")])
bad("bad_pseudo", path=None)
bad("bad_pseudo", method=None)
# fields of a hop, and framing of another version
for n, v in (("transfer-encoding", "chunked"), ("connection", "upgrade"),
             ("connection", "content-length"), ("upgrade", "websocket"),
             ("keep-alive", "1"), ("proxy-connection", "keep-alive"),
             ("te", "chunked"), ("te", "trailers, deflate")):
    bad("connection_field", (n, v))
for v in ("1", "0x1", "1 1", "-1", "+1", "1,1", "", "18446744073709551616",
          "1\x0b"):
    bad("length_mismatch" if v == "1" else "bad_field_value"
        if "\x0b" in v else "bad_length", ("content-length", v))
bad("length_twice", ("content-length", "0"), ("content-length", "0"))
bad("length_twice", ("content-length", "0"), ("content-length", "5"))
# field lines that would be two, or none
for n, v in (("x", "a\r\ny: b"), ("x", "a\ny: b"), ("x", "a\0"),
             ("x", "\r\n\r\nGET / HTTP/1.1"), ("x", "a\r"), ("x", " a"),
             ("cookie", "a=b\r\n"), ("user-agent", "a\0b")):
    bad("bad_field_value", (n, v))
for n in ("x\r\ny", "x: y", "x ", " x", "x\0", "", "X", "x:", "x\ny", "x\x80",
          "Content-length", "transfer-encoding\0", "x/y"):
    bad("bad_field_name", (n, "b"))
for v in ("200-ok", "100-continue, x"):
    bad("bad_expect", ("expect", v))


@pytest.fixture(scope="module")
def gate():
    with Peer() as never, wire.gateway(f"""
[listener web]
bind = 127.0.0.1:@port@
http = 2
[upstream never]
server = {never.addr}
[route never]
path = /*
upstream = never
""" + wire.PROBE) as s:
        yield s
        assert never.connections == 0


@pytest.mark.parametrize("n", range(len(BAD)))
def test_refused(gate, n):
    row, head = BAD[n]
    with h2.H2(gate.port, timeout=5) as c:
        c.send(h2.frame(h2.HEADERS, h2.END | h2.END_HEADERS, 1, head))
        r = c.response(1)
        assert (wire.told(r)[0], r.status) == (row, wire.FAILS[row][0])
        if r.status == 400:
            f = c.frame(lambda f: f.sid == 1)
            assert f.type == RST and f.body[3] == PROTOCOL
        c.sid = 1
        assert c.response(c.ask_for("GET", "/probe")).body == b"probe"
    assert wire.record(gate, wire.told(r)[1])["fail"] == row


@pytest.mark.parametrize("fields,row", [
    ([("te", "a")], "bad_trailer"), ([("X", "a")], "bad_trailer"),
    ([(":path", "/b")], "bad_trailer"), ([("a", "b\r\nc")], "bad_trailer"),
    ([("transfer-encoding", "chunked")], "bad_trailer")])
def test_trailers(gate, fields, row):
    """They come behind the head: the server may have that, not these."""
    with h2.H2(gate.port, timeout=5) as c:
        sid = c.headers(request("POST", "/probe"), end=False)
        c.headers(fields, sid=sid)
        with pytest.raises(h2.Reset) as e:
            c.response(sid)
            c.response(sid)
        assert e.value.code == PROTOCOL


def test_enough():
    assert len(BAD) >= 60
    assert literal("a", "b") == b"\0\1a\1b"

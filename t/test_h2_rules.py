"""What RFC 9113 and RFC 7541 demand of a server: one case for each MUST
that it can break.

A case sends frames and says what has to follow: an error of the
connection, one of the stream with the connection going on, or an answer.
"""
import struct

import pytest

from lib import h2, wire
from lib.h2 import (ACK, CALM, CLOSED, COMPRESSION, DATA, END, END_HEADERS,
                    FLOW, GOAWAY, HEADERS, PADDED, PING, PRIO, PRIORITY,
                    PROTOCOL, PUSH, REFUSED, RST, SETTINGS, SIZE, WINDOW,
                    block, frame, literal, request, rst, settings, window)
from lib.peer import Peer, respond

CONTINUATION = h2.CONTINUATION
GET = block(request("GET", "/probe"))
POST = block(request("POST", "/app"))
CASES = {}


def conn(*codes):
    """The connection ends with one of these codes."""
    def check(c):
        frames = c.ends()
        seen = [int.from_bytes(f.body[4:8], "big") for f in frames
                if f.type == GOAWAY]
        assert seen and seen[-1] in codes, (seen, frames)
    return check


def stream(*codes, sid=1):
    """The stream is reset with one of these, and the others go on."""
    def check(c):
        with pytest.raises(h2.Reset) as e:
            c.response(sid)
            c.response(sid)
        assert e.value.code in codes
        goes_on(c)
    return check


def malformed(status=400, sid=1):
    """An answer that says so, then the reset of RFC 9113 8.1.1."""
    def check(c):
        assert c.response(sid).status == status
        f = c.frame(lambda f: f.sid == sid)
        assert f.type == RST and f.body == struct.pack(">I", PROTOCOL)
        goes_on(c)
    return check


def answer(status=200, sid=1):
    def check(c):
        assert c.response(sid).status == status
        goes_on(c)
    return check


def cut(c):
    """So much was on its way that the code may be lost."""
    frames = c.ends()
    assert not [f for f in frames if f.type in (DATA, HEADERS)], frames


def last_answer(c):
    assert c.response(1).status == 200


def goes_on(c):
    c.sid = max(c.sid, 2001)
    assert c.response(c.ask_for("GET", "/probe")).body == b"probe"


def case(name, right, *frames):
    assert name not in CASES
    CASES[name] = (right, frames)


def get(body=GET, sid=1, flags=END | END_HEADERS):
    return frame(HEADERS, flags, sid, body)


def post(sid=1, more=()):
    return frame(HEADERS, END_HEADERS, sid,
                 POST + block(more))


def fields(*more, drop=(), **kw):
    """A request's head with these fields besides."""
    return get(block([f for f in request("GET", "/probe", **kw)
                      if f[0] not in drop]) + block(more))


ANY = (PROTOCOL, CLOSED)

# --- 4 frames ---
case("4.1 unknown type is ignored", answer(), frame(0xbb, 0, 0, b"x"), get())
case("4.1 unknown type on an idle stream", answer(),
     frame(0xbb, 0xff, 7, b"x" * 100), get(sid=1))
case("4.1 undefined flags are ignored", answer(), frame(PING, 0xfe, 0,
                                                        bytes(8)), get())
case("4.1 the reserved bit is ignored", answer(),
     frame(PING, 0, 0x80000000, bytes(8)), get())
case("4.1 unknown flags of HEADERS", answer(), get(flags=0x45 | 0x80))
case("4.2 HEADERS too large", conn(SIZE), frame(
    HEADERS, 5, 1, GET + block([("a", "b" * 16400)])))
case("4.2 DATA too large", conn(SIZE), post(), frame(DATA, 0, 1,
                                                     bytes(16385)))
case("4.2 unknown frame too large", conn(SIZE), frame(0xbb, 0, 0,
                                                      bytes(16385)))
case("4.2 SETTINGS of 5 bytes", conn(SIZE), frame(SETTINGS, 0, 0, bytes(5)))
case("4.2 PING of 7", conn(SIZE), frame(PING, 0, 0, bytes(7)))
case("4.2 PING of 9", conn(SIZE), frame(PING, 0, 0, bytes(9)))
case("4.2 RST_STREAM of 3", conn(SIZE), post(), frame(RST, 0, 1, bytes(3)))
case("4.2 RST_STREAM of 5", conn(SIZE), post(), frame(RST, 0, 1, bytes(5)))
case("4.2 WINDOW_UPDATE of 3", conn(SIZE), frame(WINDOW, 0, 0, bytes(3)))
case("4.2 GOAWAY of 7", conn(SIZE), frame(GOAWAY, 0, 0, bytes(7)))
case("4.2 PRIORITY of 4", conn(SIZE), post(), frame(PRIORITY, 0, 1,
                                                    bytes(4)))
case("4.3 PING within a head", conn(PROTOCOL), get(flags=1),
     frame(PING, 0, 0, bytes(8)))
case("4.3 HEADERS of another stream within a head", conn(PROTOCOL),
     get(flags=1), get(sid=3))
case("4.3 HEADERS of the same stream within a head", conn(PROTOCOL),
     get(flags=1), get())
case("4.3 DATA within a head", conn(PROTOCOL), get(flags=1),
     frame(DATA, 0, 1))
case("4.3 CONTINUATION of another stream", conn(PROTOCOL), get(flags=1),
     frame(CONTINUATION, 4, 3))
case("4.3 SETTINGS within a head", conn(PROTOCOL), get(flags=1), settings())
case("4.3 unknown frame within a head", conn(PROTOCOL), get(flags=1),
     frame(0xbb, 0, 1))
case("4.3 WINDOW_UPDATE within a head", conn(PROTOCOL), get(flags=1),
     window(0, 1))
case("4.3 RST_STREAM within a head", conn(PROTOCOL), get(flags=1), rst(1))
case("4.3 a head in two frames", answer(), get(GET[:9], flags=1),
     frame(CONTINUATION, 4, 1, GET[9:]))
case("4.3 a head in eight frames", answer(), get(GET[:4], flags=1),
     *[frame(CONTINUATION, 0, 1, GET[4 + i:5 + i]) for i in range(7)],
     frame(CONTINUATION, 4, 1, GET[11:]))

# --- RFC 7541 ---
case("7541 2.3.3 index beyond the tables", conn(COMPRESSION),
     get(GET + b"\xff\x80\x01"))
case("7541 6.1 index 0", conn(COMPRESSION), get(GET + b"\x80"))
case("7541 6.2 name index beyond the tables", conn(COMPRESSION),
     get(GET + b"\x7f\x80\x01\x01a"))
case("7541 5.1 integer that overflows", conn(COMPRESSION),
     get(GET + b"\xff" + b"\xff" * 10 + b"\x01"))
case("7541 5.2 string longer than the block", conn(COMPRESSION),
     get(GET + b"\x00\x7f\x10a"))
case("7541 5.2 padding longer than 7 bits", conn(COMPRESSION),
     get(GET + b"\x00\x01a\x82\xff\xff"))
case("7541 5.2 padding that is not of ones", conn(COMPRESSION),
     get(GET + b"\x00\x01a\x81\x00"))
case("7541 5.2 EOS in a string", conn(COMPRESSION),
     get(GET + b"\x00\x01a\x84\xff\xff\xff\xff"))
case("7541 4.2 size update behind fields", conn(COMPRESSION),
     get(GET + b"\x20"))
case("7541 6.3 size update beyond the setting", conn(COMPRESSION),
     get(b"\x3f\xe2\x1f" + GET))
case("7541 6.3 size update to 0", answer(), get(b"\x20" + GET))
case("7541 4.2 two size updates", answer(), get(b"\x20\x3f\xe1\x1f" + GET))
case("7541 5.2 Huffman", answer(), get(
    GET + b"\x00\x01a\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"))
case("7541 6.2.3 a field that is never indexed", answer(),
     get(GET + b"\x10\x01a\x01b"))
case("7541 6.1 static indices", answer(404), get(
    b"\x82\x86\x84\x01\x09localhost"))
case("7541 2.3.2 a field from the dynamic table", answer(),
     get(GET + b"\x40\x01a\x01b\xbe"))
case("7541 4.4 an entry larger than the table empties it",
     conn(COMPRESSION), get(GET + b"\x40\x01a\x01b\x40\x01c\x7f\x81\x20" +
                            b"d" * 4224 + b"\xbe"))
case("7541 4.1 a block that ends within a field", conn(COMPRESSION),
     get(GET + b"\x00"))

# --- 5 streams ---
case("5.1 DATA on an idle stream", conn(PROTOCOL), frame(DATA, 1, 1, b"a"))
case("5.1 RST_STREAM on an idle stream", conn(PROTOCOL), rst(1))
case("5.1 WINDOW_UPDATE on an idle stream", conn(PROTOCOL), window(1, 9))
case("5.1 CONTINUATION on an idle stream", conn(PROTOCOL),
     frame(CONTINUATION, 4, 1, GET))
case("5.1 PRIORITY on an idle stream", answer(sid=3),
     frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 9)), get(sid=3))
case("5.1 DATA on a half-closed stream", conn(CLOSED),
     get(block(request("GET", "/hold"))), frame(DATA, 1, 1, b"a"))
case("5.1 HEADERS on a half-closed stream", conn(CLOSED),
     get(block(request("GET", "/hold"))), get())
case("5.1 WINDOW_UPDATE on a half-closed stream", answer(sid=3),
     get(block(request("GET", "/hold"))), window(1, 9), get(sid=3))
case("5.1 WINDOW_UPDATE on a closed stream", answer(sid=3), post(), rst(1),
     window(1, 9), get(sid=3))
case("5.1 RST_STREAM on a closed stream", answer(sid=3), post(), rst(1),
     rst(1), get(sid=3))
case("5.1 PRIORITY on a closed stream", answer(sid=3), post(), rst(1),
     frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 9)), get(sid=3))
case("5.1 CONTINUATION on a closed stream", conn(*ANY), post(), rst(1),
     frame(CONTINUATION, 4, 1, GET))
case("5.1.1 even numbers", conn(PROTOCOL), get(sid=2))
case("5.1.1 numbers that go back", conn(*ANY), get(sid=5), get(sid=3))
case("5.1.1 stream 0 has no head", conn(PROTOCOL), get(sid=0))
case("5.1.1 a number twice", conn(*ANY), get(sid=5), rst(5), get(sid=5))
case("5.1.2 more streams than allowed", stream(REFUSED, sid=201), *[
    get(block(request("GET", "/hold")), sid=i) for i in range(1, 203, 2)],
    *[rst(i) for i in range(1, 99, 2)])

# --- 6 frames, one by one ---
case("6.1 DATA on stream 0", conn(PROTOCOL), frame(DATA, 0, 0, b"a"))
case("6.1 DATA, padding as long as the frame", conn(PROTOCOL), post(),
     frame(DATA, PADDED, 1, b"\x05abcd"))
case("6.1 DATA, padding longer than the frame", conn(PROTOCOL), post(),
     frame(DATA, PADDED, 1, b"\xffabcd"))
case("6.1 DATA, padding flag and no byte", conn(SIZE, PROTOCOL), post(),
     frame(DATA, PADDED, 1))
case("6.1 DATA, padded", answer(), post(),
     frame(DATA, PADDED | END, 1, b"\x04abcd" + bytes(4)))
case("6.2 HEADERS, padding too long", conn(PROTOCOL),
     get(b"\xff" + GET, flags=5 | PADDED))
case("6.2 HEADERS, padded", answer(),
     get(b"\x05" + GET + bytes(5), flags=5 | PADDED))
case("6.2 HEADERS with a priority", answer(),
     get(struct.pack(">IB", 0, 15) + GET, flags=5 | PRIO))
case("6.2 HEADERS with a priority, cut", conn(SIZE, PROTOCOL),
     get(b"abc", flags=5 | PRIO))
case("6.3 PRIORITY on stream 0", conn(PROTOCOL),
     frame(PRIORITY, 0, 0, struct.pack(">IB", 0, 9)))
case("6.4 RST_STREAM on stream 0", conn(PROTOCOL), rst(0))
case("6.4 RST_STREAM with an unknown code", answer(sid=3), post(),
     rst(1, 0xabcdef), get(sid=3))
case("6.5 SETTINGS on a stream", conn(PROTOCOL), frame(SETTINGS, 0, 1))
case("6.5 SETTINGS, an ACK with a payload", conn(SIZE),
     frame(SETTINGS, ACK, 0, bytes(6)))
case("6.5.2 ENABLE_PUSH of 2", conn(PROTOCOL), settings((2, 2)))
case("6.5.2 INITIAL_WINDOW_SIZE beyond 2^31-1", conn(FLOW),
     settings((4, 1 << 31)))
case("6.5.2 MAX_FRAME_SIZE of 16383", conn(PROTOCOL), settings((5, 16383)))
case("6.5.2 MAX_FRAME_SIZE of 2^24", conn(PROTOCOL), settings((5, 1 << 24)))
case("6.5.2 an unknown setting", answer(), settings((0xabc, 1)), get())
case("6.5.2 MAX_FRAME_SIZE of 2^24-1", answer(),
     settings((5, (1 << 24) - 1)), get())
case("6.5.2 HEADER_TABLE_SIZE of 0", answer(), settings((1, 0)), get())
case("6.5.2 MAX_CONCURRENT_STREAMS of 0 is ours to keep", answer(),
     settings((3, 0)), get())
case("6.6 PUSH_PROMISE from a client", conn(PROTOCOL), post(),
     frame(PUSH, END_HEADERS, 1, struct.pack(">I", 2) + GET))
case("6.7 PING on a stream", conn(PROTOCOL), frame(PING, 0, 1, bytes(8)))
case("6.8 GOAWAY on a stream", conn(PROTOCOL), frame(GOAWAY, 0, 1, bytes(8)))
case("6.8 requests before a GOAWAY are answered", last_answer, get(),
     frame(GOAWAY, 0, 0, bytes(8)))
case("6.9 WINDOW_UPDATE of 0 for the connection", conn(PROTOCOL),
     window(0, 0))
case("6.9 WINDOW_UPDATE of 0 for a stream", conn(PROTOCOL), post(),
     window(1, 0))
case("6.9.1 a window beyond 2^31-1, connection", conn(FLOW),
     window(0, 0x7fffffff))
case("6.9.1 a window beyond 2^31-1, stream", conn(FLOW), post(),
     window(1, 0x7fffffff))
case("6.9.2 a window beyond 2^31-1 by SETTINGS", conn(FLOW), post(),
     window(1, 1000), settings((4, 0x7fffffff)))
case("6.9.1 more DATA than the stream's window", cut,
     frame(HEADERS, END_HEADERS, 1, block(request("POST", "/hold"))),
     *[frame(DATA, 0, 1, bytes(16384)) for _ in range(1500)])
case("6.10 CONTINUATION behind a whole head", conn(PROTOCOL), post(),
     frame(CONTINUATION, 4, 1, GET))
case("6.10 CONTINUATION behind DATA", conn(PROTOCOL), post(),
     frame(DATA, 0, 1, b"a"), frame(CONTINUATION, 4, 1, GET))
case("6.10 CONTINUATION on stream 0", conn(PROTOCOL), get(flags=1),
     frame(CONTINUATION, 4, 0, GET))
case("10.5.1 nine CONTINUATIONs", conn(CALM), get(GET[:4], flags=1),
     *[frame(CONTINUATION, 0, 1, b"") for i in range(9)])

# --- 8 messages ---
case("8.1 a second head without an end", malformed(), post(),
     frame(HEADERS, END_HEADERS, 1, block([("a", "b")])))
case("8.1 trailers", answer(), post(), frame(DATA, 0, 1, b"a"),
     frame(HEADERS, END_HEADERS | END, 1, block([("a", "b")])))
case("8.1 pseudo-header fields in trailers", malformed(), post(),
     frame(HEADERS, END_HEADERS | END, 1, block([(":path", "/")])))
case("8.1 capitals in trailers", malformed(), post(),
     frame(HEADERS, END_HEADERS | END, 1, block([("Ab", "c")])))
case("8.1.1 more DATA than Content-Length", malformed(),
     post(more=[("content-length", "1")]), frame(DATA, END, 1, b"ab"))
case("8.1.1 less DATA than Content-Length", malformed(),
     post(more=[("content-length", "3")]), frame(DATA, END, 1, b"ab"))
case("8.1.1 Content-Length and no DATA", malformed(),
     fields(("content-length", "3")))
case("8.1.1 Content-Length of 0 and DATA", stream(PROTOCOL),
     post(more=[("content-length", "0")]), frame(DATA, END, 1, b"ab"))
for n, v in (("two", [("content-length", "1"), ("content-length", "1")]),
             ("+1", [("content-length", "+1")]),
             ("empty", [("content-length", "")]),
             ("a list", [("content-length", "1, 1")])):
    case(f"8.1.1 Content-Length, {n}", malformed(), post(more=v))
for n, v in (("Ab", "c"), ("a b", "c"), ("a\0", "c"), ("", "c"), ("\x7f", "c"),
             ("a\xe9", "c"), ("a:b", "c"), ("a\r\nb", "c")):
    case(f"8.2.1 name {n!r}", malformed(), fields((n, v)))
for v in ("\0", "b\0c", "b\rc", "b\nc", "b\r\nc: d", " b", "b ", "\tb",
          "b\t", "\x01"):
    case(f"8.2.1 value {v!r}", malformed(), fields(("a", v)))
for n, v in (("connection", "close"), ("keep-alive", "timeout=5"),
             ("proxy-connection", "close"), ("transfer-encoding", "chunked"),
             ("upgrade", "h2c"), ("te", "gzip"), ("te", "trailers, gzip"),
             ("connection", "")):
    case(f"8.2.2 {n}: {v}", malformed(), fields((n, v)))
case("8.2.2 te: trailers", answer(), fields(("te", "trailers")))
for n in (":method", ":scheme", ":path"):
    case(f"8.3.1 no {n}", malformed(), fields(drop=(n,)))
for n, v in ((":method", "GET"), (":scheme", "http"), (":path", "/probe"),
             (":authority", "localhost")):
    case(f"8.3 two {n}", malformed(), get(literal(n, v) + GET))
case("8.3 an unknown one", malformed(), get(literal(":a", "b") + GET))
case("8.3.2 one of responses", malformed(), get(literal(":status", "200") +
                                                GET))
case("8.3 one behind a field", malformed(), get(
    block(request("GET", "/probe")[:3]) + literal("a", "b") +
    literal(":authority", "a")))
case("8.5 :protocol without extended CONNECT", malformed(),
     get(literal(":protocol", "websocket") + GET))
case("8.3.1 neither :authority nor Host", malformed(),
     fields(drop=(":authority",)))
case("8.3.1 Host in place of :authority", answer(),
     fields(("host", "localhost"), drop=(":authority",)))
case("8.3.1 Host like :authority", answer(), fields(("host", "localhost")))
case("8.3.1 Host unlike :authority", malformed(), fields(("host", "b")))
case("8.3.1 two Hosts", malformed(), fields(("host", "localhost"),
                                            ("host", "localhost")))
case("8.3.1 userinfo", malformed(), fields(authority="a@localhost"))
for p in ("", "a", "probe?", "//", "http://localhost/probe", "/a b", "/a#b",
          "*", "/\x7f", "/\xe9"):
    if p != "//":
        case(f"8.3.1 :path {p!r}", malformed(), get(
            block(request("GET", p))))
case("8.3.1 OPTIONS *", answer(204), get(block(request("OPTIONS", "*"))))
for m in ("", "G T", "GET\0", "G(", "GET\r\n", "\xe9"):
    case(f"8.3.1 :method {m!r}", malformed(), get(block(request(m,
                                                                "/probe"))))
for s in ("", "ftp", "http ", "h:"):
    case(f"8.3.1 :scheme {s!r}", malformed(), get(block(request(
        "GET", "/probe", scheme=s))))
case("8441 extended CONNECT is not offered", answer(501), get(
    literal(":protocol", "websocket") + block(request("CONNECT", "/a"))))
case("8441 extended CONNECT without :path", malformed(), get(
    literal(":protocol", "websocket") + literal(":method", "CONNECT") +
    literal(":authority", "a:1")))
case("8441 two of :protocol", malformed(), get(
    literal(":protocol", "a") * 2 + block(request("CONNECT", "/a"))))
case("8441 :protocol is no token", malformed(), get(
    literal(":protocol", "a b") + block(request("CONNECT", "/a"))))
case("8.5 CONNECT with :path", malformed(), get(block(request("CONNECT",
                                                              "/"))))
case("8.5 CONNECT without :authority", malformed(), get(literal(
    ":method", "CONNECT")))
case("8.5 CONNECT is not offered", answer(405), get(
    literal(":method", "CONNECT") + literal(":authority", "a:1")))
case("8.2.3 cookies in crumbs", answer(), fields(("cookie", "a=b"),
                                                 ("cookie", "c=d")))


@pytest.fixture(scope="module")
def gate():
    with Peer(default=respond(body=b"ok")) as app, wire.gateway(f"""
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[upstream app]
server = {app.addr}
[upstream hold]
server = 127.0.0.1:@port2@
[route app]
path = /app
upstream = app
[route hold]
path = /hold
upstream = hold
""" + wire.PROBE) as s:
        yield s


@pytest.fixture(scope="module")
def hold(gate):
    """A server that takes connections and never answers."""
    import socket
    with socket.create_server(("127.0.0.1", gate.value("port2"))) as s:
        yield s


@pytest.mark.parametrize("name", CASES)
def test_rule(gate, hold, name):
    right, frames = CASES[name]
    with h2.H2(gate.port, timeout=5) as c:
        c.say(*frames)
        right(c)


def test_enough():
    assert len(CASES) >= 120


def test_preface_of_the_server(gate):
    """3.4: SETTINGS comes first, and ours are acknowledged."""
    with h2.H2(gate.port) as c:
        f = c.read()
        assert f.type == SETTINGS and not f.flags & ACK and f.sid == 0
        c.frame(lambda f: f.type == SETTINGS and f.flags & ACK)
        assert c.settings[3] == 100 and c.settings[9] == 1


@pytest.mark.parametrize("data", [
    h2.PREFACE + frame(PING, 0, 0, bytes(8)), h2.PREFACE + get(),
    h2.PREFACE + frame(SETTINGS, ACK)])
def test_preface_of_the_client(gate, data):
    """3.4: a client begins with SETTINGS."""
    with h2.H2(gate.port, greet=False) as c:
        c.send(data)
        conn(PROTOCOL)(c)


def test_ping(gate):
    """6.7: the same eight bytes, and no answer to an answer."""
    with h2.H2(gate.port) as c:
        c.send(frame(PING, ACK, 0, b"abcdefgh"))
        c.ping(b"12345678")
        assert not [f for f in c.kept if f.type == PING]


def test_window_of_zero(gate):
    """6.9: nothing is sent beyond a window, and 0 bytes need none."""
    with h2.H2(gate.port, own=[(4, 0)]) as c:
        sid = c.ask_for("GET", "/probe")
        r = c.head(sid)
        assert r.status == 200
        c.ping()
        assert not [f for f in c.kept if f.type == DATA]
        c.send(window(sid, 2))
        assert c.frame(lambda f: f.type == DATA).body == b"pr"
        c.ping()
        assert not [f for f in c.kept if f.type == DATA]
        c.send(settings((4, 100)))
        f = c.frame(lambda f: f.type == DATA)
        assert f.body == b"obe" and f.end


def test_window_that_goes_negative(gate):
    """6.9.2: a smaller setting takes back what was not used."""
    with h2.H2(gate.port, own=[(4, 4)]) as c:
        sid = c.ask_for("GET", "/probe")
        assert c.frame(lambda f: f.type == DATA).body == b"prob"
        c.send(settings((4, 0)), window(sid, 4))
        c.ping()
        assert not [f for f in c.kept if f.type == DATA]
        c.send(window(sid, 1))
        assert c.frame(lambda f: f.type == DATA).body == b"e"

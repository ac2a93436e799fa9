"""What servers answer that no server may: each refused by its row, told,
logged, and never another answer over the same connection."""
import contextlib
import socket
import threading

import pytest

from lib import corpus, http, net, wire, ws
from lib.peer import Peer, no_body, raw, respond

pytestmark = [pytest.mark.versions, pytest.mark.turns]

# heads of servers may be twice as large as those of clients
LARGE = "response_head_too_large"
BAD = [c for c in corpus.load("response_bad") if c.fail != LARGE]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# what a row of a request's body is called in that of an answer
ROWS = {"bad_chunk": "bad_response_chunk",
        "bad_trailer": "bad_response_trailer"}


def chunk_cases():
    """Bodies of the refused chunked requests, as those of answers."""
    for c in corpus.load("request_chunked"):
        if c.fail in ROWS:
            yield c.id, (HEAD + c.data.partition(b"\r\n\r\n")[2],
                         ROWS[c.fail])
    yield "trailers-one_too_long", (
        HEAD + b"0\r\nA: " + b"b" * 33000 + b"\r\n\r\n",
        "response_trailer_too_large")
    yield "trailers-too_many", (
        HEAD + b"0\r\n" + b"A: b\r\n" * 257 + b"\r\n",
        "response_trailer_too_large")
    yield "trailers-without_end", (
        HEAD + b"0\r\n" + (b"A: " + b"b" * 1000 + b"\r\n") * 70,
        "response_trailer_too_large")


CHUNKS = dict(chunk_cases())
OTHER = {
    "asked_for_no_upgrade": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\n\r\n", "unexpected_upgrade"),
    "interim_without_end": (
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000, "unexpected_interim"),
    "interim_and_then_bad": (
        b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 OK\r\n\r\n",
        "bad_response_line"),
    "fields_257": (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 257 + b"\r\n",
                   LARGE),
    "field_too_long": (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 32766 +
                       b"\r\n\r\n", LARGE),
    "head_too_long": (b"HTTP/1.1 200 OK\r\n" + (
        b"A: " + b"b" * 1000 + b"\r\n") * 66, LARGE),
    "status_line_without_end": (b"HTTP/1.1 200 " + b"a" * 70000, LARGE),
    "interim_9": (
        b"HTTP/1.1 102 Processing\r\n\r\n" * 9 +
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "unexpected_interim"),
    "interim_and_then_101": (
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols"
        b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "unexpected_upgrade"),
    "interim_folded": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>,\r\n </b>\r\n\r\n",
        "bad_response_field"),
    "interim_too_large": (
        b"HTTP/1.1 103 Early Hints\r\n" + b"A: b\r\n" * 257 + b"\r\n",
        LARGE),
    "interim_with_a_body": (
        b"HTTP/1.1 103 Early Hints\r\n\r\nbody", "bad_response_line"),
    "status_line_twice": (
        b"HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n\r\n",
        "bad_response_field"),
    "http2_settings": (
        b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80", "bad_response_line"),
    "http2_preface": (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad_response_line"),
    "http09": (b"hello, world\n", "bad_response_line"),
    "ssh": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "bad_response_line"),
    "fastcgi": (b"\x01\x06\0\x01\0\x1b\x05\0Status: 200 OK\r\n\r\n",
                "bad_response_line"),
    "a_chunk": (b"5\r\nhello\r\n0\r\n\r\n", "bad_response_line"),
    "zeros": (b"\0" * 1000, "bad_response_line"),
    "noise": (bytes(range(255, 0, -1)) * 100, "bad_response_line"),
}

CONF = """
[sluice]
workers = 1
stop = 2s
[listener web]
bind = 127.0.0.1:@port@
"""


@pytest.fixture(scope="module")
def gate():
    with Peer() as app, wire.gateway(CONF + f"""
[upstream app]
server = {app.addr}
timeout.first_byte = 5s
[route app]
path = /*
upstream = app
""") as s:
        s.app = app
        s.number = 0
        yield s
        assert not app.errors


def play(gate, data, ends, method="GET", fields=()):
    """One answer of the server; (answer or None, its record)."""
    gate.number += 1
    target = f"/{gate.number}"
    gate.app.script[:] = [raw(data, then_close=ends)]
    before = len(gate.app.requests)
    with http.Client(gate.port) as c:
        c.send(http.request(method, target, fields))
        try:
            r = c.response(method)
        except http.Closed:
            r = None
    record = wire.record(gate, target=target)
    # asked once; what comes next has a connection of its own
    asked = gate.app.requests[before:]
    assert [q.target for q in asked] == [target]
    assert http.get(gate.port, target + "/after").body == b"ok\n"
    assert gate.app.requests[-1].target == target + "/after"
    assert gate.app.requests[-1].conn != asked[0].conn
    return r, record


def is_refused(gate, data, row, ends, method="GET", fields=()):
    r, record = play(gate, data, ends, method, fields)
    assert record.get("fail") == row, (record, r)
    assert r is not None and record["status"] == r.status
    assert r.status == wire.FAILS[row][0]
    if method != "HEAD":
        wire.is_fail(r, row)
    # nothing of what the server said gets through
    assert not {"a", "transfer-encoding"} & {n for n, _ in r.headers}


# what is no upgrade to the one protocol that was asked for
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n"
UPGRADE = b"Connection: upgrade\r\nUpgrade: websocket\r\n"
LIES = {
    "another": (SWITCH + UPGRADE.replace(b"websocket", b"tide") + b"\r\n",
                "unexpected_upgrade"),
    "two": (SWITCH + UPGRADE + b"Upgrade: tide\r\n\r\n",
            "unexpected_upgrade"),
    "two_in_a_line": (SWITCH + UPGRADE[:-2] + b", tide\r\n\r\n",
                      "unexpected_upgrade"),
    "http2": (SWITCH + UPGRADE.replace(b"websocket", b"h2c") + b"\r\n",
              "unexpected_upgrade"),
    "to_nothing": (SWITCH + b"Connection: upgrade\r\n\r\n",
                   "unexpected_upgrade"),
    "not_of_this_hop": (SWITCH + b"Upgrade: websocket\r\n\r\n",
                        "unexpected_upgrade"),
    "with_length": (SWITCH + UPGRADE + b"Content-Length: 5\r\n\r\nhello",
                    "bad_response_framing"),
    "with_coding": (SWITCH + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n",
                    "bad_response_framing"),
}

ends = pytest.mark.parametrize("ends", [False, True], ids=["stays", "closes"])


def test_enough():
    assert len(BAD) >= 90 and len(CHUNKS) >= 50
    assert len(OTHER) + len(LIES) >= 25
    sent = [(c.data, *c.words[1:]) for c in BAD] + [(d,) for d, _ in (
        *CHUNKS.values(), *OTHER.values())]
    assert len(sent) == len(set(sent))


@ends
@pytest.mark.parametrize("case", BAD, ids=lambda c: c.id)
def test_refused(gate, case, ends):
    method = case.words[1] if len(case.words) > 1 else "GET"
    is_refused(gate, case.data, case.fail, ends, method)


@ends
@pytest.mark.parametrize("name", OTHER)
def test_refused_too(gate, name, ends):
    is_refused(gate, *OTHER[name], ends)


@pytest.mark.h1
@ends
@pytest.mark.parametrize("name", LIES)
def test_lies_of_upgrades(gate, name, ends):
    """The protocol is not switched, and HTTP goes on elsewhere."""
    is_refused(gate, *LIES[name], ends, fields=ws.fields())


@ends
@pytest.mark.parametrize("name", CHUNKS)
def test_chunks(gate, name, ends):
    """The head is through: only the end can tell, and it does."""
    data, row = CHUNKS[name]
    r, record = play(gate, data, ends)
    assert record.get("fail") == row, (record, r)
    assert r is None


@pytest.mark.parametrize("data,body", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabXX", b"ab"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab\r\n", b"ab"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
     b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"a"),
    (HEAD + b"1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"
     b"Content-Length: 4\r\n\r\nevil", b"a"),
    (b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n"
     b"Content-Length: 4\r\n\r\nevil", b""),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", b""),
    (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"4\r\nevil\r\n0\r\n\r\n", b""),
    (b"HTTP/1.1 204 No Content\r\n\r\n4\r\nevil\r\n0\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n"
     b"\r\n", b""),
    (HEAD + b"0\r\n\r\n\r\n", b""),
])
@ends
def test_more_than_asked(gate, data, body, ends):
    """The answer is good; what follows it belongs to nobody."""
    r, record = play(gate, data, ends)
    assert r.body == body and record["status"] == r.status
    assert not record.get("fail")


@ends
@pytest.mark.parametrize("data", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    HEAD + b"4\r\nevil\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nevil"])
def test_body_of_an_answer_to_head(gate, data, ends):
    r, record = play(gate, data, ends, "HEAD")
    assert r.status == 200 and not record.get("fail")


# --- answers that end within, at each byte ---

WHOLE = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello"),
    "chunked": (HEAD, b"5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n"),
    "interim": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"ok"),
    "until_close": (b"HTTP/1.1 200 OK\r\n\r\n", b"hello"),
}
HINT = b"HTTP/1.1 103 Early Hints\r\n\r\n"


def breaks_off(data, seen):
    """A reset, when the client has seen that all was read."""
    def step(conn, _):
        conn.send(HINT + data)
        seen.acquire(timeout=net.WAIT)
        net.reset(conn.sock)
        return False
    return step


def cut(gate, data, reset):
    """(status that the client saw, whether the answer was whole), record."""
    gate.number += 1
    target, seen, r = f"/{gate.number}", threading.Semaphore(0), None
    gate.app.script[:] = [breaks_off(data, seen) if reset else
                          raw(data, then_close=True)]
    before = len(gate.app.requests)
    with http.Client(gate.port) as c:
        # what has a body is never sent again
        c.send(http.request("POST", target, body=b"x"))
        try:
            while r is None or r.status < 200:
                r = c.head()
                seen.release()
            c.body(r)
            whole = True
        except http.Closed:
            whole = False
    assert [q.target for q in gate.app.requests[before:]] == [target]
    return r and r.status, whole, wire.record(gate, target=target)


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("name", WHOLE)
def test_cut_at_each_byte(gate, name, reset, version):
    """No cut answer looks whole, and the row says where it was cut."""
    head, body = WHOLE[name]
    for n in range(len(head + body)):
        status, whole, record = cut(gate, (head + body)[:n], reset)
        what = (name, n, status, whole, record)
        # a reset of HTTP/2 may overtake the head of what is cut
        lost = version != "h1" and n >= len(head) and status is None
        assert lost or record["status"] == status, what
        if n >= len(head):
            # an end may be that of the body; a reset never is
            good = name == "until_close" and not reset
            assert (lost or status == 200) and whole == good, what
            assert record.get("fail") == (None if good else
                                          "reset_in_body"), what
            continue
        assert status == 502 and whole, what
        assert record["fail"] == ("reset_before_head" if n == 0 and
                                  not reset else "reset_in_head"), what


def final(case):
    """The answer that counts, if it is whole and to what is forwarded."""
    last = [m for m in case.messages if m.first[0] != "1"][:1]
    return last[0] if last and last[0].ended and \
        case.words[-1] != "CONNECT" else None


@pytest.mark.parametrize("case", filter(final, corpus.load("response_good")),
                         ids=lambda c: c.id)
def test_understood(gate, case):
    """The good half of the corpus arrives as it was meant."""
    method = case.words[1] if len(case.words) > 1 else "GET"
    gate.app.script[:] = [raw(case.data, then_close=True)]
    with http.Client(gate.port) as c:
        r = c.ask(method, "/good")
    want = final(case)
    assert r.status == int(want.first.split(" ")[0])
    assert corpus.same(r.body.decode("latin-1"), want.data)
    assert r.trailers in ([], want.trailers)
    names = {n for n, _ in want.fields} - {"trailer"}
    assert [f for f in r.headers if f[0] in names] == [
        f for f in want.fields if f[0] in names]


@pytest.mark.parametrize("rest", [0, 99_990], ids=["stalls", "goes_on"])
def test_early_answer(gate, rest):
    """The request was not sent to its end: nobody asks there again."""
    early = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
    gate.app.script[:] = [no_body(early)]
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/early", [
            ("Content-Length", "100000")]) + b"a" * 10)
        r = c.response()
        assert r.status == 200 and r.body == b"early"
        if rest:
            with contextlib.suppress(OSError):
                c.send(b"b" * rest)
    assert http.get(gate.port, "/early/after").body == b"ok\n"
    conns = {q.target: q.conn for q in gate.app.requests[-2:]}
    assert conns["/early"] != conns["/early/after"]


@pytest.mark.parametrize("fields,kept", [
    ("Connection: close", False), ("Connection: keep-alive", True),
    ("Connection: keep-alive, close", False),
    ("Connection: close, keep-alive", False), ("Connection: CLOSE", False),
    ("Connection: upgrade\r\nConnection: close", False), ("A: b", True),
])
@pytest.mark.parametrize("spoken", ["1.1", "1.0"])
def test_kept(gate, spoken, fields, kept):
    """A good answer's connection is used again only if it says so."""
    gate.app.script[:] = [raw((
        f"HTTP/{spoken} 200 OK\r\nContent-Length: 2\r\n{fields}\r\n\r\n"
        "ok").encode())]
    assert http.get(gate.port, "/kept").body == b"ok"
    assert http.get(gate.port, "/kept/after").body == b"ok\n"
    a, b = gate.app.requests[-2:]
    if spoken == "1.0":
        kept = fields == "Connection: keep-alive"
    assert (a.conn == b.conn) == kept


def test_unasked(sluice, peer):
    """What comes on a pooled connection closes it."""
    def step(conn, req):
        respond()(conn, req)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        try:
            conn.more()
        finally:
            closed.release()
        return True
    closed = threading.Semaphore(0)
    app = peer(default=step)
    s = sluice(CONF + f"[route a]\npath = /*\ntarget = {app.addr}\n")
    with http.Client(s.port) as c:
        for _ in range(5):
            assert c.get().body == b"ok\n"
            assert closed.acquire(timeout=net.WAIT)
    assert app.connections == 5


def test_speaks_first(sluice):
    """A banner before the request, as servers of other protocols have."""
    def greet():
        with contextlib.suppress(OSError):
            while True:
                sock, _ = server.accept()
                kept.append(sock)
                sock.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        greeter = threading.Thread(target=greet, daemon=True)
        greeter.start()
        s = sluice(CONF + "[route a]\npath = /*\ntarget = 127.0.0.1:%d\n" %
                   server.getsockname()[1])
        for _ in range(20):
            wire.is_fail(http.get(s.port), "bad_response_line")
        server.shutdown(socket.SHUT_RDWR)
        greeter.join(net.WAIT)
    assert len(kept) == 20
    for sock in kept:
        sock.close()


@pytest.mark.parametrize("count,size", [(25, 1000), (250, 200), (1, 32000),
                                        (2, 30000), (60, 1000)])
def test_big_head(sluice, peer, count, size):
    """A head near a limit is passed on, whatever its shape."""
    fields = [(f"X-{i}", "v" * size) for i in range(count)]
    app = peer([respond(headers=fields)])
    s = sluice(CONF + f"[route a]\npath = /*\ntarget = {app.addr}\n")
    r = http.get(s.port)
    assert [r[n] for n, _ in fields] == [v for _, v in fields]

"""What costs more than it is worth ends the connection: GOAWAY with
ENHANCE_YOUR_CALM, the row in the counters and in a line of the log, the
requests under way with the same row, within a second, and nobody else
notices.
"""
import json
import struct
import threading
import time

import pytest

from lib import h2, http, net, wire
from lib.h2 import (CALM, DATA, END, END_HEADERS, GOAWAY, HEADERS, NO_ERROR,
                    PADDED, PING, PRIORITY, PRIORITY_UPDATE, block, frame,
                    request, rst, settings, window)
from lib.peer import Peer, hold

GET = block(request("GET", "/hold"))
ONE = frame(HEADERS, 5, 1, GET)
POST = frame(HEADERS, END_HEADERS, 1, block(request("POST", "/hold")))


def one_byte(n):
    """A head whose body is to have one byte."""
    return frame(HEADERS, END_HEADERS, n, block(request(
        "POST", "/hold", [("content-length", "1")])))


def streams(make, first=1):
    """Frames of one stream after the other."""
    n = first
    while True:
        yield make(n)
        n += 2


def same(data):
    while True:
        yield data


def begun(first, more):
    yield first
    yield from more


FLOODS = {
    "h2_reset_flood": lambda: streams(
        lambda n: frame(HEADERS, 5, n, GET) + rst(n)),
    "h2_made_reset_flood": lambda: streams(
        lambda n: frame(HEADERS, 5, n, block([(":method", "G T")]))),
    "h2_ping_flood": lambda: same(frame(PING, 0, 0, bytes(8))),
    "h2_settings_flood": lambda: same(settings((3, 100))),
    "h2_priority_flood": lambda: same(
        frame(PRIORITY, 0, 3, struct.pack(">IB", 0, 9))),
    "h2_window_flood": lambda: same(window(0, 1)),
    "h2_empty_flood": lambda: begun(POST, same(frame(DATA, 0, 1))),
    "h2_stray_flood": lambda: same(frame(0xbb, 0, 0, b"x")),
    "h2_continuation_flood": lambda: begun(
        frame(HEADERS, 0, 1, GET), same(frame(h2.CONTINUATION, 0, 1))),
    "h2_header_flood": lambda: begun(
        frame(HEADERS, 5, 1, GET + b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000 +
              b"\xbe" * 4000), ()),
}
# other ways to the same row
MORE = {
    "resets of nothing": ("h2_stray_flood", lambda: begun(
        ONE + rst(1), same(rst(1)))),
    "streams over the limit": ("h2_made_reset_flood", lambda: streams(
        lambda n: frame(HEADERS, 5, n, GET))),
    "priority updates": ("h2_priority_flood", lambda: same(
        frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", 3) + b"u=1"))),
    "padding alone": ("h2_empty_flood", lambda: begun(POST, same(
        frame(DATA, PADDED, 1, b"\x03" + bytes(3))))),
    "windows of streams": ("h2_window_flood", lambda: begun(POST, same(
        window(1, 1)))),
    # those behind the reset, if a read ends between, are of no stream
    "trailers without an end": (
        "h2_made_reset_flood h2_stray_flood", lambda: begun(
            frame(HEADERS, END_HEADERS, 1, block(request("POST", "/hold")) +
                  b"\x40\x01x\x01y"),
            same(frame(HEADERS, END_HEADERS, 1, b"\xbe" * 90)))),
    "heads of another length": ("h2_made_reset_flood", lambda: streams(
        lambda n: frame(HEADERS, 5, n, GET + block([
            ("content-length", "5")])))),
    "bodies longer than they say": (
        "h2_made_reset_flood", lambda: streams(
            lambda n: one_byte(n) + frame(DATA, 0, n, b"ab"))),
    "bodies shorter than they say": (
        "h2_made_reset_flood", lambda: streams(
            lambda n: one_byte(n) + frame(DATA, END, n))),
}
CASES = {**{n: (n, f) for n, f in FLOODS.items()}, **MORE}


@pytest.fixture(scope="module")
def gate():
    never = threading.Event()
    with Peer(default=hold(never)) as app, wire.gateway(f"""
[sluice]
workers = 1
stop = 1s
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[upstream app]
server = {app.addr}
[route hold]
path = /hold
upstream = app
[route www]
path = /www/*
strip_prefix = auto
static = @dir@/www
""" + wire.PROBE) as s:
        wire.put(s.dir, "big.bin", bytes(1 << 20))
        s.app = app
        yield s
        never.set()


def flood(c, frames, seconds=5):
    """Sends until the other side ends it; when it began."""
    begin = time.monotonic()
    out = b""
    try:
        for f in frames:
            out += f
            if len(out) > 4096:
                c.sock.sendall(out)
                out = b""
                assert time.monotonic() < begin + seconds, "nobody minds"
        c.sock.sendall(out)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return begin


@pytest.mark.parametrize("name", CASES)
def test_flood(gate, name):
    rows, frames = CASES[name]

    def ended():
        got = wire.fails(gate)
        return sum(got.get(row, 0) for row in rows.split())

    before = ended()
    with h2.H2(gate.port, timeout=10) as c:
        begin = flood(c, frames())
        seen = c.ends()
        assert time.monotonic() - begin < 1
    codes = [int.from_bytes(f.body[4:8], "big") for f in seen
             if f.type == GOAWAY]
    # what was unread when it ended may have taken the last word away
    assert not codes or codes[-1] in (0, CALM), codes
    net.until("the row", lambda: ended() > before)
    assert http.get(gate.port, "/probe").body == b"probe"
    # whatever else was told just now
    gate.wait_log(f'closed: ({"|".join(rows.split())}): ')


def test_line(gate):
    """The first of a while is told with the address; each row has its
    own."""
    for row, frames in ("h2_ping_flood", same(frame(PING, 0, 0, bytes(8)))), \
            ("h2_settings_flood", same(settings((3, 100)))):
        with h2.H2(gate.port, timeout=10) as c:
            flood(c, frames)
            c.ends()
        line = json.loads(gate.wait_log(f'closed: {row}: ')[0])
        assert line["level"] == "warning" and line["module"] == "listener"
        assert [line[k] for k in ("client", "listener", "fail")] == \
            ["127.0.0.1", "web", row]
        at = f'127.0.0.1:{line["client_port"]}'
        assert line["msg"].startswith(f'listener "web": {at}: closed: {row}')
        assert "left out" not in line["msg"]
        last = gate.ctl_json("why", row)["failures"][0]["last"]
        assert (last["client"], last["id"]) == ("127.0.0.1", "")
        assert "client 127.0.0.1" in gate.ctl("why", row).stdout


def test_last_word(gate):
    """Who reads gets the code, and the requests under way end with it."""
    seen = len(gate.app.requests)
    with h2.H2(gate.port, timeout=5) as c:
        target = "/hold?last"
        c.ask_for("GET", target)
        gate.app.wait_requests(seen + 1)
        c.send(settings((3, 1)) * 102)
        assert c.goaway() == CALM
        c.ends()
    assert wire.record(gate, target=target)["fail"] == "h2_settings_flood"


def test_unread(gate):
    """Answers that nobody takes are not heaped up: each PING comes with a
    byte of a body, so that their count alone would wear off."""
    before = wire.fails(gate)["h2_unread"]
    sock = net.connect(gate.port, rcvbuf=2048)
    with h2.H2(gate.port, timeout=10, sock=sock) as c:
        flood(c, begun(POST, same(frame(DATA, 0, 1, b"a") +
                                  frame(PING, 0, 0, bytes(8)))), 20)
    net.until("the row", lambda: wire.fails(gate)["h2_unread"] > before)


def test_gently_first(gate):
    """At three quarters of the resets: no more streams, with NO_ERROR."""
    with h2.H2(gate.port, timeout=5) as c:
        for _ in range(80):
            c.send(rst(c.ask_for("GET", "/hold")))
        assert c.goaway() == 0


def test_resets_of_what_is_answered(gate):
    """Those behind the end do not count, as some clients send them for each
    stream, and of bodies under way many are free."""
    with h2.H2(gate.port, timeout=5) as c:
        for _ in range(1500):
            sid = c.ask_for("POST", "/probe", end=False)
            assert c.response(sid).body == b"probe"
            c.send(rst(sid, NO_ERROR))
        for _ in range(300):
            sid = c.ask_for("GET", "/www/big.bin")
            c.head(sid)
            c.send(rst(sid))
        c.ping()


def test_resets_within_answers(gate):
    """Who stops all downloads, one after the other, is told so at last."""
    with h2.H2(gate.port, timeout=5) as c:
        n = 0
        while not (told := [f for f in c.kept if f.type == GOAWAY]):
            sid = c.ask_for("GET", "/www/big.bin")
            c.head(sid)
            c.send(rst(sid))
            n += 1
            assert n < 5000
        assert n > 700
        assert int.from_bytes(told[0].body[4:8], "big") == NO_ERROR


def test_cancelling_is_no_flood(gate):
    """A client that cancels now and then stays."""
    with h2.H2(gate.port, timeout=5) as c:
        for _ in range(50):
            c.send(rst(c.ask_for("GET", "/hold")))
        assert c.response(c.ask_for("GET", "/probe")).body == b"probe"
        assert not [f for f in c.kept if f.type == GOAWAY]

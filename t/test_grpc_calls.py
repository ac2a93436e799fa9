"""Calls of gRPC to servers of gRPC: other servers, deadlines, ends,
back-pressure, limits, routes."""
import json
import threading
import time

import grpc
import pytest

from lib import h2, http, net, rpc
from lib.grpc_server import STATUS, Server, fail

CONF = """
[sluice]
workers = 1
stop = 1s
drain.timeout = 1s
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
"""
S = "/t.v1.Test/"
(OK, CANCELLED, UNKNOWN, DEADLINE, EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE) = (
    grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE)
BIG = [("grpc.max_receive_message_length", -1),
       ("grpc.max_send_message_length", -1)]


def conf(*servers, up="", route=""):
    lines = "".join(f"server = h2c://{s.addr}\n" for s in servers)
    return f"{CONF}[upstream app]\nbalance = round_robin\n{lines}{up}\n" \
        f"[route app]\npath = /t.v1.Test/*\nupstream = app\n{route}\n"


@pytest.fixture
def channel():
    made = []

    def make(s, *options):
        c = grpc.insecure_channel(
            f"127.0.0.1:{s.port}", [*BIG, *options,
                                    ("grpc.enable_retries", 0)])
        made.append(c)
        return c
    yield make
    for c in made:
        c.close()


def code_of(call):
    """(code, text) of a unary call, or of a stream read to its end."""
    try:
        r = call()
        if hasattr(r, "__next__"):
            list(r)
    except grpc.RpcError as e:
        return e.code(), e.details()
    return OK, ""


def record(s, name, n=1):
    return json.loads(s.wait_log(f'"target":"{S}{name}"', n)[-1])


# --- other servers ---

def broken(code):
    def f(data, ctx):
        fail(ctx, code, "not here")
    return f


@pytest.mark.parametrize("word, code", [
    ("grpc_cancelled", 1), ("grpc_deadline_exceeded", 4),
    ("grpc_resource_exhausted", 8), ("grpc_internal", 13),
    ("grpc_unavailable", 14)])
def test_retry(sluice, channel, word, code):
    """A code that is named, and stands alone, is asked of another."""
    with Server({S + "Get": ("11", broken(code)),
                 S + "Odd": ("11", broken(9))}) as bad, \
            Server({S + "Get": ("11", lambda d, ctx: d + b"!"),
                    S + "Odd": ("11", lambda d, ctx: d)}) as good:
        s = sluice(conf(bad, good, up=f"retry.on = {word}\n"
                        "retry.backoff = 0\noutlier.consecutive = 0\n"))
        get = channel(s).unary_unary(S + "Get")
        for _ in range(4):
            assert get(b"hello", timeout=20) == b"hello!"
        n = len([c for c in bad.calls if c.method == S + "Get"])
        assert n >= 2 and len(good.calls) == 4
        s.wait_log('"target":"' + S + 'Get"', 4)
        tries = [r for r in s.log() if r.get("tries")]
        assert len(tries) == n
        assert all("grpc_error" in r["tries"] and r["grpc_status"] == "OK"
                   for r in tries)
        name = word[5:].upper()
        s.wait_log(f"failed: grpc_error: {name}; another server is asked")
        assert str(STATUS[code]) == f"StatusCode.{name}"
        with http.Client(s.control) as c:
            rows = json.loads(c.get("/v1/metrics").body)["metrics"]
        count, = (m["sum"] for m in rows if m.get("fail") == "grpc_error"
                  and m["name"] == "upstream_attempts_failed_total")
        assert count == n
        # another code is the answer
        odd = channel(s).unary_unary(S + "Odd")
        got = {code_of(lambda: odd(b"", timeout=20))[0] for _ in range(4)}
        assert got == {OK, grpc.StatusCode.FAILED_PRECONDITION}


def test_no_retry(sluice, channel):
    """Not unless it is named; not behind a message; not for ever."""
    def late(data, ctx):
        yield b"one"
        fail(ctx, 14, "behind a message")
    with Server({S + "Get": ("11", broken(14)),
                 S + "Late": ("1*", late)}) as a, \
            Server({S + "Get": ("11", broken(14)),
                    S + "Late": ("1*", late)}) as b:
        s = sluice(conf(a, b))
        c = channel(s)
        assert code_of(lambda: c.unary_unary(S + "Get")(b"", timeout=20)) \
            == (UNAVAILABLE, "not here")
        assert len(a.calls) + len(b.calls) == 1
        s.reload(conf(a, b, up="retry.on = grpc_unavailable\n"))
        assert code_of(lambda: c.unary_stream(S + "Late")(b"", timeout=20)) \
            == (UNAVAILABLE, "behind a message")
        assert len(a.calls) + len(b.calls) == 2
        # both fail: the client has the last one's word
        assert code_of(lambda: c.unary_unary(S + "Get")(b"", timeout=20)) \
            == (UNAVAILABLE, "not here")
        assert len(a.calls) + len(b.calls) == 4


def test_refused(sluice, channel):
    """A server that is not there is no matter."""
    with Server({S + "Get": ("11", lambda d, ctx: d)}) as a:
        gone = Server({})
        gone.stop()
        s = sluice(conf(gone, a))
        get = channel(s).unary_unary(S + "Get")
        assert [get(b"x", timeout=20) for _ in range(4)] == [b"x"] * 4


# --- deadlines and ends ---

class Watched:
    """A method that waits until its call is over, and when that was."""

    def __init__(self):
        self.begun, self.over = threading.Event(), threading.Event()
        self.left = None

    def wait(self, ctx):
        ctx.add_callback(self.over.set)
        self.left = ctx.time_remaining()
        self.begun.set()
        assert self.over.wait(20)

    def unary(self, data, ctx):
        self.wait(ctx)
        return b""

    def stream(self, asks, ctx):
        yield b"first"
        self.wait(ctx)


def test_deadline(sluice, channel):
    """The server is told what is left, and the end."""
    w = Watched()
    with Server({S + "Get": ("11", w.unary)}) as app:
        s = sluice(conf(app))
        t = time.monotonic()
        assert code_of(lambda: channel(s).unary_unary(S + "Get")(
            b"", timeout=0.5))[0] == DEADLINE
        assert w.over.wait(5) and time.monotonic() - t < 4
        assert 0 < w.left <= 0.5
        assert record(s, "Get")["grpc_status"] in ("DEADLINE_EXCEEDED",
                                                   "CANCELLED")


def test_total_is_shorter(sluice, channel):
    w = Watched()
    with Server({S + "Get": ("11", w.unary)}) as app:
        s = sluice(conf(app, route="timeout.total = 300ms\n"
                        "deadline = off"))
        code, text = code_of(lambda: channel(s).unary_unary(S + "Get")(
            b"", timeout=20))
        assert code == DEADLINE and "total_timeout" in text
        # which it was not told
        assert w.over.wait(5) and w.left > 10
        assert record(s, "Get")["fail"] == "total_timeout"


def test_deadline_of_a_stream(sluice, channel):
    w = Watched()
    with Server({S + "Chat": ("**", w.stream)}) as app:
        s = sluice(conf(app, route="timeout.total = 300ms"))
        call = channel(s).stream_stream(S + "Chat")(iter(()), timeout=20)
        assert next(call) == b"first"
        assert code_of(lambda: call)[0] == DEADLINE
        assert w.over.wait(5)


@pytest.mark.parametrize("kind", ["11", "**"])
def test_cancel(sluice, channel, kind):
    """Who gives up is told on at once."""
    w = Watched()
    with Server({S + "Go": (kind, w.unary if kind == "11" else
                            w.stream)}) as app:
        s = sluice(conf(app))
        c = channel(s)
        if kind == "11":
            call = c.unary_unary(S + "Go").future(b"", timeout=20)
        else:
            call = c.stream_stream(S + "Go")(iter(()), timeout=20)
            assert next(call) == b"first"
        assert w.begun.wait(20)
        call.cancel()
        assert w.over.wait(5)
        assert record(s, "Go")["grpc_status"] == "CANCELLED"


def test_server_goes(sluice, channel):
    """Behind the head a server's death is the end of the call alone."""
    w = Watched()
    with Server({S + "Chat": ("**", w.stream),
                 S + "Get": ("11", lambda d, ctx: d)}) as a:
        s = sluice(conf(a))
        c = channel(s)
        call = c.stream_stream(S + "Chat")(iter(()), timeout=20)
        assert next(call) == b"first"
        a.stop()
        code, _ = code_of(lambda: call)
        assert code in (UNAVAILABLE, CANCELLED, UNKNOWN)
        # the connection to the client is as it was
        code, text = code_of(lambda: c.unary_unary(S + "Get")(b"",
                                                              timeout=20))
        assert code == UNAVAILABLE and "refused" in text


# --- back-pressure ---

PIECE = 64 << 10
# servers are threads of this process, which take turns
PATIENT = "timeout.connect = 30s\n"


def stands(what, now, beside):
    """Waits until it does not grow while calls beside it are made."""
    n, deadline = -1, net.Deadline(what, 60)
    while n <= 0 or n != now():
        n = now()
        for _ in range(5):
            a = rpc.call(beside, S + "Get", b"x")
            assert (a.status, a.messages) == (0, [b"x"])
        deadline.left()
    return n


def test_slow_client(sluice):
    """A server is stopped by a client that does not read, and a call
    beside it is not."""
    sent, total = [], 400

    def spread(data, ctx):
        for _ in range(total):
            sent.append(1)
            yield bytes(PIECE)
    with Server({S + "Spread": ("1*", spread),
                 S + "Get": ("11", lambda d, ctx: d)}, BIG) as app:
        s = sluice(conf(app, up=PATIENT))
        with h2.H2(s.port, timeout=60) as c, \
                h2.H2(s.port, timeout=60) as beside:
            sid = rpc.begin(c, S + "Spread", b"")
            n = stands("the server", lambda: len(sent), beside)
            assert n < total - 100
            a = rpc.answer(c, sid)
            assert a.status == 0
            assert [len(m) for m in a.messages] == [PIECE] * total


def test_slow_server(sluice):
    """A client is stopped by a server that does not read."""
    go, total = threading.Event(), 400
    body = rpc.message(bytes(PIECE)) * total

    def gather(asks, ctx):
        next(asks)
        assert go.wait(90)
        return str(1 + sum(1 for _ in asks)).encode()
    with Server({S + "Gather": ("*1", gather),
                 S + "Get": ("11", lambda d, ctx: d)}, BIG) as app:
        s = sluice(conf(app, up=PATIENT))
        with h2.H2(s.port, timeout=60) as c, \
                h2.H2(s.port, timeout=60) as beside:
            c.ping()
            sid = c.headers(rpc.fields(S + "Gather"), end=False)
            at = 0

            def push():
                nonlocal at
                c.ping()        # what was given back is known then
                n = min(c.room[0], c.settings.get(4, 65535) +
                        c.room.get(sid, 0), len(body) - at)
                if n > 0:
                    c.upload(sid, body[at:at + n], end=False)
                    at += n
                return at
            stands("the client", push, beside)
            assert at < len(body) * 3 // 4
            go.set()
            c.upload(sid, body[at:])
            a = rpc.answer(c, sid)
            assert (a.status, a.messages) == (0, [str(total).encode()])


# --- limits and routes ---

def test_limits(sluice, channel):
    """Of one message, both ways, whatever the stream has."""
    def chat(asks, ctx):
        for data in asks:
            yield bytes(int(data.rstrip(b"\0")))
    with Server({S + "Chat": ("**", chat)}, BIG) as app:
        s = sluice(conf(app, route="max_body = 10k\n"
                        "max_answer_message = 20k\n"))
        chat = channel(s).stream_stream(S + "Chat")

        def ask(size, n):
            return str(n).encode().ljust(size, b"\0")
        good = [ask(10240, 20480)] * 20
        assert [len(a) for a in chat(iter(good), timeout=20)] == \
            [20480] * 20
        code, text = code_of(lambda: chat(iter([ask(10241, 1)]),
                                          timeout=20))
        assert code == EXHAUSTED and "(message_too_large" in text
        code, text = code_of(lambda: chat(iter([ask(1, 20481)]),
                                          timeout=20))
        assert code == EXHAUSTED and "answer_message_too_large" in text


def test_routes(sluice, channel):
    """By service, by method, by a field beside it."""
    def named(name):
        return {m: ("11", lambda d, ctx: name) for m in (
            "/a.v1.One/Get", "/a.v1.One/Put", "/b.v1.Two/Get")}
    with Server(named(b"a")) as a, Server(named(b"b")) as b, \
            Server(named(b"c")) as c:
        s = sluice(CONF + f"""
[route one]
path = /a.v1.One/*
target = h2c://{a.addr}
[route put]
path = /a.v1.One/Put
target = h2c://{b.addr}
[route canary]
path = /a.v1.One/*
header.x-canary = yes
target = h2c://{c.addr}
[route two]
path = /b.v1.Two/*
header.content-type = application/grpc
target = h2c://{b.addr}
""")
        ch = channel(s)

        def ask(path, *meta):
            return ch.unary_unary(path)(b"", timeout=20, metadata=meta)
        assert ask("/a.v1.One/Get") == b"a"
        assert ask("/a.v1.One/Put") == b"b"
        assert ask("/a.v1.One/Get", ("x-canary", "yes")) == b"c"
        assert ask("/b.v1.Two/Get") == b"b"
        code, text = code_of(lambda: ask("/c.v1.Three/Get"))
        assert code == UNIMPLEMENTED and "no_route" in text

"""grpcio as one end of a test; the other is grpc_js/interop.js.

    interop.py server [CERT KEY]    says its port, then what it sees
    interop.py client PORT [CA]     "ok NAME" or "bad NAME why" for each case

What is said is the same for both.  Messages are those of interop.proto,
written by hand: Debian's grpcio comes without its compiler.
"""
import sys
import threading
import time
from concurrent import futures

import grpc

S = "/sluice.test.Interop/"
BIG, BIG_ANSWER = 271828, 314159
SIZES = (31415, 9, 2653, 58979)
ASKS = (27182, 8, 1828, 45904)
ODD = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


# --- messages ---

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes((n & 127 | 128,)), n >> 7
    return out + bytes((n,))


def field(no, value):
    if isinstance(value, int):
        return varint(no << 3) + varint(value) if value else b""
    return varint(no << 3 | 2) + varint(len(value)) + value if value else b""


def read_varint(data, at):
    n = shift = 0
    while True:
        c = data[at]
        at, n, shift = at + 1, n | (c & 127) << shift, shift + 7
        if c < 128:
            return n, at


def read(data):
    """[(number, int or bytes)]"""
    out, at = [], 0
    while at < len(data):
        key, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
            assert at <= len(data)
        out.append((key >> 3, value))
    return out


def ask(payload=b"", sizes=(), status=None, pause=0):
    end = b"" if status is None else \
        field(1, status[0]) + field(2, status[1].encode())
    packed = b"".join(varint(n) for n in sizes)
    return field(1, payload) + field(2, packed) + field(3, end) + \
        field(4, pause)


class Ask:
    def __init__(self, data):
        self.payload, self.sizes, self.status, self.pause = b"", [], None, 0
        for no, value in read(data):
            if no == 1:
                self.payload = value
            elif no == 2 and isinstance(value, int):
                self.sizes.append(value)
            elif no == 2:
                at = 0
                while at < len(value):
                    n, at = read_varint(value, at)
                    self.sizes.append(n)
            elif no == 3:
                end = dict(read(value))
                self.status = end.get(1, 0), end.get(2, b"").decode()
            elif no == 4:
                self.pause = value


def answer(size=0, total=0):
    return field(1, bytes(size)) + field(2, total)


class Answer:
    def __init__(self, data):
        got = dict(read(data))
        self.payload, self.total = got.get(1, b""), got.get(2, 0)


# --- the server ---

def say(*words):
    print(*words, flush=True)


def echo(ctx):
    """Fields of the call that come back, at both ends."""
    got = dict(ctx.invocation_metadata())
    if "x-echo-initial" in got:
        ctx.send_initial_metadata(
            [("x-echo-initial", got["x-echo-initial"])])
    if "x-echo-trailing-bin" in got:
        ctx.set_trailing_metadata(
            [("x-echo-trailing-bin", got["x-echo-trailing-bin"])])


def obey(ctx, a):
    time.sleep(a.pause / 1000)
    if a.status:
        ctx.set_code(next(c for c in grpc.StatusCode
                          if c.value[0] == a.status[0]))
        ctx.set_details(a.status[1])
    return not a.status


def watch(ctx, name):
    """Says so if the call ends before the function was called."""
    done = threading.Event()
    ctx.add_callback(lambda: done.is_set() or say("cancelled", name))
    return done.set


def unary(data, ctx):
    echo(ctx)
    a = Ask(data)
    done = watch(ctx, "Unary")
    well = obey(ctx, a)
    done()
    if not well:
        return b""
    return answer(a.sizes[0] if a.sizes else 0, len(a.payload))


def gather(asks, ctx):
    total = n = 0
    done = watch(ctx, "Gather")
    try:
        for data in asks:
            n += 1
            if n == 1:
                say("first", "Gather")
            total += len(Ask(data).payload)
        done()
    except grpc.RpcError:
        pass
    return answer(total=total)


def spread(data, ctx):
    a = Ask(data)
    if obey(ctx, a):
        for n in a.sizes:
            yield answer(n)


def chat(asks, ctx):
    echo(ctx)
    done = watch(ctx, "Chat")
    try:
        for data in asks:
            a = Ask(data)
            if not obey(ctx, a):
                break
            for n in a.sizes:
                yield answer(n)
        done()
    except grpc.RpcError:
        pass


METHODS = {
    "Nothing": grpc.unary_unary_rpc_method_handler(lambda _, ctx: b""),
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Gather": grpc.stream_unary_rpc_method_handler(gather),
    "Spread": grpc.unary_stream_rpc_method_handler(spread),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}
HEALTH = {b"": 1, b"sick": 2, b"odd": 0}


def check_health(data, ctx):
    """grpc.health.v1, whose requests have a name, and answers a number."""
    name = dict(read(data)).get(1, b"")
    if name not in HEALTH:
        ctx.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    return field(1, HEALTH[name])


def server(cert=None, key=None):
    s = grpc.server(futures.ThreadPoolExecutor(16))
    s.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("sluice.test.Interop", METHODS),
        grpc.method_handlers_generic_handler("grpc.health.v1.Health", {
            "Check": grpc.unary_unary_rpc_method_handler(check_health)})))
    if cert:
        with open(key, "rb") as k, open(cert, "rb") as c:
            own = grpc.ssl_server_credentials([(k.read(), c.read())])
        port = s.add_secure_port("127.0.0.1:0", own)
    else:
        port = s.add_insecure_port("127.0.0.1:0")
    s.start()
    say(port)
    sys.stdin.read()        # until whoever started it is gone
    s.stop(None)


# --- the client ---

class Stub:
    def __init__(self, port, ca=None):
        name = f"localhost:{port}"
        if ca:
            with open(ca, "rb") as f:
                own = grpc.ssl_channel_credentials(f.read())
            self.channel = grpc.secure_channel(name, own)
        else:
            self.channel = grpc.insecure_channel(name)
        c = self.channel
        self.nothing = c.unary_unary(S + "Nothing")
        self.unary = c.unary_unary(S + "Unary",
                                   response_deserializer=Answer)
        self.gather = c.stream_unary(S + "Gather",
                                     response_deserializer=Answer)
        self.spread = c.unary_stream(S + "Spread",
                                     response_deserializer=Answer)
        self.chat = c.stream_stream(S + "Chat",
                                    response_deserializer=Answer)
        self.missing = c.unary_unary(S + "Missing")
        self.absent = c.unary_unary("/sluice.test.Absent/Nothing")


def fails(call, code):
    """The error of a call that must fail with this code."""
    try:
        r = call()
        if hasattr(r, "__next__"):
            list(r)
    except grpc.RpcError as e:
        assert e.code() == code, (e.code(), e.details())
        return e
    raise AssertionError("it did not fail")


class Turns:
    """Requests that are sent when they are asked for."""

    def __init__(self):
        self.more, self.items, self.ended = threading.Condition(), [], False

    def put(self, item):
        with self.more:
            self.items.append(item)
            self.more.notify()

    def end(self):
        with self.more:
            self.ended = True
            self.more.notify()

    def __iter__(self):
        return self

    def __next__(self):
        with self.more:
            self.more.wait_for(lambda: self.items or self.ended)
            if not self.items:
                raise StopIteration
            return self.items.pop(0)


def empty_unary(c):
    assert c.nothing(b"", timeout=20) == b""


def large_unary(c):
    a = c.unary(ask(bytes(BIG), [BIG_ANSWER]), timeout=20)
    assert len(a.payload) == BIG_ANSWER and a.total == BIG


def client_streaming(c):
    a = c.gather(iter([ask(bytes(n)) for n in ASKS]), timeout=20)
    assert a.total == sum(ASKS)


def server_streaming(c):
    got = [len(a.payload) for a in c.spread(ask(sizes=SIZES), timeout=20)]
    assert got == list(SIZES)


def ping_pong(c):
    t = Turns()
    answers = c.chat(t, timeout=20)
    for n, size in zip(ASKS, SIZES):
        t.put(ask(bytes(n), [size]))
        assert len(next(answers).payload) == size
    t.end()
    assert list(answers) == []


def empty_stream(c):
    assert list(c.chat(iter(()), timeout=20)) == []


def cancel_after_begin(c):
    t = Turns()
    call = c.gather.future(t, timeout=20)
    call.cancel()
    assert call.cancelled() and call.code() == grpc.StatusCode.CANCELLED
    t.end()


def cancel_after_first_response(c):
    t = Turns()
    call = c.chat(t, timeout=20)
    t.put(ask(bytes(ASKS[0]), [SIZES[0]]))
    assert len(next(call).payload) == SIZES[0]
    call.cancel()
    fails(lambda: next(call), grpc.StatusCode.CANCELLED)
    t.end()


def timeout_on_sleeping_server(c):
    fails(lambda: c.chat(iter([ask(bytes(ASKS[0]), [1], pause=3000)]),
                         timeout=0.1), grpc.StatusCode.DEADLINE_EXCEEDED)


def status_code_and_message(c):
    for call in (lambda a: c.unary(a, timeout=20),
                 lambda a: c.chat(iter([a]), timeout=20)):
        e = fails(lambda: call(ask(status=(2, "test status message"))),
                  grpc.StatusCode.UNKNOWN)
        assert e.details() == "test status message"


def special_status_message(c):
    e = fails(lambda: c.unary(ask(status=(2, ODD)), timeout=20),
              grpc.StatusCode.UNKNOWN)
    assert e.details() == ODD, e.details()


def custom_metadata(c):
    fields = (("x-echo-initial", "test_initial_metadata_value"),
              ("x-echo-trailing-bin", b"\xab\xab\xab"))
    _, call = c.unary.with_call(ask(bytes(BIG), [BIG_ANSWER]),
                                metadata=fields, timeout=20)
    chat = c.chat(iter([ask(bytes(BIG), [BIG_ANSWER])]), metadata=fields,
                  timeout=20)
    assert len(list(chat)) == 1
    for one in (call, chat):
        assert ("x-echo-initial", fields[0][1]) in [
            tuple(m) for m in one.initial_metadata()]
        assert ("x-echo-trailing-bin", fields[1][1]) in [
            tuple(m) for m in one.trailing_metadata()]


def unimplemented_method(c):
    fails(lambda: c.missing(b"", timeout=20),
          grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(c):
    fails(lambda: c.absent(b"", timeout=20), grpc.StatusCode.UNIMPLEMENTED)


CASES = (empty_unary, large_unary, client_streaming, server_streaming,
         ping_pong, empty_stream, cancel_after_begin,
         cancel_after_first_response, timeout_on_sleeping_server,
         status_code_and_message, special_status_message, custom_metadata,
         unimplemented_method, unimplemented_service)


def client(port, ca=None):
    c = Stub(port, ca)
    for case in CASES:
        try:
            case(c)
            say("ok", case.__name__)
        except Exception as e:      # noqa: B902 (whatever it is, is told)
            say("bad", case.__name__, repr(e).replace("\n", " "))
    c.channel.close()


if __name__ == "__main__":
    {"server": server, "client": client}[sys.argv[1]](*sys.argv[2:])

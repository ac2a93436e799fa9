"""Every row of the fail table is provoked with the real program, and the
same word is found in the access record, the counters, sluicectl why, the
error page, Proxy-Status and, where a server is concerned, the error line.

To add a row's case: a line in REQUESTS or ANSWERS if bytes alone provoke
it, else a function of its name with @case.  It gets an Env and returns
what env.ask, env.send or env.at returned.
"""
import contextlib
import itertools
import json
import os
import re
import socket
import threading

import pytest

from lib import http, net, proc, wire, ws
from lib.peer import (Peer, close_now, hold, no_body, raw, reset_now,
                      respond)

CASES = {}
NUMBERS = itertools.count()
# where one cause ends more requests than the one that is looked at
MANY = {"generation_expired"}


def case(f):
    """The function is the case of the row with its name."""
    assert f.__name__ not in CASES
    CASES[f.__name__] = f
    return f


class Env:
    """Gateways of the tests, and the one that the case at hand asks."""

    def __init__(self, main, stack):
        self.main, self.stack = main, stack
        self.gate, self.before = main, None

    def begin(self):
        self.gate, self.before = self.main, counts(self.main)

    def start(self, conf, faults="", files=None):
        """A gateway of this case's own; its counts begin at nothing."""
        gate = self.stack.enter_context(gateway(conf, faults, files))
        self.gate, self.before = gate, counts(gate)
        return gate

    def peer(self, *steps, **kw):
        return self.stack.enter_context(Peer(list(steps), **kw))

    def answers(self, *steps):
        """What the server of the common gateway does next."""
        self.main.app.script[:] = steps

    def target(self, path="/app"):
        return f"{path}?{next(NUMBERS)}"

    def send(self, data, method="GET", port=None):
        """Raw bytes to the gateway: (answer or None, no target)."""
        with http.Client(port or self.gate.port) as c:
            c.send(data)
            return c.response(method), None

    def ask(self, path="/app", method="GET", headers=(), body=None):
        """A request to the gateway: (answer or None, its target)."""
        target = self.target(path)
        with http.Client(self.gate.port) as c:
            try:
                return c.ask(method, target, headers, body=body), target
            except (http.Closed, ConnectionError):
                return None, target

    def at(self, target):
        """Nothing was answered, or only a part: (None, its target)."""
        return None, target


@contextlib.contextmanager
def gateway(conf, faults="", files=None):
    top = wire.tempfile.mkdtemp(prefix="sl-", dir="/tmp")
    os.chmod(top, 0o755)
    for name, data in (files or {}).items():
        wire.put(top, name, data)
    s = proc.Sluice(top)
    try:
        s.start(conf, env={"SLUICE_FAULT": faults} if faults else None)
        yield s
        s.stop()
        s.check_broken()
    finally:
        s.close()
        wire.shutil.rmtree(top, ignore_errors=True)


LISTEN = """
[listener web]
bind = 127.0.0.1:@port@
"""
ONE = """
[sluice]
workers = 1
stop = 1s
drain.timeout = 1s
""" + LISTEN


def proxied(*servers, more="", route="", top=ONE):
    lines = "".join(f"server = {s}\n" for s in servers)
    return f"{top}[upstream app]\n{lines}{more}\n" \
        f"[route app]\npath = /app\nupstream = app\n{route}\n"


MAIN = """
[sluice]
workers = 2
stop = 1s
drain.timeout = 1s
[listener web]
bind = 127.0.0.1:@port@
[listener timed]
bind = 127.0.0.1:@port2@
timeout.header = 300ms
timeout.body = 300ms
timeout.write = 400ms
[upstream app]
server = {app}
timeout.first_byte = 300ms
timeout.between = 300ms
[route app]
path = /app
upstream = app
[route small]
path = /small
upstream = app
max_body = 10
[route post]
path = /post
method = POST
respond = 200 posted
[route bomb]
path = ~ ^/bomb/(a+)+$
respond = 200 bomb
[route site]
path = /www/*
strip_prefix = auto
static = @dir@/www
"""


@pytest.fixture(scope="module")
def main():
    files = {"f.txt": b"0123456789", "shut.txt": b"x",
             "big.bin": bytes(32 << 20), "cut.bin": bytes(32 << 20)}
    with Peer() as app, gateway(MAIN.format(app=app.addr),
                                files=files) as s:
        os.chmod(os.path.join(s.dir, "www", "shut.txt"), 0)
        s.app = app
        s.rows = {f["name"]: f for f in s.ctl_json("why")["failures"]}
        yield s
        assert not app.errors


@pytest.fixture
def env(main):
    with contextlib.ExitStack() as stack:
        e = Env(main, stack)
        e.begin()
        yield e


# --- what bytes of a client provoke ---

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /app HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REQUESTS = {
    "bad_request_line": b"GET /\r\nHost: a\r\n\r\n",
    "bad_target": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad_method": b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad_version": b"GET / HTTX/1.1\r\nHost: a\r\n\r\n",
    "version_unsupported": b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "bad_field_name": HEAD + b"A B: c\r\n\r\n",
    "bad_field_value": HEAD + b"A: b\0c\r\n\r\n",
    "field_folded": HEAD + b"A: b\r\n c\r\n\r\n",
    "bare_lf": b"GET / HTTP/1.1\r\nHost: a\n\r\n",
    "bare_cr": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n",
    "host_missing": b"GET / HTTP/1.1\r\n\r\n",
    "host_twice": HEAD + b"Host: b\r\n\r\n",
    "bad_host": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host_mismatch": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad_connection": HEAD + b"Connection: a b\r\n\r\n",
    "bad_length": POST + b"Content-Length: 1x\r\n\r\n",
    "length_twice": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length_and_chunked": POST + b"Content-Length: 1\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n",
    "bad_coding": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
    "coding_unsupported": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "coding_in_10": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "bad_chunk": CHUNKED + b"xyz\r\n",
    "bad_trailer": CHUNKED + b"0\r\nA B: c\r\n\r\n",
    "tls_on_plain": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" +
                    bytes(40),
    "h2_on_h1": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "bad_expect": HEAD + b"Expect: a-miracle\r\n\r\n",
    "line_too_long": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "header_too_large": HEAD + b"".join(
        b"A%d: " % i + b"b" * 4000 + b"\r\n" for i in range(9)) + b"\r\n",
    "field_too_large": HEAD + b"A: " + b"b" * 17000 + b"\r\n\r\n",
    "too_many_fields": HEAD + b"A: b\r\n" * 130 + b"\r\n",
    "body_too_large": b"POST /small HTTP/1.1\r\nHost: a\r\n"
                      b"Content-Length: 11\r\n\r\n",
    "connect_refused": b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    "trace_refused": b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "misdirected": b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "path_above_root": b"GET /../a HTTP/1.1\r\nHost: a\r\n\r\n",
    "regex_limit": b"GET /bomb/" + b"a" * 40 + b"! HTTP/1.1\r\n"
                   b"Host: a\r\n\r\n",
    "bad_path": b"GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no_route": b"GET /nobody HTTP/1.1\r\nHost: a\r\n\r\n",
    "method_not_allowed": b"GET /post HTTP/1.1\r\nHost: a\r\n\r\n",
    "not_found": b"GET /www/none HTTP/1.1\r\nHost: a\r\n\r\n",
    "forbidden": b"GET /www/shut.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "range_unsatisfiable": b"GET /www/f.txt HTTP/1.1\r\nHost: a\r\n"
                           b"Range: bytes=99-\r\n\r\n",
    "precondition": b"GET /www/f.txt HTTP/1.1\r\nHost: a\r\n"
                    b"If-Match: \"x\"\r\n\r\n",
}

# --- what a server's answer provokes: (bytes, does it close then) ---

OK = b"HTTP/1.1 200 OK\r\n"
BODY = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "reset_in_head": (OK + b"A: ", True),
    "reset_in_body": (OK + b"Content-Length: 5\r\n\r\nab", True),
    "bad_response_line": (b"HTTP/1.1 OK\r\n\r\n", False),
    "bad_response_field": (OK + b"A B: c\r\n\r\n", False),
    "bad_response_framing": (OK + b"Content-Length: 1\r\n"
                             b"Content-Length: 2\r\n\r\n", False),
    "bad_response_chunk": (BODY + b"xyz\r\n", False),
    "bad_response_trailer": (BODY + b"0\r\nA B: c\r\n\r\n", False),
    "response_trailer_too_large": (
        BODY + b"0\r\n" + b"A: b\r\n" * 300 + b"\r\n", False),
    "response_head_too_large": (OK + b"A: " + b"b" * 40000 + b"\r\n\r\n",
                                False),
    "unexpected_upgrade": (b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\n"
                           b"Upgrade: x\r\n\r\n", False),
    "unexpected_interim": (b"HTTP/1.1 103 E\r\n\r\n" * 20, False),
}


def timed(env, data, finish=None):
    """Bytes to the listener with short times."""
    with http.Client(env.gate.value("port2")) as c:
        c.send(data)
        return c.response(), None


# --- times and the client's end ---

@case
def header_timeout(env):
    return timed(env, b"GET / HTTP/1.1\r\nHo")


@case
def body_timeout(env):
    return timed(env, POST + b"Content-Length: 5\r\n\r\nab")


@case
def body_too_slow(env):
    env.start(proxied(env.main.app.addr, top=ONE +
                      "timeout.body = 5s\ntimeout.min_rate = 100\n"))
    with http.Client(env.gate.port, timeout=30) as c:
        c.send(POST + b"Content-Length: 5000\r\n\r\n")
        while c.is_idle(0.3):
            c.send(b"slow")
        return c.response(), None


@case
def write_timeout(env):
    port = env.gate.value("port2")
    with http.Client(port, sock=net.connect(port, rcvbuf=4096)) as c:
        c.send(http.request("GET", "/www/big.bin?stalled"))
        assert c.head().status == 200
        wire.record(env.gate, target="/www/big.bin?stalled")
    return env.at("/www/big.bin?stalled")


@case
def client_gone(env):
    env.answers(hold(threading.Event()))
    target, seen = env.target(), len(env.main.app.requests)
    with http.Client(env.gate.port) as c:
        c.send(http.request("GET", target))
        env.main.app.wait_requests(seen + 1)
        c.reset()
    return env.at(target)


@case
def body_cut(env):
    with http.Client(env.gate.port) as c:
        c.send(POST + b"Content-Length: 5\r\n\r\nab")
        c.shut()
        return c.response(), None


# --- handlers ---

@case
def file_error(env):
    env.start(STATIC, "file_io", {"shut.txt": b"x"})
    os.chmod(os.path.join(env.gate.dir, "www", "shut.txt"), 0)
    return env.ask("/shut.txt")


STATIC = ONE + "[route site]\npath = /*\nstatic = @dir@/www\n"


@case
def overload(env):
    env.start(STATIC, "file_full", {"shut.txt": b"x"})
    os.chmod(os.path.join(env.gate.dir, "www", "shut.txt"), 0)
    return env.ask("/shut.txt")


@case
def file_changed(env):
    with http.Client(env.gate.port, sock=net.connect(
            env.gate.port, rcvbuf=4096)) as c:
        c.send(http.request("GET", "/www/cut.bin"))
        r = c.head()
        os.truncate(os.path.join(env.gate.dir, "www", "cut.bin"), 1 << 20)
        with pytest.raises(http.Closed):
            c.body(r)
    return env.at("/www/cut.bin")


@case
def helper_gone(env):
    env.start(STATIC, "static_cold,helper_stall,ask_short",
              {"cold.bin": bytes(100)})
    return env.ask("/cold.bin")


@case
def internal(env):
    env.start(proxied(env.main.app.addr), "step_fail")
    return env.ask()


@case
def generation_expired(env):
    app = env.peer(default=hold(threading.Event()))
    env.start(proxied(app.addr))
    target, waiting = env.target(), []
    for n in range(18):
        c = env.stack.enter_context(http.Client(env.gate.port))
        c.send(http.request("GET", target if n == 0 else "/app"))
        waiting.append(c)
        app.wait_requests(n + 1)
        env.gate.reload()
    return waiting[0].response(), target


@case
def draining(env):
    app = env.peer(default=hold(threading.Event()))
    env.start(proxied(app.addr))
    target = env.target()
    c = env.stack.enter_context(http.Client(env.gate.port))
    c.send(http.request("GET", target))
    app.wait_requests(1)
    env.gate.ctl("roll")
    return env.at(target)


@case
def worker_lost(env):
    app = env.peer(default=hold(threading.Event()))
    env.start(proxied(app.addr))
    target = env.target()
    c = env.stack.enter_context(http.Client(env.gate.port))
    c.send(http.request("GET", target))
    app.wait_requests(1)
    env.gate.wait_role("worker 1", env.gate.kill("worker 1"))
    return env.at(target)


# --- who connects for others ---

def greeted(env, more):
    """A connection to a listener with PROXY; there is no request."""
    env.start(proxied(env.main.app.addr,
                      top=ONE + f"proxy_protocol = on\n{more}\n"))
    with http.Client(env.gate.port) as c:
        c.send(http.request())
        with contextlib.suppress(http.Closed):
            assert c.rest() == b""
    return None, None


@case
def bad_proxy_header(env):
    return greeted(env, "")


@case
def proxy_refused(env):
    return greeted(env, "proxy_protocol_from = 192.0.2.1")


# --- names of servers ---

def resolver(env, answers):
    """A name server that knows no name, or says nothing."""
    def run():
        with contextlib.suppress(OSError):
            while True:
                q, peer = s.recvfrom(512)
                if answers:     # the question with NXDOMAIN
                    s.sendto(q[:2] + b"\x81\x83" + q[4:6] + bytes(6) +
                             q[12:q.index(b"\0", 12) + 5], peer)

    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    threading.Thread(target=run, daemon=True).start()
    env.stack.callback(s.close)
    return "127.0.0.1:%d" % s.getsockname()[1]


def named(env, answers):
    env.start(proxied("nobody.example:80", more="timeout.connect = 500ms",
                      top=ONE.replace("[sluice]", "[sluice]\nresolver = " +
                                      resolver(env, answers))))
    return env.ask()


@case
def name_error(env):
    return named(env, True)


@case
def name_timeout(env):
    return named(env, False)


# --- upgraded connections ---

@case
def stream_idle_timeout(env):
    app = env.peer(default=ws.echoes())
    env.start(proxied(app.addr, more="timeout.stream_idle = 300ms"))
    target = env.target()
    with ws.Socket(env.gate.port, target) as w:
        assert w.c.rest() == b""
    return env.at(target)


@case
def stream_reset(env):
    def step(conn, req):
        conn.send(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\n"
                  b"Upgrade: x\r\n\r\n")
        conn.take(1)
        net.reset(conn.sock)
        return False
    app = env.peer(step)
    env.start(proxied(app.addr))
    target = env.target()
    with http.Client(env.gate.port) as c:
        c.send(http.request("GET", target, [("Connection", "Upgrade"),
                                            ("Upgrade", "x")]))
        assert c.head().status == 101
        c.send(b"x")
        with contextlib.suppress(http.Closed):
            c.rest()
    return env.at(target)


# --- servers ---

@case
def no_server(env):
    env.start(proxied(env.main.app.addr), "no_server")
    return env.ask()


@case
def breaker_open(env):
    app = f"127.0.0.1:{net.free_port()}"
    env.start(proxied(app, more="breaker.failures = 1"))
    env.ask()
    env.before = counts(env.gate)
    return env.ask()


@case
def dial_refused(env):
    env.start(proxied(f"127.0.0.1:{net.free_port()}"))
    return env.ask()


@case
def dial_unreachable(env):
    env.start(proxied("unix:@dir@/nobody.sock"))
    return env.ask()


@case
def dial_timeout(env):
    """The queue of a listener is full: the kernel drops what comes."""
    full = env.stack.enter_context(socket.create_server(
        ("127.0.0.1", 0), backlog=0))
    for _ in range(2):
        s = env.stack.enter_context(socket.socket())
        s.setblocking(False)
        s.connect_ex(full.getsockname())
    env.start(proxied("127.0.0.1:%d" % full.getsockname()[1],
                      more="timeout.connect = 200ms"))
    return env.ask()


@case
def dial_error(env):
    """A unix socket of another type."""
    env.start(proxied("unix:@dir@/wrong.sock"))
    s = env.stack.enter_context(socket.socket(socket.AF_UNIX,
                                              socket.SOCK_DGRAM))
    path = os.path.join(env.gate.dir, "wrong.sock")
    s.bind(path)
    os.chmod(path, 0o777)
    return env.ask()


@case
def dial_exhausted(env):
    env.start(proxied(env.main.app.addr), "dial_full")
    return env.ask()


def full(env, keys, waiting=0):
    """A server whose one connection is taken, and so many wait for it."""
    app = env.peer(default=hold(threading.Event()))
    env.start(proxied(f"{app.addr} max_conns=1", more=keys))
    for n in range(1 + waiting):
        c = env.stack.enter_context(http.Client(env.gate.port))
        c.send(http.request("GET", "/app"))
        if n == 0:
            app.wait_requests(1)
    deadline = net.Deadline("who waits")
    while wire.sums(env.gate)["requests_started_total"] <= waiting:
        assert deadline.left() > 0
    return env.ask()


@case
def dial_limit(env):
    return full(env, "queue = 0")


@case
def queue_full(env):
    return full(env, "queue = 1\nqueue_timeout = 60s", 1)


@case
def queue_timeout(env):
    return full(env, "queue_timeout = 200ms")


@case
def deadline_exceeded(env):
    app = env.peer(default=hold(threading.Event()))
    env.start(proxied(app.addr, route="deadline = on"))
    return env.ask(headers={"X-Request-Deadline": "200"})


@case
def send_error(env):
    """A server that takes no more, and says nothing."""
    path = os.path.join(env.main.dir, "deaf.sock")
    deaf, told = threading.Event(), threading.Event()
    env.stack.callback(told.set)

    def step(conn, _):
        conn.sock.shutdown(socket.SHUT_RD)
        deaf.set()
        told.wait(net.WAIT)
        return False
    env.peer(no_body(step), path=path)
    os.chmod(path, 0o777)
    env.start(proxied(f"unix:{path}"))
    target = env.target()
    with http.Client(env.gate.port) as c:
        c.send(http.request("POST", target, [("Content-Length", "100000")]))
        c.send(b"a")
        assert deaf.wait(net.WAIT)
        c.send(b"b" * 99999)
        return c.response(), target


@case
def send_timeout(env):
    """A server that reads the head and then nothing."""
    def step(conn, _):
        ended.wait(net.WAIT)
        return False
    ended = threading.Event()
    env.stack.callback(ended.set)
    app = env.peer(no_body(step))
    env.start(proxied(app.addr, more="timeout.first_byte = 400ms"))
    body = b"a" * (15 << 20)
    target = env.target()
    with http.Client(env.gate.port) as c:
        c.sock.settimeout(net.WAIT)
        sender = threading.Thread(target=send_all, daemon=True, args=(
            c, http.request("POST", target, body=body)))
        sender.start()
        r = c.response()
        with contextlib.suppress(OSError):  # it may be closed already
            c.sock.shutdown(socket.SHUT_RDWR)
        sender.join(net.WAIT)
        return r, target


def send_all(c, data):
    with contextlib.suppress(OSError):
        c.send(data)


@case
def first_byte_timeout(env):
    env.answers(hold(threading.Event()))
    return env.ask()


@case
def between_timeout(env):
    env.answers(lambda conn, req: conn.send(
        OK + b"Content-Length: 5\r\n\r\nab") or hold(
            threading.Event())(conn, req))
    return env.ask()


@case
def total_timeout(env):
    app = env.peer(default=hold(threading.Event()))
    env.start(proxied(app.addr, more="timeout.total = 300ms\n"
                      "timeout.connect = 200ms\n"
                      "timeout.first_byte = 0\ntimeout.between = 0\n"))
    return env.ask()


@case
def reset_before_head(env):
    app = env.peer(reset_now(), close_now())
    env.start(proxied(app.addr))
    return env.ask()


# --- the test ---

def counts(gate):
    """{(counter, row): sum} of all that can fail."""
    with http.Client(gate.control) as c:
        all = json.loads(c.get("/v1/metrics").body)["metrics"]
    return {(m["name"], m["fail"]): m["sum"] for m in all if "fail" in m}


def provoke(env, row):
    if row in REQUESTS:
        return env.send(REQUESTS[row])
    if row in ANSWERS:
        data, closes = ANSWERS[row]
        env.answers(raw(data, then_close=closes))
        return env.ask()
    assert row in CASES, f"no case for the row {row}: see the top of " \
        f"{os.path.basename(__file__)}"
    return CASES[row](env)


def check_page(r, row, kind):
    rid = wire.is_fail(r, row)
    told = r.get("proxy-status")
    if not kind:
        assert told is None
        return rid
    want = re.fullmatch(r"sluice; error=(\w+)(; received-status=\d+)?; "
                        r'details="(\w+)"', told)
    assert want and want[1] == kind and want[3] == row, told
    return rid


def check_line(gate, rid, row, server):
    """The one line of the last attempt: level, request, server, row."""
    lines = [json.loads(ln) for ln in gate.wait_log(
        f'"level":"error".*"request":"{rid}"')]
    line, = [ln for ln in lines if ln["module"] == "proxy"]
    want = f'server "{server}" of "app": attempt 1 failed: {row}' \
        if server else f'upstream "app": {row}'
    assert line["msg"] == want or line["msg"].startswith(want + ": ")


def check_why(gate, row, record):
    shown, = gate.ctl_json("why", row)["failures"]
    text = gate.ctl("why", row).stdout
    assert shown["requests"] >= 1 and shown["last"]
    assert text.startswith(f"{row}: {shown['text']}\n")
    assert shown["advice"] in text and shown["last"]["id"] in text
    if record:
        assert shown["last"]["id"] == record["id"]
        assert shown["last"]["server"] == record.get("server", "")


def check_conn(env, row):
    """A connection that had no request: a line and a count."""
    env.gate.wait_log(f'"level":"warning".*closed: {row}: ')
    assert counts(env.gate)["requests_failed_total", row] == \
        env.before["requests_failed_total", row] + 1
    shown, = env.gate.ctl_json("why", row)["failures"]
    assert shown["requests"] == 1 and shown["last"]["id"] == ""


@pytest.mark.parametrize("row", wire.FAILS)
def test_row(env, row):
    r, target = provoke(env, row)
    kind = env.main.rows[row]["proxy_status"]
    if r is None and target is None:
        check_conn(env, row)
        return
    if r is not None:
        rid = check_page(r, row, kind)
        record = wire.record(env.gate, rid)
        assert record["status"] == r.status
    else:
        record = wire.record(env.gate, target=target)
        rid = record["id"]
    assert record["fail"] == row
    after, gate = counts(env.gate), env.gate
    for name, n in (("requests_failed_total", 1),
                    ("upstream_attempts_failed_total",
                     1 if kind and "server" in record else 0)):
        if name.startswith("upstream") and not kind:
            assert (name, row) not in after
            continue
        more = after[name, row] - env.before[name, row]
        assert more == n or (row in MANY and more > n), name
    if kind:
        check_line(gate, rid, row, record.get("server"))
    check_why(gate, row, record if row not in MANY else None)


def test_no_case_too_many():
    """A row that went, or one that two cases provoke."""
    names = [*REQUESTS, *ANSWERS, *CASES]
    assert len(names) == len(set(names))
    assert set(names) <= set(wire.FAILS)


# --- attempts that another one follows ---

def test_another_server(sluice, peer):
    """The client is served; what failed is told, counted and noted."""
    dead, app = f"127.0.0.1:{net.free_port()}", peer()
    s = sluice(proxied(dead, app.addr, top=ONE))
    ids = [http.get(s.port, "/app")["x-request-id"] for _ in range(2)]
    n = counts(s)
    failed = n["upstream_attempts_failed_total", "dial_refused"]
    assert failed >= 1 and n["requests_failed_total", "dial_refused"] == 0
    lines = [json.loads(ln) for ln in s.wait_log("another server is asked",
                                                 failed)]
    assert {ln["level"] for ln in lines} == {"warning"}
    assert {ln["request"] for ln in lines} <= set(ids)
    shown, = s.ctl_json("why", "dial_refused")["failures"]
    assert shown["requests"] == 0 and shown["attempts"] == failed
    assert shown["last"]["server"] == dead
    assert shown["last"]["id"] in ids


def test_flood(sluice):
    """A hundred lines of a row in a second; the rest is a number."""
    s = sluice(proxied(f"127.0.0.1:{net.free_port()}", top=ONE))
    with http.Client(s.port) as c:
        for _ in range(250):
            assert c.get("/app").status == 502
    s.wait_log(r'suppressed \d+ lines like \\"dial_refused\\"')
    told = [r for r in s.log() if "attempt 1 failed" in r.get("msg", "")]
    held = sum(int(re.search(r"suppressed (\d+)", r["msg"])[1])
               for r in s.log() if "suppressed" in r.get("msg", ""))
    assert 100 <= len(told) < 250 and len(told) + held <= 250
    assert counts(s)["upstream_attempts_failed_total",
                     "dial_refused"] == 250


# --- what a client is told ---

@pytest.mark.parametrize("how", ["off", "on", "full"])
def test_proxy_status(sluice, peer, how):
    app = peer([raw(OK + b"A B: c\r\n\r\n", then_close=True)])
    dead = f"127.0.0.1:{net.free_port()}"
    s = sluice(proxied(app.addr, top=ONE.replace(
        "[sluice]", f"[sluice]\nproxy_status = {how}")) + f"""
[upstream dead]
server = {dead}
[route dead]
path = /dead
upstream = dead
""")
    bad = http.get(s.port, "/app").get("proxy-status")
    refused = http.get(s.port, "/dead").get("proxy-status")
    if how == "off":
        assert bad is None and refused is None
    elif how == "on":
        assert bad == "sluice; error=http_protocol_error; " \
            'received-status=200; details="bad_response_field"'
        assert refused == "sluice; error=connection_refused; " \
            'details="dial_refused"'
    else:
        assert bad == "sluice; error=http_protocol_error; " \
            f'received-status=200; next-hop="{app.addr}"; ' \
            'details="bad_response_field"'
        assert refused == "sluice; error=connection_refused; " \
            f'next-hop="{dead}"; details="dial_refused: connect: ' \
            f'{os.strerror(111)}"'


def test_why_without_anybody(tmp):
    """What a failure means is known without a sluiced."""
    s = proc.Sluice(tmp)
    done = s.ctl("why", "dial_refused")
    assert done.stdout.startswith("dial_refused: ")
    assert "nobody answers" in done.stderr and "seen" not in done.stdout
    assert s.ctl("why", "nothing", ok=False).returncode == 2
    s.close()

"""The rows of the fail table that a client or the gateway itself provokes;
those of servers are in fail_server.py."""
import contextlib
import os
import threading

import pytest

from lib import http, net, wire
from lib.fail_env import ONE, case, proxied
from lib.peer import hold

# --- what bytes alone provoke ---

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


def timed(env, data):
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
    env.start(proxied(app.addr), may_die=True)
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


@case
def tls_required(env):
    env.start(proxied(env.main.app.addr, route="tls_required = refuse"))
    return env.ask()

"""The rows of the fail table that HTTP/2 alone has."""
import threading

from lib import h2, net, rpc
from lib.fail_env import ONE, case
from lib.h2 import (DATA, END, END_HEADERS, HEADERS, PING, RST, block,
                    frame, literal, request, rst, settings, window)
from lib.peer import hold, respond

CONF = ONE + "http = 2\n[route probe]\npath = /*\nrespond = 200 probe\n"
# its server never says a word
CALLS = ONE + """http = 2
[upstream app]
server = h2c://{}
[route small]
path = /small
upstream = app
max_body = 10
"""
GET = block(request("GET", "/"))


def start(env, **kw):
    env.start(CONF)
    return env.stack.enter_context(h2.H2(
        env.gate.port, timeout=10, sock=net.connect(env.gate.port, **kw)))


def page(env, *frames):
    """What is refused has an answer."""
    c = start(env)
    c.send(*frames)
    return c.response(1), None


def ends(env, *frames):
    """The connection ends; no request does with its row."""
    c = start(env)
    c.say(*frames)
    c.ends()
    return None, None


def head(fields, flags=END | END_HEADERS, sid=1):
    return frame(HEADERS, flags, sid, fields)


@case
def bad_pseudo(env):
    return page(env, head(GET + literal(":path", "/")))


@case
def connection_field(env):
    return page(env, head(GET + literal("connection", "close")))


@case
def extended_connect(env):
    return page(env, head(block(request("CONNECT", "/chat")[:1]) + literal(
        ":protocol", "websocket") + block(request("G", "/chat")[1:])))


@case
def length_mismatch(env):
    return page(env, head(GET + literal("content-length", "3")))


@case
def client_reset(env):
    env.answers(hold(threading.Event()))
    c = env.stack.enter_context(h2.H2(env.gate.value("port3"), timeout=10))
    target, seen = env.target(), len(env.main.app.requests)
    sid = c.ask_for("GET", target)
    env.main.app.wait_requests(seen + 1)
    c.send(rst(sid))
    return env.at(target)


@case
def message_too_large(env):
    quiet = env.stack.enter_context(net.listen())
    env.start(CALLS.format("127.0.0.1:%d" % quiet.getsockname()[1]))
    c = env.stack.enter_context(h2.H2(env.gate.port, timeout=10))
    target = env.target("/small")
    assert rpc.call(c, target, b"12345678901").status == 8
    return env.at(target)


@case
def answer_message_too_large(env):
    env.answers(respond(headers=[("Content-Type", rpc.TYPE)],
                        chunks=[rpc.message(length=11)]))
    target = env.target()
    c = env.stack.enter_context(h2.H2(env.gate.value("port3"), timeout=10))
    assert rpc.call(c, target, b"x").status == 8
    return env.at(target)


@case
def h2_protocol(env):
    """The line says which rule it was."""
    made = ends(env, frame(DATA, 0, 0))
    env.gate.wait_stderr("closed: h2_protocol: DATA: stream_id == 0")
    return made


@case
def h2_header_timeout(env):
    env.start(CONF.replace("http = 2", "http = 2\ntimeout.header = 200ms"))
    c = env.stack.enter_context(h2.H2(env.gate.port, timeout=10))
    c.ping()        # an ACK within the head would be wrong
    c.say(head(GET, END))
    c.ends()
    return None, None


@case
def h2_reset_flood(env):
    env.start(CONF)
    c = env.stack.enter_context(h2.H2(env.gate.port, timeout=10))
    c.say(b"".join(head(GET[:-1] + b"b", END_HEADERS, n) + rst(n)
                   for n in range(1, 300, 2)))
    c.ends()
    return None, None


@case
def h2_made_reset_flood(env):
    """At three quarters it is asked to go, with the limit it has to; more
    streams at once than it may have are refused, which is another count."""
    c, bad = start(env), block(request("G T", "/"))
    for first, n in (1, 50), (101, 90):
        ids = range(first, first + 2 * n, 2)
        c.say(b"".join(head(bad, sid=i) for i in ids))
        if first == 1:
            for i in ids:
                c.frame(lambda f: f.type == RST and f.sid == i)
    c.ends()
    return None, None


@case
def h2_continuation_flood(env):
    return ends(env, head(GET, 0), *[
        frame(h2.CONTINUATION, 0, 1) for _ in range(9)])


@case
def h2_header_flood(env):
    return ends(env, head(GET + b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000 +
                          b"\xbe" * 100))


@case
def h2_settings_flood(env):
    return ends(env, settings((3, 1)) * 200)


@case
def h2_ping_flood(env):
    return ends(env, frame(PING, 0, 0, bytes(8)) * 600)


@case
def h2_priority_flood(env):
    return ends(env, frame(h2.PRIORITY, 0, 3, bytes(5)) * 600)


@case
def h2_window_flood(env):
    return ends(env, window(0, 1) * 1100)


@case
def h2_empty_flood(env):
    c = start(env)
    sid = c.headers(request("POST", "/"), end=False)
    assert c.response(sid).status == 200
    c.say(frame(DATA, 0, sid) * 20)
    c.ends()
    return None, None


@case
def h2_stray_flood(env):
    return ends(env, frame(0xbb) * 600)


@case
def h2_unread(env):
    c = start(env, rcvbuf=2048)         # our kernel takes few answers
    sid = c.headers(request("POST", "/"), end=False)
    assert c.response(sid).status == 200
    c.say(b"".join(frame(DATA, 0, sid, b"a") + frame(PING, 0, 0, bytes(8))
                   for _ in range(400000)))
    c.ends()
    return None, None

"""Calls of gRPC that fail: what clients are told, before the head of an
answer and behind it, what logs and counters say.  The servers here speak
HTTP/1, so that they can say whatever is wrong."""
import json
import threading

import pytest

from lib import h2, http, rpc, wire
from lib.h2peer import H2Peer, answer, at_head, quiet
from lib.peer import (Peer, close_now, delay, hold, raw, respond)
from lib.rpc import message

CONF = """
[sluice]
workers = 1
stop = 1s
drain.timeout = 1s
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[upstream app]
server = {app}
timeout.first_byte = 500ms
timeout.between = 300ms
[upstream idle]
server = h2c://{call}
timeout.stream_idle = 400ms
[upstream nobody]
server = 127.0.0.1:@port2@
[upstream call]
server = h2c://{call}
[route call]
path = /call.Service/*
upstream = call
max_body = 100
[route between]
path = /between.Service/*
upstream = call
timeout.between = 300ms
[upstream late]
server = h2c://{call}
timeout.first_byte = 200ms
[route late]
path = /late.Service/*
upstream = late
[route first]
path = /first.Service/*
upstream = late
timeout.first_byte = 300ms
[route app]
path = /app.Service/*
upstream = app
max_body = 100
max_answer_message = 1000
[route idle]
path = /idle.Service/*
upstream = idle
[route off]
path = /off.Service/*
upstream = app
deadline = off
[route total]
path = /total.Service/*
upstream = app
timeout.first_byte = 10s
timeout.total = 300ms
[route nobody]
path = /nobody.Service/*
upstream = nobody
[route get]
path = /get.Service/*
method = GET
respond = 200 got
[route tls]
path = /tls.Service/*
tls_required = refuse
respond = 200 secret
[route down]
path = /down.Service/*
respond = 503 closed for 5 % of a day
[route moved]
path = /moved.Service/*
redirect = 302 https://new.example${{path}}
[route led]
path = /led.Service/*
tls_required = redirect
respond = 200 secret
[route own]
path = /own.Service/*
echo = on
max_body = 100
[route page]
path = /page.Service/*
upstream = nobody
error_page.502 = @dir@/page.html
"""
(OK, CANCELLED, UNKNOWN, INVALID, DEADLINE, NOT_FOUND, EXISTS, DENIED,
 EXHAUSTED, PRECONDITION, ABORTED, RANGE, UNIMPLEMENTED, INTERNAL,
 UNAVAILABLE, LOSS, UNAUTHENTICATED) = range(17)
GRPC = ("Content-Type", "application/grpc")


def reply(*bodies, status=0, more=()):
    """An answer of gRPC as HTTP/1 would have it."""
    return respond(headers=[GRPC], chunks=[message(b) for b in bodies],
                   trailers=[("grpc-status", str(status)), *more])


def pong():
    """The same of a server of HTTP/2."""
    return answer(body=message(b"pong"), headers=[("content-type", rpc.TYPE)],
                  trailers=[("grpc-status", "0")])


@pytest.fixture(scope="module")
def gate():
    with Peer(default=reply(b"pong")) as app, \
            H2Peer(default=pong()) as call:
        with wire.gateway(CONF.format(app=app.addr, call=call.addr),
                          {"../page.html": b"<p>page"}) as s:
            s.app, s.call = app, call
            yield s
            assert not app.errors and not call.errors


@pytest.fixture
def c(gate):
    with h2.H2(gate.port, timeout=10) as c:
        yield c


def record(gate, rid):
    """The access record of a request id."""
    return json.loads(gate.wait_log(f'"id":"{rid}"')[-1])


def answers(gate, *steps):
    gate.app.script[:] = steps


def counters(gate):
    with http.Client(gate.control) as c:
        all = json.loads(c.get("/v1/metrics").body)["metrics"]
    return {m["name"]: m["sum"] for m in all
            if m["name"].startswith("grpc_")}


# --- before the head ---

@pytest.mark.parametrize("path, status, row", [
    ("/none.Service/Get", UNIMPLEMENTED, "no_route"),
    ("/get.Service/Get", UNIMPLEMENTED, "method_not_allowed"),
    ("/tls.Service/Get", DENIED, "tls_required"),
    ("/nobody.Service/Get", UNAVAILABLE, "dial_refused"),
    ("/page.Service/Get", UNAVAILABLE, "dial_refused"),
    ("/%00.Service/Get", INTERNAL, "bad_path")])
def test_own(gate, c, path, status, row):
    was = counters(gate)
    a = rpc.call(c, path, b"x")
    assert a.alone and a.status == status and not a.head.body
    assert a.head["content-type"] == "application/grpc"
    assert a.head.get("content-length") is None
    rid = a.head["x-request-id"]
    assert f"({row} {rid})" in a.message
    rec = record(gate, rid)
    assert rec["fail"] == row and rec["status"] == 200
    name = NAMES[status]
    assert rec["grpc_status"] == name
    now = counters(gate)
    key = f"grpc_{name.lower()}_total"
    assert now.pop(key) == was.pop(key) + 1 and now == was


NAMES = {OK: "OK", CANCELLED: "CANCELLED", UNKNOWN: "UNKNOWN",
         DEADLINE: "DEADLINE_EXCEEDED", DENIED: "PERMISSION_DENIED",
         EXHAUSTED: "RESOURCE_EXHAUSTED", UNIMPLEMENTED: "UNIMPLEMENTED",
         INTERNAL: "INTERNAL", UNAVAILABLE: "UNAVAILABLE",
         UNAUTHENTICATED: "UNAUTHENTICATED"}


@pytest.mark.parametrize("kind, is_it", [
    ("application/grpc", True), ("application/grpc+proto", True),
    ("application/grpc+json", True), ("application/grpc-web", False),
    ("application/json", False)])
def test_kind(c, kind, is_it):
    sid = rpc.begin(c, "/none.Service/Get", b"x", kind=kind)
    r = c.response(sid)
    assert r.status == (200 if is_it else 404)
    assert (r.get("grpc-status") is not None) == is_it


def test_get_is_none(c):
    r = c.response(c.ask_for("GET", "/none.Service/Get",
                             {"content-type": rpc.TYPE}))
    assert r.status == 404 and r.get("grpc-status") is None


def test_http1(gate):
    """What lies between gets HTTP's status, and ours besides."""
    with http.Client(gate.port) as c:
        r = c.ask("POST", "/none.Service/Get", {"Content-Type": rpc.TYPE},
                  body=message(b"x"))
    assert r.status == 404 and b"no_route" in r.body
    assert r["grpc-status"] == "12" and "no_route" in r["grpc-message"]
    assert record(gate, r["x-request-id"])["grpc_status"] == "UNIMPLEMENTED"


# --- answers of HTTP ---

@pytest.mark.parametrize("http_status, status", [
    (400, INTERNAL), (401, UNAUTHENTICATED), (403, DENIED),
    (404, UNIMPLEMENTED), (429, UNAVAILABLE), (502, UNAVAILABLE),
    (503, UNAVAILABLE), (504, UNAVAILABLE), (500, UNKNOWN), (302, UNKNOWN),
    (418, UNKNOWN), (200, UNKNOWN)])
@pytest.mark.parametrize("body", [b"", b"<h1>no</h1>", bytes(300000)],
                         ids=["none", "short", "long"])
def test_mapped(gate, c, http_status, status, body):
    answers(gate, respond(http_status, body, [("Content-Type", "text/html"),
                                              ("X-Secret", "no")]))
    a = rpc.call(c, "/app.Service/Get", b"x")
    assert a.alone and a.status == status
    assert a.head.get("x-secret") is None and not a.head.body
    if http_status != 200:
        assert str(http_status) in a.message
    rid = a.head["x-request-id"]
    assert a.message.endswith(f" ({rid})")
    rec = record(gate, rid)
    assert rec["grpc_status"] == NAMES[status]
    assert rec["cause"] == f"the server answered with HTTP status " \
        f"{http_status}"
    # and the next one is well
    assert rpc.call(c, "/app.Service/Get", b"x").status == OK


def test_status_with_http_status(gate, c):
    """Who says grpc-status is believed, whatever HTTP's."""
    answers(gate, respond(404, b"", [GRPC, ("grpc-status", "5"),
                                     ("grpc-message", "none%20here")]))
    r = c.response(rpc.begin(c, "/app.Service/Get", b"x"))
    assert r["grpc-status"] == "5" and r["grpc-message"] == "none%20here"


@pytest.mark.parametrize("path, http_status, status, text", [
    ("/down.Service/Get", 503, UNAVAILABLE, "closed for 5 %25 of a day"),
    ("/moved.Service/Get", 302, UNKNOWN,
     "this is at https://new.example/moved.Service/Get"),
    ("/led.Service/Get", 308, UNKNOWN,
     "this is at https://localhost/led.Service/Get")])
def test_own_answers(gate, c, path, http_status, status, text):
    """Those of routes without a server, too."""
    a = rpc.call(c, path, b"x")
    assert a.alone and (a.status, a.message) == (status, text)
    rec = record(gate, a.head["x-request-id"])
    assert rec["grpc_status"] == NAMES[status] and rec["status"] == 200
    assert rec["cause"] == f"the answer was HTTP status {http_status}"
    # others get it as it stands
    r = c.response(c.ask_for("POST", path))
    assert r.status == http_status and r.get("grpc-status") is None


# --- what servers say ---

def test_passes(gate, c):
    answers(gate, reply(b"one", b"two", status=7, more=[
        ("grpc-message", "caf%C3%A9"), ("x-more-bin", "AAECAw==")]))
    a = rpc.call(c, "/app.Service/Get", b"x")
    assert not a.alone and a.messages == [b"one", b"two"]
    assert (a.status, a.message) == (7, "caf%C3%A9")
    assert a.trailers["x-more-bin"] == "AAECAw=="
    rec = record(gate, a.head["x-request-id"])
    assert rec["grpc_status"] == "PERMISSION_DENIED" and "fail" not in rec


def test_odd_status(gate, c):
    was = counters(gate)["grpc_unknown_total"]
    answers(gate, reply(b"one", status=77))
    a = rpc.call(c, "/app.Service/Get", b"x")
    assert a.status == 77
    assert record(gate, a.head["x-request-id"])["grpc_status"] == "77"
    assert counters(gate)["grpc_unknown_total"] == was + 1


# --- behind the head ---

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n" \
    b"Transfer-Encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_server_dies(gate, c):
    """The call ends with trailers, not with a reset."""
    answers(gate, raw(HEAD + chunk(message(b"one")) +
                      chunk(message(length=9) + b"cut"), then_close=True))
    sid = rpc.begin(c, "/app.Service/Get", b"x")
    r = c.response(sid)
    assert r.body == message(b"one") + message(length=9) + b"cut"
    end = dict(r.trailers)
    assert end["grpc-status"] == str(UNAVAILABLE)
    assert "reset_in_body" in end["grpc-message"]
    rec = record(gate, r["x-request-id"])
    assert rec["fail"] == "reset_in_body"
    assert rec["grpc_status"] == "UNAVAILABLE"


def test_answer_message(gate, c):
    """1000 bytes pass, 1001 do not, and nothing of them does."""
    answers(gate, reply(bytes(1000), bytes(1000)))
    assert rpc.call(c, "/app.Service/Get", b"x").status == OK
    answers(gate, raw(HEAD + chunk(message(b"ok"))[:-4],
                      b"ok\r\n" + chunk(message(length=1001) + b"long")))
    a = rpc.call(c, "/app.Service/Get", b"x")
    assert a.status == EXHAUSTED and a.messages in ([], [b"ok"])
    assert "answer_message_too_large" in a.message
    rec = record(gate, a.head["x-request-id"])
    assert rec["fail"] == "answer_message_too_large"
    assert rec["cause"] == "1001 bytes"


def test_request_message(gate, c):
    """max_body is of one message, not of the stream."""
    n = len(gate.call.requests)
    a = rpc.call(c, "/call.Service/Get", *[bytes(100)] * 50)
    assert a.status == OK and len(gate.call.requests[n].body) == 50 * 105
    sid = c.headers(rpc.fields("/call.Service/Get"), end=False)
    c.data(sid, message(b"a") + message(length=101)[:3], end=False)
    c.data(sid, message(length=101)[3:], end=False)
    a = rpc.answer(c, sid)
    assert a.alone and a.status == EXHAUSTED
    assert "message_too_large" in a.message
    rec = record(gate, a.head["x-request-id"])
    assert rec["fail"] == "message_too_large"


def test_length_of_the_stream(gate, c):
    """Content-Length says nothing of messages."""
    a = rpc.call(c, "/call.Service/Get", *[b"x" * 90] * 3,
                 more=[("content-length", str(3 * 95))])
    assert a.status == OK


def refused(gate, c, path, **kw):
    """A stream of messages without an end, none of them too large."""
    sid = rpc.begin(c, path, *[b""] * 200, **kw)
    a = rpc.answer(c, sid)
    assert a.status == EXHAUSTED and "(body_too_large" in a.message
    assert record(gate, a.head["x-request-id"])["fail"] == "body_too_large"


def test_no_call(gate, c):
    """The type alone lifts no limit: a server that cannot be asked so, a
    client that is none of gRPC's, HTTP/1, an answer of our own."""
    refused(gate, c, "/app.Service/Get")
    refused(gate, c, "/app.Service/Get",
            more=[("content-length", "1000")])
    fields = [f for f in rpc.fields("/call.Service/Get") if f[0] != "te"]
    sid = c.headers(fields, end=False)
    c.upload(sid, message() * 200)
    assert rpc.answer(c, sid).status == EXHAUSTED
    refused(gate, c, "/own.Service/Get",
            more=[("content-length", "1000")])
    for length in ({"Content-Length": "1000"},
                   {"Transfer-Encoding": "chunked"}):
        with http.Client(gate.port) as h1:
            h1.send(http.request("POST", "/call.Service/Get", {
                "Content-Type": rpc.TYPE, "TE": "trailers", **length}))
            if "Transfer-Encoding" in length:
                h1.send(b"%x\r\n%s\r\n0\r\n\r\n" % (1000, message() * 200))
            r = h1.response()
        assert r.status == 413 and r["grpc-status"] == str(EXHAUSTED)


def test_slow_no_call():
    """Nor does it lift the times of a body."""
    conf = CONF.replace("http = 1.1 2\n", "http = 2\ntimeout.body = 200ms\n")
    with Peer(default=reply(b"pong")) as app, \
            wire.gateway(conf.format(app=app.addr, call=app.addr),
                         {"../page.html": b""}) as s:
        with h2.H2(s.port, timeout=10) as c:
            a = rpc.answer(c, rpc.begin(c, "/app.Service/Get", b"x",
                                        end=False))
    assert a.status == CANCELLED and "body_timeout" in a.message


# --- time ---

def test_deadline(gate, c):
    """The caller's own, whoever it is; the server is told what is left."""
    n = len(gate.app.requests)
    stuck = threading.Event()
    answers(gate, hold(stuck))
    a = rpc.call(c, "/app.Service/Get", b"x", timeout="300m")
    stuck.set()
    assert a.alone and a.status == DEADLINE
    assert "deadline_exceeded" in a.message
    told = gate.app.requests[n].get("grpc-timeout")
    assert told.endswith("m") and 0 < int(told[:-1]) <= 300
    rec = record(gate, a.head["x-request-id"])
    assert rec["grpc_status"] == "DEADLINE_EXCEEDED"
    assert 290000 <= rec["duration_us"] < 3000000


def test_deadline_behind_the_head(gate, c):
    gate.call.script[:] = [one]
    a = rpc.call(c, "/idle.Service/Get", b"x", timeout="200m")
    assert not a.alone and a.messages == [b"one"] and a.status == DEADLINE


def test_deadline_off(gate, c):
    n = len(gate.app.requests)
    answers(gate, delay(0.3, reply(b"late")))
    a = rpc.call(c, "/off.Service/Get", b"x", timeout="1m")
    assert a.status == OK and a.messages == [b"late"]
    assert gate.app.requests[n].get("grpc-timeout") == "1m"


def test_no_time_left(gate, c):
    n = len(gate.app.requests)
    a = rpc.call(c, "/app.Service/Get", b"x", timeout="0n")
    assert a.status == DEADLINE and len(gate.app.requests) == n


def test_total(gate, c):
    stuck = threading.Event()
    answers(gate, hold(stuck))
    a = rpc.call(c, "/total.Service/Get", b"x", timeout="1H")
    stuck.set()
    assert a.status == DEADLINE and "total_timeout" in a.message


def one(conn, r):
    """The first message of an answer, and nothing more."""
    conn.reply(r.sid, 200, [("content-type", rpc.TYPE)])
    conn.data(r.sid, message(b"one"), False)


def test_between(gate, c):
    """Not timeout.between but stream_idle holds for a call under way."""
    go = threading.Event()

    def rest(conn, r):
        go.wait(0.6)
        conn.data(r.sid, message(b"two"), False)
        conn.trailers(r.sid, [("grpc-status", "0")])

    def step(conn, r):
        one(conn, r)
        threading.Thread(target=rest, args=(conn, r), daemon=True).start()
    gate.call.script[:] = [step]
    a = rpc.call(c, "/between.Service/Get", b"x")
    assert a.status == OK and a.messages == [b"one", b"two"]


def test_between_of_no_call(gate, c):
    """The type alone does not lift it: neither for a server that cannot be
    asked so, nor for a client of HTTP/1."""
    answers(gate, raw(HEAD + chunk(message(b"one"))))
    a = rpc.call(c, "/app.Service/Get", b"x")
    assert a.messages == [b"one"] and "between_timeout" in a.message
    gate.call.script[:] = [one]
    with http.Client(gate.port) as h1:
        h1.send(http.request("POST", "/between.Service/Own", {
            "Content-Type": rpc.TYPE, "TE": "trailers"}, b"x"))
        with pytest.raises(http.Closed):
            h1.response()
    assert json.loads(gate.wait_log("/between.Service/Own")[-1])["fail"] == \
        "between_timeout"


def test_idle(gate, c):
    gate.call.script[:] = [one]
    a = rpc.call(c, "/idle.Service/Get", b"x")
    assert a.messages == [b"one"] and a.status == UNAVAILABLE
    assert "stream_idle_timeout" in a.message


def test_idle_before_the_head(gate, c):
    """Both sides wait for each other."""
    gate.call.script[:] = [at_head(quiet())]
    sid = rpc.begin(c, "/idle.Service/Get", b"x", end=False)
    a = rpc.answer(c, sid)
    assert a.alone and a.status == UNAVAILABLE
    assert "stream_idle_timeout" in a.message


def test_quiet_before_the_head(gate, c):
    """Who sends the head with its first message is quiet until then."""
    go = threading.Event()

    def late(conn, r):
        go.wait(0.5)
        one(conn, r)
        conn.trailers(r.sid, [("grpc-status", "0")])

    def step(conn, r):
        threading.Thread(target=late, args=(conn, r), daemon=True).start()
    n = 6       # as many as would eject it
    gate.call.script[:] = [at_head(step)] * n
    calls = [rpc.begin(c, "/late.Service/Get", b"x") for _ in range(n)]
    for sid in calls:
        a = rpc.answer(c, sid)
        assert a.status == OK and a.messages == [b"one"]
    with http.Client(gate.control) as h1:
        up, = json.loads(h1.get("/v1/upstreams?name=late").body)["upstreams"]
    assert [r["state"] for r in up["servers"]] == ["up"]


@pytest.mark.parametrize("service, timeout, code, row", [
    ("late", "400m", DEADLINE, "deadline_exceeded"),
    ("first", None, UNAVAILABLE, "first_byte_timeout"),
    ("first", "9S", UNAVAILABLE, "first_byte_timeout")])
def test_who_ends_it(gate, c, service, timeout, code, row):
    """The caller's deadline, and the first_byte of a route."""
    gate.call.script[:] = [at_head(quiet())]
    a = rpc.call(c, f"/{service}.Service/Get", b"x", timeout=timeout)
    assert a.alone and a.status == code and row in a.message


def test_first_byte_of_no_call(gate, c):
    """It holds for what is none, though its type is that of one."""
    gate.call.script[:] = [at_head(quiet())]
    with http.Client(gate.port) as h1:
        r = h1.ask("POST", "/late.Service/Own", {
            "Content-Type": rpc.TYPE, "TE": "trailers"}, b"x")
    wire.is_fail(r, "first_byte_timeout")


def test_cancel(gate, c):
    go = threading.Event()
    n = len(gate.app.requests)
    answers(gate, hold(go))
    sid = rpc.begin(c, "/off.Service/Cancelled", b"x")
    gate.app.wait_requests(n + 1)
    c.send(h2.rst(sid))
    rec = json.loads(gate.wait_log("/off.Service/Cancelled")[-1])
    go.set()
    assert rec["fail"] == "client_reset"
    assert rec["grpc_status"] == "CANCELLED"


def test_reset_before_the_head(gate, c):
    answers(gate, close_now())
    a = rpc.call(c, "/app.Service/Get", b"x")
    assert a.status == UNAVAILABLE and "reset_before_head" in a.message


def test_slow_body():
    """A call's body may pause longer than timeout.body."""
    conf = CONF.replace("http = 1.1 2\n", "http = 2\ntimeout.body = 200ms\n")
    with H2Peer(default=pong()) as app, \
            wire.gateway(conf.format(app=app.addr, call=app.addr),
                         {"../page.html": b""}) as s:
        with h2.H2(s.port, timeout=10) as c:
            sid = rpc.begin(c, "/call.Service/Get", b"x", end=False)
            other = c.headers(h2.request("POST", "/call.Service/Post"),
                              end=False)
            r = c.response(other)
            assert r.status == 408
            c.data(sid, message(b"y"))
            assert rpc.answer(c, sid).status == OK
            assert rpc.messages(app.requests[0].body) == [b"x", b"y"] or \
                rpc.messages(app.requests[1].body) == [b"x", b"y"]


# --- what operators see ---

@pytest.mark.parametrize("path, status, row", [
    ("/none.Service/Get", UNIMPLEMENTED, "no_route"),
    ("/get.Service/Get", UNIMPLEMENTED, "method_not_allowed"),
    ("/%00.Service/Get", INTERNAL, "bad_path")])
def test_explain(gate, c, path, status, row):
    """It says what the client gets."""
    a = rpc.call(c, path, b"x")
    args = ("explain", "-X", "POST", f"http://localhost:{gate.port}{path}",
            "-H", "Content-Type: application/grpc+proto")
    told = gate.ctl_json(*args)["answer"]
    assert told["fail"] == row and told["status"] == a.http == 200
    assert told["grpc_code"] == a.status == status
    assert told["grpc_status"] == NAMES[status]
    assert f"\nanswer    200 with grpc-status {status}, {NAMES[status]}; " \
        f"{row}: " in gate.ctl(*args).stdout
    # another POST is none
    told = gate.ctl_json(*args[:-2])["answer"]
    assert told["status"] >= 400 and "grpc_status" not in told


def test_lines(gate, c):
    """Lines for people have the code as well."""
    answers(gate, respond(503, b"<h1>no</h1>", [("Content-Type",
                                                 "text/html")]))
    rid = rpc.call(c, "/app.Service/Lines", b"x").head["x-request-id"]
    gate.wait_log(rid)
    out = gate.ctl("log", f'id = "{rid}"').stdout
    assert " grpc_status=UNAVAILABLE " in out and "HTTP status 503" in out

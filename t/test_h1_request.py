"""The corpus of requests, sent to the real server, whole and in pieces.

Two listeners: behind `web` nothing may ever arrive, it gets what is
refused in the head; behind `body` stands a server that answers.
"""
import pytest

from lib import corpus, http, wire
from lib.peer import Peer

BAD = [c for c in corpus.load("request_*_bad") + corpus.load("request_good")
       if c.fail and not c.messages]
# refused only when the head is through
BODY = [c for c in corpus.load("request_*")
        if c.fail and c.messages and not c.messages[-1].ended]
GOOD = [c for c in corpus.load("request_*")
        if c.messages and c.messages[-1].ended]
CUT = [c for c in corpus.load("request_*") if c.cut]

CONF = """
[limits]
body = 0
[listener web]
bind = 127.0.0.1:@port@
[listener body]
bind = 127.0.0.1:@port2@
""" + wire.PROBE

# what routing says to a target that the parser lets pass
PATHS = {"all bytes that targets have": "bad_path",
         "absolute-form of https": "misdirected"}
OURS = {"host", "via", "x-forwarded-for", "x-forwarded-host",
        "x-forwarded-proto", "x-real-ip", "x-request-id", "content-length",
        "transfer-encoding", "connection", "te", "expect"}


@pytest.fixture(scope="module")
def gate():
    with Peer() as never, Peer() as app, wire.gateway(CONF + f"""
[upstream never]
server = {never.addr}
[upstream app]
server = {app.addr}
[route never]
listener = web
path = /*
upstream = never
[route app]
listener = body
path = /*
upstream = app
""") as s:
        s.never, s.app = never, app
        yield s
        assert never.connections == 0
        assert not app.errors


def send(c, data, how):
    """Even when refused meanwhile, the server takes what is sent."""
    if how == "whole":
        c.send(data)
    else:
        c.send_pieces(data, 1 if len(data) < 400 else 997)


def both(cases):
    return pytest.mark.parametrize(
        "case,how", [(c, how) for c in cases for how in ("whole", "pieces")],
        ids=lambda v: v if isinstance(v, str) else v.id)


def test_enough():
    assert len(BAD) + len(BODY) >= 150


@both(BAD)
def test_refused(gate, case, how):
    before = wire.sums(gate)
    with http.Client(gate.port) as c:
        send(c, case.data, how)
        r = c.response()
        wire.is_fail(r, case.fail)
        if r.closes:
            wire.ends(c)
        else:
            assert not wire.FAILS[case.fail][1]
            if b"Content-Length: 5" in case.data:
                c.send(b"hello")
            wire.goes_on(c)
    assert gate.never.connections == 0
    after = wire.sums(gate)
    counted = f"responses_{r.status // 100}xx_total"
    assert after[counted] == before[counted] + 1
    assert after["requests_total"] >= before["requests_total"] + 1


@both(BODY)
def test_refused_in_body(gate, case, how):
    """The server behind may see a beginning, never a whole request."""
    with http.Client(gate.value("port2")) as c:
        whole = len(gate.app.requests)
        send(c, case.data, how)
        r = c.response()
        wire.is_fail(r, case.fail)
        wire.ends(c)
    assert len(gate.app.requests) == whole


def check(got, want):
    """What arrived at the server is what the corpus says."""
    assert got.method == want.method
    assert got.version == "HTTP/1.1"
    assert corpus.same(got.target, want.target)
    host, = got.all("host")
    if want.authority:
        assert corpus.same(host, want.authority)
    names = {n for n, _ in want.fields}
    assert [f for f in got.headers if f[0] in names] == [
        (n, v.strip(" \t")) for n, v in want.fields]
    # an upgrade goes on, and is asked for anew (RFC 9110 7.8)
    ours = OURS | ({"upgrade"} if got.get("upgrade") else set())
    assert {n for n, _ in got.headers} <= names | ours
    assert corpus.same(got.body.decode("latin-1"), want.data)
    assert got.trailers == want.trailers


def answered(c, want, name):
    """Reads one answer to a message that is understood."""
    r = c.response(want.method)
    if want.method == "CONNECT":
        wire.is_fail(r, "connect_refused")
    elif want.target == "*":
        assert r.status in (200, 204)
    elif name in PATHS:
        wire.is_fail(r, PATHS[name])
    else:
        assert r.status == 200, r
    return r


@both(GOOD)
def test_understood(gate, case, how):
    forwarded = [m for m in case.messages if m.method != "CONNECT" and
                 m.target != "*" and case.name not in PATHS]
    before = len(gate.app.requests)
    with http.Client(gate.value("port2")) as c:
        send(c, case.data, how)
        for want in case.messages:
            r = answered(c, want, case.name)
            assert r.closes == ("close" in want.flags or
                                want.method == "CONNECT"), r
        if case.fail:
            r = c.response()
            wire.is_fail(r, case.fail)
        if r.closes:
            wire.ends(c)
        else:
            wire.goes_on(c)
    got = gate.app.requests[before:]
    assert len(got) == len(forwarded)
    for request, want in zip(got, forwarded):
        check(request, want)


@both(CUT)
def test_cut(gate, case, how):
    """The client ends within a message: nothing of it counts."""
    whole = len(gate.app.requests)
    with http.Client(gate.value("port2")) as c:
        send(c, case.data, how)
        c.shut()
        if case.messages:
            wire.is_fail(c.response(), "body_cut")
        wire.ends(c)
    assert len(gate.app.requests) == whole


ROWS = {c.fail: c for c in BAD + BODY}


@pytest.mark.parametrize("row", sorted(ROWS))
def test_logged(gate, row):
    """Each row is in the access log, under the id that was told."""
    case = ROWS[row]
    with http.Client(gate.port if case in BAD else gate.value("port2")) as c:
        c.send(case.data)
        rid = wire.is_fail(c.response(), row)
    record = wire.record(gate, rid)
    assert record["fail"] == row
    assert record["status"] == wire.FAILS[row][0]

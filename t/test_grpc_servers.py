"""What servers of gRPC do, and what the gateway makes of it: their patience
with pings, statuses that speak of their health, codes of their resets."""
import json
import socket
import threading

import grpc
import pytest

from lib import conf as lib_conf
from lib import h2, net, rpc, watch, wire
from lib.breaker import half_open
from lib.grpc_server import Server, fail
from lib.h2peer import H2Peer, hold, reset
from test_h2_upstream import CONF

S = "/t.v1.Test/"
STRICT = 300000     # ms: what grpc-core allows, with nothing to send
SCALE = 600         # and so many times less here


def call(s, method, kind="unary_unary"):
    c = grpc.insecure_channel(f"127.0.0.1:{s.port}",
                              [("grpc.enable_retries", 0)])
    return c, getattr(c, kind)(S + method)


# --- pings ---

def default_ping():
    row, = (r for r in lib_conf.schema()["upstream"]["keys"]
            if r["key"] == "pool.ping")
    n, unit = row["default"][:-1], row["default"][-1]
    return int(n) * {"s": 1000, "m": 60000}[unit]


@pytest.mark.parametrize("ms, ends", [(STRICT // SCALE // 10, True),
                                      (default_ping() // SCALE, False)],
                         ids=["sooner", "default"])
def test_quiet(sluice, ms, ends):
    """Who asks a quiet server as rarely as by default is not sent away."""
    over = threading.Event()

    def watch(data, ctx):
        yield b"first"
        over.wait(60)
        yield b"last"
    options = [("grpc.http2.min_ping_interval_without_data_ms",
                STRICT // SCALE)]
    with Server({S + "Watch": ("1*", watch)}, options) as app:
        s = sluice(CONF.format(addr=app.addr, more=f"pool.ping = {ms}ms"))
        c, f = call(s, "Watch", "unary_stream")
        got = f(b"", timeout=60)
        assert next(got) == b"first"
        if ends:
            with pytest.raises(grpc.RpcError) as e:
                next(got)
            assert e.value.code() == grpc.StatusCode.UNAVAILABLE
            assert wire.sums(s)["upstream_http2_pings_total"] >= 3
        else:
            net.until("pings", lambda: wire.sums(s)[
                "upstream_http2_pings_total"] >= 6)
            over.set()
            assert list(got) == [b"last"]
        over.set()
        c.close()


# --- codes that are the server's fault ---

BAD = {2, 4, 13, 14, 15}    # as 5xx; 4 if the caller has set no deadline


def script(*codes):
    """Ends calls with these codes, then well; with a message first if
    that is what the caller sent."""
    left = list(codes)

    def one(data, ctx):
        code = left.pop(0) if left else 0
        if code:
            fail(ctx, code, "so it is")
        return b"well"

    def stream(data, ctx):
        yield b"first"
        one(data, ctx)
    return {S + "Get": ("11", one), S + "Watch": ("1*", stream)}


def code_of(f, **kw):
    try:
        got = f(b"", **kw)
        if hasattr(got, "__next__"):
            list(got)
    except grpc.RpcError as e:
        return e.code().value[0]
    return 0


@pytest.mark.parametrize("method, kind", [("Get", "unary_unary"),
                                          ("Watch", "unary_stream")])
@pytest.mark.parametrize("code", range(1, 17))
def test_counts(gate, method, kind, code):
    """Two in a row eject, by the code that ends the call alone."""
    s, app = gate
    app.methods = script(code, code)
    c, f = call(s, method, kind)
    was = watch.upstream(s)["servers"][0]["failures"]
    assert [code_of(f) for _ in range(3)] == [code, code, 0]
    assert watch.upstream(s)["servers"][0]["failures"] - was == \
        2 * (code in BAD)
    if code == 4:       # the caller's own time is no matter
        app.methods = script(code, code)
        assert [code_of(f, timeout=60) for _ in range(3)] == [4, 4, 0]
        assert watch.upstream(s)["servers"][0]["failures"] - was == 2
    c.close()


@pytest.mark.parametrize("word, bad", [("on", 0), ("trusted", 2),
                                       ("off", 0)])
def test_counts_with_a_deadline(sluice, word, bad):
    """So is what it says in HTTP's field, if the server is told."""
    with Server(script(4, 4)) as app:
        s = sluice(CONF.format(addr=app.addr, more="outlier = off") +
                   f"deadline = {word}\n")
        c, f = call(s, "Get")
        told = (("x-request-deadline", "60000"),)
        assert [code_of(f, metadata=told) for _ in range(3)] == [4, 4, 0]
        assert watch.upstream(s)["servers"][0]["failures"] == bad
        c.close()


@pytest.fixture(scope="module", name="gate")
def _gate():
    with Server({}) as app, wire.gateway(CONF.format(
            addr=app.addr, more="outlier = off")) as s:
        yield s, app


def test_ejects(sluice):
    """The call that fails last ejects, and others are asked."""
    with Server(script(*[14] * 100)) as bad, Server(script()) as good:
        s = sluice(CONF.format(
            addr=bad.addr, more=f"server = h2c://{good.addr}\n"
            "balance = round_robin\noutlier.consecutive = 3"))
        c, f = call(s, "Watch", "unary_stream")
        got = [code_of(f) for _ in range(20)]
        assert got.count(14) == 3 and len(bad.calls) == 3
        watch.wait_change(s, bad.addr, "up", "ejected", "grpc_error")
        assert [m["sum"] for m in s.ctl_json("metrics")["metrics"]
                if m.get("fail") == "grpc_error" and m["name"] ==
                "upstream_attempts_failed_total"] == [3]
        c.close()


def test_breaker(sluice):
    """It opens; a probe that ends so is none that went well, though its
    head came first."""
    with Server(script(*[13] * 3)) as app:
        s = sluice(CONF.format(
            addr=app.addr, more="outlier = off\nbreaker.failures = 2\n"
            "breaker.successes = 1\nbreaker.open = 300ms"))
        c, f = call(s, "Get")
        assert [code_of(f), code_of(f)] == [13, 13]
        assert code_of(f) == 14 and len(app.calls) == 2
        half_open(s)
        assert code_of(f) == 13
        assert code_of(f) == 14 and len(app.calls) == 3
        half_open(s)
        assert code_of(f) == 0 and code_of(f) == 0
        c.close()


# --- codes of resets ---

CODES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR",
         "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
         "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL",
         "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
         "INADEQUATE_SECURITY"]
# as "gRPC over HTTP2" has it; STREAM_CLOSED has no meaning of its own
MEANT = dict.fromkeys(CODES, 13) | {
    "STREAM_CLOSED": 14, "REFUSED_STREAM": 14, "CANCEL": 1,
    "ENHANCE_YOUR_CALM": 8, "INADEQUATE_SECURITY": 7}


@pytest.fixture(scope="module", name="resets")
def _resets():
    with H2Peer() as app, wire.gateway(CONF.format(
            addr=app.addr, more="outlier = off\nretry.on = off")) as s:
        yield s, app
        assert not app.errors


def ask_raw(s, app, step, go=None):
    app.script[:] = [step]
    with h2.H2(s.port, timeout=10) as c:
        sid = rpc.begin(c, S + "Get", b"x")
        r = c.head(sid)
        if go:
            c.kept.insert(0, c.frame(lambda f: f.type == h2.DATA))
            go.set()
        c.body(sid, r)
        return rpc.Answer(r)


def ask_behind(s, app, step):
    """What follows when the client has the head and a message."""
    go = threading.Event()

    def first(c, r):
        c.reply(r.sid, headers=[("content-type", rpc.TYPE)])
        c.data(r.sid, rpc.message(b"one"), False)
        hold(go, step)(c, r)
    return ask_raw(s, app, first, go)


@pytest.mark.parametrize("behind", [False, True], ids=["head", "body"])
@pytest.mark.parametrize("code", range(len(CODES)), ids=CODES)
def test_reset(resets, code, behind):
    s, app = resets

    def step(c, r):
        c.rst(r.sid, code)
    a = ask_behind(s, app, step) if behind else ask_raw(s, app, step)
    rid = a.head["x-request-id"]
    name = CODES[code]
    assert a.status == MEANT[name] and a.alone is not behind
    assert a.messages == [b"one"] * behind
    rec = json.loads(s.wait_log(f'"id":"{rid}"')[-1])
    if code != 7 or behind:
        assert rec["cause"] == name
        assert rec["fail"] == ("reset_in_body" if behind else
                               "server_reset")
    else:
        assert rec["fail"] == "stream_refused"
    assert rec["grpc_status"] == grpc_name(a.status)


def grpc_name(code):
    return next(c.name for c in grpc.StatusCode if c.value[0] == code)


def test_lost(resets):
    """A connection that ends is no reset, whatever its GOAWAY says."""
    s, app = resets

    def step(c, r):
        c.goaway(r.sid, h2.CALM)
        c.sock.shutdown(socket.SHUT_WR)
    a = ask_behind(s, app, step)
    assert (a.status, a.messages) == (14, [b"one"])
    rec = json.loads(s.wait_log(a.head["x-request-id"])[-1])
    assert rec["cause"] == "ENHANCE_YOUR_CALM"


def test_reset_then_well(sluice):
    """What another server says counts, not the code of the first."""
    with H2Peer(default=reset(h2.CANCEL)) as bad, \
            Server(script(*[5] * 9)) as good:
        s = sluice(CONF.format(
            addr=bad.addr, more=f"server = h2c://{good.addr}\n"
            "balance = round_robin\noutlier = off\nretry.on = off"))
        c, f = call(s, "Get")
        assert sorted(code_of(f) for _ in range(6)) == [1] * 3 + [5] * 3
        c.close()

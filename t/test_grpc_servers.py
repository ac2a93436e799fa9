"""What servers of gRPC do, and what the gateway makes of it: their patience
with pings, statuses that speak of their health, codes of their resets."""
import threading

import grpc
import pytest

from lib import conf as lib_conf
from lib import net, watch, wire
from lib.breaker import half_open
from lib.grpc_server import Server, fail

CONF = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[upstream app]
server = h2c://{addr}
{more}
[route all]
path = /*
upstream = app
"""
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

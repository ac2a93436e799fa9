"""What servers of gRPC do, and what the gateway makes of it: their patience
with pings, statuses that speak of their health, codes of their resets."""
import threading

import grpc
import pytest

from lib import conf as lib_conf
from lib import net, wire
from lib.grpc_server import Server

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

"""Probes of type grpc: grpc.health.v1, asked of servers that speak it, and
of those that do not."""
import threading

import grpc
import pytest

from lib.certs import Cert, put
from lib.grpc_server import Server, fail
from lib.peer import Peer, respond
from lib.watch import servers, wait_until

CONF = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[upstream app]
slow_start = 0
health.type = grpc
health.interval = 100ms
health.timeout = 1s
health.fall = 2
{lines}
[route all]
path = /*
upstream = app
"""
CHECK = "/grpc.health.v1.Health/Check"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


class App:
    """A server whose health is what a test says."""

    def __init__(self, answer=SERVING, **kw):
        self.answer, self.asked = answer, []
        self.server = Server({CHECK: ("11", self.check),
                              "/t.v1.Test/Get": ("11", self.get)}, **kw)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def get(self, data, ctx):
        return b"got"

    def check(self, data, ctx):
        self.asked.append((data, dict(ctx.invocation_metadata()),
                           ctx.time_remaining()))
        if callable(self.answer):
            return self.answer(ctx)
        return self.answer


def conf(*lines):
    return CONF.format(lines="\n".join(lines))


def state(s):
    (only,) = servers(s).values()
    return only


def wait_state(s, name):
    """What is said of the server once it is that."""
    return wait_until(f"the server is {name}",
                      lambda: state(s)["state"] == name and state(s))


def test_serving(sluice):
    with App() as app:
        s = sluice(conf(f"server = h2c://{app.server.addr}",
                        "health.service = t.v1.Test",
                        "health.host = app.example",
                        "health.header.x-probe = yes"))
        wait_until("probes", lambda: len(app.asked) > 3)
        assert state(s)["state"] == "up"
        data, fields, left = app.asked[0]
        assert data == b"\x0a\x09t.v1.Test"
        assert fields["user-agent"] == "sluice-health"
        assert fields["x-probe"] == "yes" and 0 < left <= 1
        with grpc.insecure_channel(f"127.0.0.1:{s.port}") as c:
            assert c.unary_unary("/t.v1.Test/Get")(b"", timeout=20) == \
                b"got"
        app.answer = NOT_SERVING
        bad = wait_state(s, "down")
        assert bad["why"] == "probe_grpc"
        s.wait_log("probe_grpc.*NOT_SERVING|NOT_SERVING.*probe_grpc")
        with grpc.insecure_channel(f"127.0.0.1:{s.port}") as c:
            app.answer = SERVING
            wait_state(s, "up")
            assert c.unary_unary("/t.v1.Test/Get")(b"", timeout=20) == \
                b"got"


def test_whole_server(sluice):
    """Without a name the server as a whole is asked after."""
    with App() as app:
        s = sluice(conf(f"server = h2c://{app.server.addr}"))
        wait_until("a probe", lambda: app.asked)
        assert app.asked[0][0] == b""


BAD = {
    "not_serving": (NOT_SERVING, "NOT_SERVING"),
    "unknown": (b"", "UNKNOWN"),
    "service_unknown": (b"\x08\x03", "SERVICE_UNKNOWN"),
    "odd": (b"\x08\x2a", "an unknown state"),
    "malformed": (b"\x08", "a malformed answer"),
    "not_found": (lambda ctx: fail(ctx, 5, "no such"), "NOT_FOUND"),
    "unavailable": (lambda ctx: fail(ctx, 14), "UNAVAILABLE"),
}


@pytest.mark.parametrize("name", BAD)
def test_sick(sluice, name):
    answer, word = BAD[name]
    with App(answer) as app:
        s = sluice(conf(f"server = h2c://{app.server.addr}"))
        bad = wait_state(s, "down")
        assert bad["why"] == "probe_grpc"
        s.wait_log(word)


def test_no_protocol(sluice):
    """A server of gRPC that has no such service."""
    with Server({}) as app:
        s = sluice(conf(f"server = h2c://{app.addr}"))
        assert wait_state(s, "down")["why"] == "probe_grpc"
        s.wait_log("UNIMPLEMENTED")


def test_http1(sluice):
    """A server of HTTP/1 is asked in HTTP/2 all the same."""
    with Peer(default=respond()) as app:
        s = sluice(conf(f"server = {app.addr}"))
        why = wait_state(s, "down")["why"]
        assert why != ""


def test_hangs(sluice):
    go = threading.Event()
    with App(lambda ctx: go.wait(20) and b"") as app:
        s = sluice(conf(f"server = h2c://{app.server.addr}").replace(
            "timeout = 1s", "timeout = 200ms"))
        assert wait_state(s, "down")["why"] in (
            "first_byte_timeout", "probe_grpc")
        go.set()


def test_tls(sluice, tmp):
    ca = Cert("test ca", ca=True)
    leaf = Cert("localhost", by=ca)
    own = grpc.ssl_server_credentials([(leaf.key_pem(), leaf.chain)])
    with App(credentials=own) as app:
        s = sluice(conf(f"server = h2://{app.server.addr}",
                        f"tls.ca = {put(tmp, 'ca.pem', ca.pem)}",
                        "tls.name = localhost"))
        wait_until("probes", lambda: len(app.asked) > 2)
        assert state(s)["state"] == "up"
        app.answer = NOT_SERVING
        assert wait_state(s, "down")["why"] == "probe_grpc"

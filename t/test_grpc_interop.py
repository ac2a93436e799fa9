"""grpcio and @grpc/grpc-js, one at either end of the gateway, with the
cases of gRPC's public description of interoperability."""
import os
from collections import Counter

import pytest

from lib import grpc_ends, wire
from lib.certs import Cert, put

CASES = (
    "empty_unary", "large_unary", "client_streaming", "server_streaming",
    "ping_pong", "empty_stream", "cancel_after_begin",
    "cancel_after_first_response", "timeout_on_sleeping_server",
    "status_code_and_message", "special_status_message", "custom_metadata",
    "unimplemented_method", "unimplemented_service")
CONF = """
[sluice]
workers = 2
stop = 1s
drain.timeout = 1s
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
{listener}
[upstream app]
server = {server}
{upstream}
[route app]
path = /sluice.test.Interop/*
upstream = app
"""
TLS = """
tls = on
[cert a]
cert = @dir@/a.crt
key = @dir@/a.key
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A CA and a certificate of its: (directory, Cert of localhost, CA)."""
    top = str(tmp_path_factory.mktemp("ca"))
    ca = Cert("test ca", ca=True)
    leaf = Cert("localhost", by=ca)
    put(top, "ca.pem", ca.pem)
    put(top, "a.crt", leaf.chain)
    put(top, "a.key", leaf.key_pem())
    return top, leaf


@pytest.fixture(scope="module", params=[
    (c, s, t) for c, s in (("py", "js"), ("js", "py"))
    for t in ("h2c", "tls")], ids="-".join)
def run(request, made):
    """A client's run through all its cases: results, records, server."""
    client, server, how = request.param
    top, leaf = made
    tls = how == "tls"
    ca, crt, key = (os.path.join(top, n) for n in ("ca.pem", "a.crt",
                                                   "a.key"))
    with grpc_ends.server(server, *((crt, key) if tls else ())) as peer:
        conf = CONF.format(
            listener=TLS if tls else "",
            server=f"{'h2' if tls else 'h2c'}://127.0.0.1:{peer.port}",
            upstream=f"tls.ca = {ca}\ntls.name = localhost" if tls else "")
        files = {"../a.crt": leaf.chain, "../a.key": leaf.key_pem()}
        with wire.gateway(conf, files) as s:
            done = grpc_ends.client(client, s.port,
                                    *((ca,) if tls else ()))
            # it is known to the server before the client's next call
            peer.wait_said("cancelled Chat")
            yield done, s, peer


@pytest.mark.parametrize("case", CASES)
def test_case(run, case):
    done = run[0]
    assert done[case] == ""


def test_records(run):
    """Each call has left the record that it should."""
    s = run[1]
    s.wait_log("Absent/Nothing")
    rows = [r for r in s.log() if "target" in r]
    assert all(r["version"] == "2.0" for r in rows)
    ends = Counter((r["target"].split("/")[-1], r["grpc_status"])
                   for r in rows)
    assert ends["Nothing", "OK"] == 1
    assert ends["Nothing", "UNIMPLEMENTED"] == 1
    assert ends["Missing", "UNIMPLEMENTED"] == 1
    assert ends["Spread", "OK"] == 1
    assert ends["Gather", "OK"] == 1
    assert ends["Unary", "OK"] == 2 and ends["Unary", "UNKNOWN"] == 2
    assert ends["Chat", "UNKNOWN"] == 1
    # One was cancelled, the time of one was over.  Node ends its request
    # before it resets the stream, so the server may have been quicker.
    late = ends["Chat", "DEADLINE_EXCEEDED"] + ends["Chat", "CANCELLED"]
    assert late in (1, 2) and ends["Chat", "OK"] + late == 5
    odd = [r["fail"] for r in rows if r.get("fail") not in (
        None, "client_reset", "client_gone", "no_route",
        "deadline_exceeded")]
    assert not odd

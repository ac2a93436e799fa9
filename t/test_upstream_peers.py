"""Real servers behind the gateway: nginx, Python's http.server, Node's
http.  What they answer arrives, and their connections are kept or not as
they say."""
import hashlib
import json
import os
import tempfile

import pytest

from lib import http, peers, wire

pytestmark = [pytest.mark.versions, pytest.mark.turns]

CONF = """
[sluice]
workers = 1
stop = 2s
[listener web]
bind = 127.0.0.1:@port@
[limits]
body = 64m
[upstream app]
server = {addr}
[route app]
path = /*
upstream = app
"""


@pytest.fixture(scope="module", params=peers.PEERS)
def gate(request):
    name = request.param
    with tempfile.TemporaryDirectory(prefix="sl-", dir="/tmp") as top, \
            peers.backend(name, top) as app, \
            wire.gateway(CONF.format(addr=app.addr)) as s:
        s.app, s.kind = app, name
        yield s


def opened(gate):
    """Connections to the server that were ever opened."""
    return wire.sums(gate)["upstream_connections_total"]


def failed(gate):
    with http.Client(gate.control) as c:
        rows = c.get("/v1/failures").text
    return [r for r in json.loads(rows)["failures"]
            if r["requests"] or r["attempts"]]


@pytest.fixture(autouse=True)
def nothing_fails(gate):
    yield
    assert not failed(gate)


def test_keep_alive(gate):
    with http.Client(gate.port) as c:
        c.get("/f.txt")
        before = opened(gate)
        for _ in range(50):
            r = c.get("/f.txt")
            assert r.status == 200 and r.body == peers.SMALL
    assert opened(gate) == before


def test_chunked(gate):
    with http.Client(gate.port) as c:
        for _ in range(10):
            r = c.get("/chunked")
            assert r.status == 200 and r.body == peers.SMALL
            assert r.framing in ("chunked", "frames")


@pytest.mark.h1
def test_chunked_to_an_old_client(gate):
    """Without chunks the end of the connection ends it."""
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/chunked", version="1.0")
    assert r.body == peers.SMALL and r.framing == "close"


def test_head(gate):
    with http.Client(gate.port) as c:
        for target in ("/f.txt", "/big.bin", "/f.txt"):
            r = c.ask("HEAD", target)
            want = peers.SMALL if "txt" in target else peers.BIG
            assert r.status == 200 and r.body == b""
            assert r["content-length"] == str(len(want))
        # nothing of a body is left in the way
        assert c.get("/f.txt").body == peers.SMALL


def test_not_modified(gate):
    with http.Client(gate.port) as c:
        r = c.get("/f.txt")
        how = {"If-None-Match": r["etag"]} if r.get("etag") else \
            {"If-Modified-Since": r["last-modified"]}
        for _ in range(5):
            r = c.ask("GET", "/f.txt", how)
            assert r.status == 304 and r.body == b""
            assert c.get("/f.txt").body == peers.SMALL


def test_large_down(gate):
    with http.Client(gate.port) as c:
        for _ in range(3):
            r = c.get("/big.bin")
            assert r.status == 200 and r.body == peers.BIG


@pytest.mark.parametrize("size", [0, 1, 100_000, 8 << 20])
def test_up(gate, size):
    data = os.urandom(size)
    with http.Client(gate.port) as c:
        r = c.ask("PUT", "/up", body=data)
        assert r.status in (201, 204)
        assert c.get("/f.txt").body == peers.SMALL
    assert gate.app.stored() == hashlib.sha256(data).hexdigest()


def test_up_in_chunks(gate):
    data = os.urandom(3 << 20)
    with http.Client(gate.port) as c:
        c.send(http.request("PUT", "/up", [
            ("Transfer-Encoding", "chunked")]) + http.chunked(
                *[data[i:i + 50_000] for i in range(0, len(data), 50_000)]))
        assert c.response().status in (201, 204)
    assert gate.app.stored() == hashlib.sha256(data).hexdigest()


def test_expect(gate):
    data = os.urandom(1 << 20)
    with http.Client(gate.port) as c:
        c.send(http.request("PUT", "/up", [
            ("Expect", "100-continue"), ("Content-Length", str(len(data)))]))
        assert c.head().status == 100
        c.send(data)
        assert c.response().status in (201, 204)
    assert gate.app.stored() == hashlib.sha256(data).hexdigest()


def test_close(gate):
    """A server that ends the connection is asked over another one."""
    with http.Client(gate.port) as c:
        for _ in range(10):
            before = opened(gate)
            assert c.get("/close").body == peers.SMALL
            # the client's own connection is none the worse
            r = c.get("/f.txt")
            assert r.status == 200 and r.body == peers.SMALL
            assert opened(gate) == before + 1


@pytest.mark.h1
def test_pipelined(gate):
    """One after the other, in their order."""
    with http.Client(gate.port) as c:
        c.send(b"".join(http.request("GET", t) for t in
                        ("/f.txt", "/chunked", "/close", "/big.bin",
                         "/f.txt")))
        for want in (peers.SMALL, peers.SMALL, peers.SMALL, peers.BIG,
                     peers.SMALL):
            assert c.response().body == want

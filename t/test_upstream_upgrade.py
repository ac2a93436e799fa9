"""Upgraded connections: WebSocket and whatever else is agreed on."""
import socket
import threading

import pytest

from lib import http, net, wire, ws
from lib.cmd import Thread
from lib.peer import Gone, Peer, close_now, raw, respond

LISTEN = """
[listener web]
bind = 127.0.0.1:@port@
""" + wire.PROBE


def conf(*addrs, more="", top="", route=""):
    servers = "".join(f"server = {a}\n" for a in addrs)
    return f"{top}{LISTEN}[upstream app]\n{servers}{more}\n" \
        f"[route all]\npath = /*\nupstream = app\n{route}"


@pytest.fixture(scope="module")
def gate():
    """One server whose next answers a test may set: gate.app.script."""
    with Peer(default=ws.echoes()) as app, \
            wire.gateway(conf(app.addr)) as s:
        s.app = app
        yield s
        assert not app.errors


def ended(s, target):
    """The access record of the one upgrade of that target."""
    return wire.record(s, target=target)


def test_echo(gate):
    with ws.Socket(gate.port, "/echo") as w:
        w.echo(b"hello")
        w.echo(b"\0\xff" * 70000, ws.BINARY)
        w.send(b"\x03\xe8bye", ws.CLOSE)
        assert w.frame() == (True, ws.CLOSE, b"\x03\xe8bye")
        assert w.c.rest() == b""
    req = gate.app.requests[-1]
    assert req.get("connection") == "upgrade"
    assert req.get("upgrade") == "websocket"
    assert req.get("sec-websocket-version") == "13"
    assert req.all("x-forwarded-for") == ["127.0.0.1"]
    r = ended(gate, "/echo")
    assert r["status"] == 101 and "fail" not in r
    assert r["bytes_in"] > 140000 and r["bytes_out"] > 140000
    assert r["server"] == gate.app.addr

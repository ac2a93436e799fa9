"""Probes of servers, type by type: who is well, who is not, and why."""
import contextlib
import json
import os
import re
import socket
import threading

import pytest

from lib import http, net, ws
from lib.peer import (Peer, close_now, hold, raw, reset_now, respond)
from lib.watch import conf, line, servers, wait_change, wait_until

FAST = "health.interval = 100ms\nhealth.timeout = 400ms\n" \
    "health.fall = 2\nslow_start = 0\n"
HTTP = FAST + "health.path = /health\n"
WS = FAST + "health.type = websocket\nhealth.path = /ws\n"
TCP = FAST + "health.type = tcp\n"
OK = b"HTTP/1.1 200 OK\r\n"
NEVER = threading.Event()


def held():
    return hold(NEVER)


def then_held(step):
    """The step, and then nothing."""
    def both(conn, req):
        step(conn, req)
        with contextlib.suppress(Exception):
            conn.more()
        return False
    return both


def after_101(*data, end=False):
    """A right handshake, these bytes after the ping, and nothing more."""
    def step(conn, req):
        ws.switch(conn, req)
        while ws.parse(conn.buf) is None:
            conn.more()
        conn.send(b"".join(data))
        if not end:
            while True:
                conn.more()
        return False
    return step


def frame(data, op, mask=False):
    return ws.frame(data, op, True, mask)


BAD = {
    "status": (HTTP, respond(status=500), "probe_status"),
    "status_low": (HTTP + "health.expect = 204 300-302",
                   respond(), "probe_status"),
    "redirect": (HTTP + "health.expect = 200-299",
                 respond(status=302), "probe_status"),
    "body": (HTTP + "health.body = ready", respond(body=b"rea dy"),
             "probe_body"),
    "body_late": (HTTP + "health.body = ready",
                  respond(body=b"." * 65532 + b"ready"), "probe_body"),
    "regex": (HTTP + "health.body = ~ ^(ok|fine)$",
              respond(body=b"okay"), "probe_body"),
    "slow": (HTTP, held(), "first_byte_timeout"),
    "half_head": (HTTP, raw(OK + b"A: ", then_close=True), "reset_in_head"),
    "half_body": (HTTP, raw(OK + b"Content-Length: 5\r\n\r\nab",
                            then_close=True), "reset_in_body"),
    "stuck_body": (HTTP, then_held(raw(
        OK + b"Content-Length: 5\r\n\r\nab")), "between_timeout"),
    "closed": (HTTP, close_now(), "reset_before_head"),
    "reset": (HTTP, reset_now(), "reset_before_head"),
    "garbage": (HTTP, raw(b"220 smtp ready\r\n\r\n"), "bad_response_line"),
    "chunk": (HTTP, raw(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
              "bad_response_chunk"),
    "upgrade": (HTTP, raw(b"HTTP/1.1 101 S\r\nUpgrade: x\r\n"
                          b"Connection: upgrade\r\n\r\n"),
                "unexpected_upgrade"),
    "ws_200": (WS, respond(), "probe_websocket"),
    "ws_accept": (WS, then_held(raw(
        b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")),
        "probe_websocket"),
    "ws_none": (WS, ws.talks(lambda c, r: c.more()), "probe_websocket"),
    "ws_other": (WS, ws.talks(lambda c, r: c.more(), "mqtt"),
                 "probe_websocket"),
    "ws_quiet": (WS, after_101(), "probe_websocket"),
    "ws_pong": (WS, after_101(frame(b"12345678", ws.PONG)),
                "probe_websocket"),
    "ws_masked": (WS, after_101(frame(b"12345678", ws.PONG, True)),
                  "probe_websocket"),
    "ws_closed": (WS, after_101(frame(b"\x03\xe8", ws.CLOSE)),
                  "probe_websocket"),
    "ws_cut": (WS, after_101(end=True), "probe_websocket"),
    "ws_floods": (WS, after_101(frame(b"x" * 70000, ws.BINARY)),
                  "probe_websocket"),
    "ws_slow": (WS, held(), "first_byte_timeout"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad(sluice, peer, name):
    """Down after the second probe, with the row that tells why."""
    keys, step, why = BAD[name]
    app = peer(default=step)
    s = sluice(conf(app.addr, keys=keys))
    wait_change(s, app.addr, "up", "down", why)
    got = servers(s)[app.addr]
    assert got["state"] == "down" and got["why"] == why
    assert got["probe"]["failures"] == got["probe"]["probes"] >= 2
    assert got["probe"]["last"]["fail"] == why
    assert got["probe"]["changes"] == 1


def unix_of_another_type(tmp):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(os.path.join(tmp, "wrong.sock"))
    os.chmod(os.path.join(tmp, "wrong.sock"), 0o777)
    return s


@pytest.mark.parametrize("keys", [HTTP, WS, TCP], ids=["http", "ws", "tcp"])
def test_no_connection(sluice, tmp, keys):
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [socket.socket() for _ in range(2)]
    for w in waiting:
        w.setblocking(False)
        w.connect_ex(full.getsockname())
    wrong = unix_of_another_type(tmp)
    rows = {f"127.0.0.1:{net.free_port()}": "dial_refused",
            f"unix:{tmp}/nobody.sock": "dial_unreachable",
            f"unix:{tmp}/wrong.sock": "dial_error",
            "127.0.0.1:%d" % full.getsockname()[1]: "dial_timeout"}
    s = sluice(conf(*rows, keys=keys))
    for addr, why in rows.items():
        wait_change(s, addr, "up", "down", why)
    for sock in [full, wrong, *waiting]:
        sock.close()


def chatty(conn, req):
    """A WebSocket server that talks before, and after, it is asked."""
    ws.switch(conn, req, behind=frame(b"hello", ws.TEXT) +
              frame(b"x", ws.PING) + frame(b"", ws.PONG))
    while (f := ws.parse(conn.buf)) is None:
        conn.more()
    assert f[1] == ws.PING and len(f[2]) > 0
    conn.buf = conn.buf[f[3]:]
    pong = frame(b"y" * 300, ws.BINARY) + frame(f[2], ws.PONG)
    for i in range(len(pong)):
        conn.send(pong[i:i + 1])
    while (f := ws.parse(conn.buf)) is None:
        conn.more()
    assert f[1] == ws.CLOSE and f[2] == b"\x03\xe8"
    return False


def pongs(conn, req):
    """A WebSocket server as they are."""
    ws.switch(conn, req)
    while True:
        while (f := ws.parse(conn.buf)) is None:
            conn.more()
        conn.buf = conn.buf[f[3]:]
        if f[1] == ws.CLOSE:
            return False
        conn.send(frame(f[2], ws.PONG))


GOOD = {
    "http": (HTTP, respond()),
    "redirect": (HTTP, respond(status=302)),
    "expect": (HTTP + "health.expect = 200, 404 500-599",
               respond(status=404)),
    "interim": (HTTP, raw(b"HTTP/1.1 103 E\r\n\r\n" + OK +
                          b"Content-Length: 0\r\n\r\n")),
    "until_close": (HTTP + "health.body = ready",
                    raw(OK + b"\r\nI am ready", then_close=True)),
    "chunked": (HTTP + "health.body = ~ ^I am ready\\n$",
                respond(chunks=[b"I am", b" rea", b"dy\n"])),
    "large": (HTTP + "health.body = ready",
              respond(body=b"ready" + bytes(1 << 20))),
    "edge": (HTTP + "health.body = ready",
             respond(body=b"." * 65531 + b"ready")),
    "head": (HTTP + "health.method = HEAD",
             raw(OK + b"Content-Length: 5\r\n\r\n")),
    "type_alone": (FAST + "health.type = http", respond()),
    "alias": ("health_check = /health\nhealth_interval = 1\n", respond()),
    "ws": (WS, pongs),
    "ws_chatty": (WS, chatty),
}


@pytest.mark.parametrize("name", GOOD)
def test_good(sluice, peer, name):
    keys, step = GOOD[name]
    app = peer(default=step)
    s = sluice(conf(app.addr, keys=keys))
    got = wait_until("probes", lambda: (p := servers(s)[app.addr])
                     ["probe"]["probes"] >= 3 and p)
    assert got["state"] == "up" and got["probe"]["failures"] == 0
    assert got["probe"]["known"] and got["probe"]["last"]["fail"] is None
    assert 0 < got["probe"]["lately_us"] < 1e6 * net.SCALE
    assert got["probe"]["type"] == \
        ("websocket" if name.startswith("ws") else "http")


def test_tcp(sluice, peer):
    """A connection is all that it takes; nothing is said."""
    app = peer(default=close_now())
    s = sluice(conf(app.addr, keys=TCP))
    wait_until("probes", lambda: servers(s)[app.addr]["probe"]["probes"] >= 3)
    assert servers(s)[app.addr]["state"] == "up"
    # its thread may come to the last one later
    wait_until("connections", lambda: app.connections >= 3)
    assert app.requests == []
    app.stop()
    wait_change(s, app.addr, "up", "down", "dial_refused")


def test_request(sluice, peer):
    """What a probe asks, byte by byte."""
    app = peer()
    s = sluice(conf(app.addr, keys=HTTP))
    req = app.wait_requests(1)[0]
    assert req.raw.decode() == "GET /health HTTP/1.1\r\n" \
        f"Host: {app.addr}\r\nUser-Agent: sluice-health\r\n\r\n"
    other = peer()
    s.reload(conf(other.addr, keys=FAST + """
health.type = http
health.path = /a b?c=d
health.method = POST
health.host = app.example.com
health.header.Authorization = Bearer abc
health.header.x-two = 2
"""))
    req = other.wait_requests(1)[0]
    assert (req.method, req.target) == ("POST", "/a%20b?c=d")
    assert req.get("host") == "app.example.com"
    assert req.get("authorization") == "Bearer abc"
    assert req.get("x-two") == "2" and req.get("content-length") == "0"


def test_unix(sluice, tmp):
    path = os.path.join(tmp, "app.sock")
    with Peer(path=path) as app:
        os.chmod(path, 0o777)
        s = sluice(conf(app.addr, keys=HTTP))
        assert app.wait_requests(2)[0].get("host") == "localhost"
    wait_change(s, app.addr, "up", "down")


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("keys", [HTTP, TCP], ids=["http", "tcp"])
def test_proxy_header(sluice, version, keys):
    """It says that it comes for nobody."""
    want = b"PROXY UNKNOWN\r\n" if version == "v1" else \
        b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(net.WAIT)
        addr = "127.0.0.1:%d" % listener.getsockname()[1]
        s = sluice(conf(addr, keys=keys + f"send_proxy = {version}"))
        conn, _ = listener.accept()
        with conn:
            conn.settimeout(net.WAIT)
            got = b""
            while len(got) < len(want):
                got += conn.recv(len(want) - len(got))
            assert got == want
            rest = conn.recv(4096)
            assert rest.startswith(b"GET /health ") if keys == HTTP \
                else rest == b""
        s.stop()


def test_off(sluice, peer):
    """Nobody is probed unasked."""
    app = peer()
    s = sluice(conf(app.addr))
    assert http.get(s.port, "/").status == 200
    assert servers(s)[app.addr]["probe"] is None
    assert len(app.requests) == 1


def test_shown(sluice, peer):
    good, bad = peer(), peer(default=respond(status=503))
    s = sluice(conf(good.addr, bad.addr, keys=HTTP))
    wait_change(s, bad.addr, "up", "down", "probe_status")
    text = s.ctl("upstreams", "app").stdout
    assert "1 of 2 servers up" in text
    assert re.search(rf"^ +{re.escape(bad.addr)} +http +\d+ +\d+ +\d+ +1 +"
                     r"probe_status \S+ ago +- +0$", text, re.M), text
    assert re.search(rf"^ +{re.escape(good.addr)} +http +\d+ +0 +\d+ +0 +"
                     r"ok \S+ ago +\d+\.\dms +0$", text, re.M), text
    all = json.loads(http.get(s.control, "/v1/metrics").body)["metrics"]
    sums = {m["name"]: m["sum"] for m in all if "fail" not in m}
    assert sums["probes_total"] > sums["probes_failed_total"] >= 2
    assert sums["probes_late_total"] >= 0
    failed = s.wait_log(rf'server \\"{bad.addr}\\" of \\"app\\": probe '
                        r'failed: probe_status: status 503 \(2 of 2\)')
    changed = s.wait_log(line(bad.addr, "up", "down", "probe_status"))
    assert len(failed) == len(changed) == 1


def test_body_bomb(sluice, peer):
    """An expression that needs too many steps does not hold anything up."""
    app = peer(default=respond(body=b"a" * 5000 + b"!"))
    s = sluice(conf(app.addr, keys=HTTP + "health.body = ~ ^(a+)+$"))
    wait_change(s, app.addr, "up", "down", "probe_body")
    assert http.get(s.control, "/v1/status").status == 200

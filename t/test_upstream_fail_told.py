"""What is told of a failure beside the word itself: of attempts that
another one follows, of a hundred at once, and to the client."""
import contextlib
import json
import os
import re
import threading

import pytest

from lib import http, net, proc, wire
from lib.fail_env import ONE, counts, proxied
from lib.peer import hold, no_body, raw

pytestmark = [pytest.mark.versions, pytest.mark.turns]

# --- attempts that another one follows ---

def test_another_server(sluice, peer):
    """The client is served; what failed is told, counted and noted."""
    dead, app = f"127.0.0.1:{net.free_port()}", peer()
    s = sluice(proxied(dead, app.addr, top=ONE))
    ids = [http.get(s.port, "/app")["x-request-id"] for _ in range(2)]
    n = counts(s)
    failed = n["upstream_attempts_failed_total", "dial_refused"]
    assert failed >= 1 and n["requests_failed_total", "dial_refused"] == 0
    lines = [json.loads(ln) for ln in s.wait_log("another server is asked",
                                                 failed)]
    assert {ln["level"] for ln in lines} == {"warning"}
    assert {ln["request"] for ln in lines} <= set(ids)
    shown, = s.ctl_json("why", "dial_refused")["failures"]
    assert shown["requests"] == 0 and shown["attempts"] == failed
    assert shown["last"]["server"] == dead
    assert shown["last"]["id"] in ids


def test_flood(sluice):
    """A hundred lines of a row in a second; the rest is a number."""
    s = sluice(proxied(f"127.0.0.1:{net.free_port()}", top=ONE))
    with http.Client(s.port) as c:
        for _ in range(250):
            assert c.get("/app").status == 502
    s.wait_log(r'suppressed \d+ lines like \\"dial_refused\\"')
    told = [r for r in s.log() if "attempt 1 failed" in r.get("msg", "")]
    held = sum(int(re.search(r"suppressed (\d+)", r["msg"])[1])
               for r in s.log() if "suppressed" in r.get("msg", ""))
    assert 100 <= len(told) < 250 and len(told) + held <= 250
    assert counts(s)["upstream_attempts_failed_total",
                     "dial_refused"] == 250


# --- what was wrong with an answer ---

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WRONG = [
    (b"HTTP/1.1 999 Hm\r\n\r\n", "bad_response_line: no version with a "
     "status of 100 to 599 behind it"),
    (b"\x15\x03\x03\x00\x02\x02\x46", "bad_response_line: it speaks TLS"),
    (b"220 ready\r\n", "bad_response_line: it does not begin with HTTP/1."),
    (OK + b"A: b\r\nPass\x07word: c\r\n\r\n", "bad_response_field: field 2 "
     "(Pass): a blank or a forbidden byte in its name, or no colon"),
    (OK + b"A: b\x01\r\n\r\n", "bad_response_field: field 1 (A): a "
     "forbidden byte in its value"),
    (OK + b"A: " + b"b" * 40000 + b"\r\n\r\n", "response_head_too_large: "
     "field 1 (A): it is too long"),
    (OK + b"Content-Length: -2\r\n\r\n", "bad_response_framing: "
     "Content-Length is no number, or too large"),
    (OK + b"Content-Length:\r\n\r\n", "bad_response_framing: "
     "Content-Length is no number, or too large"),
    (OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
     "bad_response_framing: Content-Length has more than one number"),
    (OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     "bad_response_framing: Content-Length beside Transfer-Encoding"),
    (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
     "bad_response_framing: Transfer-Encoding has more than chunked"),
    (OK + b"Transfer-Encoding: xchunked\r\n\r\n", "bad_response_framing: "
     "Transfer-Encoding is not chunked, last and once"),
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
     "bad_response_framing: Transfer-Encoding in an answer of HTTP/1.0"),
    (b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc",
     "bad_response_framing: Content-Length in an answer 204, which has no "
     "body"),
    (b"HTTP/1.1 103 E\r\nContent-Length: 3\r\n\r\n",
     "bad_response_framing: Content-Length in an answer 103, which has no "
     "body"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello",
     "unexpected_upgrade: no Upgrade in a 101"),
    (b"HTTP/1.1 103 E\r\n\r\n" * 9, "unexpected_interim: more than eight"),
    (CHUNKED + b"x\r\n", "bad_response_chunk: its size is no hex number, or "
     "too large"),
    (CHUNKED + b"1\r\nab\r\n", "bad_response_chunk: no end of line where "
     "its size ends it"),
    (CHUNKED + b"0\r\nA B: c\r\n\r\n", "bad_response_trailer: field 1 (A): "
     "a blank or a forbidden byte in its name, or no colon"),
]


def test_cause(sluice, peer):
    """The line of the attempt says what was wrong, and of which field."""
    app = peer([raw(data, then_close=True) for data, _ in WRONG])
    s = sluice(proxied(app.addr, top=ONE))
    for n, (_, want) in enumerate(WRONG):
        with contextlib.suppress(http.Closed, ConnectionError):
            http.get(s.port, f"/app?{n}")
        rid = wire.record(s, target=f"/app?{n}")["id"]
        line, = [json.loads(ln) for ln in s.wait_log(
            f'"module":"proxy".*"request":"{rid}"')]
        assert line["msg"] == f'server "{app.addr}" of "app": attempt 1 ' \
            f"failed: {want}"


# --- what a client is told ---

@pytest.mark.parametrize("how", ["off", "on", "full"])
def test_proxy_status(sluice, peer, how):
    app = peer([raw(b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n", then_close=True)])
    dead = f"127.0.0.1:{net.free_port()}"
    s = sluice(proxied(app.addr, top=ONE.replace(
        "[sluice]", f"[sluice]\nproxy_status = {how}")) + f"""
[upstream dead]
server = {dead}
[route dead]
path = /dead
upstream = dead
""")
    bad = http.get(s.port, "/app").get("proxy-status")
    refused = http.get(s.port, "/dead").get("proxy-status")
    if how == "off":
        assert bad is None and refused is None
    elif how == "on":
        assert bad == "sluice; error=http_protocol_error; " \
            'received-status=200; details="bad_response_field"'
        assert refused == "sluice; error=connection_refused; " \
            'details="dial_refused"'
    else:
        assert bad == "sluice; error=http_protocol_error; " \
            f'received-status=200; next-hop="{app.addr}"; ' \
            'details="bad_response_field: field 1 (A): a blank or a ' \
            'forbidden byte in its name, or no colon"'
        assert refused == "sluice; error=connection_refused; " \
            f'next-hop="{dead}"; details="dial_refused: connect: ' \
            f'{os.strerror(111)}"'


LATE = "timeout.total = 400ms\ntimeout.connect = 300ms\n" \
    "timeout.first_byte = 0\n"


def late_type(r):
    return re.match(r"sluice; error=(\w+); .*total_timeout",
                    r["proxy-status"])[1]


def test_who_was_waited_for(sluice, peer):
    """A time-out over all is the server's fault only if it was asked."""
    app = peer(default=no_body(hold(threading.Event())))
    s = sluice(proxied(app.addr, more=LATE, top=ONE))
    with http.Client(s.port) as up:
        up.send(http.request("POST", "/app", [("Content-Length", "100")]))
        up.send(b"ab")
        app.wait_requests(1)
        assert late_type(up.response()) == "http_request_error"
    r = http.get(s.port, "/app")
    assert r.status == 504 and late_type(r) == "http_response_timeout"


def test_who_is_queued(sluice, peer):
    app = peer(default=hold(threading.Event()))
    s = sluice(proxied(f"{app.addr} max_conns=1", more=LATE, top=ONE) +
               "[route long]\npath = /long\nupstream = app\n"
               "timeout.total = 0\n")
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/long"))
        app.wait_requests(1)
        assert late_type(http.get(s.port, "/app")) == \
            "connection_limit_reached"


def test_why_words(sluice, tmp):
    """A status, a name in capitals, and one that is nearly right."""
    s = sluice(proxied(f"127.0.0.1:{net.free_port()}", top=ONE))
    where = os.path.join(tmp, "idle")
    os.mkdir(where)
    idle = proc.Sluice(where)
    for one in (s, idle):
        rows = one.ctl("why", "502").stdout
        assert "\ndial_refused " in rows and "send_error " in rows
        assert "dial_timeout" not in rows and "reset_in_body" not in rows
        assert one.ctl("why", "Dial_Refused").stdout.startswith(
            "dial_refused: ")
        for word in ("dial_refusd", "299"):
            done = one.ctl("why", word, ok=False)
            assert done.returncode != 0
            assert ("near it: dial_refused" in done.stderr) == (
                word != "299")
    idle.close()


def test_why_without_anybody(tmp):
    """What a failure means is known without a sluiced."""
    s = proc.Sluice(tmp)
    done = s.ctl("why", "dial_refused")
    assert done.stdout.startswith("dial_refused: ")
    assert "nobody answers" in done.stderr and "seen" not in done.stdout
    assert s.ctl("why", "nothing", ok=False).returncode == 2
    s.close()

"""Built-in error pages: JSON, HTML or text, as Accept says; each with
status, fail row and request id."""
import json
import re
import socket

import pytest

from lib import http, net, wire

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[route app]
path = /app/*
target = 127.0.0.1:@port2@
[route get]
path = /get
method = GET
respond = 200 got
""" + wire.PROBE


@pytest.fixture(scope="module")
def gate():
    with wire.gateway(CONF) as s:
        yield s


JSON, HTML, TEXT = "application/problem+json", "text/html", "text/plain"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9," \
    "image/avif,image/webp,*/*;q=0.8"
ERRORS = [("GET", "/missing", "no_route"), ("POST", "/get",
                                            "method_not_allowed"),
          ("GET", "/app/x", "dial_refused"), ("GET", "/../x",
                                              "path_above_root"),
          ("GET", "/%00", "bad_path")]


def kind(r):
    return r["content-type"].partition(";")[0]


@pytest.mark.parametrize("accept,want", [
    ("application/json", JSON), ("application/problem+json", JSON),
    ("application/json, text/plain, */*", JSON), (BROWSER, HTML),
    ("text/html", HTML), ("TEXT/HTML", HTML), ("text/plain", TEXT),
    ("text/html;q=0.1, application/json", JSON),
    ("text/html, application/json;q=0.5", HTML),
    ("application/json;q=0, text/html", HTML),
    ("text/*, application/json;q=0.9", None), ("application/*", JSON),
    ("*/*", None), (None, None), ("", None), ("image/png", None),
    ("nonsense;;;", None), ("text/html;q=nonsense", None),
])
@pytest.mark.parametrize("method,target,row", ERRORS)
def test_accept(gate, accept, want, method, target, row):
    headers = {} if accept is None else {"Accept": accept}
    with http.Client(gate.port) as c:
        r = c.ask(method, target, headers)
        wire.is_fail(r, row)
        assert kind(r) in ([want] if want else [JSON, HTML, TEXT])
        wire.goes_on(c)


def test_accept_in_two_lines(gate):
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/missing", [("Accept", "text/html;q=0.1"),
                                      ("Accept", "application/json")])
        assert kind(r) == JSON


@pytest.mark.parametrize("method,target,row", ERRORS)
def test_problem(gate, method, target, row):
    """RFC 9457, with the row and the id as members of our own."""
    with http.Client(gate.port) as c:
        r = c.ask(method, target, wire.JSON)
    page = json.loads(r.body)
    assert page["status"] == r.status == wire.FAILS[row][0]
    assert page["fail"] == row and page["id"] == r["x-request-id"]
    assert isinstance(page["title"], str) and page["title"]
    assert isinstance(page.get("detail", ""), str)


@pytest.mark.parametrize("method,target,row", ERRORS)
def test_html(gate, method, target, row):
    with http.Client(gate.port) as c:
        r = c.ask(method, target, {"Accept": BROWSER})
    assert "charset=utf-8" in r["content-type"].lower()
    assert r.text.lower().startswith("<!doctype html>")
    assert str(r.status) in r.text and row in r.text
    assert r["x-request-id"] in r.text


@pytest.mark.parametrize("method,target,row", ERRORS)
def test_text(gate, method, target, row):
    with http.Client(gate.port) as c:
        r = c.ask(method, target, {"Accept": "text/plain"})
    assert str(r.status) in r.text and row in r.text
    assert r["x-request-id"] in r.text and r.text.endswith("\n")
    assert "<" not in r.text


@pytest.mark.parametrize("accept", [JSON, HTML, TEXT, "*/*"])
@pytest.mark.parametrize("target,row", [("/missing", "no_route"),
                                        ("/app/x", "dial_refused")])
def test_head(gate, accept, target, row):
    with http.Client(gate.port) as c:
        full = c.ask("GET", target, {"Accept": accept})
        r = c.ask("HEAD", target, {"Accept": accept})
        assert r.status == wire.FAILS[row][0] and r.body == b""
        assert r["content-length"] == str(len(full.body))
        assert kind(r) == kind(full)
        wire.goes_on(c)


@pytest.mark.parametrize("accept", [JSON, HTML, TEXT])
def test_nothing_of_the_client_is_in_it(gate, accept):
    """No page repeats what could be a script."""
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/<script>'\"&x", {
            "Accept": accept, "X-Request-ID": "<b>", "Referer": "<i>"})
    for evil in ("<script>", "<b>", "<i>"):
        assert evil not in r.text


def test_no_store_for_what_passes(gate):
    """An error of the moment must not be kept by a cache."""
    with http.Client(gate.port) as c:
        r = c.get("/app/x")
    assert "no-store" in r.get("cache-control", "no-store")


def test_nothing_of_the_inside(gate):
    """Addresses of servers are for the log, not for clients."""
    with http.Client(gate.port) as c:
        r = c.get("/app/y")
    inside = str(gate.value("port2"))
    assert inside not in r.text
    assert not any(inside in v for _, v in r.headers)
    record = wire.record(gate, r["x-request-id"])
    assert record["server"] == f"127.0.0.1:{inside}"
    assert "refused" in record["cause"].lower()


def test_ids_differ(gate):
    with http.Client(gate.port) as c:
        ids = [c.get("/missing")["x-request-id"] for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,128}", i) for i in ids)


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nA b: c\r\n\r\n"])
def test_before_accept_is_known(gate, data):
    """A head that could not be read gets a page all the same."""
    with http.Client(gate.port) as c:
        c.send(data)
        r = c.response()
        assert r.status == 400
        wire.told(r)
        wire.ends(c)


def test_server_that_comes_back(gate):
    """An error is of its request alone."""
    with http.Client(gate.port) as c:
        wire.is_fail(c.get("/app/z"), "dial_refused")
        with socket.create_server(("127.0.0.1", gate.value("port2"))) as srv:
            c.send(http.request("GET", "/app/z"))
            srv.settimeout(net.WAIT)
            conn, _ = srv.accept()
            with conn:
                conn.recv(65536)
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
                             b"back")
                assert c.response().body == b"back"


def test_failures_are_counted_by_name(sluice):
    """Each row of the fail table has a counter of its own."""
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
[route one]
path = /one
respond = 200 one
""")
    for _ in range(3):
        assert http.get(s.port, "/two").status == 404
    with http.Client(s.port) as c:
        c.send("GET / HTTP/1.1\r\n\r\n")
        assert c.response().status == 400
    got = {m["fail"]: m["sum"] for m in s.ctl_json("metrics")["metrics"]
           if m["name"] == "requests_failed_total"}
    assert got["no_route"] == 3 and got["host_missing"] == 1
    assert sum(got.values()) == 4

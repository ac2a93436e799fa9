"""error_page.STATUS: files and templates in place of built-in pages."""
import json
import os

import pytest

from lib import http, wire
from lib.peer import Peer, respond

pytestmark = pytest.mark.versions

PAGES = {
    "404.html": "<h1>${status} ${reason}</h1><p>${fail} ${request_id} "
                "${host}<script>`${x}` $ {status} ${</script>",
    "405.json": '{"s": ${status}, "why": "${fail}", "h": "${host}"}',
    "5xx.txt": "sorry: ${status} ${reason} at ${host}\n${request_id}",
    "own.html": "<p>of this route: ${status}",
    "empty.txt": "",
    "sub/413.xml": "<e>${reason}</e>",
}
CONF = """
[sluice]
error_page.404 = pages/404.html
error_page.405 = pages/405.json
error_page.5xx = pages/5xx.txt
error_page.501 = html: <b>${status}</b> &amp; ${reason}
error_page.414 = pages/empty.txt
error_page.413 = pages/sub/413.xml
error_page.400 = text:first
error_page.400 = json:{"id":"${request_id}","host":"${host}"}
[limits]
target = 1k
body = 10
[listener web]
bind = 127.0.0.1:@port@
[route get]
path = /get
method = GET
respond = 200 got
[route own]
path = /own/*
error_page.404 = pages/own.html
error_page.4xx = text: class ${status}
static = @dir@/www
[route said]
path = /said
respond = 404 as it is
[route app]
path = /app/*
error_page.502 = text:of the route ${fail}
target = 127.0.0.1:@port2@
[route up]
path = /up/*
target = @up@
""" + wire.PROBE


def write_pages(directory):
    for name, text in PAGES.items():
        path = os.path.join(directory, "pages", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


@pytest.fixture(name="gate")
def _gate(sluice, tmp):
    write_pages(tmp)
    os.makedirs(f"{tmp}/www")
    with Peer(default=respond(404, body=b"theirs")) as app:
        s = sluice(CONF.replace("@up@", app.addr))
        s.app = app
        yield s


def ask(gate, method, target, headers=(), body=None):
    with http.Client(gate.port) as c:
        return c.ask(method, target, headers, body)


def kind(r):
    return r["content-type"].partition(";")[0]


def test_file(gate):
    r = ask(gate, "GET", "/missing", {"Host": "Some.Host:80"})
    assert (r.status, r["content-type"]) == (404, "text/html; charset=utf-8")
    assert r["cache-control"] == "no-store"
    ident = r["x-request-id"]
    # what is no variable stays as it is
    assert r.body.decode() == \
        f"<h1>404 Not Found</h1><p>no_route {ident} some.host" \
        "<script>`${x}` $ {status} ${</script>"
    r = ask(gate, "HEAD", "/missing")
    assert (r.status, r.body) == (404, b"")
    assert int(r["content-length"]) > 50


def test_json(gate):
    r = ask(gate, "POST", "/get")
    assert (r.status, kind(r)) == (405, "application/json")
    assert r["allow"] == "GET, HEAD"
    assert json.loads(r.body) == {"s": 405, "why": "method_not_allowed",
                                  "h": "localhost"}
    r = ask(gate, "GET", "/%00", {"Host": "a"})
    assert json.loads(r.body) == {"id": r["x-request-id"], "host": "a"}


def test_route_before_sluice(gate):
    r = ask(gate, "GET", "/own/missing")
    assert (r.status, r.body) == (404, b"<p>of this route: 404")
    r = ask(gate, "POST", "/own/x")
    assert (r.status, r.body) == (405, b"class 405")
    r = ask(gate, "GET", "/app/x")
    assert (r.status, r.body) == (502, b"of the route dial_refused")


def test_class_and_inline(gate):
    r = ask(gate, "GET", "/own/x" * 200)
    assert (r.status, r.body, r["content-length"]) == (414, b"", "0")
    r = ask(gate, "POST", "/probe", body=b"x" * 11)
    assert (r.status, kind(r)) == (413, "application/xml")
    assert r.body == b"<e>Content Too Large</e>"


@pytest.mark.h1
def test_of_what_is_malformed(gate):
    r = ask(gate, "GET", "/probe", {"Transfer-Encoding": "gzip, chunked"})
    assert (r.status, r.body) == (501, b"<b>501</b> &amp; Not Implemented")
    with http.Client(gate.port) as c:
        c.send(b"GET / HTTP/3.9\r\nHost: h.example\r\n\r\n")
        r = c.response()
    assert r.status == 505
    assert r.body.startswith(b"sorry: 505 HTTP Version Not Supported at ")


@pytest.mark.parametrize("accept,want", [
    ("text/html", "text/html"), ("text/*", "text/html"),
    ("*/*;q=0.1", "text/html"), (None, "text/html"),
    ("application/json", "application/problem+json"),
    ("text/html;q=0, */*", "text/plain"),
    ("text/html;q=0, application/json", "application/problem+json"),
    ("text/*;q=0, */*;q=0.5", "text/plain"),
    ("text/plain, text/*;q=0.1", "text/html"),
    ("image/png", "text/plain"), ("TEXT/HTML", "text/html"),
])
def test_accept(gate, accept, want):
    """A page whose type Accept refuses gives way to a built-in one."""
    r = ask(gate, "GET", "/missing", {"Accept": accept} if accept else {})
    assert (r.status, kind(r)) == (404, want)
    if want != "text/html":
        wire.is_fail(r, "no_route")


def test_not_of_others(gate):
    """Statuses of routes and of servers are theirs."""
    r = ask(gate, "GET", "/said")
    assert (r.status, r.body) == (404, b"as it is")
    r = ask(gate, "GET", "/up/x")
    assert (r.status, r.body) == (404, b"theirs")


def test_reload(gate):
    """Files are read when a configuration is loaded, and only then."""
    path = os.path.join(gate.dir, "pages", "404.html")
    os.unlink(path)
    assert b"<h1>404" in ask(gate, "GET", "/missing").body
    assert gate.ctl("reload", ok=False).returncode != 0
    assert b"<h1>404" in ask(gate, "GET", "/missing").body
    with open(path, "w", encoding="utf-8") as f:
        f.write("new ${status}")
    gate.reload()
    assert ask(gate, "GET", "/missing").body == b"new 404"


def test_large_page(gate):
    path = os.path.join(gate.dir, "pages", "404.html")
    page = "x" * (256 * 1024 - 9) + "${status}"
    with open(path, "w", encoding="utf-8") as f:
        f.write(page)
    gate.reload()
    with http.Client(gate.port) as c:
        for _ in range(3):
            r = c.ask("GET", "/missing")
            assert r.body.decode() == page.replace("${status}", "404")
    with open(path, "a", encoding="utf-8") as f:
        f.write("y")
    assert gate.ctl("reload", ok=False).returncode != 0


def test_control_has_its_own(gate):
    with http.Client(gate.control) as c:
        r = c.ask("GET", "/v1/nothing", {"Host": "x"})
        assert r.status == 404
        assert b"<h1>" not in r.body

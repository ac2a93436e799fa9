"""Which route answers, and the handlers that need nothing else."""
import time
from email.utils import parsedate_to_datetime

import pytest

from lib import http, net, wire

pytestmark = pytest.mark.versions


def routes(*lines):
    """Each "NAME: key = value; ..." answers with its name."""
    out = ["[listener web]", "bind = 127.0.0.1:@port@"]
    for line in lines:
        name, _, keys = line.partition(": ")
        out += [f"[route {name}]", *keys.split("; ")]
        if "redirect" not in keys and "respond" not in keys:
            out.append(f"respond = 200 {name}")
    return "\n".join(out) + "\n"


HOSTS = routes(
    "exact: host = a.example; path = /*",
    "two: host = b.example c.example; path = /*",
    "wild: host = *.example; path = /*",
    "deep: host = *.x.example; path = /*",
    "any: path = /*",
    "long: path = /long/path/*",
)
PATHS = routes(
    "root: path = /",
    "exact: path = /a/b",
    "short: path = /a/*",
    "longer: path = /a/b/*",
    "both: path = /c /d/*",
    "space: path = /with%20space",
    "low: path = /p/*; priority = 1",
    "high: path = /p/*; priority = 2",
    "first: path = /q/*",
    "second: path = /q/*",
)
METHODS = routes(
    "get: path = /m; method = GET",
    "put: path = /m; method = PUT DELETE",
    "wide: path = /w/*",
    "narrow: path = /w/x; method = POST",
    "own: path = /o; method = PURGE",
)


@pytest.fixture(scope="module")
def hosts():
    with wire.gateway(HOSTS) as s:
        yield s


@pytest.fixture(scope="module")
def paths():
    with wire.gateway(PATHS) as s:
        yield s


@pytest.fixture(scope="module")
def methods():
    with wire.gateway(METHODS) as s:
        yield s


def who(s, target="/", host="localhost", method="GET"):
    with http.Client(s.port) as c:
        r = c.ask(method, target, host=host)
        if r.status == 404:
            wire.is_fail(r, "no_route")
        return r.text if r.status == 200 else r.status


@pytest.mark.parametrize("host,want", [
    ("a.example", "exact"), ("A.EXAMPLE", "exact"), ("a.example:81", "exact"),
    ("b.example", "two"), ("c.example", "two"), ("d.example", "wild"),
    ("D.Example:9", "wild"), ("y.x.example", "deep"), ("example", "any"),
    ("a.example.org", "any"), ("aexample", "any"), ("127.0.0.1", "any"),
    ("[::1]:80", "any"), ("xa.example", "wild"), ("x.example", "wild"),
])
def test_host(hosts, host, want):
    assert who(hosts, "/", host) == want


def test_host_with_the_dot_of_the_root(sluice):
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
[route one]
host = a.example.
respond = 200 one
[route below]
host = *.A.example.
respond = 200 below
[route any]
respond = 200 any
""")
    for host, want in (("a.example", "one"), ("a.example.", "one"),
                       ("b.a.example", "below"), ("other.", "any")):
        assert who(s, "/", host) == want


def test_host_before_path(hosts):
    assert who(hosts, "/long/path/x", "a.example") == "exact"
    assert who(hosts, "/long/path/x", "other") == "long"


@pytest.mark.h1
def test_no_host(hosts):
    with http.Client(hosts.port) as c:
        assert c.ask("GET", "/", version="1.0", host=None).text == "any"


@pytest.mark.h1
def test_host_of_absolute_form(hosts):
    assert who(hosts, "http://a.example/", "a.example") == "exact"


@pytest.mark.parametrize("path,want", [
    ("/", "root"), ("/a/b", "exact"), ("/a/b?x=/z", "exact"),
    ("/a/b/", "longer"), ("/a/b/c", "longer"), ("/a/c", "short"),
    ("/a/", "short"), ("/a/bc", "short"), ("/ab", 404), ("/A/b", 404),
    ("/c", "both"), ("/c/", 404), ("/d/e/f", "both"), ("/x", 404),
    ("/p/x", "high"), ("/q/x", "first"), ("/?q", "root"),
    # one normalised path: what is written differently is the same
    ("/%61/%62", "exact"), ("/a/./b", "exact"), ("/a/x/../b", "exact"),
    ("/x/%2e%2E/a/b", "exact"), ("/with%20space", "space"),
    ("/a//b", "short"), ("//a/b", 404),
])
def test_path(paths, path, want):
    assert who(paths, path) == want


@pytest.mark.parametrize("path,row", [
    ("/../a/b", "path_above_root"), ("/%2e%2e/a/b", "path_above_root"),
    ("/a/../../b", "path_above_root"), ("/a%2fb", "bad_path"),
    ("/a%2Fb", "bad_path"), ("/a%00", "bad_path"), ("/a%5cb", "bad_path"),
    ("/a\\b", "bad_path"), ("/a%", "bad_path"), ("/a%4", "bad_path"),
    ("/a%zz", "bad_path"),
])
def test_bad_path(paths, path, row):
    with http.Client(paths.port) as c:
        wire.is_fail(c.get(path), row)
        assert c.get("/").text == "root"


def allowed(r):
    return {m.strip() for m in r["allow"].split(",")}


@pytest.mark.parametrize("method,path,want", [
    ("GET", "/m", "get"), ("PUT", "/m", "put"), ("DELETE", "/m", "put"),
    ("POST", "/w/x", "narrow"), ("GET", "/w/x", "wide"),
    ("PURGE", "/o", "own"),
])
def test_method(methods, method, path, want):
    """A route whose method alone fails lets the next one try."""
    assert who(methods, path, method=method) == want


@pytest.mark.parametrize("method,path,least", [
    ("POST", "/m", {"GET", "PUT", "DELETE"}),
    ("PATCH", "/m", {"GET", "PUT", "DELETE"}),
    ("get", "/m", {"GET", "PUT", "DELETE"}),
    ("GET", "/o", {"PURGE"}),           # one of no list of ours
])
def test_method_not_allowed(methods, method, path, least):
    with http.Client(methods.port) as c:
        r = c.ask(method, path)
        wire.is_fail(r, "method_not_allowed")
        assert least <= allowed(r) <= least | {"HEAD", "OPTIONS"}
        assert not {"GET", "HEAD"} & allowed(r) or path == "/m"
        assert c.get("/m").text == "get"


def test_trace_allows_what_the_path_does(methods):
    with http.Client(methods.port) as c:
        one, other = c.ask("TRACE", "/m"), c.ask("POST", "/m")
        assert one.status == other.status == 405
        assert allowed(one) == allowed(other)


def test_head_where_get_is(methods):
    with http.Client(methods.port) as c:
        r = c.ask("HEAD", "/m")
        assert r.status == 200 and r["content-length"] == "3"


# --- redirect and respond ---

HANDLERS = routes(
    "moved: path = /moved; redirect = 301 /new/place",
    "found: path = /found; redirect = 302 https://other.example/x?y=z",
    "seen: path = /seen; redirect = 303 /s",
    "temp: path = /temp; redirect = 307 /t",
    "perm: path = /perm; redirect = 308 /p",
    "text: path = /text; respond = 200 hello, world",
    "gone: path = /gone; respond = 410 it is gone",
    "none: path = /none; respond = 204",
    "fault: path = /fault; respond = 503 back soon",
)


@pytest.fixture(scope="module")
def handlers():
    with wire.gateway(HANDLERS) as s:
        yield s


@pytest.mark.parametrize("path,status,location", [
    ("/moved", 301, "/new/place"),
    ("/found", 302, "https://other.example/x?y=z"),
    ("/seen", 303, "/s"), ("/temp", 307, "/t"), ("/perm", 308, "/p")])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_redirect(handlers, path, status, location, method):
    with http.Client(handlers.port) as c:
        r = c.ask(method, path)
        assert r.status == status and r["location"] == location
        assert c.get("/text").status == 200


@pytest.mark.parametrize("path,status,text", [
    ("/text", 200, "hello, world"), ("/gone", 410, "it is gone"),
    ("/fault", 503, "back soon"), ("/none", 204, "")])
def test_respond(handlers, path, status, text):
    with http.Client(handlers.port) as c:
        r = c.get(path)
        assert r.status == status and r.text == text
        if text:
            assert r["content-type"].startswith("text/plain")
        h = c.ask("HEAD", path)
        assert h.status == status and h.body == b""
        assert h.all("content-length") == r.all("content-length")
        assert c.ask("POST", path, body=b"x").text == text
        assert c.get("/text").status == 200


@pytest.mark.turns
def test_date(handlers):
    r = http.get(handlers.port, "/text")
    assert r["date"].endswith(" GMT") and len(r["date"]) == 29
    # nor is it older than the second, whoever answers after a pause
    lags = []
    for _ in range(12):
        net.wait_fd(None, 0.23)
        r = http.get(handlers.port, "/text")
        lags.append(time.time() -
                    parsedate_to_datetime(r["date"]).timestamp())
    assert max(lags) < 1.1 * net.SCALE, lags


# --- listeners ---

def test_listener(sluice):
    s = sluice("""
[listener one]
bind = 127.0.0.1:@port@
[listener two]
bind = 127.0.0.1:@port2@ 127.0.0.1:@port3@
[route one]
listener = one
path = /*
respond = 200 one
[route two]
listener = two
path = /*
respond = 200 two
[route both]
path = /both
respond = 200 both
""")
    for port, want in (("port", "one"), ("port2", "two"), ("port3", "two")):
        assert http.get(s.value(port)).text == want
        assert http.get(s.value(port), "/both").text == "both"


def test_first_match_after_reload(sluice):
    s = sluice(routes("a: path = /*"))
    assert who(s) == "a"
    s.reload(routes("b: path = /*", "c: path = /c"))
    assert who(s) == "b" and who(s, "/c") == "c"

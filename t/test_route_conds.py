"""Further conditions of routes, each with what fits and what does not."""
import pytest

from lib import http, wire

pytestmark = pytest.mark.versions

UP = [("Connection", "upgrade"), ("Upgrade", "websocket")]
TWO = [("Connection", "upgrade"), ("Upgrade", "foo, WebSocket/13")]
# keys; request (method, target's query, fields); does it fit
CASES = [
    # --- header ---
    ("header.x-a = 1", ("GET", "", [("X-A", "1")]), True),
    ("header.x-a = 1", ("GET", "", [("X-A", "2"), ("x-a", "1")]), True),
    ("header.x-a = 1", ("GET", "", [("X-A", "11")]), False),
    ("header.x-a = 1", ("GET", "", []), False),
    ("header.x-a = *", ("GET", "", [("X-A", "")]), True),
    ("header.x-a = *", ("GET", "", [("X-AB", "1")]), False),
    # --- query ---
    ("query.v = 2", ("GET", "?v=2", []), True),
    ("query.v = 2", ("GET", "?a=1&v=2&b", []), True),
    ("query.v = 2", ("GET", "?v=1&v=2", []), True),
    ("query.v = 2", ("GET", "?%76=%32", []), True),
    ("query.v = 2", ("GET", "?v=22", []), False),
    ("query.v = 2", ("GET", "?v=", []), False),
    ("query.v = 2", ("GET", "?V=2", []), False),
    ("query.v = 2", ("GET", "?xv=2", []), False),
    ("query.v = 2", ("GET", "", []), False),
    ("query.v = 2", ("GET", "?=2&&v%3d2", []), False),
    ("query.w = a b", ("GET", "?w=a+b", []), True),
    ("query.w = a b", ("GET", "?w=a%20b", []), True),
    ("query.w = a%", ("GET", "?w=a%", []), True),
    ("query.f = *", ("GET", "?f", []), True),
    ("query.f = *", ("GET", "?f=", []), True),
    ("query.f = *", ("GET", "?g", []), False),
    ('query.f = ""', ("GET", "?f", []), True),
    ('query.f = ""', ("GET", "?f=1", []), False),
    ("query.v = 1; query.v = 2", ("GET", "?v=2", []), True),
    ("query.v = 1; query.w = 2", ("GET", "?v=1&w=2", []), True),
    ("query.v = 1; query.w = 2", ("GET", "?v=1", []), False),
    # --- cookie ---
    ("cookie.s = b", ("GET", "", [("Cookie", "s=b")]), True),
    ("cookie.s = b", ("GET", "", [("Cookie", "a=1; s=b; c=2")]), True),
    ("cookie.s = b", ("GET", "", [("Cookie", "a=1;s=b")]), True),
    ("cookie.s = b", ("GET", "", [("Cookie", 's="b"')]), True),
    ("cookie.s = b", ("GET", "", [("Cookie", "s=a; s=b")]), True),
    ("cookie.s = b", ("GET", "", [("Cookie", "S=b")]), False),
    ("cookie.s = b", ("GET", "", [("Cookie", "xs=b; s")]), False),
    ("cookie.s = b", ("GET", "", [("Cookie", "s=bb")]), False),
    ("cookie.s = b", ("GET", "", []), False),
    ("cookie.t = x=y", ("GET", "", [("Cookie", "t=x=y")]), True),
    ("cookie.s = *", ("GET", "", [("Cookie", "s=")]), True),
    # --- from ---
    ("from = 127.0.0.1", ("GET", "", []), True),
    ("from = 127.0.0.0/8", ("GET", "", []), True),
    ("from = 0.0.0.0/0", ("GET", "", []), True),
    ("from = ::/0", ("GET", "", []), True),
    ("from = ::ffff:127.0.0.0/104", ("GET", "", []), True),
    ("from = 10.0.0.0/8 127.0.0.0/8 192.0.2.1", ("GET", "", []), True),
    ("from = 127.0.0.0/8 127.0.0.0/31 127.0.0.3", ("GET", "", []), True),
    ("from = 127.0.0.2/31", ("GET", "", []), False),
    ("from = 10.0.0.0/8 192.0.2.1", ("GET", "", []), False),
    ("from = ::1 2001:db8::/32", ("GET", "", []), False),
    ("from = 10.0.0.0/8; from = 127.0.0.1/32", ("GET", "", []), True),
    # --- upgrade ---
    ("upgrade = websocket", ("GET", "", UP), True),
    ("upgrade = WebSocket/13", ("GET", "", TWO), True),
    ("upgrade = h2c, foo", ("GET", "", TWO), True),
    ("upgrade = *", ("GET", "", UP), True),
    ("upgrade = websocket", ("GET", "", TWO), True),
    ("upgrade = websocket/8", ("GET", "", TWO), False),
    ("upgrade = websocket", ("GET", "", []), False),
    ("upgrade = websocket", ("GET", "", UP[1:]), False),
    ("upgrade = h2c", ("GET", "", UP), False),
    ("protocol = websocket", ("GET", "", UP), True),
    # --- not ---
    ("not.header.x-a = 1", ("GET", "", [("X-A", "1")]), False),
    ("not.header.x-a = 1", ("GET", "", [("X-A", "2")]), True),
    ("not.header.x-a = *", ("GET", "", []), True),
    ("not.header.x-a = 1; not.header.x-a = 2",
     ("GET", "", [("X-A", "2")]), False),
    ("not.header.x-a = 1; not.header.x-b = 1",
     ("GET", "", [("X-B", "1")]), False),
    ("not.header.x-a = 1; not.header.x-b = 1", ("GET", "", []), True),
    ("header.x-a = *; not.header.x-a = 1",
     ("GET", "", [("X-A", "2")]), True),
    ("header.x-a = *; not.header.x-a = 1", ("GET", "", []), False),
    ("not.query.v = 2", ("GET", "?v=2", []), False),
    ("not.query.v = 2", ("GET", "?v=1", []), True),
    ("not.cookie.s = b", ("GET", "", [("Cookie", "s=b")]), False),
    ("not.cookie.s = *", ("GET", "", []), True),
    ("not.from = 127.0.0.0/8", ("GET", "", []), False),
    ("not.from = 10.0.0.0/8", ("GET", "", []), True),
    ("not.upgrade = websocket", ("GET", "", UP), False),
    ("not.upgrade = *", ("GET", "", []), True),
    ("not.protocol = websocket", ("GET", "", UP), False),
    ("not.method = GET", ("POST", "", []), True),
    ("not.method = GET POST", ("PUT", "", []), True),
    ("not.method = PURGE", ("GET", "", []), True),
]


def conf():
    out = ["[listener web]", "bind = 127.0.0.1:@port@"]
    for i, keys in enumerate(dict.fromkeys(c[0] for c in CASES)):
        out += [f"[route r{i}]", f"path = /{i}", *keys.split("; "),
                f"respond = 200 r{i}"]
    return "\n".join(out) + "\n" + """
[route m]
path = /m
not.method = GET PURGE
respond = 200 m
[route many]
path = /many
method = GET
header.x-a = 1
header.x-b = 1
respond = 200 many
[route few]
path = /many
method = GET
header.x-a = 1
priority = 9
respond = 200 few
[route one]
path = /many
not.header.x-c = 1
priority = 10
respond = 200 one
"""


@pytest.fixture(scope="module")
def gate():
    with wire.gateway(conf()) as s:
        yield s


# an Upgrade is of HTTP/1.1 alone
@pytest.mark.parametrize("keys,ask,fits", [
    pytest.param(*c, marks=[pytest.mark.h1] if c[1][2] and
                 c[1][2][0][0] in ("Upgrade", "Connection") else [])
    for c in CASES])
def test_condition(gate, keys, ask, fits):
    at = list(dict.fromkeys(c[0] for c in CASES)).index(keys)
    method, query, fields = ask
    with http.Client(gate.port) as c:
        r = c.ask(method, f"/{at}{query}", headers=fields)
    if fits:
        assert (r.status, r.text) == (200, f"r{at}")
    else:
        wire.is_fail(r, "no_route")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PURGE"])
def test_not_method_is_405(gate, method):
    with http.Client(gate.port) as c:
        r = c.ask(method, "/m")
        assert r.status == 405
        allow = {m.strip() for m in r["allow"].split(",")}
        assert {"POST", "PUT", "DELETE"} <= allow
        assert not {"GET", "HEAD", "PURGE"} & allow


@pytest.mark.parametrize("fields,want", [
    ({"x-a": "1", "x-b": "1"}, "many"), ({"x-a": "1"}, "few"), ({}, "one"),
    ({"x-a": "1", "x-b": "1", "x-c": "1"}, "many")])
def test_more_conditions_win(gate, fields, want):
    """Names count one by one, before the priority."""
    assert http.get(gate.port, "/many", headers=fields).text == want


def test_other_conditions_are_no_405(gate):
    """A route that fails by more than its method is a 404."""
    with http.Client(gate.port) as c:
        wire.is_fail(c.ask("POST", "/many", headers={"x-c": "1"}),
                     "no_route")
        assert c.ask("POST", "/many",
                     headers={"x-a": "1", "x-c": "1"}).status == 405

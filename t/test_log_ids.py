"""Request ids: made, taken from trusted proxies, passed on, in records."""
import json
import re

import pytest

from lib import http, site
from lib.peer import respond

pytestmark = [pytest.mark.versions, pytest.mark.turns]

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TRUST = "[sluice]\ntrusted_proxies = 192.0.2.0/24, 127.0.0.0/8\n"


def start(sluice, tmp, peer, head="", log=""):
    site.write(tmp)
    app = peer(default=respond(body=b"from the server"))
    conf = site.proxied(app.addr) + log
    s = sluice(conf.replace("[sluice]\n", head or "[sluice]\n", 1))
    return s, app


def ask(s, target, *ids):
    fields = "".join(f"X-Request-ID: {i}\r\n" for i in ids)
    with http.Client(s.port) as c:
        c.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        return c.response()


def record_of(s, target):
    (line,) = s.wait_log(f'"target":"{re.escape(target)}"')
    return json.loads(line)


@pytest.mark.parametrize("given", ["mine", "a.B_c-9", "x" * 128])
def test_of_a_trusted_proxy(sluice, tmp, peer, given):
    """In the response, at the upstream and in the record."""
    s, app = start(sluice, tmp, peer, TRUST)
    r = ask(s, "/api/x", given)
    assert r["x-request-id"] == given
    assert app.requests[-1].all("x-request-id") == [given]
    assert record_of(s, "/api/x")["id"] == given
    # an error tells the same one
    r = ask(s, "/missing", given)
    assert r["x-request-id"] == given and given in r.text


@pytest.mark.parametrize("given", [
    ("",), ("a b",), ("<b>",), ("x" * 129,), ("a\xe9",), ("one", "two"),
    ("one", "one")])
def test_that_is_not_taken(sluice, tmp, peer, given):
    s, app = start(sluice, tmp, peer, TRUST)
    r = ask(s, "/api/x", *given)
    assert re.fullmatch(UUID7, r["x-request-id"])
    assert app.requests[-1].all("x-request-id") == [r["x-request-id"]]


def test_of_anybody_else(sluice, tmp, peer):
    s, app = start(sluice, tmp, peer, TRUST.replace(", 127.0.0.0/8", ""))
    r = ask(s, "/api/x", "mine")
    assert re.fullmatch(UUID7, r["x-request-id"])
    assert app.requests[-1].all("x-request-id") == [r["x-request-id"]]
    s.reload(open(s.conf_path, encoding="utf-8").read().replace(
        "192.0.2.0/24", "127.0.0.1"))
    assert ask(s, "/api/y", "mine")["x-request-id"] == "mine"


def test_none(sluice, tmp, peer):
    """Off, and on again by a reload."""
    off = "[log]\nenable_request_ids = off\n"
    s, app = start(sluice, tmp, peer, TRUST, off)
    r = ask(s, "/api/x", "mine")
    assert r.all("x-request-id") == []
    assert app.requests[-1].all("x-request-id") == []
    assert "id" not in record_of(s, "/api/x")
    r = ask(s, "/missing")
    assert r.status == 404 and r.all("x-request-id") == []
    with http.Client(s.port) as c:
        c.send(b"GET /missing HTTP/1.1\r\nHost: a\r\n"
               b"Accept: application/json\r\n\r\n")
        assert "id" not in json.loads(c.response().body)
    s.reload(open(s.conf_path, encoding="utf-8").read().replace(
        "request_ids = off", "request_ids = on"))
    assert ask(s, "/api/y", "mine")["x-request-id"] == "mine"


def test_in_lines_of_the_log(sluice, tmp, peer):
    """A line about a request has its id."""
    s, _ = start(sluice, tmp, peer, TRUST, "[log]\nlevel.exchange = debug\n")
    ask(s, "/api/x", "mine")
    s.wait_log('"module":"exchange".*"request":"mine"')

"""The handler echo: the request, told back."""
import pytest

from lib import http

pytestmark = pytest.mark.versions

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[route echo]
path = /*
echo = on
"""


SAYS = {"h1": "HTTP/1.1", "h2c": "HTTP/2.0", "h2": "HTTP/2.0"}


def test_echo(sluice, version):
    s = sluice(CONF)
    r = http.get(s.port, "/a%20b?c", headers=[("X-One", "1"),
                                              ("X-One", "2")])
    assert r.status == 200
    lines = r.text.splitlines()
    assert lines[0] == "client 127.0.0.1"
    assert lines[1] == "id " + r["x-request-id"]
    name = "X-One" if version == "h1" else "x-one"
    assert lines[3:] == ["GET /a%20b?c " + SAYS[version], "host: localhost",
                         name + ": 1", name + ": 2"]


def test_echo_of_a_body(sluice, version):
    """The body is dropped; the connection goes on."""
    s = sluice(CONF)
    with http.Client(s.port) as c:
        for _ in range(2):
            c.send(http.request("POST", "/", body=b"x" * 1000))
            assert c.response().text.splitlines()[3] == \
                "POST / " + SAYS[version]

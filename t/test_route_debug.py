"""[log] level = debug: each request as it was read, without secrets."""
import pytest

from lib import http

CONF = """
[log]
level = {level}
[listener web]
bind = 127.0.0.1:@port@
[route all]
respond = 200 ok
"""
FIELDS = [("X-Seen", "a\tb"), ("Authorization", "Basic c2VjcmV0"),
          ("authorization", "Bearer secret1"), ("Cookie", "sid=secret2"),
          ("Proxy-Authorization", "secret3"), ("X-Other", "c")]


def lines(s):
    return [r["msg"] for r in s.log() if "request: " in r.get("msg", "")]


def test_debug(sluice):
    s = sluice(CONF.format(level="debug"))
    http.get(s.port, "/a/b?q=1", headers=FIELDS)
    s.wait_log("request: GET /a/b")
    line, = lines(s)
    assert line.startswith("request: GET /a/b?q=1, host: localhost")
    assert ", X-Seen: a" in line and ", X-Other: c" in line
    assert ", Authorization: ***, authorization: ***, Cookie: ***" in line
    s.stop()
    everything = str(s.log()) + s.stderr()
    assert "secret" not in everything and "c2VjcmV0" not in everything


@pytest.mark.parametrize("level", ["info", "warning"])
def test_not_otherwise(sluice, level):
    s = sluice(CONF.format(level=level))
    http.get(s.port, "/a", headers=FIELDS)
    s.stop()
    assert not lines(s)

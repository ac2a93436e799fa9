"""The route condition header.NAME."""
import pytest

from lib import http

pytestmark = pytest.mark.versions

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[route canary]
path = /*
header.X-Env = canary
header.X-Env = beta
respond = 200 canary
[route named]
path = /*
header.X-User = *
respond = 200 named
[route both]
path = /*
header.X-User = *
header.X-Env = canary
respond = 200 both
[route rest]
path = /*
respond = 200 rest
"""


@pytest.fixture(name="port")
def _port(sluice):
    return sluice(CONF).port


@pytest.mark.parametrize("fields, want", [
    ((), b"rest"),
    ((("X-Env", "canary"),), b"canary"),
    ((("x-env", "beta"),), b"canary"),
    ((("X-Env", "other"),), b"rest"),
    ((("X-Env", "Canary"),), b"rest"),
    ((("X-Env", "other"), ("X-Env", "canary")), b"canary"),
    ((("X-User", ""),), b"named"),
    ((("X-User", "me"), ("X-Env", "canary")), b"both"),
    ((("X-Envy", "canary"),), b"rest"),
])
def test_header(port, fields, want):
    assert http.get(port, "/", headers=fields).body == want


def test_bad_name(sluice):
    s = sluice(CONF.replace("header.X-Env = beta", "header.X(Env = beta"),
               start=False)
    s.start(ready=False)
    assert s.wait() == 1
    assert "E0128" in s.stderr()

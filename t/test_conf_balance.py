"""What -t says of keys of balancing that do nothing, or cannot be meant."""
import pytest

from lib import conf

TEXT = """[listener web]
bind = 127.0.0.1:8080
[upstream app]
server = 127.0.0.1:1{weight}
server = 127.0.0.1:2{weight}
{keys}
[route all]
path = /*
upstream = app
"""
PROBE = "health.path = /h\n"

ODD = [
    ("W0324", PROBE + "health.method = HEAD\nhealth.body = ok"),
    ("W0324", "health.type = tcp\nhealth.expect = 200"),
    ("W0324", "health.type = tcp\nhealth.body = ok"),
    ("W0324", "hash.key = ${path}"),
    ("W0324", "breaker.failures = 0\nbreaker.rate = 0"),
    ("E0130", PROBE + "health.host = a b"),
    ("E0128", "health.path = /h#part"),
    ("E0124", PROBE + "health.header.Host = a"),
    ("E0124", PROBE + "health.header.content-length = 1"),
    ("E0124", PROBE + "health.header.Connection = close"),
    ("E0124", PROBE + "health.header.Transfer-Encoding = chunked"),
    ("E0303", "retry.backoff = 2s\nretry.backoff_max = 1s"),
    ("E0303", "outlier.time = 2s\noutlier.max_time = 1s"),
    ("E0125", "sticky = cookie\nsticky.ttl = 30s"),
    ("E0312", "fallback = sorry.html"),
    ("E0312", "fallback = text:sorry"),
    ("E0312", "fallback = /nowhere/sorry.html"),
]

WELL = [
    PROBE + "health.method = HEAD",
    PROBE + "health.body = ok\nhealth.host = a.example:80",
    PROBE + "health.header.User-Agent = prober\nhealth.header.X-A = a b",
    "health.type = tcp",
    "balance = hash\nhash.key = ${path}\nhash.load = 150",
    "breaker.failures = 0\nbreaker.rate = 30",
    "retry.backoff = 2s",
    "outlier.time = 1h",
    "sticky = cookie\nsticky.ttl = 1m",
]


def write(tmp_path, keys, weight=""):
    conf.write(str(tmp_path), TEXT.format(keys=keys, weight=weight))
    return str(tmp_path)


@pytest.mark.parametrize("id,keys", ODD)
def test_odd(tmp_path, id, keys):
    where = write(tmp_path, keys)
    if id[0] == "E":
        assert conf.fails(where) == [id]
    else:
        assert f"[{id}]" in conf.loads(where, warns=True)


@pytest.mark.parametrize("keys", WELL)
def test_well(tmp_path, keys):
    assert conf.loads(write(tmp_path, keys)).count("[W") == 0


def test_weights(tmp_path):
    where = write(tmp_path, "", " weight=0")
    assert "[W0325]" in conf.loads(where, warns=True)
    where = write(tmp_path, "", " weight=1 weight=2")
    assert set(conf.fails(where)) == {"E0124"}


def test_retry_without_servers(tmp_path):
    conf.write(str(tmp_path), "[listener web]\nbind = 127.0.0.1:8080\n"
               "[route all]\npath = /*\nrespond = 200 ok\n"
               "retry.tries = 1\n")
    assert "[W0306]" in conf.loads(str(tmp_path), warns=True)

"""TLS towards clients: all that works without it works with it."""
import os

import pytest

from lib import tls, wire
from lib.certs import Cert
from lib.peer import Peer

BIG = os.urandom(700_000)


def conf(app, listener="", cert=""):
    return f"""
[listener web]
bind = 127.0.0.1:@port@
tls = on
{listener}
[listener plain]
bind = 127.0.0.1:@port2@
[cert a]
cert = @dir@/a.crt
key = @dir@/a.key
{cert}
[upstream app]
server = {app}
[route app]
path = /app/*
upstream = app
[route all]
path = /*
static = @dir@/www
"""


@pytest.fixture(scope="module")
def ca():
    return Cert("test ca", ca=True)


@pytest.fixture(scope="module")
def gate(ca):
    leaf = Cert("localhost", "a.example", by=ca)
    files = {"big": BIG, "small": b"small\n", "../a.crt": leaf.chain,
             "../a.key": leaf.key_pem()}
    with Peer() as app, wire.gateway(conf(app.addr), files) as s:
        s.ca, s.app = ca, app
        yield s
        assert not app.errors


@pytest.fixture(params=["1.2", "1.3"])
def ctx(gate, request):
    return tls.context(gate.ca, **(tls.V12 if request.param == "1.2" else
                                   tls.V13))


def test_files(gate, ctx):
    with tls.Client(gate.port, ctx) as c:
        for _ in range(3):
            assert c.get("/small").body == b"small\n"
            assert c.get("/big").body == BIG
        assert c.ask("HEAD", "/big")["content-length"] == str(len(BIG))


def test_ranges(gate, ctx):
    with tls.Client(gate.port, ctx) as c:
        r = c.get("/big", headers={"Range": "bytes=16380-33000"})
        assert r.status == 206 and r.body == BIG[16380:33001]

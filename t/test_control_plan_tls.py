"""reload --plan: what files of TLS say now, and whose connections end."""
import os

import pytest

from lib import tls
from lib.certs import Cert, crl, put

CONF = """
[sluice]
tls.ticket_key_file = @dir@/ticket.key
{sluice}
[listener web]
bind = 127.0.0.1:@port@
tls = on
tls.client = optional
tls.client_ca = @dir@/ca.pem
tls.client_crl = @dir@/ca.crl
{listener}
[listener plain]
bind = 127.0.0.1:@port2@
{plain}
[cert d]
directory = @dir@/certs
[upstream app]
server = https://localhost:1
tls.ca = @dir@/servers.pem
tls.cert = @dir@/mine.crt
tls.key = @dir@/mine.key
[route who]
path = /who
client_cert = required
respond = 200 in
[route app]
path = /app
upstream = app
[route all]
path = /*
respond = 200 ok
"""


def conf(**kw):
    return CONF.format(**{"sluice": "", "listener": "", "plain": "", **kw})


class Site:
    def __init__(self, sluice, top):
        self.top = top
        os.mkdir(f"{top}/certs")
        self.a = self.cert("a")
        self.cert("b")
        self.ca = Cert("clients", ca=True)
        self.put("ca.pem", self.ca.pem)
        self.put("ca.crl", crl(self.ca))
        self.servers = Cert("servers", ca=True)
        self.put("servers.pem", self.servers.pem)
        Cert("gateway", by=self.servers).write(top, "mine")
        self.key(b"k" * 80)
        self.s = sluice(conf())

    def put(self, name, data):
        put(self.top, name, data)

    def key(self, data):
        path = f"{self.top}/ticket.key"
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, 0o600)

    def cert(self, name, *more, **kw):
        c = Cert(f"{name}.example", *more, **kw)
        c.write(f"{self.top}/certs", name)
        return c

    def plan(self, text=None):
        if text is not None:
            self.s.write(text)
        return self.s.ctl_json("reload", "--plan")

    def text(self):
        return self.s.ctl("reload", "--plan").stdout.splitlines()


@pytest.fixture
def site(sluice, tmp):
    return Site(sluice, tmp)


def told(plan):
    return [(c["op"], c["section"], c["key"], os.path.basename(c["file"]))
            for c in plan["changes"]]


def test_nothing(site):
    plan = site.plan()
    assert plan["changes"] == [] and plan["retired"] == []
    # written anew, with the same content
    site.a.write(f"{site.top}/certs", "a")
    site.put("ca.pem", b"a word\n" + site.ca.pem)
    assert site.text() == ["generation 1: nothing changes"]


def test_certificates(site):
    site.cert("a", "www.a.example", days=33)
    os.unlink(f"{site.top}/certs/b.crt")
    site.cert("c", kind="rsa")
    plan = site.plan()
    assert told(plan) == [("~", "cert d", "certificate", "a.crt"),
                          ("+", "cert d", "certificate", "c.crt"),
                          ("-", "cert d", "certificate", "b.crt")]
    a, c, b = plan["changes"]
    assert a["old"].startswith("a.example, ECDSA, until ")
    assert a["new"].startswith("a.example +1, ECDSA, until ")
    assert c["new"].startswith("c.example, RSA, until ") and "old" not in c
    assert b["old"].startswith("b.example") and "shown it" in b["note"]
    # a connection keeps what it was shown
    assert plan["retired"] == []
    lines = site.text()
    assert lines[0].startswith("generation 1 -> 2   (3 changes, all live;")
    assert lines[1] == f"  ~ cert d            certificate " \
        f"{site.top}/certs/a.crt: {a['old']} -> {a['new']}"
    # that is what a reload does
    with tls.Client(site.s.port, name="b.example") as k:
        before = k.peer
    site.s.reload()
    with tls.Client(site.s.port, name="b.example") as k:
        assert k.peer != before
    assert site.plan()["changes"] == []


@pytest.mark.parametrize("name,key", [
    ("ca.pem", "tls.client_ca"), ("ca.crl", "tls.client_crl")])
@pytest.mark.parametrize("how", ["retire", "cut"])
def test_clients(site, name, key, how):
    if how == "cut":
        site.s.reload(conf(listener="on_change = cut"))
    with tls.Client(site.s.port, name="a.example") as c:
        assert c.get("/").status == 200
        other = Cert("others", ca=True)
        site.put(name, site.ca.pem + other.pem if name == "ca.pem" else
                 crl(site.ca, Cert("x", by=site.ca)))
        plan = site.plan()
        assert told(plan) == [("~", "listener web", key, name)]
        assert plan["retired"] == [{"listener": "web", "why": "tls",
                                    "how": how}]
        lines = site.text()[-3:]         # behind warnings
        assert "but those of 1 listener" in lines[0]
        assert lines[1] == f"  ~ listener web      {key} " \
            f"{site.top}/{name} has changed"
        assert lines[2].startswith("  connections of listener web that came "
                                   "by other terms of TLS ")
        assert lines[2].endswith("are cut" if how == "cut" else
                                 "end with the request under way")
        # nothing came of the plan, and of a reload what it said
        assert c.get("/").status == 200
        site.s.reload()
        assert c.sock.recv(1) == b""


def test_servers(site):
    Cert("gateway", by=site.servers).write(site.top, "mine")
    site.put("servers.pem", site.servers.pem + Cert("more", ca=True).pem)
    plan = site.plan()
    assert told(plan) == [("~", "upstream app", "tls.ca", "servers.pem"),
                          ("~", "upstream app", "tls.cert", "mine.crt")]
    assert all("not used again" in c["note"] for c in plan["changes"])
    assert plan["retired"] == []


def test_ticket_keys(site):
    site.key(b"l" * 80)
    plan = site.plan()
    assert told(plan) == [("~", "sluice", "tls.ticket_key_file",
                           "ticket.key")]
    assert plan["retired"] == []


def test_keys_that_end_connections(site):
    plan = site.plan(conf(listener="tls.versions = 1.3",
                          plain="proxy_protocol = on\n"
                          "proxy_protocol_from = 127.0.0.1"))
    assert plan["retired"] == [
        {"listener": "web", "why": "tls", "how": "retire"},
        {"listener": "plain", "why": "proxy", "how": "retire"}]
    # what is no part of how a client came in
    plan = site.plan(conf(listener="timeout.handshake = 3s"))
    assert len(plan["changes"]) == 1 and plan["retired"] == []

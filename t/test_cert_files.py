"""Files of TLS beside those of [cert]: authorities, lists of revoked
certificates, what servers are shown.  Changes are noticed, ends told."""
import os
import re
import subprocess

import pytest

from lib import http, net, tls
from lib.certs import Cert, crl, put
from lib.peer import Peer

TOLD = r'"expiry".*(expires|expired) on'
CONF = """
[sluice]
watch = {watch}
{sluice}
[listener web]
bind = 127.0.0.1:@port@
tls = on
tls.client = optional
tls.client_ca = @dir@/x/ca.pem
tls.client_crl = @dir@/x/ca.crl
[cert a]
cert = @dir@/a.crt
key = @dir@/a.key
[upstream app]
server = https://localhost:{app}
tls.ca = @dir@/y/servers.pem
tls.cert = @dir@/y/mine.crt
tls.key = @dir@/y/mine.key
retry.tries = 0
[route who]
path = /who
client_cert = required
respond = 200 in
[route all]
path = /*
upstream = app
"""


class Files:
    def __init__(self, top):
        self.top = top
        for d in "xy":
            os.mkdir(f"{top}/{d}")
        Cert("localhost").write(top, "a")
        self.ca = self.authority()
        self.alice = Cert("alice.example", by=self.ca)
        self.alice.write(top, "alice")
        self.list()
        self.servers = Cert("servers", ca=True)
        put(f"{top}/y", "servers.pem", self.servers.pem)
        self.mine()

    def authority(self, **kw):
        ca = Cert("clients", ca=True, **kw)
        put(f"{self.top}/x", "ca.pem", ca.pem)
        return ca

    def list(self, *revoked, **kw):
        put(f"{self.top}/x", "ca.crl", crl(self.ca, *revoked, **kw))

    def mine(self, **kw):
        mine = Cert("gateway", by=self.servers, **kw)
        mine.write(f"{self.top}/y", "mine")
        return mine

    def client(self):
        c = tls.context()
        c.load_cert_chain(f"{self.top}/alice.crt", f"{self.top}/alice.key")
        return c


@pytest.fixture
def files(tmp):
    return Files(tmp)


def conf(watch="certs", sluice="", app=1):
    return CONF.format(watch=watch, sluice=sluice, app=app)


def metric(s, name):
    return next((m["sum"] for m in s.ctl_json("metrics")["metrics"]
                 if m["name"] == name), None)


def test_lists_are_watched(sluice, files):
    s = sluice(conf())
    ctx = files.client()
    assert tls.get(s.port, "/who", ctx).text == "in"
    files.list(files.alice)
    s.wait_log("generation 2 is live")
    assert tls.get(s.port, "/who", ctx).status == 403
    # a broken one changes nothing; what nobody named is nobody's business
    put(f"{files.top}/x", "notes", b"x")
    put(f"{files.top}/x", "ca.crl", b"x")
    s.wait_log("reload: failed")
    assert tls.get(s.port, "/who", ctx).status == 403
    files.list()
    s.wait_log("generation 4 is live")
    assert tls.get(s.port, "/who", ctx).text == "in"
    assert len(s.wait_log("files have changed")) == 3


def test_authorities_are_watched(sluice, files):
    s = sluice(conf())
    ctx = files.client()
    old = files.ca
    files.ca = files.authority()
    # with a list that the new one has not signed it is no configuration
    s.wait_log("reload: failed")
    assert tls.get(s.port, "/who", ctx).text == "in"
    files.list()
    s.wait_log("generation 3 is live")
    assert tls.get(s.port, "/who", ctx).status == 403
    files.ca = old
    put(f"{files.top}/x", "ca.pem", old.pem)
    files.list()
    s.wait_log(r"generation [45] is live")
    assert tls.get(s.port, "/who", ctx).text == "in"


def test_files_for_servers_are_watched(sluice, files):
    ctx = tls.server(Cert("localhost", by=files.servers), files.top, "app",
                     clients=files.servers)
    with Peer(tls=ctx) as app:
        s = sluice(conf(app=app.port))
        assert tls.get(s.port, "/x").body == b"ok\n"
        files.mine()
        s.wait_log("generation 2 is live")
        assert tls.get(s.port, "/x").body == b"ok\n"
        assert len({c.cert for c in app.shaken}) == 2
        put(f"{files.top}/y", "servers.pem", Cert("none", ca=True).pem)
        s.wait_log("generation 3 is live")
        assert tls.get(s.port, "/x").status == 502


def test_not_watched(sluice, files):
    """Neither without watch, nor for names that nobody has."""
    s = sluice(conf(watch="off"))
    files.list(files.alice)
    s.reload()
    s.reload(conf())
    put(f"{files.top}/x", "other.pem", b"x")
    put(f"{files.top}/y", "other.crl", b"x")
    files.mine()
    s.wait_log("generation 4 is live")
    assert len(s.wait_log("files have changed")) == 1


def test_told(sluice, files):
    """Each at its times; lists only in their last quarter."""
    files.ca = files.authority(days=6.5)
    files.list(days=9.49)               # of 69 days: in the last quarter
    files.mine(days=2.5)
    s = sluice(conf(watch="off"))
    found = "\n".join(s.wait_log(TOLD, count=3))
    assert re.search(r'authority of clients .*x/ca.pem.* in 6 days', found)
    assert re.search(r'list of revoked certificates .*x/ca.crl.* in 9 days',
                     found)
    assert re.search(r'certificate for servers .*y/mine.crt.* in 2 days',
                     found)
    assert metric(s, "authority_days_left") == 6
    assert metric(s, "revocation_list_hours_left") == 227
    rows = {f["kind"]: f for f in s.ctl_json("certs")["files"]}
    assert {k: (f["days"], f["section"], f["name"])
            for k, f in rows.items() if k != "server_ca"} == {
        "client_ca": (6, "listener", "web"),
        "client_crl": (9, "listener", "web"), "shown": (2, "upstream", "app")}
    assert rows["server_ca"]["file"] == f"{files.top}/y/servers.pem"
    shown = s.ctl("certs").stdout.splitlines()
    at = next(i for i, ln in enumerate(shown) if ln.startswith("ALSO"))
    assert re.match(r"authority of clients +6 +[\d-]{10} +listener web +" +
                    f"{files.top}/x/ca.pem$", shown[at + 1])
    # not once more, but of what is another one
    s.reload()
    files.list(days=1.49)
    s.reload()
    line = s.wait_log(TOLD, count=4)[3]
    assert "ca.crl" in line and "in 35 hours" in line
    assert metric(s, "revocation_list_hours_left") == 35
    # a new one that is far from its end is none to speak of
    files.list(days=20.01)              # 80: not yet in the last quarter
    s.reload()
    files.mine()
    s.reload(conf(watch="off", sluice="tls.expiry_warn = 5d"))
    assert len(s.wait_log(TOLD)) == 4
    assert metric(s, "revocation_list_hours_left") == 480


def days(s):
    return {f["kind"]: f["days"] for f in s.ctl_json("certs")["files"]}


def test_expired_list(sluice, files):
    """One that has ended is an error, as it lets none in: also at start."""
    files.list(days=-1.51)
    s = sluice(conf(watch="off"))
    assert "expired list" in s.stderr()
    assert tls.get(s.port, "/who", files.client()).status == 403
    line = s.wait_log(r'"expiry".*expired on')[0]
    assert "list of revoked certificates" in line and "x/ca.crl" in line
    assert metric(s, "revocation_list_hours_left") == -37
    assert days(s)["client_crl"] == -2
    assert re.search(r"(?m)^revoked certificates +-2 ",
                     s.ctl("certs").stdout)
    s.reload()
    assert days(s)["client_crl"] == -2
    files.list(days=20.01)
    s.reload()
    assert metric(s, "revocation_list_hours_left") == 480
    assert len(s.wait_log(r'"expiry".*expired on')) == 1


def test_list_beside_one_that_expired(sluice, files):
    """Each counts, as each lets in those of its own authority alone."""
    other = Cert("others", ca=True)
    put(f"{files.top}/x", "ca.pem", files.ca.pem + other.pem)
    put(f"{files.top}/x", "ca.crl", crl(files.ca) + crl(other, days=-1.51))
    s = sluice(conf(watch="off"))
    assert days(s)["client_crl"] == -2
    assert metric(s, "revocation_list_hours_left") == -37


def test_expired_authorities(sluice, files):
    """Those of clients and of servers; told at -t, too."""
    files.ca = files.authority(days=-1.51, since=-9)
    files.list()
    put(f"{files.top}/y", "servers.pem",
        Cert("servers", ca=True, days=-2.5, since=-9).pem)
    s = sluice(conf(watch="off"))
    told = s.stderr()
    assert told.count("W0340") == 2
    assert re.search(r'servers.pem" has an authority that has expired: no '
                     r"server's certificate is believed", told)
    found = "\n".join(s.wait_log(r'"expiry".*expired on', count=2))
    assert re.search(r"authority of clients .*x/ca.pem", found)
    assert re.search(r"authority of servers .*y/servers.pem", found)
    now = days(s)
    assert now["client_ca"] == -2 and now["server_ca"] == -3
    assert metric(s, "authority_days_left") == -3
    # neither counts beside one that is valid
    new = files.authority(days=6.5)
    put(f"{files.top}/x", "ca.pem", files.ca.pem + new.pem)
    put(f"{files.top}/x", "ca.crl", crl(files.ca) + crl(new))
    put(f"{files.top}/y", "servers.pem",
        Cert("servers", ca=True, days=-1.51, since=-9).pem +
        Cert("servers", ca=True, days=8.5).pem)
    s.reload()
    now = days(s)
    assert now["client_ca"] == 6 and now["server_ca"] == 8
    assert metric(s, "authority_days_left") == 6
    # of several that ended it is the last
    put(f"{files.top}/y", "servers.pem", b"".join(
        Cert("servers", ca=True, days=-n - .5, since=-9).pem
        for n in (3, 1, 2)))
    s.reload()
    assert days(s)["server_ca"] == -2
    done = subprocess.run([s.program, "-t", "-c", s.conf_path],
                          capture_output=True, text=True, check=True)
    told = done.stdout + done.stderr
    assert "W0340" in told and "have all expired" in told


def test_ends_while_it_is_used(sluice, files):
    """That is told when it comes, and stays so over reloads."""
    put(f"{files.top}/y", "servers.pem",
        Cert("servers", ca=True, seconds=4).pem)
    s = sluice(conf(watch="off"))
    assert days(s)["server_ca"] == 0
    line = s.wait_log(r'"expiry".*authority of servers .*expired on')
    assert "are not believed" in line[0]
    assert metric(s, "authority_days_left") == -1
    s.reload()
    assert metric(s, "authority_days_left") == -1
    assert days(s)["server_ca"] == -1


def test_none(sluice):
    s = sluice("[listener web]\nbind = 127.0.0.1:@port@\n"
               "[route all]\nrespond = 200 ok\n")
    assert http.get(s.port).text == "ok"
    assert metric(s, "authority_days_left") is None
    assert metric(s, "revocation_list_hours_left") is None

"""The cookbook on TLS: each claim, with the real nginx beside us."""
import os
import re
import socket
import ssl
import subprocess

import pytest

from lib import conf, http, net, tls
from lib.certs import Cert, put
from lib.cmd import run, tool
from lib.peer import Peer, respond

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "doc", "cookbook", "from-nginx-tls.md")
WWW, PARTNERS = "www.example.com", "partners.example.com"
HSTS = "max-age=31536000; includeSubDomains"


def page():
    with open(PAGE, encoding="utf-8") as f:
        return f.read()


def block(kind):
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```", page(), re.M | re.S)
    return text


class Site:
    """The files that the page names, and the server behind both."""

    def __init__(self, top):
        self.top = top
        self.ca, self.app_ca = (Cert(n, ca=True) for n in ("ca", "app-ca"))
        os.makedirs(f"{top}/private")
        for name in (WWW, PARTNERS):
            c = Cert(name, by=self.ca)
            c.write(top, name)
            os.rename(f"{top}/{name}.key", f"{top}/private/{name}.key")
        put(top, "app-ca.pem", self.app_ca.pem)
        self.partners = Cert("partners-ca", ca=True)
        put(top, "partners-ca.pem", self.partners.pem)
        self.alice = Cert("alice.example", by=self.partners)
        self.alice.write(top, "alice")
        self.app = Peer(default=respond(body=b"app"), tls=tls.server(
            Cert("app.internal", by=self.app_ca), top, "app"))

    def place(self, text):
        return text.replace("/etc/ssl/", f"{self.top}/").replace(
            "10.0.0.5:8443", self.app.addr).replace(
            "10.0.0.9:8443", self.app.addr)

    def context(self, cert=False, **kw):
        c = tls.context(self.ca, **kw)
        if cert:
            c.load_cert_chain(f"{self.top}/alice.crt",
                              f"{self.top}/alice.key")
        return c

    def ours(self, kind="ini"):
        text = self.place(block(kind))
        text = text.replace("0.0.0.0:80 [::]:80", "127.0.0.1:@port@")
        return text.replace("0.0.0.0:443 [::]:443", "127.0.0.1:@port2@")

    def theirs(self, plain, secure):
        tmp = self.top
        text = self.place(block("nginx"))
        text = text.replace("listen 80;", f"listen 127.0.0.1:{plain};")
        text = text.replace("listen 443 ", f"listen 127.0.0.1:{secure} ")
        conf.write(tmp, "daemon off;\nmaster_process off;\n"
                   f"pid {tmp}/n.pid;\nerror_log {tmp}/n.err;\nevents {{ }}\n"
                   "http {\naccess_log off;\n" + "".join(
                       f"{n}_temp_path {tmp}/{n};\n" for n in (
                           "client_body", "proxy", "fastcgi", "uwsgi",
                           "scgi")) + text + "}\n", "n.conf")
        return f"{tmp}/n.conf"


@pytest.fixture(name="site")
def _site(tmp):
    s = Site(tmp)
    with s.app:
        yield s


@pytest.fixture(name="nginx")
def _nginx(site):
    """Ports of plain HTTP and of TLS."""
    ports = net.free_port(), net.free_port()
    path = site.theirs(*ports)
    with subprocess.Popen([tool("nginx"), "-c", path, "-e",
                           f"{site.top}/err"],
                          stdin=subprocess.DEVNULL) as p:
        net.wait_port(ports[1])
        yield ports
        p.terminate()
        p.wait(net.WAIT)


@pytest.fixture(name="both")
def _both(sluice, site, nginx):
    s = sluice(site.ours())
    return {"sluice": (s.port, s.value("port2")), "nginx": nginx}


def get(site, port, name=WWW, host=None, method="GET", **kw):
    with tls.Client(port, site.context(**kw), name) as c:
        return c.ask(method, "/x", headers=[("Host", host or name)])


def test_nginx_takes_its_own(site):
    done = subprocess.run([tool("nginx"), "-t", "-c", site.theirs(1, 2),
                           "-e", f"{site.top}/err"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_loads_without_a_warning(site):
    for kind in "ini", "ini-pass":
        conf.write(site.top, site.ours(kind).replace(
            "@port@", "8080").replace("@port2@", "8443"))
        done = conf.test(site.top, "-W")
        assert done.returncode == 0, done.stderr


def test_keys_of_the_table():
    """What stands to the right is known here."""
    known = run("sluiced", "--dump-schema").stdout
    rows = re.findall(r"^\| .*? \| (.*?) *\|$", page(), re.M)[1:]
    assert len(rows) > 25
    for word in re.findall(r"`([^`]+)`", " ".join(rows)):
        key = word.partition(" = ")[0].replace(".NAME", ".*")
        if re.fullmatch(r"[a-z][\w.*]*", key) and key != "off":
            assert f'"{key}"' in known, key


@pytest.mark.parametrize("name", [WWW, PARTNERS])
def test_redirect(both, name):
    for who, (plain, secure) in both.items():
        r = http.get(plain, "/a?b=c", headers={"Host": name})
        port = "" if who == "nginx" else f":{secure}"
        assert (r.status, r["location"]) == \
            (301, f"https://{name}{port}/a?b=c"), who


def test_redirect_differs(both):
    got = {}
    for who, (plain, _) in both.items():
        with http.Client(plain) as c:
            r = c.ask("POST", "/a", headers=[("Host", WWW),
                                             ("Content-Length", "0")])
            got[who] = r.status
    assert got == {"nginx": 301, "sluice": 308}
    acme = "/.well-known/acme-challenge/x"
    assert http.get(both["sluice"][0], acme,
                    headers={"Host": "other.example"}).status == 404
    assert http.get(both["nginx"][0], acme,
                    headers={"Host": WWW}).status == 301


def test_answer_alike(site, both):
    for who, (_, port) in both.items():
        for version in tls.V12, tls.V13:
            r = get(site, port, **version)
            assert (r.status, r.body) == (200, b"app"), who
            assert r.get("strict-transport-security") == HSTS, who
        req = site.app.requests[-1]
        assert req.get("host") == WWW and req.target == "/x"
        assert req.get("x-forwarded-proto") == "https"
        with socket.create_connection(("127.0.0.1", port)) as raw:
            ctx = site.context(alpn=["h2", "http/1.1"])
            with ctx.wrap_socket(raw, server_hostname=WWW) as c:
                assert c.selected_alpn_protocol() == "h2", who


def test_partners(site, both):
    for who, (_, port) in both.items():
        r = get(site, port, PARTNERS, cert=True)
        assert (r.status, r.body) == (200, b"app"), who
        assert site.app.requests[-1].get("x-client-subject") == \
            "CN=alice.example", who
        # what a client says of itself is not believed
        with tls.Client(port, site.context(cert=True), PARTNERS) as c:
            c.ask("GET", "/x", headers=[("Host", PARTNERS),
                                        ("X-Client-Subject", "CN=bob")])
        assert site.app.requests[-1].get("x-client-subject") == \
            "CN=alice.example", who
        # its terms are not those of its neighbour
        assert get(site, port, WWW, PARTNERS).status == 421, who


def test_no_certificate(site, both):
    assert get(site, both["nginx"][1], PARTNERS).status == 400
    with pytest.raises(http.Closed, match="CERTIFICATE_REQUIRED"):
        get(site, both["sluice"][1], PARTNERS)


def test_versions_differ(site, both):
    """The versions of a host are its own; in nginx the first server's."""
    assert get(site, both["nginx"][1], PARTNERS, cert=True,
               **tls.V12).status == 200
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        get(site, both["sluice"][1], PARTNERS, cert=True, **tls.V12)


def test_wrong_server(sluice, site):
    """A server is verified; nginx does so by proxy_ssl_verify alone."""
    put(site.top, "app-ca.pem", Cert("another", ca=True).pem)
    s = sluice(site.ours())
    assert get(site, s.value("port2")).status == 502


def test_passed_on(sluice, site):
    site.app.requests.clear()
    s = sluice(site.ours("ini-pass"))
    assert get(site, s.value("port2")).text == "here"
    assert not site.app.requests
    with tls.Client(s.value("port2"), tls.context(),
                    "vault.example.com") as c:
        assert c.get("/v").body == b"app"
        with open(f"{site.top}/app.crt", encoding="ascii") as f:
            assert c.peer == ssl.PEM_cert_to_DER_cert(f.read())
    assert site.app.requests[-1].target == "/v"

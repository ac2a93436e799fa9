"""A gateway whose hosts have policies of TLS of their own."""
import os
import ssl

from lib import tls
from lib.certs import Cert, crl, put

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

# name of a [tls] and of its host: what it has
TERMS = {
    "plain": "",
    "old": "tls.versions = 1.2",
    "new": "tls.versions = 1.3",
    "suite": "tls.ciphersuites = TLS_AES_256_GCM_SHA384\n"
             "tls.ciphers = ECDHE-ECDSA-AES256-GCM-SHA384",
    "group": "tls.groups = P-384",
    "ask": "tls.client = optional\ntls.client_ca = @dir@/ca.crt",
    "must": "tls.client = required\ntls.client_ca = @dir@/ca.crt",
    "other": "tls.client = required\ntls.client_ca = @dir@/other.crt",
    "crl": "tls.client = required\ntls.client_ca = @dir@/ca.crt\n"
           "tls.client_crl = @dir@/ca.crl",
    "deep": "tls.client = required\ntls.client_ca = @dir@/ca.crt\n"
            "tls.client_depth = 0",
}


class Files:
    """Authorities, and certificates of the server and of clients."""

    def __init__(self, top):
        self.top = str(top)
        self.root = Cert("root", ca=True)
        self.ca = Cert("clients", ca=True)
        self.other = Cert("others", ca=True)
        self.sub = Cert("sub", by=self.ca, ca=True)
        self.leaf = Cert("localhost", *(f"{n}.example" for n in TERMS),
                         "*.wild.example", by=self.root)
        self.leaf.write(self.top, "a")
        self.clients = {
            "good": Cert("alice.clients.example", "spiffe://example/alice",
                         "alice@example.org", "192.0.2.7", by=self.ca),
            "second": Cert("bob.clients.example", by=self.ca),
            "expired": Cert("late.example", by=self.ca, since=-9, days=-1),
            "early": Cert("soon.example", by=self.ca, since=5, days=9),
            "revoked": Cert("gone.example", by=self.ca),
            "wrong": Cert("stranger.example", by=self.other),
            "self": Cert("self.example"),
            "deep": Cert("deep.example", by=self.sub),
        }
        for name, c in self.clients.items():
            c.write(self.top, name)
        put(self.top, "root.crt", self.root.pem)
        put(self.top, "ca.crt", self.ca.pem)
        put(self.top, "other.crt", self.other.pem)
        self.revoke(self.clients["revoked"])

    def revoke(self, *certs, days=30):
        put(self.top, "ca.crl", crl(self.ca, *certs, days=days))

    def path(self, name):
        return os.path.join(self.top, name)

    def context(self, who=None, version=None):
        """A client, with the certificate of `who`, of one version."""
        c = tls.context(self.root, **({} if version is None else
                                      dict(low=version, high=version)))
        if who:
            c.load_cert_chain(self.path(f"{who}.crt"),
                              self.path(f"{who}.key"))
        return c


def conf(top="", listener="", more="", terms=TERMS, route=""):
    """A host NAME.example for each of the terms."""
    out = f"""
[sluice]
{top}
[listener web]
bind = 127.0.0.1:@port@
tls = on
{listener}
[cert a]
cert = @dir@/a.crt
key = @dir@/a.key
[route all]
path = /*
respond = 200 all
{route}
{more}
"""
    for name, words in terms.items():
        out += f"""
[tls {name}]
{words}
[route {name}]
host = {name}.example
tls_policy = {name}
respond = 200 {name}
"""
    return out


def session(s, ctx, name, old=None):
    """(answer, session or None, was it resumed) of one connection."""
    with tls.Client(s.port, ctx, name, session=old) as c:
        r = c.get("/", headers={"Host": name})
        return r, c.sock.session, c.sock.session_reused

"""A test on every HTTP version: h1, h2c (by prior knowledge) and h2 (TLS).

One gateway serves all three: each listener of such a file speaks both
versions, and has a twin that does the same over TLS.  What the test calls
http.Client is then a client of the version that it runs on.

proc.complete() asks twins(); conftest.py has the rest.
"""
import functools
import re
import tempfile

from lib import certs, h2, http, net, tls

ALL = "h1", "h2c", "h2"
_twins = {}         # port: that of the same over TLS
_listener = re.compile(r"^(\[listener ([^]]*)\]\n)(.*?)(?=^\[|\Z)",
                       re.M | re.S)


@functools.cache
def _cert():
    """For any host; its files stay as long as the run."""
    _cert.dir = tempfile.TemporaryDirectory(prefix="sl-", dir="/tmp")
    return certs.Cert("localhost", "127.0.0.1", days=30).write(
        _cert.dir.name, "versions")


@functools.cache
def _context():
    c = tls.context()
    c.set_alpn_protocols(["h2"])
    return c


def _twin_of(m, port):
    """The lines of a listener's twin; none without a TCP port."""
    head, name, lines = m.groups()
    keys = re.sub(r"^http\s*=.*\n", "", lines, flags=re.M)
    bind = re.search(r"^bind\s*=\s*(.*)$", keys, re.M)
    if not bind or "tls" in keys or re.search(r"^proxy_pr", keys, re.M):
        return ""
    new = []
    for number in re.findall(r"127\.0\.0\.1:(\d+)", bind[1]):
        _twins[int(number)] = port("port_tls" + number)
        new.append(f"127.0.0.1:{_twins[int(number)]}")
    if not new:
        return ""
    return head.replace(name, name + "_tls") + \
        keys.replace(bind[0], "bind = " + " ".join(new)) + \
        ("" if keys.endswith("\n") else "\n") + "tls = on\n"


def twins(conf, port):
    """The config with a twin for each listener; port: a name's number."""
    made = {}
    for m in _listener.finditer(conf):
        if twin := _twin_of(m, port):
            made[m[2]] = twin
    if not made or re.search(r"^\[cert ", conf, re.M):
        return conf
    conf = re.sub(r"^(\[listener [^]]*\]\n)(?!http)", r"\1http = 1.1 2\n",
                  conf, flags=re.M)
    conf = re.sub(r"^listener = (\w+)$", lambda m: m[0] + (
        f" {m[1]}_tls" if m[1] in made else ""), conf, flags=re.M)
    crt, key = _cert()
    return conf + "\n" + "".join(made.values()) + \
        f"[cert versions]\ncert = {crt}\nkey = {key}\n"


class Secure(h2.Client):
    """HTTP/2 over TLS, to the twin of what listens on a port."""

    def __init__(self, addr, timeout=None):
        sock = net.connect(_twins[addr], timeout)
        sock = _context().wrap_socket(sock, server_hostname="localhost")
        assert sock.selected_alpn_protocol() == "h2"
        super().__init__(None, sock=sock, scheme="https")


PLAIN = http.Client


def client(version):
    """What http.Client is in tests that run on a version."""
    def make(addr, *args, **kw):
        # what is no port is the control socket; what has no twin, a
        # listener of one version or none of ours
        if not isinstance(addr, int) or version == "h1" or "sock" in kw:
            return PLAIN(addr, *args, **kw)
        if version == "h2" and addr in _twins:
            return Secure(addr, *args, **kw)
        return h2.Client(addr, *args, **kw)
    return make

"""testssl.sh against the gateway: nothing above INFO that HAProxy, set up
as Mozilla's intermediate profile has it, does not have as well."""
import json
import os
import subprocess

import pytest

from lib import net, tls, wire
from lib.certs import Cert
from lib.cmd import tool

CONF = """
[listener web]
bind = 127.0.0.1:@port@
tls = on
[cert ec]
cert = @dir@/ec.crt
key = @dir@/ec.key
[cert rsa]
cert = @dir@/rsa.crt
key = @dir@/rsa.key
[route all]
path = /*
respond = 200 hello
"""

# ssl-config.mozilla.org: HAProxy 2.6, intermediate, OpenSSL 3.0
HAPROXY = """
global
	ssl-default-bind-curves X25519:prime256v1:secp384r1
	ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:\
ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:\
ECDHE-RSA-CHACHA20-POLY1305
	ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:\
TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256
	ssl-default-bind-options prefer-client-ciphers ssl-min-ver TLSv1.2 \
no-tls-tickets
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
frontend web
	bind 127.0.0.1:{port} ssl crt {dir}/both.pem alpn h2,http/1.1
	http-request return status 200 content-type text/plain string hello
"""


def make(top):
    root = Cert("root", ca=True)
    for kind in ("ec", "rsa"):
        Cert("localhost", by=root, kind=kind).write(top, kind)
    with open(f"{top}/root.crt", "wb") as f:
        f.write(root.pem)
    for kind, name in (("ec", "both.pem.ecdsa"), ("rsa", "both.pem.rsa")):
        with open(f"{top}/{name}", "wb") as out:
            for part in ("crt", "key"):
                with open(f"{top}/{kind}.{part}", "rb") as f:
                    out.write(f.read())
    return top, CONF


def findings(top, port, name):
    """{id: (severity, finding)} of all that is above INFO."""
    out = f"{top}/{name}.json"
    done = subprocess.run(
        [tool("testssl"), "--quiet", "--color", "0", "--warnings", "batch",
         "--ip", "127.0.0.1", "--add-ca", f"{top}/root.crt",
         "--nodns", "none", "--jsonfile", out, f"localhost:{port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, cwd=top, timeout=1800, check=False,
        env={**os.environ, "TERM": "dumb", "HOME": top})
    text = done.stdout.decode("utf-8", "replace")
    assert os.path.exists(out), text
    with open(out, encoding="utf-8") as f:
        rows = json.load(f)
    assert len(rows) > 100, text
    ids = {r["id"] for r in rows}
    assert {"TLS1_2", "TLS1_3", "heartbleed", "cipherlist_NULL"} <= ids
    return {r["id"]: (r["severity"], r["finding"]) for r in rows
            if r["severity"] not in ("OK", "INFO")}


@pytest.fixture
def haproxy(request):
    made = []

    def start(top):
        port = net.free_port()
        with open(f"{top}/haproxy.cfg", "w", encoding="ascii") as f:
            f.write(HAPROXY.format(port=port, dir=top))
        p = subprocess.Popen([tool("haproxy"), "-db", "-f",
                              f"{top}/haproxy.cfg"], cwd=top)
        made.append(p)

        def answers():
            try:
                return tls.get(port).status == 200
            except OSError:
                return False
        net.until("haproxy", answers)
        return port
    yield start
    for p in made:
        p.terminate()
        p.wait()


def test_no_worse_than_haproxy(haproxy):
    with wire.gateway_of(make) as s:
        ours = findings(s.files, s.port, "ours")
        theirs = findings(s.files, haproxy(s.files), "theirs")
    print("ours:", ours, "theirs:", theirs)
    assert {k: v for k, v in ours.items() if k not in theirs} == {}

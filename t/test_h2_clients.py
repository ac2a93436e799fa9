"""HTTP/2 with clients that others wrote, by prior knowledge and over TLS:
curl, nghttp, h2load, python3-h2, Node's http2, and Chromium."""
import base64
import hashlib
import json
import os
import re
import ssl
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from lib import net, wire
from lib.certs import Cert
from lib.peer import Peer, respond

CONF = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[listener secure]
bind = 127.0.0.1:@port2@
tls = on
[cert a]
cert = @dir@/a.crt
key = @dir@/a.key
[upstream app]
server = {app}
[route app]
path = /app*
upstream = app
[route site]
path = /www/*
strip_prefix = auto
static = @dir@/www
"""
BIG = os.urandom(3 << 20)
MANY = 60
PAGE = """<!doctype html><title>of many parts</title><body>
<script>
let seen = 0;
function all() {
  const r = performance.getEntriesByType('resource');
  const h2 = r.filter((e) => e.nextHopProtocol === 'h2').length;
  document.body.dataset.told = [seen, r.length, h2].join(' ');
}
window.addEventListener('load', all);
</script>
%s
<img src="big.bin" alt="">
""" % "\n".join(f'<link rel="stylesheet" href="s{i}.css">\n'
                f'<script src="j{i}.js"></script>' for i in range(MANY))


@pytest.fixture(scope="module")
def gate():
    ca = Cert("test ca", ca=True)
    leaf = Cert("localhost", "127.0.0.1", by=ca)
    files = {"big.bin": BIG, "f.txt": b"0123456789",
             "page.html": PAGE.encode(), "../a.crt": leaf.chain,
             "../a.key": leaf.key_pem(), "../ca.crt": ca.pem}
    for i in range(MANY):
        files[f"s{i}.css"] = b"p { color: #%06x }" % i
        files[f"j{i}.js"] = b"seen++;"
    with Peer(default=respond(body=b"app")) as app, \
            wire.gateway(CONF.format(app=app.addr), files) as s:
        s.ca, s.leaf = os.path.join(s.dir, "ca.crt"), leaf
        yield s
        assert not app.errors


@pytest.fixture(params=["http", "https"])
def scheme(request):
    return request.param


@pytest.fixture
def url(gate, scheme):
    return "http://127.0.0.1:%d" % gate.port if scheme == "http" else \
        "https://localhost:%d" % gate.value("port2")


def run(*cmd, **kw):
    return subprocess.run(cmd, capture_output=True, check=True,
                          timeout=60 * net.SCALE, **kw)


def records(gate, target):
    """(version, scheme) of all that asked for it."""
    lines = gate.wait_log(f'"target": ?"{re.escape(target)}"')
    return {(r["version"], r["scheme"]) for r in map(json.loads, lines)}


def test_curl(gate, url, scheme):
    how = ["--http2-prior-knowledge"] if scheme == "http" else \
        ["--http2", "--cacert", gate.ca]
    target = "/www/big.bin?curl-" + scheme
    p = run("curl", "-sv", *how, "-H", "x: y", url + target)
    assert p.stdout == BIG and b"< HTTP/2 200" in p.stderr
    p = run("curl", "-s", *how, "--data-binary",
            "@" + os.path.join(gate.dir, "www", "big.bin"), url + "/app")
    assert p.stdout == b"app"
    assert records(gate, target) == {("2.0", scheme)}
    if scheme == "http":
        return      # curl 7.88 does not share what it knows beforehand
    # many on one connection
    p = run("curl", "-sZ", "--parallel-max", "50", *how, "-w",
            "%{http_version} %{response_code} %{size_download}\\n",
            "-o", "/dev/null", url + "/www/f.txt?[1-200]")
    assert p.stdout.decode().split("\n")[:-1] == ["2 200 10"] * 200


def test_nghttp(gate, url):
    """An HTML page with all that it needs."""
    p = run("nghttp", "-nvas", "--no-verify-peer", url + "/www/page.html")
    assert p.stdout.count(b":status: 200") == 2 + 2 * MANY
    assert b"[ERROR]" not in p.stdout
    p = run("nghttp", "-nv", "--no-verify-peer", "-d",
            os.path.join(gate.dir, "www", "big.bin"), url + "/app")
    assert b":status: 200" in p.stdout


def test_h2load(url):
    p = run("h2load", "-n", "3000", "-c", "8", "-m", "32",
            url + "/www/f.txt")
    assert re.search(rb"3000 succeeded, 0 failed, 0 errored", p.stdout)
    assert (b"Application protocol: h2\n" in p.stdout) == \
        url.startswith("https")


def test_node(gate, url):
    """Node's http2 module, many streams at once."""
    js = """
const h2 = require('http2');
const ca = require('fs').readFileSync('%s');
const c = h2.connect('%s', { ca });
let left = 50;
c.on('error', (e) => { console.error(e); process.exit(2); });
for (let i = 0; i < 50; i++) {
  const r = c.request({':path': '/app', ':method': 'POST'});
  let got = '';
  r.on('data', (d) => got += d);
  r.on('end', () => { if (got !== 'app') process.exit(1);
                      if (--left === 0) c.close(); });
  r.end('x'.repeat(1000));
}
""" % (gate.ca, url)
    run("node", "-e", js)


def connect(gate, scheme):
    if scheme == "http":
        return net.connect(gate.port, 5)
    ctx = ssl.create_default_context(cafile=gate.ca)
    ctx.set_alpn_protocols(["h2", "http/1.1"])
    sock = ctx.wrap_socket(net.connect(gate.value("port2"), 5),
                           server_hostname="localhost")
    assert sock.selected_alpn_protocol() == "h2"
    return sock


def test_python_h2(gate, scheme):
    """python3-h2, whose reading is strict, with a hundred streams."""
    import h2.config
    import h2.connection
    import h2.events
    conn = h2.connection.H2Connection(h2.config.H2Configuration(
        client_side=True))
    bodies, left = {}, set(range(1, 200, 2))
    with connect(gate, scheme) as sock:
        conn.initiate_connection()
        for sid in sorted(left):
            conn.send_headers(sid, [
                (":method", "GET"), (":path", "/www/f.txt"),
                (":scheme", scheme), (":authority", "localhost")],
                end_stream=True)
        sock.sendall(conn.data_to_send())
        while left:
            for e in conn.receive_data(sock.recv(65536)):
                if isinstance(e, h2.events.DataReceived):
                    conn.acknowledge_received_data(
                        e.flow_controlled_length, e.stream_id)
                    bodies[e.stream_id] = \
                        bodies.get(e.stream_id, b"") + e.data
                if isinstance(e, h2.events.StreamEnded):
                    left.discard(e.stream_id)
            sock.sendall(conn.data_to_send())
    assert set(bodies.values()) == {b"0123456789"} and len(bodies) == 100


def spki(cert):
    """What Chromium knows a key by."""
    return base64.b64encode(hashlib.sha256(
        cert.key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
    ).digest()).decode()


def test_chromium(gate, tmp):
    """A page of 121 parts, all of them by h2."""
    p = run("chromium", "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--disable-background-networking",
            "--no-first-run", f"--user-data-dir={tmp}/chromium",
            "--ignore-certificate-errors-spki-list=" + spki(gate.leaf),
            "--dump-dom",
            "https://localhost:%d/www/page.html" % gate.value("port2"),
            env={**os.environ, "HOME": tmp, "XDG_CONFIG_HOME": tmp})
    told = re.search(rb'data-told="(\d+) (\d+) (\d+)"', p.stdout)
    assert told, p.stdout[-2000:] + p.stderr[-2000:]
    assert [int(n) for n in told.groups()] == \
        [MANY, 2 * MANY + 1, 2 * MANY + 1]
    for target in ("/www/page.html", "/www/j7.js", "/www/s59.css"):
        assert ("2.0", "https") in records(gate, target)

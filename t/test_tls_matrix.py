"""openssl s_client against the gateway: what is spoken, and what is not."""
import re
import subprocess

import pytest

from lib import tls, wire
from lib.certs import Cert
from lib.tls_hosts import Files, conf

MORE = """
[tls narrow]
tls.versions = 1.3
tls.groups = P-384
tls.ciphersuites = TLS_CHACHA20_POLY1305_SHA256
tls.signatures = ecdsa_secp256r1_sha256
[route narrow]
host = narrow.example
tls_policy = narrow
respond = 200 narrow
[tls rsa]
tls.signatures = rsa_pss_rsae_sha384
tls.ciphers = ECDHE-RSA-AES256-GCM-SHA384
[route rsa]
host = rsa.example
tls_policy = rsa
respond = 200 rsa
[cert r]
cert = @dir@/r.crt
key = @dir@/r.key
[cert e]
cert = @dir@/e.crt
key = @dir@/e.key
names = e.example
"""


@pytest.fixture(scope="module")
def gate():
    with wire.gateway_of(make) as s:
        yield s


def make(top):
    """Certificates of each kind for the same names; see MORE."""
    f = Files(top)
    names = ["localhost", "plain.example", "narrow.example", "rsa.example"]
    Cert(*names, by=f.root).write(top, "n")
    Cert(*names, by=f.root, kind="rsa").write(top, "r")
    Cert("e.example", by=f.root, kind="ed25519").write(top, "e")
    return f, conf(more=MORE.replace("[cert r]", "[cert n]\ncert = @dir@/"
                                     "n.crt\nkey = @dir@/n.key\n[cert r]"))


def shake(s, name, *args, host=None):
    ask = f"GET / HTTP/1.1\r\nHost: {host or name}\r\n" \
        "Connection: close\r\n\r\n"
    sni = ("-servername", name) if name else ("-noservername",)
    return tls.s_client(s.port, s.files.path("root.crt"), *sni, *args,
                        ask=ask.encode())


def good(out):
    return "HTTP/1.1 200 OK" in out


V12, V13 = "-tls1_2", "-tls1_3"

# ciphers: what the client offers, and what comes of it
CIPHERS = [
    (V12, "ECDHE-ECDSA-AES128-GCM-SHA256", True),
    (V12, "ECDHE-ECDSA-AES256-GCM-SHA384", True),
    (V12, "ECDHE-ECDSA-CHACHA20-POLY1305", True),
    (V12, "ECDHE-RSA-AES128-GCM-SHA256", True),
    (V12, "ECDHE-RSA-AES256-GCM-SHA384", True),
    (V12, "ECDHE-RSA-CHACHA20-POLY1305", True),
    (V12, "ECDHE-ECDSA-AES128-SHA256", False),
    (V12, "ECDHE-ECDSA-AES256-SHA", False),
    (V12, "ECDHE-RSA-AES128-SHA", False),
    (V12, "AES128-GCM-SHA256", False),
    (V12, "AES256-SHA", False),
    (V12, "DHE-RSA-AES128-GCM-SHA256", False),
    (V12, "ECDHE-ECDSA-AES128-CCM", False),
    (V12, "PSK-AES128-GCM-SHA256", False),
    (V13, "TLS_AES_128_GCM_SHA256", True),
    (V13, "TLS_AES_256_GCM_SHA384", True),
    (V13, "TLS_CHACHA20_POLY1305_SHA256", True),
    (V13, "TLS_AES_128_CCM_SHA256", False),
]


@pytest.mark.parametrize("version, cipher, fits", CIPHERS,
                         ids=lambda v: str(v))
def test_ciphers(gate, version, cipher, fits):
    key = "-cipher" if version == V12 else "-ciphersuites"
    out = shake(gate, "plain.example", version, key,
                cipher + ("@SECLEVEL=0" if version == V12 else ""))
    assert good(out) == fits, out
    if fits:
        assert re.search(rf"Cipher( is|    :) {cipher}$", out, re.M)
    else:
        assert "alert handshake failure" in out or "no ciphers" in out


@pytest.mark.parametrize("version, fits", [
    ("-tls1", False), ("-tls1_1", False), (V12, True), (V13, True),
])
def test_versions(gate, version, fits):
    out = shake(gate, "plain.example", version, "-cipher",
                "ALL:@SECLEVEL=0")
    assert good(out) == fits, out
    if not fits:
        assert "alert protocol version" in out


@pytest.mark.parametrize("version, group, fits", [
    (v, g, f) for v in (V12, V13) for g, f in (
        ("X25519", True), ("P-256", True), ("P-384", True),
        ("P-521", False), ("X448", False))])
def test_groups(gate, version, group, fits):
    out = shake(gate, "plain.example", version, "-groups", group)
    assert good(out) == fits, out
    if fits:
        name = {"P-256": "ECDH, prime256v1", "P-384": "ECDH, secp384r1"}
        assert f"Server Temp Key: {name.get(group, group)}" in out
    else:
        assert "alert handshake failure" in out


def test_another_hello(gate):
    """A client whose first guess does not fit is told which one does."""
    out = shake(gate, "plain.example", "-groups", "P-521:P-384")
    assert good(out) and "Server Temp Key: ECDH, secp384r1" in out
    out = shake(gate, "narrow.example", "-groups", "X25519:P-384",
                "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256")
    assert good(out) and "Server Temp Key: ECDH, secp384r1" in out


@pytest.mark.parametrize("version, words, name, fits, shown", [
    (V12, "ECDSA+SHA256", "plain.example", True, "ECDSA"),
    (V12, "RSA-PSS+SHA256", "plain.example", True, "RSA-PSS"),
    (V12, "RSA+SHA256", "plain.example", True, "RSA"),
    (V12, "RSA+SHA384", "plain.example", True, "RSA"),
    (V12, "ECDSA+SHA1", "plain.example", False, ""),
    (V12, "RSA+SHA1", "plain.example", False, ""),
    (V13, "ECDSA+SHA256", "plain.example", True, "ECDSA"),
    (V13, "ECDSA+SHA384", "plain.example", False, ""),
    (V13, "RSA-PSS+SHA256", "plain.example", True, "RSA-PSS"),
    (V13, "RSA-PSS+SHA512", "plain.example", True, "RSA-PSS"),
    (V13, "RSA+SHA256", "plain.example", False, ""),
    (V13, "ed25519", "e.example", True, "ed25519"),
    (V12, "ed25519", "e.example", True, "ed25519"),
    (V13, "ECDSA+SHA256", "e.example", False, ""),
    (V13, "ECDSA+SHA256", "narrow.example", True, "ECDSA"),
    (V13, "RSA-PSS+SHA256", "narrow.example", False, ""),
    (V13, "RSA-PSS+SHA384", "rsa.example", True, "RSA-PSS"),
    (V13, "RSA-PSS+SHA256", "rsa.example", False, ""),
])
def test_signatures(gate, version, words, name, fits, shown):
    out = shake(gate, name, version, "-sigalgs", words, "-cipher",
                "ALL:@SECLEVEL=0",
                *(("-groups", "P-384") if name == "narrow.example" else ()))
    assert good(out) == fits, out
    if fits:
        assert f"Peer signature type: {shown.upper()}" in out.upper() or \
            f"PEER SIGNATURE TYPE: {shown.upper()}" in out.upper()


@pytest.mark.parametrize("offer, chosen", [
    ("http/1.1", "http/1.1"), ("h2,http/1.1", "h2"), ("h2", "h2"),
    ("http/1.1,h2", "h2"), ("spdy/3,http/1.1", "http/1.1"),
    ("spdy/3", None), ("", ""),
])
@pytest.mark.parametrize("version", [V12, V13])
def test_alpn(gate, version, offer, chosen):
    out = shake(gate, "plain.example", version,
                *(("-alpn", offer) if offer else ()))
    if chosen is None:
        assert "alert no application protocol" in out
    elif chosen:
        assert f"ALPN protocol: {chosen}\n" in out
    else:
        assert "No ALPN negotiated" in out and good(out)


@pytest.mark.parametrize("name, version, fits", [
    ("plain.example", V12, True), ("plain.example", V13, True),
    ("PLAIN.Example", V13, True), ("old.example", V12, True),
    ("old.example", V13, False), ("new.example", V12, False),
    ("new.example", V13, True), ("narrow.example", V12, False),
    ("nobody.example", V13, True), ("", V12, True), ("", V13, True),
])
def test_names(gate, name, version, fits):
    out = shake(gate, name, version, host=name or "localhost")
    assert good(out) == fits, out
    if fits and name != "nobody.example" and name:
        assert "Verify return code: 0 (ok)" in out


@pytest.mark.parametrize("who, alert", [
    ("good", None), ("second", None), ("revoked", "certificate revoked"),
    ("expired", "certificate expired"), ("early", "bad certificate"),
    ("wrong", "unknown ca"), ("self", "unknown ca"),
    (None, {V12: "handshake failure", V13: "certificate required"}),
])
@pytest.mark.parametrize("version", [V12, V13])
def test_client_certificates(gate, version, who, alert):
    f = gate.files
    pair = ("-cert", f.path(f"{who}.crt"), "-key", f.path(f"{who}.key")) \
        if who else ()
    out = shake(gate, "crl.example", version, *pair)
    assert good(out) == (alert is None), out
    if isinstance(alert, dict):
        alert = alert[version]
    assert alert is None or f"alert {alert}" in out, out
    assert "Acceptable client certificate CA names\nCN = clients\n" in out
    # whoever it is may come where nobody asks
    assert good(shake(gate, "plain.example", version, *pair))


@pytest.mark.parametrize("word, version", [
    ("R", V12), ("k", V13), ("K", V13)])
def test_asked_within(gate, word, version):
    """Renegotiation is refused; keys of TLS 1.3 are made anew."""
    out = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port}",
         version, "-servername", "plain.example"],
        input=f"{word}\nGET / HTTP/1.0\nHost: plain.example\n\n",
        text=True, capture_output=True, timeout=30, check=False)
    both = out.stdout + out.stderr
    if word == "R":
        assert "no renegotiation" in both and "200 OK" not in both
    else:
        assert "KEYUPDATE" in both


def test_no_compression_nor_old_forms(gate):
    out = shake(gate, "plain.example", V12)
    assert "Compression: NONE" in out
    assert "Secure Renegotiation IS supported" in out
    assert "Extended master secret: yes" in out

"""Handshakes: what is agreed on and what is refused, by openssl s_client;
how many there may be, and for how long."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from lib import http, net, tls, wire
from lib.certs import Cert

SITE = """
[route all]
path = /*
respond = 200 ${tls.version} ${tls.cipher} ${tls.sni} ${scheme}
"""


def conf(listener="", more=""):
    return f"""
[sluice]
workers = 1
{more}
[listener web]
bind = 127.0.0.1:@port@
tls = on
{listener}
[cert ec]
cert = @dir@/ec.crt
key = @dir@/ec.key
default = on
[cert rsa]
cert = @dir@/rsa.crt
key = @dir@/rsa.key
[cert other]
cert = @dir@/b.crt
key = @dir@/b.key
[listener narrow]
bind = 127.0.0.1:@port2@
tls = on
http = 1.1
tls.versions = 1.3
tls.ciphersuites = TLS_AES_256_GCM_SHA384
tls.groups = P-256
tls.signatures = ecdsa_secp256r1_sha256
[listener old]
bind = 127.0.0.1:@port3@
tls = on
tls.versions = 1.2
tls.ciphers = ECDHE-RSA-AES256-GCM-SHA384
{SITE}
"""


@pytest.fixture(scope="module")
def ca():
    return Cert("test ca", ca=True)


def files(ca):
    out = {}
    for name, cert in (("ec", Cert("localhost", by=ca)),
                       ("rsa", Cert("localhost", by=ca, kind="rsa")),
                       ("b", Cert("b.example", "*.w.example", by=ca))):
        out[f"../{name}.crt"] = cert.chain
        out[f"../{name}.key"] = cert.key_pem()
    return out


@pytest.fixture(scope="module")
def gate(ca):
    with wire.gateway(conf(), files(ca)) as s:
        wire.put(s.dir, "../ca.pem", ca.pem)
        yield s


@pytest.fixture
def one(ca):
    """One with other keys: one(listener's lines)."""
    made = []

    def make(listener):
        made.append(wire.gateway(conf(listener), files(ca)))
        return made[-1].__enter__()
    yield make
    for m in made:
        m.__exit__(None, None, None)


# --- the matrix ---

ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def s_client(gate, args, port="port", ask=b""):
    """What it says, and whether the handshake went through."""
    sni = [] if "-noservername" in args or "-servername" in args \
        else ["-servername", "localhost"]
    done = subprocess.run(
        ["openssl", "s_client", "-connect",
         f"127.0.0.1:{gate.value(port)}", "-CAfile", f"{gate.dir}/ca.pem",
         *sni, *args, *(["-ign_eof"] if ask else [])], input=ask,
        capture_output=True, timeout=net.WAIT, check=False)
    out = (done.stdout + done.stderr).decode(errors="replace")
    return out, done.returncode == 0 and "Cipher is (NONE)" not in out


ECDSA = "Peer signature type: ECDSA"
RSA = "Peer signature type: RSA"
PSS = "Peer signature type: RSA-PSS"

# what is asked for, on which port, and what is found; None: it is refused
MATRIX = [
    # versions
    ("-tls1_3", "port", "New, TLSv1.3,"),
    ("-tls1_2", "port", "New, TLSv1.2,"),
    ("-tls1_1 -cipher ALL:@SECLEVEL=0", "port", None),
    ("-tls1 -cipher ALL:@SECLEVEL=0", "port", None),
    ("-tls1_3", "port2", "New, TLSv1.3,"),
    ("-tls1_2", "port2", None),
    ("-tls1_3", "port3", None),
    ("-tls1_2", "port3", "New, TLSv1.2,"),
    # suites of 1.3
    *[(f"-tls1_3 -ciphersuites {s}", "port", f"Cipher is {s}")
      for s in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                "TLS_CHACHA20_POLY1305_SHA256")],
    ("-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256", "port", None),
    ("-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256", "port2", None),
    ("-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", "port2",
     "Cipher is TLS_AES_256_GCM_SHA384"),
    # ciphers of 1.2
    *[(f"-tls1_2 -cipher {c}", "port", f"Cipher is {c}")
      for c in ("ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-RSA-AES128-GCM-SHA256",
                "ECDHE-ECDSA-AES256-GCM-SHA384",
                "ECDHE-RSA-AES256-GCM-SHA384",
                "ECDHE-ECDSA-CHACHA20-POLY1305",
                "ECDHE-RSA-CHACHA20-POLY1305")],
    *[(f"-tls1_2 -cipher {c}:@SECLEVEL=0", "port", None)
      for c in ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA",
                "ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256",
                "AES256-SHA", "DHE-RSA-AES128-GCM-SHA256",
                "DHE-RSA-CHACHA20-POLY1305", "AECDH-AES128-SHA",
                "NULL-SHA256", "ECDHE-ECDSA-AES128-CCM")],
    ("-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", "port3", None),
    ("-tls1_2", "port3", "Cipher is ECDHE-RSA-AES256-GCM-SHA384"),
    # the client's order holds
    ("-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256:"
     "TLS_AES_128_GCM_SHA256", "port", "Cipher is TLS_CHACHA20_POLY1305"),
    ("-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305:"
     "ECDHE-ECDSA-AES128-GCM-SHA256", "port",
     "Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"),
    # groups: ours is the order
    ("-tls1_3", "port", "Server Temp Key: X25519"),
    ("-tls1_2", "port", "Server Temp Key: X25519"),
    *[(f"-tls1_{v} -groups {g}", "port", f"Server Temp Key: {shown}")
      for v in (2, 3) for g, shown in (("X25519", "X25519"),
                                       ("P-256", "ECDH, prime256v1"),
                                       ("P-384", "ECDH, secp384r1"))],
    *[(f"-tls1_{v} -groups {g}", "port", None)
      for v in (2, 3) for g in ("P-521", "X448")],
    ("-tls1_3 -groups P-521:P-384:P-256", "port", "Server Temp Key: ECDH, "),
    ("-tls1_3 -groups X25519", "port2", None),
    ("-tls1_3 -groups X25519:P-256", "port2", "ECDH, prime256v1"),
    ("-tls1_3 -groups ffdhe2048", "port", None),
    # signatures choose the certificate
    ("-tls1_3 -sigalgs ecdsa_secp256r1_sha256", "port", ECDSA),
    ("-tls1_3 -sigalgs rsa_pss_rsae_sha256", "port", PSS),
    ("-tls1_3 -sigalgs rsa_pss_rsae_sha512", "port", PSS),
    ("-tls1_3 -sigalgs rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", "port",
     "Verification: OK"),
    ("-tls1_2 -sigalgs RSA+SHA256", "port", RSA),
    ("-tls1_2 -sigalgs RSA+SHA384", "port", RSA),
    ("-tls1_2 -sigalgs ECDSA+SHA256", "port", ECDSA),
    ("-tls1_2 -sigalgs RSA+SHA1 -cipher ALL:@SECLEVEL=0", "port", None),
    ("-tls1_2 -sigalgs ECDSA+SHA1 -cipher ALL:@SECLEVEL=0", "port", None),
    ("-tls1_2 -sigalgs ECDSA+SHA224 -cipher ALL:@SECLEVEL=0", "port", None),
    ("-tls1_3 -sigalgs rsa_pss_rsae_sha256", "port2", None),
    # protocols
    ("-alpn h2", "port", "ALPN protocol: h2"),
    ("-alpn http/1.1", "port", "ALPN protocol: http/1.1"),
    ("-alpn http/1.1,h2", "port", "ALPN protocol: h2"),
    ("-alpn spdy/3,http/1.1", "port", "ALPN protocol: http/1.1"),
    ("-alpn spdy/3", "port", None),
    ("-alpn h2", "port2", None),
    ("-alpn h2,http/1.1", "port2", "ALPN protocol: http/1.1"),
    ("", "port", "No ALPN negotiated"),
    # names
    ("-servername b.example -verify_hostname b.example -verify_return_error",
     "port", "Verification: OK"),
    ("-servername B.EXAMPLE -verify_hostname b.example -verify_return_error",
     "port", "Verification: OK"),
    ("-servername a.w.example -verify_hostname a.w.example "
     "-verify_return_error", "port", "Verification: OK"),
    ("-servername a.b.w.example -verify_hostname localhost "
     "-verify_return_error", "port", "Verification: OK"),
    ("-noservername -verify_hostname localhost -verify_return_error", "port",
     "Verification: OK"),
    # others
    ("-tls1_3 -no_ticket", "port", "New, TLSv1.3,"),
    ("-tls1_2 -no_ticket", "port", "New, TLSv1.2,"),
    ("-comp", "port", "Compression: NONE"),
    ("-legacy_renegotiation", "port", "Secure Renegotiation"),
    ("-tls1_2 -fallback_scsv", "port", None),
    ("-tls1_2", "port", "Extended master secret: yes"),
    ("-max_send_frag 512", "port", "Verification: OK"),
    ("-maxfraglen 512", "port", "Verification: OK"),
    ("-no_middlebox -tls1_3", "port", "New, TLSv1.3,"),
    ("-bugs", "port", "Verification: OK"),
]


@pytest.mark.parametrize("args,port,want", MATRIX)
def test_matrix(gate, args, port, want):
    out, through = s_client(gate, args.split(), port)
    if want is None:
        assert not through, out
    else:
        assert through and want in out, out


def test_matrix_is_large():
    assert len(MATRIX) >= 60


def test_variables(gate, ca):
    """Templates and the access record tell what was agreed on."""
    with tls.Client(gate.port, tls.context(ca, **tls.V12)) as c:
        r = c.get("/a")
        assert re.fullmatch(rb"TLSv1.2 ECDHE-ECDSA-[\w-]+ localhost https",
                            r.body.rstrip())
    with tls.Client(gate.value("port2"), tls.context(ca),
                    name="b.example") as c:
        r = c.get("/b")
    assert r.body.rstrip() == \
        b"TLSv1.3 TLS_AES_256_GCM_SHA384 b.example https"
    record = wire.record(gate, r["x-request-id"])
    assert (record["tls"], record["cipher"], record["sni"]) == \
        ("TLSv1.3", "TLS_AES_256_GCM_SHA384", "b.example")


def test_no_renegotiation(gate):
    """A client that asks for it is refused, and may go on."""
    with subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port}",
             "-tls1_2", "-servername", "localhost"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as p:
        p.stdin.write(b"R\n")
        p.stdin.flush()
        said = p.communicate(timeout=net.WAIT)[0]
    assert b"no renegotiation" in said, said


def test_one_ticket(gate):
    """TLS 1.3 clients get one; with it they resume."""
    out, _ = s_client(gate, ["-tls1_3", "-sess_out", f"{gate.dir}/s"],
                      ask=ASK)
    assert out.count("Post-Handshake New Session Ticket arrived") == 1
    before = wire.sums(gate)
    out, _ = s_client(gate, ["-tls1_3", "-sess_in", f"{gate.dir}/s"])
    assert "Reused, TLSv1.3" in out
    after = wire.sums(gate)
    assert after["tls_resumed_total"] == before["tls_resumed_total"] + 1
    assert after["tls_handshakes_total"] == \
        before["tls_handshakes_total"] + 1


def test_a_session_of_one_policy_is_none_of_another(gate):
    for version, to in (("-tls1_3", "port2"), ("-tls1_2", "port3")):
        s_client(gate, [version, "-sess_out", f"{gate.dir}/s"], ask=ASK)
        out, through = s_client(gate, [version, "-sess_in",
                                       f"{gate.dir}/s"], to)
        assert through and "New, TLS" in out


# --- how many, and how long ---

def hello():
    """The first flight of a client."""
    out = tls.ssl.MemoryBIO()
    o = tls.context().wrap_bio(tls.ssl.MemoryBIO(), out,
                               server_hostname="localhost")
    with pytest.raises(tls.ssl.SSLWantReadError):
        o.do_handshake()
    return out.read()


def closed(socks):
    """Waits until the other end has closed all of them."""
    for s in socks:
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
        s.close()


def test_who_does_not_shake_hands(one, ca):
    """Nothing, half a hello, half a handshake: all are gone in time, and
    others are served meanwhile."""
    s = one("timeout.handshake = 1s")
    socks = []
    for data in (b"", hello()[:3], hello()[:60], hello()):
        for _ in range(10):
            socks.append(net.connect(s.port))
            socks[-1].sendall(data)
    began = time.monotonic()
    for _ in range(20):
        assert tls.get(s.port, "/", tls.context(ca)).status == 200
    closed(socks)
    assert time.monotonic() - began < 1 + net.WAIT / 4
    wire.wait_metric(s, "tls_handshakes", 0)
    assert wire.sums(s)["tls_handshakes_failed_total"] == 40
    s.wait_log("tls_handshake_timeout: it has not begun", 10)
    s.wait_log("tls_handshake_timeout: it has begun", 30)


def test_only_http2(one, ca):
    """Who sends no ALPN is spoken to as the listener has it."""
    s = one("http = 2")
    with tls.Client(s.port, tls.context(ca)) as c:
        assert c.alpn is None
        c.send(http.request("GET", "/"))
        assert b"200" not in c.rest()
    s.wait_log("closed: h2_protocol: it did not begin as HTTP/2 does")
    with tls.Client(s.port, tls.context(ca)) as c:
        c.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
               b"\0\0\0\x04\0\0\0\0\0")
        head = c.sock.recv(9)
        assert head[3] == 4     # SETTINGS


def test_garbage(gate, ca):
    """Whatever it is, it is closed at once and counted."""
    before = wire.sums(gate)["tls_handshakes_failed_total"]
    junk = [b"\0" * 50, b"SSH-2.0-x\r\n", b"\x16" * 2000,
            b"\x16\x03\x01\xff\xff" + b"a" * 400,
            b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
            b"\x15\x03\x01\x00\x02\x02\x28", hello()[:90] + b"x" * 2000]
    for data in junk:
        s = net.connect(gate.port)
        s.sendall(data)
        closed([s])
    wire.wait_metric(gate, "tls_handshakes_failed_total",
                     before + len(junk))
    assert tls.get(gate.port, "/", tls.context(ca)).status == 200


def test_who_only_looks(gate):
    """Health checks of balancers connect and leave: that is no failure."""
    wire.wait_metric(gate, "connections", 0)
    before = wire.sums(gate)
    for _ in range(5):
        net.connect(gate.port).close()
    wire.wait_metric(gate, "connections_total",
                     before["connections_total"] + 5)
    wire.wait_metric(gate, "connections", 0)
    assert wire.sums(gate)["tls_handshakes_failed_total"] == \
        before["tls_handshakes_failed_total"]


def test_plain_http(gate):
    for first in (http.request("GET", "/"), http.request(
            "POST", "/", body=b"a" * 100_000)):
        with http.Client(gate.port) as c:
            c.send(first)
            r = c.response()
            assert r.status == 400 and r.closes
            assert b"TLS" in r.body
            assert c.rest() == b""


def test_max_handshakes(one, ca):
    """Who comes when there are so many waits for a turn, and gets it."""
    s = one("tls.max_handshakes = 2\ntimeout.handshake = 30s")
    # who says nothing takes no turn
    silent = [net.connect(s.port) for _ in range(5)]
    slow = [net.connect(s.port) for _ in range(2)]
    for k in slow:
        k.sendall(hello()[:50])
    wire.wait_metric(s, "tls_handshakes", 2)
    waiting = [net.connect(s.port) for _ in range(3)]
    for k in waiting:
        k.sendall(hello())
    wire.wait_metric(s, "tls_handshakes_waited_total", 3)
    assert wire.sums(s)["tls_handshakes"] == 2
    waiting.pop(0).close()
    slow.pop().close()
    for k in waiting:
        # each is answered, one after the other
        assert k.recv(1)[0] == 22
        k.close()
    wire.wait_metric(s, "tls_handshakes", 1)
    assert tls.get(s.port, "/", tls.context(ca)).status == 200
    for k in silent + slow:
        k.close()
    wire.wait_metric(s, "tls_handshakes", 0)


def test_turns_end_together(one, ca):
    """The one whose turn it was and the first in line time out at once:
    whoever is behind them gets the turn all the same."""
    s = one("tls.max_handshakes = 1\ntimeout.handshake = 2s")
    began = time.monotonic()
    slow = [net.connect(s.port)]
    slow[0].sendall(hello()[:50])
    wire.wait_metric(s, "tls_handshakes", 1)
    slow.append(net.connect(s.port))
    slow[1].sendall(hello())
    wire.wait_metric(s, "tls_handshakes_waited_total", 1)
    net.wait_fd(None, began + 1 - time.monotonic())
    last = net.connect(s.port)
    last.sendall(hello())
    wire.wait_metric(s, "tls_handshakes_waited_total", 2)
    pid = s.kill("worker 1", signal.SIGSTOP)
    net.wait_fd(None, began + 2.3 - time.monotonic())
    os.kill(pid, signal.SIGCONT)
    assert last.recv(1)[0] == 22
    for k in (last, *slow):
        k.close()
    wire.wait_metric(s, "tls_handshakes", 0)


def test_turns_are_a_listeners_own(one, ca):
    """Many handshakes at one listener take nobody's turn at another one,
    and a larger number counts at once."""
    s = one("tls.max_handshakes = 2")
    slow = [net.connect(s.value("port3")) for _ in range(4)]
    for k in slow:
        k.sendall(hello()[:50])
    wire.wait_metric(s, "tls_handshakes", 4)
    assert tls.get(s.port, "/", tls.context(ca)).status == 200
    mine = [net.connect(s.port) for _ in range(5)]
    for k in mine:
        k.sendall(hello()[:50])
    wire.wait_metric(s, "tls_handshakes_waited_total", 3)
    assert wire.sums(s)["tls_handshakes"] == 6
    s.reload(conf("tls.max_handshakes = 6"))
    wire.wait_metric(s, "tls_handshakes", 9)
    for k in slow + mine:
        k.close()
    wire.wait_metric(s, "tls_handshakes", 0)


def test_who_was_told_sends_on(gate):
    """Plain HTTP without an end is not read for ever."""
    with net.connect(gate.port) as k:
        k.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n")
        sent, piece = 0, b"x" * 65536
        with pytest.raises(OSError):
            while sent < 256 << 20:
                sent += k.send(piece)
    wire.wait_metric(gate, "connections", 0)


def test_says_who_and_why(gate, ca):
    """A line for each failure, with the client's address and its alert."""
    with pytest.raises(tls.ssl.SSLError):
        tls.Client(gate.port, tls.context(Cert("x", ca=True)))
    line, = gate.wait_log("tls_alert: ")[-1:]
    assert re.search(r'"level":"info".*listener \\"web\\": 127.0.0.1:\d+ '
                     r'for \\"localhost\\": closed: tls_alert: unknown CA',
                     line), line
    got = json.loads(line)
    assert (got["client"], got["listener"], got["sni"], got["fail"]) == \
        ("127.0.0.1", "web", "localhost", "tls_alert")
    assert f"127.0.0.1:{got['client_port']} for" in got["msg"]


def test_says_the_name_of_other_versions(ca):
    """OpenSSL judges versions before it looks for the name."""
    with wire.gateway(conf("tls.versions = 1.3"), files(ca)) as s:
        with pytest.raises((tls.ssl.SSLError, ConnectionError)):
            tls.Client(s.port, tls.context(**tls.V12), "www.example")
        line, = s.wait_log("tls_version")
        assert json.loads(line)["sni"] == "www.example"


def test_says_which_name(ca):
    with wire.gateway(conf(more="tls.unknown = refuse"), files(ca)) as s:
        with pytest.raises(tls.ssl.SSLError, match="UNRECOGNIZED_NAME"):
            tls.Client(s.port, name="nix.example")
        s.wait_log(r'127.0.0.1:\d+ for \\"nix.example\\": closed: '
                   r'tls_unknown_name"')

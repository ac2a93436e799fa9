"""The PROXY protocol: from proxies before Sluice, to servers behind it."""
import json
import os
import socket
import struct
import subprocess
import threading
import time

import pytest

from lib import http, net, wire
from lib.cmd import tool
from lib.peer import Conn, Gone, Peer, hold, respond

SIGN = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 80\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def v2(src, dst=("10.0.0.1", 80), tlvs=b"", cmd=0x21):
    fam = socket.AF_INET6 if ":" in src[0] else socket.AF_INET
    data = socket.inet_pton(fam, src[0]) + socket.inet_pton(
        fam, dst[0] if fam == socket.AF_INET else "::1") + struct.pack(
        "!HH", src[1], dst[1]) + tlvs
    return SIGN + bytes([cmd, 0x21 if fam == socket.AF_INET6 else 0x11]) + \
        struct.pack("!H", len(data)) + data


def conf(app, listener="proxy_protocol = on", top="", up=""):
    return f"""
[sluice]
{top}
[listener web]
bind = 127.0.0.1:@port@
{listener}
[listener plain]
bind = 127.0.0.1:@port2@
[upstream app]
server = {app}
{up}
[route mine]
path = /*
from = 192.0.2.0/24 2001:db8::/32
upstream = app
[route other]
path = /*
respond = 200 other
"""


@pytest.fixture(scope="module")
def gate():
    with wire.with_app(conf) as s:
        yield s


def ask(port, first, request=GET):
    with http.Client(port) as c:
        c.send(first + request)
        return c.response()


def gone(c):
    """Asserts that it ends without a word, by a reset if we had some."""
    try:
        assert c.rest() == b""
    except http.Closed:
        assert c.buf == b""


def closed(port, data):
    with http.Client(port) as c:
        c.send(data)
        gone(c)


def failed(s, row):
    """The counter of a row of the fail table."""
    with http.Client(s.control) as c:
        metrics = json.loads(c.get("/v1/metrics").body)["metrics"]
    found, = [m["sum"] for m in metrics if m.get("fail") == row and
              m["name"] == "requests_failed_total"]
    return found


# --- in ---

@pytest.mark.parametrize("first,client,port", [
    (V1, "192.0.2.1", 5000),
    (b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", "2001:db8::1", 4711),
    (v2(("192.0.2.9", 81)), "192.0.2.9", 81),
    (v2(("2001:db8::7", 82)), "2001:db8::7", 82),
    (v2(("192.0.2.9", 83), tlvs=b"\x04\0\x05hello\x02\0\x01a"),
     "192.0.2.9", 83),
    (v2(("192.0.2.9", 83), tlvs=b"\x04" + struct.pack("!H", 4000) +
        b"x" * 4000), "192.0.2.9", 83),
])
def test_client(gate, first, client, port):
    r = ask(gate.port, first)
    assert r.body == b"ok\n"
    got = gate.app.requests[-1]
    assert got.get("x-forwarded-for") == got.get("x-real-ip") == client
    rec = wire.record(gate, r["x-request-id"])
    assert (rec["client"], rec["client_port"]) == (client, port)


@pytest.mark.parametrize("first", [
    b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 192.0.2.1 is it\r\n",
    v2(("192.0.2.1", 1), cmd=0x20), SIGN + b"\x20\0\0\0",
    SIGN + b"\x21\0\0\0"])
def test_no_client(gate, first):
    """Who tells of nobody speaks for himself."""
    r = ask(gate.port, first)
    assert r.body == b"other"
    assert wire.record(gate, r["x-request-id"])["client"] == "127.0.0.1"


def test_pieces(gate):
    """However it is cut, and what comes with it is the request."""
    for first in (V1, v2(("192.0.2.5", 85))):
        data = first + GET
        for cut in (1, 5, 6, 11, 13, 16, len(first) - 1, len(first),
                    len(first) + 1):
            with http.Client(gate.port) as c:
                c.send(data[:cut])
                c.is_idle(0.005)
                c.send(data[cut:])
                assert c.response().body == b"ok\n"
    with http.Client(gate.port) as c:
        c.send_pieces(V1 + GET)
        assert c.response().body == b"ok\n"
        # keep-alive: the header is of the connection
    with http.Client(gate.port) as c:
        c.send(v2(("192.0.2.6", 86)))
        for _ in range(3):
            assert c.get("/y").body == b"ok\n"
            assert gate.app.requests[-1].get("x-real-ip") == "192.0.2.6"


BAD = [GET, b"PROXY TCP4 192.0.2.1 10.0.0.1 5000\r\n", b"PROXY TCP5 ",
       b"PROXY TCP4 1.2.3.4 1.2.3.4 70000 1\r\n", b"PROXY " + b"x" * 120,
       SIGN + b"\x31\x11\0\x0c" + bytes(12), SIGN + b"\x2f\x11\0\x0c",
       SIGN + b"\x21\x11\0\x04" + bytes(4), SIGN + b"\x21\x11\xff\xff",
       v2(("192.0.2.1", 1), tlvs=b"\x03\0\x04\1\2\3\4"),
       v2(("192.0.2.1", 1), tlvs=b"\x04\0\x09x"),
       b"\x16\x03\x01\x02\x00", b"\r\n\r\n\r\n"]


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_bad(gate, data):
    before = failed(gate, "bad_proxy_header")
    n = len(gate.app.requests)
    closed(gate.port, data)
    assert failed(gate, "bad_proxy_header") == before + 1
    assert len(gate.app.requests) == n
    assert "bad_proxy_header" in gate.wait_log("bad_proxy_header")[0]
    assert http.get(gate.ports["port2"]).body == b"other"


def test_cut_off(gate):
    """One that ends within the header is gone at once; so is silence."""
    for data in (V1[:10], SIGN, b""):
        with http.Client(gate.port) as c:
            if data:
                c.send(data)
            c.shut()
            gone(c)


def test_timeout(sluice, peer):
    s = sluice(conf(peer().addr, "proxy_protocol = on\n"
                    "timeout.header = 200ms"))
    for data in (b"PROXY TCP4 ", b""):
        with http.Client(s.port) as c:
            c.send(data)
            begun = time.monotonic()
            gone(c)
            assert time.monotonic() - begun > 0.15
        assert ask(s.port, V1).body == b"ok\n"
    assert "took too long" in s.wait_log("bad_proxy_header")[0]


def test_only_some_may_speak(sluice, peer):
    s = sluice(conf(peer().addr, "proxy_protocol = on\n"
                    "proxy_protocol_from = 10.0.0.0/8 127.0.0.2"))
    closed(s.port, V1 + GET)
    assert "proxy_protocol_from" in s.wait_log("proxy_refused")[0]
    with socket.create_connection(("127.0.0.1", s.port), net.WAIT,
                                  ("127.0.0.2", 0)) as k:
        k.sendall(V1 + GET)
        assert k.recv(64).startswith(b"HTTP/1.1 200 ")


def test_trusted_proxies_are_clients(sluice, peer):
    """Fields are believed of whom the header names."""
    app = peer()
    s = sluice(conf(app.addr, top="trusted_proxies = 192.0.2.1"))
    more = GET[:-2] + b"X-Forwarded-For: 192.0.2.200\r\n\r\n"
    ask(s.port, V1, more)
    assert app.requests[-1].get("x-forwarded-for") == \
        "192.0.2.200, 192.0.2.1"
    ask(s.port, v2(("192.0.2.2", 1)), more)
    assert app.requests[-1].get("x-forwarded-for") == "192.0.2.2"


def test_limits_are_the_clients(sluice, peer):
    """Before the header nobody is counted, after it the client is."""
    s = sluice(conf(peer().addr, "proxy_protocol = on\n"
                    "max_conns_per_ip = 2"))
    held = []
    for n in (1, 2, 3):
        for _ in range(2):
            c = http.Client(s.port)
            held.append(c)
            c.send(v2((f"192.0.2.{n}", 1)))
            assert c.get().body == b"ok\n"
    with http.Client(s.port) as c:
        c.send(v2(("192.0.2.2", 1)) + GET)
        gone(c)
    # those who say nothing yet are of no address; a reload counts nobody
    quiet = [http.Client(s.port) for _ in range(5)]
    s.reload()
    for c in held:
        c.close()
    while wire.sums(s)["connections"] != len(quiet):
        pass
    for n, c in enumerate(quiet):
        c.send(v2((f"192.0.2.{n % 3 + 1}", 1)) + GET)
    for c in quiet:
        assert c.response().body == b"ok\n"
        c.close()
    for n in (1, 2, 3):
        for _ in range(4):
            assert ask(s.port, v2((f"192.0.2.{n}", 1))).body == b"ok\n"


def test_switched(sluice, peer):
    """Who came under the other rule is let go, and not misunderstood."""
    app = peer()
    s = sluice(conf(app.addr))
    with http.Client(s.port) as c, http.Client(s.port) as waits:
        c.send(V1)
        assert c.get().body == b"ok\n"
        waits.send(V1[:9])
        s.write(conf(app.addr, "proxy_protocol = off"))
        s.reload()
        gone(c)
        # this one still has its header to say
        waits.send(V1[9:] + GET)
        assert waits.response().body == b"ok\n"
    assert http.get(s.port).body == b"other"
    s.write(conf(app.addr))
    s.reload()
    assert ask(s.port, V1).body == b"ok\n"


@pytest.mark.parametrize("word", ["retire", "cut"])
def test_networks_change(sluice, peer, word):
    """Who came in by them goes: after his request, or at once."""
    go = threading.Event()
    app = peer(default=hold(go, respond(body=b"late")))
    more = f"proxy_protocol = on\non_change = {word}\nproxy_protocol_from = "
    s = sluice(conf(app.addr, more + "127.0.0.0/8"))
    with http.Client(s.port) as c, http.Client(s.port) as idle:
        c.send(V1 + b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        idle.send(V1)
        app.wait_requests(1)
        s.write(conf(app.addr, more + "127.0.0.0/9"))
        s.reload()
        gone(idle)
        if word == "cut":
            gone(c)
            go.set()
        else:
            go.set()
            assert c.response().body == b"late"
            gone(c)


def test_stop_while_waiting(sluice, peer):
    s = sluice(conf(peer().addr, "proxy_protocol = on\n"
                    "timeout.header = 60s", top="stop = 300ms"))
    with http.Client(s.port) as c:
        c.send(b"PROXY ")
        assert ask(s.port, V1).body == b"ok\n"
        s.stop()
        gone(c)


# --- out ---

def proxied(conn):
    """Reads a header off a peer's connection: (client, port) or None."""
    if conn.take(1) == b"P":
        words = conn.until(b"\r\n").decode().split()
        return None if words[1] == "UNKNOWN" else (
            words[2], int(words[4]), words[3], int(words[5]))
    assert conn.take(11) == SIGN[1:]
    cmd, fam, n = struct.unpack("!BBH", conn.take(4))
    data = conn.take(n)
    assert cmd == 0x21
    if fam == 0:
        return None
    af, size = (socket.AF_INET, 4) if fam == 0x11 else (socket.AF_INET6, 16)
    ports = struct.unpack("!HH", data[2 * size:2 * size + 4])
    return (socket.inet_ntop(af, data[:size]), ports[0],
            socket.inet_ntop(af, data[size:2 * size]), ports[1])


class Server:
    """One request per connection, each with its header, all kept open."""

    def __init__(self, answer=respond()):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.addr = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.told, self.answer, self.conns = [], answer, 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.conns += 1
            threading.Thread(target=self.serve, args=(sock,),
                             daemon=True).start()

    def serve(self, sock):
        conn = Conn(sock, self.conns)
        try:
            who = proxied(conn)
            while True:
                req = conn.head()
                conn.body(req)
                self.told.append((who, req))
                self.answer(conn, req)
        except (Gone, OSError):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


OUT = """
[sluice]
trusted_proxies = 127.0.0.1
[listener web]
bind = 127.0.0.1:@port@ unix:@dir@/front.sock
[route all]
path = /*
upstream = app
[upstream app]
server = {}
balance = round_robin
send_proxy = {}
"""


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_out(sluice, version):
    with Server() as app:
        s = sluice(OUT.format(app.addr, version))
        with http.Client(s.port) as c:
            mine = c.sock.getsockname()
            assert c.get().body == b"ok\n"
            assert c.ask("POST", "/", body=b"x" * 70000).body == b"ok\n"
        # each has a connection of its own
        assert [t[0] for t in app.told] == [
            mine + ("127.0.0.1", s.port)] * 2
        assert app.conns == 2 and app.told[1][1].body == b"x" * 70000
        http.get(s.port, "/", headers={"X-Forwarded-For": "192.0.2.8:99"})
        assert app.told[2][0] == ("192.0.2.8", 99, "127.0.0.1", s.port)
        http.get(s.port, "/", headers={"X-Forwarded-For": "2001:db8::8"})
        assert app.told[3][0] == ("2001:db8::8", 0, "::ffff:127.0.0.1",
                                  s.port)
        assert wire.sums(s)["upstream_connections_idle"] == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_out_of_a_file(sluice, version):
    """A client of a socket file has no address."""
    with Server() as app:
        s = sluice(OUT.format(app.addr, version))
        path = os.path.join(s.dir, "front.sock")
        with http.Client(path) as c:
            assert c.get().body == b"ok\n"
        assert app.told[0][0] is None


def test_out_next_server(sluice):
    """Another attempt tells of the same client."""
    with Server() as app:
        s = sluice(OUT.format(
            f"127.0.0.1:{net.free_port()}\nserver = {app.addr}", "v2"))
        for _ in range(4):
            with http.Client(s.port) as c:
                mine = c.sock.getsockname()
                assert c.get().body == b"ok\n"
            assert app.told[-1][0][:2] == mine


def test_out_switched(sluice):
    """A connection of before is not taken for one that told."""
    with Peer() as plain, Server() as app:
        s = sluice(OUT.format(plain.addr, "off"))
        assert http.get(s.port).body == b"ok\n"
        s.write(OUT.format(app.addr, "v1"))
        s.reload()
        assert http.get(s.port).body == b"ok\n"
        assert app.told and app.told[-1][0]


def test_two_of_us(sluice):
    """Out of one Sluice, into another."""
    for version in ("v1", "v2"):
        with Peer() as app:
            back = sluice(conf(app.addr).replace("192.0.2.0/24", "::/0"))
            front = sluice(OUT.format(f"127.0.0.1:{back.port}", version))
            r = http.get(front.port, "/", headers={
                "X-Forwarded-For": "198.51.100.7:4711"})
            assert r.body == b"ok\n"
            rec = wire.record(back, target="/")
            assert (rec["client"], rec["client_port"]) == (
                "198.51.100.7", 4711)
            assert app.requests[-1].get("x-forwarded-for") == "198.51.100.7"


# --- others' programs ---

def start(args, port, cwd):
    """A daemon in the foreground, when its port answers."""
    p = subprocess.Popen(args, cwd=cwd, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    late = time.monotonic() + net.WAIT
    while True:
        try:
            net.connect(port).close()
            return p
        except OSError:
            if p.poll() is None and time.monotonic() < late:
                time.sleep(0.01)
                continue
            p.kill()
            p.wait()
            raise


def end(p):
    p.terminate()
    p.wait()


def put(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    return path


HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend f
    bind 127.0.0.1:{port}
    default_backend b
backend b
    {how}
    server s 127.0.0.1:{back} {send}
"""


def haproxy(tmp, port, **kw):
    path = put(f"{tmp}/h.cfg", HAPROXY.format(port=port, **kw))
    return start([tool("haproxy"), "-db", "-f", path], port, tmp)


@pytest.mark.parametrize("send", [
    "send-proxy", "send-proxy-v2",
    "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_behind_haproxy(sluice, tmp, send):
    with Peer() as app:
        s = sluice(conf(app.addr).replace("192.0.2.0/24", "::/0"))
        port = net.free_port()
        p = haproxy(tmp, port, back=s.port, send=send, how="")
        try:
            for _ in range(3):
                with http.Client(port) as c:
                    mine = c.sock.getsockname()
                    r = c.ask("POST", "/h", body=b"x" * 30000)
                    assert r.body == b"ok\n"
                rec = wire.record(s, r["x-request-id"])
                assert (rec["client"], rec["client_port"]) == mine
        finally:
            end(p)


def test_health_checks_of_haproxy(sluice, tmp):
    """check-send-proxy is LOCAL: the proxy itself asks."""
    with Peer() as app:
        s = sluice(conf(app.addr))
        port = net.free_port()
        p = haproxy(tmp, port, back=s.port, how="option httpchk GET /check",
                    send="send-proxy-v2 check check-send-proxy inter 50ms")
        try:
            rec = json.loads(s.wait_log('"/check"')[0])
            assert rec["client"] == "127.0.0.1" and rec["status"] == 200
        finally:
            end(p)


NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {dir}/b;
    proxy_temp_path {dir}/p;
    fastcgi_temp_path {dir}/f;
    uwsgi_temp_path {dir}/u;
    scgi_temp_path {dir}/s;
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        listen 127.0.0.1:{plain};
        set_real_ip_from 127.0.0.1;
        real_ip_header {field};
        real_ip_recursive on;
        location / {{
            return 200 "$remote_addr $remote_port $http_forwarded";
        }}
    }}
}}
"""


@pytest.fixture
def nginx(tmp):
    made = []

    def make(field):
        port, plain = net.free_port(), net.free_port()
        path = put(f"{tmp}/nginx.conf", NGINX.format(
            dir=tmp, port=port, plain=plain, field=field))
        made.append(start([tool("nginx"), "-e", f"{tmp}/error.log", "-c",
                           path], plain, tmp))
        return port, plain
    yield make
    for p in made:
        end(p)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_is_told(sluice, nginx, version):
    port, _ = nginx("proxy_protocol")
    s = sluice(OUT.format(f"127.0.0.1:{port}", version))
    for _ in range(3):
        with http.Client(s.port) as c:
            ip, mine = c.sock.getsockname()
            assert c.get().text.split() == [ip, str(mine)]
    assert http.get(s.port, "/", headers={
        "X-Forwarded-For": "2001:db8::5"}).text.split()[0] == "2001:db8::5"


@pytest.mark.parametrize("field", ["X-Forwarded-For", "X-Real-IP"])
def test_nginx_reads_our_fields(sluice, nginx, field):
    _, plain = nginx(field)
    s = sluice(OUT.format(f"127.0.0.1:{plain}", "off"))
    for chain, want in (("192.0.2.5", "192.0.2.5"),
                        ("6.6.6.6, 192.0.2.6", "192.0.2.6"),
                        ("2001:db8::9, 127.0.0.1", "2001:db8::9")):
        assert http.get(s.port, "/", headers={
            "X-Forwarded-For": chain}).text.split()[0] == want


def test_curl(gate):
    out = subprocess.run(
        [tool("curl"), "-sS", "--haproxy-protocol",
         f"http://127.0.0.1:{gate.port}/curl"], capture_output=True,
        check=True, timeout=net.WAIT).stdout
    # the loopback is not of the networks of the first route
    assert out == b"other"
    assert wire.record(gate, target="/curl")["client"] == "127.0.0.1"

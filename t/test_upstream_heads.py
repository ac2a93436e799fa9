"""What a gateway changes in heads, and what it leaves alone."""
import gzip
import os
import socket
import threading

import pytest

from lib import http, net, wire
from lib.peer import hold, no_body, raw, respond

pytestmark = pytest.mark.versions

LISTEN = """
[listener web]
bind = 127.0.0.1:@port@
"""


def conf(addr, top="", up="", route="", more=""):
    return f"[sluice]\n{top}\n{LISTEN}\n[upstream app]\nserver = {addr}\n" \
        f"balance = round_robin\n{up}\n[route all]\npath = /*\n" \
        f"upstream = app\n{route}\n{more}"


@pytest.fixture(scope="module")
def gate():
    """No proxy is trusted."""
    with wire.with_app(conf) as s:
        yield s


@pytest.fixture(scope="module")
def inner():
    """A gateway behind proxies on the loopback and in 10/8."""
    with wire.with_app(lambda addr: conf(
            addr, top="trusted_proxies = 127.0.0.0/8 10.0.0.0/8 fd00::/8",
            up="forwarded = both")) as s:
        yield s


def seen(s, headers=(), host="shop.example", **kw):
    """The request as the server got it, and the answer."""
    with http.Client(s.port) as c:
        r = c.ask("GET", "/x", headers, host=host, **kw)
    return s.app.requests[-1], r


# what is said of a client that came by it, beside the proxy that did
SAFE = {"http": "", "https": ";proto=https"}


# --- who the client is ---

@pytest.mark.parametrize("chain,client", [
    ([], "127.0.0.1"),
    (["192.0.2.1"], "192.0.2.1"),
    (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
    (["6.6.6.6", "192.0.2.1, 10.0.0.2"], "192.0.2.1"),
    (["192.0.2.1", "10.0.0.3", "10.0.0.2"], "192.0.2.1"),
    (["[2001:db8::7]:443, fd00::2"], "2001:db8::7"),
    (["2001:db8::7"], "2001:db8::7"),
    (["192.0.2.1:4711"], "192.0.2.1"),
    (["6.6.6.6, unknown"], "127.0.0.1"),
    (["6.6.6.6, _hidden, 10.0.0.2"], "10.0.0.2"),
    (["6.6.6.6, what ever, 10.0.0.2"], "10.0.0.2"),
    ([", ".join(["6.6.6.6"] + ["10.0.0.9"] * 40)], "10.0.0.9"),
])
def test_chain(inner, chain, client, scheme):
    got, _ = seen(inner, [("X-Forwarded-For", v) for v in chain])
    want = ", ".join(chain + ["127.0.0.1"])
    assert got.all("x-forwarded-for") == [want]
    assert got.all("x-real-ip") == [client]
    rec = wire.record(inner, got.get("x-request-id"))
    assert rec["client"] == client
    node = f'for="[{client}]"' if ":" in client else f"for={client}"
    node += SAFE[scheme]
    ours = 'for=127.0.0.1;host="shop.example";proto=' + scheme
    assert got.all("forwarded") == [
        ours if client == "127.0.0.1" else f"{node}, {ours}"]


def test_other_fields_are_not_read(inner):
    """Proxies pass on what they do not know: it may be the client's lie."""
    got, _ = seen(inner, [("Forwarded", "for=6.6.6.6;host=evil"),
                          ("X-Real-IP", "7.7.7.7"),
                          ("X-Forwarded-For", "192.0.2.1")])
    assert got.all("x-real-ip") == ["192.0.2.1"]
    assert "6.6.6.6" not in got.get("forwarded")
    assert "evil" not in got.get("forwarded")


@pytest.mark.parametrize("given,proto,host", [
    ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a.example:8443"),
      ("X-Forwarded-Port", "8443")], "https", "a.example:8443"),
    ([("X-Forwarded-Proto", "HTTPS")], "https", "shop.example"),
    ([("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "a b")],
     None, "shop.example"),
    ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http"),
      ("X-Forwarded-Host", "a.example"), ("X-Forwarded-Host", "b.example")],
     None, "shop.example"),
])
def test_proto_and_host(inner, given, proto, host, scheme):
    proto = proto or scheme
    got, _ = seen(inner, given)
    assert got.all("x-forwarded-proto") == [proto]
    assert got.all("x-forwarded-host") == [host]
    assert wire.record(inner, got.get("x-request-id"))["scheme"] == proto
    assert got.all("x-forwarded-port") == [
        v for n, v in given if n == "X-Forwarded-Port"]


def test_scheme(sluice, peer, scheme):
    """A client that came by https is told so, and so are servers."""
    app = peer()
    s = sluice(conf(app.addr, up="forwarded = both",
                    top="trusted_proxies = 127.0.0.1, 10.0.0.0/8") +
               "[route r]\npath = /r\nredirect = 302 ${scheme}://${host}/\n")

    def place(fields):
        return http.get(s.port, "/r", host="shop.example",
                        headers=fields).get("location")
    assert place({}) == f"{scheme}://shop.example/"
    assert place({"X-Forwarded-Proto": "https"}) == "https://shop.example/"
    assert place({"X-Forwarded-Proto": "wss"}) == "https://shop.example/"
    s.app = app
    got, _ = seen(s, [("X-Forwarded-Proto", "wss"),
                      ("X-Forwarded-For", "192.0.2.1")])
    assert got.all("x-forwarded-proto") == ["wss"]
    assert got.all("forwarded") == [
        "for=192.0.2.1;proto=https, "
        'for=127.0.0.1;host="shop.example";proto=' + scheme]


def test_open_quote(sluice, peer, scheme):
    """It swallows nothing, here or behind."""
    app = peer()
    s = sluice(conf(app.addr, up="forwarded = both",
                    top="trusted_proxies = 127.0.0.1, 10.0.0.0/8\n"
                    "client_field = forwarded"))
    s.app = app
    given = ['for=6.6.6.6;x="', 'for="oh, for=192.0.2.1;proto=https, '
             'for="10.0.0.2:80"']
    got, _ = seen(s, [("Forwarded", v) for v in given])
    assert got.all("x-real-ip") == ["192.0.2.1"]
    assert got.all("x-forwarded-proto") == ["https"]
    assert got.all("forwarded") == [
        'for=192.0.2.1;proto=https, for="10.0.0.2:80", '
        'for=127.0.0.1;host="shop.example";proto=' + scheme]


@pytest.mark.parametrize("field,client,kept", [
    ("forwarded", "192.0.2.2", "forwarded"),
    ("x-real-ip", "192.0.2.3", None), ("x-forwarded-for", "192.0.2.1",
                                       "x-forwarded-for")])
def test_client_field(sluice, peer, field, client, kept, scheme):
    app = peer()
    s = sluice(conf(app.addr, up="forwarded = both",
                    top=f"trusted_proxies = 127.0.0.1\nclient_field={field}"))
    s.app = app
    given = {"x-forwarded-for": "192.0.2.1",
             "forwarded": 'for="192.0.2.2:81";by="a,b;c"',
             "x-real-ip": "192.0.2.3"}
    got, _ = seen(s, list(given.items()))
    assert got.all("x-real-ip") == [client]
    ours = {"x-forwarded-for": "127.0.0.1",
            "forwarded": 'for=127.0.0.1;host="shop.example";proto=' +
            scheme}
    for name, own in ours.items():
        chain = given[name] if name == kept else \
            client if name == "x-forwarded-for" else \
            f"for={client}{SAFE[scheme]}"
        assert got.all(name) == [f"{chain}, {own}"]


@pytest.mark.parametrize("how,names", [
    ("x", {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
           "x-real-ip"}),
    ("rfc7239", {"forwarded"}), ("off", set()),
    ("both", {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
              "x-real-ip", "forwarded"})])
@pytest.mark.parametrize("trusted", ["", "trusted_proxies = 127.0.0.1"])
def test_forwarded(sluice, peer, how, names, trusted):
    app = peer()
    s = sluice(conf(app.addr, top=trusted, up=f"forwarded = {how}"))
    s.app = app
    got, _ = seen(s, [
        ("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1"),
        ("X-Real-IP", "192.0.2.1"), ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "a.example")])
    assert {n for n, _ in got.headers} & {
        "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
        "x-real-ip", "forwarded"} == names
    # the claim of somebody unknown is nowhere
    assert (b"192.0.2.1" in got.raw) == bool(names and trusted)


def test_from_sees_the_client(sluice, peer):
    """Routes choose by the client's address, not by the proxy's."""
    app = peer()
    s = sluice(conf(app.addr, top="trusted_proxies = 127.0.0.1",
                    more="[route some]\npath = /*\nfrom = 192.0.2.0/24\n"
                    "respond = 200 some\n"))
    assert http.get(s.port, "/", headers={
        "X-Forwarded-For": "192.0.2.77"}).body == b"some"
    assert http.get(s.port, "/", headers={
        "X-Forwarded-For": "192.0.2.77, 8.8.8.8"}).body == b"ok\n"
    assert http.get(s.port, "/").body == b"ok\n"


def test_ipv6_peer(sluice, peer):
    app = peer()
    s = sluice(conf(app.addr, up="forwarded = both").replace(
        "bind = 127.0.0.1:", "bind = [::1]:"))
    with socket.create_connection(("::1", s.port), net.WAIT) as k:
        k.sendall(b"GET / HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n")
        assert k.recv(100).startswith(b"HTTP/1.1 200 ")
    got = app.requests[-1]
    assert got.get("x-forwarded-for") == "::1"
    assert got.get("forwarded") == 'for="[::1]";host="a:1";proto=http'


def test_host_of_a_route(sluice, peer):
    """A target has no upstream that could say it."""
    app = peer()
    s = sluice(f"{LISTEN}[route a]\npath = /a\ntarget = {app.addr}\n"
               "host_header = in.side\n[upstream u]\n"
               f"server = {app.addr}\nhost_header = of.upstream\n"
               "[route b]\npath = /b\nupstream = u\n"
               "[route c]\npath = /c\nupstream = u\nhost_header = server\n")
    for path, want in (("/a", "in.side"), ("/b", "of.upstream"),
                       ("/c", app.addr)):
        assert http.get(s.port, path).status == 200
        assert app.requests[-1].all("host") == [want]


# --- fields of one connection ---

HOP = [("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"),
       ("TE", "gzip"), ("X-Mine", "1"), ("x-other", "2"),
       ("Upgrade", "h9"), ("Proxy-Authorization", "Basic eA==")]
GONE = {"keep-alive", "proxy-connection", "te", "x-mine", "x-other",
        "upgrade", "proxy-authorization"}


@pytest.mark.h1
def test_hop_by_hop_up(gate):
    got, _ = seen(gate, HOP + [
        ("Connection", "keep-alive, X-MINE"), ("Connection", "x-other"),
        ("X-Stays", "3")])
    names = {n for n, _ in got.headers}
    assert not names & GONE and got.get("x-stays") == "3"
    assert got.get("connection", "").lower() in ("", "keep-alive")


def test_hop_by_hop_down(gate):
    gate.app.script.append(respond(headers=HOP[:5] + [
        ("Connection", "keep-alive, x-mine"), ("Connection", "X-Other"),
        ("X-Stays", "3")]))
    _, r = seen(gate)
    assert not {n for n, _ in r.headers} & GONE
    assert r.get("x-stays") == "3" and r.status == 200


@pytest.mark.parametrize("trusted", ["", "trusted_proxies = 127.0.0.1"])
def test_trace(sluice, peer, trusted):
    """Traces go on as they came, whoever began them."""
    app = peer()
    s = sluice(conf(app.addr, top=trusted))
    s.app = app
    given = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-"
              "b7ad6b7169203331-01"),
             ("tracestate", "a=1,b=2"), ("tracestate", "c=3"),
             ("baggage", "k=v"), ("X-Request-ID", "mine.1")]
    got, r = seen(s, given)
    for name in ("traceparent", "tracestate", "baggage"):
        assert got.all(name) == [v for n, v in given if n == name]
    assert got.all("x-request-id") == [r["x-request-id"]]
    assert (r["x-request-id"] == "mine.1") == bool(trusted)
    assert wire.record(s, r["x-request-id"])["attempts"] == 1


# --- how long it may take ---

TRUST = "trusted_proxies = 127.0.0.1"


def left(got, most):
    """The milliseconds that the server was told of, at most `most`."""
    value, = got.all("x-request-deadline")
    assert 0 < int(value) <= most
    return int(value)


@pytest.mark.turns
@pytest.mark.parametrize("top,route,told", [
    ("", "", None), (TRUST, "", 5000), ("", "deadline = on", 5000),
    (TRUST, "timeout.total = 4s", 4000), ("", "timeout.total = 4s", 4000),
    (TRUST, "timeout.total = 20s", 5000)])
@pytest.mark.parametrize("field,value", [
    ("X-Request-Deadline", "5000"), ("grpc-timeout", "5S")])
def test_deadline_is_told(sluice, peer, top, route, told, field, value):
    app = peer()
    s = sluice(conf(app.addr, top=top, route=route))
    s.app = app
    got, _ = seen(s, [(field, value)])
    if told is None:
        assert not got.all("x-request-deadline")
        # the server's own matter, as of all who do not know the field
        assert got.get("grpc-timeout") == (
            value if field == "grpc-timeout" else None)
        return
    ms = left(got, told)
    assert ms > told - 1900
    if field == "grpc-timeout":
        assert got.all(field) == [f"{ms}m"]
    else:
        assert not got.all("grpc-timeout")


@pytest.mark.parametrize("value,told", [
    (["5S", "50m"], "50m"), (["50m", "5S"], "50m"),
    (["7S", "5S"], "4000m"), (["x", "50000u"], "50000u")])
def test_deadline_of_lines(sluice, peer, value, told):
    """Who is not believed is still told no more than it asked for, in
    its own words while that is less than what is left."""
    app = peer()
    s = sluice(conf(app.addr, route="timeout.total = 4s"))
    s.app = app
    got, _ = seen(s, [("grpc-timeout", v) for v in value])
    ms = left(got, 4000)
    assert got.all("grpc-timeout") == [
        f"{ms}m" if told == "4000m" else told]


def test_deadline_off(sluice, peer):
    """Nobody looks: fields pass as all others do."""
    app = peer()
    s = sluice(conf(app.addr, top=TRUST,
                    route="deadline = off\ntimeout.total = 9s"))
    s.app = app
    got, _ = seen(s, [("X-Request-Deadline", "0"), ("grpc-timeout", "1n")])
    assert got.all("x-request-deadline") == ["0"]
    assert got.all("grpc-timeout") == ["1n"]


@pytest.mark.turns
@pytest.mark.parametrize("field,value,most", [
    ("X-Request-Deadline", ["700000", "60000"], 60000),
    ("X-Request-Deadline", ["x", "60000"], 60000),
    ("grpc-timeout", ["1H"], 3600000), ("grpc-timeout", ["2M"], 120000),
    ("grpc-timeout", ["90000000u"], 90000),
    ("grpc-timeout", ["1000m", "1M"], 1000),
    ("X-Request-Deadline", ["18446744073709551616"], None),
    ("X-Request-Deadline", ["-1"], None), ("X-Request-Deadline", [""], None),
    ("X-Request-Deadline", ["1.5"], None), ("grpc-timeout", ["5"], None),
    ("grpc-timeout", ["S"], None), ("grpc-timeout", ["123456789m"], None),
    ("grpc-timeout", ["5s"], None), ("grpc-timeout", ["99999999H"], None)])
def test_deadline_forms(sluice, peer, field, value, most):
    app = peer()
    s = sluice(conf(app.addr, route="deadline = on"))
    s.app = app
    got, r = seen(s, [(field, v) for v in value])
    assert r.status == 200
    if most is None:
        assert not got.all("x-request-deadline")
    else:
        assert left(got, most) > most - 900


@pytest.mark.parametrize("field,value", [
    ("X-Request-Deadline", "0"), ("grpc-timeout", "999u"),
    ("grpc-timeout", "0H")])
def test_deadline_is_over(sluice, peer, field, value):
    """Then nobody is asked."""
    app = peer()
    s = sluice(conf(app.addr, route="deadline = on"))
    r = http.get(s.port, "/", headers={field: value, **wire.JSON})
    wire.is_fail(r, "deadline_exceeded")
    assert not app.requests


@pytest.mark.turns
@pytest.mark.parametrize("limit,row", [
    ("deadline = on", "deadline_exceeded"),
    ("timeout.total = 150ms\ntimeout.connect = 100ms", "total_timeout")])
def test_deadline_passes(sluice, peer, limit, row):
    wait = threading.Event()
    app = peer([hold(wait)])
    s = sluice(conf(app.addr, route=limit))
    given = {"X-Request-Deadline": "200", **wire.JSON}
    r = http.get(s.port, "/late", headers=given)
    rid = wire.is_fail(r, row)
    wait.set()
    rec = wire.record(s, rid)
    # the loop's clock, by which it ends, is that of the turn's beginning
    assert rec["fail"] == row and 100000 <= rec["duration_us"] < 5000000
    assert http.get(s.port, "/").status == 200


def test_deadline_within_the_body(sluice, peer):
    """Time is up after the head: the answer is visibly cut."""
    wait = threading.Event()

    def step(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        wait.wait(net.WAIT)
        return False
    app = peer([step])
    s = sluice(conf(app.addr, route="deadline = on"))
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/cut", {"X-Request-Deadline": "200"}))
        assert c.head().status == 200
        with pytest.raises(http.Closed):
            c.take(10)
    wait.set()
    assert wire.record(s, target="/cut")["fail"] == "deadline_exceeded"


def test_deadline_shrinks(sluice, peer):
    """A second attempt has what the first has left of it."""
    app = peer()
    dead = net.free_port()
    hole = socket.create_server(("127.0.0.1", 0), backlog=0)
    full = [socket.socket() for _ in range(3)]
    for k in full:      # a queue that is full: who connects waits
        k.setblocking(False)
        k.connect_ex(hole.getsockname())
    addr = "127.0.0.1:%d" % hole.getsockname()[1]
    s = sluice(conf(f"{addr}\nserver = 127.0.0.1:{dead}\nserver = {app.addr}",
                    route="deadline = on", up="timeout.connect = 300ms"))
    s.app = app
    told = [left(seen(s, {"X-Request-Deadline": "9000"})[0], 9000)
            for _ in range(3)]
    assert min(told) <= 8700
    for k in full + [hole]:
        k.close()


# --- bodies as they come, or gathered ---

def frames(c):
    """The body of a chunked answer, as it was framed."""
    return list(iter(c.piece, b""))


def beside(peer, tmp, *script):
    """One at a socket file, where net.wait_taken works."""
    app = peer(script, path=f"{tmp}/app.sock")
    os.chmod(f"{tmp}/app.sock", 0o666)
    return app


def trickle(n, fields=b""):
    """Pieces that are read one by one."""
    def step(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\n" + fields +
                  b"Transfer-Encoding: chunked\r\n\r\n")
        for i in range(n):
            conn.send(b"4\r\n%04d\r\n" % i)
            net.wait_taken(conn.sock)
        conn.send(b"0\r\n\r\n")
        return True
    return step


@pytest.mark.turns
@pytest.mark.parametrize("how,fields,gathers", [
    ("auto", b"", False), ("off", b"", False), ("on", b"", True),
    ("on", b"Content-Type: text/event-stream; charset=utf-8\r\n", False),
    ("on", b"X-Accel-Buffering: no\r\n", False),
    ("on", b"Content-Type: text/plain\r\nX-Accel-Buffering: yes\r\n", True)])
def test_trickle(sluice, peer, tmp, how, fields, gathers):
    app = beside(peer, tmp, trickle(60, fields))
    s = sluice(conf(app.addr, route=f"buffering = {how}"))
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/"))
        assert c.head().status == 200
        got = frames(c)
        assert b"".join(got) == b"".join(b"%04d" % i for i in range(60))
        # a write each, or a few of 200 ms
        assert len(got) < 15 if gathers else len(got) > 30
        assert c.get().body == b"ok\n"


@pytest.mark.parametrize("how", ["auto", "on"])
def test_passes_before_the_end(sluice, peer, how):
    """Gathered or not: nothing waits for the server's next piece."""
    go = threading.Event()

    def step(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        assert go.wait(net.WAIT)
        conn.send(b"def")
        return True
    app = peer([step])
    s = sluice(conf(app.addr, route=f"buffering = {how}"))
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/"))
        assert c.head().status == 200
        assert c.take(3) == b"abc"
        go.set()
        assert c.take(3) == b"def"
        assert c.get().body == b"ok\n"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_gathered_whole(sluice, peer, tmp, framing):
    """Small and large pieces, in order and all of them."""
    sizes = [1, 3, 100, 4095, 4096, 5000, 1, 16384, 7, 70000, 1, 12288, 1,
             300000, 2, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 9]
    data = os.urandom(sum(sizes))
    sent = threading.Event()

    def step(conn, _):
        how = {"length": b"Content-Length: %d\r\n" % len(data),
               "chunked": b"Transfer-Encoding: chunked\r\n", "close": b""}
        conn.send(b"HTTP/1.1 200 OK\r\n" + how[framing] + b"\r\n")
        at = 0
        for n in sizes:
            piece = data[at:at + n]
            at += n
            conn.send(b"%x\r\n%s\r\n" % (n, piece) if framing == "chunked"
                      else piece)
            if conn.sock.family == socket.AF_UNIX:
                net.wait_taken(conn.sock)
        if framing == "chunked":
            conn.send(b"0\r\nX-Sum: 1\r\n\r\n")
        sent.set()
        return framing != "close"
    app = beside(peer, tmp, step)
    s = sluice(conf(app.addr, route="buffering = on"))
    with http.Client(s.port) as c:
        assert c.get().body == data
    # one that reads when all was said has it, too
    sent.clear()
    s = sluice(conf(peer([step]).addr, route="buffering = on"))
    k = net.connect(s.port, rcvbuf=4096)
    with http.Client(s.port, sock=k) as c:
        c.send(http.request("GET", "/"))
        assert sent.wait(net.WAIT) and k.recv(1, socket.MSG_PEEK) == b"H"
        assert c.response().body == data


def test_gathered_is_cut(sluice, peer):
    """A server that breaks off: the client is not told that this is all."""
    app = peer([raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"3\r\nabc\r\n", then_close=True)])
    s = sluice(conf(app.addr, route="buffering = on"))
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/"))
        with pytest.raises(http.Closed):
            c.response()


def test_gathered_client_leaves(sluice, peer, tmp):
    """With bytes that wait and a timer that runs."""
    left = threading.Semaphore(0)

    def step(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        net.wait_taken(conn.sock)
        conn.send(b"3\r\nabc\r\n")
        net.wait_taken(conn.sock)
        assert left.acquire(timeout=net.WAIT)
        # it is closed, or the piece is taken by who will be
        conn.send(b"3\r\ndef\r\n")
        return False
    app = beside(peer, tmp, *[step] * 3)
    s = sluice(conf(app.addr, route="buffering = on"))
    for _ in range(3):
        with http.Client(s.port) as c:
            c.send(http.request("GET", "/"))
            assert c.head().status == 200
            c.reset()
        left.release()
    assert http.get(s.port).status == 200


# --- interim and early answers, answers without a body ---

def test_interims(gate):
    """100 is between two; others go on, several of them, in order."""
    gate.app.script.append(raw(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </b>\r\nConnection: x-hop\r\n"
        b"X-Hop: 1\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    with http.Client(gate.port) as c:
        c.send(http.request("GET", "/"))
        heads = [c.head() for _ in range(4)]
        assert [h.status for h in heads] == [103, 103, 102, 200]
        assert [h.get("link") for h in heads[:2]] == ["</a>", "</b>"]
        assert heads[1].get("x-hop") is None
        assert c.take(2) == b"ok"


@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize("status", [200, 413])
def test_early_answer(gate, chunks, status):
    """It goes to the client while the request is still on its way."""
    gate.app.script.append(no_body(lambda conn, _: conn.send(
        b"HTTP/1.1 %d Early\r\nContent-Length: 5\r\nConnection: close\r\n"
        b"\r\nearly" % status)))
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/", [
            ("Transfer-Encoding", "chunked") if chunks else
            ("Content-Length", "1000000")]) +
            (b"5\r\nhello\r\n" if chunks else b"hello"))
        r = c.response()
        assert r.status == status and r.body == b"early"
    assert http.get(gate.port).status == 200


@pytest.mark.parametrize("method,status", [
    ("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304)])
@pytest.mark.parametrize("length", [None, "1234"])
def test_no_body(gate, method, status, length):
    fields = b"" if length is None or status == 204 else \
        b"Content-Length: 1234\r\n"
    gate.app.script.append(raw(
        b'HTTP/1.1 %d X\r\nETag: "a"\r\n%s\r\n' % (status, fields)))
    with http.Client(gate.port) as c:
        r = c.ask(method, "/")
        assert r.status == status and r.body == b"" and r["etag"] == '"a"'
        assert r.get("content-length") == ("1234" if fields else None)
        assert c.get().body == b"ok\n"


def test_trailers(gate):
    gate.app.script.append(respond(
        chunks=[b"a", b"b"], headers=[("Trailer", "X-Sum")],
        trailers=[("X-Sum", "1"), ("Content-Length", "9"),
                  ("Connection", "close")]))
    with http.Client(gate.port) as c:
        c.send(http.request("POST", "/t", [
            ("Transfer-Encoding", "chunked"), ("TE", "trailers")]) +
            http.chunked(b"up", trailers=[("X-Up", "2"), ("Host", "evil")]))
        r = c.response()
        assert r.body == b"ab" and r.trailers == [("x-sum", "1")]
    assert gate.app.requests[-1].trailers == [("x-up", "2")]


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd, gzip"])
def test_compressed(gate, coding):
    """What is compressed is nobody's but the client's."""
    data = gzip.compress(b"a" * 100000) if coding == "gzip" else \
        os.urandom(3000)
    fields = [("Content-Encoding", coding), ("Vary", "Accept-Encoding"),
              ("ETag", 'W/"x-gzip"'), ("Content-Type", "text/html"),
              ("Accept-Ranges", "bytes")]
    gate.app.script.append(respond(body=data, headers=fields))
    with http.Client(gate.port) as c:
        r = c.ask("GET", "/z", {"Accept-Encoding": "gzip;q=1.0, br, *;q=0"})
    assert r.body == data
    for name, value in fields:
        assert r.get(name.lower()) == value
    assert r.get("content-length") == str(len(data))
    assert gate.app.requests[-1].all("accept-encoding") == [
        "gzip;q=1.0, br, *;q=0"]


@pytest.mark.parametrize("name", ["X_Forwarded_For", "x-forwarded_for",
                                  "X_REAL_IP", "X_Request_ID"])
def test_disguised(gate, name):
    """What is one variable to CGI is not the client's to set either."""
    http.get(gate.port, "/", headers={name: "10.9.9.9", "X_Other": "1"})
    have = dict(gate.app.requests[-1].headers)
    assert "10.9.9.9" not in have.values()
    assert have["x_other"] == "1"


@pytest.mark.h1
def test_connection_names_the_chain(sluice, peer):
    """A proxy that lets its client's Connection through still says who
    the client is."""
    app = peer()
    s = sluice(conf(app.addr, top="trusted_proxies = 127.0.0.1"))
    http.get(s.port, "/", headers={
        "Connection": "keep-alive, X-Forwarded-For, x-forwarded-PORT, "
                      "X-Forwarded, X-Named",
        "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Port": "8443",
        "X-Forwarded": "1", "X-Named": "1"})
    assert app.requests[-1].get("x-real-ip") == "192.0.2.7"
    assert app.requests[-1].get("x-forwarded-port") == "8443"
    assert app.requests[-1].get("x-forwarded") is None
    assert app.requests[-1].get("x-named") is None

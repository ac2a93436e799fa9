"""Long bodies between client and server: spliced where they may be, whole
and in time whatever either end does, and nothing of them is left."""
import contextlib
import hashlib
import json
import os
import threading

import pytest

from lib import http, net, wire
from lib.cmd import Thread
from lib.peer import Gone, Peer, no_body, raw, respond

MB = 1 << 20
SIZE = 10 * MB
DATA = os.urandom(SIZE)
HASH = hashlib.sha256(DATA).hexdigest()
CONF = """
[sluice]
workers = 1
[log]
access = on
format = json
[listener web]
bind = 127.0.0.1:@port@
%s
[upstream app]
server = %s
%s
[route all]
path = /*
upstream = app
""" + wire.PROBE


def sha(data):
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def running(app, listener="", upstream="", env=None):
    with wire.gateway(CONF % (listener, app.addr, upstream), env=env) as s:
        yield s


@pytest.fixture(scope="module")
def gate():
    with Peer() as app, running(app) as s:
        s.app = app
        yield s
        assert not app.errors


def pipes_of(pid):
    """Ends of pipes that a process has."""
    n = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            n += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("pipe:")
    return n


def await_sum(s, name, right, seconds=10):
    """The counter, as soon as it is right: it is told once a second."""
    end = net.Deadline(f"{name} to be right", seconds)
    while not right(value := wire.sums(s)[name]):
        net.wait_fd(None, min(end.left(), 0.05))
    return value


def spliced(s):
    """Bytes that were spliced, after the next second."""
    turns = wire.sums(s)["loop_turns_total"]
    await_sum(s, "loop_turns_total", lambda n: n > turns)
    return wire.sums(s)["spliced_bytes_total"]


def record(s, target, **right):
    """The access record of a target, with these fields."""
    got = json.loads(s.wait_log(rf'"target":"{target}"')[-1])
    for name, value in right.items():
        assert got.get(name, "") == value, got
    return got


def down(c, target="/d"):
    r = c.get(target)
    assert r.status == 200
    assert sha(r.body) == HASH
    return r


def until_close(data=DATA):
    return raw(b"HTTP/1.1 200 OK\r\n\r\n" + data, then_close=True)


def pieces(data=DATA, size=50000):
    return [data[i:i + size] for i in range(0, len(data), size)]


# --- whole ---

@pytest.mark.parametrize("how,step,unseen", [
    ("length", respond(body=DATA), SIZE - MB),
    ("close", until_close(), SIZE - MB),
    ("chunked", respond(chunks=pieces()), 0),
    ("small", respond(body=DATA[:200000]), 0),
])
def test_down(gate, how, step, unseen):
    """Of a long body at least unseen bytes are spliced, of others none;
    both connections serve again."""
    before = spliced(gate)
    data = DATA[:200000] if how == "small" else DATA
    gate.app.script += [step, respond()]
    with http.Client(gate.port) as c:
        r = c.get(f"/down/{how}")
        assert sha(r.body) == sha(data)
        assert r.framing == ("chunked" if how in ("close", "chunked")
                             else "length")
        wire.goes_on(c)
        assert c.get("/again").body == b"ok\n"
    got = spliced(gate) - before
    assert unseen <= got <= (len(data) if unseen else 0)
    head = len(data) if how in ("length", "small") else len(data) * 1.01
    rec = record(gate, f"/down/{how}", fail="", status=200)
    assert len(data) < rec["bytes_out"] < head + 1000


@pytest.mark.parametrize("chunks", [False, True])
def test_up(gate, chunks):
    before = spliced(gate)
    with http.Client(gate.port) as c:
        if chunks:
            c.send(http.request("PUT", "/up/1", [
                ("Transfer-Encoding", "chunked")]) +
                http.chunked(*pieces()))
            r = c.response()
        else:
            r = c.ask("PUT", "/up/0", body=DATA)
        assert r.status == 200
        wire.goes_on(c)
        assert c.get("/again").status == 200
    put, again = gate.app.requests[-2:]
    assert sha(put.body) == HASH
    assert put.conn == again.conn
    got = spliced(gate) - before
    assert got == 0 if chunks else got >= SIZE - MB
    rec = record(gate, f"/up/{int(chunks)}", fail="")
    assert SIZE < rec["bytes_in"] < SIZE * 1.01 + 1000


def test_both_ways(gate):
    """Upload and answer at the same time, on eight connections."""
    def step(conn, req):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        left, h = SIZE, hashlib.sha256()
        while left > 0:
            piece = conn.take(min(left, 100000))
            h.update(piece)
            conn.send(piece)
            left -= len(piece)
        assert h.hexdigest() == HASH
        return True

    def client(_):
        with http.Client(gate.port) as c:
            up = Thread(c.send, http.request("POST", "/both", body=DATA))
            r = c.response()
            up.join()
            assert sha(r.body) == HASH
            wire.goes_on(c)
    gate.app.script += [no_body(step)] * 8
    for t in [Thread(client, i) for i in range(8)]:
        t.join(60)


@pytest.mark.parametrize("lead", [0, 1, 1000, 300000])
def test_after_what_came_first(gate, lead):
    """A body that begins with the head, or long after it."""
    with http.Client(gate.port) as c:
        head = http.request("PUT", "/lead", [("Content-Length", str(SIZE))])
        c.send(head + DATA[:lead])
        assert c.is_idle(0.05)
        c.send(DATA[lead:])
        assert c.response().status == 200
    assert sha(gate.app.requests[-1].body) == HASH


def test_close_to_http10(gate):
    """Neither length nor chunks: the end is the connection's, both ways."""
    gate.app.script.append(until_close())
    with http.Client(gate.port) as c:
        c.send("GET /old HTTP/1.0\r\nHost: a\r\n\r\n")
        r = c.response()
        assert r.framing == "close"
        assert sha(r.body) == HASH


def test_head(gate):
    gate.app.script.append(respond(body=DATA))
    with http.Client(gate.port) as c:
        r = c.ask("HEAD", "/h")
        assert r["content-length"] == str(SIZE)
        wire.goes_on(c)


# --- slow ---

def read_all(c, wait=None):
    """Head and body of an answer with a length, read slowly."""
    r = c.head()
    h, left = hashlib.sha256(), int(r["content-length"])
    h.update(c.buf)
    left -= len(c.buf)
    while left > 0:
        if wait:
            wait(left)
        data = c.sock.recv(65536)
        assert data
        h.update(data)
        left -= len(data)
    c.buf = b""
    return h.hexdigest()


def test_reader_stalls(gate):
    """What stands still in a pipe becomes pages, the pipe goes back."""
    gate.app.script.append(respond(body=DATA * 2))
    want = sha(DATA * 2)
    sock = net.connect(gate.port, rcvbuf=65536)
    with http.Client(gate.port, sock=sock) as c:
        c.send(http.request("GET", "/stall"))
        await_sum(gate, "pipes", lambda n: n > 0)
        await_sum(gate, "pipes", lambda n: n == 0)
        assert wire.sums(gate)["page_bytes"] >= 16384
        assert read_all(c) == want
        wire.goes_on(c)
    await_sum(gate, "page_bytes", lambda n: n <= 4 * 16384)
    assert pipes_of(gate.workers()[0]) % 2 == 0


def test_reader_is_slow(gate):
    gate.app.script.append(respond(body=DATA))
    sock = net.connect(gate.port, rcvbuf=65536)
    pause = threading.Event()
    with http.Client(gate.port, sock=sock) as c:
        c.send(http.request("GET", "/slow"))
        assert read_all(c, lambda left: pause.wait(0.005)) == HASH
        wire.goes_on(c)


def test_sender_is_slow(gate):
    pause = threading.Event()
    with http.Client(gate.port) as c:
        c.send(http.request("PUT", "/slow", [("Content-Length", str(SIZE))]))
        for piece in pieces():
            c.send(piece)
            pause.wait(0.005)
        assert c.response().status == 200
    assert sha(gate.app.requests[-1].body) == HASH


def test_server_stalls():
    """The time between two pieces is the server's, spliced or not."""
    def step(conn, req):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE
                  + DATA[:5 * MB])
        conn.more()
    with Peer([step]) as app, running(
            app, upstream="timeout.between = 1s") as s, \
            http.Client(s.port) as c:
        with pytest.raises(http.Closed):
            c.get("/quiet")
        record(s, "/quiet", fail="between_timeout", status=200)


def test_client_stalls():
    """And not the client's: it has as long as timeout.write says."""
    with Peer([respond(body=DATA * 3)]) as app, running(
            app, listener="timeout.write = 6s",
            upstream="timeout.between = 1s") as s:
        sock = net.connect(s.port, rcvbuf=65536)
        with http.Client(s.port, sock=sock) as c:
            c.send(http.request("GET", "/idle"))
            rec = record(s, "/idle", fail="write_timeout", status=200)
            assert rec["duration_us"] > 5e6


def test_sender_stalls():
    with Peer() as app, running(app, listener="timeout.body = 1s") as s, \
            http.Client(s.port) as c:
        c.send(http.request("PUT", "/part", [("Content-Length", str(SIZE))])
               + DATA[:5 * MB])
        assert c.response().status == wire.FAILS["body_timeout"][0]
        record(s, "/part", fail="body_timeout")


# --- cut ---

def test_server_ends_early(gate):
    gate.app.script.append(raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE +
        DATA[:5 * MB], then_close=True))
    with http.Client(gate.port) as c:
        with pytest.raises(http.Closed):
            c.get("/early")
    record(gate, "/early", fail="reset_in_body", status=200)


def test_server_resets(gate):
    def step(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE
                  + DATA[:5 * MB])
        net.reset(conn.sock)
        return False
    gate.app.script.append(step)
    with http.Client(gate.port) as c:
        with pytest.raises(http.Closed):
            c.get("/reset")
    record(gate, "/reset", fail="reset_in_body", status=200)


def gone(conn):
    """Reads until the connection has ended."""
    with pytest.raises((Gone, OSError)):
        while True:
            conn.more()
            conn.buf = b""


@pytest.mark.parametrize("reset", [False, True])
def test_client_leaves(gate, reset):
    """The server's connection goes with it."""
    ended = threading.Event()

    def step(conn, _):
        with contextlib.suppress(OSError):
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" %
                      (100 * SIZE))
            while True:
                conn.send(DATA)
        ended.set()
        return False
    gate.app.script.append(step)
    target = f"/leave/{int(reset)}"
    with http.Client(gate.port) as c:
        c.send(http.request("GET", target))
        c._take(3 * MB)
        if reset:
            c.reset()
    assert ended.wait(net.WAIT)
    record(gate, target, fail="client_gone", status=200)


@pytest.mark.parametrize("how", ["shut", "close", "reset"])
def test_sender_leaves(gate, how):
    """The server sees no whole request."""
    seen = []

    def step(conn, req):
        gone(conn)
        seen.append(1)
        return False
    gate.app.script.append(no_body(step))
    target = f"/part/{how}"
    with http.Client(gate.port) as c:
        c.send(http.request("PUT", target, [("Content-Length", str(SIZE))])
               + DATA[:5 * MB])
        if how == "shut":
            c.shut()
            assert c.response().status == wire.FAILS["body_cut"][0]
        elif how == "reset":
            c.reset()
    rec = record(gate, target)
    assert rec.get("fail") in ("body_cut", "client_gone"), rec
    end = net.Deadline("the server to see the end")
    while not seen:
        net.wait_fd(None, min(end.left(), 0.02))


def test_early_answer(gate):
    """An answer ends the upload; the rest is not for the server."""
    def step(conn, req):
        conn.take(3 * MB)
        conn.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        gone(conn)
        return False
    gate.app.script.append(no_body(step))
    with http.Client(gate.port) as c:
        up = Thread(c.send, http.request(
            "PUT", "/no", [("Content-Length", str(SIZE))]) + DATA[:8 * MB])
        r = c.response()
        assert (r.status, r.body) == (403, b"no")
        with contextlib.suppress(OSError):
            up.join()
    record(gate, "/no", fail="", status=403)


@pytest.mark.parametrize("reset", [False, True])
def test_server_leaves_upload(gate, reset):
    """What was taken of the client cannot be sent again: no replay."""
    def step(conn, _):
        conn.take(3 * MB)
        if reset:
            net.reset(conn.sock)
        return False
    with http.Client(gate.port) as c:
        assert c.get("/first").status == 200
        n = len(gate.app.requests)
        gate.app.script.append(no_body(step))
        target = f"/lost/{int(reset)}"
        up = Thread(c.send, http.request("PUT", target, body=DATA))
        r = c.response()
        assert r.status in (502, 504)
        with contextlib.suppress(OSError):
            up.join()
    assert len(gate.app.requests) == n + 1
    rec = record(gate, target)
    assert rec["attempts"] == 1
    assert rec.get("fail") in ("send_error", "reset_before_head")


# --- none left ---

def test_no_pipe_to_be_had():
    """The system gives none, or too few: all by pages."""
    for fault in ("pipe_none", "pipe_none:1+2"):
        with Peer(default=respond(body=DATA)) as app, running(
                app, env={"SLUICE_FAULT": fault}) as s:
            for _ in range(4):
                with http.Client(s.port) as c:
                    down(c)
                    assert c.ask("PUT", "/u", body=DATA).status == 200
            assert all(sha(r.body) == HASH for r in app.requests
                       if r.method == "PUT")
            if fault == "pipe_none":
                assert spliced(s) == 0


def test_all_at_once():
    """More bodies than there are pipes, the readers stalled; then all."""
    n = 150
    with Peer([respond(body=DATA)] * n) as app, running(app) as s:
        clients = [http.Client(s.port, sock=net.connect(
            s.port, rcvbuf=65536)) for _ in range(n)]
        for c in clients:
            c.send(http.request("GET", "/many"))
        app.wait_requests(n)
        for t in [Thread(read_all, c) for c in clients]:
            assert t.join(120) == HASH
        for c in clients:
            c.close()
        await_sum(s, "connections", lambda k: k == 0)
        await_sum(s, "pipes", lambda k: k == 0)
        worker = s.workers()[0]
        assert pipes_of(worker) <= 2 * 16 + 4


def test_nothing_left(gate):
    await_sum(gate, "connections", lambda n: n == 0)
    await_sum(gate, "pipes", lambda n: n == 0)
    await_sum(gate, "page_bytes", lambda n: n == 0)
    assert pipes_of(gate.workers()[0]) <= 2 * 16 + 4

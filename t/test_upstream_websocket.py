"""WebSockets of real programs: Python's websockets, Node's ws.

Every pair of ends is tried through the gateway; what they negotiate with
each other (subprotocols, permessage-deflate) is none of its business.
"""
import asyncio
import os
import queue
import subprocess
import threading
from http import HTTPStatus

import pytest
import websockets
from websockets import exceptions

from lib import http, net, wire
from lib.cmd import Thread, tool


NODE_PATH = os.environ.get("NODE_PATH", "/usr/share/nodejs")
NODE_WS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib",
                       "ws_node.js")
BIG = os.urandom(3 << 20)

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
server = 127.0.0.1:%d
[route all]
path = /*
upstream = app
""" + wire.PROBE


class Asyncio:
    """A loop in a thread; run() gives the result of a coroutine."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever,
                                       daemon=True)
        self.thread.start()

    def run(self, coro, seconds=None):
        done = asyncio.run_coroutine_threadsafe(coro, self.loop)
        return done.result(net.WAIT * 3 if seconds is None else seconds)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(net.WAIT)
        self.loop.close()


class Server:
    """An echo server of websockets; notes how connections closed."""

    def __init__(self, loop):
        self.loop, self.closed, self.seen = loop, [], []
        self.port = loop.run(self._open())

    async def _open(self):
        self.server = await websockets.serve(
            self._serve, "127.0.0.1", 0, subprotocols=["b", "c"],
            max_size=None, process_request=self._look, ping_interval=None)
        return self.server.sockets[0].getsockname()[1]

    async def _look(self, path, fields):
        self.seen.append((path, fields))
        if path == "/refused":
            return (HTTPStatus.FORBIDDEN, [("X-Why", "not you")],
                    b"refused\n")
        return None

    async def _serve(self, w, _path):
        try:
            async for m in w:
                if m == "close me":
                    await w.close(4002, "as you say")
                elif m == "ping me":
                    await (await w.ping(b"server"))
                    await w.send("you did")
                else:
                    await w.send(m)
        except exceptions.ConnectionClosed:
            pass
        self.closed.append((w.close_code, w.close_reason))

    def stop(self):
        async def close():
            self.server.close()
            await self.server.wait_closed()
        self.loop.run(close())


@pytest.fixture(scope="module")
def loop():
    a = Asyncio()
    yield a
    a.stop()


@pytest.fixture(scope="module")
def py(loop):
    app = Server(loop)
    with wire.gateway(CONF % app.port) as s:
        s.app = app
        yield s
    app.stop()


class Node:
    def __init__(self, *args):
        self.proc = subprocess.Popen(
            [tool("node"), NODE_WS, *args], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NODE_PATH": NODE_PATH})
        self.lines = queue.Queue()
        self.reader = Thread(self._read)

    def _read(self):
        for line in self.proc.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self):
        return self.lines.get(timeout=net.WAIT)

    def rest(self):
        self.proc.wait(net.WAIT)
        self.reader.join()
        return list(self.lines.queue)

    def stop(self):
        self.proc.kill()
        self.proc.wait()
        self.reader.join()
        self.proc.stdout.close()


@pytest.fixture(scope="module")
def js():
    app = Node("server")
    with wire.gateway(CONF % int(app.line())) as s:
        s.app = app
        yield s
    app.stop()


def url(s, target="/"):
    return f"ws://127.0.0.1:{s.port}{target}"


def connect(s, target="/", **kw):
    return websockets.connect(url(s, target), max_size=None,
                              ping_interval=None, **kw)


def test_route_of_websockets(sluice, loop, peer):
    """A path whose WebSockets have servers of their own."""
    app, pages = Server(loop), peer()
    s = sluice(CONF % app.port + f"""
[route ws]
path = /ws/*
protocol = websocket
upstream = app
[upstream pages]
server = {pages.addr}
[route pages]
path = /ws/*
upstream = pages
""")

    async def talk():
        async with connect(s, "/ws/chat") as w:
            await w.send("a")
            assert await w.recv() == "a"
    loop.run(talk())
    assert http.get(s.port, "/ws/chat").body == b"ok\n"
    assert [q.target for q in pages.requests] == ["/ws/chat"]
    app.stop()


# --- Python to Python ---

def test_messages(py, loop):
    async def talk():
        async with connect(py, "/messages") as w:
            for m in ("", "text \u00e4 \U0001f30a", b"", b"\0\xff",
                      "x" * 125, b"y" * 126, b"z" * 65535, b"z" * 65536,
                      BIG):
                await w.send(m)
                assert await w.recv() == m
            # a message in pieces is one message
            await w.send([b"one ", b"two ", b"three"])
            assert await w.recv() == b"one two three"
    loop.run(talk())
    r = wire.record(py, target="/messages")
    assert r["status"] == 101 and "fail" not in r
    assert min(r["bytes_in"], r["bytes_out"]) > len(BIG)


def test_pings_both_ways(py, loop):
    async def talk():
        async with connect(py) as w:
            await (await w.ping(b"client"))
            await w.pong(b"unasked")
            await w.send("ping me")
            assert await w.recv() == "you did"
    loop.run(talk())


@pytest.mark.parametrize("offer,chosen", [
    (["a", "b"], "b"), (["c"], "c"), (["a"], None), (None, None)])
def test_subprotocol(py, loop, offer, chosen):
    async def talk():
        async with connect(py, subprotocols=offer) as w:
            assert w.subprotocol == chosen
            await w.send("x")
            assert await w.recv() == "x"
    loop.run(talk())


@pytest.mark.parametrize("offer", ["deflate", None])
def test_compression(py, loop, offer):
    """permessage-deflate is negotiated through: few bytes are sent."""
    target = f"/deflate-{offer}"

    async def talk():
        async with connect(py, target, compression=offer) as w:
            assert len(w.extensions) == (1 if offer else 0)
            await w.send("a" * 1000000)
            assert await w.recv() == "a" * 1000000
    loop.run(talk())
    r = wire.record(py, target=target)
    assert (r["bytes_in"] < 20000) == (offer is not None)


@pytest.mark.parametrize("first", ["client", "server"])
def test_close_codes(py, loop, first):
    before = len(py.app.closed)

    async def talk():
        w = await connect(py, f"/close-{first}")
        if first == "client":
            await w.close(4001, "enough")
        else:
            await w.send("close me")
            with pytest.raises(exceptions.ConnectionClosed):
                await w.recv()
        return w.close_code, w.close_reason
    code = (4001, "enough") if first == "client" else (4002, "as you say")
    assert loop.run(talk()) == code
    deadline = net.Deadline("the server's close")
    while len(py.app.closed) == before:
        net.wait_fd(None, min(deadline.left(), 0.01))
    assert py.app.closed[-1] == code
    assert "fail" not in wire.record(py, target=f"/close-{first}")


def test_refused(py, loop):
    async def talk():
        with pytest.raises(exceptions.InvalidStatusCode) as e:
            await connect(py, "/refused")
        return e.value
    e = loop.run(talk())
    assert e.status_code == 403 and e.headers["X-Why"] == "not you"
    r = wire.record(py, target="/refused")
    assert r["status"] == 403 and "fail" not in r


def test_fields_go_on(py, loop):
    async def talk():
        async with connect(py, "/fields?q=%20", origin="http://o.example",
                           extra_headers={"Cookie": "a=b"}) as w:
            return w.request_headers
    sent = loop.run(talk())
    path, seen = next(x for x in py.app.seen if x[0].startswith("/fields"))
    assert path == "/fields?q=%20"
    for name in ("Sec-WebSocket-Key", "Sec-WebSocket-Version",
                 "Sec-WebSocket-Extensions", "Origin", "Cookie", "Host"):
        assert seen[name] == sent[name], name


def test_hundred_at_once(py, loop):
    async def one(i):
        async with connect(py) as w:
            for k in range(20):
                await w.send(f"{i} {k}")
                assert await w.recv() == f"{i} {k}"

    async def talk():
        await asyncio.gather(*(one(i) for i in range(100)))
    loop.run(talk(), 60)


def test_reloads_under_load(py, loop):
    """They go on while requests come and generations go."""
    stop, turns = asyncio.Event(), [0] * 10

    async def one(i):
        async with connect(py) as w:
            while not stop.is_set():
                await w.send(f"{i} {turns[i]}")
                assert await w.recv() == f"{i} {turns[i]}"
                turns[i] += 1

    async def talk():
        return await asyncio.gather(*(one(i) for i in range(10)))
    done = asyncio.run_coroutine_threadsafe(talk(), loop.loop)
    with http.Client(py.port) as c:
        for i in range(10):
            py.reload(CONF % py.app.port + f"# {i}\n")
            for _ in range(20):
                wire.goes_on(c)
    net.until("ten turns of each", lambda: min(turns) > 10 or done.done())
    loop.loop.call_soon_threadsafe(stop.set)
    done.result(net.WAIT)
    assert min(turns) > 10


# --- Node ---

def test_node_server(js, loop):
    async def talk():
        async with connect(js, "/node", subprotocols=["a", "b"]) as w:
            assert w.subprotocol == "b" and len(w.extensions) == 1
            for m in ("text \u00e4", b"\0\xff", BIG):
                await w.send(m)
                assert await w.recv() == m
            await (await w.ping(b"client"))
            await w.send("ping me")
            await w.send("x")
            assert await w.recv() == "x"
            await w.close(4001, "enough")
    loop.run(talk())
    said = []
    while not said or not said[-1].startswith("close"):
        said.append(js.app.line())
    assert said[0].startswith("open /node b permessage-deflate")
    assert "ping client" in said and "pong from the server" in said
    assert said[-1] == "close 4001 enough"


def test_node_server_refuses(js, loop):
    async def talk():
        with pytest.raises(exceptions.InvalidStatusCode) as e:
            await connect(js, "/refused")
        return e.value.status_code
    assert loop.run(talk()) == 403


@pytest.mark.parametrize("which", ["py", "js"])
def test_node_client(request, which):
    s = request.getfixturevalue(which)
    app = Node("client", url(s, "/from-node"))
    try:
        said = app.rest()
    finally:
        app.stop()
    assert said[0].startswith("open b permessage-deflate"), said
    assert said[1:] == ["message false text \u00e4", "message true true",
                        "pong here", "close 4001 enough"]


def test_node_client_is_refused(py):
    app = Node("client", url(py, "/refused"))
    try:
        assert app.rest() == ["status 403"]
    finally:
        app.stop()

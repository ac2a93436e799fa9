"""WebSocket (RFC 6455) by hand: a handshake and frames, either side.

The real peers of the tests are Python's websockets and Node's ws; this is
for what they do not do: odd ends, thousands of connections, a server that
is a scripted Peer.
"""
import base64
import hashlib
import os
import struct

from lib import http
from lib.peer import Gone

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def key():
    return base64.b64encode(os.urandom(16)).decode()


def accept(k):
    return base64.b64encode(hashlib.sha1(k.encode() + GUID).digest()).decode()


def fields(k=None, more=()):
    return [("Connection", "Upgrade"), ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", k or key()), *more]


def frame(data, op=TEXT, fin=True, mask=True):
    n = len(data)
    head = bytes([(0x80 if fin else 0) | op])
    bit = 0x80 if mask else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if not mask:
        return head + data
    m = os.urandom(4)
    pad = (m * (n // 4 + 1))[:n]
    return head + m + (int.from_bytes(data, "big") ^
                       int.from_bytes(pad, "big")).to_bytes(n, "big")


def parse(buf):
    """(fin, op, data, bytes used) of the first frame, or None."""
    if len(buf) < 2:
        return None
    n, at = buf[1] & 0x7f, 2
    if n >= 126:
        size = 2 if n == 126 else 8
        if len(buf) < at + size:
            return None
        n = int.from_bytes(buf[at:at + size], "big")
        at += size
    m = b""
    if buf[1] & 0x80:
        m, at = buf[at:at + 4], at + 4
    if len(buf) < at + n:
        return None
    data = bytes(buf[at:at + n])
    if m:
        pad = (m * (n // 4 + 1))[:n]
        data = (int.from_bytes(data, "big") ^
                int.from_bytes(pad, "big")).to_bytes(n, "big")
    return bool(buf[0] & 0x80), buf[0] & 15, data, at + n


class Socket:
    """A client: the handshake is made, frames may be sent."""

    def __init__(self, addr, target="/", more=(), timeout=None, c=None):
        self.c = c or http.Client(addr, timeout)
        k = key()
        self.c.send(http.request("GET", target, fields(k, more)))
        self.r = self.c.response()
        assert self.r.status == 101, self.r
        assert self.r["sec-websocket-accept"] == accept(k), self.r
        assert self.r["upgrade"] == "websocket", self.r
        assert self.r["connection"].lower() == "upgrade", self.r

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.close()

    def close(self):
        self.c.close()

    def send(self, data, op=TEXT, fin=True):
        self.c.send(frame(data, op, fin))

    def frame(self):
        """(fin, op, data) of the next frame."""
        while (f := parse(self.c.buf)) is None:
            self.c._more()
        self.c.buf = self.c.buf[f[3]:]
        return f[:3]

    def echo(self, data, op=TEXT):
        self.send(data, op)
        assert self.frame() == (True, op, data)


# --- steps of a Peer ---

def switch(conn, req, more=(), behind=b""):
    """The 101 of a WebSocket server, and bytes in the same write."""
    k = req.get("sec-websocket-key")
    conn.send(("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
               "Upgrade: websocket\r\n"
               f"Sec-WebSocket-Accept: {accept(k)}\r\n" +
               "".join(f"{n}: {v}\r\n" for n, v in more) +
               "\r\n").encode() + behind)


def echoes(more=(), behind=b""):
    """Sends each frame back until the client's close frame or end."""
    def step(conn, req):
        switch(conn, req, more, behind)
        while True:
            while (f := parse(conn.buf)) is None:
                try:
                    conn.more()
                except Gone:
                    return False
            conn.buf = conn.buf[f[3]:]
            conn.send(frame(f[2], f[1], f[0], mask=False))
            if f[1] == CLOSE:
                return False
    return step


def talks(then, protocol="websocket"):
    """A 101, then `then` has the connection."""
    def step(conn, req):
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: "
                  b"Upgrade\r\nUpgrade: %s\r\n\r\n" % protocol.encode())
        then(conn, req)
        return False
    return step

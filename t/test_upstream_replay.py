"""A request that met a dead pooled connection is sent again: with all of
its body, also what came while nobody was there to take it."""
import contextlib
import socket

import pytest

from lib import net, tcp
from lib.http import Client, chunked, request

pytestmark = [pytest.mark.versions, pytest.mark.turns]

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
server = 127.0.0.1:{port}
[route all]
path = /*
upstream = app
{keys}
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Busy:
    """A server that accepts when told to.  With its queue full the system
    lets no more connect: who tries goes on trying."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.sock.settimeout(net.WAIT)
        self.port = self.sock.getsockname()[1]
        self.fill, self.fillers = [], set()

    def accept(self):
        """The next who is none of those who shut the door: of these none
        tries any longer, at the same moments as who is waited for."""
        while self.fill:
            self.fill.pop().close()
        while True:
            conn, who = self.sock.accept()
            if who not in self.fillers:
                conn.settimeout(net.WAIT)
                return conn
            conn.close()

    def close_door(self):
        for _ in range(3):
            s = socket.socket()
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                s.connect(("127.0.0.1", self.port))
            self.fill.append(s)
            self.fillers.add(s.getsockname())

    def close(self):
        for s in [self.sock, *self.fill]:
            s.close()


def until(conn, mark):
    data = b""
    while mark not in data:
        more = conn.recv(65536)
        assert more, data
        data += more
    return data


@pytest.mark.parametrize("pieces", [
    [b"hello world"], [b"hello", b" world"]])
@pytest.mark.parametrize("keys", ["", "max_body = 1m", "max_body = 0"])
def test_body_comes_while_it_dials(sluice, keys, pieces):
    server = Busy()
    s = sluice(CONF.format(port=server.port, keys=keys))
    with contextlib.closing(server), Client(s.port) as c:
        c.send(request("GET", "/first"))
        first = server.accept()
        until(first, b"\r\n\r\n")
        first.sendall(OK)
        assert c.response().body == b"ok"
        server.close_door()
        before = tcp.dialling(server.port)
        c.send(b"PUT /again HTTP/1.1\r\nHost: a\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n")
        until(first, b"\r\n\r\n")
        first.close()
        net.until("it dials anew",
                  lambda: tcp.dialling(server.port) > before)
        for piece in pieces[:-1]:
            c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            net.wait_taken(c.sock)
        c.send(chunked(pieces[-1]))
        conn = server.accept()
        head = until(conn, b"\r\n\r\n")
        assert head.startswith(b"PUT /again ")
        if not head.endswith(b"\r\n0\r\n\r\n"):
            head += until(conn, b"\r\n0\r\n\r\n")
        body = head.split(b"\r\n\r\n", 1)[1]
        lines = body.split(b"\r\n")
        assert b"".join(lines[1::2]) == b"hello world", body
        conn.sendall(OK)
        assert c.response().status == 200
        conn.close()

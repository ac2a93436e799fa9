"""A scripted upstream server.

    with Peer([respond(body=b"a"), close_now(), respond(status=503)]) as p:

Request n, over all connections, is answered by step n of the script; when
it is used up, by `default`.  Every request is recorded.  A step is a
function of (conn, request) that returns True when the connection goes on.
"""
import re
import socket
import threading
from dataclasses import dataclass, field

from lib import net


@dataclass
class Request:
    raw: bytes                                  # the head, as it came
    method: str
    target: str
    version: str
    headers: list                               # (lower-case name, value)
    conn: int                                   # number of the connection
    body: bytes = b""
    trailers: list = field(default_factory=list)

    def get(self, name, default=None):
        found = self.all(name)
        return ", ".join(found) if found else default

    def all(self, name):
        return [v for n, v in self.headers if n == name.lower()]


@dataclass
class Shaken:
    """What a handshake came to; cert: the client's, as bytes."""
    reused: bool
    version: str
    alpn: str
    cert: bytes


class Gone(Exception):
    pass


class Conn:
    """The server's side of one connection."""

    def __init__(self, sock, number):
        self.sock, self.number, self.buf = sock, number, b""

    def send(self, data):
        self.sock.sendall(data)

    def more(self):
        try:
            data = self.sock.recv(262144)
        except OSError:
            data = b""
        if not data:
            raise Gone
        self.buf += data

    def until(self, mark):
        while mark not in self.buf:
            self.more()
        at = self.buf.index(mark) + len(mark)
        data, self.buf = self.buf[:at], self.buf[at:]
        return data

    def take(self, n):
        while len(self.buf) < n:
            self.more()
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def head(self):
        raw = self.until(b"\r\n\r\n")
        lines = raw[:-4].decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        return Request(raw, method, target, version, _fields(lines[1:]),
                       self.number)

    def body(self, req):
        if req.get("transfer-encoding"):
            parts = []
            while (size := int(
                    self.until(b"\r\n").split(b";")[0], 16)) != 0:
                parts.append(self.take(size))
                self.take(2)
            req.body = b"".join(parts)
            lines = []
            while (line := self.until(b"\r\n")) != b"\r\n":
                lines.append(line[:-2].decode("latin-1"))
            req.trailers = _fields(lines)
        elif req.get("content-length"):
            req.body = self.take(int(req.get("content-length")))


def _fields(lines):
    out = []
    for line in lines:
        name, value = line.split(":", 1)
        out.append((name.lower(), value.strip(" \t")))
    return out


# --- steps ---

def respond(status=200, body=b"ok\n", headers=(), reason="OK", chunks=None,
            trailers=(), version="1.1"):
    """A whole answer; `chunks` makes it chunked."""
    def step(conn, req):
        fields = list(headers)
        have = {n.lower() for n, _ in fields}
        data = body
        if chunks is not None:
            fields.append(("Transfer-Encoding", "chunked"))
            tail = "".join(f"{n}: {v}\r\n" for n, v in trailers).encode()
            data = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) \
                + b"0\r\n" + tail + b"\r\n"
        elif "content-length" not in have and status not in (204, 304):
            fields.append(("Content-Length", str(len(body))))
        head = f"HTTP/{version} {status} {reason}\r\n" + "".join(
            f"{n}: {v}\r\n" for n, v in fields) + "\r\n"
        conn.send(head.encode("latin-1") +
                  (b"" if req.method == "HEAD" else data))
        return not re.search(r"(?im)^connection: *close\r$", head)
    return step


def raw(*pieces, then_close=False):
    """These bytes, each piece in its own write."""
    def step(conn, _):
        for piece in pieces:
            conn.send(piece)
        return not then_close
    return step


def hold(event, step=None):
    """Waits for a threading.Event, then goes on with `step`."""
    def held(conn, req):
        if not event.wait(net.WAIT * 6):
            raise Gone
        return (step or respond())(conn, req)
    return held


def close_now():
    return lambda conn, req: False


def reset_now():
    def step(conn, _):
        net.reset(conn.sock)
        return False
    return step


def delay(seconds, step=None):
    """For timeouts under test alone: everything else uses hold."""
    def delayed(conn, req):
        threading.Event().wait(seconds)
        return (step or respond())(conn, req)
    return delayed


def slow(total, piece=1024, gap=0.01):
    """A body of `total` bytes that trickles."""
    def step(conn, _):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        sent = 0
        while sent < total:
            n = min(piece, total - sent)
            conn.send(b"s" * n)
            sent += n
            threading.Event().wait(gap)
        return True
    return step


def no_body(step):
    """Runs the step when the head is there, without reading the body."""
    step.wants_body = False
    return step


# --- the server ---

class Peer:
    def __init__(self, script=(), default=None, path=None,
                 host="127.0.0.1", port=0, tls=None):
        """tls: a server's context; what shook hands is in `shaken`."""
        self.script = list(script)
        self.tls, self.shaken, self.refused = tls, [], []
        self.default = default or respond()
        self.requests = []
        self.connections = 0
        self.errors = []
        self._more = threading.Condition()
        self._open = {}
        if path:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.bind(path)
            self.addr, self.port = f"unix:{path}", None
        else:
            self.sock = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host
                else socket.AF_INET)
            self.port = self.sock.getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            self.addr = f"{shown}:{self.port}"
        self.sock.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Refuses from now on and cuts what is open."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        with self._more:
            left = list(self._open.values())
        for s in left:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait_requests(self, n, seconds=None):
        """Waits until n requests are recorded; returns them."""
        with self._more:
            if not self._more.wait_for(lambda: len(self.requests) >= n,
                                       net.WAIT if seconds is None
                                       else seconds):
                raise TimeoutError(f"{len(self.requests)} requests of {n}")
            return list(self.requests)

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._more:
                self.connections += 1
                n = self.connections
                self._open[n] = sock
            threading.Thread(target=self._serve, args=(Conn(sock, n),),
                             daemon=True).start()

    def _shake(self, conn):
        """False: the handshake failed, why is in `refused`."""
        if self.tls is None:
            return True
        raw = conn.sock
        try:
            conn.sock = self.tls.wrap_socket(raw, server_side=True)
        except OSError as e:
            with self._more:
                self.refused.append(e)
                self._more.notify_all()
            return False
        with self._more:
            self.shaken.append(Shaken(
                conn.sock.session_reused, conn.sock.version(),
                conn.sock.selected_alpn_protocol(),
                conn.sock.getpeercert(True)))
            self._open[conn.number] = conn.sock
        return True

    def _serve(self, conn):
        try:
            if not self._shake(conn):
                return
            while self._one(conn):
                pass
        except (Gone, OSError):
            pass
        except Exception as e:      # a malformed request is a finding
            self.errors.append(e)
        finally:
            with self._more:
                self._open.pop(conn.number, None)
            conn.sock.close()

    def _one(self, conn):
        req = conn.head()
        with self._more:
            step = self.script.pop(0) if self.script else self.default
        if getattr(step, "wants_body", True):
            if (req.get("expect") or "").lower() == "100-continue":
                conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            conn.body(req)
        with self._more:
            self.requests.append(req)
            self._more.notify_all()
        return step(conn, req)

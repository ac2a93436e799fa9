"""A raw HTTP/1.1 client: any bytes out, exactly one response in.

The reader is strict: what RFC 9112 does not allow in a response raises
BadResponse, so every test checks the framing as it goes.
"""
import re
import socket
from dataclasses import dataclass, field

from lib import net

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) "
                    rb"([\t\x20-\x7e\x80-\xff]*)")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*(.*?)[ \t]*")


class BadResponse(Exception):
    """The server broke the protocol."""


class Closed(Exception):
    """The connection ended before, or within, a response."""


@dataclass
class Response:
    status: int
    reason: str
    version: str
    headers: list                               # (lower-case name, value)
    body: bytes = b""
    trailers: list = field(default_factory=list)
    informational: list = field(default_factory=list)
    framing: str = "none"           # none, length, chunked, close

    def __getitem__(self, name):
        """The one value of a field; KeyError if it is not there once."""
        found = self.all(name)
        if len(found) != 1:
            raise KeyError(f"{name}: {len(found)} times in {self.headers}")
        return found[0]

    def get(self, name, default=None):
        found = self.all(name)
        return ", ".join(found) if found else default

    def all(self, name):
        return [v for n, v in self.headers if n == name.lower()]

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def closes(self):
        tokens = (self.get("connection") or "").lower().replace(" ", "")
        if self.framing == "close" or "close" in tokens.split(","):
            return True
        return self.version == "1.0" and \
            "keep-alive" not in tokens.split(",")


def request(method="GET", target="/", headers=(), body=None,
            host="localhost", version="1.1"):
    """The bytes of a request; Host and Content-Length unless given."""
    fields = list(headers.items() if isinstance(headers, dict) else headers)
    have = {n.lower() for n, _ in fields}
    if host is not None and "host" not in have:
        fields.insert(0, ("Host", host))
    if body is not None and not have & {"content-length",
                                        "transfer-encoding"}:
        fields.append(("Content-Length", str(len(body))))
    head = f"{method} {target} HTTP/{version}\r\n" + "".join(
        f"{n}: {v}\r\n" for n, v in fields) + "\r\n"
    return head.encode("latin-1") + (body or b"")


def chunked(*pieces, trailers=()):
    """A chunked body of these pieces."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces if p)
    tail = "".join(f"{n}: {v}\r\n" for n, v in trailers).encode("latin-1")
    return out + b"0\r\n" + tail + b"\r\n"


class Client:
    """One connection.  With `with` it is closed at the end."""

    def __init__(self, addr, timeout=None, sock=None):
        self.sock = sock or net.connect(addr, timeout)
        self.buf = b""
        self.eof = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        net.reset(self.sock)

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes)
                          else data.encode("latin-1"))

    def send_pieces(self, data, size=1):
        """In writes of `size` bytes, one segment each (TCP_NODELAY)."""
        for i in range(0, len(data), size):
            self.sock.sendall(data[i:i + size])

    def shut(self):
        """No more from us; responses may still come."""
        self.sock.shutdown(socket.SHUT_WR)

    # --- reading ---

    def _more(self):
        if self.eof:
            raise Closed(f"the end, after {self.buf[-200:]!r}")
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError:
            self.eof = True
            raise Closed(f"reset, after {self.buf[-200:]!r}") from None
        self.eof = data == b""
        self.buf += data

    def _line(self):
        while b"\n" not in self.buf:
            self._more()
        line, self.buf = self.buf.split(b"\n", 1)
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise BadResponse(f"bad line end: {line!r}")
        return line[:-1]

    def _take(self, n):
        parts, left = [], n
        while left > len(self.buf):
            parts.append(self.buf)
            left -= len(self.buf)
            self.buf = b""
            self._more()
        parts.append(self.buf[:left])
        self.buf = self.buf[left:]
        return b"".join(parts)

    def _fields(self):
        out = []
        while True:
            line = self._line()
            if not line:
                return out
            m = FIELD.fullmatch(line)
            if not m or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", m.group(2)):
                raise BadResponse(f"bad field: {line!r}")
            out.append((m.group(1).decode().lower(),
                        m.group(2).decode("latin-1")))

    def head(self):
        """The next status line and fields, the body is left."""
        line = self._line()
        m = STATUS.fullmatch(line)
        if not m:
            raise BadResponse(f"bad status line: {line!r}")
        return Response(int(m.group(2)), m.group(3).decode("latin-1"),
                        "1." + m.group(1).decode(), self._fields())

    def response(self, method="GET"):
        """Exactly one final response, with the 1xx before it."""
        before = []
        while True:
            r = self.head()
            if r.status >= 200 or r.status == 101:
                break
            before.append(r)
        r.informational = before
        self.body(r, method)
        return r

    def body(self, r, method="GET"):
        """Reads the body of a head, by RFC 9112 section 6.3."""
        length, coding = r.all("content-length"), r.all("transfer-encoding")
        if length and coding:
            raise BadResponse("Content-Length and Transfer-Encoding")
        if method == "HEAD" or r.status in (101, 204, 304) or (
                method == "CONNECT" and r.status < 300):
            if coding and r.status in (101, 204):
                raise BadResponse(f"Transfer-Encoding with {r.status}")
            return
        if coding:
            if coding != ["chunked"]:
                raise BadResponse(f"Transfer-Encoding: {coding}")
            r.framing = "chunked"
            r.body, r.trailers = self._chunks()
        elif length:
            if len(length) != 1 or not re.fullmatch(r"[0-9]+", length[0]):
                raise BadResponse(f"Content-Length: {length}")
            r.framing = "length"
            r.body = self._take(int(length[0]))
        else:
            r.framing = "close"
            r.body = self.rest()

    def take(self, n):
        """So many bytes of a body whose head was read."""
        return self._take(n)

    def piece(self):
        """The next chunk of a chunked body, b"" at its end."""
        n = int(self._line().split(b";")[0], 16)
        if n == 0:
            while self._line():
                pass
            return b""
        out = self._take(n)
        assert self._take(2) == b"\r\n"
        return out

    def _chunks(self):
        parts = []
        while True:
            line = self._line()
            m = re.fullmatch(rb"([0-9A-Fa-f]{1,16})(;.*)?", line)
            if not m:
                raise BadResponse(f"bad chunk: {line!r}")
            n = int(m.group(1), 16)
            if n == 0:
                return b"".join(parts), self._fields()
            parts.append(self._take(n))
            if self._take(2) != b"\r\n":
                raise BadResponse("no CRLF after a chunk")

    def rest(self):
        """All bytes until the orderly end of the connection."""
        while not self.eof:
            self._more()
        data, self.buf = self.buf, b""
        return data

    def is_idle(self, seconds=0.0):
        """Nothing has come, not even the end (for what must not come)."""
        if self.buf or self.eof:
            return False
        old = self.sock.gettimeout()
        self.sock.settimeout(max(seconds, 0.001))
        try:
            self.sock.recv(1, socket.MSG_PEEK)
            return False
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(old)

    # --- both ---

    def ask(self, method="GET", target="/", headers=(), body=None, **kw):
        self.send(request(method, target, headers, body, **kw))
        return self.response(method)

    def get(self, target="/", **kw):
        return self.ask("GET", target, **kw)


def get(addr, target="/", **kw):
    """One request on its own connection."""
    with Client(addr) as c:
        return c.ask("GET", target, **kw)


def raw(addr, data):
    """Sends bytes, half-closes and returns all that comes back."""
    with Client(addr) as c:
        c.send(data)
        c.shut()
        return c.rest()

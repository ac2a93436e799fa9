"""A raw HTTP/2 client: any frames out, strict reading of what comes.

H2 speaks in frames; Client asks and answers as http.Client does, so that
what holds for every version is tested with either.
"""
import struct
from dataclasses import dataclass

import hpack

from lib import http, net

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW,
 CONTINUATION) = range(10)
PRIORITY_UPDATE = 0x10
END, ACK, END_HEADERS, PADDED, PRIO = 1, 1, 4, 8, 0x20
(NO_ERROR, PROTOCOL, INTERNAL, FLOW, SETTINGS_TIMEOUT, CLOSED, SIZE, REFUSED,
 CANCEL, COMPRESSION, CONNECT, CALM) = range(12)


class Gone(http.Closed):
    """GOAWAY with an error, or the end of the connection."""

    def __init__(self, code, what=""):
        super().__init__(f"connection error {code} {what}")
        self.code = code


class Reset(http.Closed):
    def __init__(self, sid, code):
        super().__init__(f"stream {sid} was reset: {code}")
        self.sid, self.code = sid, code


@dataclass
class Frame:
    type: int
    flags: int
    sid: int
    body: bytes

    @property
    def end(self):
        return bool(self.flags & END)


def frame(kind, flags=0, sid=0, body=b""):
    return struct.pack(">I", len(body))[1:] + bytes((kind, flags)) + \
        struct.pack(">I", sid) + body


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(
        struct.pack(">HI", k, v) for k, v in pairs))


def window(sid, n):
    return frame(WINDOW, 0, sid, struct.pack(">I", n))


def rst(sid, code=CANCEL):
    return frame(RST, 0, sid, struct.pack(">I", code))


def text(s):
    return s if isinstance(s, bytes) else s.encode("latin-1")


def literal(name, value):
    """A field without indexing, without Huffman: any bytes."""
    out = b"\x00"
    for s in (text(name), text(value)):
        n = len(s)
        if n < 127:
            out += bytes((n,))
        else:
            n, out = n - 127, out + b"\x7f"
            while n >= 128:
                out += bytes((n % 128 | 128,))
                n //= 128
            out += bytes((n,))
        out += s
    return out


def block(fields):
    return b"".join(literal(n, v) for n, v in fields)


def request(method="GET", target="/", headers=(), authority="localhost",
            scheme="http"):
    """The fields of a request, pseudo-header fields first."""
    more = list(headers.items() if isinstance(headers, dict) else headers)
    host = [v for n, v in more if n.lower() == "host"]
    pseudo = [(":method", method), (":scheme", scheme),
              (":path", target), (":authority", host[0] if host
                                  else authority)]
    return pseudo + [(n.lower(), str(v)) for n, v in more
                     if n.lower() not in ("host", "connection",
                                          "transfer-encoding")]


class H2:
    """One connection; greet=False leaves the preface to the caller."""

    def __init__(self, addr, timeout=None, sock=None, greet=True, own=()):
        self.sock = sock or net.connect(addr, timeout)
        self.buf = b""
        self.eof = False
        self.sid = -1
        self.hpack = hpack.Decoder()
        self.kept = []          # frames that nobody asked for yet
        self.settings = {}
        self.pongs = True       # PINGs are answered
        self.room = {0: 65535}  # what may be sent, beside the first window
        self.most = 0           # the largest room of a stream so far
        if greet:
            self.send(PREFACE + settings(*own))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def close(self):
        self.sock.close()

    def reset(self):
        net.reset(self.sock)

    def send(self, *frames):
        self.sock.sendall(b"".join(frames))

    def say(self, *frames):
        """The same to somebody who may be gone."""
        try:
            self.send(*frames)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def next_id(self):
        self.sid += 2
        return self.sid

    # --- reading ---

    def _take(self, n):
        while len(self.buf) < n:
            if self.eof:
                raise Gone(None, "the end")
            try:
                data = self.sock.recv(262144)
            except (ConnectionResetError, BrokenPipeError):
                data = b""
            self.eof = data == b""
            self.buf += data
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def read(self):
        """The next frame as it came."""
        head = self._take(9)
        n = int.from_bytes(head[:3], "big")
        assert n <= 16384, "larger than the client takes"
        f = Frame(head[3], head[4],
                  int.from_bytes(head[5:9], "big") & 0x7fffffff,
                  self._take(n))
        if f.type == SETTINGS and not f.flags & ACK:
            for i in range(0, n, 6):
                k, v = struct.unpack(">HI", f.body[i:i + 6])
                self.settings[k] = v
            self.say(frame(SETTINGS, ACK))
        if f.type == WINDOW:
            self.room[f.sid] = self.room.get(f.sid, 0) + \
                int.from_bytes(f.body, "big")
        if f.type == PING and not f.flags & ACK and self.pongs:
            self.say(frame(PING, ACK, 0, f.body))
        if f.type == HEADERS:
            while not f.flags & END_HEADERS:
                more = self._take(9)
                assert more[3] == CONTINUATION
                f.body += self._take(int.from_bytes(more[:3], "big"))
                f.flags |= more[4]
            f.fields = [(k, v) for k, v in self.hpack.decode(f.body,
                                                             raw=True)]
            f.fields = [(k.decode(), v.decode("latin-1"))
                        for k, v in f.fields]
        return f

    def frame(self, right):
        """The next frame for which right() holds; others are kept."""
        for i, f in enumerate(self.kept):
            if right(f):
                return self.kept.pop(i)
        while True:
            f = self.read()
            if right(f):
                return f
            if f.type == GOAWAY and int.from_bytes(f.body[4:8], "big"):
                raise Gone(int.from_bytes(f.body[4:8], "big"))
            self.kept.append(f)

    def goaway(self):
        """The code of the GOAWAY that ends the connection."""
        f = self.frame(lambda f: f.type == GOAWAY)
        return int.from_bytes(f.body[4:8], "big")

    def ends(self):
        """All that comes until the end; the frames."""
        out = self.kept
        self.kept = []
        try:
            while True:
                out.append(self.read())
        except Gone:
            return out

    def ping(self, body=b"12345678"):
        self.send(frame(PING, 0, 0, body))
        f = self.frame(lambda f: f.type == PING and f.flags & ACK)
        assert f.body == body

    # --- requests ---

    def headers(self, fields, end=True, sid=None, flags=END_HEADERS):
        sid, data = sid or self.next_id(), block(fields)
        more = [data[i:i + 16384] for i in range(16384, len(data), 16384)]
        self.send(frame(HEADERS, (0 if more else flags) |
                        (END if end else 0), sid, data[:16384]))
        while more:
            piece = more.pop(0)
            self.send(frame(CONTINUATION, 0 if more else flags, sid, piece))
        return sid

    def ask_for(self, *args, end=True, **kw):
        return self.headers(request(*args, **kw), end)

    def data(self, sid, body, end=True):
        self.send(frame(DATA, END if end else 0, sid, body))

    def upload(self, sid, body, end=True):
        """As windows allow, until the answer is whole."""
        at = 0
        while at < len(body):
            first = self.settings.get(4, 65535)
            n = min(16384, len(body) - at, self.room[0],
                    first + self.room.get(sid, 0))
            self.most = max(self.most, first + self.room.get(sid, 0))
            if n <= 0:
                f = self.read()
                self.kept.append(f)
                if f.sid == sid and (f.type == RST or f.end and
                                     f.type in (DATA, HEADERS)):
                    return
                continue
            self.data(sid, body[at:at + n], end and at + n == len(body))
            at += n
            for i in (0, sid):
                self.room[i] = self.room.get(i, 0) - n

    def _of(self, sid):
        f = self.frame(lambda f: f.sid == sid and
                       f.type in (HEADERS, DATA, RST))
        if f.type == RST:
            raise Reset(sid, int.from_bytes(f.body, "big"))
        return f

    def head(self, sid):
        f = self._of(sid)
        assert f.type == HEADERS, "DATA before HEADERS"
        (first, status), *fields = f.fields
        assert first == ":status" and not any(
            n.startswith(":") for n, _ in fields)
        assert not {n for n, _ in fields} & {
            "connection", "transfer-encoding", "keep-alive", "upgrade"}
        assert all(n == n.lower() for n, _ in fields)
        r = http.Response(int(status), "", "2", fields)
        r.framing = "none" if f.end else "frames"
        return r

    def body(self, sid, r):
        """Reads the rest; gives windows back as it goes."""
        parts, end = [], r.framing == "none"
        while not end:
            f = self._of(sid)
            end = f.end
            if f.type == HEADERS:
                assert end and r.trailers == []
                r.trailers = f.fields
                continue
            parts.append(f.body)
            if f.body:
                self.send(window(0, len(f.body)),
                          b"" if end else window(sid, len(f.body)))
        r.body = b"".join(parts)
        return r

    def response(self, sid, method="GET"):
        before = []
        while True:
            r = self.head(sid)
            if r.status >= 200:
                break
            before.append(r)
        r.informational = before
        self.body(sid, r)
        length = r.get("content-length")
        if length is not None and method != "HEAD" and r.status != 304:
            assert int(length) == len(r.body)
        return r


class Client:
    """http.Client over HTTP/2: its requests, one stream each.

    send() takes requests as HTTP/1.1 writes them: several without chunked
    bodies, or one whose body has only begun; answers are read in the order
    of the requests.
    """

    def __init__(self, addr, timeout=None, sock=None, scheme="http"):
        self.h2 = H2(addr, timeout, sock)
        self.scheme = scheme
        self.asked = []         # (stream, method) that have no answer yet
        self.sid = 0            # the stream whose body is read
        self.end = False        # and there is no more of it
        self.upload = None      # (stream, its fields) that has not ended
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.h2.close()

    def close(self):
        self.h2.close()

    def reset(self):
        self.h2.reset()

    @property
    def sock(self):
        return self.h2.sock

    # --- asking ---

    def open(self, fields, body=None, end=True, trailers=()):
        c, more = self.h2, not end or body or trailers
        sid = c.headers(fields, end=not more)
        self.asked.append((sid, fields[0][1]))
        if body:
            c.upload(sid, body, end and not trailers)
        if trailers:
            c.headers(trailers, sid=sid)
        return sid

    def send(self, data):
        data = data if isinstance(data, bytes) else data.encode("latin-1")
        if self.upload:
            self._go_on(data)
            return
        head, _, data = data.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = [(n, v.strip()) for n, _, v in
                   (ln.partition(":") for ln in rest)]
        fields = {n.lower(): v for n, v in headers}
        data, others = _first(fields, data)
        body, end, trailers = _body(fields, data)
        sid = self.open(request(method, target, headers,
                                scheme=self.scheme), body, end, trailers)
        if not end:
            fields["content-length"] = int(
                fields.get("content-length", 0)) - len(body)
            self.upload = sid, fields
        if others:
            self.send(others)

    def _go_on(self, data):
        """More of a body that a send() began."""
        sid, fields = self.upload
        body, end, trailers = _body(fields, data)
        fields["content-length"] -= len(body)
        if body:
            self.h2.upload(sid, body, end and not trailers)
        if trailers or end and not body:
            self.h2.headers(trailers, sid=sid)
        if end:
            self.upload = None

    def ask(self, method="GET", target="/", headers=(), body=None,
            host="localhost"):
        fields = request(method, target, headers, host, self.scheme)
        names = {n for n, _ in fields}
        if body is not None and "content-length" not in names:
            fields.append(("content-length", str(len(body))))
        self.open(fields, body)
        return self.response()

    def get(self, target="/", **kw):
        return self.ask("GET", target, **kw)

    # --- reading ---

    def head(self):
        """The next head; of the next request after a final one."""
        sid, _ = self.asked[0]
        r = self.h2.head(sid)
        if r.status >= 200:
            self.asked.pop(0)
            self.sid, self.end = sid, r.framing == "none"
        return r

    def body(self, r, method=None):
        """Reads the rest of the answer whose head head() has read."""
        return self.h2.body(self.sid, r)

    def response(self, method=None):
        sid, asked = self.asked.pop(0)
        return self.h2.response(sid, method or asked)

    def piece(self):
        """What the next frame has of the body; b"" at its end."""
        while not self.end:
            f = self.h2._of(self.sid)
            self.end = f.end
            if f.type == DATA and f.body:
                self.h2.send(window(0, len(f.body)), b"" if f.end else
                             window(self.sid, len(f.body)))
                return f.body
        return b""

    def is_idle(self, seconds=0.0):
        """Nothing of an answer has come."""
        c = self.h2
        held = getattr(c.sock, "pending", int)      # TLS has more
        while c.buf or held() or net.wait_fd(c.sock, seconds):
            c.kept.append(c.read())
        return not any(f.sid and f.type != WINDOW for f in c.kept)

    def take(self, n):
        """So many bytes of the body."""
        while len(self.buf) < n:
            more = self.piece()
            if not more:
                raise http.Closed("the end of the body")
            self.buf += more
        out, self.buf = self.buf[:n], self.buf[n:]
        return out


def _first(fields, data):
    """What is behind a head: its body, and the requests behind that."""
    if "chunked" in fields.get("transfer-encoding", ""):
        return data, b""
    n = int(fields.get("content-length", 0))
    return data[:n], data[n:]


def _body(fields, data):
    """(body, whether it ends, trailers) of the bytes behind a head."""
    if "chunked" not in fields.get("transfer-encoding", ""):
        return data, len(data) >= int(fields.get("content-length", 0)), ()
    out = b""
    while data:
        n, _, data = data.partition(b"\r\n")
        if int(n, 16) == 0:
            lines = data.decode("latin-1").split("\r\n")
            return out, True, [
                (n.lower(), v.strip()) for n, _, v in
                (ln.partition(":") for ln in lines if ln)]
        out, data = out + data[:int(n, 16)], data[int(n, 16) + 2:]
    return out, False, ()

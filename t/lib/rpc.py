"""Calls of gRPC made by hand over lib.h2, byte by byte."""
import struct

from lib.h2 import request

TYPE = "application/grpc"


def message(body=b"", compressed=0, length=None):
    """As it stands in a body; length: what the prefix says."""
    return struct.pack(">BI", compressed,
                       len(body) if length is None else length) + body


def messages(body):
    """What a body holds; it must end with a whole one."""
    out = []
    while body:
        _, n = struct.unpack(">BI", body[:5])
        assert len(body) >= 5 + n, "a cut message"
        out.append(body[5:5 + n])
        body = body[5 + n:]
    return out


def fields(path, timeout=None, more=(), kind=TYPE, **kw):
    """The head of a call."""
    own = [("content-type", kind), ("te", "trailers"), *more]
    if timeout is not None:
        own.append(("grpc-timeout", timeout))
    return request("POST", path, own, **kw)


def begin(c, path, *bodies, end=True, **kw):
    """Opens a call on a connection; the id of its stream."""
    sid = c.headers(fields(path, **kw), end=False)
    c.upload(sid, b"".join(message(b) for b in bodies), end=end)
    return sid


class Answer:
    """How a call ended; status is an int."""

    def __init__(self, r):
        # Trailers-Only: the head is all there is
        self.alone = r.framing == "none"
        end = dict(r.headers if self.alone else r.trailers)
        self.head, self.http = r, r.status
        self.status = int(end["grpc-status"])
        self.message = end.get("grpc-message", "")
        self.trailers = end
        self.messages = messages(r.body)


def answer(c, sid):
    r = c.response(sid)
    assert r.status == 200 and r["content-type"].startswith(TYPE)
    return Answer(r)


def call(c, path, *bodies, **kw):
    """A whole call; its Answer."""
    return answer(c, begin(c, path, *bodies, **kw))

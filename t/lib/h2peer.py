"""A scripted server of HTTP/2, frame by frame.

    with H2Peer([answer(body=b"a"), refuse()]) as p:

Request n, over all connections, is answered by step n of the script; when
it is used up, by `default`.  A step is a function of (conn, request); conn
is a lib.h2.H2 in the server's place, so a step may send any frames, also
later and from another thread.  A request is handed to its step when it is
whole, or with at_head() when its head is.
"""
import threading

from lib import h2, peer
from lib.h2 import (ACK, CANCEL, CONTINUATION, DATA, END, END_HEADERS,
                    GOAWAY, HEADERS, NO_ERROR, PING, REFUSED, RST, SETTINGS,
                    block, frame)

OWN = ((3, 100),)       # SETTINGS: MAX_CONCURRENT_STREAMS


class Request(peer.Request):
    """One of peer's, with the number of its stream and its fields."""
    sid = 0
    fields = ()
    ended = False


class Conn(h2.H2):
    def __init__(self, sock, number, own, late=None):
        super().__init__(None, sock=sock, greet=False)
        self.number = number
        self.lock = threading.Lock()
        self.open = {}          # requests that are not whole
        self.reset = {}         # code of streams that the client reset
        self.seen = []          # frames
        self.pings = []
        self.changed = threading.Condition()
        assert self._take(24) == h2.PREFACE
        if late is not None:
            late.wait(60)
        self.send(h2.settings(*own))

    def send(self, *frames):
        with self.lock:
            super().send(*frames)

    # --- what steps send ---

    def reply(self, sid, status=200, headers=(), end=False):
        fields = [(":status", str(status))] + list(headers)
        self.send(frame(HEADERS, END_HEADERS | (END if end else 0), sid,
                        block(fields)))

    def trailers(self, sid, fields):
        self.send(frame(HEADERS, END_HEADERS | END, sid, block(fields)))

    def rst(self, sid, code):
        self.send(h2.rst(sid, code))

    def goaway(self, last, code=NO_ERROR):
        self.send(frame(GOAWAY, 0, 0, last.to_bytes(4, "big") +
                        code.to_bytes(4, "big")))

    # --- what the client did ---

    def wait(self, what, right, seconds=10):
        with self.changed:
            assert self.changed.wait_for(right, seconds), what

    def wait_reset(self, sid):
        """The code with which the client resets the stream."""
        self.wait("a reset", lambda: sid in self.reset)
        return self.reset[sid]


def _request(f, number):
    d = dict(f.fields)
    r = Request(b"", d.get(":method", ""), d.get(":path", ""), "HTTP/2",
                [x for x in f.fields if not x[0].startswith(":")], number)
    r.sid, r.fields = f.sid, f.fields
    return r


class H2Peer(peer.Peer):
    """tls: a server's context; own: its first SETTINGS, which leave when
    the event late is set, if there is one.

    also=True offers HTTP/1.1 as well, with the steps of lib.peer.
    """

    def __init__(self, script=(), default=None, own=OWN, windows=True,
                 also=False, late=None, **kw):
        self.own, self.windows, self.late = own, windows, late
        self.conns = []
        super().__init__(script, default or either, **kw)
        if self.tls is not None:
            self.tls.set_alpn_protocols(["h2", "http/1.1"] if also else
                                        ["h2"])

    def _serve(self, raw):
        try:
            if not self._shake(raw):
                return
            if self.tls and raw.sock.selected_alpn_protocol() != "h2":
                while self._one(raw):
                    pass
                return
            c = Conn(raw.sock, raw.number, self.own, self.late)
            with self._more:
                self.conns.append(c)
                self._more.notify_all()
            while True:
                f = c.read()
                c.seen.append(f)
                self._frame(c, f)
        except (h2.Gone, peer.Gone, OSError):
            pass
        except Exception as e:      # a malformed request is a finding
            self.errors.append(e)
        finally:
            with self._more:
                self._open.pop(raw.number, None)
            raw.sock.close()

    def _frame(self, c, f):
        assert f.type != CONTINUATION
        if f.type == HEADERS and f.sid not in c.open:
            r = c.open[f.sid] = _request(f, c.number)
            with self._more:
                r.step = self.script.pop(0) if self.script else self.default
            if getattr(r.step, "at_head", False):
                self._run(c, r)
        elif f.type == HEADERS:
            c.open[f.sid].trailers = f.fields
        elif f.type == DATA and f.sid in c.open:
            c.open[f.sid].body += f.body
            if f.body and self.windows:
                c.say(h2.window(0, len(f.body)),
                      b"" if f.end else h2.window(f.sid, len(f.body)))
        elif f.type == RST:
            c.open.pop(f.sid, None)
            with c.changed:
                c.reset[f.sid] = int.from_bytes(f.body, "big")
                c.changed.notify_all()
        elif f.type == PING and not f.flags & ACK:
            with c.changed:
                c.pings.append(f.body)
                c.changed.notify_all()
        if f.type in (HEADERS, DATA) and f.end and f.sid in c.open:
            r = c.open.pop(f.sid)
            r.ended = True
            if not getattr(r.step, "at_head", False):
                self._run(c, r)
        if f.type in (DATA, SETTINGS, HEADERS):
            with c.changed:
                c.changed.notify_all()

    def _run(self, c, r):
        with self._more:
            self.requests.append(r)
            self._more.notify_all()
        r.step(c, r)


# --- steps ---

def answer(status=200, body=b"ok\n", headers=(), trailers=()):
    def step(c, r):
        none = r.method == "HEAD" or status in (204, 304) or \
            (not body and not trailers)
        c.reply(r.sid, status, headers, none)
        if none:
            return
        c.data(r.sid, body, not trailers) if len(body) <= 16384 else \
            c.upload(r.sid, body, not trailers)
        if trailers:
            c.trailers(r.sid, trailers)
    return step


def either(c, r):
    """An answer in the version that was asked."""
    return (answer() if isinstance(c, Conn) else peer.respond())(c, r)


def frames(*made):
    """Frames, each bytes or a function of the stream's number."""
    def step(c, r):
        c.send(*[m(r.sid) if callable(m) else m for m in made])
    return step


def reset(code=CANCEL):
    return lambda c, r: c.rst(r.sid, code)


def refuse():
    return reset(REFUSED)


def quiet():
    return lambda c, r: None


def hold(event, step=None):
    """Answers in a thread of its own when the event is set."""
    def held(c, r):
        def run():
            event.wait(60)
            try:
                (step or answer())(c, r)
            except OSError:
                pass
        threading.Thread(target=run, daemon=True).start()
    return held


def at_head(step):
    """Runs the step when the head is there."""
    step.at_head = True
    return step

"""The rows of the fail table that servers, their names and upgraded
connections provoke."""
import contextlib
import hashlib
import os
import socket
import tempfile
import threading

from lib import http, net, tls, wire, ws
from lib.certs import Cert
from lib.fail_env import ONE, case, counts, proxied
from lib.peer import close_now, hold, no_body, reset_now

# --- answers: (bytes, does it close then) ---

OK = b"HTTP/1.1 200 OK\r\n"
BODY = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "reset_in_head": (OK + b"A: ", True),
    "reset_in_body": (OK + b"Content-Length: 5\r\n\r\nab", True),
    "bad_response_line": (b"HTTP/1.1 OK\r\n\r\n", False),
    "bad_response_field": (OK + b"A B: c\r\n\r\n", False),
    "bad_response_framing": (OK + b"Content-Length: 1\r\n"
                             b"Content-Length: 2\r\n\r\n", False),
    "bad_response_chunk": (BODY + b"xyz\r\n", False),
    "bad_response_trailer": (BODY + b"0\r\nA B: c\r\n\r\n", False),
    "response_trailer_too_large": (
        BODY + b"0\r\n" + b"A: b\r\n" * 300 + b"\r\n", False),
    "response_head_too_large": (OK + b"A: " + b"b" * 40000 + b"\r\n\r\n",
                                False),
    "unexpected_upgrade": (b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\n"
                           b"Upgrade: x\r\n\r\n", False),
    "unexpected_interim": (b"HTTP/1.1 103 E\r\n\r\n" * 20, False),
}


# --- TLS ---

CA = Cert("test ca", ca=True)


def shaken(env, *lines, cert=None, port=None, **kw):
    """A request whose server has TLS, and a handshake that must fail."""
    leaf = cert or Cert("localhost", by=CA)
    if port is None:
        top = env.stack.enter_context(tempfile.TemporaryDirectory())
        port = env.peer(tls=tls.server(leaf, top, **kw)).port
    env.start(proxied(f"https://localhost:{port}", more="\n".join(
        ("tls.ca = @dir@/ca.pem", "timeout.connect = 500ms") + lines)),
        files={"../ca.pem": CA.pem})
    return env.ask()


@case
def tls_upstream_verify(env):
    return shaken(env, cert=Cert("localhost"))


@case
def tls_upstream_name(env):
    return shaken(env, cert=Cert("other.example", by=CA))


@case
def tls_upstream_pin(env):
    pin = hashlib.sha256(b"none").hexdigest()
    top = env.stack.enter_context(tempfile.TemporaryDirectory())
    port = env.peer(tls=tls.server(Cert("localhost"), top)).port
    env.start(proxied(f"https://localhost:{port} pin={pin}"))
    return env.ask()


@case
def tls_upstream_alert(env):
    return shaken(env, clients=CA)


@case
def tls_upstream_handshake(env):
    return shaken(env, port=env.peer(tls=Plain()).port)


class Plain:
    """In place of a context: one that speaks no TLS."""

    @staticmethod
    def wrap_socket(sock, **_):
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        sock.recv(65536)
        raise OSError("no TLS here")


@case
def tls_upstream_timeout(env):
    quiet = env.stack.enter_context(net.listen())
    return shaken(env, port=quiet.getsockname()[1])


# --- names of servers ---

def resolver(env, answers):
    """A name server that knows no name, or says nothing."""
    def run():
        with contextlib.suppress(OSError):
            while True:
                q, peer = s.recvfrom(512)
                if answers:     # the question with NXDOMAIN
                    s.sendto(q[:2] + b"\x81\x83" + q[4:6] + bytes(6) +
                             q[12:q.index(b"\0", 12) + 5], peer)

    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    threading.Thread(target=run, daemon=True).start()
    env.stack.callback(s.close)
    return "127.0.0.1:%d" % s.getsockname()[1]


def named(env, answers):
    env.start(proxied("nobody.example:80", more="timeout.connect = 500ms",
                      top=ONE.replace("[sluice]", "[sluice]\nresolver = " +
                                      resolver(env, answers))))
    return env.ask()


@case
def name_error(env):
    return named(env, True)


@case
def name_timeout(env):
    return named(env, False)


# --- retries ---

@case
def retry_budget(env):
    apps = [env.peer(default=reset_now()) for _ in range(2)]
    env.start(proxied(*[a.addr for a in apps], more="retry.floor = 0\n"
                      "retry.budget = 0\n"))
    return env.ask()


# --- upgraded connections ---

@case
def stream_idle_timeout(env):
    app = env.peer(default=ws.echoes())
    env.start(proxied(app.addr, more="timeout.stream_idle = 300ms"))
    target = env.target()
    with ws.Socket(env.gate.port, target) as w:
        assert w.c.rest() == b""
    return env.at(target)


@case
def stream_reset(env):
    def step(conn, req):
        conn.send(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\n"
                  b"Upgrade: x\r\n\r\n")
        conn.take(1)
        net.reset(conn.sock)
        return False
    app = env.peer(step)
    env.start(proxied(app.addr))
    target = env.target()
    with http.Client(env.gate.port) as c:
        c.send(http.request("GET", target, [("Connection", "Upgrade"),
                                            ("Upgrade", "x")]))
        assert c.head().status == 101
        c.send(b"x")
        with contextlib.suppress(http.Closed):
            c.rest()
    return env.at(target)


# --- servers ---

@case
def no_server(env):
    env.start(proxied(env.main.app.addr), "no_server")
    return env.ask()


@case
def breaker_open(env):
    app = f"127.0.0.1:{net.free_port()}"
    env.start(proxied(app, more="breaker.failures = 1"))
    env.ask()
    env.before = counts(env.gate)
    return env.ask()


@case
def dial_refused(env):
    env.start(proxied(f"127.0.0.1:{net.free_port()}"))
    return env.ask()


@case
def dial_unreachable(env):
    env.start(proxied("unix:@dir@/nobody.sock"))
    return env.ask()


@case
def dial_timeout(env):
    """The queue of a listener is full: the kernel drops what comes."""
    full = env.stack.enter_context(socket.create_server(
        ("127.0.0.1", 0), backlog=0))
    for _ in range(2):
        s = env.stack.enter_context(socket.socket())
        s.setblocking(False)
        s.connect_ex(full.getsockname())
    env.start(proxied("127.0.0.1:%d" % full.getsockname()[1],
                      more="timeout.connect = 200ms"))
    return env.ask()


@case
def dial_error(env):
    """A unix socket of another type."""
    env.start(proxied("unix:@dir@/wrong.sock"))
    s = env.stack.enter_context(socket.socket(socket.AF_UNIX,
                                              socket.SOCK_DGRAM))
    path = os.path.join(env.gate.dir, "wrong.sock")
    s.bind(path)
    os.chmod(path, 0o777)
    return env.ask()


@case
def dial_exhausted(env):
    env.start(proxied(env.main.app.addr), "dial_full")
    return env.ask()


def full(env, keys, waiting=0):
    """A server whose one connection is taken, and so many wait for it."""
    app = env.peer(default=hold(threading.Event()))
    env.start(proxied(f"{app.addr} max_conns=1", more=keys))
    for n in range(1 + waiting):
        c = env.stack.enter_context(http.Client(env.gate.port))
        c.send(http.request("GET", "/app"))
        if n == 0:
            app.wait_requests(1)
    deadline = net.Deadline("who waits")
    while wire.sums(env.gate)["requests_started_total"] <= waiting:
        assert deadline.left() > 0
    return env.ask()


@case
def dial_limit(env):
    return full(env, "queue = 0")


@case
def queue_full(env):
    return full(env, "queue = 1\nqueue_timeout = 60s", 1)


@case
def queue_timeout(env):
    return full(env, "queue_timeout = 200ms")


@case
def deadline_exceeded(env):
    app = env.peer(default=hold(threading.Event()))
    env.start(proxied(app.addr, route="deadline = on"))
    return env.ask(headers={"X-Request-Deadline": "200"})


@case
def send_error(env):
    """A server that takes no more, and says nothing."""
    path = os.path.join(env.main.dir, "deaf.sock")
    deaf, told = threading.Event(), threading.Event()
    env.stack.callback(told.set)

    def step(conn, _):
        conn.sock.shutdown(socket.SHUT_RD)
        deaf.set()
        told.wait(net.WAIT)
        return False
    env.peer(no_body(step), path=path)
    os.chmod(path, 0o777)
    env.start(proxied(f"unix:{path}"))
    target = env.target()
    with http.Client(env.gate.port) as c:
        c.send(http.request("POST", target, [("Content-Length", "100000")]))
        c.send(b"a")
        assert deaf.wait(net.WAIT)
        c.send(b"b" * 99999)
        return c.response(), target


@case
def send_timeout(env):
    """A server that reads the head and then nothing."""
    def step(conn, _):
        ended.wait(net.WAIT)
        return False
    ended = threading.Event()
    env.stack.callback(ended.set)
    app = env.peer(no_body(step))
    env.start(proxied(app.addr, more="timeout.first_byte = 400ms"))
    body = b"a" * (15 << 20)
    target = env.target()
    with http.Client(env.gate.port) as c:
        c.sock.settimeout(net.WAIT)
        sender = threading.Thread(target=send_all, daemon=True, args=(
            c, http.request("POST", target, body=body)))
        sender.start()
        r = c.response()
        with contextlib.suppress(OSError):  # it may be closed already
            c.sock.shutdown(socket.SHUT_RDWR)
        sender.join(net.WAIT)
        return r, target


def send_all(c, data):
    with contextlib.suppress(OSError):
        c.send(data)


@case
def first_byte_timeout(env):
    env.answers(hold(threading.Event()))
    return env.ask()


@case
def between_timeout(env):
    env.answers(lambda conn, req: conn.send(
        OK + b"Content-Length: 5\r\n\r\nab") or hold(
            threading.Event())(conn, req))
    return env.ask()


@case
def total_timeout(env):
    app = env.peer(default=hold(threading.Event()))
    env.start(proxied(app.addr, more="timeout.total = 300ms\n"
                      "timeout.connect = 200ms\n"
                      "timeout.first_byte = 0\ntimeout.between = 0\n"))
    return env.ask()


@case
def reset_before_head(env):
    app = env.peer(reset_now(), close_now())
    env.start(proxied(app.addr))
    return env.ask()

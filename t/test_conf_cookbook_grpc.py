"""The cookbook on gRPC: nginx and sluice beside each other, as shown."""
import contextlib
import os
import re
import subprocess

import grpc
import pytest

from lib import net
from lib.cmd import tool
from lib.grpc_server import Server, fail
from lib.watch import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "doc", "cookbook", "grpc.md")
CODE = grpc.StatusCode


def block(kind):
    with open(PAGE, encoding="utf-8") as f:
        (text,) = re.findall(rf"^```{kind}\n(.*?)^```", f.read(),
                             re.M | re.S)
    return text


def place(text, servers):
    for i, s in enumerate(servers):
        text = text.replace(f"10.0.0.{5 + i}:50051", s.addr)
    return text


def watch(data, ctx):
    for n in (b"1", b"2", b"3"):
        yield n


def methods(name):
    return {"/users.v1.Users/Get": ("11", lambda d, ctx: name),
            "/users.v1.Users/Add": ("*1", lambda it, ctx: b"".join(it)),
            "/users.v1.Users/Fail": (
                "11", lambda d, ctx: fail(ctx, 9, "not so")),
            "/orders.v1.Orders/Watch": ("1*", watch),
            "/orders.v1.Orders/Get": ("11", lambda d, ctx: name),
            # every service is well
            "/grpc.health.v1.Health/Check": (
                "11", lambda d, ctx: b"\x08\x01")}


@pytest.fixture(name="servers")
def _servers():
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Server(methods(n)))
               for n in (b"a", b"b", b"c")]


@contextlib.contextmanager
def nginx(top, text):
    port = net.free_port()
    text = text.replace("listen 80 ", f"listen 127.0.0.1:{port} ")
    path = f"{top}/n.conf"
    with open(path, "w", encoding="utf-8") as f:
        f.write("daemon off;\nmaster_process off;\n"
                f"pid {top}/n.pid;\nerror_log {top}/n.err;\nevents {{ }}\n"
                "http {\naccess_log off;\n" + "".join(
                    f"{n}_temp_path {top}/{n};\n" for n in (
                        "client_body", "proxy", "fastcgi", "uwsgi",
                        "scgi")) + text + "}\n")
    p = subprocess.Popen([tool("nginx"), "-c", path, "-e", f"{top}/n.err"],
                         stdin=subprocess.DEVNULL)
    try:
        deadline = net.Deadline("nginx")
        while True:
            try:
                net.connect(port).close()
                break
            except ConnectionRefusedError:
                assert p.poll() is None
                net.wait_fd(None, min(deadline.left(), 0.02))
        yield port
    finally:
        p.terminate()
        p.wait(net.WAIT)


@pytest.fixture(name="ports")
def _ports(sluice, tmp, servers):
    ours = place(block("ini-grpc"), servers).replace(
        "0.0.0.0:80 [::]:80", "127.0.0.1:@port@").replace(
        "health.type", "health.interval = 200ms\nhealth.type")
    with nginx(tmp, place(block("nginx-grpc"), servers)) as port:
        yield {"nginx": port, "sluice": sluice(ours).port}


def code_of(call):
    try:
        call()
    except grpc.RpcError as e:
        return e.code()
    return CODE.OK


def test_alike(ports, servers):
    for name, port in ports.items():
        with grpc.insecure_channel(f"127.0.0.1:{port}") as c:
            get = c.unary_unary("/users.v1.Users/Get")
            assert {get(b"", timeout=20) for _ in range(20)} == \
                {b"a", b"b"}, name
            add = c.stream_unary("/users.v1.Users/Add")
            assert add(iter([b"x", b"yz"]), timeout=20) == b"xyz", name
            all = c.unary_stream("/orders.v1.Orders/Watch")
            assert list(all(b"", timeout=20)) == [b"1", b"2", b"3"], name
            for path, code in (
                    ("/users.v1.Users/Fail", CODE.FAILED_PRECONDITION),
                    ("/users.v1.Users/None", CODE.UNIMPLEMENTED),
                    ("/orders.v1.Orders/Get", CODE.UNIMPLEMENTED),
                    ("/other.v1.Other/Get", CODE.UNIMPLEMENTED)):
                call = c.unary_unary(path)
                assert code_of(lambda: call(b"", timeout=20)) == code, \
                    (name, path)
    wait_until("a probe", lambda: any(
        c.method == "/grpc.health.v1.Health/Check"
        for c in servers[0].calls))


def test_server_is_gone(ports, servers):
    servers[2].stop()
    for name, port in ports.items():
        with grpc.insecure_channel(f"127.0.0.1:{port}") as c:
            with pytest.raises(grpc.RpcError) as e:
                list(c.unary_stream("/orders.v1.Orders/Watch")(
                    b"", timeout=20))
            assert e.value.code() == CODE.UNAVAILABLE, name
            assert ("dial_refused" in e.value.details()) == \
                (name == "sluice")


def test_retries_of_the_page(servers, sluice):
    """The section on retries loads as it stands."""
    up = "".join(f"server = h2c://{s.addr}\n" for s in servers[:2])
    s = sluice("[listener web]\nbind = 127.0.0.1:@port@\nhttp = 2\n" +
               block("ini") + up +
               "[route all]\npath = /*\nupstream = users\n")
    with grpc.insecure_channel(f"127.0.0.1:{s.port}") as c:
        assert c.unary_unary("/users.v1.Users/Get")(b"", timeout=20) in \
            (b"a", b"b")

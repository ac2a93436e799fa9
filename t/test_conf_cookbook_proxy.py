"""The cookbook on proxies: each claim, with the real others beside us."""
import contextlib
import os
import re
import subprocess

import pytest

from lib import http, net
from lib.cmd import tool
from lib.peer import Peer, respond

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "doc", "cookbook", "proxies.md")
HOST = "app.example.com"
HEALTH = "/healthz"
LISTEN = "[listener web]\nbind = 127.0.0.1:@port@\n"
ROUTE = "\n[route all]\npath = /*\nupstream = app\n"
HA_TOP = """
defaults
    mode http
    timeout connect 3s
    timeout client 10s
    timeout server 10s
frontend web
    bind 127.0.0.1:{port}
    default_backend app
"""


def block(kind):
    with open(PAGE, encoding="utf-8") as f:
        (text,) = re.findall(rf"^```{kind}\n(.*?)^```", f.read(),
                             re.M | re.S)
    return text


class Server:
    """An application that may be sick, or close on what it is asked."""

    def __init__(self, stack, name):
        self.well, self.closes, self.seen = True, False, []
        self.name = name
        self.peer = stack.enter_context(Peer(default=self.step))

    def step(self, conn, req):
        if req.target == HEALTH:
            assert req.get("host") == HOST
            return respond(status=200 if self.well else 503)(conn, req)
        self.seen.append(req)
        if self.closes:
            return False
        return respond(body=self.name.encode())(conn, req)


@pytest.fixture(name="servers")
def _servers():
    with contextlib.ExitStack() as stack:
        yield [Server(stack, n) for n in "abcd"]


def place(text, servers):
    """The servers of the page are those of the test; checks are quicker."""
    text = text.replace("inter 1s", "inter 200ms")
    text = text.replace("health.interval = 1s", "health.interval = 200ms")
    for i, s in enumerate(servers):
        text = text.replace(f"10.0.0.{5 + i}:8080", s.peer.addr)
    return text


@pytest.fixture(name="other")
def _other(tmp):
    started = []

    def start(*argv, port):
        with open(f"{tmp}/other.err", "wb") as err:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=err,
                                 stdout=err)
        started.append(p)
        deadline = net.Deadline(argv[0])
        while True:
            try:
                net.connect(port).close()
                return port
            except ConnectionRefusedError:
                assert p.poll() is None, open(f"{tmp}/other.err").read()
                net.wait_fd(None, min(deadline.left(), 0.02))

    yield start
    for p in started:
        p.terminate()
        p.wait(net.WAIT)


def put(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def haproxy(other, tmp, text):
    port = net.free_port()
    path = put(f"{tmp}/h.cfg", re.sub(r"bind .*", f"bind 127.0.0.1:{port}",
                                      text))
    return other(tool("haproxy"), "-db", "-f", path, port=port)


def nginx(other, tmp, text):
    port = net.free_port()
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
    path = put(f"{tmp}/n.conf", "daemon off;\nmaster_process off;\n"
               f"pid {tmp}/n.pid;\nerror_log {tmp}/n.err;\nevents {{ }}\n"
               "http {\naccess_log off;\n" + "".join(
                   f"{n}_temp_path {tmp}/{n};\n" for n in (
                       "client_body", "proxy", "fastcgi", "uwsgi",
                       "scgi")) + text + "}\n")
    return other(tool("nginx"), "-c", path, "-e", f"{tmp}/n.err", port=port)


def ours(servers):
    text = place(block("ini-proxy"), servers)
    return text.replace("0.0.0.0:80 [::]:80", "127.0.0.1:@port@")


def ask(port, path="/", method="GET", headers=(), host=HOST):
    with http.Client(port) as c:
        return c.ask(method, path, headers=[("Host", host), *headers])


# --- the three proxies ---

@pytest.fixture(name="ports")
def _ports(sluice, other, tmp, servers):
    return {"sluice": sluice(ours(servers)).port,
            "nginx": nginx(other, tmp, place(block("nginx"), servers)),
            "haproxy": haproxy(other, tmp,
                               place(block("haproxy-proxy"), servers))}


def got(servers):
    """The one request that a server saw since."""
    (req,) = [r for s in servers for r in s.seen]
    for s in servers:
        s.seen.clear()
    return req


TOLD = ("host", "x-real-ip", "x-forwarded-for", "x-forwarded-host",
        "x-forwarded-proto")


def test_forward_alike(ports, servers):
    """The same request reaches the servers, whoever is in between."""
    lie = [("X-Forwarded-For", "6.6.6.6"), ("X-Real-IP", "6.6.6.6"),
           ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil")]
    for path, target in (("/", "/"), ("/a?b=c", "/a?b=c"),
                         ("/api/v1/x?y", "/v1/x?y"), ("/apis", "/apis")):
        for name, port in ports.items():
            assert ask(port, path, headers=lie).status == 200, name
            req = got(servers)
            assert req.target == target, (name, path)
            assert [req.get(n) for n in TOLD] == [
                HOST, "127.0.0.1", "127.0.0.1", HOST, "http"], name


def test_upgrades_need_no_key(ports, servers):
    for name, port in ports.items():
        ask(port, "/ws", headers=[("Connection", "upgrade"),
                                  ("Upgrade", "websocket"),
                                  ("Sec-WebSocket-Version", "13"),
                                  ("Sec-WebSocket-Key",
                                   "dGhlIHNhbXBsZSBub25jZQ==")])
        req = got(servers)
        assert req.get("upgrade") == "websocket", name
        assert req.get("connection").lower() == "upgrade", name


def test_underscores(ports, servers):
    for name, port in ports.items():
        ask(port, headers=[("X_Forwarded_For", "6.6.6.6")])
        there = got(servers).get("x_forwarded_for")
        assert there == ("6.6.6.6" if name == "haproxy" else None), name


def test_fields_of_ours(ports, servers):
    for name, port in ports.items():
        ask(port)
        req = got(servers)
        mine = name == "sluice"
        assert bool(req.get("via")) == mine, name
        assert bool(req.get("x-request-id")) == mine, name


def test_health_is_the_gateways(ports, servers, sluice):
    for path in ("/health", "/ping"):
        for name, port in ports.items():
            assert ask(port, path).status == 200
            assert len(servers[0].seen + servers[1].seen) == \
                (name != "sluice"), name
            for s in servers:
                s.seen.clear()
    for more in (f"[route mine]\nhost = {HOST}\npath = /health /ping\n"
                 "upstream = app\n",
                 "[health]\npath =\n"):
        s = sluice(ours(servers) + more)
        for path in ("/health", "/ping"):
            assert ask(s.port, path).text in "ab"
            assert got(servers).target == path


def test_next_server(ports, servers):
    servers[0].peer.stop()
    for name, port in ports.items():
        for _ in range(4):
            assert ask(port).text == "b", name


# --- balance and check ---

@pytest.fixture(name="pair")
def _pair(sluice, other, tmp, servers):
    s = sluice(LISTEN + place(block("ini-balance"), servers) + ROUTE)
    text = HA_TOP + place(block("haproxy-balance"), servers)
    return {"sluice": s.port, "haproxy": haproxy(other, tmp, text)}


def shares(port, n=18):
    out = {}
    for _ in range(n):
        r = ask(port)
        out[r.text] = out.get(r.text, 0) + 1
    return out


def wait_shares(port, want):
    deadline = net.Deadline(f"only {want}")
    while set(shares(port, 9)) != want:
        net.wait_fd(None, min(deadline.left(), 0.1))


def test_weights(pair):
    for name, port in pair.items():
        assert shares(port) == {"a": 10, "b": 6, "c": 2}, name


def test_checks(pair, servers):
    """Out after failures, back after successes; the spare one last."""
    for i, left in ((0, {"b", "c"}), (1, {"c"}), (2, {"d"})):
        servers[i].well = False
        for port in pair.values():
            wait_shares(port, left)
    for s in servers:
        s.well = True
    for port in pair.values():
        wait_shares(port, {"a", "b", "c"})


def test_closed_without_an_answer(pair, servers):
    """A GET is asked of another server here; a POST is by neither."""
    for i in (0, 1):
        servers[i].closes = True
    got_ = {name: {ask(port).status for _ in range(9)}
            for name, port in pair.items()}
    assert got_["sluice"] == {200} and 502 in got_["haproxy"]


def test_post_is_not_repeated(pair, servers):
    for s in servers[:3]:
        s.closes = True
    for name, port in pair.items():
        assert ask(port, method="POST").status == 502, name
        assert len([r for s in servers for r in s.seen]) == 1, name
        for s in servers:
            s.seen.clear()


def few(sluice, other, tmp, servers, panic, change):
    """Both of them, when only one of the servers is fit."""
    s = sluice(LISTEN + change(place(block("ini-balance"), servers)) +
               panic + ROUTE)
    port = haproxy(other, tmp, HA_TOP + change(
        place(block("haproxy-balance"), servers)))
    fit = {x["address"] for x in
           s.ctl_json("upstreams")["upstreams"][0]["servers"]}
    fit -= {x.peer.addr for x in servers if not x.well}
    deadline = net.Deadline("down")
    while {x["address"] for x in s.ctl_json("upstreams")["upstreams"][0][
            "servers"] if x["state"] == "up"} != fit:
        net.wait_fd(None, min(deadline.left(), 0.05))
    return s.port, port


def test_backups_serve_earlier(sluice, other, tmp, servers):
    servers[0].well = servers[1].well = False
    we, they = few(sluice, other, tmp, servers, "panic = 50\n",
                   lambda text: text)
    wait_shares(they, {"c"})
    assert set(shares(we)) == {"c", "d"}


@pytest.mark.parametrize("panic,sick", [("", True), ("panic = 0\n", False)])
def test_sick_are_asked(sluice, other, tmp, servers, panic, sick):
    """One of four is fit and there is no spare one."""
    for x in servers[:3]:
        x.well = False
    we, they = few(sluice, other, tmp, servers, panic,
                   lambda text: text.replace(" backup", ""))
    wait_shares(they, {"d"})
    assert ("a" in shares(we)) == sick
    servers[3].well = False
    deadline = net.Deadline("503")
    while (ask(we).status, ask(they).status) != (503, 503):
        net.wait_fd(None, min(deadline.left(), 0.05))

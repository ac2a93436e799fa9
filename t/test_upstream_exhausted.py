"""The gateway's own descriptors or ports run out while it connects: a row
and counters of their own, and nothing that counts against the server."""
import ctypes
import subprocess
import threading

import pytest

from lib import disk, http, wire
from lib.peer import hold

CLONE_NEWNET = 0x40000000
RANGE = "/proc/sys/net/ipv4/ip_local_port_range"


def conf(app, more=""):
    return f"""
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
server = {app}
retry.on = off
breaker.failures = 1
{more}
[route all]
path = /*
upstream = app
"""


def counted(s):
    """(requests, attempts) that failed so."""
    found, = s.ctl_json("why", "dial_exhausted")["failures"]
    return found["requests"], found["attempts"]


def is_told(s, r, n, errno):
    """The nth time: to the client, the log, the counters; the server and
    its breaker are none the worse for it."""
    wire.is_fail(r, "dial_exhausted")
    s.wait_log(rf"dial_exhausted.*{errno}|{errno}.*dial_exhausted")
    assert counted(s) == (n, n)
    up, = s.ctl_json("upstreams", "app")["upstreams"]
    server, = up["servers"]
    assert server["state"] == "up" and server["failures"] == 0
    assert server["breaker"]["state"] == "closed"


def test_descriptors(sluice, peer):
    """The worker has no descriptor left; a pooled connection needs none."""
    app = peer()
    s = sluice(conf(app.addr))
    assert counted(s) == (0, 0)
    with http.Client(s.port) as c, http.Client(s.port) as d:
        go = threading.Event()
        for client in (c, d):       # both are accepted
            client.send(http.request("OPTIONS", "*"))
            assert client.response("OPTIONS").status == 204
        disk.no_more_files(s, "worker 1")
        for n in (1, 2):
            is_told(s, c.get("/x"), n, "Too many open files")
        assert not app.requests
        disk.no_more_files(s, "worker 1", False)
        app.script.append(hold(go))
        c.send(http.request("GET", "/held"))
        app.wait_requests(1)
        go.set()
        assert c.response().status == 200
        disk.no_more_files(s, "worker 1")
        assert d.get("/x").status == 200
        assert counted(s) == (2, 2)
        disk.no_more_files(s, "worker 1", False)


def in_net(do):
    """Runs it in a thread with a network of its own; what it raised."""
    libc = ctypes.CDLL(None, use_errno=True)
    wrong = []

    def run():
        try:
            if libc.unshare(CLONE_NEWNET) != 0:
                pytest.skip("no network of our own here")
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            do()
        except BaseException as e:      # pylint: disable=broad-except
            wrong.append(e)

    t = threading.Thread(target=run)
    t.start()
    t.join()
    if wrong:
        raise wrong[0]


def narrow():
    """Two ports are left to connect from, of this network."""
    with open(RANGE, "w", encoding="ascii") as f:
        f.write("61000 61001")


def test_ports(sluice, peer):
    """All ports towards the server are taken; one that comes back is used."""
    def do():
        go = threading.Event()
        app = peer(default=hold(go))
        s = sluice(conf(app.addr))
        clients = [http.Client(s.port) for _ in range(3)]
        narrow()
        for n, c in enumerate(clients[:2]):
            c.send(http.request("GET", "/held"))
            app.wait_requests(n + 1)
        is_told(s, clients[2].get("/x"), 1, "Cannot assign requested")
        go.set()
        assert [c.response().status for c in clients[:2]] == [200, 200]
        assert clients[2].get("/x").status == 200
        assert counted(s) == (1, 1)
        for c in clients:
            c.close()
        s.stop()
    in_net(do)



"""A reload every half a second under full load through the proxy: no
request fails, no connection is cut or refused.

Each reload changes what stands in a route and in an upstream: its servers
(one, both, the other), its times, and the text of another route, by which
one sees that the generation is in use.  SOAK_SCALE multiplies the 60
seconds.
"""
import json
import os
import subprocess

import pytest

from lib import http, net
from lib.bench import tool

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
SECONDS = max(60 * SCALE, 5)
EVERY = 0.5

CONF = """
[sluice]
workers = 2
[log]
access = off
[limits]
requests_per_connection = 0
connection_age = 0
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
server = {servers}
timeout.connect = {connect}s
[route version]
path = /version
respond = 200 v{n}
[route app]
path = /1k {more}
upstream = app
timeout.total = {total}s
"""


def origin(program, procs):
    """The port of a minimal server, which accepts when this returns."""
    port = net.free_port()
    procs.append(subprocess.Popen([program, str(port)]))
    end = net.Deadline("origin")
    while True:
        try:
            net.connect(port).close()
            return port
        except ConnectionError:
            net.wait_fd(None, min(end.left(), 0.02))


def content(n, ports):
    a, b = (f"127.0.0.1:{p}" for p in ports)
    return CONF.format(n=n, servers=[a, f"{a} {b}", b][n % 3],
                       connect=2 + n % 4, total=20 + n % 7,
                       more="/other" if n % 2 else "")


def load(program, how, port):
    """Numbers in the paths: those without a whole answer are told."""
    return subprocess.Popen(
        [program, "-s", *how, "-d", str(SECONDS), "-l", "1024", str(port),
         "/1k?n=%"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def reloads(s, proc, ports):
    """Until the load ends; returns how many there were."""
    fd, n, late = os.pidfd_open(proc.pid), 0, 0
    clock = net.Deadline("the load", SECONDS + 30)
    begun = clock.left()
    while proc.poll() is None:
        due = begun - (n + 1) * EVERY
        if net.wait_fd(fd, max(clock.left() - due, 0)):
            break
        n += 1
        s.reload(content(n, ports))
        late += clock.left() < due - EVERY
        assert http.get(s.port, "/version").body == b"v%d" % n
    os.close(fd)
    assert late <= n / 4, f"{late} of {n} reloads took over {EVERY} s"
    return n


@pytest.mark.parametrize("how", [("-c", "64"), ("-k", "-c", "32")],
                         ids=["kept", "each"])
def test_reload_under_proxied_load(sluice, tmp, how):
    program, client = tool("origin"), tool("load")
    procs = []
    try:
        ports = [origin(program, procs) for _ in range(2)]
        s = sluice(content(0, ports))
        workers = s.workers()
        proc = load(client, how, s.port)
        procs.append(proc)
        n = reloads(s, proc, ports)
        out, err = proc.communicate(timeout=60)
    finally:
        for p in procs:
            p.kill()
            p.wait()
    got = json.loads(out)
    print(f"{n} reloads, {got['requests']} requests, "
          f"{got['requests'] / got['seconds']:.0f}/s, "
          f"{got['errors']} failed, p99 {got['p99_us']:.0f} us, "
          f"worst {got['max_us'] / 1000:.0f} ms")
    assert got["errors"] == 0, (got["why"], err)
    assert not got["unanswered"] and got["reconnects"] == 0
    assert got["requests"] > 100 * SECONDS
    assert n >= SECONDS / EVERY / 2
    assert s.workers() == workers
    counts = s.ctl_json("status")
    assert counts["generation"] == n + 1

"""Floods of HTTP/2 at full speed from a core of their own, again and
again: each connection ends within a second, memory is bounded, and a
bystander's p99 is at most twice what it is beside a process that only
spins, and a millisecond, which is what a turn of the loop may take.  How
nginx and HAProxy bear the same is printed beside it, like them without an
access log: its writer would be one more process on the same core.

On two cores bystander and worker have one together.  Whoever asks over a
network has a core of its own: so the time in which the bystander itself
was ready and had none is taken off.  The flooder's kernel has none
either: when its connection is reset, the worker's core frees all that it
had not sent.  The machine's noise only adds, and comes in phases: a
spinning process and a flood are measured in turns, and of up to ROUNDS
one must hold.

SOAK_SCALE multiplies the 10 seconds of each (of the others, 3).  A p99
of one second is that of seven requests, and below 1 it has more SLACK.
"""
import contextlib
import os
import subprocess
import sys
import time

import pytest

from lib import http, net, wire
from lib.cmd import pss, session, tool

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
SECONDS = max(10 * SCALE, 1)
SPIN = min(SECONDS, 2)          # of the spinning process
ROUNDS = 5
SLACK = 1 if SCALE >= 1 else 3  # ms
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")

FLOODER = """
import os, sys, time
os.sched_setaffinity(0, {int(os.environ['OWN_CORE'])})
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import test_h2_floods as f
from lib import h2
port, name, seconds = int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
_, frames = f.CASES[name]
# made beforehand: what is measured is the other side
pieces, size = [], 0
for one in frames():
    pieces.append(one)
    size += len(one)
    if size > 1 << 20 or len(pieces) > 50000:
        break
data, worst, rounds, held = b"".join(pieces), 0, 0, 0
end = time.monotonic() + seconds
print("ready", flush=True)
while time.monotonic() < end:
    with h2.H2(port, timeout=2) as c:
        began = time.monotonic()
        try:
            c.say(data)
            c.ends()
        except TimeoutError:
            held += 1
        worst = max(worst, time.monotonic() - began)
        rounds += 1
print(rounds, worst, held)
"""
SPINNER = """
import os, sys, time
os.sched_setaffinity(0, {int(os.environ['OWN_CORE'])})
end = time.monotonic() + float(sys.argv[1])
print("ready", flush=True)
while time.monotonic() < end:
    pass
print(0, 0, 0)
"""


@pytest.fixture(scope="module", autouse=True)
def cores():
    """One is the flood's own; all else, and what is made here, has the
    others."""
    was = os.sched_getaffinity(0)
    os.environ["OWN_CORE"] = str(max(was))
    os.sched_setaffinity(0, was - {max(was)} or was)
    yield
    os.sched_setaffinity(0, was)


@contextlib.contextmanager
def own_wait():
    """Says for how many seconds this thread was ready without a core."""
    with open("/proc/thread-self/schedstat", "rb", buffering=0) as f:
        def seconds():
            f.seek(0)
            return int(f.read().split()[1]) / 1e9
        yield seconds


def beside(port, *cmd):
    """(p99 of a bystander in ms, requests, what the other printed)."""
    took = []
    with subprocess.Popen([sys.executable, "-c", *cmd],
                          stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "ready\n"
        with http.Client(port) as c, own_wait() as waited:
            while p.poll() is None:
                before = waited()
                began = time.monotonic()
                assert c.get("/probe").status == 200
                took.append(time.monotonic() - began - waited() + before)
                time.sleep(0.001)       # a rate of its own, not a flood
        said = p.stdout.read().split()
    took.sort()
    return took[len(took) * 99 // 100] * 1000, len(took), said


@pytest.fixture(scope="module")
def gate(cores):
    with wire.gateway("""
[sluice]
workers = 1
[log]
access = off
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[route hold]
path = /hold
respond = 200 held
""" + wire.PROBE) as s:
        s.before = s.pss()
        yield s


NAMES = ["h2_reset_flood", "h2_made_reset_flood", "h2_ping_flood",
         "h2_settings_flood", "h2_priority_flood", "h2_window_flood",
         "h2_empty_flood", "h2_stray_flood", "h2_continuation_flood",
         "h2_header_flood"]


def flood(name, port, other, seconds):
    """One flood; what it came to, and the same as a line."""
    p99, n, (rounds, worst, held) = beside(
        port, FLOODER, TOP, str(other), name, str(seconds))
    rounds, worst, held = int(rounds), float(worst), int(held)
    return p99, rounds, worst, held, \
        f"{rounds} connections, {held} not ended, the longest " \
        f"{worst:.3f} s, bystander p99 {p99:.2f} ms of {n}"


@pytest.mark.parametrize("name", NAMES)
def test_flood(gate, name):
    for _ in range(ROUNDS):
        spun = beside(gate.port, SPINNER, str(SPIN))[0]
        p99, rounds, worst, held, line = flood(name, gate.port, gate.port,
                                               SECONDS)
        print(f"{name}: {line} (spinning {spun:.2f}), "
              f"memory {gate.before} -> {gate.pss()} KiB")
        assert rounds > 0 and held == 0 and worst < 1
        assert gate.pss() < gate.before + (64 << 10)    # KiB
        if p99 <= 2 * spun + SLACK:
            return
    pytest.fail("no round held")


OTHERS = {
    "nginx": ("""
daemon off;
worker_processes 2;
error_log {top}/error.log crit;
pid {top}/pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {top}/body;
    proxy_temp_path {top}/proxy;
    fastcgi_temp_path {top}/fastcgi;
    uwsgi_temp_path {top}/uwsgi;
    scgi_temp_path {top}/scgi;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{other} http2;
        location / {{ return 200 probe; }}
    }}
}}
""", ("-c", "{conf}", "-e", "{top}/error.log")),
    "haproxy": ("""
global
    nbthread 2
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
listen web
    bind 127.0.0.1:{port}
    bind 127.0.0.1:{other} proto h2
    http-request return status 200 content-type text/plain string probe
""", ("-db", "-f", "{conf}")),
}


@contextlib.contextmanager
def started(name, top):
    """(port, one of HTTP/2, process) of a server that others wrote."""
    text, args = OTHERS[name]
    values = {"top": top, "conf": f"{top}/conf", "port": net.free_port(),
              "other": net.free_port()}
    with open(values["conf"], "w", encoding="utf-8") as f:
        f.write(text.format(**values))
    with open(f"{top}/out", "wb") as out, subprocess.Popen(
            [tool(name), *(a.format(**values) for a in args)],
            stdout=out, stderr=out, start_new_session=True) as p:
        try:
            net.wait_port(values["port"])
            yield values["port"], values["other"], p
        finally:
            p.terminate()


@pytest.mark.parametrize("name", OTHERS)
def test_others(name, tmp):
    """Figures, no verdict: but they must have been asked."""
    seconds = max(3 * SCALE, 0.5)
    with started(name, tmp) as (port, other, p):
        for kind in NAMES:
            before = pss(session(p.pid))
            _, rounds, _, _, line = flood(kind, port, other, seconds)
            print(f"{name}: {kind}: {line}, memory {before} -> "
                  f"{pss(session(p.pid))} KiB")
            assert rounds > 0

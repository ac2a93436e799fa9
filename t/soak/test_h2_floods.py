"""Floods of HTTP/2 at full speed from a process of their own, again and
again: each connection ends within a second, memory is bounded, and a
bystander's p99 is at most twice what it is beside a process that only
spins.

SOAK_SCALE multiplies the 10 seconds of each.
"""
import os
import subprocess
import sys
import time

import pytest

from lib import http, wire

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
SECONDS = max(10 * SCALE, 2)
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")

FLOODER = """
import sys, time
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
data, worst, rounds = b"".join(pieces), 0, 0
end = time.monotonic() + seconds
print("ready", flush=True)
while time.monotonic() < end:
    with h2.H2(port, timeout=10) as c:
        began = time.monotonic()
        c.say(data)
        c.ends()
        worst = max(worst, time.monotonic() - began)
        rounds += 1
print(rounds, worst)
"""
SPINNER = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
print("ready", flush=True)
while time.monotonic() < end:
    pass
print(0, 0)
"""


def beside(gate, *cmd):
    """(p99 of a bystander in ms, requests, what the other printed)."""
    took = []
    with subprocess.Popen([sys.executable, "-c", *cmd],
                          stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "ready\n"
        with http.Client(gate.port) as c:
            while p.poll() is None:
                began = time.monotonic()
                assert c.get("/probe").status == 200
                took.append(time.monotonic() - began)
                time.sleep(0.001)       # a rate of its own, not a flood
        said = p.stdout.read().split()
    took.sort()
    return took[len(took) * 99 // 100] * 1000, len(took), said


@pytest.fixture(scope="module")
def gate():
    with wire.gateway("""
[sluice]
workers = 2
[listener web]
bind = 127.0.0.1:@port@
http = 1.1 2
[route hold]
path = /hold
respond = 200 held
""" + wire.PROBE) as s:
        s.base = beside(s, SPINNER, str(SECONDS))[0]
        s.before = s.pss()
        yield s


@pytest.mark.parametrize("name", [
    "h2_reset_flood", "h2_made_reset_flood", "h2_ping_flood",
    "h2_settings_flood", "h2_priority_flood", "h2_window_flood",
    "h2_empty_flood", "h2_stray_flood", "h2_continuation_flood",
    "h2_header_flood"])
def test_flood(gate, name):
    p99, n, (rounds, worst) = beside(gate, FLOODER, TOP, str(gate.port),
                                     name, str(SECONDS))
    print(f"{name}: {rounds} connections, the longest {worst} s, "
          f"bystander p99 {p99:.2f} ms of {n} (spinning {gate.base:.2f}), "
          f"memory {gate.before} -> {gate.pss()}")
    assert int(rounds) > 0 and float(worst) < 1
    assert p99 <= 2 * gate.base + 1
    assert gate.pss() < gate.before + (64 << 10)    # KiB

"""No attempt at a server is begun later than 10 ms after its state was set.

Under full load of four workers servers go out of service and come back in
every way there is: by probes, ejected for failures, drained and taken
down by the operator, with an open breaker.  When an attempt began is read
from the access log (the choice of its server, in microseconds), when a
state was set from the line that tells of it: that has the time of the word
itself, taken just before it was set and cut to milliseconds, so what is
compared is too strict rather than too loose.
SOAK_SCALE multiplies the 40 seconds.
"""
import json
import os
import subprocess
import threading
import time

import pytest

from lib import http, net
from lib.attempts import attempts, changes
from lib.bench import tool
from lib.cmd import Thread
from lib.relay import Relays

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
SECONDS = max(40 * SCALE, 8)
LATE = 10000            # microseconds
EDGE = 10000            # whoever comes back is chosen before that is told
STAYS = 0.04            # seconds in a state, at least
AWAY = {"ejected", "down", "drain", "maintenance"}
LOADS = 8               # connections to each upstream

CONF = """
[sluice]
workers = 4
[log]
overflow = block
[defaults upstream]
slow_start = 0
panic = 0
outlier = off
retry.floor = 1000
timeout.first_byte = 1s
"""
UPSTREAM = """
[listener {0}]
bind = 127.0.0.1:@port_{0}@
[upstream {0}]
{1}
server = {2}
[route {0}]
listener = {0}
path = /*
upstream = {0}
"""
PROBED = "health.path = /1k\nhealth.interval = 100ms\nhealth.rise = 1\n"
WAYS = {
    "drain": "", "maintenance": "",
    "down": PROBED + "health.fall = 1",
    "ejected": PROBED + "health.fall = 100\noutlier = on",
    "open": "breaker.failures = 3\nbreaker.open = 100ms\n"
            "breaker.open_max = 100ms"}


class Gate:
    """The relays, for several threads."""

    def __init__(self, ports):
        self.lock, self.relays = threading.Lock(), Relays(ports)
        self.addrs = [f"127.0.0.1:{p}" for p in self.relays.ports]

    def set(self, i, mode):
        with self.lock:
            self.relays.set(i, mode)


@pytest.fixture
def origin():
    """The port of a server of its own process."""
    made = []

    def make():
        port = net.free_port()
        made.append(subprocess.Popen([tool("origin"), str(port)]))
        net.until("it listens", lambda: is_open(port))
        return port
    yield make
    for p in made:
        p.kill()
        p.wait()


def is_open(port):
    try:
        net.connect(port).close()
    except ConnectionError:
        return False
    return True


def load(port):
    """What its clients found, when it is over."""
    return subprocess.Popen(
        [tool("load"), "-c", str(LOADS), "-d", str(SECONDS), "-l", "1024",
         str(port), "/1k"], stdout=subprocess.PIPE, text=True)


# --- out of service, and back ---

def wait_state(c, name, addr, right):
    """Until the API says that the server's state is right."""
    def look():
        up, = json.loads(c.get(f"/v1/upstreams?name={name}").body)[
            "upstreams"]
        return right(next(v for v in up["servers"]
                          if v["address"] == addr)["state"])
    net.until(f"another state of {name}", look)


def by_operator(s, name, addr, until):
    word = {"drain": "drain", "maintenance": "down"}[name]
    with http.Client(s.control) as c:
        while time.time() < until:
            for do in word, "up":
                r = c.ask("POST", f"/v1/servers?upstream={name}"
                          f"&server={addr}&do={do}")
                assert r.status == 200, r.body
                net.wait_fd(None, STAYS)


def by_failures(s, name, addr, until, gate, i):
    with http.Client(s.control) as c:
        while time.time() < until:
            gate.set(i, "reset")
            wait_state(c, name, addr, lambda w: w == name)
            net.wait_fd(None, STAYS)
            gate.set(i, "well")
            wait_state(c, name, addr, lambda w: w == "up")
            net.wait_fd(None, STAYS)


# --- what the log says ---

def outages(all_):
    """{(upstream, server): [(from, to)]}, microseconds."""
    out, since = {}, {}
    for c in all_:
        key = c.upstream, c.server
        if c.breaker:
            away = c.now == "open"
        elif "open" in (c.was, c.now):
            continue            # the breaker's own lines say more
        else:
            away = c.now in AWAY
        if away and key not in since:
            since[key] = c.at
        elif not away and key in since:
            out.setdefault(key, []).append((since.pop(key), c.at))
    return out


def read(s):
    """(changes of states, {(upstream, server): attempts}) of the log."""
    told, begun = [], {}
    with open(os.path.join(s.dir, "log", "sluice.log"),
              encoding="utf-8") as f:
        for r in map(json.loads, f):
            if "target" not in r:
                told.append(r)
                continue
            for server, at in attempts(r):
                begun.setdefault((r["upstream"], server), []).append(at)
    return changes(told), begun


def late(outage, begun):
    """Attempts that began too late; and the latest of those that did not
    know yet, in microseconds after the state was set."""
    wrong, last, i = [], 0, 0
    begun = sorted(begun)
    for since, until in outage:
        while i < len(begun) and begun[i] < since:
            i += 1
        while i < len(begun) and begun[i] < until - EDGE:
            if begun[i] > since + LATE:
                wrong.append(begun[i] - since)
            else:
                last = max(last, begun[i] - since)
            i += 1
    return wrong, last


def test_state_cut(sluice, origin):
    port = origin()
    gate = Gate([origin() for _ in WAYS])
    victim = dict(zip(WAYS, gate.addrs))
    s = sluice(CONF + "".join(UPSTREAM.format(
        name, keys + f"\nserver = 127.0.0.1:{port}", victim[name])
        for name, keys in WAYS.items()))
    loads = {name: load(s.value(f"port_{name}")) for name in WAYS}
    end = time.time() + SECONDS - 1
    try:
        threads = [
            Thread(by_operator, s, name, victim[name], end)
            if name in ("drain", "maintenance") else
            Thread(by_failures, s, name, victim[name], end, gate, i)
            for i, name in enumerate(WAYS)]
        for t in threads:
            t.join(SECONDS + net.WAIT)
    finally:
        found = {n: json.loads(p.communicate()[0].strip().split("\n")[-1])
                 for n, p in loads.items()}
        gate.relays.close()
    s.stop()
    told, begun = read(s)
    away = outages(told)
    for name in WAYS:
        key = name, victim[name]
        wrong, last = late(away[key], begun[key])
        print(f"\n{name}: {len(away[key])} times, {len(begun[key])} attempts "
              f"there of {found[name]['requests']} requests, the latest "
              f"{last / 1000:.1f} ms after it was set", end="")
        assert not wrong, (name, wrong[:10])
        assert len(away[key]) >= 5 and len(begun[key]) >= 100
    print()

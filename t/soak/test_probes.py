"""Probes of 990 servers: 500 in one upstream, ten in each of 49.

Each has a listening socket of its own, all of one process with one epoll,
which notes when each was asked.  All probes must be on time, also when
every server is frozen (accepts, and says nothing), and what the gateway
holds for a server is measured, over all processes.

What a server costs where stands in src/README, "BYTES OF A SERVER": with 2
workers 1,568, and what the allocator and the pages have beside that, and
the connections of those that were asked.
SOAK_SCALE multiplies the 60 seconds.
"""
import json
import os
import subprocess
import sys
import time

import pytest

from lib import http
from lib.watch import wait_until

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
SECONDS = max(60 * SCALE, 12)
ONE, MANY, EACH = 500, 49, 10
INTERVAL = 2.0
JITTER = 0.1
SLACK = 0.15            # of two clocks, and of one core for all
LIMIT = 2048            # bytes for a server

FARM = """
import json, select, socket, sys, time
n, frozen = int(sys.argv[1]), sys.argv[2] == "frozen"
ep, listeners, conns, asked = select.epoll(), {}, {}, [[] for _ in range(n)]
ports = []
for i in range(n):
    s = socket.create_server(("127.0.0.1", 0), backlog=16)
    s.setblocking(False)
    listeners[s.fileno()] = (s, i)
    ports.append(s.getsockname()[1])
    ep.register(s, select.EPOLLIN)
ep.register(0, select.EPOLLIN)
print(json.dumps(ports), flush=True)
OK = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"
while True:
    for fd, _ in ep.poll():
        if fd == 0:
            line = sys.stdin.readline().strip()
            if line == "clear":
                asked = [[] for _ in range(n)]
            elif line == "freeze":
                frozen = True
            else:
                print(json.dumps(asked), flush=True)
                sys.exit()
        elif fd in listeners:
            s, i = listeners[fd]
            asked[i].append(time.monotonic())
            c, _ = s.accept()
            conns[c.fileno()] = c
            ep.register(c, select.EPOLLIN)
        else:
            c = conns[fd]
            try:
                data = c.recv(4096)
            except OSError:
                data = b""
            if not data:
                ep.unregister(fd)
                del conns[fd]
                c.close()
            elif not frozen:
                c.send(OK)
"""


class Farm:
    def __init__(self, n, how="well"):
        self.proc = subprocess.Popen(
            [sys.executable, "-c", FARM, str(n), how], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ports = json.loads(self.proc.stdout.readline())

    def tell(self, word):
        self.proc.stdin.write(word + "\n")
        self.proc.stdin.flush()

    def end(self):
        """When each of them was asked."""
        self.tell("end")
        return json.loads(self.proc.stdout.readline())

    def close(self):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdin.close()
        self.proc.stdout.close()


@pytest.fixture
def farm():
    made = []

    def make(*args):
        made.append(Farm(*args))
        return made[-1]
    yield make
    for f in made:
        f.close()


def conf(ports, probed=True):
    ports = iter(ports)
    out = "[sluice]\nworkers = 2\n[log]\naccess = off\n" \
        "[listener web]\nbind = 127.0.0.1:@port@\n"
    keys = f"health.path = /health\nhealth.interval = {INTERVAL * 1000:.0f}" \
        "ms\nhealth.timeout = 1s\n" if probed else ""
    for u in range(1 + MANY):
        out += f"[upstream u{u}]\n{keys}" + "".join(
            f"server = 127.0.0.1:{p}\n" for _, p in
            zip(range(ONE if u == 0 else EACH), ports))
        out += f"[route r{u}]\npath = /{u}/*\nupstream = u{u}\n"
    return out


def cpu(pid):
    """Seconds of processor time."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        v = f.read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")


def sums(s):
    all = json.loads(http.get(s.control, "/v1/metrics").body)["metrics"]
    return {m["name"]: m["sum"] for m in all if "fail" not in m}


def run(s, seconds):
    """Lets time go by; (share of a processor of health, late, failed)."""
    health, before, began = s.roles()["health"], sums(s), time.monotonic()
    used, end = cpu(health), began + seconds
    wait_until("the end", lambda: time.monotonic() > end, seconds + 10)
    after, took = sums(s), time.monotonic() - began
    return (cpu(health) - used) / took, *(
        after[n] - before[n] for n in ("probes_late_total",
                                       "probes_failed_total",
                                       "probes_total"))


def gaps(asked):
    return [b - a for t in asked for a, b in zip(t, t[1:])]


def test_well(sluice, farm):
    n = ONE + MANY * EACH
    f = farm(n)
    s = sluice(conf(f.ports))
    wait_until("all were probed", lambda: sums(s)["probes_total"] >= n, 30)
    f.tell("clear")
    share, late, failed, probes = run(s, SECONDS)
    all = gaps(f.end())
    print(f"{n} servers: {probes / SECONDS:.0f} probes a second, health "
          f"{100 * share:.1f} % of a core, gaps {min(all):.3f} to "
          f"{max(all):.3f} s, {late} late")
    assert late == 0 and failed <= n    # the farm ends before the gateway
    assert probes >= n * (SECONDS / INTERVAL / 1.1 - 1)
    assert min(all) >= INTERVAL * (1 - JITTER) - SLACK
    assert max(all) <= INTERVAL * (1 + JITTER) + SLACK
    assert share < 0.15


def test_frozen(sluice, farm):
    """Every probe takes its whole time: all at once while they go down."""
    n = ONE + MANY * EACH
    f = farm(n)
    s = sluice(conf(f.ports))
    wait_until("all were probed", lambda: sums(s)["probes_total"] >= n, 30)
    f.tell("freeze")
    wait_until("all are down", lambda: sums(s)["server_changes_total"] >= n,
               60)
    share, late, failed, probes = run(s, SECONDS)
    print(f"{n} frozen: {probes / SECONDS:.0f} probes a second, health "
          f"{100 * share:.1f} % of a core, {late} late")
    all = sums(s)
    print(f"{all['probes_late_total']} of {all['probes_total']} late while "
          "they went down")
    assert late == 0
    # three seconds with as many probes as servers each, on a busy machine
    assert all["probes_late_total"] < 0.05 * all["probes_total"]
    assert probes >= n * (SECONDS / (2 * INTERVAL) / 1.1 - 1)
    assert failed == probes


def least(s, seconds=3):
    """The least PSS in a time, without that of files, which servers do
    not change: what bursts took goes back in a second."""
    seen, end = [], time.monotonic() + seconds
    wait_until("the end", lambda: seen.append(s.pss(files=False)) or
               time.monotonic() > end, seconds + 10)
    return min(seen)


def sizes_of(sluice, ports, keys):
    """KiB with the first server alone, and with all."""
    sizes = []
    for some in ports[:1], ports:
        servers = "".join(f"server = 127.0.0.1:{p}\n" for p in some)
        s = sluice("[sluice]\nworkers = 2\n[log]\naccess = off\n"
                   "[listener web]\nbind = 127.0.0.1:@port@\n"
                   f"[upstream u]\nhealth.path = /health\n{keys}{servers}"
                   "[route r]\npath = /*\nupstream = u\n")
        wait_until("probes", lambda s=s, n=len(some):
                   sums(s)["probes_total"] >= 2 * n, 30)
        for _ in range(200):        # by both workers
            assert http.get(s.port, "/").status == 200
        all, = s.ctl_json("upstreams")["upstreams"]
        assert len(all["servers"]) == len(some)
        sizes.append(least(s))
        s.stop()
    return sizes


@pytest.mark.parametrize("breaker", [False, True])
def test_memory(sluice, farm, breaker):
    """What 989 servers take beside one, probed, asked and looked at.  Bursts
    and rests of pages only add: of up to three starts the least of each."""
    n = ONE + MANY * EACH
    f = farm(n)
    keys = "breaker.failures = 5\n" if breaker else ""
    few, all = sizes_of(sluice, f.ports, keys)
    for again in range(3):
        each = (all - few) * 1024 / (n - 1)
        print(f"{each:.0f} bytes for a server")
        if each <= LIMIT or again == 2:
            break
        more = sizes_of(sluice, f.ports, keys)
        few, all = min(few, more[0]), min(all, more[1])
    assert each <= LIMIT

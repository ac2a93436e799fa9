"""One worker stalls now and then: who waits for it?

Sockets of its own per worker (SO_REUSEPORT) bind a new connection to a
worker before anybody looks; one shared socket lets the others take it.
Shown beside each other, same client, same stalls.
"""
import os
import signal
import subprocess
import threading
import time

from lib import http, net, site

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
HERE = os.path.dirname(os.path.abspath(__file__))
WORKERS = 4
STALL = 0.3


def build(tmp):
    out = os.path.join(tmp, "reuseport")
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", out,
                    os.path.join(HERE, "reuseport.c")], check=True)
    return out


def stall(pid, stop):
    """Stops a process for STALL, every other STALL, until told to end."""
    while not stop.wait(STALL):
        os.kill(pid, signal.SIGSTOP)
        stop.wait(STALL)
        os.kill(pid, signal.SIGCONT)


def one(port):
    began = time.monotonic()
    r = http.get(port, "/hello")
    assert r.status == 200
    return time.monotonic() - began


def measure(port, pid):
    """Latencies of new connections, one request each, while pid stalls."""
    took, lock, stop = [], threading.Lock(), threading.Event()
    end = time.monotonic() + max(20 * SCALE, 4)

    def client():
        while time.monotonic() < end:
            t = one(port)
            with lock:
                took.append(t)

    staller = threading.Thread(target=stall, args=(pid, stop))
    staller.start()
    clients = [threading.Thread(target=client) for _ in range(4)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    stop.set()
    staller.join()
    took.sort()
    return took


def quantile(took, q):
    return took[min(int(len(took) * q), len(took) - 1)]


def test_stalled_worker(sluice, tmp):
    port = net.free_port()
    other = subprocess.Popen([build(tmp), str(port), str(WORKERS)],
                             stdout=subprocess.PIPE, text=True)
    try:
        pids = [int(other.stdout.readline()) for _ in range(WORKERS)]
        theirs = measure(port, pids[1])
    finally:
        other.kill()
        other.wait()
    site.write(tmp)
    s = sluice(site.CONF.replace("workers = 2", f"workers = {WORKERS}"))
    ours = measure(s.port, s.roles()["worker 2"])

    def slow(took):
        return sum(t > STALL / 4 for t in took) / len(took)

    print(f"waited for the stalled one: sluice {slow(ours):.2%}, "
          f"SO_REUSEPORT {slow(theirs):.2%}; p99 "
          f"{quantile(ours, .99) * 1e3:.1f} and "
          f"{quantile(theirs, .99) * 1e3:.1f} ms")
    assert slow(ours) <= slow(theirs) / 2

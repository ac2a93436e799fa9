"""max_conns, max_conns_per_ip, max_new_conns_per_ip: over all workers."""
import os
import signal
import socket
import threading
import time

import pytest

from lib import http, net, wire

CONF = """
[sluice]
workers = 4
[listener web]
bind = 127.0.0.1:@port@
{keys}
[route all]
path = /*
respond = 200 hello
"""


def start(sluice, keys, **kw):
    return sluice(CONF.format(keys=keys), **kw)


def dial(s, host="127.0.0.1"):
    c = socket.socket()
    c.bind((host, 0))
    c.settimeout(net.WAIT)
    c.connect(("127.0.0.1", s.port))
    return c


def is_held(c):
    """Answered, and open; or closed without a word."""
    try:
        c.sendall(http.request("GET", "/"))
        data = c.recv(4096)
    except ConnectionError:
        return False
    assert data == b"" or data.startswith(b"HTTP/1.1 200 "), data
    return data != b""


def close_all(conns):
    for c in conns:
        c.close()


def held_of(s, n, host="127.0.0.1", threads=8):
    """n attempts from an address at once; those that stay."""
    held, lock = [], threading.Lock()

    def some(k):
        conns = [dial(s, host) for _ in range(k)]
        stay = [c for c in conns if is_held(c)]
        close_all(c for c in conns if c not in stay)
        with lock:
            held.extend(stay)

    each = [n // threads + (i < n % threads) for i in range(threads)]
    ts = [threading.Thread(target=some, args=(k,)) for k in each]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    return held


def wait_open(s, n):
    deadline = net.Deadline(f"{n} connections open")
    while wire.sums(s)["connections"] != n:
        net.wait_fd(None, min(deadline.left(), 0.02))


def test_per_ip_exact(sluice):
    s = start(sluice, "max_conns_per_ip = 20")
    held = held_of(s, 200)
    assert len(held) == 20
    # other addresses have their own count
    others = [held_of(s, 30, f"127.9.{i}.7") for i in range(3)]
    assert [len(o) for o in others] == [20, 20, 20]
    st = wire.sums(s)
    assert st["connections_limited_total"] == 180 + 30
    assert st["connections_uncounted_total"] == 0
    s.wait_log(r'127\.0\.0\.1: closed: max_conns_per_ip: '
               r"20 are open")
    close_all(held[:5])
    wait_open(s, 75)
    again = held_of(s, 50)
    assert len(again) == 5
    for o in others:
        close_all(o)
    close_all(again)
    close_all(held)
    wait_open(s, 0)
    # nothing leaked: the whole number is there again
    for _ in range(3):
        held = held_of(s, 60)
        assert len(held) == 20
        close_all(held)
        wait_open(s, 0)
    # one line for all of it within ten seconds
    assert len([r for r in s.log() if "max_conns_per_ip" in str(r)]) <= 2


def test_per_ip_reload(sluice):
    """What is open is counted when the limit comes, and stays."""
    s = start(sluice, "")
    held = held_of(s, 25)
    assert len(held) == 25
    s.reload(CONF.format(keys="max_conns_per_ip = 20"))
    assert held_of(s, 20) == []
    assert all(is_held(c) for c in held)
    s.reload(CONF.format(keys="max_conns_per_ip = 30"))
    more = held_of(s, 50)
    assert len(more) == 5
    close_all(more)
    wait_open(s, 25)
    for _ in range(5):
        s.reload()
    more = held_of(s, 50)
    assert len(more) == 5
    close_all(more)
    # another name is another count, and takes what is open with it
    wait_open(s, 25)
    s.reload(CONF.replace("listener web", "listener other").format(
        keys="max_conns_per_ip = 30"))
    more = held_of(s, 50)
    assert len(more) == 5
    close_all(more)
    close_all(held)
    wait_open(s, 0)
    s.reload(CONF.format(keys=""))
    held = held_of(s, 40)
    assert len(held) == 40
    close_all(held)


def test_per_ip_killed(sluice):
    """Connections of a killed worker are given back, and no others."""
    s = start(sluice, "max_conns_per_ip = 20")
    for _ in range(3):
        held = held_of(s, 100)
        assert len(held) == 20
        pid = s.workers()[0]
        os.kill(pid, signal.SIGKILL)
        net.wait_pid_gone(pid)
        s.wait_log(rf"worker \d: died: signal 9 .*, pid {pid}\b")
        alive = [c for c in held if is_held(c)]
        close_all(c for c in held if c not in alive)
        more = held_of(s, 100)
        assert len(alive) + len(more) == 20
        close_all(alive)
        close_all(more)
        wait_open(s, 0)
    assert not [r for r in s.log() if "words repaired" in str(r)]


def test_max_conns_wait(sluice):
    """At max_conns the next ones wait, and are served when one ends."""
    s = start(sluice, "max_conns = 20")
    conns = [dial(s) for _ in range(60)]
    for c in conns:
        c.sendall(http.request("GET", "/"))
    served = net.wait_fd([c.fileno() for c in conns], net.WAIT)
    deadline = net.Deadline("20 served")
    while len(served) < 20:
        deadline.left()
        served = net.wait_fd([c.fileno() for c in conns], 0.05)
    assert len(net.wait_fd([c.fileno() for c in conns], 0.1)) == 20
    s.wait_log(r'max_conns: 20 are open: who comes next '
               r"waits")
    assert wire.sums(s)["connections"] == 20
    assert wire.sums(s)["listener_full_total"] > 0
    # each that ends makes room for one, in all 60 are served
    while conns:
        ready = set(net.wait_fd([c.fileno() for c in conns], net.WAIT))
        assert ready
        assert len(ready) <= 20
        for c in [c for c in conns if c.fileno() in ready]:
            assert c.recv(4096).startswith(b"HTTP/1.1 200 ")
            c.close()
            conns.remove(c)
    wait_open(s, 0)
    held = [dial(s) for _ in range(20)]
    assert all(is_held(c) for c in held)
    close_all(held)


def test_max_conns_killed(sluice):
    s = start(sluice, "max_conns = 20")
    held = [dial(s) for _ in range(20)]
    assert all(is_held(c) for c in held)
    late = [dial(s) for _ in range(20)]
    for c in late:
        c.sendall(http.request("GET", "/"))
    pid = s.workers()[0]
    os.kill(pid, signal.SIGKILL)
    net.wait_pid_gone(pid)
    s.wait_log(rf"worker \d: died: signal 9 .*, pid {pid}\b")
    alive = [c for c in held if is_held(c)]
    deadline = net.Deadline("those who waited")
    while len(net.wait_fd([c.fileno() for c in late], 0.02)) < \
            20 - len(alive):
        deadline.left()
    assert wire.sums(s)["connections"] == 20
    close_all(held)
    deadline = net.Deadline("all")
    while len(net.wait_fd([c.fileno() for c in late], 0.02)) < 20:
        deadline.left()
    close_all(late)


@pytest.mark.parametrize("rate,burst,gap", [
    ("20/m", 20, 3.0), ("60/m burst=5", 5, 1.0), ("1/s burst=7", 7, 1.0)])
def test_rate(sluice, rate, burst, gap):
    s = start(sluice, f"max_new_conns_per_ip = {rate}")
    began = time.monotonic()
    n = len(held_of(s, 100))
    took = time.monotonic() - began
    assert burst <= n <= burst + took / gap
    assert len(held_of(s, 40, "127.3.3.3")) >= burst
    assert wire.sums(s)["connections_rate_limited_total"] >= 100 - n
    s.wait_log(r"closed: max_new_conns_per_ip: more than")


def test_rate_refills(sluice):
    s = start(sluice, "max_new_conns_per_ip = 50/s burst=5")
    assert len(held_of(s, 5)) == 5
    deadline = net.Deadline("served again")
    served = 0
    while served < 5:
        deadline.left()
        c = dial(s)
        served += is_held(c)
        c.close()


def test_storm(sluice):
    """Thousands that come and go from many addresses leave nothing."""
    # room for one of each that is closed and whose count still stands
    per = 3
    s = start(sluice, f"max_conns_per_ip = {per}\nmax_conns = 64\n"
                      "max_new_conns_per_ip = 100000/s")
    stop = threading.Event()
    bad = []

    def storm(i):
        while not stop.is_set():
            conns = [dial(s, f"127.1.{i}.{k}") for k in range(1, 5)]
            for c in conns:
                if not is_held(c):
                    bad.append(i)
                    c.close()
                    continue
                c.shutdown(socket.SHUT_WR)
                c.recv(1)       # its end: the worker has seen ours
                c.close()

    ts = [threading.Thread(target=storm, args=(i,)) for i in range(8)]
    for t in ts:
        t.start()
    goal = wire.sums(s)["connections_total"] + 3000
    deadline = net.Deadline("3000 connections", 3 * net.WAIT)
    while wire.sums(s)["connections_total"] < goal:
        deadline.left()
        net.wait_fd(None, 0.05)
    stop.set()
    for t in ts:
        t.join()
    assert not bad
    wait_open(s, 0)
    for i in range(8):
        held = held_of(s, per + 9, f"127.1.{i}.1", 4)
        assert len(held) == per
        close_all(held)
        wait_open(s, 0)
    assert not [r for r in s.log() if "words repaired" in str(r)]

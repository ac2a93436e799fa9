"""What is remembered of files: for how long, how much, and at what cost."""
import collections
import json
import os
import signal
import socket
import threading
import time
from email.utils import parsedate_to_datetime

import pytest

from lib import http, net, wire
from lib.trace import traced

pytestmark = [pytest.mark.versions, pytest.mark.turns]

CONF = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
[route site]
path = /*
static = @dir@/www
"""


def is_body(body):
    return lambda r: r.status == 200 and r.body == body


@pytest.mark.parametrize("size", [10, 1000, 100_000, 3_000_000])
def test_change_in_place(sluice, tmp, size):
    path = wire.put(tmp, "f.bin", b"a" * size)
    s = sluice(CONF)
    for letter in (b"b", b"c", b"d"):
        assert http.get(s.port, "/f.bin").status == 200
        with open(path, "r+b") as f:
            f.write(letter * size)
        wire.within(1, s, "/f.bin", is_body(letter * size))


@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
def test_change_by_rename(sluice, tmp, size):
    path = wire.put(tmp, "f.bin", b"a" * size)
    s = sluice(CONF)
    for letter in (b"b", b"c", b"d"):
        assert http.get(s.port, "/f.bin").status == 200
        new = wire.put(tmp, "new.bin", letter * size)
        os.rename(new, path)
        wire.within(1, s, "/f.bin", is_body(letter * size))


def test_other_length(sluice, tmp):
    """In place, longer and shorter: never a cut or padded answer."""
    path = wire.put(tmp, "f.bin", b"a" * 1000)
    s = sluice(CONF)
    for n in (2000, 10, 300_000, 200_000, 500, 0, 1):
        http.get(s.port, "/f.bin")
        with open(path, "r+b") as f:
            f.truncate(0)
            f.write(b"z" * n)
        wire.within(1, s, "/f.bin", is_body(b"z" * n))


def test_comes_and_goes(sluice, tmp):
    wire.put(tmp, "x", b"x")
    s = sluice(CONF)
    for _ in range(2):
        assert http.get(s.port, "/f.txt").status == 404
        path = wire.put(tmp, "f.txt", b"here")
        wire.within(1, s, "/f.txt", is_body(b"here"))
        os.unlink(path)
        wire.within(1, s, "/f.txt", lambda r: r.status == 404)


def test_rights_are_seen(sluice, tmp):
    if os.environ.get("SLUICE_KIND") == "cover":
        pytest.skip("there the workers are root")
    path = wire.put(tmp, "f.txt", b"here")
    s = sluice(CONF)
    assert http.get(s.port, "/f.txt").status == 200
    os.chmod(path, 0)
    wire.within(1, s, "/f.txt", lambda r: r.status == 403)
    denied = s.wait_log('"fail":"forbidden"')[0]
    assert json.loads(denied)["cause"] == f'"{path}": Permission denied'
    os.chmod(path, 0o644)
    wire.within(1, s, "/f.txt", is_body(b"here"))


def test_deploy_by_link(sluice, tmp):
    """current -> releases/N, which is the root."""
    for n in (1, 2, 3):
        wire.put(tmp, f"../releases/{n}/f.txt", b"release %d" % n)
    os.symlink(f"{tmp}/releases/1", f"{tmp}/current")
    s = sluice(CONF.replace("@dir@/www", "@dir@/current"))
    for n in (2, 3, 1):
        assert http.get(s.port, "/f.txt").status == 200
        os.symlink(f"releases/{n}", f"{tmp}/next")
        os.rename(f"{tmp}/next", f"{tmp}/current")
        wire.within(1, s, "/f.txt", is_body(b"release %d" % n))


def test_deploy_below_the_root(sluice, tmp):
    for n in (1, 2):
        wire.put(tmp, f"releases/{n}/f.txt", b"release %d" % n)
    os.symlink("releases/1", f"{tmp}/www/current")
    s = sluice(CONF)
    assert http.get(s.port, "/current/f.txt").body == b"release 1"
    os.symlink("releases/2", f"{tmp}/www/next")
    os.rename(f"{tmp}/www/next", f"{tmp}/www/current")
    wire.within(1, s, "/current/f.txt", is_body(b"release 2"))
    os.symlink("/etc", f"{tmp}/www/next")
    os.rename(f"{tmp}/www/next", f"{tmp}/www/current")
    wire.within(1, s, "/current/f.txt", lambda r: r.status == 404)


def state_of_root(s):
    r = http.get(s.port, "/static/status")
    return json.loads(r.body)["roots"][0]["there"]


@pytest.mark.parametrize("link", [True, False])
def test_directory_that_goes(sluice, tmp, link):
    """404 while it is away, and told once; as it was when it is back."""
    wire.put(tmp, "../v1/f.txt", b"here")
    wire.put(tmp, "../v1/page.html", b"page")
    root = "current" if link else "v1"
    os.symlink(f"{tmp}/v1", f"{tmp}/current")
    s = sluice(CONF.replace("@dir@/www", f"@dir@/{root}"))
    for _ in range(2):
        gone = s.stderr().count("directory is gone")
        assert http.get(s.port, "/f.txt").body == b"here"
        assert http.get(s.port, "/page.html").body == b"page"
        os.rename(f"{tmp}/v1", f"{tmp}/v1x")
        wire.within(1, s, "/f.txt", lambda r: r.status == 404)
        assert http.get(s.port, "/page.html").status == 404
        assert not state_of_root(s)
        wire.put(tmp, "../v1x/new.txt", b"new")
        time.sleep(1.1)
        assert http.get(s.port, "/new.txt").status == 404
        s.reload()
        assert http.get(s.port, "/f.txt").status == 404
        os.rename(f"{tmp}/v1x", f"{tmp}/v1")
        wire.within(1, s, "/f.txt", is_body(b"here"))
        assert state_of_root(s)
        s.wait_stderr("directory is back", count=gone + 1)
        assert s.stderr().count("directory is gone") == gone + 1
    assert len(s.wait_log('"module":"static".*directory is ', 4)) == 4


def test_closed_directory(sluice, tmp):
    """Warned of and answered 403, not a reason not to start."""
    wire.put(tmp, "../closed/www/f.txt", b"here")
    os.chmod(f"{tmp}/closed", 0)
    s = sluice(CONF.replace("@dir@/www", "@dir@/closed/www"))
    assert "warning[W0307]" in s.stderr()
    assert http.get(s.port, "/f.txt").status == 403
    os.chmod(f"{tmp}/closed", 0o755)
    wire.within(1, s, "/f.txt", is_body(b"here"))


def test_file_in_place_of_the_directory(sluice, tmp):
    wire.put(tmp, "f.txt", b"here")
    s = sluice(CONF + "fallback = f.txt\n")
    assert http.get(s.port, "/x").body == b"here"
    os.rename(f"{tmp}/www", f"{tmp}/old")
    with open(f"{tmp}/www", "wb"):
        pass
    wire.within(1, s, "/x", lambda r: r.status == 404)


def test_reload_changes_what_is_told(sluice, tmp):
    wire.put(tmp, "f.txt", b"here")
    s = sluice(CONF)
    assert http.get(s.port, "/f.txt").get("cache-control") is None
    s.reload(CONF + "cache_control = max-age=9\n")
    assert http.get(s.port, "/f.txt")["cache-control"] == "max-age=9"
    s.reload(CONF + "types.txt = text/x-other\n")
    r = http.get(s.port, "/f.txt")
    assert r["content-type"] == "text/x-other"
    assert r.get("cache-control") is None


# --- bounds ---

def test_bounds(sluice, tmp):
    """More files than it remembers: all are right, the sums hold."""
    for n in range(300):
        wire.put(tmp, f"mid/{n}", b"%d " % n * 30_000)
    for n in range(600):
        path = wire.put(tmp, f"large/{n}", b"%d" % n)
        os.truncate(path, 200_000)
    s = sluice(CONF)
    with http.Client(s.port) as c:
        for n in range(300):
            assert c.ask("GET", f"/mid/{n}").body == b"%d " % n * 30_000
        for n in range(600):
            r = c.ask("GET", f"/large/{n}", {"Range": "bytes=0-2"})
            assert r.body.rstrip(b"\0") == b"%d" % n
        for n in range(5000):
            assert c.ask("GET", f"/no/{n}").status == 404
        now = wire.sums(s)
        worker = s.roles()["worker 1"]
        assert len(os.listdir(f"/proc/{worker}/fd")) < 600
    assert now["static_entries"] <= 4096
    assert now["static_bytes"] <= 33 << 20
    assert http.get(s.port, "/mid/7").body == b"7 " * 30_000


# --- cost ---

def calls(s, pid, targets):
    """System calls of a worker for requests over one connection, counted,
    and how often a file may have been looked at anew meanwhile."""
    with http.Client(s.port) as c:
        for t in targets:
            c.ask("GET", t)
        with traced(s, pid) as names:
            began = time.monotonic()
            for t in targets:
                c.ask("GET", t)
            anew = 2 + int((time.monotonic() - began) / 0.5)
    return collections.Counter(
        n for n in names if not n.startswith("epoll_")), anew


# a file and its root are looked at anew each half second: in so many calls
# at most
LOOK = 6


@pytest.mark.h1
@pytest.mark.parametrize("size", [1024, 60_000, 102_400])
def test_calls(sluice, tmp, size):
    """A small file is one recv and one send."""
    wire.put(tmp, "f.bin", b"x" * size)
    s = sluice(CONF)
    n = 200
    got, anew = calls(s, s.roles()["worker 1"], ["/f.bin"] * n)
    assert got["recvfrom"] >= n and got["sendto"] + got["sendmsg"] >= n
    assert got["sendfile"] == 0 and got["openat2"] <= 2 * anew
    assert sum(got.values()) <= n * 2 + 40 + LOOK * got["openat2"], got


@pytest.mark.h1
def test_calls_of_large_file(sluice, tmp):
    """In how many pieces it goes is up to how fast its client reads; the
    rest is a recv, a look at the file and a send of the head."""
    wire.put(tmp, "f.bin", b"x" * 300_000)
    s = sluice(CONF)
    time.sleep(0.2)         # what changed just now is opened each time
    n = 200
    got, anew = calls(s, s.roles()["worker 1"], ["/f.bin"] * n)
    pieces = got.pop("sendfile")
    looks = got.pop("cachestat", 0) + got.pop("syscall_0x1c3", 0)
    assert pieces >= n and looks <= pieces and got["openat2"] <= 2 * anew
    assert sum(got.values()) <= n * 3 + 40 + LOOK * got["openat2"], got


@pytest.mark.h1
def test_calls_of_a_connection(sluice, tmp):
    """One that asks once, and is there with its request when it is taken,
    is not watched: accept, recv, send and close are all it costs."""
    wire.put(tmp, "f.bin", b"x" * 1024)
    s = sluice(CONF)
    pid, n = s.roles()["worker 1"], 100
    http.get(s.port, "/f.bin")
    os.kill(pid, signal.SIGSTOP)
    socks = []
    for _ in range(n):
        sock = socket.create_connection(("127.0.0.1", s.port), 10)
        sock.sendall(b"GET /f.bin HTTP/1.1\r\nHost: a\r\n"
                     b"Connection: close\r\n\r\n")
        socks.append(sock)
    with traced(s, pid) as names:
        os.kill(pid, signal.SIGCONT)
        for sock in socks:
            assert sock.makefile("rb").read().endswith(b"x" * 1024)
            sock.close()
    got = collections.Counter(names)
    assert got["accept4"] >= n and got["recvfrom"] >= n, got
    # the listener's own, when it makes room for other workers
    assert got["epoll_ctl"] <= n / 4, got


# --- slow disks ---

def test_stall_is_its_own(sluice, tmp):
    """What waits for a disk delays nobody else, cold files included."""
    for n in range(9):
        wire.put(tmp, f"cold{n}.bin", b"cold %d" % n)
    wire.put(tmp, "warm.txt", b"warm")
    s = sluice(CONF, env={"SLUICE_FAULT": "static_cold,helper_stall:1"})
    took = {}

    def get(target):
        begun = time.monotonic()
        assert http.get(s.port, target).status == 200
        took[target] = time.monotonic() - begun

    first = threading.Thread(target=get, args=("/cold0.bin",))
    first.start()
    deadline = net.Deadline("the first question")
    while wire.sums(s)["asks_total"] == 0:
        assert deadline.left() > 0
    for n in range(1, 9):
        get(f"/cold{n}.bin")
        get("/warm.txt")
    assert first.is_alive()
    first.join()
    assert took.pop("/cold0.bin") > 2
    assert max(took.values()) < 1, took


def test_cold_bytes(sluice, tmp):
    """What is not in memory is read by a helper, then sent."""
    small, large = os.urandom(50_000), os.urandom(9_000_000)
    wire.put(tmp, "small", small)
    wire.put(tmp, "large", large)
    s = sluice(CONF, env={"SLUICE_FAULT": "fs_cold_read"})
    assert http.get(s.port, "/small").body == small
    assert http.get(s.port, "/large").body == large
    with http.Client(s.port) as c:
        r = c.ask("GET", "/large", {"Range": "bytes=8000000-8999999"})
        assert r.body == large[8_000_000:]
        r = c.ask("GET", "/large", {"Range": "bytes=1-2,5000000-8999999"})
        assert r.status == 206 and large[5_000_000:] in r.body
    assert wire.sums(s)["asks_total"] >= 5


def test_client_leaves_a_cold_file(sluice, tmp):
    wire.put(tmp, "cold.bin", bytes(9_000_000))
    wire.put(tmp, "warm.txt", b"warm")
    s = sluice(CONF, env={
        "SLUICE_FAULT": "static_cold,fs_cold_read,helper_stall:1"})
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/cold.bin"))
        c.reset()
    assert http.get(s.port, "/warm.txt").body == b"warm"
    assert len(http.get(s.port, "/cold.bin").body) == 9_000_000


def test_bytes_that_come_late(sluice, tmp):
    """A file that became one of memory later is counted as what it is."""
    for name in ("a", "b", "c"):
        path = wire.put(tmp, name, name.encode() * 50_000)
        os.utime(path, (1, 1))
    time.sleep(0.3)
    s = sluice(CONF, env={"SLUICE_FAULT": "fs_cold_read:2"})
    assert http.get(s.port, "/a").body == b"a" * 50_000
    assert wire.sums(s)["static_bytes"] < 50_000
    time.sleep(0.6)
    for name in ("a", "b", "c"):
        assert http.get(s.port, "/" + name).status == 200
    sums = wire.sums(s)
    assert sums["static_entries"] == 3
    assert 150_000 < sums["static_bytes"] < 160_000


def test_long_names(sluice, tmp):
    """What is not there is remembered within the same bounds."""
    wire.put(tmp, "f.txt", b"x")
    s = sluice(CONF + """
[limits]
target = 56k
header_bytes = 60k
""")
    with http.Client(s.port) as c:
        for n in range(800):
            assert c.get(f"/{n:04d}" + "x" * 56_000).status == 404
    sums = wire.sums(s)
    assert sums["static_bytes"] <= 32 << 20
    assert 0 < sums["static_entries"] < 700


# --- what is told ---

def test_debug_lines(sluice, tmp):
    wire.put(tmp, "f.txt", b"12345")
    s = sluice(CONF + "[log]\nlevel = debug\n")
    http.get(s.port, "/f.txt")
    http.get(s.port, "/f.txt")
    lines = s.wait_log(r'file: .*f\.txt.*5 bytes', count=2)
    assert "MISS" in lines[0] and "HIT" in lines[1]


def test_time_to_come(sluice, tmp):
    """A file of tomorrow: its date is never after that of the answer."""
    path = wire.put(tmp, "f.txt", b"here")
    os.utime(path, (time.time() + 86400,) * 2)
    s = sluice(CONF)
    r = http.get(s.port, "/f.txt")
    said = r["Last-Modified"]
    assert parsedate_to_datetime(said) <= parsedate_to_datetime(r["Date"])
    r = http.get(s.port, "/f.txt", headers={"If-Modified-Since": said})
    assert r.status == 304

"""GET /v1/log and sluicectl log: records as they come."""
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest

from lib import http, net, site
from lib.cmd import BIN, KIND
from lib.net import Deadline


def start(sluice, tmp, more=""):
    site.write(tmp)
    return sluice(site.CONF + more)


def send(s, first, count, path="/hello"):
    with http.Client(s.port) as c:
        for i in range(first, first + count):
            c.send(http.request("GET", f"{path}?n={i}"))
            c.response()


class Follow:
    """sluicectl log, as a process whose lines are awaited."""

    def __init__(self, s, *args, as_json=True):
        self.proc = subprocess.Popen(
            [f"{BIN}/sluicectl", "-s", s.control,
             "-o", "json" if as_json else "text", "log", *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.buf = b""
        self.lines = []

    def until(self, pattern, count=1, seconds=None):
        what = re.compile(pattern)
        deadline = Deadline(f"{pattern!r} of sluicectl log", seconds)
        fd = self.proc.stdout.fileno()
        while True:
            found = [ln for ln in self.lines if what.search(ln)]
            if len(found) >= count:
                return found
            net.wait_fd(fd, deadline.left())
            data = os.read(fd, 1 << 16)
            assert data, self.proc.stderr.read().decode()
            *whole, self.buf = (self.buf + data).split(b"\n")
            self.lines += [w.decode() for w in whole]

    def numbers(self):
        return [int(m.group(1)) for ln in self.lines
                if (m := re.search(r"[?]n=(\d+)", ln))]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.communicate()


def test_past_and_end(sluice, tmp):
    """Without -f what was there is printed, and that is all."""
    s = start(sluice, tmp)
    send(s, 0, 20)
    s.wait_log("n=19\"")
    done = s.ctl("-o", "json", "log")
    got = [json.loads(ln) for ln in done.stdout.splitlines()]
    assert [r["target"] for r in got if "target" in r] == \
        [f"/hello?n={i}" for i in range(20)]
    # they are those of the file, byte for byte
    with open(f"{s.dir}/log/sluice.log", encoding="utf-8") as f:
        file = f.read().splitlines()
    assert set(done.stdout.splitlines()) <= set(file)
    text = s.ctl("log").stdout
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3} 127\.0\.0\.1 GET "
                     r"localhost/hello\?n=19 200 \d+B "
                     r"[\d.]+ms route=hello$", text, re.M), text
    assert re.search(r"^[\d:.]+ info master: ready", text, re.M), text


def test_follows(sluice, tmp):
    s = start(sluice, tmp)
    with Follow(s, "-f") as f:
        send(s, 0, 30)
        f.until("n=29\"")
        send(s, 30, 30)
        f.until("n=59\"")
        assert f.numbers() == list(range(60))
    # who has gone is forgotten, and others may come
    for _ in range(12):
        with Follow(s, "-f") as f:
            send(s, 0, 1)
            f.until("n=0\"")


def test_filter(sluice, tmp):
    s = start(sluice, tmp)
    with Follow(s, "-f", "status", ">=", "400", "and",
                'target ~ "n=[13]$"') as f:
        send(s, 0, 5)
        send(s, 0, 5, "/missing")
        f.until("n=3\"")
        assert f.numbers() == [1, 3]
        assert all(json.loads(ln)["status"] == 404 for ln in f.lines)


@pytest.mark.parametrize("words, why", [
    (["statsu=1"], "no such field"), (["target ~ '('"], "parenthesis"),
    (["("], "field")])
def test_bad_filter(sluice, tmp, words, why):
    s = start(sluice, tmp)
    done = s.ctl("log", *words, ok=False)
    assert done.returncode == 2
    assert "at byte" in done.stderr and why in done.stderr, done.stderr


def ask(s, query):
    c = net.connect(s.control)
    c.sendall(f"GET /v1/log?{query} HTTP/1.1\r\nHost: a\r\n"
              "Connection: close\r\n\r\n".encode())
    return c


def test_bad_queries(sluice, tmp):
    s = start(sluice, tmp)
    for query in ("x=1", "past=-1", "follow", "q=%zz", "past=1%00"):
        with ask(s, query) as c:
            assert c.recv(100).startswith(b"HTTP/1.1 400 "), query


def test_survives_the_logger(sluice, tmp):
    """Its successor's records are all there, once."""
    s = start(sluice, tmp)
    n = 0
    with Follow(s, "-f", "target ~ n=") as f:
        for _ in range(5):
            send(s, n, 20)
            n += 20
            f.until(f"n={n - 1}\"")
            pid = s.kill("logger")
            send(s, n, 20)
            n += 20
            s.wait_role("logger", other_than=pid)
            f.until(f"n={n - 1}\"")
        assert f.numbers() == list(range(n))


def test_survives_control(sluice, tmp):
    s = start(sluice, tmp)
    with Follow(s, "-f") as f:
        send(s, 0, 1)
        f.until("n=0\"")
        pid = s.kill("control")
        s.wait_role("control", other_than=pid)
        assert f.proc.wait(net.WAIT) == 4
    s.wait_log("control: died")
    with Follow(s, "-f") as f:
        send(s, 1, 1)
        f.until("n=1\"")


def body(data):
    """What has come of a chunked answer."""
    _, rest = data.split(b"\r\n\r\n", 1)
    out = b""
    while b"\r\n" in rest:
        size, rest = rest.split(b"\r\n", 1)
        size = int(size, 16)
        out += rest[:size]
        rest = rest[size + 2:]
    return out


def test_slow_reader_is_told(sluice, tmp):
    """It waits for nobody, nobody waits for it, and what it missed is
    counted."""
    s = start(sluice, tmp)
    pad = "x" * 3000
    with ask(s, "follow=1&q=" + urllib.parse.quote("target ~ pad")) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert slow.recv(15) == b"HTTP/1.1 200 OK"
        total = 3000
        with http.Client(s.port) as c:
            for i in range(total):
                c.send(http.request("GET", f"/hello?n={i}&pad={pad}"))
                assert c.response().status == 200
        s.wait_log(f"n={total - 1}&")
        data, deadline, got, lost = b"", Deadline("the rest"), 0, 0
        while got + lost < total:
            slow.settimeout(deadline.left())
            piece = slow.recv(1 << 20)
            assert piece
            data += piece
            lines = body(data).split(b"\n")
            got = sum(b"&pad=" in ln for ln in lines[:-1])
            lost = sum(json.loads(ln).get("dropped", 0)
                       for ln in lines[:-1])
        assert 0 < got and 0 < lost and got + lost == total


@pytest.mark.skipif(KIND == "plain", reason="needs fault points")
def test_end_of_the_past_is_lost(sluice, tmp):
    """It is waited for ten seconds, then what comes is shown all the same."""
    site.write(tmp)
    s = sluice(site.CONF, env={"SLUICE_FAULT": "feed_end"})
    began, data = time.monotonic(), b""
    with ask(s, "follow=1&q=" + urllib.parse.quote("target ~ late")) as c:
        assert c.recv(15) == b"HTTP/1.1 200 OK"
        c.settimeout(1)
        deadline = Deadline("the record", 30 * net.SCALE)
        while b"/late" not in data:
            deadline.left()
            send(s, 0, 1, "/late")
            try:
                data += c.recv(1 << 16)
            except TimeoutError:
                pass
    assert time.monotonic() - began > 9


def test_stop_ends_it(sluice, tmp):
    s = start(sluice, tmp)
    with Follow(s, "-f") as f:
        send(s, 0, 1)
        f.until("n=0\"")
        s.send(signal.SIGTERM)
        assert s.wait() == 0
        assert f.proc.wait(net.WAIT) in (0, 4)


def test_too_many(sluice, tmp):
    s = start(sluice, tmp)
    all_ = [ask(s, "follow=1") for _ in range(8)]
    for c in all_:
        assert c.recv(15) == b"HTTP/1.1 200 OK"
    done = s.ctl("log", ok=False)
    assert done.returncode == 4 and "Too many" in done.stderr
    for c in all_:
        c.close()
    Deadline("room")
    for _ in range(100):
        if s.ctl("log", ok=False).returncode == 0:
            break
    else:
        raise AssertionError("the readers that left still count")

"""Ranges of files: one, several, none (RFC 9110 14)."""
import hashlib
import os
import re

import pytest

from lib import http, wire

pytestmark = pytest.mark.versions

TEN = b"0123456789"
BIG = os.urandom(1 << 20)
HUGE = 5 << 30                  # a hole, but for its marks
MARK = b"<mark>"

CONF = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
[route site]
path = /*
static = @dir@/www
"""
FILES = {"ten.txt": TEN, "big.bin": BIG, "empty.txt": b"",
         "probe.txt": b"probe"}


@pytest.fixture(scope="module")
def gate():
    with wire.gateway(CONF, FILES) as s:
        path = wire.put(s.dir, "huge.bin", b"")
        with open(path, "r+b") as f:
            for at in (0, (4 << 30) - 3, HUGE - len(MARK)):
                f.seek(at)
                f.write(MARK)
        yield s


def ask(gate, target, value, method="GET", **headers):
    fields = [("Range", value)] + [
        (n.replace("_", "-"), v) for n, v in headers.items()]
    with http.Client(gate.port) as c:
        r = c.ask(method, target, fields)
        wire.goes_on(c, "/probe.txt")
    return r


def parts(r, size):
    """[(first, last, body)] of a multipart/byteranges answer, strictly."""
    m = re.fullmatch(r"multipart/byteranges; boundary=([0-9A-Za-z]{16,70})",
                     r["content-type"])
    assert m, r["content-type"]
    assert r.get("content-range") is None
    assert int(r["content-length"]) == len(r.body)
    mark = b"--" + m[1].encode()
    assert r.body.startswith(mark + b"\r\n")
    assert r.body.endswith(b"\r\n" + mark + b"--\r\n")
    inner = r.body[len(mark) + 2:-len(mark) - 6]
    out = []
    for p in inner.split(b"\r\n" + mark + b"\r\n"):
        head, _, body = p.partition(b"\r\n\r\n")
        fields = dict(ln.split(": ", 1)
                      for ln in head.decode().split("\r\n"))
        assert set(fields) == {"Content-Type", "Content-Range"}
        first, last, total = map(int, re.fullmatch(
            r"bytes (\d+)-(\d+)/(\d+)", fields["Content-Range"]).groups())
        assert total == size and len(body) == last - first + 1
        out.append((first, last, body))
    return out


@pytest.mark.parametrize("value,want", [
    ("bytes=0-1,4-5", [(0, 1), (4, 5)]),
    ("bytes=4-5,0-1", [(4, 5), (0, 1)]),        # as they were asked for
    ("bytes=0-0,-1", [(0, 0), (9, 9)]),
    ("bytes=0-0, 2-2 ,\t4-4", [(0, 0), (2, 2), (4, 4)]),
    ("bytes=0-1,,4-5,", [(0, 1), (4, 5)]),
    ("bytes=8-,0-1", [(8, 9), (0, 1)]),
    ("bytes=0-1,20-30,4-5", [(0, 1), (4, 5)]),  # one cannot be satisfied
    ("bytes=0-1,4-5,5-6", [(0, 1), (4, 6)]),
    ("bytes=0-1,8-9,-1", [(0, 1), (8, 9)]),
])
def test_several(gate, value, want):
    r = ask(gate, "/ten.txt", value)
    assert r.status == 206
    assert parts(r, 10) == [(a, b, TEN[a:b + 1]) for a, b in want]
    assert r["etag"] and r["last-modified"]


@pytest.mark.parametrize("value,where", [
    ("bytes=0-1,2-3", "0-3"), ("bytes=0-,0-", "0-9"),
    ("bytes=0-5,3-9", "0-9"), ("bytes=3-9,0-5", "0-9"),
    ("bytes=0-1,99-", "0-1"), ("bytes=99-,-2", "8-9"),
    ("bytes=0-0,1-1,2-2,3-3", "0-3"), ("bytes=5-,-5", "5-9"),
])
def test_several_become_one(gate, value, where):
    r = ask(gate, "/ten.txt", value)
    first, last = map(int, where.split("-"))
    assert r.status == 206 and r["content-range"] == f"bytes {where}/10"
    assert r.body == TEN[first:last + 1]
    assert r["content-type"].startswith("text/plain")


@pytest.mark.parametrize("value", [
    "bytes=99-,100-", "bytes=10-,20-30", "bytes=-0,10-"])
def test_none_of_several(gate, value):
    r = ask(gate, "/ten.txt", value)
    wire.is_fail(r, "range_unsatisfiable")
    assert r["content-range"] == "bytes */10"


@pytest.mark.parametrize("value", [
    "bytes=0-1,x", "bytes=0-1,5-4", "bytes=0-1;4-5", "bytes=0-1 4-5",
    "items=0-1,4-5", ",".join(f"{n}-{n}" for n in range(0, 9)),
    "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 34, 2)),
    "bytes=" + ",".join(["0-"] * 17),
])
def test_whole(gate, value):
    r = ask(gate, "/ten.txt", value)
    assert r.status == 200 and r.body == TEN


def test_sixteen_parts(gate):
    at = [n * 60000 for n in range(16)]
    r = ask(gate, "/big.bin",
            "bytes=" + ",".join(f"{n}-{n + 20000}" for n in at))
    assert parts(r, len(BIG)) == [
        (n, n + 20000, BIG[n:n + 20001]) for n in at]


@pytest.mark.parametrize("value", ["bytes=0-4", "bytes=0-1,4-5",
                                   "bytes=99-"])
def test_head_has_no_ranges(gate, value):
    r = ask(gate, "/ten.txt", value, "HEAD")
    assert r.status == 200 and r["content-length"] == "10"
    assert r.get("content-range") is None


@pytest.mark.turns
@pytest.mark.parametrize("value,status", [
    ("TAG", 206), ("DATE", 200), ('"x"', 200), ("W/TAG", 200)])
def test_if_range_of_several(gate, value, status):
    """The file is not old enough for its date to be a strong one."""
    os.utime(f"{gate.dir}/www/ten.txt")
    whole = wire.within(1, gate, "/ten.txt", lambda r: abs(
        os.stat(f"{gate.dir}/www/ten.txt").st_mtime_ns - int(
            r["etag"].strip('"').split("-")[1], 16)) < 1000)
    value = value.replace("TAG", whole["etag"]).replace(
        "DATE", whole["last-modified"])
    r = ask(gate, "/ten.txt", "bytes=0-1,4-5", If_Range=value)
    assert r.status == status


def test_if_range_of_an_old_date(gate):
    os.utime(f"{gate.dir}/www/ten.txt", (10 ** 9, 10 ** 9))
    whole = wire.within(1, gate, "/ten.txt",
                        lambda r: "2001" in r["last-modified"])
    for date, status in ((whole["last-modified"], 206),
                         ("Sun, 09 Sep 2001 01:46:41 GMT", 200),
                         ("Sun, 09 Sep 2001 01:46:39 GMT", 200)):
        r = ask(gate, "/ten.txt", "bytes=0-4", If_Range=date)
        assert r.status == status, date


def test_range_of_nothing(gate):
    assert ask(gate, "/empty.txt", "bytes=0-").status == 416
    assert ask(gate, "/empty.txt", "bytes=0-,5-").status == 416
    assert ask(gate, "/empty.txt", "bytes=-1").status == 200


# --- beyond 4 GiB ---

def test_huge_has_its_length(gate):
    with http.Client(gate.port) as c:
        r = c.ask("HEAD", "/huge.bin")
    assert r["content-length"] == str(HUGE)


@pytest.mark.parametrize("value,first,last,body", [
    ("bytes=0-5", 0, 5, MARK),
    (f"bytes={(4 << 30) - 3}-{(4 << 30) + 2}", (4 << 30) - 3,
     (4 << 30) + 2, MARK),
    ("bytes=-6", HUGE - 6, HUGE - 1, MARK),
    (f"bytes={HUGE - 6}-", HUGE - 6, HUGE - 1, MARK),
    (f"bytes={HUGE - 2}-{HUGE * 2}", HUGE - 2, HUGE - 1, b"k>"),
    ("bytes=4294967296-4294967297", 4294967296, 4294967297, b"rk"),
])
def test_range_of_huge(gate, value, first, last, body):
    r = ask(gate, "/huge.bin", value)
    assert r.status == 206 and r.body == body
    assert r["content-range"] == f"bytes {first}-{last}/{HUGE}"


def test_ranges_of_huge(gate):
    r = ask(gate, "/huge.bin", f"bytes=0-5,{(4 << 30) - 3}-{(4 << 30) + 2},"
            "-6")
    assert [p[2] for p in parts(r, HUGE)] == [MARK] * 3


def test_range_beyond_huge(gate):
    r = ask(gate, "/huge.bin", f"bytes={HUGE}-")
    assert r.status == 416 and r["content-range"] == f"bytes */{HUGE}"


@pytest.mark.turns
def test_much_of_huge(gate):
    """A hundred megabytes around 4 GiB, as one stream."""
    first = (4 << 30) - (50 << 20)
    r = ask(gate, "/huge.bin", f"bytes={first}-{first + (100 << 20) - 1}")
    want = bytearray(100 << 20)
    want[(50 << 20) - 3:(50 << 20) + 3] = MARK
    assert hashlib.sha256(r.body).digest() == hashlib.sha256(want).digest()

"""Which file answers: siblings, fallback, lists, types, fields."""
import html
import os
import re
import urllib.parse

import pytest

from lib import http, wire

pytestmark = pytest.mark.versions

TEXT = b"hello " * 200
FILES = {
    "app.js": TEXT, "app.js.br": b"BR" * 20, "app.js.zst": b"ZS" * 30,
    "app.js.gz": b"GZ" * 40,
    "one.css": TEXT, "one.css.gz": b"gz of one",
    "old.html": TEXT, "old.html.br": b"stale",
    "pic.png": b"png", "pic.png.gz": b"never",
    "dir.txt": TEXT, "alone.txt": TEXT,
    "index.html": b"<p>app</p>\n", "assets/a.js": b"a",
    "data.thing": b"thing", "data.json": b"{}", "up/UP.HTML": b"up",
    "sub/home.txt": b"home", "sub/index.html": b"sub",
    "bare/file.txt": b"x",
    "list/a & b.txt": b"12345", "list/<i>.txt": b"1",
    "list/dir/x": b"", "list/.hidden": b"", "list/100%.txt": b"",
    'list/"q".txt': b"", "list/\u00e4.txt": b"", "list/java:x": b"",
    "list/back\\slash.txt": b"", "list/back\\dir/x": b"",
    "list/Z.txt": b"", "probe.txt": b"probe",
}
CONF = """
[sluice]
workers = 1
[listener web]
bind = 127.0.0.1:@port@
[route site]
path = /*
static = @dir@/www
types.thing = application/x-thing
types.json = application/vnd.thing+json
[route plain]
host = plain
path = /*
static = @dir@/www
precompressed = off
cache_control = public, max-age=3600
index = home.txt index.html
[route spa]
host = spa
path = /*
static = @dir@/www
fallback = index.html
cache_control = no-cache
[route lists]
host = lists
path = /*
static = @dir@/www
listing = on
[route all]
host = all
path = /*
static = @dir@/www
listing = on
dot_files = allow
index = nothing
"""


@pytest.fixture(scope="module")
def gate():
    with wire.gateway(CONF, FILES) as s:
        www = f"{s.dir}/www"
        os.utime(f"{www}/old.html.br", (10 ** 9, 10 ** 9))
        os.mkdir(f"{www}/dir.txt.br")
        os.symlink("/etc/passwd", f"{www}/alone.txt.gz")
        os.symlink("/etc", f"{www}/list/escape")
        os.symlink("dir", f"{www}/list/link")
        os.symlink("nowhere", f"{www}/list/dangling")
        os.mkfifo(f"{www}/list/fifo")
        for at, _, names in os.walk(www):
            os.chmod(at, 0o755)
            for n in names:
                if n == "a & b.txt":
                    os.utime(f"{at}/{n}", (10 ** 9, 10 ** 9))
        yield s


def ask(gate, target, accept=None, host="localhost", method="GET", **more):
    fields = {n.replace("_", "-"): v for n, v in more.items()}
    fields["Host"] = host
    if accept is not None:
        fields["Accept-Encoding"] = accept
    with http.Client(gate.port) as c:
        r = c.ask(method, target, fields)
        wire.goes_on(c, "/probe.txt")
    return r


# --- siblings ---

SIZES = {"br": 40, "zstd": 60, "gzip": 80}


@pytest.mark.parametrize("accept,coding", [
    (None, None), ("", None), ("identity", None), ("br", "br"),
    ("gzip", "gzip"), ("zstd", "zstd"), ("x-gzip", "gzip"),
    ("GZIP", "gzip"), ("gzip, deflate, br, zstd", "br"),
    ("gzip, deflate", "gzip"), ("deflate", None), ("*", "br"),
    ("gzip;q=1.0, br;q=0.5", "gzip"), ("br;q=0.5,gzip;q=0.8", "gzip"),
    ("br;q=0, gzip", "gzip"), ("br;q=0,zstd;q=0,gzip;q=0", None),
    ("*;q=0", None), ("br;q=0, *", "zstd"), ("gzip, *;q=0", "gzip"),
    ("gzip;q=0.5, identity", None), ("gzip;q=0.5, identity;q=0.4", "gzip"),
    ("identity;q=0, gzip;q=0.1", "gzip"), ("br;q=0.001", "br"),
    ("br;q=0.000", None), ("br;q=2", None), ("br;q=x", None),
    ("br ; q=0.9 , gzip ; q=1", "gzip"), ("br;level=3", None),
    ("broken, gzipx", None), ("br;q=1.", "br"), ("br;q=0.5,br;q=0", None),
])
def test_sibling(gate, accept, coding):
    r = ask(gate, "/app.js", accept)
    assert r.status == 200 and r.get("content-encoding") == coding
    assert len(r.body) == SIZES.get(coding, len(TEXT))
    assert r["content-type"].startswith("text/javascript")
    assert r["vary"].lower() == "accept-encoding"


def test_tags_differ(gate):
    tags = {ask(gate, "/app.js", a)["etag"]
            for a in ("identity", "br", "zstd", "gzip")}
    assert len(tags) == 4
    br = ask(gate, "/app.js", "br")["etag"]
    r = ask(gate, "/app.js", "br", If_None_Match=br)
    assert r.status == 304 and r["etag"] == br and r["vary"]
    assert ask(gate, "/app.js", "gzip", If_None_Match=br).status == 200
    assert ask(gate, "/app.js", "gzip", If_Match=br).status == 412


def test_range_of_a_sibling(gate):
    r = ask(gate, "/app.js", "gzip", Range="bytes=0-3")
    assert r.status == 206 and r.body == b"GZGZ"
    assert r["content-encoding"] == "gzip"
    assert r["content-range"] == "bytes 0-3/80"
    r = ask(gate, "/app.js", "br", Range="bytes=40-")
    assert r.status == 416 and r["content-range"] == "bytes */40"


def test_head_of_a_sibling(gate):
    r = ask(gate, "/app.js", "br", method="HEAD")
    assert r["content-encoding"] == "br" and r["content-length"] == "40"


@pytest.mark.parametrize("target,host", [
    ("/old.html", "localhost"),         # its sibling is older
    ("/pic.png", "localhost"),          # no text
    ("/dir.txt", "localhost"),          # a directory
    ("/alone.txt", "localhost"),        # a link that leads outside
    ("/app.js", "plain"),               # off
])
def test_no_sibling(gate, target, host):
    r = ask(gate, target, "br, gzip, zstd", host)
    assert r.status == 200 and r.get("content-encoding") is None
    assert r.get("vary") is None


def test_sibling_by_its_own_name(gate):
    r = ask(gate, "/one.css.gz", "gzip")
    assert r.body == b"gz of one" and r.get("content-encoding") is None
    assert r["content-type"] == "application/gzip"


@pytest.mark.turns
def test_sibling_that_comes_and_goes(gate):
    path = wire.put(gate.dir, "late.txt", TEXT)
    assert ask(gate, "/late.txt", "gzip").get("vary") is None
    wire.put(gate.dir, "late.txt.gz", b"late")
    fields = {"Accept-Encoding": "gzip"}
    r = wire.within(1, gate, "/late.txt", lambda r: r.body == b"late", fields)
    assert r["vary"]
    os.utime(path, (2 * 10 ** 9, 2 * 10 ** 9))
    wire.within(1, gate, "/late.txt", lambda r: r.body == TEXT, fields)
    os.utime(path, (10 ** 9, 10 ** 9))
    wire.within(1, gate, "/late.txt", lambda r: r.body == b"late", fields)
    os.unlink(path + ".gz")
    wire.within(1, gate, "/late.txt", lambda r: r.body == TEXT, fields)


# --- fallback ---

@pytest.mark.parametrize("target", [
    "/users/7", "/missing", "/missing.html", "/missing/", "/a/b/c/",
    "/assets/missing.js", "/index.html/x", "/%C3%A9", "/assets/"])
def test_fallback(gate, target):
    r = ask(gate, target, host="spa")
    assert r.status == 200 and r.body == FILES["index.html"]
    assert r["content-type"].startswith("text/html")
    assert r["cache-control"] == "no-cache"
    assert r["etag"] == ask(gate, "/index.html", host="spa")["etag"]


def test_no_fallback_for_what_is_there(gate):
    assert ask(gate, "/assets/a.js", host="spa").body == b"a"
    assert ask(gate, "/", host="spa").body == FILES["index.html"]
    assert ask(gate, "/assets", host="spa").status == 301
    assert ask(gate, "/.env", host="spa").status == 404
    assert ask(gate, "/x", host="spa", method="POST").status == 405


def test_fallback_obeys_conditions(gate):
    tag = ask(gate, "/users/7", host="spa")["etag"]
    assert ask(gate, "/users/8", host="spa", If_None_Match=tag).status == 304
    r = ask(gate, "/users/8", host="spa", Range="bytes=0-2")
    assert r.status == 206 and r.body == b"<p>"


# --- fields, types, index ---

def test_cache_control(gate):
    r = ask(gate, "/app.js", host="plain")
    assert r["cache-control"] == "public, max-age=3600"
    r = ask(gate, "/app.js", host="plain", If_None_Match=r["etag"])
    assert r.status == 304 and r["cache-control"] == "public, max-age=3600"
    assert ask(gate, "/app.js").get("cache-control") is None


def test_types(gate):
    assert ask(gate, "/data.thing")["content-type"] == "application/x-thing"
    assert ask(gate, "/data.json")["content-type"] == \
        "application/vnd.thing+json"
    assert ask(gate, "/data.thing", host="plain")["content-type"] == \
        "application/octet-stream"
    assert ask(gate, "/up/UP.HTML")["content-type"].startswith("text/html")


@pytest.mark.h1
def test_index_list(gate):
    assert ask(gate, "/sub/", host="plain").body == b"home"
    assert ask(gate, "/sub/").body == b"sub"
    os.unlink(f"{gate.dir}/www/sub/home.txt")
    wire.within(1, gate, "/sub/", lambda r: r.body == b"sub",
                {"Host": "plain"})


# --- lists ---

def rows(r):
    """[(link as a name, text, size, date)]"""
    assert r["content-type"] == "text/html; charset=utf-8"
    assert r["cache-control"] == "no-cache"
    found = re.findall(r'<tr><td><a href="([^"<>]*)">([^<>]*)</a></td>'
                       r"<td>([^<>]*)</td><td>([^<>]*)</td></tr>", r.text)
    assert len(found) == r.text.count("<a ")
    return [(urllib.parse.unquote(a), html.unescape(b), c, d)
            for a, b, c, d in found]


def test_list(gate):
    got = rows(ask(gate, "/list/", host="lists"))
    names = ["dir/", "link/", '"q".txt', "100%.txt", "<i>.txt", "Z.txt",
             "a & b.txt", "java:x", "\u00e4.txt"]
    assert [g[1] for g in got] == ["../"] + names
    assert [g[0] for g in got] == ["../"] + [f"./{n}" for n in names]
    by = {g[1]: g for g in got}
    assert by["a & b.txt"][2:] == ("5", "2001-09-09 01:46")
    assert by["dir/"][2] == "-"


def test_list_links_work(gate):
    for link, text, _, _ in rows(ask(gate, "/list/", host="lists"))[1:]:
        if text.endswith("/"):
            continue
        target = "/list/" + urllib.parse.quote(link[2:])
        assert ask(gate, target, host="lists").status == 200, target
    assert ask(gate, "/list/back%5Cslash.txt", host="lists").status == 400


def test_list_of_all(gate):
    got = [g[1] for g in rows(ask(gate, "/list/", host="all"))]
    assert ".hidden" in got and "escape/" not in got
    assert not [g for g in got if "\\" in g]
    top = rows(ask(gate, "/", host="all"))
    assert top[0][1] != "../" and "list/" in [g[1] for g in top]


def test_no_list(gate):
    assert ask(gate, "/list/").status == 403            # off by default
    assert ask(gate, "/sub/", host="lists").body == b"sub"
    assert ask(gate, "/list", host="lists").status == 301
    assert ask(gate, "/list/escape/", host="lists").status in (403, 404)
    assert ask(gate, "/.git/", host="lists").status == 404
    r = ask(gate, "/list/", host="lists", method="HEAD")
    assert r.status == 200 and r.body == b"" and int(r["content-length"]) > 99


def test_list_title_is_escaped(gate):
    os.makedirs(f"{gate.dir}/www/list/<script>x")
    r = ask(gate, "/list/%3Cscript%3Ex/", host="lists")
    assert r.status == 200 and "<script>" not in r.text
    os.rmdir(f"{gate.dir}/www/list/<script>x")


@pytest.mark.turns
@pytest.mark.h1
def test_long_list(gate):
    os.makedirs(f"{gate.dir}/www/long")
    for n in range(10050):
        os.close(os.open(f"{gate.dir}/www/long/{n:05}", os.O_CREAT, 0o644))
    r = ask(gate, "/long/", host="lists")
    assert len(rows(r)) == 10001 and "There are more." in r.text


# --- what is counted ---

@pytest.mark.h1
def test_hits_and_misses(gate):
    wire.put(gate.dir, "count.txt", b"x" * 1000)
    was = wire.sums(gate)
    with http.Client(gate.port) as c:
        for _ in range(5):
            assert c.ask("GET", "/count.txt").status == 200
    now = wire.sums(gate)
    assert now["static_misses_total"] - was["static_misses_total"] == 1
    assert now["static_hits_total"] - was["static_hits_total"] == 4
    assert now["static_bytes"] - was["static_bytes"] >= 1000
    lines = gate.wait_log(r'"target": ?"/count.txt"', count=5)
    assert sorted(re.search(r'"cache": ?"(\w+)"', ln)[1] for ln in lines) \
        == ["HIT"] * 4 + ["MISS"]

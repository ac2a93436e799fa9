"""Files: types, conditions, ranges, and what must not be reached."""
import email.utils
import hashlib
import os

import pytest

from lib import http, net, wire

pytestmark = pytest.mark.versions

BIG = os.urandom(5 << 20)
SECRET = b"SECRET\n"
TYPES = {
    "a.html": "text/html", "a.htm": "text/html", "a.css": "text/css",
    "a.js": "text/javascript", "a.mjs": "text/javascript",
    "a.json": "application/json", "a.txt": "text/plain",
    "a.svg": "image/svg+xml", "a.png": "image/png", "a.jpg": "image/jpeg",
    "a.jpeg": "image/jpeg", "a.gif": "image/gif", "a.webp": "image/webp",
    "a.ico": "image/", "a.woff2": "font/woff2", "a.wasm":
    "application/wasm", "a.pdf": "application/pdf", "a.xml": "/xml",
    "a.mp4": "video/mp4", "a.zip": "application/zip",
    "a.unknown": "application/octet-stream", "noext":
    "application/octet-stream", "A.HTML": "text/html",
    "a.tar.gz": "application/gzip", "a.txt.": "application/octet-stream",
}
FILES = {
    **{n: n.encode() for n in TYPES},
    "index.html": b"<p>home</p>\n", "dir/index.html": b"<p>dir</p>\n",
    "dir/file.txt": b"0123456789", "none/file.txt": b"x",
    "own/home.txt": b"own index", "empty.txt": b"", "big.bin": BIG,
    "with space.txt": b"space", "caf\u00e9.txt": b"umlaut",
    "a+b&c=d;e.txt": b"odd", "per%cent.txt": b"percent",
    ".hidden": b"hidden", ".git/config": b"hidden", "dir/.env": b"hidden",
    ".well-known/acme": b"known", "..dots/file.txt": b"hidden",
}

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[route site]
path = /*
static = @dir@/www
[route own]
path = /own/*
static = @dir@/www
index = none.html home.txt
"""


@pytest.fixture(scope="module")
def gate():
    with wire.gateway(CONF, FILES) as s:
        www = f"{s.dir}/www"
        with open(f"{s.dir}/secret.txt", "wb") as f:
            f.write(SECRET)
        os.symlink("file.txt", f"{www}/dir/inside.txt")
        os.symlink(f"{www}/dir/file.txt", f"{www}/absolute.txt")
        os.symlink(f"{s.dir}/secret.txt", f"{www}/escape.txt")
        os.symlink("../secret.txt", f"{www}/up.txt")
        os.symlink("..", f"{www}/out")
        os.symlink("loop", f"{www}/loop")
        os.symlink("nowhere", f"{www}/dangling")
        os.mkfifo(f"{www}/fifo")
        wire.put(s.dir, "closed.txt", SECRET)
        os.chmod(f"{www}/closed.txt", 0)
        yield s


def ask(gate, target, method="GET", **headers):
    fields = [(n.replace("_", "-"), v) for n, v in headers.items()]
    with http.Client(gate.port) as c:
        r = c.ask(method, target, fields)
        # whatever the answer was, its end was where it said
        assert c.get("/dir/file.txt").body == b"0123456789"
    return r


# --- what is served ---

@pytest.mark.parametrize("name", TYPES)
def test_type(gate, name):
    r = ask(gate, f"/{name}")
    assert r.status == 200 and r.body == name.encode()
    assert TYPES[name] in r["content-type"]
    if TYPES[name].startswith("text/"):
        assert "charset=utf-8" in r["content-type"].lower()


@pytest.mark.parametrize("target,body", [
    ("/", b"<p>home</p>\n"), ("/?x=y", b"<p>home</p>\n"),
    ("/dir/", b"<p>dir</p>\n"), ("/dir/file.txt?v=1", b"0123456789"),
    ("/with%20space.txt", b"space"), ("/caf%C3%A9.txt", b"umlaut"),
    ("/a+b&c=d;e.txt", b"odd"), ("/per%25cent.txt", b"percent"),
    ("/dir/./file.txt", b"0123456789"), ("/x/../dir/file.txt",
                                         b"0123456789"),
    ("/dir/inside.txt", b"0123456789"), ("/absolute.txt", b"0123456789"),
    ("/own/", b"own index"), ("/.well-known/acme", b"known"),
    ("/empty.txt", b""),
])
def test_served(gate, target, body):
    r = ask(gate, target)
    assert r.status == 200 and r.body == body
    assert r["content-length"] == str(len(body))


def test_big(gate):
    r = ask(gate, "/big.bin")
    assert hashlib.sha256(r.body).digest() == hashlib.sha256(BIG).digest()


def test_fields(gate):
    r = ask(gate, "/dir/file.txt")
    st = os.stat(f"{gate.dir}/www/dir/file.txt")
    assert r["last-modified"] == email.utils.formatdate(
        int(st.st_mtime), usegmt=True)
    assert r["accept-ranges"] == "bytes"
    assert r["etag"].startswith('"') and r["etag"].endswith('"')


@pytest.mark.parametrize("target", ["/dir/file.txt", "/", "/empty.txt",
                                    "/big.bin", "/missing", "/dir"])
def test_head(gate, target):
    full, r = ask(gate, target), ask(gate, target, "HEAD")
    assert r.status == full.status and r.body == b""
    drop = {"date", "x-request-id"}
    if full.status == 404:      # the page has the id in it
        drop |= {"content-length"}
    assert [f for f in r.headers if f[0] not in drop] == [
        f for f in full.headers if f[0] not in drop]


@pytest.mark.parametrize("target,where", [
    ("/dir", "/dir/"), ("/dir?a=b", "/dir/?a=b"), ("/own", None),
    ("/none", "/none/"), ("/x/../dir", "/dir/")])
def test_directory_gets_its_slash(gate, target, where):
    r = ask(gate, target)
    assert r.status in (301, 302, 307, 308)
    assert r["location"] in (where or "/own/",
                             f"http://localhost{where or '/own/'}")


def test_directory_without_index(gate):
    r = ask(gate, "/none/")
    assert r.status in (403, 404) and b"file.txt" not in r.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_get(gate, method):
    r = ask(gate, "/dir/file.txt", method)
    wire.is_fail(r, "method_not_allowed")
    assert {"GET", "HEAD"} <= set(r["allow"].split(", "))


# --- what is not ---

@pytest.mark.parametrize("target", [
    "/missing", "/dir/missing", "/missing/", "/dir/file.txt/",
    "/dir/file.txt/x", "/.hidden", "/.git/config", "/.git/", "/.git",
    "/dir/.env", "/%2ehidden", "/..dots/file.txt", "/dir/../.hidden",
    "/dangling", "/.well-known/../.hidden", "/dir/file.txt%20",
    "/dir/FILE.TXT", "/" + "a" * 300, "/" + "a/" * 500,
])
def test_not_found(gate, target):
    wire.is_fail(ask(gate, target), "not_found")


def skip_if_open(target):
    if target == "/closed.txt" and os.environ.get("SLUICE_KIND") == "cover":
        pytest.skip("there the workers are root")


@pytest.mark.parametrize("target", [
    "/../secret.txt", "/../../../../etc/passwd", "/dir/../../secret.txt",
    "/%2e%2e/secret.txt", "/%2e%2e%2fsecret.txt", "/..%2fsecret.txt",
    "/dir/..%2f..%2fsecret.txt", "/..%5csecret.txt", "/..\\secret.txt",
    "/%252e%252e/secret.txt", "/.%2e/secret.txt", "/%2e./secret.txt",
    "/dir/%2e%2e/%2e%2e/secret.txt", "/secret.txt%00.html", "/%00",
    "/out/secret.txt", "/escape.txt", "/up.txt", "/closed.txt", "/fifo",
    "/loop", "//../secret.txt", "/dir//../../secret.txt",
    "/..;/secret.txt", "/%c0%ae%c0%ae/secret.txt", "/out/", "/out",
    "/./../secret.txt",
])
def test_not_reached(gate, target):
    skip_if_open(target)
    r = ask(gate, target)
    assert r.status in (400, 403, 404), r
    assert SECRET not in r.body and b"root:" not in r.body
    wire.told(r)


@pytest.mark.parametrize("target", ["/escape.txt", "/up.txt", "/closed.txt",
                                    "/out/secret.txt"])
def test_forbidden_or_hidden_is_no_error(gate, target):
    skip_if_open(target)
    assert ask(gate, target).status in (403, 404)


# --- conditions (RFC 9110 13) ---

FILE = "/dir/file.txt"
OLD = "Sat, 01 Jan 2000 00:00:00 GMT"
NEW = "Fri, 01 Jan 2100 00:00:00 GMT"


def conditional(gate, status, **headers):
    tag = ask(gate, FILE)["etag"]
    date = ask(gate, FILE)["last-modified"]
    fields = {n: v.replace("TAG", tag).replace("DATE", date)
              for n, v in headers.items()}
    r = ask(gate, FILE, **fields)
    assert r.status == status, (fields, r)
    if status == 304:
        assert r.body == b"" and r["etag"] == tag
    elif status == 200:
        assert r.body == b"0123456789"
    elif status == 412:
        wire.is_fail(r, "precondition")
    return r


@pytest.mark.parametrize("status,headers", [
    (304, {"If_None_Match": "TAG"}),
    (304, {"If_None_Match": "W/TAG"}),
    (304, {"If_None_Match": '"x", TAG, "y"'}),
    (304, {"If_None_Match": "*"}),
    (200, {"If_None_Match": '"x"'}),
    (200, {"If_None_Match": '"x", "y"'}),
    (304, {"If_Modified_Since": "DATE"}),
    (304, {"If_Modified_Since": NEW}),
    (200, {"If_Modified_Since": OLD}),
    (200, {"If_Modified_Since": "yesterday"}),
    # the tag decides where there is one
    (200, {"If_None_Match": '"x"', "If_Modified_Since": NEW}),
    (304, {"If_None_Match": "TAG", "If_Modified_Since": OLD}),
    (200, {"If_Match": "TAG"}), (200, {"If_Match": "*"}),
    (200, {"If_Match": '"x", TAG'}),
    (412, {"If_Match": '"x"'}),
    (412, {"If_Match": "W/TAG"}),               # a strong comparison
    (412, {"If_Unmodified_Since": OLD}),
    (200, {"If_Unmodified_Since": "DATE"}),
    (200, {"If_Unmodified_Since": "nonsense"}),
    (200, {"If_Match": "TAG", "If_Unmodified_Since": OLD}),
    (412, {"If_Match": '"x"', "If_None_Match": "TAG"}),
    (304, {"If_Match": "TAG", "If_None_Match": "TAG"}),
])
def test_condition(gate, status, headers):
    conditional(gate, status, **headers)


def test_condition_with_head(gate):
    tag = ask(gate, FILE)["etag"]
    assert ask(gate, FILE, "HEAD", If_None_Match=tag).status == 304
    assert ask(gate, FILE, "HEAD", If_Match='"x"').status == 412


@pytest.mark.turns
def test_changed_file_has_another_tag(sluice, tmp):
    wire.put(tmp, "f.txt", b"one")
    s = sluice(CONF.partition("[route own]")[0])
    first = http.get(s.port, "/f.txt")
    wire.put(tmp, "new.txt", b"two")
    os.rename(f"{tmp}/www/new.txt", f"{tmp}/www/f.txt")
    r = wire.within(1, s, "/f.txt", lambda r: r.status == 200,
                    {"If-None-Match": first["etag"]})
    assert r.body == b"two"
    assert r["etag"] != first["etag"]


# --- ranges (RFC 9110 14) ---

@pytest.mark.parametrize("value,body,where", [
    ("bytes=0-4", b"01234", "0-4"), ("bytes=3-3", b"3", "3-3"),
    ("bytes=5-", b"56789", "5-9"), ("bytes=-3", b"789", "7-9"),
    ("bytes=0-", b"0123456789", "0-9"), ("bytes=9-9", b"9", "9-9"),
    ("bytes=0-999", b"0123456789", "0-9"),
    ("bytes=-999", b"0123456789", "0-9"), ("BYTES=1-2", b"12", "1-2"),
    ("bytes=8-99999999999999999999", b"89", "8-9"),
])
def test_range(gate, value, body, where):
    r = ask(gate, FILE, Range=value)
    assert r.status == 206 and r.body == body
    assert r["content-range"] == f"bytes {where}/10"
    assert r["etag"] == ask(gate, FILE)["etag"]


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=-0",
                                   "bytes=999-1000"])
def test_range_beyond(gate, value):
    r = ask(gate, FILE, Range=value)
    wire.is_fail(r, "range_unsatisfiable")
    assert r["content-range"] == "bytes */10"


@pytest.mark.parametrize("value", [
    "bytes=4-2", "bytes=", "bytes=x", "bytes=-", "bytes=1", "bytes 1-2",
    "lines=1-2", "bytes=1-2x", "bytes=+1-2", "bytes=0x1-2", "", "bytes=--1"])
def test_range_that_is_none(gate, value):
    """What is malformed, or of another unit, is ignored."""
    r = ask(gate, FILE, Range=value)
    assert r.status == 200 and r.body == b"0123456789"


def test_range_of_nothing(gate):
    assert ask(gate, "/empty.txt", Range="bytes=0-").status == 416


def test_range_of_big(gate):
    r = ask(gate, "/big.bin", Range="bytes=1000000-3999999")
    assert r.status == 206 and r.body == BIG[1000000:4000000]


def test_range_is_for_get(gate):
    r = ask(gate, FILE, "HEAD", Range="bytes=0-4")
    assert r.status == 200 and r["content-length"] == "10"


@pytest.mark.parametrize("value,status", [
    ("TAG", 206), ('"x"', 200), ("W/TAG", 200), (OLD, 200), (NEW, 200),
    ("nonsense", 200)])
def test_if_range(gate, value, status):
    tag = ask(gate, FILE)["etag"]
    r = ask(gate, FILE, Range="bytes=0-4",
            If_Range=value.replace("TAG", tag))
    assert r.status == status
    assert r.body == (b"01234" if status == 206 else b"0123456789")


def test_range_after_conditions(gate):
    tag = ask(gate, FILE)["etag"]
    assert ask(gate, FILE, Range="bytes=0-4",
               If_None_Match=tag).status == 304
    assert ask(gate, FILE, Range="bytes=99-", If_Match='"x"').status == 412


# --- while it is sent ---

def test_cut_while_sent(sluice, tmp):
    """What was promised is not there any more: no clean end."""
    path = wire.put(tmp, "f.bin", bytes(32 << 20))
    s = sluice(CONF.partition("[route own]")[0])
    with http.Client(s.port, sock=net.connect(s.port, rcvbuf=4096)) as c:
        c.send(http.request("GET", "/f.bin"))
        r = c.head()
        os.truncate(path, 1 << 20)
        with pytest.raises(http.Closed):
            c.body(r)
    assert wire.record(s, target="/f.bin")["fail"] == "file_changed"
    assert http.get(s.port, "/f.bin").body == bytes(1 << 20)


def test_replaced_while_sent(sluice, tmp):
    """An open file stays what it was."""
    path = wire.put(tmp, "f.bin", b"old!" * (4 << 20))
    s = sluice(CONF.partition("[route own]")[0])
    with http.Client(s.port, sock=net.connect(s.port, rcvbuf=4096)) as c:
        c.send(http.request("GET", "/f.bin"))
        r = c.head()
        wire.put(tmp, "g.bin", b"new")
        os.rename(f"{tmp}/www/g.bin", path)
        c.body(r)
    assert r.body == b"old!" * (4 << 20)
    wire.within(1, s, "/f.bin", lambda r: r.body == b"new")


def test_switches(sluice, tmp):
    """dot_files = allow, symlinks = follow and off."""
    wire.put(tmp, ".hidden", b"dot")
    wire.put(tmp, "dir/file.txt", b"x")
    with open(f"{tmp}/outside", "wb") as f:
        f.write(b"out")
    os.chmod(f"{tmp}/outside", 0o644)
    os.symlink(f"{tmp}/outside", f"{tmp}/www/link")
    os.symlink("dir/file.txt", f"{tmp}/www/near")
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
[route open]
path = /*
static = @dir@/www
dot_files = allow
symlinks = follow
""")
    assert http.get(s.port, "/.hidden").body == b"dot"
    assert http.get(s.port, "/link").body == b"out"
    assert http.get(s.port, "/near").body == b"x"
    s.reload("""
[listener web]
bind = 127.0.0.1:@port@
[route off]
path = /*
static = @dir@/www
symlinks = off
""")
    assert http.get(s.port, "/.hidden").status == 404
    assert http.get(s.port, "/link").status in (403, 404)
    assert http.get(s.port, "/near").status in (403, 404)
    assert http.get(s.port, "/dir/file.txt").body == b"x"


def test_double_slash_is_no_way_around_a_route(sluice, tmp):
    """`//` is kept: routes and files see the same path."""
    os.makedirs(f"{tmp}/www/sub/private")
    with open(f"{tmp}/www/sub/private/a.txt", "w", encoding="ascii") as f:
        f.write("private")
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
[route private]
path = /sub/private/*
respond = 403 no
[route site]
path = /*
static = @dir@/www
""")
    assert http.get(s.port, "/sub/private/a.txt").status == 403
    for target in ("/sub//private/a.txt", "//sub/private/a.txt",
                   "/sub/./private/../..//sub//private/a.txt",
                   "/sub/%2fprivate/a.txt"):
        assert http.get(s.port, target).status in (400, 404), target


# --- the directory itself ---

def test_directory_that_comes_later(sluice, tmp):
    """As with others: it starts, and answers 404 until it is there."""
    s = sluice(f"""
[listener web]
bind = 127.0.0.1:@port@
[route site]
path = /*
static = {tmp}/later
""")
    assert http.get(s.port, "/a.txt").status == 404
    os.mkdir(f"{tmp}/later")
    with open(f"{tmp}/later/a.txt", "w", encoding="ascii") as f:
        f.write("here")
    assert http.get(s.port, "/a.txt").body == b"here"

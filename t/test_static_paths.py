"""Nothing outside of the root, whatever is asked for, whatever moves."""
import os
import threading
import time

import pytest

from lib import http, wire

pytestmark = pytest.mark.versions

SECRET = b"SECRET\n"
ROUTE = """
[listener web]
bind = 127.0.0.1:@port@
[route site]
path = /*
static = @dir@/www
listing = on
fallback = inside.txt
[route off]
host = off
path = /*
static = @dir@/www
symlinks = off
[route dots]
host = dots
path = /*
static = @dir@/www
dot_files = allow
[route kept]
host = follow
path = /*
static = @dir@/www
symlinks = follow
"""
UP = ["..", "%2e%2e", ".%2e", "%2e.", "%2E%2E", "..%2f..", "..%2F..",
      "..%5c..", "..%5C..", "..\\..", "%252e%252e", "%252e%252e%252f..",
      "..%00", "..;", "..;x=y", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae",
      "%uff0e%uff0e", "..%c0%af..", "..%ef%bc%8f", "..%2f", "%2e%2e%2f",
      "%2e%2e%5c", "...", "....", "..%20", "..%09", "..%0a", "..%0d%0a",
      "..%ff", "..?", "..#", "..//", ".//..", "%2f..", "%5c..",
      "./..", "x/../..", "dir/../..", "dir/./../..", "dir//../..",
      "%2e%2e/%2e%2e", "..%2f%2e%2e", "..%2f./"]
LINKS = ["escape.txt", "up.txt", "out/secret.txt", "abs/secret.txt",
         "out/www/../secret.txt", "chain1", "dir/back/secret.txt",
         "dir/back/../secret.txt", "proc/fd/0", "proc/cwd/x",
         "loop", "loop1", "dangling", "prefix/secret.txt", "sibling.txt",
         "dir/deep/out", "null", "self/self/escape.txt", "magic"]


@pytest.fixture(scope="module")
def gate():
    files = {"inside.txt": b"inside", "dir/file.txt": b"file",
             "dir/deep/x": b"x", ".hidden/x": b"hidden"}
    with wire.gateway(ROUTE, files) as s:
        www = f"{s.dir}/www"
        put_secret(s.dir)
        os.mkdir(f"{s.dir}/www2")       # begins like the root
        with open(f"{s.dir}/www2/secret.txt", "wb") as f:
            f.write(SECRET)
        for name, to in [
                ("escape.txt", f"{s.dir}/secret.txt"),
                ("up.txt", "../secret.txt"), ("out", ".."),
                ("abs", s.dir), ("chain1", "chain2"), ("chain2", "up.txt"),
                ("dir/back", "../.."), ("proc", "/proc/self"),
                ("loop", "loop"), ("loop1", "loop2"), ("loop2", "loop1"),
                ("dangling", "nowhere"), ("prefix", f"{s.dir}/www2"),
                ("sibling.txt", "../www2/secret.txt"),
                ("dir/deep/out", "../../../secret.txt"),
                ("null", "/dev/null"), ("self", "."),
                ("magic", "/proc/self/fd/0"),
                ("near.txt", "dir/file.txt"),
                ("near_abs.txt", f"{www}/dir/file.txt"),
                ("near_dir", f"{www}/dir"),
                ("dir/near_up.txt", "../inside.txt"),
                ("around.txt", "../www/inside.txt")]:
            os.symlink(to, f"{www}/{name}")
        yield s


def put_secret(top):
    for at in (top, os.path.dirname(top)):
        path = os.path.join(at, "secret.txt")
        if at == top:
            with open(path, "wb") as f:
                f.write(SECRET)
            os.chmod(path, 0o644)


def ask(gate, target, host="localhost"):
    r = http.get(gate.port, target.encode().decode("latin-1"), host=host)
    data = r.body + repr(r.headers).encode()
    assert b"SECRET" not in data and b"root:" not in data, (target, data)
    return r.status, r.body


@pytest.mark.parametrize("host", ["localhost", "dots", "follow"])
@pytest.mark.parametrize("up", UP)
def test_traversal(gate, up, host):
    """Below, above and beside; what is answered is inside, or nothing."""
    for target in (f"/{up}/secret.txt", f"/dir/{up}/{up}/secret.txt",
                   f"/dir/deep/{up}/{up}/{up}/etc/passwd",
                   f"/{up}/www2/secret.txt", f"/{up}", f"/{up}/",
                   f"//{up}/secret.txt", f"/dir/{up}%2fsecret.txt"):
        status, body = ask(gate, target, host)
        assert status in (200, 301, 400, 403, 404), (target, status)
        if status == 200 and b"<html" not in body:
            assert body in (b"inside", b"file", b"x"), (target, body)


@pytest.mark.parametrize("host", ["localhost", "dots", "off"])
@pytest.mark.parametrize("link", LINKS)
def test_link(gate, link, host):
    for _ in range(2):          # what is remembered is no other
        status, body = ask(gate, f"/{link}", host)
        assert status in (200, 301, 403, 404), (link, status)
        if status == 200:
            assert body in (b"inside", b""), (link, body)


@pytest.mark.parametrize("link,body,off", [
    ("near.txt", b"file", 404), ("near_abs.txt", b"file", 404),
    ("near_dir/file.txt", b"file", 404), ("dir/near_up.txt", b"inside", 404),
    ("self/self/inside.txt", b"inside", 404),
    ("dir/file.txt", b"file", 200)])
def test_link_inside(gate, link, body, off):
    for _ in range(2):
        assert ask(gate, f"/{link}") == (200, body)
        status, got = ask(gate, f"/{link}", "off")
        assert status == off and (status != 200 or got == body)


@pytest.mark.parametrize("target", [
    "/.hidden/x", "/.hidden/", "/.hidden", "/%2ehidden/x", "/%2Ehidden/x",
    "/dir/../.hidden/x", "/dir/%2e%2e/.hidden/x", "/self/.hidden/x"])
def test_dots(gate, target):
    assert ask(gate, target)[0] == 404
    assert ask(gate, target, "dots")[0] in (200, 301, 403)


# --- while others move things ---

SPIN = 3.0


def swapper(s, stop):
    """Turns d into a link outside and back, as fast as it can."""
    www = f"{s.dir}/www"
    os.symlink(f"{s.dir}/far", f"{www}/link")
    n = 0
    while not stop.is_set():
        for a, b in (("d", "was"), ("link", "d"), ("d", "link"),
                     ("was", "d")):
            os.rename(f"{www}/{a}", f"{www}/{b}")
        n += 1
    assert n > 10


def linker(s, stop):
    """Makes f.txt a file, a link inside and a link outside in turn."""
    www = f"{s.dir}/www"
    while not stop.is_set():
        for to in ("d/f.txt", f"{s.dir}/far/f.txt", "../far/f.txt",
                   f"{www}/d/f.txt"):
            os.symlink(to, f"{www}/new")
            os.rename(f"{www}/new", f"{www}/f.txt")


def asker(s, stop, seen):
    targets = ["/d/f.txt", "/f.txt", "/d/", "/link/f.txt", "/was/f.txt",
               "/d/e/g.txt"]
    with http.Client(s.port) as c:
        while not stop.is_set():
            for t in targets:
                r = c.ask("GET", t)
                seen.append((t, r.status, b"SECRET" in r.body))


@pytest.mark.turns
def test_swaps(sluice, tmp):
    """Every answer is from inside, while links and folders are swapped."""
    wire.put(tmp, "d/f.txt", b"good")
    wire.put(tmp, "d/e/g.txt", b"good")
    for name in ("far/f.txt", "far/e/g.txt"):
        wire.put(tmp, f"../{name}", SECRET)
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
[route site]
path = /*
static = @dir@/www
listing = on
""")
    stop, seen = threading.Event(), []
    all_ = [threading.Thread(target=swapper, args=(s, stop)),
            threading.Thread(target=linker, args=(s, stop))]
    all_ += [threading.Thread(target=asker, args=(s, stop, seen))
             for _ in range(4)]
    for t in all_:
        t.start()
    time.sleep(SPIN)
    stop.set()
    for t in all_:
        t.join()
    assert len(seen) > 200
    assert not [x for x in seen if x[2]]
    assert {x[1] for x in seen} <= {200, 301, 403, 404}
    assert any(x[1] == 200 for x in seen)


def test_follow_needs_no_root(gate):
    """symlinks = follow: links may lead outside, paths may not."""
    assert http.get(gate.port, "/escape.txt", host="follow").body == SECRET
    assert ask(gate, "/../secret.txt", "follow")[0] == 400
    assert ask(gate, "/proc/cwd/../etc/passwd", "follow")[0] in (403, 404)


def test_slash_names_no_host(sluice, tmp):
    """The redirect of a directory stays here, whatever was asked for."""
    wire.put(tmp, "dir/index.html", b"dir")
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
[route all]
path = /*
static = @dir@/www
rewrite = ^/.*$ /dir
""")
    with http.Client(s.port) as c:
        r = c.get("//evil.example")
    assert r.status == 301
    assert r["Location"] == "/.//evil.example/"


def test_sites_are_told_apart(sluice, tmp):
    """Two routes whose words are one text when put together."""
    for top in ("a", "a|b"):
        wire.put(tmp, f"{top}/f.txt", top.encode())
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
[route long]
host = long
static = @dir@/www/a|b
[route short]
host = short
static = @dir@/www/a
fallback = b
cache_control = |
""")
    for host, want in (("long", b"a|b"), ("short", b"a")):
        r = http.get(s.port, "/f.txt", host=host)
        assert r.status == 200 and r.body == want

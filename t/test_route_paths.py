"""Patterns of paths: which of several wins, what they catch, rewriting."""
import pytest

from lib import http, wire

pytestmark = pytest.mark.versions

CONF = r"""
[listener web]
bind = 127.0.0.1:@port@
[route any]
respond = 200 any ${path}
[route user]
path = /users/:id
respond = 200 user ${path.id}
[route me]
path = /users/me
respond = 200 me
[route post]
path = /users/:id/posts/:post
respond = 200 post ${path.id} ${path.post}
[route files]
path = /users/:id/files/* /u/:id/* /o/:other
respond = 200 files ${path.id}${path.other}${path}
[route under]
path = /users/*
respond = 200 under
[route al]
path = /users/al*
respond = 200 al
[route num]
path = ~ ^/x/(\d{1,3})$
respond = 200 num ${path.1}
[route word]
path = ~^/x/(?<word>\w+)(?:/(?<more>.*))?$
respond = 200 word ${path.word} ${path.more}.
[route late]
path = ~ ^/x/
respond = 200 late
[route prefix]
path = /x/p*
respond = 200 prefix
[route case]
path = ~ (?i)^/CASE$
respond = 200 case
[route bomb]
path = ~ ^/bomb/(a+)+$
respond = 200 bomb
[route blow]
path = /blow/*
rewrite = ^/blow/(a+)+$ /up
respond = 200 ${path}
[route other]
host = h.example
path = ~ ^/only
respond = 200 only
"""


@pytest.fixture(scope="module")
def gate():
    with wire.gateway(CONF) as s:
        yield s


@pytest.mark.parametrize("path,want", [
    ("/", "any /"), ("/users", "any /users"), ("/users/42", "user 42"),
    ("/users/me", "me"), ("/users/m%65", "me"), ("/users/a%20b",
                                                  "user a%20b"),
    ("/users/alice", "al"), ("/users/", "under"), ("/users/1/2", "under"),
    ("/users/42/posts/7", "post 42 7"), ("/users//posts/7", "under"),
    ("/users/42/posts/", "under"), ("/users/42/posts/7/x", "under"),
    ("/users/me/posts/7", "post me 7"),
    ("/users/4/files/a/b", "files 4/users/4/files/a/b"),
    ("/u/4/", "files 4/u/4/"), ("/u/4", "any /u/4"),
    ("/o/8", "files 8/o/8"),
    # regular expressions, in the order of the file, behind prefixes
    ("/x/12", "num 12"), ("/x/1234", "word 1234 ."),
    ("/x/w/a/b", "word w a/b."), ("/x/-", "late"), ("/x/pq", "prefix"),
    ("/x/%31", "num 1"), ("/case", "case"), ("/CaSe", "case"),
    ("/only", "any /only"),
])
def test_path(gate, path, want):
    r = http.get(gate.port, path)
    assert (r.status, r.text) == (200, want)


def test_host_of_a_regex(gate):
    with http.Client(gate.port) as c:
        assert c.ask("GET", "/only", host="h.example").text == "only"
        assert c.ask("GET", "/x/1", host="h.example").text == "num 1"


def test_costly_regex_fails_the_request(gate):
    """It ends by its limit, soon; no weaker route takes its place."""
    path = "/bomb/" + "a" * 40 + "!"
    wire.is_fail(http.get(gate.port, path), "regex_limit")
    j = gate.ctl_json("explain", f"http://a:{gate.port}{path}")
    assert j["route"] is None and j["answer"]["fail"] == "regex_limit"
    assert http.get(gate.port, "/bomb/aaa").text == "bomb"
    # of rewriting
    path = path.replace("bomb", "blow")
    wire.is_fail(http.get(gate.port, path), "regex_limit")
    assert http.get(gate.port, "/blow/aa").text == "/up"


def test_regexes_over_reloads(sluice):
    def conf(name, *regex):
        return "[listener web]\nbind = 127.0.0.1:@port@\n" + "".join(
            f"[route {name}{i}]\npath = ~ {r}\nrespond = 200 {name}{i}\n"
            for i, r in enumerate(regex))

    s = sluice(conf("a", "^/a$", "^/b$"))
    assert http.get(s.port, "/b").text == "a1"
    for i in range(3):
        s.reload(conf("b", "^/c$", "^/b$") if i % 2 == 0
                 else conf("a", "^/a$", "^/b$"))
        name = "ba"[i % 2]
        assert http.get(s.port, "/b").text == f"{name}1"
        assert http.get(s.port, "/c" if i % 2 == 0 else "/a").text == \
            f"{name}0"
        assert http.get(s.port, "/a" if i % 2 == 0 else "/c").status == 404


def test_first_match(sluice):
    s = sluice(r"""
[sluice]
match = first
[listener web]
bind = 127.0.0.1:@port@
[route posts]
path = /w/*
method = POST
respond = 200 posts
[route re]
path = ~ ^/w/r
respond = 200 re
[route param]
path = /w/:x
respond = 200 param ${path.x}
[route exact]
path = /w/x
respond = 200 exact
[route all]
respond = 200 all
[route host]
host = h.example
respond = 200 host
""")
    for method, path, want in (
            ("POST", "/w/x", "posts"), ("GET", "/w/x", "param x"),
            ("GET", "/w/r", "re"), ("GET", "/w/x/y", "all"),
            ("GET", "/", "all")):
        with http.Client(s.port) as c:
            assert c.ask(method, path, host="h.example").text == want


# --- redirects ---

@pytest.mark.parametrize("keys,path,want", [
    ("redirect = 301 https://www.${host}${path}?${query}", "/a?b=c",
     "https://www.localhost/a?b=c"),
    ("redirect = 301 https://www.${host}${path}?${query}", "/a",
     "https://www.localhost/a"),
    ("path = /u/:id; redirect = 302 /users/${path.id}/", "/u/a%20b",
     "/users/a%20b/"),
    ("redirect = 302 ${scheme}://other${path}", "/x", "@scheme@://other/x"),
    # a path is no other host
    ("redirect = 302 ${path}", "//evil.example/x", "/evil.example/x"),
    ("path = /r/*; strip_prefix = auto; redirect = 302 /${path}",
     "/r//evil.example", "/evil.example"),
    ("redirect = 302 //h.example${path}", "/x", "//h.example/x"),
    ("path = ~ ^/(?<a>.)(.); redirect = 302 /${path.2}-${path.1}", "/xyz",
     "/y-x"),
    ("path = ~ ^/(?<a>.)(.); redirect = 302 /${path.a}-${path.2}", "/xyz",
     "/x-y"),
])
def test_redirect(sluice, keys, path, want, scheme):
    lines = "\n".join(keys.split("; "))
    s = sluice(f"[listener web]\nbind = 127.0.0.1:@port@\n"
               f"[route r]\n{lines}\n")
    r = http.get(s.port, path)
    assert r.status in (301, 302)
    assert r["location"] == want.replace("@scheme@", scheme)


# --- rewriting ---

def test_rewrite_for_files_and_answers():
    with wire.gateway(REWRITE, {"x.txt": b"file",
                                "sub/index.html": b"index"}) as s:
        check_rewrite(s)


REWRITE = r"""
[listener web]
bind = 127.0.0.1:@port@
[route files]
path = /app/*
strip_prefix = auto
static = @dir@/www
[route moved]
path = /old/:year/*
rewrite = ^/old/(\d+)/(.*)$ /archive/$2?year=$1&id=${path.year}
respond = 200 ${path} ${query}
[route up]
path = /ab*
strip_prefix = auto
respond = 200 ${path}
"""


def check_rewrite(s):
    assert http.get(s.port, "/app/x.txt").body == b"file"
    assert http.get(s.port, "/app/sub/").body == b"index"
    r = http.get(s.port, "/app/sub?q")
    assert r.status == 301 and r["location"] == "/app/sub/?q"
    assert http.get(s.port, "/old/99/a/b").text == \
        "/archive/a/b year=99&id=99"
    assert http.get(s.port, "/old/x/a/b").text == "/old/x/a/b "
    assert http.get(s.port, "/abc").text == "/c"
    wire.is_fail(http.get(s.port, "/ab../x"), "path_above_root")
    for target in ("/old/99/a/b", "/app/x.txt"):
        assert wire.record(s, target=target)["target"] == target


def test_encoded_slash(sluice):
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
[route keep]
path = /k/:id
encoded_slash = keep
respond = 200 ${path.id}
[route refuse]
path = /r/*
respond = 200 no
[route static]
path = /s/*
encoded_slash = keep
static = @dir@
""")
    assert http.get(s.port, "/k/a%2fb").text == "a%2Fb"
    assert http.get(s.port, "/k/a%5cb").text == "a%5Cb"
    assert http.get(s.port, "/k/ab").text == "ab"
    for path in ("/r/a%2fb", "/r/a%5cb", "/none%2f", "/k/a%2fb/c",
                 "/s/..%2fsluice.conf"):
        wire.is_fail(http.get(s.port, path), "bad_path")
    wire.is_fail(http.get(s.port, "/k/%00%2f"), "bad_path")


# --- what is said ---

def test_many_regexes_warn(tmp):
    from lib import conf
    text = "[listener web]\nbind = 127.0.0.1:8080\n[route r]\n"
    text += "respond = 200 x\n"
    for n, said in ((50, False), (51, True)):
        conf.write(tmp, text + "".join(
            f"path = ~ ^/{i}$\n" for i in range(n)))
        done = conf.test(tmp)
        assert done.returncode == 0
        assert ("W0305" in done.stderr) == said, done.stderr

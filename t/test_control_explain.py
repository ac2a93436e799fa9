"""sluicectl explain: it says which route the gateway itself would take."""
import json
import random
import re
from urllib.parse import quote, urlencode

import pytest

from lib import http
from lib.cmd import run

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[listener side]
bind = 127.0.0.1:@port2@
[upstream two]
server = 127.0.0.1:7 127.0.0.1:8
balance = round_robin
[route beside]
listener = side
path = /v1/*
respond = 200 beside
[route api]
host = *.example.com
path = /v1/*
method = GET POST
upstream = two
[route canary]
path = /v1/*
header.X-Env = canary
respond = 200 canary
[route site]
path = /*
method = GET
respond = 200 site
"""


def explain(s, *args):
    return s.ctl_json("explain", *args)


def test_text(sluice):
    s = sluice(CONF)
    out = s.ctl("explain", f"http://a.example.com:{s.port}/v1/%7eu?q=1",
                "-H", "X-Env: other").stdout
    assert re.sub(r"conf:\d+", "conf:N", out).splitlines() == [
        "request   GET a.example.com/v1/~u?q=1 from 127.0.0.1",
        f"listener  web 127.0.0.1:{s.port}",
        f"route     api   ({s.conf_path}:N)",
        "handler   proxy: upstream = two",
        "upstream  two   round_robin: 127.0.0.1:7, 127.0.0.1:8 -> "
        "127.0.0.1:7",
        "asked     main: 127.0.0.1:7 weight 1, 0 under way; "
        "127.0.0.1:8 weight 1, 0 under way",
        "choice    the next turn of the schedule",
        "fits too  site",
    ]
    out = s.ctl("explain", "-XPUT", f"http://a.example.com:{s.port}/v1/",
                "--from", "10.1.2.3").stdout
    assert out.splitlines() == [
        "request   PUT a.example.com/v1/ from 10.1.2.3",
        f"listener  web 127.0.0.1:{s.port}",
        "tried     api: method no, beside: listener no, canary: header no, "
        "site: method no",
        "route     none",
        "answer    405 method_not_allowed: The method is not allowed here. "
        "(Allow: GET, HEAD, POST)",
    ]


def test_order_and_reasons(sluice):
    s = sluice(CONF)
    j = explain(s, "-X", "DELETE",
                f"http://a.example.com:{s.port}/v1/x")
    assert [(c["route"], c["failed"]) for c in j["candidates"]] == [
        ("api", "method"), ("beside", "listener"), ("canary", "header"),
        ("site", "method")]
    assert j["route"] is None and j["answer"]["status"] == 405
    assert j["answer"]["allow"] == "GET, HEAD, POST"
    j = explain(s, f"http://other.org:{s.value('port2')}/v1/x",
                "-H", "X-Env: canary")
    assert j["listener"]["name"] == "side"
    assert j["route"]["name"] == "beside"
    assert [c["route"] for c in j["candidates"] if c.get("later")] == \
        ["canary", "site"]
    assert j["others"] == [{"route": "api", "failed": "host"}]
    j = explain(s, "http://other.org/v2")
    assert j["listener"] == {"name": "web", "guessed": True, "http": [],
                             "address": f"127.0.0.1:{s.port}"}
    assert {o["route"]: o["failed"] for o in j["others"]} == {
        "api": "host", "canary": "path", "beside": "path"}


def test_call_without_http2(sluice):
    """It would go to a server, but no client can bring it here."""
    s = sluice(CONF)
    url = f"http://a.example.com:{s.port}/v1/x"
    asks = ["-H", "Content-Type: application/grpc", url]
    line = s.ctl("explain", "-XPOST", *asks).stdout.splitlines()[1]
    assert line == f"listener  web 127.0.0.1:{s.port}   no call of gRPC " \
        "can come here: it speaks no HTTP/2 (http = 1.1 2)"
    assert "http = 1.1 2" in s.ctl("why", "h2_on_h1").stdout
    assert "note" not in explain(s, *asks)["listener"]
    assert "note" not in explain(s, "-XPOST", url)["listener"]
    s.reload(CONF.replace("bind = 127.0.0.1:@port@\n",
                          "bind = 127.0.0.1:@port@\nhttp = 1.1 2\n"))
    assert "note" not in explain(s, "-XPOST", *asks)["listener"]


def test_what_must_not_hold(sluice):
    s = sluice("""
[listener web]
bind = 127.0.0.1:@port@
[route safe]
not.method = POST
not.header.X-No = *
respond = 200 safe
""")
    url = f"http://a.example:{s.port}/"
    for args, failed in ((["-X", "POST"], "not.method"),
                         (["-H", "X-No: 1"], "not.header")):
        j = explain(s, *args, url)
        assert [c["failed"] for c in j["candidates"]] == [failed]
    assert explain(s, url)["route"]["name"] == "safe"


PATTERNS = r"""
[sluice]
match = {match}
[listener web]
bind = 127.0.0.1:@port@
[route any]
respond = 200 any
[route re]
path = ~ ^/x/\d+$
respond = 200 re
[route param]
path = /p/:id
not.header.X-No = *
encoded_slash = keep
respond = 200 param
"""


@pytest.mark.parametrize("match,path,want", [
    ("specific", "/x/1", "re"), ("specific", "/x/a", "any"),
    ("specific", "/p/1", "param"), ("specific", "/p/%2f", "param"),
    ("specific", "/q/%2f", None), ("first", "/x/1", "any"),
    ("first", "/p/1", "any"),
])
def test_patterns(sluice, match, path, want):
    s = sluice(PATTERNS.format(match=match))
    j = explain(s, f"http://a.example:{s.port}{path}")
    if want is None:
        assert j["route"] is None and j["answer"]["fail"] == "bad_path"
        assert http.get(s.port, path).status == 400
        return
    assert j["route"]["name"] == want
    assert http.get(s.port, path).text == want
    assert all(c.get("later", False) == (c["route"] != want)
               for c in j["candidates"] if c["failed"] is None)


def test_next_server(sluice):
    s = sluice(CONF)
    url = f"http://a.example.com:{s.port}/v1/x"
    assert explain(s, url)["upstream"]["next"] == "127.0.0.1:7"
    assert explain(s, url)["upstream"]["next"] == "127.0.0.1:7"
    http.get(s.port, "/v1/x", headers={"Host": "a.example.com"})
    up = explain(s, url)["upstream"]
    assert up["name"] == "two" and up["balance"] == "round_robin"
    assert up["servers"] == ["127.0.0.1:7", "127.0.0.1:8"]
    off = json.loads(run("sluicectl", "-o", "json", "explain", "--config",
                         s.conf_path, url).stdout)
    assert off["upstream"]["next"] is None


def test_what_never_reaches_a_route(sluice):
    s = sluice(CONF)
    for args, status, fail in (
            (["/a/../../b"], 400, "path_above_root"),
            (["/%00"], 400, "bad_path"),
            (["-X", "TRACE", "/"], 405, "trace_refused"),
            (["-X", "OPTIONS", "*"], 204, ""),
            (["-H", "Host: a b", "/"], 400, "bad_host"),
            (["-H", "X y: 1", "/"], 400, None)):
        j = explain(s, *args)
        assert j["route"] is None and j["others"] == [], args
        assert j["answer"]["status"] == status, (args, j)
        if fail is not None:
            assert j["answer"]["fail"] == fail, (args, j)


TUNNELS = """
[listener web]
bind = 127.0.0.1:@port@
[upstream forward]
server = 127.0.0.1:7
[route tunnel]
method = CONNECT
host = *.example
upstream = forward
[route text]
method = GET
respond = 200 no
[route any]
path = /*
upstream = forward
"""


def test_connect(sluice):
    """Its target is HOST:PORT, and only a route that names it takes it."""
    s = sluice(TUNNELS)
    for target in ("a.example:443", "https://a.example",
                   "http://a.example:443/x"):
        j = explain(s, "-X", "CONNECT", target)
        assert j["route"]["name"] == "tunnel", target
        assert j["request"]["host"] == "a.example:443"
        assert j["handler"]["name"] == "proxy"
        assert j["upstream"]["servers"] == ["127.0.0.1:7"]
    text = s.ctl("explain", "-X", "CONNECT", "a.example:443").stdout
    assert text.startswith("request   CONNECT a.example:443 from 127.0.0.1\n")
    for target in ("b.test:443", "b.test:1"):
        with http.Client(s.port) as c:
            c.send(http.request("CONNECT", target, host=target))
            r = c.response("CONNECT")
        j = explain(s, "-X", "CONNECT", target)
        assert j["route"] is None
        assert (r.status, j["answer"]["fail"]) == (405, "connect_refused")
        assert j["answer"]["allow"] == r.get("allow", "")
        assert ("any", "method") in [
            (c["route"], c["failed"]) for c in j["candidates"]]
    # without a port it is no target, for the gateway neither
    assert explain(s, "-X", "CONNECT", "a.example")["answer"]["fail"] == \
        "bad_target"
    assert s.ctl("explain", "-X", "CONNECT", "/x", ok=False).returncode == 2


def test_health(sluice):
    """What [health] answers is told as that, not as the route behind."""
    s = sluice(CONF + "[route named]\npath = /ping\nrespond = 200 mine\n")
    j = explain(s, "/health")
    assert j["route"] is None and j["handler"]["name"] == "health"
    assert [c["route"] for c in j["candidates"] if c.get("later")] == ["site"]
    assert json.loads(http.get(s.port, "/health").body)["status"] == "ok"
    assert explain(s, "/ping")["route"]["name"] == "named"
    assert explain(s, "/static/health")["handler"]["name"] == "health"
    j = explain(s, "--from", "192.0.2.1", "/static/health")
    assert j["route"]["name"] == "site"
    text = s.ctl("explain", "/health").stdout
    assert "route     none\nhandler   health\n" in text


def test_wrong_words(sluice):
    s = sluice(CONF)
    for args in ([], ["/a", "/b"], ["-x", "/a"], ["-X"], ["/a", "--from"],
                 ["--from", "nobody", "/a"], ["-H", "nocolon", "/a"],
                 ["http:///a"], ["a b/c"], ["-H", "x: " + "y" * 9000]):
        done = s.ctl("explain", *args, ok=False)
        assert done.returncode == 2, (args, done)
        assert done.stdout == ""
        done = run("sluicectl", "explain", "--config", s.conf_path, *args)
        assert done.returncode == 2, (args, done)


def test_offline(tmp):
    path = f"{tmp}/a.conf"
    with open(path, "w", encoding="utf-8") as f:
        f.write(CONF.replace("@port@", "8080").replace("@port2@", "8081"))
    done = run("sluicectl", "explain", f"--config={path}", "-XPOST",
               "http://x.example.com:8080/v1/")
    assert done.returncode == 0 and "route     api " in done.stdout
    with open(path, "a", encoding="utf-8") as f:
        f.write("nonsense = 1\n")
    done = run("sluicectl", "explain", "--config", path, "/")
    assert done.returncode == 1 and "error[E0102]" in done.stderr
    done = run("sluicectl", "explain", "--config", f"{tmp}/none", "/")
    assert done.returncode == 4


# --- random routes ---

HOSTS = ["", "a.test", "b.a.test", "*.test", "*.a.test", "c.org"]
WORDS = ["a", "b", "ab", "v1", "x"]
# beside the conditions that every other route has
FURTHER = {
    "query.q": ["1", "2", "*"], "cookie.c": ["1", "*"],
    "from": ["127.0.0.0/8", "10.0.0.0/8"], "not.method": ["GET", "POST"],
    "not.header.X-A": ["1", "*"], "not.query.q": ["1"],
    "not.from": ["10.0.0.0/8", "127.0.0.1"], "not.cookie.c": ["*"],
}
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "PURGE"]


def some_path(rng):
    return "/" + "/".join(rng.choice(WORDS)
                          for _ in range(rng.randrange(4)))


def some_routes(rng, n):
    out = []
    for i in range(n):
        lines = [f"[route r{i}]"]
        if host := rng.choice(HOSTS):
            lines.append(f"host = {host}")
        path = some_path(rng)
        lines.append("path = " + rng.choice([
            path, path + "*", path + "/*", path + "/*",
            path.replace("v1", ":ver", 1).replace("x", ":x", 1),
            "~ ^" + path + rng.choice([r"(/\w+)?$", "", ".*1"])]))
        if rng.random() < 0.4:
            lines.append("method = " + " ".join(rng.sample(
                METHODS[:4] + METHODS[5:], rng.randrange(1, 4))))
        for name in rng.sample(["X-A", "X-B"], rng.choice([0, 0, 1, 2])):
            lines.append(f"header.{name} = {rng.choice('12*')}")
        for key in rng.sample(sorted(FURTHER), rng.choice([0, 0, 0, 1])):
            lines.append(f"{key} = {rng.choice(FURTHER[key])}")
        if rng.random() < 0.3:
            lines.append(f"priority = {rng.randrange(5)}")
        lines.append(f"respond = 200 r{i}")
        out.append("\n".join(lines) + "\n")
    return "".join(out)


def some_request(rng):
    fields = [(n, rng.choice("123")) for n in ("X-A", "X-B")
              if rng.random() < 0.5]
    host = rng.choice(["a.test", "b.a.test", "z.test", "q.b.a.test",
                       "c.org", "d.org"])
    if rng.random() < 0.3:
        fields.append(("Cookie", f"b=1; c={rng.choice('12')}"))
    query = f"?q={rng.choice('12')}" if rng.random() < 0.4 else ""
    return rng.choice(METHODS), host, some_path(rng) + query, fields


@pytest.mark.parametrize("seed", [1, 2])
def test_agrees_with_the_gateway(sluice, seed):
    rng = random.Random(seed)
    s = sluice("[listener web]\nbind = 127.0.0.1:@port@\n" +
               some_routes(rng, 100))
    met = set()
    for _ in range(100):
        method, host, path, fields = some_request(rng)
        with http.Client(s.port) as c:
            got = c.ask(method, path, headers=[("Host", host), *fields])
        url = f"http://{host}:{s.port}{path}"
        lines = [f"{name}: {val}" for name, val in fields]
        args = ["-X", method, url] + [a for ln in lines
                                      for a in ("-H", ln)]
        online = http.get(s.control, "/v1/explain?" + urlencode(
            [("url", url), ("method", method)] +
            [("field", ln) for ln in lines], quote_via=quote))
        off = run("sluicectl", "-o", "json", "explain", "--config",
                  s.conf_path, *args)
        for j in json.loads(online.body), json.loads(off.stdout):
            ctx = (args, j["route"], got.status, got.body)
            if got.status != 200:
                assert j["route"] is None, ctx
                assert j["answer"]["status"] == got.status, ctx
                assert j["answer"]["allow"] == got.get("allow", ""), ctx
                continue
            name = j["route"]["name"]
            if method != "HEAD":
                assert name == got.text, ctx
            else:
                assert len(name) == int(got["content-length"]), ctx
            met.add(name)
            fits = [x["route"] for x in j["candidates"]
                    if x["failed"] is None]
            assert fits[0] == name, ctx
    assert len(met) > 10


def test_client_behind_a_proxy(sluice):
    """from is what the proxy says, if it is trusted."""
    s = sluice("[sluice]\ntrusted_proxies = 10.0.0.0/8\n" + CONF +
               "[route mine]\npath = /v1/*\nfrom = 192.0.2.0/24\n"
               "respond = 200 mine\n")
    url = f"http://shop.example:{s.port}/v1/x"
    chain = ("-H", "X-Forwarded-For: 6.6.6.6, 192.0.2.7")
    out = s.ctl("explain", url, "--from", "10.1.1.1", *chain).stdout
    assert out.splitlines()[0] == \
        "request   GET shop.example/v1/x from 192.0.2.7 over proxy 10.1.1.1"
    assert "route     mine " in out
    out = s.ctl("explain", url, "--from", "172.16.0.1", *chain).stdout
    assert out.splitlines()[0] == \
        "request   GET shop.example/v1/x from 172.16.0.1"
    assert "route     mine " not in out

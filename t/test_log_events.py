"""Lines and fields that tell what the subsystems did: config, static
files, requests to servers."""
import json
import os
import re

import pytest

from lib import http, net, proc, site
from lib.peer import respond

pytestmark = pytest.mark.versions


def lines(s, module):
    return [r["msg"] for r in s.log() if r.get("module") == module]


@pytest.mark.h1
def test_config_loaded(sluice, tmp, monkeypatch):
    """What a generation holds, at info; at debug what leads where."""
    monkeypatch.setattr(proc, "TWINS", None)
    site.write(tmp)
    more = site.CONF + """
[route two]
host = a.example *.b.example
path = /x/{id}
path = ~ ^/y/\\d+$
redirect = 302 /hello
[log]
level = debug
"""
    s = sluice(site.CONF)
    s.wait_log("config: generation 1: ")
    s.reload(more)
    s.wait_log(r'config: route ..two')
    where = s.conf_path
    assert [re.sub(r":\d+$", ":N", m) for m in lines(s, "config")] == [
        f'config: generation 1: "{where}": 1 of [listener], 2 of [route]',
        f'config: generation 2: "{where}": 1 of [listener], 3 of [route]',
        'config: listener "web": 127.0.0.1:N',
        f'config: route "hello": path /hello to respond, {where}:N',
        f'config: route "site": path /* to static, {where}:N',
        'config: route "two": host a.example *.b.example path /x/{id} '
        f"~ ^/y/\\d+$ to redirect, {where}:N"]


def test_config_refused(sluice, tmp):
    """Each fault of a reload is a line with its place."""
    site.write(tmp)
    s = sluice(site.CONF)
    bad = site.CONF.replace("respond = 200 hello", "respnd = 200 hello")
    s.write(bad.replace("path = /*", "path = everything*") +
            "[log]\nformat = jason\n")
    assert s.ctl("reload", ok=False).returncode != 0
    s.wait_log("generation 1 stays live")
    got = [r for r in s.log() if r.get("module") == "config"]
    told = [(r["level"], m[1], m[2]) for r in got if (m := re.match(
        rf"config: {s.conf_path}:\d+:\d+: (\w+)\[\w\d+\]: (.*)", r["msg"]))]
    assert [t[:2] for t in told] == [
        ("error", "error"), ("warning", "warning"), ("error", "error")], told
    assert "respnd" in told[0][2] and "jason" in told[2][2]
    assert site.is_served(s.port)


def test_static(sluice, tmp):
    """Path, size, how it is coded, and whether it was known."""
    site.write(tmp)
    s = sluice(site.CONF + "[log]\nlevel.static = debug\n")
    for _ in range(3):
        with http.Client(s.port) as c:
            c.send(http.request("GET", "/index.html"))
            assert c.response().status == 200
    s.wait_log('"target":"/index.html"', count=3)
    files = [m for m in lines(s, "static") if m.startswith("file: ")]
    assert len(files) == 3
    assert files[0].startswith(
        f'file: "/index.html": {len(site.HELLO)} bytes, ')
    access = [r for r in s.log() if r.get("target") == "/index.html"]
    for r, line in zip(access, files):
        assert r["handler"] == "static" and r["route"] == "site"
        assert r["bytes_out"] > len(site.HELLO) and r["cache"] in line
    assert "HIT" in {r["cache"] for r in access}
    assert {r["cache"] for r in access} <= {"HIT", "MISS"}


def test_proxied(sluice, tmp, peer):
    """Method, path, client, duration, and which server was chosen how."""
    dead = net.free_port()
    app = peer(default=respond(body=b"from the server"))
    site.write(tmp)
    s = sluice(site.proxied(f"127.0.0.1:{dead} {app.addr}").replace(
        "[upstream app]", "[upstream app]\nbalance = round_robin") +
               "[log]\nlevel.proxy = debug\n")
    # a further attempt takes no turn, so one of the two needs it
    for _ in range(2):
        assert http.get(s.port, "/api/x?y=1").status == 200
    s.wait_log('"target":"/api/x', count=2)
    access = [r for r in s.log() if r.get("target") == "/api/x?y=1"]
    assert {r["method"] for r in access} == {"GET"}
    assert {r["client"] for r in access} == {"127.0.0.1"}
    assert {r["upstream"] for r in access} == {"app"}
    assert {r["server"] for r in access} == {app.addr}
    assert sorted(r["attempts"] for r in access) == [1, 2]
    assert all(r["duration_us"] > 0 and r["first_byte_us"] > 0
               for r in access)
    first = next(r["id"] for r in access if r["attempts"] == 2)
    told = [r["msg"] for r in s.log() if r.get("module") == "proxy" and
            r["request"] == first and "server " in r["msg"]]
    assert told == [
        f'server "127.0.0.1:{dead}": chosen by round_robin of "app", '
        "attempt 1, connections here 0 open, 0 idle",
        f'server "127.0.0.1:{dead}" of "app": attempt 1 failed: '
        "dial_refused: connect: " + os.strerror(111) +
        "; another server is asked",
        f'server "{app.addr}": chosen by round_robin of "app", '
        "attempt 2, connections here 0 open, 0 idle"]


@pytest.mark.parametrize("level", ["info", "error"])
def test_proxy_failure(sluice, tmp, level):
    """One record has all of it; and a line for each attempt."""
    dead = net.free_port()
    site.write(tmp)
    s = sluice(site.proxied(f"127.0.0.1:{dead}") + f"[log]\nlevel = {level}\n")
    assert http.get(s.port, "/api/x").status == 502
    (line,) = s.wait_log('"target":"/api/x"')
    r = json.loads(line)
    assert r["status"] == 502 and r["fail"] == "dial_refused"
    assert r["cause"] == "connect: " + os.strerror(111)
    assert r["id"] and r["route"] == "api" and r["attempts"] == 1
    assert r["upstream"] == "app" and r["server"] == f"127.0.0.1:{dead}"
    (line,) = s.wait_log('"msg":"server')
    told = json.loads(line)
    assert told["level"] == "error" and told["module"] == "proxy"
    assert told["request"] == r["id"] and told["msg"] == \
        f'server "127.0.0.1:{dead}" of "app": attempt 1 failed: ' \
        f"dial_refused: {r['cause']}"

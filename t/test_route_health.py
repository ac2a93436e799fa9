"""[health]: its paths on every listener, components, and who goes before."""
import json
import os
import signal

import pytest

from lib import http, wire

pytestmark = pytest.mark.versions

TWO = """
[listener one]
bind = 127.0.0.1:@port@
[listener two]
bind = 127.0.0.1:@port2@
"""
ALL = TWO + """
[route all]
path = /*
respond = 200 all
"""
# what the control API answers, and what an admin might look for
CONTROL = ["/v1", "/v1/", "/v1/status", "/v1/version", "/v1/reload",
           "/v1/roll", "/v1/generations", "/v1/metrics", "/v1/board",
           "/metrics", "/config/reload", "/admin", "/status"]


@pytest.fixture(scope="module")
def gate():
    with wire.gateway(ALL) as s:
        yield s


@pytest.mark.parametrize("port", ["port", "port2"])
def test_on_every_listener(gate, port):
    r = http.get(gate.value(port), "/health")
    assert r.status == 200 and json.loads(r.body) == {"status": "ok"}
    assert r["content-type"] == "application/json"
    assert r["cache-control"] == "no-store"
    r = http.get(gate.value(port), "/ping?x")
    assert (r.status, r.text) == (200, "pong")


@pytest.mark.parametrize("method,path,want", [
    ("HEAD", "/health", ""), ("POST", "/health", "all"),
    ("PUT", "/ping", "all"), ("GET", "/health/", "all"),
    ("GET", "/healthz", "all"), ("GET", "/x/ping", "all"),
    ("GET", "/%68ealth", '{"status":"ok"}'),
])
def test_what_is_taken(gate, method, path, want):
    with http.Client(gate.port) as c:
        r = c.ask(method, path)
        assert (r.status, r.text) == (200, want)


@pytest.mark.turns
@pytest.mark.parametrize("keys,want", [
    ("path = /health", "mine"), ("path = /h*", "mine"),
    ("path = /:x", "mine"), ("path = ~ ^/health$", "mine"),
    ("path = /*", "ok"), ("host = localhost", "ok"),
    ("header.x = *", "ok"), ("path = /health\nmethod = POST", "ok"),
])
def test_a_route_that_is_more_specific(sluice, keys, want):
    s = sluice(TWO + f"[route r]\n{keys}\nrespond = 200 mine\n")
    r = http.get(s.port, "/health", headers={"X": "1"})
    assert want in r.text


@pytest.mark.parametrize("keys,paths", [
    ("path = /live /x/ping", {"/live": "ok", "/x/ping": "pong",
                              "/health": None}),
    ("path =", {"/health": None, "/ping": None}),
])
def test_its_paths(sluice, keys, paths):
    s = sluice(TWO + f"[health]\n{keys}\n")
    for path, want in paths.items():
        r = http.get(s.port, path)
        if want is None:
            wire.is_fail(r, "no_route")
        else:
            assert r.status == 200 and want in r.text


def test_while_it_stops(sluice):
    s = sluice("[sluice]\ndrain.delay = 30s\n" + ALL)
    assert http.get(s.port, "/health").status == 200
    s.send(signal.SIGINT)
    s.notify.wait("STOPPING", pidfd=s.pidfd)
    for path in ("/health", "/ping"):
        r = http.get(s.port, path)
        assert r.status == 503
        assert json.loads(r.body) == {"status": "draining"}
    assert http.get(s.port, "/x").text == "all"
    s.send(signal.SIGINT)
    s.wait()


# --- components ---

def status(s, part, want=200, **fields):
    r = http.get(s.port, f"/{part}", headers=fields)
    assert r.status == want, r
    return json.loads(r.body)


def test_component_static():
    conf = TWO + "[route files]\npath = /w/*\nstrip_prefix = auto\n" \
        "static = @dir@/www\n[route all]\nrespond = 200 all\n"
    with wire.gateway(conf, {"a.txt": b"a"}) as s:
        for path in ("/w/a.txt", "/w/a.txt", "/w/none"):
            http.get(s.port, path)
        assert status(s, "static/health") == {"status": "ok"}
        j = status(s, "static/status")
        assert j["roots"] == [{"route": "files", "root": f"{s.dir}/www",
                               "there": True}]
        assert (j["static_requests_total"], j["static_served_total"],
                j["static_not_found_total"], j["static_errors_total"]) == \
            (3, 2, 1, 0)
        os.rename(f"{s.dir}/www", f"{s.dir}/moved")
        assert status(s, "static/health", 503) == {"status": "failed"}
        assert not status(s, "static/status")["roots"][0]["there"]
        os.rename(f"{s.dir}/moved", f"{s.dir}/www")
        status(s, "static/health")


def test_component_config(sluice):
    s = sluice(ALL)
    j = status(s, "config/status")
    assert j["file"] == s.conf_path and j["warnings"] == 0
    assert j["reloads_failed"] == 0 and "last_failed_ms" not in j
    s.reload(ALL + "[upstream unused]\nserver = 127.0.0.1:1\n")
    k = status(s, "config/status")
    assert k["generation"] > j["generation"] and k["warnings"] == 1
    assert k["loaded_ms"] > j["loaded_ms"]
    s.reload(ALL + "[route all2]\n")            # answers nothing
    k = status(s, "config/status")
    assert k["reloads_failed"] == 1
    assert k["last_failed_ms"] >= k["loaded_ms"]
    assert status(s, "config/health", 503) == {"status": "failed"}
    assert status(s, "health") == {"status": "ok"}
    s.reload(ALL)
    status(s, "config/health")


@pytest.mark.turns
@pytest.mark.parametrize("keys,fields,seen", [
    ("", {}, True), ("", {"X-Forwarded-For": "192.0.2.1"}, False),
    ("", {"Forwarded": "for=192.0.2.1"}, False),
    ("", {"Via": "1.1 proxy"}, False), ("", {"X-Real-IP": "::1"}, False),
    ("components = all", {"Via": "1.1 proxy"}, True),
    ("components = off", {}, False),
])
def test_who_may_ask_for_components(sluice, keys, fields, seen):
    s = sluice(TWO + f"[health]\n{keys}\n[route r]\nrespond = 200 all\n")
    for path in ("/static/health", "/static/status", "/config/health",
                 "/config/status"):
        r = http.get(s.port, path, headers=fields)
        assert r.status == 200 and (r.text != "all") == seen
    assert http.get(s.port, "/none/status").text == "all"


# --- control is another place ---

def test_nothing_of_control_on_a_gateway_listener(sluice):
    s = sluice(TWO)
    with http.Client(s.control) as c:
        for path in ("/v1/status", "/v1/version", "/v1/metrics"):
            assert c.get(path).status == 200
    before = http.get(s.port, "/config/status").body
    for method in ("GET", "POST", "PUT", "DELETE"):
        for path in CONTROL:
            for fields in ({}, {"Host": "control"},
                           {"X-Forwarded-For": "127.0.0.1"}):
                with http.Client(s.port) as c:
                    wire.is_fail(c.ask(method, path, headers=fields),
                                 "no_route")
    assert http.get(s.port, "/config/status").body == before

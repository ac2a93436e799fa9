"""sluicectl reload --plan: what it says, and that nothing changes by it."""
import os
import signal

import pytest

from lib import http, net
from lib.cmd import KIND, Thread

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[upstream users]
server = 127.0.0.1:1 127.0.0.1:2 max_conns=4
timeout.connect = 3s
[route legacy]
path = /v0/*
respond = 200 old
[route api]
path = /v1/* /w/*
header.X-A = 1
upstream = users
[route all]
path = /*
respond = 200 one
"""


@pytest.fixture(name="s")
def _s(sluice):
    return sluice(CONF)


def changed(s, *pairs):
    text = CONF
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    s.write(text)
    return s.ctl_json("reload", "--plan")


def told(plan):
    return [(c["op"], c["section"], c.get("key", ""), c.get("old"),
             c.get("new"), c["class"]) for c in plan["changes"]]


def test_nothing(s):
    assert s.ctl("reload", "--plan").stdout == \
        "generation 1: nothing changes\n"
    # another spelling is no other meaning
    plan = changed(s, ("timeout.connect = 3s", "timeout.connect = 3000ms"),
                   ("127.0.0.1:1 127.0.0.1:2 max_conns=4",
                    "127.0.0.1:2 max_conns=4\nserver = 127.0.0.1:1 "
                    "max_conns=4\nbalance = two_choices"))
    assert plan["v"] == 1 and plan["changes"] == []
    assert plan["generation"] == 1 and plan["next"] == 2


def test_changes(s):
    plan = changed(
        s, ("timeout.connect = 3s", "timeout.first_byte = 1s"),
        ("127.0.0.1:1 127.0.0.1:2 max", "127.0.0.1:2 127.0.0.1:3 max"),
        ("[route legacy]\npath = /v0/*\nrespond = 200 old\n",
         "[route new]\npath = /n\nrespond = 200 new\n"),
        ("header.X-A = 1", "header.X-A = 2\nheader.X-B = 1"),
        ("path = /v1/* /w/*", "path = /v1/*"),
        ("[listener web]", "[sluice]\nworkers = 1\nstate_dir = @dir@/s2\n"
         "[listener web]"))
    users = "upstream users"
    assert told(plan) == [
        ("~", "sluice", "workers", "2", "1", "roll"),
        ("~", "sluice", "state_dir", f"{s.dir}/state", f"{s.dir}/s2",
         "upgrade"),
        ("+", users, "server", None, "127.0.0.1:3 max_conns=4", "live"),
        ("-", users, "server", "127.0.0.1:1 max_conns=4", None, "live"),
        ("~", users, "timeout.first_byte", "30s", "1s", "live"),
        ("+", "route new", "", None, None, "live"),
        ("~", "route api", "path", "/v1/* /w/*", "/v1/*", "live"),
        ("~", "route api", "header.X-A", "1", "2", "live"),
        ("~", "route api", "header.X-B", None, "1", "live"),
        ("-", "route legacy", "", None, None, "live"),
    ]
    new = plan["changes"][5]["settings"]
    assert {c["key"]: c["value"] for c in new} == \
        {"path": "/n", "respond": "200 new"}
    assert plan["classes"] == {"live": 8, "roll": 1, "upgrade": 1}
    assert plan["restarts"] == 0
    assert plan["workers"] == {"old": 2, "new": 1}
    assert "does not change state_dir" in plan["diagnostics"][0]["text"]


def test_text(s):
    changed(s, ("timeout.connect = 3s", "timeout.connect = 1s"),
            ("[route legacy]\npath = /v0/*\nrespond = 200 old\n", ""))
    with net.connect(s.port) as c:
        c.sendall(http.request())
        assert c.recv(4096).startswith(b"HTTP/1.1 200")
        assert s.ctl("reload", "--plan").stdout.splitlines() == [
            "generation 1 -> 2   (2 changes, all live; 0 restarts; "
            "1 connection untouched)",
            "  ~ upstream users    timeout.connect 3s -> 1s",
            "  - route legacy      (requests under way go on with it)",
        ]


@pytest.mark.parametrize("workers,said", [
    (1, "1 worker ends"), (3, "1 worker starts"), (4, "2 workers start")])
def test_workers(s, workers, said):
    changed(s, ("[listener web]",
                f"[sluice]\nworkers = {workers}\n[listener web]"))
    assert f"(1 change: 1 roll; {said}; " in s.ctl("reload", "--plan").stdout


def test_drained_listener(s):
    plan = changed(s, ("bind = 127.0.0.1:@port@",
                       "bind = 127.0.0.1:@port2@ 127.0.0.1:@port3@"))
    assert [c[0] for c in told(plan)] == ["+", "+", "-"]
    assert plan["listeners_drained"] == 1
    assert "its connections are drained" in \
        s.ctl("reload", "--plan").stdout


def test_version_taken_away(s):
    def retired(old, new):
        s.reload(CONF.replace("@port@", f"@port@{old}"))
        s.write(CONF.replace("@port@", f"@port@{new}"))
        return s.ctl_json("reload", "--plan")["retired"]

    both = "\nhttp = 1.1 2"
    end = [{"listener": "web", "why": "http", "how": "retire"}]
    assert retired("", both) == retired("", "\nhttp = 1.1") == []
    assert retired(both, "") == retired("", "\nhttp = 2") == end
    assert s.ctl("reload", "--plan").stdout.splitlines()[-1] == \
        "  connections of listener web that speak a version taken out of " \
        "http end with the request under way"
    assert retired("\ntls = dev", "\ntls = dev" + both) == []


def test_changes_nothing(s):
    before = s.roles()
    changed(s, ("respond = 200 one", "respond = 200 two"))
    for _ in range(3):
        s.ctl("reload", "--plan")
    assert http.get(s.port, "/x").body == b"one"
    st = s.ctl_json("status")
    assert st["generation"] == 1 and st["reloads"]["published"] == 1
    assert s.roles() == before
    # the number was not used up, and a reload does what was told
    assert "generation 2 is live" in s.ctl("reload").stdout
    assert http.get(s.port, "/x").body == b"two"
    assert s.ctl("reload", "--plan").stdout == \
        "generation 2: nothing changes\n"


def test_bad_file(s):
    s.write(CONF.replace("upstream = users", "upstream = nobody"))
    done = s.ctl("reload", "--plan", ok=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "error[E0210]" in done.stderr and "^^^^^^" in done.stderr
    assert "generation 1 stays live" in done.stderr
    done = s.ctl("-o", "json", "reload", "--plan", ok=False)
    assert done.returncode == 1 and '"E0210"' in done.stdout
    assert s.ctl_json("status")["reloads"]["failed"] == 0
    os.unlink(s.conf_path)
    done = s.ctl("reload", "--plan", ok=False)
    assert done.returncode == 4 and "E0001" in done.stderr


def test_large(s):
    """More than a frame between processes takes."""
    more = "".join(f"[route r{i}]\npath = /r{i}/{'x' * 200}\n"
                   f"respond = 200 r{i}\n" for i in range(2000))
    s.write(CONF + more)
    plan = s.ctl_json("reload", "--plan")
    assert len(plan["changes"]) == 2000
    s.reload()
    s.write(CONF)
    plan = s.ctl_json("reload", "--plan")
    assert {c["op"] for c in plan["changes"]} == {"-"}
    assert len(plan["changes"]) == 2000


def test_together_with_a_reload(s):
    """A plan neither waits for a reload nor is in its way."""
    changed(s, ("respond = 200 one", "respond = 200 two"))
    for i in range(5):
        s.send(signal.SIGHUP)
        assert s.ctl_json("reload", "--plan")["v"] == 1
    s.ctl("reload")
    assert s.ctl_json("reload", "--plan")["changes"] == []


def faulty(sluice, what):
    """The builder of the start is passed over."""
    return sluice(CONF, env={"SLUICE_FAULT": f"{what}:1+1"})


@pytest.mark.skipif(KIND == "plain", reason="needs fault points")
def test_builder_dies(sluice):
    s = faulty(sluice, "builder_crash")
    done = s.ctl("reload", "--plan", ok=False)
    assert done.returncode == 4 and "the builder died" in done.stderr
    assert "nothing changes" in s.ctl("reload", "--plan").stdout
    s.ctl("reload")


@pytest.mark.skipif(KIND == "plain", reason="needs fault points")
def test_one_at_a_time(sluice):
    s = faulty(sluice, "builder_hang")
    kids = set(s.children())
    first = Thread(lambda: s.ctl("reload", "--plan", ok=False))
    while set(s.children()) == kids:
        net.wait_fd(s.pidfd, 0.02)
    done = s.ctl("reload", "--plan", ok=False)
    assert done.returncode == 1 and "planning" in done.stderr
    # reloads go on, and the end ends the plan too
    assert "generation 2 is live" in s.ctl("reload").stdout
    assert s.stop() == 0
    assert first.join().returncode == 4


def test_path_of_the_api(s):
    assert http.get(s.control, "/v1/plan").status == 405
    with http.Client(s.control) as c:
        assert c.ask("POST", "/v1/plan?x=1").status == 400
        assert c.ask("POST", "/v1/plan").status == 200

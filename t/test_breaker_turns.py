"""The breaker over the real gateway: what opens it, and how many requests
a half-open one lets through, over four workers and with one killed."""
import re
import signal
import threading

import pytest

from lib import http
from lib.breaker import (ILL, Crowd, ask, conf, counter, half_open, is_busy,
                         open_it, wait_breaker, wait_queue)
from lib.cmd import run
from lib.peer import hold, raw, respond
from lib.watch import ask_cut, cut

pytestmark = [pytest.mark.versions, pytest.mark.turns]


def test_off(sluice, peer):
    """Without a key there is none."""
    app = peer(default=ILL)
    s = sluice(conf(app, workers=2))
    for _ in range(30):
        assert ask(s) == 500
    assert len(app.requests) == 30


def test_row(sluice, peer):
    """Failures in a row, whatever they are, over all workers."""
    app = peer([ILL, ILL, respond(), ILL,
                raw(b"bad\r\n\r\n", then_close=True), ILL])
    s = sluice(conf(app, keys="breaker.failures = 3"))
    for _ in range(6):
        ask(s)
    wait_breaker(s, 1, "closed -> open: 3 failures in a row, the last "
                 "server_error")
    for _ in range(10):
        r = http.get(s.port, "/")
        assert r.status == 503 and r.get("Retry-After")
    assert len(app.requests) == 6
    assert counter(s, "breaker_opened_total") == 1
    assert why(s, "breaker_open") == 10


def why(s, name):
    f, = s.ctl_json("why", name)["failures"]
    return f["requests"]


@pytest.mark.parametrize("status", [200, 500])
def test_cut_bodies(sluice, peer, status):
    """An answer that breaks off is one request and one failure."""
    app = peer(default=cut(status))
    s = sluice(conf(app, keys="outlier = off\nbreaker.failures = 0\n"
                    "breaker.rate = 60\nbreaker.requests = 8"))
    ask_cut(s, 7)
    up, = s.ctl_json("upstreams", "app")["upstreams"]
    b = up["servers"][0]["breaker"]
    assert b["state"] == "closed"
    assert b["window"] == {"requests": 7, "failures": 7}
    ask_cut(s, 1)
    wait_breaker(s, 1, "closed -> open: 8 of 8 requests failed")
    assert len(app.requests) == 8


def test_cut_probe(sluice, peer):
    """A probe whose body breaks off has failed."""
    app = peer()
    s = sluice(conf(app, keys="outlier = off\nbreaker.failures = 3\n"
                    "breaker.open = 300ms\nbreaker.probes = 2\n"
                    "breaker.successes = 2"))
    open_it(s, app)
    app.default = cut(200)
    half_open(s)
    ask_cut(s, 1)
    wait_breaker(s, 1, "half_open -> open: a probe failed")
    assert len(app.requests) == 4


def test_other_server(sluice, peer):
    """Requests go to the others, and the log says who it is."""
    app, bad = peer(), peer(default=ILL)
    s = sluice(conf(app, bad, keys="breaker.failures = 2"))
    while len(bad.requests) < 2:
        ask(s)
    s.wait_log(re.escape(bad.addr) + ".*breaker closed -> open: "
               "2 failures in a row")
    for _ in range(20):
        assert ask(s) == 200
    assert len(bad.requests) == 2


def test_rate(sluice, peer):
    app = peer([ILL, respond()] * 6)
    s = sluice(conf(app, keys="breaker.failures = 0\nbreaker.requests = 10"
                    "\nbreaker.window = 1m"))
    for _ in range(11):
        assert ask(s) in (200, 500)
    wait_breaker(s, 1, "closed -> open: 6 of 11 requests failed")
    assert ask(s) == 503
    assert len(app.requests) == 11


def test_turns(sluice, peer):
    """Three, and no fourth, of two dozen at once; then it is closed."""
    app = peer()
    s = sluice(conf(app, keys="breaker.failures = 3\nbreaker.open = 100ms"))
    for turn in range(1, 11):
        open_it(s, app)
        before = len(app.requests)
        half_open(s)
        let = threading.Event()
        app.default = hold(let)
        crowd = Crowd(s, 24)
        assert crowd.wait(21) == [503] * 21
        app.wait_requests(before + 3)
        let.set()
        assert crowd.wait(24) == [200] * 3 + [503] * 21
        crowd.close()
        assert len(app.requests) == before + 3
        wait_breaker(s, turn, "half_open -> closed: 3 of 3 probes were "
                     "answered well")
        app.default = respond()
        assert ask(s) == 200
    assert counter(s, "breaker_probes_total") == 30


def test_bad_probe(sluice, peer):
    """One that fails opens it again, for twice as long."""
    app = peer()
    s = sluice(conf(app, keys="breaker.failures = 3\nbreaker.open = 200ms"))
    open_it(s, app)
    half_open(s)
    assert ask(s) == 500
    wait_breaker(s, 1, "half_open -> open: a probe failed: server_error")
    assert ask(s) == 503
    assert len(app.requests) == 4
    app.default = respond()
    half_open(s)
    for _ in range(3):
        assert ask(s) == 200
    wait_breaker(s, 1, "half_open -> closed")


def test_killed_worker(sluice, peer):
    """A probe that is lost with its worker ends the turn."""
    app = peer()
    s = sluice(conf(app, keys="breaker.failures = 3\nbreaker.open = 100ms"))
    for turn in range(1, 4):
        open_it(s, app)
        half_open(s)
        before = len(app.requests)
        app.default = hold(threading.Event())
        c = http.Client(s.port)
        c.send(http.request("GET", "/"))
        app.wait_requests(before + 1)
        holder = [r for r in s.roles() if r.startswith("worker") and
                  is_busy(s, r)]
        assert len(holder) == 1, holder
        pid = s.kill(holder[0], signal.SIGKILL)
        wait_breaker(s, turn, "half_open -> open: a probe failed: "
                     "worker_lost")
        s.wait_role(holder[0], pid)
        c.close()
        half_open(s)
        app.default = respond()
        for _ in range(3):
            assert ask(s) == 200
        wait_breaker(s, turn, "half_open -> closed")


def test_client_leaves(sluice, peer):
    """Whose client left says nothing; the turn comes to an end all the
    same, and the next one is no later for it."""
    app = peer()
    s = sluice(conf(app, keys="breaker.failures = 3\nbreaker.open = 200ms"))
    open_it(s, app)
    half_open(s)
    app.default = hold(threading.Event())
    c = http.Client(s.port)
    c.send(http.request("GET", "/"))
    app.wait_requests(4)
    c.reset()
    app.default = respond()
    assert ask(s) == 200
    assert ask(s) == 200
    wait_breaker(s, 1, "half_open -> open: too few probes came to an end")
    half_open(s)
    for _ in range(3):
        assert ask(s) == 200
    wait_breaker(s, 1, "half_open -> closed")


def test_probe_deadline(sluice, peer):
    """Health ends the turn of a probe that is not answered in time."""
    app = peer()
    s = sluice(conf(app, keys="breaker.failures = 3\nbreaker.open = 100ms\n"
                    "breaker.timeout = 200ms"))
    open_it(s, app)
    half_open(s)
    let = threading.Event()
    app.default = hold(let)
    crowd = Crowd(s, 1)
    wait_breaker(s, 1, "half_open -> open: a probe failed: "
                 "first_byte_timeout")
    let.set()
    assert crowd.wait(1) == [200]     # the request itself went on
    crowd.close()
    assert counter(s, "breaker_probes_lost_total") == 1


def test_slow_start(sluice, peer):
    """A server whose breaker closed is led in."""
    app = peer()
    s = sluice(conf(app, keys="breaker.failures = 1\nbreaker.open = 50ms\n"
                    "breaker.probes = 1\nslow_start = 1m"))
    open_it(s, app, 1)
    half_open(s)
    app.default = respond()
    assert ask(s) == 200
    wait_breaker(s, 1, "half_open -> closed")
    up, = s.ctl_json("upstreams", "app")["upstreams"]
    row, = up["servers"]
    assert row["state"] == "slow_start" and row["weight_now"] < 1
    assert ask(s) == 200


def test_reload(sluice, peer):
    """It is obeyed with the commit; without keys there is none again."""
    app = peer(default=ILL)
    s = sluice(conf(app, workers=2))
    assert ask(s) == 500
    s.reload(conf(app, workers=2, keys="breaker.failures = 2"))
    assert [ask(s) for _ in range(4)] == [500, 500, 503, 503]
    s.reload(conf(app, workers=2))
    wait_breaker(s, 1, "open -> closed: there is no breaker any more")
    app.default = respond()
    assert ask(s) == 200


def test_waiters_are_told(sluice, peer):
    """Who waits for a server whose breaker opens is not left waiting."""
    let = threading.Event()
    app = peer(default=hold(let, ILL))
    s = sluice(conf(app, workers=2, keys="breaker.failures = 1\n"
                    "max_conns = 1\nqueue_timeout = 1m"))
    crowd = Crowd(s, 1)
    app.wait_requests(1)
    rest = Crowd(s, 4)
    wait_queue(s, 4)
    let.set()
    assert crowd.wait(1) == [500]
    assert rest.wait(4) == [503] * 4
    assert len(app.requests) == 1
    crowd.close()
    rest.close()


def test_waiters_are_probes(sluice, peer):
    """Who finds a probe left and no room waits for that, and no others."""
    let = threading.Event()
    app = peer()
    s = sluice(conf(app, workers=2, keys="breaker.failures = 1\n"
                    "breaker.open = 100ms\nbreaker.probes = 2\n"
                    "breaker.successes = 2\n"
                    "max_conns = 1\nqueue_timeout = 1m"))
    open_it(s, app, 1)
    half_open(s)
    app.default = hold(let)
    crowd = Crowd(s, 1)
    app.wait_requests(2)
    rest = Crowd(s, 1)
    wait_queue(s, 1)
    let.set()
    assert crowd.wait(1) == rest.wait(1) == [200]
    wait_breaker(s, 1, "half_open -> closed")
    assert len(app.requests) == 3
    crowd.close()
    rest.close()


def test_waiters_go_elsewhere(sluice, peer):
    """Room at a drained server is no room."""
    let = [threading.Event(), threading.Event()]
    app = [peer(default=hold(e)) for e in let]
    s = sluice(conf(*app, workers=2, keys="max_conns = 1\n"
                    "queue_timeout = 1m"))
    crowd = Crowd(s, 2)
    for a in app:
        a.wait_requests(1)
    rest = Crowd(s, 3)
    wait_queue(s, 3)
    s.ctl("server", "drain", "app", app[0].addr)
    let[0].set()
    assert crowd.wait(1) == [200]
    let[1].set()
    assert crowd.wait(2) == [200] * 2
    assert rest.wait(3) == [200] * 3
    assert [len(a.requests) for a in app] == [1, 4]
    crowd.close()
    rest.close()


@pytest.mark.parametrize("keys, status, said", [
    ("breaker.probes = 2\nbreaker.successes = 3", 1, "E0305"),
    ("breaker.open = 10s\nbreaker.open_max = 5s", 1, "E0303"),
    ("breaker.probes = 17", 1, "E0125"),
    ("breaker.window = 10ms", 1, "E0125"),
    ("breaker.probes = 1", 0, ""),
    ("breaker.open = 5m", 0, ""),
    ("failure_threshold = 3", 0, "breaker.failures"),
    ("success_threshold = 2", 0, "breaker.successes"),
    ("open_timeout = 30", 0, "breaker.open"),
    ("half_open_max = 4", 0, "breaker.probes"),
])
def test_keys(tmp, keys, status, said):
    with open(f"{tmp}/s.conf", "w", encoding="utf-8") as f:
        f.write(conf("127.0.0.1:9", keys=keys, workers=1).replace(
            "@port@", "8080"))
    done = run("sluiced", "-t", "-c", f"{tmp}/s.conf")
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    if said.startswith("breaker"):
        assert "W0410" in done.stderr

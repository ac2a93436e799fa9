"""Accepting: connections that arrive together are all served."""
import os
import signal
import time

import pytest

from lib import http, site, watch
from lib.cmd import KIND, state
from lib.trace import traced


@pytest.mark.parametrize("ev", ["epoll", "poll"])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_six_at_once(sluice, tmp, ev, workers):
    site.write(tmp)
    s = sluice(site.CONF.replace("workers = 2", f"workers = {workers}"),
               env={"SLUICE_EV": ev})
    for _ in range(10):
        conns = [http.Client(s.port) for _ in range(6)]
        for c in conns:
            c.send(http.request("GET", "/hello"))
        for c in conns:
            assert c.response().status == 200
            c.close()


def serving(s):
    return sum(p["name"].startswith("worker") and p["state"] == "serving"
               for p in s.ctl_json("status")["processes"])


def accepted(s):
    return [p["accepts"] for p in s.ctl_json("status")["processes"]
            if p["name"].startswith("worker")]


def test_burst_is_shared(sluice, tmp):
    """From the first connections on: who is ahead is woken last."""
    site.write(tmp)
    s = sluice(site.CONF)
    least = []
    for _ in range(5):
        before = accepted(s)
        conns = []
        for _ in range(50):
            c = http.Client(s.port)
            conns.append(c)
            c.send(http.request("GET", "/hello"))
            assert c.response().status == 200
        got = [a - b for a, b in zip(accepted(s), before)]
        assert sum(got) == 50
        least.append(min(got))
        for c in conns:
            c.close()
    assert sorted(least)[2] >= 15, least


@pytest.mark.skipif(KIND == "plain", reason="needs fault points")
def test_who_comes_is_known(sluice, tmp):
    """A worker that begins to serve has its share from then on."""
    site.write(tmp)
    # the fourth that comes to listen, control and two workers before it
    s = sluice(site.CONF, env={"SLUICE_FAULT": "listen_stop:3+1"})
    old = s.kill("worker 1")
    new = s.wait_role("worker 1", old)
    watch.wait_until("it stands still", lambda: state(new) == "T")
    over = int(time.time()) + 1.2
    watch.wait_until("the other looked who is there",
                     lambda: time.time() > over)
    os.kill(new, signal.SIGCONT)
    watch.wait_until("both serve", lambda: serving(s) == 2)
    before = accepted(s)
    conns = [http.Client(s.port) for _ in range(50)]
    for c in conns:
        c.send(http.request("GET", "/hello"))
        assert c.response().status == 200
    assert min(a - b for a, b in zip(accepted(s), before)) > 5
    for c in conns:
        c.close()


def test_last_goes_no_further(sluice, tmp):
    """The only one that is awake goes to the end of the queue once."""
    site.write(tmp)
    s = sluice(site.CONF)
    busy, pid = s.roles()["worker 1"], s.roles()["worker 2"]
    s.kill("worker 1", signal.SIGSTOP)
    with traced(s, pid) as names:
        for _ in range(100):
            assert http.get(s.port, "/hello").status == 200
    os.kill(busy, signal.SIGCONT)
    assert names.count("accept4") >= 100
    # one for each connection, and two where it steps back for a moment
    assert names.count("epoll_ctl") < 150


def test_out_of_descriptors(sluice, tmp):
    """At the limit idle connections go, and new ones are served."""
    site.write(tmp)
    s = sluice(site.CONF.replace("workers = 2", "workers = 1"),
               prefix=["sh", "-c", 'ulimit -n 64; exec "$0" "$@"'])
    idle = []
    for _ in range(80):
        c = http.Client(s.port)
        c.send(http.request("GET", "/hello"))
        idle.append(c)
    # whoever was accepted last is served; some of the idle had to go
    assert idle[-1].response().status == 200
    assert http.get(s.port, "/hello").status == 200
    s.wait_log(r"descriptors: none left for a connection: this process "
               r"may have 64: raise LimitNOFILE")
    assert len([r for r in s.log() if "none left" in str(r)]) == 1
    sums = {m["name"]: m["sum"] for m in s.ctl_json("metrics")["metrics"]}
    assert sums["fd_exhausted_total"] > 0
    for c in idle:
        c.close()

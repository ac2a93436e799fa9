"""Accepting: nobody is stranded, new connections are shared fairly."""
import os
import time

import pytest

from lib import http, site

SCALE = float(os.environ.get("SOAK_SCALE", "1"))


def accepted(s):
    """Connections accepted so far, by worker."""
    return {p["name"]: p["accepts"]
            for p in s.ctl_json("status")["processes"]
            if p["name"].startswith("worker")}


def test_share_after_a_death(sluice, tmp):
    """After a worker's death among many open connections each worker gets
    from 2 s on half to twice its share of the new ones."""
    n = max(int(10000 * SCALE), 500)
    site.write(tmp)
    s = sluice(site.CONF.replace("workers = 2", "workers = 4"))
    open_ = []
    for _ in range(n):
        c = http.Client(s.port)
        open_.append(c)
    for c in open_[::50]:
        c.send(http.request("GET", "/hello"))
        assert c.response().status == 200
    pid = s.kill("worker 2")
    s.wait_role("worker 2", other_than=pid)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert http.get(s.port, "/hello").status == 200
    before = accepted(s)
    m = 2000
    for _ in range(m):
        assert http.get(s.port, "/hello").status == 200
    after = accepted(s)
    got = {w: after[w] - before.get(w, 0) for w in after}
    share = sum(got.values()) / len(got)
    print(got)
    assert sum(got.values()) >= m
    for w, g in got.items():
        assert share / 2 <= g <= share * 2, got
    for c in open_:
        c.close()


@pytest.mark.parametrize("ev", ["epoll", "poll"])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_six_at_once(sluice, tmp, ev, workers):
    """Six connections that arrive together are served without a seventh."""
    site.write(tmp)
    s = sluice(site.CONF.replace("workers = 2", f"workers = {workers}"),
               env={"SLUICE_EV": ev})
    for _ in range(max(int(200 * SCALE), 10)):
        conns = [http.Client(s.port) for _ in range(6)]
        for c in conns:
            c.send(http.request("GET", "/hello"))
        for c in conns:
            assert c.response().status == 200
            c.close()

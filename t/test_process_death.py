"""Any process may be killed or stopped; what is promised holds."""
import os
import re
import signal
import threading

import pytest

from lib import http, net, site
from lib.peer import hold, respond


def start(sluice, tmp, conf=site.CONF, **kw):
    site.write(tmp)
    return sluice(conf, **kw)


@pytest.mark.parametrize("role", ["logger", "control", "health", "helper 1",
                                  "worker 1"])
def test_killed_role_comes_back(sluice, tmp, role):
    s = start(sluice, tmp)
    pid = s.kill(role)
    s.wait_role(role, other_than=pid)
    s.wait_log(rf"{role}: died: signal 9")
    assert site.is_served(s.port)
    s.reload()
    assert s.ctl_json("status")["generation"] == 2


def test_killed_worker_loses_only_its_own(sluice, tmp, peer):
    """started = finished + worker_lost, and each lost one is a record."""
    app = peer(default=hold(threading.Event()))
    s = start(sluice, tmp, site.proxied(app.addr))
    waiting = []
    for i in range(8):
        c = http.Client(s.port)
        c.send(http.request("GET", f"/api/lost-{i}"))
        waiting.append(c)
    app.wait_requests(8)
    with site.load(s.port) as load:
        load.wait(200)
    served = load.done
    assert not load.failures
    for w in ("worker 1", "worker 2"):
        pid = s.kill(w)
        s.wait_role(w, other_than=pid)
    for c in waiting:
        with pytest.raises(http.Closed):
            c.response()
        c.close()
    lost = s.wait_log('"fail":"worker_lost"', count=8)
    assert len(lost) == 8
    assert sorted(re.search(r"lost-\d", ln).group() for ln in lost) == \
        [f"lost-{i}" for i in range(8)]
    sums = s.ctl_json("metrics")["metrics"]
    value = {m["name"]: m["sum"] for m in sums}
    assert value["requests_worker_lost_total"] == 8
    assert value["requests_started_total"] == \
        value["requests_total"] + value["requests_worker_lost_total"]
    assert value["requests_total"] >= served


def test_worker_killed_under_load_counts(sluice, tmp):
    """served <= counted <= served + in flight in the killed worker."""
    s = start(sluice, tmp)
    conns = 6
    with site.load(s.port, conns=conns) as load:
        for _ in range(5):
            load.wait(100)
            pid = s.kill("worker 1")
            s.wait_role("worker 1", other_than=pid)
    # a killed worker cuts its connections: these, and no others
    assert len(load.failures) <= 5 * conns
    served = load.done
    recs = [r for r in s.log() if "status" in r and r.get("fail", "") !=
            "worker_lost"]
    s.wait_log('"status":200', count=served)
    recs = [r for r in s.log() if r.get("status") == 200]
    assert served <= len(recs) <= served + 5 * conns


def test_killed_logger_loses_and_doubles_nothing(sluice, tmp):
    s = start(sluice, tmp)
    n = 0
    with http.Client(s.port) as c:
        for round_ in range(6):
            for _ in range(50):
                c.send(http.request("GET", f"/hello?n={n}"))
                assert c.response().status == 200
                n += 1
            pid = s.kill("logger")
            s.wait_role("logger", other_than=pid)
    s.wait_log(f"n={n - 1}\"")
    seen = [int(m.group(1)) for r in s.log()
            if (m := re.search(r"/hello\?n=(\d+)", r.get("target", "")))]
    assert seen == list(range(n))


@pytest.mark.parametrize("fault", ["logger_crash", "logger_crash_before"])
def test_logger_that_dies_while_writing(sluice, tmp, fault):
    s = start(sluice, tmp, env={"SLUICE_FAULT": f"{fault}:1"})
    with http.Client(s.port) as c:
        for n in range(20):
            c.send(http.request("GET", f"/hello?n={n}"))
            assert c.response().status == 200
    s.wait_log("n=19\"")
    seen = [int(m.group(1)) for r in s.log()
            if (m := re.search(r"/hello\?n=(\d+)", r.get("target", "")))]
    assert seen == list(range(20))


def test_killed_helper_is_asked_again(sluice, tmp):
    s = start(sluice, tmp)
    with site.load(s.port) as load:
        for role in ("helper 1", "helper 2", "helper 1"):
            pid = s.kill(role)
            s.wait_role(role, other_than=pid)
            load.wait(50)
    assert not load.failures


def test_stopped_worker_is_replaced(sluice, tmp):
    """No heartbeat for 10 s: SIGABRT, its backtrace is kept, a new one."""
    s = start(sluice, tmp)
    s.may_break = True
    pid = s.kill("worker 1", signal.SIGSTOP)
    s.wait_role("worker 1", other_than=pid, seconds=30)
    s.wait_log("no heartbeat for")
    s.wait_log("panic: signal 06")
    assert site.is_served(s.port)


def test_stop_does_not_spare_the_hung(sluice, tmp):
    """SIGKILL is due 2 s after SIGABRT, however long a drain may take."""
    s = start(sluice, tmp, site.CONF.replace("stop = 5s", "stop = 1h"),
              env={"SLUICE_FAULT": "panic_hang"})
    s.may_break = True
    pid = s.kill("worker 1", signal.SIGSTOP)
    s.wait_log("worker 1: no heartbeat for", seconds=30)
    s.send(signal.SIGTERM)
    net.wait_pid_gone(pid)
    assert s.wait() == 0


def test_killed_master_lets_the_rest_finish(sluice, tmp, peer):
    gate = respond(body=b"from the server")
    app = peer(default=gate)
    s = start(sluice, tmp, site.proxied(app.addr))
    pids = s.children()
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/api/x"))
        assert c.response().body == b"from the server"
        os.kill(s.pid, signal.SIGKILL)
        s.proc.wait()
        for pid in pids:
            net.wait_pid_gone(pid, 20)
    # nothing of it is left, and the next one starts
    s.start()
    assert site.is_served(s.port)


def test_crashing_worker_backs_off(sluice, tmp):
    """A worker that dies at once is not started in a tight loop."""
    s = start(sluice, tmp, ready=False, env={
        "SLUICE_FAULT": "worker_crash"})
    s.may_break = True
    s.wait_stderr("fault point worker_crash", count=3)
    assert len(re.findall("worker 1: died", s.stderr())) < 12


def test_builder_dies(sluice, tmp):
    s = start(sluice, tmp)
    # the fault is read by the builder, a fork of the master
    s2 = sluice(site.CONF, start=False)
    site.write(s2.dir)
    s2.start(ready=False, env={"SLUICE_FAULT": "builder_crash"})
    assert s2.wait() == 4
    assert "builder died" in s2.stderr()
    assert site.is_served(s.port)

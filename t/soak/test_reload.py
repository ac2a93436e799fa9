"""1,000 reloads, 20 upgrades and 20 rolls under load: nothing is lost.

SOAK_SCALE multiplies the counts; CI runs a twentieth.
"""
import os
import signal

from lib import http, net, site
from lib.load import Download

SCALE = float(os.environ.get("SOAK_SCALE", "1"))


def times(n):
    return max(int(n * SCALE), 2)


def test_thousand_reloads(sluice, tmp):
    n = times(1000)
    site.write(tmp)
    s = sluice(site.CONF)
    workers = s.workers()
    slow = [Download(s.port, "/big.bin") for _ in range(50)]
    idle = [http.Client(s.port) for _ in range(50)]
    for c in idle:
        c.send(http.request("GET", "/"))
        assert c.response().body == site.HELLO
    early = None
    with site.load(s.port, conns=8) as load:
        # the logger holds the records of the last second, however many
        load.wait(times(20000))
        for i in range(n):
            s.reload()
            if i % 10 == 0:
                for d in slow:
                    d.step()
            if i + 1 == max(n // 10, 1):
                early = s.pss()
        late = s.pss()
        load.wait(100)
    assert not load.failures
    assert s.workers() == workers
    for c in idle:
        c.send(http.request("GET", "/"))
        assert c.response().body == site.HELLO
    for d in slow:
        d.finish()
    st = s.ctl_json("status")
    assert st["generation"] == n + 1
    print(f"pss {early} -> {late} KiB after {n} reloads, "
          f"{load.done} requests")
    if SCALE >= 1:
        assert late <= early * 1.05, (early, late)


def test_stream_per_reload(sluice, tmp):
    """A long stream begins before each reload; 16 generations at most."""
    site.write(tmp)
    s = sluice(site.CONF)
    streams, most = [], 0
    for _ in range(times(200)):
        streams.append(Download(s.port, "/big.bin"))
        s.reload()
        live = s.ctl_json("generations")
        most = max(most, max(p["generations"] for p in live["processes"]))
    assert most <= 16
    for d in streams:
        d.finish()


def upgrade(s):
    old = set(s.children())
    s.notify.drain()
    s.send(signal.SIGUSR2)
    s.notify.wait("READY")
    for pid in old:
        net.wait_pid_gone(pid, 20)


def test_upgrades_and_rolls(sluice, tmp):
    site.write(tmp)
    s = sluice(site.CONF)
    with site.load(s.port, conns=8) as load:
        for _ in range(times(20)):
            upgrade(s)
            load.wait(100)
            before = s.workers()
            s.ctl("roll")
            for pid in before:
                net.wait_pid_gone(pid, 20)
            load.wait(100)
    assert not load.failures

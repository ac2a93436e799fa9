"""Rolls and upgrades under load; programs that cannot take over."""
import os
import shutil
import signal

from lib import cmd, net, site
from lib.cmd import BIN


def own_program(tmp):
    """A copy of sluiced that a test may replace or break."""
    path = f"{tmp}/bin/sluiced"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy2(f"{BIN}/sluiced", path)
    return path


def start(sluice, tmp, program=None):
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    s.program = program or f"{BIN}/sluiced"
    return s.start()


def upgrade(s):
    """USR2; returns when the new program serves and the old is gone."""
    old = set(s.children())
    s.notify.drain()
    s.send(signal.SIGUSR2)
    s.notify.wait("READY")
    for pid in old:
        net.wait_pid_gone(pid)


def test_rolls_under_load(sluice, tmp):
    s = start(sluice, tmp)
    with site.load(s.port) as load:
        for _ in range(5):
            before = set(s.workers())
            assert s.ctl("roll").returncode == 0
            for pid in before:
                net.wait_pid_gone(pid)
            load.wait(50)
        assert not before & set(s.workers())
    assert not load.failures
    assert len(s.workers()) == 2


def test_upgrades_under_load(sluice, tmp):
    s = start(sluice, tmp)
    pid = s.pid
    with site.load(s.port) as load:
        for _ in range(5):
            upgrade(s)
            load.wait(50)
    assert not load.failures
    assert s.pid == pid and s.proc.poll() is None
    assert set(s.roles()) == {"logger", "helper 1", "helper 2", "health",
                              "control", "worker 1", "worker 2"}
    assert s.ctl_json("status")["ready"]


def refused(s, pattern):
    before = set(s.children())
    s.send(signal.SIGUSR2)
    s.wait_log(pattern)
    assert set(s.children()) >= before
    assert site.is_served(s.port)


def test_program_missing(sluice, tmp):
    path = own_program(tmp)
    s = start(sluice, tmp, path)
    os.unlink(path)
    refused(s, "upgrade: refused")
    s.wait_log("No such file")


def test_program_not_executable(sluice, tmp):
    path = own_program(tmp)
    s = start(sluice, tmp, path)
    os.chmod(path, 0o644)
    refused(s, "upgrade: refused")
    s.wait_log("Permission denied")


def test_program_that_crashes(sluice, tmp):
    path = own_program(tmp)
    s = start(sluice, tmp, path)
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nkill -SEGV $$\n")
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
    refused(s, "upgrade: refused.*signal 11")


def test_config_that_the_new_program_refuses(sluice, tmp):
    s = start(sluice, tmp)
    s.write("[listener web]\nbnd = 1\n")
    refused(s, "upgrade: refused.*status 1")
    s.wait_log("E0102")


def test_handover_check(tmp, sluice):
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    s.write(site.CONF)
    done = cmd.run("sluiced", "-c", s.conf_path, "--handover-check")
    assert done.returncode == 0 and "layout" in done.stdout


def test_another_program_that_ends_well(sluice, tmp):
    path = own_program(tmp)
    s = start(sluice, tmp, path)
    os.unlink(path)
    shutil.copy2("/bin/true", path)
    refused(s, "upgrade: refused")

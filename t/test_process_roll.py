"""Rolls and upgrades under load; programs that cannot take over."""
import os
import shutil
import signal
import threading

from lib import cmd, http, net, site
from lib.cmd import BIN
from lib.peer import hold, respond


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


def test_rows_of_old_processes_stay(sluice, tmp, peer):
    """What the processes before the upgrade use is not given away."""
    gate = threading.Event()
    app = peer([hold(gate, respond(body=b"from the server"))])
    site.write(tmp)
    s = sluice(site.proxied(app.addr))
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/api/x"))
        app.wait_requests(1)
        old = set(s.children())
        s.write(site.CONF)
        s.notify.drain()
        s.send(signal.SIGUSR2)
        s.notify.wait("READY")
        assert s.server_rows("app") == [app.addr]
        gate.set()
        assert c.response().body == b"from the server"
    for pid in old:
        net.wait_pid_gone(pid)
    s.reload()
    assert s.server_rows("app") == []


def upgrade_with_fault(sluice, tmp, fault):
    """The new program, not the old one, has a fault point armed."""
    path = own_program(tmp)
    s = start(sluice, tmp, path)
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nSLUICE_FAULT={fault}; export SLUICE_FAULT\n"
                f"exec {BIN}/sluiced \"$@\"\n")
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
    s.notify.drain()
    s.send(signal.SIGUSR2)
    s.wait_stderr("go on serving; tried again in 1 s")
    return s


def test_upgrade_tries_again(sluice, tmp):
    """Its first generation fails at first; the old ones serve on."""
    s = upgrade_with_fault(sluice, tmp, "builder_crash:1")
    assert site.is_served(s.port)
    old = set(s.children())
    s.notify.wait("READY")
    for pid in old:
        net.wait_pid_gone(pid)
    assert site.is_served(s.port)
    assert s.ctl_json("status")["ready"]


def test_upgrade_with_nobody_left(sluice, tmp):
    s = upgrade_with_fault(sluice, tmp, "builder_crash")
    for w in ("worker 1", "worker 2"):
        s.kill(w)
    assert s.wait() == 4
    s.wait_stderr("no worker of the program before is left")


def test_stop_of_an_upgrade_without_generation(sluice, tmp):
    """The old processes are drained, not left to themselves."""
    s = upgrade_with_fault(sluice, tmp, "builder_crash")
    assert site.is_served(s.port)
    s.send(signal.SIGTERM)
    s.notify.wait("STOPPING")
    s.wait()
    assert not cmd.session(s.sid)

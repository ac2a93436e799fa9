"""Rolls and upgrades under load; programs that cannot take over."""
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

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


def wait_stopped(s):
    """The pid of a child that has stopped itself."""
    deadline = net.Deadline("a stopped child")
    while True:
        for pid in s.children():
            if cmd.state(pid) == "T":
                return pid
        net.wait_fd(s.pidfd, min(deadline.left(), 0.02))


def test_roll_that_fails_is_told(sluice, tmp):
    """The successor dies: so is the answer; a later roll does well."""
    site.write(tmp)
    s = sluice(site.CONF, env={"SLUICE_FAULT": "roll_crash:1"})
    before = s.workers()
    done = s.ctl("roll", ok=False)
    assert done.returncode != 0
    assert "the new worker 1 died" in done.stderr
    s.wait_log("roll: stopped at worker 1")
    assert s.workers() == before and site.is_served(s.port)
    assert s.ctl("roll").returncode == 0
    for pid in before:
        net.wait_pid_gone(pid)


def held_by_a_drain(sluice, tmp, peer, timeouts):
    """A worker that drains after a roll, kept by a request; its client."""
    app = peer(default=hold(threading.Event()))
    site.write(tmp)
    s = sluice(site.proxied(app.addr).replace(
        "drain.timeout = 5s\nstop = 5s", timeouts))
    c = http.Client(s.port)
    c.send(http.request("GET", "/api/held"))
    app.wait_requests(1)
    s.ctl("roll")
    return s, c


def test_stop_shortens_a_drain(sluice, tmp, peer):
    """A worker has a minute after a roll; a stop leaves it a second."""
    s, c = held_by_a_drain(sluice, tmp, peer,
                           "drain.timeout = 60s\nstop = 1s")
    assert s.stop() == 0
    c.close()
    assert "does not end" not in str(s.log())
    assert [r for r in s.log() if r.get("fail") == "draining"]


def test_stop_does_not_lengthen_a_drain(sluice, tmp, peer):
    s, c = held_by_a_drain(sluice, tmp, peer,
                           "drain.timeout = 1s\nstop = 600s")
    assert s.stop() == 0
    c.close()
    assert "does not end" not in str(s.log())


def test_who_asks_during_a_roll_is_answered(sluice, tmp):
    """By the end of the next one, which has what the first one made."""
    site.write(tmp)
    s = sluice(site.CONF, env={"SLUICE_FAULT": "roll_hold:1"})
    before = set(s.workers())
    first = cmd.Thread(lambda: s.ctl("roll", ok=False))
    held = wait_stopped(s)
    # control lets one ask; another control process knows nothing of it
    s.wait_role("control", other_than=s.kill("control"))
    assert first.join().returncode != 0
    second = cmd.Thread(s.ctl, "roll")
    s.wait_log("roll: asked for while one is under way")
    os.kill(held, signal.SIGCONT)
    assert second.join().returncode == 0
    assert len(s.wait_log("roll: 2 workers replaced", count=2)) == 2
    for pid in before | {held}:
        net.wait_pid_gone(pid)
    assert len(s.workers()) == 2


def test_who_asks_when_an_upgrade_comes_is_told(sluice, tmp):
    """The control process that was asked is the one that goes."""
    s = start(sluice, tmp)
    request = http.request("POST", "/v1/roll", {"Connection": "close"})
    with net.connect(s.control) as c:
        c.sendall(request[:-2])
        s.send(signal.SIGUSR2)
        s.wait_log("health: ended")
        c.sendall(request[-2:])
        said = c.recv(65536)
    assert said.startswith(b"HTTP/1.1 503 "), said
    assert b"An upgrade is under way: ask again." in said


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


def test_signal_at_the_handover_is_not_lost(sluice, tmp):
    """HUP came, and before it was looked at the new program began."""
    site.write(tmp)
    s = sluice(site.CONF, env={"SLUICE_FAULT": "handover_signal:1"})
    upgrade(s)
    # 1 was the old program's, 2 the new one's own, 3 is the signal's
    s.wait_log("reload: generation 3 is live")


def test_signal_at_a_handover_that_fails(sluice, tmp):
    """The program that goes on has it."""
    site.write(tmp)
    s = sluice(site.CONF, env={
        "SLUICE_FAULT": "handover_signal:1,handover_gone"})
    s.send(signal.SIGUSR2)
    s.wait_log("upgrade: cannot run")
    s.wait_log("reload: generation 2 is live")


def capabilities(pid):
    """{"Prm": mask, "Eff": mask, "Bnd": mask ...} of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return {k: int(v, 16) for k, v in
                re.findall(r"^Cap(\w+):\s*(\w+)$", f.read(), re.M)}


@pytest.mark.skipif(os.getuid() != 0, reason="root gives up capabilities")
def test_upgrade_gets_no_capability_back(sluice, tmp):
    s = start(sluice, tmp)
    # KILL, SETGID, SETUID, NET_BIND_SERVICE, DAC_READ_SEARCH
    few = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 2
    before = capabilities(s.pid)
    assert before["Bnd"] & ~few == 0 and before["Prm"] & ~few == 0
    upgrade(s)
    assert capabilities(s.pid) == before
    # the new program had no more than that before it gave up the rest
    assert site.is_served(s.port)
    s.reload()


def test_stop_ends_a_check(sluice, tmp):
    """The program that is asked never answers: nobody stays behind."""
    path = own_program(tmp)
    s = start(sluice, tmp, path)
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nkill -STOP $$\n")
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
    s.send(signal.SIGUSR2)
    pid = wait_stopped(s)
    s.send(signal.SIGTERM)
    assert s.wait() == 0
    assert not os.path.exists(f"/proc/{pid}")


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


def state(**lines):
    """What a master would hand over; a line may be another, or none."""
    all_ = {"format": "sluice-handover 1", "layout": "layout " + 16 * "0",
            "places": "places {fd} {fd} /run /state /pid",
            "shm": "shm {fd} {fd} {fd} {fd}",
            "bound": "bound {fd} 127.0.0.1:1",
            "child": "child 1 1 1 worker 0 {fd} 0"}
    all_.update(lines)
    return "".join(f"{ln}\n" for ln in all_.values())


def check_state(s, text):
    """--handover-check with a state; {fd} is a socket that listens."""
    fd = os.memfd_create("state", 0)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        os.write(fd, text.format(fd=sock.fileno()).encode())
        try:
            return subprocess.run(
                [f"{cmd.BIN}/sluiced", "-c", s.conf_path,
                 "--handover-check"], capture_output=True, text=True,
                env=s.env(SLUICE_HANDOVER=str(fd)), check=False,
                pass_fds=(fd, sock.fileno()), timeout=net.WAIT)
        finally:
            os.close(fd)


def test_check_takes_a_state(tmp, sluice):
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    done = check_state(s, state())
    assert done.returncode == 0 and "layout" in done.stdout, done.stderr
    # what is new in a later version does no harm
    assert check_state(s, state(other="tunnel 1 2 3")).returncode == 0


@pytest.mark.parametrize("line", [
    {"format": "sluice-handover 2"}, {"format": "nonsense"},
    {"child": "child 1 1 1 juggler 0 {fd} 0"},
    {"child": "child 1 1000000 1 worker 0 {fd} 0"},
    {"child": "child 1 1 1 worker"},
    {"places": "places"}, {"places": "tags 1"},
    {"bound": "bound 900 127.0.0.1:1"}, {"bound": "bound {fd} nowhere"},
    {"shm": "shm 1 2 3"}, {"shm": "tags 1"}, {"layout": "layout x"},
])
def test_check_refuses_a_state(tmp, sluice, line):
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    done = check_state(s, state(**line))
    assert done.returncode == 4 and "cannot take over" in done.stderr


def test_check_refuses_a_board_that_is_none(tmp, sluice):
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    layout = cmd.run("sluiced", "-c", s.conf_path,
                     "--handover-check").stdout.split()[-1]
    done = check_state(s, state(layout=f"layout {layout}"))
    assert done.returncode == 4 and "board" in done.stderr


@pytest.mark.parametrize("fault", ["adopt_board", "adopt_state"])
def test_state_is_lost_and_all_are_served(sluice, tmp, fault):
    """The check was content, the new master is not: it serves anyway."""
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    s.start(env={"SLUICE_FAULT": fault})
    with site.load(s.port) as load:
        upgrade(s)
        load.wait(50)
        upgrade(s)
        load.wait(50)
    assert not load.failures
    assert f"state cannot be taken over: fault point {fault}" in s.stderr()
    assert len(s.workers()) == 2 and s.ctl_json("status")["ready"]
    s.reload()


def test_upgrade_of_places_with_blanks(sluice, tmp):
    """run_dir, state_dir, pid file and a unix socket, with blanks and %."""
    conf = site.CONF.replace("[listener web]", """
[listener local]
bind = unix:@dir@/a%20b.sock
[listener web]""").replace("workers = 2", """workers = 2
run_dir = @dir@/run of 100%
state_dir = @dir@/state  with two""")
    site.write(tmp)
    s = sluice(conf, start=False)
    s.control = f"{tmp}/run of 100%/control.sock"
    s.start(args=("-p", f"{tmp}/pid file"))
    for _ in range(2):
        upgrade(s)
        assert site.is_served(s.port)
        assert s.ctl_json("status")["ready"]
        assert http.get(f"{tmp}/a%20b.sock", "/hello").body == b"hello"
    assert open(f"{tmp}/pid file", encoding="ascii").read() == f"{s.pid}\n"
    s.stop()
    assert not os.path.exists(f"{tmp}/pid file")
    assert not os.path.exists(s.control)


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

"""Start, readiness, titles, pid file, signals, exits."""
import os
import signal
import socket
import subprocess
import threading

from lib import cmd, http, net, site
from lib.peer import hold, respond


def start(sluice, tmp, conf=site.CONF, **kw):
    site.write(tmp)
    return sluice(conf, **kw)


def test_roles_and_titles(sluice, tmp):
    s = start(sluice, tmp)
    assert set(s.roles()) == {"logger", "helper 1", "helper 2", "health",
                              "control", "worker 1", "worker 2"}
    assert cmd.title(s.pid).startswith("sluiced: master")
    assert site.is_served(s.port)


def test_serves_unwatched(sluice, tmp):
    """A system that has no filters: it is said, and nothing else."""
    s = start(sluice, tmp, env={"SLUICE_FAULT": "no_seccomp"})
    assert site.is_served(s.port)
    s.wait_log("system calls are not watched", count=7)
    assert "warn" in s.wait_log("system calls are not watched")[0]


def test_term_stops(sluice, tmp):
    s = start(sluice, tmp)
    assert os.path.exists(f"{tmp}/run/sluiced.pid")
    assert s.stop(signal.SIGTERM) == 0
    assert not os.path.exists(f"{tmp}/run/sluiced.pid")


def test_int_twice_stops_now(sluice, tmp):
    s = start(sluice, tmp)
    c = http.Client(s.port)
    c.send(http.request("GET", "/big.bin"))
    assert c.head().status == 200
    s.send(signal.SIGINT)
    s.notify.wait("STOPPING")
    s.send(signal.SIGINT)
    assert s.wait() == 0
    c.close()


def test_second_instance_is_refused(sluice, tmp):
    s = start(sluice, tmp)
    other = cmd.run("sluiced", "-f", "-c", s.conf_path, "--set",
                    f"listener.web.bind=127.0.0.1:{net.free_port()}")
    assert other.returncode == 4
    assert "runs already" in other.stderr


def test_port_taken(sluice, tmp):
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    with socket.socket() as other:
        other.bind(("127.0.0.1", s.port))
        other.listen()
        s.start(ready=False)
        assert s.wait() == 4
    assert "E0501" in s.stderr()
    assert f"127.0.0.1:{s.port}" in s.stderr()


def test_config_error_at_start(sluice):
    s = sluice("[listener web]\nbnd = 1\n", start=False)
    s.start(ready=False)
    assert s.wait() == 1
    assert "E0102" in s.stderr() and '"bind"' in s.stderr()


def test_signal_words(sluice, tmp):
    s = start(sluice, tmp)
    s.notify.drain()
    done = cmd.run("sluiced", "-c", s.conf_path, "-s", "reload")
    assert done.returncode == 0, done.stderr
    s.notify.wait("RELOADING")
    s.notify.wait("READY")
    assert cmd.run("sluiced", "-c", s.conf_path, "-s", "jump").returncode == 2
    done = cmd.run("sluiced", "-p", f"{tmp}/run/sluiced.pid", "-s", "stop")
    assert done.returncode == 0
    assert s.wait() == 0
    gone = cmd.run("sluiced", "-c", s.conf_path, "-s", "stop")
    assert gone.returncode == 4


def test_daemon(sluice, tmp):
    """Without -f the command returns when the gateway serves."""
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    done = cmd.run("sluiced", "-c", s.conf_path)
    assert done.returncode == 0, done.stderr
    with open(f"{tmp}/run/sluiced.pid", encoding="ascii") as f:
        pid = int(f.read())
    try:
        assert site.is_served(s.port)
        assert os.getsid(pid) == pid or os.getsid(pid) != os.getsid(0)
    finally:
        assert cmd.run("sluiced", "-c", s.conf_path, "-s",
                       "stop").returncode == 0
        net.wait_pid_gone(pid)


def test_daemon_that_cannot_start_says_so(sluice, tmp):
    s = sluice("[listener web]\nbind = nonsense\n", start=False)
    done = cmd.run("sluiced", "-c", s.conf_path)
    assert done.returncode == 1
    assert "E0126" in done.stderr


def test_stop_finishes_what_runs(sluice, tmp, peer):
    gate = threading.Event()
    app = peer([hold(gate, respond(body=b"from the server"))])
    s = start(sluice, tmp, site.proxied(app.addr))
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/api/x"))
        app.wait_requests(1)
        s.send(signal.SIGTERM)
        s.notify.wait("STOPPING")
        net.wait_refused(s.port)
        gate.set()
        r = c.response()
        assert r.body == b"from the server" and r.closes
    assert s.wait() == 0


def test_stop_is_not_for_ever(sluice, tmp):
    conf = site.CONF.replace("stop = 5s", "stop = 500ms")
    s = start(sluice, tmp, conf)
    c = http.Client(s.port, sock=net.connect(s.port, rcvbuf=4096))
    c.send(http.request("GET", "/big.bin"))
    c.head()
    s.send(signal.SIGTERM)
    assert s.wait() == 0
    c.close()


def test_daemon_without_standard_streams(sluice, tmp):
    """Nothing else gets the numbers 0 to 2, to be overwritten later."""
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-',
         f"{cmd.BIN}/sluiced", s.conf_path], env=s.env(), check=False,
        timeout=net.WAIT)
    assert done.returncode == 0
    with open(f"{tmp}/run/sluiced.pid", encoding="ascii") as f:
        pid = int(f.read())
    assert site.is_served(s.port)
    assert cmd.run("sluiced", "-c", s.conf_path, "-s",
                   "stop").returncode == 0
    net.wait_pid_gone(pid)


def test_many_listeners(sluice, tmp):
    """All of them reach the workers, however many there are."""
    os.makedirs(f"{tmp}/s")
    paths = [f"{tmp}/s/{i}" for i in range(900)]
    binds = "".join(f"bind = unix:{p}\n" for p in paths)
    conf = site.CONF.replace("workers = 2", "workers = 1") + \
        "[listener many]\n" + binds
    s = start(sluice, tmp, conf)
    for p in paths:
        assert http.get(p, "/hello").body == b"hello"
    # one that starts later has them, too
    pid = s.kill("worker 1")
    s.wait_role("worker 1", other_than=pid)
    for p in paths:
        assert http.get(p, "/hello").body == b"hello"


def test_fork_that_fails_is_tried_again(sluice, tmp):
    s = start(sluice, tmp, env={"SLUICE_FAULT": "fork_fail:2"})
    assert set(s.roles()) == {"logger", "helper 1", "helper 2", "health",
                              "control", "worker 1", "worker 2"}
    s.wait_log("cannot fork")
    assert site.is_served(s.port)


def test_stop_leaves_no_builder(sluice, tmp):
    """One that has not yet said that it dies with the master."""
    site.write(tmp)
    s = sluice(site.CONF, start=False)
    s.start(ready=False, env={"SLUICE_FAULT": "builder_early"})
    s.wait_child()
    s.send(signal.SIGTERM)
    assert s.wait() == 4
    assert not cmd.session(s.sid)

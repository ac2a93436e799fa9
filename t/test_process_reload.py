"""Reloads: nothing is cut, nothing is half done."""
import os
import signal
import socket
import threading

from lib import http, net, site
from lib.load import Download
from lib.peer import hold


def start(sluice, tmp, conf=site.CONF, **kw):
    site.write(tmp)
    return sluice(conf, **kw)


def test_reload_changes_an_answer(sluice, tmp):
    s = start(sluice, tmp)
    assert http.get(s.port, "/hello").body == b"hello"
    workers = s.workers()
    s.reload(site.CONF.replace("200 hello", "200 changed"))
    assert http.get(s.port, "/hello").body == b"changed"
    assert s.workers() == workers


def test_reloads_under_load(sluice, tmp):
    """60 reloads, slow downloads and idle connections open (soak: 1,000)."""
    s = start(sluice, tmp)
    workers = s.workers()
    slow = [Download(s.port, "/big.bin") for _ in range(10)]
    idle = [http.Client(s.port) for _ in range(10)]
    for c in idle:
        c.send(http.request("GET", "/"))
        assert c.response().body == site.HELLO
    with site.load(s.port) as load:
        for _ in range(60):
            s.reload()
            for d in slow:
                d.step()
        load.wait(100)
    assert not load.failures
    assert s.workers() == workers
    for c in idle:
        c.send(http.request("GET", "/"))
        assert c.response().body == site.HELLO
        c.close()
    for d in slow:
        d.finish()
    st = s.ctl_json("status")
    assert st["generation"] == 61


def test_bad_config_changes_nothing(sluice, tmp):
    s = start(sluice, tmp)
    s.write(site.CONF + "\n[route broken]\nupstream = nowhere\n")
    s.notify.drain()
    s.send(signal.SIGHUP)
    s.notify.wait("RELOADING")
    state = s.notify.wait("READY")
    assert "reload failed" in state["STATUS"]
    assert http.get(s.port, "/hello").body == b"hello"
    assert s.ctl_json("status")["generation"] == 1
    s.wait_log("E0210")
    s.reload(site.CONF)
    assert s.ctl_json("status")["generation"] == 3


def test_one_refusal_cancels_for_all(sluice, tmp):
    s = start(sluice, tmp, env={"SLUICE_FAULT": "prepare_refuse:1"})
    done = s.ctl("reload", ok=False)
    assert done.returncode == 1
    assert "prepare_refuse" in done.stdout + done.stderr
    st = s.ctl_json("status")
    assert st["generation"] == 1
    assert http.get(s.port, "/hello").body == b"hello"


def test_refusal_is_one_line(sluice, tmp):
    """What a worker says is told on, and cannot say more than that."""
    s = start(sluice, tmp, env={"SLUICE_FAULT": "prepare_refuse:1"})
    state = s.reload()
    assert "INJECTED" not in state
    assert "prepare_refuse\\x0aINJECTED=1" in state["STATUS"]


def test_listener_comes_and_goes(sluice, tmp):
    s = start(sluice, tmp)
    two = site.CONF.replace(
        "bind = 127.0.0.1:@port@",
        "bind = 127.0.0.1:@port@ 127.0.0.1:@port2@")
    s.reload(two)
    for _ in range(4):
        assert site.is_served(s.value("port2"))
    with http.Client(s.value("port2")) as c:
        c.send(http.request("GET", "/"))
        assert c.response().status == 200
        s.reload(site.CONF)
        assert site.is_served(s.port)
        net.wait_refused(s.value("port2"))


def test_taken_port_keeps_the_old_generation(sluice, tmp):
    s = start(sluice, tmp)
    with socket.socket() as other:
        other.bind(("127.0.0.1", s.value("port2")))
        other.listen()
        s.reload(site.CONF.replace(
            "bind = 127.0.0.1:@port@",
            "bind = 127.0.0.1:@port@ 127.0.0.1:@port2@"))
    assert s.ctl_json("status")["generation"] == 1
    assert site.is_served(s.port)


def test_workers_grow_and_shrink(sluice, tmp):
    s = start(sluice, tmp)
    with site.load(s.port) as load:
        s.reload(site.CONF.replace("workers = 2", "workers = 4"))
        s.wait_role("worker 4")
        load.wait(50)
        four = s.roles()["worker 4"]
        s.reload(site.CONF.replace("workers = 2", "workers = 1"))
        net.wait_pid_gone(four)
        load.wait(50)
    assert not load.failures


def test_long_streams_hold_few_generations(sluice, tmp, peer):
    """A stream per reload: the head is sent, so no generation is held."""
    s = start(sluice, tmp)
    streams = []
    for _ in range(20):
        d = Download(s.port, "/big.bin")
        streams.append(d)
        s.reload()
    for p in s.ctl_json("generations")["processes"]:
        assert p["generations"] <= 16
    for d in streams:
        d.finish()


def test_oldest_generation_expires(sluice, tmp, peer):
    """Requests without an answer hold theirs; the oldest has to go."""
    app = peer(default=hold(threading.Event()))
    s = start(sluice, tmp, site.proxied(app.addr))
    waiting = []
    for _ in range(18):
        c = http.Client(s.port)
        c.send(http.request("GET", "/api/wait"))
        waiting.append(c)
        app.wait_requests(len(waiting))
        s.reload()
    s.wait_log("told to end what does")
    assert waiting[0].response().status == 503
    live = s.ctl_json("generations")
    assert max(p["generations"] for p in live["processes"]) <= 17
    assert site.is_served(s.port)
    for c in waiting:
        c.close()


def test_socket_that_cannot_be_sent_refuses(sluice, tmp):
    """One worker cannot be told of it: no worker keeps it."""
    s = start(sluice, tmp, env={"SLUICE_FAULT": "listen_refuse:1"})
    workers = s.workers()
    s.write(site.CONF.replace(
        "bind = 127.0.0.1:@port@",
        "bind = 127.0.0.1:@port@ 127.0.0.1:@port2@"))
    done = s.ctl("reload", ok=False)
    assert done.returncode == 1
    assert "could not be sent the sockets" in done.stdout + done.stderr
    assert s.ctl_json("status")["generation"] == 1
    net.wait_refused(s.value("port2"))
    assert s.ctl("reload").returncode == 0
    for _ in range(4):
        assert site.is_served(s.value("port2"))
    assert s.workers() == workers


def test_builder_without_a_channel(sluice, tmp):
    s = start(sluice, tmp, env={"SLUICE_FAULT": "builder_chan:1+1"})
    assert s.ctl("reload", ok=False).returncode == 1
    assert s.ctl_json("status")["generation"] == 1
    assert not [r for r in s.roles() if "builder" in r]
    assert s.ctl("reload").returncode == 0
    assert s.ctl_json("status")["generation"] == 3


def test_no_place_for_a_generation(sluice, tmp, peer):
    """All are held by requests that do not end: nothing is overwritten."""
    app = peer(default=hold(threading.Event()))
    s = start(sluice, tmp, site.proxied(app.addr),
              env={"SLUICE_FAULT": "expire_ignored"})
    waiting = []
    for n in range(64):
        c = http.Client(s.port)
        c.send(http.request("GET", "/api/wait"))
        waiting.append(c)
        app.wait_requests(len(waiting))
        done = s.ctl("reload", ok=False)
        assert done.returncode == (0 if n < 63 else 1)
    assert "all 64 places" in done.stdout + done.stderr
    assert site.is_served(s.port)
    waiting.pop(0).reset()
    s.wait_log('"fail":"client_gone"')
    assert s.ctl("reload").returncode == 0
    assert site.is_served(s.port)
    for c in waiting:
        c.close()


def test_stop_ends_the_builder(sluice, tmp):
    s = start(sluice, tmp, env={"SLUICE_FAULT": "builder_hang:1+1"})
    s.notify.drain()
    s.send(signal.SIGHUP)
    s.notify.wait("RELOADING")
    s.send(signal.SIGTERM)
    s.wait_log("reload: failed: the gateway is stopping")
    assert s.wait() == 0


def test_stop_before_the_commit(sluice, tmp):
    """A worker has not answered yet; when it does it is too late."""
    s = start(sluice, tmp)
    pid = s.kill("worker 1", signal.SIGSTOP)
    s.notify.drain()
    s.send(signal.SIGHUP)
    s.notify.wait("RELOADING")
    s.wait_mapped("worker 2", 2)
    s.send(signal.SIGTERM)
    s.wait_log("reload: failed: the gateway is stopping")
    os.kill(pid, signal.SIGCONT)
    assert s.wait() == 0
    assert not [r for r in s.log() if "is live after" in r.get("text", "")
                and "generation 2" in r["text"]]


def test_many_new_addresses(sluice, tmp):
    """240 go in one reload; more, which no channel takes, are refused."""
    os.makedirs(f"{tmp}/s")
    paths = [f"{tmp}/s/{i}" for i in range(481)]
    many = [site.CONF + "[listener many]\n" +
            "".join(f"bind = unix:{p}\n" for p in paths[:n])
            for n in (240, 481)]
    s = start(sluice, tmp)
    workers = s.workers()
    s.write(many[0])
    s.ctl("reload")
    for p in paths[:240]:
        assert http.get(p, "/hello").body == b"hello"
    s.write(many[1])
    done = s.ctl("reload", ok=False)
    assert done.returncode == 1
    assert "241 new addresses: a reload may add 240" in \
        done.stdout + done.stderr
    assert s.ctl_json("status")["generation"] == 2
    assert not os.path.exists(paths[240])
    assert http.get(paths[239], "/hello").body == b"hello"
    assert s.workers() == workers

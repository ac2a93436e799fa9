"""HTTP/2 to servers: who gets a place on a connection that many share,
and when; what becomes of those who wait for one."""
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import h2, http, net, wire
from lib.breaker import half_open
from lib.h2peer import answer, hold, quiet
from test_h2_upstream import CONF, h2peer, many, stat, start # noqa: F401
from test_upstream_race import full

__all__ = ["h2peer"]


# --- one at a time ---

@pytest.mark.parametrize("own,key", [(1, 100), (100, 1)])
def test_one_at_a_time(sluice, h2peer, own, key):
    """Such a connection is kept like any other."""
    p = h2peer(default=answer(), own=((3, own),))
    s = start(sluice, p, f"pool.streams = {key}")
    for _ in range(6):
        assert http.get(s.port, "/").status == 200
    assert p.connections == 1


def test_one_at_a_time_cancelled(sluice, h2peer):
    """Also when the only stream was one that the client left."""
    p = h2peer([answer(), quiet()], default=answer(), own=((3, 1),))
    s = start(sluice, p)
    assert http.get(s.port, "/").status == 200
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/b"))
        p.wait_requests(2)
    p.conns[0].wait_reset(p.requests[1].sid)
    assert http.get(s.port, "/").status == 200
    assert p.connections == 1


# --- room that no request gives back ---

ONE = "max_conns = 1\nqueue_timeout = 20s"
ROUNDS = 8


def one_waits(s):
    net.until("one waits", lambda: stat(s, "upstream_queue") == 1)


def are_prompt(took):
    """Most of them: a look that comes each second finds some soon, too."""
    assert sorted(took)[ROUNDS - 3] < .3, took


def test_place_of_one_that_left(sluice, h2peer):
    """Its stream is the server's until the reset has left."""
    go, took = threading.Event(), []
    p = h2peer([hold(go)] + [quiet(), answer()] * ROUNDS, own=((3, 2),))
    s = start(sluice, p, ONE)
    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(http.get, s.port, "/")
        p.wait_requests(1)
        for i in range(ROUNDS):
            with http.Client(s.port) as c:
                c.send(http.request("GET", "/"))
                p.wait_requests(2 * i + 2)
                next_ = pool.submit(http.get, s.port, "/")
                one_waits(s)
                begun = time.monotonic()
            assert next_.result().status == 200
            took.append(time.monotonic() - begun)
        go.set()
        assert long.result().status == 200
    are_prompt(took)
    assert p.connections == 1


def test_place_of_higher_limit(sluice, h2peer):
    """The server takes more from now on."""
    go, took = threading.Event(), []
    p = h2peer(default=hold(go), own=((3, 1),))
    s = start(sluice, p, ONE)
    with ThreadPoolExecutor(ROUNDS + 1) as pool:
        all_ = [pool.submit(http.get, s.port, "/")]
        p.wait_requests(1)
        for i in range(ROUNDS):
            all_.append(pool.submit(http.get, s.port, "/"))
            one_waits(s)
            begun = time.monotonic()
            p.conns[0].send(h2.settings((3, i + 2)))
            p.wait_requests(i + 2)
            took.append(time.monotonic() - begun)
        go.set()
        assert {f.result().status for f in all_} == {200}
    are_prompt(took)
    assert p.connections == 1


# --- those who waited for a dial ---

@pytest.mark.parametrize("more", ["", "retry.on = off", "retry.on = connect"])
def test_dial_for_too_many(sluice, h2peer, more):
    """Who finds no place joins the queue: the server refused nobody."""
    go, late = threading.Event(), threading.Event()
    p = h2peer(default=hold(go), own=((3, 4),), late=late)
    s = start(sluice, p, f"{ONE}\n{more}")
    with ThreadPoolExecutor(12) as pool:
        all_ = [pool.submit(http.get, s.port, f"/{i}") for i in range(12)]
        net.until("all wait for the dial", lambda: stat(
            s, "upstream_attempts_total") == 12)
        late.set()
        p.wait_requests(4)
        net.until("eight wait", lambda: stat(s, "upstream_queue") == 8)
        go.set()
        assert [f.result().status for f in all_] == [200] * 12
    assert p.connections == 1
    assert stat(s, "upstream_http2_refused_total") == 0
    assert stat(s, "upstream_replays_total") == 0
    assert [wire.record(s, target=f"/{i}")["attempts"]
            for i in range(12)] == [1] * 12


def test_none_waits_for_a_dead_one(sluice, h2peer):
    """One that said nothing, for as long as an answer may take, is left."""
    late = threading.Event()
    p = h2peer(late=late)
    s = start(sluice, p, "timeout.first_byte = 300ms\nretry.on = off")
    assert http.get(s.port, "/").status == 504
    assert p.connections == 1
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/next"))
        net.until("another", lambda: p.connections == 2, 2)
        late.set()
        assert c.response().status == 200


def test_dial_that_fails_for_many(sluice):
    """Each is told, and it is one failure of the server's."""
    port = net.free_port()
    hung = full("127.0.0.1", port)
    s = sluice(CONF.format(addr=f"127.0.0.1:{port}", more="""
timeout.connect = 500ms
retry.on = off
breaker.failures = 3
outlier.consecutive = 3
"""))
    with ThreadPoolExecutor(8) as pool:
        all_ = [pool.submit(http.get, s.port, "/") for _ in range(8)]
        assert {f.result().status for f in all_} == {504}
    server, = s.ctl_json("upstreams")["upstreams"][0]["servers"]
    assert server["state"] == "up" and server["failures"] == 1
    for sock in hung:
        sock.close()


# --- the worker dies ---

LOST = 6


def test_worker_killed(sluice, h2peer):
    """Its streams are lost, each is told, and its place is free again."""
    p = h2peer([quiet()] * LOST, default=answer(), own=((3, LOST),))
    s = start(sluice, p, ONE)
    clients = [http.Client(s.port) for _ in range(LOST)]
    for i, c in enumerate(clients):
        c.send(http.request("GET", f"/lost-{i}"))
    p.wait_requests(LOST)
    assert p.connections == 1 and stat(s, "upstream_http2_streams") == LOST
    s.wait_role("worker 1", other_than=s.kill("worker 1"))
    for c in clients:
        with pytest.raises(http.Closed):
            c.response()
        c.close()
    assert len(s.wait_log('"fail":"worker_lost"', count=LOST)) == LOST
    assert {r.status for r in many(s, LOST)} == {200}
    assert p.connections == 2
    assert stat(s, "requests_worker_lost_total") == LOST
    assert stat(s, "upstream_http2_streams") == 0
    assert stat(s, "upstream_connections") == 1


# --- who was sent back ---

def servers(s):
    up, = s.ctl_json("upstreams")["upstreams"]
    return up["servers"]


def test_dial_for_too_many_in_vain(sluice, h2peer):
    """Who was sent back has asked nobody, wherever it is told."""
    go, late = threading.Event(), threading.Event()
    p = h2peer(default=hold(go), own=((3, 1),), late=late)
    s = start(sluice, p, "max_conns = 1\nqueue_timeout = 2s")
    with ThreadPoolExecutor(4) as pool:
        all_ = [pool.submit(http.get, s.port, f"/{i}") for i in range(4)]
        net.until("all wait for the dial", lambda: stat(
            s, "upstream_attempts_total") == 4)
        late.set()
        net.until("three wait", lambda: stat(s, "upstream_queue") == 3)
        server, = servers(s)
        assert server["attempts"] == server["connections"]["active"] == 1
        net.until("three were told", lambda: sum(
            f.done() for f in all_) == 3)
        go.set()
        assert sorted(f.result().status for f in all_) == [200] + [503] * 3
    for r in [wire.record(s, target=f"/{i}") for i in range(4)]:
        assert (r["server"], r["attempts"]) == (p.addr, 1) \
            if r["status"] == 200 else \
            r["fail"] == "queue_timeout" and not {
                "server", "attempts", "tries"} & set(r), r


def test_dial_for_too_many_probes(sluice, h2peer):
    """Nor is one of a half-open breaker's probes used up by that."""
    go, late = threading.Event(), threading.Event()
    late.set()
    p = h2peer([answer(500)], default=hold(go), own=((3, 1),), late=late)
    s = start(sluice, p, f"""{ONE}
pool.idle = 100ms
breaker.failures = 1
breaker.open = 300ms
breaker.probes = 3
breaker.successes = 3
retry.on = off
outlier = off
""")
    assert http.get(s.port, "/").status == 500
    net.until("its connection is closed", lambda: stat(
        s, "upstream_connections") == 0)
    late.clear()
    half_open(s)
    with ThreadPoolExecutor(3) as pool:
        all_ = [pool.submit(http.get, s.port, "/") for _ in range(3)]
        net.until("all wait for the dial", lambda: stat(
            s, "upstream_attempts_total") == 4)
        late.set()
        net.until("two wait", lambda: stat(s, "upstream_queue") == 2)
        go.set()
        assert [f.result().status for f in all_] == [200] * 3
    s.wait_log("breaker half_open -> closed")
    assert stat(s, "upstream_attempts_total") == 4

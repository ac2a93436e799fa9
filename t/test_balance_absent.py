"""Servers where nobody listens, and what is left when no server is fit."""
import concurrent.futures

from lib import http, net
from lib.peer import no_body, respond
from lib.watch import Health, conf, servers, wait_change, wait_until

PROBED = """
health.path = /health
health.interval = 100ms
health.fall = 1
slow_start = 0
"""
BAD = respond(status=500)


def ask(s, n):
    """The statuses of n requests, eight at a time."""
    def some(k):
        with http.Client(s.port) as c:
            return [c.get("/x").status for _ in range(k)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return sum(pool.map(some, [n // 8] * 8), [])


def upstream(s):
    return s.ctl_json("upstreams", "app")["upstreams"][0]


def eject(s, peer):
    """Five failures in a row, and it is well again."""
    peer.default = BAD
    for _ in range(20):
        http.get(s.port, "/x")
    wait_change(s, peer.addr, "up", "ejected", "server_error")
    peer.default = respond(body=b"again")


def end(s, peer):
    """A probe under way may be cut; the next one is refused."""
    peer.stop()
    wait_change(s, peer.addr, "up", "down")
    wait_until("nobody listens there",
               lambda: servers(s)[peer.addr]["why"] == "dial_refused")


def test_panic_asks_no_absent(sluice, peer):
    """Three of four are dead: the one that is left has all, and nothing
    is spent on them."""
    health = [Health() for _ in range(4)]
    _, *dead = all_ = [peer(default=h) for h in health]
    s = sluice(conf(*[p.addr for p in all_], workers=2, keys=PROBED))
    for p in dead:
        end(s, p)
    assert set(ask(s, 400)) == {200}
    assert len(health[0].asked) == 400
    got = upstream(s)
    assert got["tier"] == "panic" and got["usable"] == 1
    assert got["retries"]["made"] == 0
    assert {v["passed_over"] for v in got["servers"]} == {
        None, "nobody listens there"}


def test_panic_asks_the_overloaded(sluice, peer):
    """A server that answers its probes badly still bears its part; when
    its process ends, it does not."""
    health = [Health() for _ in range(4)]
    _, b, *dead = all_ = [peer(default=h) for h in health]
    s = sluice(conf(*[p.addr for p in all_], workers=2, keys=PROBED))
    for p in dead:
        end(s, p)
    health[1].ok = False
    wait_change(s, b.addr, "up", "down", "probe_status")
    assert set(ask(s, 80)) == {200}
    assert len(health[0].asked) > 20 and len(health[1].asked) > 20
    b.stop()
    wait_until("the newer reason",
               lambda: servers(s)[b.addr]["why"] == "dial_refused")
    made = upstream(s)["retries"]["made"]
    assert set(ask(s, 80)) == {200}
    assert upstream(s)["retries"]["made"] == made


def test_two_of_three_dead(sluice, peer):
    """Without probes: both are ejected though the share is one, and no
    request fails meanwhile."""
    a, *dead = all_ = [peer() for _ in range(3)]
    s = sluice(conf(*[p.addr for p in all_], workers=2))
    for p in dead:
        p.stop()
    assert set(ask(s, 4000)) == {200}
    got = {k: (v["state"], v["why"]) for k, v in servers(s).items()}
    assert got[a.addr][0] == "up"
    assert {got[p.addr] for p in dead} == {("ejected", "dial_refused")}
    assert upstream(s)["retries"]["refused"] == 0


def test_share_is_for_the_others(sluice, peer):
    """Who is absent takes nothing of the share of those that fail."""
    good, *bad = [peer() for _ in range(5)]
    s = sluice(conf(good.addr, *[p.addr for p in bad], workers=2,
                    keys="outlier.share = 40\noutlier.time = 60s\n"
                    "panic = 0"))
    for p in bad[:2]:
        p.stop()
        for _ in range(3):
            ask(s, 40)
        wait_change(s, p.addr, "up", "ejected", "dial_refused")
    for p in bad[2:]:
        p.default = BAD
    ask(s, 80)
    for p in bad[2:]:
        wait_change(s, p.addr, "up", "ejected", "server_error")


def test_the_last_is_ejected(sluice, peer):
    """The other one drains: who is ejected is asked, for it may be well."""
    a, b = peer(), peer()
    s = sluice(conf(a.addr, b.addr, keys="outlier.time = 60s"))
    eject(s, a)
    s.ctl("server", "drain", "app", b.addr)
    for _ in range(20):
        r = http.get(s.port, "/x")
        assert (r.status, r.text) == (200, "again")
    got = upstream(s)
    assert got["tier"] == "ejected" and got["usable"] == 1
    assert servers(s)[a.addr]["state"] == "ejected"
    how = s.ctl_json("explain", f"http://127.0.0.1:{s.port}/x")
    assert a.addr in str(how) and "ejected" in str(how)
    # not those that are held back for another reason as well
    s.ctl("server", "down", "app", a.addr)
    assert http.get(s.port, "/x").status == 503


def test_panic_retries_with_the_ejected(sluice, peer):
    """They are well again when the last one that was fit fails."""
    def cut(conn, req):
        net.reset(conn.sock)
        return False
    *ill, fit = all_ = [peer() for _ in range(5)]
    s = sluice(conf(*[p.addr for p in all_], workers=1,
                    keys="outlier.time = 60s\noutlier.consecutive = 3\n"
                    "outlier.share = 100\nretry.floor = 1000"))
    for p in ill:
        eject(s, p)
    assert upstream(s)["tier"] == "panic"
    fit.default = no_body(cut)
    was = len(fit.requests)
    for _ in range(10):
        assert http.get(s.port, "/x").text == "again"
    assert len(fit.requests) > was
    assert servers(s)[fit.addr]["state"] == "up"


def test_a_reload_leaves_an_ejected_one(sluice, peer):
    a, b = peer(), peer()
    s = sluice(conf(a.addr, b.addr, keys="outlier.time = 60s"))
    eject(s, a)
    s.reload(conf(a.addr, keys="outlier.time = 60s"))
    assert http.get(s.port, "/x").status == 200


def test_the_absent_are_asked_last(sluice, peer):
    """Of ejected ones those where somebody listens."""
    a, b, c = peer(), peer(), peer()
    s = sluice(conf(a.addr, b.addr, c.addr, keys="outlier.time = 60s\n"
                    "outlier.share = 100"))
    c.stop()
    ask(s, 80)
    wait_change(s, c.addr, "up", "ejected", "dial_refused")
    eject(s, a)
    s.ctl("server", "drain", "app", b.addr)
    made = upstream(s)["retries"]["made"]
    assert set(ask(s, 80)) == {200}
    assert upstream(s)["retries"]["made"] == made


def test_a_retry_goes_to_an_ejected_one(sluice, peer):
    """All that are fit were asked in vain."""
    a, b = peer(), peer()
    s = sluice(conf(a.addr, b.addr, keys="outlier.time = 60s"))
    eject(s, a)
    b.stop()
    r = http.get(s.port, "/x")
    assert (r.status, r.text) == (200, "again")


def test_an_ejected_backup_is_last(sluice, peer):
    """A backup that is fit goes before whoever is ejected."""
    a, b, c = peer(), peer(), peer([], default=respond(body=b"backup"))
    s = sluice(conf(a.addr, b.addr, f"{c.addr} backup",
                    keys="outlier.time = 60s"))
    eject(s, a)
    s.ctl("server", "drain", "app", b.addr)
    assert http.get(s.port, "/x").text == "backup"
    s.ctl("server", "drain", "app", c.addr)
    assert http.get(s.port, "/x").text == "again"


def test_round_robin_retries_take_no_turn(sluice, peer):
    """Of two servers one is dead: it has every second request's first
    attempt, not every one's."""
    dead, a = peer(), peer()
    s = sluice(conf(dead.addr, a.addr, keys="balance = round_robin\n"
                    "outlier = off\nretry.floor = 1000"))
    dead.stop()
    with http.Client(s.port) as c:
        assert {c.get("/x").status for _ in range(100)} == {200}
    assert upstream(s)["retries"]["made"] == 50

"""breaker.probes = 3 over 4 workers: each half-open turn lets exactly three
of two dozen requests through that come at once, 200 turns of 200; in every
20th a worker is killed that holds one of them.
"""
import os
import signal
import threading

from lib.breaker import (Crowd, ask, conf, counter, half_open, is_busy,
                         open_it, wait_breaker)
from lib.peer import hold, respond

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
TURNS = max(int(200 * SCALE), 20)
CLIENTS = 24
KILL_EACH = 20


def kill_holder(s, turn):
    """The turn ends with it."""
    role = next(r for r in s.roles() if r.startswith("worker") and
                is_busy(s, r))
    pid = s.kill(role, signal.SIGKILL)
    wait_breaker(s, turn // KILL_EACH,
                 "half_open -> open: a probe failed: worker_lost")
    s.wait_role(role, pid, 30)


def test_turns(sluice, peer):
    app = peer()
    s = sluice(conf(app, keys="breaker.failures = 3\nbreaker.open = 50ms\n"
                    "breaker.open_max = 50ms\noutlier = off"))
    closed = 0
    for turn in range(1, TURNS + 1):
        if turn % KILL_EACH != 1 or turn == 1:
            open_it(s, app)
        half_open(s)
        before = len(app.requests)
        let = threading.Event()
        app.default = hold(let)
        crowd = Crowd(s, CLIENTS)
        assert crowd.wait(CLIENTS - 3) == [503] * (CLIENTS - 3), turn
        app.wait_requests(before + 3)
        killed = turn % KILL_EACH == 0
        if killed:
            kill_holder(s, turn)
        let.set()
        answers = crowd.wait(CLIENTS)
        crowd.close()
        assert len(app.requests) == before + 3, turn
        app.default = respond()
        if not killed:
            assert answers == [200] * 3 + [503] * (CLIENTS - 3), turn
            closed += 1
            wait_breaker(s, closed, "half_open -> closed")
            assert ask(s) == 200
    assert counter(s, "breaker_probes_total") == 3 * TURNS
    assert counter(s, "breaker_half_open_total") == TURNS

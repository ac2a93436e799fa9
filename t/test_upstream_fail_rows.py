"""Every row of the fail table is provoked with the real program, and the
same word is found in the access record, the counters, sluicectl why, the
error page, Proxy-Status and, where a server is concerned, the error line.

To add a row's case: a line in REQUESTS (t/lib/fail_client.py) or ANSWERS
(fail_server.py) if bytes alone provoke it, else a function of its name
with @case (of HTTP/2: fail_h2.py, fail_h2peer.py).  It gets an Env and
returns what env.ask, env.send or env.at returned; a row of servers has its
case in fail_state.py.
"""
import contextlib
import json
import os
import re

import pytest

from lib import fail_h2, fail_h2peer  # noqa: F401 (cases are registered)
from lib import fail_state, fail_tls, wire
from lib.fail_client import REQUESTS
from lib.fail_env import CASES, Env, counts, gateway
from lib.fail_server import ANSWERS
from lib.fail_state import STATES
from lib.peer import Peer, raw

# where one cause ends more requests than the one that is looked at
MANY = {"generation_expired", "h2_reset_flood"}

MAIN = """
[sluice]
workers = 2
stop = 1s
drain.timeout = 1s
[listener web]
bind = 127.0.0.1:@port@
[listener timed]
bind = 127.0.0.1:@port2@
timeout.header = 300ms
timeout.body = 300ms
timeout.write = 400ms
[listener two]
bind = 127.0.0.1:@port3@
http = 2
[upstream app]
server = {app}
timeout.first_byte = 300ms
timeout.between = 300ms
[route app]
path = /app
upstream = app
max_answer_message = 10
[route small]
path = /small
upstream = app
max_body = 10
[route post]
path = /post
method = POST
respond = 200 posted
[route bomb]
path = ~ ^/bomb/(a+)+$
respond = 200 bomb
[route site]
path = /www/*
strip_prefix = auto
static = @dir@/www
"""


@pytest.fixture(scope="module")
def main():
    files = {"f.txt": b"0123456789", "shut.txt": b"x",
             "big.bin": bytes(32 << 20), "cut.bin": bytes(32 << 20)}
    with Peer() as app, gateway(MAIN.format(app=app.addr),
                                files=files) as s:
        os.chmod(os.path.join(s.dir, "www", "shut.txt"), 0)
        s.app = app
        s.rows = {f["name"]: f for f in s.ctl_json("why")["failures"]}
        yield s
        assert not app.errors


@pytest.fixture
def env(main):
    with contextlib.ExitStack() as stack:
        e = Env(main, stack)
        e.begin()
        yield e


def provoke(env, row):
    if row in REQUESTS:
        return env.send(REQUESTS[row])
    if row in ANSWERS:
        data, closes = ANSWERS[row]
        env.answers(raw(data, then_close=closes))
        return env.ask()
    assert row in CASES, f"no case for the row {row}: " \
        "see the top of this file"
    return CASES[row](env)


# whose error type says more than the row: there is no IP
TYPES = {"dial_unreachable": "destination_unavailable"}


def check_page(r, row, kind):
    rid = wire.is_fail(r, row)
    told = r.get("proxy-status")
    if not kind:
        assert told is None
        return rid
    want = re.fullmatch(r"sluice; error=(\w+)(; received-status=\d+)?; "
                        r'details="(\w+)"', told)
    assert want and want[1] == TYPES.get(row, kind) and want[3] == row, told
    return rid


def check_line(gate, rid, row, server):
    """The one line of the last attempt: level, request, server, row."""
    lines = [json.loads(ln) for ln in gate.wait_log(
        f'"level":"error".*"request":"{rid}"')]
    line, = [ln for ln in lines if ln["module"] == "proxy"]
    want = f'server "{server}" of "app": attempt 1 failed: {row}' \
        if server else f'upstream "app": {row}'
    assert line["msg"] == want or line["msg"].startswith(want + ": ")


def check_why(gate, row, record):
    shown, = gate.ctl_json("why", row)["failures"]
    text = gate.ctl("why", row).stdout
    assert shown["requests"] >= 1 and shown["last"]
    assert text.startswith(f"{row}: {shown['text']}\n")
    # what is said of a status is what a client gets
    assert shown["answer_cut"] == ("so the client gets it cut" in text)
    assert not shown["answer_cut"] or shown["status"] == 0
    assert ("; Proxy-Status: error=" in text) == (
        shown["proxy_status"] != "" and not shown["answer_cut"])
    assert shown["advice"] in text and shown["last"]["id"] in text
    if record:
        assert shown["last"]["id"] == record["id"]
        assert shown["last"]["server"] == record.get("server", "")


def check_conn(env, row):
    """A connection that had no request: a line and a count."""
    level = fail_tls.LINE if "tls" in row else "warning"
    env.gate.wait_log(f'"level":"{level}".*closed: {row}\\b')
    n = counts(env.gate)["requests_failed_total", row] - \
        env.before["requests_failed_total", row]
    shown, = env.gate.ctl_json("why", row)["failures"]
    assert shown["requests"] == n
    assert n == 1 and shown["last"]["id"] == "" or n > 1 and row in MANY


# rows of attempts, with which no request ends, and who has them
ATTEMPTS = {"attempt_cut": "test_retry_cut.py",
            "grpc_error": "test_grpc_calls.py"}


@pytest.mark.parametrize("row", [r for r in wire.FAILS
                                 if r not in ATTEMPTS])
def test_row(env, row):
    if row in STATES:
        fail_state.check(env, row)
        return
    r, target = provoke(env, row)
    kind = env.main.rows[row]["proxy_status"]
    assert r is None or not env.main.rows[row]["answer_cut"]
    if r is None and target is None:
        check_conn(env, row)
        return
    if r is not None:
        rid = check_page(r, row, kind)
        record = wire.record(env.gate, rid)
        assert record["status"] == r.status
    else:
        record = wire.record(env.gate, target=target)
        rid = record["id"]
    assert record["fail"] == row
    after, gate = counts(env.gate), env.gate
    for name, n in (("requests_failed_total", 1),
                    ("upstream_attempts_failed_total",
                     1 if kind and "server" in record else 0)):
        # that no retry was left is not how an attempt ended
        if name.startswith("upstream") and \
                (not kind or row == "retry_budget"):
            assert (name, row) not in after
            continue
        more = after[name, row] - env.before[name, row]
        assert more == n or (row in MANY and more > n), name
    if kind:
        check_line(gate, rid, row, record.get("server"))
    check_why(gate, row, record if row not in MANY else None)


def test_all_rows(main):
    """None is hidden from test_row by the way it is written."""
    assert set(wire.FAILS) == set(main.rows)


def test_no_case_too_many():
    """A row that went, or one that two cases provoke."""
    names = [*REQUESTS, *ANSWERS, *CASES, *STATES]
    assert len(names) == len(set(names))
    assert set(names) <= set(wire.FAILS)

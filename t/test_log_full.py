"""The disk is full for a while: serving goes on, records wait, the state
is seen, and afterwards nothing is missing or there twice."""
import re
import threading

import pytest

from lib import http, net, site
from lib.disk import limit
from lib.net import Deadline


def send(s, first, count, pad=""):
    with http.Client(s.port) as c:
        for i in range(first, first + count):
            c.send(http.request("GET", f"/hello?n={i}&{pad}"))
            assert c.response().status == 200


def numbers(s):
    return [int(m.group(1)) for r in s.log()
            if (m := re.search(r"/hello\?n=(\d+)", r.get("target", "")))]


def status(s, true):
    deadline = Deadline("that status")
    while not true(s.ctl_json("status")["log"]):
        net.wait_fd(s.pidfd, min(deadline.left(), 0.05))
    return s.ctl_json("status")["log"]


@pytest.mark.parametrize("kills", [0, 2])
def test_full_for_a_while(sluice, tmp, kills):
    site.write(tmp)
    s = sluice(site.CONF)
    send(s, 0, 10)
    s.wait_log("n=9&")
    assert s.ctl_json("status")["log"] == {
        "failing": False, "waiting_bytes": 0, "dropped": 0}
    # in the middle of a line
    limit(s, 6000)
    send(s, 10, 500)
    now = status(s, lambda v: v["failing"] and v["waiting_bytes"] > 100000)
    assert now["dropped"] == 0
    assert "the file takes nothing" in s.ctl("status").stdout
    s.wait_stderr("records wait in memory")
    assert site.is_served(s.port)
    for _ in range(kills):
        # the next one is not limited, and finds the torn line
        pid = s.kill("logger")
        s.wait_role("logger", other_than=pid)
        s.wait_log("n=509&")
        limit(s, 6000)
        send(s, 510, 0)
    limit(s, None)
    send(s, 510, 10)
    s.wait_log("n=519&")
    assert sorted(numbers(s)) == list(range(520))
    status(s, lambda v: not v["failing"])
    if not kills:
        s.wait_log("log: the file takes records again")


def test_longer_than_memory(sluice, tmp):
    """What finds no room is dropped and counted, to the record."""
    site.write(tmp)
    s = sluice(site.CONF)
    send(s, 0, 1)
    s.wait_log("n=0&")
    limit(s, 1000)
    total, pad = 3000, "x" * 4000
    send(s, 1, total, pad)
    now = status(s, lambda v: v["failing"] and v["dropped"] > 0)
    s.reload()
    limit(s, None)
    send(s, total + 1, 1)
    s.wait_log(f"n={total + 1}&")
    (line,) = s.wait_log(r"log: \d+ records dropped")
    told = int(re.search(r"(\d+) records dropped", line).group(1))
    got = numbers(s)
    assert len(got) == len(set(got))
    assert len(got) + told == total + 2
    # some were still on their way to be dropped then
    assert now["dropped"] <= told
    assert s.ctl_json("status")["log"]["dropped"] == told


def test_block_waits(sluice, tmp):
    """With overflow = block requests wait, and nothing is lost."""
    site.write(tmp)
    s = sluice(site.CONF.replace("workers = 2", "workers = 1") +
               "[log]\noverflow = block\n")
    send(s, 0, 1)
    s.wait_log("n=0&")
    limit(s, 1000)
    total, pad = 3000, "x" * 4000
    sender = threading.Thread(target=send, args=(s, 1, total, pad))
    sender.start()
    try:
        now = status(s, lambda v: v["waiting_bytes"] > 900000)
        assert now["dropped"] == 0 and sender.is_alive()
    finally:
        limit(s, None)
        sender.join(net.WAIT)
    assert not sender.is_alive()
    s.wait_log(f"n={total}&")
    assert sorted(numbers(s)) == list(range(total + 1))

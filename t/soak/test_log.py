"""The log at 20,000 lines a second: the logger killed, a worker killed, the
disk full.  Every request has a number, and what the log says of each is
looked up.
"""
import array
import json
import os
import re
import subprocess

from lib import net, site
from lib.bench import tool
from lib.disk import limit

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
RATE = 20000 / net.SCALE
CONNS = 64
NUMBER = re.compile(rb'"target":"/hello\?n=(\d+)"')
LOST = b'"fail":"worker_lost"'


class Load:
    """The load generator: so many seconds of requests with numbers."""

    def __init__(self, port, seconds):
        self.proc = subprocess.Popen(
            [tool("load"), "-s", "-c", str(CONNS), "-r", str(RATE), "-d",
             str(seconds), "-l", "5", str(port), "/hello?n=%"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.fd = os.pidfd_open(self.proc.pid)
        self.result = None

    def wait(self, seconds):
        """Waits so long; it may not end before."""
        net.wait_fd(self.fd, seconds)
        assert self.proc.poll() is None, self.proc.communicate()

    def end(self):
        out, err = self.proc.communicate()
        os.close(self.fd)
        self.result = json.loads(out)
        print({k: v for k, v in self.result.items() if k != "unanswered"})
        assert self.result["requests"] > 0, err
        return self.result


def seen(s, total):
    """How often the log has each number: answered, and as lost."""
    got, lost = array.array("B", bytes(total)), []
    with open(f"{s.dir}/log/sluice.log", "rb") as f:
        for line in f:
            m = NUMBER.search(line)
            if m is None:
                continue
            if LOST in line:
                lost.append(int(m[1]))
            else:
                got[int(m[1])] += 1
    return got, lost


def start(sluice, tmp):
    site.write(tmp)
    return sluice(site.CONF + "[log]\noutput_mode = file\n")


def test_logger_killed(sluice, tmp):
    """Every request's line exactly once.  After more deaths in a minute the
    master waits for so long that the rings overflow."""
    s = start(sluice, tmp)
    kills = max(int(5 * SCALE), 3)
    load = Load(s.port, kills * 4 + kills // 6 * 60)
    for i in range(kills):
        load.wait(2 if i % 5 or i == 0 else 60)
        pid = s.kill("logger")
        s.wait_role("logger", other_than=pid)
    r = load.end()
    assert s.ctl_json("status")["log"]["dropped"] == 0
    s.stop()
    assert r["errors"] == 0 and not r["unanswered"], r["why"]
    got, lost = seen(s, r["numbers"])
    assert not lost
    wrong = {n: c for n, c in enumerate(got) if c != 1}
    assert not wrong, (len(wrong), dict(list(wrong.items())[:10]))


def test_worker_killed(sluice, tmp):
    """A request has no line only if it was under way, and no answer."""
    s = start(sluice, tmp)
    kills = max(int(9 * SCALE), 3)
    load = Load(s.port, kills * 4)
    for i in range(kills):
        load.wait(2)
        role = f"worker {1 + i % 2}"
        pid = s.kill(role)
        s.wait_role(role, other_than=pid)
    r = load.end()
    sums = {m["name"]: m["sum"] for m in s.ctl_json("metrics")["metrics"]}
    s.stop()
    got, lost = seen(s, r["numbers"])
    open_ = set(r["unanswered"])
    assert len(open_) <= kills * CONNS
    assert set(lost) <= open_ and len(set(lost)) == len(lost)
    for n in lost:
        got[n] += 1
    wrong = {n: c for n, c in enumerate(got)
             if c != 1 and (c != 0 or n not in open_)}
    assert not wrong, (len(wrong), dict(list(wrong.items())[:10]))
    # those that the worker had begun; of others it knew nothing yet
    assert sums["requests_worker_lost_total"] == len(lost)
    assert sums["requests_started_total"] == \
        sums["requests_total"] + len(lost) == sum(got)


def test_disk_full(sluice, tmp):
    """Serving goes on, nothing is there twice, what is lost is counted."""
    s = start(sluice, tmp)
    # the rings hold the records of some seconds
    full = max(60 * SCALE, 10)
    load = Load(s.port, full + 5)
    load.wait(2)
    limit(s, 1)
    load.wait(full)
    now = s.ctl_json("status")["log"]
    assert now["failing"] and now["waiting_bytes"] > 0, now
    # on a slow machine all of a short time is held
    assert now["dropped"] > 0 or SCALE < 1, now
    limit(s, None)
    s.wait_log("log: the file takes records again")
    r = load.end()
    s.wait_log(rf'/hello\?n={r["numbers"] - 1}"')
    told = 0
    if now["dropped"] > 0:
        (line,) = s.wait_log(r"log: \d+ records dropped")
        told = int(re.search(r"(\d+) records dropped", line)[1])
    # the gauges follow the file by one look of the logger
    deadline = net.Deadline("nothing waits")
    while (now := s.ctl_json("status")["log"])["waiting_bytes"] > 0:
        deadline.left()
    assert now == {"failing": False, "waiting_bytes": 0, "dropped": told}
    assert r["errors"] == 0, r["why"]
    # it waited for no disk
    assert r["max_us"] < 2e6 * net.SCALE and r["p99_us"] < 5e5 * net.SCALE
    got, lost = seen(s, r["numbers"])
    assert not lost and max(got) == 1
    missing = got.count(0)
    # lines of processes are records, too
    assert missing <= told <= missing + 10

"""What tests of servers' states share: a gateway with one upstream, what
it says of each server, and peers that are well or not as told."""
import json
import threading
import time

from lib import http, net
from lib.peer import raw, respond

CONF = """
[sluice]
workers = {workers}
stop = 1s
{top}
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
{servers}
{keys}
[route app]
path = /*
upstream = app
"""


def conf(*servers, keys="", workers=2, top=""):
    """servers: what their lines say, or peers."""
    if "balance" not in keys:       # by turns: who is asked is known
        keys = "balance = round_robin\n" + keys
    lines = "\n".join(f"server = {s if isinstance(s, str) else s.addr}"
                      for s in servers)
    return CONF.format(workers=workers, keys=keys, top=top, servers=lines)


def upstream(s, name="app"):
    """What is said of it."""
    r = http.get(s.control, f"/v1/upstreams?name={name}")
    up, = json.loads(r.body)["upstreams"]
    return up


def servers(s, name="app"):
    """{address: what is said of it}."""
    return {v["address"]: v for v in upstream(s, name)["servers"]}


def line(addr, was, now, why=None):
    """The line of a change, as a pattern."""
    addr = addr.removeprefix("unix:").replace("[", r"\[")
    tail = f": {why}" if why else r"(: \w+)?"
    return rf'server \\"{addr}\\" of \\"app\\": {was} -> {now}{tail}"'


def wait_change(s, addr, was, now, why=None, count=1, seconds=None):
    """The records of the lines that tell of so many such changes."""
    return [json.loads(ln) for ln in
            s.wait_log(line(addr, was, now, why), count, seconds)]


def wait_until(what, done, seconds=None):
    """What another process writes to the board has no event of its own."""
    deadline = net.Deadline(what, seconds)
    while not (got := done()):
        net.wait_fd(None, min(deadline.left(), 0.02))
    return got


class Health:
    """Steps of a peer: probes (of /health) get what `well` says, other
    requests `step`; when each came is noted, wall clock."""

    def __init__(self, well=None, step=None, bad=None):
        self.well, self.ok = well or respond(), True
        self.bad = bad or respond(status=500)
        self.step = step or respond()
        self.probed, self.asked = [], []
        self.more = threading.Condition()

    def __call__(self, conn, req):
        probe = req.target.startswith("/health")
        ok = self.ok    # before it is told: who waits may change it then
        with self.more:
            (self.probed if probe else self.asked).append(time.time())
            self.more.notify_all()
        if not probe:
            return self.step(conn, req)
        return (self.well if ok else self.bad)(conn, req)

    def wait_probes(self, n, seconds=None):
        """Waits for n probes more than there were."""
        with self.more:
            goal = len(self.probed) + n
            assert self.more.wait_for(
                lambda: len(self.probed) >= goal,
                net.WAIT if seconds is None else seconds), self.probed


def stamp(record):
    """Seconds of the day's clock that a record of the log was made."""
    text = record["time"].replace("Z", "+00:00")
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - \
        time.timezone + float("0" + text[19:].split("+")[0])


def cut(status):
    """An answer whose body breaks off."""
    return raw(f"HTTP/1.1 {status} x\r\nContent-Length: 100\r\n\r\n"
               "abc".encode(), then_close=True)


def ask_cut(s, n):
    for _ in range(n):
        try:
            http.get(s.port, "/x")
        except http.Closed:
            pass

"""A gateway whose breaker is watched: what opens it, and who is let through
while it is half open."""
import re
import threading

from lib import http, net
from lib.peer import respond

CONF = """
[sluice]
workers = {workers}
stop = 1s
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
{servers}
{keys}
[route app]
path = /*
upstream = app
"""
ILL = respond(500, body=b"ill\n")


def conf(*peers, keys="", workers=4):
    lines = "\n".join(f"server = {p if isinstance(p, str) else p.addr}"
                      for p in peers)
    return CONF.format(workers=workers, servers=lines, keys=keys)


def ask(s):
    """The status of a request."""
    return http.get(s.port, "/").status


def wait_breaker(s, n, words):
    """Waits for the nth line that says so of a breaker."""
    return s.wait_log(r"breaker " + re.escape(words), n)


def open_it(s, app, failures=3):
    """The breaker opens with the last of these."""
    app.default = ILL
    for _ in range(failures):
        assert ask(s) == 500


class Crowd:
    """Clients that ask at the same time; answers as they come."""

    def __init__(self, s, n):
        self.answers = []
        self.more = threading.Condition()
        self.clients = [http.Client(s.port) for _ in range(n)]
        for c in self.clients:
            c.send(http.request("GET", "/"))
        self.threads = [threading.Thread(target=self._read, args=(c,),
                                         daemon=True)
                        for c in self.clients]
        for t in self.threads:
            t.start()

    def _read(self, c):
        try:
            status = c.response().status
        except (http.Closed, OSError):
            status = 0
        with self.more:
            self.answers.append(status)
            self.more.notify_all()

    def wait(self, n):
        with self.more:
            assert self.more.wait_for(lambda: len(self.answers) >= n,
                                      net.WAIT), self.answers
            return sorted(self.answers)

    def close(self):
        for t in self.threads:
            t.join(net.WAIT)
        for c in self.clients:
            c.close()


def half_open(s):
    """Waits until its time is over: the next request finds it half open.

    Only requests make it so; none is let through by this, for the words
    of the control API say when.
    """
    deadline = net.Deadline("the end of the breaker's time")
    while True:
        up, = s.ctl_json("upstreams", "app")["upstreams"]
        b = up["servers"][0]["breaker"]
        if b["state"] == "open" and b["turn_in_ms"] == 0:
            return b
        assert deadline.left() > 0, b
        net.wait_fd(None, 0.01)


def counter(s, name):
    for m in s.ctl_json("metrics")["metrics"]:
        if m["name"] == name:
            return m["sum"]
    raise KeyError(name)


def is_busy(s, role):
    """Has it a connection to a server that a request uses?"""
    n = {m["name"]: p["value"] for m in s.ctl_json("metrics")["metrics"]
         for p in m["processes"] if p["name"] == role}
    return n["upstream_connections"] > n["upstream_connections_idle"]


def wait_queue(s, n):
    """Waits until so many requests wait."""
    deadline = net.Deadline(f"{n} requests in the queue")
    while True:
        up, = s.ctl_json("upstreams", "app")["upstreams"]
        if up["queue"]["waiting"] == n:
            return
        assert deadline.left() > 0, up["queue"]
        net.wait_fd(None, 0.01)

"""What tests of breakers share: a gateway of lib.watch with four workers,
what opens its breaker, and who is let through while it is half open."""
import functools
import re
import threading

from lib import http, net, watch
from lib.peer import respond

conf = functools.partial(watch.conf, workers=4)
ILL = respond(500, body=b"ill\n")


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
    def is_over():
        b = watch.upstream(s)["servers"][0]["breaker"]
        return b if b["state"] == "open" and b["turn_in_ms"] == 0 else None

    return watch.wait_until("the end of the breaker's time", is_over)


def counter(s, name):
    for m in s.ctl_json("metrics")["metrics"]:
        if m["name"] == name:
            return m["sum"]
    raise KeyError(name)


def is_busy(s, role):
    """Has it a connection to a server that a request uses?"""
    n = {m["name"]: p["value"] for m in s.ctl_json("metrics")["metrics"]
         for p in m["processes"] if p["name"] == role and "value" in p}
    return n["upstream_connections"] > n["upstream_connections_idle"]


def wait_queue(s, n):
    """Waits until so many requests wait."""
    watch.wait_until(f"{n} requests in the queue",
                     lambda: watch.upstream(s)["queue"]["waiting"] == n)

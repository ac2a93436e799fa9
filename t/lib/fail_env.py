"""What the cases of the fail table share: how they are registered, and the
gateways that they ask."""
import itertools
import json

from lib import http, wire
from lib.peer import Peer

CASES = {}
NUMBERS = itertools.count()


def case(f):
    """The function is the case of the row with its name."""
    assert f.__name__ not in CASES
    CASES[f.__name__] = f
    return f


class Env:
    """Gateways of the tests, and the one that the case at hand asks."""

    def __init__(self, main, stack):
        self.main, self.stack = main, stack
        self.gate, self.before = main, None

    def begin(self):
        self.gate, self.before = self.main, counts(self.main)

    def start(self, conf, faults="", files=None, **kw):
        """A gateway of this case's own; its counts begin at nothing."""
        gate = self.stack.enter_context(gateway(conf, faults, files, **kw))
        self.gate, self.before = gate, counts(gate)
        return gate

    def peer(self, *steps, **kw):
        return self.stack.enter_context(Peer(list(steps), **kw))

    def answers(self, *steps):
        """What the server of the common gateway does next."""
        self.main.app.script[:] = steps

    def target(self, path="/app"):
        return f"{path}?{next(NUMBERS)}"

    def send(self, data, method="GET", port=None):
        """Raw bytes to the gateway: (answer or None, no target)."""
        with http.Client(port or self.gate.port) as c:
            c.send(data)
            return c.response(method), None

    def ask(self, path="/app", method="GET", headers=(), body=None):
        """A request to the gateway: (answer or None, its target)."""
        target = self.target(path)
        with http.Client(self.gate.port) as c:
            try:
                return c.ask(method, target, headers, body=body), target
            except (http.Closed, ConnectionError):
                return None, target

    def at(self, target):
        """Nothing was answered, or only a part: (None, its target)."""
        return None, target


def gateway(conf, faults="", files=None, **kw):
    """One with these fault points."""
    return wire.gateway(conf, files, {"SLUICE_FAULT": faults} if faults
                        else None, **kw)


def counts(gate):
    """{(counter, row): sum} of all that can fail."""
    with http.Client(gate.control) as c:
        all = json.loads(c.get("/v1/metrics").body)["metrics"]
    return {(m["name"], m["fail"]): m["sum"] for m in all if "fail" in m}


LISTEN = """
[listener web]
bind = 127.0.0.1:@port@
"""
ONE = """
[sluice]
workers = 1
stop = 1s
drain.timeout = 1s
""" + LISTEN


def proxied(*servers, more="", route="", top=ONE):
    lines = "".join(f"server = {s}\n" for s in servers)
    return f"{top}[upstream app]\nbalance = round_robin\n{lines}{more}\n" \
        f"[route app]\npath = /app\nupstream = app\n{route}\n"

"""Five servers, at any moment at most three of them killed, frozen, slowed,
resetting, flapping or losing packets: what users notice of it.

Servers are processes of their own, each behind a relay (t/lib/relay.py).
When an event's detection window is over, no idempotent request fails.
Within it retries hide what they may: attempts are at most 1.2 times the
requests, 3 a second and the bucket's cap, and a request fails for want of
a retry alone.

The window is what sluice.conf(5) says ("Servers that fail"): a probe may
have begun just before the event; the next comes an interval later, give or
take a tenth, and health.fall of them take health.timeout each:
1.1 s + 3 * 2 s.  Of what comes and goes (flapping) each turn is an event
of its own.

A request has three attempts.  So events begin apart by default: no more
than two ill servers are in their windows at a time, or of a kind that probes
do not see (some of those that flap, lose packets, or are slower than
timeout.first_byte but not than health.timeout).  Where all three may fall
ill at once, before anybody can know, an upstream says retry.tries = 3.

SOAK_SCALE multiplies the 5 minutes; CHAOS_SEED repeats a run.
"""
import collections
import os
import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

import pytest

from lib import http, net
from lib.attempts import attempts, changes, wall_us
from lib.bench import tool
from lib.relay import Relays

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1 << 30)
SECONDS = max(300 * SCALE, 15)
SERVERS, MOST = 5, 3
CLIENTS, RATE = 16, 400         # requests a second, of all

INTERVAL, FALL, TIMEOUT = 1.0, 3, 2.0
WINDOW = 1.1 * INTERVAL + FALL * max(TIMEOUT, 1.1 * min(1, INTERVAL))
SLACK = 0.5                     # of one machine for all of it
BUDGET, FLOOR, CAP = 0.2, 3, 30

CONF = """
[sluice]
workers = 4
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
{servers}
health.path = /1k
health.interval = 1s
timeout.first_byte = 1s
{keys}
[route all]
path = /*
upstream = app
"""


class Server:
    """A server that can be killed and frozen."""

    def __init__(self, program):
        self.program, self.port = program, net.free_port()
        self.proc = None
        self.start()

    def start(self):
        self.proc = subprocess.Popen([self.program, str(self.port)])
        net.until("it listens", self.accepts)

    def accepts(self):
        try:
            net.connect(self.port).close()
        except ConnectionError:
            assert self.proc.poll() is None
            return False
        return True

    def send(self, sig):
        self.proc.send_signal(sig)

    def kill(self):
        self.proc.kill()
        self.proc.wait()


# --- what makes them ill ---

@dataclass
class Event:
    """One that is over has an end."""
    server: int
    kind: str
    begin: float
    end: float = 0
    more: str = ""


class Ill:
    """An illness of a server; `events` are noted as they begin and end."""

    def __init__(self, field, i, kind, until):
        self.field, self.i, self.kind, self.until = field, i, kind, until
        self.begin = time.time()
        self.turn = until           # what comes and goes: the next turn
        self.bad = False
        self.flip()

    @property
    def returns(self):
        """It is ill for some only: probes have more time than requests."""
        return self.kind in ("flap", "lossy") or (
            self.kind == "slow" and 0.9 < self.seconds < TIMEOUT + 0.1)

    def flip(self):
        """From well to ill, or the other way round."""
        relay, i = self.field.relays, self.i
        if self.bad:
            self.heal()
            self.field.events[-1 - self.back()].end = time.time()
        else:
            more = self.harm(relay, i, self.field.server[i])
            self.field.events.append(
                Event(i, self.kind, time.time(), 0, more))
        self.bad = not self.bad
        if self.kind == "flap":
            self.turn = time.time() + self.field.rand.uniform(0.05, 0.8)

    def back(self):
        """How far back its event is."""
        for n, e in enumerate(reversed(self.field.events)):
            if e.server == self.i:
                return n
        raise IndexError(self.i)

    def harm(self, relay, i, server):
        rand = self.field.rand
        if self.kind in ("kill", "crash"):
            # refused at once, or by a relay that is still there
            server.kill()
            relay.set(i, "refuse" if self.kind == "kill" else "well")
        elif self.kind == "freeze":
            server.send(signal.SIGSTOP)
        elif self.kind == "slow":
            self.seconds = round(rand.uniform(0.3, 3), 2)
            relay.set(i, "slow", self.seconds)
            return f"by {self.seconds} s"
        elif self.kind == "flap":
            relay.set(i, rand.choice(["reset", "closed", "refuse"]))
        else:
            relay.set(i, self.kind)
        return ""

    def heal(self):
        server = self.field.server[self.i]
        if self.kind in ("kill", "crash"):
            server.start()
        elif self.kind == "freeze":
            server.send(signal.SIGCONT)
        self.field.relays.set(self.i, "well")

    def over(self):
        if self.bad:
            self.flip()


KINDS = ["kill", "crash", "freeze", "slow", "reset", "flap", "lossy", "hole"]
STEADY = ["kill", "crash", "freeze", "reset", "hole"]


class Field:
    """The servers, and what happens to them."""

    def __init__(self, rand, apart):
        program = tool("origin")
        self.rand, self.apart = rand, apart
        self.server = [Server(program) for _ in range(SERVERS)]
        self.relays = Relays([s.port for s in self.server],
                             rand.randrange(1 << 30))
        self.addrs = [f"127.0.0.1:{p}" for p in self.relays.ports]
        self.events, self.ill, self.deck = [], {}, []

    def close(self):
        for s in self.server:
            s.kill()
        self.relays.close()

    def kind(self):
        """All of them in turn, in any order."""
        if not self.deck:
            self.deck = self.rand.sample(KINDS, len(KINDS))
        return self.deck.pop()

    def unknown(self, now):
        """Those that are ill and in their windows."""
        return sum(ill.returns or now < ill.begin + WINDOW + SLACK
                   for ill in self.ill.values())

    def may_begin(self, now):
        return len(self.ill) < MOST and (
            not self.apart or self.unknown(now) < MOST - 1)

    def fall_ill(self, now):
        i = self.rand.choice([n for n in range(SERVERS)
                              if n not in self.ill])
        longest = min(SECONDS / 2, 3 * WINDOW)
        self.ill[i] = Ill(self, i, self.kind(),
                          now + self.rand.uniform(0.3, longest))

    def run(self, seconds):
        end = time.time() + seconds
        due = 0
        while (now := time.time()) < end:
            for i, ill in list(self.ill.items()):
                if now >= ill.until:
                    self.ill.pop(i).over()
                elif now >= ill.turn:
                    ill.flip()
            if now >= due and self.may_begin(now):
                self.fall_ill(now)
                due = now + (self.rand.uniform(0, 2) if self.apart else
                             self.rand.choice([0, 0, 3]))
            net.wait_fd(None, 0.01)
        self.heal()

    def heal(self):
        for ill in self.ill.values():
            ill.over()
        self.ill.clear()

    def hold(self, n):
        """So many are ill beyond their windows; how long that was."""
        seconds = WINDOW + SLACK + 3
        for i, kind in zip(self.rand.sample(range(SERVERS), n),
                           self.rand.sample(STEADY, n)):
            self.ill[i] = Ill(self, i, kind, 0)
        net.wait_fd(None, seconds)
        self.heal()


# --- who asks ---

class Clients:
    """Each asks at its own rate; a tenth is PUT, and a tenth POST."""

    WAYS = [("POST", b"x"), ("PUT", b"y" * 999)] + [("GET", None)] * 8

    def __init__(self, port):
        self.port, self.stop = port, threading.Event()
        self.answers = [collections.Counter() for _ in range(CLIENTS)]
        self.threads = [threading.Thread(target=self.run, args=(n,))
                        for n in range(CLIENTS)]
        for t in self.threads:
            t.start()

    def run(self, n):
        conn, i, answers = None, n, self.answers[n]
        while not self.stop.wait(CLIENTS / RATE):
            method, body = self.WAYS[i % 10]
            i += 1
            try:
                conn = conn or http.Client(self.port, 30)
                r = conn.ask(method, "/1k", body=body)
                answers[r.status] += 1
                gone = r.closes
            except (http.Closed, OSError) as e:
                answers[type(e).__name__] += 1
                gone = True
            if gone and conn is not None:
                conn.close()
                conn = None
        if conn is not None:
            conn.close()

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        return sum(self.answers, collections.Counter())


# --- what came of it ---

class Ask:
    """A request as the log has it; seconds."""

    def __init__(self, r):
        self.begin = wall_us(r["time"]) / 1e6
        self.end = self.begin + r["duration_us"] / 1e6
        self.tries = [at / 1e6 for _, at in attempts(r)]
        self.row = r.get("fail", "")
        self.failed = r["status"] >= 500 or bool(self.row)
        self.repeats = r["method"] != "POST"
        self.text = f"{r['method']} {r['status']} {self.row} " \
            f"{r.get('cause', '')} {r.get('tries', r.get('server'))}"


def windows(events):
    """[begin, end] in which the gateway need not know of an event: of its
    begin, or, when it was shorter, of its end, which a probe finds."""
    out = []
    for e in sorted(events, key=lambda e: e.begin):
        end = min(e.begin + WINDOW, e.end + 1.1 * INTERVAL) + SLACK
        if out and e.begin <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([e.begin, end])
    return out


def detected(f, known):
    """How long each event took to be seen, by kind."""
    out = {}
    for e in f.events:
        seen = [c.at / 1e6 - e.begin for c in known
                if c.server == f.addrs[e.server] and
                c.now in ("down", "ejected") and
                e.begin <= c.at / 1e6 <= e.end + SLACK]
        if seen:
            out.setdefault(e.kind, []).append(min(seen))
        # what fails all probes is seen by the end of the window
        elif e.kind in STEADY and not away(
                known, f.addrs[e.server], e.begin):
            assert e.end - e.begin < WINDOW + SLACK, e
    return out


def away(known, addr, at):
    """Was it out of service already?"""
    last = [c.now for c in known if c.server == addr and c.at / 1e6 < at and
            not c.breaker]
    return bool(last) and last[-1] in ("down", "ejected")


def story(a, f, known, base):
    """What was so when a request failed: who was ill, who was away."""
    ill = [f"{e.server} {e.kind} {e.begin - base:.2f}..{e.end - base:.2f} "
           f"{e.more}" for e in f.events
           if e.begin < a.end and e.end > a.begin - 1]
    text = a.text
    for i, addr in enumerate(f.addrs):
        text = text.replace(addr, f"server{i}")
    return f"{a.begin - base:.2f}..{a.end - base:.2f} {text}\n    ill: " + \
        "; ".join(ill) + "\n    out: " + ", ".join(
            str(i) for i, addr in enumerate(f.addrs)
            if away(known, addr, a.begin)) + "\n    told: " + "; ".join(
            f"{c.at / 1e6 - base:.3f} {f.addrs.index(c.server)} {c.was} -> "
            f"{c.now} {c.why}" for c in known
            if a.begin - 3 < c.at / 1e6 < a.end + 0.1)


def check_errors(asks, wins, f, known):
    """How many failed for want of a retry; none else, nor later."""
    wrong, n, when = [], 0, collections.Counter()
    for a in asks:
        if not (a.failed and a.repeats):
            continue
        n += 1
        when[" ".join(sorted(e.kind for e in f.events if e.begin < a.end and
                             e.end > a.begin))] += 1
        if a.row != "retry_budget" or not any(
                a.begin < end and a.end > begin for begin, end in wins):
            wrong.append(a)
    print("failed while there was: " + ", ".join(
        f"{kinds} {k}" for kinds, k in when.most_common(8)))
    for a in wrong[:20]:
        print("wrong:", story(a, f, known, f.events[0].begin))
    assert not wrong, f"{len(wrong)} failed that should not"
    return n


def check_tries(asks, wins):
    """The most of what a window allows that was used."""
    begins = sorted(a.begin for a in asks)
    tries = sorted(t for a in asks for t in a.tries)
    most = 0
    for begin, end in wins + [[begins[0], begins[-1]]]:
        n = sum(begin <= t <= end for t in tries)
        limit = (1 + BUDGET) * sum(begin <= t <= end for t in begins) + \
            FLOOR * (end - begin) + CAP
        assert n <= limit, (n, limit, begin, end)
        most = max(most, n / limit)
    return len(tries), most


def all_up(s):
    up, = s.ctl_json("upstreams", "app")["upstreams"]
    return all(v["state"] in ("up", "slow_start") for v in up["servers"])


@pytest.fixture
def field():
    made = []

    def make(apart):
        made.append(Field(random.Random(f"{SEED} {apart}"), apart))
        return made[0]
    yield make
    for f in made:
        f.close()


@pytest.mark.parametrize("apart", [True, False],
                         ids=["apart", "at_once"])
def test_chaos(sluice, field, apart):
    print(f"\nCHAOS_SEED={SEED}")
    f = field(apart)
    s = sluice(CONF.format(
        servers="\n".join(f"server = {a}" for a in f.addrs),
        keys="" if apart else "retry.tries = 3"))
    clients = Clients(s.port)
    try:
        f.run(SECONDS)
        net.until("all are up again", lambda: all_up(s), 3 * WINDOW)
        f.hold(MOST - apart)
        net.until("all are up again", lambda: all_up(s), 3 * WINDOW)
    finally:
        answers = clients.end()
    s.stop()
    log = s.log()
    asks = [Ask(r) for r in log if r.get("target") == "/1k"]
    wins = windows(f.events)
    for e in [e for e in f.events if e.kind != "flap"]:
        print(f"  {e.begin - f.events[0].begin:6.2f} s, "
              f"{e.end - e.begin:5.2f} s long: {e.server} {e.kind} {e.more}")
    states = changes(log)
    seen = detected(f, states)
    print("seen after at most: " + ", ".join(
        f"{k} {max(v):.2f} s" for k, v in sorted(seen.items())))
    known = sum(not any(begin < a.end and a.begin < end
                        for begin, end in wins) and
                any(e.begin < a.begin < e.end for e in f.events)
                for a in asks)
    print(f"{len(f.events)} events in {asks[-1].begin - asks[0].begin:.0f} "
          f"s; {known} requests while some were known to be ill; answers "
          f"{dict(answers)}")
    assert known > RATE
    assert len(asks) == sum(answers.values())
    print("rows:", dict(collections.Counter(
        a.text.split()[2] for a in asks if a.failed and not a.repeats)))
    tries, most = check_tries(asks, wins)
    failed = check_errors(asks, wins, f, states)
    print(f"{len(asks)} requests, {tries} tries, at most {most:.2f} of what "
          f"a window allows; {failed} idempotent ones failed")
    assert all(max(seen.get(k, [0])) <= WINDOW + SLACK for k in STEADY)

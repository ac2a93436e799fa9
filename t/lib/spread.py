"""Servers that say who they are, and counts of whom a gateway asked.

The servers are a sluiced of its own: quick, and many of them at no cost.
"""
import collections
import concurrent.futures

from lib import http


def servers(sluice, n):
    """A gateway with n listeners, each answering with its own address."""
    conf = "[sluice]\nworkers = 2\n[log]\naccess = off\n"
    for i in range(n):
        port = f"@port{i or ''}@"
        conf += f"[listener l{i}]\nbind = 127.0.0.1:{port}\n" \
            f"[route r{i}]\nlistener = l{i}\n" \
            f"respond = 200 127.0.0.1:{port}\n"
    s = sluice(conf)
    return [f"127.0.0.1:{s.value(f'port{i or str()}')}" for i in range(n)]


def ask_all(port, targets, conns=12, headers=()):
    """{target: body}; over some connections, many requests at a time."""
    def some(part):
        out = {}
        with http.Client(port) as c:
            for i in range(0, len(part), 40):
                piece = part[i:i + 40]
                c.send(b"".join(http.request("GET", t, headers)
                                for t in piece))
                for t in piece:
                    r = c.response()
                    assert r.status == 200, (t, r)
                    out[t] = r.text
        return out

    targets = list(targets)
    all_ = {}
    with concurrent.futures.ThreadPoolExecutor(conns) as pool:
        for out in pool.map(some, [targets[i::conns]
                                   for i in range(conns)]):
            all_.update(out)
    assert len(all_) == len(targets)
    return all_


def counts(port, n, start=0, conns=12, headers=()):
    """How many of n requests each server answered."""
    got = ask_all(port, (f"/{i}" for i in range(start, start + n)), conns,
                  headers)
    return collections.Counter(got.values())


def schedule(weights):
    """One round of servers: the k-th turn of w is at (2k + 1) / 2w."""
    turns = [((2 * k + 1) / (2 * w), i) for i, w in enumerate(weights)
             for k in range(w)]
    return [i for _, i in sorted(turns)]


def prefix(weights, n):
    """Turns of each server among the first n of all."""
    turns = schedule(weights)
    out = [n // len(turns) * turns.count(i) for i in range(len(weights))]
    for i in turns[:n % len(turns)]:
        out[i] += 1
    return out


def is_share(got, n, share, sigmas=6):
    """Is a count what chance makes of a share (one in 10^8 is not)?"""
    return (got - n * share) ** 2 <= \
        sigmas ** 2 * n * share * (1 - share) + 1

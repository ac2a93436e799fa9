"""Attempts at servers as the access log has them, and changes of servers'
states as the log of the processes has them, by one clock: microseconds."""
import datetime
import re
from dataclasses import dataclass

CHANGE = re.compile(r'server "([^"]+)" of "([^"]+)": (breaker )?'
                    r'(\w+) -> (\w+)(?:: (.*))?$')


def wall_us(stamp):
    return int(datetime.datetime.fromisoformat(
        stamp.replace("Z", "+00:00")).timestamp() * 1e6 + 0.5)


def attempts(record):
    """[(server, when it was chosen)] of an access record."""
    begin = wall_us(record["time"])
    if "tries" in record:
        return [(w.split(" ")[0], begin + int(w.split(" ")[1][1:]))
                for w in record["tries"].split(", ")]
    if "server" not in record:
        return []
    return [(record["server"], begin + record.get("attempt_us", 0))]


@dataclass
class Change:
    at: int
    server: str
    upstream: str
    breaker: bool       # of that; else of the state
    was: str
    now: str
    why: str


def changes(records):
    """Of all servers, in the order of time."""
    out = []
    for r in records:
        m = CHANGE.search(r.get("msg", ""))
        if m:
            out.append(Change(wall_us(r["time"]), m[1], m[2], bool(m[3]),
                              m[4], m[5], m[6] or ""))
    return sorted(out, key=lambda c: c.at)

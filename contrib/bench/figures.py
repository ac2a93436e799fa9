"""From what the rounds gave to a table and to a verdict on each bar."""
import random
from statistics import median

ENOUGH = 15         # rounds that a verdict needs


def interval(values):
    """90 % bootstrap interval of the median."""
    rnd = random.Random(1)
    meds = sorted(median(rnd.choices(values, k=len(values)))
                  for _ in range(2000))
    return meds[100], meds[1899]


def judge(values, bar, slack=0.1):
    """(median, low, high, yes | no | undecided) of per-round values."""
    mid, (low, high) = median(values), interval(values)
    if mid <= bar and high <= bar + slack:
        word = "yes"
    elif mid > bar and low > bar:
        word = "no"
    else:
        word = "undecided"
    return mid, low, high, word


def settle(own, best):
    """An undecided bar is held if neither count is above the best peer's."""
    for key in ("syscalls", "instructions"):
        if own.get(key) is None or best.get(key) is None:
            return "undecided, not counted"
        if own[key] > best[key] * 1.01:
            return f"undecided, not held by {key}"
    return "undecided, held by both counts"


def best_of(servers, names, key):
    """Of the named servers the one with the lowest median."""
    there = [n for n in names if servers.get(n, {}).get(key)]
    return min(there, key=lambda n: median(servers[n][key]), default=None)


def cpu(servers, names, bar, own):
    """The verdict on CPU beside the best of the named; none: no such."""
    best = best_of(servers, names, "cpu_us")
    if best is None:
        return []
    ratios = [a / b for a, b in zip(servers[own]["cpu_us"],
                                    servers[best]["cpu_us"])]
    mid, low, high, word = judge(ratios, bar)
    if word == "undecided":
        word = settle(servers[own], servers[best])
    return [{"what": "cpu", "best": best, "bar": bar, "median": mid,
             "low": low, "high": high, "verdict": word,
             "rounds": len(ratios)}]


def compare(servers, bar, own="sluice"):
    """The verdicts of a scenario with rounds: CPU, and p99 at equal rate.

    A bar's ratio is of the best peer, or by name of each.
    """
    if not bar:
        return []
    each = bar["ratio"]
    out = [v for n in each for v in cpu(servers, (n,), each[n], own)] \
        if isinstance(each, dict) else cpu(servers, bar["peers"], each, own)
    if not out:
        return out
    best = best_of(servers, bar["peers"], "p99_us")
    if best is not None and bar.get("tail", True):
        ratios = [a / b for a, b in zip(servers[own]["p99_us"],
                                        servers[best]["p99_us"])]
        mid, low, high = median(ratios), *interval(ratios)
        out.append({"what": "p99", "best": best, "bar": 1.25,
                    "median": mid, "low": low, "high": high,
                    "verdict": "yes" if mid <= 1.25 else "no",
                    "rounds": len(ratios)})
    return out


def absolute(what, values, bar, unit):
    """A verdict on a figure of ours that is compared with nobody's."""
    mid, low, high, word = judge(values, bar, 0)
    return {"what": what, "best": None, "bar": bar, "unit": unit,
            "median": mid, "low": low, "high": high, "verdict": word,
            "rounds": len(values)}


COLUMNS = (
    ("req/s", "rps", "{:.0f}"), ("CPU us", "cpu_us", "{:.2f}"),
    ("p50 us", "p50_us", "{:.0f}"), ("p99 us", "p99_us", "{:.0f}"),
    ("calls", "syscalls", "{:.2f}"), ("writes", "writes", "{:.3f}"),
    ("instr", "instructions", "{:.0f}"),
    ("PSS MB", "pss_mb", "{:.1f}"),
)


def cell(server, key, form):
    value = server.get(key)
    if isinstance(value, list):
        value = median(value) if value else None
    return "-" if value is None else form.format(value)


def table(result):
    """Lines for people."""
    yield "{:18} {:14}".format("scenario", "server") + "".join(
        f"{title:>9}" for title, _, _ in COLUMNS)
    for name, scenario in result["scenarios"].items():
        for label, server in scenario["servers"].items():
            row = f"{name:18} {label:14}" + "".join(
                f"{cell(server, key, form):>9}" for _, key, form in COLUMNS)
            yield row + (f"  {server['note']}" if "note" in server else "")
            name = ""


def verdicts(result):
    for name, scenario in result["scenarios"].items():
        for v in scenario["verdicts"]:
            few = "" if v["rounds"] >= ENOUGH or v.get("exact") else \
                f" ({v['rounds']} rounds; {ENOUGH} decide)"
            of = f" of {v['best']}" if v["best"] else ""
            unit = f" {v['unit']}" if v.get("unit") else ""
            yield (f"{name:18} {v['what']:12} {v['median']:.2f}"
                   f" [{v['low']:.2f}, {v['high']:.2f}]{unit}{of}, "
                   f"bar {v['bar']}: {v['verdict']}{few}")

"""The two columns that do not depend on what else the machine does:
system calls and user-space instructions per request."""
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from servers import Failed, find, give, members

STRACE_REQUESTS = 2000
WRITES = ("write", "writev", "sendto", "sendmsg", "sendfile")
FEW, MANY = 1000, 11000     # their difference is counted


def scaled(n, length):
    """Fewer of large answers: what they cost per request is exact anyway."""
    return n if length < 1 << 20 else max(n // 50, 40)


def syscalls(server, load, length):
    """Calls, and of these writes, per request over all processes; {}
    without strace."""
    if find("strace") is None:
        return {}
    out = f"{server.dir}/strace"
    n = scaled(STRACE_REQUESTS, length)
    pids = [a for pid in members(server.proc.pid) for a in ("-p", str(pid))]
    tracer = subprocess.Popen(
        ["strace", "-f", "-c", "-o", out, *pids],
        stderr=subprocess.PIPE, text=True)
    try:
        for _ in pids[::2]:     # one line for each that is attached to
            line = tracer.stderr.readline()
            if "attached" not in line:
                return {}
        load(server, ["-c", "8", "-n", str(n)])
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
    with open(out, encoding="ascii") as f:
        rows = {m[2]: int(m[1]) for m in re.finditer(
            r"^\s*[\d.]+\s+\S+(?:\s+\d+)?\s+(\d+)\s+(?:\d+ +)?(\w+)$",
            f.read().replace("\t", " "), re.M)}
    if "total" not in rows:
        return {}
    return {"syscalls": rows["total"] / n,
            "writes": sum(rows.get(w, 0) for w in WRITES) / n}


def _one(make, load, n, shim):
    """Instructions of a whole life with n requests, of one worker."""
    server = make(n)
    env = {"LD_PRELOAD": shim} if server.name == "sluice" else None
    out = f"{server.dir}-calls"
    os.makedirs(out, exist_ok=True)
    give(out)
    for f in os.listdir(out):
        os.unlink(f"{out}/{f}")
    server.start(1, ["valgrind", "--vgdb=no", "-q", "--tool=callgrind",
                     "--trace-children=yes",
                     f"--callgrind-out-file={out}/%p"], env)
    try:
        load(server, ["-c", "8", "-n", str(n)])
        # what it does after the last answer is its too
        time.sleep(0.3)
    finally:
        server.stop(60)
    total = 0
    for name in os.listdir(out):
        with open(f"{out}/{name}", encoding="latin-1") as f:
            for line in f:
                if line.startswith(("summary:", "totals:")):
                    total += int(line.split()[1])
                    break
    if total == 0:
        raise Failed(f"{server.label}: callgrind counted nothing:\n"
                     f"{server.said()}")
    return total


def marked(args, functions, out):
    """Instructions of one turn of these functions of a program that takes
    -n turns; None without valgrind."""
    if find("valgrind") is None:
        return None
    total = {}
    for n in (FEW, MANY):
        done = subprocess.run(
            ["valgrind", "--vgdb=no", "--tool=callgrind",
             f"--toggle-collect={functions}",
             f"--callgrind-out-file={out}", args[0], "-n", str(n),
             *args[1:]], capture_output=True, text=True, check=False)
        m = re.search(r"Collected : (\d+)", done.stderr)
        if m is None or m[1] == "0":
            raise Failed(f"{args[0]}: callgrind counted nothing:\n"
                         f"{done.stderr}")
        total[n] = int(m[1])
    return (total[MANY] - total[FEW]) / (MANY - FEW)


def instructions(make, load, length, shim):
    """User-space instructions per request; None without valgrind.

    make(n) gives the server, fresh for each count.
    """
    if find("valgrind") is None or not os.path.exists(shim):
        return None
    few, many = scaled(FEW, length), scaled(MANY, length)
    with ThreadPoolExecutor(2) as pool:
        a = pool.submit(_one, make, load, few, shim)
        b = pool.submit(_one, make, load, many, shim)
        return (b.result() - a.result()) / (many - few)

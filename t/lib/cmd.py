"""Processes of the system, and the programs run as commands."""
import os
import re
import shutil
import subprocess
import threading

from lib import net

BIN = os.environ.get("SLUICE_BIN") or os.path.join(os.getcwd(), "build-test")
KIND = os.environ.get("SLUICE_KIND", "test")


def tool(name):
    """The path of a program of the system.  contrib/deps.sh installs what
    tests need: one that is not there is a failure, not a reason to skip."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) +
                        ":/usr/sbin:/sbin")
    assert path, f"{name} is not installed: see contrib/deps.sh check"
    return path


def children(pid):
    """Pids of the children of a process."""
    out = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children",
                      encoding="ascii") as f:
                out += map(int, f.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return out


def pss(pids, files=True):
    """Summed PSS of processes that belong together, in KiB.

    Pages of files count once for all of them: the kernel's own share
    would rise and fall with whoever else on this machine maps libc.  How
    many there are is also a matter of what the kernel reads ahead; without
    `files` it is only what the processes wrote that counts.
    """
    total, clean = 0, {}
    for pid in pids:
        with open(f"/proc/{pid}/smaps") as f:
            for line in f:
                if m := re.match(r"\w+-\w+ \S+ (\w+) \S+ (\d+)", line):
                    place = (m.group(1), m.group(2), line[73:].strip())
                    kib = {}
                elif m := re.match(r"(Rss|Pss|Anonymous): +(\d+) kB", line):
                    kib[m.group(1)] = int(m.group(2))
                if line.startswith("VmFlags:"):
                    if place[1] == "0" or place[2].startswith("/memfd:"):
                        total += kib["Pss"]
                    else:
                        total += kib["Anonymous"]
                        rest = kib["Rss"] - kib["Anonymous"]
                        clean[place] = max(clean.get(place, 0), rest)
    return total + (sum(clean.values()) if files else 0)


def mapped(pid, name):
    """Mappings of memory files of that name in a process."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        return sum(f"/memfd:{name} " in ln for ln in f)


def title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def state(pid):
    """The letter of a process's state, "" if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
            return f.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def session(sid):
    """Live pids of a session."""
    out = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                rest = f.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest[3]) == sid and rest[0] not in "ZX":
            out.append(int(name))
    return out


def run(prog, *args, env=None, cwd=None, stdin=None, seconds=None):
    """Runs one of the programs to its end; text output."""
    full = {k: v for k, v in os.environ.items()
            if not k.startswith(("SLUICE_", "NOTIFY_"))}
    full.update(env or {})
    return subprocess.run(
        [f"{BIN}/{prog}", *map(str, args)], capture_output=True, text=True,
        env=full, cwd=cwd, input=stdin, check=False,
        timeout=net.WAIT if seconds is None else seconds)


class Thread(threading.Thread):
    """A thread whose result, or exception, join() gives."""

    def __init__(self, fn, *args):
        super().__init__(daemon=True)
        self.fn, self.args, self.out, self.err = fn, args, None, None
        self.start()

    def run(self):
        try:
            self.out = self.fn(*self.args)
        except BaseException as e:
            self.err = e

    def join(self, timeout=None):
        super().join(net.WAIT if timeout is None else timeout)
        if self.is_alive():
            raise TimeoutError(f"{self.fn} goes on")
        if self.err:
            raise self.err
        return self.out

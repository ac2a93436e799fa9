"""The two ends of interop tests, as programs: interop.py (grpcio) and
grpc_js/interop.js (@grpc/grpc-js, which npm brings by its lock file; no
package of Debian has it)."""
import contextlib
import fcntl
import os
import subprocess
import threading

from lib.cmd import BIN, tool

HERE = os.path.dirname(os.path.abspath(__file__))
ENDS = ("py", "js")


FILES = "package.json", "package-lock.json"
ADVICE = """@grpc/grpc-js is needed, which no package of Debian has, and npm
could not bring it.  Give npm a registry that it reaches (npm config set
registry, or a proxy), or run "npm ci" in a copy of t/lib/grpc_js elsewhere
and name its node_modules by SLUICE_NODE_MODULES.  npm said:
"""


def install(top):
    """By the lock file; what a run that was ended left there goes."""
    for name in FILES:
        with open(os.path.join(HERE, "grpc_js", name), "rb") as f:
            data = f.read()
        with open(os.path.join(top, name), "wb") as f:
            f.write(data)
    done = subprocess.run(
        [tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=top, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, ADVICE + done.stderr


def node_modules():
    """The directory with grpc-js in it, once made for a build."""
    own = os.environ.get("SLUICE_NODE_MODULES")
    if own:
        return own
    top = os.path.join(BIN, "grpc_js")
    os.makedirs(top, exist_ok=True)
    with open(os.path.join(HERE, "grpc_js", FILES[1]), "rb") as f:
        want = f.read()
    with open(os.path.join(top, "lock"), "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        # it has the lock file of what was installed, once it was
        if lock.read() != want:
            lock.truncate(0)
            install(top)
            lock.write(want)
    return os.path.join(top, "node_modules")


def command(end, *args):
    """(what to run, environment)"""
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1",
               GRPC_VERBOSITY="NONE")
    if end == "py":
        return ["/usr/bin/python3", os.path.join(HERE, "interop.py"),
                *args], env
    env["NODE_PATH"] = node_modules()
    return [tool("node"), os.path.join(HERE, "grpc_js", "interop.js"),
            *args], env


class Server:
    """A running one: its port, and what it has said."""

    def __init__(self, end, *args):
        what, env = command(end, "server", *args)
        self.proc = subprocess.Popen(
            what, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=env)
        self.port = int(self.proc.stdout.readline())
        self.said, self.more = [], threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.proc.stdout:
            with self.more:
                self.said.append(line.rstrip("\n"))
                self.more.notify_all()

    def wait_said(self, line, count=1, seconds=20):
        with self.more:
            if not self.more.wait_for(
                    lambda: self.said.count(line) >= count, seconds):
                raise TimeoutError(f"{line!r}: {self.said}")


@contextlib.contextmanager
def server(end, *args):
    s = Server(end, *args)
    try:
        yield s
    finally:
        s.proc.stdin.close()
        try:
            s.proc.wait(20)
        except subprocess.TimeoutExpired:
            s.proc.kill()
            s.proc.wait()
        s.reader.join()
        s.proc.stdout.close()


def client(end, port, *args):
    """{case: why it failed, or ""}"""
    what, env = command(end, "client", str(port), *args)
    done = subprocess.run(what, env=env, capture_output=True, text=True,
                          check=False, timeout=120)
    out = {}
    for line in done.stdout.splitlines():
        word, name, *why = line.split(" ", 2)
        out[name] = "" if word == "ok" else why[0]
    assert done.returncode == 0 and out, done.stderr
    return out

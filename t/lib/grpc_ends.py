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


def node_modules():
    """The directory with grpc-js in it, once made for a build."""
    own = os.environ.get("SLUICE_NODE_MODULES")
    if own:
        return own
    top = os.path.join(BIN, "grpc_js")
    have = os.path.join(top, "node_modules", "@grpc", "grpc-js")
    os.makedirs(top, exist_ok=True)
    with open(os.path.join(top, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(have):
            for name in ("package.json", "package-lock.json"):
                with open(os.path.join(HERE, "grpc_js", name), "rb") as f:
                    data = f.read()
                with open(os.path.join(top, name), "wb") as f:
                    f.write(data)
            done = subprocess.run(
                [tool("npm"), "ci", "--ignore-scripts", "--no-audit",
                 "--no-fund"], cwd=top, capture_output=True, text=True,
                check=False, timeout=300)
            assert done.returncode == 0, done.stderr
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

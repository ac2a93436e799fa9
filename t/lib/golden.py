"""Cases of t/conf: files, a command, and what it says."""
import os
import re
import shutil
import signal
import socket
import subprocess

from lib import net
from lib.cmd import BIN

FENCE = re.compile(r"^```(\w+) ?(.*)\n((?:(?!```).*\n)*)```\n", re.M)
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|\{(\d+)\*(.*?)\}|(.))",
                    re.S)
PLAIN = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}


def unescape(text):
    """Text of a case to text with one character per byte."""
    def one(m):
        if m.group(1):
            return chr(int(m.group(1), 16))
        if m.group(2):
            each = unescape(m.group(3))
            return "".join(each.replace("#", str(i + 1))
                           for i in range(int(m.group(2)))) \
                if "#" in each else each * int(m.group(2))
        return PLAIN[m.group(4)]
    return ESCAPE.sub(one, text)


class Case:
    def __init__(self, path, name, text):
        self.path, self.name, self.text = path, name, text
        self.blocks = FENCE.findall(text)
        known = {"file", "sh", "run", "stderr", "stdout"}
        assert all(b[0] in known for b in self.blocks), self
        assert [b[0] for b in self.blocks].count("stderr") == 1, self

    def __repr__(self):
        return f"{os.path.basename(self.path)[:-3]}: {self.name}"

    def block(self, kind, default=""):
        return next((b[2] for b in self.blocks if b[0] == kind), default)

    @property
    def code(self):
        return int(next(b[1] for b in self.blocks if b[0] == "stderr"))

    def rewritten(self, code, err, out):
        """The case's text with what was said now."""
        text = re.sub(r"^```stderr .*\n((?:(?!```).*\n)*)```\n",
                      lambda m: f"```stderr {code}\n{err}```\n", self.text,
                      flags=re.M)
        return re.sub(r"^```stdout\n((?:(?!```).*\n)*)```\n",
                      lambda m: f"```stdout\n{out}```\n", text, flags=re.M)


def cases(folder):
    out = []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".md"):
            continue
        path = os.path.join(folder, name)
        with open(path, encoding="utf-8") as f:
            parts = re.split(r"^## (.*)\n", f.read(), flags=re.M)
        out += [Case(path, *p) for p in zip(parts[1::2], parts[2::2])]
        names = parts[1::2]
        assert len(names) == len(set(names)), f"{path}: a name twice"
    return out


def built_in():
    """The file that is read when none is named, as configure chose it."""
    with open("config.h", encoding="utf-8") as f:
        return re.search(r'#define SL_CONF_FILE "(.*)"', f.read()).group(1)


class Stage:
    """Where a case is played: its folder, ports and programs."""

    def __init__(self, directory):
        self.dir = directory
        self.where = os.path.join(directory, "case")
        os.mkdir(self.where, 0o755)
        # who is nobody may not be let into the checkout
        self.bin = os.path.join(directory, "bin")
        os.mkdir(self.bin, 0o755)
        for name in ("sluiced", "sluicectl"):
            shutil.copy(f"{BIN}/{name}", self.bin)
        self.taken = socket.create_server(("127.0.0.1", 0))
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(os.path.join(directory, "sock"))
        self.sock.listen()
        self.words = {
            "sock": os.path.join(directory, "sock"), "dir": self.where,
            "port": net.free_port(),
            "taken": self.taken.getsockname()[1], "conf": built_in()
        }

    def close(self):
        self.taken.close()
        self.sock.close()
        # what a case closed would stay behind
        for name in os.listdir(self.where):
            path = os.path.join(self.where, name)
            if os.path.isdir(path) and os.stat(path).st_uid == os.geteuid():
                os.chmod(path, 0o700)

    def fill(self, text):
        return re.sub(r"@(dir|port|taken|sock)@",
                      lambda m: str(self.words[m.group(1)]), text)

    def clean(self, text):
        """What a program said, without what differs from run to run."""
        for word, value in self.words.items():
            text = re.sub(rf"(?<!\d){re.escape(str(value))}(?!\d)",
                          f"@{word}@", text)
        text = re.sub(r"(?<=needs |light |eases |rvers )\d+", "@N@", text)
        # all that there are: the list grows with the table
        text = re.sub(r"(?<=it has no )[\w, ]+ or \w+", "@HANDLERS@", text)
        return re.sub(r"\b(pid|after|uid) \d+", r"\1 @N@", text)

    def write(self, name, text):
        path = os.path.join(self.where, name or "sluice.conf")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(unescape(self.fill(text)).encode("latin-1")
                    if text.isascii() else
                    unescape(self.fill(text)).encode("utf-8"))

    def sh(self, text):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("SLUICE_", "NOTIFY_", "XDG_"))}
        env["PATH"] = f"{self.bin}:{env['PATH']}"
        env["TERM"] = "xterm"
        env["nobody"] = "setpriv --reuid 65534 --regid 65534 " \
            "--clear-groups" if os.geteuid() == 0 else ""
        with subprocess.Popen(
                ["sh", "-euc", text], cwd=self.where, env=env,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True) as p:
            try:
                out, err = p.communicate(timeout=net.WAIT)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(text, p.returncode, out, err)

    def play(self, case):
        """Exit code, stderr and stdout of a case, cleaned."""
        for kind, name, text in case.blocks:
            if kind == "file":
                self.write(name, text)
        for kind, _, text in case.blocks:
            if kind == "sh":
                done = self.sh(self.fill(text))
                assert done.returncode == 0, done.stderr
        done = self.sh(self.fill(case.block(
            "run", "sluiced -t -c sluice.conf\n")))
        return (done.returncode, *(
            self.clean(s.decode("utf-8", "backslashreplace"))
            for s in (done.stderr, done.stdout)))

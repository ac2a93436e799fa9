"""The servers that are measured: started as an unprivileged user in a
session of their own, so that all their processes can be told by it."""
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
NOBODY = pwd.getpwnam("nobody")
ROOT = os.geteuid() == 0
WAIT = 60

COMMANDS = {
    "sluice": ["@bin@/sluiced", "-f", "-c", "@conf@"],
    "nginx": ["nginx", "-c", "@conf@", "-e", "@dir@/error.log"],
    "h2o": ["h2o", "-c", "@conf@"],
    "lighttpd": ["lighttpd", "-D", "-f", "@conf@"],
    "haproxy": ["haproxy", "-db", "-f", "@conf@"],
}


class Failed(Exception):
    """Something is not as it must be: no figure would be worth a thing."""


def find(name):
    """The path of a program; servers lie in sbin."""
    return shutil.which(name, path=os.environ.get("PATH", "") +
                        ":/usr/local/sbin:/usr/sbin:/sbin")


def installed(name):
    return name == "sluice" or find(name) is not None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_pem(path):
    """A certificate (ECDSA P-256) and its key in one file."""
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", path, "-out", f"{path}.crt"], capture_output=True,
        check=False)
    if done.returncode != 0:
        raise Failed(f"openssl: {done.stderr.decode()}")
    with open(path, "ab") as out, open(f"{path}.crt", "rb") as f:
        out.write(f.read())
    give(path)


def give(path):
    """To whom the servers run as."""
    if ROOT:
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)


def spawn(args, log, env=None, **more):
    """A process in a new session, as nobody when we are root."""
    who = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid,
           "extra_groups": []} if ROOT else {}
    with open(log, "ab") as f:
        return subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=f, stderr=f,
            cwd="/", start_new_session=True,
            env={**os.environ, **(env or {})}, **who, **more)


def members(sid):
    """{pid: fields of stat from the state on} of a session."""
    out = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
                rest = f.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest[3]) == sid and rest[0] != "Z":
            out[int(pid)] = rest
    return out


def fetch(port, path, tls=False):
    """Status line and body of one GET on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.settimeout(20)
        if tls:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            ctx.check_hostname = False
            ctx.verify_mode = ssl.CERT_NONE
            s = ctx.wrap_socket(s)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                  "Connection: close\r\n\r\n".encode())
        data = bytearray()
        while piece := s.recv(1 << 20):
            data += piece
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode("latin-1"), body


class Server:
    """One server with one configuration, written by the template NAME.conf.

    values fills @name@; `@log ` at the start of a line keeps it only with
    the access log on, `@nolog ` only with it off.  log is its format,
    where the server has several.
    """

    def __init__(self, name, top, values, log=None, label=None):
        self.name = name
        self.label = label or name
        self.dir = os.path.join(top, self.label)
        self.values = {"dir": self.dir, "routes": "", "format": log,
                       **values}
        self.log = log
        self.proc = None

    def start(self, workers=2, prefix=(), env=None):
        shutil.rmtree(self.dir, ignore_errors=True)
        for sub in ("", "run", "state", "log"):
            os.makedirs(f"{self.dir}/{sub}", exist_ok=True)
            give(f"{self.dir}/{sub}")
        self.port, self.sport = free_port(), free_port()
        values = {**self.values, "port": self.port, "workers": workers,
                  "sport": self.sport,
                  "conf": f"{self.dir}/{self.name}.conf"}

        def fill(text):
            return re.sub(r"@([a-z]+)@", lambda m: str(values[m.group(1)]),
                          text)
        with open(f"{HERE}/{self.name}.conf", encoding="utf-8") as f:
            text = f.read()
        keep, leave = ("@log ", "@nolog ") if self.log else \
            ("@nolog ", "@log ")
        lines = [ln.replace(keep, "", 1) for ln in text.split("\n")
                 if not ln.lstrip().startswith(leave)]
        with open(values["conf"], "w", encoding="utf-8") as f:
            f.write(fill("\n".join(lines)))
        args = [fill(a) for a in COMMANDS[self.name]]
        args[0] = find(args[0]) or args[0]
        self.proc = spawn([*prefix, *args], f"{self.dir}/out", env)
        self.await_port()
        return self

    def await_port(self):
        end = time.monotonic() + WAIT
        while time.monotonic() < end and self.proc.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        text = self.said()
        self.stop()
        raise Failed(f"{self.label} does not start:\n{text}")

    def said(self):
        out = ""
        for name in ("out", "error.log"):
            path = f"{self.dir}/{name}"
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    out += f.read()[-2000:]
        return out

    def check(self, path, want, tls=False):
        status, body = fetch(self.sport if tls else self.port, path, tls)
        if status.split(" ")[:2] != ["HTTP/1.1", "200"] or body != want:
            raise Failed(f"{self.label} answers {path} wrongly: {status}, "
                         f"{len(body)} bytes, {len(want)} expected\n"
                         f"{self.said()}")

    def cpu(self):
        """Seconds of all processes, those included that have ended."""
        return sum(int(v) for f in members(self.proc.pid).values()
                   for v in f[11:15]) / TICK

    def pss(self):
        """MB of all processes; shared pages count by their share."""
        kb = 0
        for pid in members(self.proc.pid):
            try:
                with open(f"/proc/{pid}/smaps_rollup",
                          encoding="ascii") as f:
                    kb += int(re.search(r"^Pss: +(\d+)", f.read(),
                                        re.M).group(1))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return kb / 1024

    def stop(self, seconds=15):
        if self.proc is None:
            return
        if self.proc.poll() is None:
            self.proc.terminate()
        try:
            self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        for pid in members(self.proc.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.proc = None


class Origin:
    """The upstream of the proxies."""

    def __init__(self, where, top):
        self.port = free_port()
        self.proc = spawn([f"{where}/origin", str(self.port)],
                          f"{top}/origin.out")
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > end or self.proc.poll() is not None:
                    raise Failed("origin does not start") from None
                time.sleep(0.02)

    def stop(self):
        self.proc.kill()
        self.proc.wait()

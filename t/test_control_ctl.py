"""sluicectl: what it prints, its exit codes, what it makes of strangers."""
import json
import os
import pty
import re
import socket
import subprocess
import threading

import pytest

from lib import http, net
from lib.cmd import BIN, run

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[route all]
path = /*
respond = 200 one
"""
LATER = ["top",
         "history", "diff", "rollback", "get", "set", "trace", "errors",
         "backup", "restore"]


def test_status(sluice):
    s = sluice(CONF)
    lines = s.ctl("status").stdout.splitlines()
    assert re.match(rf"serving: generation 1, up \S+.* since .*, "
                    rf"pid {s.pid}, sluice \d", lines[0])
    assert s.conf_path in lines[1] and "2 of 2 serving" in lines[2]
    table = lines[lines.index("") + 1:]
    assert table[0].split()[:3] == ["PROCESS", "PID", "STATE"]
    at = table[0].index("STATE")
    told = {ln[:at].rsplit(None, 1)[0]: int(ln[:at].split()[-1])
            for ln in table[1:]}
    assert told == {"master": s.pid, **s.roles()}
    assert all(ln[at:].startswith("serving") for ln in table[1:])
    assert all(ln == ln.rstrip() for ln in lines)


def test_json_is_the_answer(sluice):
    s = sluice(CONF)
    for command, target in (("version", "/v1/version"),
                            ("generations", "/v1/generations")):
        out = s.ctl("-o", "json", command).stdout
        assert json.loads(out) == json.loads(http.get(s.control,
                                                      target).body)
    for command in ("status", "metrics", "reload", "roll", "board"):
        assert s.ctl_json(command)["v"] == 1
        assert json.loads(s.ctl(command, "-ojson").stdout)["v"] == 1


def test_other_text(sluice):
    s = sluice(CONF)
    assert s.ctl("version").stdout.startswith("sluiced ")
    assert s.ctl("generations").stdout.startswith("generation 1 is live")
    assert re.search(r"^loop_turns_total +\d+ ", s.ctl("metrics").stdout,
                     re.M)
    assert "every worker was replaced" in s.ctl("roll").stdout


def test_reload(sluice):
    s = sluice(CONF)
    assert s.ctl("reload").stdout == "reloaded: generation 2 is live\n"
    s.write(CONF + "[route b]\npath = /b\nupstream = nowhere\n")
    done = s.ctl("reload", ok=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "error[E0210]" in done.stderr and "^^^^^^^" in done.stderr
    assert "generation 2 stays live" in done.stderr
    done = s.ctl("-o", "json", "reload", ok=False)
    assert done.returncode == 1 and done.stderr == ""
    assert json.loads(done.stdout)["diagnostics"][0]["id"] == "E0210"


def test_board(sluice):
    s = sluice(CONF)
    http.get(s.port, "/")
    b = s.ctl_json("board")
    assert {p["name"]: p["pid"] for p in b["slots"]} == \
        {"master": s.pid, **s.roles()}
    assert {p["generation"] for p in b["slots"]
            if p["name"] == "master" or "worker" in p["name"]} == {1}
    assert b["global"]["generation"] == 1 and "stats" not in b
    assert sum(p["finished"] for p in b["slots"]
               if p["name"].startswith("worker")) == 1
    b = s.ctl_json("board", "--dump")
    one = [r for r in b["stats"] if r["name"] == "responses_2xx_total" and
           r["process"].startswith("worker")]
    assert len(one) == 2 and sum(r["value"] for r in one) == 1
    assert {r["segment"] for r in b["regions"]} == {"dir", "live"}
    out = s.ctl("board", "--dump").stdout
    assert out.startswith("board: generation 1, ")
    assert re.search(r"^responses_2xx_total +worker 1 +[01]$", out, re.M)


# --- the command line ---

def test_usage():
    done = run("sluicectl", "help")
    assert done.returncode == 0 and "usage: sluicectl" in done.stdout
    assert run("sluicectl", "--help").stdout == done.stdout
    none = run("sluicectl")
    assert none.returncode == 2 and none.stderr == done.stdout
    assert run("sluicectl", "-V").stdout.startswith("sluicectl ")
    for args in (["frob"], ["-x", "status"], ["-o", "xml", "status"],
                 ["-s"], ["status", "more"], ["board", "--dump", "x"],
                 ["reload", "--plan", "x"], ["reload", "--dry"]):
        done = run("sluicectl", *args)
        assert done.returncode == 2, args
        assert "see sluicectl help" in done.stderr, args
    for word in LATER:
        done = run("sluicectl", word, "a", "b")
        assert done.returncode == 2, word
        assert done.stderr == f"sluicectl: {word}: not in this version\n"


def test_nobody_listens(tmp):
    path = os.path.join(tmp, "none.sock")
    done = run("sluicectl", "-s", path, "status")
    assert done.returncode == 4 and path in done.stderr
    assert "start it: sluiced" in done.stderr
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    done = run("sluicectl", "-s", path, "status")
    assert done.returncode == 4 and "refused" in done.stderr
    done = run("sluicectl", "-s", "/" + "x" * 200, "status")
    assert done.returncode == 4 and "too long" in done.stderr


def test_environment(sluice, tmp):
    s = sluice(CONF)
    done = run("sluicectl", "version", env={"SLUICE_SOCKET": s.control})
    assert done.returncode == 0
    done = run("sluicectl", "-s", s.control, "version",
               env={"SLUICE_SOCKET": "/nowhere"})
    assert done.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_socket_of_a_user(tmp):
    """Users look below their own run directory, if there is a socket."""
    os.makedirs(f"{tmp}/sluice")
    os.symlink(f"{BIN}/sluicectl", f"{tmp}/ctl")

    def told():
        done = subprocess.run(
            [f"{BIN}/sluicectl", "version"], capture_output=True, text=True,
            user=65534, group=65534, extra_groups=[], check=False,
            env={"XDG_RUNTIME_DIR": tmp}, timeout=net.WAIT)
        return done.stderr

    try:
        before = told()
    except PermissionError:
        pytest.skip("the programs lie where others cannot reach")
    assert f"{tmp}/sluice" not in before
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(f"{tmp}/sluice/control.sock")
    assert f'"{tmp}/sluice" belongs to user 0, not to 65534' in told()
    os.chown(f"{tmp}/sluice", 65534, 65534)
    os.chmod(f"{tmp}/sluice", 0o775)
    assert "others may write to directory" in told()
    os.chmod(f"{tmp}/sluice", 0o755)
    assert "not looked at" not in told()
    assert f"{tmp}/sluice/control.sock" in told()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_place_of_a_user(tmp):
    """The folder of one's own: shown by -T, refused if it is not."""
    os.makedirs(f"{tmp}/run/sluice")
    os.chmod(tmp, 0o755)
    os.chown(f"{tmp}/run", 65534, 65534)

    def told(*args):
        try:
            return subprocess.run(
                [f"{BIN}/sluiced", *args, "--set",
                 f"sluice.state_dir={tmp}/run/state", "--port", "0"],
                capture_output=True, text=True, user=65534, group=65534,
                extra_groups=[], check=False, cwd=f"{tmp}/run",
                env={"XDG_RUNTIME_DIR": f"{tmp}/run"}, timeout=net.WAIT)
        except PermissionError:
            return pytest.skip("the programs lie where others cannot reach")

    assert f"\nrun_dir = {tmp}/run/sluice\n" in told("-T").stdout
    done = told("-f", "--root", f"{tmp}/run")
    assert done.returncode == 4, done.stderr
    assert f'"{tmp}/run/sluice" belongs to user 0' in done.stderr
    os.chown(f"{tmp}/run/sluice", 65534, 65534)
    os.chmod(f"{tmp}/run/sluice", 0o777)
    done = told("-f", "--root", f"{tmp}/run")
    assert done.returncode == 4, done.stderr
    assert "others may write" in done.stderr


def on_terminal(args, env):
    """Output of a command whose standard output is a terminal."""
    ours, theirs = pty.openpty()
    full = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    full.update(env)
    with subprocess.Popen([f"{BIN}/sluicectl", *args], stdout=theirs,
                          stderr=theirs, env=full) as p:
        os.close(theirs)
        out = b""
        try:
            while True:
                piece = os.read(ours, 65536)
                if not piece:
                    break
                out += piece
        except OSError:         # how a terminal ends
            pass
        os.close(ours)
        assert p.wait(net.WAIT) == 0
    return out


def test_color(sluice):
    s = sluice(CONF)
    args = ["-s", s.control, "status"]
    assert b"\x1b[1;32mserving" in on_terminal(args, {"TERM": "xterm"})
    assert b"\x1b" not in on_terminal(args, {"NO_COLOR": "1"})
    assert "\x1b" not in s.ctl("status").stdout


# --- what is not sluiced ---

class Stranger:
    """A server on a unix socket that says one thing."""

    def __init__(self, path, data, size=65536):
        self.path, self.data, self.size = path, data, size
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        c, _ = self.sock.accept()
        with c:
            while b"\r\n\r\n" not in c.recv(65536, socket.MSG_PEEK):
                pass
            c.recv(65536)
            try:
                for i in range(0, len(self.data), self.size):
                    c.sendall(self.data[i:i + self.size])
            except OSError:
                pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(net.WAIT)
        self.sock.close()


def asked(tmp, data, *args, size=65536):
    with Stranger(os.path.join(tmp, "s.sock"), data, size) as st:
        return run("sluicectl", "-s", st.path, *args)


def answer(obj, status="200 OK"):
    body = json.dumps(obj).encode()
    return (f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
            .encode() + body)


@pytest.mark.parametrize("data,said", [
    (b"", "connection was closed"),
    (b"220 mail.example ESMTP\r\n", "speaks no HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"v\":1", "ended early"),
    (b"HTTP/1.1 200 OK\r\nContent-Le", "ended early"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
     "speaks no HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "without JSON"),
    (b"HTTP/1.1 502 Bad\r\n\r\noops", "without JSON"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
     "speaks no HTTP"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
     "speaks no HTTP"),
], ids=range(9))
def test_no_api(tmp, data, said):
    done = asked(tmp, data, "status")
    assert done.returncode == 4 and said in done.stderr, done
    assert done.stdout == ""


def test_answer_in_pieces(tmp):
    body = http.chunked(b'{"v":1,', b'"program":"x",', b'"version":"y"}',
                        trailers=(("X-T", "1"),))
    data = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert asked(tmp, data, "version", size=1).stdout == "x y\n"


def test_terminal_is_safe(tmp):
    evil = "\x1b]0;owned\x07\x1b[31m"
    st = {"v": 1, "ready": True, "state": evil, "version": evil,
          "file": evil, "processes": [{"name": evil, "state": evil}]}
    done = asked(tmp, answer(st), "status")
    assert done.returncode == 0
    os.unlink(os.path.join(tmp, "s.sock"))
    bad = {"v": 1, "error": evil, "why": evil, "text": f"a{evil}\nb\n"}
    refused = asked(tmp, answer(bad, "409 Conflict"), "reload")
    assert refused.returncode == 1
    for out in (done.stdout, refused.stderr):
        assert "\x1b" not in out and "\x07" not in out
        assert "\\x1b" in out


def test_board_without_descriptors(tmp):
    done = asked(tmp, answer({"v": 1, "descriptors": ["dir", "live"]}),
                 "board")
    assert done.returncode == 4 and "no descriptors" in done.stderr


def test_odd_values(tmp):
    """Members of another form than ours are empty or 0, never a crash."""
    st = {"v": 1, "processes": [1, {}, {"pid": "x", "name": 3}],
          "workers": [], "sums": 5, "uptime_ms": -4,
          "started_ms": 2 ** 62}
    done = asked(tmp, answer(st), "status")
    assert done.returncode == 0
    assert done.stdout.startswith("NOT serving ()")

"""The control API on its unix socket: what it answers, and to whom."""
import ctypes
import fcntl
import json
import mmap
import os
import signal
import socket
import struct
import subprocess

import pytest

from lib import cmd, http, net
from lib.cmd import Thread, tool

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[route all]
path = /*
respond = 200 one
"""
BROKEN = CONF.replace("respond", "respnod")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")
STRANGER = 31337        # a uid and gid that nothing of a test belongs to


def api(s, target, method="GET", status=200):
    """One request on its own connection; the object of the answer."""
    r = http.get(s.control, target) if method == "GET" else \
        ask(s, method, target)
    assert r.status == status, r
    assert r["content-type"] == "application/json"
    out = json.loads(r.body)
    assert out["v"] == 1
    return out


def ask(s, method, target):
    with http.Client(s.control, timeout=4 * net.WAIT) as c:
        return c.ask(method, target, body=b"" if method == "POST" else None)


def post(s, target, status=200):
    return api(s, target, "POST", status)


def by_role(s, role):
    return [p for p in api(s, "/v1/status")["processes"]
            if p["role"] == role]


# --- what it tells ---

def test_curl(sluice):
    s = sluice(CONF)
    out = subprocess.run(
        [tool("curl"), "-sS", "--unix-socket", s.control,
         "http://localhost/v1/version"],
        capture_output=True, check=True, timeout=net.WAIT).stdout
    assert json.loads(out)["program"] == "sluiced"


def test_version(sluice):
    s = sluice(CONF)
    v = api(s, "/v1/version")
    done = cmd.run("sluiced", "-V")
    assert v["version"] in done.stdout + done.stderr
    assert v["libraries"]["jansson"] and v["libraries"]["nghttp2"]


def test_status(sluice):
    s = sluice(CONF)
    st = api(s, "/v1/status")
    assert st["ready"] is True and st["state"] == "serving"
    assert st["generation"] == 1 and st["pid"] == s.pid
    assert st["workers"] == {"wanted": 2, "serving": 2}
    assert st["reloads"] == {"published": 1, "failed": 0}
    assert st["file"] == s.conf_path
    told = {p["name"]: p["pid"] for p in st["processes"]}
    assert told == {"master": s.pid, **s.roles()}
    for p in st["processes"]:
        assert p["state"] == "serving", p
        assert p["generation"] == 1, p
        assert p["beat_age_ms"] < 5000, p
        assert p["uptime_ms"] <= st["uptime_ms"], p
        assert p["in_flight"] == 0 or p["role"] == "control", p


def test_counts(sluice):
    """What workers count is told; what is asked of the API is not."""
    s = sluice(CONF)
    for _ in range(5):
        assert http.get(s.port, "/").body == b"one"
    assert sum(p["requests"] for p in by_role(s, "worker")) == 5
    rows = api(s, "/v1/metrics")["metrics"]
    sums = {m["name"]: m["sum"] for m in rows}
    assert sums["requests_total"] == sums["requests_started_total"] == 5
    assert sums["responses_2xx_total"] == 5
    pids = {s.pid, *s.roles().values()}
    for m in rows:
        assert m["kind"] in ("counter", "gauge") and m["help"]
        assert {p["pid"] for p in m["processes"]} == pids
        if m["kind"] == "counter":      # nobody has died
            each = sum(p["value"] for p in m["processes"])
            assert m["sum"] <= each, m
    assert api(s, "/v1/status")["sums"]["requests_total"] == 5


def test_generations(sluice):
    s = sluice(CONF)
    post(s, "/v1/reload")
    g = api(s, "/v1/generations")
    assert g["generation"] == 2 and g["max"] == 16
    assert [x["number"] for x in g["generations"]] == [2]
    assert g["generations"][0]["live"] is True
    users = {p["name"] for p in g["generations"][0]["processes"]}
    assert users == set(s.roles())
    for p in g["processes"]:
        assert p["generation"] == 2 and p["generations"] == 1, p


# --- what it does ---

def test_reload(sluice):
    s = sluice(CONF)
    s.write(CONF.replace("one", "two"))
    r = post(s, "/v1/reload")
    assert r["generation"] == 2 and r["diagnostics"] == []
    assert http.get(s.port, "/").body == b"two"
    assert api(s, "/v1/status")["generation"] == 2


def test_reload_of_a_broken_config(sluice):
    s = sluice(CONF)
    s.write(BROKEN)
    r = post(s, "/v1/reload", 409)
    assert r["error"] == "reload_failed" and r["why"]
    assert r["generation"] == 1 and r["code"] == 1
    unknown = [d for d in r["diagnostics"] if d["id"] == "E0102"]
    assert len(unknown) == 1
    assert unknown[0]["file"] == s.conf_path
    assert unknown[0]["key"] == "respnod" and unknown[0]["line"] > 0
    assert "respnod" in r["text"] and "^" in r["text"]
    st = api(s, "/v1/status")
    assert st["generation"] == 1 and st["ready"] is True
    assert st["reloads"] == {"published": 1, "failed": 1}
    assert http.get(s.port, "/").body == b"one"
    s.write(CONF)
    assert post(s, "/v1/reload")["generation"] == 3


def test_reload_tells_of_warnings(sluice):
    s = sluice(CONF)
    s.write(CONF.replace("path = /*", "path = /* x/*"))
    r = post(s, "/v1/reload")
    assert [d["id"] for d in r["diagnostics"]] == ["W0303"]


def test_reload_that_a_process_refuses(sluice):
    s = sluice(CONF, env={"SLUICE_FAULT": "prepare_refuse:1"})
    r = post(s, "/v1/reload", 409)
    assert "prepare_refuse" in r["why"] and r["generation"] == 1
    assert post(s, "/v1/reload")["generation"] == 3


def test_reloads_at_once(sluice):
    """Everybody is told of a reload that began after they asked."""
    s = sluice(CONF)
    askers = [Thread(post, s, "/v1/reload") for _ in range(12)]
    got = [t.join(8 * net.WAIT)["generation"] for t in askers]
    assert min(got) >= 2
    assert api(s, "/v1/status")["generation"] == max(got)


def stalled(s):
    """A reload that waits for a worker that stands still; its asker."""
    worker = s.kill("worker 1", signal.SIGSTOP)
    c = http.Client(s.control, timeout=4 * net.WAIT)
    c.send(http.request("POST", "/v1/reload", body=b""))
    s.notify.wait("RELOADING", pidfd=s.pidfd)
    return worker, c


def test_a_reload_is_waited_for(sluice):
    s = sluice(CONF)
    s.notify.drain()
    worker, first = stalled(s)
    try:
        with http.Client(s.control, timeout=4 * net.WAIT) as second:
            second.send(http.request("POST", "/v1/reload", body=b""))
            # who does not wait is answered meanwhile
            assert api(s, "/v1/status")["generation"] == 1
            assert first.is_idle() and second.is_idle()
            os.kill(worker, signal.SIGCONT)
            assert json.loads(first.response().body)["generation"] == 2
            assert json.loads(second.response().body)["generation"] == 3
    finally:
        os.kill(worker, signal.SIGCONT)
        first.close()


def test_too_many_wait(sluice):
    s = sluice(CONF)
    s.notify.drain()
    worker, first = stalled(s)
    waiting = [first]
    try:
        for _ in range(15):
            waiting.append(http.Client(s.control, timeout=4 * net.WAIT))
            waiting[-1].send(http.request("POST", "/v1/reload", body=b""))
        # all are taken when what was asked behind them is answered
        assert api(s, "/v1/version")
        assert post(s, "/v1/reload", 503)["error"] == "busy"
        os.kill(worker, signal.SIGCONT)
        for c in waiting:
            assert c.response("POST").status == 200
    finally:
        os.kill(worker, signal.SIGCONT)
        for c in waiting:
            c.close()


def test_the_asker_leaves(sluice):
    s = sluice(CONF)
    control = s.roles()["control"]
    s.notify.drain()
    worker, first = stalled(s)
    first.close()
    os.kill(worker, signal.SIGCONT)
    s.notify.wait("READY", pidfd=s.pidfd)
    assert post(s, "/v1/reload")["generation"] == 3
    assert s.roles()["control"] == control


def test_stop_answers_who_waits(sluice):
    s = sluice(CONF)
    s.notify.drain()
    worker, first = stalled(s)
    s.send(signal.SIGTERM)
    s.notify.wait("STOPPING", pidfd=s.pidfd)
    os.kill(worker, signal.SIGCONT)
    r = first.response("POST")
    assert r.status in (200, 409, 503) and json.loads(r.body)["v"] == 1
    first.close()
    assert s.wait() == 0


def test_roll(sluice):
    s = sluice(CONF)
    before = s.workers()
    assert post(s, "/v1/roll")["generation"] == 1
    serving = [p["pid"] for p in by_role(s, "worker")
               if p["state"] == "serving"]
    assert len(serving) == 2 and not set(serving) & set(before)
    assert http.get(s.port, "/").body == b"one"


def test_control_dies(sluice):
    """A new one takes over; the socket was the master's all the time."""
    s = sluice(CONF)
    old = s.kill("control")
    assert api(s, "/v1/version")
    assert s.wait_role("control", other_than=old) != old
    assert post(s, "/v1/reload")["generation"] == 2


# --- what it refuses ---

@pytest.mark.parametrize("method,target,status,error", [
    ("GET", "/", 404, "not_found"),
    ("GET", "/v1", 404, "not_found"),
    ("GET", "/v1/status/", 404, "not_found"),
    ("GET", "/v1/rings", 404, "not_found"),
    ("GET", "/v1/reload", 405, "method_not_allowed"),
    ("POST", "/v1/status", 405, "method_not_allowed"),
    ("DELETE", "/v1/board", 405, "method_not_allowed"),
    ("POST", "/v1/reload?plan", 400, "bad_query"),
    ("GET", "/v1/status?x=1", 400, "bad_query"),
])
def test_refused(sluice, method, target, status, error):
    s = sluice(CONF)
    assert api(s, target, method, status)["error"] == error
    assert api(s, "/v1/status")["generation"] == 1


def test_allow(sluice):
    s = sluice(CONF)
    with http.Client(s.control) as c:
        assert c.ask("POST", "/v1/status", body=b"")["allow"] == "GET, HEAD"
        assert c.get("/v1/roll")["allow"] == "POST"
        r = c.ask("HEAD", "/v1/version")
        assert r.status == 200 and int(r["content-length"]) > 0
        assert c.get("/v1/version").status == 200


def test_pipelined(sluice):
    s = sluice(CONF)
    with http.Client(s.control) as c:
        c.send(http.request("GET", "/v1/version") * 3 +
               http.request("POST", "/v1/reload", body=b"") +
               http.request("GET", "/v1/status"))
        for _ in range(3):
            assert json.loads(c.response().body)["program"] == "sluiced"
        assert json.loads(c.response("POST").body)["generation"] == 2
        assert json.loads(c.response().body)["generation"] == 2


def test_bad_requests(sluice):
    s = sluice(CONF)
    for bad in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                b"GET /v1/status HTTP/1.1\r\n\r\n",
                b"GET /v1/status HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n"):
        assert http.raw(s.control, bad).startswith(b"HTTP/1.1 400 ")
    long = http.request("GET", "/v1/status", {"X": "y" * 20000})
    assert http.raw(s.control, long).startswith(b"HTTP/1.1 431 ")
    assert api(s, "/v1/status")["ready"] is True


# --- whom it lets in ---

def run_gid(s):
    """The group of the user that the roles run as."""
    with open(f"/proc/{s.roles()['control']}/status",
              encoding="ascii") as f:
        return int([ln for ln in f if ln.startswith("Gid:")][0].split()[1])


def as_user(fn, uid, gid, groups=()):
    """What fn returns (JSON) in a child of another user."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(r)
            os.setgroups(list(groups))
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            os.write(w, json.dumps(fn()).encode())
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r, "rb") as f:
        out = f.read()
    os.waitpid(pid, 0)
    assert out, "the child failed"
    return json.loads(out)


def knock(path):
    """What a stranger sees of the socket."""
    try:
        with socket.socket(socket.AF_UNIX) as c:
            c.settimeout(net.WAIT)
            c.connect(path)
            try:
                c.sendall(http.request("GET", "/v1/version"))
                return c.recv(65536)[:12].decode()
            except (BrokenPipeError, ConnectionResetError):
                return ""
    except PermissionError:
        return "no permission"


@ROOT
def test_strangers(sluice):
    s = sluice(CONF)

    def stranger(groups=()):
        return as_user(lambda: knock(s.control), STRANGER, STRANGER, groups)

    assert stranger() == "no permission"
    assert stranger([run_gid(s)]) == "HTTP/1.1 200"
    # the mode is not all that keeps them out
    os.chmod(s.control, 0o666)
    assert stranger() == ""
    assert stranger([run_gid(s)]) == "HTTP/1.1 200"
    assert knock(s.control) == "HTTP/1.1 200"
    assert api(s, "/v1/status")["sums"]["connections_refused_total"] == 1


# --- the board ---

def test_board(sluice):
    s = sluice(CONF)
    fds, answer = s.board_fds()
    try:
        assert answer["descriptors"] == ["dir", "live"] and len(fds) == 2
        for fd, name in zip(fds, answer["descriptors"]):
            assert f"sluice-{name}" in os.readlink(f"/proc/self/fd/{fd}")
            assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == \
                os.O_RDONLY
            with mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ) as m:
                assert m[:8] == b"SLCSHR01"
    finally:
        for fd in fds:
            os.close(fd)


PROT_RW, MAP_SHARED = 3, 1


def attempts(fds):
    """What of writing to these succeeds; the list should be empty."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
                          ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t,
                              ctypes.c_int]
    failed = ctypes.c_void_p(-1).value
    done = []

    def attempt(name, fn, *args):
        try:
            fn(*args)
            done.append(name)
        except OSError:
            pass

    for fd in fds:
        for how in (os.O_RDWR, os.O_WRONLY):
            attempt("reopen", os.open, f"/proc/self/fd/{fd}", how)
        attempt("write", os.pwrite, fd, b"x", 0)
        attempt("truncate", os.ftruncate, fd, 0)
        attempt("chmod", os.fchmod, fd, 0o777)
        if libc.mmap(None, 4096, PROT_RW, MAP_SHARED, fd, 0) != failed:
            done.append("map")
        page = libc.mmap(None, 4096, 1, MAP_SHARED, fd, 0)
        assert page != failed
        if libc.mprotect(page, 4096, PROT_RW) == 0:
            done.append("mprotect")
    return done


@ROOT
def test_board_cannot_be_written(sluice):
    s = sluice(CONF)
    fds, _ = s.board_fds()
    try:
        assert as_user(lambda: attempts(fds), 65534, 65534) == []
        if cmd.KIND != "cover":         # there the roles are root too
            assert as_user(lambda: attempts(fds), STRANGER,
                           run_gid(s)) == []
    finally:
        for fd in fds:
            os.close(fd)


def test_board_as_a_user(sluice):
    """Maps that were made read-only stay so, whoever has them."""
    s = sluice(CONF)
    fds, _ = s.board_fds()
    try:
        assert not {"map", "mprotect", "write"} & set(attempts(fds))
    finally:
        for fd in fds:
            os.close(fd)


def test_only_board_hands_out(sluice):
    s = sluice(CONF)
    with net.connect(s.control) as c:
        for target in ("/v1/status", "/v1/metrics", "/v1/generations"):
            c.sendall(http.request("GET", target))
            data = b""
            while not data.endswith(b"}\n"):
                piece, fds, _, _ = socket.recv_fds(c, 65536, 16)
                assert piece and fds == []
                data += piece


def test_board_keeps_no_descriptors(sluice):
    """Asked often, left before the answer: nothing stays open."""
    s = sluice(CONF)
    control = s.roles()["control"]

    def count():
        api(s, "/v1/version")
        return len(os.listdir(f"/proc/{control}/fd"))

    before = count()
    for _ in range(20):
        for fd in s.board_fds()[0]:
            os.close(fd)
        with net.connect(s.control) as c:
            c.sendall(http.request("GET", "/v1/board"))
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
    assert count() <= before + 1
    assert s.roles()["control"] == control

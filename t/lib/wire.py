"""What the tests over the wire share: a gateway for a whole file, fail
rows, counters, records of the access log."""
import contextlib
import json
import os
import re
import shutil
import tempfile
import time

from lib import http, net, proc
from lib.peer import Peer

SRC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                   "src")
ROW = re.compile(r'^FAIL\(\w+, "(\w+)", (\d+), ([\w| ]+),', re.M)
JSON = {"Accept": "application/problem+json"}


def _fails():
    with open(os.path.join(SRC, "http", "fail.tbl"), encoding="ascii") as f:
        return {m[1]: (int(m[2]), "Q" in m[3].split(" | "))
                for m in ROW.finditer(f.read())}


FAILS = _fails()        # name: (status, closes)


@contextlib.contextmanager
def gateway(conf, files=None, env=None, may_die=False):
    """A running Sluice with a directory of its own: its `dir`.

    files: name to bytes, below @dir@/www; may_die: processes of it.
    """
    top = tempfile.mkdtemp(prefix="sl-", dir="/tmp")
    os.chmod(top, 0o755)
    for name, data in (files or {}).items():
        put(top, name, data)
    s = proc.Sluice(top)
    try:
        s.start(conf, env=env)
        yield s
        s.stop()
        s.check_broken()
        died = [ln for ln in s.stderr().split("\n") if ": died: " in ln]
        assert may_die or not died, s.stderr()
    finally:
        s.close()
        shutil.rmtree(top, ignore_errors=True)


@contextlib.contextmanager
def gateway_of(make):
    """The same, of what make(its directory) returns: `files`, conf."""
    top = tempfile.mkdtemp(prefix="sl-", dir="/tmp")
    os.chmod(top, 0o755)
    s = proc.Sluice(top)
    try:
        s.files, text = make(top)
        s.start(text)
        yield s
        s.stop()
        s.check_broken()
    finally:
        s.close()
        shutil.rmtree(top, ignore_errors=True)


@contextlib.contextmanager
def with_app(conf, **kw):
    """A gateway before a scripted server, its `app`.

    conf: the configuration, of the server's address; kw: Peer's.
    """
    with Peer(**kw) as app, gateway(conf(app.addr)) as s:
        s.app = app
        yield s
        assert not app.errors


def put(top, name, data):
    path = os.path.join(top, "www", name)
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, 0o644)
    return path


def told(r):
    """(fail row, request id) that a built-in error page tells."""
    kind = r["content-type"].split(";")[0]
    if kind == "application/problem+json":
        page = json.loads(r.body)
        assert page["status"] == r.status
        return page["fail"], page["id"]
    found = re.findall(r"\b(\w+) ([\w.-]{10,})", r.text)
    rows = [f for f in found if f[0] in FAILS]
    assert len(rows) == 1, r.text
    return rows[0]


def is_fail(r, name):
    """Asserts that r is the built-in error of a row; returns the id."""
    status, closes = FAILS[name]
    assert r.status == status, (name, r)
    row, rid = told(r)
    assert row == name and rid == r["x-request-id"], r
    # a stream ends alone
    assert not closes or r.closes or r.version == "2", r
    return rid


def within(seconds, s, target, right, headers=None):
    """The first response that is right; one must come within the time."""
    end = time.monotonic() + seconds
    with http.Client(s.port) as c:
        while True:
            late = time.monotonic() > end
            r = c.ask("GET", target, headers or {})
            if right(r):
                return r
            assert not late, r
            time.sleep(0.01)


def ends(c):
    """Asserts that the connection ends here, with nothing more."""
    assert c.rest() == b""


def goes_on(c, target="/probe", body=b"probe"):
    """Asserts that the connection can be used."""
    r = c.get(target)
    assert r.status == 200 and r.body == body, r


PROBE = """
[route probe]
path = /probe
respond = 200 probe
"""


def sums(s):
    """Counters, summed over the processes."""
    with http.Client(s.control) as c:
        r = c.get("/v1/metrics")
    assert r.status == 200
    # of what is left there may be nothing to tell
    return {m["name"]: m["sum"] for m in json.loads(r.body)["metrics"]
            if "sum" in m}


def wait_metric(s, name, n):
    """Waits until a counter, or gauge, is n over all processes."""
    net.until(f"{name} = {n}", lambda: sums(s)[name] == n)


def fails(s):
    """The counters of fail rows, by name."""
    return {f["name"]: f["requests"]
            for f in s.ctl_json("why")["failures"]}


def record(s, rid=None, target=None):
    """The one access record of a request id, or of a target."""
    key, value = ("id", rid) if rid else ("target", target)
    line, = s.wait_log(f'"{key}": ?{re.escape(json.dumps(value))}[,}}]')
    return json.loads(line)

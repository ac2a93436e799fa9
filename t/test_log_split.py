"""With format common or combined the lines of processes have a file of
their own, and all that holds for the one file holds for both."""
import os
import re
import signal

import pytest

from lib import http, logs, net, site
from lib.disk import limit
from lib.logs import names

pytestmark = [pytest.mark.versions, pytest.mark.turns]

CLF = re.compile(r'127\.0\.0\.1 - - \[[^]]+\] '
                 r'"GET \S+ HTTP/(1\.1|2\.0)" 200 \d+')
LINE = re.compile(r"\S+Z (debug|info|warning|error) [a-z]+( \d+)?: ")
FILL = "x" * 200


def conf(**keys):
    keys.setdefault("format", "combined")
    return site.CONF + "[log]\n" + "".join(f"{k} = {v}\n"
                                           for k, v in keys.items())


def start(sluice, tmp, fault=None, **keys):
    site.write(tmp)
    return sluice(conf(**keys), env={"SLUICE_FAULT": fault} if fault else {})


def send(s, first, count, pad=""):
    """With debug each has a line, too, as large as pad makes it."""
    with http.Client(s.port) as c:
        for n in range(first, first + count):
            c.send(http.request("GET", f"/hello?n={n}&{FILL}",
                                {"X-Pad": pad}))
            assert c.response().status == 200
    return first + count


def lines(s, like):
    return logs.lines(s, lambda name: re.match(like, name))


def numbers(s, like="access"):
    """What was requested; there is nothing else in these files."""
    got = lines(s, like)
    assert all(CLF.match(ln) for ln in got)
    return sorted(int(m[1]) for ln in got
                  if (m := re.search(r"n=(\d+)&", ln)))


def events(s, like="error"):
    got = lines(s, like)
    assert all(LINE.match(ln) for ln in got)
    return got


@pytest.mark.parametrize("form", ["common", "combined"])
def test_two_files(sluice, tmp, form):
    s = start(sluice, tmp, format=form)
    n = send(s, 0, 20)
    s.stop()
    assert names(s) == ["access.log", "error.log"]
    assert numbers(s) == list(range(n))
    assert any("master: ready" in ln for ln in events(s))


def test_names(sluice, tmp):
    """Without {name} the second is told by -error before its suffix."""
    for pattern, want in (
            ("gw.log", ["gw-error.log", "gw.log"]),
            ("gw", ["gw", "gw-error"]),
            ("a.b.{pid}.log", ["a.b.@-error.log", "a.b.@.log"]),
            ("{name}-{pid}", ["access-@", "error-@"])):
        s = start(sluice, tmp, file_pattern=pattern)
        n = send(s, 0, 2)
        s.stop()
        assert names(s) == [w.replace("@", str(s.pid)) for w in want]
        assert numbers(s, want[1 if "-error" in want[0] else 0]
                       .replace("@", r"\d+") + "$") == list(range(n))


def settled(s):
    rotated = [n for n in names(s) if not n.endswith(".log")]
    return all(n.endswith(".gz") for n in rotated) and \
        {n.split(".")[0] for n in rotated} == {"access", "error"}


@pytest.mark.h1
@pytest.mark.parametrize("fault", [
    "", ",rotate_crash:3", ",gzip_crash:1", ",gzip_crash_renamed:1",
    ",logger_crash:20+1", ",logger_crash_before:20+1"])
def test_rotates_while_killed(sluice, tmp, fault):
    """Each request is there once; lines of debug come between them, of
    which so many are written in a second."""
    s = start(sluice, tmp, "log_small" + fault, level="debug",
              rotation_strategy="size")
    n = 0
    for _ in range(4):
        n = send(s, n, 100, FILL * 2)
        if not fault:
            pid = s.kill("logger")
            s.wait_role("logger", other_than=pid)
    net.until("all lines", lambda: len(numbers(s)) >= n)
    net.until("compressed files", lambda: settled(s), 40 * net.SCALE)
    assert numbers(s) == list(range(n))
    got = [m[1] for ln in events(s)
           if (m := re.search(r"/hello\?n=(\d+)&", ln))]
    assert len(got) == len(set(got)) >= 100


def test_retention(sluice, tmp):
    """So many rotated files of each."""
    s = start(sluice, tmp, "log_small", level="debug", max_rotated_files=2,
              rotation_strategy="size", compress_rotated_logs="off")
    n, most = 0, {}
    while min(most.get("access", 0), most.get("error", 0)) < 5:
        for m in re.finditer(r"(\w+)\.log\.(\d+)", " ".join(names(s))):
            most[m[1]] = max(most.get(m[1], 0), int(m[2]))
        n = send(s, n, 50, FILL * 8)
        assert n < 3000
    net.until("two of each", lambda: len(names(s)) == 6)


def test_reopened(sluice, tmp):
    s = start(sluice, tmp)
    n = send(s, 0, 5)
    s.wait_log(f"n={n - 1}&")
    top = os.path.join(s.dir, "log")
    for kind in "access", "error":
        os.rename(f"{top}/{kind}.log", f"{top}/{kind}.mine")
    s.send(signal.SIGUSR1)
    net.until("new files", lambda: len(names(s)) == 4)
    n = send(s, n, 5)
    net.until("all lines", lambda: len(numbers(s)) == n)
    assert numbers(s, r"access\.log$") == list(range(5, n))


@pytest.mark.parametrize("kind", ["access", "error"])
def test_taken_away(sluice, tmp, kind):
    """A file that somebody removes is made again."""
    s = start(sluice, tmp)
    net.until("both", lambda: names(s) == ["access.log", "error.log"])
    os.unlink(f"{s.dir}/log/{kind}.log")
    net.until("both", lambda: names(s) == ["access.log", "error.log"])


def test_form_changes(sluice, tmp):
    """A reload splits the log and joins it again; requests are there once
    each in one of the files."""
    s = start(sluice, tmp, format="json")
    n = send(s, 0, 5)
    s.wait_log(f"n={n - 1}&")
    for form in "common", "json", "combined", "logfmt":
        s.reload(conf(format=form))
        n = send(s, n, 5)
        s.wait_log(f"n={n - 1}&")
        assert names(s) == ["access.log", "error.log", "sluice.log"]
    assert numbers(s) == [*range(5, 10), *range(15, 20)]
    text = "\n".join(lines(s, "sluice"))
    assert [int(v) for v in re.findall(r"\?n=(\d+)&", text)] == [
        *range(5), *range(10, 15), *range(20, 25)]
    assert s.ctl_json("status")["log"]["failing"] is False


def test_full_for_a_while(sluice, tmp):
    # stderr is a file, too
    s = start(sluice, tmp, level="debug", output_mode="file")
    n = send(s, 0, 10)
    s.wait_log(f"n={n - 1}&")
    limit(s, 6000)
    n = send(s, n, 300)
    s.wait_stderr("records wait in memory")
    assert site.is_served(s.port)
    for _ in range(2):
        pid = s.kill("logger")
        s.wait_role("logger", other_than=pid)
        net.until("all lines", lambda: len(numbers(s)) == n)
        limit(s, 6000)
        n = send(s, n, 50)
    limit(s, None)
    net.until("all lines", lambda: len(numbers(s)) == n)
    assert numbers(s) == list(range(n))
    told = [m[1] for ln in events(s)
            if (m := re.search(r"/hello\?n=(\d+)&", ln))]
    assert len(told) == len(set(told))
    net.until("that status", lambda: s.ctl_json("status")["log"] == {
        "failing": False, "waiting_bytes": 0, "dropped": 0})

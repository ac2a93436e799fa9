"""Log files are rotated, compressed and removed; each line is there once."""
import os
import re
import signal

import pytest

from lib import http, net, site
from lib.logs import lines, names

CONF = site.CONF + """
[log]
rotation_strategy = size
"""
SMALL = "log_small"         # a file ends at 16 KiB
FILL = "x" * 200


def start(sluice, tmp, fault=SMALL, **keys):
    site.write(tmp)
    conf = CONF + "".join(f"{k} = {v}\n" for k, v in keys.items())
    conf = re.sub(r"rotation_strategy = size\n(?=[^\[]*rotation_strategy)",
                  "", conf)
    return sluice(conf, env={"SLUICE_FAULT": fault})


def send(s, first, count):
    with http.Client(s.port) as c:
        for n in range(first, first + count):
            c.send(http.request("GET", f"/hello?n={n}&{FILL}"))
            assert c.response().status == 200
    return first + count


def numbers(s):
    return sorted(int(m.group(1)) for ln in lines(s)
                  if (m := re.search(r"/hello\?n=(\d+)&", ln)))


def settled(s):
    """Everything that was rotated is compressed."""
    rotated = [n for n in names(s) if n != "sluice.log"]
    return rotated and all(n.endswith(".gz") for n in rotated)


def test_rotated_by_size(sluice, tmp):
    s = start(sluice, tmp)
    n = send(s, 0, 400)
    net.until("compressed files", lambda: settled(s))
    net.until("all lines", lambda: len(numbers(s)) >= n)
    assert numbers(s) == list(range(n))
    assert len(names(s)) > 3
    s.stop()
    assert numbers(s) == list(range(n))


def test_one_megabyte(sluice, tmp):
    """Without fault points, and the files are as large as is told."""
    s = start(sluice, tmp, "none", file_size_mb=1,
              compress_rotated_logs="off")
    n = 0
    while not os.path.exists(os.path.join(s.dir, "log/sluice.log.2")):
        n = send(s, n, 300)
        assert n < 20000
    s.stop()
    assert numbers(s) == list(range(n))
    for name in ("sluice.log.1", "sluice.log.2"):
        size = os.stat(os.path.join(s.dir, "log", name)).st_size
        assert 1 << 20 <= size < (1 << 20) + (256 << 10)


def test_rotates_while_killed(sluice, tmp):
    s = start(sluice, tmp)
    n = 0
    for _ in range(8):
        n = send(s, n, 120)
        pid = s.kill("logger")
        s.wait_role("logger", other_than=pid)
    net.until("all lines", lambda: len(numbers(s)) >= n)
    assert numbers(s) == list(range(n))
    net.until("compressed files", lambda: settled(s))
    assert numbers(s) == list(range(n))


@pytest.mark.parametrize("fault", [
    "rotate_crash:2", "gzip_crash:1", "gzip_crash_renamed:1",
    "logger_crash:10+1", "logger_crash_before:10+1"])
def test_killed_at(sluice, tmp, fault):
    s = start(sluice, tmp, f"{SMALL},{fault}")
    n = send(s, 0, 400)
    net.until("all lines", lambda: len(numbers(s)) >= n)
    assert numbers(s) == list(range(n))
    net.until("compressed files", lambda: settled(s), 40 * net.SCALE)
    assert numbers(s) == list(range(n))


@pytest.mark.parametrize("strategy", ["time", "both"])
def test_midnight(sluice, tmp, strategy):
    s = start(sluice, tmp, "log_midnight:1", rotation_strategy=strategy,
              compress_rotated_logs="off")
    n = send(s, 0, 5)
    net.until("a rotated file", lambda: "sluice.log.1" in names(s))
    n = send(s, n, 5)
    s.wait_log(f"n={n - 1}&")
    assert names(s) == ["sluice.log", "sluice.log.1"]
    assert numbers(s) == list(range(n))


def test_midnight_changes_the_name(sluice, tmp):
    s = start(sluice, tmp, "log_midnight:1", rotation_strategy="time",
              file_pattern="{name}-{date}.log",
              compress_rotated_logs="off")
    n = send(s, 0, 5)
    net.until("two files", lambda: len(names(s)) == 2)
    n = send(s, n, 5)
    s.wait_log(f"n={n - 1}&")
    assert all(re.fullmatch(r"sluice-\d{4}-\d\d-\d\d\.log", name)
               for name in names(s))
    assert numbers(s) == list(range(n))


def test_as_many_as_wanted(sluice, tmp):
    top = os.path.join(tmp, "log")
    os.makedirs(top, mode=0o777)
    os.chmod(top, 0o777)
    foreign = ["sluice.log.bak", "sluice.log.0", "other.log.1"]
    for name in foreign + ["sluice.log.1"]:
        path = os.path.join(top, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write("{}\n")
        os.utime(path, (1, 1))
    s = start(sluice, tmp, max_rotated_files=3, compress_rotated_logs="off")
    n = 0
    while not any(re.fullmatch(r"sluice\.log\.(9|\d\d)", x)
                  for x in names(s)):
        n = send(s, n, 50)
        assert n < 5000
    net.until("what is too many gone",
          lambda: len(names(s)) == 4 + len(foreign))
    assert set(foreign) < set(names(s))
    assert "sluice.log.1" not in names(s)


def test_none_touches_nothing(sluice, tmp):
    s = start(sluice, tmp, rotation_strategy="none")
    n = send(s, 0, 200)
    s.wait_log(f"n={n - 1}&")
    assert names(s) == ["sluice.log"]


def test_reopened_and_renamed(sluice, tmp):
    """USR1 works as ever; a new pattern is obeyed by a reload."""
    s = start(sluice, tmp, "none")
    n = send(s, 0, 5)
    s.wait_log(f"n={n - 1}&")
    top = os.path.join(s.dir, "log")
    os.rename(f"{top}/sluice.log", f"{top}/mine")
    s.send(signal.SIGUSR1)
    net.until("a new file", lambda: "sluice.log" in names(s))
    n = send(s, n, 5)
    s.wait_log(f"n={n - 1}&")
    s.reload(CONF + "file_pattern = {hostname}-{pid}.json\n")
    n = send(s, n, 5)
    s.wait_log(f"n={n - 1}&")
    assert f"{os.uname().nodename}-{s.pid}.json" in names(s)
    assert numbers(s) == list(range(n))

"""Every diagnostic, word for word: the cases of t/conf."""
import json
import os
import pty
import pwd
import re
import subprocess

import pytest

from lib import conf, golden
from lib.cmd import BIN

TOP = os.path.dirname(os.path.abspath(__file__))
CASES = golden.cases(os.path.join(TOP, "conf"))
WRITE = os.environ.get("SLUICE_GOLDEN") == "write"
_new = {}


@pytest.fixture
def stage(tmp):
    s = golden.Stage(tmp)
    yield s
    s.close()


@pytest.fixture(scope="module", autouse=True)
def written():
    """With SLUICE_GOLDEN=write: the files as they should be now."""
    yield
    for path, texts in _new.items():
        with open(path, encoding="utf-8") as f:
            all_ = f.read()
        for old, new in texts:
            all_ = all_.replace(old, new)
        with open(path, "w", encoding="utf-8") as f:
            f.write(all_)


def misses(case):
    """What a case needs and this machine has not, or None."""
    if "as root" in case.name and os.geteuid() != 0:
        return "not root"
    if "no file at all" in case.name and os.path.exists(golden.built_in()):
        return "there is a sluice.conf"
    if "the user sluice that is not there" in case.name:
        try:
            pwd.getpwnam("sluice")
            return "there is a user sluice"
        except KeyError:
            pass
    return None


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_says(case, stage):
    if why := misses(case):
        pytest.skip(why)
    code, err, out = stage.play(case)
    if WRITE:
        _new.setdefault(case.path, []).append(
            (f"## {case.name}\n{case.text}",
             f"## {case.name}\n{case.rewritten(code, err, out)}"))
        return
    assert err == case.block("stderr")
    assert code == case.code
    assert out == case.block("stdout")


def on_terminal(directory, **env):
    """What -t writes to standard error when that is a terminal."""
    ours, theirs = pty.openpty()
    full = {k: v for k, v in os.environ.items()
            if k != "NO_COLOR" and not k.startswith("SLUICE_")}
    full.update(env)
    with subprocess.Popen([f"{BIN}/sluiced", "-t", "-c", "sluice.conf"],
                          cwd=directory, env=full, stderr=theirs,
                          stdin=subprocess.DEVNULL) as p:
        os.close(theirs)
        out = b""
        try:
            while chunk := os.read(ours, 4096):
                out += chunk
        except OSError:         # how a terminal says that all is over
            pass
        os.close(ours)
        assert p.wait() == 1
    return out.decode().replace("\r\n", "\n")


def test_colours_on_a_terminal_unless_told_otherwise(tmp):
    conf.write(tmp, conf.OK + "colour = blue\n")
    plain = conf.test(tmp).stderr
    coloured = on_terminal(tmp, TERM="xterm")
    assert "\033[1;31merror[E0102]\033[0m: unknown key" in coloured
    assert re.sub(r"\033\[[0-9;]*m", "", coloured) == plain
    assert on_terminal(tmp, TERM="xterm", NO_COLOR="1") == plain
    assert on_terminal(tmp, TERM="dumb") == plain
    assert "\033" not in plain


def table():
    with open(os.path.join(TOP, "../src/conf/diag.tbl"),
              encoding="utf-8") as f:
        return re.findall(r'^DIAG\("(\w+)", (\w+),', f.read(), re.M)


def shown(case):
    """Ids in what a case says."""
    found = set(re.findall(r"^\S.*?\b(?:error|warning|notice)\[(\w+)\]: ",
                           case.block("stderr"), re.M))
    found |= set(re.findall(r"^(?:error|warning|notice)\[(\w+)\]: ",
                            case.block("stderr"), re.M))
    if case.block("stdout").startswith('{"v":1'):
        found |= {d["id"] for d in
                  json.loads(case.block("stdout"))["diagnostics"]}
    return found


@pytest.mark.parametrize("code,name", table())
def test_every_id_has_a_case(code, name):
    assert any(code in shown(c) for c in CASES), \
        f"{code} {name}: no case in t/conf"


def test_ids_are_unique_and_in_order():
    codes = [code for code, _ in table()]
    assert len(codes) == len(set(codes))
    for kind in "EWN":
        own = [c for c in codes if c[0] == kind]
        assert own == sorted(own)


def test_every_id_shown_is_in_the_table():
    assert set().union(*map(shown, CASES)) <= {c for c, _ in table()}


def test_summary_counts_what_is_shown():
    for case in CASES:
        err = case.block("stderr")
        last = err.splitlines()[-1:] or [""]
        for kind in ("error", "warning", "notice"):
            n = len(re.findall(rf"^(?:\S.*: )?{kind}\[", err, re.M))
            m = re.search(rf"\b(\d+) {kind}s?\b", last[0])
            if "more not shown" not in err and m:
                assert int(m.group(1)) == n, case

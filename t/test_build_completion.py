"""Completion in bash, and that zsh takes its file."""
import os
import subprocess

from lib.cmd import BIN, run, tool

FILE = f"{BIN}/complete.bash"
CONF = """[listener web]
bind = 127.0.0.1:8080
[upstream users]
server = 127.0.0.1:1
[route all]
path = /*
upstream = users
"""
TRY = """
compopt() { :; }
. "$FILE"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
f=$(complete -p "${1##*/}") && f=${f#*-F } && ${f%% *}
printf '%s\\n' "${COMPREPLY[@]}"
"""


def words(*args):
    done = subprocess.run(["bash", "-uc", TRY, "bash", *args],
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "FILE": FILE})
    assert done.stderr == "" and done.returncode == 0, done
    return sorted(done.stdout.split())


def ctl(*args):
    return words("sluicectl", *args)


def daemon(*args):
    return words(f"{BIN}/sluiced", *args)


def test_options():
    told = {w for ln in run("sluiced", "--dump-words").stdout.splitlines()
            if ln.startswith("option") for w in ln.split("\t")[1:3] if w}
    assert set(daemon("-")) == told and "--config" in told
    assert daemon("--dump-s") == ["--dump-schema", "--dump-set"]
    assert daemon("-s", "re") == ["reload", "reopen"]
    assert daemon("--port", "") == []


def test_set(tmp):
    path = f"{tmp}/s.conf"
    with open(path, "w", encoding="utf-8") as f:
        f.write(CONF)
    assert "sluice." in daemon("--set", "")
    assert daemon("--set", "sluice.wor") == ["sluice.workers="]
    assert daemon("--set", "defaults.up") == ["defaults.upstream."]
    assert daemon("--set", "defaults.upstream.bal") == \
        ["defaults.upstream.balance="]
    assert daemon("-c", path, "--set", "upstream.") == ["upstream.users."]
    assert daemon("-c", path, "--set", "upstream.users.timeout.f") == \
        ["upstream.users.timeout.first_byte="]
    assert daemon("--set", "log.level", "=", "w") == ["warning"]
    assert daemon("--set", "upstream.users.balance", "=", "rou") == \
        ["round_robin"]
    assert daemon("--set", "log.access", "=", "") == ["off", "on"]


def test_all_keys():
    """Every key of the tables is offered."""
    for line in run("sluiced", "--dump-words").stdout.splitlines():
        kind, *rest = line.split("\t")
        if kind != "key":
            continue
        type_, named, key = rest[:3]
        word = f"{type_}.{'x.' if named == 'named' else ''}{key}"
        want = word[:-1] if word.endswith("*") else word + "="
        assert want in daemon("--set", want[:-1]), word


def test_sluicectl():
    told = {ln.split("\t")[1] for ln in run(
        "sluicectl", "--dump-words").stdout.splitlines()
        if ln.startswith("command")}
    assert {w.split()[0] for w in told} <= set(ctl(""))
    assert ctl("rel") == ["reload"]
    assert ctl("reload", "") == ["--plan"]
    assert ctl("-o", "") == ["json", "text"]
    assert ctl("-o", "json", "explain", "--") == ["--config", "--from"]
    assert ctl("explain", "-X", "P") == ["PATCH", "POST", "PUT"]
    assert ctl("server", "d") == ["down", "drain"]
    assert ctl("status", "") == []


def test_files(tmp):
    open(f"{tmp}/site.conf", "w", encoding="utf-8").close()
    assert daemon("-c", f"{tmp}/si") == [f"{tmp}/site.conf"]
    assert daemon("--config", "=", f"{tmp}/si") == [f"{tmp}/site.conf"]
    assert ctl("explain", "--config", f"{tmp}/s") == [f"{tmp}/site.conf"]


def test_zsh_takes_it():
    done = subprocess.run([tool("zsh"), "-n", f"{BIN}/complete.zsh"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""

"""make install and uninstall with DESTDIR; what make help tells."""
import os
import re
import shutil
import subprocess

import pytest

from lib.cmd import KIND

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PREFIX = "/opt/sl"
FILES = {
    "sbin/sluiced", "sbin/sluicectl",
    "etc/sluice/sluice.conf", "etc/sluice/sluice.conf.simple",
    "etc/sluice/sluice.conf.full", "etc/sluice/sluice.conf.production",
    "share/man/man5/sluice.conf.5", "share/man/man8/sluiced.8",
    "share/man/man8/sluicectl.8",
    "lib/systemd/system/sluice.service", "lib/sysusers.d/sluice.conf",
    "share/doc/sluice/logrotate.conf",
}


def make(*args):
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR")}
    done = subprocess.run(["make", "-s", *args], cwd=ROOT, env=env,
                          capture_output=True, text=True, check=False,
                          timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(tmp, target="do-install"):
    return make(target, f"V={KIND}", f"DESTDIR={tmp}", f"PREFIX={PREFIX}")


def files(tmp):
    """Regular files below the prefix; none may lie elsewhere."""
    out = set()
    for top, _, names in os.walk(tmp):
        for name in names:
            path = os.path.relpath(os.path.join(top, name), tmp + PREFIX)
            assert not path.startswith(".."), path
            out.add(path)
    return out


def read(tmp, name):
    with open(f"{tmp}{PREFIX}/{name}", encoding="utf-8") as f:
        return f.read()


def test_installs_all_with_modes(tmp):
    install(tmp)
    assert files(tmp) == FILES
    for name in FILES:
        mode = os.stat(f"{tmp}{PREFIX}/{name}").st_mode & 0o7777
        assert mode == (0o755 if name.startswith("sbin/") else 0o644), name


def test_words_are_filled_in(tmp):
    install(tmp)
    unit = read(tmp, "lib/systemd/system/sluice.service")
    assert f"ExecStart={PREFIX}/sbin/sluiced -f\n" in unit
    for name in FILES - {"sbin/sluiced", "sbin/sluicectl"}:
        assert not re.search(r"@[A-Z]+@", read(tmp, name)), name


def test_keeps_a_sluice_conf_that_exists(tmp):
    install(tmp)
    mine = f"{tmp}{PREFIX}/etc/sluice/sluice.conf"
    with open(mine, "w", encoding="utf-8") as f:
        f.write("# mine\n")
    install(tmp)
    assert read(tmp, "etc/sluice/sluice.conf") == "# mine\n"
    with open(f"{ROOT}/etc/sluice.conf", encoding="utf-8") as f:
        assert read(tmp, "etc/sluice/sluice.conf.sample") == f.read()


def test_uninstall_leaves_the_operators_file(tmp):
    install(tmp)
    install(tmp)
    install(tmp, "uninstall")
    assert files(tmp) == {"etc/sluice/sluice.conf"}
    os.unlink(f"{tmp}{PREFIX}/etc/sluice/sluice.conf")
    install(tmp, "uninstall")
    assert not os.path.exists(f"{tmp}{PREFIX}/etc/sluice")
    assert not os.path.exists(f"{tmp}{PREFIX}/share/doc/sluice")


def test_installed_program_runs(tmp):
    install(tmp)
    done = subprocess.run([f"{tmp}{PREFIX}/sbin/sluiced", "-V"],
                          capture_output=True, text=True, check=True)
    assert re.fullmatch(r"sluiced \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.skipif(not shutil.which("systemd-analyze"),
                    reason="no systemd-analyze")
def test_unit_is_what_systemd_takes(tmp):
    install(tmp)
    unit = read(tmp, "lib/systemd/system/sluice.service")
    path = f"{tmp}/sluice.service"
    with open(path, "w", encoding="utf-8") as f:
        f.write(unit.replace(f"={PREFIX}", f"={tmp}{PREFIX}"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", path],
                          capture_output=True, text=True, check=False)
    ours = [ln for ln in done.stderr.splitlines() if "sluice" in ln]
    assert not ours and done.returncode == 0, done.stderr


def test_help_names_every_target():
    said = make("help")
    with open(f"{ROOT}/Makefile", encoding="utf-8") as f:
        phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)", f.read(), re.M)
    inner = re.compile(r"do-|all-|configured$|progs$|help$")
    targets = [t for t in phony.group(1).replace("\\", "").split()
               if not inner.match(t)]
    assert len(targets) > 10
    missing = [t for t in targets if not re.search(rf"\b{t}\b", said)]
    assert not missing, said

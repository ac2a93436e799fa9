"""make install and uninstall with DESTDIR; what make help tells."""
import os
import re
import subprocess

from lib import http
from lib.cmd import KIND, tool
from lib.proc import Sluice

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PREFIX = "/opt/sl"
CONFS = ["sluice.conf", "sluice.conf.full", "sluice.conf.production",
         "sluice.conf.simple"]
FILES = {
    "sbin/sluiced", "sbin/sluicectl",
    *(f"etc/sluice/{name}" for name in CONFS),
    *(f"share/doc/sluice/examples/{name}" for name in CONFS),
    "share/man/man5/sluice.conf.5", "share/man/man8/sluiced.8",
    "share/man/man8/sluicectl.8",
    "lib/systemd/system/sluice.service", "lib/sysusers.d/sluice.conf",
    "share/doc/sluice/logrotate.conf", "share/doc/sluice/README",
    "share/doc/sluice/cookbook/from-nginx-static-site.md",
    "share/doc/sluice/cookbook/from-nginx-tls.md",
    "share/doc/sluice/cookbook/proxies.md",
    "share/doc/sluice/cookbook/grpc.md",
    "share/bash-completion/completions/sluiced",
    "share/bash-completion/completions/sluicectl",
    "share/zsh/site-functions/_sluice",
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
    assert f"ExecReload={PREFIX}/sbin/sluicectl reload\n" in unit
    for name in FILES - {"sbin/sluiced", "sbin/sluicectl"}:
        assert not re.search(r"@[A-Z]+@", read(tmp, name)), name


def test_texts_name_the_places(tmp):
    """Manuals and README say where things lie after this install."""
    install(tmp)
    with open(f"{ROOT}/config.h", encoding="utf-8") as f:
        state = re.search(r'define SL_STATEDIR "(.*)"', f.read()).group(1)
    for name in ("share/man/man5/sluice.conf.5", "share/man/man8/sluiced.8",
                 "share/doc/sluice/README"):
        text = read(tmp, name)
        assert f"{PREFIX}/etc/sluice/sluice.conf" in text, name
        assert state in text, name
        assert "/usr/local" not in text.replace(state, ""), name


def test_words_of_completion(tmp):
    install(tmp)
    bash = read(tmp, "share/bash-completion/completions/sluicectl")
    assert "complete -F _sluicectl sluicectl\n" in bash
    assert "complete -F _sluiced sluiced\n" in bash
    assert read(tmp, "share/zsh/site-functions/_sluice").startswith(
        "#compdef sluiced sluicectl\n")


def change(tmp, name, text):
    with open(f"{tmp}{PREFIX}/{name}", "w", encoding="utf-8") as f:
        f.write(text)


def test_keeps_what_was_changed(tmp):
    install(tmp)
    for name in CONFS:
        change(tmp, f"etc/sluice/{name}", f"# mine: {name}\n")
    install(tmp)
    for name in CONFS:
        assert read(tmp, f"etc/sluice/{name}") == f"# mine: {name}\n"
        with open(f"{ROOT}/etc/{name}", encoding="utf-8") as f:
            assert read(tmp, f"etc/sluice/{name}.new") == f.read()
    # the operator takes the new one over
    os.rename(f"{tmp}{PREFIX}/etc/sluice/sluice.conf.new",
              f"{tmp}{PREFIX}/etc/sluice/sluice.conf")
    install(tmp)
    assert "etc/sluice/sluice.conf.new" not in files(tmp)
    assert "etc/sluice/sluice.conf.full.new" in files(tmp)


def test_renews_what_was_not_changed(tmp):
    """A sample of an older version that nobody touched."""
    install(tmp)
    for place in "etc/sluice", "share/doc/sluice/examples":
        change(tmp, f"{place}/sluice.conf.simple", "# older\n")
    install(tmp)
    assert files(tmp) == FILES
    assert "# older" not in read(tmp, "etc/sluice/sluice.conf.simple")


def test_uninstall_leaves_the_operators_file(tmp):
    install(tmp)
    change(tmp, "etc/sluice/sluice.conf", "# mine\n")
    change(tmp, "etc/sluice/own.conf", "# mine too\n")
    install(tmp)
    assert "etc/sluice/sluice.conf.new" in files(tmp)
    install(tmp, "uninstall")
    assert files(tmp) == {"etc/sluice/sluice.conf", "etc/sluice/own.conf"}


def test_uninstall_leaves_nothing(tmp):
    install(tmp)
    install(tmp)
    install(tmp, "uninstall")
    assert files(tmp) == set()
    left = [top for top, _, _ in os.walk(tmp) if top.endswith("/sluice")]
    assert not left


def test_starts_with_the_sample(tmp):
    """As it was installed; only the places and the port are others'."""
    install(tmp)
    s = Sluice(tmp)
    s.program = f"{tmp}{PREFIX}/sbin/sluiced"
    s.conf_path = f"{tmp}{PREFIX}/etc/sluice/sluice.conf"
    before = read(tmp, "etc/sluice/sluice.conf")
    try:
        s.start(args=["--port", str(s.port), "--set",
                      f"sluice.run_dir={tmp}/run", "--set",
                      f"sluice.state_dir={tmp}/state"])
        assert "sluice runs" in http.get(s.port).text
        done = subprocess.run(
            [f"{tmp}{PREFIX}/sbin/sluicectl", "-s", s.control, "status"],
            capture_output=True, text=True, check=True)
        assert done.stdout.startswith("serving: generation 1")
        assert s.stop() == 0
    finally:
        s.close()
    assert read(tmp, "etc/sluice/sluice.conf") == before


def test_installed_program_runs(tmp):
    install(tmp)
    done = subprocess.run([f"{tmp}{PREFIX}/sbin/sluiced", "-V"],
                          capture_output=True, text=True, check=True)
    assert re.fullmatch(r"sluiced \d+\.\d+\.\d+\n", done.stdout)


def test_unit_is_what_systemd_takes(tmp):
    install(tmp)
    unit = read(tmp, "lib/systemd/system/sluice.service")
    path = f"{tmp}/sluice.service"
    with open(path, "w", encoding="utf-8") as f:
        f.write(unit.replace(f"={PREFIX}", f"={tmp}{PREFIX}"))
    done = subprocess.run([tool("systemd-analyze"), "verify", "--man=no",
                           path],
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

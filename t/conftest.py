"""Fixtures of all tests; the tools are in t/lib.

sluice  makes a Sluice (t/lib/proc.py): sluice(conf) starts the real
        sluiced with that config and waits until it is ready
peer    makes a scripted upstream: peer([step ...]) (t/lib/peer.py)
script  makes a scripted name server: script({(NAME, A): [...]}) (t/lib/dns.py)
tmp     a directory of this test, with a path short enough for sockets

A file with pytestmark = pytest.mark.versions holds on every HTTP version:
its tests run on each, with http.Client and http.get speaking it, but for
those marked h1.  What takes long is marked turns, too: each of its cases
runs on h1 and on one of the others, which its name decides.
"""
import contextlib
import os
import shutil
import sys
import tempfile
import zlib

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import http, proc, versions            # noqa: E402
from lib.dns import Scripted                    # noqa: E402
from lib.peer import Peer                       # noqa: E402


@pytest.fixture
def tmp():
    # a unix socket's path has 107 bytes; pytest's own is too long
    path = tempfile.mkdtemp(prefix="sl-", dir="/tmp")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def sluice(tmp):
    made = []

    def make(conf=None, start=True, **kw):
        where = tmp if not made else os.path.join(tmp, str(len(made)))
        os.makedirs(where, exist_ok=True)
        s = proc.Sluice(where)
        made.append(s)
        if conf is not None:
            s.write(conf)
        if start:
            s.start(**kw)
        return s

    yield make
    wrong = []
    for s in made:
        try:
            s.stop()
            s.check_broken()
        except AssertionError as e:
            wrong.append(str(e))
        finally:
            s.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def peer():
    made = []

    def make(*args, **kw):
        made.append(Peer(*args, **kw))
        return made[-1]

    yield make
    for p in made:
        p.stop()
    assert not [e for p in made for e in p.errors]


def pytest_configure(config):
    for line in ("versions: on every HTTP version (lib/versions.py)",
                 "turns: of those, each case on h1 and one, by turns",
                 "h1: of HTTP/1.1 alone"):
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc):
    marks = metafunc.definition
    if marks.get_closest_marker("versions"):
        metafunc.parametrize(
            "version", versions.ALL, indirect=True)


def pytest_collection_modifyitems(config, items):
    """Keeps h1 and one version more of each case of what goes by turns.

    The case's name decides, so that a failure is found again."""
    def stays(item):
        if not item.get_closest_marker("versions"):
            return True
        got = item.callspec.params["version"]
        if item.get_closest_marker("h1") or got == "h1":
            return got == "h1"
        if not item.get_closest_marker("turns"):
            return True
        name = "-".join([item.originalname] + [
            p for p in item.callspec.id.split("-") if p != got])
        return got == versions.ALL[1 + zlib.crc32(name.encode()) % 2]
    left = [i for i in items if not stays(i)]
    items[:] = [i for i in items if stays(i)]
    config.hook.pytest_deselected(items=left)


@pytest.fixture(autouse=True)
def version(request, monkeypatch):
    """The version that this test's clients speak to a gateway."""
    what = getattr(request, "param", "h1")
    if what != "h1":
        monkeypatch.setattr(http, "Client", versions.client(what))
    return what


@pytest.fixture
def scheme(version):
    """By which these clients come."""
    return "https" if version == "h2" else "http"


@pytest.fixture(scope="module", autouse=True)
def _speaks(request):
    """Listeners of such a file speak all that its clients may."""
    marks = getattr(request.module, "pytestmark", [])
    marks = marks if isinstance(marks, list) else [marks]
    if any(m.name == "versions" for m in marks):
        proc.TWINS = versions.twins
    yield
    proc.TWINS = None


def pytest_runtest_logreport(report):
    if report.failed and report.when != "call":
        _count["failed"] += 1
    elif report.when == "call" and report.outcome in _count:
        _count[report.outcome] += 1


def pytest_collectreport(report):
    if report.failed:
        _count["failed"] += 1


def pytest_terminal_summary(terminalreporter, config):
    """The line that .ci/run adds up."""
    kind = "soak" if any("soak" in str(a) for a in config.args) else "itest"
    if sum(_count.values()):
        terminalreporter.write_line(
            f"{kind}: {_count['passed']} passed, {_count['failed']} failed")


_count = {"passed": 0, "failed": 0}


@pytest.fixture
def script():
    with contextlib.ExitStack() as stack:
        yield lambda *a, **kw: stack.enter_context(Scripted(*a, **kw))

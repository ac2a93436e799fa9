"""Sessions of TLS: each worker resumes what any has made, whatever happens
in between, and no policy what another one has made."""
import itertools
import os

import pytest

from lib import net, tls, wire
from lib.certs import put
from lib.tls_hosts import TERMS, V12, V13, Files, conf, session
from test_process_roll import upgrade

SAID = "sealed by a new key"


@pytest.fixture
def files(tmp):
    return Files(tmp)


@pytest.fixture(params=[V12, V13], ids=["1.2", "1.3"])
def version(request):
    return request.param


def all_workers(s, ctx, old, name="plain.example"):
    """Resumes until each worker has; every single time."""
    ids, seen = set(), set()
    for _ in range(20):
        for _ in range(10):
            with tls.Client(s.port, ctx, name, session=old) as c:
                r = c.get("/", headers={"Host": name})
                assert r.status == 200
                ids.add(r["x-request-id"])
                assert c.sock.session_reused
        seen = {wire.record(s, i)["worker"] for i in ids}
        if len(seen) == len(s.workers()):
            return
    raise AssertionError(f"only worker {seen}")


def replaced(s):
    before = set(s.workers())
    assert s.ctl("roll").returncode == 0
    for pid in before:
        net.wait_pid_gone(pid)


def test_lives_on(sluice, files, version):
    s = sluice(conf("workers = 3"))
    ctx = files.context("good", version)
    made = {n: session(s, ctx, f"{n}.example")[1] for n in ("plain", "crl")}
    assert all(made.values())
    for change in (lambda: None, s.reload, lambda: replaced(s),
                   lambda: upgrade(s), s.reload):
        change()
        for name, old in made.items():
            all_workers(s, ctx, old, f"{name}.example")


def test_identity_is_kept(sluice, files, version):
    s = sluice(conf(more="""
[route who]
path = /
host = ask.example
client_cert = required
client_san = alice.*.example
respond = 200 ask
"""))
    ctx = files.context("good", version)
    r, old, was = session(s, ctx, "ask.example")
    assert (r.status, was) == (200, False)
    r, _, was = session(s, ctx, "ask.example", old)
    assert (r.status, was) == (200, True)


def test_no_policy_resumes_another(sluice, files, version):
    s = sluice(conf())
    ctx = files.context("good", version)
    names = [n for n in TERMS if n not in
             ("other", "new" if version == V12 else "old")]
    made = {n: session(s, ctx, f"{n}.example")[1] for n in names}
    pairs = list(itertools.permutations(names, 2))
    assert len(pairs) >= 8
    for reload in (False, True):
        if reload:
            s.reload(conf(more="[route more]\npath = /more\n"
                          "respond = 200 more"))
        for a, b in pairs:
            r, _, was = session(s, ctx, f"{b}.example", made[a])
            assert (r.status, r.body, was) == (200, b.encode(), False), \
                (a, b)
        for n in names:
            assert session(s, ctx, f"{n}.example", made[n])[2], n


def test_one_host_with_other_terms(sluice, files, version):
    """The same name, so that nothing but the policy tells them apart."""
    names = [n for n in TERMS if n not in
             ("other", "new" if version == V12 else "old")]
    s = sluice(conf(terms={"plain": ""}))
    ctx = files.context("good", version)
    made = {}
    for n in names * 2:
        s.reload(conf(terms={"plain": TERMS[n]}))
        for of, old in made.items():
            assert session(s, ctx, "plain.example", old)[2] == (of == n)
        made[n] = session(s, ctx, "plain.example")[1]
    assert len(made) == 8


def test_other_terms_under_the_same_name(sluice, files, version):
    """What decides who may come in has changed: all are asked again."""
    s = sluice(conf())
    ctx = files.context("good", version)
    made = {n: session(s, ctx, f"{n}.example")[1] for n in ("ask", "crl")}
    files.revoke(files.clients["revoked"], files.clients["second"])
    s.reload(conf(terms={**TERMS, "ask": TERMS["ask"] +
                         "\ntls.client_depth = 1"}))
    for name, old in made.items():
        assert not session(s, ctx, f"{name}.example", old)[2]
    # the same files again: the same policies as before
    files.revoke(files.clients["revoked"])
    s.reload(conf())
    assert session(s, ctx, "ask.example", made["ask"])[2]


def test_name_of_another_host(sluice, files, version):
    """In TLS 1.2 a session is of one name, in 1.3 of a policy."""
    s = sluice(conf(terms={"plain": ""}))
    ctx = files.context(version=version)
    old = session(s, ctx, "old.example")[1]
    assert session(s, ctx, "old.example", old)[2]
    assert session(s, ctx, "new.example", old)[2] == (version == V13)


def rotations(s, n):
    s.wait_log(SAID, n)


def test_rotation(sluice, files, version):
    s = sluice(conf("tls.ticket_rotate = 2s"))
    ctx = files.context(version=version)
    rotations(s, 1)
    first = session(s, ctx, "plain.example")[1]
    rotations(s, 2)
    # an older key opens, and the ticket is made anew with the newest
    with tls.Client(s.port, ctx, "plain.example", session=first) as c:
        c.get("/", headers={"Host": "plain.example"})
        assert c.sock.session_reused
        second = c.sock.session
    assert second.id != first.id or version == V12
    all_workers(s, ctx, second)
    rotations(s, 4)
    assert not session(s, ctx, "plain.example", first)[2]


def test_renewal(sluice, files):
    """TLS 1.2: a new ticket only when the key is not the newest."""
    s = sluice(conf())

    def again(*args):
        out = tls.s_client(s.port, files.path("root.crt"), "-tls1_2",
                           "-servername", "plain.example", "-msg", *args)
        return ("Reused, TLSv1.2" in out, "NewSessionTicket" in out)
    old = ("-sess_in", files.path("sess"))
    assert again("-sess_out", files.path("sess")) == (False, True)
    assert again(*old) == (True, False)
    s.reload(conf("tls.ticket_rotate = 1s"))
    rotations(s, 1)
    assert again(*old) == (True, True)


def test_key_files(sluice, files, version):
    """Machines with the same files know each other's sessions."""
    for name in ("one", "two", "three"):
        os.chmod(put(files.top, name, os.urandom(80)), 0o600)
    os.chmod(put(files.top, "two", os.urandom(48)), 0o600)

    def keys(*names):
        return conf("".join(f"tls.ticket_key_file = {files.path(n)}\n"
                            for n in names), terms={"plain": ""})
    a = sluice(keys("one"))
    files_b = os.path.join(files.top, "1")
    os.makedirs(files_b)
    files.leaf.write(files_b, "a")
    b = sluice(keys("two", "one"))
    ctx = files.context(version=version)
    old = session(a, ctx, "plain.example")[1]
    assert session(b, ctx, "plain.example", old)[2]
    new = session(b, ctx, "plain.example")[1]
    assert not session(a, ctx, "plain.example", new)[2]
    a.reload(keys("one", "two"))
    assert session(a, ctx, "plain.example", new)[2]
    b.reload(keys("three"))
    assert not session(b, ctx, "plain.example", old)[2]
    # and back to those that rotate
    a.reload(keys())
    assert not session(a, ctx, "plain.example", old)[2]
    kept = session(a, ctx, "plain.example")[1]
    all_workers(a, ctx, kept)


def test_key_files_come_and_go(sluice, files, version):
    """A host that nobody asked for meanwhile has the keys of now, too."""
    for name in ("one", "two"):
        os.chmod(put(files.top, name, os.urandom(80)), 0o600)

    def keys(*names):
        return conf("workers = 1\n" + "".join(
            f"tls.ticket_key_file = {files.path(n)}\n" for n in names),
                    terms={n: TERMS[n] for n in ("plain", "group")})
    s = sluice(keys("one"))
    ctx = files.context(version=version)
    for _ in range(2):
        s.reload(keys("one"))
    old = session(s, ctx, "plain.example")[1]
    s.reload(keys())
    session(s, ctx, "group.example")
    # whatever number they have
    for _ in range(2):
        s.reload(keys("two"))
    assert not session(s, ctx, "plain.example", old)[2]

"""Certificates that clients get: by name, by kind, and behind reloads."""
import hashlib
import os
import re
import ssl
import subprocess

import pytest

from lib import memory, tls
from lib.certs import Cert, put
from lib.cmd import tool

CONF = """
[sluice]
tls.unknown = refuse
user = nobody
[listener web]
bind = 127.0.0.1:@port@
tls = on
{more}
[route all]
path = /*
respond = 200 ok
"""


def section(name, more=""):
    return f"[cert {name}]\ncert = @dir@/{name}.crt\n" \
        f"key = @dir@/{name}.key\n{more}\n"


def shown(s, name, ctx=None):
    """SHA-256 of the certificate that a client gets for a name."""
    with tls.Client(s.port, ctx, name) as c:
        assert c.get("/").status == 200
        return hashlib.sha256(c.peer).hexdigest()


def refused(s, name):
    """The alert that a client gets for a name."""
    with pytest.raises(ssl.SSLError) as e:
        shown(s, name)
    return e.value.reason


def s_client(s, *args):
    done = subprocess.run(
        [tool("openssl"), "s_client", "-connect", f"127.0.0.1:{s.port}",
         *args], input="", capture_output=True, text=True, timeout=30,
        check=False)
    return done.stdout + done.stderr


def test_names(sluice):
    s = sluice(start=False)
    a = Cert("a.example", "*.w.example")
    b = Cert("b.w.example")
    for cert, name in ((a, "a"), (b, "b")):
        cert.write(s.dir, name)
    s.start(CONF.format(more=section("a") + section("b")))
    assert shown(s, "a.example") == a.fingerprint
    assert shown(s, "A.Example") == a.fingerprint
    assert shown(s, "x.w.example") == a.fingerprint
    assert shown(s, "b.w.example") == b.fingerprint
    for name in ("w.example", "x.y.w.example", "none.example", None):
        assert refused(s, name) == "TLSV1_UNRECOGNIZED_NAME"
    s.wait_log("tls_unknown_name")


def test_default(sluice):
    s = sluice(start=False)
    a, b = Cert("a.example"), Cert("b.example")
    a.write(s.dir, "a")
    b.write(s.dir, "b")
    conf = CONF.replace("tls.unknown = refuse\n", "")
    s.start(conf.format(more=section("a") + section("b")))
    assert shown(s, None) == shown(s, "x.example") == a.fingerprint
    s.reload(conf.format(more=section("a") + section("b", "default = on")))
    assert shown(s, None) == shown(s, "x.example") == b.fingerprint
    assert shown(s, "a.example") == a.fingerprint


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_both_kinds_of_key(sluice, version):
    s = sluice(start=False)
    Cert("a.example").write(s.dir, "e")
    Cert("a.example", kind="rsa").write(s.dir, "r")
    s.start(CONF.format(more=section("e") + section("r")))
    for sigalg, want in (("ecdsa_secp256r1_sha256", "ECDSA"),
                         ("rsa_pss_rsae_sha256", "RSA-PSS")):
        text = s_client(s, version, "-servername", "a.example",
                        "-sigalgs", sigalg)
        assert f"Peer signature type: {want}" in text


def test_chain_is_sent_and_trusted(sluice):
    s = sluice(start=False)
    root = Cert("root", ca=True)
    mid = Cert("mid", by=root, ca=True)
    Cert("a.example", by=mid).write(s.dir, "a")
    s.start(CONF.format(more=section("a")))
    assert tls.get(s.port, ctx=tls.context(root),
                   name="a.example").status == 200


@pytest.mark.parametrize("old", [False, True])
def test_encrypted_key(sluice, old):
    s = sluice(start=False)
    a = Cert("a.example")
    a.write(s.dir, "a", password="open it", old=old)
    put(s.dir, "secret", b"open it\n")
    s.start(CONF.format(more=section(
        "a", "passphrase = ${file:@dir@/secret}")))
    assert shown(s, "a.example") == a.fingerprint
    assert "open it" not in s.ctl("status").stdout + s.stderr()


def test_directory_with_few_places(sluice):
    """More names than a worker keeps ready; each has its own."""
    s = sluice(start=False)
    made = [Cert(f"h{i}.example", kind=("ec", "ed25519")[i % 2])
            for i in range(12)]
    os.mkdir(f"{s.dir}/all")
    for i, cert in enumerate(made):
        if i % 3 == 0:
            put(f"{s.dir}/all", f"{i}.pem", cert.chain + cert.key_pem())
        else:
            cert.write(f"{s.dir}/all", str(i))
    put(f"{s.dir}/all", "README", b"no certificate")
    s.start(CONF.format(more="[cert all]\ndirectory = @dir@/all\n"
                        "[limits]\ncerts = 3\n"))
    for i in (*range(12), 5, 5, *reversed(range(12))):
        assert shown(s, f"h{i}.example") == made[i].fingerprint


# --- reloads ---

def test_reload_with_new_files(sluice):
    s = sluice(start=False)
    first, second = Cert("a.example"), Cert("a.example", kind="rsa")
    first.write(s.dir, "a")
    s.start(CONF.format(more=section("a")))
    with tls.Client(s.port, name="a.example") as c:
        assert c.get("/").status == 200
        second.write(s.dir, "a")
        assert "ERRNO" not in s.reload()
        assert shown(s, "a.example") == second.fingerprint
        # who was there before goes on as it was
        assert c.get("/").status == 200
        assert hashlib.sha256(c.peer).hexdigest() == first.fingerprint


def test_what_was_removed_is_not_served(sluice):
    s = sluice(start=False)
    a, b = Cert("a.example"), Cert("b.example")
    a.write(s.dir, "a")
    b.write(s.dir, "b")
    s.start(CONF.format(more=section("a") + section("b")))
    assert shown(s, "b.example") == b.fingerprint
    s.reload(CONF.format(more=section("a")))
    assert refused(s, "b.example") == "TLSV1_UNRECOGNIZED_NAME"
    assert shown(s, "a.example") == a.fingerprint


def expired(s):
    Cert("a.example", days=-2, since=-9).write(s.dir, "a")


def other_key(s):
    put(s.dir, "a.key", Cert("a.example").key_pem())


def broken(s):
    with open(f"{s.dir}/a.crt", "rb") as f:
        pem = f.read()
    put(s.dir, "a.crt", pem[:len(pem) // 2] + pem[len(pem) // 2 + 8:])


def gone(s):
    os.unlink(f"{s.dir}/a.key")


def other_name(s):
    Cert("z.example").write(s.dir, "a")


@pytest.mark.parametrize("how,file,why", [
    (expired, "a.crt", "expired on"),
    (other_key, "a.key", "has the key of another certificate"),
    (broken, "a.crt", "broken|not base64"),
    (gone, "a.key", "cannot be read: No such file"),
    (other_name, "a.crt", "is not covered by")])
def test_bad_material(sluice, how, file, why):
    """Named by -t and by the reload, with file and reason; what was there
    stays, also for a reload of workers that never asked for it."""
    s = sluice(start=False)
    a = Cert("a.example")
    a.write(s.dir, "a")
    s.start(CONF.format(more=section("a", "names = a.example")))
    assert shown(s, "a.example") == a.fingerprint
    how(s)
    done = s.ctl("reload", ok=False)
    assert done.returncode == 1
    assert re.search(rf"{s.dir}/{file}.*({why})|({why}).*{s.dir}/{file}",
                     done.stdout + done.stderr), done.stderr
    assert shown(s, "a.example") == a.fingerprint
    test = subprocess.run([s.program, "-t", "-c", s.conf_path],
                          capture_output=True, text=True, check=False)
    assert test.returncode == 1
    assert re.search(f"{s.dir}/{file}", test.stderr)
    assert re.search(why, test.stderr)
    assert shown(s, "a.example") == a.fingerprint


def test_unreadable_key(sluice):
    if os.geteuid() == 0:
        pytest.skip("root reads all files")
    s = sluice(start=False)
    Cert("a.example").write(s.dir, "a")
    os.chmod(f"{s.dir}/a.key", 0)
    s.write(CONF.format(more=section("a")))
    test = subprocess.run([s.program, "-t", "-c", s.conf_path],
                          capture_output=True, text=True, check=False)
    assert test.returncode == 1
    assert "a.key\" cannot be read: Permission denied" in test.stderr


def test_keys_that_only_root_reads(sluice):
    """Workers serve names that are asked for first long after the start."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    s = sluice(start=False)
    os.mkdir(f"{s.dir}/private", 0o700)
    a, b = Cert("a.example"), Cert("b.example")
    a.write(f"{s.dir}/private", "a")
    b.write(f"{s.dir}/private", "b")
    s.start(CONF.format(more="[cert all]\ndirectory = @dir@/private\n"))
    assert shown(s, "a.example") == a.fingerprint
    s.reload()
    os.rename(f"{s.dir}/private", f"{s.dir}/elsewhere")
    assert shown(s, "b.example") == b.fingerprint
    # the index is root's, below a directory of the user
    tls_dir = os.stat(f"{s.dir}/state/tls")
    assert tls_dir.st_uid == 0 and tls_dir.st_mode & 0o777 == 0o755
    assert os.stat(f"{s.dir}/state/tls/certs.index").st_mode & 0o777 == 0o600


# --- files that are watched ---

def test_watch(sluice):
    s = sluice(start=False)
    first, second, third = (Cert("a.example") for _ in range(3))
    os.mkdir(f"{s.dir}/x")
    first.write(f"{s.dir}/x", "a")
    conf = CONF.replace("[sluice]", "[sluice]\nwatch = certs").format(
        more="[cert a]\ncert = @dir@/x/a.crt\nkey = @dir@/x/a.key\n")
    s.start(conf)
    assert shown(s, "a.example") == first.fingerprint
    second.write(f"{s.dir}/x", "a")
    s.wait_log("generation 2 is live")
    assert shown(s, "a.example") == second.fingerprint
    # what nobody named is nobody's business; a broken file changes nothing
    put(f"{s.dir}/x", "notes", b"x")
    put(f"{s.dir}/x", "a.crt", b"x")
    s.wait_log("has no certificate in PEM")
    assert shown(s, "a.example") == second.fingerprint
    third.write(f"{s.dir}/x", "a")
    s.wait_log("generation 4 is live")
    assert shown(s, "a.example") == third.fingerprint
    assert len(s.wait_log("files have changed")) == 3
    # no longer
    s.reload(conf.replace("watch = certs", "watch = off"))
    first.write(f"{s.dir}/x", "a")
    s.reload()
    assert shown(s, "a.example") == first.fingerprint
    assert len(s.wait_log("files have changed")) == 3


def test_watch_waits_for_the_key(sluice):
    """Who renews may write the key later than a reload begins; a pair that
    does not come to match is told."""
    s = sluice(start=False)
    first, second, third = (Cert("a.example") for _ in range(3))
    os.mkdir(f"{s.dir}/x")
    first.write(f"{s.dir}/x", "a")
    s.start(CONF.replace("[sluice]", "[sluice]\nwatch = certs").format(
        more="[cert a]\ncert = @dir@/x/a.crt\nkey = @dir@/x/a.key\n"))
    put(f"{s.dir}/x", "a.crt", second.chain)
    s.wait_log("a key does not go with its certificate: it is waited for")
    assert shown(s, "a.example") == first.fingerprint
    second.write(f"{s.dir}/x", "a")
    s.wait_log("generation 3 is live")
    assert shown(s, "a.example") == second.fingerprint
    assert "E0322" not in str(s.log())
    assert s.ctl_json("status")["reloads"]["failed"] == 0
    put(f"{s.dir}/x", "a.crt", third.chain)
    s.wait_log("it is waited for", count=2)
    s.wait_log("reload: failed")
    assert "has the key of another certificate" in str(s.log())
    assert shown(s, "a.example") == second.fingerprint
    assert s.ctl_json("status")["reloads"]["failed"] == 1


def test_watch_of_a_directory(sluice):
    s = sluice(start=False)
    os.mkdir(f"{s.dir}/x")
    a, b = Cert("a.example"), Cert("b.example")
    a.write(f"{s.dir}/x", "a")
    s.start(CONF.replace("[sluice]", "[sluice]\nwatch = certs").format(
        more="[cert x]\ndirectory = @dir@/x\n"))
    b.write(f"{s.dir}/x", "b")
    s.wait_log("generation 2 is live")
    assert shown(s, "b.example") == b.fingerprint
    os.unlink(f"{s.dir}/x/b.crt")
    s.wait_log("generation 3 is live")
    assert refused(s, "b.example") == "TLSV1_UNRECOGNIZED_NAME"


@pytest.mark.parametrize("slash", ["", "/"])
def test_watch_of_a_directory_replaced(sluice, slash):
    """By another one of its name, and what changes in that."""
    s = sluice(start=False)
    certs = [Cert(f"{c}.example") for c in "abc"]
    os.makedirs(f"{s.dir}/up/x")
    os.mkdir(f"{s.dir}/up/new")
    certs[0].write(f"{s.dir}/up/x", "a")
    certs[1].write(f"{s.dir}/up/new", "b")
    s.start(CONF.replace("[sluice]", "[sluice]\nwatch = certs").format(
        more=f"[cert x]\ndirectory = @dir@/up/x{slash}\n"))
    os.rename(f"{s.dir}/up/x", f"{s.dir}/up/old")
    os.rename(f"{s.dir}/up/new", f"{s.dir}/up/x")
    s.wait_log("generation 2 is live")
    assert shown(s, "b.example") == certs[1].fingerprint
    assert refused(s, "a.example") == "TLSV1_UNRECOGNIZED_NAME"
    certs[2].write(f"{s.dir}/up/x", "c")
    s.wait_log("generation 3 is live")
    assert shown(s, "c.example") == certs[2].fingerprint
    # one that is gone is told of, and what was there is still served
    os.rename(f"{s.dir}/up/x", f"{s.dir}/up/new")
    s.wait_log("up/x")
    assert shown(s, "c.example") == certs[2].fingerprint


# --- where keys are ---

def test_no_key_outside_of_workers(sluice):
    if os.geteuid() != 0:
        pytest.skip("not root")
    s = sluice(start=False)
    a, old = Cert("a.example"), Cert("b.example")
    a.write(s.dir, "a")
    old.write(s.dir, "b", password="open it")
    s.start(CONF.format(more=section("a") + section(
        "b", "passphrase = open it")))
    shown(s, "a.example")
    s.reload()
    shown(s, "b.example")
    for cert in (a, old):
        for role, pid in {"master": s.pid, **s.roles()}.items():
            assert memory.has_key(pid, cert) == role.startswith("worker"), \
                role


# --- tls = dev ---

DEV = """
[listener web]
bind = 127.0.0.1:@port@
tls = dev
[route all]
host = {host}
path = /*
respond = 200 ok
"""


def ca_of(s):
    line = s.wait_log("development CA")[-1]
    path = re.search(r'"([^"]+dev-ca.crt)', line.replace("\\", "")).group(1)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.load_verify_locations(path)
    return path, ctx


@pytest.mark.parametrize("unknown", ["default", "refuse"])
def test_dev_beside_others(sluice, unknown):
    """There it is the default, for clients send no name for an address."""
    s = sluice(start=False)
    a = Cert("a.test")
    a.write(s.dir, "a")
    s.start(f"[sluice]\ntls.unknown = {unknown}\n" + DEV.format(
        host="localhost a.test 192.0.2.1") + section("a") + """
[listener other]
bind = 127.0.0.1:@port2@
tls = on
""")
    ctx = ca_of(s)[1]
    first = shown(s, "localhost", ctx)
    for name in ("127.0.0.1", "192.0.2.1"):
        assert shown(s, name, ctx) == first
    assert shown(s, "a.test") == a.fingerprint
    # what it does not have it is the default for, or that is refused
    if unknown == "refuse":
        with pytest.raises(ssl.SSLError):
            shown(s, "other.test")
    else:
        assert shown(s, "other.test") == first
    # a host of a route gets it where no other has the name
    with tls.Client(s.value("port2"), tls.context(), "localhost") as c:
        assert hashlib.sha256(c.peer).hexdigest() == first
    with tls.Client(s.value("port2"), tls.context(), "a.test") as c:
        assert c.get("/").status == 200
    certs = {c["cert"]: c["shown"] for c in s.ctl_json("certs")["certs"]}
    assert certs == {"": 4 + (unknown == "default"), "a": 2}
    for addr in (s.port, s.value("port2")):
        j = s.ctl_json("explain", f"https://127.0.0.1:{addr}/")["tls"]
        assert [c["dev"] for c in j["certs"]] == (
            [True] if addr == s.port else
            [] if unknown == "refuse" else [False])


def test_dev(sluice):
    s = sluice(DEV.format(host="localhost app.test *.sub.test 127.0.0.1"))
    path, ctx = ca_of(s)
    assert path == f"{s.dir}/state/tls/dev-ca.crt"
    first = shown(s, "localhost", ctx)
    for name in ("app.test", "a.sub.test", "127.0.0.1"):
        assert shown(s, name, ctx) == first
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(s, "other.test", ctx)
    for name, mode in (("dev-ca.crt", 0o644), ("dev-ca.key", 0o600),
                       ("dev.crt", 0o644), ("dev.key", 0o600)):
        assert os.stat(f"{s.dir}/state/tls/{name}").st_mode & 0o777 == mode
    # the same behind a reload and a start
    s.reload()
    assert shown(s, "localhost", ctx) == first
    s.stop()
    s.start()
    assert shown(s, "localhost", ctx) == first
    # another name: another certificate by the same CA
    s.reload(DEV.format(host="localhost other.test"))
    assert shown(s, "other.test", ctx) != first
    # what is damaged is made anew
    put(f"{s.dir}/state/tls", "dev-ca.key", b"none")
    s.reload()
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(s, "other.test", ctx)
    assert shown(s, "other.test", ca_of(s)[1])

"""What is told of certificates: sluicectl certs, lines before they expire."""
import datetime
import hashlib
import json
import os
import re
import time

from lib import tls
from lib.certs import Cert

SOON = '"expiry".*expires on'
CONF = """
[sluice]
{sluice}
[listener web]
bind = 127.0.0.1:@port@
tls = on
[cert a]
cert = @dir@/a.crt
key = @dir@/a.key
[cert b]
cert = @dir@/b.crt
key = @dir@/b.key
names = b.example x.w.example
default = on
[route a]
host = a.example
path = /*
respond = 200 a
[route b]
host = b.example x.w.example
path = /*
respond = 200 b
[route w]
host = *.w.example
path = /*
respond = 200 w
"""


def start(sluice, sluice_keys="", **kw):
    s = sluice(start=False)
    a = Cert("a.example", **kw)
    b = Cert("b.example", "*.w.example", kind="rsa")
    a.write(s.dir, "a")
    b.write(s.dir, "b")
    s.start(CONF.format(sluice=sluice_keys))
    return s, a, b


def rows(s, *args):
    done = s.ctl("-o", "json", "certs", *args, ok=False)
    return {r["cert"]: r for r in json.loads(done.stdout)["certs"]}


def test_certs(sluice):
    s, a, b = start(sluice, days=90.5)
    for name in ("a.example", "b.example", "none.example", "b.example"):
        with tls.Client(s.port, name=name) as c:
            assert hashlib.sha256(c.peer).hexdigest() == \
                (a if name == "a.example" else b).fingerprint
            # by its answer the handshake has been counted, too
            c.get("/")
    got = rows(s)
    assert list(got) == ["a", "b"]
    assert got["a"]["names"] == ["a.example"]
    assert got["a"]["routes"] == ["a"]
    for name in ("A.Example", "a.example."):
        assert list(rows(s, name)) == ["a"]
    assert got["a"]["kind"] == "ECDSA" and got["b"]["kind"] == "RSA"
    assert got["a"]["days"] == 90 and not got["a"]["default"]
    assert got["b"]["names"] == ["b.example", "x.w.example"]
    assert got["b"]["routes"] == ["b", "w"] and got["b"]["default"]
    for name, made, n in (("a", a, 1), ("b", b, 3)):
        assert got[name]["fingerprint"] == made.fingerprint
        assert got[name]["file"] == f"{s.dir}/{name}.crt"
        assert got[name]["shown"] == n and got[name]["last_ms"] > 0
        assert got[name]["until"] == int(made.x.not_valid_after.replace(
            tzinfo=datetime.timezone.utc).timestamp())
    # counts go on behind a reload and a renewal
    Cert("a.example").write(s.dir, "a")
    s.reload()
    with tls.Client(s.port, name="a.example") as c:
        c.get("/")
    assert rows(s)["a"]["shown"] == 2
    assert list(rows(s, "a.example")) == ["a"]
    assert list(rows(s, "none.example")) == ["b"]
    # a name as people copy it, and one that no certificate has
    for name in ("A.Example", "a.example:443", "x.w.example."):
        got = s.ctl("certs", name)
        assert got.returncode == 0
        assert f"{name.lower().partition(':')[0].rstrip('.')}: clients get" \
            in got.stdout
    for name in ("none.example", "b", "y.x.w.example"):
        got = s.ctl("certs", name, ok=False)
        assert got.returncode == 1
        assert f"{name}: no certificate has this name; clients get the " \
            "default" in got.stdout
    text = s.ctl("certs").stdout
    assert text.startswith("2 certificates; unknown names: default\n")
    assert "b.example x.w.example" in text and f"{s.dir}/b.crt" in text
    assert s.ctl_json("metrics")


def test_expires_soon(sluice):
    s, a, _ = start(sluice, days=6.5)
    line = s.wait_log(SOON)
    assert len(line) == 1 and f"{s.dir}/a.crt" in line[0]
    assert 'in 6 days"' in line[0]
    # not once more for the same, but for another that is nearer
    s.reload()
    Cert("a.example", days=1.5).write(s.dir, "a")
    s.reload()
    line = s.wait_log(SOON, count=2)
    assert len(line) == 2 and re.search('in 3[56] hours"', line[1])
    assert re.search(r"expires on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
                     line[1])
    assert re.search(r"\ba +ECDSA +1 +[\d-]{10} [\d:]{8} ",
                     s.ctl("certs").stdout)
    # none is near any more
    a.write(s.dir, "a")
    s.reload(CONF.format(sluice="tls.expiry_warn = 5d 2h"))
    s.reload()
    assert len(s.wait_log(SOON)) == 2
    metric = {m["name"]: m for m in s.ctl_json("metrics")["metrics"]}
    assert metric["certificate_days_left"]["sum"] == 6


def test_expired(sluice, tmp):
    """It goes on in use, and the metric says for how long that is so."""
    s = sluice(start=False)
    a = Cert("a.example", days=0.0001)
    a.write(s.dir, "a")
    Cert("b.example", "*.w.example").write(s.dir, "b")
    s.start(CONF.format(sluice=""))
    ends = a.x.not_valid_after.replace(tzinfo=datetime.timezone.utc)
    # nothing but the clock tells of it
    time.sleep(max(0, ends.timestamp() + 1 - time.time()))
    s.reload()
    metric = {m["name"]: m for m in s.ctl_json("metrics")["metrics"]}
    assert metric["certificate_days_left"]["sum"] == -1
    assert metric["certificate_days_left"]["kind"] == "gauge"
    assert "authority_days_left" not in metric
    assert re.search(r"certificate_days_left +-1 ", s.ctl("metrics").stdout)
    assert s.ctl_json("certs", "a.example")["certs"][0]["days"] == -1


def test_passed_on(sluice):
    """Whose connections are passed on is shown none of ours."""
    s = sluice("[listener web]\nbind = 127.0.0.1:@port@\ntls = dev\n"
               "[upstream app]\nserver = 127.0.0.1:9\n"
               "[route p]\nhost = p.example\ntls = passthrough\n"
               "upstream = app\n"
               "[route r]\nhost = r.example\nrespond = 200 ok\n")
    got = s.ctl_json("certs")["certs"]
    assert {n for c in got for n in c["names"]} >= {"r.example", "localhost"}
    assert not any("p.example" in c["names"] for c in got)
    assert not any("p" in c["routes"] for c in got)
    assert s.ctl("certs").stdout.startswith("1 certificate; unknown ")
    text = s.ctl("certs", "P.example").stdout
    assert "p.example: its connections are passed on by route p" in text


def test_none_is_told_where_there_are_no_certificates(sluice):
    s = sluice("[listener web]\nbind = 127.0.0.1:@port@\n"
               "[route all]\npath = /*\nrespond = 200 ok\n")
    assert s.ctl_json("certs") == {"v": 1, "unknown": "refuse",
                                   "dev_ca": "", "certs": [],
                                   "files": []}
    assert s.ctl("certs").stdout == "0 certificates; unknown names: refuse\n"
    assert not os.path.exists(f"{s.dir}/state/tls")

"""The samples of etc/ load without a warning, as somebody would use them."""
import json
import os
import re

import pytest

from lib import conf
from lib.certs import Cert, crl, put
from lib.cmd import run

ETC = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "etc")
SAMPLES = sorted(os.listdir(ETC))


def args(tmp):
    """The site lies elsewhere here, and port 80 is for root."""
    return ["--root", tmp] + \
        ([] if os.geteuid() == 0 else ["--port", "8080"])


def read(sample):
    with open(os.path.join(ETC, sample), encoding="utf-8") as f:
        return f.read()


def keys(text):
    """{type: keys set} of a sample, [defaults TYPE] as TYPE.

    #key = value, without a blank, is a setting that waits for its files.
    """
    out, type_ = {}, None
    for line in re.sub("^#(?! )", "", text, flags=re.M).splitlines():
        if m := re.match(r"\[(?:defaults )?(\w+)", line):
            type_ = m.group(1)
            out.setdefault(type_, set())
        elif m := re.match(r"([a-z][\w.-]*) *=", line):
            out[type_].add(m.group(1))
    return out


def test_all_four_are_there():
    assert SAMPLES == ["sluice.conf", "sluice.conf.full",
                       "sluice.conf.production", "sluice.conf.simple"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_loads_without_a_warning(tmp, sample):
    done = run("sluiced", "-t", "-W", "-c", f"{ETC}/{sample}", *args(tmp))
    assert done.returncode == 0, done.stderr
    assert "configuration OK" in done.stderr


@pytest.mark.parametrize("sample", SAMPLES)
def test_says_what_is_missing_where_there_is_no_site(tmp, sample):
    where = {"SLUICE_ROOT": f"{tmp}/none"}
    done = run("sluiced", "-t", "-c", f"{ETC}/{sample}", "--port", "8080",
               env=where)
    assert done.returncode == 1
    assert "E0302" in done.stderr and f"{tmp}/none" in done.stderr


@pytest.mark.parametrize("sample", SAMPLES)
def test_loads_on_a_fresh_machine(tmp, sample):
    """Nobody made the directory of the site yet: that is a warning."""
    text = read(sample).replace("/srv/www", f"{tmp}/none")
    missing = re.search(r"^static = .*/none$", text, re.M) is not None
    with open(f"{tmp}/sluice.conf", "w", encoding="utf-8") as f:
        f.write(text)
    port = [] if os.geteuid() == 0 else ["--port", "8080"]
    done = run("sluiced", "-t", "-c", f"{tmp}/sluice.conf", *port)
    assert done.returncode == 0, done.stderr
    assert ("W0304" in done.stderr) == missing
    done = run("sluiced", "-t", "-W", "-c", f"{tmp}/sluice.conf", *port)
    assert done.returncode == (3 if missing else 0), done.stderr


@pytest.mark.parametrize("sample", SAMPLES)
def test_has_plain_words_and_comments(sample):
    text = read(sample)
    assert text.startswith("# ")
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"[ \t]$", text, re.M)
    types = keys(text)
    for type_, row in ((t, r) for t, s in conf.schema().items()
                       for r in s["keys"]):
        used = types.get(type_, set())
        assert not used & {a["key"] for a in row["aliases"]}


def test_full_has_every_section_and_key():
    """Handlers and conditions of routes are many: some of them count."""
    used = keys(read("sluice.conf.full"))
    for type_, sect in conf.schema().items():
        assert type_ in used, type_
        for row in sect["keys"]:
            if type_ == "route" and (row.get("handler") or
                                     row.get("condition")):
                continue
            family = row["key"].removesuffix("*")
            assert any(k == row["key"] or family != row["key"] and
                       k.startswith(family) for k in used[type_]), \
                f"[{type_}] {row['key']}"
    assert {"host", "path", "method", "upstream", "static", "redirect",
            "respond"} <= used["route"]


def test_production_with_its_files(tmp):
    """What waits there for files of TLS holds when these are there."""
    text = re.sub("^#(?! )", "", read("sluice.conf.production"), flags=re.M)
    ca = Cert("partners", ca=True)
    put(tmp, "partners.crt", ca.pem)
    put(tmp, "partners.crl", crl(ca))
    for name in ("www", "api"):
        Cert(f"{name}.example.com", "partners.example.com",
             "example.com").write(tmp, f"{name}.example.com")
    text = re.sub("/etc/(ssl/private|ssl|sluice)/", f"{tmp}/", text)
    put(tmp, "sluice.conf", text.replace("/srv/www", tmp).encode())
    port = [] if os.geteuid() == 0 else ["-D", "listener.web.bind=:8080"]
    done = run("sluiced", "-t", "-W", "-c", f"{tmp}/sluice.conf", *port)
    assert done.returncode == 0, done.stderr
    j = json.loads(run(
        "sluicectl", "-o", "json", "explain", "--config",
        f"{tmp}/sluice.conf", "https://partners.example.com/x").stdout)
    assert j["route"]["name"] == "partners"
    assert j["tls"]["policy"] == "partners"
    assert j["tls"]["client"] == "required"
    j = json.loads(run(
        "sluicectl", "-o", "json", "explain", "--config",
        f"{tmp}/sluice.conf", "http://www.example.com/x").stdout)
    assert j["redirect"]["location"] == "https://www.example.com/x"


def with_tls(tmp, text):
    Cert("www.example.com").write(tmp, "www.example.com")
    text = re.sub("/etc/ssl/(private/)?", f"{tmp}/", text)
    put(tmp, "sluice.conf", text.replace("/srv/www", tmp).encode())
    if os.geteuid() != 0:
        text = re.sub(r":(80|443)\b", r":2\g<1>00", text)
    done = run("sluiced", "-t", "-W", "-c", f"{tmp}/sluice.conf")
    assert done.returncode == 0, done.stderr
    return json.loads(run(
        "sluicectl", "-o", "json", "explain", "--config",
        f"{tmp}/sluice.conf", "http://www.example.com/x").stdout)


def test_simple_with_tls(tmp):
    text = re.sub("^#(?! )", "", read("sluice.conf.simple"), flags=re.M)
    j = with_tls(tmp, text)
    assert j["redirect"]["location"] == "https://www.example.com:8443/x"


def test_readme_with_tls(tmp):
    with open(os.path.join(os.path.dirname(ETC), "README"),
              encoding="utf-8") as f:
        text = f.read()
    (part,) = re.findall(r"^With TLS.*?\n\n(.*?)\n\n(?=\S)", text,
                         re.M | re.S)
    j = with_tls(tmp, re.sub("^\t", "", part, flags=re.M))
    assert j["redirect"]["location"] == "https://www.example.com/x"
    done = run("sluiced", "--dump-set", "-c", f"{tmp}/sluice.conf").stdout
    assert "hsts = 365d" in done and "tls = on" in done


def test_full_with_its_files(tmp):
    """The same of the longest one, but for [ssl], which is another way."""
    text = re.sub("^#(?! )", "", read("sluice.conf.full"), flags=re.M)
    text = re.sub(r"^\[ssl\]\n(\w.*\n)*", "", text, flags=re.M)
    ca = Cert("some", ca=True)
    gateway = Cert("gateway", by=ca)
    for name in ("clients", "partners", "internal"):
        put(tmp, f"{name}.crt", ca.pem)
        put(tmp, f"{name}.crl", crl(ca))
    gateway.write(tmp, "gateway", password="open it")
    put(tmp, "gateway", b"open it\n")
    put(tmp, "www.example.com", b"open it\n")
    os.chmod(put(tmp, "ticket.key", os.urandom(80)), 0o600)
    put(tmp, "partner.sha256", b"ab" * 32)
    Cert("www.example.com", "example.com").write(tmp, "www.example.com",
                                                 password="open it")
    os.mkdir(f"{tmp}/customers")
    Cert("c.example").write(f"{tmp}/customers", "c")
    text = re.sub("/etc/(ssl/private|ssl|sluice)/|/run/secrets/",
                  f"{tmp}/", text)
    put(tmp, "sluice.conf", text.replace("/srv/www", tmp).encode())
    done = run("sluiced", "-t", "-c", f"{tmp}/sluice.conf",
               *([] if os.geteuid() == 0 else ["--port", "8080"]))
    assert done.returncode == 0, done.stderr


def test_production_says_nothing_else_than_it_means(tmp):
    """A production sample sets what matters, whatever its default is."""
    used = keys(read("sluice.conf.production"))
    assert {"workers", "user", "stop"} <= used["sluice"]
    assert {"max"} <= used["board"]
    assert {"directory", "overflow"} <= used["log"]
    assert {"header_bytes", "body"} <= used["limits"]
    done = run("sluiced", "--dump-set", "-c",
               f"{ETC}/sluice.conf.production", *args(tmp))
    assert done.returncode == 0, done.stderr

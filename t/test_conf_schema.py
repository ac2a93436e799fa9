"""The rows: every key is set, shown with its origin, and read again."""
import os
import re

import pytest

from lib import certs, conf
from lib.conf import effective, parse, write

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCHEMA = conf.schema()
ROWS = [(t, row) for t, s in SCHEMA.items() for row in s["keys"]]
IDS = [f"{t}.{row['key']}" for t, row in ROWS]
MEMBER = {"error_page.*": "404", "level.*": "proxy",     # of a family
          "not.*": "method"}


def word(key):
    """A key as it is written: one member of a family."""
    return key.replace("*", MEMBER.get(key, "x"))


# files that have to be there: those of [cert one]
FILES = {"tls.ca": "one.crt", "tls.cert": "one.crt", "tls.key": "one.key",
         "cert_file": "one.crt", "key_file": "one.key"}


def example(row, tmp):
    if row["key"] in FILES:
        return f"{tmp}/{FILES[row['key']]}"
    if row["type"] == "path":
        return tmp
    if row["key"] == "fallback" and row["group"] == "fallback":
        write(tmp, "sorry\n", "sorry.txt")     # a page that is there
        return f"{tmp}/sorry.txt"
    if row["key"] == "tls.ticket_key_file":
        write(tmp, "k" * 48, "ticket.key")
        os.chmod(f"{tmp}/ticket.key", 0o600)
        return f"{tmp}/ticket.key"
    if row["key"] == "bind" and os.geteuid() != 0:
        return "127.0.0.1:8080"
    return row["example"] if row["example"] is not None else row["default"]


def row_of(type_, key):
    return next(r for r in SCHEMA[type_]["keys"] if r["key"] == key)


def routes():
    """For each way to answer, its key and the keys that go with it."""
    keys = SCHEMA["route"]["keys"]
    groups = {r["group"] for r in keys if r["handler"]}
    for own in (r for r in keys if r["handler"]):
        yield own, [r for r in keys if not r["handler"] and
                    r["group"] != "pass" and
                    (r["group"] == own["group"] or
                     r["group"] not in groups)]


class Full:
    """A configuration that sets every row, and where it did."""

    def __init__(self, tmp):
        self.tmp, self.lines, self.at = tmp, [], []
        for type_, sect in SCHEMA.items():
            if type_ == "cert":
                self.certs(sect["keys"])
            elif type_ in ("tls", "listener"):
                self.tls(type_, sect["keys"])
            elif type_ != "route":
                name = {"upstream": row_of("route", "upstream")["example"],
                        }.get(type_, "one") if sect["named"] else ""
                self.section(type_, name, sect["keys"])
        for own, more in routes():
            self.section("route", f"by-{own['key']}", [own, *more])
        # it says nothing of requests, which most other keys are about
        self.section("route", "passed", [
            row_of("route", key) for key in ("host", "tls", "target")])
        self.text = "\n".join(self.lines) + "\n"

    def certs(self, rows):
        """A pair of files or a directory of them, with what goes with it."""
        made = certs.Cert("a.example", "*.a.example")
        paths = dict(zip(("cert", "key"), made.write(self.tmp, "one")))
        paths["passphrase"] = "open it"
        alone = [row for row in rows if row["key"] == "directory"]
        self.section("cert", "one", [
            {**row, "example": paths.get(row["key"], row["example"]),
             "type": "string" if row["key"] in paths else row["type"]}
            for row in rows if row not in alone])
        self.section("cert", "more", alone)

    def tls(self, type_, rows):
        """Terms of TLS, or the name of those of another section."""
        ca = certs.Cert("clients", ca=True)
        paths = {"tls.client_ca": certs.put(self.tmp, "ca.list", ca.pem),
                 "tls.client_crl": certs.put(self.tmp, "ca.crl",
                                             certs.crl(ca))}
        rows = [{**row, "example": paths.get(row["key"], row["example"]),
                 "type": "string" if row["key"] in paths else row["type"]}
                for row in rows]
        by_name = [r for r in rows if r["key"] == "tls_policy"]
        name = "one" if type_ == "tls" else \
            row_of("route", "listener")["example"]
        self.section(type_, name, [r for r in rows if r not in by_name])
        if by_name:
            self.section(type_, "more", [
                {**row_of("listener", "bind"), "example": "127.0.0.1:8181"},
                *by_name])

    def section(self, type_, name, rows):
        head = f"{type_} {name}".strip()
        self.lines.append(f"[{head}]")
        for row in rows:
            val = example(row, self.tmp)
            assert val is not None, f"{head} {row['key']}: no example"
            self.lines.append(f"{word(row['key'])} = {val}")
            self.at.append((head, row, val, len(self.lines)))


def test_every_row_is_set_once_and_shown_with_its_origin(tmp):
    full = Full(tmp)
    write(tmp, full.text)
    done = conf.test(tmp)
    assert done.returncode == 0, done.stderr
    text = conf.dump(tmp)
    got = parse(text)
    for head, row, val, line in full.at:
        if row["key"] == "include":     # it was followed already
            assert f"# sluice.conf:{line}\n# include = {val}\n" in text
            continue
        found = got[head].get(word(row["key"]))
        assert found, f"[{head}] {row['key']} is not shown"
        assert found[0].origin == f"sluice.conf:{line}"
        if row["type"] in ("string", "list", "lines", "pairs", "enum"):
            assert found[0].text == ("***" if row["secret"] else val)
    seen = {(head.split()[0], row["key"]) for head, row, _, _ in full.at}
    assert seen == {(t, row["key"]) for t, row in ROWS}


def test_defaults_are_shown_for_all_rows(tmp):
    write(tmp, conf.OK)
    text = conf.dump(tmp)
    got = parse(text)
    for type_, row in ROWS:
        if SCHEMA[type_]["named"]:
            continue
        shown = got[type_].get(row["key"])
        if row["default"] is None:
            assert f"# {row['key']} is not set" in text
        else:
            assert shown[0].origin == "default", row["key"]


@pytest.mark.parametrize("type_,row", ROWS, ids=IDS)
def test_row_is_complete(type_, row):
    assert row["text"] and row["text"].endswith(".")
    assert row["text"][0].isupper()
    assert row["reload"] in ("live", "roll", "upgrade")
    assert re.fullmatch(r"[a-z][a-z0-9_.]*(\.\*)?", row["key"])
    assert row["example"] is not None or row["default"] is not None
    if row["example"] is not None:
        assert row["example"] != row["default"], \
            "an example shows something else than the default"
    if row["type"] == "enum":
        assert len(row["choices"]) > 1


def minimal(tmp, type_, key, val, handler=False):
    """A configuration that loads, with one key more."""
    sect = {"listener": "listener web", "upstream": "upstream app",
            "route": "route all", "tls": "tls one"}.get(type_, type_)
    text = {
        "listener web": "bind = 127.0.0.1:8080\n",
        "upstream app": "server = 127.0.0.1:1\n",
        "route all": "path = /*\n" + ("" if handler else "upstream = app\n"),
        "route keep": "path = /keep\nupstream = app\n",
    }
    text[sect] = text.get(sect, "") + f"{key} = {val}\n"
    write(tmp, "".join(f"[{s}]\n{t}" for s, t in text.items()))
    return sect


ALIASES = [(t, row, a) for t, row in ROWS for a in row["aliases"]]


@pytest.mark.parametrize("type_,row,alias", ALIASES,
                         ids=[f"{t}.{a['key']}" for t, _, a in ALIASES])
def test_alias_is_read_as_its_row(tmp, type_, row, alias):
    val = want = example(row, tmp)
    if alias["value"] is not None:
        val, want = "on", alias["value"]
    elif row["type"] in ("time", "size"):
        val, want = "7", f"7{alias['unit']}"
    sect = minimal(tmp, type_, word(alias["key"]), val, row["handler"])
    done = conf.test(tmp, "-W")
    assert done.returncode == 3, done.stderr
    # ssl_required leads to https, which nobody speaks here
    assert [c for c in re.findall(r"\[([EW]\d+)\]", done.stderr)
            if c != "W0346"] == ["W0410"]
    assert f'write "{row["key"]}"' in done.stderr
    got = effective(tmp)[sect][word(row["key"])]
    assert [v.text for v in got] == [want]


def test_the_aliases_of_the_keys_there_are():
    """Words of other gateways that this version must understand."""
    have = {(t, a["key"]): row["key"] for t, row, a in ALIASES}
    assert have[("upstream", "strategy")] == "balance"
    assert have[("upstream", "timeout")] == "timeout.first_byte"


@pytest.mark.parametrize("type_,row", [
    (t, r) for t, r in ROWS if r["type"] in ("int", "size", "time")],
    ids=[i for i, (_, r) in zip(IDS, ROWS)
         if r["type"] in ("int", "size", "time")])
def test_bounds_hold(tmp, type_, row):
    unit = {"int": "", "size": "", "time": "ms"}[row["type"]]
    for bound, step in ((row["min"], -1), (row["max"], 1)):
        if bound is None or bound + step < 0:
            continue
        minimal(tmp, type_, row["key"], f"{bound + step}{unit}")
        assert "E0125" in conf.fails(tmp), bound + step
        minimal(tmp, type_, row["key"], f"{bound}{unit}")
        err = conf.test(tmp).stderr
        assert not re.search(r"\[E01\d\d\]", err), err


def later():
    """(type, key) of the words that versions to come obey, too."""
    with open(f"{TOP}/src/conf/later.tbl", encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    for m in re.finditer(r'LATER\("(\w+)",\s*((?:"[^"]*"\s*)+)\)', text):
        for key in "".join(re.findall(r'"([^"]*)"', m.group(2))).split():
            yield m.group(1), key


def known(type_, key):
    """True if the schema has the word, as a key, an alias, a member."""
    if type_ not in SCHEMA:
        return False
    for row in SCHEMA[type_]["keys"]:
        for w in [row["key"]] + [a["key"] for a in row["aliases"]]:
            if w == key or w.endswith(".*") and key.startswith(w[:-1]):
                return True
    return False


@pytest.mark.parametrize("type_,key", list(later()))
def test_words_of_the_plan_are_keys_or_said_to_come(tmp, type_, key):
    if key == "*":
        if type_ not in SCHEMA:
            write(tmp, conf.OK + f"[{type_} x]\nkey = value\n")
            assert conf.fails(tmp) == ["E0110"]
        return
    key = key.replace("*", "x")
    if key in ("include", "path") or known(type_, key):
        return
    if type_ in SCHEMA:
        minimal(tmp, type_, key, "on")
        assert "E0110" in conf.fails(tmp)
    else:
        write(tmp, conf.OK + f"[{type_}]\n{key} = on\n")
        assert conf.fails(tmp) == ["E0110"]


# --- what is printed is read again ---

def strip(text):
    return {s: {k: [v.text for v in vs] for k, vs in keys.items()}
            for s, keys in parse(text).items()}


def again(tmp, text):
    """What is in effect when a dump is the configuration."""
    # a secret is stars in a dump, which are too short for one
    write(tmp, text.replace("= ***\n", f"= {'*' * 16}\n"), "again.conf")
    done = conf.test(tmp, file="again.conf")
    assert done.returncode == 0, done.stderr
    return conf.dump(tmp, file="again.conf")


def test_dump_of_everything_loads_and_is_the_same(tmp):
    write(tmp, Full(tmp).text)
    first = conf.dump(tmp)
    assert strip(again(tmp, first)) == strip(first)


TRICKY = """
[sluice]
include = conf.d/*.conf
[listener web]
bind = 127.0.0.1:8080 [::1]:8080
[defaults route]
max_body = 3k
[route a]
path = /a /b
path = /c
respond = "200  a  $x ${env:HOME}"
[route b]
like = a
path =
path = /d
respond = 200 ${env:SL_NOT_SET:-x} "q" $$ ; # =
\tmore
[route t]
path = /t
target = 127.0.0.1:1 max_conns=3
[route r]
path = /r/*
redirect = 302 /s/${path}
"""


@pytest.mark.parametrize("how", ["-T", "--dump-set"])
def test_dump_of_forms_loads_and_is_the_same(tmp, how):
    write(tmp, TRICKY.replace("redirect = 302 /s/${path}",
                              "redirect = 302 /s/"))
    write(tmp, "[route a]\npath = /e\n", "conf.d/e.conf")
    first = conf.dump(tmp)
    assert strip(again(tmp, conf.dump(tmp, how=how))) == strip(first)


def test_dump_of_the_built_in_configuration_loads(tmp):
    done = conf.run("sluiced", "-T", cwd=tmp)
    if "N0001" not in done.stderr:
        pytest.skip("there is a sluice.conf on this machine")
    assert done.returncode == 0, done.stderr
    again(tmp, done.stdout)


def test_dump_set_says_what_differs_and_no_more(tmp):
    write(tmp, conf.OK.replace("/*", "/a") + "max_body = 3k\n"
          "[log]\nlevel = info\naccess = off\n[limits]\ntarget = 8192\n")
    got = strip(conf.dump(tmp, how="--dump-set"))
    assert got["route all"] == {"path": ["/a"], "respond": ["200 ok"],
                                "max_body": ["3k"]}
    assert got["log"] == {"access": ["off"]}
    assert got.get("limits", {}) == {}
    assert "sluice" not in got and "board" not in got


def test_dump_set_has_no_comments(tmp):
    write(tmp, conf.OK)
    assert "#" not in conf.dump(tmp, how="--dump-set")


def test_dump_of_a_broken_configuration(tmp):
    write(tmp, conf.OK + "colour = blue\n")
    done = conf.run("sluiced", "-T", "-c", "sluice.conf", cwd=tmp)
    assert done.returncode == 1 and done.stdout == ""
    assert "E0102" in done.stderr


def test_manual_has_every_row():
    with open(f"{TOP}/man/sluice.conf.5", encoding="utf-8") as f:
        page = f.read()
    for type_, row in ROWS:
        assert re.search(rf"^\.It Ic \\&{re.escape(row['key'])} No = ",
                         page, re.M), row["key"]
        assert f".Ss [{type_}" in page

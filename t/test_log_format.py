"""[log] format, structured_logging, enable_performance_metrics, filter,
sample and redact: what stands in the file for a request."""
import json
import os
import re
import subprocess

import pytest

from lib import http
from lib.cmd import run, tool

pytestmark = [pytest.mark.versions, pytest.mark.turns]

CONF = """
[sluice]
workers = 1
[log]
{log}
[listener web]
bind = 127.0.0.1:@port@
[route ok]
path = /*
respond = 200 ok
[route bad]
path = /bad
respond = 503 bad
"""


REQUESTS = [
    ("/", {}), ("/a?x=1", {"User-Agent": 'odd "agent" \\'}),
    ("/b%20c", {"Referer": "http://a.example/?q=1"}), ("/bad", {}),
]


def served(sluice, log, requests=REQUESTS, name="sluice"):
    s = sluice(CONF.format(log=log))
    for target, fields in requests:
        http.get(s.port, target, headers=fields)
    s.stop()
    with open(f"{s.dir}/log/{name}.log", encoding="utf-8") as f:
        return f.read().splitlines()


CLF = re.compile(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\]'
                 r' "GET (\S+) HTTP/1\.1" (\d{3}) (\d+)(.*)$')


@pytest.mark.h1
def test_common(sluice):
    got = [CLF.match(ln) for ln in
           served(sluice, "format = common", name="access")]
    assert [(m[1], m[2], m[4]) for m in got] == [
        ("/", "200", ""), ("/a?x=1", "200", ""), ("/b%20c", "200", ""),
        ("/bad", "503", "")]


@pytest.mark.h1
def test_combined(sluice):
    got = [CLF.match(ln)[4] for ln in
           served(sluice, "format = combined", name="access")]
    assert got == [' "-" "-"', r' "-" "odd \"agent\" \\"',
                   ' "http://a.example/?q=1" "-"', ' "-" "-"']


def test_logfmt(sluice):
    got = served(sluice, "format = logfmt")
    assert all(ln.startswith("time=") for ln in got)
    access = [ln for ln in got if " status=" in ln]
    assert len(access) == 4
    assert ' target="/a?x=1" ' in access[1]
    assert r' user_agent="odd \"agent\" \\"' in access[1]
    assert " duration_us=" in access[0]
    assert any(' msg="' in ln and " level=info " in ln for ln in got)


def test_template(sluice):
    got = served(sluice, "format = ${status} ${method} ${target} "
                              "${referer} ${fail}")
    assert [ln for ln in got if re.match(r"\d{3} ", ln)] == [
        "200 GET / - -", "200 GET /a?x=1 - -",
        "200 GET /b%20c http://a.example/?q=1 -", "503 GET /bad - -"]


@pytest.mark.parametrize("format_", ["json", "logfmt"])
def test_not_structured(sluice, format_):
    got = served(sluice,
                 f"format = {format_}\nstructured_logging = off")
    access = [ln for ln in got if " 127.0.0.1 GET " in ln]
    assert len(access) == 4 and "{" not in "".join(got)
    assert re.match(r"\S+Z 127\.0\.0\.1 GET localhost/ 200 \d+B \d+us "
                    r"id=\S+ route=ok", access[0])


def test_no_performance_metrics(sluice):
    got = [json.loads(ln) for ln in
           served(sluice, "enable_performance_metrics = off")]
    access = [g for g in got if "status" in g]
    assert len(access) == 4
    assert not any("duration_us" in g for g in access)


def access_of(got):
    return [g for g in map(json.loads, got) if "status" in g]


def test_filter(sluice):
    got = access_of(served(sluice, 'filter = status >= 500 or '
                                        'target ~ "^/a"'))
    assert [g["target"] for g in got] == ["/a?x=1", "/bad"]


def test_sample_keeps_failures(sluice):
    requests = [("/", {})] * 60 + [("/bad", {})] * 5 + [("/", {})] * 60
    got = access_of(served(sluice, "sample = 8", requests))
    statuses = [g["status"] for g in got]
    assert statuses.count(503) == 5
    # 120 requests, one of eight each: 1 in 10,000 runs is outside
    assert 1 <= statuses.count(200) <= 40


def test_redact(sluice):
    requests = [
        ("/?token=geheim&x=1", {}), ("/?x=1&API_KEY=geheim", {}),
        ("/?token", {}), ("/?xtoken=1", {}), ("/?token=geheim&token=geheim",
                                              {}),
        ("/?%74oken=geheim&tok%65n%zz=1&access%5Ftoken=geheim", {}),
        ("/", {"Referer": "https://a.example/in?password=geheim#x"}),
        ("/", {"Authorization": "Bearer geheim", "Cookie": "a=geheim"}),
    ]
    got = served(sluice, "level = debug", requests)
    assert "geheim" not in "\n".join(got)
    access = access_of(got)
    assert [g["target"] for g in access] == [
        "/?token=***&x=1", "/?x=1&API_KEY=***", "/?token", "/?xtoken=1",
        "/?token=***&token=***",
        "/?%74oken=***&tok%65n%zz=1&access%5Ftoken=***", "/", "/"]
    assert access[6]["referer"] == "https://a.example/in?password=***"


def test_redact_what_the_operator_names(sluice):
    got = access_of(served(sluice, "redact = session",
                           [("/?session=1&token=2", {})]))
    assert got[0]["target"] == "/?session=***&token=2"


@pytest.mark.h1
def test_form_changes_with_a_reload(sluice):
    s = sluice(CONF.format(log="format = json"))
    http.get(s.port, "/first")
    s.reload(CONF.format(log="format = common\nfilter = status = 200"))
    http.get(s.port, "/second")
    http.get(s.port, "/bad")
    s.stop()
    text = ""
    for name in "sluice", "access":
        with open(f"{s.dir}/log/{name}.log", encoding="utf-8") as f:
            text += f.read()
    assert text.count("/first") == 1 and text.count("/second") == 1
    assert '"GET /second HTTP/1.1" 200' in text and "/bad" not in text


@pytest.mark.parametrize("log,column,why", [
    ("format = jason", 10, "not json"),
    ("format = ${status} ${nothing}", 20, "no such field"),
    ("format = a ${status", 12, "not closed"),
    ("filter = status >= many", 20, "not a number"),
    ("filter = statsu = 500", 10, "no such field"),
    ("filter = (status = 500", 10, "not closed"),
])
def test_says_where_it_is_wrong(tmp, log, column, why):
    path = f"{tmp}/bad.conf"
    with open(path, "w", encoding="utf-8") as f:
        f.write(CONF.format(log=log).replace("@port@", "8080"))
    done = run("sluiced", "-t", "-c", path)
    assert done.returncode == 1
    assert f":5:{column}: error[E0128]" in done.stderr, done.stderr
    assert why in done.stderr


def test_manual_has_every_field():
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(f"{top}/src/core/access.tbl", encoding="utf-8") as f:
        names = re.findall(r'^ACCESS\(\w+, "(\w+)"', f.read(), re.M)
    with open(f"{top}/man/sluice.conf.5", encoding="utf-8") as f:
        filters = f.read().split(".Ss Filters")[1].split(".Ss ")[0]
    assert re.findall(r"^\.It Ic (\w+)$", filters, re.M) == names


def test_goaccess_takes_every_line(sluice, tmp):
    """A stranger's parser counts no line of requests as invalid."""
    for form in "COMMON", "COMBINED":
        s = sluice(CONF.format(log=f"format = {form.lower()}"))
        for target, fields in REQUESTS * 5:
            http.get(s.port, target, headers=fields)
        s.stop()
        subprocess.run([tool("goaccess"), f"{s.dir}/log/access.log",
                        "--no-global-config", f"--log-format={form}", "-o",
                        f"{tmp}/out.json"],
                       check=True, capture_output=True)
        with open(f"{tmp}/out.json", encoding="utf-8") as f:
            general = json.load(f)["general"]
        assert general["valid_requests"] == 20, general
        assert general["failed_requests"] == 0, general

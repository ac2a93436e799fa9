"""[log] level and level.MODULE, and the flood guard."""
import os
import re

from lib import http, site

SRC = os.path.join(os.path.dirname(__file__), "..", "src")
LOGS = re.compile(r"\blog_(?:err|warn|info|dbg)\(")


def test_every_module_that_logs_has_a_name():
    """The names that settings_level.c knows are those that lines have."""
    found = set()
    for top, _, files in os.walk(SRC):
        for name in files:
            if not name.endswith(".c") or name in ("log.c",):
                continue
            with open(os.path.join(top, name), encoding="utf-8") as f:
                if LOGS.search(f.read()):
                    found.add(re.split("[_.]", name)[0])
    with open(os.path.join(SRC, "core/settings_level.c"),
              encoding="utf-8") as f:
        text = re.search(r"#define MODULES(.*?)\n\n", f.read(),
                         re.S).group(1)
    names = " ".join(re.findall('"([^"]*)"', text)).split()
    assert sorted(found | {"log"}) == sorted(names)


def test_levels_are_live(sluice, tmp):
    site.write(tmp)
    quiet = site.CONF + "\n[log]\nlevel = error\n"
    s = sluice(quiet)
    assert site.is_served(s.port)
    s.reload(quiet.replace("level = error", "level = debug"))
    # a step of an exchange is told at debug, by name
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/hello"))
        c.response()
    s.wait_log('"level":"debug".*"module":"exchange"')
    s.reload(quiet)
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/hello?quiet"))
        c.response()
    s.wait_log("quiet")
    (ident,) = [r["id"] for r in s.log()
                if r.get("target") == "/hello?quiet"]
    assert not [r for r in s.log() if r.get("request") == ident]


def test_level_of_a_module(sluice, tmp):
    """One module tells its steps, all others only their errors."""
    site.write(tmp)
    s = sluice(site.CONF +
               "\n[log]\nlevel = error\nlevel.exchange = debug\n")
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/hello"))
        c.response()
    s.wait_log('"level":"debug".*"module":"exchange"')
    lines = [r for r in s.log() if "level" in r]
    assert {r["module"] for r in lines} == {"exchange"}

"""[log] level and level.MODULE, and the flood guard."""
from lib import http, site

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

"""Keys of an upstream in a route that has its servers itself."""
import json

import pytest

from lib import http
from lib.peer import respond
from lib.spread import counts, servers

pytestmark = [pytest.mark.versions, pytest.mark.turns]

LISTEN = """
[listener web]
bind = 127.0.0.1:@port@
"""


def upstream(s, name):
    r = http.get(s.control, f"/v1/upstreams?name={name}")
    up, = json.loads(r.body)["upstreams"]
    return up


@pytest.mark.parametrize("word,balance", [
    ("round_robin", "round_robin"), ("random", "random"),
    ("weighted_round_robin", "round_robin"),
    ("least_connections", "least_conn"), (None, "two_choices")])
def test_strategies(sluice, word, balance):
    """The words of other gateways, for each route its own."""
    addrs = servers(sluice, 3)
    line = f"strategy = {word}" if word else ""
    s = sluice(f"""{LISTEN}
[route api]
path = /*
targets = {addrs[0]} weight=5
targets = {addrs[1]} weight=3
targets = {addrs[2]}
{line}
[route other]
path = /other
target = {addrs[0]}
balance = hash
hash.key = ${{path}}
""")
    assert upstream(s, "@api")["balance"] == balance
    assert upstream(s, "@other")["balance"] == "hash"
    got = counts(s.port, 900)
    if balance == "round_robin":
        assert [got[a] for a in addrs] == [500, 300, 100]
    assert len(got) == 3


def test_health(sluice, peer):
    """health_check and health_interval where the servers are."""
    well = []
    a = peer(default=lambda c, r: respond(
        status=200 if well or r.target != "/up" else 500, body=b"a")(c, r))
    b = peer(default=respond(body=b"b"))
    s = sluice(f"""{LISTEN}
[route api]
path = /*
targets = {a.addr} {b.addr}
health_check = /up
health_interval = 1
health.fall = 1
health.rise = 1
health.timeout = 1s
slow_start = 0
""")
    s.wait_log(rf'server \\"{a.addr}\\" of \\"@api\\": up -> down')
    assert counts(s.port, 50) == {"b": 50}
    well.append(1)
    s.wait_log(rf'server \\"{a.addr}\\" of \\"@api\\": down -> up')
    assert set(counts(s.port, 200)) == {"a", "b"}


def test_reload(sluice):
    """A change of such a key is told, obeyed, and nothing else moves."""
    addrs = servers(sluice, 2)
    text = f"""{LISTEN}
[defaults route]
max_conns = 10
[route api]
path = /*
targets = {" ".join(addrs)}
balance = random
queue_timeout = 60s
"""
    s = sluice(text)
    assert upstream(s, "@api")["balance"] == "random"
    s.write(text.replace("60s", "1m"))
    assert s.ctl_json("reload", "--plan")["changes"] == []
    s.write(text.replace("= random", "= round_robin"))
    one, = s.ctl_json("reload", "--plan")["changes"]
    assert (one["section"], one["key"], one["old"], one["new"]) == (
        "route api", "balance", "random", "round_robin")
    s.reload()
    assert upstream(s, "@api")["balance"] == "round_robin"
    s.reload(text.replace("balance = random\n", ""))
    assert upstream(s, "@api")["balance"] == "two_choices"


def test_override(sluice):
    """From the command line and the environment, too."""
    addrs = servers(sluice, 2)
    s = sluice(f"""{LISTEN}
[route api]
path = /*
targets = {" ".join(addrs)}
balance = random
""", args=("--set", "route.api.balance=least_conn"))
    assert upstream(s, "@api")["balance"] == "least_conn"

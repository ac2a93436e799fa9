"""That tests on every version are: what the gateway sees of them."""
import pytest

from lib import http

pytestmark = pytest.mark.versions

CONF = """
[listener web]
bind = 127.0.0.1:@port@
[route all]
path = /*
respond = 200 ${version} ${scheme}
"""


def test_version(sluice, version):
    s = sluice(CONF)
    want = {"h1": "1.1 http", "h2c": "2.0 http", "h2": "2.0 https"}[version]
    assert http.get(s.port, "/").text == want
    with http.Client(s.port) as c:
        assert c.get("/").text == want


@pytest.mark.turns
@pytest.mark.parametrize("case", range(9))
def test_turns(version, case, request):
    """Each of nine meets h1 and one other, together all three."""
    met = [(i.callspec.params["case"], i.callspec.params["version"])
           for i in request.session.items
           if i.path == request.node.path and
           i.originalname == request.node.originalname]
    assert (case, version) in met and (case, "h1") in met
    assert [c for c, _ in met].count(case) == 2
    assert len(met) < 18 or len({v for _, v in met}) == 3

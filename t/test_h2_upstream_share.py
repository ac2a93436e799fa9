"""HTTP/2 to servers: who gets a place on a connection that many share,
and when; what becomes of those who wait for one."""
import pytest

from lib import http
from lib.h2peer import answer, quiet
from test_h2_upstream import h2peer, stat, start    # noqa: F401

__all__ = ["h2peer"]


# --- one at a time ---

@pytest.mark.parametrize("own,key", [(1, 100), (100, 1)])
def test_one_at_a_time(sluice, h2peer, own, key):
    """Such a connection is kept like any other."""
    p = h2peer(default=answer(), own=((3, own),))
    s = start(sluice, p, f"pool.streams = {key}")
    for _ in range(6):
        assert http.get(s.port, "/").status == 200
    assert p.connections == 1


def test_one_at_a_time_cancelled(sluice, h2peer):
    """Also when the only stream was one that the client left."""
    p = h2peer([answer(), quiet()], default=answer(), own=((3, 1),))
    s = start(sluice, p)
    assert http.get(s.port, "/").status == 200
    with http.Client(s.port) as c:
        c.send(http.request("GET", "/b"))
        p.wait_requests(2)
    p.conns[0].wait_reset(p.requests[1].sid)
    assert http.get(s.port, "/").status == 200
    assert p.connections == 1

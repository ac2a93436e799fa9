"""The key fallback of a route: whose it is follows from what answers."""
from lib import conf, http
from lib.peer import respond

HEAD = "[listener web]\nbind = 127.0.0.1:@port@\n"


def test_fallback_of_a_target(sluice, peer):
    """It is the upstream's."""
    dead, app = peer(), peer(default=respond(body=b"instead"))
    s = sluice(HEAD + f"[upstream other]\nserver = {app.addr}\n"
               f"[route all]\npath = /*\ntarget = {dead.addr}\n"
               "fallback = other\n")
    dead.stop()
    assert http.get(s.port, "/x").text == "instead"


def test_page_of_a_target(sluice, peer, tmp_path):
    dead = peer()
    page = tmp_path / "sorry.txt"
    page.write_text("sorry")
    s = sluice(HEAD + f"[route all]\npath = /*\ntargets = {dead.addr}\n"
               f"fallback = {page}\n")
    dead.stop()
    r = http.get(s.port, "/x")
    assert r.status == 503 and r.text == "sorry"


def test_fallback_beside_upstream(tmp_path):
    conf.write(str(tmp_path), HEAD.replace("@port@", "8080") + "[upstream u]\n"
               "server = 127.0.0.1:1\n[route all]\npath = /*\n"
               "upstream = u\nfallback = u2\n")
    assert conf.fails(str(tmp_path)) == ["E0112"]
    told = conf.test(str(tmp_path)).stderr
    assert '"fallback" belongs to [upstream u]' in told

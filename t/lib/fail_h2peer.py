"""The rows of the fail table that servers of HTTP/2 provoke."""
import tempfile

from lib import h2, tls
from lib.certs import Cert
from lib.fail_env import case, proxied
from lib.h2 import DATA, END_HEADERS, HEADERS, INTERNAL, block, frame
from lib.h2peer import H2Peer, frames, quiet, refuse, reset

CA = Cert("test ca", ca=True)
OK = block([(":status", "200"), ("content-length", "3")])


def asked(env, *script, more="", headers=(), **kw):
    """A request whose server answers so, once and for all."""
    p = env.stack.enter_context(H2Peer(list(script), **kw))
    env.start(proxied(f"h2c://{p.addr}", more="retry.on = off\n" + more))
    return env.ask(headers=headers)


@case
def stream_refused(env):
    return asked(env, refuse())


@case
def server_goaway(env):
    return asked(env, lambda c, r: c.goaway(0))


@case
def server_reset(env):
    return asked(env, reset(INTERNAL))


@case
def server_wants_h1(env):
    """One that cannot have it, without TLS."""
    return asked(env, reset(13))


@case
def ping_timeout(env):
    def step(c, r):
        c.pongs = False
    return asked(env, step, more="pool.ping = 100ms")


@case
def server_h2_protocol(env):
    return asked(env, frames(frame(DATA, 0, 0, b"x")))


@case
def server_flood(env):
    return asked(env, lambda c, r: c.say(h2.settings((3, 1)) * 200))


@case
def server_head_limit(env):
    """Known from the second request on, when SETTINGS have come."""
    p = env.stack.enter_context(H2Peer(own=((3, 100), (6, 2000))))
    env.start(proxied(f"h2c://{p.addr}", more="retry.on = off"))
    r, _ = env.ask()
    assert r.status == 200
    return env.ask(headers={"X-Large": "a" * 3000})


@case
def upgrade_on_h2(env):
    return asked(env, quiet(), headers={"Connection": "Upgrade",
                                        "Upgrade": "x"})


@case
def response_length_mismatch(env):
    return asked(env, frames(
        lambda n: frame(HEADERS, END_HEADERS, n, OK),
        lambda n: frame(DATA, 0, n, b"more")))


@case
def tls_upstream_no_h2(env):
    top = env.stack.enter_context(tempfile.TemporaryDirectory())
    p = env.peer(tls=tls.server(Cert("localhost", by=CA), top))
    env.start(proxied(f"h2://localhost:{p.port}",
                      more="tls.ca = @dir@/ca.pem"),
              files={"../ca.pem": CA.pem})
    return env.ask()

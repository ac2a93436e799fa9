"""Rows of the fail table that say what is wrong with a server and end no
request.  A case is a function of the row's name; it gives the address of
the server whose entry of sluicectl upstreams comes to have the row."""
from lib import net
from lib.fail_env import proxied
from lib.peer import respond

STATES = {}
PROBED = "health.path = /h\nhealth.interval = 100ms\nhealth.fall = 1\n"


def state(f):
    assert f.__name__ not in STATES
    STATES[f.__name__] = f
    return f


@state
def server_error(env):
    app = env.peer(default=respond(status=500))
    env.start(proxied(app.addr))
    assert env.ask()[0].status == 500
    return app.addr


@state
def probe_status(env):
    app = env.peer(default=respond(status=500))
    env.start(proxied(app.addr, more=PROBED))
    return app.addr


@state
def probe_body(env):
    app = env.peer(default=respond(body=b"no"))
    env.start(proxied(app.addr, more=PROBED + "health.body = ok\n"))
    return app.addr


@state
def probe_grpc(env):
    app = env.peer(default=respond())
    env.start(proxied(app.addr, more=PROBED + "health.type = grpc\n"))
    return app.addr


@state
def probe_websocket(env):
    app = env.peer(default=respond())
    env.start(proxied(app.addr, more=PROBED + "health.type = websocket\n"))
    return app.addr


def check(env, row):
    """It is why the server is what it is, or of its last failure."""
    addr = STATES[row](env)
    deadline = net.Deadline(f"a server with {row}")
    while True:
        s, = env.gate.ctl_json("upstreams", "app")["upstreams"][0]["servers"]
        last = s["last_failure"]
        if row in (s["why"], last and last["fail"]):
            break
        net.wait_fd(None, min(deadline.left(), 0.02))
    assert s["address"] == addr
    text = env.gate.ctl("why", row).stdout
    assert text.startswith(f"{row}: ")
    assert env.main.rows[row]["advice"] in text

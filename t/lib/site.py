"""Configs and checks that the process tests share."""
import os

from lib import http
from lib.load import Load

HELLO = b"hello, generation\n"
BIG = 8 << 20


def write(top):
    """A folder with a small and a big file."""
    www = os.path.join(top, "www")
    os.makedirs(www, exist_ok=True)
    os.chmod(www, 0o755)
    with open(os.path.join(www, "index.html"), "wb") as f:
        f.write(HELLO)
    with open(os.path.join(www, "big.bin"), "wb") as f:
        f.write(bytes(range(256)) * (BIG // 256))
    return www


CONF = """
[sluice]
workers = 2
drain.timeout = 5s
stop = 5s
[listener web]
bind = 127.0.0.1:@port@
[route hello]
path = /hello
respond = 200 hello
[route site]
path = /*
static = @dir@/www
"""


def proxied(addr):
    return CONF + f"""
[upstream app]
server = {addr}
[route api]
path = /api/*
upstream = app
"""


def good(response):
    return response.status == 200 and response.body in (
        HELLO, b"hello", b"from the server")


def load(port, target="/", conns=6, **kw):
    return Load(port, target, want=good, conns=conns, **kw)


def is_served(port):
    return http.get(port, "/").body == HELLO

"""Servers that are given by name: the gateway's configuration, the servers
of several addresses, and what is known of the names."""
import contextlib
import json

from lib import http, net
from lib.peer import Peer, respond

CONF = """
[sluice]
resolver = {dns}
{top}
[listener web]
bind = 127.0.0.1:@port@
[upstream app]
server = {server}
balance = round_robin
{more}
[route all]
path = /*
upstream = app
"""


def conf(name_server, server, more="", top=""):
    return CONF.format(dns=getattr(name_server, "addr", name_server),
                       server=server, more=more, top=top)


@contextlib.contextmanager
def peers(*hosts):
    """Servers on one port of several addresses, which say who they are."""
    port = net.free_port()
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Peer(
            host=h, port=port, default=respond(body=h.encode())))
            for h in hosts]


def names(s):
    return json.loads(http.get(s.control, "/v1/names").body)["names"]


def addresses(s, server):
    found = [n for n in names(s) if n["server"] == server]
    return [a["address"] for a in found[0]["addresses"]]


def who(s, n=4):
    """The servers of so many requests, each on a connection of its own."""
    return {http.get(s.port, "/").text for _ in range(n)}


def resolved(s, word="resolved", count=1):
    return s.wait_stderr(rf"server \".*\": {word}: ", count)

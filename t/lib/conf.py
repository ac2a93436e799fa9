"""Configurations for -t and -T: write, load, read what is in effect."""
import json
import os
import re

from lib import net
from lib.cmd import run

OK = """[listener web]
bind = 127.0.0.1:8080

[route all]
path = /*
respond = 200 ok
"""


def write(directory, text, name="sluice.conf"):
    """Writes text or bytes, with @dir@ replaced; returns the path."""
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if isinstance(text, str):
        text = text.replace("@dir@", directory).encode()
    with open(path, "wb") as f:
        f.write(text)
    return path


def test(directory, *args, env=None, file="sluice.conf"):
    return run("sluiced", "-t", "-c", file, *args, env=env, cwd=directory,
               seconds=net.WAIT)


def loads(directory, *args, env=None, file="sluice.conf", warns=False):
    """It must load, and without a warning unless warns."""
    done = test(directory, "-W", *args, env=env, file=file)
    assert done.returncode == (3 if warns else 0), done.stderr
    return done.stderr


def fails(directory, *args, env=None, file="sluice.conf", code=1):
    """Ids of what -t says of a configuration that must not load."""
    done = test(directory, *args, env=env, file=file)
    assert done.returncode == code, done.stderr
    return re.findall(r"(?:error|warning|notice)\[(\w+)\]", done.stderr)


class Value:
    def __init__(self, text, origin):
        self.text, self.origin = text, origin

    def __repr__(self):
        return f"{self.text!r} from {self.origin}"


def parse(dump):
    """{section: {key: [Value ...]}} of what -T or --dump-set printed."""
    out, sect, origin = {}, None, None
    for line in dump.split("\n"):
        if line.startswith("["):
            sect = out.setdefault(line[1:-1], {})
        elif line.startswith("# "):
            origin = line[2:]
        elif line:
            key, _, val = line.partition(" = ")
            if val[:1] == '"' and val[-1:] == '"' and len(val) > 1:
                val = val[1:-1]
            sect.setdefault(key, []).append(Value(val, origin))
            origin = None
    return out


def dump(directory, *args, env=None, file="sluice.conf", how="-T"):
    done = run("sluiced", how, "-c", file, *args, env=env, cwd=directory,
               seconds=net.WAIT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def effective(directory, *args, **kw):
    return parse(dump(directory, *args, **kw))


def value(directory, section, key, *args, **kw):
    """The values of a key as texts, with the origin of the last."""
    found = effective(directory, *args, **kw)[section].get(key, [])
    return [v.text for v in found], found[-1].origin if found else None


def schema():
    """{type: section} with each section's keys as a list of rows."""
    done = run("sluiced", "--dump-schema")
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout)
    assert whole["v"] == 1
    return {s["type"]: s for s in whole["sections"]}

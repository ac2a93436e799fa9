"""The cases of t/corpus (see its README) as Python objects."""
import glob
import os
import re
from dataclasses import dataclass, field

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                   "corpus", "h1")
CASE = re.compile(r"^## (.*)\n+```http ?(.*)\n((?:.*\n)*?)```\n"
                  r"```events\n((?:.*\n)*?)```$", re.M)
REPEAT = re.compile(rb"\\\{(\d+)\*((?:[^}\\]|\\.)*)\}", re.S)
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.S)
PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}


@dataclass
class Message:
    """What a reader must make of one message."""
    first: str                                  # "GET / 1.1"
    authority: str = ""
    fields: list = field(default_factory=list)  # (lower-case name, value)
    flags: set = field(default_factory=set)
    body: str = ""
    data: str = ""
    trailers: list = field(default_factory=list)
    ended: bool = False

    @property
    def method(self):
        return self.first.split(" ")[0]

    @property
    def target(self):
        return plain(self.first.partition(" ")[2].rpartition(" ")[0])

    @property
    def minor(self):
        return self.first.rpartition(".")[2]


@dataclass
class Case:
    name: str
    file: str
    words: list
    data: bytes
    events: list

    @property
    def id(self):
        return f"{self.file}-{self.name}".replace(" ", "_")

    @property
    def fail(self):
        last = self.events[-1].split(" ")
        return last[1] if last[0] == "fail" else None

    @property
    def cut(self):
        return self.events[-1] == "more"

    @property
    def messages(self):
        out = []
        for event in self.events:
            word, _, rest = event.partition(" ")
            if word in ("request", "response"):
                out.append(Message(rest))
            elif word in ("fail", "more"):
                break
            elif word in ("field", "trailer"):
                name, _, value = rest.partition(": ")
                to = out[-1].fields if word == "field" else out[-1].trailers
                to.append((name.lower().rstrip(":"), plain(value)))
            elif word == "flags":
                out[-1].flags = set(rest.split(" "))
            elif word == "end":
                out[-1].ended = True
            else:
                setattr(out[-1], word, plain(rest))
        return out


def unescape(text):
    def one(m):
        return bytes([int(m.group(1), 16)]) if m.group(1) \
            else PLAIN[m.group(2)]

    def many(m):
        return int(m.group(1)) * m.group(2)

    return ESCAPE.sub(one, REPEAT.sub(many, text.encode("latin-1")))


def plain(text):
    return unescape(text).decode("latin-1")


def same(text, shown):
    """Whether a text is what an event shows of it."""
    m = re.fullmatch(r"\((\d+) bytes\)", shown)
    return len(text) == int(m.group(1)) if m else text == shown


def load(pattern):
    out = []
    for path in sorted(glob.glob(os.path.join(TOP, pattern + ".md"))):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        cases = [Case(m.group(1), os.path.basename(path)[:-3],
                      m.group(2).split(), unescape(m.group(3).replace(
                          "\n", "")), m.group(4).strip("\n").split("\n"))
                 for m in CASE.finditer(text)]
        assert len(cases) == text.count("\n## "), path
        out += cases
    assert out, pattern
    return out

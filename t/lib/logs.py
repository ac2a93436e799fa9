"""The files of a log while the logger rotates and compresses them."""
import gzip
import os

from . import net


def names(s):
    top = os.path.join(s.dir, "log")
    return sorted(os.listdir(top)) if os.path.isdir(top) else []


def read(s, name):
    path = os.path.join(s.dir, "log", name)
    with (gzip.open if name.endswith(".gz") else open)(path, "rb") as f:
        return f.read().decode()


def lines(s, is_wanted=lambda name: True):
    """Of the files that are wanted; a plain one whose .gz is there, too,
    counts once.  Files that changed their names meanwhile are read anew."""
    deadline = net.Deadline("the log's files stay as they are")
    while deadline.left():
        have, out = names(s), []
        try:
            for name in have:
                if is_wanted(name) and not name.endswith(".tmp") and \
                        name + ".gz" not in have:
                    out += read(s, name).splitlines()
        except FileNotFoundError:
            continue
        if names(s) == have:
            return out

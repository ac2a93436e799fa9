"""Writes the index of the Makefile anew: SRCS, one line per source.

usage: index.py

Run it from the top of the tree after adding, renaming or removing a
source.  A file goes to the group of its folder; os/ev_X.c to the event
file X, os/*_linux.c and os/*_other.c to the files of that system.

The names of modules that lines of the log have, src/core/module.tbl, are
made with it.
"""
import glob
import os
import re
import sys


def group(path):
    parts, name = path.split("/"), os.path.basename(path)
    if len(parts) == 2:
        return "REGISTRY"
    m = re.match(r"ev_(epoll|kqueue)\.c$", name)
    if parts[1] == "os" and m:
        return f"EV_{m.group(1)}"
    m = re.search(r"_(linux|other)\.c$", name)
    if parts[1] == "os" and m:
        return f"SYS_{m.group(1)}"
    return parts[1].upper()


def modules():
    """src/core/module.tbl: stems up to the first underscore."""
    names = {re.split("[_.]", os.path.basename(p))[0]
             for p in glob.glob("src/**/*.c", recursive=True)
             if not p.startswith("src/base/")}
    return ("/*\n * Modules, as the lines of the log name them: MODULE("
            "name).  Written by\n * t/lint/index.py.\n */\n" +
            "".join(f'MODULE("{n}")\n' for n in sorted(names)))


def main():
    groups = {}
    for path in sorted(glob.glob("src/**/*.c", recursive=True)):
        groups.setdefault(group(path), []).append(path)
    with open("Makefile", encoding="utf-8") as f:
        text = f.read()

    def block(m):
        files = groups.pop(m.group(1), [])
        return f"SRCS_{m.group(1)} =" + "".join(
            f" \\\n\t{p}" for p in files) + "\n"

    text = re.sub(r"^SRCS_(\w+) =(?: \\\n\tsrc/\S+)*\n", block, text,
                  flags=re.M)
    for name, files in groups.items():
        print(f"no SRCS_{name} in the Makefile for {files}")
    with open("Makefile", "w", encoding="utf-8") as f:
        f.write(text)
    with open("src/core/module.tbl", "w", encoding="utf-8") as f:
        f.write(modules())
    return 1 if groups else 0


if __name__ == "__main__":
    sys.exit(main())

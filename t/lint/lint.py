"""House rules as code: floors, sizes, names, globals, contracts.

usage: lint.py [-s] [RULE ...]

Run it from the top of the tree.  -s prints how large things are.  What
t/lint/exempt lists is let through; a line there that excuses nothing is a
finding itself.  Prints findings as file:line: rule: what, then the count
of rules that passed and failed; exits 1 when one failed.
"""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import rules                                    # noqa: E402
from csrc import Source                         # noqa: E402

TEXT = (".c", ".h", ".tbl", ".steps", ".py", ".sh", ".md", ".conf", ".1",
        ".5", ".7", ".8")
PLAIN = ("README", "Makefile", "configure", "run", "COPYING")


class Tree:
    def __init__(self):
        self.sources = []
        self.text = {}
        self.exemptions = {}
        self.used = set()
        for top in ("src", "t", "man", "etc", "contrib", ".ci", "."):
            for path in sorted(walk(top)):
                self._read(path)
        lines = sum(len(s.lines) for s in self.sources)
        self.kloc = lines / 1000
        self._read_exemptions("t/lint/exempt")

    def _read(self, path):
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
        self.text[path] = text.split("\n")
        if path.startswith("src/") and path.endswith((".c", ".h")):
            self.sources.append(Source(path, text))

    def _read_exemptions(self, path):
        with open(path, encoding="utf-8") as f:
            for n, line in enumerate(f, 1):
                words = line.split(None, 2)
                if not words or words[0].startswith("#"):
                    continue
                if len(words) < 3:
                    sys.exit(f"{path}:{n}: RULE FILE[:NAME] REASON")
                self.exemptions[(words[0], words[1])] = n

    def exempt(self, rule, path, what):
        """FILE excuses all of a file, FILE:NAME what names NAME."""
        for (r, where), n in self.exemptions.items():
            name = where[len(path) + 1:] if where.startswith(path + ":") \
                else None
            if r == rule and (where == path or (name and name in what)):
                self.used.add(n)
                return True
        return False


def walk(top):
    if top == ".":
        yield from (p for p in PLAIN if os.path.isfile(p))
        return
    for root, dirs, files in os.walk(top):
        dirs[:] = [d for d in dirs if d != "__pycache__"]
        for name in files:
            if name.endswith(TEXT) or name in PLAIN:
                yield os.path.join(root, name)


def sizes(tree):
    def row(what, values):
        values = sorted(values) or [0]
        print(f"{what}: {len(values)}, median {values[len(values) // 2]}, "
              f"p90 {values[len(values) * 9 // 10]}, max {values[-1]}")
    row("lines of a .c", [len(s.lines) for s in tree.sources
                          if s.path.endswith(".c")])
    row("lines of a function", [f.last - f.first + 1 for s in tree.sources
                                for f in s.funcs])
    total = code = 0
    for s in tree.sources:
        full = [ln for ln in s.lines if ln.strip()]
        total += len(full)
        code += sum(1 for ln in s.blanked.split("\n") if ln.strip())
    print(f"comments: {100 * (total - code) / max(total, 1):.0f} % of "
          f"{total} lines")
    tests = subprocess.run(
        "cat t/*.py t/*/*.py t/*/*.c 2>/dev/null | wc -l", shell=True,
        stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    print(f"tests: {tests} lines, "
          f"{int(tests) / max(tree.kloc * 1000, 1):.2f} of src")


def main():
    args = sys.argv[1:]
    tree = Tree()
    if "-s" in args:
        sizes(tree)
        args.remove("-s")
    passed = failed = 0
    for rule in rules.ALL:
        name = rule.__name__
        if args and name not in args:
            continue
        found = [f for f in rule(tree)
                 if not tree.exempt(name, f[0], f[2])]
        for path, line, what in found:
            print(f"{path}:{line}: {name}: {what}")
        passed, failed = passed + (not found), failed + bool(found)
    if not args:
        stale = {n: k for k, n in tree.exemptions.items()
                 if n not in tree.used}
        for n, (rule, where) in sorted(stale.items()):
            print(f"t/lint/exempt:{n}: excuses nothing: {rule} {where}")
        passed, failed = passed + (not stale), failed + bool(stale)
    print(f"rules: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

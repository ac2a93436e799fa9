"""Reads C in house style (KNF) well enough to measure it."""
import re
from collections import namedtuple

# first: line of the name; last: line of the closing brace; body: lines
Func = namedtuple("Func", "name params first last")

TOKEN = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def blank(text, keep_strings=False):
    """The text with comments (and strings) as blanks; lines stay lines."""
    def hide(m):
        s = m.group(0)
        if s[0] in "\"'":
            if keep_strings:
                return s
            return s[0] + " " * (len(s) - 2) + s[0]
        return re.sub(r"[^\n]", " ", s)
    return TOKEN.sub(hide, text)


def drop_directives(code):
    """Preprocessor lines, with their continuations, as blanks."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
                  lambda m: re.sub(r"[^\n]", " ", m.group(0)), code,
                  flags=re.M)


def matching(code, at):
    """Index of the bracket that closes the one at `at`, or -1."""
    depth = 0
    for i in range(at, len(code)):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
            if depth == 0:
                return i
    return -1


def split_args(text):
    """What stands between the commas of the outermost level."""
    out, depth, cur = [], 0, ""
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            out.append(cur)
            cur = ""
        else:
            cur += c
    out.append(cur)
    return [a.strip() for a in out if a.strip() not in ("", "void")]


class Source:
    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        if self.lines and self.lines[-1] == "":
            self.lines.pop()
        self.blanked = blank(text)
        self.code = drop_directives(self.blanked)
        self.includes = [
            (text.count("\n", 0, m.start()) + 1, m.group(1)) for m in
            re.finditer(r'^#\s*include\s+([<"][^>"\n]+[>"])',
                        blank(text, keep_strings=True), re.M)]
        self.funcs = list(self._functions())

    def line_of(self, at):
        return self.text.count("\n", 0, at) + 1

    def _functions(self):
        for m in re.finditer(r"^([A-Za-z_]\w*)\(", self.code, re.M):
            close = matching(self.code, m.end() - 1)
            if close < 0:
                continue
            after = re.match(r"\s*\{", self.code[close + 1:])
            if not after:
                continue
            end = matching(self.code, close + after.end())
            if end < 0:
                continue
            yield Func(m.group(1), split_args(self.code[m.end():close]),
                       self.line_of(m.start()), self.line_of(end))

    def body(self, f):
        """(line number, code) of the lines between the braces."""
        code = self.code.split("\n")
        return [(n, code[n - 1]) for n in range(f.first + 1, f.last)]

    def top_level(self):
        """(line, declaration up to its '=' or ';') outside of functions."""
        code, at, n = self.code, 0, len(self.code)
        while at < n:
            start = at
            while at < n and code[at] not in ";={":
                if code[at] == "(":
                    at = matching(code, at)
                    if at < 0:
                        return
                at += 1
            head = code[start:at]
            lead = len(head) - len(head.lstrip())
            first = self.line_of(start + lead)
            if at < n and code[at] == "{":
                end = matching(code, at)
                if end < 0:
                    return
                is_func = head.rstrip().endswith(")") and "=" not in head
                at = end + 1
                if is_func:
                    continue
                # struct, union or enum: a declarator may follow
                semi = code.find(";", at)
                if semi < 0:
                    return
                tail = code[at:semi].split("=")[0]
                at = semi + 1
                yield first, head.strip() + " {} " + tail.strip()
                continue
            if at < n and code[at] == "=":
                while at < n and code[at] != ";":
                    if code[at] in "({[":
                        at = matching(code, at)
                        if at < 0:
                            return
                    at += 1
                yield first, head.strip() + " ="
            elif head.strip():
                yield first, head.strip()
            at += 1

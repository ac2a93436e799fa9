"""The rules.  Each is a function from the tree to findings."""
import os
import re

from csrc import TOKEN, matching, split_args
from index import modules

FLOORS = {
    "base": 0, "os": 1, "conf": 1, "io": 2, "http": 3, "codec": 4,
    "tls": 4,
    "core": 5, "up": 5, "filter": 6, "handler": 6, "cache": 6, "auth": 6,
    "store": 6, "tunnel": 7, "control": 7, "main": 8, "cli": 8,
    "registry": 9,
}
# edges within a floor
SIDEWAYS = {("conf", "os"), ("up", "core"), ("filter", "cache"),
            ("filter", "auth"), ("filter", "store"), ("main", "registry"),
            ("cli", "registry")}
HEADERS_ANYWHERE = {"config.h"}

BANNED = {
    "strcpy": "str or text", "strcat": "text", "sprintf": "snprintf or text",
    "vsprintf": "vsnprintf", "strtok": "str_cut", "atoi": "str_u64",
    "atol": "str_u64", "gets": "a bounded read", "alloca": "an arena",
    "system": "posix_spawn", "popen": "posix_spawn",
}
ALLOCATORS = {"malloc", "calloc", "realloc", "strdup", "strndup", "asprintf",
              "vasprintf"}
NETWORK = {"io", "http", "codec", "core", "up", "filter", "handler", "cache",
           "tunnel"}
# verbs that say all: their contract is in style and in the struct
PLAIN_VERBS = {"init", "fini", "new", "free", "ref", "unref", "close", "del",
               "add", "is", "name"}


def folder(path):
    """src/up/pool.c is of up; src/registry.c of registry."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else "registry"


def short(path):
    return path[len("src/"):]


def floors(tree):
    for s in tree.sources:
        own = folder(s.path)
        if own not in FLOORS:
            yield s.path, 1, f"{own}/ is no floor"
            continue
        for line, inc in s.includes:
            if inc[0] == "<" or inc[1:-1] in HEADERS_ANYWHERE:
                continue
            name = inc[1:-1]
            to = name.split("/")[0] if "/" in name else "registry"
            if not os.path.exists(os.path.join("src", name)):
                yield s.path, line, f"{inc}: write it as \"folder/file.h\""
            elif name.endswith("/int.h") and to != own:
                yield s.path, line, f"{inc} is private to {to}/"
            elif to == own or (own, to) in SIDEWAYS:
                continue
            elif FLOORS.get(to, 99) >= FLOORS[own]:
                yield s.path, line, (
                    f"{own}/ (floor {FLOORS[own]}) includes {inc} "
                    f"(floor {FLOORS.get(to, '?')})")


def own_header(tree):
    for s in tree.sources:
        head = short(s.path)[:-2] + ".h"
        if not s.path.endswith(".c") or not s.includes:
            continue
        if os.path.exists("src/" + head) and \
                s.includes[0][1] not in (f'"{head}"', '"config.h"'):
            yield s.path, s.includes[0][0], f'include "{head}" first'


def file_size(tree):
    for s in tree.sources:
        limit = 200 if s.path.endswith(".h") else 800
        if len(s.lines) > limit:
            yield s.path, limit, f"{len(s.lines)} lines, at most {limit}"


def function_size(tree):
    for s in tree.sources:
        for f in s.funcs:
            n = f.last - f.first + 1
            if n > 80:
                yield s.path, f.first, f"{f.name}: {n} lines, at most 80"


def counted(params):
    """Parameters without the `...` of a printf."""
    return len([p for p in params if p.strip() != "..."])


def parameters(tree):
    for s in tree.sources:
        for f in s.funcs:
            n = counted(f.params)
            if n > 6:
                yield s.path, f.first, f"{f.name}: {n} parameters, at most 6"


def nesting(tree):
    """Statements lie at most three blocks deep: four tabs, six in cases."""
    for s in tree.sources:
        for f in s.funcs:
            depth = brackets = 0
            for line, code in s.body(f):
                tabs = len(code) - len(code.lstrip("\t"))
                is_stmt = brackets == 0 and code.strip() and \
                    code[tabs:tabs + 1] != " "
                if is_stmt and tabs > depth:
                    depth, where = tabs, line
                brackets += _open_initializers(code)
            if depth > 4:
                yield s.path, where, f"{f.name}: {depth - 1} deep, at most 3"


def _open_initializers(code):
    """Change of depth in (), [] and the braces of initializers."""
    n = 0
    for m in re.finditer(r"[()\[\]]", code):
        n += 1 if m.group(0) in "([" else -1
    return n


def width(tree):
    for path, lines in tree.text.items():
        if not re.search(r"\.(c|h|tbl|steps|py|sh)$", path):
            continue
        for n, line in enumerate(lines, 1):
            # a row of a table is one line, its text stands at the end
            most = 120 if path.endswith((".tbl", ".steps")) else 80
            if len(line.expandtabs(8)) > most:
                yield path, n, f"{len(line.expandtabs(8))} columns"


def blanks(tree):
    for path, lines in tree.text.items():
        for n, line in enumerate(lines, 1):
            if line != line.rstrip() and "/corpus/" not in path:
                yield path, n, "blanks at the end of the line"
            if re.match(r" {8}", line) and re.search(r"\.[ch]$", path):
                yield path, n, "indent by tabs"


def names(tree):
    for s in tree.sources:
        found = [(f.first, f.name) for f in s.funcs]
        for m in re.finditer(r"\b(?:struct|enum|union)\s+(\w+)\s*\{", s.code):
            found.append((s.line_of(m.start()), m.group(1)))
        for m in re.finditer(r"^#\s*define\s+(\w+)", s.text, re.M):
            found.append((s.line_of(m.start()), m.group(1)))
        for line, name in found:
            if len(name) > 28:
                yield s.path, line, f"{name}: {len(name)} characters"


def global_vars(tree):
    found = []
    for s in tree.sources:
        for line, decl in s.top_level():
            if _is_mutable(decl):
                found.append((s.path, line, decl))
        for f in s.funcs:
            for line, code in s.body(f):
                if re.match(r"\t+(static|_Thread_local)\b", code) and \
                        _is_mutable(code.split("=")[0].strip(" ;\t") + " ="):
                    found.append((s.path, line, code.strip()))
    found = [f for f in found if not tree.exempt("global_vars", f[0], f[2])]
    budget = 2 + 0.3 * tree.kloc
    if len(found) > budget:
        for path, line, decl in found:
            yield path, line, (
                f"mutable global ({len(found)}, at most {budget:.1f}): "
                + " ".join(decl.split())[:50])


def _is_mutable(decl):
    """A declaration at file scope that makes something writable."""
    d = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", decl, flags=re.S)
    d = re.sub(r"\[[^\]]*\]", "", d.split("=")[0]).strip()
    if re.match(r"(typedef|extern|_Static_assert)\b", d):
        return False
    if d.endswith("{}") or re.match(r"(struct|union|enum)\s+\w+$", d):
        return False
    paren = re.search(r"\(\s*(\S)", d)
    if paren:       # a prototype, or a pointer to a function
        return paren.group(1) == "*" and \
            not re.match(r"\(\s*\*\s*const\b", d[paren.start():])
    return not re.search(r"\bconst\b", d[d.rfind("*") + 1:])


def banned(tree):
    for s in tree.sources:
        own = folder(s.path)
        for m in re.finditer(r"(?<![\w.>])([a-z]\w*)\s*\(", s.code):
            name, line = m.group(1), s.line_of(m.start())
            if name in BANNED:
                yield s.path, line, f"{name}(): use {BANNED[name]}"
            elif name in ALLOCATORS and own != "base":
                yield s.path, line, f"{name}(): use must_alloc or an arena"
            elif name == "strlen" and own in NETWORK:
                yield s.path, line, "strlen(): slices carry their length"


def prototypes(s):
    """(line, name) of the functions that a header declares."""
    for m in re.finditer(r"^(?!typedef|static|#|\s|extern)[^;{}()=]*?"
                         r"\b(\w+)\(", s.code, re.M):
        close = matching(s.code, m.end() - 1)
        rest = s.code[close + 1:]
        attr = re.match(r"\s*(__attribute__\s*\(\(.*?\)\)\s*)*;", rest, re.S)
        if close > 0 and attr and m.group(1) != "_Static_assert":
            yield s.line_of(m.start(1)), m.group(1)


def contracts(tree):
    """Above a public function, or above its run of lines, stands why."""
    for s in tree.sources:
        if not s.path.endswith(".h"):
            continue
        for line, name in prototypes(s):
            n = line - 1
            while n > 0 and s.lines[n - 1].strip() and \
                    "*/" not in s.lines[n - 1]:
                n -= 1
            has = n > 0 and "*/" in s.lines[n - 1]
            if not has and not PLAIN_VERBS & set(name.split("_")[1:]):
                yield s.path, line, f"{name}: no contract above it"


def file_comment(tree):
    for s in tree.sources:
        if not s.text.startswith("/*\n * "):
            yield s.path, 1, "begins without a comment that says what it is"


def guards(tree):
    for s in tree.sources:
        if not s.path.endswith(".h"):
            continue
        want = "SL_" + re.sub(r"\W", "_", short(s.path)).upper()
        if "/h1/h1" in s.path or "/h2/h2" in s.path:
            want = want.replace("H1_H1", "H1").replace("H2_H2", "H2")
        code = re.sub(r"\s+", " ", s.blanked).strip()
        if not code.startswith(f"#ifndef {want} #define {want} ") or \
                not code.endswith("#endif"):
            yield s.path, 1, f"guard {want} is missing"


def typedefs(tree):
    for s in tree.sources:
        for m in re.finditer(r"^\s*typedef\b([^;{]*)[;{]", s.code, re.M):
            if "(" not in m.group(1):
                yield s.path, s.line_of(m.start(1)), (
                    "typedef is for function types")


def labels(tree):
    for s in tree.sources:
        for f in s.funcs:
            for line, code in s.body(f):
                m = re.match(r"\s*(\w+):(?!:)\s*$", code)
                if m and m.group(1) not in ("out", "default"):
                    yield s.path, line, f"label {m.group(1)}: only out"


def conditionals(tree):
    for s in tree.sources:
        if folder(s.path) in ("os", "codec", "io"):
            continue
        for m in re.finditer(r"^\s*#\s*(if|elif).*\bHAVE_", s.text, re.M):
            yield s.path, s.line_of(m.start()), (
                "#if HAVE_ belongs to os/, io/ and codec/")


# an assignment or a call, alone on its line
CODE = re.compile(r"[\w.>\[\]-]+ [|&+-]?= [^=].*;|\w+\([^ ]?.*\);")


def comments(tree):
    for s in tree.sources:
        for m in TOKEN.finditer(s.text):
            line = s.line_of(m.start())
            if m.group(0).startswith("//"):
                yield s.path, line, "comments are /* */"
            if m.group(0)[0] != "/":
                continue
            for n, text in enumerate(m.group(0).split("\n"), line):
                if re.search(r"\b(TODO|FIXME|XXX)\b", text):
                    yield s.path, n, "no notes to self"
                if CODE.fullmatch(text.strip("/* \t")):
                    yield s.path, n, "code in a comment"


# built of parts, so that this file passes
WORDS = re.compile(
    r"\bissues? #?\d+|(?<![\w&])#\d{1,5}\b(?=.*\b(fix|clos|issue|PR))"
    r"|(fix(es|ed)?|closes?) #\d+|\b(this|previous|next|last) "
    r"session\b|/work" + r"/|/root" + r"/|/home" + r"/\w+/", re.I)


def words(tree):
    """The text speaks of the project alone."""
    for path, lines in tree.text.items():
        for n, line in enumerate(lines, 1):
            m = WORDS.search(line)
            if m and "/corpus/" not in path:
                yield path, n, f"\"{m.group(0)}\" is not about sluice"


def index(tree):
    """SRCS of the Makefile names every source, once."""
    with open("Makefile", encoding="utf-8") as f:
        listed = re.findall(r"^\t(src/\S+\.c)\b", f.read(), re.M)
    have = {s.path for s in tree.sources if s.path.endswith(".c")}
    for path in sorted(have - set(listed)):
        yield "Makefile", 1, f"{path} is not in SRCS"
    for path in sorted(set(listed) - have):
        yield "Makefile", 1, f"{path} is in SRCS but not there"
    for path in sorted({p for p in listed if listed.count(p) > 1}):
        yield "Makefile", 1, f"{path} is in SRCS twice"
    with open("src/core/module.tbl", encoding="utf-8") as f:
        if f.read() != modules():
            yield "src/core/module.tbl", 1, "run t/lint/index.py"


def prototype_params(tree):
    for s in tree.sources:
        if not s.path.endswith(".h"):
            continue
        for line, name in prototypes(s):
            at = s.code.find(name + "(") + len(name)
            n = counted(split_args(s.code[at + 1:matching(s.code, at)]))
            if n > 6:
                yield s.path, line, f"{name}: {n} parameters, at most 6"


ALL = [floors, own_header, file_size, function_size, parameters,
       prototype_params, nesting, width, blanks, names,
       global_vars, banned, contracts, file_comment, guards, typedefs,
       labels, conditionals, comments, words, index]

"""What a configuration may look like: files, lines, values, overrides."""
import json
import os

import pytest

from lib import conf, http
from lib.conf import OK, effective, fails, loads, value, write

WEB = "[listener web]\nbind = 127.0.0.1:8080\n"


def site(text):
    return f"{WEB}[route all]\npath = /*\nrespond = {text}\n"


def answer(tmp, *args, **kw):
    """The one respond of route all as -T shows it."""
    texts, _ = value(tmp, "route all", "respond", *args, **kw)
    assert len(texts) == 1
    return texts[0]


def diag(tmp, **kw):
    done = conf.test(tmp, "--json", **kw)
    return json.loads(done.stdout)["diagnostics"]


# --- bytes and lines ---

@pytest.mark.parametrize("n", [199, 200, 201, 4096, 8192, 65536 - 4])
def test_long_values_arrive_whole(tmp, n):
    text = "200 " + "0123456789abcdef" * (n // 16 + 1)
    write(tmp, site(text[:n + 4]))
    loads(tmp)
    assert answer(tmp) == text[:n + 4]


def test_long_value_over_many_lines(tmp):
    words = [f"word{i}" for i in range(2000)]
    write(tmp, site("200\n" + "\n".join("  " + w for w in words)))
    assert answer(tmp) == "200 " + " ".join(words)


def test_long_list(tmp):
    words = [f"h{i}.example.com" for i in range(500)]
    write(tmp, OK + "host = " + " ".join(words) + "\n")
    loads(tmp)
    assert value(tmp, "route all", "host")[0] == [" ".join(words)]


@pytest.mark.parametrize("name", ["a", "0", "_", "-", "a-b_c9", "n" * 63])
def test_names(tmp, name):
    write(tmp, OK + f"\n[route {name}]\npath = /n\nrespond = 200 named\n")
    loads(tmp)
    assert f"route {name}" in effective(tmp)


@pytest.mark.parametrize("name", ["n" * 64, "A", "a.b", "a b", "é", "a/b"])
def test_names_that_are_none(tmp, name):
    write(tmp, OK + f"\n[route {name}]\npath = /n\nrespond = 200 named\n")
    assert fails(tmp) == ["E0104"]


def test_blanks_of_a_header_mean_nothing(tmp):
    write(tmp, OK.replace("[route all]", "[ route \t all ]  "))
    loads(tmp)
    assert "route all" in effective(tmp)


def test_key_names_of_200_bytes_are_told_whole(tmp):
    key = "k" * 200
    write(tmp, OK + f"{key} = 1\n")
    (d,) = diag(tmp)
    assert d["id"] == "E0102" and d["key"] == key


def test_empty_sections(tmp):
    write(tmp, OK + "\n[log]\n\n[limits]\n[board]\n[defaults route]\n")
    loads(tmp)
    for text, code in (("[route x]\n", "E0230"), ("[listener x]\n", "E0111"),
                       ("[upstream x]\n", "E0220")):
        write(tmp, OK + text)
        assert fails(tmp) == [code], text


def test_empty_file_has_nothing_that_accepts(tmp):
    write(tmp, "")
    done = conf.test(tmp)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", [
    OK.replace("\n", "\r\n"),
    OK.replace("\n\n", "\r\n\r\n"),
    "\ufeff" + OK,
    "\ufeff" + OK.replace("\n", "\r\n"),
    OK.rstrip("\n"),
    "\n\n \t\n# x\n;y\n  # z\n" + OK + "\t; end",
    OK.replace(" = ", "="),
    OK.replace(" = ", " \t =\t "),
], ids=["crlf", "mixed", "bom", "bom-crlf", "no-lf", "comments", "tight",
        "wide"])
def test_forms_of_a_file(tmp, text):
    write(tmp, text)
    loads(tmp)
    assert answer(tmp) == "200 ok"
    assert value(tmp, "route all", "path")[0] == ["/*"]


def test_bom_of_an_included_file(tmp):
    write(tmp, "[sluice]\ninclude = a.conf\n")
    write(tmp, "\ufeff" + OK, "a.conf")
    loads(tmp)
    assert answer(tmp) == "200 ok"


@pytest.mark.parametrize("line", [" max_body = 3k", "\tmax_body=3k",
                                  " [log]", "\t[route x]", " [ route\tx ]"])
def test_an_indented_line_goes_on_with_the_value_and_warns(tmp, line):
    write(tmp, OK + line + "\n")
    assert "warning[W0310]" in loads(tmp, warns=True)
    assert answer(tmp) == "200 ok " + line.strip()


def test_bom_elsewhere_is_no_blank(tmp):
    write(tmp, WEB + "\ufeff[route all]\npath = /*\n")
    assert "E0101" in fails(tmp)


@pytest.mark.parametrize("text,id_,line,col", [
    (b"[log]\naccess = o\0n\n[x y]\n", "E0010", 2, 11),
    (b"\0", "E0010", 1, 1),
    (b"[log]\naccess = on\rlevel = info\n", "E0011", 2, 12),
    (b"[log]\raccess = on\r", "E0011", 1, 6),
    (b"[log]\naccess = on\r", "E0011", 2, 12),
    (b"[log]\naccess = on\r\r\n", "E0011", 2, 12),
])
def test_bytes_that_are_no_text(tmp, text, id_, line, col):
    write(tmp, text)
    found = diag(tmp)
    assert (found[0]["id"], found[0]["line"], found[0]["col"]) == \
        (id_, line, col)


def test_a_file_in_utf16(tmp):
    write(tmp, OK.encode("utf-16"))
    assert "E0010" in fails(tmp)


# --- values ---

@pytest.mark.parametrize("text,want", [
    ("200 a ; b#c", "200 a ; b#c"),
    ('"200 a  b"', "200 a  b"),
    ('"200 ;a # $x ${env:HOME} $$ "', "200 ;a # $x ${env:HOME} $$ "),
    ('200 "a" b', '200 "a" b'),
    ('200 a = b', "200 a = b"),
    ("200 $$ $$$$", "200 $ $$"),
    ("200 a\n\tb\n  c", "200 a b c"),
    ("200 a\n\t# no\n\n\tb", "200 a b"),
    ('"200 a\n  b "', "200 a b "),
    ("200 \\n \\", "200 \\n \\"),
    ("200 grüße", "200 grüße"),
])
def test_values(tmp, text, want):
    write(tmp, site(text))
    loads(tmp)
    assert answer(tmp) == want


def test_what_looks_like_a_comment_is_kept_and_warns(tmp):
    write(tmp, site("200 a ; b # c"))
    assert "warning[W0313]" in loads(tmp, warns=True)
    assert answer(tmp) == "200 a ; b # c"


@pytest.mark.parametrize("text,env,want", [
    ("200 ${env:SL_T}", {"SL_T": "v"}, "200 v"),
    ("200 ${env:SL_T:-x}", {"SL_T": "v"}, "200 v"),
    ("200 ${env:SL_T:-x y}", {}, "200 x y"),
    ("200 ${env:SL_T:-x}", {"SL_T": ""}, "200 x"),
    ("200 a${env:SL_T:-}b", {}, "200 ab"),
    ("200 a${env:SL_T}b", {"SL_T": ""}, "200 ab"),
    ("200 ${env:SL_T}${env:SL_U}", {"SL_T": "$$ ${env:SL_U}", "SL_U": "u"},
     "200 $$ ${env:SL_U}u"),
    ("${env:SL_T:-200 ok}", {}, "200 ok"),
    ("200 $${env:SL_T}", {"SL_T": "v"}, "200 ${env:SL_T}"),
])
def test_expansions_of_the_environment(tmp, text, env, want):
    write(tmp, site(text))
    loads(tmp, env=env)
    assert answer(tmp, env=env) == want


def test_expansion_of_a_file(tmp):
    os.mkdir(os.path.join(tmp, "conf.d"))
    write(tmp, "[sluice]\ninclude = conf.d/*.conf\n" + WEB)
    write(tmp, "[route all]\npath = /*\nrespond = 200 <${file:text}>\n",
          "conf.d/a.conf")
    write(tmp, "from beside\r\n\n", "conf.d/text")
    loads(tmp)
    assert answer(tmp) == "200 <from beside>"


def test_expansions_in_places_of_all_types(tmp):
    env = {"SL_N": "3", "SL_T": "5s", "SL_W": "info", "SL_B": "off",
           "SL_Z": "8k", "SL_P": "9090"}
    write(tmp, OK.replace("8080", "${env:SL_P}") +
          "\n[sluice]\nworkers = ${env:SL_N}\nstop = ${env:SL_T}\n"
          "[log]\nlevel = ${env:SL_W}\naccess = ${env:SL_B}\n"
          "[limits]\ntarget = ${env:SL_Z}\n")
    loads(tmp, env=env)
    got = effective(tmp, env=env)
    assert got["listener web"]["bind"][0].text == "127.0.0.1:9090"
    assert got["sluice"]["workers"][0].text == "3"
    assert got["sluice"]["stop"][0].text == "5s"
    assert got["log"]["access"][0].text == "off"
    assert got["limits"]["target"][0].text == "8k"


@pytest.mark.parametrize("text,want", [
    ("250ms", "250ms"), ("3s", "3s"), ("180s", "3m"), ("5m", "5m"),
    ("1h", "1h"), ("1d", "1d"), ("1500ms", "1500ms"),
])
def test_times(tmp, text, want):
    write(tmp, OK + f"[upstream a]\nserver = 127.0.0.1:1\n"
          f"timeout.between = {text}\n[route a]\npath = /a\nupstream = a\n")
    loads(tmp)
    assert value(tmp, "upstream a", "timeout.between")[0] == [want]


@pytest.mark.parametrize("text,want", [
    ("512", "512"), ("16k", "16k"), ("1024k", "1m"), ("2g", "2g"),
    ("0", "0"),
])
def test_sizes(tmp, text, want):
    write(tmp, OK + f"max_body = {text}\n")
    loads(tmp)
    assert value(tmp, "route all", "max_body")[0] == [want]


# --- sections and keys ---

def test_repeated_keys_append_and_empty_ones_clear(tmp):
    write(tmp, OK + "path = /b\nmethod = GET\nmethod = PUT\nmethod =\n"
          "method = POST\n")
    got = effective(tmp)["route all"]
    assert [v.text for v in got["path"]] == ["/*", "/b"]
    assert [v.text for v in got["method"]] == ["POST"]


def test_the_last_of_a_single_value_counts(tmp):
    write(tmp, OK + "respond = 200 two\n[log]\nlevel = error\nlevel =\n")
    loads(tmp)
    assert answer(tmp) == "200 two"
    assert value(tmp, "log", "level") == (["info"], "default")


def test_section_again_in_a_later_file_is_merged(tmp):
    write(tmp, OK + "[sluice]\ninclude = a.conf\n")
    write(tmp, "[route all]\nrespond = 200 later\npath = /b\n", "a.conf")
    loads(tmp)
    got = effective(tmp)["route all"]
    assert got["respond"][0].text == "200 later"
    assert got["respond"][0].origin == "a.conf:2"
    assert [v.text for v in got["path"]] == ["/*", "/b"]


def test_section_again_in_the_same_file(tmp):
    write(tmp, OK + "[route all]\npath = /b\n")
    assert fails(tmp) == ["E0105"]


def test_keys_are_as_written(tmp):
    write(tmp, OK + "Path = /b\n")
    assert fails(tmp) == ["E0102"]


# --- includes ---

def test_includes_are_sorted_by_bytes(tmp):
    write(tmp, OK + "[sluice]\ninclude = conf.d/*.conf\n")
    for name in ("b", "B", "a10", "a9", "z", "_"):
        write(tmp, f"[route all]\npath = /{name}\n", f"conf.d/{name}.conf")
    write(tmp, "[route all]\npath = /no\n", "conf.d/c.conf~")
    write(tmp, "[route all]\npath = /no\n", "conf.d/.d.conf")
    got = effective(tmp)["route all"]["path"]
    assert [v.text for v in got] == \
        ["/*", "/B", "/_", "/a10", "/a9", "/b", "/z"]


def test_include_nests_relative_to_its_file(tmp):
    write(tmp, OK + "[sluice]\ninclude = d/e/*.conf\n")
    write(tmp, "[sluice]\ninclude = ../f.conf\n", "d/e/a.conf")
    write(tmp, "[route all]\npath = /f\nstatic = www\nrespond =\n",
          "d/f.conf")
    os.mkdir(os.path.join(tmp, "d", "www"))
    loads(tmp)
    (path,), _ = value(tmp, "route all", "static")
    assert os.path.normpath(path) == f"{tmp}/d/www"


def test_include_by_absolute_path_and_of_many(tmp):
    write(tmp, "[sluice]\ninclude = @dir@/a.conf\ninclude = b/*.conf\n"
          "include = none/*.conf\ninclude = no*.conf\n")
    write(tmp, WEB, "a.conf")
    write(tmp, "[route all]\npath = /*\nrespond = 200 ok\n", "b/b.conf")
    loads(tmp)


def test_include_in_a_folder_with_signs_of_patterns(tmp):
    top = os.path.join(tmp, "a*b[c]?")
    os.mkdir(top)
    write(top, OK + "[sluice]\ninclude = *.inc\n")
    write(top, "[route all]\npath = /b\n", "x.inc")
    loads(tmp, file="a*b[c]?/sluice.conf")
    got = effective(tmp, file="a*b[c]?/sluice.conf")
    assert len(got["route all"]["path"]) == 2


def test_a_file_that_two_include_is_read_once(tmp):
    write(tmp, OK + "[sluice]\ninclude = a.conf\ninclude = b.conf\n")
    for name in "ab":
        write(tmp, "[sluice]\ninclude = c.conf\n", f"{name}.conf")
    write(tmp, "[route all]\npath = /c\n", "c.conf")
    loads(tmp)
    assert len(effective(tmp)["route all"]["path"]) == 2


@pytest.mark.parametrize("depth,ok", [(8, True), (9, False)])
def test_include_depth(tmp, depth, ok):
    write(tmp, OK + "[sluice]\ninclude = 1.conf\n")
    for i in range(1, depth + 1):
        write(tmp, f"[sluice]\ninclude = {i + 1}.conf\n" if i < depth
              else "[route all]\npath = /deep\n", f"{i}.conf")
    if ok:
        loads(tmp)
        assert len(effective(tmp)["route all"]["path"]) == 2
    else:
        assert fails(tmp) == ["E0005"]


def test_a_ring_by_another_name_is_a_ring(tmp):
    write(tmp, OK + "[sluice]\ninclude = a.conf\n")
    os.symlink("sluice.conf", os.path.join(tmp, "a.conf"))
    assert fails(tmp) == ["E0004"]


def test_the_chain_of_a_ring_is_shown(tmp):
    write(tmp, OK + "[sluice]\ninclude = a.conf\n")
    write(tmp, "[sluice]\ninclude = b.conf\n", "a.conf")
    write(tmp, "[sluice]\ninclude = a.conf\n", "b.conf")
    assert "sluice.conf -> a.conf -> b.conf -> a.conf" in \
        conf.test(tmp).stderr


# --- like, defaults and the order of strength ---

def test_like_goes_through_a_chain(tmp):
    write(tmp, WEB + """
[route a]
path = /a
respond = 200 a
max_body = 1k
[route b]
like = a
path =
path = /b
max_body = 2k
[route c]
like = b
path =
path = /c
respond = 200 c
""")
    loads(tmp)
    got = effective(tmp)["route c"]
    assert {k: (v[-1].text, v[-1].origin) for k, v in got.items()
            if k in ("path", "respond", "max_body")} == {
        "path": ("/c", "sluice.conf:16"),
        "respond": ("200 c", "sluice.conf:17"),
        "max_body": ("2k", "like, sluice.conf:12")}
    assert [v.text for v in got["path"]] == ["/c"]


def test_like_may_name_what_comes_later(tmp):
    write(tmp, WEB + "[route a]\nlike = z\npath = /a\n"
          "method = GET\n[route z]\npath = /z\nrespond = 200 z\n")
    loads(tmp)
    assert [v.text for v in effective(tmp)["route a"]["path"]] == \
        ["/z", "/a"]


def test_like_through_16_sections(tmp):
    text = WEB + "[route r0]\npath = /0\nrespond = 200 ok\n"
    for i in range(1, 16):
        text += f"[route r{i}]\nlike = r{i - 1}\npath =\npath = /{i}\n"
    write(tmp, text)
    loads(tmp)
    assert value(tmp, "route r15", "respond")[0] == ["200 ok"]


STRENGTH = """
[sluice]
include = %s
[listener web]
bind = 127.0.0.1:8080
[route all]
path = /*
upstream = app
[upstream app]
server = 127.0.0.1:1
like = %s
%s
[upstream base]
server = 127.0.0.1:2
timeout.connect = 1003ms
[route base]
path = /base
upstream = base
%s
"""
ENV = {"SLUICE_UPSTREAM_APP__TIMEOUT_CONNECT": "1006ms"}
CLI = ("--set", "upstream.app.timeout.connect=1007ms")
DEFAULTS = "[defaults upstream]\ntimeout.connect = 1002ms\n"


@pytest.mark.parametrize("n,want,origin", [
    (1, "3s", "default"),
    (2, "1002ms", "defaults, sluice.conf:20"),
    (3, "1003ms", "like, sluice.conf:15"),
    (4, "1004ms", "sluice.conf:12"),
    (5, "1005ms", "a.conf:2"),
    (6, "1006ms", "environment"),
    (7, "1007ms", "--set"),
])
def test_order_of_strength(tmp, n, want, origin):
    write(tmp, STRENGTH % (
        "a.conf" if n >= 5 else "", "base" if n >= 3 else "",
        "timeout.connect = 1004ms" if n >= 4 else "",
        DEFAULTS if n >= 2 else ""))
    write(tmp, "[upstream app]\ntimeout.connect = 1005ms\n", "a.conf")
    env, args = ENV if n >= 6 else {}, CLI if n >= 7 else ()
    loads(tmp, *args, env=env)
    assert value(tmp, "upstream app", "timeout.connect", *args,
                 env=env) == ([want], origin)


def test_an_empty_value_clears_what_was_inherited(tmp):
    write(tmp, STRENGTH % ("", "base", "timeout.connect =", DEFAULTS))
    loads(tmp)
    assert value(tmp, "upstream app", "timeout.connect") == \
        (["3s"], "default")


def test_lists_append_over_layers(tmp):
    write(tmp, STRENGTH % ("", "base", "", DEFAULTS +
                           "server = 127.0.0.1:3\n"))
    texts, _ = value(tmp, "upstream app", "server")
    assert texts == ["127.0.0.1:3", "127.0.0.1:2", "127.0.0.1:1"]


# --- overrides ---

def test_set_replaces_a_list_and_appends_to_itself(tmp):
    write(tmp, OK + "path = /b\n")
    assert value(tmp, "route all", "path", "--set",
                 "route.all.path=/c")[0] == ["/c"]
    assert value(tmp, "route all", "path", "--set", "route.all.path=/c",
                 "--set", "route.all.path=/d")[0] == ["/c", "/d"]
    assert value(tmp, "route all", "path", "--set=route.all.path=/e",
                 env={"SLUICE_ROUTE_ALL__PATH": "/env"})[0] == ["/e"]


def test_set_takes_values_literally(tmp):
    write(tmp, OK)
    for text in ('200 "q" $$ ${env:X} # ; =', "200 a=b"):
        assert answer(tmp, "--set", f"route.all.respond={text}") == text


def test_set_reaches_singletons_defaults_and_new_sections(tmp):
    write(tmp, OK)
    args = ("--set", "sluice.workers=3",
            "--set", "defaults.upstream.timeout.connect=7s",
            "--set", "upstream.new.server=127.0.0.1:1",
            "--set", "route.new.upstream=new",
            "--set", "route.new.path=/new")
    loads(tmp, *args)
    got = effective(tmp, *args)
    assert got["sluice"]["workers"][0].text == "3"
    assert got["upstream new"]["timeout.connect"][0].text == "7s"


def test_set_of_like_and_include(tmp):
    write(tmp, OK + "[route b]\npath =\npath = /b\n")
    write(tmp, "[route all]\npath = /c\n", "c.conf")
    args = ("--set", "route.b.like=all", "--set", "sluice.include=c.conf")
    loads(tmp, *args)
    got = effective(tmp, *args)
    assert got["route b"]["respond"][0].text == "200 ok"
    assert "/c" in [v.text for v in got["route all"]["path"]]


@pytest.mark.parametrize("var,section,key,val", [
    ("SLUICE_SLUICE__WORKERS", "sluice", "workers", "3"),
    ("SLUICE_SLUICE__DRAIN_TIMEOUT", "sluice", "drain.timeout", "3s"),
    ("SLUICE_ROUTE_MY_APP__MAX_BODY", "route my-app", "max_body", "3k"),
    ("SLUICE_ROUTE_ALL__MAX_BODY", "route all", "max_body", "3k"),
    ("SLUICE_LIMITS__HEADER_BYTES", "limits", "header_bytes", "20k"),
])
def test_environment(tmp, var, section, key, val):
    write(tmp, OK + "[route my-app]\npath = /my\nrespond = 200 my\n")
    loads(tmp, env={var: val})
    assert value(tmp, section, key, env={var: val}) == \
        ([val], "environment")


def test_environment_of_defaults_and_of_new_sections(tmp):
    write(tmp, OK)
    env = {"SLUICE_ROUTE_NEW__PATH": "/new",
           "SLUICE_ROUTE_NEW__RESPOND": "200 new",
           "SLUICE_DEFAULTS_ROUTE__MAX_BODY": "3k"}
    loads(tmp, env=env)
    got = effective(tmp, env=env)
    assert got["route new"]["path"][0].text == "/new"
    assert got["route all"]["max_body"][0].text == "3k"


def test_unknown_variables_warn_and_show_no_value(tmp):
    write(tmp, OK)
    env = {"SLUICE_ROUTE_ALL__PTH": "hush-hush", "SLUICE_X": "hush-hush",
           "SLUICER": "not ours"}
    err = loads(tmp, env=env, warns=True)
    assert err.count("warning[W0311]") == 2
    assert "hush" not in err and "SLUICER" not in err


def test_variables_of_the_program_itself_do_not_warn(tmp):
    write(tmp, OK)
    loads(tmp, env={"SLUICE_EV": "poll", "SLUICE_SOCKET": "/x"})


def test_sluice_conf_names_the_file(tmp):
    write(tmp, OK, "other.conf")
    done = conf.run("sluiced", "-T", cwd=tmp,
                    env={"SLUICE_CONF": "other.conf"})
    assert "other.conf:" in done.stdout
    done = conf.run("sluiced", "-t", cwd=tmp,
                    env={"SLUICE_CONF": "none.conf"})
    assert done.returncode == 4 and "E0001" in done.stderr


def test_root_and_port(tmp):
    os.mkdir(os.path.join(tmp, "www"))
    write(tmp, "")
    args = ("--root", "www", "--port", "9999")
    loads(tmp, *args)
    got = effective(tmp, *args)
    assert got["route site"]["static"][0].text == f"{tmp}/www"
    assert got["route site"]["static"][0].origin == "--root"
    assert got["route site"]["path"][0].text == "/*"
    assert got["listener web"]["bind"][0].text == "0.0.0.0:9999"
    env = {"SLUICE_ROOT": f"{tmp}/www", "SLUICE_PORT": "9998"}
    got = effective(tmp, env=env)
    assert got["route site"]["static"][0].text == f"{tmp}/www"
    assert got["listener web"]["bind"][0].text == "0.0.0.0:9998"
    got = effective(tmp, *args, env=env)
    assert got["listener web"]["bind"][0].text == "0.0.0.0:9999"


def test_root_takes_the_place_of_the_site_that_is_there(tmp):
    for name in ("www", "old"):
        os.mkdir(os.path.join(tmp, name))
    write(tmp, WEB + "[route files]\npath = /*\nstatic = old\n")
    got = effective(tmp, "--root", "www", "--port", "9999")
    assert got["route files"]["static"][0].text == f"{tmp}/www"
    assert "route site" not in got
    assert [v.text for v in got["listener web"]["bind"]] == ["0.0.0.0:9999"]


def test_empty_variables_are_as_if_unset(tmp):
    write(tmp, OK)
    env = {"SLUICE_ROOT": "", "SLUICE_PORT": "", "SLUICE_CONF": ""}
    loads(tmp, env=env)
    assert answer(tmp, env=env) == "200 ok"


def test_root_without_a_file_serves_the_directory(sluice, tmp):
    """core.legacy-behaviour: nothing but --root and --port."""
    os.makedirs(f"{tmp}/www")
    with open(f"{tmp}/www/index.html", "w", encoding="ascii") as f:
        f.write("a plain static server")
    s = sluice(start=False)
    s.bare = True
    s.start(args=["--root", f"{tmp}/www", "--port", str(s.port),
                  "--set", f"sluice.run_dir={tmp}/run",
                  "--set", f"sluice.state_dir={tmp}/state"])
    for target in ("/", "/index.html"):
        assert http.get(s.port, target).body == b"a plain static server"
    assert http.get(s.port, "/none").status == 404

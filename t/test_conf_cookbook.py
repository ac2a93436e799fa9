"""The cookbook's pages: both configurations load, and answer alike."""
import os
import re
import subprocess

import pytest

from lib import conf, http, net
from lib.cmd import tool

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BOOK = os.path.join(ROOT, "doc", "cookbook")
# proxies.md has its own tests: test_conf_cookbook_proxy.py
PAGES = ["from-nginx-static-site.md"]
HOST = "www.example.com"


def block(page, kind):
    with open(os.path.join(BOOK, page), encoding="utf-8") as f:
        found = re.findall(rf"^```{kind}\n(.*?)^```", f.read(), re.M | re.S)
    assert len(found) == 1
    return found[0]


def sluice_conf(page, site, port):
    text = block(page, "ini").replace("/srv/www", site)
    return re.sub(r"0\.0\.0\.0:80 \[::\]:80", f"127.0.0.1:{port}", text)


def nginx_conf(page, tmp, site, port):
    text = block(page, "nginx").replace("/srv/www", site)
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
    text = re.sub(r" *listen \[::\]:80;\n", "", text)
    path = f"{tmp}/nginx.conf"
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"daemon off;\nmaster_process off;\npid {tmp}/nginx.pid;\n"
                f"error_log {tmp}/nginx.err;\nevents {{ }}\n"
                f"http {{\naccess_log off;\n" + "".join(
                    f"{n}_temp_path {tmp}/{n};\n" for n in (
                        "client_body", "proxy", "fastcgi", "uwsgi",
                        "scgi")) + text + "}\n")
    return path


@pytest.fixture(name="site")
def _site(tmp):
    for name, text in (("index.html", "front"), ("a.txt", "a"),
                       ("sub/index.htm", "sub"), ("bare/x.txt", "x"),
                       ("private/secret", "no"), (".hidden", "no"),
                       (".git/config", "no")):
        conf.write(f"{tmp}/www", text, name)
    return f"{tmp}/www"


@pytest.mark.parametrize("page", PAGES)
def test_loads(tmp, site, page):
    conf.write(tmp, sluice_conf(page, site, 8080))
    conf.loads(tmp)


@pytest.mark.parametrize("page", PAGES)
def test_nginx_takes_its_own(tmp, site, page):
    done = subprocess.run(
        [tool("nginx"), "-t", "-c", nginx_conf(page, tmp, site, 8080), "-e",
         f"{tmp}/err"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(name="nginx")
def _nginx(tmp, site):
    started = []

    def start(page):
        port = net.free_port()
        path = nginx_conf(page, tmp, site, port)
        p = subprocess.Popen([tool("nginx"), "-c", path, "-e", f"{tmp}/err"],
                             stdin=subprocess.DEVNULL)
        started.append(p)
        deadline = net.Deadline("nginx")
        while True:
            try:
                net.connect(port).close()
                return port
            except ConnectionRefusedError:
                assert p.poll() is None
                net.wait_fd(None, min(deadline.left(), 0.02))

    yield start
    for p in started:
        p.terminate()
        p.wait(net.WAIT)


def told(port, host, path):
    with http.Client(port) as c:
        r = c.ask("GET", path, headers=[("Host", host)])
    where = (r.get("location") or "").replace(f":{port}", "")
    return r.status, re.sub(r"^http://[^/]*", "", where), \
        r.body if r.status == 200 else b""


@pytest.mark.parametrize("path", [
    "/", "/a.txt", "/sub", "/sub/", "/none", "/none/", "/.hidden",
    "/.git/config", "/private/secret", "/old/x", "/old", "/%61.txt",
    "/sub/../a.txt", "/sub/%2e%2e/a.txt", "/a.txt/", "/..%2fa.txt",
])
def test_answer_alike(sluice, nginx, site, path):
    page = "from-nginx-static-site.md"
    s = sluice(sluice_conf(page, site, "@port@"))
    theirs, ours = told(nginx(page), HOST, path), told(s.port, HOST, path)
    if path == "/..%2fa.txt":       # told among the differences
        assert theirs[0] == ours[0] == 400
    else:
        assert ours == theirs


def test_the_bare_name(sluice, site):
    s = sluice(sluice_conf(PAGES[0], site, "@port@"))
    for target in ("/", "/a", "/a/b?c=d"):
        r = http.get(s.port, target, headers={"Host": "example.com"})
        assert r.status == 301
        assert r["location"] == f"http://{HOST}{target}"
    assert http.get(s.port, "/", headers={"Host": "x.org"}).status == 404

"""Real servers as upstreams: nginx, Python's http.server, Node's http.

Each serves the same things on a port of 127.0.0.1: /f.txt and /big.bin
with validators, /chunked without a length, /close with an end, /up that
takes a PUT.  A backend is a context; `stored` is what /up last got.
"""
import contextlib
import hashlib
import os
import subprocess
import sys

from lib import http, net
from lib.cmd import tool

SMALL = b"0123456789" * 20
BIG = os.urandom(1 << 20) * 8

NGINX = """
daemon off;
worker_processes 1;
error_log {top}/error.log;
pid {top}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {top}/body;
    proxy_temp_path {top}/proxy;
    fastcgi_temp_path {top}/fastcgi;
    uwsgi_temp_path {top}/uwsgi;
    scgi_temp_path {top}/scgi;
    client_max_body_size 64m;
    server {{
        listen 127.0.0.1:{port};
        root {top}/www;
        location /chunked {{ alias {top}/www/f.txt; sub_filter x x;
            sub_filter_types *; }}
        location /close {{ alias {top}/www/f.txt; keepalive_timeout 0; }}
        location /up {{ dav_methods PUT; }}
    }}
}}
"""

PYTHON = r"""
import hashlib, http.server, sys
top, port = sys.argv[1], int(sys.argv[2])
class H(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def __init__(self, *a):
        super().__init__(*a, directory=top + "/www")
    def log_message(self, *a):
        pass
    def do_GET(self):
        if self.path == "/chunked":
            data = open(top + "/www/f.txt", "rb").read()
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for i in range(0, len(data), 7):
                part = data[i:i + 7]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/close":
            data = open(top + "/www/f.txt", "rb").read()
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = True
        else:
            super().do_GET()
    def do_PUT(self):
        if self.headers["Transfer-Encoding"] == "chunked":
            data = b""
            while n := int(self.rfile.readline(), 16):
                data += self.rfile.read(n)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers["Content-Length"]))
        with open(top + "/www/up", "wb") as f:
            f.write(data)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", port), H).serve_forever()
"""

NODE = r"""
const http = require('http'), fs = require('fs');
const [top, port] = process.argv.slice(-2);
http.createServer((req, res) => {
    if (req.method === 'PUT') {
        req.pipe(fs.createWriteStream(top + '/www/up')).on('finish',
            () => { res.writeHead(201, {'Content-Length': 0}); res.end(); });
        return;
    }
    const name = req.url === '/chunked' || req.url === '/close' ?
        '/f.txt' : req.url;
    const data = fs.readFileSync(top + '/www' + name);
    const tag = '"' + data.length + '"';
    if (req.headers['if-none-match'] === tag) {
        res.writeHead(304, {'ETag': tag});
        res.end();
        return;
    }
    const fields = {'ETag': tag};
    if (req.url === '/close')
        fields['Connection'] = 'close';
    else if (req.url !== '/chunked')
        fields['Content-Length'] = data.length;
    res.writeHead(200, fields);
    if (req.url === '/chunked')
        for (let i = 0; i < data.length; i += 7)
            res.write(data.subarray(i, i + 7));
    else
        res.write(data);
    res.end();
}).listen(+port, '127.0.0.1');
"""


def _nginx(top, port):
    path = os.path.join(top, "nginx.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write(NGINX.format(top=top, port=port))
    # as root it would serve as a user who may not read this
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    return [tool("nginx"), "-p", top, "-c", path, "-e", f"{top}/error.log",
            *user]


def _python(top, port):
    return [sys.executable, "-c", PYTHON, top, str(port)]


def _node(top, port):
    return [tool("node"), "-e", NODE, top, str(port)]


PEERS = {"nginx": _nginx, "python": _python, "node": _node}


class Backend:
    def __init__(self, top, port, proc):
        self.top, self.port, self.proc = top, port, proc
        self.addr = f"127.0.0.1:{port}"

    def stored(self):
        """SHA-256 of what a PUT of /up left."""
        with open(os.path.join(self.top, "www", "up"), "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()


@contextlib.contextmanager
def backend(name, top):
    """A running server of that kind, with its files below top."""
    os.makedirs(os.path.join(top, "www"), exist_ok=True)
    for file, data in (("f.txt", SMALL), ("big.bin", BIG)):
        with open(os.path.join(top, "www", file), "wb") as f:
            f.write(data)
    port = net.free_port()
    with open(os.path.join(top, "out"), "wb") as out:
        proc = subprocess.Popen(PEERS[name](top, port), stdout=out,
                                stderr=out, stdin=subprocess.DEVNULL)
    try:
        _wait(proc, port, top)
        yield Backend(top, port, proc)
    finally:
        proc.terminate()
        proc.wait(net.WAIT)


def _wait(proc, port, top):
    deadline = net.Deadline("the server to listen")
    while True:
        try:
            with http.Client(port) as c:
                assert c.get("/f.txt").body == SMALL
            return
        except ConnectionRefusedError:
            if proc.poll() is not None or deadline.left() <= 0:
                with open(os.path.join(top, "out"), encoding="utf-8") as f:
                    raise AssertionError(f.read()) from None
            net.wait_fd(None, 0.02)     # nobody tells when it listens

"""Requests a second and their tail, measured with wrk on loopback.

BENCH_SECONDS (5) and BENCH_CONNS (64) may be set.  The machine, and what
else it does, decide the numbers: compare only what ran side by side.
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from lib.peer import Peer, respond              # noqa: E402
from lib.proc import Sluice                     # noqa: E402

CONF = """
[listener web]
bind = 127.0.0.1:@port@

[upstream app]
server = @app@

[route small]
path = /small
respond = 200 hello

[route files]
path = /files/*
static = @dir@/www
strip_prefix = auto

[route app]
path = /app
upstream = app
"""


def wrk(port, target):
    out = subprocess.run(
        ["wrk", "-t1", f"-c{os.environ.get('BENCH_CONNS', '64')}",
         f"-d{os.environ.get('BENCH_SECONDS', '5')}", "--latency",
         f"http://127.0.0.1:{port}{target}"],
        capture_output=True, text=True, check=True).stdout

    def find(pattern):
        m = re.search(pattern, out)
        return m.group(1) if m else "-"
    bad = re.search(r"Socket errors:.*|Non-2xx.*", out)
    print(f"{target:16} {find(r'Requests/sec: *(\S+)'):>12} /s   "
          f"p50 {find(r'50% *(\S+)'):>8}   p99 {find(r'99% *(\S+)'):>8}"
          f"   {bad.group(0).strip() if bad else ''}", flush=True)
    return not bad


def main():
    with tempfile.TemporaryDirectory(prefix="sl-") as top, \
            Peer(default=respond(body=b"x" * 1024)) as app:
        os.chmod(top, 0o755)
        os.mkdir(f"{top}/www")
        with open(f"{top}/www/64k", "wb") as f:
            f.write(os.urandom(65536))
        s = Sluice(top)
        s.start(CONF.replace("@app@", app.addr))
        try:
            good = [wrk(s.port, t) for t in
                    ("/small", "/files/64k", "/app")]
        finally:
            s.stop()
            s.close()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

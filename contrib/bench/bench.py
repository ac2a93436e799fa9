"""Speed and memory, next to nginx, h2o, lighttpd and haproxy.

usage: bench.py [--build DIR] [--rounds N] [--seconds S] [--no-counts]
                [SCENARIO ...]

All servers of a scenario run at the same time and are asked in turn, once
per round, in an order that changes; what disturbs a round disturbs all of
them, so ratios within a round are compared.  Exits 1 if an answer is wrong
or a request fails.  DIR/bench/result.json has every round.
"""
import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import counts                                   # noqa: E402
import figures                                  # noqa: E402
from servers import Failed, Origin, Server, installed, make_pem  # noqa: E402

FILES = ("nginx", "h2o", "lighttpd")
TLS = ("nginx", "haproxy")
PROXIES = ("nginx", "h2o", "haproxy")
H2 = ("-t", "-c", "16", "-m", "32")     # streams of each connection
KB, MB = 1 << 10, 1 << 20


def spec(path, length, peers, ratio, *args, kind="rounds", **more):
    return {"path": path, "length": length, "peers": peers, "kind": kind,
            "args": list(args), "bar": ratio and
            {"ratio": ratio, "peers": peers}, **more}


SCENARIOS = {
    "static-1k": spec("/1k", KB, FILES, 0.9),
    "static-100k": spec("/100k", 100 * KB, FILES, 0.9),
    "static-10m": spec("/10m", 10 * MB, FILES, 1.0, "-c", "8"),
    "static-1k-newconn": spec("/1k", KB, FILES, 1.0, "-k"),
    # the same lines in both, then sluice's own, which say thrice as much
    "static-1k-log": spec("/1k", KB, ("nginx",), 0.75, log="combined"),
    "static-1k-json": spec("/1k", KB, ("nginx",), None, log="json"),
    "proxy-1k": spec("/app/1k", KB, PROXIES, 0.85),
    "proxy-100k": spec("/app/100k", 100 * KB, PROXIES, 0.8),
    "proxy-newconn-client": spec("/app/1k", KB, PROXIES, 0.95, "-k"),
    # nobody has to see these bytes
    "proxy-10m": spec("/app/10m", 10 * MB, PROXIES, 0.4, "-c", "8"),
    "upload-10m": spec("/app/1k", KB, PROXIES, 0.4, "-c", "8", "-u",
                       str(10 * MB), upload=10 * MB),
    "tls-proxy-1k": spec("/app/1k", KB, TLS, 0.85, "-t", tls=True),
    # one request on each connection, which both sides close
    "tls-handshake": spec("/hello", 5, TLS, 1.05, "-t", "-k", tls=True,
                          floor=[]),
    "tls-resume": spec("/hello", 5, TLS, 1.05, "-R", "-k", tls=True,
                       floor=["-R"]),
    # nghttp2 alone costs about what h2o does in all
    "h2-1k": spec("/1k", KB, ("nginx", "h2o"), {"h2o": 1.6, "nginx": 0.35},
                  *H2, tls=True),
    "h2-proxy-1k": spec("/app/1k", KB, PROXIES, 0.95, *H2, tls=True),
    # of the peers HAProxy alone speaks HTTP/2 to servers of HTTP
    "h2-proxy-h2c-1k": spec("/two/1k", KB, ("haproxy",), 0.95, *H2,
                            tls=True),
    "many-routes": spec("/r/%/x", 5, (), None, kind="routes", routes=10000,
                        what="/x\nrespond = 200 hello"),
    "proxy-routes": spec("/r/%/1k", KB, (), None, kind="routes",
                         routes=1000, what="/*\nupstream = app\n"
                         "strip_prefix = auto"),
    "idle": spec("/1k", KB, FILES, None, kind="idle"),
    "idle-10k-tls": spec("/hello", 5, TLS, None, "-t", kind="idle",
                         tls=True, most=15, held=True),
    "burst": spec("/app/64k", 64 * KB, ("nginx",), None, kind="burst"),
}
OTHERS = 3      # rounds of memory of those that it is not compared with
HOLDS = {"haproxy": 7500}   # connections: it wants two descriptors for each


class Bench:
    def __init__(self, opts, top):
        self.opts = opts
        self.top = top
        self.www = f"{top}/www"
        self.bodies = {}
        self.running = []
        os.chmod(top, 0o755)
        self.make_files()
        # copies: nobody may not be let into the tree's directory
        os.mkdir(f"{top}/bin")
        for name in ("sluiced", "bench/origin", "bench/openat2.so"):
            shutil.copy(f"{opts.build}/{name}", f"{top}/bin")
        make_pem(f"{top}/bench.pem")
        self.origin = Origin(f"{top}/bin", top)

    def make_files(self):
        os.mkdir(self.www)
        pattern = bytes(ord("a") + i % 23 for i in range(23 * 1024))
        for name, n in (("1k", KB), ("64k", 64 * KB), ("100k", 100 * KB),
                        ("10m", 10 * MB)):
            body = random.Random(n).randbytes(n)
            with open(f"{self.www}/{name}", "wb") as f:
                f.write(body)
            self.bodies[f"/{name}"] = body
            self.bodies[f"/app/{name}"] = self.bodies[f"/two/{name}"] = \
                (pattern * (n // len(pattern) + 1))[:n]
        self.bodies["/r/0/x"] = self.bodies["/hello"] = b"hello"
        self.bodies["/r/0/1k"] = self.bodies["/app/1k"]

    # --- parts ---

    def server(self, name, label=None, log=None, routes=(0, ""), top=None):
        """routes: how many below /r, the rest of their path and keys."""
        text = "".join(f"\n[route r{i}]\npath = /r/{i}{routes[1]}\n"
                       for i in range(routes[0]))
        return Server(name, top or self.top, {
            "bin": f"{self.top}/bin", "www": self.www, "routes": text,
            "pem": f"{self.top}/bench.pem",
            "origin": self.origin.port}, log, label)

    def start(self, server, **how):
        self.running.append(server)
        return server.start(**how)

    def stop_all(self):
        for server in self.running:
            server.stop()
        self.running.clear()

    def stop(self):
        self.stop_all()
        self.origin.stop()

    def load_args(self, sc, port, args):
        return [f"{self.opts.build}/bench/load", "-l", str(sc["length"]),
                *sc["args"], *args, str(port), sc["path"]]

    def load(self, sc, port, args, who):
        """Runs the generator; an error is ours, not a figure."""
        done = subprocess.run(self.load_args(sc, port, args), text=True,
                              capture_output=True, check=False, timeout=600)
        try:
            out = json.loads(done.stdout)
        except ValueError:
            raise Failed(f"{who}: {done.stderr or done.stdout}") from None
        if done.returncode != 0 or out["errors"] > 0:
            raise Failed(f"{who}: {out['errors']} of {out['requests']} "
                         f"requests failed, the first: {out['why']}")
        return out

    def measure(self, sc, server, args):
        """One turn of one server: what the load says, and its CPU."""
        before = server.cpu()
        out = self.load(sc, port_of(sc, server), args, server.label)
        if "-R" in sc["args"] and out["resumed"] < out["offered"]:
            raise Failed(f"{server.label}: of {out['offered']} sessions "
                         f"{out['resumed']} were resumed")
        out["rps"] = out["requests"] / out["seconds"]
        out["cpu_us"] = (server.cpu() - before) / out["requests"] * 1e6
        return out

    def count(self, sc, server, again):
        """The deterministic columns; again(n) is the same server anew."""
        if self.opts.no_counts:
            return {}

        moved = max(sc["length"], sc.get("upload", 0))

        def load(who, args):
            self.load(sc, port_of(sc, who), args, server.label)
        return {
            **counts.syscalls(server, load, moved),
            "instructions": counts.instructions(
                again, load, moved, f"{self.top}/bin/openat2.so"),
        }

    def again(self, server, **how):
        def make(n):
            fresh = self.server(server.name, f"{server.label}-{n}", **how)
            self.running.append(fresh)
            return fresh
        return make

    # --- kinds of scenario ---

    def rounds(self, name, sc):
        servers = {n: self.start(self.server(n, log=sc.get("log")))
                   for n in ("sluice", *sc["peers"]) if installed(n)}
        out = {n: {k: [] for k in ("rps", "cpu_us", "p50_us", "p99_us")}
               for n in servers}
        for server in servers.values():
            server.check(sc["path"], self.bodies[sc["path"]], "tls" in sc)
            self.load(sc, port_of(sc, server), ["-d", "0.3"], server.label)
        for turn in range(self.opts.rounds):
            self.one_round(sc, servers, out)
            self.floor(sc, out)
            self.say(f"{name}: round {turn + 1} of {self.opts.rounds}")
        for n, server in servers.items():
            server.check(sc["path"], self.bodies[sc["path"]], "tls" in sc)
            out[n]["pss_mb"] = server.pss()
        for n, server in servers.items():
            self.say(f"{name}: counts of {n}")
            out[n].update(self.count(sc, server, self.again(
                server, log=sc.get("log"))))
        if "floor" in sc and not self.opts.no_counts:
            out["(floor)"]["instructions"] = counts.marked(
                self.floor_args(sc), "server_*", f"{self.top}/floor.calls")
        return {"servers": out,
                "verdicts": figures.compare(out, sc["bar"])}

    def one_round(self, sc, servers, out):
        seconds = self.opts.seconds
        order = random.sample(sorted(servers), len(servers))
        for n in order:
            got = self.measure(sc, servers[n], ["-d", str(seconds)])
            out[n]["rps"].append(got["rps"])
            out[n]["cpu_us"].append(got["cpu_us"])
        peers = [n for n in servers if n != "sluice"] or ["sluice"]
        rate = 0.3 * min(figures.median(out[n]["rps"]) for n in peers)
        for n in order:
            got = self.measure(sc, servers[n], [
                "-d", str(seconds / 2), "-r", f"{max(rate, 20):.0f}"])
            out[n]["p50_us"].append(got["p50_us"])
            out[n]["p99_us"].append(got["p99_us"])

    def floor_args(self, sc):
        return [f"{self.opts.build}/bench/floor", *sc["floor"],
                f"{self.top}/bench.pem"]

    def floor(self, sc, out):
        """What OpenSSL alone takes in memory, beside this round."""
        if "floor" not in sc:
            return
        done = subprocess.run(self.floor_args(sc), capture_output=True,
                              text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise Failed(f"floor: {done.stderr}")
        row = out.setdefault("(floor)", {"cpu_us": []})
        row["cpu_us"].append(json.loads(done.stdout)["cpu_us"])

    def routes(self, name, sc):
        out, what, most = {}, sc["what"], sc["routes"]
        servers = {n: self.start(self.server(
            "sluice", f"sluice-{n}", routes=(n, what))) for n in (1, most)}
        for n, server in servers.items():
            sc = {**sc, "args": ["-p", str(n)]}
            path = sc["path"].replace("%", "0")
            server.check(path, self.bodies[path])
            row = out[server.label] = {"rps": [], "cpu_us": []}
            for _ in range(self.opts.rounds):
                got = self.measure(sc, server, ["-d", str(
                    self.opts.seconds / 2)])
                row["rps"].append(got["rps"])
                row["cpu_us"].append(got["cpu_us"])
            row["pss_mb"] = server.pss()
            self.say(f"{name}: counts of {server.label}")
            row.update(self.count(sc, server, self.again(
                server, routes=(n, what))))
        one, all_ = (out[f"sluice-{n}"].get("instructions")
                     for n in (1, most))
        found = []
        if one and all_:
            found = [{**figures.absolute("instructions", [all_ / one], 1.1,
                                         ""), "exact": True}]
        return {"servers": out, "verdicts": found}

    def held(self, sc, server, args):
        """A generator that keeps its connections; (process, its report)."""
        p = subprocess.Popen(self.load_args(sc, port_of(sc, server), args),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True)
        line = p.stdout.readline()
        out = json.loads(line) if line else {"errors": 1, "why": "no report"}
        if out["errors"] > 0:
            p.kill()
            p.communicate()
            raise Failed(f"{server.label}: {out['why']}\n{server.said()}")
        return p, out

    def let_go(self, server, p):
        p.communicate("")
        if p.returncode != 0:
            raise Failed(f"{server.label}: a held connection was lost")

    def idle(self, name, sc):
        out = {}
        for turn in range(self.opts.rounds):
            for n in ("sluice", *sc["peers"]):
                if not installed(n) or n != "sluice" and turn >= OTHERS:
                    continue
                self.say(f"{name}: round {turn + 1}, {n}")
                first, more = scale_idle(9000, 10000, HOLDS.get(n))
                s = self.start(self.server(n))
                s.check(sc["path"], self.bodies[sc["path"]], "tls" in sc)
                a, _ = self.held(sc, s, ["-H", "-c", str(first)])
                time.sleep(2)
                few = s.pss()
                b, _ = self.held(sc, s, ["-H", "-c", str(more)])
                time.sleep(2)
                many = s.pss()
                for p in (a, b):
                    self.let_go(s, p)
                s.stop()
                row = out.setdefault(n, {"pss_mb": [], "kb_per_conn": []})
                row["pss_mb"].append(many)
                row["kb_per_conn"].append((many - few) * 1024 / more)
                row["note"] = (
                    f"{figures.median(row['kb_per_conn']):.2f} kB per "
                    f"connection from {first} to {first + more}")
        if "held" in sc:
            out["(openssl)"] = self.openssl_holds()
        return {"servers": out, "verdicts": [figures.absolute(
            "growth", out["sluice"]["kb_per_conn"], sc.get("most", 0.3),
            "kB")]}

    def openssl_holds(self):
        """What of a connection is OpenSSL's own, and no server's doing."""
        done = subprocess.run(
            [f"{self.opts.build}/bench/held", f"{self.top}/bench.pem"],
            capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise Failed(f"held: {done.stderr}")
        got = json.loads(done.stdout)
        parts = sorted(got["parts"].items(), key=lambda p: -p[1])
        return {"kb_per_conn": [got["bytes"] / 1024], "parts": got["parts"],
                "note": f"{got['bytes'] / 1024:.2f} kB per connection in "
                f"{got['pieces']} pieces: " + ", ".join(
                    f"{what} {n}" for what, n in parts)}

    def burst(self, name, sc):
        clients, _ = scale_idle(10000, 0)
        out = {}
        for turn in range(self.opts.rounds):
            for n in ("sluice", *sc["peers"]):
                if not installed(n) or n != "sluice" and turn >= OTHERS:
                    continue
                self.say(f"{name}: round {turn + 1}, {n}")
                s = self.start(self.server(n))
                s.check(sc["path"], self.bodies[sc["path"]])
                self.load(sc, s.port, ["-d", "1"], n)
                before = s.pss()
                p, _ = self.held(sc, s, ["-B", "-c", str(clients)])
                high = s.pss()
                self.let_go(s, p)
                time.sleep(10)
                row = out.setdefault(n, {"pss_mb": [], "growth_mb": []})
                row["pss_mb"].append(s.pss())
                row["growth_mb"].append(s.pss() - before)
                s.stop()
                row["note"] = (f"{before:.1f} MB before {clients} answers, "
                               f"{high:.1f} at their end")
        return {"servers": out, "verdicts": [figures.absolute(
            "kept", out["sluice"]["growth_mb"], 20, "MB")]}

    def say(self, text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def port_of(sc, server):
    return server.sport if "tls" in sc else server.port


def scale_idle(first, more, holds=None):
    """As many connections as the limit of descriptors, and the server, let
    one have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 600
    part = min(1.0, min(most, holds or most) / (first + more))
    return int(first * part), int(more * part)


def options():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("--build", default="build")
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--no-counts", action="store_true")
    p.add_argument("scenario", nargs="*")
    opts = p.parse_args()
    opts.build = os.path.abspath(opts.build)
    opts.scenario = opts.scenario or list(SCENARIOS)
    for name in opts.scenario:
        if name not in SCENARIOS:
            sys.exit(f"bench: no scenario {name}; there are "
                     f"{' '.join(SCENARIOS)}")
    if opts.rounds < 1 or opts.seconds <= 0:
        sys.exit("bench: one round at least, of some length")
    return opts


def main():
    opts = options()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    result = {"rounds": opts.rounds, "seconds": opts.seconds,
              "missing": [n for n in ("nginx", "h2o", "lighttpd", "haproxy")
                          if not installed(n)], "scenarios": {}}
    rc = 0
    with tempfile.TemporaryDirectory(prefix="sl-bench-") as top:
        bench = Bench(opts, top)
        try:
            for name in opts.scenario:
                sc = SCENARIOS[name]
                result["scenarios"][name] = \
                    getattr(bench, sc["kind"])(name, sc)
                bench.stop_all()
        except Failed as e:
            print(f"bench: {name}: {e}", file=sys.stderr)
            rc = 1
        finally:
            bench.stop()
    bench.say("")
    for line in (*figures.table(result), "", *figures.verdicts(result)):
        print(line)
    if result["missing"]:
        print("not installed, so left out:", *result["missing"])
    path = f"{opts.build}/bench/result.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    return rc


if __name__ == "__main__":
    sys.exit(main())

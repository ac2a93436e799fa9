"""make bench, one short round: that it runs, and what it prints."""
import json
import os
import re
import subprocess
import sys

from lib import net
from lib.certs import Cert
from lib.cmd import BIN, KIND

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
PEERS = {"static-1k": {"nginx", "h2o", "lighttpd"},
         "proxy-1k": {"nginx", "h2o", "haproxy"},
         "tls-resume": {"nginx", "haproxy"}}


def tools():
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run(["make", "-s", "SAN=", f"V={KIND}", "do-bench-tools"],
                   cwd=TOP, env=env, check=True)


def bench(*args):
    return subprocess.run(
        [sys.executable, f"{TOP}/contrib/bench/bench.py", "--build", BIN,
         "--rounds", "1", "--seconds", "0.3", "--no-counts", *args],
        capture_output=True, text=True, check=False,
        timeout=60 * net.SCALE)


def test_form():
    tools()
    done = bench(*PEERS)
    assert done.returncode == 0, done.stderr
    with open(f"{BIN}/bench/result.json", encoding="utf-8") as f:
        result = json.load(f)
    assert list(result["scenarios"]) == list(PEERS)
    for name, scenario in result["scenarios"].items():
        # those that are not installed are left out
        there = PEERS[name] - set(result["missing"])
        servers = scenario["servers"]
        if name == "tls-resume":        # what OpenSSL alone takes
            assert servers.pop("(floor)")["cpu_us"][0] > 0
        assert set(servers) == there | {"sluice"}
        for server in servers.values():
            assert server["rps"][0] > 0
            assert server["cpu_us"][0] > 0
            assert 0 < server["p50_us"][0] <= server["p99_us"][0]
            assert server["pss_mb"] > 0
        words = [v["what"] for v in scenario["verdicts"]]
        assert words == (["cpu", "p99"] if there else [])
        for v in scenario["verdicts"]:
            assert v["low"] <= v["median"] <= v["high"]
            assert re.match("yes|no|undecided", v["verdict"])
        assert re.search(rf"^{name} +sluice +\d+ +[\d.]+ +\d+", done.stdout,
                         re.M)


def test_what_openssl_keeps(tmp):
    """Of an idle connection: all of it has an owner, and most are known."""
    tools()
    Cert("localhost").write(tmp, "a")
    with open(f"{tmp}/a.pem", "wb") as f:
        for end in "crt", "key":
            with open(f"{tmp}/a.{end}", "rb") as part:
                f.write(part.read())
    for old in [], ["-2"]:
        done = subprocess.run([f"{BIN}/bench/held", *old, f"{tmp}/a.pem"],
                              capture_output=True, text=True, check=True)
        got = json.loads(done.stdout)
        assert 4096 < got["bytes"] < 32768 and got["pieces"] > 5
        # each is rounded down to a connection's
        assert abs(sum(got["parts"].values()) - got["bytes"]) < 16
        assert got["parts"]["SSL"] > 2048
    done = subprocess.run([f"{BIN}/bench/held", "/none"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "no certificate" in done.stderr


def test_unknown_scenario():
    done = bench("static-1k", "static-1q")
    assert done.returncode != 0
    assert "static-1q" in done.stderr


def test_wrong_answer_is_told():
    tools()
    port = net.free_port()
    origin = subprocess.Popen([f"{BIN}/bench/origin", str(port)])
    try:
        end = net.Deadline("origin")
        while True:
            try:
                net.connect(port).close()
                break
            except ConnectionError:
                net.wait_fd(None, min(end.left(), 0.02))
        for length, rc in (("1024", 0), ("1023", 1)):
            done = subprocess.run(
                [f"{BIN}/bench/load", "-l", length, "-n", "100", "-c", "4",
                 str(port), "/1k"], capture_output=True, text=True,
                check=False)
            out = json.loads(done.stdout)
            assert done.returncode == rc, out
            assert (out["errors"] > 0) == (rc == 1)
            assert out["requests"] == (0 if rc else 100)
    finally:
        origin.kill()
        origin.wait()

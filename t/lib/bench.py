"""The programs that `make bench` measures with."""
import os
import subprocess

from lib.cmd import BIN, KIND

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def tool(name):
    """The path of a program of contrib/bench, made when it is not there."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run(["make", "-s", "SAN=", f"V={KIND}", "do-bench-tools"],
                   cwd=TOP, env=env, check=True)
    return f"{BIN}/bench/{name}"

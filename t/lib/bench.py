"""The programs that `make bench` measures with."""
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def build(tmp, name):
    """A program of contrib/bench, compiled into tmp."""
    out = os.path.join(tmp, name)
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", out,
                    f"{TOP}/contrib/bench/{name}.c"], check=True)
    return out

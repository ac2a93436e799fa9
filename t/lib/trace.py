"""System calls of a process, told by strace."""
import contextlib
import re
import signal
import subprocess

import pytest

from lib.cmd import tool


@contextlib.contextmanager
def traced(s, pid):
    """Yields a list, to which at the end the names of the process's system
    calls are added."""
    out, names = f"{s.dir}/strace", []
    tracer = subprocess.Popen(
        [tool("strace"), "-f", "-o", out, "-p", str(pid)],
        stderr=subprocess.PIPE, text=True)
    try:
        if "attached" not in tracer.stderr.readline():
            pytest.skip("no tracing here")
        yield names
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        tracer.stderr.close()
    with open(out, encoding="utf-8") as f:
        names += [m[1] for m in re.finditer(r"^\d+ +(\w+)\(", f.read(),
                                            re.M)]

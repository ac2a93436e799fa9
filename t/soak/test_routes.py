"""What many routes cost: user-space instructions of a request's turns."""
import os
import re
import subprocess

import pytest

from lib.cmd import BIN, KIND, tool

PROGRAM = f"{BIN}/t/unit/test_route_cost"
MANY = 10000
MOST = 1.1      # of the instructions with one route of each kind


def instructions(tmp, routes):
    out = f"{tmp}/callgrind.{routes}"
    done = subprocess.run(
        [tool("valgrind"), "-q", "--tool=callgrind", "--collect-atstart=no",
         "--toggle-collect=ev_turn", f"--callgrind-out-file={out}", PROGRAM],
        capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "SLUICE_ROUTES": str(routes), "CK_FORK": "no"})
    assert done.returncode == 0, done.stdout + done.stderr
    with open(out, encoding="latin-1") as f:
        return int(re.search(r"^totals: (\d+)", f.read(), re.M).group(1))


@pytest.mark.skipif(KIND == "asan", reason="valgrind runs no ASan")
def test_many_routes_cost_as_one(tmp):
    one, many = instructions(tmp, 1), instructions(tmp, MANY)
    assert many <= MOST * one, f"{many} and {one}: {many / one:.3f}"

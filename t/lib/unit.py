"""Runs unit tests and corpus replays and counts their checks.

usage: unit.py PROGRAM ...

A program prints a line of Check ("100%: Checks: 7, Failures: 0, Errors: 0")
and exits 0 when all went well; t/fuzz/replay.c prints the same.  A program
that dies, hangs or prints no such line counts as one failure.  Output is
shown for programs that failed.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

SLOW = os.environ.get("SLUICE_KIND") in ("asan", "cover")
LIMIT = 300 if SLOW else 120
LINE = re.compile(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)")


def command(prog):
    """A replay gets the directory of its corpus."""
    name = os.path.basename(prog)
    if name.startswith("fuzz_"):
        return [prog, os.path.join("t/fuzz/corpus", name[5:])]
    return [prog]


def environment():
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    # four seconds are soon gone on a machine that does other things too
    env.setdefault("CK_DEFAULT_TIMEOUT", "30")
    if SLOW:
        env.setdefault("CK_TIMEOUT_MULTIPLIER", "5")
    return env


def run(prog):
    """(program, passed, failed, what it said)"""
    try:
        done = subprocess.run(
            command(prog), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, timeout=LIMIT, env=environment())
    except subprocess.TimeoutExpired as e:
        said = (e.stdout or b"").decode("utf-8", "replace")
        return prog, 0, 1, f"{said}\nno end within {LIMIT} s\n"
    except OSError as e:
        return prog, 0, 1, f"{e}\n"
    said = done.stdout.decode("utf-8", "replace")
    found = LINE.findall(said)
    if not found:
        return prog, 0, 1, f"{said}\nexit {done.returncode}, no summary\n"
    checks, failures, errors = (sum(map(int, col)) for col in zip(*found))
    failed = failures + errors
    if done.returncode != 0 and failed == 0:
        failed, said = 1, f"{said}\nexit {done.returncode}\n"
    if checks == 0 and failed == 0:
        failed, said = 1, f"{said}\nno check ran\n"
    return prog, max(checks - failures - errors, 0), failed, said


def main():
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for prog, good, bad, said in pool.map(run, sys.argv[1:]):
            passed += good
            failed += bad
            if bad:
                print(f"--- {prog}\n{said}", end="")
            else:
                print(f"{os.path.basename(prog)}: {good}")
    print(f"unit: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

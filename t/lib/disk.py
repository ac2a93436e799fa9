"""What a process may have of the system is cut: a disk that is full for it,
no descriptor that is left."""
import os
import re
import subprocess


def _set(s, role, what):
    """Only the user that it runs as may limit it."""
    pid = s.roles()[role]
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        uid, gid = (int(v) for v in
                    re.findall(r"^[UG]id:\t(\d+)", f.read(), re.M))
    ids = {"user": uid, "group": gid, "extra_groups": []}
    subprocess.run(["prlimit", f"--pid={pid}", what],
                   check=True, **(ids if os.getuid() == 0 else {}))


def limit(s, size, role="logger"):
    """The most that a process may write to one file: then EFBIG; None:
    any."""
    _set(s, role, f"--fsize={'unlimited' if size is None else size}:")


def no_more_files(s, role, on=True):
    """No descriptor more, EMFILE; or as many as it may have again."""
    with open(f"/proc/{s.roles()[role]}/limits", encoding="ascii") as f:
        hard = re.search(r"^Max open files +\w+ +(\w+)", f.read(), re.M)
    _set(s, role, f"--nofile={0 if on else hard.group(1)}:")

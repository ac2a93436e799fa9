"""A disk that is full for a process: what it writes fails."""
import os
import re
import subprocess


def limit(s, size, role="logger"):
    """The most that a process may write to one file: then EFBIG; None:
    any.  Only the user that it runs as may limit it."""
    pid = s.roles()[role]
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        uid, gid = (int(v) for v in
                    re.findall(r"^[UG]id:\t(\d+)", f.read(), re.M))
    ids = {"user": uid, "group": gid, "extra_groups": []}
    soft = "unlimited" if size is None else size
    subprocess.run(["prlimit", f"--pid={pid}", f"--fsize={soft}:"],
                   check=True, **(ids if os.getuid() == 0 else {}))

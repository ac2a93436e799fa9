"""What is in the memory of processes."""
import os


def holds(pid, what):
    """Whether the memory of a process has those bytes."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        maps = [line.split() for line in f]
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            if "r" not in line[1] or line[-1] in ("[vvar]", "[vsyscall]"):
                continue
            start, end = (int(x, 16) for x in line[0].split("-"))
            if end - start > 1 << 30:
                continue
            try:
                if what in os.pread(mem.fileno(), end - start, start):
                    return True
            except OSError:
                continue
    return False


def has_key(pid, cert):
    """Whether a process has the private key of a lib.certs.Cert (ec)."""
    secret = cert.key.private_numbers().private_value.to_bytes(32, "big")
    # a leading part suffices, in either order of the words
    return any(holds(pid, w) for w in (secret[:16], secret[::-1][:16]))


def may_dump(pid):
    """Whether it may leave a core file: else /proc shows root as owner.

    Only of processes of another user than root.
    """
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        uid = next(ln.split()[2] for ln in f if ln.startswith("Uid:"))
    assert uid != "0"
    return os.stat(f"/proc/{pid}/environ").st_uid != 0

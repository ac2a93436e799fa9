"""The kernel's table of connections: what is really open, whoever says
what."""
import threading


def _table(port):
    """The kernel's rows of connections to a port of 127.0.0.1."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        table = [line.split() for line in f][1:]
    return [r for r in table if r[2].endswith(f":{port:04X}")]


def rows(port):
    """Those established: (address, inode)."""
    return {(r[1], r[9]) for r in _table(port) if r[3] == "01"}


def dialling(port):
    """How many are not answered yet (SYN_SENT)."""
    return sum(1 for r in _table(port) if r[3] == "02")


def established(port):
    """How many there are."""
    return len(rows(port))


class Table(threading.Thread):
    """Looks at the table all the time; `most` is the largest count.

    Reading it takes a while, in which connections end and others begin:
    those that two readings in a row have were there all at once.
    """

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.most, self.looks = port, 0, 0
        self.over = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        before = set()
        while not self.over.is_set():
            now = rows(self.port)
            self.most = max(self.most, len(now & before))
            self.looks += 1
            before = now

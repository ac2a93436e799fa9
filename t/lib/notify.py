"""What a service manager hears: the other end of sd_notify."""
import os
import socket

from lib.net import Deadline, wait_fd


class Notify:
    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        self.seen = []          # one dict per datagram
        self.next = 0

    def _read(self, seconds, also):
        """One datagram; `also` is a pidfd whose end ends the wait."""
        ready = wait_fd([self.sock.fileno()] + also, seconds)
        if self.sock.fileno() in ready:
            text = self.sock.recv(65536).decode("utf-8", "replace")
            self.seen.append(dict(ln.split("=", 1) for ln in
                                  text.splitlines() if "=" in ln))
            return True
        if ready:
            raise ChildProcessError("sluiced ended")
        return False

    def wait(self, key, value="1", seconds=None, pidfd=None):
        """The next datagram, not yet waited for, with key=value."""
        deadline = Deadline(f"{key}={value}", seconds)
        while True:
            while self.next < len(self.seen):
                self.next += 1
                if self.seen[self.next - 1].get(key) == value:
                    return self.seen[self.next - 1]
            self._read(deadline.left(), [pidfd] if pidfd is not None else [])

    def drain(self):
        """Forgets what came so far."""
        while self._read(0, []):
            pass
        self.next = len(self.seen)

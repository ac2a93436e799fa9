"""Name servers: a real dnsmasq, and one that is scripted.

Both listen on a free port of 127.0.0.1 and answer for *.test.  The real
one reads its hosts again on set(); services need it started anew.  The
scripted one takes each answer from `zone`: (name, type) to a list of
records with `ttl`, or to a function of (query, reply) that does anything.
"""
import getpass
import os
import signal
import socket
import struct
import subprocess
import threading

from lib import net
from lib.net import Deadline

A, CNAME, AAAA, SRV = 1, 5, 28, 33
NO_ERROR, SERVER_FAILED, NO_NAME, REFUSED = 0, 2, 3, 5


def pack_name(name):
    return b"".join(bytes([len(p)]) + p.encode()
                    for p in name.rstrip(".").split(".") if p) + b"\0"


def _question(data):
    """(name in lower case, type, the question's bytes)."""
    at, labels = 12, []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += data[at] + 1
    return ".".join(labels).lower(), \
        struct.unpack(">H", data[at + 1:at + 3])[0], data[12:at + 5]


def record(kind, value, ttl, name=b"\xc0\x0c"):
    """value: an address, or (priority, weight, port, target) of SRV."""
    if kind == SRV:
        data = struct.pack(">HHH", *value[:3]) + pack_name(value[3])
    elif kind == CNAME:
        data = pack_name(value)
    else:
        data = socket.inet_pton(
            socket.AF_INET if kind == A else socket.AF_INET6, value)
    return name + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def reply(query, records=(), rcode=NO_ERROR, flags=0x8180):
    return query[:2] + struct.pack(">HHHHH", flags | rcode, 1, len(records),
                                   0, 0) + _question(query)[2] + \
        b"".join(records)


class Scripted:
    """udp_max: an answer of more bytes is cut, and whole over TCP."""

    def __init__(self, zone=None, ttl=1, port=0, host="127.0.0.1",
                 udp_max=65535):
        self.zone, self.ttl, self.asked = dict(zone or {}), ttl, []
        self.udp_max, self.streamed = udp_max, 0
        self.held = []                  # queries that nobody answered
        self._more = threading.Condition()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, port or net.free_port()))
        self.addr = "%s:%d" % self.sock.getsockname()
        self._stop = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        self.tcp = self.tcp_thread = None
        if udp_max < 65535:
            self.tcp = socket.create_server(self.sock.getsockname())
            self.tcp_thread = threading.Thread(target=self._serve_tcp,
                                               daemon=True)
            self.tcp_thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()
        if self.tcp:
            self.tcp.shutdown(socket.SHUT_RDWR)
            self.tcp_thread.join()
            self.tcp.close()

    def wait_asked(self, name, n, kind=A, seconds=None):
        """Waits until a name was asked for n times."""
        def times():
            return sum(q == (name, kind) for q in self.asked)
        with self._more:
            assert self._more.wait_for(
                lambda: times() >= n,
                net.WAIT if seconds is None else seconds), self.asked

    def _serve(self):
        while not self._stop:
            data, peer = self.sock.recvfrom(4096)
            if len(data) < 17:
                continue
            name, kind, _ = _question(data)
            with self._more:
                answer = self._answer(data, name, kind)
                self.asked.append((name, kind))
                self._more.notify_all()
            if answer is None:
                self.held.append((data, peer))
            elif len(answer) > self.udp_max:
                self.sock.sendto(reply(data, flags=0x8380), peer)
            else:
                self.sock.sendto(answer, peer)

    def _serve_tcp(self):
        """One connection after the other, each until its client leaves."""
        while not self._stop:
            try:
                c, _ = self.tcp.accept()
            except OSError:
                return
            with c, c.makefile("rb") as f:
                c.settimeout(net.WAIT)
                while len(head := f.read(2)) == 2:
                    data = f.read(struct.unpack(">H", head)[0])
                    answer = self._answer(data, *_question(data)[:2])
                    self.streamed += 1
                    c.sendall(struct.pack(">H", len(answer)) + answer)

    def _answer(self, query, name, kind):
        found = self.zone.get((name, kind))
        if callable(found):
            return found(query, reply)
        if found is not None:
            return reply(query, [record(kind, v, self.ttl) for v in found])
        known = any(n == name for n, _ in self.zone)
        return reply(query, rcode=NO_ERROR if known else NO_NAME)


def silent(_query, _reply):
    """Leaves a question without an answer."""


def fails(rcode):
    return lambda query, make: make(query, rcode=rcode)


class Dnsmasq:
    def __init__(self, directory, hosts, srv=(), ttl=1):
        self.dir, self.ttl, self.proc = str(directory), ttl, None
        self.port = net.free_port()
        self.addr = f"127.0.0.1:{self.port}"
        self.hosts_path = os.path.join(self.dir, "hosts")
        self._write(hosts)
        self.start(srv)

    def _write(self, hosts):
        with open(self.hosts_path + ".new", "w", encoding="ascii") as f:
            for name, addrs in hosts.items():
                f.writelines(f"{a} {name}\n" for a in addrs)
        os.rename(self.hosts_path + ".new", self.hosts_path)

    def start(self, srv=()):
        self.proc = subprocess.Popen(
            ["dnsmasq", "-k", "-C", "/dev/null", "-p", str(self.port),
             "--listen-address=127.0.0.1", "--bind-interfaces",
             "--no-resolv", "--no-hosts", "--no-poll", "--pid-file=",
             "--local=/test/", f"--local-ttl={self.ttl}",
             f"--user={getpass.getuser()}", f"--addn-hosts={self.hosts_path}",
             "--log-facility=-",
             *(f"--srv-host={s}" for s in srv)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.wait(lambda: self.ask("none.test", A) is not None)

    def set(self, hosts):
        """Other hosts from now on; returns when it says so itself."""
        self._write(hosts)
        self.proc.send_signal(signal.SIGHUP)
        for name, addrs in hosts.items():
            for kind in (A, AAAA):
                want = sum((":" in a) == (kind == AAAA) for a in addrs)
                self.wait(lambda n=name, k=kind, w=want:
                          self.ask(n, k) == w)

    def wait(self, done):
        deadline = Deadline("dnsmasq")
        while not done():
            assert self.proc.poll() is None, "dnsmasq has ended"
            net.wait_fd(None, min(deadline.left(), 0.02))

    def ask(self, name, kind):
        """How many answers there are; None: nobody is there."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.connect(("127.0.0.1", self.port))
                s.send(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) +
                       pack_name(name) + struct.pack(">HH", kind, 1))
                return struct.unpack(">H", s.recv(4096)[6:8])[0]
            except OSError:
                return None

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
        self.proc.wait()

"""Load that checks every answer: what a reload must not disturb.

    with Load(port, "/", want=lambda r: r.status == 200) as load:
        load.wait(1000)             # 1,000 answers from now on
    assert not load.failures

A connection that the server closes where it may (Connection: close, or
idle with nothing of a request sent) is opened again and counted in
`reopened`; anything else that goes wrong is a failure with its text.
"""
import threading
import time

from lib import http, net


class Load:
    def __init__(self, addr, target="/", want=None, conns=8, method="GET",
                 headers=(), body=None, per_conn=0, client=http.Client):
        self.addr, self.method, self.client = addr, method, client
        self.want = want or (lambda r: r.status == 200)
        self.data = http.request(method, target, headers, body)
        self.per_conn = per_conn        # 0: as many as the server allows
        self.done = 0
        self.reopened = 0
        self.failures = []
        self.latencies = []
        self._stop = threading.Event()
        self._more = threading.Condition()
        self._threads = [threading.Thread(target=self._run, daemon=True)
                         for _ in range(conns)]

    def __enter__(self):
        for t in self._threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends after the answers that are under way."""
        self._stop.set()
        for t in self._threads:
            t.join(net.WAIT * 2)
            if t.is_alive():
                self.failures.append("a request never ended")

    def wait(self, n, seconds=None):
        """Waits until n more answers came (or one failed)."""
        with self._more:
            goal = self.done + n
            if not self._more.wait_for(
                    lambda: self.done >= goal or self.failures,
                    net.WAIT * 3 if seconds is None else seconds):
                raise TimeoutError(f"{self.done} answers of {goal}")

    def quantile(self, q):
        """Seconds that a share q of the answers took at most."""
        took = sorted(self.latencies) or [0.0]
        return took[min(int(len(took) * q), len(took) - 1)]

    def _run(self):
        conn, used = None, 0
        try:
            while not self._stop.is_set():
                if conn is None:
                    conn, used = self.client(self.addr), 0
                conn, used = self._one(conn, used)
        except Exception as e:
            self._fail(f"{type(e).__name__}: {e}")
        finally:
            if conn is not None:
                conn.close()

    def _one(self, conn, used):
        began = time.monotonic()
        try:
            conn.send(self.data)
            r = conn.response(self.method)
        except (http.Closed, BrokenPipeError, ConnectionResetError) as e:
            # an idle connection may go at any time (RFC 9112 9.3.1), but
            # not the first request on a new one, nor within an answer
            conn.close()
            if used == 0 or conn.buf:
                self._fail(f"cut, request {used + 1}: {e}")
            else:
                self.reopened += 1
            return None, 0
        took = time.monotonic() - began
        if not self.want(r):
            self._fail(f"answer {r.status} {r.headers} {r.body[:200]!r}")
        with self._more:
            self.done += 1
            self.latencies.append(took)
            self._more.notify_all()
        used += 1
        if r.closes or used == self.per_conn:
            conn.close()
            self.reopened += 1
            return None, 0
        return conn, used

    def _fail(self, text):
        with self._more:
            self.failures.append(text)
            self._more.notify_all()


class Download:
    """A slow reader: the body is read only when told to."""

    def __init__(self, addr, target, rcvbuf=4096):
        self.client = http.Client(addr, sock=net.connect(addr, None, rcvbuf))
        self.client.send(http.request("GET", target))
        self.head = self.client.head()
        self.size = int(self.head["content-length"])
        self.got = len(self.client.buf)

    def step(self, n=4096):
        """Reads up to n bytes more; returns whether the body is whole."""
        if self.got < self.size:
            data = self.client.sock.recv(min(n, self.size - self.got))
            if not data:
                raise http.Closed(f"cut at {self.got} of {self.size}")
            self.got += len(data)
        return self.got == self.size

    def finish(self):
        while not self.step(262144):
            pass
        self.client.close()

"""Clients that speak TLS."""
import ssl
import subprocess

from lib import http, net


def context(ca=None, low=ssl.TLSVersion.TLSv1_2, high=None, alpn=None):
    """Trusts the certificate `ca` (a lib.certs.Cert), or anybody."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.minimum_version = low
    if high is not None:
        c.maximum_version = high
    if alpn:
        c.set_alpn_protocols(alpn)
    if ca is None:
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
    else:
        c.load_verify_locations(cadata=ca.pem.decode())
    return c


V12 = dict(high=ssl.TLSVersion.TLSv1_2)
V13 = dict(low=ssl.TLSVersion.TLSv1_3)


class Client(http.Client):
    """One connection that has shaken hands."""

    def __init__(self, addr, ctx=None, name="localhost", first=b"",
                 session=None, timeout=None):
        sock = net.connect(addr, timeout)
        sock.sendall(first)
        try:
            sock = (ctx or context()).wrap_socket(
                sock, server_hostname=name, session=session)
        except BaseException:
            sock.close()
            raise
        super().__init__(None, sock=sock)

    def send(self, data):
        try:
            super().send(data)
        except ssl.SSLError as e:
            raise http.Closed(str(e)) from None

    def _more(self):
        try:
            super()._more()
        except ssl.SSLError as e:
            self.eof = True
            raise http.Closed(f"{e}, after {self.buf[-200:]!r}") from None

    @property
    def version(self):
        return self.sock.version()

    @property
    def alpn(self):
        return self.sock.selected_alpn_protocol()

    @property
    def peer(self):
        """The server's certificate, as bytes."""
        return self.sock.getpeercert(binary_form=True)

    def shut(self):
        """close_notify, and no more; answers may still come."""
        self.sock.setblocking(False)
        try:
            self.sock.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLError, OSError):
            pass
        self.sock.setblocking(True)


def get(addr, target="/", ctx=None, name="localhost", **kw):
    """One request on a connection of its own."""
    with Client(addr, ctx, name) as c:
        return c.get(target, **kw)


def connect_plain(addr):
    """Only the socket, for what is not TLS."""
    s = net.connect(addr)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def s_client(addr, ca, *args, ask=b"GET / HTTP/1.0\r\n\r\n", wait=30):
    """What openssl s_client says, of a handshake and one request."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{addr}",
         "-CAfile", ca, "-ign_eof", *args], input=ask,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=wait,
        check=False)
    return done.stdout.decode("latin-1")
def server(cert, directory, name="server", clients=None, **kw):
    """A context for servers: lib.peer.Peer(tls=...) and others.

    clients: the CA of certificates that clients must show.
    """
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*cert.write(directory, name))
    c.minimum_version = kw.get("low", ssl.TLSVersion.TLSv1_2)
    if "high" in kw:
        c.maximum_version = kw["high"]
    if clients is not None:
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(cadata=clients.pem.decode())
    return c

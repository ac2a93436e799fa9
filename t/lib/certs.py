"""Certificates and keys for tests, made on the spot."""
import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


def make_key(kind="ec"):
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def _san(names):
    out = []
    for name in names:
        if "://" in name or "@" in name:
            out.append(x509.UniformResourceIdentifier(name)
                       if "://" in name else x509.RFC822Name(name))
            continue
        try:
            out.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            out.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(out)


class Cert:
    """A certificate with its key; by another Cert, or by itself."""

    def __init__(self, *names, by=None, kind="ec", key=None, days=90,
                 since=-1, ca=False, seconds=None):
        self.key = key or make_key(kind)
        now = datetime.datetime.now(datetime.timezone.utc)
        until = now + days * DAY if seconds is None else \
            now + datetime.timedelta(seconds=seconds)
        subject = x509.Name([x509.NameAttribute(
            NameOID.COMMON_NAME, (names or ("test",))[0][:64])])
        b = x509.CertificateBuilder() \
            .subject_name(subject) \
            .issuer_name(by.x.subject if by else subject) \
            .public_key(self.key.public_key()) \
            .serial_number(x509.random_serial_number()) \
            .not_valid_before(now + since * DAY) \
            .not_valid_after(until) \
            .add_extension(x509.BasicConstraints(ca, None), True)
        if names and not ca:
            b = b.add_extension(_san(names), False)
        signer = by.key if by else self.key
        digest = None if isinstance(
            signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        self.x = b.sign(signer, digest)
        self.by = by

    @property
    def pem(self):
        return self.x.public_bytes(PEM)

    @property
    def ended(self):
        # what the kernel tells in whole seconds lags by a tick
        return self.x.not_valid_after < datetime.datetime.utcnow() - \
            datetime.timedelta(milliseconds=100)

    @property
    def chain(self):
        """Itself and those that sign it, but for the root."""
        out, at = b"", self
        while at is not None and (at is self or at.by is not None):
            out += at.pem
            at = at.by
        return out

    def key_pem(self, password=None, old=False):
        form = serialization.PrivateFormat.TraditionalOpenSSL if old \
            else serialization.PrivateFormat.PKCS8
        how = serialization.BestAvailableEncryption(password.encode()) \
            if password else serialization.NoEncryption()
        return self.key.private_bytes(PEM, form, how)

    @property
    def fingerprint(self):
        return self.x.fingerprint(hashes.SHA256()).hex()

    def write(self, directory, name, password=None, old=False):
        """NAME.crt with its chain, and NAME.key; their paths."""
        crt = put(directory, f"{name}.crt", self.chain)
        return crt, put(directory, f"{name}.key",
                        self.key_pem(password, old))


def crl(ca, *revoked, days=30):
    """PEM of a list that `ca` signed, with the certificates in it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    b = x509.CertificateRevocationListBuilder() \
        .issuer_name(ca.x.subject) \
        .last_update(now - 60 * DAY).next_update(now + days * DAY)
    for c in revoked:
        b = b.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(c.x.serial_number)
            .revocation_date(now - DAY).build())
    return b.sign(ca.key, hashes.SHA256()).public_bytes(PEM)


def put(directory, name, data):
    """Writes a file in one step, as whoever renews certificates should."""
    path = os.path.join(directory, name)
    with open(path + ".new", "wb") as f:
        if b"PRIVATE KEY" in data:
            os.fchmod(f.fileno(), 0o600)
        f.write(data)
    os.rename(path + ".new", path)
    return path

"""Certificates for SIP over TLS: an authority of one test, and what it signs."""

import datetime as dt
import os
import secrets
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    def replace_by(self, other: "Identity") -> None:
        """Put another's files in the place of these, as a renewal does: written beside, then renamed."""
        for old, new in ((self.key, other.key), (self.certificate, other.certificate)):
            beside = old.with_suffix(".new")
            beside.write_bytes(new.read_bytes())
            os.replace(beside, old)  # noqa: PTH105 - the rename is what is meant


class Authority:
    """Signs certificates; `file` is its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        # Each has a name of its own: by it an authority is looked for.
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Authority {secrets.token_hex(4)}")])
        self.file = folder / "authority.pem"
        own = _begin(self._name, self._name, self._key.public_key())
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = own.sign(self._key, hashes.SHA256())
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, label: str, *names: str, is_locked: bool = False) -> Identity:
        """Sign a certificate for domains, addresses and "sip:" URIs; its files are named by `label`.

        A locked key has a passphrase that nobody knows.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
        wanted = _begin(subject, self._name, key.public_key())
        if names:
            wanted = wanted.add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
            )
        certificate = wanted.sign(self._key, hashes.SHA256())
        identity = Identity(self._folder / f"{label}.pem", self._folder / f"{label}.key")
        identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        identity.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(secrets.token_bytes(16))
                if is_locked
                else serialization.NoEncryption(),
            )
        )
        return identity


def client_context(authority: Authority, identity: Identity | None = None) -> ssl.SSLContext:
    """Give the context of a gateway that trusts an authority, and shows a certificate if it has one."""
    context = ssl.create_default_context(cafile=str(authority.file))
    if identity is not None:
        context.load_cert_chain(identity.certificate, identity.key)
    return context


def serial_of(certificate: bytes) -> int:
    """Give the number of a certificate (DER)."""
    return x509.load_der_x509_certificate(certificate).serial_number


def serial_in(path: Path) -> int:
    """Give the number of the certificate in a file (PEM)."""
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def _begin(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )


def _general(name: str) -> x509.GeneralName:
    if name.startswith("sip:"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)

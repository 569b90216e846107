"""The recorder's own certificate, and whose certificates it takes: TLS 1.3 from files that may change.

Conventions: files are PEM; the certificate's file holds its chain after it. A context is built whole from
all files and then takes the place of the one before it: connections keep the one that they began with.
Sessions are not resumed, so what a change of files takes away is gone with the next connection.

Source: RFC 8446; RFC 5922 section 7.1 (names of a SIP peer).
"""

import ssl
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from callseal.agent.sip import tls_files

MAX_NAMES: Final = 64
"""Names of one certificate that are looked at; real ones have a handful."""
MAX_NAME_CHARS: Final = 255  # the longest domain name (RFC 1035 section 2.3.4)

_SIP_SCHEME: Final = "sip:"
_UNREADABLE: Final = (
    ValueError,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class ServerTls:
    """How the recorder shows itself by TLS; `context` is for the next connection, and that one alone."""

    def __init__(self, certificate_file: Path, key_file: Path, peer_ca_file: Path | None = None) -> None:
        """Read the files; SourceError in words where one is missing, broken or does not fit the others.

        With `peer_ca_file` a peer must show a certificate that one of these authorities signed.
        """
        self._certificate_file = certificate_file
        self._key_file = key_file
        self._peer_ca_file = peer_ca_file
        self._files = (certificate_file, key_file, peer_ca_file)
        self._stamps = tls_files.look(self._files)
        self._context, self._expires = self._load()

    @property
    def context(self) -> ssl.SSLContext:
        """The context of the files as they were last read without a fault."""
        return self._context

    @property
    def expires(self) -> datetime:
        """When the certificate that is shown runs out; aware, UTC."""
        return self._expires

    def reload_if_changed(self) -> bool:
        """Read the files again if one has changed, and say whether a new context took the old one's place.

        SourceError if they are of no use now: the old context stays, and the same files are not tried again.
        """
        stamps = tls_files.look(self._files)
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        self._context, self._expires = self._load()
        return True

    def _load(self) -> tuple[ssl.SSLContext, datetime]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        expires = tls_files.load_own(context, self._certificate_file, self._key_file)
        if self._peer_ca_file is not None:
            tls_files.load_authorities(context, self._peer_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context, expires


def peer_names(certificate: bytes | None) -> tuple[str, ...]:
    """Return the names in a verified certificate (DER): domains, addresses, "sip:" URIs without a user.

    Empty for no certificate, and for one that can't be read: who is not understood has no name.
    """
    if certificate is None:
        return ()
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except _UNREADABLE:
        return ()
    found = [_name(name) for name in list(names)[:MAX_NAMES]]
    return tuple(name for name in found if name and len(name) <= MAX_NAME_CHARS)


def _name(name: x509.GeneralName) -> str:
    """Return a name as text; empty for a kind that names no host."""
    if isinstance(name, x509.DNSName):
        return name.value
    if isinstance(name, x509.IPAddress):
        return str(name.value)
    if isinstance(name, x509.UniformResourceIdentifier) and name.value.lower().startswith(_SIP_SCHEME):
        host = name.value[len(_SIP_SCHEME) :]
        return "" if "@" in host else _SIP_SCHEME + host
    return ""

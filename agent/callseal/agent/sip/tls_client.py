"""Whom a connection of ours must reach, and how we show ourselves there: TLS 1.3 from files that may change.

Conventions: the name is that of the server as it is configured, a domain or an address, and must stand in
the certificate's subjectAltName; its common name means nothing. "*.example.com" in a certificate fits one
label, as RFC 6125 section 6.4.3 has it: hosted telephone systems show such, against RFC 5922 section 7.2.

Source: RFC 8446; RFC 3261 section 26.3.1, RFC 6125.
"""

import ssl
from datetime import datetime
from pathlib import Path

from callseal.agent.errors import SourceError
from callseal.agent.sip import tls_files


class ClientTls:
    """How connections of ours are made by TLS; `context` is for the next connection, and that one alone."""

    def __init__(
        self,
        server_name: str,
        ca_file: Path | None = None,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
    ) -> None:
        """Read the files; SourceError in words where one is missing, broken or does not fit the others.

        Without `ca_file` the authorities are those that the system trusts.
        """
        if not _is_name(server_name):
            raise SourceError("TLS needs a name that the server's certificate can show")
        if (certificate_file is None) != (key_file is None):
            raise SourceError("a certificate and its key belong together")
        self.server_name = server_name
        self._ca_file = ca_file
        self._own = None if certificate_file is None or key_file is None else (certificate_file, key_file)
        self._files = (ca_file, certificate_file, key_file)
        self._stamps = tls_files.look(self._files)
        self._context, self._expires = self._load()

    @property
    def context(self) -> ssl.SSLContext:
        """The context of the files as they were last read without a fault."""
        return self._context

    @property
    def expires(self) -> datetime | None:
        """When the certificate that we show runs out; aware, UTC. None where we show none."""
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

    def _load(self) -> tuple[ssl.SSLContext, datetime | None]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # certificates and names are checked
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.hostname_checks_common_name = False
        if self._ca_file is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            tls_files.load_authorities(context, self._ca_file)
        expires = None if self._own is None else tls_files.load_own(context, *self._own)
        return context, expires


def _is_name(text: str) -> bool:
    """Say whether TLS can ask for a name."""
    try:
        return bool(text.encode("idna")) and "\0" not in text
    except UnicodeError:
        return False

"""Addresses: SIP, SIPS and tel URIs, and what stands around them in From, To and Contact.

Conventions: texts stay as they are written, escapes included (`numbering` undoes them); schemes, hosts and
names of parameters are lower case; what is absent is "". The reading is tolerant, for gateways write much
that no grammar allows and a call is worth more than its syntax.

Sources: RFC 3261 sections 19.1 and 20.10, RFC 3966 (tel), RFC 5118 (IPv6).
"""

import re
from dataclasses import dataclass, field
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.grammar import Params, find_param, read_params, split_name_addr, unquote

MAX_URI_CHARS: Final = 2048
"""Longer ones are refused: the longest in use carry a whole service description in their parameters."""

_MAX_PORT: Final = 65535
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_HOST: Final = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:;?@<>\", \t]*))(?::([0-9]{1,5}))?(;[^?]*)?(?:\?(.*))?", re.DOTALL
)
_SIP_SCHEMES: Final = ("sip", "sips", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uri:
    """An address. One that is neither SIP nor tel has all of its text in `user`.

    `scheme` is "" where only "user@host", or a bare number, was written.
    """

    scheme: str
    user: str = ""
    password: str = field(default="", repr=False)
    host: str = ""
    """Without the brackets of IPv6."""
    port: int | None = None
    params: Params = ()
    headers: Params = ()

    def param(self, name: str) -> str | None:
        """Return a parameter's value: "" for a flag, None where it is absent."""
        return find_param(self.params, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAddr:
    """An address with its display name and the header's own parameters."""

    display: str
    uri: str
    """As it is written; `address` takes it apart."""
    params: Params = ()

    @property
    def address(self) -> Uri:
        """The URI, taken apart; raises SipSyntaxError for one that is none."""
        return parse_uri(self.uri)

    def param(self, name: str) -> str | None:
        """Return a parameter's value: "" for a flag, None where it is absent."""
        value = find_param(self.params, name)
        return None if value is None else unquote(value)


def parse_uri(text: str) -> Uri:
    """Take a URI apart; raises SipSyntaxError (400, or 414 for one that is too long)."""
    if len(text) > MAX_URI_CHARS:
        raise SipSyntaxError("a URI is too long", status=414)
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    rest = text[found.end() :] if found else text
    if not rest:
        raise SipSyntaxError("a URI is empty", status=400)
    if scheme == "tel":
        number, _, params = rest.partition(";")
        return Uri(scheme=scheme, user=number, params=read_params(params))
    if scheme not in _SIP_SCHEMES:
        return Uri(scheme=scheme, user=rest)
    return _sip_uri(scheme, rest)


def parse_name_addr(text: str) -> NameAddr:
    """Take an address with its display name apart; raises SipSyntaxError (400)."""
    if len(text) > MAX_URI_CHARS * 2:
        raise SipSyntaxError("an address is too long", status=400)
    display, uri, params = split_name_addr(text)
    if not uri:
        raise SipSyntaxError("an address has no URI", status=400)
    return NameAddr(display=unquote(display), uri=uri, params=read_params(params))


def _sip_uri(scheme: str, rest: str) -> Uri:
    user, at, tail = rest.partition("@")
    if not at:
        user, tail = "", rest
    found = _HOST.fullmatch(tail)
    if found is None and "@" in tail:  # "number@realm@host" is against the rules and is sent
        user, _, tail = rest.rpartition("@")
        found = _HOST.fullmatch(tail)
    port = int(found[3]) if found is not None and found[3] else None
    if found is None or (port is not None and not 0 < port <= _MAX_PORT):
        raise SipSyntaxError("a URI has no host, or no port, that could be one", status=400)
    name, colon, password = user.partition(":")
    host = (found[1] or found[2] or "").lower()
    if not scheme and not at:  # a bare number, or what passes for one
        name, host = tail.partition(";")[0], ""
    return Uri(
        scheme=scheme,
        user=name,
        password=password if colon else "",
        host=host,
        port=port,
        params=read_params(found[4] or ""),
        headers=_headers(found[5] or ""),
    )


def _headers(text: str) -> Params:
    pairs = (item.partition("=") for item in text.split("&") if item)
    return tuple((name.lower(), value) for name, _, value in pairs)

"""Contact (RFC 3261 section 20.10): what a telephone says of where it is, read and exchanged for another.

Conventions: a value is one Contact as it is written, with display name, URI and parameters; only its URI is
ever exchanged, so that ``expires``, ``q`` and ``+sip.instance`` (RFC 5626) stay as they came.
"""

import re
from collections.abc import Callable
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.grammar import Params, find_param, read_params, split_name_addr, unquote
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.uri import Uri, parse_uri
from callseal.agent.sources.bridge.edge.faces import port_of

EVERYTHING: Final = "*"
"""All Contacts of an address of record, to be removed (section 10.2.2)."""
DEFAULT_EXPIRES_S: Final = 3600
"""What a registrar takes where nothing, or no number, is said (section 10.2.1.1)."""

# Printable, and nothing in it ends a request line or a bracket early.
_REQUEST_URI: Final = re.compile(r"(?:sips?|tel):[!#-;=?-~\x80-\U0010ffff]+", re.IGNORECASE)
_SECONDS: Final = re.compile(r"[0-9]{1,10}")
_EXPIRES: Final = "expires"
# URI parameters that are no part of a request URI, or name a way that is not taken.
_HANDED_ON: Final = ("method", "ttl", "maddr")
_OF_HOST: Final = ("transport", "lr", "maddr", "ttl", "cs", "ob")

Key = tuple[str, str, int, Params]
"""Which Contact a URI is: user, host, port and parameters, in any order (section 19.1.4)."""


def mapped(headers: Headers, name: str, change: Callable[[str], str | None]) -> Headers:
    """Return the same headers with all values of one of them exchanged; None leaves a value out."""
    fields: list[tuple[str, str]] = []
    for known, value in headers.fields:
        if known != name:
            fields.append((known, value))
        elif (changed := change(value)) is not None:
            fields.append((known, changed))
    return Headers(fields=tuple(fields))


def uri_text(value: str) -> str:
    """Return the URI of a Contact as it is written; raises SipSyntaxError."""
    return split_name_addr(value)[1]


def with_uri(value: str, uri: str) -> str:
    """Return a Contact with another URI; raises SipSyntaxError."""
    display, _, params = split_name_addr(value)
    return f"{display} <{uri}>{params}" if display else f"<{uri}>{params}"


def with_expires(value: str, expires_s: int) -> str:
    """Return a Contact that holds for so long; raises SipSyntaxError."""
    display, uri, text = split_name_addr(value)
    params = [(name, said) for name, said in read_params(text) if name != _EXPIRES]
    rest = "".join(f";{name}={said}" if said else f";{name}" for name, said in params)
    return f"{display} <{uri}>{rest};{_EXPIRES}={expires_s}".lstrip()


def expires_of(value: str, general: str | None) -> int | None:
    """Return how long a Contact is to hold, in seconds: by itself, else by the message's Expires.

    None where neither says. What is no number counts as the default. Raises SipSyntaxError.
    """
    said = find_param(read_params(split_name_addr(value)[2]), _EXPIRES)
    return seconds(general if said is None else said)


def seconds(text: str | None) -> int | None:
    """Return what an expiry says, the default for what is no number; None where nothing is said."""
    if text is None:
        return None
    return int(text) if _SECONDS.fullmatch(text) else DEFAULT_EXPIRES_S


def instance_of(value: str) -> str:
    """Return which telephone it is (``+sip.instance``, RFC 5626 section 4.1), "" where it does not say.

    Of the flows of one telephone each is another (``reg-id``, section 4.2).
    """
    params = read_params(split_name_addr(value)[2])
    instance = unquote(find_param(params, "+sip.instance") or "")
    flow = find_param(params, "reg-id")
    return f"{instance};{flow}" if instance and flow else instance


def is_gruu(uri: Uri) -> bool:
    """Say whether a URI is one that the registrar gave out and resolves itself (RFC 5627)."""
    return uri.param("gr") is not None


def key_of(uri: Uri) -> Key:
    """Return what makes a Contact the same one."""
    return uri.user, uri.host, port_of(uri), tuple(sorted(uri.params))


def as_request_uri(text: str) -> str:
    """Return a Contact's URI as a request may be sent to: without what section 19.1.1 forbids there."""
    user, at, rest = text.rpartition("@")
    host, *params = rest.partition("?")[0].split(";")
    kept = (each for each in params if each.partition("=")[0].strip().lower() not in _HANDED_ON)
    return user + at + ";".join((host, *kept))


def uri_in(value: str) -> Uri:
    """Return the URI of a Contact, to which a request may be sent; raises SipSyntaxError for any other."""
    text = uri_text(value)
    if _REQUEST_URI.fullmatch(text) is None:
        raise SipSyntaxError("a Contact has no URI that a request could be sent to", status=400)
    return parse_uri(text)


def readable(text: str) -> Uri | None:
    """Return a request URI taken apart, None for what is none."""
    try:
        return uri_in(f"<{text}>")
    except SipSyntaxError:
        return None


def at_host(text: str, host: str) -> str:
    """Return a URI with another host, or host:port, without the parameters that belonged to the old one."""
    user, at, rest = text.rpartition("@")
    scheme = "" if at else text.partition(":")[0] + ":"
    params = (each for each in rest.partition("?")[0].split(";")[1:])
    kept = (each for each in params if each.partition("=")[0].strip().lower() not in _OF_HOST)
    return user + at + ";".join((scheme + host, *kept))


def with_field(headers: Headers, name: str, value: str) -> Headers:
    """Return the same headers with this one value of a header."""
    kept = tuple(item for item in headers.fields if item[0] != name)
    return Headers(fields=(*kept, (name, value)))

"""What all SIP headers are made of: names, lists, parameters, quoted strings (RFC 3261 sections 7.3 and 25).

Conventions: text in, text out. Blanks are space and tab; names of parameters are lower case, the value of one
that has none is "". Everything here takes time linear in the length of its text, however that is made up, and
is tolerant: what does not look like the grammar is passed over, except where a function says otherwise.
"""

import re
from collections.abc import Iterable
from typing import Final

from callseal.agent.errors import SipSyntaxError

MAX_FIELDS: Final = 256
"""Headers of one message, each value of a list counted. Long routes of large networks come to about 60; a
response copies every Via, so that this limits what a peer can make us send as well."""
MAX_VALUE_CHARS: Final = 8192
"""One header's value, unfolded: signed identities (RFC 8225) come to 2,000."""

Params = tuple[tuple[str, str], ...]

_BLANKS: Final = " \t"
_NAME: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")  # a token, section 25.1

# Section 7.3.3 and the IANA registry of header fields.
_COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
_LIST_NAMES: Final = """
    accept accept-encoding accept-language alert-info allow allow-events call-info contact content-encoding
    content-language diversion error-info history-info in-reply-to p-asserted-identity path proxy-require
    reason record-route recv-info require route service-route supported unsupported user-to-user via warning
"""
_LISTS: Final = frozenset(_LIST_NAMES.split())
"""Headers of which several values may stand in one line, separated by commas."""
_WRITTEN_NAMES: Final = """
    Accept Allow CSeq Call-ID Contact Content-ID Content-Length Content-Type Date From MIME-Version
    Max-Forwards Min-SE RAck RSeq Reason Record-Route Require Retry-After Route SIP-ETag SIP-If-Match Server
    Session-Expires Supported Timestamp To Unsupported User-Agent Via WWW-Authenticate Warning
"""
_WRITTEN: Final = {name.lower(): name for name in _WRITTEN_NAMES.split()}
_SPELLINGS: Final = _COMPACT | {
    spelling: name for name, written in _WRITTEN.items() for spelling in (written, name)
}

# Quantifiers with a second plus give nothing back: no text makes these search for long.
_QUOTED: Final = r'"(?:[^"\\]++|\\.)*+"'
_PIECE: Final = re.compile(rf'{_QUOTED}?|<[^>]*>?|[^"<,;]++|.', re.DOTALL)
_BEFORE_URI: Final = re.compile(rf'(?:[^"<]++|{_QUOTED})*+', re.DOTALL)
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_QUOTE: Final = '"'


def long_name(name: str) -> str:
    """Return a header's long name in lower case; "" for what cannot be a name."""
    known = _SPELLINGS.get(name)
    if known is not None:
        return known
    name = name.rstrip(_BLANKS)
    if not _NAME.fullmatch(name):
        return ""
    name = name.lower()
    return _COMPACT.get(name, name)


def written_name(name: str) -> str:
    """Return a header's name as RFCs write it."""
    return _WRITTEN.get(name) or "-".join(word.capitalize() for word in name.split("-"))


def read_fields(lines: Iterable[str]) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Read unfolded header lines, and say whether they keep to the limits; if not, the first ones are given.

    What is no header at all is passed over: "a server MUST ignore … malformed header fields that are not
    necessary for processing" (section 7.3.1), and what is necessary is missed by whoever needs it.
    """
    fields: list[tuple[str, str]] = []
    for line in lines:
        if len(fields) >= MAX_FIELDS or len(line) > MAX_VALUE_CHARS:
            return tuple(fields[:MAX_FIELDS]), False
        raw, colon, value = line.partition(":")
        name = long_name(raw) if colon else ""
        if not name:
            continue
        if name not in _LISTS:
            fields.append((name, value.strip(_BLANKS)))
        elif "," in value:
            fields += [(name, item) for item in split_list(value)]
        elif item := value.strip(_BLANKS):
            fields.append((name, item))
    return tuple(fields[:MAX_FIELDS]), len(fields) <= MAX_FIELDS


def split_list(text: str, separator: str = ",") -> list[str]:
    """Split at commas, or at semicolons, outside quotes and angle brackets; empty items are left out."""
    if _QUOTE in text or "<" in text:
        items, pieces = [], list[str]()
        for piece in _PIECE.findall(text):
            if piece == separator:
                items.append("".join(pieces))
                pieces = []
            else:
                pieces.append(piece)
        items.append("".join(pieces))
    else:
        items = text.split(separator)
    return [item for item in (item.strip(_BLANKS) for item in items) if item]


def read_params(text: str) -> Params:
    """Read ";name=value;flag"; values stay as they are written, quotes included."""
    pairs = (item.partition("=") for item in split_list(text, ";"))
    named = ((name.rstrip(_BLANKS).lower(), value.lstrip(_BLANKS)) for name, _, value in pairs)
    return tuple(pair for pair in named if pair[0])


def write_params(params: Params) -> str:
    """Write parameters as `read_params` reads them."""
    return "".join(f";{name}={value}" if value else f";{name}" for name, value in params)


def find_param(params: Params, name: str) -> str | None:
    """Return a parameter's value, None where there is no such parameter."""
    for known, value in params:
        if known == name:
            return value
    return None


def unquote(text: str) -> str:
    """Return what a quoted string says, anything else unchanged."""
    if len(text) > 1 and text[0] == text[-1] == _QUOTE:
        return _QUOTED_PAIR.sub(r"\1", text[1:-1])
    return text


def split_name_addr(text: str) -> tuple[str, str, str]:
    """Take ``"Name" <uri>;params``, or ``uri;params``, apart: display name as it stands, URI, parameters.

    Without angle brackets, parameters are the header's and not the URI's (section 20). Raises SipSyntaxError
    (400) for a quote or a bracket without its other half, for then nobody knows where the parameters begin.
    """
    end = text.find("<")
    if _QUOTE in (text if end < 0 else text[:end]):
        found = _BEFORE_URI.match(text)
        end = found.end() if found else 0
        if end < len(text) and text[end] == _QUOTE:
            raise SipSyntaxError("an address has a quote without its other half", status=400)
        end = end if end < len(text) else -1
    if end < 0:
        uri, semicolon, params = text.partition(";")
        return "", uri.strip(_BLANKS), semicolon + params
    uri, closing, params = text[end + 1 :].partition(">")
    if not closing:
        raise SipSyntaxError("an address has a bracket without its other half", status=400)
    return text[:end].strip(_BLANKS), uri.strip(_BLANKS), params

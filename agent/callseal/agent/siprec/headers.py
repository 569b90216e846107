"""What the headers of a gateway's INVITE say of the recorded call, as attributes that can be searched.

Kept are the identifiers that join a recording to other systems' records, the addresses that are asserted or
diverted, and all headers of a maker's own (`X-…`). The INVITE itself is kept besides, as it came.

Sources: RFC 7989, RFC 7433, RFC 3325, RFC 5806, RFC 7315 (P-Charging-Vector).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from callseal.agent.sip.message import Headers, Request
from callseal.agent.siprec.identifiers import guid_of, ucid_of
from callseal.agent.siprec.model import Attribute
from callseal.agent.siprec.vendors import attribute_of

MAX_HEADER_ATTRIBUTES: Final = 48

_NAMED: Final[Mapping[str, str]] = {
    "session-id": "sip:session-id",
    "user-to-user": "sip:user-to-user",
    "p-asserted-identity": "sip:p-asserted-identity",
    "remote-party-id": "sip:remote-party-id",
    "diversion": "sip:diversion",
    "history-info": "sip:history-info",
    "p-charging-vector": "sip:p-charging-vector",
    "call-info": "sip:call-info",
    "user-agent": "sip:user-agent",
    "cisco-guid": "cisco:guid",
    "cisco-gucid": "cisco:gucid",
    "p-ocsbc-ucid": "oracle:ucid",
    "ms-conversation-id": "microsoft:conversation-id",
}
_UCIDS: Final = frozenset(
    {"user-to-user", "x-ucid", "x-avaya-ucid", "x-isr-ucid", "p-ocsbc-ucid", "x-ac-avaya-ucid"}
)
_OWN: Final = re.compile(r"x-[\w-]{1,64}")
_SECRET: Final = re.compile(r"auth|token|passw|secret|key|cookie|credential")
"""In the name of a header that may be none of a recorder's business."""
_CHARGING_ID: Final = re.compile(r"icid-value\s*=\s*\"?([^\";]{1,128})", re.IGNORECASE)


def headers_of(request: Request) -> tuple[Attribute, ...]:
    """Give what a request's headers say of the recorded call; at most `MAX_HEADER_ATTRIBUTES`."""
    return tuple(dict.fromkeys(_attributes(request.headers)))[:MAX_HEADER_ATTRIBUTES]


def _attributes(headers: Headers) -> Iterator[Attribute]:
    for name, value in headers.fields:
        if not value:
            continue
        if name in _UCIDS and (ucid := ucid_of(value)):
            yield attribute_of("avaya", "ucid", ucid)
        if name == "cisco-guid" and (guid := guid_of(value)):
            yield attribute_of("cisco", "guid", guid)
        elif name == "p-charging-vector" and (found := _CHARGING_ID.search(value)):
            yield attribute_of("sip", "icid", found[1].strip())
        elif known := _NAMED.get(name):
            maker, _, plain_name = known.partition(":")
            yield attribute_of(maker, plain_name, value)
        elif _OWN.fullmatch(name) and not _SECRET.search(name):
            yield attribute_of("header", name, value)

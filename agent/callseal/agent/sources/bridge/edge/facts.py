"""What an INVITE from outside says of its call: all that rules, routing and metadata know of it.

Conventions: texts as they came, unfolded; an address is a name-addr (RFC 3261 section 25.1) without
parameters behind its bracket, so without tag. What names people or numbers is in no `repr`, and so in no log.
Pure.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from callseal.agent.sip.grammar import split_name_addr
from callseal.agent.sip.message import Request
from callseal.agent.sip.uri import parse_uri

Party = Literal["phone", "pbx"]
"""Who calls, or is called: the desk's telephone, or the telephone system."""
Side = Literal["phone", "pbx", "line"]
"""Where a message comes from or goes to; `line` is the bridge's child."""

OTHER_PARTY: Final[dict[Party, Party]] = {"phone": "pbx", "pbx": "phone"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One INVITE that began a call."""

    token: str
    """What the edge knows the call by: 32 hexadecimal digits, new for each INVITE."""
    side: Party
    """Where it came from."""
    request_uri: str = field(repr=False)
    request_user: str = field(repr=False)
    """User part of the request URI, or the number of a tel URI, as it is written."""
    from_address: str = field(repr=False)
    to_address: str = field(repr=False)
    call_id: str = field(repr=False)
    asserted: str = field(default="", repr=False)
    """The first P-Asserted-Identity (RFC 3325), "" where there is none."""
    phone_uri: str = field(default="", repr=False)
    """For a call from the telephone system: the Contact of the telephone that is registered under the user in
    the request URI; "" for none."""


def read_facts(request: Request, *, side: Party, token: str, phone_uri: str = "") -> Facts:
    """Read the facts of an INVITE; raises SipSyntaxError (400 or 414) where its request URI is none."""
    headers = request.headers
    return Facts(
        token=token,
        side=side,
        request_uri=request.uri,
        request_user=parse_uri(request.uri).user,
        from_address=untagged(headers.get("from") or ""),
        to_address=untagged(headers.get("to") or ""),
        call_id=request.call_id,
        asserted=headers.get("p-asserted-identity") or "",
        phone_uri=phone_uri,
    )


def untagged(address: str) -> str:
    """Return an address as a name-addr without parameters; raises SipSyntaxError where it is malformed."""
    display, uri, _ = split_name_addr(address)
    return f"{display} <{uri}>" if display else f"<{uri}>"

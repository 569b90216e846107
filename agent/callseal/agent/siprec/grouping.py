"""Which recordings belong to one conversation, though each came in a session of its own.

A transfer may reach the recorder as the end of one session and the beginning of another. What joins them is
the communication session group (RFC 7865 section 6.2); for gateways that send none, the identifiers that the
telephone system itself gives to a call. The strongest comes first:

1. groups, also the one that NetSapiens names as the transferred call's;
2. session identifiers (RFC 7989) of the recorded call;
3. Avaya's UCID, Cisco's GUID, BroadWorks' tracking id;
4. Call-IDs of the recorded call, where a gateway tells them.

An identifier that might come again for another call joins nothing: one that is short, or always the same.
"""

from collections.abc import Iterator
from typing import Final

from callseal.agent.sip.message import Headers
from callseal.agent.siprec.conversation import Conversation
from callseal.agent.siprec.identifiers import MAX_IDENTIFIER_CHARS, guid_of, session_ids_of, ucid_of
from callseal.agent.siprec.model import Attribute

MAX_KEYS: Final = 16
"""Of one recording."""
MIN_KEY_CHARS: Final = 8
MIN_KEY_VARIETY: Final = 4
"""How many different characters an identifier must have: "000000000000" is none."""

_UCIDS: Final = frozenset({"oracle:ucid", "audiocodes:AvayaUCID", "avaya:ucid", "header:x-ucid"})
_GUIDS: Final = frozenset({"cisco:guid", "cisco:Cisco-Guid", "oracle:header.Cisco-Guid", "oracle:guid"})
_CALL_IDS: Final = frozenset({"sonus:callid", "oracle:header.Call-ID"})
_TRACKING: Final = "broadworks:extTrackingID"
_TRANSFERRED: Final = "netsapiens:xferredGroupID"


def conversation_keys(conversation: Conversation, headers: Headers) -> tuple[str, ...]:
    """Give what the conversation can be known by in other sessions, the strongest first."""
    told = conversation.all_attributes
    found = dict.fromkeys(_keys(conversation, headers, told))
    return tuple(found)[:MAX_KEYS]


def _keys(conversation: Conversation, headers: Headers, told: tuple[Attribute, ...]) -> Iterator[str]:
    groups = [group.id for group in conversation.groups]
    groups += [value for name, value in told if name == _TRANSFERRED]
    yield from (f"group:{group}" for group in groups if _is_unique(group))
    for session in conversation.sessions:
        for written in session.sip_session_ids:
            yield from (f"session:{value}" for value in session_ids_of(written) if _is_unique(value))
    ucids = [value for name, value in told if name in _UCIDS]
    ucids += [value for name in ("user-to-user", "x-ucid", "x-isr-ucid") for value in headers.all(name)]
    yield from (f"ucid:{ucid}" for ucid in map(ucid_of, ucids) if _is_unique(ucid))
    guids = [value for name, value in told if name in _GUIDS] + list(headers.all("cisco-guid"))
    yield from (f"guid:{guid}" for guid in map(guid_of, guids) if _is_unique(guid))
    yield from (f"tracking:{value}" for name, value in told if name == _TRACKING)
    yield from (f"call:{value}" for name, value in told if name in _CALL_IDS and _is_unique(value))


def _is_unique(identifier: str) -> bool:
    return (
        MIN_KEY_CHARS <= len(identifier) <= MAX_IDENTIFIER_CHARS and len(set(identifier)) >= MIN_KEY_VARIETY
    )

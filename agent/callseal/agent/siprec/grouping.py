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

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from callseal.agent.sip.message import Headers
from callseal.agent.siprec.conversation import Conversation
from callseal.agent.siprec.identifiers import MAX_IDENTIFIER_CHARS, guid_of, session_ids_of, ucid_of
from callseal.agent.siprec.model import Attribute

MAX_KEYS: Final = 16
"""Of one recording."""
MIN_KEY_CHARS: Final = 8
MIN_KEY_VARIETY: Final = 4
"""How many different characters an identifier must have: "000000000000" is none."""
MAX_REMEMBERED_KEYS: Final = 100_000
"""Two keys each for all calls of five hours at three a second."""
MAX_LINKED: Final = 16
"""Recordings of one conversation that a new one is linked to: the latest."""

_UCIDS: Final = frozenset({"oracle:ucid", "audiocodes:AvayaUCID", "avaya:ucid", "header:x-ucid"})
_GUIDS: Final = frozenset({"cisco:guid", "cisco:Cisco-Guid", "oracle:header.Cisco-Guid", "oracle:guid"})
_CALL_IDS: Final = frozenset({"sonus:callid", "oracle:header.Call-ID"})
_TRACKING: Final = "broadworks:extTrackingID"
_TRANSFERRED: Final = "netsapiens:xferredGroupID"

T = TypeVar("T")


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


@dataclass(slots=True)
class _Entry(Generic[T]):
    seen_at_s: float
    recordings: list[T] = field(default_factory=list)


class Conversations(Generic[T]):
    """Which recordings were made of which conversations, for as long as another session may follow.

    The time is `now_s`, which must not go back.
    """

    def __init__(self, *, keep_s: float, limit: int = MAX_REMEMBERED_KEYS) -> None:
        """Remember a conversation until `keep_s` after it was last seen, and at most `limit` keys."""
        self._keep_s = keep_s
        self._limit = limit
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def earlier(self, keys: tuple[str, ...], now_s: float) -> tuple[T, ...]:
        """Give the recordings of the same conversation, in the order in which they were added."""
        self._forget(now_s)
        entries = [self._entries[key] for key in keys if key in self._entries]
        found: Mapping[T, None] = dict.fromkeys(one for entry in entries for one in entry.recordings)
        return tuple(found)[-MAX_LINKED:]

    def add(self, keys: tuple[str, ...], recording: T, now_s: float) -> None:
        """Note that a recording belongs to a conversation, or that it still does."""
        for key in keys:
            entry = self._entries.setdefault(key, _Entry(seen_at_s=now_s))
            entry.seen_at_s = now_s
            if recording not in entry.recordings:
                entry.recordings = [*entry.recordings[1 - MAX_LINKED :], recording]
            self._entries.move_to_end(key)
        self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if len(self._entries) <= self._limit and now_s - oldest.seen_at_s <= self._keep_s:
                break
            self._entries.popitem(last=False)

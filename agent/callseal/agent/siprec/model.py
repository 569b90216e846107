"""What a gateway said of the conversation that it copies, brought into one form (RFC 7865 section 6).

Conventions: ids are the gateway's own texts, whatever they look like; times are UTC or None where there was
none that could be believed. Nothing here decides who the agent is: see `parties`.
"""

from dataclasses import dataclass
from datetime import datetime

Attribute = tuple[str, str]
"""A name and a value of a vendor's own: "oracle:ucid", "cisco:guid", …; searchable as it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Somebody in the conversation."""

    id: str
    aors: tuple[str, ...] = ()
    """Addresses as they were written, each with its display name in `names` (or "")."""
    names: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One stream of media: `label` joins it to an m-line's `a=label`."""

    id: str
    label: str = ""
    session_id: str = ""
    sent_by: tuple[str, ...] = ()
    """Ids of participants whose voice it carries."""
    received_by: tuple[str, ...] = ()
    is_mixed: bool = False
    """Whether the gateway says that it carries all of them together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """One communication session (RFC 7865 section 6.3)."""

    id: str
    group_id: str = ""
    sip_session_ids: tuple[str, ...] = ()
    """RFC 7989, and Call-IDs of the original call where a vendor tells them."""
    reason: str = ""
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    is_over: bool = False
    """Whether it has ended, or is no longer recorded; `stopped_at` may be unknown all the same."""
    participants: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A communication session group: what belongs to one conversation (section 6.2)."""

    id: str
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """One document, or what several came to."""

    complete: bool
    """False for a partial update."""
    groups: tuple[Group, ...] = ()
    sessions: tuple[SessionInfo, ...] = ()
    participants: tuple[Participant, ...] = ()
    streams: tuple[StreamInfo, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    """(participant, session): who no longer takes part; session "" for all of them (disassociate-time)."""
    placed: tuple[str, ...] = ()
    """Participants of whom it says which streams they send and receive: what was said before is past."""
    attributes: tuple[Attribute, ...] = ()
    oddities: tuple[str, ...] = ()
    """What was not as RFC 7865 has it and was understood all the same, or not: in words, without any number
    or name of a person."""

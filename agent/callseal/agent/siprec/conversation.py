"""What is known of a recorded conversation by now: one document of metadata after the other, put together.

A complete document replaces what was said before; of a partial one each element replaces the element of the
same id, and what it leaves open stays (RFC 7866 section 7.2). Participants who have left are gone; those of a
session that is over stay while nobody else is there, for the last word on a call is not that nobody was in
it.

A stream whose sender is not named stays that of whom it was last: on hold nobody sends, and it is the same
person's voice that comes back afterwards.

Conventions: values do not change; `take` gives a new conversation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from callseal.agent.siprec.document import MAX_GROUPS, MAX_PARTICIPANTS, MAX_SESSIONS, MAX_STREAMS
from callseal.agent.siprec.model import Attribute, Group, Metadata, Participant, SessionInfo, StreamInfo
from callseal.agent.siprec.vendors import MAX_EXTENSIONS

MAX_ODDITIES: Final = 32


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_Identified)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What several documents came to; begins empty."""

    groups: tuple[Group, ...] = ()
    sessions: tuple[SessionInfo, ...] = ()
    participants: tuple[Participant, ...] = ()
    """Who is in it now, in the order in which they were told of."""
    streams: tuple[StreamInfo, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    oddities: tuple[str, ...] = ()

    @property
    def group_id(self) -> str:
        """The group of the session that runs, else of the last one; "" for none."""
        running = [session.group_id for session in self.sessions if session.group_id and not session.is_over]
        known = [group.id for group in self.groups]
        return (running or known or [""])[-1]

    @property
    def all_attributes(self) -> tuple[Attribute, ...]:
        """All that makers added, of the whole and of its groups, sessions and participants, each once."""
        told = dict.fromkeys(self.attributes)
        for holders in (self.groups, self.sessions, self.participants):
            told |= dict.fromkeys(attribute for holder in holders for attribute in holder.attributes)
        return tuple(told)[:MAX_EXTENSIONS]

    def take(self, document: Metadata) -> "Conversation":
        """Take a document; give what is known now."""
        old = Conversation(oddities=self.oddities) if document.complete else self
        sessions = tuple(
            _without_left(session, document.left)
            for session in _merged(old.sessions, document.sessions, _merge_session, MAX_SESSIONS)
        )
        told_of = _merged(old.participants, document.participants, _merge_participant, MAX_PARTICIPANTS)
        participants = _present(told_of, sessions, document.left) or told_of or self.participants
        return Conversation(
            groups=_merged(old.groups, document.groups, _merge_group, MAX_GROUPS),
            sessions=sessions,
            participants=participants,
            streams=self._streams(old, document, frozenset(who.id for who in participants)),
            attributes=_united(old.attributes, document.attributes),
            oddities=tuple(dict.fromkeys((*old.oddities, *document.oddities)))[:MAX_ODDITIES],
        )

    def _streams(
        self, old: "Conversation", document: Metadata, here: frozenset[str]
    ) -> tuple[StreamInfo, ...]:
        """Give the streams that there are now; senders who are not named are remembered."""
        ids = {stream.label: stream.id for stream in old.streams if stream.label}
        new = tuple(_known_again(stream, ids) for stream in document.streams)
        new_labels = {stream.label: stream.id for stream in new if stream.label}
        past = tuple(
            _without_senders(stream, frozenset(document.placed))
            for stream in old.streams
            if new_labels.get(stream.label, stream.id) == stream.id  # a label stands for one stream: RFC 4574
        )
        before = {stream.id: stream.sent_by for stream in self.streams}
        return tuple(
            _with_senders(stream, before.get(stream.id, ()), here)
            for stream in _merged(past, new, _merge_stream, MAX_STREAMS)
        )


def _merged(
    old: tuple[_Item, ...],
    new: tuple[_Item, ...],
    merge: Callable[[_Item, _Item], _Item],
    limit: int,
) -> tuple[_Item, ...]:
    """Put new ones in the place of old ones of the same id; drop the oldest beyond the limit."""
    items = {item.id: item for item in old}
    for item in new:
        known = items.get(item.id)
        items[item.id] = item if known is None else merge(known, item)
    return tuple(items.values())[-limit:]


def _merge_group(old: Group, new: Group) -> Group:
    return replace(new, attributes=_united(old.attributes, new.attributes))


def _merge_session(old: SessionInfo, new: SessionInfo) -> SessionInfo:
    return SessionInfo(
        id=new.id,
        group_id=new.group_id or old.group_id,
        sip_session_ids=new.sip_session_ids or old.sip_session_ids,
        reason=new.reason or old.reason,
        started_at=new.started_at or old.started_at,
        stopped_at=new.stopped_at or old.stopped_at,
        is_over=new.is_over or old.is_over,
        participants=tuple(dict.fromkeys((*old.participants, *new.participants)))[-MAX_PARTICIPANTS:],
        attributes=_united(old.attributes, new.attributes),
    )


def _merge_participant(old: Participant, new: Participant) -> Participant:
    return Participant(
        id=new.id,
        aors=new.aors or old.aors,
        names=new.names if new.aors else old.names,
        attributes=_united(old.attributes, new.attributes),
    )


def _merge_stream(old: StreamInfo, new: StreamInfo) -> StreamInfo:
    return StreamInfo(
        id=new.id,
        label=new.label or old.label,
        session_id=new.session_id or old.session_id,
        sent_by=tuple(dict.fromkeys((*old.sent_by, *new.sent_by))),
        received_by=tuple(dict.fromkeys((*old.received_by, *new.received_by))),
        is_mixed=new.is_mixed or old.is_mixed,
    )


def _united(old: tuple[Attribute, ...], new: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    """Put new values in the place of all old ones of the same name."""
    names = {name for name, _ in new}
    return (*(attribute for attribute in old if attribute[0] not in names), *new)[-MAX_EXTENSIONS:]


def _without_left(session: SessionInfo, left: tuple[tuple[str, str], ...]) -> SessionInfo:
    gone = {who for who, where in left if where in {session.id, ""}}
    return replace(session, participants=tuple(who for who in session.participants if who not in gone))


def _present(
    told_of: tuple[Participant, ...], sessions: tuple[SessionInfo, ...], left: tuple[tuple[str, str], ...]
) -> tuple[Participant, ...]:
    """Give those who are in a session that runs, or of whom no session is known."""
    running = {who for session in sessions if not session.is_over for who in session.participants}
    gone = {who for who, _ in left} | {who for session in sessions for who in session.participants}
    return tuple(who for who in told_of if who.id in running or who.id not in gone)


def _known_again(stream: StreamInfo, ids: Mapping[str, str]) -> StreamInfo:
    """Give a stream that came without an id the one that its label is known by."""
    is_nameless = stream.id == f"label:{stream.label}"
    return replace(stream, id=ids[stream.label]) if is_nameless and stream.label in ids else stream


def _without_senders(stream: StreamInfo, placed: frozenset[str]) -> StreamInfo:
    """Forget what was known of those who are told of anew."""
    return replace(
        stream,
        sent_by=tuple(who for who in stream.sent_by if who not in placed),
        received_by=tuple(who for who in stream.received_by if who not in placed),
    )


def _with_senders(stream: StreamInfo, before: tuple[str, ...], here: frozenset[str]) -> StreamInfo:
    """Leave out senders who are not here; name those of before when nobody is left."""
    named = tuple(who for who in stream.sent_by if who in here)
    return replace(stream, sent_by=named or tuple(who for who in before if who in here))

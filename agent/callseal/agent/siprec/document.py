"""Reading a document of recording metadata, whoever wrote it: RFC 7865, its drafts, and what is made of them.

All dialects are read at once, for there is no telling them apart: names count without case, hyphens and
underscores; namespaces decide only whose an extension is; an id is `x_id`, `id` or missing; an address is an
attribute of `nameID`, its text, or an element `aor`; streams are named by associations (RFC 7865) or within
participants (the drafts, Oracle, BroadWorks), by id or by label. What is not understood is kept as an
attribute.

Conventions: an id that is missing or empty is replaced by what can be known again in the next document:
"participant:1", "session:1" (which one it was), "label:2" for a stream.

Sources: RFC 7865 sections 5 to 7, draft-ietf-siprec-metadata-02 to -22, RFC 8068 (examples).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from callseal.agent.siprec.markup import Element, read_markup, walk
from callseal.agent.siprec.model import Attribute, Group, Metadata, Participant, SessionInfo, StreamInfo
from callseal.agent.siprec.times import read_time
from callseal.agent.siprec.vendors import MAX_EXTENSIONS, extensions_of

MAX_ID_CHARS: Final = 256
MAX_PARTICIPANTS: Final = 64
MAX_STREAMS: Final = 64
MAX_SESSIONS: Final = 32
MAX_GROUPS: Final = 16
MAX_ADDRESSES: Final = 8
"""Of one participant, and SIP session ids of one session."""
MAX_NAME_CHARS: Final = 256

_ROOTS: Final = frozenset({"recording", "recordingmetadata"})
_TIMES: Final = frozenset({"associatetime", "disassociatetime", "starttime", "stoptime"})
_ENDS: Final = frozenset({"disassociatetime", "stoptime"})
_FLOWS: Final = frozenset({"send", "recv", "receive"})
_IN_PARTICIPANT: Final = frozenset({"nameid", "aor", "name"}) | _FLOWS | _TIMES
_IN_STREAM: Final = frozenset({"label", "mode"}) | _TIMES
_IN_ASSOCIATION: Final = _FLOWS | _TIMES

_NO_ROOT: Final = "the document says nothing of a recording"
_TOO_MANY: Final = "the document has more participants, streams, sessions or groups than are kept"
_NO_ID: Final = "an id is missing or empty"
_UNKNOWN_MODE: Final = "the data mode is neither complete nor partial; it was taken as complete"
_NO_STREAM: Final = "a participant sends or receives a stream without a name"


def read_metadata(body: bytes) -> Metadata:
    """Read a document; never refuses one: what could not be understood is said in `oddities`."""
    markup = read_markup(body)
    reading = _Reading(dict.fromkeys(markup.oddities))
    root = next((found for top in markup.elements for found in walk(top) if _key(found.name) in _ROOTS), None)
    if root is None:
        reading.oddities[_NO_ROOT] = None
        reading.read({}, markup.elements)
    else:
        reading.read(root.attributes, root.children)
    return reading.metadata()


@lru_cache(maxsize=1024)  # a gateway uses a few dozen names, over and over
def _key(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _id_of(element: Element, *names: str) -> str:
    """Give an id, by the first of its names that is there; "" for none."""
    if not element.attributes:
        return ""
    attributes = {_key(name): value for name, value in element.attributes.items()}
    found = next((value for name in names if (value := attributes.get(name, "").strip())), "")
    return found[:MAX_ID_CHARS]


def _text(element: Element) -> str:
    """Give an element's text, or that of the first element in it that has one (BroadWorks: `<send><id>`)."""
    return element.text or next((child.text for child in element.children if child.text), "")


@dataclass(slots=True)
class _Session:
    group_id: str = ""
    sip_session_ids: dict[str, None] = field(default_factory=dict)
    reason: str = ""
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    is_over: bool = False
    attributes: dict[Attribute, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Participant:
    addresses: dict[str, str] = field(default_factory=dict)
    """Names by address of record."""
    attributes: dict[Attribute, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Stream:
    label: str = ""
    session_id: str = ""
    is_mixed: bool = False


@dataclass(slots=True)
class _Reading:
    """What has been read of one document."""

    oddities: dict[str, None]
    complete: bool = True
    groups: dict[str, dict[Attribute, None]] = field(default_factory=dict)
    sessions: dict[str, _Session] = field(default_factory=dict)
    participants: dict[str, _Participant] = field(default_factory=dict)
    streams: dict[str, _Stream] = field(default_factory=dict)
    joined: dict[tuple[str, str], bool] = field(default_factory=dict)
    """(participant, session), and whether still."""
    sent: dict[tuple[str, str], None] = field(default_factory=dict)
    """(participant, stream as it was referred to)."""
    received: dict[tuple[str, str], None] = field(default_factory=dict)
    placed: dict[str, None] = field(default_factory=dict)
    attributes: dict[Attribute, None] = field(default_factory=dict)
    nameless: dict[str, int] = field(default_factory=dict)
    """How many elements of a name had no id."""

    def read(self, attributes: Mapping[str, str], elements: tuple[Element, ...]) -> None:
        """Take a root's attributes and what is in it."""
        for name, value in attributes.items():
            if _key(name) == "datamode":
                self._read_mode(value)
        for element in elements:
            reader = _READERS.get(_key(element.name))
            if reader is None:
                _keep(self.attributes, element)
            else:
                reader(self, element)

    def metadata(self) -> Metadata:
        """Put together what was read."""
        if len(self.groups) == 1:
            for session in self.sessions.values():
                session.group_id = session.group_id or next(iter(self.groups))
        for session in self.sessions.values():
            if session.group_id and self._has_room(self.groups, session.group_id, MAX_GROUPS):
                self.groups.setdefault(session.group_id, {})
        sent, received = self._resolved(self.sent), self._resolved(self.received)
        return Metadata(
            complete=self.complete,
            groups=tuple(Group(id=name, attributes=tuple(kept)) for name, kept in self.groups.items()),
            sessions=tuple(self._session(name, session) for name, session in self.sessions.items()),
            participants=tuple(
                Participant(
                    id=name,
                    aors=tuple(read.addresses),
                    names=tuple(read.addresses.values()),
                    attributes=tuple(read.attributes),
                )
                for name, read in self.participants.items()
            ),
            streams=tuple(
                StreamInfo(
                    id=name,
                    label=read.label,
                    session_id=read.session_id,
                    sent_by=tuple(who for who, stream in sent if stream == name),
                    received_by=tuple(who for who, stream in received if stream == name),
                    is_mixed=read.is_mixed,
                )
                for name, read in self.streams.items()
            ),
            left=tuple(pair for pair, still in self.joined.items() if not still),
            placed=tuple(self.placed),
            attributes=tuple(self.attributes),
            oddities=tuple(self.oddities),
        )

    def _session(self, name: str, read: _Session) -> SessionInfo:
        return SessionInfo(
            id=name,
            group_id=read.group_id,
            sip_session_ids=tuple(read.sip_session_ids),
            reason=read.reason,
            started_at=read.started_at,
            stopped_at=read.stopped_at,
            is_over=read.is_over,
            participants=tuple(who for (who, where), still in self.joined.items() if still and where == name),
            attributes=tuple(read.attributes),
        )

    def _resolved(self, references: dict[tuple[str, str], None]) -> list[tuple[str, str]]:
        """Find the streams that participants refer to: by id, else by label, else one told of earlier."""
        by_label = {stream.label: name for name, stream in self.streams.items() if stream.label}
        resolved = []
        for who, reference in references:
            stream = reference if reference in self.streams else by_label.get(reference, reference)
            if stream not in self.streams and not self._has_room(self.streams, stream, MAX_STREAMS):
                continue
            self.streams.setdefault(stream, _Stream())
            resolved.append((who, stream))
        return resolved

    def _has_room(self, kept: Mapping[str, object], name: str, limit: int) -> bool:
        if name in kept or len(kept) < limit:
            return True
        self.oddities[_TOO_MANY] = None
        return False

    def _named(self, kind: str, found: str) -> str:
        """Give an id, or a name in its place: "participant:2" for the second one without."""
        if found:
            return found
        self.oddities[_NO_ID] = None
        self.nameless[kind] = self.nameless.get(kind, 0) + 1
        return f"{kind.partition(' ')[0]}:{self.nameless[kind]}"

    def _read_mode(self, text: str) -> None:
        mode = text.strip().lower()
        self.complete = mode != "partial"
        if mode not in {"partial", "complete"}:
            self.oddities[_UNKNOWN_MODE] = None

    def read_datamode(self, element: Element) -> None:
        """Take `datamode`."""
        self._read_mode(_text(element))

    def read_group(self, element: Element) -> None:
        """Take a communication session group."""
        name = self._named("group", _id_of(element, "groupid", "id"))
        if self._has_room(self.groups, name, MAX_GROUPS):
            kept = self.groups.setdefault(name, {})
            for child in element.children:
                if _key(child.name) not in _TIMES:
                    _keep(kept, child)

    def read_session(self, element: Element) -> None:
        """Take a communication session."""
        name = self._named("session", _id_of(element, "sessionid", "id", "session"))
        if not self._has_room(self.sessions, name, MAX_SESSIONS):
            return
        session = self.sessions.setdefault(name, _Session())
        session.group_id = session.group_id or _id_of(element, "group", "groupid")
        for child in element.children:
            key, text = _key(child.name), child.text
            if key == "groupref":
                session.group_id = session.group_id or _text(child)[:MAX_ID_CHARS]
            elif key == "sipsessionid":
                if text and len(session.sip_session_ids) < MAX_ADDRESSES:
                    session.sip_session_ids[text[:MAX_ID_CHARS]] = None
            elif key == "reason":
                session.reason = session.reason or text[:MAX_NAME_CHARS]
            elif key in {"starttime", "associatetime"}:
                session.started_at = session.started_at or self._time(text)
            elif key in _ENDS:
                session.is_over, session.stopped_at = True, self._time(text) or session.stopped_at
            else:
                _keep(session.attributes, child)

    def read_participant(self, element: Element) -> None:
        """Take a participant."""
        name = self._named("participant", _id_of(element, "participantid", "id", "participant"))
        if not self._has_room(self.participants, name, MAX_PARTICIPANTS):
            return
        participant = self.participants.setdefault(name, _Participant())
        addresses = [_address(child) for child in element.children if _key(child.name) in {"nameid", "aor"}]
        shown = next((child.text for child in element.children if _key(child.name) == "name"), "")
        for aor, display in addresses:
            if (aor or display or shown) and len(participant.addresses) < MAX_ADDRESSES:
                participant.addresses[aor] = participant.addresses.get(aor) or display or _plain(shown)
        if shown and not addresses:
            participant.addresses.setdefault("", _plain(shown))
        for child in element.children:
            if _key(child.name) not in _IN_PARTICIPANT:
                _keep(participant.attributes, child)
        if session := _id_of(element, "session", "sessionid"):
            self._join(name, session, element)
        self._place(name, element)

    def read_stream(self, element: Element) -> None:
        """Take a media stream."""
        texts = {_key(child.name): _text(child) for child in element.children}
        label = texts.get("label", "")[:MAX_ID_CHARS] or _id_of(element, "label")
        found = _id_of(element, "streamid", "id", "stream") or (f"label:{label}" if label else "")
        name = self._named("stream", found)
        if not self._has_room(self.streams, name, MAX_STREAMS):
            return
        stream = self.streams.setdefault(name, _Stream())
        stream.label = stream.label or label
        stream.session_id = stream.session_id or _id_of(element, "sessionid", "session")
        stream.is_mixed = stream.is_mixed or texts.get("mode", "").lower() == "mixed"
        for child in element.children:
            if _key(child.name) not in _IN_STREAM:
                _keep(self.attributes, child)

    def read_session_recording(self, element: Element) -> None:
        """Take when a session was recorded."""
        name = _id_of(element, "sessionid", "id", "session")
        session = self.sessions.get(name)
        if session is None:
            if not (name and self._has_room(self.sessions, name, MAX_SESSIONS)):
                return
            session = self.sessions[name] = _Session()
        for child in element.children:
            if _key(child.name) in _ENDS:
                session.is_over, session.stopped_at = True, session.stopped_at or self._time(child.text)

    def read_membership(self, element: Element) -> None:
        """Take when a participant was in a session."""
        found = _id_of(element, "participantid", "participant", "id")
        session = _id_of(element, "sessionid", "session")
        self._join(self._named("participant in session", found), session, element)

    def read_placement(self, element: Element) -> None:
        """Take which streams a participant sends and receives."""
        found = _id_of(element, "participantid", "participant", "id")
        self._place(self._named("participant at stream", found), element)
        for child in element.children:
            if _key(child.name) not in _IN_ASSOCIATION:
                _keep(self.attributes, child)

    def _join(self, who: str, session: str, element: Element) -> None:
        ends = [child for child in element.children if _key(child.name) in _ENDS]
        for child in element.children:
            if _key(child.name) in _TIMES:
                self._time(child.text)
        self.joined[who, session] = not ends

    def _place(self, who: str, element: Element) -> None:
        """Note the streams that somebody sends and receives, from an association or from a participant."""
        keys = [_key(child.name) for child in element.children]
        if _key(element.name) == "participant" and not _FLOWS.intersection(keys):
            return
        self.placed[who] = None
        if _ENDS.intersection(keys):
            return
        for key, child in zip(keys, element.children, strict=True):
            if key not in _FLOWS:
                continue
            if reference := _text(child)[:MAX_ID_CHARS]:
                (self.sent if key == "send" else self.received)[who, reference] = None
            else:
                self.oddities[_NO_STREAM] = None

    def _time(self, text: str) -> datetime | None:
        reading = read_time(text)
        if reading.oddity:
            self.oddities[reading.oddity] = None
        return reading.time


_READERS: Final[Mapping[str, Callable[[_Reading, Element], None]]] = {
    "datamode": _Reading.read_datamode,
    "group": _Reading.read_group,
    "session": _Reading.read_session,
    "participant": _Reading.read_participant,
    "stream": _Reading.read_stream,
    "sessionrecordingassoc": _Reading.read_session_recording,
    "participantsessionassoc": _Reading.read_membership,
    "participantstreamassoc": _Reading.read_placement,
}


def _keep(kept: dict[Attribute, None], element: Element) -> None:
    """Keep an extension among the attributes of what it belongs to."""
    for attribute in extensions_of(element):
        if len(kept) >= MAX_EXTENSIONS:
            break
        kept[attribute] = None


def _address(element: Element) -> tuple[str, str]:
    """Give the address and the display name that a `nameID` or an `aor` holds."""
    inner = {_key(child.name): child.text for child in element.children}
    aor = _id_of(element, "aor", "uri") or inner.get("aor") or element.text
    return " ".join(aor.split())[:MAX_ID_CHARS], _plain(inner.get("name", ""))


def _plain(name: str) -> str:
    """Give a display name without its quotes."""
    return " ".join(name.split())[:MAX_NAME_CHARS].strip('"').strip()

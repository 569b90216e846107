"""One call as the recording server sees it: what was said of it so far, and what of it is recorded.

Mostly a gateway has one recording session for a call. Telephones that copy their own calls have two, one for
each side, and both lead to the same talk.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from callseal.agent.call import Document, PartiesChanged
from callseal.agent.sdp.answer import AnsweredStream
from callseal.agent.sdp.origin import OwnSession
from callseal.agent.sdp.session import Session as Description
from callseal.agent.sip.events import DialogId
from callseal.agent.sip.message import Request
from callseal.agent.siprec.built_in_bridge import BuiltInBridge
from callseal.agent.siprec.conversation import Conversation
from callseal.agent.siprec.parties import Roles
from callseal.agent.sources.siprec.arrangement import Arrangement

MAX_EARLY_DOCUMENTS: Final = 16
"""Kept until a recording is opened, the first one and the newest; in that second come two or three. A call
that must not be recorded has none to give them to, however long it lasts."""


@dataclass(slots=True, kw_only=True)
class Talk:
    """A call, from its first INVITE to the end of its last session."""

    started_at: datetime
    invite: Request
    """The first one."""
    conversation: Conversation = field(default_factory=Conversation)
    bridge: BuiltInBridge | None = None
    """What a telephone that copies its own calls said of this one."""
    roles: Roles | None = None
    reservation: int | None = None
    """The engine's name for the ports, once there are any."""
    recordings: tuple[UUID, ...] = ()
    arrangement: Arrangement | None = None
    refused: str = ""
    """Why it is not recorded: a reason code; empty where it is, or will be."""
    is_destroyed: bool = False
    """Whether what was recorded of it had to be destroyed: its trace is left already."""
    documents: list[Document] = field(default_factory=list)
    """What came before the recording was opened."""
    sessions: dict[DialogId, "RecordingSession"] = field(default_factory=dict)
    continues: tuple[UUID, ...] = ()
    """Recordings of this call that a process before this one had begun."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Whoever does something with the call waits for who was first."""
    opening: "asyncio.Task[None] | None" = None
    told: PartiesChanged | None = None
    """Who takes part, as the recordings know it."""
    moved: str = ""
    """Which stream stands on which channel, once that became different while it was recorded."""
    is_over: bool = False

    def keep(self, documents: Iterable[Document]) -> None:
        """Keep documents for the recordings: the first one and the newest."""
        if not self.is_over:
            self.documents.extend(documents)
            del self.documents[1 : 1 - MAX_EARLY_DOCUMENTS]

    @property
    def is_described(self) -> bool:
        """Whether it is known who takes part."""
        return self.bridge is not None or bool(self.conversation.participants)

    @property
    def streams(self) -> tuple[AnsweredStream, ...]:
        """All streams of all its sessions."""
        return tuple(stream for session in self.sessions.values() for stream in session.streams)


@dataclass(slots=True, kw_only=True)
class RecordingSession:
    """One dialog with a gateway (RFC 7866): what was agreed in it."""

    dialog: DialogId
    talk: Talk
    own: OwnSession
    ports: dict[int, int] = field(default_factory=dict)
    """Ours, by the index of the m-line."""
    streams: tuple[AnsweredStream, ...] = ()
    channel: int | None = None
    """Where its sound belongs, for a telephone's own half; else the metadata tell."""
    own_offer: Description | None = None
    """What we offered where the INVITE had no offer; its answer comes with the ACK."""

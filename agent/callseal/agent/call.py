"""What a call is, whatever telephony it came from, and how sources hand it to the recorder.

Conventions: channel 0 is the agent, channel 1 the customer. Positions are samples from the recording's
first sample. Wall-clock times are aware datetimes in UTC. Numbers are E.164 where the numbering plan
knows them, else as dialled (an extension).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, Literal, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from callseal.codecs.au import Encoding

AGENT: Final = 0
CUSTOMER: Final = 1
CELL_MS: Final = 10
"""Length of a cell of `Block.present`."""

Direction = Literal["inbound", "outbound", "internal", "unknown"]
Side = Literal["agent", "customer"]
SIDES: Final[tuple[Side, Side]] = ("agent", "customer")
"""Sides in the order of the channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One end of a call."""

    number: str
    """E.164 or extension; empty when withheld."""
    uri: str = ""
    """The SIP address as signalled."""
    name: str = ""
    """The display name as signalled."""


Relation = Literal["continues", "same-conversation", "same-call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Another recording that belongs to this one.

    "continues": this one goes on where that one was cut off. "same-conversation": an earlier or later leg,
    before or after a transfer. "same-call": other parties of the same call at the same time.
    """

    relation: Relation
    recording: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who speaks with whom, since when, and what the settings' rules say of it."""

    source: str
    direction: Direction
    started_at: datetime
    agent: Party
    customer: Party
    sip_call_ids: tuple[str, ...] = ()
    business: str = "unclassified"
    retention_class: str = ""
    announcements: tuple[str, ...] = ()
    """Names of the announcements that the rules ask for."""
    announced_by: Literal["agent", "gateway"] = "agent"
    """Who plays them: what a gateway plays is not followed sample by sample as it plays."""
    others: tuple[Party, ...] = ()
    """Who else takes part."""
    is_mixed: bool = False
    """Whether both channels hold the same: the source had all parties in one stream."""
    conversation: str = ""
    """What the telephone system calls the conversation that this call is a part of; empty without one."""
    links: tuple[Link, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    """What the telephone system said besides, by names of its maker's: ("oracle:ucid", "…")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """How the audio lies in the recording: fixed when it is opened."""

    encoding: Encoding
    rate_hz: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A stretch of audio of one or more recordings; a desk call is a bank of one."""

    recordings: tuple[UUID, ...]
    start_samples: NDArray[np.int64]
    """Shape (recordings,): position of each recording's first sample here."""
    payload: NDArray[np.uint8] | NDArray[np.int16]
    """Shape (recordings, samples, 2): G.711 codes or linear samples, as the recording's format says."""
    present: NDArray[np.bool_]
    """Shape (recordings, 2, cells): which cells of `CELL_MS` were really received."""
    tentative_samples: int = 0
    """How many of the last samples may still change: they come again in the next block, and are kept safe.


    A late packet may yet find its place in them. `present` tells nothing of them.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The called party took the call."""

    at: datetime
    position_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """An announcement that was played, or that should have been."""

    name: str
    language: str
    sha256: str
    """Of the announcement's file, hexadecimal."""
    start_samples: int | None
    """Position of its first sample in the recording; None when nothing of it was heard."""
    end_samples: int | None
    """Position behind its last sample heard."""
    complete: bool
    heard_by: tuple[Side, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosureFailed:
    """The announcements could not be played, and the settings let the call go on."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLost:
    """Audio is missing from a position on, for a reason that words name."""

    position_samples: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch of one channel for which nothing came; the recording is silent there."""

    channel: int
    start_samples: int
    end_samples: int
    expected: bool
    """Whether the other side had said so: on hold, or silence that it suppresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digit:
    """A key was pressed (RFC 4733): where and for how long, never which."""

    channel: int
    position_samples: int
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A side's sound was switched off or on again by the telephone system."""

    channel: int
    position_samples: int
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecChanged:
    """A stream went on in another coding than it began in; what came was converted."""

    channel: int
    position_samples: int
    codec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """What came in one stream, in packets; told once, when the stream has ended."""

    channel: int
    label: str
    codec: str
    encrypted: bool
    packets: int
    placed: int
    """Packets whose sound is in the recording."""
    lost: int
    """Sequence numbers that never came."""
    duplicates: int
    reordered: int
    late: int
    """Came too late to be placed."""
    comfort_noise: int
    digits: int
    restarts: int
    """How often the stream began anew: another SSRC, or a jump of its clock."""
    slips: int
    """Corrections by which it was kept in step with the wall clock."""
    strangers: int
    """Datagrams from another source than the one that was learned; they were not recorded."""
    malformed: int
    unauthentic: int
    """SRTP packets whose authentication failed, or that were replayed."""
    unreceived_samples: int
    """Samples of the recording for which this stream brought nothing."""
    dropped_by_kernel: int
    """Datagrams that the socket had no room for."""
    remote_jitter_ms: float | None = None
    """From the sender's last RTCP report, None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Something that signalling brought, kept as it came: an INVITE, a document of metadata."""

    at: datetime
    kind: Literal["sip-message", "rs-metadata"]
    content_type: str
    body: bytes
    is_cut: bool = False
    """Whether it was longer than is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartiesChanged:
    """Who takes part changed during the call: a transfer, somebody who joined or left."""

    position_samples: int
    agent: Party
    customer: Party
    others: tuple[Party, ...] = ()
    conversation: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """It turned out that another recording belongs to this one."""

    link: Link


Event = (
    Answered
    | Disclosure
    | DisclosureFailed
    | MediaLost
    | Gap
    | Digit
    | Held
    | CodecChanged
    | StreamReport
    | Document
    | PartiesChanged
    | Linked
)
NOW: Final = -1
"""A position for who does not know how far the recording has come: who does puts in the right one."""


class Ending(Enum):
    """What became of a call."""

    HANGUP = "hangup"
    """It was answered and one side hung up."""
    BUSY = "busy"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NO_ANSWER = "no-answer"
    UNREACHABLE = "unreachable"
    TRANSFERRED = "transferred"
    """Its two parties' ways part: what they say from then on is in another call's recording."""
    REFUSED_BY_US = "refused"
    """The agent itself turned the call away, as its settings say."""
    SOURCE_DIED = "source-died"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndReason:
    """How a call ended, when, and by whom."""

    ending: Ending
    at: datetime
    by: Side | None = None
    sip_code: int | None = None
    reasons: tuple[str, ...] = field(default=())
    """Codes of `callseal.seal.reasons` that the source adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a source can take calls, and if not, why: codes of `callseal.seal.reasons`."""

    ready: bool
    why_not: tuple[str, ...] = ()


class Recorder(Protocol):
    """What a source sees of the recorder. All calls come from one thread."""

    def open(self, call: Call, format: AudioFormat) -> UUID:  # noqa: A002 - the word of the contract
        """Begin a recording; its bundle stands in the spool when this returns."""
        ...

    def write(self, block: Block) -> None:
        """Take audio. Positions may jump ahead (the gap becomes silence), never back."""
        ...

    def event(self, recording: UUID, event: Event) -> None:
        """Note what happened in the call."""
        ...

    def close(self, recording: UUID, end: EndReason) -> None:
        """End a recording; its bundle is complete and ready for the uploader when this returns."""
        ...

    def exempt(self, call: Call, end: EndReason, events: Sequence[Event] = ()) -> UUID:
        """Leave the trace of a call that is not recorded: a bundle without audio."""
        ...

    def discard(self, recording: UUID, end: EndReason) -> None:
        """Turn an open recording into an exempt one: its audio is destroyed."""
        ...


class Source(Protocol):
    """One kind of telephony."""

    name: str

    async def run(self, recorder: Recorder) -> None:
        """Take calls until drained; raises SourceError when it cannot go on."""
        ...

    async def drain(self, limit_s: float) -> None:
        """Take no new calls, let the running ones finish, end what still runs after `limit_s`."""
        ...

    def readiness(self) -> Readiness:
        """Say whether a call would be taken and recorded right now."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Give what is counted, by name, for the status."""
        ...

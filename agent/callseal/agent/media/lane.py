"""A lane: one stream of a recording, from its socket to its row in a bank, and what is told of it."""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from callseal.agent.call import AudioFormat, StreamReport
from callseal.agent.media.coding import COMFORT_NOISE_TYPE, NARROW_HZ, PAYLOAD_TYPES
from callseal.agent.media.learning import Learner
from callseal.agent.media.plans import StreamPlan
from callseal.agent.media.sockets import SocketPair
from callseal.agent.sdp.session import Format
from callseal.codecs import g711
from callseal.codecs.errors import RtcpError
from callseal.codecs.rtcp import parse_reports
from callseal.codecs.srtcp import ControlUnprotector
from callseal.codecs.streams import Counts, Kind, Stream
from callseal.codecs.telephone_event import EventReader

MAX_CLOCK_HZ: Final = 192_000
MAX_CODECS: Final = 8
"""Changes of coding that are told of one stream."""

_KINDS: Final = {"CN": Kind.COMFORT_NOISE, "TELEPHONE-EVENT": Kind.EVENT}


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """What the media thread knows of a stream."""

    plan: StreamPlan
    pair: SocketPair
    recording: UUID
    learner: Learner
    row: int = -1
    """Its place in the bank."""
    control: ControlUnprotector | None = None
    """Opens the sender's reports, where the stream is encrypted."""
    keys: EventReader = field(default_factory=EventReader)
    """Of the telephone; which ones is never told."""
    key_place: tuple[int, int] = (0, 0)
    """Timestamp and the bank's position of the last packet of a telephone event."""
    codec: str = ""
    """Of the last sound."""
    first_codec: str = ""
    changes: int = 0
    digits: int = 0
    strangers: int = 0
    unauthentic: int = 0
    malformed: int = 0
    """Packets that could not be decoded, or told of no key."""
    remote_jitter_ms: float | None = None
    clock_hz: int = NARROW_HZ
    """Of the timestamps at the moment."""

    @classmethod
    def of(cls, plan: StreamPlan, pair: SocketPair, recording: UUID) -> "Lane":
        """Make a lane that has no row yet."""
        clock_hz = _clock_hz(plan.formats[0]) if plan.formats else NARROW_HZ
        learner = Learner(plan.address)
        return cls(plan=plan, pair=pair, recording=recording, learner=learner, clock_hz=clock_hz)

    @property
    def channel(self) -> int:
        """The channel by which the stream is told of: the first."""
        return self.plan.channels[0] if self.plan.channels else 0

    def types_of(self, kind: Kind) -> tuple[int, ...]:
        """Give the payload types that stand for something."""
        kinds = {COMFORT_NOISE_TYPE: Kind.COMFORT_NOISE} | {
            item.payload_type: _KINDS.get(item.name, Kind.SOUND)
            for item in reversed(self.plan.formats)  # so that of two with one number the preferred one counts
            if 0 <= item.payload_type < PAYLOAD_TYPES
        }
        return tuple(number for number, one in kinds.items() if one is kind)

    def expected(self, into: AudioFormat) -> Stream:
        """Say what a bank has to expect of it, with the clock of the moment."""
        law = into.encoding.law
        return Stream(
            sound=self.types_of(Kind.SOUND),
            comfort_noise=self.types_of(Kind.COMFORT_NOISE),
            events=self.types_of(Kind.EVENT),
            clock_hz=self.clock_hz,
            silence=0 if law is None else g711.silence(law),
        )

    def play(self, payload_type: int) -> str:
        """Take the format of sound that came; gives its name, empty where it had that name already."""
        item = next((item for item in self.plan.formats if item.payload_type == payload_type), None)
        if item is None:
            return ""
        self.clock_hz = _clock_hz(item)
        if item.name == self.codec:
            return ""
        self.codec = item.name
        if not self.first_codec:
            self.first_codec = item.name
            return ""
        self.changes += 1
        return item.name if self.changes <= MAX_CODECS else ""

    def take_rtcp(self, datagram: bytes) -> None:
        """Read a report of the sender's; what can't be read says nothing."""
        opened = datagram if self.control is None else self.control.unprotect(datagram)
        if opened is None:
            return
        try:
            blocks = parse_reports(opened)
        except RtcpError:
            return
        for block in blocks[-1:]:
            self.remote_jitter_ms = block.jitter_ts * 1000 / self.clock_hz

    def report(self, counts: Counts, recorded_samples: int) -> StreamReport:
        """Tell what came, of a recording of that many samples."""
        preferred = self.plan.formats[0].name if self.plan.formats else ""
        return StreamReport(
            channel=self.channel,
            label=self.plan.label,
            codec=self.first_codec or preferred,
            encrypted=self.plan.crypto is not None,
            packets=counts.packets + self.unauthentic,
            placed=counts.placed,
            lost=counts.lost,
            duplicates=counts.duplicates,
            reordered=counts.reordered,
            late=counts.late,
            comfort_noise=counts.comfort_noise,
            digits=self.digits,
            restarts=counts.restarts,
            slips=counts.slips,
            strangers=self.strangers,
            malformed=counts.malformed + counts.unknown + self.malformed,
            unauthentic=self.unauthentic,
            unreceived_samples=max(recorded_samples - counts.covered_samples, 0),
            dropped_by_kernel=self.pair.dropped(),
            remote_jitter_ms=self.remote_jitter_ms,
        )


def _clock_hz(item: Format) -> int:
    """Give a format's clock, and that of a telephone for one that can be none."""
    return item.clock_hz if NARROW_HZ <= item.clock_hz <= MAX_CLOCK_HZ else NARROW_HZ

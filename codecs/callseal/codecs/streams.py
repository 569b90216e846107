"""What goes into a bank of RTP streams and what comes out of it: values.

Conventions: positions and lengths are samples, at the bank's rate; a row is one stream's place in the bank.
"""

from dataclasses import dataclass
from enum import IntEnum

from callseal.codecs.arrays import Flags, Samples


class Kind(IntEnum):
    """What a payload type stands for in a stream."""

    SOUND = 0
    COMFORT_NOISE = 1
    EVENT = 2
    """A telephone event (RFC 4733)."""
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a bank's sound lies in memory."""

    rate_hz: int
    """A multiple of 100, so that 10 ms are whole samples."""
    sample_bytes: int
    """1 for G.711 codes, 2 for int16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What is expected of one stream: payload types by what they stand for."""

    sound: tuple[int, ...]
    """All that come in the bank's form: a packet's samples are its payload's bytes."""
    comfort_noise: tuple[int, ...] = ()
    events: tuple[int, ...] = ()
    clock_hz: int
    """Of the timestamps; a whole multiple or a whole fraction of the bank's rate is best."""
    silence: int = 0
    """The code that stands where nothing came: 0xFF for µ-law, 0xD5 for A-law, 0 for int16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A packet that is no sound: comfort noise or a telephone event."""

    row: int
    position: int
    """Of its timestamp, the same for all packets of an event; of a strange source: of its arrival."""
    kind: Kind
    ts: int
    marker: bool
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Sound of several rows, and what of it was received."""

    start_sample: int
    payload: Samples
    """Shape (rows, samples)."""
    present: Flags
    """Shape (rows, cells): cells of 10 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What came in one stream, in packets."""

    packets: int
    placed: int
    """Written to their place, duplicates apart."""
    lost: int
    """Sequence numbers that never came."""
    duplicates: int
    reordered: int
    late: int
    """Came when their second was closed, or when there was no room to hold them."""
    comfort_noise: int
    events: int
    unknown: int
    """Of a payload type that was not agreed."""
    foreign: int
    """Of another source or clock, while the stream's own went on."""
    restarts: int
    """How often another source or another clock took over."""
    slips: int
    malformed: int
    covered_samples: int
    """What was received of the seconds that are closed."""
    first_sample: int | None
    """Where the stream began; None before its first packet."""


class Tally(IntEnum):
    """The lines of the table in which a bank counts; the names are those of `Counts`."""

    PACKETS = 0
    PLACED = 1
    LATE = 2
    COMFORT_NOISE = 3
    EVENTS = 4
    UNKNOWN = 5
    FOREIGN = 6
    RESTARTS = 7
    SLIPS = 8
    MALFORMED = 9
    COVERED_SAMPLES = 10

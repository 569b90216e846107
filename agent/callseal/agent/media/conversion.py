"""What comes in another coding than the recording's, turned into it, for all streams of a bank at once.

Streams that send what the recording keeps cost one look-up a packet here. Conventions as in `coding`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import AudioFormat
from callseal.agent.media.coding import (
    MAX_PACKET_MS,
    PAYLOAD_TYPES,
    SOUND,
    Kind,
    Packets,
    kinds_of,
    linear_rows,
    plain,
    to_law,
)
from callseal.agent.media.decoders import StreamDecoders
from callseal.agent.media.intake import Load
from callseal.agent.media.lane import Lane
from callseal.codecs import g711
from callseal.codecs.rtp import HEADER_BYTES

_NOTHING_YET: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A stream began to send another payload type."""

    row: int
    payload_type: int


class Conversion:
    """The codings of the streams of a bank; `rows` as there."""

    def __init__(self, rows: int, into: AudioFormat) -> None:
        self._into = into
        self._kinds: NDArray[np.uint8] = np.zeros(rows * PAYLOAD_TYPES, np.uint8)
        self._playing: NDArray[np.uint8] = np.full(rows, _NOTHING_YET, np.uint8)
        self._decoders: dict[int, StreamDecoders] = {}
        self._is_sound = np.zeros(max(Kind) + 1, np.bool_)
        self._is_sound[list(SOUND)] = True

    def begin(self, lane: Lane) -> None:
        """Expect a stream in its row."""
        self.change(lane)

    def change(self, lane: Lane) -> None:
        """Expect what the stream's plan says from now on."""
        at = lane.row * PAYLOAD_TYPES
        kinds = kinds_of(lane.plan.formats, self._into)
        self._kinds[at : at + PAYLOAD_TYPES] = kinds
        self._decoders.pop(lane.row, None)
        self._playing[lane.row] = _NOTHING_YET  # a number may stand for something else now
        if (kinds == Kind.DECODED).any():
            self._decoders[lane.row] = StreamDecoders(lane.plan.formats, self._into)

    def end(self, lane: Lane) -> None:
        """Expect nothing any more in a stream's row."""
        self._kinds[lane.row * PAYLOAD_TYPES : (lane.row + 1) * PAYLOAD_TYPES] = Kind.UNKNOWN
        self._decoders.pop(lane.row, None)

    def convert(self, load: Load, lanes: Mapping[int, Lane]) -> tuple[Load, list[Switch]]:
        """Give the packets in the recording's coding, and which streams began to send another one."""
        types: NDArray[np.uint8] = load.packets.rows[:, 1] & np.uint8(0x7F)
        each = load.each()
        kinds = self._kinds[each * PAYLOAD_TYPES + types]
        switches = self._switched(load, types, kinds)
        if self._into.encoding.law is None:
            return self._to_linear(load, each, kinds, lanes), switches
        if (kinds == Kind.AS_IS).all():
            return load, switches
        return self._to_codes(load, each, kinds, lanes), switches

    def _switched(self, load: Load, types: NDArray[np.uint8], kinds: NDArray[np.uint8]) -> list[Switch]:
        """Find streams whose last packet of sound is of another type than the last one before."""
        last = load.last()
        changed = self._is_sound[kinds[last]] & (types[last] != self._playing[load.rows])
        found = [
            Switch(row=int(load.rows[index]), payload_type=int(types[last[index]]))
            for index in np.flatnonzero(changed)
        ]
        for switch in found:
            self._playing[switch.row] = switch.payload_type
        return found

    def _to_codes(
        self, load: Load, each: NDArray[np.int64], kinds: NDArray[np.uint8], lanes: Mapping[int, Lane]
    ) -> Load:
        """Turn what is not of the recording's law into it; each packet keeps its line."""
        law = self._into.encoding.law or g711.Law.A
        foreign = np.flatnonzero((kinds == Kind.FROM_MU) | (kinds == Kind.FROM_A))
        rows, lengths = load.packets.rows, load.packets.lengths.copy()
        if len(foreign):
            some = plain(load.packets.where(foreign))
            to_law(some.rows, int(np.clip(some.lengths, 0, some.rows.shape[1]).max()), law)
            rows[foreign], lengths[foreign] = some.rows, some.lengths
        for which, decoded in self._decoded(load, each, kinds, lanes):
            room = min(decoded.rows.shape[1], rows.shape[1])
            rows[which, :room] = decoded.rows[:, :room]
            lengths[which] = decoded.lengths
        return replace(load, packets=Packets(rows=rows, lengths=lengths))

    def _to_linear(
        self, load: Load, each: NDArray[np.int64], kinds: NDArray[np.uint8], lanes: Mapping[int, Lane]
    ) -> Load:
        """Write all packets anew, in lines wide enough for their samples."""
        most = HEADER_BYTES + self._into.rate_hz * MAX_PACKET_MS // 1000 * 2
        rows = np.zeros((len(load.packets), most), np.uint8)
        room = min(most, load.packets.rows.shape[1])
        sound = self._is_sound[kinds]
        rows[~sound, :room] = load.packets.rows[~sound, :room]
        lengths = load.packets.lengths.copy()
        for kind, law in ((Kind.FROM_MU, g711.Law.MU), (Kind.FROM_A, g711.Law.A)):
            which = np.flatnonzero(kinds == kind)
            if len(which):
                made = linear_rows(plain(load.packets.where(which)), law, self._into.rate_hz)
                rows[which, : made.rows.shape[1]] = made.rows
                lengths[which] = made.lengths
        for which, decoded in self._decoded(load, each, kinds, lanes):
            rows[which, : decoded.rows.shape[1]] = decoded.rows
            lengths[which] = decoded.lengths
        return replace(load, packets=Packets(rows=rows, lengths=lengths))

    def _decoded(
        self, load: Load, each: NDArray[np.int64], kinds: NDArray[np.uint8], lanes: Mapping[int, Lane]
    ) -> list[tuple[NDArray[np.int64], Packets]]:
        """Decode stream by stream what has no table."""
        found = []
        coded = kinds == Kind.DECODED
        for row in np.unique(each[coded]).tolist():
            which = np.flatnonzero(coded & (each == row))
            made, broken = self._decoders[row].decode(plain(load.packets.where(which)))
            lanes[row].malformed += broken
            found.append((which, made))
        return found

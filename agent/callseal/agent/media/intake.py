"""Reading the sockets of many streams: whole batches, less what is from strangers or not authentic.

A socket is read `BATCH` datagrams at a time, so that none keeps the others waiting, and again until it is
empty; but no longer than what can have been in it at the tick's beginning takes, or a flood would keep the
thread for ever.

Conventions: arrays of shape (rows,) belong to the rows of a bank; a load's packets are grouped by row,
ascending. `now_s` is the monotonic clock.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callseal.agent.errors import SourceError
from callseal.agent.media.coding import Packets, sources
from callseal.agent.media.lane import Lane
from callseal.agent.media.learning import KEY_WORDS, Heard, Keys
from callseal.agent.media.sockets import (
    BATCH,
    RECEIVE_BUFFER_BYTES,
    ROWS,
    SMALLEST_CHARGE_BYTES,
    Inbox,
)
from callseal.codecs.rtp import HEADER_BYTES, VERSION
from callseal.codecs.srtcp import ControlUnprotector
from callseal.codecs.srtp import SrtpBank
from callseal.codecs.srtp_suite import Suite

MAX_ROUNDS: Final = 2 * RECEIVE_BUFFER_BYTES // SMALLEST_CHARGE_BYTES // BATCH + 1
"""After so many every datagram that was in a socket at the beginning has been read."""

_RTCP_FIRST: Final = 200
_RTCP_LAST: Final = 207
"""The second byte of RTCP where it shares the port of RTP (RFC 5761 section 4; 207 is RFC 3611's)."""
_PLAIN: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Packets of some streams."""

    rows: NDArray[np.int64]
    """The bank's rows that have any, ascending."""
    counts: NDArray[np.int64]
    """How many packets each of them has."""
    packets: Packets
    read_s: float
    """When they were read: none came later. What is done with them may take a while."""

    def each(self) -> NDArray[np.int64]:
        """Give the row of each packet."""
        return np.repeat(self.rows, self.counts)

    def last(self) -> NDArray[np.int64]:
        """Give the index of each row's last packet."""
        return np.cumsum(self.counts) - 1

    def where(self, which: NDArray[np.bool_]) -> "Load":
        """Give some of the packets."""
        if which.all():
            return self
        begin = np.cumsum(self.counts) - self.counts
        counts = np.add.reduceat(which, begin, dtype=np.int64)
        some = counts > 0
        return Load(
            rows=self.rows[some],
            counts=counts[some],
            packets=self.packets.where(which),
            read_s=self.read_s,
        )


class Intake:
    """The sockets of a bank's streams."""

    def __init__(self, rows: int, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._srtp = SrtpBank()
        self._lanes: list[Lane] = []
        self._streams: NDArray[np.int64] = np.full(rows, _PLAIN, np.int64)
        """Numbers of encrypted streams."""
        self._keys: NDArray[np.uint64] = np.zeros((rows, KEY_WORDS), np.uint64)
        self._ssrcs: NDArray[np.uint32] = np.zeros(rows, np.uint32)
        self._heard_s: NDArray[np.float64] = np.zeros(rows, np.float64)
        self._alive_s: NDArray[np.float64] = np.zeros(rows, np.float64)
        """When a stream began, or anything of its source came, reports on it too."""
        self.packets = 0
        self.strangers = 0

    def listen_to(self, lanes: Iterable[Lane]) -> None:
        """Read the sockets of these streams from now on, and of no others."""
        self._lanes = sorted(lanes, key=lambda lane: lane.row)

    def begin(self, lane: Lane) -> None:
        """Know nothing of a row but its stream; SourceError for keys that are of no use."""
        self._keys[lane.row] = 0
        self._ssrcs[lane.row] = 0
        self._heard_s[lane.row] = 0
        self._alive_s[lane.row] = self._monotonic()
        self._streams[lane.row] = _PLAIN
        self.change_key(lane)

    def change_key(self, lane: Lane) -> None:
        """Take the key of a stream's plan from now on."""
        self.end(lane)
        crypto = lane.plan.crypto
        if crypto is None:
            lane.control = None
            return
        suite = Suite.named(crypto.suite)
        if suite is None:
            raise SourceError(f"streams of the SRTP suite {crypto.suite!r} can't be received")
        try:
            lane.control = ControlUnprotector(suite, crypto.key_and_salt, mki=crypto.mki)
            self._streams[lane.row] = self._srtp.open(suite, crypto.key_and_salt, mki=crypto.mki)
        except ValueError as problem:
            raise SourceError(f"an SRTP key can't be used: {problem}") from problem

    def end(self, lane: Lane) -> None:
        """Forget the key of a stream, if it has one."""
        stream = int(self._streams[lane.row])
        if stream != _PLAIN:
            self._srtp.close(stream)
            self._streams[lane.row] = _PLAIN

    def alive_s(self, lane: Lane) -> float:
        """Return when something of a stream came last, sound or a report; else when it began."""
        return float(self._alive_s[lane.row])

    def loads(self, inbox: Inbox, only: Iterable[Lane] | None = None) -> Iterator[Load]:
        """Read until all sockets are empty, or those of some streams; a load is good until the next one."""
        lanes = self._lanes if only is None else sorted(only, key=lambda lane: lane.row)
        for _ in range(MAX_ROUNDS):
            if not lanes:
                return
            more: list[Lane] = []
            sockets = [lane.pair.rtp for lane in lanes]
            descriptors = [socket.fileno() for socket in sockets]
            begin = 0
            while begin < len(lanes):
                drained = inbox.read(sockets, descriptors, begin)
                begin = drained.next
                if drained.sockets:
                    heard = [lanes[index] for index in drained.sockets]
                    more += [
                        lane for lane, count in zip(heard, drained.counts, strict=True) if count == BATCH
                    ]
                    load = self._checked(inbox, heard, drained.counts)
                    if len(load.packets):
                        yield load
            lanes = more

    def _checked(self, inbox: Inbox, heard: Sequence[Lane], numbers: Sequence[int]) -> Load:
        """Take out what is not of the streams' sources, RTCP, and what is not authentic.

        Who has the key of an encrypted stream is its source, wherever that is.
        """
        counts = np.array(numbers, np.int64)
        total = int(counts.sum())
        self.packets += total
        now_s = self._monotonic()
        rows = np.array([lane.row for lane in heard], np.int64)
        packets = Packets(rows=inbox.rows[:total], lengths=inbox.lengths(total))
        load = Load(rows=rows, counts=counts, packets=packets, read_s=now_s)
        keys = inbox.keys(total)
        ours: NDArray[np.bool_] = (keys == np.repeat(self._keys[rows], counts, axis=0)).all(1)
        ours |= np.repeat(self._streams[rows] != _PLAIN, counts)
        if not ours.all():
            ours = self._learned(load, keys, ours, heard, now_s)
        second = packets.rows[:, 1]
        self._alive_s[rows[np.logical_or.reduceat(ours, np.cumsum(counts) - counts)]] = now_s
        is_rtcp = (second >= _RTCP_FIRST) & (second <= _RTCP_LAST) & ours
        if is_rtcp.any():
            self._read_shared(load, np.flatnonzero(is_rtcp), heard)
            ours &= ~is_rtcp
        load = load.where(ours)
        if len(load.packets):
            self._heard_s[load.rows] = now_s
            self._ssrcs[load.rows] = sources(load.packets.rows[load.last()])
            if (self._streams[load.rows] != _PLAIN).any():
                load = self._unprotected(load, heard)
        return load

    def _learned(
        self, load: Load, keys: Keys, ours: NDArray[np.bool_], heard: Sequence[Lane], now_s: float
    ) -> NDArray[np.bool_]:
        """Ask the streams that were not alone in their batch, or are new, which packets are theirs.

        What does not look like RTP teaches nothing.
        """
        rows, lengths = load.packets.rows, load.packets.lengths
        likely = (rows[:, 0] >> 6 == VERSION) & (lengths >= HEADER_BYTES)
        begin = np.cumsum(load.counts) - load.counts
        for index in np.flatnonzero(~np.logical_and.reduceat(ours, begin)).tolist():
            lane = heard[index]
            part = slice(int(begin[index]), int(begin[index] + load.counts[index]))
            known = Heard(at_s=float(self._heard_s[lane.row]), ssrc=int(self._ssrcs[lane.row]))
            some = np.flatnonzero(likely[part]) + part.start
            chosen = lane.learner.choose(keys[some], sources(rows[some]), now_s, known)
            ours[some] = chosen
            strange = int((~ours[part]).sum())
            lane.strangers += strange
            self.strangers += strange
            if lane.learner.key is not None:
                self._keys[lane.row] = lane.learner.key
        return ours

    def _unprotected(self, load: Load, heard: Sequence[Lane]) -> Load:
        """Decrypt what is encrypted, and count what is not authentic."""
        streams = np.repeat(self._streams[load.rows], load.counts)
        sealed = np.flatnonzero(streams != _PLAIN)
        packets = load.packets
        lengths, good = packets.lengths.copy(), np.ones(len(streams), np.bool_)
        capped = np.minimum(lengths, packets.rows.shape[1])
        if len(sealed) == len(streams):
            lengths, good = self._srtp.unprotect(streams, packets.rows, capped)
        else:
            some = packets.rows[sealed]
            lengths[sealed], good[sealed] = self._srtp.unprotect(streams[sealed], some, capped[sealed])
            packets.rows[sealed] = some
        if not good.all():
            refused = np.bincount(load.each()[~good], minlength=len(self._streams))
            for lane in heard:
                lane.unauthentic += int(refused[lane.row])
        return replace(load, packets=Packets(rows=packets.rows, lengths=lengths)).where(good)

    # --- RTCP ---------------------------------------------------------------------------------------------

    def read_rtcp(self, inbox: Inbox) -> None:
        """Read the second sockets, once each; what is beyond a batch waits for the next time."""
        lanes = self._lanes
        sockets = [lane.pair.rtcp for lane in lanes]
        descriptors = [socket.fileno() for socket in sockets]
        begin = 0
        while begin < len(lanes):
            drained = inbox.read(sockets, descriptors, begin)
            begin = drained.next
            at = 0
            lengths, keys = inbox.lengths(ROWS), inbox.keys(ROWS)
            for index, count in zip(drained.sockets, drained.counts, strict=True):
                last = at + count - 1
                at += count
                lane = lanes[index]
                # The newest report tells all; it counts when it is from where the sound comes from.
                if lane.control is not None or lane.learner.is_neighbour(keys[last]):
                    lane.take_rtcp(inbox.rows[last, : lengths[last]].tobytes())
                    self._alive_s[lane.row] = self._monotonic()

    def _read_shared(self, load: Load, which: NDArray[np.int64], heard: Sequence[Lane]) -> None:
        """Read RTCP that came on the port of RTP: the newest of each stream."""
        group = np.searchsorted(np.cumsum(load.counts), which, side="right")
        for index, at in dict(zip(group.tolist(), which.tolist(), strict=True)).items():
            heard[index].take_rtcp(load.packets.rows[at, : load.packets.lengths[at]].tobytes())

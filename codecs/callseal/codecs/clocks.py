"""The clocks of many RTP streams: from timestamps to positions, and how they drift from the wall clock.

Conventions: arrays of shape (rows,) hold one stream each. Positions are samples since the bank began;
timestamps wrap at 32 bits and are only ever compared with the one at `origin`, which moves on with the
recording, so that a call may last for ever. An *anchor* says which position a timestamp has.

A stream's *lead* is how far its newest sound stands before the moment at which it was read. It is never more
than the truth and at best, right behind an arrival, the truth itself; so the largest one of several ticks is
taken for it. Where ticks are in step with the packets, the leads of all ticks are the same, and the truth may
be up to a packet more. A lead beyond what this and the anchor's own error explain is drift, and the stream is
moved by whole steps of `SLIP_S`.

Source: RFC 3550 section 5.1.
"""

from typing import Final

import numpy as np

from callseal.codecs.arrays import Ints, Stamps

SLIP_S: Final = 0.02
"""A leg is moved by whole packets of the usual length."""
SLIP_MARGIN_S: Final = 0.005
"""What a lead must be beyond half a packet, by which the anchor may have been wrong …"""
MIN_LEAD_S: Final = 0.014
"""… and beyond this, so that a step never leaves a stream farther out than it was."""
MIN_LOOKS: Final = 8
"""Ticks with packets that are needed to judge a drift."""
NEVER: Final = -(1 << 50)
"""A position before all others."""


class Clocks:
    """The clocks of `rows` streams."""

    def __init__(self, *, rows: int, rate_hz: int) -> None:
        self._rate = rate_hz
        self._origin = 0
        self._hz = np.full(rows, rate_hz, np.int64)
        self._is_plain = True
        self._ts = np.zeros(rows, np.uint32)
        self._lead = np.full(rows, NEVER, np.int64)
        self._least = np.full(rows, -NEVER, np.int64)
        self._looks = np.zeros(rows, np.int64)
        self._longest = np.zeros(rows, np.int64)
        self.known = np.zeros(rows, np.bool_)
        """Whether a stream has an anchor."""
        self.ssrc = np.zeros(rows, np.uint32)
        self.end = np.full(rows, NEVER, np.int64)
        """Position behind a stream's newest sound; `NEVER` before its first."""

    def forget(self, rows: Ints, clock_hz: Ints) -> None:
        """Begin with other streams in these rows."""
        self.change(rows, clock_hz)
        self.end[rows] = NEVER

    def change(self, rows: Ints, clock_hz: Ints) -> None:
        """Let the streams of these rows go on by another clock."""
        self._hz[rows] = clock_hz
        self._is_plain = bool((self._hz == self._rate).all())
        self._look_anew(rows)
        self.known[rows] = False

    def hz(self, row: int) -> int:
        """Give the rate of a stream's clock."""
        return int(self._hz[row])

    def positions(self, row: Ints, ts: Stamps) -> Ints:
        """Give the positions of timestamps of anchored streams; of others they mean nothing."""
        delta = (ts - self._ts[row]).view(np.int32).astype(np.int64)
        if not self._is_plain:
            delta = delta * self._rate // self._hz[row]
        return delta + self._origin

    def ticks(self, row: Ints, samples: Ints) -> Ints:
        """Give how many units of their stream's clock some samples last."""
        return samples * self._hz[row] // self._rate

    def span(self, rows: Ints, first: Stamps, last: Stamps) -> Ints:
        """Give the samples from one timestamp to another, of each stream."""
        return (last - first).view(np.int32).astype(np.int64) * self._rate // self._hz[rows]

    def anchor(
        self,
        rows: Ints,
        ssrc: Stamps,
        ts: Stamps,
        position: Ints,
    ) -> None:
        """Let a timestamp of each stream (named once) stand at a position from now on."""
        self._ts[rows] = ts - self.ticks(rows, position - self._origin).astype(np.uint32)
        self.ssrc[rows] = ssrc
        self.known[rows] = True
        self.end[rows] = position
        self._look_anew(rows)

    def move_origin(self) -> None:
        """Go on by a second."""
        self._origin += self._rate
        self._ts += self._hz.astype(np.uint32)

    def look(
        self,
        rows: Ints,
        end: Ints,
        longest: Ints,
        now: Ints,
    ) -> None:
        """Note where the newest packets of streams (each named once) end, and when they were read."""
        self.end[rows] = np.maximum(self.end[rows], end)
        self._lead[rows] = np.maximum(self._lead[rows], end - now)
        self._least[rows] = np.minimum(self._least[rows], end - now)
        self._longest[rows] = np.maximum(self._longest[rows], longest)
        self._looks[rows] += 1

    def slip(self) -> Ints:
        """Move the streams that have drifted, and say which; looks begin anew for all that were judged."""
        judged = np.flatnonzero(self.known & (self._looks >= MIN_LOOKS))
        lead, longest = self._lead[judged], self._longest[judged]
        allowed = np.maximum(longest / 2 + SLIP_MARGIN_S * self._rate, MIN_LEAD_S * self._rate)
        unseen = np.maximum(longest - (lead - self._least[judged]), 0)
        drifted = (lead > allowed) | (lead + unseen < -allowed)
        rows = judged[drifted]
        step = SLIP_S * self._rate
        samples = (np.rint(lead[drifted] / step) * step).astype(np.int64)
        self._ts[rows] += self.ticks(rows, samples).astype(np.uint32)
        self.end[rows] -= samples
        self._look_anew(judged)
        return rows

    def _look_anew(self, rows: Ints) -> None:
        self._lead[rows], self._least[rows] = NEVER, -NEVER
        self._looks[rows] = self._longest[rows] = 0

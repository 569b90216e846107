"""What the sequence numbers of many streams say: what was lost, came twice or came out of order.

Conventions: arrays of shape (rows,) hold one stream each; packets come grouped by row, in the order of
arrival. A number of 16 bits is extended by the shortest way from the highest one so far; a restart goes on
counting where the stream was. The count of RFC 3550 (expected less received) is fooled by duplicates, so
duplicates are recognised one by one, and expected less different is what is lost.

Source: RFC 3550 sections 6.4.1 and A.1.
"""

from typing import Final

import numpy as np

from callseal.codecs.arrays import Flags, Ints, Sequences16

MAX_DROPOUT: Final = 3000
"""RFC 3550 A.1: a number that is farther ahead is no gap; the sender counts anew."""
MAX_MISORDER: Final = 100
"""RFC 3550 A.1: a number that is farther behind is not out of order either, where the clock jumped too."""
REMEMBERED: Final = 512
"""Numbers of a stream that are remembered: some 10 s at 20 ms, and how far back is only out of order."""

_NOTHING: Final = -(1 << 30)


class Sequences:
    """The sequence numbers of `rows` streams."""

    def __init__(self, rows: int) -> None:
        self._next = np.zeros(rows, np.uint16)
        self._head = np.zeros(rows, np.int64)
        self._first = np.zeros(rows, np.int64)
        self._expected = np.zeros(rows, np.int64)
        self._different = np.zeros(rows, np.int64)
        self._seen = np.zeros((rows, REMEMBERED), np.int32)
        self.duplicates = np.zeros(rows, np.int64)
        self.reordered = np.zeros(rows, np.int64)
        self.forget(np.arange(rows))

    def forget(self, rows: Ints) -> None:
        """Begin with other streams in these rows."""
        self._head[rows] = -1
        self._first[rows] = 0
        self._seen[rows] = _NOTHING
        for counts in (self._expected, self._different, self.duplicates, self.reordered):
            counts[rows] = 0

    def steps(self, row: Ints, sequence: Sequences16) -> Ints:
        """Say how far ahead of its stream's highest number each packet is; 1 is the next one."""
        return (sequence - self._next[row]).view(np.int16).astype(np.int64) + 1

    def restart(self, rows: Ints, sequence: Sequences16) -> None:
        """Let streams (each named once) go on with these numbers as their next ones."""
        self._head[rows] += REMEMBERED  # so that no number is mistaken for one of the time before
        self._first[rows] = self._head[rows] + 1
        self._next[rows] = sequence

    def lost(self, row: int) -> int:
        """Count the numbers of a stream that never came."""
        return max(0, int(self._expected[row] - self._different[row]))

    def note(self, row: Ints, sequence: Sequences16, starts: Ints) -> Flags:
        """Take the numbers of packets, and say which of them had come before.

        `starts` is the index of each row's first packet.
        """
        counts = np.diff(starts, append=len(row))
        rank = np.arange(len(row)) - np.repeat(starts, counts)
        rows = row[starts]
        if (sequence == self._next[row] + rank.astype(np.uint16)).all():
            ahead = self._head[row] + 1 + rank
            self._seen[row, ahead % REMEMBERED] = ahead
            self._advance(rows, counts)
            self._expected[rows] += counts
            self._different[rows] += counts
            return np.zeros(len(row), np.bool_)
        return self._note_untidy(row, sequence, starts, counts)

    def _advance(self, rows: Ints, by: Ints) -> None:
        self._head[rows] += by
        self._next[rows] += by.astype(np.uint16)

    def _note_untidy(
        self,
        row: Ints,
        sequence: Sequences16,
        starts: Ints,
        counts: Ints,
    ) -> Flags:
        rows = row[starts]
        group = np.repeat(np.arange(len(starts)), counts)
        step = self.steps(row, sequence)
        # A number from nowhere says nothing of loss: it is received, and nothing more was expected.
        stray = (step > MAX_DROPOUT) | (step <= -REMEMBERED)
        step = np.where(stray, 0, step)
        number = self._head[row] + step
        again: Flags = ~stray & (self._seen[row, number % REMEMBERED] == number)
        fresh = np.flatnonzero(~stray & ~again)
        key = group[fresh] << 32 | (step[fresh] + REMEMBERED)
        again[fresh] = True
        again[fresh[np.unique(key, return_index=True)[1]]] = False
        # Groups ascend, so a running maximum over all of them never carries over from one to the next.
        running = np.maximum.accumulate(group << 32 | (np.maximum(step, 0) + REMEMBERED))
        before = np.append(0, running[:-1])
        before[starts] = group[starts] << 32 | REMEMBERED
        behind = ~stray & ~again & ((group << 32 | (step + REMEMBERED)) < before)
        new = ~stray & ~again
        self._seen[row[new], number[new] % REMEMBERED] = number[new]
        first = np.minimum.reduceat(np.where(new, number, self._first[row]), starts)
        most = np.maximum(np.maximum.reduceat(step, starts), 0)
        strays = np.add.reduceat(stray, starts, dtype=np.int64)
        self._expected[rows] += most + strays
        self._different[rows] += np.add.reduceat(new | stray, starts, dtype=np.int64)
        self.duplicates[rows] += np.add.reduceat(again, starts, dtype=np.int64)
        self.reordered[rows] += np.add.reduceat(behind, starts, dtype=np.int64)
        self._expected[rows] += np.maximum(self._first[rows] - first, 0)
        self._first[rows] = np.minimum(self._first[rows], first)
        self._advance(rows, most)
        last = starts + counts - 1
        anew = stray[last]
        self._next[rows[anew]] = sequence[last[anew]] + np.uint16(1)
        return again

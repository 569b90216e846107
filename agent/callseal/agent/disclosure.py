"""What was really heard of an announcement.

The player feeds a track of its own beside both parties' channels, so this track holds the announcement
and nothing else. Comparing it with what was to be played gives the exact position of the first sample,
and how far it got. Pure.

Conventions: int16, shape (samples,); positions in samples of the recording.
"""

import numpy as np
from numpy.typing import NDArray

from callseal.agent.announcement import Programme
from callseal.agent.call import Disclosure, Side


class Follower:
    """Follows the announcement's track as it grows."""

    def __init__(self, programme: Programme) -> None:
        self._programme = programme
        self._first_sound = int(np.flatnonzero(programme.samples)[0])
        self._origin: int | None = None
        self._equal = 0
        self._mismatched = False

    @property
    def heard_anything(self) -> bool:
        """Whether its first sample has been seen."""
        return self._origin is not None

    @property
    def complete(self) -> bool:
        """Whether it was seen from its first sample to the last one of its last part."""
        return self._equal >= self._programme.parts[-1].end_samples

    def feed(self, position: int, track: NDArray[np.int16]) -> None:
        """Take the track's samples from `position` on, gapless from call to call."""
        if self._mismatched or self.complete:
            return
        if self._origin is None:
            sound = np.flatnonzero(track)
            if not sound.size:
                return
            skipped = int(sound[0])
            track = track[skipped:]
            if track[0] != self._programme.samples[self._first_sound]:
                self._mismatched = True  # some sound, and not the announcement: nothing of it was heard
                return
            self._origin = position + skipped - self._first_sound
            self._equal = self._first_sound
        wanted = self._programme.samples[self._equal : self._equal + track.size]
        other = np.flatnonzero(track[: wanted.size] != wanted)
        self._mismatched = bool(other.size)
        self._equal += int(other[0]) if other.size else wanted.size

    def result(self, heard_by: tuple[Side, ...]) -> tuple[Disclosure, ...]:
        """Say what was heard of each announcement, and by whom."""
        found = []
        for part in self._programme.parts:
            reached = min(self._equal, part.end_samples)
            heard = self._origin is not None and reached > part.start_samples
            origin = self._origin or 0
            found.append(
                Disclosure(
                    name=part.announcement.name,
                    language=part.announcement.language,
                    sha256=part.announcement.sha256,
                    start_samples=origin + part.start_samples if heard else None,
                    end_samples=origin + reached if heard else None,
                    complete=heard and reached == part.end_samples,
                    heard_by=heard_by if heard else (),
                )
            )
        return tuple(found)

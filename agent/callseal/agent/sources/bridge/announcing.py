"""One playing of a call's announcement.

Traps of pjsua2 2.15.1 that shape this file:
- Ports may not be destroyed inside a callback, nor by a garbage collector on another thread; whoever holds
  an announcement calls `close` between two turns.
- At its end a player that does not loop rewinds and stays at 0: up to one file buffer before its last
  sample has sounded, which is why a programme ends in that much silence.
"""

from pathlib import Path

import pjsua2 as pj


class Announcement:
    """Plays once, from when somebody is connected to its player."""

    def __init__(self, path: Path, rate_hz: int) -> None:
        """Open the player; raises pj.Error when that is impossible."""
        player = pj.AudioMediaPlayer()
        player.createPlayer(str(path), pj.PJMEDIA_FILE_NO_LOOP)
        self._player: pj.AudioMediaPlayer | None = player
        self._length_s = player.getInfo().sizeSamples / rate_hz
        self._since_s: float | None = None
        self.over = False

    @property
    def begun(self) -> bool:
        """Whether it plays, or has played."""
        return self._since_s is not None

    @property
    def port(self) -> pj.AudioMedia | None:
        """Where it is heard, once it has begun."""
        return self._player if self.begun else None

    def begin(self, now_s: float) -> None:
        """Let it be connected."""
        self._since_s = now_s

    def ends(self, now_s: float) -> bool:
        """Say, once, that it has been played to its end."""
        since_s = self._since_s
        if since_s is None or self.over or self._player is None:
            return False
        rewound = now_s - since_s > self._length_s / 2 and self._player.getPos() == 0
        self.over = rewound or now_s - since_s > 2 * self._length_s + 1
        return self.over

    def close(self) -> bool:
        """Let go of the player; says whether it was still playing."""
        cut = self.begun and not self.over
        self.over = True
        if self._player is not None:
            pj.AudioMediaPlayer.__swig_destroy__(self._player)
            self._player = None
        return cut

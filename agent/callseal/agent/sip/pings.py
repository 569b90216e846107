"""Keep-alives of a connection of ours: when a ping is due, and when its pong is missing.

Not every peer answers pings, though RFC 5626 wants it. So a missing pong ends a connection only where the
peer has answered one before; of the others the system's own time-outs say whether they are there.

Source: RFC 5626 section 4.4.1.
"""

from typing import Final

PING: Final = b"\r\n\r\n"


class Pings:
    """One connection's; time is any clock in seconds that does not go backwards."""

    def __init__(self, *, interval_s: float, pong_s: float, answers: bool, now_s: float) -> None:
        """Begin when the connection does; `answers` if its peer is known to answer pings."""
        self.answers = answers
        """Whether the peer has ever answered one."""
        self._interval_s = interval_s
        self._pong_s = pong_s
        self._sent_s = now_s
        self._is_open = False

    def is_due(self, now_s: float) -> bool:
        """Say whether to send one."""
        return now_s - self._sent_s >= self._interval_s

    def sent(self, now_s: float) -> None:
        """Note that one is sent; one that nobody answered is forgotten."""
        self._sent_s = now_s
        self._is_open = True

    def heard(self) -> None:
        """Note that something came, whatever it is: the peer lives."""
        self._is_open = False

    def ponged(self, now_s: float) -> None:
        """Note that an answer came; one that comes late may be something else."""
        self.answers = self.answers or now_s - self._sent_s <= self._pong_s

    def is_missing(self, now_s: float) -> bool:
        """Say whether the peer must be gone."""
        return self.answers and self._is_open and now_s - self._sent_s > self._pong_s

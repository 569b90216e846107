"""Which UDP ports the next streams get: even ones of a range, in turn.

A port that was given back rests before it is given out again, so that late packets of the old call don't end
up in a new one. One that another program holds is passed over and looked at again later.

Conventions: a port stands for a pair, RTP at the even number and RTCP at the next (RFC 3550 section 11).
"""

from collections import deque
from typing import Final

from callseal.agent.errors import PortsExhausted

PORT_REST_S: Final = 4.0
"""Longer than packets stay under way, and than a gateway takes to notice that a call has ended."""


class PortTurns:
    """The pairs of a range; `now_s` is a monotonic clock."""

    def __init__(self, first: int, last: int) -> None:
        """Take the even ports from `first` on whose next one is not beyond `last`."""
        even = range(first + first % 2, last, 2)
        self._turns: deque[tuple[int, float]] = deque((port, 0.0) for port in even)
        self.total: Final = len(self._turns)

    def take(self, now_s: float) -> int:
        """Give the RTP port of the next pair; PortsExhausted where all are in use or rest."""
        # Ports come back in the order of time, so where the first one rests all others do.
        if not self._turns or self._turns[0][1] > now_s:
            raise PortsExhausted(f"no UDP port is free for another stream: {self.total} pairs are in use")
        return self._turns.popleft()[0]

    def put_back(self, port: int) -> None:
        """Let a pair be the next again that was taken and that nobody has been told of."""
        self._turns.appendleft((port, 0.0))

    def give_back(self, port: int, now_s: float) -> None:
        """Let a pair rest, and then be taken again."""
        self._turns.append((port, now_s + PORT_REST_S))

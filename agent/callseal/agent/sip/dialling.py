"""Which connections of ours there are and are being set up, and what waits for them: a table without sockets.

A way is a transport and a destination; there is one connection of ours by each at most.
"""

from dataclasses import dataclass, field
from typing import Final

from callseal.agent.sip.flow import Outgoing, Transport
from callseal.agent.sip.sockets import Address

MAX_UNDER_WAY: Final = 32
"""Connections that are being set up at a time."""
MAX_WAITING: Final = 64
"""Messages that wait for one of them."""
MAX_REMEMBERED: Final = 256
"""Ways of which something is remembered once their connection is gone."""

Way = tuple[Transport, Address]


@dataclass(slots=True)
class _Waiting:
    messages: list[Outgoing] = field(default_factory=list)
    size_bytes: int = 0


class Dialling:
    """Limits connections of ours to `most`, and what waits for one of them to `most_bytes`."""

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._under_way: dict[Way, _Waiting] = {}
        self._numbers: dict[Way, int] = {}
        self._answers: dict[Way, bool] = {}

    def begin(self, way: Way, outgoing: Outgoing | None) -> bool:
        """Note that a connection is begun, and what waits for it; False if there is no room for one more.

        Where one is under way already the message waits for that one: `is_under_way` says so before.
        """
        if len(self._under_way) >= MAX_UNDER_WAY or len(self._under_way) + len(self._numbers) >= self._most:
            return False
        self._under_way[way] = _Waiting()
        self._answers[way] = self._answers.pop(way, False)
        if len(self._answers) > MAX_REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return self.wait(way, outgoing)

    def is_under_way(self, way: Way) -> bool:
        """Say whether a connection is being set up."""
        return way in self._under_way

    def wait(self, way: Way, outgoing: Outgoing | None) -> bool:
        """Have a message wait for a connection that is under way; False if there is no room for it."""
        if outgoing is None:
            return True
        waiting = self._under_way[way]
        size_bytes = waiting.size_bytes + len(outgoing.data)
        if len(waiting.messages) >= MAX_WAITING or (waiting.messages and size_bytes > self._most_bytes):
            return False
        waiting.messages.append(outgoing)
        waiting.size_bytes = size_bytes
        return True

    def end(self, way: Way, number: int) -> list[Outgoing]:
        """Note that a connection has come about, or not, and give what has waited; see `forget`."""
        self._numbers[way] = number
        return self._under_way.pop(way).messages

    def forget(self, way: Way, number: int) -> None:
        """Note that a connection is gone; one that is none of ours changes nothing."""
        if self._numbers.get(way) == number:
            del self._numbers[way]

    def number_of(self, way: Way) -> int:
        """Return the number of our connection, 0 while there is none."""
        return self._numbers.get(way, 0)

    def has_begun(self, way: Way) -> bool:
        """Say whether there ever was a connection of ours; long ago may be forgotten."""
        return way in self._answers

    def note_pong(self, way: Way) -> None:
        """Note that the peer answers keep-alives."""
        self._answers[way] = True

    def answers_pings(self, way: Way) -> bool:
        """Say whether the peer has ever answered a keep-alive."""
        return self._answers.get(way, False)

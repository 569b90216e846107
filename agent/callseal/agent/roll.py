"""Who takes part in a call: every party once, in an order that never changes while the call goes on. Pure.

Agent, customer and recorder stand first; then the others that were there from the beginning; then who came
later. A transfer changes who is agent or customer, and no party's number.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from callseal.agent.call import AGENT, CUSTOMER, Call, Event, PartiesChanged, Party
from callseal.seal import vcon
from callseal.seal.fields import JsonObject, JsonValue

RECORDER: Final = 2
"""The recorder's own number."""
_NOBODY: Final = Party(number="")
"""Of whom nothing is known: whether two of them are one and the same, nobody can tell."""


class Roll:
    """The parties of a call, by number."""

    def __init__(self, call: Call, events: Iterable[Event], recorder: str) -> None:
        """Give the parties their numbers; `recorder` is the recorder's own name."""
        self._changes = [event for event in events if isinstance(event, PartiesChanged)]
        self._recorder = vcon.Party(name=recorder)
        self._numbers: dict[Party, int] = {}
        self._more: list[Party] = []
        self._numbers[call.agent] = AGENT
        self._numbers.setdefault(call.customer, CUSTOMER)
        self._first = (call.agent, call.customer)
        self.unlisted = 0
        """How many parties there is no room for."""
        for party in call.others:
            self._add(party)
        for change in self._changes:
            for party in (change.agent, change.customer, *change.others):
                self._add(party)

    @property
    def parties(self) -> tuple[vcon.Party, ...]:
        """All parties, in the order of their numbers."""
        agent, customer = self._first
        return (_written(agent), _written(customer), self._recorder, *map(_written, self._more))

    def numbers(self, parties: Sequence[Party]) -> list[JsonValue]:
        """Return the numbers of parties; of one that there was no room for, null."""
        return [None if party == _NOBODY else self._numbers.get(party) for party in parties]

    def changes(self) -> list[JsonValue]:
        """Return what changed, and from which sample on."""
        return [self._change(change) for change in self._changes]

    def _change(self, change: PartiesChanged) -> JsonObject:
        return {
            "from_sample": change.position_samples,
            "agent": self._number(change.agent, AGENT),
            "customer": self._number(change.customer, CUSTOMER),
            "others": self.numbers(change.others),
            "conversation": change.conversation,
        }

    def _number(self, party: Party, side: int) -> int | None:
        """Return the number of who is on a side; both may be unknown, and are two parties all the same."""
        if party == self._first[side]:
            return side
        return None if party == _NOBODY else self._numbers.get(party)

    def _add(self, party: Party) -> None:
        if party in self._numbers or party == _NOBODY:
            return
        number = RECORDER + 1 + len(self._more)
        if number >= vcon.MAX_PARTIES:
            self.unlisted += 1
            return
        self._numbers[party] = number
        self._more.append(party)


def _written(party: Party) -> vcon.Party:
    number = party.number
    return vcon.Party(
        tel=number if number.startswith("+") else None,
        sip=party.uri or (f"sip:{number}" if number and not number.startswith("+") else None),
        name=party.name or None,
    )

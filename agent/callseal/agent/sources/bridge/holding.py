"""Passes hold and resume on: who wants not to be talked to is told to the other leg by re-INVITE.

Holding is each party's own wish, and both may have it at once: a leg is asked to hold as long as the party
at the other leg does. What crosses a party's own offer is refused with 491 and tried again after the time
that RFC 3261 section 14.1 gives each side.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from callseal.agent.sources.bridge.protocol import CallSide
from callseal.agent.sources.bridge.wiring import OTHER

MAX_ATTEMPTS: Final = 5
BUSY_S: Final = 0.5
"""When to try again where another offer of ours is under way."""
_PENDING: Final = 491
_FIRST_FAILURE: Final = 300
_OWNER_S: Final = (2.1, 4.0)
_OTHER_S: Final = (0.0, 2.0)


class Held(Protocol):
    """A leg, as far as holding goes."""

    holds: bool
    confirmed: bool
    alive: bool
    outgoing: bool

    def ask_to_hold(self, *, hold: bool) -> bool:
        """Send a re-INVITE; False when it cannot go now."""


@dataclass(slots=True)
class _Asked:
    """What a leg was asked last."""

    leg: Held
    hold: bool = False
    waiting: bool = False
    attempts: int = 0
    not_before_s: float = 0.0


class Holding:
    """Follows a call's two legs."""

    def __init__(self, changed: Callable[[CallSide, bool], None]) -> None:
        """Begin with nobody held; `changed` takes the side that began or ceased to hold the other."""
        self._changed = changed
        self._asked: dict[CallSide, _Asked] = {}
        self._holds: dict[CallSide, bool] = {"agent": False, "customer": False}

    def turn(self, legs: Mapping[CallSide, Held], now_s: float) -> None:
        """Ask what is to be asked. A side without a leg, as in a transfer, changes nothing."""
        for side, leg in legs.items():
            if leg.holds != self._holds[side]:
                self._holds[side] = leg.holds
                self._changed(side, leg.holds)
            other = legs.get(OTHER[side])
            if other is not None and all(one.alive and one.confirmed for one in (leg, other)):
                self._ask(side, leg, other.holds, now_s)

    def answered(self, leg: Held, code: int, now_s: float, dice: random.Random) -> None:
        """Follow the final response to a re-INVITE on a leg, one of ours or not."""
        asked = next((asked for asked in self._asked.values() if asked.leg is leg), None)
        if asked is None or not asked.waiting:
            return
        asked.waiting = False
        if code == _PENDING and asked.attempts < MAX_ATTEMPTS:
            asked.hold = not asked.hold
            asked.not_before_s = now_s + dice.uniform(*(_OWNER_S if leg.outgoing else _OTHER_S))
        elif code < _FIRST_FAILURE:
            asked.attempts = 0
        # Any other refusal is the party's last word, until the other side wants something else.

    def _ask(self, side: CallSide, leg: Held, hold: bool, now_s: float) -> None:  # noqa: FBT001 - internal
        asked = self._asked.get(side)
        if asked is None or asked.leg is not leg:
            asked = self._asked[side] = _Asked(leg)
        if asked.hold == hold or asked.waiting or now_s < asked.not_before_s:
            return
        if leg.ask_to_hold(hold=hold):
            asked.hold, asked.waiting = hold, True
            asked.attempts += 1
        else:
            asked.not_before_s = now_s + BUSY_S

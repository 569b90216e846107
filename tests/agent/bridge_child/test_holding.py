"""Who is asked to hold, and when again."""

import random
from dataclasses import dataclass, field

from callseal.agent.sources.bridge.holding import BUSY_S, MAX_ATTEMPTS, Holding


@dataclass
class Party:
    """A leg as the holding sees it; keeps what it was asked."""

    outgoing: bool = False
    holds: bool = False
    confirmed: bool = True
    alive: bool = True
    ready: bool = True
    asked: list[bool] = field(default_factory=list)

    def ask_to_hold(self, *, hold: bool) -> bool:
        if self.ready:
            self.asked.append(hold)
        return self.ready


class Call:
    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []
        self.agent, self.customer = Party(), Party(outgoing=True)
        self.holding = Holding(lambda side, held: self.told.append((side, held)))
        self.now_s = 0.0

    def turn(self, after_s: float = 0.0) -> None:
        self.now_s += after_s
        self.holding.turn({"agent": self.agent, "customer": self.customer}, self.now_s)

    def answer(self, leg: Party, code: int) -> None:
        self.holding.answered(leg, code, self.now_s, random.Random(1))  # noqa: S311 - repeatable


def test_a_hold_is_asked_once_and_taken_back_once() -> None:
    call = Call()
    call.agent.holds = True
    call.turn()
    call.turn()
    call.answer(call.customer, 200)
    call.agent.holds = False
    call.turn()
    call.answer(call.customer, 200)
    call.turn(10)

    assert call.customer.asked == [True, False]
    assert call.agent.asked == []
    assert call.told == [("agent", True), ("agent", False)]


def test_what_changes_while_an_offer_is_under_way_is_asked_after_it() -> None:
    call = Call()
    call.agent.holds = True
    call.turn()
    call.agent.holds = False
    call.turn()
    assert call.customer.asked == [True]
    call.answer(call.customer, 200)
    call.turn()

    assert call.customer.asked == [True, False]


def test_a_crossing_is_tried_again_later_by_who_owns_the_call() -> None:
    """RFC 3261 section 14.1: 2.1 to 4 s for the owner of the Call-ID, at most 2 s for the other."""
    call = Call()
    call.agent.holds = call.customer.holds = True
    call.turn()
    call.answer(call.customer, 491)
    call.answer(call.agent, 491)
    call.turn(2.0)
    assert (call.agent.asked, call.customer.asked) == ([True, True], [True])
    call.turn(2.0)

    assert call.customer.asked == [True, True]


def test_it_is_not_tried_for_ever() -> None:
    call = Call()
    call.agent.holds = True
    for _ in range(20):
        call.turn(5.0)
        call.answer(call.customer, 491)

    assert len(call.customer.asked) == MAX_ATTEMPTS


def test_any_other_refusal_is_the_last_word() -> None:
    call = Call()
    call.agent.holds = True
    call.turn()
    call.answer(call.customer, 488)
    call.turn(60)
    assert call.customer.asked == [True]
    call.agent.holds = False
    call.turn()

    assert call.customer.asked == [True, False]


def test_a_leg_that_is_busy_with_another_offer_is_asked_soon() -> None:
    call = Call()
    call.customer.ready = False
    call.agent.holds = True
    call.turn()
    call.customer.ready = True
    call.turn(BUSY_S / 2)
    assert call.customer.asked == []
    call.turn(BUSY_S)

    assert call.customer.asked == [True]


def test_nothing_is_asked_before_both_have_answered() -> None:
    call = Call()
    call.customer.confirmed = False
    call.agent.holds = True
    call.turn()
    assert call.customer.asked == []
    call.customer.confirmed = True
    call.turn()

    assert call.customer.asked == [True]


def test_a_newcomer_holds_nobody_and_is_held_by_who_does() -> None:
    """After a transfer: whom the old party held is taken back, the other's own hold reaches the new one."""
    call = Call()
    call.agent.holds = True
    call.turn()
    call.answer(call.customer, 200)
    call.holding.turn({"customer": call.customer}, 1.0)
    assert call.customer.asked == [True]
    call.agent = Party(outgoing=True)
    call.customer.holds = True
    call.turn(2.0)

    assert call.customer.asked == [True, False]
    assert call.agent.asked == [True]
    assert call.told == [("agent", True), ("agent", False), ("customer", True)]


def test_an_answer_that_was_not_waited_for_changes_nothing() -> None:
    """The library's own refresh of a session (RFC 4028) is a re-INVITE too."""
    call = Call()
    call.answer(call.customer, 491)
    call.agent.holds = True
    call.turn()
    call.answer(call.customer, 200)
    call.answer(call.customer, 491)
    call.turn(10)

    assert call.customer.asked == [True]

"""What is said of a promise after it was tried, and how the store's answers are judged.

Conventions: pure. What must be refused by right passes only where the store says so by right (401, 403), or
does not have the operation at all (405, 501): a "not found" or "malformed" shows that it looked, and so would
have done it. Where the store had no time to answer, nothing is said.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from callseal.store.accounts import Answer, Kind


class Outcome(StrEnum):
    """What came of one row; the values are stable."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"


class Cause(StrEnum):
    """Why a row is not simply ok; the values are stable."""

    NONE = ""
    WAS_DONE = "was-done"
    WAS_REFUSED = "was-refused"
    NOT_BY_RIGHT = "not-by-right"
    NOT_THERE = "not-there"
    OTHER_BYTES = "other-bytes"
    NO_VERSION = "no-version"
    GONE = "gone"
    LOCK_WEAKER = "lock-weaker"
    NO_ACCOUNT = "no-account"
    NO_PROBE = "no-probe"
    STORE_BUSY = "store-busy"
    NO_SUCH_OPERATION = "no-such-operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of a row; `answer` is the store's own word, in short."""

    outcome: Outcome
    cause: Cause = Cause.NONE
    answer: str = ""


OK: Final = Verdict(outcome=Outcome.OK)


def allowed(answer: Answer) -> Verdict:
    """Judge what must be possible."""
    if answer.done:
        return OK
    return busy(answer) or verdict(Outcome.FAILED, Cause.WAS_REFUSED, answer)


def refused(answer: Answer) -> Verdict:
    """Judge what must be refused by right."""
    match answer.kind:
        case Kind.DENIED:
            return OK
        case Kind.UNKNOWN:
            return verdict(Outcome.OK, Cause.NO_SUCH_OPERATION, answer)
        case Kind.DONE:
            return verdict(Outcome.FAILED, Cause.WAS_DONE, answer)
        case _:
            return busy(answer) or verdict(Outcome.FAILED, Cause.NOT_BY_RIGHT, answer)


def found_wrong(answer: Answer) -> Verdict:
    """Judge what must be refused because of what it is, by an account that has the right."""
    match answer.kind:
        case Kind.DONE:
            return verdict(Outcome.FAILED, Cause.WAS_DONE, answer)
        case Kind.DENIED:
            return verdict(Outcome.NOT_CHECKED, Cause.WAS_REFUSED, answer)
        case Kind.INVALID:
            return OK
        case _:
            return busy(answer) or verdict(Outcome.FAILED, Cause.NOT_BY_RIGHT, answer)


def taken(answer: Answer) -> Verdict:
    """Judge a second put under a name that is taken."""
    if answer.kind is Kind.TAKEN:
        return OK
    if answer.kind is Kind.INVALID:
        return verdict(Outcome.FAILED, Cause.NOT_BY_RIGHT, answer)
    return found_wrong(answer)


def withstood(answer: Answer) -> Verdict:
    """Judge what the account may do and the lock forbids: every store has another word for it."""
    if answer.done:
        return verdict(Outcome.FAILED, Cause.WAS_DONE, answer)
    return busy(answer) or OK


def busy(answer: Answer) -> Verdict | None:
    """Return what is said where the store had no time to answer; None where it had."""
    if answer.kind is not Kind.BUSY:
        return None
    return verdict(Outcome.NOT_CHECKED, Cause.STORE_BUSY, answer)


def verdict(outcome: Outcome, cause: Cause, answer: Answer) -> Verdict:
    """Return a verdict that quotes the store's answer."""
    return Verdict(outcome=outcome, cause=cause, answer=str(answer))

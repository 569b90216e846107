"""The rule: until when a recording must be kept, and what that asks of the protection of its objects.

::

    the class's event is known      its term after that day
    it is not known yet             open: kept until it is, and then for the term
    a dispute was settled           at least the terms' time after that day too, whatever the class
    a hold                          nothing may be deleted, whatever the term

Conventions: pure; times are UTC. A protection is only ever extended, so that what is asked for is never
earlier than what holds now. While a term is open the protection is renewed in short steps: in compliance mode
nobody can take it back, and the date that ends it may be known tomorrow.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from callseal.config.central import Custodian, S3Store
from callseal.config.central import Store as StoreSettings
from callseal.config.terms import Event, RetentionClass, Terms
from callseal.seal.retention import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """How protections are renewed: for `lock` at a time, once less than `renew` is left.

    ValueError for what is no time.
    """

    lock: timedelta
    renew: timedelta

    def __post_init__(self) -> None:
        if min(self.lock, self.renew) <= timedelta():
            raise ValueError("a protection lasts, and is renewed before its end")

    @property
    def window(self) -> timedelta:
        """How long before its end a protection is renewed.

        At most half of what a renewal gives: else each renewal would be due again at once.
        """
        return min(self.renew, self.lock / 2)


def periods_of(store: StoreSettings, custodian: Custodian) -> Periods | None:
    """Return how protections are renewed in a store of the settings; None where they say that it has none."""
    if not isinstance(store, S3Store) or store.lock == "none":
        return None
    return Periods(lock=timedelta(days=store.lock_days), renew=timedelta(days=custodian.renew_days))


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Until when a recording must be kept; `until` is None while that is open.

    `name` is the class by its name, None where nobody named one; `counted` is the one whose term counts:
    another one where that name is not listed. `waits_for` is the event that an open term waits for.
    """

    name: str | None
    counted: RetentionClass
    until: datetime | None
    held: bool

    @property
    def waits_for(self) -> Event | None:
        """The event without which nobody can say when the term ends."""
        return self.counted.event if self.until is None else None

    @property
    def is_listed(self) -> bool:
        """Whether the terms know the class by its name."""
        return self.name == self.counted.id

    def destroyable_from(self, protected_until: datetime | None) -> datetime | None:
        """Return from when on the recording could be destroyed; None while nobody can say."""
        if self.held or self.until is None:
            return None
        return self.until if protected_until is None else max(self.until, protected_until)


def term_of(terms: Terms, state: State, *, manifest_class: str | None, ended_at: datetime) -> Term:
    """Return a recording's term, by what was decided, and by its manifest where nothing was."""
    name = state.retention_class if state.retention_class is not None else manifest_class
    counted = terms.of(name)
    days = {
        Event.CONTRACT_END: state.contract_end,
        Event.DISPUTE_SETTLED: state.settled,
        Event.CALL: ended_at.date(),
    }
    day = days[counted.event]
    until = None if day is None else counted.period.after(day)
    if until is not None and state.settled is not None:
        until = max(until, terms.dispute.after(state.settled))
    return Term(name=name, counted=counted, until=until, held=bool(state.holds))


def protection(
    term: Term, *, locked_until: datetime | None, now: datetime, periods: Periods, at_once: bool
) -> datetime | None:
    """Return until when an object's protection must be extended now, None where nothing has to be done.

    `at_once` extends to a known end of the term at once, as after a decision; else only when what holds now
    is about to end. An object without any protection is always given one.
    """
    ends_soon = locked_until is None or locked_until <= now + periods.window
    if term.until is None:
        wanted = now + periods.lock if ends_soon else None
    else:
        wanted = term.until if at_once or ends_soon else None
    return _extended(wanted, locked_until, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """How long something is needed: `open` while nobody can say; `until` is the latest end that is known."""

    open: bool
    until: datetime | None

    def is_over(self, now: datetime) -> bool:
        """Tell whether it is needed no more."""
        return not self.open and (self.until is None or self.until <= now)


def proof_protection(
    need: Need, *, locked_until: datetime | None, now: datetime, periods: Periods
) -> datetime | None:
    """Return until when the protection of a proof must be extended now, None where nothing has to be done.

    It is extended when what holds now is about to end: to the latest end of what it proves, and for as long
    as a renewal gives where any of that is open.
    """
    if locked_until is not None and locked_until > now + periods.window:
        return None
    renewed = now + periods.lock if need.open else None
    wanted = max((one for one in (need.until, renewed) if one is not None), default=None)
    return _extended(wanted, locked_until, now)


def look_again_at(
    term: Term, *, locked_until: datetime | None, now: datetime, periods: Periods
) -> datetime | None:
    """Return when the protection has to be looked at again, None for never: it lasts as long as the term."""
    if term.until is not None and (term.until <= now or (locked_until or now) >= term.until):
        return None
    return now if locked_until is None else locked_until - periods.window


def _extended(wanted: datetime | None, locked_until: datetime | None, now: datetime) -> datetime | None:
    if wanted is None or wanted <= now or (locked_until is not None and wanted <= locked_until):
        return None
    # S3 keeps whole seconds: what is asked for must be what is read back.
    return wanted.replace(microsecond=0) + timedelta(seconds=bool(wanted.microsecond))

"""Proves, against a live S3 store, that each role can do what it must, and nothing else.

A row of the table (`promises`) whose account was not given is told as not checked, never left out. What is
left behind is told in `probe_names`.

Conventions: nothing here prints or logs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from callseal.config.central import S3Store
from callseal.store.accounts import Account
from callseal.store.errors import StoreRefused
from callseal.store.probe_names import ProbeNames
from callseal.store.promises import Needs, Row, table
from callseal.store.trial import Party, Trial
from callseal.store.verdicts import Cause, Outcome, Verdict

EXIT_NOT_CHECKED: Final = 15

_NO_DEVICE: Final = "dev-nodevicehere"
"""Stands for the device where no agent is examined; another one than `OTHER_DEVICE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one row."""

    row: Row
    verdict: Verdict


def check(
    item: S3Store,
    accounts: Mapping[Party, Account],
    *,
    device: str | None,
    run: UUID,
    now: Callable[[], datetime],
) -> Iterator[Result]:
    """Try every row, telling each as it is known.

    Raises StoreUnreachable and StoreDenied (credentials that the store does not know) as they come,
    StoreRefused where there is no bucket, ValueError for a malformed device or an agent without a device.
    """
    if device is None and Party.AGENT in accounts:
        raise ValueError("an agent's rights are those of a device: say which")
    names = ProbeNames(device=device or _NO_DEVICE, run=run)
    trial = Trial(item, accounts, names, now=now)
    for row in table(item, administrator=Party.ADMINISTRATOR in accounts):
        yield Result(row=row, verdict=_try(row, trial))


def _try(row: Row, trial: Trial) -> Verdict:
    if not trial.has(row.party):
        return Verdict(outcome=Outcome.NOT_CHECKED, cause=Cause.NO_ACCOUNT)
    there = {
        Needs.NOTHING: True,
        Needs.VERSION: trial.has_version,
        Needs.LOCK: trial.has_version and trial.is_protected,
        Needs.OWN_RECEIPT: trial.is_there(trial.names.own_receipt),
        Needs.FOREIGN_RECEIPT: trial.is_there(trial.names.foreign_receipt),
    }
    if not there[row.needs]:
        return Verdict(outcome=Outcome.NOT_CHECKED, cause=Cause.NO_PROBE)
    return row.attempt(trial)


def exit_code(results: Sequence[Result]) -> int:
    """Return what an examination ends with: 21 a promise is broken, 15 one was not checked, 0 all hold."""
    outcomes = {result.verdict.outcome for result in results}
    if Outcome.FAILED in outcomes:
        return StoreRefused.exit_code
    return EXIT_NOT_CHECKED if Outcome.NOT_CHECKED in outcomes or not results else 0

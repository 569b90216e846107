"""A custodian's look at the ledger of an honest device, by a clock that is set by hand.

A test file takes the fixtures by name: `watch = ledger_watch.watch`, and `shelf` and `honest` likewise.
"""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from callseal.archive.continuity import LAG, MOVE_AFTER, Continuity
from callseal.seal.keys import TrustStore
from callseal.seal.verify.ledger import standing
from support.kept_ledgers import Sealed, Writer
from support.sealed_recordings import STARTED_AT, organisation
from support.shelf import Desk, Shelf, desk

OWNER = organisation()
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Watch:
    """A custodian's look at a shelf, by a clock that is set by hand."""

    def __init__(self, shelf: Shelf, memory: Path, trust: TrustStore | None = None) -> None:
        self.shelf = shelf
        self.memory = memory
        self.trust = OWNER.trust if trust is None else trust
        self.now = STARTED_AT
        self.continuity = self.anew()

    def anew(self) -> Continuity:
        """Begin again with what is remembered."""
        self.continuity = Continuity(
            self.shelf, "primary", self.trust, self.memory, lambda: self.now, late_after=timedelta(minutes=15)
        )
        return self.continuity

    def look(self, at: datetime) -> None:
        """Do a round."""
        self.now = at
        self.continuity.refresh()

    def wrong(self, device: str = OWNER.device) -> list[tuple[str | None, int]]:
        """Return what is more than worth knowing: codes, exit codes."""
        return [(item.code, item.exit_code) for item in self.continuity.findings(device) if item.exit_code]

    def codes(self, device: str = OWNER.device) -> set[str | None]:
        return {code for code, _exit_code in self.wrong(device)}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def watch(shelf: Shelf, tmp_path: Path) -> Watch:
    return Watch(shelf, tmp_path)


@pytest.fixture
def honest(shelf: Shelf) -> Desk:
    return desk(shelf, Writer(OWNER))


def outcome(watch: Watch, sealed: Sealed, pinned: int | None = None) -> tuple[int, str | None]:
    """Return what the ledger that is at hand says of a recording."""
    ledger = watch.continuity.ledger(OWNER.device, pinned)
    found = standing(sealed.manifest, sealed.sha256, ledger).finding
    return found.exit_code, found.code


def aged(watch: Watch, honest: Desk) -> None:
    """Let the base move up: months of minutes, looked at days later."""
    honest.minutes(MOVE_AFTER + 100)
    watch.look(honest.now)
    honest.writer.now += LAG + HOUR
    honest.minutes(2)
    watch.look(honest.now)

"""What is missing: recordings that the ledger ended, or a custodian received, and that are not here.

So is one that was opened long ago and of which nothing was told since, not even that its agent began again:
its end was cut off with the rest of the ledger, or its agent died then and was never seen again. One of
which nothing is kept, as its device says, is a note: nobody else can say whether that is true.

A recording that is gone together with all of its folder leaves no trace there; its ledger entry stays, and
so does its receipt.

Conventions: ledger entries are small and travel faster than recordings, so that one that ended only a
moment ago may still be on its way. It is "not checked" until `settled_before`, then it is missing.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from callseal.seal.errors import RemoteError
from callseal.seal.keys import Role, TrustStore
from callseal.seal.manifest import Manifest
from callseal.seal.receipt import open_receipt
from callseal.seal.timestamp import write_time
from callseal.seal.verify.findings import Check, Finding, Outcome, failed, note, refused, unchecked
from callseal.seal.verify.ledger import DeviceLedger

ARRIVAL: Final = timedelta(days=1)
"""How long a recording may be on its way to where it is looked for."""
MISSING: Final = "missing"
ON_ITS_WAY: Final = "on-its-way"
NEVER_ENDED: Final = "never-ended"
NOT_KEPT: Final = "not-kept"
NOT_STORED: Final = "not-stored"
MAX_LISTED: Final = 1000

_REST: Final = "recordings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """A recording of which there is a receipt; `stored_at` as in `receipts.Stored`."""

    id: UUID
    name: str
    data: bytes
    stored_at: datetime | None = None


def verify_presence(
    ledger: DeviceLedger | None,
    receipts: Iterable[Vouched],
    here: Container[UUID],
    trust: TrustStore,
    *,
    settled_before: datetime,
) -> tuple[Finding, ...]:
    """Find the recordings of a device that are not `here`.

    Those of the `receipts` count whose recordings are not here and are not missed by the ledger already.
    """
    found = _Limited()
    told: set[UUID] = set()
    if ledger is not None:
        chain = ledger.chain
        newest_at = chain.at(chain.size - 1)
        for recording, end in chain.newest_ends(chain.size):
            if recording in here:
                continue
            if end.manifest is None:
                words = (
                    f"{end.kind.value} at {write_time(end.at)} by entry {end.sequence}: nothing of it is kept"
                )
                found.add(note(str(recording), Check.PRESENCE, words, NOT_KEPT))
                continue
            told.add(recording)
            words = f"ended at {write_time(end.at)} by entry {end.sequence}, and is "
            if _settled(end.at, settled_before, newest_at):
                found.add(failed(str(recording), Check.PRESENCE, words + "gone: deleted", code=MISSING))
            else:
                words += "not here yet, or deleted"
                found.add(unchecked(str(recording), Check.PRESENCE, words, ON_ITS_WAY))
        for recording, sequence in chain.running():
            opened_at = chain.opened_at(recording)
            if opened_at is not None and _settled(opened_at, settled_before, newest_at):
                words = (
                    f"opened at {write_time(opened_at)} by entry {sequence}, and nothing was told of its end"
                )
                found.add(unchecked(str(recording), Check.PRESENCE, words, NEVER_ENDED))
    for vouched in receipts:
        if vouched.id not in here and vouched.id not in told:
            found.add(_received(vouched, trust))
    return found.all()


class StoreCheck:
    """Finds the recordings that are here, and not in every store that they are meant for.

    `stores` are those that were looked through, by their names in the settings, with what lies in each;
    `newest_at` is the device's newest ledger entry.
    """

    def __init__(
        self,
        stores: Mapping[str, Container[UUID]],
        *,
        settled_before: datetime,
        newest_at: datetime | None = None,
    ) -> None:
        self._stores = stores
        self._settled_before = settled_before
        self._newest_at = newest_at
        self._seen: set[UUID] = set()
        self._found = _Limited()

    def take(self, manifest: Manifest) -> None:
        """Look where a recording lies; that its manifest is genuine was found before."""
        if manifest.id in self._seen or not _settled(
            manifest.ended_at, self._settled_before, self._newest_at
        ):
            return
        self._seen.add(manifest.id)
        for name, there in self._stores.items():
            if name in manifest.stores and manifest.id not in there:
                words = f"not in {name}, where it belongs: not brought there for more than a day, or deleted"
                self._found.add(unchecked(str(manifest.id), Check.PRESENCE, words, NOT_STORED))

    def findings(self) -> tuple[Finding, ...]:
        """Return what was found."""
        return self._found.all()


def _settled(at: datetime, before: datetime, newest_at: datetime | None) -> bool:
    """Tell whether what happened then can't be on its way any more, by our clock or the ledger's own."""
    # A difference: a time from outside may be one before which the calendar does not begin.
    return at < before or (newest_at is not None and newest_at - at > ARRIVAL)


class _Limited:
    """Findings as they come, at most `MAX_LISTED` of each outcome; the rest is counted."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._counts: Counter[Outcome] = Counter()

    def add(self, finding: Finding) -> None:
        self._counts[finding.outcome] += 1
        if self._counts[finding.outcome] <= MAX_LISTED:
            self._findings.append(finding)

    def all(self) -> tuple[Finding, ...]:
        more = {outcome: count - MAX_LISTED for outcome, count in self._counts.items()}
        found = self._findings
        if (rest := more.get(Outcome.FAILED, 0)) > 0:
            found.append(failed(_REST, Check.PRESENCE, f"and {rest} more that are gone", code=MISSING))
        if (rest := more.get(Outcome.NOT_CHECKED, 0)) > 0:
            found.append(unchecked(_REST, Check.PRESENCE, f"and {rest} more that are not here", ON_ITS_WAY))
        if (rest := more.get(Outcome.NOTE, 0)) > 0:
            found.append(note(_REST, Check.PRESENCE, f"and {rest} more of which nothing is kept", NOT_KEPT))
        return tuple(found)


def _received(vouched: Vouched, trust: TrustStore) -> Finding:
    try:
        receipt, chain = open_receipt(vouched.data)
        trust.check(chain, at=receipt.received_at, role=Role.CUSTODIAN, anchored_before=vouched.stored_at)
    except RemoteError as problem:
        return refused(vouched.name, Check.RECEIPT, problem)
    words = f"a custodian received it at {write_time(receipt.received_at)}, and it is gone: deleted"
    return failed(str(vouched.id), Check.PRESENCE, words, code=MISSING)

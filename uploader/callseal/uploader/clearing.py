"""When the local copy of a recording may go, and how it goes.

A copy goes only if all of this holds:

- every store that its manifest names has a receipt that counts, on exactly the manifest that lies here; a
  manifest that names no store names nobody who could vouch for it, and stays;
- it is here for `keep_days`, counted from the last of these: it became ready, each custodian received it;
- nothing lies in its folder that the manifest does not speak of: that was vouched for by nobody.

`keep_days` is a rule, and so is the receipt: a disk that is full changes neither. A recording without its
receipts is never deleted for room, and one that has them does not go early: whoever wants that sets
``keep_days`` lower. What a full disk means is for the agent to say (``spool.on_full``).

A receipt stands for the ledger too: a custodian gives one only once the device's ledger tells how the
recording ended, so that no recovery looks for it here again.

Conventions: what was receipted is told by SHA-256 of the manifest, which names its objects by theirs. The
wall clock is no proof that days went by: one that is set forward by years must not clear a whole machine.
`CustodianTime` bounds it by the newest time that a custodian has signed and the time that went by since on a
clock that nobody sets. Where no new receipts come that clock may be late, never early: then copies stay
longer. A clock that was set back keeps them longer likewise. With ``keep_days = 0`` no clock is asked.

`verdict` and `CustodianTime` are pure; `clear`, `finish` and `gone` touch the spool.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from callseal.seal import removal
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import ManifestError, SpoolError
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest, parse
from callseal.seal.spool import Bundle, Spool

_DAY: Final = timedelta(days=1)


class Verdict(StrEnum):
    """Whether a local copy may go."""

    DUE = "due"
    NO_STORE = "no-store"
    NO_RECEIPT = "no-receipt"
    OTHER_MANIFEST = "other-manifest"
    SURPLUS = "surplus"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipted:
    """A receipt that counted (`receipts.Accepted`): when, and the SHA-256 of which manifest."""

    received_at: datetime
    manifest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What lies in ``ready/<id>/``: the manifest and its SHA-256, all names, and since when."""

    manifest: Manifest
    sha256: bytes
    names: frozenset[str]
    ready_at: datetime


class CustodianTime:
    """The time, as far as custodians vouch for it: never later than it is, whatever the clocks here say."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` is in seconds and never set; best one that counts the time asleep (CLOCK_BOOTTIME)."""
        self._clock = clock
        self._newest: datetime | None = None
        self._learned_s = 0.0

    def learn(self, received_at: datetime) -> None:
        """Take notice of the time of a receipt that counts; at a start, of the newest one known."""
        if self._newest is None or received_at > self._bound(self._newest):
            self._newest, self._learned_s = received_at, self._clock()

    def at_most(self, now: datetime) -> datetime | None:
        """Return `now`, by the wall clock, or what is sure of it where that is earlier; None: nothing is."""
        return None if self._newest is None else min(now, self._bound(self._newest))

    def _bound(self, newest: datetime) -> datetime:
        try:
            return newest + timedelta(seconds=max(0.0, self._clock() - self._learned_s))
        except OverflowError:
            return newest


def verdict(
    copy: Copy, receipts: Mapping[str, Receipted], *, keep_days: float, now: datetime | None
) -> Verdict:
    """Tell whether a copy may go; `receipts` are those that counted, by the store that each is about.

    `now` is what `CustodianTime.at_most` says.
    """
    stores = copy.manifest.stores
    if not stores:
        return Verdict.NO_STORE
    if not all(store in receipts for store in stores):
        return Verdict.NO_RECEIPT
    if any(receipts[store].manifest != copy.sha256 for store in stores):
        return Verdict.OTHER_MANIFEST
    if not copy.names <= {MANIFEST_NAME, SIGNATURE_NAME, *(item.name for item in copy.manifest.objects)}:
        return Verdict.SURPLUS
    since = max(copy.ready_at, *(receipts[store].received_at for store in stores))
    # A difference, not a sum: a time at the end of the calendar has nothing behind it.
    if keep_days > 0 and (now is None or now - since < keep_days * _DAY):
        return Verdict.KEPT
    return Verdict.DUE


def look(bundle: Bundle) -> Copy:
    """Return what lies in a recording's folder; SpoolError, and ManifestError where it is no recording."""
    data = bundle.manifest_bytes()
    manifest = parse(data)
    if manifest.id != bundle.id:
        raise ManifestError(f"{bundle.path}: holds the manifest of another recording")
    try:
        names = frozenset(item.name for item in bundle.path.iterdir())
    except OSError as problem:
        raise SpoolError(f"{problem.filename or bundle.path}: {problem.strerror}") from problem
    try:
        ready_at = datetime.fromtimestamp(bundle.ready_at_s(), UTC)
    except (ValueError, OverflowError) as problem:
        raise SpoolError(f"{bundle.path}: its time is none of this calendar: touch it") from problem
    return Copy(manifest=manifest, sha256=hashlib.sha256(data).digest(), names=names, ready_at=ready_at)


def clear(
    spool: Spool,
    bundle: Bundle,
    receipts: Mapping[str, Receipted],
    *,
    keep_days: float,
    now: datetime | None,
    step: Step = no_step,
) -> Verdict:
    """Delete the local copy of a recording if it may go; the verdict is DUE if it is gone.

    It is judged by what lies there now, whatever anybody noted of it. Raises SpoolError, and ManifestError
    for what is no recording; the same call may be made again. The spool's lock is held as its uploader.
    """
    found = verdict(look(bundle), receipts, keep_days=keep_days, now=now)
    if found is Verdict.DUE:
        removal.remove(spool, bundle, step=step)
    return found


def finish(spool: Spool, *, step: Step = no_step) -> list[UUID]:
    """Delete what was being deleted when an uploader died; to be called at the start, under the lock."""
    return removal.finish(spool, step=step)


def gone(spool: Spool, known: Iterable[UUID]) -> list[UUID]:
    """Return those of the recordings known that do not lie in ``ready/`` (any more): rows to be dropped.

    One crash lies between the deletion of a copy and that of its rows. SpoolError if the disk does not tell:
    a folder that can't be read is no empty one.
    """
    here = {bundle.id for bundle in spool.ready()}
    return [recording for recording in known if recording not in here]

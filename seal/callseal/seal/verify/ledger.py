"""What a device's ledger says of one recording, and when that was there at the latest.

A manifest names the newest entry at the time that it was signed, and the ledger's next entries name the
manifest: the recording stands between two entries, and can't be exchanged or slipped in later without
writing all of the ledger anew from there.

Conventions: an anchor is a time stamp from outside, checked, on a checkpoint of the ledger as it is here: the
entries that it covers were there by then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from callseal.seal.errors import UntrustedSigner
from callseal.seal.keys import leaf_public_key
from callseal.seal.ledger.chain import Chain, End
from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.findings import Code
from callseal.seal.manifest import MANIFEST_NAME, Manifest
from callseal.seal.timestamp import write_time
from callseal.seal.verify.findings import (
    ALTERED,
    UNTRUSTED,
    Check,
    Finding,
    failed,
    unchecked,
    well,
)

NOT_AT_HAND: Final = (
    "its device's ledger is not at hand: whether it was slipped in or exchanged was not checked"
)
BEFORE_THE_LEDGER: Final = "sealed before its device kept a ledger: whether it was slipped in was not checked"
NOT_HERE_YET: Final = "its ledger entries are not here yet"
UNKNOWN: Final = "slipped in: its device's ledger does not know it"
EXCHANGED: Final = (
    "substituted or signed again: the ledger says that this recording ended with another manifest"
)
OTHER_HISTORY: Final = "the ledger entry that its manifest names is not the one in the device's ledger"
NOT_KEPT: Final = "the ledger says that nothing of this recording could be kept"
OTHER_RESULT: Final = "the ledger says another result than the manifest"
REPLACED: Final = "replaced: the ledger says that this recording had ended before, with another manifest"
RECOVERED_ANEW: Final = (
    "recovered in place of what was sealed first, by the ledger: whether it is the same was not checked"
)
OTHER_KEY: Final = "signed with another key than its device's ledger"
OLDER: Final = "an older part of the ledger, which was not looked at, speaks of it, or may"

# The end of a recording follows the signing of its manifest at once. Behind so many entries, and so much
# later, it is not on its way any more: other calls' entries may come between, and a restart of the agent.
LATE_ENTRIES: Final = 100
LATE_AFTER: Final = timedelta(minutes=10)

# How far the times in a manifest may be from those of its entries in the ledger; and how long after the
# INVITE a recording may be opened, which is before its first sound.
CLOCK_TOLERANCE: Final = timedelta(minutes=10)
OPENED_WITHIN: Final = timedelta(hours=1)
_DISK_CHANGED: Final = "disk-changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The first `size` entries were there `at` that time, by the word of `authority`."""

    size: int
    at: datetime
    authority: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeviceLedger:
    """A device's ledger, checked."""

    chain: Chain
    anchors: tuple[Anchor, ...] = ()

    def anchored(self, sequence: int) -> Anchor | None:
        """Return the earliest proof that an entry was there."""
        covering = (anchor for anchor in self.anchors if anchor.size > sequence)
        return min(covering, key=lambda anchor: anchor.at, default=None)

    def end(self, recording: UUID) -> End | None:
        """Return what became of a recording, by the ledger."""
        return self.chain.end(recording)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What was found, and the entry that vouches for exactly this manifest, if one does."""

    finding: Finding
    sequence: int | None = None


def standing(manifest: Manifest, sha256: bytes, ledger: DeviceLedger | None) -> Standing:
    """Compare a recording with its device's ledger; `sha256` is that of the exact manifest.

    The ledger tells only of ends that the device vouches for, by a signature or a checkpoint over them. Where
    it was read from a snapshot on, what lies before is "not checked", with the code ``before-base``.
    """
    if ledger is None:
        return Standing(finding=unchecked(MANIFEST_NAME, Check.LEDGER, NOT_AT_HAND))
    chain = ledger.chain
    pinned = _pin(manifest, chain)
    if pinned is not None:
        return Standing(finding=pinned)
    end = chain.end(manifest.id)
    signed_behind = -1 if manifest.ledger is None else manifest.ledger.sequence
    if end is None or (end.manifest != sha256 and end.sequence <= signed_behind):
        # No end, or one that was told before this manifest was signed: its own is still to come.
        return Standing(finding=_without_end(manifest, chain, end))
    wrong = _unlike(manifest, sha256, end)
    if wrong is not None:
        return Standing(finding=_failed(wrong))
    doubtful = _replaced(end) or _misdated(manifest, chain, end)
    if doubtful is not None:
        return Standing(finding=doubtful, sequence=end.sequence)
    words = f"entry {end.sequence} of {manifest.device} says {end.kind.value}, with this manifest"
    return Standing(finding=well(MANIFEST_NAME, Check.LEDGER, words), sequence=end.sequence)


def _unlike(manifest: Manifest, sha256: bytes, end: End) -> str | None:
    """Return what the ledger says otherwise of a recording's end."""
    if end.manifest is None:
        return NOT_KEPT
    if end.manifest != sha256:
        return EXCHANGED
    return None if end.result == manifest.result.value else OTHER_RESULT


def _replaced(end: End) -> Finding | None:
    """Judge an end that took the place of another one."""
    if end.replaced is None:
        return None
    return unchecked(MANIFEST_NAME, Check.LEDGER, RECOVERED_ANEW) if end.crashed else _failed(REPLACED)


def _misdated(manifest: Manifest, chain: Chain, end: End) -> Finding | None:
    """Compare when a recording says that it was made with when the ledger noted it.

    A manifest may say any time; the entries' times can't be changed later. Differences are taken, since a
    time in a manifest may be one behind which the calendar ends.
    """
    opened_at = chain.opened_at(manifest.id)
    early = manifest.ended_at - end.at > CLOCK_TOLERANCE
    if opened_at is not None:
        since = opened_at - manifest.started_at
        # What goes on in a second spool folder is opened at any time of the call.
        limit = manifest.ended_at - manifest.started_at
        if _DISK_CHANGED not in manifest.reasons:
            limit = min(limit, OPENED_WITHIN)
        early = early or since < -CLOCK_TOLERANCE
        late = since - limit > CLOCK_TOLERANCE
    else:
        # What an agent finds when it begins again, for the ledger ends only then.
        found = end.started_at is not None and end.at - end.started_at <= CLOCK_TOLERANCE
        late = not found and end.kind is not Kind.RECOVERED and end.at - manifest.ended_at > CLOCK_TOLERANCE
    if not early and not late:
        return None
    noted = write_time(end.at) if opened_at is None else f"{write_time(opened_at)} to {write_time(end.at)}"
    words = (
        f"says {write_time(manifest.started_at)} to {write_time(manifest.ended_at)}, and the ledger noted it"
        f" at {noted}: dated otherwise than it was made, or the clock was set, or the ledger's disk was full"
    )
    return unchecked(MANIFEST_NAME, Check.LEDGER, words)


def _pin(manifest: Manifest, chain: Chain) -> Finding | None:
    """Check the entry that the manifest names; None if it is the ledger's, or none is named."""
    try:
        same_key = leaf_public_key(manifest.x5c) == chain.public_key
    except UntrustedSigner:
        same_key = False
    if not same_key:
        return _failed(OTHER_KEY, UNTRUSTED)
    pinned_behind = -1 if manifest.ledger is None else manifest.ledger.sequence
    if chain.doubtful(manifest.id) or (chain.base and pinned_behind < chain.base):
        # By the code a caller knows what only the whole ledger can settle.
        return unchecked(MANIFEST_NAME, Check.LEDGER, OLDER, Code.BEFORE_BASE.value)
    if manifest.ledger is None:
        return None
    sequence = manifest.ledger.sequence
    if sequence >= chain.size:
        return unchecked(MANIFEST_NAME, Check.LEDGER, NOT_HERE_YET)
    there = chain.entry_hash(sequence)
    if there is None:
        words = f"entry {sequence}, which its manifest names, is missing in the ledger at hand"
        return unchecked(MANIFEST_NAME, Check.LEDGER, words)
    return None if there == manifest.ledger.head else _failed(OTHER_HISTORY)


def _without_end(manifest: Manifest, chain: Chain, end: End | None) -> Finding:
    if manifest.ledger is None:
        began = chain.at(0)
        if began is None or manifest.started_at < began:
            return unchecked(MANIFEST_NAME, Check.LEDGER, BEFORE_THE_LEDGER)
        return _failed(UNKNOWN)
    signed_behind = manifest.ledger.sequence
    newest, then = chain.at(chain.size - 1), chain.at(signed_behind)
    late = (
        chain.size - signed_behind > LATE_ENTRIES
        and newest is not None
        and then is not None
        and newest - then > LATE_AFTER
    )
    if not late:
        return unchecked(MANIFEST_NAME, Check.LEDGER, NOT_HERE_YET)
    known = end is not None or chain.opened(manifest.id) is not None
    return _failed(EXCHANGED if known else UNKNOWN)


def _failed(words: str, exit_code: int = ALTERED) -> Finding:
    return failed(MANIFEST_NAME, Check.LEDGER, words, exit_code)

"""Every device's ledger in one store, looked at again and again: what is new, and whether it goes on.

::

    refresh ─▶ each device ─▶ what is new in the store ─▶ the tail ─▶ checked from the base on ─▶ findings
                                    │ sometimes                            │ in doubt
                                    ▼                                      ▼
                             all names, counted                    the whole ledger, read anew

A device's ledger is checked from its *base* on, a snapshot that stays `LAG` behind what arrives, so that a
recording that comes a little late still finds its entries; the *tail*, the segments since, is kept on this
machine and checked anew each time. For a recording that comes later still, `ledger` begins at an older
snapshot, or with the first entry. Once a day, and where a device is silent, all names of its segments are
looked through: what was put between them, or is gone, shows there.

Conventions: `refresh` is a round; between two of them nothing changes. A device whose segments can't be read
is "not checked", and the others go on; where the store itself can't be reached the round ends with its error.
Not for several threads. The folder `memory` may be lost at any time: see `ledger_memory`.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.archive.ledger_judging import (
    LATE,
    Expected,
    arrivals,
    expected,
    judge,
    judge_silence,
    key_in,
    signs,
)
from callseal.archive.ledger_look import EXTRA_VERSION, Look
from callseal.archive.ledger_memory import Base, Kept, LedgerMemory, LookedThrough, remembered
from callseal.archive.ledger_shelf import Found, LedgerShelf, Listed, Shelf, WholeCopy
from callseal.seal.keys import TrustStore
from callseal.seal.ledger import Chain, Code, Snapshot, verify_chain
from callseal.seal.verify import DeviceLedger
from callseal.seal.verify.device import NO_KEY, verify_device
from callseal.seal.verify.findings import NOT_CHECKED, Check, Finding, Outcome, failed, unchecked
from callseal.seal.verify.reading import why
from callseal.store.errors import StoreUnreachable
from callseal.store.names import LEDGER

LAG: Final = timedelta(days=2)
"""How long a segment that arrived stays in the tail."""
MAX_TAIL: Final = 10_000
"""Segments in a tail, however lately they came: a desk that was away for weeks brings them all at once."""
MOVE_AFTER: Final = 500
"""Segments by which the base moves at least: each time the tail is written anew."""
MAX_READ: Final = 2_000
"""New segments of one device that are read in one round: the rest has its turn in the next."""
MAX_READ_BYTES: Final = 64 * 1024 * 1024
"""The same in bytes: an honest segment has some hundreds."""
MAX_OTHERS: Final = 1_000
"""Segments of one device in whose place somebody else put something, that are remembered."""
MAX_LEDGERS: Final = 32
"""Checked ledgers that are held in memory at a time, half a megabyte each and day."""
MAX_OLDER: Final = 2
"""Those among them that begin further back: a whole year has some 240 MB."""
LOOK_EVERY: Final = timedelta(days=1)
LOOK_AGAIN: Final = timedelta(hours=1)
"""How often all names of a device are looked through, and of one that is silent."""
WHOLE_AGAIN: Final = timedelta(hours=6)
"""How often a ledger is read whole because its newer part speaks of what lies before the base."""
MOST_UNREACHABLE: Final = 3
"""Devices in a row for which the store can't be reached, until the round ends."""

GONE: Final = "its whole ledger, which had been read, is gone"
UNREADABLE: Final = "not-read"
BEHIND: Final = "not-caught-up"

_CANDIDATES: Final = 16
_KEY_WITHIN: Final = 4  # segments: the first one has the certificate
_DEVICE: Final = re.compile(r"dev-[a-z2-7]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """How far a device's ledger goes; what is not known is None.

    `size` counts its entries, `base` is where the check began; `open` are the recordings in the making by the
    newest heartbeat; `arrived_at` is when the store took its newest segment; `stopped` says that the agent
    ended in order.
    """

    device: str
    size: int = 0
    base: int = 0
    newest_at: datetime | None = None
    heartbeat_at: datetime | None = None
    open: int | None = None
    arrived_at: datetime | None = None
    software: str | None = None
    stopped: bool = False


@dataclass(slots=True, kw_only=True)
class _Known:
    """What is held in memory of each device from round to round."""

    memory: LedgerMemory
    state: DeviceState
    key: Ed25519PublicKey | None = None
    beyond: frozenset[int] = frozenset()
    """Segments that were read, and of which no entry could be taken."""
    findings: tuple[Finding, ...] = ()
    expected: Expected | None = None
    silence: tuple[Finding, ...] = ()
    trouble: tuple[Finding, ...] = ()
    others: dict[int, int] = field(default_factory=dict)
    """How many versions of a segment somebody else put there."""
    strange: dict[int, tuple[str | None, ...]] = field(default_factory=dict)
    """Segments of which nothing is the device's own, by their versions: not read again as they are."""
    looked: LookedThrough | None = None
    whole_at: datetime | None = None


class Continuity:
    """The ledgers in one store; `name` is the store's, in messages and as a folder in `memory`."""

    def __init__(
        self,
        store: Shelf,
        name: str,
        trust: TrustStore,
        memory: Path,
        now: Callable[[], datetime],
        *,
        late_after: timedelta = timedelta(minutes=15),
        tsa_roots: Sequence[x509.Certificate] = (),
    ) -> None:
        self._store = store
        self._name = name
        self._trust = trust
        self._memory = memory / name
        self._now = now
        self._late_after = late_after
        self._tsa_roots = tuple(tsa_roots)
        self._known: dict[str, _Known] = {}
        self._ledgers: OrderedDict[str, DeviceLedger] = OrderedDict()
        self._older: OrderedDict[str, DeviceLedger] = OrderedDict()

    def refresh(self) -> None:
        """Look at what is new of each device.

        StoreError where the store can't be listed or reached, ScratchFailed where the memory's disk refuses.
        """
        self._older.clear()
        unreachable = 0
        there = [name for name in self._store.folders(LEDGER) if _DEVICE.fullmatch(name) is not None]
        for device in sorted({*self._known, *remembered(self._memory)}.difference(there)):
            known = self._known.get(device) or self._remember(device)
            known.trouble = (failed(device, Check.PRESENCE, GONE, code=Code.GAP.value),)
        for device in there:
            known = self._known.get(device) or self._remember(device)
            try:
                known.trouble = self._go_on(device, known)
                unreachable = 0
            except OSError as problem:
                words = f"its ledger can't be read: {why(problem)}"
                known.trouble = (unchecked(device, Check.LEDGER, words, UNREADABLE),)
                unreachable = unreachable + 1 if isinstance(problem, StoreUnreachable) else 0
                if unreachable >= MOST_UNREACHABLE:
                    raise
            known.silence = ()
            if known.expected is not None and not any(item.code == BEHIND for item in known.trouble):
                known.silence = judge_silence(known.expected, now=self._now(), late_after=self._late_after)

    def devices(self) -> tuple[str, ...]:
        """Return the devices that have a ledger here, sorted."""
        return tuple(sorted(self._known))

    def state(self, device: str) -> DeviceState:
        """Return how far a device's ledger goes."""
        known = self._known.get(device)
        return DeviceState(device=device) if known is None else known.state

    def findings(self, device: str) -> tuple[Finding, ...]:
        """Return what is wrong with a device's ledger, and what is worth knowing of it."""
        known = self._known.get(device)
        if known is None:
            return ()
        others = (
            failed(
                f"entry {first}",
                Check.EXTRA,
                f"somebody else put {count} objects in the place of the segment from entry {first}",
                code=EXTRA_VERSION,
            )
            for first, count in known.others.items()
        )
        looked = () if known.looked is None else known.looked.wrong
        names = (
            Finding(
                object=device,
                check=Check.EXTRA,
                outcome=Outcome.FAILED if wrong.exit_code != NOT_CHECKED else Outcome.NOT_CHECKED,
                words=wrong.words,
                exit_code=wrong.exit_code,
                code=wrong.code,
            )
            for wrong in looked
        )
        return (*known.trouble, *known.findings, *known.silence, *others, *names)

    def ledger(self, device: str, pinned: int | None = None) -> DeviceLedger | None:
        """Return a device's ledger, None where nothing of it can be read or no key is known.

        It begins at its base, or further back where that is needed for entry `pinned`, the one that a
        recording's manifest names: -1 for a recording that names none. StoreError where that can't be read.
        """
        known = self._known.get(device)
        if known is None or known.key is None or not known.state.size:
            return None
        found = self._ledgers.get(device)
        if found is None or found.chain.size != known.state.size:
            base = known.memory.base()
            found = DeviceLedger(chain=_check(device, known.key, base, known.memory.tail(_size(base))))
        _hold(self._ledgers, device, found, MAX_LEDGERS)
        if pinned is not None and pinned < found.chain.base:
            return self._further_back(device, known, pinned)
        return found

    def whole(self, device: str) -> DeviceLedger | None:
        """Return a device's ledger from its first entry on, with its time stamps; read anew, and slow.

        None where it can't be read whole.
        """
        held = self._older.get(device)
        if held is not None and held.chain.base == 0:
            return held
        known = self._known.get(device)
        copy = WholeCopy(
            place=self._name,
            shelf=LedgerShelf(self._store, device),
            key=None if known is None else known.key,
        )
        found = verify_device(device, [copy], self._trust, tsa_roots=self._tsa_roots).ledger
        if found is not None:
            _hold(self._older, device, found, MAX_OLDER)
        return found

    def _remember(self, device: str) -> _Known:
        """Return what the memory has of a device."""
        memory = LedgerMemory(self._memory, device)
        known = _Known(memory=memory, state=DeviceState(device=device), looked=memory.looked_through())
        self._known[device] = known
        base = memory.base()
        tail = memory.tail(_size(base))
        known.key = base.key if base is not None else _key_in(device, (kept.data for kept in tail))
        if known.key is not None and (base is not None or tail):
            self._judge(known, _check(device, known.key, base, tail), base, tail)
        return known

    def _go_on(self, device: str, known: _Known) -> tuple[Finding, ...]:
        """Take what is new; return why not all of it could be."""
        now = self._now()
        shelf = LedgerShelf(self._store, device)
        listed = list(islice(self._new(shelf, known), MAX_READ))
        if known.key is None and not self._find_key(device, shelf, listed[:_KEY_WITHIN], known):
            return (unchecked(device, Check.LEDGER, NO_KEY, UNREADABLE),)
        if len(listed) < MAX_READ and self._is_due(known, now):
            listed = self._look_through(shelf, known, now)
        found = list(self._read(shelf, listed, known))
        if found:
            self._take(device, known, found, now)
        if len(found) == len(listed) < MAX_READ:
            return ()
        words = (
            f"more segments came than are read at a time: what is behind entry {known.state.size - 1} is next"
        )
        return (unchecked(device, Check.LEDGER, words, BEHIND),)

    def _new(self, shelf: LedgerShelf, known: _Known) -> Iterator[Listed]:
        for item in shelf.newer(known.state.size):
            if item.first not in known.beyond and known.strange.get(item.first) != item.versions:
                yield item

    def _find_key(self, device: str, shelf: LedgerShelf, listed: Iterable[Listed], known: _Known) -> bool:
        for item in listed:
            known.key = known.key or _key_in(device, shelf.read(item, None).data)
        return known.key is not None

    def _read(self, shelf: LedgerShelf, listed: Iterable[Listed], known: _Known) -> Iterator[Found]:
        """Yield what is read at a time, segments that nobody but others wrote too: they have no data."""
        size_bytes = 0
        for item in islice(listed, MAX_READ):
            found = shelf.read(item, known.key)
            yield found
            if found.others and (found.first in known.others or len(known.others) < MAX_OTHERS):
                known.others[found.first] = found.others
            if not found.data and len(known.strange) < MAX_OTHERS:
                known.strange[item.first] = item.versions
            size_bytes += sum(map(len, found.data))
            if size_bytes >= MAX_READ_BYTES:
                return

    def _take(self, device: str, known: _Known, found: Sequence[Found], now: datetime) -> None:
        """Go on by segments that are new, and move the base if it is time."""
        if known.key is None:
            return
        base = known.memory.base()
        tail = known.memory.tail(_size(base))
        there = {(kept.first, kept.data) for kept in tail}
        new = [
            Kept(first=item.first, data=data, arrived_at=item.arrived_at)
            for item in found
            for data in item.data
            if (item.first, data) not in there and item.first >= _size(base)
        ]
        known.memory.append(new)
        tail = sorted([*tail, *new], key=lambda kept: kept.first)
        chain = _check(device, known.key, base, tail, _boundaries(tail, now - LAG))
        if chain.base and any(finding.code is Code.BEFORE_BASE for finding in chain.findings):
            chain = self._settle(device, known, chain, tail, now)
        self._judge(known, chain, base, tail)
        if chain.base == _size(base):
            _hold(self._ledgers, device, DeviceLedger(chain=chain), MAX_LEDGERS)
        if chain.snapshot is not None and chain.snapshot.size > _size(base):
            self._move(known, chain, chain.snapshot, base, tail)

    def _settle(self, device: str, known: _Known, chain: Chain, tail: Sequence[Kept], now: datetime) -> Chain:
        """Return a ledger that was read whole, so that what is in doubt is known; not too often."""
        if known.key is None or (known.whole_at is not None and now - known.whole_at < WHOLE_AGAIN):
            return chain
        known.whole_at = now
        copy = WholeCopy(place=self._name, shelf=LedgerShelf(self._store, device), key=known.key)
        return verify_chain(
            ((first, copy.segment(first)) for first in copy.firsts()),
            device=device,
            public_key=known.key,
            snapshots_at={chain.size, *(kept.first for kept in tail[-_CANDIDATES:])},
        )

    def _judge(self, known: _Known, chain: Chain, base: Base | None, tail: Sequence[Kept]) -> None:
        found, came = signs(chain, base, tail), arrivals(chain, tail)
        known.findings = judge(chain, found, came, self._trust)
        known.expected = expected(chain, found, came)
        known.beyond = frozenset(kept.first for kept in tail if kept.first >= chain.size)
        known.state = DeviceState(
            device=chain.device,
            size=chain.size,
            base=_size(base),
            newest_at=None if chain.clocks is None else chain.clocks.at,
            heartbeat_at=None if found.beat is None else found.beat.at,
            open=None if found.beat is None else found.beat.open,
            arrived_at=came[-1].arrived_at if came else known.state.arrived_at,
            software=None if found.beginning is None else found.beginning.software,
            stopped=found.stopped,
        )

    def _move(
        self, known: _Known, chain: Chain, snapshot: Snapshot, base: Base | None, tail: Sequence[Kept]
    ) -> None:
        below = [kept for kept in tail if kept.first < snapshot.size]
        found = signs(chain, base, below)
        count = len({kept.first for kept in below})
        new = Base(
            snapshot=snapshot,
            key=chain.public_key,
            segments=count if base is None else base.segments + count,
            beginning=found.beginning,
            beat=found.beat,
        )
        known.memory.move(new, tail[len(below) :])
        known.state = replace(known.state, base=snapshot.size)

    def _further_back(self, device: str, known: _Known, pinned: int) -> DeviceLedger | None:
        """Return the ledger from before entry `pinned` on: from the nearest milestone, or whole."""
        held = self._older.get(device)
        if held is not None and (held.chain.base <= pinned or held.chain.base == 0):
            return held
        base = known.memory.milestone(pinned)
        if base is not None:
            shelf = LedgerShelf(self._store, device)
            there = shelf.newer(base.snapshot.size)
            texts = ((item.first, data) for item in there for data in shelf.read(item, base.key).data)
            chain = verify_chain(texts, device=device, public_key=base.key, after=base.snapshot)
            if chain.size >= known.state.size:
                found = DeviceLedger(chain=chain)
                _hold(self._older, device, found, MAX_OLDER)
                return found
        return self.whole(device)

    def _is_due(self, known: _Known, now: datetime) -> bool:
        """Tell whether it is time to look through all names."""
        if known.looked is None:
            return True
        late = any(finding.code == LATE for finding in known.silence)
        return now - known.looked.at >= (LOOK_AGAIN if late else LOOK_EVERY)

    def _look_through(self, shelf: LedgerShelf, known: _Known, now: datetime) -> list[Listed]:
        """Return the segments of the tail, and beyond, that are to be read; remember what is wrong."""
        base = known.memory.base()
        lying = {kept.first for kept in known.memory.tail(_size(base))}
        look = Look(base=_size(base), read=0 if base is None else base.segments, tail=lying)
        for item in shelf.everything():
            versions = 1
            if isinstance(item, Listed) and len(item.versions) > 1:
                found = shelf.read(item, known.key)
                versions = len(found.data) + found.others
            look.take(item, versions)
        known.looked = LookedThrough(at=now, wrong=look.wrong())
        known.memory.note_looked_through(known.looked)
        return look.new()


def _check(
    device: str,
    key: Ed25519PublicKey,
    base: Base | None,
    tail: Iterable[Kept],
    snapshots_at: Container[int] = (),
) -> Chain:
    return verify_chain(
        ((kept.first, kept.data) for kept in tail),
        device=device,
        public_key=key,
        after=None if base is None else base.snapshot,
        snapshots_at=snapshots_at,
    )


def _boundaries(tail: Sequence[Kept], aged: datetime) -> frozenset[int]:
    """Return the sizes at which the base could stand, none where it is not worth it to move it."""
    count = 0
    for kept in tail[:-1]:
        if kept.arrived_at is None or kept.arrived_at > aged:
            break
        count += 1
    count = max(count, len(tail) - MAX_TAIL)
    if count < MOVE_AFTER:
        return frozenset()
    return frozenset(tail[index].first for index in range(max(1, count - _CANDIDATES), count + 1))


def _size(base: Base | None) -> int:
    return 0 if base is None else base.snapshot.size


def _key_in(device: str, texts: Iterable[bytes]) -> Ed25519PublicKey | None:
    return next((key for data in texts if (key := key_in(device, data)) is not None), None)


def _hold(held: OrderedDict[str, DeviceLedger], device: str, found: DeviceLedger, limit: int) -> None:
    """Keep a ledger in memory, and let go of the one that was asked for longest ago."""
    held[device] = found
    held.move_to_end(device)
    while len(held) > limit:
        held.popitem(last=False)

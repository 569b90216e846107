"""One store's rounds: what is new is received, what failed is tried again, what is missing is copied.

::

    ledgers copied (stores that the custodian fills) ─▶ ledgers checked ─▶ recordings looked for, received
      ─▶ those tried again that are due ─▶ recordings copied, and their receipts passed on
      ─▶ a share of the old ones read again ─▶ protections renewed

Each round lists the recent days of every device, and every `full_scan` all of them, with every version: a
desk that was offline brings old days, and a thief may have put something over what was received long ago. A
full scan goes on over as many rounds as it needs. Devices have their turns (`turns`), so that whoever fills
up one device's folder keeps no other waiting.

Conventions: a lane works on its own store and raises StoreError only for that; where another one fails, what
depended on it waits. A recording that can't be read is told and tried again, and stops no other; several in a
row are the store's failure. What becomes of each recording is settled in the memory at once, so that a round
may be broken off anywhere. `stopped` ends it between two recordings.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final, Protocol

import structlog

from callseal.archive import fleet
from callseal.archive.arriving import NeverCame
from callseal.archive.bundles import Found, Stray, devices_in, found_in, receipted_in
from callseal.archive.custodian import Custodian, Outcome, State
from callseal.archive.destinations import Destinations
from callseal.archive.examining import Ledgers
from callseal.archive.filling import Filling
from callseal.archive.fleet import Told
from callseal.archive.memory import Known, milliseconds
from callseal.archive.patience import Patience
from callseal.archive.scrubbing import draw_share, scrub
from callseal.archive.store_clock import Clock
from callseal.archive.tools import Done, Site, Tools, full_scan_note
from callseal.archive.troubles import Code, Trouble, of_ledger, trouble
from callseal.archive.turns import Turns
from callseal.seal.fleet import Counts
from callseal.seal.manifest import Manifest
from callseal.seal.receipt import Receipt
from callseal.seal.verify import NOT_CHECKED
from callseal.store.errors import StoreError, StoreMissing, StoreRefused
from callseal.store.names import FLEET, RecordingName, parse_receipt_name, receipt_name

RECENT_DAYS: Final = 2
"""How many days before today are listed in every round; late ones come with the next full scan."""
MAX_AGAIN: Final = 200
"""How many recordings are tried again in one round."""
MAX_LOOKED: Final = 5_000
"""How many new recordings are looked at in one round: the rest has its turn in the next."""
LISTED_A_PIECE: Final = 1_000
"""How many recordings are passed over between two looks whether it is to stop."""
KEEPING_TOLD: Final = timedelta(hours=2)
"""How long a protection that failed is told: it is tried again after an hour at the latest."""
SCRUB_EVERY: Final = timedelta(days=1)
SCRUBS_A_ROUND: Final = 20
"""So that receipts for new recordings need not wait for old ones: 28,800 a day with a round a minute."""

_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()
_LEDGER: Final = "ledger"
_MISSING: Final = "received"
_STRAYS: Final = "strays"
_LISTING: Final = "listing"
_KEEPING: Final = "protections"
_SCRUB: Final = "reading again "


class Watch(Ledgers, fleet.Ledgers, Protocol):
    """The devices' ledgers in one store, watched: what `continuity.Continuity` does."""

    def refresh(self) -> None:
        """Look for what is new; raises StoreError and ScratchFailed."""


class Keeper(Protocol):
    """What protects recordings from deletion; both return what is wrong, and raise ScratchFailed."""

    def received(self, receipt: Receipt, manifest: Manifest) -> tuple[Trouble, ...]:
        """Take note of a recording that was received just now."""

    def renew(self, now: datetime) -> tuple[Trouble, ...]:
        """Extend what is about to end."""


class Board(Protocol):
    """Where the newest word on each device is written: what `fleet.FleetWriter` does."""

    def tell(self, ledgers: fleet.Ledgers, told: Callable[[str], Told]) -> int:
        """Write what has changed; raises StoreError."""


class _NoKeeper:
    """Nothing is protected."""

    def received(self, _receipt: Receipt, _manifest: Manifest) -> tuple[Trouble, ...]:
        return ()

    def renew(self, _now: datetime) -> tuple[Trouble, ...]:
        return ()


class Lane:
    """Works on one store; `sites` are all of the settings, this one among them, in their order."""

    def __init__(
        self,
        site: Site,
        sites: Sequence[Site],
        ledgers: Watch,
        tools: Tools,
        *,
        keeper: Keeper | None = None,
        board: Board | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`clock` is the store's beside ours: see `custodian`."""
        self.site = site
        self._sites = tuple(sites)
        self._ledgers = ledgers
        self._tools = tools
        self._keeper = keeper if keeper is not None else _NoKeeper()
        self._board = board
        self._unkept: list[tuple[Trouble, datetime]] = []
        self._full: Turns | None = None
        self._full_begun_at = tools.now()
        self._done = Done()
        self._unfinished = False
        self._patience = Patience()
        self._destinations = Destinations(site, sites, tools.memory, tell=self._tell)
        self._never_came = NeverCame(site, sites, tools, tell=self._tell)
        sources = [one for one in sites if not one.filled and one.name != site.name]
        self._filling = Filling(site, sources, tools, receive=self._receive, tell=self._tell)
        self._custodian = Custodian(
            site.store,
            site.name,
            tools.identity,
            tools.trust,
            ledgers,
            now=tools.now,
            clock=clock,
            step=tools.step,
        )

    @property
    def unfinished(self) -> bool:
        """Whether the last round left something that it could have done at once."""
        return self._unfinished

    def round(self) -> Done:
        """Do all that is to be done now; raises StoreError where this store fails."""
        done = self._done = Done()
        self._patience.renew()
        works = (
            self._copy_ledgers,
            self._check_ledgers,
            self._scan,
            self._again,
            self._copy,
            self._read_again,
        )
        try:
            for work in works:
                if self._tools.stopped():
                    return done
                work(done)
        finally:
            # Whatever else fails: a protection that ends can't be had back.
            self._keep()
        self._write_fleet()
        return done

    def _copy_ledgers(self, _done: Done) -> None:
        if self.site.filled:
            self._filling.ledgers()

    def _copy(self, done: Done) -> None:
        if self.site.filled:
            self._filling.recordings(done)

    def _check_ledgers(self, _done: Done) -> None:
        self._ledgers.refresh()
        for device in self._ledgers.devices():
            wrong = [finding for finding in self._ledgers.findings(device) if finding.exit_code]
            self._tell(device, _LEDGER, [of_ledger(finding) for finding in wrong])

    def _scan(self, done: Done) -> None:
        now, store, memory = self._tools.now(), self.site.store, self._tools.memory
        self._unfinished = False
        if self._full is None and self._full_is_due(now):
            known = {*memory.devices(self.site.name), *self._ledgers.devices()}
            devices = sorted({*devices_in(store, full=True), *known})
            self._full = Turns((device, self._look_through(device)) for device in devices)
            self._full_begun_at = now
        else:
            since = (now - timedelta(days=RECENT_DAYS)).date()
            recent = ((device, self._look_at_recent(device, since)) for device in devices_in(store))
            self._unfinished = not self._take_turns(Turns(recent))
        if self._full is not None and self._take_turns(self._full):
            self._full = None
            memory.set_note(self._full_note, milliseconds(self._full_begun_at))
            self._destinations.considered()
            done.full = True
        self._unfinished = self._unfinished or self._full is not None

    @property
    def _full_note(self) -> str:
        return full_scan_note(self.site)

    def _full_is_due(self, now: datetime) -> bool:
        scanned_ms = self._tools.memory.note(self._full_note)
        since_ms = milliseconds(now - self._tools.limits.full_scan)
        in_time = scanned_ms is not None and since_ms < scanned_ms <= milliseconds(now)
        return not in_time or self._destinations.changed

    def _take_turns(self, turns: Turns) -> bool:
        """Look at what is new of each device in its turn; tell whether nothing is left.

        A device whose names can't be listed is told, and comes again in the next scan.
        """
        listing = Patience()
        for _number in range(MAX_LOOKED):
            if self._tools.stopped():
                return False
            try:
                device = turns.next()
            except StoreError as problem:
                self._ends_early(turns.device, problem, listing)
                continue
            if device is None:
                return True
            listing.renew()
        return False

    def _ends_early(self, device: str | None, problem: StoreError, listing: Patience) -> None:
        """Tell that a device's names can't be listed; raise the problem where the store itself fails."""
        try:
            if device is None or self._patience.is_over:
                raise problem
            listing.bear(problem)
        except StoreError:
            self._full = None  # it is begun again
            raise
        words = f"{device}: not looked through: {problem}"
        self._tell(device, _LISTING, [trouble(Code.WAITING, words, NOT_CHECKED)])

    def _look_at_recent(self, device: str, since: date) -> Iterator[None]:
        """Look at what is new of a device's recent days; yield after each recording."""
        for number, found in enumerate(found_in(self.site.store, device, since=since), start=1):
            if isinstance(found, Found) and self._is_new(found, full=False):
                self._receive(found.name, self._done, found)
                yield
            elif number % LISTED_A_PIECE == 0:
                yield
        self._tell(device, _LISTING, ())

    def _look_through(self, device: str) -> Iterator[None]:
        """Look at all recordings of a device; tell what belongs to none, and what is gone.

        Yields after each recording that was looked at.
        """
        store, name, memory = self.site.store, self.site.name, self._tools.memory
        receipted = receipted_in(store, device)
        known = {one.id: one for one in memory.received(name, device)}
        missing = {*receipted, *known}
        first_stray, strays = "", 0
        for number, found in enumerate(found_in(store, device, since=None), start=1):
            if number % LISTED_A_PIECE == 0:
                yield
            if isinstance(found, Stray):
                first_stray = first_stray or found.name
                strays += 1
                continue
            missing.discard(found.name.id)
            lost = found.name.id not in receipted and self._is_received(found.name)
            if lost:
                _LOG.warning("custodian.receipt-gone", store=name, device=device, subject=str(found.name.id))
            if lost or self._is_new(found, full=True):
                self._receive(found.name, self._done, found)
                yield
        words = f"{strays} objects among its recordings that belong to none, the first: {first_stray}"
        self._tell(device, _STRAYS, [trouble(Code.EXTRA_OBJECT, words)] if strays else ())
        gone = [
            trouble(Code.GONE, f"{receipt_name(device, one)}: received, and its whole folder is gone")
            for one in sorted(missing)
        ]
        self._tell(device, _MISSING, gone)
        for one in missing.difference(receipted) if self.site.filled else ():
            memory.want_copy(name, known[one])
        self._never_came.look(device, self._ledgers)
        self._tell(device, _LISTING, ())

    def _is_received(self, name: RecordingName) -> bool:
        known = self._tools.memory.known(self.site.name, name)
        return known is not None and known.state is State.RECEIVED

    def _is_new(self, found: Found, *, full: bool) -> bool:
        """Tell whether something was put there since it was last looked at."""
        known = self._tools.memory.known(self.site.name, found.name)
        if known is None or (found.complete and known.state is State.INCOMPLETE):
            return True
        if full and known.state is State.RECEIVED and self._destinations.changed:
            return True
        every = full and self.site.store.capabilities.versions
        return _newest_ms(found) > known.newest_ms or found.count != _count(known, every=every)

    def _again(self, done: Done) -> None:
        due = self._tools.memory.due(self.site.name, self._tools.now(), MAX_AGAIN)
        for name in due:
            if self._tools.stopped():
                return
            self._receive(name, done)

    def _receive(self, name: RecordingName, done: Done, found: Found | None = None) -> Outcome | None:
        """Receive a recording and settle what became of it; `found` is how it was listed.

        None where it went away meanwhile, or can't be read. Raises StoreError where that is so of several.
        """
        try:
            outcome = self._custodian.receive(name)
        except StoreMissing:
            return None  # it went away between two looks: the next one tells
        except StoreError as problem:
            self._put_off(name, found, problem)
            self._patience.bear(problem)
            return None
        self._patience.renew()
        now = self._tools.now()
        lying = outcome.lying
        if outcome.manifest is not None:
            # Before it is settled: what is settled is not looked at again.
            self._destinations.take(name, outcome.manifest)
        self._tools.step("settle")
        new = self._tools.memory.settle(
            self.site.name,
            name,
            outcome.state,
            (*outcome.troubles, *self._late(outcome, now)),
            names=lying.names,
            versions=lying.count,
            newest_at=lying.newest_at,
            now=now,
        )
        if outcome.new:
            _LOG.info("custodian.received", store=self.site.name, device=name.device, recording=str(name.id))
        self._log(name.device, str(name.id), new)
        if outcome.given is not None and outcome.manifest is not None:
            done.received += outcome.new
            self._tools.memory.note_site(name.device, outcome.manifest.site)
            self._unkept += (
                (one, now) for one in self._keeper.received(outcome.given.receipt, outcome.manifest)
            )
        return outcome

    def _put_off(self, name: RecordingName, found: Found | None, problem: StoreError) -> None:
        """Settle that a recording can't be read now, as it was listed; it is tried again later."""
        known = self._tools.memory.known(self.site.name, name)
        count = 0 if found is None else found.count
        told = (trouble(Code.WAITING, f"{name.prefix}: can't be read: {problem}", NOT_CHECKED),)
        new = self._tools.memory.settle(
            self.site.name,
            name,
            State.WAITING,
            told,
            names=count if known is None else known.names,
            versions=count if known is None else known.versions,
            newest_at=None if found is None else found.newest_at,
            now=self._tools.now(),
        )
        self._log(name.device, str(name.id), new)

    def _late(self, outcome: Outcome, now: datetime) -> tuple[Trouble, ...]:
        """Tell of a recording that is on its way for too long, by the store's clock."""
        newest_at = outcome.lying.newest_at
        if outcome.state is not State.INCOMPLETE or newest_at is None:
            return ()
        if now - newest_at <= self._tools.limits.incomplete:
            return ()
        words = f"{outcome.name.prefix}: never completed: nothing came since {newest_at:%Y-%m-%d %H:%M} UTC"
        return (trouble(Code.INCOMPLETE, words, NOT_CHECKED),)

    def _read_again(self, done: Done) -> None:
        """Read some of the old recordings again; which ones is decided by lot once a day."""
        memory, site, now = self._tools.memory, self.site, self._tools.now()
        note = f"lot of {site.name}"
        drawn_ms = memory.note(note)
        since_ms = milliseconds(now - SCRUB_EVERY)
        share = self._tools.limits.scrub_share
        if share and (drawn_ms is None or not since_ms < drawn_ms <= milliseconds(now)):
            memory.draw(site.name, draw_share(site.store, share, self._tools.chance))
            memory.set_note(note, milliseconds(now))
        for name in memory.drawn(site.name, SCRUBS_A_ROUND):
            if self._tools.stopped():
                return
            # First of all: one that can't be read must not keep the others from being read.
            memory.undraw(site.name, name)
            try:
                found = scrub(site.store, site.name, name, self._tools.trust)
            except StoreError as problem:
                self._unread(name, problem)
                continue
            self._patience.renew()
            done.read_again += 1
            done.read_again_bytes += found.size_bytes
            self._tell(found.device, _SCRUB + str(found.id), found.troubles)

    def _unread(self, name: str, problem: StoreError) -> None:
        """Tell of a recording that could not be read again; raise the problem where it is not the first."""
        parsed = parse_receipt_name(name)
        if parsed is not None:
            told = trouble(Code.WAITING, f"{name}: not read again: {problem}", NOT_CHECKED)
            self._tell(parsed[0], f"{_SCRUB}{parsed[1]}", (told,))
        self._patience.bear(problem)

    def _keep(self) -> None:
        """Renew protections; what failed is told for as long as it may not have been tried again."""
        now = self._tools.now()
        self._unkept += ((one, now) for one in self._keeper.renew(now))
        self._unkept = [(one, at) for one, at in self._unkept if now - at <= KEEPING_TOLD]
        self._tell("", _KEEPING, tuple(dict.fromkeys(one for one, _at in self._unkept)))

    def _write_fleet(self) -> None:
        """Write the newest word on each device; where that is refused, it is told, and nothing else stops."""
        if self._board is None:
            return
        name, memory = self.site.name, self._tools.memory
        troubles: dict[str, list[tuple[str, str]]] = {}
        for one in memory.troubles(name):
            if one.subject != _LEDGER:  # those are written from the ledger itself
                troubles.setdefault(one.device, []).append((one.trouble.code, one.trouble.words))

        def told(device: str) -> Told:
            totals = memory.totals(name, device)
            counts = Counts(
                received=totals[State.RECEIVED],
                incomplete=totals[State.INCOMPLETE] + totals[State.WAITING],
                refused=totals[State.REFUSED],
            )
            found = tuple(troubles.get(device, ()))
            return Told(site=memory.site(device), counts=counts, findings=found)

        refused: tuple[Trouble, ...] = ()
        try:
            self._board.tell(self._ledgers, told)
        except StoreRefused as problem:
            refused = (trouble(Code.FLEET_NOT_WRITTEN, f"{FLEET}: {problem}", problem.exit_code),)
        self._tell("", FLEET, refused)

    def _tell(self, device: str, subject: str, troubles: Sequence[Trouble]) -> None:
        new = self._tools.memory.tell(self.site.name, device, subject, troubles, now=self._tools.now())
        self._log(device, subject, new)

    def _log(self, device: str, subject: str, new: Sequence[Trouble]) -> None:
        for item in new:
            _LOG.warning(
                f"custodian.{item.code}",
                store=self.site.name,
                device=device,
                subject=subject,
                detail=item.words,
            )


def _newest_ms(found: Found) -> int:
    return 0 if found.newest_at is None else milliseconds(found.newest_at)


def _count(known: Known, *, every: bool) -> int:
    return known.versions if every else known.names

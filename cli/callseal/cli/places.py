"""Where recordings are looked for: the stores and the spools of the settings, or one store that was named.

Conventions: a place is read only; nothing is made, moved or marked. One that can't be read is told apart
from one that holds nothing: `Scan.failures`. Whoever has no settings (an inspector) names a store's folder
with ``--store`` and the roots to believe with ``--roots``. A search is a listing, page by page, and asks for
no object by itself; where the days are known, a store is searched for those only. Which version of an object
is read, where there are several, is for `versions` to say.
This module touches files and stores.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from cryptography import x509

from callseal.cli import ledgers, output
from callseal.cli.counting import EVERY, Counted, counting, unseen
from callseal.cli.disk import is_there, readable
from callseal.cli.errors import NotFound
from callseal.cli.i18n import _
from callseal.cli.ledgers import About, Proofs
from callseal.cli.versions import Reader, VersionReader, reader_of
from callseal.config.central import Store as StoreSettings
from callseal.config.load import candidates, load
from callseal.config.settings import DirectoryStore as DirectorySettings
from callseal.config.settings import Settings
from callseal.seal.errors import SpoolError
from callseal.seal.keys import TrustStore, read_certificates
from callseal.seal.manifest import MANIFEST_NAME
from callseal.seal.verify import LocalFolder, ObjectReader
from callseal.store.directory import MARKER_NAME, DirectoryStore
from callseal.store.errors import StoreError
from callseal.store.interface import Store
from callseal.store.names import RECORDINGS, device_prefix, parse_recording_name
from callseal.store.opening import open_store
from callseal.store.probe_names import is_probe_name

SPOOL: Final = "spool"

_DAY: Final = timedelta(days=1)
_DAY_LENGTH: Final = len("2026/11/21")
_FOLDERS_TO_STORE: Final = 6  # recordings/<device>/<yyyy>/<mm>/<dd>/<id>


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The days, UTC, both included, of which recordings are wanted; None is without an end."""

    first: date | None = None
    last: date | None = None

    @property
    def all(self) -> bool:
        """Whether no recording is left out."""
        return self.first is None and self.last is None


EVER: Final = Days()


def days_between(since: datetime | None, until: datetime | None) -> Days:
    """Return the days of calls from `since` to `until`, with a day's room: an id's time is not the call's."""
    return Days(first=_day(since, -_DAY), last=_day(until, _DAY))


def _day(time: datetime | None, room: timedelta) -> date | None:
    try:
        return None if time is None else (time.astimezone(UTC) + room).date()
    except OverflowError:
        return None  # at the calendar's end there is no room


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One copy of a recording: in which place, and how it is read."""

    id: UUID | None
    """None for a folder that is not named by an id."""
    place: str
    prefix: str
    reader: ObjectReader
    complete: bool
    """Whether its manifest, which is written last, is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What one place, or several, hold; `strangers` are names that belong to no recording.

    `stores` are the names of those stores that could be looked through.
    """

    copies: tuple[Copy, ...] = ()
    strangers: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    failures: tuple[StoreError | SpoolError, ...] = ()


class Place(Protocol):
    """Something that recordings lie in."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    def scan(self, days: Days = EVER, progress: Counted = unseen) -> Scan:
        """Look through it; it may leave out other days. Raises StoreError and SpoolError."""

    def proofs(self, about: Sequence[About] | None = None, progress: Counted = unseen) -> Proofs:
        """Return the ledgers, stamps and receipts in it; raises StoreError and SpoolError.

        It may leave out what is not about one of `about`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlace:
    """A store; `asks` says that who opens a recording of it must give a reason.

    `trust` says whose receipts are believed where one of several versions must be chosen.
    """

    name: str
    store: Store
    asks: bool = False
    trust: TrustStore = field(default_factory=TrustStore, repr=False)
    reader: Reader = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reader", reader_of(self.store, self.trust))

    def scan(self, days: Days = EVER, progress: Counted = unseen) -> Scan:
        """Look through the store."""
        copies: list[Copy] = []
        strangers: list[str] = []
        names = self._names() if days.all else self._names_of(days)
        # A listing is sorted, so that the objects of one recording stand together.
        for recording, found in groupby(self._counted(names, progress), _recording):
            if recording is None:
                strangers += (name for name in found if not is_probe_name(name))
                continue
            recording_id, prefix = recording
            complete = prefix + MANIFEST_NAME in set(found)
            copies.append(
                Copy(id=recording_id, place=self.name, prefix=prefix, reader=self.reader, complete=complete)
            )
        return Scan(copies=tuple(copies), strangers=tuple(strangers), stores=(self.name,))

    def proofs(self, about: Sequence[About] | None = None, progress: Counted = unseen) -> Proofs:
        """Return what the store holds to prove recordings by."""
        return ledgers.in_store(self.reader, self.name, about, progress)

    def _names(self) -> Iterator[str]:
        return (item.name for item in self.reader.list(RECORDINGS))

    def _names_of(self, days: Days) -> Iterator[str]:
        """Yield the names of some days, device by device."""
        for device in self.reader.folders(RECORDINGS):
            try:
                prefix = device_prefix(device)
            except ValueError:
                yield from (item.name for item in self.reader.list(f"{RECORDINGS}{device}/"))
                continue
            after = "" if days.first is None else f"{prefix}{days.first:%Y/%m/%d}"
            for item in self.reader.list(prefix, after):
                day = item.name[len(prefix) : len(prefix) + _DAY_LENGTH]
                if days.last is not None and day > f"{days.last:%Y/%m/%d}":
                    break
                yield item.name

    def _counted(self, names: Iterator[str], progress: Counted) -> Iterator[str]:
        for number, name in enumerate(names):
            if number % EVERY == 0:
                progress(self.name, number)
            yield name


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolPlace:
    """What waits in a spool's ``ready/``."""

    root: Path
    name: str = SPOOL

    def scan(self, _days: Days = EVER, _progress: Counted = unseen) -> Scan:
        """Look through the spool; one that was never made holds nothing."""
        folder = self.root / "ready"
        try:
            paths = sorted(folder.iterdir())
            copies = [folder_copy(path, self.name) for path in paths if _id(path.name) is not None]
        except FileNotFoundError:
            return Scan()
        except OSError as problem:
            raise SpoolError(f"{folder}: {problem.strerror}") from problem
        return Scan(copies=tuple(copies))

    def proofs(self, _about: Sequence[About] | None = None, _progress: Counted = unseen) -> Proofs:
        """Return the ledger of the spool's device."""
        folder = self.root / "ledger"
        try:
            return ledgers.in_spool(folder, self.name)
        except OSError as problem:
            raise SpoolError(f"{folder}: {problem.strerror}") from problem


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPlace:
    """A copy of a ledger that somebody kept in a folder, or a checkpoint in a file."""

    path: Path

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return str(self.path)

    def scan(self, _days: Days = EVER, _progress: Counted = unseen) -> Scan:
        """Return nothing: recordings are not looked for there."""
        return Scan()

    def proofs(self, _about: Sequence[About] | None = None, _progress: Counted = unseen) -> Proofs:
        """Return what it holds."""
        with readable(self.path):
            found = ledgers.in_folder(self.path, self.name)
        if not found.ledgers:
            raise NotFound(_("{path}: there is no ledger in it").format(path=self.path))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a command works on: the places, whom to believe, and the settings where there are any."""

    places: tuple[Place, ...]
    trust: TrustStore
    settings: Settings | None
    stamp_roots: tuple[x509.Certificate, ...] = ()
    """Whose time stamps to believe."""


def scope_of(
    config: Path | None,
    store: str | Path | None,
    roots: Path | None,
    *,
    revocations: Path | None = None,
    stamp_roots: Path | None = None,
    places: bool = True,
    opens: bool = False,
) -> Scope:
    """Make a command's scope from its options.

    `places` says that recordings must be looked for, so that settings or a store are needed; `opens` that
    recordings are opened, so that the settings, where there are any, say whether a reason is asked for.
    `revocations` goes with `roots`: what the settings name is that of their own roots. Raises ConfigError,
    KeyFileError, NotFound.
    """
    settings: Settings | None = None
    needed = places and store is None
    asked = opens or roots is None or (store is not None and not _is_path(store))
    if needed or config is not None or (asked and any_settings()):
        settings = load(config, os.environ).settings
    trust = _trust(roots, revocations, settings)
    found: list[Place] = []
    if store is not None:
        found.append(named_store(store, settings, trust))
    elif settings is not None and places:
        found += places_of(settings, trust)
    return Scope(
        places=tuple(found),
        trust=trust,
        settings=settings,
        stamp_roots=_stamp_roots(stamp_roots, settings),
    )


def named_store(store: str | Path, settings: Settings | None, trust: TrustStore) -> StorePlace:
    """Return the store that ``--store`` means: one of the settings by its name, otherwise a folder.

    What has a slash in it is a folder. Where there are settings, NotFound for what is neither.
    """
    known = () if settings is None else settings.stores
    for item in known:
        if not _is_path(store) and item.name == str(store):
            return store_place(item, trust)
    path = Path(store)
    if known and not _is_path(store) and not _is_folder(path):
        words = _("{name}: neither a folder nor one of the settings' stores ({names})")
        raise NotFound(words.format(name=store, names=", ".join(item.name for item in known) or "-"))
    return folder_place(path, settings, trust)


def folder_place(path: Path, settings: Settings | None, trust: TrustStore) -> StorePlace:
    """Return the store in a folder; it asks for a reason where the settings say so of that folder."""
    known = () if settings is None else settings.stores
    asks = any(
        item.ask_reason and _same_folder(item.path, path)
        for item in known
        if isinstance(item, DirectorySettings)
    )
    return StorePlace(name=str(path), store=DirectoryStore(path), asks=asks, trust=trust)


def store_place(item: StoreSettings, trust: TrustStore) -> StorePlace:
    """Return a store of the settings."""
    return StorePlace(name=item.name, store=open_store(item), asks=item.ask_reason, trust=trust)


def kept_place(path: Path, settings: Settings | None = None) -> Place:
    """Return a copy of ledgers that was kept elsewhere: a store, also one of the settings, a folder, a file.

    NotFound if there is nothing of that name.
    """
    trust = TrustStore()
    if not is_there(path):
        if settings is not None and any(item.name == str(path) for item in settings.stores):
            return named_store(path.name, settings, trust)
        raise NotFound(_("{path}: there is no such file or folder").format(path=path))
    if (path / MARKER_NAME).is_file():
        return StorePlace(name=str(path), store=DirectoryStore(path))
    return KeptPlace(path=path)


def places_of(settings: Settings, trust: TrustStore | None = None) -> list[Place]:
    """Return the stores and spools of the settings, in the order in which copies are preferred."""
    found: list[Place] = [store_place(item, trust or TrustStore()) for item in settings.stores]
    found.append(SpoolPlace(root=settings.spool.path))
    if settings.spool.second_path is not None:
        found.append(SpoolPlace(root=settings.spool.second_path))
    return found


def _is_path(store: str | Path) -> bool:
    return isinstance(store, Path) or "/" in store or store in {".", ".."}


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # too long for a name, or not ours to see
        return False


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def scan(places: Iterable[Place], days: Days = EVER) -> Scan:
    """Look through all places; one that can't be read is among the failures and stops no other."""
    with counting() as progress:
        return _scan(places, days, progress)


def _scan(places: Iterable[Place], days: Days, progress: Counted) -> Scan:
    copies: list[Copy] = []
    strangers: list[str] = []
    stores: list[str] = []
    failures: list[StoreError | SpoolError] = []
    for place in places:
        try:
            one = place.scan(days, progress)
        except (StoreError, SpoolError) as problem:
            failures.append(problem)
        else:
            copies += one.copies
            strangers += one.strangers
            stores += one.stores
    return Scan(
        copies=tuple(copies), strangers=tuple(strangers), stores=tuple(stores), failures=tuple(failures)
    )


def warn_of(failures: Sequence[StoreError | SpoolError]) -> int:
    """Say which places could not be read; return the exit code that goes with it, 0 for none."""
    for failure in failures:
        output.warning(_("not everything could be looked through: {problem}").format(problem=failure))
    return min((failure.exit_code for failure in failures), default=0)


def enclosing_root(folder: Path) -> Path | None:
    """Return the folder of the store that a recording's folder lies in, None if it lies in none."""
    path = folder.resolve()
    if len(path.parents) < _FOLDERS_TO_STORE:
        return None
    root = path.parents[_FOLDERS_TO_STORE - 1]
    inside = parse_recording_name(f"{path.relative_to(root).as_posix()}/") is not None
    return root if inside and (root / MARKER_NAME).is_file() else None


@contextmanager
def versions_told(places: Iterable[Place]) -> Iterator[None]:
    """Say at the end, also where it ends in an error, what was on top of objects that were read.

    And where nobody could have seen it.
    """
    try:
        yield
    finally:
        _tell_versions(places)


def _tell_versions(places: Iterable[Place]) -> None:
    for place in places:
        reader = place.reader if isinstance(place, StorePlace) else None
        if not isinstance(reader, VersionReader):
            continue
        if reader.newest_only:
            words = _(
                "{place}: this account may not list versions, so the newest of each object was read: what"
                " somebody put on top of a recording would look like an alteration"
            )
            output.note(words.format(place=place.name))
        for name, number in sorted(reader.covered.items()):
            words = _("{place}: {name} has {number} versions; a newer one that was put on top does not count")
            output.warning(words.format(place=place.name, name=name, number=number))


def folder_copy(path: Path, place: str) -> Copy:
    """Return the copy of a recording that a folder on this machine holds."""
    reader = LocalFolder(path)
    return Copy(
        id=_id(path.resolve().name),
        place=place,
        prefix=reader.prefix,
        reader=reader,
        complete=(path / MANIFEST_NAME).is_file(),
    )


def _recording(name: str) -> tuple[UUID, str] | None:
    parsed = parse_recording_name(name)
    return None if parsed is None else (parsed[0].id, parsed[0].prefix)


def _id(name: str) -> UUID | None:
    try:
        found = UUID(name)
    except ValueError:
        return None
    return found if str(found) == name else None


def any_settings() -> bool:
    """Tell whether there are settings at one of the usual places."""
    return bool(os.environ.get("CALLSEAL_CONFIG")) or any(map(is_there, candidates(None, os.environ)))


def _trust(roots: Path | None, revocations: Path | None, settings: Settings | None) -> TrustStore:
    for path, words in (
        (roots, _("{path}: there is no such file of root certificates")),
        (revocations, _("{path}: there is no such revocation list")),
    ):
        if path is not None and not is_there(path):
            raise NotFound(words.format(path=path))
    if roots is not None:
        return TrustStore.from_files(roots, revocations)
    if settings is None:
        return TrustStore()
    with readable(settings.trust.roots_file):
        return TrustStore.from_files(
            settings.trust.roots_file, revocations or settings.trust.revocations_file
        )


def _stamp_roots(path: Path | None, settings: Settings | None) -> tuple[x509.Certificate, ...]:
    if path is not None:
        if not is_there(path):
            raise NotFound(_("{path}: there is no such file of root certificates").format(path=path))
        return read_certificates(path)
    if settings is None or not is_there(settings.trust.stamp_roots_file):
        return ()
    return read_certificates(settings.trust.stamp_roots_file)

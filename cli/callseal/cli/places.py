"""Where recordings are looked for: the stores and the spools of the settings, or one store that was named.

Conventions: a place is read only; nothing is made, moved or marked. One that can't be read is told apart
from one that holds nothing: `Scan.failures`. Whoever has no settings (an inspector) names a store with
``--store`` and the roots to believe with ``--roots``.
This module touches files.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from cryptography import x509

from callseal.cli import ledgers, output
from callseal.cli.disk import is_there, readable
from callseal.cli.errors import NotFound
from callseal.cli.i18n import _
from callseal.cli.ledgers import Proofs
from callseal.config.load import candidates, load
from callseal.config.settings import DirectoryStore as DirectorySettings
from callseal.config.settings import Settings
from callseal.seal.errors import SpoolError
from callseal.seal.keys import TrustStore, read_certificates
from callseal.seal.manifest import MANIFEST_NAME
from callseal.seal.verify import LocalFolder, ObjectReader
from callseal.store.directory import MARKER_NAME, DirectoryStore
from callseal.store.errors import StoreError
from callseal.store.names import RECORDINGS, parse_recording_name

SPOOL: Final = "spool"


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

    def scan(self) -> Scan:
        """Look through it; raises StoreError and SpoolError."""

    def proofs(self) -> Proofs:
        """Return the ledgers, stamps and receipts in it; raises StoreError and SpoolError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlace:
    """A store."""

    name: str
    store: ObjectReader

    def scan(self) -> Scan:
        """Look through the store."""
        copies: list[Copy] = []
        strangers: list[str] = []
        # A listing is sorted, so that the objects of one recording stand together.
        for recording, names in groupby((item.name for item in self.store.list(RECORDINGS)), _recording):
            if recording is None:
                strangers += names
                continue
            recording_id, prefix = recording
            complete = prefix + MANIFEST_NAME in set(names)
            copies.append(
                Copy(id=recording_id, place=self.name, prefix=prefix, reader=self.store, complete=complete)
            )
        return Scan(copies=tuple(copies), strangers=tuple(strangers), stores=(self.name,))

    def proofs(self) -> Proofs:
        """Return what the store holds to prove recordings by."""
        return ledgers.in_store(self.store, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolPlace:
    """What waits in a spool's ``ready/``."""

    root: Path
    name: str = SPOOL

    def scan(self) -> Scan:
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

    def proofs(self) -> Proofs:
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

    def scan(self) -> Scan:
        """Return nothing: recordings are not looked for there."""
        return Scan()

    def proofs(self) -> Proofs:
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
    store: Path | None,
    roots: Path | None,
    *,
    revocations: Path | None = None,
    stamp_roots: Path | None = None,
    places: bool = True,
) -> Scope:
    """Make a command's scope from its options.

    `places` says that recordings must be looked for, so that settings or a store are needed. `revocations`
    goes with `roots`: what the settings name is that of their own roots. Raises ConfigError, KeyFileError,
    NotFound.
    """
    settings: Settings | None = None
    needed = places and store is None
    if needed or config is not None or (roots is None and _any_settings()):
        settings = load(config, os.environ).settings
    found: list[Place] = []
    if store is not None:
        found.append(StorePlace(name=str(store), store=DirectoryStore(store)))
    elif settings is not None and places:
        found += places_of(settings)
    return Scope(
        places=tuple(found),
        trust=_trust(roots, revocations, settings),
        settings=settings,
        stamp_roots=_stamp_roots(stamp_roots, settings),
    )


def kept_place(path: Path) -> Place:
    """Return a copy of ledgers that was kept elsewhere: a store, a folder, or a file.

    NotFound if there is nothing of that name.
    """
    if not is_there(path):
        raise NotFound(_("{path}: there is no such file or folder").format(path=path))
    if (path / MARKER_NAME).is_file():
        return StorePlace(name=str(path), store=DirectoryStore(path))
    return KeptPlace(path=path)


def places_of(settings: Settings) -> list[Place]:
    """Return the stores and spools of the settings, in the order in which copies are preferred."""
    found: list[Place] = [
        StorePlace(name=item.name, store=DirectoryStore(item.path))
        for item in settings.stores
        if isinstance(item, DirectorySettings)
    ]
    found.append(SpoolPlace(root=settings.spool.path))
    if settings.spool.second_path is not None:
        found.append(SpoolPlace(root=settings.spool.second_path))
    return found


def scan(places: Iterable[Place]) -> Scan:
    """Look through all places; one that can't be read is among the failures and stops no other."""
    copies: list[Copy] = []
    strangers: list[str] = []
    stores: list[str] = []
    failures: list[StoreError | SpoolError] = []
    for place in places:
        try:
            one = place.scan()
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


def _any_settings() -> bool:
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

"""``callseal verify``: is this what the devices sealed, and is all of it there? Needs no private key.

JSON: ``type "callseal-verify/1", recordings[], devices[], strangers[], exit_code``. A recording has ``id,
place, device, started_at, ok, exit_code, findings[]``; a device ``device, places[], entries, first_at,
newest_at, checkpoints, stamps, anchored {entries, at, authority} or null, ok, exit_code, findings[]``; a
finding ``object, check, outcome, words, exit_code`` (codes as in `callseal.seal.verify`), and one of a device
also ``code``. `strangers` are names in a store that belong to no recording.

Conventions: every copy in every place is verified, device by device: first its ledger, then its recordings
against it, then what is missing. Of a recording that was named only what concerns it counts. The exit code is
the gravest of all: 12 altered, 13 bad signature, 14 signer untrusted, 15 not everything could be checked.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from callseal.cli import lookup, options, output, places
from callseal.cli.commands import add
from callseal.cli.errors import NotFound, UsageFault
from callseal.cli.i18n import _
from callseal.cli.ledgers import About
from callseal.cli.places import Copy, Scan, Scope
from callseal.cli.proving import DeviceResult, Gathered, Proof, by_device, concerning_one, device_of, gather
from callseal.cli.verify_output import Json, Printer, Words
from callseal.seal.verify import NOT_CHECKED, Report, StoreCheck
from callseal.seal.verify.presence import ARRIVAL


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Prove that recordings are what their devices sealed, and that none is missing: signature, signer,"
        " every byte, the devices' ledgers, time stamps and receipts. Without names, everything in the stores"
        " and the spool. No private key is needed."
    )
    add(app, "verify", words, "callseal verify --store /media/copy --roots trust.pem")(_verify)


def _verify(
    recordings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECORDING",
            help=_("Folders, ids, or at least 6 digits of an id; all recordings if none is named."),
            show_default=False,
        ),
    ] = None,
    *,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="DEVICE",
            help=_("Only this device: its whole ledger and all its recordings."),
            show_default=False,
        ),
    ] = None,
    store: options.Store = None,
    ledger: Annotated[
        list[Path] | None,
        typer.Option(
            "--ledger",
            metavar="DIR",
            help=_("Where else there are ledgers: a store, or a folder with a copy."),
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against",
            metavar="DIR",
            help=_(
                "Compare the ledgers with this second copy, which was kept elsewhere: a store, a folder, or a"
                " file with a checkpoint."
            ),
            show_default=False,
        ),
    ] = None,
    roots: options.Roots = None,
    revoked: Annotated[
        Path | None,
        typer.Option(
            "--revoked",
            metavar="PEM",
            help=_("Revocation list, instead of that of the settings."),
            show_default=False,
        ),
    ] = None,
    stamp_roots: Annotated[
        Path | None,
        typer.Option(
            "--stamp-roots",
            metavar="PEM",
            help=_("Root certificates of time-stamping authorities, instead of those of the settings."),
            show_default=False,
        ),
    ] = None,
    every_signature: Annotated[
        bool,
        typer.Option(
            "--every-signature",
            help=_("Check the signature of every ledger entry, also where a checkpoint covers it. Slow."),
        ),
    ] = False,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    names = recordings or []
    if names and device is not None:
        raise UsageFault(_("--device goes without names of recordings"))
    needs_places = not names or not all(map(lookup.is_folder, names))
    scope = places.scope_of(
        config, store, roots, revocations=revoked, stamp_roots=stamp_roots, places=needs_places
    )
    with places.versions_told(scope.places):
        scan = places.scan(scope.places) if needs_places else Scan()
        copies = tuple(_named(names, scan)) if names else scan.copies
        about = _about(copies) if names else None
        proof = _proof(scope, ledger or [], against, store, about)
        proof.every_signature = every_signature
        proof.expect(scan.copies)
        wanted = _Wanted.of(copies, proof, stores=scan.stores, named=bool(names), device=device)
        now = datetime.now(UTC)
        printer: Printer = Json() if json_ else Words(every=bool(names))
        with _progress(len(copies)) as shown:
            proof.progress = shown.entries
            codes = list(_run(wanted, proof, printer, shown, now))
    strangers = () if names else (*scan.strangers, *proof.gathered.strangers)
    failures = () if names else scan.failures
    failures = tuple({str(one): one for one in (*failures, *proof.gathered.failures)}.values())
    codes += [NOT_CHECKED] if strangers else []
    codes.append(places.warn_of(failures))
    code = min((code for code in codes if code), default=0)
    printer.end(strangers, code)
    if not json_:
        _advise(scope, proof, now, any_copies=bool(copies))
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is to be verified: devices, with their copies of recordings, and the copies of unknown ones."""

    devices: tuple[str, ...]
    groups: dict[str | None, list[Copy]]
    here: Mapping[str | None, frozenset[UUID]]
    """By device, the recordings of which any copy is whole; an id of one device's stands for no other's."""
    stores: Sequence[str]
    """The names of the stores that could be looked through."""
    named: bool

    @classmethod
    def of(
        cls, copies: Sequence[Copy], proof: Proof, *, stores: Sequence[str], named: bool, device: str | None
    ) -> "_Wanted":
        """Sort out what was asked for; NotFound for a device of which nothing is there."""
        groups = by_device(copies)
        found = {known for known in groups if known is not None}
        if not named:
            found |= proof.gathered.devices
            found |= set() if proof.against is None else proof.against.devices
        if device is not None:
            if device not in found:
                raise NotFound(_("{device}: nothing of this device is there").format(device=device))
            found, groups = {device}, {device: groups.get(device, [])}
        here = {whose: _whole(group) for whose, group in groups.items()}
        return cls(devices=tuple(sorted(found)), groups=groups, here=here, stores=stores, named=named)

    def in_stores(self, device: str) -> dict[str, frozenset[UUID]]:
        """Return which of a device's recordings are whole in each store."""
        copies = self.groups.get(device, [])
        return {store: _whole([copy for copy in copies if copy.place == store]) for store in self.stores}


def _whole(copies: Sequence[Copy]) -> frozenset[UUID]:
    return frozenset(copy.id for copy in copies if copy.id is not None and copy.complete)


def _named(names: Sequence[str], scan: Scan) -> Iterator[Copy]:
    """Yield every copy of each recording that was named, once."""
    seen: set[tuple[str, str]] = set()
    for name in names:
        one = lookup.folder(name) if lookup.is_folder(name) else lookup.find(name, scan)
        others = [] if lookup.is_folder(name) else [copy for copy in scan.copies if copy.id == one.id]
        for copy in others or [one]:
            if (copy.place, copy.prefix) not in seen:
                seen.add((copy.place, copy.prefix))
                yield copy


def _about(copies: Sequence[Copy]) -> Sequence[About] | None:
    """Return of which recordings the proofs are wanted; None for all, where that can't be told."""
    found = [(device_of(copy), copy.id) for copy in copies]
    known = [About(device=device, recording=one) for device, one in found if device is not None and one]
    return known if len(known) == len(found) else None


def _proof(
    scope: Scope,
    ledger: Sequence[Path],
    against: Sequence[Path] | None,
    store: str | None,
    about: Sequence[About] | None,
) -> Proof:
    """Return what recordings are proved by: what the places hold, and what was named besides."""
    looked = scope.places
    if not looked and scope.settings is not None and store is None:
        looked = tuple(places.places_of(scope.settings, scope.trust))
    proof = Proof(
        trust=scope.trust,
        gathered=gather([*looked, *(places.kept_place(path, scope.settings) for path in ledger)], about),
        tsa_roots=scope.stamp_roots,
    )
    if against:
        proof.against = gather(places.kept_place(path, scope.settings) for path in against)
        for problem in proof.against.failures:
            raise problem
    return proof


def _run(wanted: _Wanted, proof: Proof, printer: Printer, shown: "_Shown", now: datetime) -> Iterator[int]:
    """Verify device by device, and yield the exit code of each thing."""
    for device in wanted.devices:
        report = proof.device(device)
        stored = StoreCheck(
            wanted.in_stores(device),
            settled_before=now - ARRIVAL,
            newest_at=None if report.facts is None else report.facts.newest_at,
        )
        for copy in wanted.groups.get(device, ()):
            found = _recording(copy, wanted, proof, printer, shown)
            if found.intact and found.manifest is not None:
                stored.take(found.manifest)
            yield found.exit_code
        findings = (
            concerning_one(report.findings)
            if wanted.named
            else (
                *report.findings,
                *proof.presence(device, wanted.here.get(device, frozenset()), now=now),
                *stored.findings(),
            )
        )
        result = DeviceResult(report=dataclasses.replace(report, ledger=None), findings=findings)
        if not wanted.named or report.facts is not None or proof.against is not None:
            printer.device(result)
            yield result.exit_code
    for copy in wanted.groups.get(None, ()):
        yield _recording(copy, wanted, proof, printer, shown).exit_code


def _recording(copy: Copy, wanted: _Wanted, proof: Proof, printer: Printer, shown: "_Shown") -> Report:
    report = proof.recording(copy, named=wanted.named)
    printer.recording(copy, report)
    shown.recording()
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """How far it is, where somebody watches."""

    recording: Callable[[], None]
    entries: Callable[[str, int], None]


@contextmanager
def _progress(total: int) -> Iterator[_Shown]:
    if not sys.stderr.isatty():
        yield _Shown(recording=lambda: None, entries=lambda _device, _count: None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        ledgers = progress.add_task(_("ledger entries"), total=None)
        recordings = progress.add_task(_("recordings"), total=total)

        def entries(device: str, count: int) -> None:
            words = _("ledger entries of {device}").format(device=device)
            progress.update(ledgers, description=words, completed=count)

        yield _Shown(recording=lambda: progress.advance(recordings), entries=entries)


def _advise(scope: Scope, proof: Proof, now: datetime, *, any_copies: bool) -> None:
    """Say what to give so that more can be checked."""
    if not scope.trust.roots and any_copies:
        output.note(_("No root certificate is trusted here: give the organisation's with --roots."))
    if not proof.gathered.ledgers and any_copies:
        words = _(
            "No ledger is at hand, so nobody can say that no recording was exchanged, slipped in or taken"
            " away: give the store with --store, or a copy of the ledger with --ledger."
        )
        output.note(words)
    if _stamped(proof.gathered) and not scope.stamp_roots:
        words = _(
            "Time stamps were not checked: no authority's root certificate is trusted here. Give it with"
            " --stamp-roots."
        )
        output.note(words)
    revocations = scope.trust.revocations
    if scope.trust.roots and not revocations.lists and any_copies:
        words = _(
            "No revocation list is at hand, so nobody can say that no device's key was stolen: give the"
            " organisation's with --revoked."
        )
        output.note(words)
    if revocations.stale(now):
        words = _("the revocation list should have been renewed by {time}: there may be a newer one")
        until = revocations.next_update
        output.warning(words.format(time="" if until is None else output.local_time(until)))


def _stamped(gathered: Gathered) -> bool:
    return any(copy.stamp_sizes() for copies in gathered.ledgers.values() for copy in copies)

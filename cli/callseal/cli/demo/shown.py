"""What the demo shows at its end: each recording as it came back from the store, verified and opened.

Raises what reading, verifying and opening raise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callseal.cli import exporting, labels, opening, output
from callseal.cli.conversation import Conversation
from callseal.cli.demo.central import BUCKET
from callseal.cli.demo.office import CUSTODIAN, Office
from callseal.cli.exporting import Form
from callseal.cli.i18n import _
from callseal.cli.opening import Sealed
from callseal.cli.places import Copy, StorePlace
from callseal.cli.proving import Proof
from callseal.config.business import BUILTIN
from callseal.seal.keyfile import read_identities
from callseal.seal.manifest import Result
from callseal.seal.verify import Check, Outcome, Report

INCOMPLETE: Final = 15

_PLACES: Final = {"bridge": "desk", "siprec": "gateway"}
"""Where a source takes calls, for names of files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where recordings go, and who works for that; `path` is there where it is a folder."""

    place: StorePlace
    services: tuple[str, ...]
    path: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One recording as it came back from the store."""

    sealed: Sealed
    call: Conversation
    report: Report
    opened: Path | None
    size_bytes: int


def read_back(office: Office, copy: Copy, proof: Proof) -> Shown:
    """Verify and open one recording, as an inspector would."""
    trust = proof.trust
    report = proof.recording(copy, named=True)
    sealed = opening.open_manifest(copy, trust)
    identities = read_identities(office.key_file, passphrase=None)
    document = opening.open_call(sealed, identities)
    opened: Path | None = None
    if sealed.object(opening.AUDIO) is not None:
        manifest = sealed.manifest
        place = _PLACES.get(manifest.source, manifest.source)
        opened = office.opened / f"{place}-{manifest.direction.value}-{manifest.id}.wav"
        pieces = opening.open_audio(sealed, document, identities)
        exporting.export(pieces, opened, Form.WAV, replace=False)
    return Shown(
        sealed=sealed,
        call=Conversation(document=document),
        report=report,
        opened=opened,
        size_bytes=sum(item.size_bytes for item in sealed.manifest.objects),
    )


def show(office: Office, shelf: Shelf, shown: Sequence[Shown], wanted: int) -> int:
    """Print a table of all recordings, with what to do next; gives the exit code."""
    shown = sorted(shown, key=lambda one: one.sealed.manifest.started_at)
    output.line()
    columns = [_("Call"), *(str(number) for number, _one in enumerate(shown, 1))]
    facts = [list(_facts(office, shelf, one)) for one in shown]
    rows = [[row[0][0], *(cell[1] for cell in row)] for row in zip(*facts, strict=True)]
    output.table(columns, rows)
    output.line()
    audio = next((one for one in shown if one.sealed.object(opening.AUDIO) is not None), None)
    if audio is not None and shelf.path is not None:
        item = audio.sealed.object(opening.AUDIO)
        path = shelf.path / audio.sealed.copy.prefix / (item.name if item else "")
        output.line(_("Any age opens it by hand (Debian: apt install age), and sox or ffmpeg plays it:"))
        output.line(f"  age -d -i {office.key_file} {path} > call.au")
    output.line(_("The files in opened/ are unencrypted: delete them when you have listened."))
    good = len(shown) == wanted and all(
        one.report.ok and one.sealed.manifest.result is Result.OK for one in shown
    )
    if not good:
        output.warning(_("not every recording is ok and verified; see the table"))
    return 0 if good else INCOMPLETE


def _facts(office: Office, shelf: Shelf, one: Shown) -> Iterator[tuple[str, str]]:
    manifest = one.sealed.manifest
    agent, customer = one.call.parties()
    outbound = manifest.direction.value == "outbound"
    yield _("Taken at"), labels.word(manifest.source)
    yield _("Direction"), labels.word(manifest.direction.value)
    yield _("From"), str(agent if outbound else customer)
    yield _("To"), str(customer if outbound else agent)
    yield _("Business"), labels.business(manifest.business_type, BUILTIN)
    yield _("Announcement"), "; ".join(one.call.announcements(manifest.rate_hz))
    checks = list(one.call.checks())
    for channel in (0, 1):
        yield (
            _("Level, channel {channel}").format(channel=channel),
            checks[channel] if len(checks) > channel else "-",
        )
    yield _("Result"), labels.result(manifest.result.value, manifest.reasons)
    yield _("Size, sealed"), output.size(one.size_bytes)
    prefix = one.sealed.copy.prefix
    yield _("In the store"), f"s3://{BUCKET}/{prefix}" if shelf.path is None else str(shelf.path / prefix)
    if CUSTODIAN in shelf.services:
        yield _("Receipt"), _receipt(one.report)
        here = (office.spool / "ready" / str(manifest.id)).exists()
        yield _("On this machine"), _("still here") if here else _("gone, on the receipt")
    yield _("Verified"), _("yes") if one.report.ok else _("NO ({code})").format(code=one.report.exit_code)
    yield _("Opened file"), "-" if one.opened is None else str(one.opened)


def _receipt(report: Report) -> str:
    found = [finding for finding in report.findings if finding.check is Check.RECEIPT]
    good = [finding for finding in found if finding.outcome is Outcome.OK]
    return good[0].words if good and len(good) == len(found) else _("NO")

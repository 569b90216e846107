"""``callseal verify``: are these recordings what their devices sealed? Needs no private key.

JSON: ``type "callseal-verify/1", exit_code, recordings[], strangers[]``; a recording has ``id, place, device,
started_at, ok, exit_code, findings[]`` and a finding ``object, check, outcome, words, exit_code`` (codes as
in `callseal.seal.verify`). `strangers` are names in a store that belong to no recording.

Conventions: every copy in every place is verified. The exit code is the gravest of all: 12 altered, 13 bad
signature, 14 signer untrusted, 15 not everything could be checked.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Final, Protocol

import typer
from rich.console import Console
from rich.progress import Progress

from callseal.cli import labels, lookup, options, output, places
from callseal.cli.commands import add
from callseal.cli.i18n import _, counted, mark
from callseal.cli.output import JsonValue
from callseal.cli.places import Copy, Scan, Scope
from callseal.seal.keys import TrustStore
from callseal.seal.timestamp import write_time
from callseal.seal.verify import (
    ALTERED,
    BAD_SIGNATURE,
    NOT_CHECKED,
    UNTRUSTED,
    Check,
    Finding,
    Outcome,
    Report,
    verify_recording,
)

JSON_TYPE: Final = "callseal-verify/1"
_MAX_STRANGERS_SHOWN: Final = 10

# Fixed words of the check itself, for the catalogue; others, with figures in them, stay English.
_FINDINGS: Final = (
    mark("missing"),
    mark("altered: its SHA-256 is not the one in the manifest"),
    mark("lies in the folder, and the manifest does not know it"),
    mark("a later addition; this version does not check those"),
    mark("names a ledger entry; this version does not check those"),
    mark("without a manifest nothing can be compared"),
    mark("manifest.json and manifest.sig do not belong together: one of them was altered"),
    mark("no manifest: still being brought to the store, or taken away"),
)
_INCOMPLETE: Final = _FINDINGS[-1]


class Step(Protocol):
    """Told of each recording that is done."""

    def __call__(self) -> None:
        """Note one more."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    words = _(
        "Prove that recordings are what their devices sealed: signature, signer, and every byte. Without"
        " names, all recordings of the stores and the spool. No private key is needed."
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
    store: options.Store = None,
    roots: options.Roots = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    names = recordings or []
    needs_places = not names or not all(map(lookup.is_folder, names))
    scope = places.scope_of(config, store, roots, places=needs_places)
    scan = places.scan(scope.places)
    copies = list(_named(names, scan)) if names else list(scan.copies)
    with _progress(len(copies)) as step:
        verified = [(copy, _report(copy, scope.trust, step, named=bool(names))) for copy in copies]
    strangers = () if names else scan.strangers
    codes = [report.exit_code for _copy, report in verified]
    codes += [NOT_CHECKED] if strangers else []
    failures = 0 if names else places.warn_of(scan.failures)
    code = min((code for code in (*codes, failures) if code), default=0)
    if json_:
        output.json_document(
            {
                "type": JSON_TYPE,
                "exit_code": code,
                "recordings": [_json(copy, report) for copy, report in verified],
                "strangers": list(strangers),
            }
        )
    else:
        _print(verified, strangers, scope)
    raise typer.Exit(code)


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


def _report(copy: Copy, trust: TrustStore, step: Step, *, named: bool) -> Report:
    # A recording that is just being brought to the store has no manifest yet: among all of them that is
    # nothing to raise an alarm over. Who names one wants to know.
    if copy.complete or named:
        report = verify_recording(copy.reader, copy.prefix, trust)
    else:
        folder = copy.prefix.rstrip("/").rpartition("/")[2]
        finding = Finding(
            object=folder,
            check=Check.MANIFEST,
            outcome=Outcome.NOT_CHECKED,
            words=_INCOMPLETE,
            exit_code=NOT_CHECKED,
        )
        report = Report(folder=folder, findings=(finding,), manifest=None, signer=None)
    step()
    return report


@contextmanager
def _progress(total: int) -> Iterator[Step]:
    """Show how far it is, where somebody watches."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(_("verifying"), total=total)
        yield lambda: progress.advance(task)


def _print(verified: Sequence[tuple[Copy, Report]], strangers: Sequence[str], scope: Scope) -> None:
    for copy, report in verified:
        output.line(f"{report.folder}  {copy.place}  {_verdict(report.exit_code)}")
        for finding in report.findings:
            if finding.exit_code:
                output.line(f"    {labels.word(finding.check.value)}  {finding.object}: {_(finding.words)}")
    for name in strangers[:_MAX_STRANGERS_SHOWN]:
        output.line(_("belongs to no recording: {name}").format(name=name))
    well = sum(report.ok for _copy, report in verified)
    words = counted(
        "{number} copy of a recording verified: {well} well, {wrong} not",
        "{number} copies of recordings verified: {well} well, {wrong} not",
        len(verified),
    )
    output.line(words.format(number=len(verified), well=well, wrong=len(verified) - well))
    if not scope.trust.roots and verified:
        output.note(_("No root certificate is trusted here: give the organisation's with --roots."))


def _verdict(code: int) -> str:
    return {
        0: _("ok"),
        ALTERED: _("ALTERED"),
        BAD_SIGNATURE: _("BAD SIGNATURE"),
        UNTRUSTED: _("signer untrusted"),
        NOT_CHECKED: _("not everything could be checked"),
    }[code]


def _json(copy: Copy, report: Report) -> dict[str, JsonValue]:
    manifest = report.manifest
    return {
        "id": report.folder,
        "place": copy.place,
        "device": None if manifest is None else manifest.device,
        "started_at": None if manifest is None else write_time(manifest.started_at),
        "ok": report.ok,
        "exit_code": report.exit_code,
        "findings": [
            {
                "object": finding.object,
                "check": finding.check.value,
                "outcome": finding.outcome.value,
                "words": finding.words,
                "exit_code": finding.exit_code,
            }
            for finding in report.findings
        ],
    }

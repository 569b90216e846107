"""What ``callseal verify`` prints: for people what is wrong and a summary in words, for programs all of it.

Conventions: recordings are printed as they are verified and not kept: there may be a hundred thousand. JSON
is written piece by piece for the same reason; its last name is ``exit_code``.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from textwrap import indent
from typing import Final, Protocol

from callseal.cli import labels, output
from callseal.cli.i18n import _, counted, mark
from callseal.cli.output import JsonValue
from callseal.cli.places import Copy
from callseal.cli.proving import INCOMPLETE, DeviceResult
from callseal.seal.manifest import Result
from callseal.seal.timestamp import write_time
from callseal.seal.verify import (
    ALTERED,
    BAD_SIGNATURE,
    NOT_CHECKED,
    UNTRUSTED,
    Check,
    DeviceReport,
    Finding,
    LedgerFacts,
    Outcome,
    Report,
)
from callseal.seal.verify.device import NO_STAMP
from callseal.seal.verify.presence import MISSING, NEVER_ENDED, NOT_KEPT, NOT_STORED, ON_ITS_WAY

JSON_TYPE: Final = "callseal-verify/1"
MAX_NOTES_SHOWN: Final = 20
MAX_STRANGERS_SHOWN: Final = 10

# Fixed words of the check itself, for the catalogue; others, with figures in them, stay English.
_FINDINGS: Final = (
    mark("missing"),
    mark("altered: its SHA-256 is not the one in the manifest"),
    mark("altered: a tail, and not the one key that opens it"),
    mark("altered: a tail goes on behind whole chunks of the sealed file, and this one does not"),
    mark("lies in the folder, and the manifest does not know it"),
    mark("a later addition; this version does not check those"),
    mark("without a manifest nothing can be compared"),
    mark("manifest.json and manifest.sig do not belong together: one of them was altered"),
    mark("its device's ledger is not at hand: whether it was slipped in or exchanged was not checked"),
    mark("sealed before its device kept a ledger: whether it was slipped in was not checked"),
    mark("its ledger entries are not here yet"),
    mark("slipped in: its device's ledger does not know it"),
    mark("substituted or signed again: the ledger says that this recording ended with another manifest"),
    mark("the ledger entry that its manifest names is not the one in the device's ledger"),
    mark("the ledger says that nothing of this recording could be kept"),
    mark("the ledger says another result than the manifest"),
    mark("replaced: the ledger says that this recording had ended before, with another manifest"),
    mark(
        "recovered in place of what was sealed first, by the ledger: whether it is the same was not checked"
    ),
    mark("signed with another key than its device's ledger"),
    mark("it is the receipt of another recording"),
    mark("the custodian received another manifest than the one here"),
    mark("its ledger is not at hand: whether recordings are missing was not checked"),
    mark("no entry of its ledger carries the device's certificate: nothing in it was checked"),
    mark("the device vouches for no entry with its certificate"),
    mark("the second copy holds nothing of this ledger"),
    mark("its whole ledger is missing, and a second copy has it"),
    INCOMPLETE,
)
_CHECKS: Final = {
    Check.RECEIPT: mark("receipt"),
    Check.STAMP: mark("time stamp"),
    Check.COPY: mark("second copy"),
    Check.PRESENCE: mark("recording"),
}


class Printer(Protocol):
    """Takes what is found, as it is found."""

    def recording(self, copy: Copy, report: Report) -> None:
        """Take one copy of a recording."""

    def device(self, result: DeviceResult) -> None:
        """Take one device, behind its recordings."""

    def end(self, strangers: Sequence[str], code: int) -> None:
        """Take what is left."""


class Words:
    """For people: what is wrong, then how much was well. `every` shows the recordings that are well too."""

    def __init__(self, *, every: bool) -> None:
        self._every = every
        self._codes: Counter[int] = Counter()
        self._ledgers: Counter[bool] = Counter()
        self._missing: Counter[str | None] = Counter()
        self._silent: dict[str, Result] = {}
        """The recordings without sound, and why: that is no fault, and should not be overlooked."""

    def recording(self, copy: Copy, report: Report) -> None:
        """Print one copy of a recording, if it is not well."""
        self._codes[report.exit_code] += 1
        if report.manifest is not None and report.manifest.result in {Result.EXEMPT, Result.FAILED}:
            self._silent[str(report.manifest.id)] = report.manifest.result
        if self._every or report.exit_code:
            output.line(f"{report.folder}  {copy.place}  {verdict(report.exit_code)}")
            _print_wrong(report.findings)

    def device(self, result: DeviceResult) -> None:
        """Print one device."""
        self._ledgers[not result.exit_code] += 1
        self._missing.update(finding.code for finding in result.findings if finding.check is Check.PRESENCE)
        output.line(f"{result.report.device}  {verdict(result.exit_code)}  {_facts(result.report)}")
        _print_wrong(result.findings)
        # That there is no stamp stands in the facts.
        notes = [
            finding
            for finding in result.findings
            if finding.outcome is Outcome.NOTE and finding.words != NO_STAMP
        ]
        for finding in notes[:MAX_NOTES_SHOWN]:
            output.line(f"    {_('note')}  {finding.object}: {_(finding.words)}")
        if len(notes) > MAX_NOTES_SHOWN:
            words = _("and {number} more notes, all of them with --json")
            output.line("    " + words.format(number=len(notes) - MAX_NOTES_SHOWN))

    def end(self, strangers: Sequence[str], _code: int) -> None:
        """Print the summary."""
        for name in strangers[:MAX_STRANGERS_SHOWN]:
            output.line(_("belongs to no recording: {name}").format(name=name))
        if len(strangers) > MAX_STRANGERS_SHOWN:
            words = _("and {number} more that belong to no recording, all of them with --json")
            output.line(words.format(number=len(strangers) - MAX_STRANGERS_SHOWN))
        self._absences()
        if ledgers := self._ledgers.total():
            words = counted(
                "{number} ledger verified: {well} well, {wrong} not",
                "{number} ledgers verified: {well} well, {wrong} not",
                ledgers,
            )
            well = self._ledgers[True]
            output.line(words.format(number=ledgers, well=well, wrong=ledgers - well))
        for code in (ALTERED, BAD_SIGNATURE, UNTRUSTED, NOT_CHECKED):
            if count := self._codes[code]:
                output.line(f"    {verdict(code)}: {count}")
        total, well = self._codes.total(), self._codes[0]
        words = counted(
            "{number} copy of a recording verified: {well} well, {wrong} not",
            "{number} copies of recordings verified: {well} well, {wrong} not",
            total,
        )
        output.line(words.format(number=total, well=well, wrong=total - well))

    def _absences(self) -> None:
        """Print of how many calls there is no sound, nothing, or not everywhere."""
        silent = Counter(self._silent.values())
        if exempt := silent[Result.EXEMPT]:
            words = counted(
                "{number} call was not recorded, says its device: see callseal list",
                "{number} calls were not recorded, say their devices: see callseal list",
                exempt,
            )
            output.line(words.format(number=exempt))
        if failed := silent[Result.FAILED]:
            words = counted(
                "{number} recording has no sound, says its device: it failed",
                "{number} recordings have no sound, say their devices: they failed",
                failed,
            )
            output.line(words.format(number=failed))
        if missing := self._missing[MISSING]:
            words = counted(
                "{number} recording is missing: deleted", "{number} recordings are missing: deleted", missing
            )
            output.line(words.format(number=missing))
        if coming := self._missing[ON_ITS_WAY]:
            words = counted(
                "{number} recording is not here yet, or deleted",
                "{number} recordings are not here yet, or deleted",
                coming,
            )
            output.line(words.format(number=coming))
        if never := self._missing[NEVER_ENDED]:
            words = counted(
                "{number} recording was opened, and nothing was told of its end",
                "{number} recordings were opened, and nothing was told of their end",
                never,
            )
            output.line(words.format(number=never))
        if absent := self._missing[NOT_STORED]:
            words = counted(
                "{number} recording is not in every store that it is meant for",
                "{number} recordings are not in every store that they are meant for",
                absent,
            )
            output.line(words.format(number=absent))
        if lost := self._missing[NOT_KEPT]:
            words = counted(
                "{number} recording was not kept, says its device",
                "{number} recordings were not kept, say their devices",
                lost,
            )
            output.line(words.format(number=lost))


class Json:
    """For programs: one document, written as it comes."""

    def __init__(self) -> None:
        self._count = 0
        self._devices: list[JsonValue] = []
        sys.stdout.write(f'{{\n  "type": "{JSON_TYPE}",\n  "recordings": [')

    def recording(self, copy: Copy, report: Report) -> None:
        """Write one copy of a recording."""
        document = output.json_text(_recording(copy, report))
        sys.stdout.write(("," if self._count else "") + "\n" + indent(document, "    "))
        self._count += 1

    def device(self, result: DeviceResult) -> None:
        """Keep one device: they are few."""
        self._devices.append(_device(result))

    def end(self, strangers: Sequence[str], code: int) -> None:
        """Write the rest."""
        rest: dict[str, JsonValue] = {
            "devices": self._devices,
            "strangers": list(strangers),
            "exit_code": code,
        }
        sys.stdout.write(("\n  " if self._count else "") + "]," + output.json_text(rest)[1:] + "\n")


def verdict(code: int) -> str:
    """Return the word for an exit code."""
    return {
        0: _("ok"),
        ALTERED: _("ALTERED"),
        BAD_SIGNATURE: _("BAD SIGNATURE"),
        UNTRUSTED: _("signer untrusted"),
        NOT_CHECKED: _("not everything could be checked"),
    }[code]


def _print_wrong(findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.exit_code:
            known = _CHECKS.get(finding.check)
            check = labels.word(finding.check.value) if known is None else _(known)
            output.line(f"    {check}  {finding.object}: {_(finding.words)}")


def _facts(report: DeviceReport) -> str:
    facts = report.facts
    if facts is None or facts.first_at is None or facts.newest_at is None:
        return _("no ledger that could be gone through")
    words = counted(
        "{number} entry from {first} to {newest}, {checkpoints} checkpoints; {stamp}",
        "{number} entries from {first} to {newest}, {checkpoints} checkpoints; {stamp}",
        facts.entries,
    )
    return words.format(
        number=facts.entries,
        first=output.local_time(facts.first_at),
        newest=output.local_time(facts.newest_at),
        checkpoints=facts.checkpoints,
        stamp=_stamp(facts),
    )


def _stamp(facts: LedgerFacts) -> str:
    if facts.anchor is not None:
        words = _("newest time stamp {at}, on {size} entries")
        return words.format(at=output.local_time(facts.anchor.at), size=facts.anchor.size)
    return _("no time stamp that holds") if facts.stamps else _("no time stamp")


def _recording(copy: Copy, report: Report) -> dict[str, JsonValue]:
    manifest = report.manifest
    return {
        "id": report.folder,
        "place": copy.place,
        "device": None if manifest is None else manifest.device,
        "started_at": None if manifest is None else write_time(manifest.started_at),
        "ok": report.ok,
        "exit_code": report.exit_code,
        "findings": [_finding(finding) for finding in report.findings],
    }


def _device(result: DeviceResult) -> dict[str, JsonValue]:
    report, facts = result.report, result.report.facts
    anchor = None if facts is None else facts.anchor
    return {
        "device": report.device,
        "places": list(dict.fromkeys(report.places)),
        "entries": 0 if facts is None else facts.entries,
        "first_at": None if facts is None or facts.first_at is None else write_time(facts.first_at),
        "newest_at": None if facts is None or facts.newest_at is None else write_time(facts.newest_at),
        "checkpoints": 0 if facts is None else facts.checkpoints,
        "stamps": 0 if facts is None else facts.stamps,
        "anchored": None
        if anchor is None
        else {"entries": anchor.size, "at": write_time(anchor.at), "authority": anchor.authority},
        "ok": result.exit_code == 0,
        "exit_code": result.exit_code,
        "findings": [_finding(finding) | {"code": finding.code} for finding in result.findings],
    }


def _finding(finding: Finding) -> dict[str, JsonValue]:
    return {
        "object": finding.object,
        "check": finding.check.value,
        "outcome": finding.outcome.value,
        "words": finding.words,
        "exit_code": finding.exit_code,
    }

"""The statement: what an evidence folder proves and how to check it, in one language, as Markdown.

Conventions: it claims what was checked, and each claim has its step. Times are given in UTC and, since the
reader is a court in China, in UTC+8.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from callseal.cli import output
from callseal.cli.conversation import Conversation
from callseal.cli.evidence import words
from callseal.cli.evidence.case import Case
from callseal.cli.evidence.steps import PREPARE, Step, joined
from callseal.cli.evidence.words import Words
from callseal.cli.opening import TAIL
from callseal.seal import reasons
from callseal.seal.reasons import Language
from callseal.seal.timestamp import write_time

_BEIJING: Final = timezone(timedelta(hours=8))
_TITLE: Final = "title: "
_PROVES: Final = "proves: "
_FILES: Final = (
    "STATEMENT",
    "check.sh",
    "SHA256SUMS",
    "audio.wav",
    "inner.au",
    "sealed",
    "rewrapped",
    "vcon",
    "certificates",
    "ledger",
    "ledger/stamp.tsr",
    "receipt",
)
_ALWAYS: Final = _FILES[:3]


def write_statement(case: Case, steps: Sequence[Step], folder: Path, language: Language) -> str:
    """Return the statement; `folder` is the evidence folder, whose files it lists."""
    return _Statement(case, folder, language).text(steps)


def script(steps: Iterable[Step]) -> str:
    """Return the commands of all steps as one file."""
    return "".join(f"{step.commands}\n" for step in steps)


class _Statement:
    """One statement in the making."""

    def __init__(self, case: Case, folder: Path, language: Language) -> None:
        self._case = case
        self._folder = folder
        self._language = language
        self._words: Words = words.prose(language)
        self._values = dict(_values(case, language, self._words))

    def text(self, steps: Sequence[Step]) -> str:
        numbered = [step for step in steps if step.name != PREPARE]
        parts = [
            self._section("introduction"),
            self._facts(),
            self._section("overview"),
            self._section("proved"),
            "\n".join(f"- {self._head(step)[1]}" for step in numbered),
            self._section("not proved"),
            self._gaps(),
            self._files(),
            self._section("steps"),
            *(self._step(step) for step in steps),
            self._section("end"),
        ]
        return "\n\n".join(parts) + "\n"

    def _section(self, name: str, values: Mapping[str, str] | None = None) -> str:
        return self._words.text(name, {**self._values, **(values or {})})

    def _facts(self) -> str:
        more = "facts nothing" if self._case.contents.sound is None else "facts sound"
        return f"{self._section('facts')}\n{self._section(more)}"

    def _gaps(self) -> str:
        found = self._case.proofs.gaps
        if not found:
            return self._section("no gaps")
        texts = [self._section(f"gap {one.code.value}", one.values) for one in found]
        lines = ["- " + text.replace("\n", "\n  ") for text in texts]
        return "\n\n".join([self._section("gaps"), "\n".join(lines)])

    def _files(self) -> str:
        rows = [
            f"| {self._section(f'file {name}')} |"
            for name in _FILES
            if name in _ALWAYS or (self._folder / name).exists()
        ]
        return "\n".join([self._section("files"), *rows])

    def _head(self, step: Step) -> tuple[str, str, str]:
        """Return a step's title, what it proves, and the rest."""
        lines = self._words.text(
            f"step {step.name}",
            {**self._values, **step.values},
            {
                "commands": f"```sh\n{step.commands}\n```",
                "printed": f"```text\n{step.printed}\n```",
                "tail_words": self._tail_words(),
                "pinned_words": self._pinned_words(),
            },
        ).split("\n")
        title = lines.pop(0).removeprefix(_TITLE)
        proves = lines.pop(0).removeprefix(_PROVES) if lines[0].startswith(_PROVES) else ""
        return title, proves, "\n".join(lines).strip("\n")

    def _step(self, step: Step) -> str:
        title, _proves, rest = self._head(step)
        number = f"{step.values['number']}. " if "number" in step.values else ""
        return f"### {number}{title}\n\n{rest}"

    def _tail_words(self) -> str:
        sound = self._case.contents.sound
        if sound is None:
            return ""
        join, values = joined(sound, self._case.sealed.object(TAIL))
        return self._section(f"tail words {join}", values)

    def _pinned_words(self) -> str:
        history = self._case.proofs.history
        return "" if history is None or history.pinned is None else self._section("pinned words")


def _values(case: Case, language: Language, text: Words) -> Iterator[tuple[str, str]]:
    manifest, sound = case.manifest, case.contents.sound
    agent, customer = Conversation(document=case.contents.document).parties()
    none = text.section("word none")
    yield "id", str(manifest.id)
    yield "exporter", case.software
    yield "exported_at", _time(case.made_at)
    yield "started_at", _time(manifest.started_at)
    yield "ended_at", _time(manifest.ended_at)
    yield "direction", text.section(f"word {manifest.direction.value}")
    yield "agent", str(agent) or none
    yield "customer", str(customer) or none
    yield "result", _result(case, language, text)
    yield "device", manifest.device
    yield "site", manifest.site
    yield "software", manifest.software
    yield "manifest_sha256", case.proofs.manifest_sha256.hex()
    if sound is not None:
        yield "duration", output.duration(manifest.duration_samples / (manifest.rate_hz or 1))
        yield "rate", str(manifest.rate_hz)
        yield "inner_sha512", sound.sha512.hex()
    yield from _proof_values(case, text)


def _proof_values(case: Case, text: Words) -> Iterator[tuple[str, str]]:
    proofs = case.proofs
    if proofs.revocations is not None:
        yield "listed_at", _time(proofs.revocations.last_update_utc)
    if proofs.signer is not None and proofs.signer.revoked_since is not None:
        yield "since", _time(proofs.signer.revoked_since)
        yield "anchor", _anchor(case, text)
    if proofs.history is not None:
        end = proofs.history.end
        yield "end", str(end)
        yield (
            "end_at",
            next(_time(one.entry.at) for one in proofs.history.entries if one.entry.sequence == end),
        )
        yield "pinned", str(proofs.history.pinned)
    if proofs.stamp is not None:
        yield "authority", proofs.stamp.stamp.authority
        yield "stamped_at", _time(proofs.stamp.stamp.at)
    if proofs.receipt is not None:
        yield "store", proofs.receipt.receipt.site
        yield "received_at", _time(proofs.receipt.receipt.received_at)
        if proofs.receipt.signer is not None:
            yield "custodian", proofs.receipt.signer.device_id


def _anchor(case: Case, text: Words) -> str:
    """Return in words what shows that the recording was there before its device's key was revoked."""
    stamp, receipt = case.proofs.stamp, case.proofs.receipt
    found = []
    if stamp is not None and stamp.root is not None:
        found.append(("anchor stamp", stamp.stamp.at))
    if receipt is not None and receipt.signer is not None:
        found.append(("anchor receipt", receipt.receipt.received_at))
    name, at = min(found, key=lambda one: one[1])
    return text.section(name).replace("@at@", _time(at))


def _result(case: Case, language: Language, text: Words) -> str:
    manifest = case.manifest
    said = " ".join(reasons.words(one, language) for one in manifest.reasons)
    word = text.section(f"word {manifest.result.value}")
    return f"{word} ({said})" if said else word


def _time(time: datetime) -> str:
    return f"{write_time(time)} ({time.astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}, UTC+8)"

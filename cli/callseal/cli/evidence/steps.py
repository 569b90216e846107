"""The steps by which a recording is checked by hand: which there are, their commands, what they print.

Conventions: a step's name is that of its sections, in the commands and in the words of each language. Values
that stand in commands are of our own making: ids, hashes, numbers. Times in seconds since 1970 are what
openssl takes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from callseal.cli import opening
from callseal.cli.evidence import words
from callseal.cli.evidence.case import Case
from callseal.cli.evidence.contents import Sound
from callseal.cli.opening import AUDIO, CALL, TAIL
from callseal.seal.ledger import signed_text
from callseal.seal.manifest import ManifestObject
from callseal.seal.revocation import key_hash
from callseal.seal.vcon import content_hash

PREPARE: Final = "prepare"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SILENCE: Final = {1: "\\377", 27: "\\325"}  # as `opening` fills a gap; in PCM it is zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step; `values` also fill its words."""

    name: str
    commands: str
    printed: str
    values: Mapping[str, str]


def plan(case: Case) -> list[Step]:
    """Return the steps of a statement, in their order; the first one prepares and has no number."""
    texts = words.steps()
    found = [Step(name=PREPARE, commands=texts.section(PREPARE), printed="", values={})]
    for number, (name, values, lines) in enumerate(_steps(case), start=1):
        values["number"] = str(number)
        found.append(
            Step(
                name=name,
                commands=texts.commands(name, values, lines),
                printed=texts.commands(f"{name} printed", values, values.get("printed_lines", "")),
                values=values,
            )
        )
    return found


def _steps(case: Case) -> Iterator[tuple[str, dict[str, str], str]]:
    yield "sums", {}, ""
    yield from _signer(case)
    yield "manifest", {"id": str(case.manifest.id)}, ""
    objects = case.manifest.objects
    yield (
        "objects",
        {"objects": " ".join(item.name for item in objects), "objects_count": str(len(objects))},
        "",
    )
    yield "copies", {}, _copies(case)
    yield from _sound(case)
    yield from _call(case)
    yield from _history(case)
    yield from _stamp(case)
    yield from _receipt(case)


def _signer(case: Case) -> Iterator[tuple[str, dict[str, str], str]]:
    signer, started_s = case.proofs.signer, seconds(case.manifest.started_at)
    if signer is None:
        leaf = x509.load_der_x509_certificate(case.manifest.x5c[0])
        yield "signer-unknown", {"started_s": started_s, "device_fingerprint": fingerprint(leaf)}, ""
        return
    root = fingerprint(signer.root)
    values = {"started_s": started_s, "device": case.manifest.device, "root_fingerprint": root}
    yield "signer", values, ""
    listed = case.proofs.revocations
    if listed is None:
        return
    key = signer.certificate.public_key()
    serial = f"{signer.certificate.serial_number:X}"
    values = {
        "serial": serial.zfill(len(serial) + len(serial) % 2),
        "key_hash": key_hash(key).hex().upper() if isinstance(key, Ed25519PublicKey) else "",
    }
    if signer.revoked_since is None:
        yield "revocations", values, ""
    else:
        yield "revoked", {**values, "revoked_text": openssl_time(signer.revoked_since)}, ""


def _copies(case: Case) -> str:
    return "\n".join(
        words.steps().commands(
            "copies line",
            {"source": item.source, "kind": item.kind, "payload_bytes": str(item.payload_size_bytes)},
        )
        for item in case.contents.rewrapped
    )


def _sound(case: Case) -> Iterator[tuple[str, dict[str, str], str]]:
    sound = case.contents.sound
    if sound is None:
        return
    audio, tail = case.sealed.object(AUDIO), case.sealed.object(TAIL)
    if audio is not None and audio.plaintext_sha512 is not None:
        yield "sound", {}, ""
        return
    join, values = joined(sound, tail)
    values["audio_bytes"] = str(sound.audio_size_bytes)
    values["silence"] = _SILENCE.get(case.manifest.encoding or 0, "\\000")
    lines = words.steps().commands(f"join {join}", values)
    yield "sound-recovered" if sound.cut else "sound-whole", values, lines


def joined(sound: Sound, tail: ManifestObject | None) -> tuple[str, dict[str, str]]:
    """Return how a recovered sound is put together: alone, tail, gap; and the figures that go with it."""
    if tail is None:
        return "alone", {}
    lost_bytes = sound.lost_bytes(tail)
    values = {"tail_offset": str(tail.plaintext_offset or 0), "gap_bytes": str(lost_bytes)}
    return "gap" if lost_bytes else "tail", values


def _call(case: Case) -> Iterator[tuple[str, dict[str, str], str]]:
    call, sound = case.sealed.object(CALL), case.contents.sound
    hashed = call is not None and call.plaintext_sha512 is not None
    lines = words.steps().section("call hash") if hashed else ""
    yield "call", {"id": str(case.manifest.id)}, lines
    promised = opening.promised_hashes(case.contents.document)
    if sound is not None and content_hash(sound.sha512) in promised:
        yield "content", {}, ""


def _history(case: Case) -> Iterator[tuple[str, dict[str, str], str]]:
    history = case.proofs.history
    if history is None:
        return
    texts = words.steps()
    entries = " ".join(str(one.entry.sequence) for one in history.entries)
    values = {
        "entries": entries,
        "device": case.manifest.device,
        "id": str(case.manifest.id),
        "end": str(history.end),
        "printed_lines": "\n".join([texts.section("entries verified")] * len(history.entries)),
    }
    lines = ""
    if history.pinned is not None:
        values["pinned"] = str(history.pinned)
        lines = texts.commands("entries pinned", values)
    yield "entries", values, lines
    text_lines = signed_text(history.note).count(b"\n")
    values = {
        "text_lines": str(text_lines),
        "device": case.manifest.device,
        "size": str(history.checkpoint.size),
    }
    yield "checkpoint", values, ""
    yield "proof", {"entries": entries}, ""


def _stamp(case: Case) -> Iterator[tuple[str, dict[str, str], str]]:
    found = case.proofs.stamp
    if found is not None and found.root is not None:
        at = found.stamp.at
        yield "stamp", {"stamped_s": seconds(at), "stamped_text": openssl_time(at)}, ""


def _receipt(case: Case) -> Iterator[tuple[str, dict[str, str], str]]:
    found = case.proofs.receipt
    if found is not None and found.signer is not None:
        yield "receipt", {"received_s": seconds(found.receipt.received_at)}, ""


def seconds(time: datetime) -> str:
    """Return whole seconds since 1970."""
    return str(int(time.timestamp()))


def openssl_time(time: datetime) -> str:
    """Return a time in UTC as openssl prints it."""
    fraction = f".{time.microsecond:06}".rstrip("0") if time.microsecond else ""
    return f"{_MONTHS[time.month - 1]} {time.day:2} {time:%H:%M:%S}{fraction} {time.year} GMT"


def fingerprint(certificate: x509.Certificate) -> str:
    """Return a certificate's SHA-256 as openssl prints it."""
    return certificate.fingerprint(SHA256()).hex(":").upper()

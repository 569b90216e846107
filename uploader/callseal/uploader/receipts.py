"""Whether a receipt counts: only what a custodian whom we trust says of exactly what was sent.

A store's own "stored" is the word of whoever answered. A receipt is that of somebody else, who read every
object back, and it alone lets a local copy go. So everything in it must be as it was sent; there is no
receipt that is nearly right, and none that is believed for a part.

Conventions: a receipt is judged by itself, at the time that it names. A custodian's key that was revoked
counts for nothing here: whoever has it writes any time into what he signs, and there is no anchor at hand.
`Refusal` says why a receipt is refused, as a code; `later` says that the same bytes may count later, when
clocks or files here were mended. Messages name codes, objects and times, nothing else of what was sent.
`KeptTrust` reads files; the rest is pure.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final
from uuid import UUID

from callseal.seal.errors import KeyFileError, ReceiptError, SignatureError, UntrustedSigner
from callseal.seal.keys import Role, TrustStore
from callseal.seal.manifest import MANIFEST_NAME
from callseal.seal.receipt import Receipt, ReceiptObject, open_receipt
from callseal.seal.timestamp import write_time
from callseal.uploader.errors import UploadError

MAX_RECEIPT_BYTES: Final = 2 * 1024 * 1024
"""A receipt's payload has at most 1 MiB, its header 64 KiB, and base64 makes four bytes of three."""
AHEAD: Final = timedelta(days=1)
"""How far a device's clock may be ahead of its custodian's: one whose zone is wrong is off by up to 14 hours,
and the manifest's hash, not this, says what was received."""
BEHIND: Final = timedelta(minutes=10)
"""How far the clock here may be behind the custodian's; clocks that are set right again make up for it."""


class Refusal(StrEnum):
    """Why a receipt does not count."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    SIGNATURE = "signature"
    SIGNER = "signer"
    TRUST_UNREADABLE = "trust-unreadable"
    OTHER_DEVICE = "other-device"
    OTHER_RECORDING = "other-recording"
    OTHER_SITE = "other-site"
    OTHER_MANIFEST = "other-manifest"
    TOO_EARLY = "too-early"
    FROM_THE_FUTURE = "from-the-future"
    OBJECT_MISSING = "object-missing"
    OBJECT_SURPLUS = "object-surplus"
    OBJECT_DIFFERS = "object-differs"
    VERSION_MISSING = "version-missing"
    VERSION_DIFFERS = "version-differs"


class ReceiptRefused(UploadError):  # noqa: N818 - says what is wrong better than "...Error" would
    """A receipt that does not count, and why; the local copy stays."""

    exit_code: ClassVar[int] = 12

    def __init__(self, refusal: Refusal, message: str, *, later: bool = False) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.later = later


@dataclass(frozen=True, slots=True, kw_only=True)
class SentObject:
    """An object as it was sent; `version` is what the store called it.

    It is empty where that is not known for certain: where an answer of the store was lost, even if a later
    one came. The size and the SHA-256 must be the same in any case.
    """

    name: str
    size_bytes: int
    sha256: bytes
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """All that was sent of a recording to one store, ``manifest.json`` and ``manifest.sig`` too.

    `site` is the store's name, `manifest` the SHA-256 of the manifest's bytes. ValueError where the manifest
    is not among the objects, or a name stands twice.
    """

    id: UUID
    device: str
    site: str
    manifest: bytes
    ended_at: datetime
    objects: tuple[SentObject, ...]

    def __post_init__(self) -> None:
        if len({item.name for item in self.objects}) != len(self.objects):
            raise ValueError("an object was sent twice under one name")
        manifests = [item for item in self.objects if item.name.rpartition("/")[2] == MANIFEST_NAME]
        if [item.sha256 for item in manifests] != [self.manifest]:
            raise ValueError(f"{MANIFEST_NAME} is not among what was sent, or is another one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A receipt that counts: who vouches, since when, and what the store calls each object."""

    custodian: str
    received_at: datetime
    versions: Mapping[str, str]


class Receipts:
    """Judges receipts; used from several threads."""

    def __init__(self, trust: Callable[[], TrustStore], *, now: Callable[[], datetime]) -> None:
        """`trust` gives whom to believe, each time anew, and may raise KeyFileError and OSError."""
        self._trust = trust
        self._now = now

    def check(self, data: bytes, sent: Sent) -> Accepted:
        """Return what a receipt vouches for; ReceiptRefused if it does not count for what was sent.

        `data` is what lies under the receipt's name: read at most one byte more than `MAX_RECEIPT_BYTES`.
        """
        receipt, custodian = self._opened(data)
        _check_subject(receipt, sent)
        self._check_time(receipt, sent)
        return Accepted(
            custodian=custodian, received_at=receipt.received_at, versions=_versions(receipt, sent)
        )

    def _opened(self, data: bytes) -> tuple[Receipt, str]:
        if len(data) > MAX_RECEIPT_BYTES:
            raise ReceiptRefused(Refusal.TOO_LARGE, f"more than {MAX_RECEIPT_BYTES} bytes: no receipt")
        try:
            receipt, chain = open_receipt(data)
        except ReceiptError as problem:
            raise ReceiptRefused(Refusal.MALFORMED, str(problem)) from problem
        except SignatureError as problem:
            raise ReceiptRefused(Refusal.SIGNATURE, str(problem)) from problem
        try:
            signer = self._trust().check(chain, at=receipt.received_at, role=Role.CUSTODIAN)
        except UntrustedSigner as problem:
            # Roots and revocation lists come later, or anew: then it is another question.
            raise ReceiptRefused(Refusal.SIGNER, str(problem), later=True) from problem
        except (KeyFileError, OSError) as problem:
            words = f"nobody can be believed at the moment: {problem}"
            raise ReceiptRefused(Refusal.TRUST_UNREADABLE, words, later=True) from problem
        return receipt, signer.device_id

    def _check_time(self, receipt: Receipt, sent: Sent) -> None:
        # Differences, not sums: a time at the end of the calendar has nothing behind it.
        at = receipt.received_at
        if sent.ended_at - at > AHEAD:
            words = f"received at {write_time(at)}, and the recording ended at {write_time(sent.ended_at)}"
            raise ReceiptRefused(Refusal.TOO_EARLY, words)
        if at - self._now() > BEHIND:
            words = f"received at {write_time(at)}, which is still to come: are the clocks right?"
            raise ReceiptRefused(Refusal.FROM_THE_FUTURE, words, later=True)


class KeptTrust:
    """Whom to believe, from the files of the settings, read again when one of them changed."""

    def __init__(self, roots: Path, revocations: Path) -> None:
        self._paths = roots, revocations
        self._lock = threading.Lock()
        self._seen: tuple[object, ...] = ()
        self._store: TrustStore | None = None

    def __call__(self) -> TrustStore:
        """Return the roots and what they revoked; raises KeyFileError and OSError."""
        with self._lock:
            seen = tuple(map(_seen, self._paths))
            if self._store is None or seen != self._seen:
                # What was known before does not stand in for a file that can't be read: a list that came
                # since may revoke the very custodian.
                self._store = None
                self._store = TrustStore.from_files(*self._paths)
                self._seen = seen
            return self._store


def _check_subject(receipt: Receipt, sent: Sent) -> None:
    if receipt.device != sent.device:
        raise ReceiptRefused(Refusal.OTHER_DEVICE, f"it is about another device, {receipt.device}")
    if receipt.id != sent.id:
        raise ReceiptRefused(Refusal.OTHER_RECORDING, f"it is about another recording, {receipt.id}")
    if receipt.site != sent.site:
        words = f"it is about another store, {receipt.site}, and not about {sent.site}"
        raise ReceiptRefused(Refusal.OTHER_SITE, words)
    if receipt.manifest != sent.manifest:
        words = "the custodian received another manifest than the one that was sent"
        raise ReceiptRefused(Refusal.OTHER_MANIFEST, words)


def _versions(receipt: Receipt, sent: Sent) -> Mapping[str, str]:
    """Return what the store calls each object, after comparing all of them."""
    received = {item.name: item for item in receipt.objects}
    surplus = sorted(received.keys() - {item.name for item in sent.objects})
    if surplus:
        words = f"the custodian received what was never sent: {surplus[0]}"
        raise ReceiptRefused(Refusal.OBJECT_SURPLUS, words)
    for item in sent.objects:
        if item.name not in received:
            words = f"the custodian did not receive {item.name}"
            raise ReceiptRefused(Refusal.OBJECT_MISSING, words)
        _compare(item, received[item.name])
    return MappingProxyType({name: item.version for name, item in received.items()})


def _compare(sent: SentObject, received: ReceiptObject) -> None:
    if (sent.size_bytes, sent.sha256) != (received.size_bytes, received.sha256):
        words = f"the custodian received another {sent.name} than the one that was sent"
        raise ReceiptRefused(Refusal.OBJECT_DIFFERS, words)
    if not received.version:
        words = f"it does not say which version of {sent.name} the custodian received"
        raise ReceiptRefused(Refusal.VERSION_MISSING, words)
    if sent.version not in {"", received.version}:
        words = f"the custodian received another version of {sent.name} than the one that was sent"
        raise ReceiptRefused(Refusal.VERSION_DIFFERS, words)


def _seen(path: Path) -> object:
    """Return what changes when a file is written or replaced; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns

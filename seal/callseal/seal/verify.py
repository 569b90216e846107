"""Is this recording what its device sealed? Answered with public material only: no key, no plaintext.

A recording is a folder of objects, in the spool or in a store. Checked are, each as findings of its own:
the manifest (there, well formed), its signature, the signer's trust at the time of the call, the folder's
name against the manifest, every object (there, its size, its SHA-256), and that nothing lies there besides.

Conventions: a finding's outcome is ok, failed, not-checked or note. The exit code is the gravest of 12
(altered), 13 (bad signature), 14 (signer untrusted), 15 (not everything could be checked); 0 means that
everything was checked and that somebody we trust vouches for it. What can't be read is "not checked", never
"ok" and never "altered". This function raises nothing for what it finds.

The ledger, receipts and later additions (``add-*``) are not part of this version; where they exist and
could not be looked at, the report says so.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from callseal.seal.errors import ManifestError, SignatureError, UntrustedSigner
from callseal.seal.keys import Role, Signer, TrustStore, leaf_public_key
from callseal.seal.manifest import (
    MANIFEST_NAME,
    MAX_SIZE_BYTES,
    SIGNATURE_NAME,
    SIGNATURE_SIZE_BYTES,
    Manifest,
    ManifestObject,
    parse,
    verify_signature,
)
from callseal.seal.timestamp import write_time

ALTERED: Final = 12
BAD_SIGNATURE: Final = 13
UNTRUSTED: Final = 14
NOT_CHECKED: Final = 15

MAX_LISTED: Final = 10_000
_BLOCK_SIZE_BYTES: Final = 1024 * 1024
_ADDITION_PATTERN: Final = re.compile(r"add-[0-9]{1,9}(-[0-9a-f]{64}\.age|\.json|\.sig)")


class ListedObject(Protocol):
    """What a listing says of an object."""

    @property
    def name(self) -> str:
        """Its full name."""

    @property
    def size_bytes(self) -> int:
        """Its size."""


class ObjectReader(Protocol):
    """Where objects are read from; a store's reader is one. Raises OSError for what can't be read."""

    def get(self, name: str) -> BinaryIO:
        """Open an object."""

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """Yield the objects whose names begin with `prefix`."""


class Check(StrEnum):
    """What was looked at."""

    MANIFEST = "manifest"
    SIGNATURE = "signature"
    SIGNER = "signer"
    FOLDER = "folder"
    OBJECT = "object"
    EXTRA = "extra"
    LEDGER = "ledger"


class Outcome(StrEnum):
    """What came of it."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; `object` is the file's name, or the folder's."""

    object: str
    check: Check
    outcome: Outcome
    words: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found; `manifest` and `signer` are there as far as they could be read and trusted."""

    folder: str
    findings: tuple[Finding, ...]
    manifest: Manifest | None
    signer: Signer | None

    @property
    def exit_code(self) -> int:
        """The gravest of all findings, 0 if everything was checked and is well."""
        return min((finding.exit_code for finding in self.findings if finding.exit_code), default=0)

    @property
    def ok(self) -> bool:
        """Whether everything was checked, and somebody trusted vouches for it."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _LocalObject:
    name: str
    size_bytes: int


class LocalFolder:
    """One recording's folder on this machine, as a reader; its `prefix` is what to verify."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def prefix(self) -> str:
        """The prefix under which this reader shows the folder's files."""
        return f"{self._path.resolve().name}/"

    def get(self, name: str) -> BinaryIO:
        """Open a file; OSError if it can't be read, or for a name that is no file of this folder."""
        folder, _, file = name.rpartition("/")
        if f"{folder}/" != self.prefix or file in {"", ".", ".."}:
            raise FileNotFoundError(f"{name}: not in {self._path}")
        return (self._path / file).open("rb")

    def list(self, prefix: str) -> Iterator[_LocalObject]:
        """Yield what lies in the folder, folders in it included: they do not belong there either."""
        for path in sorted(self._path.iterdir()):
            if (name := self.prefix + path.name).startswith(prefix):
                yield _LocalObject(name=name, size_bytes=path.lstat().st_size)


def verify_recording(reader: ObjectReader, prefix: str, trust: TrustStore) -> Report:
    """Check the recording under `prefix`, which ends with its folder's name and a slash.

    `prefix` is ``recordings/<device>/<yyyy>/<mm>/<dd>/<id>/`` in a store, ``<id>/`` elsewhere.
    """
    return _Verification(reader, prefix if prefix.endswith("/") else f"{prefix}/", trust).run()


class _Verification:
    """One run: collects findings."""

    def __init__(self, reader: ObjectReader, prefix: str, trust: TrustStore) -> None:
        self._reader = reader
        self._prefix = prefix
        self._trust = trust
        self._folder = prefix.rstrip("/").rpartition("/")[2]
        self._findings: list[Finding] = []

    def run(self) -> Report:
        listed = self._list()
        manifest, signer = None, None
        if listed is not None:
            data = self._fetch(listed, MANIFEST_NAME, MAX_SIZE_BYTES, Check.MANIFEST, ALTERED)
            manifest = None if data is None else self._parse(data)
            if data is not None and manifest is not None:
                fits = self._signature(listed, data, manifest)
                vouched_for = self._signer(manifest)
                signer = vouched_for if fits else None
                self._place(manifest)
                for item in manifest.objects:
                    self._object(listed, item)
                self._extras(listed, manifest)
                self._ledger(manifest)
            else:
                self._add("", Check.OBJECT, Outcome.NOT_CHECKED, "without a manifest nothing can be compared")
        return Report(folder=self._folder, findings=tuple(self._findings), manifest=manifest, signer=signer)

    def _list(self) -> dict[str, int] | None:
        listed: dict[str, int] = {}
        try:
            for item in self._reader.list(self._prefix):
                listed[item.name.removeprefix(self._prefix)] = item.size_bytes
                if len(listed) > MAX_LISTED:
                    words = f"more than {MAX_LISTED} objects in the folder of one recording"
                    self._add("", Check.EXTRA, Outcome.FAILED, words, ALTERED)
                    return None
        except OSError as problem:
            self._add("", Check.MANIFEST, Outcome.NOT_CHECKED, f"the folder can't be read: {_why(problem)}")
            return None
        return listed

    def _fetch(
        self, listed: dict[str, int], name: str, limit_bytes: int, check: Check, missing: int
    ) -> bytes | None:
        """Return up to one byte more than the limit, which the caller's parser then refuses."""
        if name not in listed:
            self._add(name, check, Outcome.FAILED, "missing", missing)
            return None
        try:
            with contextlib.closing(self._reader.get(self._prefix + name)) as file:
                return _read_up_to(file, limit_bytes + 1)
        except OSError as problem:
            self._add(name, check, Outcome.NOT_CHECKED, f"can't be read: {_why(problem)}")
            return None

    def _parse(self, data: bytes) -> Manifest | None:
        try:
            manifest = parse(data)
        except ManifestError as problem:
            self._add(MANIFEST_NAME, Check.MANIFEST, Outcome.FAILED, str(problem), ALTERED)
            return None
        self._add(MANIFEST_NAME, Check.MANIFEST, Outcome.OK, "well formed")
        return manifest

    def _signature(self, listed: dict[str, int], data: bytes, manifest: Manifest) -> bool:
        signature = self._fetch(listed, SIGNATURE_NAME, SIGNATURE_SIZE_BYTES, Check.SIGNATURE, BAD_SIGNATURE)
        if signature is None:
            return False
        try:
            verify_signature(data, signature, leaf_public_key(manifest.x5c))
        except (SignatureError, UntrustedSigner) as problem:
            self._add(SIGNATURE_NAME, Check.SIGNATURE, Outcome.FAILED, str(problem), BAD_SIGNATURE)
            return False
        self._add(SIGNATURE_NAME, Check.SIGNATURE, Outcome.OK, "fits the manifest")
        return True

    def _signer(self, manifest: Manifest) -> Signer | None:
        try:
            signer = self._trust.check(manifest.x5c, at=manifest.started_at, role=Role.DEVICE)
        except UntrustedSigner as problem:
            words = f"signer untrusted: {problem}"
            self._add(MANIFEST_NAME, Check.SIGNER, Outcome.FAILED, words, UNTRUSTED)
            return None
        if signer.device_id != manifest.device:
            words = (
                f"signer untrusted: {signer.device_id} signed, and the manifest is that of {manifest.device}"
            )
            self._add(MANIFEST_NAME, Check.SIGNER, Outcome.FAILED, words, UNTRUSTED)
            return None
        issuer = signer.root.subject.rfc4514_string()
        self._add(MANIFEST_NAME, Check.SIGNER, Outcome.OK, f"{signer.device_id}, vouched for by {issuer}")
        return signer

    def _place(self, manifest: Manifest) -> None:
        parts = self._prefix.rstrip("/").split("/")
        day = write_time(manifest.started_at)[: len("yyyy-mm-dd")].split("-")
        expected = ["recordings", manifest.device, *day, str(manifest.id)]
        if len(parts) == 1:
            expected = expected[-1:]
        if parts == expected:
            self._add(self._folder, Check.FOLDER, Outcome.OK, "the folder is the manifest's own")
        else:
            words = f"the folder is not the manifest's own, which would be {'/'.join(expected)}"
            self._add(self._folder, Check.FOLDER, Outcome.FAILED, words, ALTERED)

    def _object(self, listed: dict[str, int], item: ManifestObject) -> None:
        if item.name not in listed:
            self._add(item.name, Check.OBJECT, Outcome.FAILED, "missing", ALTERED)
            return
        try:
            with contextlib.closing(self._reader.get(self._prefix + item.name)) as file:
                size_bytes, sha256 = _hash(file, item.size_bytes)
        except OSError as problem:
            self._add(item.name, Check.OBJECT, Outcome.NOT_CHECKED, f"can't be read: {_why(problem)}")
            return
        if size_bytes != item.size_bytes:
            words = f"altered: more or fewer than the {item.size_bytes} bytes that the manifest says"
            self._add(item.name, Check.OBJECT, Outcome.FAILED, words, ALTERED)
        elif sha256 != item.sha256:
            words = "altered: its SHA-256 is not the one in the manifest"
            self._add(item.name, Check.OBJECT, Outcome.FAILED, words, ALTERED)
        else:
            self._add(item.name, Check.OBJECT, Outcome.OK, f"{size_bytes} bytes, SHA-256 as in the manifest")

    def _extras(self, listed: dict[str, int], manifest: Manifest) -> None:
        known = {MANIFEST_NAME, SIGNATURE_NAME, *(item.name for item in manifest.objects)}
        for name in sorted(listed.keys() - known):
            if _ADDITION_PATTERN.fullmatch(name):
                words = "a later addition; this version does not check those"
                self._add(name, Check.EXTRA, Outcome.NOT_CHECKED, words)
            else:
                words = "lies in the folder, and the manifest does not know it"
                self._add(name, Check.EXTRA, Outcome.FAILED, words, ALTERED)

    def _ledger(self, manifest: Manifest) -> None:
        if manifest.ledger is None:
            self._add(MANIFEST_NAME, Check.LEDGER, Outcome.NOTE, "no ledger entry in this version")
        else:
            words = "names a ledger entry; this version does not check those"
            self._add(MANIFEST_NAME, Check.LEDGER, Outcome.NOT_CHECKED, words)

    def _add(self, name: str, check: Check, outcome: Outcome, words: str, exit_code: int = 0) -> None:
        self._findings.append(
            Finding(
                object=name or self._folder,
                check=check,
                outcome=outcome,
                words=words,
                exit_code=NOT_CHECKED if outcome is Outcome.NOT_CHECKED else exit_code,
            )
        )


def _hash(file: BinaryIO, size_bytes: int) -> tuple[int, bytes]:
    """Return how many bytes there are, counted to at most one more than expected, and their SHA-256."""
    digest, count = hashlib.sha256(), 0
    while count <= size_bytes and (block := file.read(min(_BLOCK_SIZE_BYTES, size_bytes + 1 - count))):
        digest.update(block)
        count += len(block)
    return count, digest.digest()


def _read_up_to(file: BinaryIO, limit_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < limit_bytes and (block := file.read(limit_bytes - len(data))):
        data += block
    return bytes(data)


def _why(problem: OSError) -> str:
    return problem.strerror or str(problem)

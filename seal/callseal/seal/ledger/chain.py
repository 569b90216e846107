"""skeleton; being written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.findings import Finding
from callseal.seal.ledger.merkle import PackedHashes
from callseal.seal.manifest import LedgerPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    kind: Kind
    sequence: int
    at: datetime
    manifest: bytes | None
    result: str


class Chain:
    device: str
    public_key: Ed25519PublicKey
    findings: tuple[Finding, ...]
    size: int
    head: LedgerPlace | None
    leaves: PackedHashes

    def end(self, recording: UUID) -> End | None:
        raise NotImplementedError

    def opened(self, recording: UUID) -> int | None:
        raise NotImplementedError

    def entry_hash(self, sequence: int) -> bytes | None:
        raise NotImplementedError

    def at(self, sequence: int) -> datetime | None:
        raise NotImplementedError

    def authentic(self, sequence: int) -> bool:
        raise NotImplementedError

    def root_at(self, size: int) -> bytes | None:
        raise NotImplementedError

    def note_sha256(self, size: int) -> bytes | None:
        raise NotImplementedError


def no_progress(_entries: int, /) -> None:
    """Take no notice."""


def verify_chain(
    segments: Iterable[tuple[int, bytes]],
    *,
    device: str,
    public_key: Ed25519PublicKey,
    every_signature: bool = False,
    progress: Callable[[int], None] = no_progress,
) -> Chain:
    raise NotImplementedError

"""skeleton; being written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from callseal.seal.ledger.chain import Chain
from callseal.seal.ledger.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    size: int
    note_sha256: bytes
    at: datetime


def compare_checkpoints(chain: Chain, notes: Iterable[bytes]) -> tuple[Finding, ...]:
    raise NotImplementedError


def check_times(chain: Chain, stamps: Sequence[Stamp]) -> tuple[Finding, ...]:
    raise NotImplementedError


def compare_copies(chain: Chain, other: Chain) -> tuple[Finding, ...]:
    raise NotImplementedError

"""Receipts: what a custodian read back must be what lies here.

A receipt that holds is also an anchor: the recording was there, as it is, when the custodian received it.

A custodian's key that was revoked counts for the receipts that a store had before: by the store's own clock,
and only where nobody but the store sets it (`Stored.stored_at`).

Conventions: every receipt is judged by itself; one that does not hold proves nothing, and is told.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from callseal.seal.errors import RemoteError
from callseal.seal.keys import Role, TrustStore
from callseal.seal.manifest import Manifest
from callseal.seal.receipt import Receipt, open_receipt
from callseal.seal.timestamp import write_time
from callseal.seal.verify.findings import Check, Finding, failed, refused, well

OTHER_RECORDING: Final = "it is the receipt of another recording"
OTHER_MANIFEST: Final = "the custodian received another manifest than the one here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A receipt in a store; `stored_at` is when the store took it, None where nothing proves that."""

    name: str
    data: bytes
    stored_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What lies here of a recording: its manifest, and what every file should be.

    `folder` is the one in a store, ended by a slash; `files` are sizes and SHA-256 by name, sizes None where
    they are not told; `listed` are all names that lie here.
    """

    manifest: Manifest
    sha256: bytes
    folder: str
    files: Mapping[str, tuple[int | None, bytes]]
    listed: frozenset[str]


def check_receipt(
    name: str, data: bytes, recorded: Recorded, trust: TrustStore, *, stored_at: datetime | None = None
) -> tuple[Finding, datetime | None]:
    """Compare a receipt with a recording; return when it was received, if all of it holds."""
    try:
        receipt, chain = open_receipt(data)
        custodian = trust.check(chain, at=receipt.received_at, role=Role.CUSTODIAN, anchored_before=stored_at)
    except RemoteError as problem:
        return refused(name, Check.RECEIPT, problem), None
    manifest = recorded.manifest
    if (receipt.id, receipt.device) != (manifest.id, manifest.device):
        return failed(name, Check.RECEIPT, OTHER_RECORDING), None
    if receipt.manifest != recorded.sha256:
        return failed(name, Check.RECEIPT, OTHER_MANIFEST), None
    wrong = next(_differences(receipt, recorded), None)
    if wrong is not None:
        return failed(name, Check.RECEIPT, wrong), None
    words = f"received by {custodian.device_id} at {write_time(receipt.received_at)}, as it is here"
    if custodian.revoked_since is not None and stored_at is not None:
        words += (
            f"; revoked since {write_time(custodian.revoked_since)}, and the store had this at"
            f" {write_time(stored_at)}"
        )
    return well(name, Check.RECEIPT, words), receipt.received_at


def _differences(receipt: Receipt, recorded: Recorded) -> Iterator[str]:
    """Yield in words what the custodian received otherwise than it is here."""
    received = {item.name.removeprefix(recorded.folder): item for item in receipt.objects}
    for promised in recorded.manifest.objects:
        if promised.name not in received:
            yield f"the custodian did not receive {promised.name}"
    for name, item in received.items():
        there = recorded.files.get(name)
        if there is None:
            if name not in recorded.listed:
                yield f"the custodian received {name}, and it is not here"
            continue
        size_bytes, sha256 = there
        if item.sha256 != sha256 or size_bytes not in {None, item.size_bytes}:
            yield f"the custodian received another {name} than the one that belongs here"

"""What somebody else than the device says of a recording: a time stamp, a custodian's receipt.

Conventions: only what fits is included. A stamp or receipt whose author nobody here vouches for is included
and said to be unchecked; one that is malformed or about something else is left out, and said to be. A receipt
by a trusted custodian that does not fit the recording is an `AlteredObject`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from callseal.cli.errors import AlteredObject
from callseal.cli.evidence.gaps import Code, Gap, gap
from callseal.cli.i18n import _
from callseal.cli.ledgers import Receipt
from callseal.seal import receipt as formats
from callseal.seal.errors import RemoteError, UntrustedSigner
from callseal.seal.keys import Role, Signer, TrustStore
from callseal.seal.manifest import MANIFEST_NAME
from callseal.seal.receipt import open_receipt
from callseal.seal.stamp import Stamp, open_stamp, read_stamp
from callseal.seal.verify import LedgerCopy
from callseal.seal.verify.receipts import Recorded, check_receipt

MAX_STAMPS: Final = 16
"""How many are tried of those on one checkpoint: each store may have one."""
MAX_STAMPED: Final = 64
"""How many checkpoints are looked at for one whose stamp somebody vouches for."""
_NO_STAMP: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StampFound:
    """A time stamp on the checkpoint; `root` vouches for its authority, None where nobody does."""

    data: bytes
    stamp: Stamp
    root: x509.Certificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFound:
    """A receipt for the recording; `signer` is None where nobody vouches for the custodian."""

    data: bytes
    receipt: formats.Receipt
    certificate: bytes
    signer: Signer | None


class Stamps:
    """The time stamps on a device's checkpoints, read as they are asked for."""

    def __init__(
        self, ledgers: Mapping[int, Sequence[LedgerCopy]], roots: Sequence[x509.Certificate]
    ) -> None:
        self._ledgers = ledgers
        self._roots = tuple(roots)
        self._found: dict[tuple[int, bytes], tuple[StampFound | None, tuple[Gap, ...]]] = {}

    @property
    def sizes(self) -> Collection[int]:
        """The sizes of the checkpoints that have a stamp."""
        return self._ledgers.keys()

    def rank(self, size: int, note: bytes) -> int:
        """Return how good the stamp on a checkpoint is: 0 vouched for, 1 not vouched for, 2 none."""
        stamp, _gaps = self.find(size, note)
        return _NO_STAMP if stamp is None else int(stamp.root is None)

    def find(self, size: int, note: bytes) -> tuple[StampFound | None, tuple[Gap, ...]]:
        """Return the stamp on this checkpoint over `size` entries, and what it lacks."""
        if size not in self._ledgers:
            return None, (gap(Code.NO_STAMP),)
        if (size, note) not in self._found:
            if len(self._found) >= MAX_STAMPED:
                return None, (gap(Code.NO_STAMP),)
            self._found[size, note] = self._find(size, note)
        return self._found[size, note]

    def _find(self, size: int, note: bytes) -> tuple[StampFound | None, tuple[Gap, ...]]:
        unchecked: StampFound | None = None
        gaps: list[Gap] = []
        for copy in self._ledgers[size][:MAX_STAMPS]:
            try:
                data = copy.stamp(size)
                stamp = open_stamp(data, note)
            except OSError as problem:
                gaps.append(gap(Code.PLACE_UNREAD, why=f"{copy.place}: {problem}"))
                continue
            except RemoteError as problem:
                gaps.append(gap(Code.STAMP_REFUSED, name=f"{copy.place}: {size}", why=str(problem)))
                continue
            for root in self._roots:
                if _vouches(root, data, note):
                    return StampFound(data=data, stamp=stamp, root=root), tuple(gaps)
            unchecked = unchecked or StampFound(data=data, stamp=stamp, root=None)
        if unchecked is not None:
            gaps.append(gap(Code.STAMP_UNCHECKED, authority=unchecked.stamp.authority))
        return unchecked, tuple(gaps)


def find_receipt(
    receipts: Sequence[Receipt], recorded: Recorded, trust: TrustStore
) -> tuple[ReceiptFound | None, tuple[Gap, ...]]:
    """Return the receipt for a recording, and what it lacks; raises AlteredObject."""
    gaps: list[Gap] = []
    untrusted: ReceiptFound | None = None
    for kept in receipts:
        try:
            data = kept.read()
            receipt, chain = open_receipt(data)
        except OSError as problem:
            gaps.append(gap(Code.PLACE_UNREAD, why=f"{kept.name}: {problem}"))
            continue
        except RemoteError as problem:
            gaps.append(gap(Code.RECEIPT_REFUSED, why=str(problem)))
            continue
        try:
            signer = trust.check(chain, at=receipt.received_at, role=Role.CUSTODIAN)
        except UntrustedSigner as problem:
            about = receipt.id, receipt.device, receipt.manifest
            if about == (recorded.manifest.id, recorded.manifest.device, recorded.sha256):
                gaps.append(gap(Code.RECEIPT_UNTRUSTED, why=str(problem)))
                untrusted = ReceiptFound(data=data, receipt=receipt, certificate=chain[0], signer=None)
            else:
                gaps.append(gap(Code.RECEIPT_REFUSED, why=str(problem)))
            continue
        finding, received_at = check_receipt(MANIFEST_NAME, data, recorded, trust)
        if received_at is None:
            words = _("{where}: ALTERED, nothing of it is given out: {why}")
            raise AlteredObject(
                words.format(where=MANIFEST_NAME, why=finding.words), object_name=MANIFEST_NAME
            )
        return ReceiptFound(data=data, receipt=receipt, certificate=chain[0], signer=signer), ()
    if not gaps:
        gaps.append(gap(Code.NO_RECEIPT))
    return untrusted, tuple(gaps)


def _vouches(root: x509.Certificate, data: bytes, note: bytes) -> bool:
    try:
        read_stamp(data, note, [root])
    except RemoteError:
        return False
    return True

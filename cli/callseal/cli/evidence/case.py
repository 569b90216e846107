"""All that was found about one recording when its evidence was collected: what a statement says."""

from dataclasses import dataclass
from datetime import datetime

from callseal.cli.evidence.contents import Contents
from callseal.cli.evidence.gaps import Gap
from callseal.cli.evidence.history import History
from callseal.cli.evidence.witnesses import ReceiptFound, StampFound
from callseal.cli.opening import Sealed
from callseal.seal.keys import Signer
from callseal.seal.manifest import Manifest
from callseal.seal.revocation import CRL


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """What is public: who vouches for the signer, what ledger, time stamp and receipt say, what is missing.

    `signer` is None where nobody vouches for it. `revocations` is the list of the signer's root.
    """

    manifest_sha256: bytes
    signer: Signer | None
    revocations: CRL | None
    history: History | None
    stamp: StampFound | None
    receipt: ReceiptFound | None
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One recording, opened, with its proofs."""

    sealed: Sealed
    proofs: Proofs
    contents: Contents
    made_at: datetime
    software: str

    @property
    def manifest(self) -> Manifest:
        """What the device signed."""
        return self.sealed.manifest

"""What an evidence folder does not prove, though one might expect it to: codes, with what goes with them.

Conventions: a code is the name of a section of the words (``gap <code>``) and never changes its meaning. The
values are texts as they were found; whoever writes them into a document makes them harmless first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Code(StrEnum):
    """Why something could not be included, or not be checked."""

    NO_SOUND = "no-sound"
    SOUND_LOST = "sound-lost"
    NO_CONTENT_HASH = "no-content-hash"
    SIGNER_UNTRUSTED = "signer-untrusted"
    SIGNER_REVOKED = "signer-revoked"
    NO_REVOCATIONS = "no-revocations"
    REVOCATIONS_STALE = "revocations-stale"
    PLACE_UNREAD = "place-unread"
    NO_LEDGER = "no-ledger"
    LEDGER_OLDER = "ledger-older"
    LEDGER_WITHOUT_END = "ledger-without-end"
    LEDGER_DOUBTFUL = "ledger-doubtful"
    LEDGER_FAULTY = "ledger-faulty"
    NO_PROOF = "no-proof"
    NO_STAMP = "no-stamp"
    STAMP_UNCHECKED = "stamp-unchecked"
    STAMP_REFUSED = "stamp-refused"
    NO_RECEIPT = "no-receipt"
    RECEIPT_UNTRUSTED = "receipt-untrusted"
    RECEIPT_REFUSED = "receipt-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One thing that is not proved."""

    code: Code
    values: Mapping[str, str] = field(default_factory=dict)


def gap(code: Code, **values: str) -> Gap:
    """Return a gap."""
    return Gap(code=code, values=values)

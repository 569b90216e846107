"""Is this what the devices sealed? Answered with public material only: no key, no plaintext.

::

    verify_recording    one recording's folder: manifest, signature, signer, objects; its place in its
                        device's ledger and what custodians vouch for, as far as they are at hand
    verify_device       one device's ledger: the chain, its checkpoints, time stamps, a second copy
    verify_presence     all that the ledger and the receipts speak of is there
    StoreCheck          what is there is in every store that it is meant for

Conventions: a finding's outcome is ok, failed, not-checked or note. The exit code is the gravest of 12
(altered), 13 (bad signature), 14 (signer untrusted), 15 (not everything could be checked); 0 means that
everything was checked and that somebody we trust vouches for it. What can't be read is "not checked", never
"ok" and never "altered". Nothing is raised for what is found.
"""

from callseal.seal.verify.device import DeviceReport, LedgerFacts, verify_device
from callseal.seal.verify.findings import (
    ALTERED,
    BAD_SIGNATURE,
    NOT_CHECKED,
    UNTRUSTED,
    Check,
    Finding,
    Outcome,
    gravest,
)
from callseal.seal.verify.ledger import Anchor, DeviceLedger
from callseal.seal.verify.presence import StoreCheck, Vouched, verify_presence
from callseal.seal.verify.reading import ListedObject, LocalFolder, ObjectReader
from callseal.seal.verify.recording import MAX_LISTED, NOTHING, Evidence, Report, verify_recording
from callseal.seal.verify.segments import LedgerCopy

__all__ = [
    "ALTERED",
    "BAD_SIGNATURE",
    "MAX_LISTED",
    "NOTHING",
    "NOT_CHECKED",
    "UNTRUSTED",
    "Anchor",
    "Check",
    "DeviceLedger",
    "DeviceReport",
    "Evidence",
    "Finding",
    "LedgerCopy",
    "LedgerFacts",
    "ListedObject",
    "LocalFolder",
    "ObjectReader",
    "Outcome",
    "Report",
    "StoreCheck",
    "Vouched",
    "gravest",
    "verify_device",
    "verify_presence",
    "verify_recording",
]

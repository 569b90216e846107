"""What the files of an evidence folder are called; the statement's commands know these names too."""

from typing import Final

STATEMENT_ENGLISH: Final = "STATEMENT.en.md"
STATEMENT_CHINESE: Final = "STATEMENT.zh.md"
STEPS: Final = "check.sh"
SUMS: Final = "SHA256SUMS"

WAV: Final = "audio.wav"
INNER: Final = "inner.au"

SEALED: Final = "sealed"
REWRAPPED: Final = "rewrapped"
VCON: Final = "vcon"
CERTIFICATES: Final = "certificates"
LEDGER: Final = "ledger"
RECEIPT: Final = "receipt"

PROTECTED: Final = "protected.json"
"""Of a signed document (JWS): the header that the signature covers."""
CALL_DOCUMENT: Final = "call.jws"
CALL_PAYLOAD: Final = "vcon.json"
CALL_SIGNATURE: Final = "vcon.sig"
RECEIPT_DOCUMENT: Final = "receipt.jws"
RECEIPT_PAYLOAD: Final = "receipt.json"
RECEIPT_SIGNATURE: Final = "receipt.sig"

ONE_OFF_KEY: Final = f"{REWRAPPED}/one-off.key"

DEVICE_CERTIFICATE: Final = f"{CERTIFICATES}/device.pem"
ROOT_CERTIFICATE: Final = f"{CERTIFICATES}/root.pem"
CUSTODIAN_CERTIFICATE: Final = f"{CERTIFICATES}/custodian.pem"
CUSTODIAN_ROOT: Final = f"{CERTIFICATES}/custodian-root.pem"
AUTHORITY_ROOT: Final = f"{CERTIFICATES}/tsa.pem"
REVOCATIONS: Final = f"{CERTIFICATES}/crl.pem"

CHECKPOINT: Final = f"{LEDGER}/checkpoint"
CHECKPOINT_SIGNATURE: Final = f"{LEDGER}/checkpoint.sig"
STAMP: Final = f"{LEDGER}/stamp.tsr"


def rewrapped(kind: str) -> str:
    """Return the name of an object's re-wrapped copy."""
    return f"{REWRAPPED}/{kind}.age"


def entry(sequence: int) -> str:
    """Return the name of a ledger entry's exact bytes."""
    return f"{LEDGER}/entry-{sequence}.json"


def entry_signature(sequence: int) -> str:
    """Return the name of a ledger entry's signature."""
    return f"{LEDGER}/entry-{sequence}.sig"


def proof(sequence: int, number: int, *, left: bool) -> str:
    """Return the name of a hash of an inclusion proof; `number` counts from 1, from the leaf upwards."""
    return f"{LEDGER}/proof-{sequence}/{number:02}-{'left' if left else 'right'}"

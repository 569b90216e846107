"""Who this device is: its key, and the certificate that the organisation gave it."""

from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.agent.recorder import Signer
from callseal.seal import keys
from callseal.seal.errors import KeyFileError

_SELF_SIGNED_YEARS: Final = 10


def load(key_file: Path, certificate_file: Path, now: datetime) -> tuple[Signer, str]:
    """Read the device's identity; gives it and a warning in words, empty when there is none.

    Without a certificate the device vouches for itself, and its recordings verify as untrusted. Raises
    KeyFileError: no key, or a certificate for another one.
    """
    key = keys.read_signing_key(key_file)
    public = key.public_key()
    warning = ""
    if certificate_file.exists():
        certificates = keys.read_certificates(certificate_file)
        chain = keys.chain_der(certificates)
        if not _same(keys.leaf_public_key(chain), public):
            raise KeyFileError(
                f"the certificate is not for the key in {key_file}: have this device's key certified",
                path=certificate_file,
            )
    else:
        chain = keys.chain_der(
            [keys.self_signed(key, role=keys.Role.DEVICE, now=now, years=_SELF_SIGNED_YEARS)]
        )
        warning = (
            f"this device has no certificate ({certificate_file} is missing): "
            "its recordings verify as 'signer untrusted'"
        )
    return Signer(device=keys.device_id(public), key=key, chain=chain), warning


def _same(one: Ed25519PublicKey, other: Ed25519PublicKey) -> bool:
    return one.public_bytes_raw() == other.public_bytes_raw()

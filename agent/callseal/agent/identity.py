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
    if _exists(certificate_file):
        certificates = keys.read_certificates(certificate_file)
        chain = keys.chain_der(certificates)
        if not _same(keys.leaf_public_key(chain), public):
            raise KeyFileError(
                f"the certificate is not for the key in {key_file}: have this device's key certified",
                path=certificate_file,
            )
        leaf = certificates[0]
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            warning = (
                f"this device's certificate holds from {leaf.not_valid_before_utc:%Y-%m-%d} to "
                f"{leaf.not_valid_after_utc:%Y-%m-%d} ({certificate_file}): have the key certified again, or "
                "set the clock; until then its recordings verify as 'signer untrusted'"
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


def _exists(path: Path) -> bool:
    """Say whether there is such a file; one in a folder that this user may not enter is not missing."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as problem:
        raise KeyFileError(f"can't be read: {problem.strerror}", path=path) from problem
    return True


def _same(one: Ed25519PublicKey, other: Ed25519PublicKey) -> bool:
    return one.public_bytes_raw() == other.public_bytes_raw()

"""Who this device is: its key, and the certificate that the organisation gave it.

The key comes as a systemd credential or lies in a file that nobody else can read: see `seal.credentials`.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal import credentials, keys
from callseal.seal.device import DeviceSigner
from callseal.seal.errors import KeyFileError

CREDENTIAL: Final = "device.key"
_SELF_SIGNED_YEARS: Final = 10
_REMEDY: Final = "revoke it and enroll this device anew"


def key_path(key_file: Path, env: Mapping[str, str]) -> Path:
    """Return where the device's key is: systemd's credential if there is one, else the settings' file."""
    return credentials.key_path(key_file, CREDENTIAL, env)


def load(
    key_file: Path, certificate_file: Path, now: datetime, *, env: Mapping[str, str] = os.environ
) -> tuple[DeviceSigner, str]:
    """Read the device's identity; gives it and a warning in words, empty when there is none.

    Without a certificate the device vouches for itself, and its recordings verify as untrusted. Raises
    KeyFileError: no key, one that others may have read, or a certificate for another one.
    """
    path = key_path(key_file, env)
    if path == key_file:
        credentials.check_private(path, remedy=_REMEDY)
    key = keys.read_signing_key(path)
    public = key.public_key()
    warning = ""
    if credentials.exists(certificate_file):
        certificates = keys.read_certificates(certificate_file)
        chain = keys.chain_der(certificates)
        if not _same(keys.leaf_public_key(chain), public):
            raise KeyFileError(
                f"the certificate is not for the key in {path}: have this device's key certified",
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
    return DeviceSigner(device=keys.device_id(public), key=key, chain=chain), warning


def _same(one: Ed25519PublicKey, other: Ed25519PublicKey) -> bool:
    return one.public_bytes_raw() == other.public_bytes_raw()

"""Who this device is: its key, and the certificate that the organisation gave it.

The key comes as a systemd credential (``LoadCredential=``, ``LoadCredentialEncrypted=``) or lies in a file
that nobody but this account, and root, can read: whoever else has read it may sign in this device's name, so
that such a file is refused rather than used. A credential is guarded by systemd and not judged here.

Source: systemd.exec(5), "Credentials".
"""

import os
import stat
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal import keys
from callseal.seal.device import DeviceSigner
from callseal.seal.errors import KeyFileError

CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
CREDENTIAL: Final = "device.key"
_SELF_SIGNED_YEARS: Final = 10
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_ROOT: Final = 0


def key_path(key_file: Path, env: Mapping[str, str]) -> Path:
    """Return where the device's key is: systemd's credential if there is one, else the settings' file."""
    folder = env.get(CREDENTIALS_VARIABLE)
    if folder and _exists(Path(folder) / CREDENTIAL):
        return Path(folder) / CREDENTIAL
    return key_file


def load(
    key_file: Path, certificate_file: Path, now: datetime, *, env: Mapping[str, str] = os.environ
) -> tuple[DeviceSigner, str]:
    """Read the device's identity; gives it and a warning in words, empty when there is none.

    Without a certificate the device vouches for itself, and its recordings verify as untrusted. Raises
    KeyFileError: no key, one that others may have read, or a certificate for another one.
    """
    path = key_path(key_file, env)
    if path == key_file:
        _check_private(path)
    key = keys.read_signing_key(path)
    public = key.public_key()
    warning = ""
    if _exists(certificate_file):
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


def _check_private(path: Path) -> None:
    """Raise KeyFileError for a key file that somebody else may have read or put there."""
    try:
        found = path.stat()
    except OSError as problem:
        raise KeyFileError(f"can't be read: {problem.strerror}", path=path) from problem
    if found.st_mode & _OTHERS:
        raise KeyFileError(
            f"other accounts may read this private key (mode {stat.S_IMODE(found.st_mode):o}): chmod 600 it,"
            " and if others may have read it, revoke it and enroll this device anew",
            path=path,
        )
    if found.st_uid not in {_ROOT, os.geteuid()}:
        raise KeyFileError(
            f"this private key belongs to user {found.st_uid}, and the service runs as user {os.geteuid()}:"
            " chown it to that user, and chmod 600 it",
            path=path,
        )


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

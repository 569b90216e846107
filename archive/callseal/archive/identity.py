"""Who this custodian is: its key, and the certificate by which the organisation lets it sign receipts.

How a custodian is made, two machines and two people as for a device::

    central machine                                     offline, with the root
    callseal custodian --enroll       custodian.csr ──▶ callseal keys certify --role custodian
    [custodian] certificate_file ◀── custodian.pem ───

The key comes as a systemd credential named ``custodian.key`` or lies in a file that nobody else can read: see
`seal.credentials`. Unlike a device, which records whether or not somebody vouches for it, a custodian without
a certificate of that role does not start: its receipts would be refused everywhere, and desks would keep for
ever what they believe was never received.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal import credentials, keys
from callseal.seal.errors import KeyFileError, UntrustedSigner
from callseal.seal.keys import Role, TrustStore

CREDENTIAL: Final = "custodian.key"
MAKE_ONE: Final = (
    "`callseal custodian --enroll` writes a request, which `callseal keys certify --role custodian` certifies"
    " on the machine with the organisation's root"
)

_REMEDY: Final = "revoke it and make another: " + MAKE_ONE


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianIdentity:
    """A custodian's name and key, and its certificates (DER, leaf first)."""

    name: str
    key: Ed25519PrivateKey = field(repr=False)
    chain: tuple[bytes, ...] = field(repr=False)


def key_path(key_file: Path, env: Mapping[str, str]) -> Path:
    """Return where the custodian's key is: systemd's credential if there is one, else the settings' file."""
    return credentials.key_path(key_file, CREDENTIAL, env)


def load(
    key_file: Path,
    certificate_file: Path,
    trust: TrustStore,
    now: datetime,
    *,
    env: Mapping[str, str] = os.environ,
) -> CustodianIdentity:
    """Read the custodian's identity, and check it as every reader of its receipts will.

    Raises KeyFileError: no key, one that others may have read, no certificate, or one for another key.
    Raises UntrustedSigner: a certificate of another role, of an unknown root, revoked, or out of its time.
    """
    path = key_path(key_file, env)
    if path == key_file:
        if not credentials.exists(path):
            raise KeyFileError(f"this custodian has no key: {MAKE_ONE}", path=path)
        credentials.check_private(path, remedy=_REMEDY)
    key = keys.read_signing_key(path)
    if not credentials.exists(certificate_file):
        raise KeyFileError(f"this custodian has no certificate: {MAKE_ONE}", path=certificate_file)
    chain = keys.chain_der(keys.read_certificates(certificate_file))
    if keys.leaf_public_key(chain).public_bytes_raw() != key.public_key().public_bytes_raw():
        raise KeyFileError(
            f"the certificate is not for the key in {path}: have this custodian's key certified",
            path=certificate_file,
        )
    try:
        signer = trust.check(chain, at=now, role=Role.CUSTODIAN)
    except UntrustedSigner as problem:
        words = f"{certificate_file}: no certificate that lets this custodian sign receipts: {problem}"
        raise UntrustedSigner(f"{words}. {MAKE_ONE}") from problem
    return CustodianIdentity(name=signer.device_id, key=key, chain=chain)

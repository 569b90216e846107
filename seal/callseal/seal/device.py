"""The device that signs: its name, its key, and the certificates that vouch for it."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal import manifest as mf
from callseal.seal.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSigner:
    """This device's name and key, and its certificates (DER, leaf first)."""

    device: str
    key: Ed25519PrivateKey = field(repr=False)
    chain: tuple[bytes, ...] = field(repr=False)

    def sign(self, manifest: Manifest) -> bytes:
        """Return the manifest's signature."""
        return mf.sign(manifest.to_bytes(), self.key)

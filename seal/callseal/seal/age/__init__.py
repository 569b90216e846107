"""The age v1 file format: sealing to public keys, opening with private ones.

`Encryptor` writes and `decrypt` reads; `Recipient` and `Identity` are the two halves of a key. Pure, but for
reading from the binary stream that the caller opened. Anything sealed here opens with stock age, and the
other way round.
Source: https://c2sp.org/age (age.md); test vectors: C2SP CCTV.
"""

from callseal.seal.age.armor import armor, dearmor, open_age
from callseal.seal.age.decryptor import Decryptor, decrypt, unwrap_file_key
from callseal.seal.age.encryptor import Encryptor
from callseal.seal.age.header import Header, read_header
from callseal.seal.age.hybrid import HybridIdentity, HybridRecipient
from callseal.seal.age.identity import Identity, parse_identity
from callseal.seal.age.payload import CHUNK_SIZE_BYTES, SEALED_CHUNK_SIZE_BYTES
from callseal.seal.age.recipient import Recipient, check_together, fingerprint, parse_recipient
from callseal.seal.age.rewrap import rewrap, rewrap_header
from callseal.seal.age.scrypt import ScryptIdentity, ScryptRecipient
from callseal.seal.age.stanza import Stanza
from callseal.seal.age.x25519 import X25519Identity, X25519Recipient

__all__ = [
    "CHUNK_SIZE_BYTES",
    "SEALED_CHUNK_SIZE_BYTES",
    "Decryptor",
    "Encryptor",
    "Header",
    "HybridIdentity",
    "HybridRecipient",
    "Identity",
    "Recipient",
    "ScryptIdentity",
    "ScryptRecipient",
    "Stanza",
    "X25519Identity",
    "X25519Recipient",
    "armor",
    "check_together",
    "dearmor",
    "decrypt",
    "fingerprint",
    "open_age",
    "parse_identity",
    "parse_recipient",
    "read_header",
    "rewrap",
    "rewrap_header",
    "unwrap_file_key",
]

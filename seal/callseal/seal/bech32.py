"""Bech32: the text form of age's recipients and identities (BIP 173, without its length limit).

Conventions: a string is a human-readable prefix, the separator "1", then data in a 32-character
alphabet, the last six of them a checksum. All of it in one case: age writes recipients in lower case
and identities in upper case, so `decode` hands the prefix back as it was written and the caller compares.
Messages name positions, never characters: the string may be a private key with a slip of the pen.
Source: BIP 173, "Bech32"; age.md, "Encoding" of recipients and identities.
"""

from collections.abc import Iterable, Iterator

from callseal.seal.errors import KeyFileError

TEXT_LIMIT_CHARS = 8192  # a post-quantum recipient has 1,959

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_CHARS = 6
_VALID = 1  # what the checksum polynomial leaves for a right string
_FIRST_PRINTABLE, _LAST_PRINTABLE = 33, 126


def encode(prefix: str, data: bytes) -> str:
    """Write `data` under `prefix`; the whole in upper case if the prefix is."""
    low = prefix.lower()
    values = _to_fives(data)
    remainder = _polymod([*_spread(low), *values, *[0] * _CHECKSUM_CHARS]) ^ _VALID
    values += [remainder >> 5 * (_CHECKSUM_CHARS - 1 - index) & 31 for index in range(_CHECKSUM_CHARS)]
    text = f"{low}1{''.join(_ALPHABET[value] for value in values)}"
    return text.upper() if prefix.isupper() else text


def decode(text: str) -> tuple[str, bytes]:
    """Read a string; return its prefix, in the case it was written in, and its data.

    Raises `KeyFileError` (without a place) for everything that is not exactly one Bech32 string.
    """
    if len(text) > TEXT_LIMIT_CHARS:
        raise KeyFileError(f"longer than {TEXT_LIMIT_CHARS} characters: no key is")
    for position, character in enumerate(text):
        if not _FIRST_PRINTABLE <= ord(character) <= _LAST_PRINTABLE:
            raise KeyFileError(f"character {position + 1} is not a printable ASCII character")
    low = text.lower()
    if text not in (low, text.upper()):
        raise KeyFileError("upper and lower case are mixed")
    end = text.rfind("1")
    if end < 1:
        raise KeyFileError("no key prefix before a '1'")
    if len(text) - end - 1 < _CHECKSUM_CHARS:
        raise KeyFileError("too short for its checksum")

    values: list[int] = []
    for position in range(end + 1, len(low)):
        value = _VALUES.get(low[position])
        if value is None:
            raise KeyFileError(f"character {position + 1} does not occur in keys")
        values.append(value)
    if _polymod([*_spread(low[:end]), *values]) != _VALID:
        raise KeyFileError("the checksum does not fit: mistyped or cut off")
    return text[:end], _to_bytes(values[:-_CHECKSUM_CHARS])


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _spread(prefix: str) -> Iterator[int]:
    yield from (ord(character) >> 5 for character in prefix)
    yield 0
    yield from (ord(character) & 31 for character in prefix)


def _to_fives(data: bytes) -> list[int]:
    values: list[int] = []
    pending = bits = 0
    for byte in data:
        pending = (pending << 8 | byte) & 0xFFF
        bits += 8
        while bits >= 5:  # noqa: PLR2004 - 2^5 = 32 characters
            bits -= 5
            values.append(pending >> bits & 31)
    if bits:
        values.append(pending << 5 - bits & 31)
    return values


def _to_bytes(values: list[int]) -> bytes:
    data = bytearray()
    pending = bits = 0
    for value in values:
        pending = (pending << 5 | value) & 0xFFF
        bits += 5
        if bits >= 8:  # noqa: PLR2004 - a byte
            bits -= 8
            data.append(pending >> bits & 255)
    if bits >= 5 or pending & (1 << bits) - 1:  # noqa: PLR2004 - a whole character too many
        raise KeyFileError("surplus bits after the key")
    return bytes(data)

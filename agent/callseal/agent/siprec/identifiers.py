"""Identifiers that telephone systems give to a call, each brought into one spelling.

Conventions: what is no such identifier gives "". Nothing raises.

Sources: RFC 7989 (Session-ID), RFC 7433 (User-to-User), Avaya's description of its Universal Call Identifier,
Cisco's of its GUID.
"""

import re
from typing import Final

MAX_IDENTIFIER_CHARS: Final = 256

_UCID_TYPE: Final = 0xFA
_UCID_BYTES: Final = 8
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){2,256}")
_UCID_HEX: Final = re.compile(r"[0-9A-Fa-f]{16}")
_UCID_DECIMAL: Final = re.compile(r"[0-9]{20}")
_GUID_HEX: Final = re.compile(r"[0-9A-Fa-f]{32}")
_GUID_DECIMAL: Final = re.compile(r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,10})")
_MAX_WORD: Final = 0xFFFFFFFF
_NIL: Final = "0" * 32


def ucid_of(text: str) -> str:
    """Read an Avaya UCID: 20 digits, as its reports show it.

    It comes as these digits, as the 16 hexadecimal digits of its eight bytes, or within user-to-user
    information: "00FA08" before the 16, perhaps with other elements around and ";encoding=hex" behind.
    """
    plain = text.partition(";")[0].strip()[:MAX_IDENTIFIER_CHARS]
    if _UCID_DECIMAL.fullmatch(plain):
        return plain
    if _UCID_HEX.fullmatch(plain):
        return _ucid(bytes.fromhex(plain))
    if not _HEX.fullmatch(plain):
        return ""
    data = bytes.fromhex(plain)
    for start in (1, 0):  # behind the protocol discriminator, or without one (ITU-T Q.931 section 4.5.30)
        if found := _element(data, start):
            return _ucid(found)
    return ""


def guid_of(text: str) -> str:
    """Read a Cisco GUID: 32 hexadecimal digits, which it also writes as four decimal numbers."""
    plain = text.strip()[:MAX_IDENTIFIER_CHARS]
    if _GUID_HEX.fullmatch(plain):
        return "" if plain == _NIL else plain.lower()
    if found := _GUID_DECIMAL.fullmatch(plain):
        words = [int(word) for word in found.groups()]
        if all(word <= _MAX_WORD for word in words) and any(words):
            return "".join(f"{word:08x}" for word in words)
    return ""


def session_ids_of(text: str) -> tuple[str, ...]:
    """Read a session identifier: the UUIDs of both ends that are known; or what stands in its place.

    Some gateways put the Call-ID of the recorded call here, in one or both places.
    """
    first, *parameters = (piece.strip() for piece in text[: 2 * MAX_IDENTIFIER_CHARS].split(";"))
    remote = next((value for value in parameters if value.lower().startswith("remote=")), "")
    found = (first, remote.partition("=")[2].strip())
    return tuple(dict.fromkeys(_session_id(value) for value in found if value and value != _NIL))


def _session_id(value: str) -> str:
    return value.lower() if _GUID_HEX.fullmatch(value) else value


def _element(data: bytes, start: int) -> bytes | None:
    """Find a UCID among the elements of user-to-user information: type, length, value."""
    while start + 2 <= len(data):
        kind, length = data[start], data[start + 1]
        value = data[start + 2 : start + 2 + length]
        if kind == _UCID_TYPE and length == len(value) == _UCID_BYTES:
            return value
        start += 2 + length
    return None


def _ucid(data: bytes) -> str:
    """Write a UCID: node (2 bytes), sequence (2), time (4)."""
    node, sequence, time = data[0:2], data[2:4], data[4:8]
    return "".join(
        f"{int.from_bytes(part):0{width}d}" for part, width in ((node, 5), (sequence, 5), (time, 10))
    )

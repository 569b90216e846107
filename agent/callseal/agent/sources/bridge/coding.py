"""Which codings a leg may speak, in the library's words.

Pure. At a clock of 8 kHz that is G.711 alone; at 16 kHz G.722 besides, and first. DTMF's own format
(telephone-event, RFC 4733) is always there.
"""

from typing import Final

NAMES: Final = {"PCMU": "PCMU/8000/1", "PCMA": "PCMA/8000/1", "G722": "G722/16000/1"}
"""The library's name of each coding, by its encoding name."""
_NARROW: Final = ("PCMU", "PCMA")
_WIDE_HZ: Final = 16_000
_STATIC: Final = {"0": "PCMU", "8": "PCMA", "9": "G722"}
"""RTP payload types that need no rtpmap (RFC 3551 table 4)."""
_HIGHEST: Final = 255
_KEYS: Final = "TELEPHONE-EVENT"


def usual(rate_hz: int) -> tuple[str, ...]:
    """Give the codings of a bridge at this clock, in order of preference."""
    return ("G722", *_NARROW) if rate_hz >= _WIDE_HZ else _NARROW


def offered(description: str, rate_hz: int) -> tuple[str, ...]:
    """Give those codings that the audio of a session description offers, in its order."""
    known = usual(rate_hz)
    names = _formats(description.replace("\r\n", "\n").split("\n")).values()
    return tuple(dict.fromkeys(name for name in names if name in known))


def extended(heard: tuple[str, ...], rate_hz: int) -> tuple[str, ...]:
    """Give what the called side is offered: the caller's codings in its order, then the rest of G.711.

    Where the two laws meet, the bridge turns one into the other. G.722 is not added: there is nothing in a
    caller's G.711 that it could carry. A caller that offers nothing yet (RFC 3261 section 13.2.1) gets all.
    """
    return tuple(dict.fromkeys((*heard, *_NARROW))) if heard else usual(rate_hz)


def narrowed(answer: str, coding: str) -> str:
    """Give an answer whose audio speaks this coding, and keys, only; as it was where it does not offer it.

    Everything else stands as it stood, an SRTP key among it.
    """
    lines = answer.split("\r\n")
    formats = _formats(lines)
    dropped = {number for number, name in formats.items() if name not in (coding, _KEYS)}
    if coding not in formats.values() or not dropped:
        return answer
    kept = []
    for line in lines:
        attribute, _, value = line.partition(":")
        if line.startswith("m=audio "):
            kept.append(
                " ".join([*line.split()[:3], *(number for number in formats if number not in dropped)])
            )
        elif attribute not in ("a=rtpmap", "a=fmtp") or value.partition(" ")[0] not in dropped:
            kept.append(line)
    return "\r\n".join(kept)


def priorities(wanted: tuple[str, ...]) -> dict[str, int]:
    """Give the priority of each coding by the library's name: 255 and down, 0 for what is not wanted."""
    order = {name: _HIGHEST - place for place, name in enumerate(wanted)}
    return {library: order.get(name, 0) for name, library in NAMES.items()}


def _formats(lines: list[str]) -> dict[str, str]:
    """Give the encoding name of each payload type of the first audio stream, in its order."""
    numbers: list[str] = []
    mapped: dict[str, str] = {}
    audio = False
    for line in lines:
        if line.startswith("m="):
            if numbers:
                break  # a second stream is none of the bridge's
            audio = line.startswith("m=audio ")
            numbers = line.split()[3:] if audio else []
        elif audio and line.startswith("a=rtpmap:"):
            number, _, name = line.removeprefix("a=rtpmap:").partition(" ")
            mapped[number] = name.partition("/")[0].strip().upper()
    return {number: mapped.get(number, _STATIC.get(number, "")) for number in numbers}

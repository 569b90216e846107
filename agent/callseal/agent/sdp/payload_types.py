"""What payload types mean that need no explanation, and how encodings are written.

Conventions: encoding names are in upper case everywhere but on the wire. Source: RFC 3551 section 6.
"""

from typing import Final

from callseal.agent.sdp.session import Format

MAX_PAYLOAD_TYPE: Final = 127
FIRST_DYNAMIC: Final = 96
TELEPHONE_EVENT: Final = "TELEPHONE-EVENT"
COMFORT_NOISE: Final = "CN"

_STATIC: Final[dict[int, tuple[str, int, int]]] = {
    0: ("PCMU", 8000, 1),
    3: ("GSM", 8000, 1),
    4: ("G723", 8000, 1),
    5: ("DVI4", 8000, 1),
    6: ("DVI4", 16000, 1),
    7: ("LPC", 8000, 1),
    8: ("PCMA", 8000, 1),
    9: ("G722", 8000, 1),  # samples at 16 kHz, clock at 8 kHz, "due to an error" (section 4.5.2)
    10: ("L16", 44100, 2),
    11: ("L16", 44100, 1),
    12: ("QCELP", 8000, 1),
    13: (COMFORT_NOISE, 8000, 1),
    14: ("MPA", 90000, 1),
    15: ("G728", 8000, 1),
    16: ("DVI4", 11025, 1),
    17: ("DVI4", 22050, 1),
    18: ("G729", 8000, 1),
    19: (COMFORT_NOISE, 8000, 1),  # reserved, since it was used for comfort noise before 13 was
}
_SPELT: Final = {"TELEPHONE-EVENT": "telephone-event", "OPUS": "opus", "ILBC": "iLBC"}


def static_format(payload_type: int, fmtp: str = "") -> Format | None:
    """Give what a payload type means without an rtpmap, None where that has to be said."""
    known = _STATIC.get(payload_type)
    if known is None:
        return None
    name, clock_hz, channels = known
    return Format(payload_type=payload_type, name=name, clock_hz=clock_hz, channels=channels, fmtp=fmtp)


def spelt(name: str) -> str:
    """Give an encoding's name as its RFC writes it: some peers compare letter by letter."""
    return _SPELT.get(name, name)

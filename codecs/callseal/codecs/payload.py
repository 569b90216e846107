"""What is inside the RTP payloads of a format: how fast its clock runs, how many samples come of it.

Conventions: encoding names are in upper case. `clock_hz` is that of RTP timestamps, `rate_hz` that of the
decoded samples: they differ for G.722 (RFC 3551 section 4.5.2) and for Opus, whose clock is 48 kHz whatever
is spoken (RFC 7587 section 4.1) and which is recorded at 16 kHz. Pure: whether there is a decoder is told by
`decoder.available`.
"""

from dataclasses import dataclass
from typing import Final

NARROW_HZ: Final = 8000
WIDE_HZ: Final = 16000
_OPUS_HZ: Final = 48000
_RATES_HZ: Final = {
    ("PCMU", 8000): NARROW_HZ,
    ("PCMA", 8000): NARROW_HZ,
    ("G722", 8000): WIDE_HZ,
    ("G722", 16000): WIDE_HZ,  # against the RFC some say so, and then count so
    ("G729", 8000): NARROW_HZ,
    ("OPUS", _OPUS_HZ): WIDE_HZ,
    ("AMR", 8000): NARROW_HZ,
    ("AMR-WB", 16000): WIDE_HZ,
    ("ILBC", 8000): NARROW_HZ,
}
"""Of samples, by encoding and clock."""
_OFF: Final = frozenset({"", "0"})
_ILBC_MODES: Final = {"20": 20, "30": 30}
_AMR_NOT_READ: Final = ("crc", "robust-sorting", "interleaving")
"""What RFC 4867 section 8.1 allows besides and no telephone uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The payloads of one negotiated format."""

    encoding: str
    clock_hz: int
    rate_hz: int
    """Of the decoded samples."""
    octet_aligned: bool = False
    """How AMR's frames are packed (RFC 4867 section 4.4)."""
    frame_ms: int = 20
    """How long a frame of iLBC is (RFC 3952 section 3)."""

    @classmethod
    def of(cls, encoding: str, *, clock_hz: int, channels: int = 1, fmtp: str = "") -> "Payload | None":
        """Give what a format's payloads are, None for one that is not understood.

        `fmtp` is as SDP has it: "octet-align=1; mode-set=0,2".
        """
        rate_hz = _RATES_HZ.get((encoding.upper(), clock_hz))
        parameters = _parameters(fmtp)
        mode = _ILBC_MODES.get(parameters.get("mode", "30"))
        extras = any(parameters.get(name, "") not in _OFF for name in _AMR_NOT_READ)
        if rate_hz is None or mode is None or extras or channels > (2 if clock_hz == _OPUS_HZ else 1):
            return None
        return cls(
            encoding=encoding.upper(),
            clock_hz=clock_hz,
            rate_hz=rate_hz,
            octet_aligned=parameters.get("octet-align") == "1",
            frame_ms=mode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A format as we would offer it."""

    encoding: str
    clock_hz: int
    channels: int = 1
    static_type: int | None = None
    fmtp: str = ""


OFFERED: Final = (
    Offered(encoding="G722", clock_hz=NARROW_HZ, static_type=9),
    Offered(encoding="G729", clock_hz=NARROW_HZ, static_type=18, fmtp="annexb=no"),
    Offered(encoding="OPUS", clock_hz=_OPUS_HZ, channels=2),
    Offered(encoding="AMR-WB", clock_hz=WIDE_HZ, fmtp="octet-align=1"),
    Offered(encoding="AMR", clock_hz=NARROW_HZ, fmtp="octet-align=1"),
    Offered(encoding="ILBC", clock_hz=NARROW_HZ, fmtp="mode=20"),
)
"""What may be offered beside G.711, the cheaper first."""


def _parameters(fmtp: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in fmtp.split(";"))
    return {name.strip().lower(): value.strip().lower() for name, _, value in pairs}

"""A session description: values, parsed from text and written to text (RFC 8866).

Conventions: attributes are (name, value) pairs without "a="; the value of a flag is "". Only what sound needs
is understood; the rest is kept.
"""

from dataclasses import dataclass
from enum import Enum


class Direction(Enum):
    """Which way a stream flows, seen from who says so (RFC 3264 section 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What a payload type stands for (rtpmap, fmtp; RFC 3551 for static ones)."""

    payload_type: int
    name: str
    """Encoding name in upper case: "PCMU", "G722", "TELEPHONE-EVENT", "CN"."""
    clock_hz: int
    channels: int = 1
    fmtp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crypto:
    """One `a=crypto` line (RFC 4568); the key stays out of every `repr`."""

    tag: int
    suite: str
    key_and_salt: bytes
    mki: bytes = b""
    lifetime: str = ""
    """As it is written: "2^20", "1048576"; empty for the longest there may be."""
    parameters: str = ""
    """The session parameters, as they are written: "UNENCRYPTED_SRTP", "WSH=64"."""

    def __repr__(self) -> str:
        """Name the suite, never the key."""
        return f"Crypto(tag={self.tag}, suite={self.suite!r}, key_and_salt=…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One m-line with what belongs to it."""

    kind: str
    """ "audio", "video", …"""
    port: int
    protocol: str
    """ "RTP/AVP", "RTP/SAVP", "RTP/AVPF", "RTP/SAVPF", …"""
    formats: tuple[Format, ...]
    """In the order of preference."""
    payload_types: tuple[str, ...]
    """The format list of the m-line as it stands, also where it is not RTP."""
    address: str = ""
    """From this m-line's c=, else from the session's."""
    direction: Direction = Direction.SENDRECV
    label: str = ""
    """RFC 4574."""
    ptime_ms: int | None = None
    rtcp_port: int | None = None
    rtcp_mux: bool = False
    crypto: tuple[Crypto, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    """What no other field holds, such as ("maxptime", "60")."""

    @property
    def is_secure(self) -> bool:
        """Whether sound comes encrypted."""
        return "SAVP" in self.protocol

    def attribute(self, name: str) -> str | None:
        """Give the value of the first attribute of that name, in lower case, None without one."""
        return next((value for key, value in self.attributes if key == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session description."""

    username: str
    session_id: str
    session_version: int
    address: str
    """From c= of the session level, else from o=."""
    media: tuple[Media, ...]
    name: str = "-"
    attributes: tuple[tuple[str, str], ...] = ()

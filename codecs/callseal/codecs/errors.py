"""Errors of the sound part.

CodecsError
├── BankFullError     no place is left for another stream: the caller takes another bank
└── RemoteError       bytes from outside are not what they claim to be
    ├── AuError       an inner file's header is broken or of a kind that is never written
    ├── PayloadError  what is inside an RTP packet is not of the coding that was agreed
    ├── RtcpError     a datagram is no RTCP
    └── RtpError      a datagram is no RTP
"""

from typing import ClassVar


class CodecsError(Exception):
    """Base of everything this part raises."""

    exit_code: ClassVar[int] = 1
    permanent: ClassVar[bool] = True


class BankFullError(CodecsError):
    """Every place for a stream is taken."""

    permanent: ClassVar[bool] = False


class RemoteError(CodecsError):
    """The bytes came from outside and are wrong; the only family a parser here may raise."""

    exit_code: ClassVar[int] = 12


class AuError(RemoteError):
    """Not a Sun/NeXT .au header of an encoding that Callseal writes."""


class PayloadError(RemoteError):
    """Not a payload of the coding, or of the kind, that was agreed."""


class RtcpError(RemoteError):
    """Not a compound RTCP packet."""


class RtpError(RemoteError):
    """Not an RTP packet."""

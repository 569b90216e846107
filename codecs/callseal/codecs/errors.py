"""Errors of the sound part.

CodecsError
└── RemoteError       bytes from outside are not what they claim to be
    └── AuError       an inner file's header is broken or of a kind that is never written
"""

from typing import ClassVar


class CodecsError(Exception):
    """Base of everything this part raises."""

    exit_code: ClassVar[int] = 1
    permanent: ClassVar[bool] = True


class RemoteError(CodecsError):
    """The bytes came from outside and are wrong; the only family a parser here may raise."""

    exit_code: ClassVar[int] = 12


class AuError(RemoteError):
    """Not a Sun/NeXT .au header of an encoding that Callseal writes."""

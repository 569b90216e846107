"""Errors of the recorder.

AgentError
├── SourceError           a source cannot run                              40
│   ├── SourceMissing     what it stands on is not installed               40
│   ├── PortsExhausted    no port is left for another stream               40
│   └── ProtocolError     the bridge's child said what it must not         40
├── SipError              a SIP message is of no use                       40
│   ├── SipSyntaxError    the peer's fault: no message, or a malformed one 40
│   └── MetadataError     the peer's fault: a body that can't be taken apart 40
├── SdpError              the peer's fault: no session description         40
├── AnnouncementError     an announcement is missing or cannot be read     78
└── RecorderError         the recorder was asked for what it cannot do      1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from callseal.agent.sip.message import Request


class AgentError(Exception):
    """Base of everything this part raises."""

    exit_code: ClassVar[int] = 1
    permanent: ClassVar[bool] = True


class SourceError(AgentError):
    """A source cannot run, or has ended before its time."""

    exit_code: ClassVar[int] = 40
    permanent: ClassVar[bool] = False


class SourceMissing(SourceError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The library that a source stands on is not installed on this machine."""

    permanent: ClassVar[bool] = True


class PortsExhausted(SourceError):  # noqa: N818 - says what is wrong better than "...Error" would
    """All UDP ports for sound are in use, or rest."""


class ProtocolError(SourceError):
    """A message between service and child is malformed."""


class SipError(AgentError):
    """A SIP message is of no use."""

    exit_code: ClassVar[int] = 40


class SipSyntaxError(SipError):
    """Bytes from a peer are no SIP message, or a malformed one: the only error that SIP parsers let out.

    `status` is what to answer, 0 where nothing can or may be answered. Where it is not 0, `request` is what
    could be read: method, URI and top Via are sound, and `respond` copes with what else may be missing.
    """

    def __init__(self, message: str, *, status: int = 0, request: Request | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request = request


class MetadataError(SipError):
    """A message's body cannot be taken apart: the only error that the parsers of bodies let out."""


class SdpError(AgentError):
    """Bytes from a peer are no session description: the only error that the parsers of SDP let out."""

    exit_code: ClassVar[int] = 40


class AnnouncementError(AgentError):
    """An announcement's file is missing, unreadable or holds no sound."""

    exit_code: ClassVar[int] = 78


class RecorderError(AgentError):
    """A call of the recorder's interface that does not fit the recording's state."""

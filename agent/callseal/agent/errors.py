"""Errors of the recorder.

AgentError
├── SourceError           a source cannot run                              40
│   ├── SourceMissing     what it stands on is not installed               40
│   └── ProtocolError     the bridge's child said what it must not         40
├── AnnouncementError     an announcement is missing or cannot be read     78
└── RecorderError         the recorder was asked for what it cannot do      1
"""

from typing import ClassVar


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


class ProtocolError(SourceError):
    """A message between service and child is malformed."""


class AnnouncementError(AgentError):
    """An announcement's file is missing, unreadable or holds no sound."""

    exit_code: ClassVar[int] = 78


class RecorderError(AgentError):
    """A call of the recorder's interface that does not fit the recording's state."""

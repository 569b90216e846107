"""The answers that an endpoint gives by itself (RFC 3261 section 21, and where else it says)."""

from typing import Final, NamedTuple


class Status(NamedTuple):
    """A status code with its phrase."""

    code: int
    reason: str


TRYING: Final = Status(100, "Trying")
OK: Final = Status(200, "OK")
METHOD_NOT_ALLOWED: Final = Status(405, "Method Not Allowed")
BAD_EXTENSION: Final = Status(420, "Bad Extension")
INTERVAL_TOO_SMALL: Final = Status(422, "Session Interval Too Small")
"""RFC 4028 section 6."""
NO_SUCH_CALL: Final = Status(481, "Call/Transaction Does Not Exist")
LOOP_DETECTED: Final = Status(482, "Loop Detected")
TERMINATED: Final = Status(487, "Request Terminated")
PENDING: Final = Status(491, "Request Pending")
SERVER_ERROR: Final = Status(500, "Server Internal Error")
UNAVAILABLE: Final = Status(503, "Service Unavailable")

FATAL_TO_DIALOG: Final = (408, 481)
"""An answer with one of these to a request of ours ends the dialog (RFC 3261 section 12.2.1.2)."""

_REFUSALS: Final = range(300, 700)


def is_refusal(status: int) -> bool:
    """Say whether a status ends a request without success."""
    return status in _REFUSALS

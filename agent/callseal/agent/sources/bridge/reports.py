"""What each report of the child does to the line of its call. Runs on the recorder's thread."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from callseal.agent.call import Recorder
from callseal.agent.sources.bridge import protocol
from callseal.agent.sources.bridge.line import Line

CHALLENGED: Final = (401, 407, 422)
"""No end of a call: somebody asks who calls, or for another session interval, and the caller calls again."""


def tell(line: Line, report: protocol.CallReport, fds: list[int], recorder: Recorder) -> None:
    """Let a line follow a report; descriptors that came along are its own from now on."""
    if isinstance(report, protocol.Tapped):
        line.tapped(report, fds)
    elif isinstance(report, protocol.Ended) and report.code in CHALLENGED and line.was_only_tried:
        line.forget()
    else:
        _TOLD[type(report)](line, report, recorder)


_TOLD: Final[Mapping[type[protocol.CallReport], Callable[[Line, Any, Recorder], None]]] = {
    protocol.Dialled: lambda line, report, _recorder: line.dialled(report),
    protocol.Media: Line.media,
    protocol.Recoded: Line.recoded,
    protocol.HoldChanged: Line.hold_changed,
    protocol.Pressed: Line.pressed,
    protocol.Answered: Line.answered,
    protocol.Announcing: Line.announcing,
    protocol.Announced: lambda line, _report, recorder: line.announced(recorder),
    protocol.AnnouncementFailed: Line.announcement_failed,
    protocol.Transferred: Line.transferred,
    protocol.TransferFailed: lambda line, _report, _recorder: line.transfer_failed(),
    protocol.Ended: Line.ended,
}
"""What each report does to a line."""

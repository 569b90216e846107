"""A transfer under way: a third leg that is to take the place of the one that sent the REFER.

That one is told how it goes by NOTIFY (RFC 3515 section 2.4.4), as long as it is there.
"""

from typing import Final

import pjsua2 as pj

from callseal.agent.sources.bridge.leg import Leg
from callseal.agent.sources.bridge.protocol import CallSide

_TRYING: Final = 100
_RINGING: Final = 180
_FIRST_FINAL: Final = 200
_REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    404: "Not Found",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    503: "Service Unavailable",
    603: "Decline",
}
"""Of RFC 3261 section 21; other codes go without words."""


class Notices:
    """What the leg that sent a REFER is told."""

    def __init__(self, leg: Leg | None, refer_id: str, expires_s: float) -> None:
        """`leg` is None when it has left."""
        self._leg = leg
        self._event = f"refer;id={refer_id}" if refer_id else "refer"
        self._active = f"active;expires={round(expires_s)}"
        self._told = 0

    def tell(self, code: int) -> bool:
        """Send what is new; says whether a NOTIFY went out."""
        leg = self._leg
        if leg is None or not leg.alive or code <= self._told or self._told >= _FIRST_FINAL:
            return False
        self._told = code
        state = "terminated;reason=noresource" if code >= _FIRST_FINAL else self._active
        try:
            leg.notify(self._event, state, f"SIP/2.0 {code} {_REASONS.get(code, '')}")
        except pj.Error as error:
            if leg.session is not None:
                leg.session.fault("notify", error)
            return False
        return True


class Transferral:
    """The third leg of a call until it is answered or has failed."""

    def __init__(self, side: CallSide, newcomer: Leg, notices: Notices, now_s: float) -> None:
        self.side: CallSide = side
        self.newcomer = newcomer
        self.notices = notices
        self._since_s = now_s
        notices.tell(_TRYING)

    def progress(self) -> None:
        """Tell that the newcomer's telephone has said something."""
        self.notices.tell(_RINGING)

    def overdue(self, now_s: float, response_timeout_s: float, ring_timeout_s: float) -> bool:
        """Say whether it has taken too long."""
        return now_s - self._since_s > (ring_timeout_s if self.newcomer.progressed else response_timeout_s)

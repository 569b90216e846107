"""A router whose faults end nothing.

Conventions: as in `proxying`. An exception's text may tell of a message: whoever logs it tells its class and
where it came from, no more.
"""

from typing import Final

from callseal.agent.sip import statuses
from callseal.agent.sip.answerer import kind_of
from callseal.agent.sip.flow import Flow
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.proxy_limits import MAX_FAULTS
from callseal.agent.sip.proxying import Drop, Forward, Reply, Router

FAULTY: Final = Reply(status=statuses.SERVER_ERROR.code, reason=statuses.SERVER_ERROR.reason)
"""What a request gets that the router failed at."""

_FINAL: Final = range(200, 700)


class GuardedRouter:
    """A router, and what went wrong with it."""

    def __init__(self, router: Router) -> None:
        self.faults: list[Exception] = []
        self.count = 0
        """How many faults there have been."""
        self._router = router

    def blame(self, fault: Exception) -> None:
        """Note a fault, as long as there is room."""
        self.count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)

    def route(self, request: Request, flow: Flow, now_s: float) -> Forward | Reply | Drop:
        """Ask where a request goes; 500 if the router fails."""
        try:
            decision = self._router.route(request, flow, now_s)
        except Exception as fault:  # noqa: BLE001 - one message must not end the others' calls
            self.blame(fault)
            return FAULTY
        if isinstance(decision, Reply) and decision.status not in _FINAL:
            self.blame(ValueError("a request was not answered finally"))
            return FAULTY
        return decision

    def passing(self, received: Request, forwarded: Request, response: Response, now_s: float) -> Response:
        """Return a response as it shall go back, ready to be written; as it came if the router fails."""
        try:
            passed = self._router.passing(received, forwarded, response, now_s)
            bytes(passed)
        except Exception as fault:  # noqa: BLE001 - as above
            self.blame(fault)
            return response
        if kind_of(passed.status) is not kind_of(response.status):
            self.blame(ValueError("a response was turned into one of another kind"))
            return response
        return passed

    def answered(self, forwarded: Request, response: Response, now_s: float) -> None:
        """Tell of a response that nobody waits for."""
        try:
            self._router.answered(forwarded, response, now_s)
        except Exception as fault:  # noqa: BLE001 - as above
            self.blame(fault)

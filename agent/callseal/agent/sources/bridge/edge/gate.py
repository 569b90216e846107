"""What the edge asks of the bridge about calls, and tells it of them.

Conventions: a call is named by its token (`facts.Facts`). Status codes are SIP's. Nothing here waits: who
implements it answers at once.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from callseal.agent.call import Side
from callseal.agent.sip.proxying import Reply
from callseal.agent.sources.bridge.edge.facts import Facts, Party
from callseal.agent.sources.bridge.edge.refer import Referred


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Which way an INVITE goes."""

    way: Literal["line", "pass", "refuse", "wait"]
    """Through the child, past it, back with `status`, or nowhere for the moment: it is asked about again."""
    status: int = 503
    reason: str = ""
    """Why it is refused or goes past: a code of `callseal.seal.reasons`. The caller is not told."""
    retry_after_s: int | None = None


class Gate(Protocol):
    """Who decides about calls."""

    def admit(self, side: Party, user: str, facts: Facts) -> Admission:
        """Say which way an INVITE goes that came from a side; `user` is the one of its request URI."""

    def declined(self, token: str, status: int) -> None:
        """Hear that an INVITE which was to go through the child came to nothing.

        This need not be news: the child tells of each call that it takes on, and of that one's end.
        """

    def passed(self, facts: Facts, reason: str) -> None:
        """Hear that a call goes past the child, as was said."""

    def passed_answered(self, token: str) -> None:
        """Hear that such a call was taken."""

    def passed_ended(self, token: str, *, answered: bool, status: int, by: Side | None) -> None:
        """Hear that such a call is over: `status` says why it was not answered, 0 where it was."""

    def referred(self, referred: Referred) -> Reply:
        """Say how the REFER of one of the child's callers is answered; 202 where it will be carried out."""

    def party_changed(self, token: str, address: str) -> None:
        """Hear whom the telephone system says to be at its end now (P-Asserted-Identity, RFC 3325)."""

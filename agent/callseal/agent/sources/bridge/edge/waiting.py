"""INVITEs that wait for a child which is being started. Pure.

What the gate lets wait leaves nothing in the proxy, so the same INVITE can be given to it again. One that its
sender has sent again meanwhile is kept once.
"""

from typing import Final

from callseal.agent.sip.flow import Flow
from callseal.agent.sip.message import Request

WAIT_S: Final = 3.0
"""After so long an INVITE is looked at again, whatever the child does; its sender gives up after 32 s."""
MAX_WAITING: Final = 16
"""More than a desk has calls; what comes beyond is refused."""

Kept = tuple[Request, Flow]
_Key = tuple[str, int, str]
"""Call-ID, CSeq and branch: a telephone system may fork one INVITE to two lines of a desk."""


class Waiting:
    """The INVITEs that wait."""

    def __init__(self) -> None:
        self._kept: dict[_Key, tuple[Request, Flow, float]] = {}
        self._cancelled: _Key | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, request: Request, flow: Flow, now_s: float) -> bool:
        """Keep one; False where there is no room for it."""
        key = _key(request)
        if key not in self._kept and len(self._kept) >= MAX_WAITING:
            return False
        _, _, since_s = self._kept.get(key, (request, flow, now_s))
        self._kept[key] = (request, flow, since_s)
        return True

    def take_cancelled(self, cancel: Request) -> Kept | None:
        """Give the one that a CANCEL is about, if it waits; from then on `is_cancelled` says so of it."""
        kept = self._kept.pop(_key(cancel), None)
        if kept is None:
            return None
        self._cancelled = _key(cancel)
        return kept[:2]

    def is_cancelled(self, request: Request) -> bool:
        """Say whether an INVITE was cancelled while it waited."""
        return self._cancelled == _key(request)

    def take(self) -> list[Kept]:
        """Give all of them, to be looked at again."""
        kept, self._kept = self._kept, {}
        return [(request, flow) for request, flow, _ in kept.values()]

    def take_overdue(self, now_s: float) -> list[Kept]:
        """Give those that have waited long."""
        overdue = [key for key, (_, _, since_s) in self._kept.items() if now_s - since_s > WAIT_S]
        return [self._kept.pop(key)[:2] for key in overdue]


def _key(request: Request) -> _Key:
    return request.call_id, request.cseq.number, request.via.branch

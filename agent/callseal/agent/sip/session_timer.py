"""Session timers (RFC 4028), the answering side and the refreshing side.

A session that has a timer ends unless one of the two, the *refresher*, sends an INVITE or UPDATE again and
again. Here the peer is made the refresher wherever it lets us.

Conventions: seconds, whole as in the headers. A header that can't be read counts as not there.
"""

from dataclasses import dataclass
from typing import Final

from callseal.agent.sip.message import Headers, Request

MIN_SE_S: Final = 90
"""The shortest interval that is allowed, and the least that RFC 4028 section 5 lets anyone demand."""
MAX_INTERVAL_S: Final = 86_400
"""A figure beyond a day is taken for a day: no call lasts longer, and the figure is the peer's."""
_MAX_DIGITS: Final = 10  # delta-seconds are below 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimer:
    """What both sides agreed on."""

    interval_s: int
    is_ours: bool
    """Whether we have to refresh the session."""
    requires: bool = False
    """Whether the answer must say ``Require: timer``, because the peer refreshes (section 9)."""

    def answer_headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers for the 2xx answer to the peer's INVITE or UPDATE."""
        refresher = "uas" if self.is_ours else "uac"
        expires = ("session-expires", f"{self.interval_s};refresher={refresher}")
        return (expires, ("require", "timer")) if self.requires else (expires,)

    def request_headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers for a refreshing UPDATE of our own."""
        return (("session-expires", f"{self.interval_s};refresher=uac"), ("supported", "timer"))


def is_too_short(headers: Headers) -> bool:
    """Say whether a request must be answered 422: its interval is too short, and its sender could change it.

    If only a proxy put the interval there, the sender wouldn't understand the answer (section 9).
    """
    interval_s = _seconds(headers.get("session-expires"))
    return interval_s is not None and interval_s < MIN_SE_S and _knows_timers(headers)


def agree(request: Request, *, wanted_s: int) -> SessionTimer | None:
    """Return the timer for the answer to a request, None for none (section 9 with its table 2).

    `wanted_s` is the longest interval that we like, and the one that we ask for where the peer knows timers
    but named none; 0 asks for none. If the refreshing would fall to us, and the peer takes no UPDATE to do it
    with, we answer as those do who know nothing of timers.
    """
    headers = request.headers
    asked_s = _seconds(headers.get("session-expires"))
    knows = _knows_timers(headers)
    if asked_s is None:
        if not wanted_s or not knows:
            return None
        asked_s = wanted_s
    asked_s = max(asked_s, MIN_SE_S)
    least_s = min(_seconds(headers.get("min-se")) or 0, asked_s)
    interval_s = max(min(asked_s, wanted_s or asked_s), least_s, MIN_SE_S)
    is_ours = not knows or _refresher(headers) == "uas"
    if is_ours and request.method != "UPDATE" and "UPDATE" not in headers.all("allow"):
        return None
    return SessionTimer(interval_s=interval_s, is_ours=is_ours, requires=not is_ours)


def read_answer(headers: Headers) -> SessionTimer | None:
    """Return the timer in a peer's 2xx answer to our refreshing UPDATE, None where it wants none any more."""
    interval_s = _seconds(headers.get("session-expires"))
    if interval_s is None:
        return None
    return SessionTimer(interval_s=max(interval_s, MIN_SE_S), is_ours=_refresher(headers) != "uas")


def raised(timer: SessionTimer, headers: Headers) -> SessionTimer | None:
    """Return a timer as long as a peer's 422 demands (section 7.4), None where it demands nothing new."""
    least_s = _seconds(headers.get("min-se"))
    if least_s is None or least_s <= timer.interval_s:
        return None
    return SessionTimer(interval_s=least_s, is_ours=timer.is_ours)


def _knows_timers(headers: Headers) -> bool:
    tags = headers.all("supported") + headers.all("require")
    return any(tag.lower() == "timer" for tag in tags)


def _seconds(value: str | None) -> int | None:
    digits = (value or "").partition(";")[0].strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        return None
    return min(int(digits), MAX_INTERVAL_S)


def _refresher(headers: Headers) -> str:
    for parameter in (headers.get("session-expires") or "").lower().split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "refresher":
            return value.strip()
    return ""

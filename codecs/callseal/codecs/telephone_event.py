"""Keys that were pressed, told apart from sound: that there was one and how long, never which (RFC 4733).

::

    event 8 | E 1, R 1, volume 6 | duration 16        several may follow one another (section 2.5.1.5)

Conventions: every packet of one event has the timestamp of the event's beginning; the duration grows with
each, and its end is sent three times. An event is known by its timestamp. The key is a part of somebody's
card number or password, so it is compared here and never let out.

Source: RFC 4733 sections 2.3 and 2.5.
"""

from dataclasses import dataclass, field
from typing import Final

from callseal.codecs.errors import PayloadError

MAX_EVENTS: Final = 16
"""Events in one packet; more than 16 were not said in one breath."""
TIMEOUT_S: Final = 1.0
"""An event of which nothing comes for so long is over: RFC 4733 section 2.5.1.2 has an update every 50 ms."""
LAST_KEY: Final = 16
"""0 to 15 are keys of a telephone, 16 a flash of its hook (RFC 4733 section 3.2); higher ones are tones."""

_EVENT_BYTES: Final = 4
_END: Final = 0x80
_TS_RANGE: Final = 1 << 32
_LONGEST_TS: Final = 0xFFFF
"""Where a duration can't grow any more and another piece begins (RFC 4733 section 2.5.1.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A key that was pressed and let go."""

    ts: int
    """RTP timestamp of its beginning."""
    duration_ts: int


@dataclass(slots=True)
class _Running:
    """The event that goes on."""

    ts: int
    code: int = field(repr=False)
    duration_ts: int
    last_s: float


class EventReader:
    """The telephone events of one stream, packet by packet."""

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._ended: _Running | None = None

    def put(self, payload: bytes, *, ts: int, now_s: float) -> tuple[Press, ...]:
        """Take the payload of one packet, and give the keys that were let go.

        `ts` is the packet's timestamp. Raises PayloadError for what is no telephone event.
        """
        if not payload or len(payload) % _EVENT_BYTES:
            raise PayloadError("this is no telephone event")
        if len(payload) > _EVENT_BYTES * MAX_EVENTS:
            raise PayloadError("a packet has too many telephone events")
        presses = [*self.expired(now_s)]
        for start in range(0, len(payload), _EVENT_BYTES):
            code, flags = payload[start], payload[start + 1]
            duration_ts = int.from_bytes(payload[start + 2 : start + 4], "big")
            if code <= LAST_KEY:
                presses += self._take(code, ts, duration_ts, is_end=bool(flags & _END), now_s=now_s)
            # What is behind follows without a pause (section 2.5.1.5).
            ts = (ts + duration_ts) % _TS_RANGE
        return tuple(presses)

    def expired(self, now_s: float) -> tuple[Press, ...]:
        """Give the key whose end was lost, if there is one."""
        if self._running is None or now_s - self._running.last_s < TIMEOUT_S:
            return ()
        return self.finish()

    def finish(self) -> tuple[Press, ...]:
        """Give the key that was still pressed when the stream ended, if there is one."""
        running, self._running = self._running, None
        if running is None:
            return ()
        self._ended = running
        return (Press(ts=running.ts, duration_ts=running.duration_ts),)

    def _take(self, code: int, ts: int, duration_ts: int, *, is_end: bool, now_s: float) -> tuple[Press, ...]:
        before: tuple[Press, ...] = ()
        running = self._running
        if running is not None and self._goes_on(running, code, ts):
            total_ts = (ts - running.ts) % _TS_RANGE + duration_ts
            running.duration_ts = max(running.duration_ts, total_ts)
            running.last_s = now_s
        elif self._is_old(ts, now_s):
            return ()
        else:
            before = self.finish()
            self._running = _Running(ts=ts, code=code, duration_ts=duration_ts, last_s=now_s)
        return (*before, *self.finish()) if is_end else before

    def _is_old(self, ts: int, now_s: float) -> bool:
        """Say whether this is an end once more, or a packet that was overtaken; a stream may begin anew."""
        newest = self._running or self._ended
        if newest is None or now_s - newest.last_s >= TIMEOUT_S:
            return False
        return (ts - newest.ts) % _TS_RANGE < newest.duration_ts or not _is_after(ts, newest.ts)

    @staticmethod
    def _goes_on(running: _Running, code: int, ts: int) -> bool:
        """Say whether it is the same event; a long one is cut into pieces, one beginning where one ends."""
        passed = (ts - running.ts) % _TS_RANGE
        return code == running.code and (passed == 0 or passed == running.duration_ts >= _LONGEST_TS)


def _is_after(ts: int, other_ts: int) -> bool:
    return 0 < (ts - other_ts) % _TS_RANGE < _TS_RANGE // 2

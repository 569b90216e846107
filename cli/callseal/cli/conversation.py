"""What a vCon says of a call, read for showing to people.

Conventions: the document was signed by the device, so what stands in it is the recorder's; still nothing is
taken for granted, since a device may be untrusted: what is missing or of another type is left out. Parties
0 and 1 are agent and customer, the channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from callseal.cli import output
from callseal.cli.i18n import _
from callseal.cli.labels import word
from callseal.seal.fields import JsonObject, JsonValue
from callseal.seal.timestamp import read_time

_SIDES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One side of a call: number, SIP address, name, each as far as it is known."""

    tel: str = ""
    sip: str = ""
    name: str = ""

    def __str__(self) -> str:
        address = self.tel or self.sip
        return f"{self.name} ({address})" if self.name and address else self.name or address

    def to_json(self) -> dict[str, str]:
        """Return what is known, by its names in the vCon."""
        known = {"tel": self.tel, "sip": self.sip, "name": self.name}
        return {key: value for key, value in known.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One call's metadata."""

    document: JsonObject

    def parties(self) -> tuple[Party, Party]:
        """Return agent and customer; what is not known of them is empty."""
        found = [_party(one) for one in _objects(self.document.get("parties"))[:_SIDES]]
        agent, customer = (found + [Party()] * _SIDES)[:_SIDES]
        return agent, customer

    def call(self) -> JsonObject:
        """Return what the recorder noted of the call, empty if it noted nothing."""
        return self._analysis("call")

    def time(self, name: str) -> datetime | None:
        """Return one of the call's times: started_at, answered_at, ended_at."""
        value = self.call().get(name)
        try:
            return read_time(value) if isinstance(value, str) else None
        except ValueError:
            return None

    def ending(self) -> str:
        """Return how the call ended, and by whom."""
        call = self.call()
        ending, side = call.get("ending"), call.get("ended_by")
        if not isinstance(ending, str):
            return ""
        return f"{word(ending)} ({word(side)})" if isinstance(side, str) else word(ending)

    def announcements(self, rate_hz: int | None) -> Iterator[str]:
        """Yield a line for each announcement that was played or failed."""
        for one in _objects(self.document.get("attachments")):
            body = one.get("body")
            if one.get("purpose") == "disclosure" and isinstance(body, dict):
                yield _announcement(body, rate_hz)

    def checks(self) -> Iterator[str]:
        """Yield a line for each channel that was measured."""
        for one in _objects(self._analysis("checks").get("channels")):
            level, peak, clipped = (
                _number(one, name) for name in ("level_dbov", "peak_dbov", "clipped_ratio")
            )
            yield _("{side}: {level} dBov, peak {peak} dBov, clipped {clipped} %").format(
                side=word(str(one.get("side", ""))),
                level=f"{level:.1f}",
                peak=f"{peak:.1f}",
                clipped=f"{clipped * 100:.2f}",
            )

    def _analysis(self, kind: str) -> JsonObject:
        for one in _objects(self.document.get("analysis")):
            body = one.get("body")
            if one.get("type") == kind and isinstance(body, dict):
                return body
        return {}


def _announcement(body: JsonObject, rate_hz: int | None) -> str:
    name = body.get("announcement")
    if not isinstance(name, str):
        return _("could not be played")
    parts = [name, _text(body, "language")]
    start, end = body.get("start_sample"), body.get("end_sample")
    if isinstance(start, int) and isinstance(end, int) and rate_hz:
        parts.append(f"{output.duration(start / rate_hz)}-{output.duration(end / rate_hz)}")
    parts.append(_("played to its end") if body.get("complete") is True else _("NOT played to its end"))
    heard = [word(one) for one in _texts(body.get("heard_by"))]
    if heard:
        parts.append(_("heard by {sides}").format(sides=", ".join(heard)))
    return "  ".join(part for part in parts if part)


def _party(party: JsonObject) -> Party:
    return Party(tel=_text(party, "tel"), sip=_text(party, "sip"), name=_text(party, "name"))


def _objects(value: JsonValue) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: JsonValue) -> Sequence[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _text(body: JsonObject, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _number(body: JsonObject, name: str) -> float:
    value = body.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0

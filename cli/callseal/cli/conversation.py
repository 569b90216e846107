"""What a vCon says of a call, read for showing to people.

Conventions: the document was signed by the device, so what stands in it is the recorder's; still nothing is
taken for granted, since a device may be untrusted: what is missing or of another type is left out. Parties
0 and 1 are agent and customer, the channels; 2 is the recorder; whoever else took part comes after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from callseal.cli import output
from callseal.cli.i18n import _
from callseal.cli.labels import word
from callseal.seal.fields import MAX_INTEGER, JsonObject, JsonValue
from callseal.seal.timestamp import read_time

_SIDES: Final = 2
_OTHERS: Final = 3
"""The first party that is neither a side nor the recorder."""
_CHANNELS: Final = ("agent", "customer")


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
class Linked:
    """Another recording that belongs to this one, and how: see `labels` for the relations' words."""

    relation: str
    id: str

    def __str__(self) -> str:
        return f"{self.id}  {word(self.relation)}"

    def to_json(self) -> dict[str, str]:
        """Return it by its names in the vCon."""
        return {"relation": self.relation, "id": self.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """By what a recording can be found among others: small, for a list keeps it of each."""

    agent: Party
    customer: Party
    others: tuple[Party, ...]
    conversation: str
    """What the telephone system calls the conversation at last, empty if it said nothing of one."""
    earlier_conversations: tuple[str, ...]
    links: tuple[Linked, ...]
    attributes: Mapping[str, str]
    """What held at last; of several values of one name, all in one text."""
    earlier_attributes: Mapping[str, str]

    @property
    def parties(self) -> tuple[Party, ...]:
        """Everyone who took part."""
        return (self.agent, self.customer, *self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One call's metadata."""

    document: JsonObject

    def parties(self) -> tuple[Party, Party]:
        """Return agent and customer; what is not known of them is empty."""
        found = [_party(one) for one in _objects(self.document.get("parties"))[:_SIDES]]
        agent, customer = (found + [Party()] * _SIDES)[:_SIDES]
        return agent, customer

    def others(self) -> tuple[Party, ...]:
        """Return who else took part, at whatever time."""
        return tuple(map(_party, _objects(self.document.get("parties"))[_OTHERS:]))

    def told(self) -> Told:
        """Return what the recording can be found by."""
        call = self.call()
        agent, customer = self.parties()
        earlier = call.get("earlier")
        before = earlier if isinstance(earlier, dict) else {}
        return Told(
            agent=agent,
            customer=customer,
            others=self.others(),
            conversation=_text(call, "conversation"),
            earlier_conversations=tuple(_texts(before.get("conversations"))),
            links=tuple(
                Linked(relation=_text(one, "relation"), id=_text(one, "id"))
                for one in _objects(call.get("links"))
            ),
            attributes=_named(call.get("attributes")),
            earlier_attributes=_named(before.get("attributes")),
        )

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

    def streams(self) -> Iterator[str]:
        """Yield a line for each channel that came in packets: how many, and how many are missing."""
        reports = _objects(self._analysis("streams").get("streams"))
        is_mixed = self.call().get("is_mixed") is True
        for channel, side in enumerate(_CHANNELS):
            own = [one for one in reports if one.get("channel") == channel]
            if own:
                yield _stream(_("both sides") if is_mixed else word(side), own)

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


def _stream(side: str, reports: Sequence[JsonObject]) -> str:
    codecs = "/".join(dict.fromkeys(filter(None, (_text(one, "codec") for one in reports))))
    words = _("{side}: {codec}, packets: {packets}, lost: {lost}").format(
        side=side, codec=codecs or "-", packets=_sum(reports, "packets"), lost=_sum(reports, "lost")
    )
    refused = _sum(reports, "strangers", "malformed", "unauthentic")
    return words + _(", not taken: {number}").format(number=refused) if refused else words


def _sum(reports: Sequence[JsonObject], *names: str) -> int:
    counts = (one.get(name) for one in reports for name in names)
    return sum(count for count in counts if isinstance(count, int) and 0 < count <= MAX_INTEGER)


def _party(party: JsonObject) -> Party:
    return Party(tel=_text(party, "tel"), sip=_text(party, "sip"), name=_text(party, "name"))


def _objects(value: JsonValue) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: JsonValue) -> Sequence[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _named(value: JsonValue) -> Mapping[str, str]:
    known = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in known if isinstance(text, str)}


def _text(body: JsonObject, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _number(body: JsonObject, name: str) -> float:
    value = body.get(name)
    if isinstance(value, float):
        return value
    return float(value) if isinstance(value, int) and abs(value) <= MAX_INTEGER else 0.0

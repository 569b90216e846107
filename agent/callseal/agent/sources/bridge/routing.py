"""Where an INVITE goes and what the rules say of it. Pure.

An INVITE from the telephone system is inbound and goes to the desk's telephone; one from the telephone is
outbound and goes to the telephone system.

Conventions: addresses are name-addr or addr-spec (RFC 3261 section 25.1), with whatever the other side put
into them. What leaves this module can be written as UTF-8, and a target is one token.
"""

import dataclasses
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from callseal.agent.call import Call, Direction, Party
from callseal.agent.numbering import Numbering
from callseal.agent.sources.bridge.edge.facts import Facts
from callseal.agent.sources.bridge.protocol import CallSide, OnFailure, Refuse, Route
from callseal.agent.tagging import Tagging

NOT_FOUND: Final = 404
UNAVAILABLE: Final = 480
_DEFAULT_PORT: Final = 5060
_MAX_NAME: Final = 128
_MAX_USER: Final = 128

# Controls, and bytes that were no UTF-8 (they arrive as halves of surrogate pairs): neither metadata nor the
# library's strings can hold them.
_UNWRITABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# A display name may hold "<" and ">" in quotes, so that an address found by those alone can be forged.
_NAME_ADDR: Final = re.compile(r'(?:"((?:[^"\\]|\\.)*)"\s*|([^"<]*))<([^<>]*)>')
_ESCAPED: Final = re.compile(r"\\(.)")
# What may stand in a request URI's user part without quoting (RFC 3261 section 25.1, user).
_DIALABLE: Final = re.compile(rf"[A-Za-z0-9\-_.!~*'()&=+$,;?/%]{{1,{_MAX_USER}}}")
_URI: Final = re.compile(r"(?:sips?|tel):[^\s<>\"\x00-\x1f\x7f-\uffff]{1,1024}", re.IGNORECASE | re.ASCII)
_WITHHELD: Final = frozenset({"", "anonymous", "restricted", "unavailable", "unknown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The bridge's settings, as far as routing needs them."""

    pbx_target: str
    """host:port as it stands in a request URI."""
    phone: str
    """SIP URI of a telephone that does not register; empty where it does."""
    agent: str
    on_failure: OnFailure
    hold_talk: bool
    ring_timeout_s: float
    response_timeout_s: float
    numbering: Numbering
    tagging: Tagging
    edge: str = "127.0.0.1:5060"
    """host:port at which the telephone finds the edge."""

    def is_edge(self, uri: str) -> bool:
        """Say whether a URI names the edge itself."""
        where = uri.partition(":")[2].rpartition("@")[2].partition(";")[0].partition("?")[0].lower()
        host, colon, _ = where.rpartition(":")
        return self.edge == (where if colon and not host.endswith(":") else f"{where}:{_DEFAULT_PORT}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done with an INVITE."""

    command: Route | Refuse
    call: Call | None
    """None when there is nobody to record: the INVITE came from where none may come from."""
    exempt_reason: str = ""
    """Why the call is not recorded; empty when it is."""

    def unrecorded(self, reason: str) -> "Plan":
        """Give the same plan for a call that goes on without being recorded."""
        command = self.command
        if isinstance(command, Route):
            command = dataclasses.replace(command, record=False, announcement="")
        return dataclasses.replace(self, command=command, exempt_reason=reason)

    @property
    def recorded(self) -> bool:
        """Whether the call is let through and recorded."""
        return isinstance(self.command, Route) and self.command.record

    @property
    def announcement(self) -> str:
        """The key of the announcements that are played; empty for none."""
        return self.command.announcement if isinstance(self.command, Route) else ""


def plan(number: int, facts: Facts, desk: Desk, now: datetime) -> Plan:
    """Decide about one INVITE; `number` is what the child calls it."""
    numbering, tagging = desk.numbering, desk.tagging
    from_pbx = facts.side == "pbx"
    from_address, to_address = _writable(facts.from_address), _writable(facts.to_address)
    (from_name, from_uri), (_, to_uri) = _split(from_address), _split(to_address)
    caller, called = _user(from_uri), _writable(facts.request_user)
    if not from_pbx and _DIALABLE.fullmatch(called) is None:
        return Plan(command=Refuse(call=number, code=NOT_FOUND), call=None)
    if from_pbx and caller.lower() in _WITHHELD:
        caller = _user(_split(_writable(facts.asserted))[1]) or caller

    direction: Direction = "inbound" if from_pbx else "outbound"
    decision = tagging.decide(
        direction=direction, called=numbering.normalise(called), calling=numbering.normalise(caller)
    )
    target = (facts.phone_uri or desk.phone) if from_pbx else _outward(facts.request_uri, called, desk)
    customer = Party(
        number=numbering.normalise(caller if from_pbx else called),
        uri=from_uri if from_pbx else target,
        name=from_name if from_pbx else "",
    )
    agent = Party(
        number=numbering.normalise(called[:_MAX_USER] if from_pbx else caller),
        uri=to_uri if from_pbx else from_uri,
        name=desk.agent or ("" if from_pbx else from_name),
    )
    call = Call(
        source="bridge",
        direction=direction,
        started_at=now,
        agent=agent,
        customer=customer,
        sip_call_ids=(_writable(facts.call_id),) if facts.call_id else (),
        business=decision.business,
        retention_class=decision.retention_class,
        announcements=decision.announcements,
    )
    if not target:
        return Plan(command=Refuse(call=number, code=UNAVAILABLE), call=call)
    side: CallSide = "customer" if from_pbx else "agent"
    route = Route(
        call=number,
        token=facts.token,
        target=target,
        from_uri=from_address,
        caller=side,
        record=decision.record == "always",
        announcement=announcement_key(call.announcements),
        on_failure=desk.on_failure,
        hold_talk=desk.hold_talk,
        response_timeout_s=desk.response_timeout_s,
        ring_timeout_s=desk.ring_timeout_s,
    )
    return Plan(command=route, call=call, exempt_reason=decision.reason)


def party(address: str, numbering: Numbering) -> Party:
    """Read who an address names: whom a transfer brought."""
    name, uri = _split(_writable(address))
    return Party(number=numbering.normalise(_user(uri)), uri=uri, name=name)


def announcement_key(names: tuple[str, ...]) -> str:
    """Name a programme of announcements; empty for none."""
    return "+".join(names)


def _outward(request_uri: str, called: str, desk: Desk) -> str:
    """Return the request URI of the second leg: the first one's, which a digest covers.

    One that names the edge itself comes from a telephone that takes it for the telephone system.
    """
    if desk.is_edge(request_uri) or _URI.fullmatch(request_uri) is None:
        return f"sip:{called}@{desk.pbx_target}"
    return request_uri


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _split(address: str) -> tuple[str, str]:
    """Give display name and URI of an address; empty for what it does not have."""
    found = _NAME_ADDR.match(address.strip())
    if found is None:
        uri = address.partition(";")[0].strip()
        return "", "" if '"' in uri or "<" in uri else uri
    quoted, plain, uri = found.groups()
    name = plain.strip() if quoted is None else _ESCAPED.sub(r"\1", quoted)
    return name[:_MAX_NAME], uri.strip()


def _user(uri: str) -> str:
    """Give a URI's user part without parameters and password, or a tel URI's number."""
    scheme, _, rest = uri.partition(":")
    user, at, _ = rest.partition("@")
    if not at and scheme.lower() != "tel":
        return ""
    return user.partition(";")[0].partition(":")[0][:_MAX_USER]

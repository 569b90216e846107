"""Where an INVITE goes and what the rules say of it. Pure.

An INVITE from the telephone system is inbound and goes to the desk's telephone; one from this machine is
outbound and goes to the telephone system. Anything else is turned away.
"""

import dataclasses
import ipaddress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from callseal.agent.call import Call, Direction, Party
from callseal.agent.numbering import Numbering
from callseal.agent.sources.bridge.protocol import CallSide, Invited, OnFailure, Refuse, Route
from callseal.agent.tagging import Tagging

FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
UNAVAILABLE: Final = 480
_MAX_NAME: Final = 128
_MAX_USER: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The bridge's settings, as far as routing needs them."""

    pbx_hosts: frozenset[str]
    """Addresses of the telephone system."""
    pbx_port: int
    pbx_target: str
    """host:port as it stands in a request URI."""
    phone: str
    """SIP URI of the desk's telephone; empty while inbound calls have nowhere to go."""
    agent: str
    on_failure: OnFailure
    hold_talk: bool
    ring_timeout_s: float
    response_timeout_s: float


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


def plan(
    invited: Invited, desk: Desk, numbering: Numbering, tagging: Tagging, now: datetime
) -> Plan:
    """Decide about one INVITE."""
    from_pbx = invited.source_host in desk.pbx_hosts and invited.source_port == desk.pbx_port
    if not from_pbx and not _is_loopback(invited.source_host):
        return Plan(command=Refuse(call=invited.call, code=FORBIDDEN), call=None)
    caller, called = _user(invited.from_uri), invited.request_user[:_MAX_USER]
    if not from_pbx and not _dialable(called):
        return Plan(command=Refuse(call=invited.call, code=NOT_FOUND), call=None)

    direction: Direction = "inbound" if from_pbx else "outbound"
    customer_number = caller if from_pbx else called
    decision = tagging.decide(
        direction=direction, called=numbering.normalise(called), calling=numbering.normalise(caller)
    )
    customer = Party(
        number=numbering.normalise(customer_number),
        uri=_bare(invited.from_uri if from_pbx else f"sip:{called}@{desk.pbx_target}"),
        name=_display_name(invited.from_uri) if from_pbx else "",
    )
    extension = called if from_pbx else caller
    agent = Party(
        number=numbering.normalise(extension),
        uri=_bare(invited.to_uri if from_pbx else invited.from_uri),
        name=desk.agent or ("" if from_pbx else _display_name(invited.from_uri)),
    )
    record = decision.record == "always"
    call = Call(
        source="bridge",
        direction=direction,
        started_at=now,
        agent=agent,
        customer=customer,
        sip_call_ids=(invited.sip_call_id,) if invited.sip_call_id else (),
        business=decision.business,
        retention_class=decision.retention_class,
        announcements=decision.announcements,
    )
    if from_pbx and not desk.phone:
        return Plan(command=Refuse(call=invited.call, code=UNAVAILABLE), call=call)
    side: CallSide = "customer" if from_pbx else "agent"
    target = desk.phone if from_pbx else f"sip:{called}@{desk.pbx_target}"
    route = Route(
        call=invited.call,
        target=target,
        from_uri=invited.from_uri,
        caller=side,
        record=record,
        announcement=announcement_key(call.announcements),
        on_failure=desk.on_failure,
        hold_talk=desk.hold_talk,
        response_timeout_s=desk.response_timeout_s,
        ring_timeout_s=desk.ring_timeout_s,
    )
    return Plan(command=route, call=call, exempt_reason=decision.reason)


def announcement_key(names: tuple[str, ...]) -> str:
    """Name a programme of announcements; empty for none."""
    return "+".join(names)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _dialable(user: str) -> bool:
    # What may stand in a request URI's user part without quoting (RFC 3261 section 25.1, user).
    return 0 < len(user) and all(c.isascii() and (c.isalnum() or c in "-_.!~*'()&=+$,;?/%") for c in user)


def _bare(address: str) -> str:
    """Give the URI of a name-addr or addr-spec."""
    start, end = address.find("<"), address.rfind(">")
    return address[start + 1 : end] if 0 <= start < end else address.partition(";")[0].strip()


def _user(address: str) -> str:
    rest = _bare(address).partition(":")[2]
    return rest.partition("@")[0].partition(";")[0][:_MAX_USER] if "@" in rest else ""


def _display_name(address: str) -> str:
    return address.partition("<")[0].strip().strip('"')[:_MAX_NAME] if "<" in address else ""

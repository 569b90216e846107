"""Cisco telephones' built-in bridge, which is not SIPREC: two INVITEs for one call, one for each voice.

The call manager has the agent's telephone copy both voices to the recorder, each in a session of its own,
with an INVITE without a body. Who they are stands in parameters of From's URI::

    From: <sip:2000@cm;x-nearend;x-refci=27298698;x-nearenddevice=SEP28;x-farendaddr=1000>;tag=1
    From: <sip:2000@cm;x-farend;x-refci=27298698;x-nearenddevice=SEP28;x-farendaddr=1000>;tag=2

`x-refci` is the agent's leg and the same in both; together with the cluster and the device it says which
halves make a pair. Either may come first.

Conventions: the near end is the agent, the far end whom it speaks with.

Source: Cisco Unified Communications Manager, recording use cases (SIP header enhancement).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from callseal.agent.call import AGENT, CUSTOMER, Direction, Party
from callseal.agent.errors import SipSyntaxError
from callseal.agent.numbering import Numbering
from callseal.agent.sip.message import Request
from callseal.agent.sip.uri import parse_name_addr
from callseal.agent.siprec.model import Attribute
from callseal.agent.siprec.parties import NOBODY, Roles
from callseal.agent.siprec.seats import House, Seat
from callseal.agent.siprec.vendors import attribute_of, legible

MAX_PARAMETER_CHARS: Final = 256

_NEAR: Final = "x-nearend"
_FAR: Final = "x-farend"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltInBridge:
    """What one of both INVITEs says."""

    is_near: bool
    """Whether it brings the agent's voice; else the far end's."""
    key: tuple[str, str, str]
    """Cluster, device and call leg: the same for both halves of one call."""
    near_address: str
    near_device: str
    near_name: str
    far_address: str
    far_device: str
    attributes: tuple[Attribute, ...]
    """All parameters, for searching."""

    @property
    def channel(self) -> int:
        """Where this half's voice belongs."""
        return AGENT if self.is_near else CUSTOMER


def bridge_of(request: Request) -> BuiltInBridge | None:
    """Read what From says of a built-in bridge; None for an INVITE that is not one's."""
    written = legible(request.headers.get("from") or "")
    if _NEAR not in written.lower() and _FAR not in written.lower():
        return None
    try:
        named = parse_name_addr(written)
        uri = named.address
    except SipSyntaxError:
        return None
    parameters = {name: value[:MAX_PARAMETER_CHARS] for name, value in (*named.params, *uri.params)}
    if not parameters.get("x-refci") or (_NEAR in parameters) == (_FAR in parameters):
        return None
    return BuiltInBridge(
        is_near=_NEAR in parameters,
        key=(
            parameters.get("x-nearendclusterid", "").lower(),
            parameters.get("x-nearenddevice", "").lower(),
            parameters["x-refci"],
        ),
        near_address=parameters.get("x-nearendaddr", "") or uri.user,
        near_device=parameters.get("x-nearenddevice", ""),
        near_name=named.display,
        far_address=parameters.get("x-farendaddr", ""),
        far_device=parameters.get("x-farenddevice", ""),
        attributes=_attributes(parameters),
    )


def _attributes(parameters: Mapping[str, str]) -> tuple[Attribute, ...]:
    return tuple(
        attribute_of("cisco", name, value)
        for name, value in parameters.items()
        if name.startswith("x-") and value
    )


def parties_of_bridge(bridge: BuiltInBridge, *, numbering: Numbering, inside: tuple[str, ...]) -> Roles:
    """Tell who is who: the near end is the agent. The streams are the near end's and the far end's."""
    house = House(numbering=numbering, inside=inside)
    near = house.party(bridge.near_address, bridge.near_name) if bridge.near_address else NOBODY
    far = house.party(bridge.far_address) if bridge.far_address else NOBODY
    return Roles(
        agent=near,
        customer=far,
        others=(),
        direction=_direction(near, house.seat_of("far", far)),
        channels=((AGENT,), (CUSTOMER,)),
        speakers=((near,), (far,)),
        is_mixed=False,
    )


def _direction(near: Party, far: Seat) -> Direction:
    """Tell what little is said: who called whom is not."""
    if far.is_emergency:
        return "outbound"
    return "internal" if near.number and far.is_inside else "unknown"

"""Cisco telephones' built-in bridge, which is not SIPREC: two INVITEs for one call, one for each voice.

The call manager has the agent's telephone copy both voices to the recorder, each in a session of its own,
with an INVITE without a body. Who they are stands in parameters of From's URI::

    From: <sip:2000@cm;x-nearend;x-refci=27298698;x-nearenddevice=SEP28;x-farendaddr=1000>;tag=1
    From: <sip:2000@cm;x-farend;x-refci=27298698;x-nearenddevice=SEP28;x-farendaddr=1000>;tag=2

`x-refci` is the agent's leg and the same in both; together with the cluster and the device it says which
halves make a pair. Either may come first. A half whose other does not come is recorded alone.

Conventions: the near end is the agent, the far end whom it speaks with. `now_s` must not go back.

Source: Cisco Unified Communications Manager, recording use cases (SIP header enhancement).
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from callseal.agent.call import AGENT, CUSTOMER
from callseal.agent.errors import SipSyntaxError
from callseal.agent.numbering import Numbering
from callseal.agent.sip.message import Request
from callseal.agent.sip.uri import parse_name_addr
from callseal.agent.siprec.model import Attribute
from callseal.agent.siprec.parties import NOBODY, Roles
from callseal.agent.siprec.seats import House
from callseal.agent.siprec.vendors import attribute_of, legible

MAX_PARAMETER_CHARS: Final = 256
MAX_WAITING: Final = 1000
"""Halves that wait for the other; each is a call that could not be recorded otherwise either."""

_NEAR: Final = "x-nearend"
_FAR: Final = "x-farend"

T = TypeVar("T")


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
    is_internal = bool(near.number and far.number) and house.seat_of("far", far).is_inside
    return Roles(
        agent=near,
        customer=far,
        others=(),
        direction="internal" if is_internal else "unknown",
        channels=((AGENT,), (CUSTOMER,)),
        speakers=((near,), (far,)),
        is_mixed=False,
    )


@dataclass(frozen=True, slots=True)
class _Half(Generic[T]):
    is_near: bool
    what: T
    since_s: float


class Pairing(Generic[T]):
    """Halves that wait for their other half. `T` is whatever the caller keeps of one."""

    def __init__(self, *, wait_s: float, limit: int = MAX_WAITING) -> None:
        """Let a half wait for `wait_s`, and at most `limit` of them at a time."""
        self._wait_s = wait_s
        self._limit = limit
        self._halves: OrderedDict[tuple[str, str, str], _Half[T]] = OrderedDict()
        self._lonely: list[T] = []

    def __len__(self) -> int:
        return len(self._halves)

    def meet(self, bridge: BuiltInBridge, what: T, now_s: float) -> T | None:
        """Give the other half, if it waits; else this one waits from now on.

        A second half of the same side takes the place of the first, which is lonely then.
        """
        waiting = self._halves.pop(bridge.key, None)
        if waiting is not None and waiting.is_near != bridge.is_near:
            return waiting.what
        if waiting is not None:
            self._lonely.append(waiting.what)
        self._halves[bridge.key] = _Half(bridge.is_near, what, now_s)
        if len(self._halves) > self._limit:
            self._lonely.append(self._halves.popitem(last=False)[1].what)
        return None

    def forget(self, bridge: BuiltInBridge, what: T) -> bool:
        """Let a half go whose INVITE was taken back; False where it did not wait."""
        waiting = self._halves.get(bridge.key)
        if waiting is None or waiting.what != what:
            return False
        del self._halves[bridge.key]
        return True

    def take_lonely(self, now_s: float) -> tuple[T, ...]:
        """Give, once, the halves whose other one did not come in time: each is to be recorded alone."""
        while self._halves:
            key, half = next(iter(self._halves.items()))
            if now_s - half.since_s < self._wait_s:
                break
            del self._halves[key]
            self._lonely.append(half.what)
        lonely, self._lonely = tuple(self._lonely), []
        return lonely

    def next_at_s(self) -> float | None:
        """Give when `take_lonely` will have something to give; None while nobody waits."""
        if self._lonely:
            return float("-inf")
        half = next(iter(self._halves.values()), None)
        return None if half is None else half.since_s + self._wait_s

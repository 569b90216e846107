"""The three faces of the edge: from where a message comes, and where one can be sent to at all.

Conventions: addresses are host and port, numeric. A side is who is behind a face.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.peers import Peers, is_loopback, read_address
from callseal.agent.sip.proxying import Hop
from callseal.agent.sip.uri import Uri
from callseal.agent.sip.via import DEFAULT_PORT, DEFAULT_TLS_PORT
from callseal.agent.sources.bridge.edge.facts import Side

PHONE: Final = "phone"
PBX: Final = "pbx"
LINE: Final = "line"

Address = tuple[str, int]
NOWHERE: Final[Address] = ("", 0)

LOCALHOST: Final = "localhost"
"""The one name that stands for an address without being looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where a telephone of this machine is."""

    transport: Transport
    address: Address
    connection: int = 0
    """The one that it opened, which is used while it lasts; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """Where the edge is, and who is around it."""

    phone: Address = NOWHERE
    """Ours, towards the telephone."""
    pbx: Address = NOWHERE
    """Ours, as the telephone system is told it; over TLS that of the connection which we keep."""
    line: Address = NOWHERE
    """Ours, towards the child."""
    pbx_transport: Transport = Transport.UDP
    pbx_target: Address = NOWHERE
    """The telephone system's."""
    pbx_host: str = ""
    """The telephone system's host, or host:port, as it stands in URIs."""
    pbx_addresses: frozenset[str] = frozenset()
    """Addresses and networks from which the telephone system may speak; none while it isn't known."""
    child: Address | None = None
    """None while there is no child."""
    pbx_former: frozenset[Address] = frozenset()
    """Other addresses of ours that the telephone system was told earlier, and may still use."""

    def side_of(self, flow: Flow) -> Side | None:
        """Say who sent what came by this flow; None for nobody who may.

        A telephone system on this machine may speak from its own address to the telephone's face too.
        """
        if flow.face == LINE:
            return LINE if flow.remote == self.child else None
        if flow.face == PBX:
            # Where TLS says who speaks, an address that anybody can write says nothing.
            is_secure = flow.transport is Transport.TLS or self.pbx_transport is not Transport.TLS
            is_known = self.knows_pbx and _peers(self.pbx_addresses).allows_address(flow.remote[0])
            return PBX if is_secure and is_known else None
        if flow.face != PHONE:
            return None
        if flow.transport is Transport.UDP and flow.remote == self.pbx_target:
            return PBX
        return PHONE if self.is_here(flow.remote[0]) else None

    def is_here(self, host: str) -> bool:
        """Say whether a host is an address of this machine: loopback, or the one that others know it by."""
        return is_loopback(host) or (self.knows_pbx and host == self.pbx[0])

    def face_of(self, uri: Uri) -> Side | None:
        """Return the face that a URI names, None for none of ours."""
        address = self.address_of(uri)
        if address == self.pbx or address in self.pbx_former:
            return PBX
        if address == self.phone:
            return PHONE
        return LINE if address == self.line else None

    def address_of(self, uri: Uri) -> Address:
        """Return host and port of a URI in the spelling that addresses have here; names stay as they are."""
        return (self.phone[0] if uri.host == LOCALHOST else _plain(uri.host)), port_of(uri)

    def own_uri(
        self, side: Side, user: str = "", params: str = "", transport: Transport | None = None
    ) -> str:
        """Return a URI of ours at a face; `transport` matters at the telephone's, which has two."""
        address = {PHONE: self.phone, PBX: self.pbx, LINE: self.line}[side]
        by = {PHONE: transport, PBX: self.pbx_transport, LINE: None}[side]  # the child speaks UDP alone
        way = "" if by is None or by is Transport.UDP else f";transport={by.value.lower()}"
        return f"sip:{user}{'@' if user else ''}{written(address)}{way}{params}"

    @property
    def knows_pbx(self) -> bool:
        """Whether it is known where the telephone system is."""
        return bool(self.pbx_addresses)

    def to_pbx(self) -> Hop:
        """Return the way to the telephone system."""
        flow = Flow(transport=self.pbx_transport, local=self.pbx, remote=self.pbx_target, face=PBX)
        return Hop(flow=flow, destination=self.pbx_target)

    def to_line(self) -> Hop | None:
        """Return the way to the child, None while there is none."""
        if self.child is None:
            return None
        flow = Flow(transport=Transport.UDP, local=self.line, remote=self.child, face=LINE)
        return Hop(flow=flow, destination=self.child)

    def to_phone(self, reach: Reach) -> Hop:
        """Return the way to a telephone of this machine.

        Its connection comes from another port than the one of its Contact, which is connected to when that
        connection is gone.
        """
        flow = Flow(
            transport=reach.transport,
            local=self.phone,
            remote=NOWHERE if reach.connection else reach.address,
            connection=reach.connection,
            face=PHONE,
        )
        return Hop(flow=flow, destination=reach.address)

    def reach(self, uri: Uri) -> Reach | None:
        """Return where a telephone's own URI is; None where that isn't an address of this machine.

        Names are not looked up, and what is the edge itself is no telephone.
        """
        transport = (uri.param("transport") or "udp").upper()
        address = host, _ = self.address_of(uri)
        if uri.scheme != "sip" or transport not in (Transport.UDP.value, Transport.TCP.value):
            return None
        if not self.is_here(host) or (":" in host) != (":" in self.phone[0]):
            return None
        if address == self.child or self.face_of(uri) is not None:
            return None
        return Reach(transport=Transport(transport), address=address)


def written(address: Address) -> str:
    """Write an address as it stands in a URI."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def port_of(uri: Uri) -> int:
    """Return the port that a URI means."""
    if uri.port is not None:
        return uri.port
    is_tls = uri.scheme == "sips" or (uri.param("transport") or "").lower() == "tls"
    return DEFAULT_TLS_PORT if is_tls else DEFAULT_PORT


@lru_cache(maxsize=4)
def _peers(networks: frozenset[str]) -> Peers:
    return Peers(networks)


def _plain(host: str) -> str:
    """Return an address in the one spelling that it has as text; anything else unchanged."""
    address = read_address(host)
    return host if address is None else str(address)

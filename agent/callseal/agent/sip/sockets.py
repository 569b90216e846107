"""Sockets of the SIP server: opened for UDP, TCP and TLS, and their addresses as text.

Conventions: an address is a host and a port. An IPv4 peer of an IPv6 socket ("::" listens to both) is spoken
of by its IPv4 address everywhere but here.
"""

import errno
import socket
import ssl
from ipaddress import ip_address
from typing import Any, Final

from callseal.agent.errors import SourceError

RECEIVE_BUFFER_BYTES: Final = 4 << 20
"""Asked for; holds what 1,000 calls a second send while the process stands still for a second or more."""
BACKLOG: Final = 128
ANY_PORT_ATTEMPTS: Final = 16
"""A port that is free for TCP may not be so for UDP."""

_MAPPED: Final = "::ffff:"
_MAX_PORT: Final = 65_535

Address = tuple[str, int]


def open_pair(address: Address) -> tuple[socket.socket, socket.socket]:
    """Bind a UDP and a listening TCP socket at one address, any free port for 0; SourceError in words."""
    for attempt in range(ANY_PORT_ATTEMPTS):
        stream = open_listener(address)
        try:
            return _open_datagrams((address[0], stream.getsockname()[1])), stream
        except OSError as problem:
            stream.close()
            if address[1] or attempt == ANY_PORT_ATTEMPTS - 1:
                raise _cannot_listen(address, "UDP", problem) from problem
    raise AssertionError("unreachable")


def open_datagrams(address: Address) -> socket.socket:
    """Bind a UDP socket, not blocking; SourceError in words."""
    try:
        return _open_datagrams(address)
    except OSError as problem:
        raise _cannot_listen(address, "UDP", problem) from problem


def open_listener(address: Address) -> socket.socket:
    """Bind a listening TCP socket, not blocking; SourceError in words."""
    family = _family(address[0])
    try:
        listener = socket.create_server(
            address, family=family, backlog=BACKLOG, dualstack_ipv6=_is_for_all(address[0])
        )
    except OSError as problem:
        raise _cannot_listen(address, "TCP", problem) from problem
    listener.setblocking(False)
    return listener


def open_stream(destination: Address, *, unacknowledged_s: float) -> tuple[socket.socket, Address]:
    """Make a TCP socket for a connection of ours, not blocking, and say to what address it has to connect.

    A peer whose system acknowledges nothing for so long is gone, where the system can watch that (Linux).
    OSError for a destination that is no address.
    """
    family = _family(destination[0])
    address = reachable(destination, family)
    if address is None:
        raise OSError(errno.EADDRNOTAVAIL, "no address")
    stream = socket.socket(family, socket.SOCK_STREAM)
    try:
        stream.setblocking(False)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(unacknowledged_s * 1000))
    except OSError:
        stream.close()
        raise
    return stream, address


def why_not(problem: Exception) -> str:
    """Return in a few words why a connection failed, for a log; nothing that the peer wrote is among them."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return problem.verify_message
    if isinstance(problem, ssl.SSLError) and problem.reason:
        return problem.reason
    if isinstance(problem, TimeoutError) or not isinstance(problem, OSError) or problem.errno is None:
        return type(problem).__name__
    return errno.errorcode.get(problem.errno, type(problem).__name__)


def address_of(name: tuple[Any, ...]) -> Address:
    """Return a socket's address as host and port, whatever its family."""
    host, port = name[:2]
    if host.startswith(_MAPPED) and "." in host:
        host = host.removeprefix(_MAPPED)
    return host, port


def reachable(destination: Address, family: socket.AddressFamily) -> Address | None:
    """Return a destination as a socket of this family takes it; None for what it can't take.

    A host that is a name is among the latter: looking it up would hold up every call.
    """
    host, port = destination
    if not 0 < port <= _MAX_PORT:
        return None
    try:
        version = ip_address(host).version
    except ValueError:
        return None
    if family == socket.AF_INET6:
        return (host if version == 6 else _MAPPED + host), port  # noqa: PLR2004 - IPv6
    return destination if version == 4 else None  # noqa: PLR2004 - IPv4


def local_towards(local: Address, remote: Address) -> Address:
    """Return the local address that a peer sees: of a socket that listens everywhere, the one of the route.

    No packet is sent for it. Where there is no route, the address is the one that was given.
    """
    if not ip_address(local[0]).is_unspecified:
        return local
    try:
        with socket.socket(_family(remote[0]), socket.SOCK_DGRAM) as probe:
            probe.connect(remote)
            return probe.getsockname()[0], local[1]
    except (OSError, ValueError):
        return local


def _open_datagrams(address: Address) -> socket.socket:
    family = _family(address[0])
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not _is_for_all(address[0]))
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        datagrams.setblocking(False)
        datagrams.bind(address)
    except OSError:
        datagrams.close()
        raise
    return datagrams


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_for_all(host: str) -> bool:
    """Say whether a socket at this address is to take IPv4 besides IPv6."""
    return ":" in host and ip_address(host).is_unspecified and socket.has_dualstack_ipv6()


def _cannot_listen(address: Address, protocol: str, problem: OSError) -> SourceError:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return SourceError(f"cannot listen at {host}:{address[1]} ({protocol}): {problem.strerror}")

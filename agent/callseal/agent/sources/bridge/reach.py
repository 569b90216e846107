"""Whom the bridge can reach: this version's sockets are bound to loopback: programs of this machine."""

import ipaddress
import socket

from callseal.agent.errors import SourceError


def addresses(host: str, port: int) -> frozenset[str]:
    """Give the addresses of the telephone system.

    Raises SourceError: nobody knows the name, or it is another machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        raise SourceError(f"the telephone system {host} is not known: {error.strerror}") from error
    known = frozenset(str(address[4][0]) for address in found)
    if not all(ipaddress.ip_address(address).is_loopback for address in known):
        raise SourceError(
            f"{host} is another machine: this version's bridge speaks on loopback only; let a telephone "
            "system or SIP proxy of this machine (127.0.0.1) pass the calls on"
        )
    return known

"""Where the telephone system is: the addresses that its name stands for."""

import socket

from callseal.agent.errors import SourceError


def addresses(host: str, port: int) -> tuple[str, ...]:
    """Give the addresses of the telephone system, IPv4, in the resolver's order; this may take seconds.

    Raises SourceError: nobody knows the name.
    """
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        raise SourceError(f"the telephone system {host} is not known: {error.strerror}") from error
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))

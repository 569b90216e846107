"""Who may talk to the recorder: addresses, and the names in a verified certificate.

Conventions: hosts are text as sockets give it ("192.0.2.1", "2001:db8::1"); an IPv4 address that came through
an IPv6 socket ("::ffff:192.0.2.1") counts as the IPv4 address that it is. Names are those of a certificate's
subjectAltName: "sbc.example.com", "192.0.2.1" or "sip:example.com"; the common name means nothing.

A name in the settings may begin with "*.", which stands for one label. A certificate's own wildcard stands
for nothing (RFC 5922 section 7.2 forbids it): it fits a setting of the very same text only.

Source: RFC 5922 section 7, RFC 6125 section 6.4, RFC 4291 section 2.5.5.2.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

MAX_REMEMBERED: Final = 4096
"""Addresses whose verdict is kept; a UDP sender can invent any number of them."""

_ANYWHERE: Final = "*."
_SIP: Final = "sip:"


class Peers:
    """The peers that are let in: who has an address of `networks` and, with TLS, one of `names`."""

    def __init__(self, networks: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        """Take networks or addresses, none for loopback alone, and names, none for any certificate.

        ValueError for a network that is none.
        """
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(each) for each in networks)
        self._names = tuple(_plain(name) for name in names)
        self._verdicts: dict[str, bool] = {}

    def allows_address(self, host: str) -> bool:
        """Say whether messages from this address are read at all; no for what is no address."""
        verdict = self._verdicts.get(host)
        if verdict is None:
            verdict = self._judge(host)
            if len(self._verdicts) >= MAX_REMEMBERED:
                self._verdicts.clear()
            self._verdicts[host] = verdict
        return verdict

    def allows_names(self, names: Iterable[str]) -> bool:
        """Say whether a certificate with these names is one of a peer's; always where none are asked for."""
        if not self._names:
            return True
        held = tuple(_plain(name) for name in names)
        domains = tuple(name.removeprefix(_SIP) for name in held if name.startswith(_SIP))
        # RFC 5922 section 7.1: where there are SIP URIs, they alone say whom the certificate is for.
        return any(_fits(wanted, name) for name in domains or held for wanted in self._names)

    def _judge(self, host: str) -> bool:
        address = read_address(host)
        if address is None:
            return False
        if not self._networks:
            return address.is_loopback
        return any(address in network for network in self._networks)


def read_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a text, the IPv4 one of a mapped one; None for what is none."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Say whether a text is an address of this machine alone; no for what is no address."""
    address = read_address(host)
    return address is not None and address.is_loopback


def _plain(name: str) -> str:
    """Return a name as it is compared: without case, and without the root's dot."""
    return name.lower().removesuffix(".")


def _fits(wanted: str, name: str) -> bool:
    if not wanted.startswith(_ANYWHERE):
        return name == wanted
    label, dot, domain = name.partition(".")
    return bool(label and dot) and domain == wanted.removeprefix(_ANYWHERE) and read_address(name) is None

"""The addresses that settings hold: SIP URIs, listen addresses and port ranges.

This is the small part of RFC 3261 section 19.1 that a person writes into a settings file, read
strictly; SIP messages from the network are read elsewhere. Each `parse` raises ValueError with a
text that says what is allowed, and `str()` of a value gives text that parses to the same value.
"""

import ipaddress
import re
from dataclasses import dataclass

__all__ = ["DEFAULT_SIP_PORT", "TRANSPORTS", "ListenAddress", "PortRange", "SipUri"]

DEFAULT_SIP_PORT = 5060  # RFC 3261 section 19.1.2
DEFAULT_SIPS_PORT = 5061  # by TLS, same place
TRANSPORTS = ("udp", "tcp", "tls")

# RTP and RTCP towards the telephone, RTP and RTCP towards the PBX.
PORTS_PER_CALL = 4
MIN_PORT_RANGE = 2 * PORTS_PER_CALL
FIRST_FREE_PORT = 1024  # those below need a right that the agent does not have
LAST_PORT = 65535

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 section 2.1
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_SIP_URI = re.compile(
    r"sip:(?:(?P<user>[^@]*)@)?(?P<host>\[[^\[\]]*\]|[^:;\[\]@]*)(?::(?P<port>[^;]*))?(?P<params>;.*)?",
    re.IGNORECASE | re.DOTALL,
)
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()+]{1,64}")
_PORT = re.compile(r"[0-9]{1,5}")


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= LAST_PORT:
        raise ValueError(f"the port must be a number from 1 to {LAST_PORT}")
    return int(text)


def _ip_address(text: str, otherwise: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # A scope ("%eth0") names an interface of one machine and may hold any text.
    if "%" in text:
        raise ValueError(otherwise)
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(otherwise) from None


def _host(text: str) -> str:
    """Check a host: an IPv4 address, an IPv6 address in brackets, or a name."""
    if text.startswith("["):
        return f"[{_ip_address(text[1:-1], 'the host is not an IPv6 address in brackets')}]"
    if re.fullmatch(r"[0-9.]+", text):
        return str(_ip_address(text, "the host looks like an IPv4 address but is none"))
    if not _HOST_NAME.fullmatch(text):
        raise ValueError("the host must be a name, an IPv4 address or an IPv6 address in brackets")
    return text.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class SipUri:
    """A `sip:` URI with a user (or ""), a host, a port and a transport.

    An IPv6 host keeps its brackets here; `bare_host` is the form that sockets take.
    """

    user: str
    host: str
    port: int = DEFAULT_SIP_PORT
    transport: str = "udp"

    @classmethod
    def parse(cls, text: str) -> "SipUri":
        """Read `sip:[user@]host[:port][;transport=udp|tcp|tls]`; raises ValueError."""
        if text[:5].lower() == "sips:":
            raise ValueError('must begin with "sip:"; for TLS add ";transport=tls" instead of "sips:"')
        match = _SIP_URI.fullmatch(text)
        if match is None:
            raise ValueError('must be a SIP URI such as "sip:6001@192.0.2.10:5060"')
        user = match["user"]
        if user is not None and ":" in user:
            raise ValueError("a password has no place in a URI")
        if user is not None and not _USER.fullmatch(user):
            raise ValueError("the user must be 1 to 64 letters, digits or any of -_.!~*'()+")
        transport = cls._transport(match["params"] or "")
        usual = DEFAULT_SIPS_PORT if transport == "tls" else DEFAULT_SIP_PORT
        return cls(
            user=user or "",
            host=_host(match["host"]),
            port=usual if match["port"] is None else _port(match["port"]),
            transport=transport,
        )

    @staticmethod
    def _transport(params: str) -> str:
        if not params:
            return "udp"
        name, _, value = params[1:].lower().partition("=")
        if name != "transport" or value not in TRANSPORTS:
            raise ValueError('the only parameter is ";transport=" with udp, tcp or tls')
        return value

    @property
    def bare_host(self) -> str:
        """The host without the brackets of an IPv6 address."""
        return self.host.strip("[]")

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        transport = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{user}{self.host}:{self.port}{transport}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """An IP address of this machine and a port. `host` has no brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """Read `127.0.0.1:5060` or `[::1]:5060`; raises ValueError. Names are refused: they may move."""
        host, _, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        address = _ip_address(
            host[1:-1] if bracketed else host, 'must be an IP address and a port such as "127.0.0.1:5060"'
        )
        if bracketed != isinstance(address, ipaddress.IPv6Address):
            raise ValueError("an IPv6 address stands in brackets: [::1]:5060")
        return cls(host=str(address), port=_port(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """UDP ports for RTP, first and last included. The first is even, as RFC 3550 section 11 asks."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "PortRange":
        """Read `20000-20999`; raises ValueError."""
        first, dash, last = text.partition("-")
        if not dash or not _PORT.fullmatch(first) or not _PORT.fullmatch(last):
            raise ValueError('must be a range of ports such as "20000-20999"')
        ports = cls(first=int(first), last=int(last))
        if ports.first < FIRST_FREE_PORT or ports.last > LAST_PORT:
            raise ValueError(f"ports must lie between {FIRST_FREE_PORT} and {LAST_PORT}")
        if ports.first % 2 or len(ports) < MIN_PORT_RANGE:
            raise ValueError(f"must begin at an even port and hold at least {MIN_PORT_RANGE} ports")
        return ports

    def __len__(self) -> int:
        return max(self.last - self.first + 1, 0)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

"""What the settings may ask for but this version does not do yet.

The models already know the keys of later work, so that a file need not change its form. Asking for
such a thing is refused when the file is loaded, with what there is instead: better than a service
that starts and leaves calls unrecorded.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from callseal.config.address import ListenAddress, SipUri
from callseal.config.references import Contradiction, tables
from callseal.config.settings import IMPLEMENTED_SOURCES, IMPLEMENTED_STORES

__all__ = ["unavailable"]

T = TypeVar("T")

_LATER_SOURCES = frozenset({"siprec", "soundcard", "folder"})
_LATER_STORES = frozenset({"s3"})


def unavailable(document: Mapping[str, object]) -> Iterator[Contradiction]:
    """Find what a document, as TOML gave it, asks for and this version does not have."""
    yield from _later(document, "source", _LATER_SOURCES - IMPLEMENTED_SOURCES, IMPLEMENTED_SOURCES)
    yield from _later(document, "store", _LATER_STORES - IMPLEMENTED_STORES, IMPLEMENTED_STORES)
    for number, table in tables(document, "source"):
        if table.get("type") == "bridge":
            yield from _bridge(f"source[{number}]", table)


def _later(
    document: Mapping[str, object], name: str, later: frozenset[str], now: frozenset[str]
) -> Iterator[Contradiction]:
    for number, table in tables(document, name):
        kind = table.get("type")
        if isinstance(kind, str) and kind in later:
            yield Contradiction(
                key=f"{name}[{number}].type",
                value=kind,
                allowed=f"not available in this version yet; must be {_or(now)}",
            )


def _bridge(place: str, table: Mapping[str, object]) -> Iterator[Contradiction]:
    phone = _parsed(SipUri.parse, table.get("phone"))
    if phone is not None and phone.transport == "tls":
        yield Contradiction(
            key=f"{place}.phone",
            value=table["phone"],
            allowed="transport tls is not used towards a telephone on the same machine; must be udp or tcp",
        )
    listen = _parsed(ListenAddress.parse, table.get("listen"))
    if listen is not None and not listen.is_loopback:
        yield Contradiction(
            key=f"{place}.listen",
            value=table["listen"],
            allowed="must be a loopback address such as 127.0.0.1: the bridge serves the "
            "telephone program of its own machine and does not check who else calls it",
        )


def _parsed(parse: Callable[[str], T], value: object) -> T | None:
    """Parse text, or give None for what the model will refuse with better words."""
    if not isinstance(value, str):
        return None
    try:
        return parse(value)
    except ValueError:
        return None


def _or(names: frozenset[str]) -> str:
    return " or ".join(f'"{name}"' for name in sorted(names))

"""What gateways add of their own, brought into names and values that can be searched.

An extension's name is its maker, a colon, and the way down to the value: "oracle:ucid",
"netsapiens:callingParty.number", "broadworks:callType.origCall.callingPartyNumber". Elements that only hold
the others together (`extensiondata`, `callData`, …) are no part of the way. An attribute of an element is a
step more: "netsapiens:user.userID". Oracle's copies of SIP headers are called by the header:
"oracle:header.Diversion". Extensions of nobody known are "ext:…".

Source: the makers' own documents, and what their gateways were seen to send.
"""

import re
from collections.abc import Iterator
from typing import Final

from callseal.agent.siprec.markup import Element
from callseal.agent.siprec.model import Attribute

MAX_EXTENSIONS: Final = 128
"""Of one element. Oracle copies every header that it was told to; more than that is no metadata."""
MAX_VALUE_CHARS: Final = 1024
MAX_NAME_CHARS: Final = 96

UNKNOWN: Final = "ext"

_BY_NAMESPACE: Final = (
    ("acmepacket", "oracle"),
    ("oracle", "oracle"),
    ("audiocodes", "audiocodes"),
    ("broadsoft", "broadworks"),
    ("broadworks", "broadworks"),
    ("ns:calldata", "sonus"),
    ("sonus", "sonus"),
    ("ribbon", "sonus"),
    ("netsapiens", "netsapiens"),
    ("cisco", "cisco"),
    ("avaya", "avaya"),
    ("genesys", "genesys"),
    ("metaswitch", "metaswitch"),
)
"""What a namespace has in it, in lower case, and whose it is then."""
_BY_PREFIX: Final = {"apkt": "oracle", "ac": "audiocodes"}
"""For prefixes that were never declared, and for AudioCodes, which puts others' namespaces on its own."""
_WRAPPERS: Final = frozenset(
    {"extensiondata", "broadworksrecordingmetadata", "netsapiensextension", "calldata", "extension"}
)
_BY_WRAPPER: Final = {
    "broadworksrecordingmetadata": "broadworks",
    "netsapiensextension": "netsapiens",
    "calldata": "sonus",
}
_LABELLED: Final = frozenset({"header"})
"""Elements whose attribute `label` says what they are."""
_UNSEARCHABLE: Final = re.compile(r"[^\w.@-]+")


def extensions_of(element: Element) -> tuple[Attribute, ...]:
    """Bring an extension, with all that is in it, into names and values; at most `MAX_EXTENSIONS`."""
    found: dict[Attribute, None] = {}
    for attribute in _walk(element):
        found[attribute] = None
        if len(found) >= MAX_EXTENSIONS:
            break
    return tuple(found)


def attribute_of(maker: str, name: str, value: str) -> Attribute:
    """Make one attribute, its name fit to be searched for and neither longer than is kept."""
    plain_name = _UNSEARCHABLE.sub("_", name)
    return f"{maker}:{plain_name}"[:MAX_NAME_CHARS], " ".join(legible(value).split())[:MAX_VALUE_CHARS]


def legible(text: str) -> str:
    """Give a text without what was no UTF-8 in a SIP message (see `callseal.agent.sip.message`)."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _walk(element: Element) -> Iterator[Attribute]:
    waiting: list[tuple[Element, str, tuple[str, ...]]] = [(element, UNKNOWN, ())]
    while waiting:
        current, maker, way = waiting.pop()
        plain_name = current.name.lower()
        maker = _maker_of(current, plain_name) or maker
        if plain_name not in _WRAPPERS:
            way = (*way, current.name)
        for name, value in current.attributes.items():
            if name == "label" and plain_name in _LABELLED:
                way = (*way, value)
            elif value and way:
                yield attribute_of(maker, ".".join((*way, name)), value)
        if current.text and way:
            yield attribute_of(maker, ".".join(_without_value(way)), current.text)
        waiting.extend((child, maker, way) for child in reversed(current.children))


def _maker_of(element: Element, plain_name: str) -> str:
    if element.prefix in _BY_PREFIX:
        return _BY_PREFIX[element.prefix]
    namespace = element.namespace.lower()
    known = next((maker for part, maker in _BY_NAMESPACE if part in namespace), "")
    return known or _BY_WRAPPER.get(plain_name, "")


def _without_value(way: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out a last step that only says "value"."""
    return way[:-1] if len(way) > 1 and way[-1].lower() == "value" else way

"""DER, just enough of it to find one's way in a structure: elements, their tags, and where they lie.

Conventions: positions are byte offsets in the whole input. Only what DER allows is read: one byte of tag,
definite lengths in their shortest form, nothing behind the last element. What an element means is the
caller's business. Only the error class that the caller gave is raised.

Source: ITU-T X.690 (02/2021), sections 8.1 and 10.1.
"""

from dataclasses import dataclass
from typing import Final

from callseal.seal.errors import SealError

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT_0: Final = 0xA0  # [0], constructed

MAX_CHILDREN: Final = 256
MAX_LENGTH_BYTES: Final = 3
"""No element of ours is larger than 16 MiB."""

_HIGH_TAG: Final = 0x1F
_LONG_FORM: Final = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of `data`: its tag, where it begins, where its content begins, where it ends."""

    data: bytes
    tag: int
    start: int
    body: int
    end: int

    @property
    def encoding(self) -> bytes:
        """All bytes of it, tag and length included."""
        return self.data[self.start : self.end]

    @property
    def content(self) -> bytes:
        """What it holds."""
        return self.data[self.body : self.end]


class Reader:
    """Takes elements of one input apart; every method raises the error that was given here."""

    __slots__ = ("_error", "_what")

    def __init__(self, *, what: str, error: type[SealError]) -> None:
        self._what = what
        self._error = error

    def whole(self, data: bytes, tag: int) -> Element:
        """Return the one element that `data` is."""
        element = self._element(data, 0, len(data))
        if element.end != len(data):
            raise self.wrong("bytes behind its end")
        return self.tagged(element, tag)

    def children(self, element: Element, *, least: int = 0) -> tuple[Element, ...]:
        """Return the elements inside a constructed one; at least so many must be there."""
        found: list[Element] = []
        at = element.body
        while at < element.end:
            if len(found) == MAX_CHILDREN:
                raise self.wrong(f"more than {MAX_CHILDREN} elements in one")
            found.append(self._element(element.data, at, element.end))
            at = found[-1].end
        if len(found) < least:
            raise self.wrong("an element is missing")
        return tuple(found)

    def tagged(self, element: Element, tag: int) -> Element:
        """Return the element itself, if that is its tag."""
        if element.tag != tag:
            raise self.wrong("an element of another kind than expected")
        return element

    def wrong(self, why: str) -> SealError:
        """Return the error, ready to be raised."""
        return self._error(f"{self._what}: malformed: {why}")

    def _element(self, data: bytes, at: int, end: int) -> Element:
        if end - at < 2:  # noqa: PLR2004 - a tag and a length
            raise self.wrong("cut off")
        tag, length, body = data[at], data[at + 1], at + 2
        if tag & _HIGH_TAG == _HIGH_TAG:
            raise self.wrong("a tag of more than one byte")
        if length >= _LONG_FORM:
            size = length - _LONG_FORM
            if not 1 <= size <= MAX_LENGTH_BYTES or body + size > end:
                raise self.wrong("a length that is indefinite, too large or cut off")
            length = int.from_bytes(data[body : body + size], "big")
            if length < _LONG_FORM or length >> 8 * (size - 1) == 0:
                raise self.wrong("a length that is longer than it need be")
            body += size
        if body + length > end:
            raise self.wrong("cut off")
        return Element(data=data, tag=tag, start=at, body=body, end=body + length)

"""The headers of a message, and those that every message has, read (RFC 3261 sections 8.1.1 and 20).

Conventions: names are the long form in lower case, values unfolded and stripped. In a message that was parsed
the properties raise nothing; in one that came with an error, SipSyntaxError where a header is malformed.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.grammar import find_param, read_params, split_name_addr
from callseal.agent.sip.via import Via, parse_via

Fields = tuple[tuple[str, str], ...]

_CSEQ: Final = re.compile(r"0*([0-9]{1,10})[ \t]+([^ \t]+)")
_CSEQ_END: Final = 2**31
_LENGTH: Final = re.compile(r"0*([0-9]{1,10})")


class CSeq(NamedTuple):
    """A request's number in its dialog, and its method."""

    number: int
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """The headers of a message, in their order."""

    fields: Fields

    def get(self, name: str) -> str | None:
        """Return the first value of a header, None where there is none."""
        for known, value in self.fields:
            if known == name:
                return value
        return None

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a header."""
        return tuple(value for known, value in self.fields if known == name)

    def with_first(self, name: str, value: str) -> "Headers":
        """Return the same headers with another first value of one of them."""
        fields = list(self.fields)
        for index, (known, _) in enumerate(fields):
            if known == name:
                fields[index] = (name, value)
                break
        return Headers(fields=tuple(fields))

    @property
    def via(self) -> Via:
        """The top Via."""
        return parse_via(self.get("via") or "")

    @property
    def cseq(self) -> CSeq:
        """The CSeq."""
        return _cseq(self.get("cseq") or "")

    @property
    def call_id(self) -> str:
        """The Call-ID, whose letters' case counts."""
        return self.get("call-id") or ""

    @property
    def from_tag(self) -> str:
        """The tag in From, "" where there is none."""
        return _tag(self.get("from") or "")

    @property
    def to_tag(self) -> str:
        """The tag in To, "" where there is none."""
        return _tag(self.get("to") or "")

    @property
    def content_type(self) -> str:
        """The Content-Type with its parameters, "" where there is none."""
        return self.get("content-type") or ""

    @property
    def content_length(self) -> int | None:
        """How long the body is said to be, None where nothing is said."""
        text = self.get("content-length")
        if text is None:
            return None
        found = _LENGTH.fullmatch(text)
        if found is None:
            raise SipSyntaxError("the Content-Length is no length", status=400)
        return int(found[1])


def _cseq(text: str) -> CSeq:
    found = _CSEQ.fullmatch(text)
    if found is None or int(found[1]) >= _CSEQ_END:
        raise SipSyntaxError("the CSeq is no number, below 2^31, and a method", status=400)
    return CSeq(int(found[1]), found[2])


def _tag(text: str) -> str:
    return find_param(read_params(split_name_addr(text)[2]), "tag") or ""

"""Reading what is meant to be XML: whatever comes, what can be understood of it is understood.

This is no XML parser, and for two reasons. A parser has to stop at the first fault (XML 1.0 section 1.2),
while gateways send bare ampersands, attributes without quotes, prefixes that nobody declared and documents
that end in the middle; and a parser knows document types and entities, which a peer may use as a weapon.
Here a document type is stepped over, an entity is one of the five that XML itself has or stays as it was
written, nothing is ever fetched, and a well-formed document without a document type reads as any parser
would read it.

Conventions: names are local names as written, with their prefix apart; `text` is an element's own text
without its children's, stripped at both ends. Reading takes time linear in the document's length. Nothing
raises.

Source: XML 1.0 (fifth edition), Namespaces in XML 1.0.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

MAX_DOCUMENT_BYTES: Final = 128 * 1024
"""What is beyond is not read. Documents of real gateways have 2 to 10 kB; a conference of 64 has some 50."""
MAX_ELEMENTS: Final = 4096
MAX_DEPTH: Final = 24
"""RFC 7865 needs 4; the deepest extension known has 7."""
MAX_TEXT_CHARS: Final = 4096
"""Of one element's text, or of one attribute."""
MAX_ATTRIBUTES: Final = 64
"""Of one element."""
MAX_LOOSE_TAGS: Final = 64
"""Tags with angle brackets inside their attributes: trying to read one costs more than the others do."""

_LOOSE_TAG_CHARS: Final = 2048
_ENTITIES: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_MAX_CODE_POINT: Final = 0x10FFFF
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_DECLARED_ENCODINGS: Final = {
    "ISO-8859-1": "iso8859-1",
    "ISO8859-1": "iso8859-1",
    "LATIN1": "iso8859-1",
    "WINDOWS-1252": "cp1252",
    "GB2312": "gb18030",
    "GBK": "gb18030",
    "GB18030": "gb18030",
    "BIG5": "big5",
    "SHIFT_JIS": "shift_jis",
    "EUC-KR": "euc_kr",
}
"""Believed only where the bytes are no UTF-8: those that declare something else often are it all the same."""
_BYTE_ORDER_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))

_DECLARATION: Final = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})""")
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NAME: Final = re.compile(r"[A-Za-z_:\u0080-\U0010ffff][^\s/<>=\"'&]*+")
_TAG: Final = re.compile(
    r"<(/?)([A-Za-z_:\u0080-\U0010ffff][^\s/<>=\"'&]*+)((?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+)>"
)
_LOOSE_TAG_END: Final = re.compile(r"(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+>")
_BROKEN_TAG_END: Final = re.compile(r"[^<>]*+>")
_ATTRIBUTE: Final = re.compile(
    r"([^\s=/\"'<>]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'<>]++)))?|[\s\S]", re.DOTALL
)
_REFERENCE: Final = re.compile(r"&(?:#([0-9]{1,8})|#[xX]([0-9A-Fa-f]{1,8})|([A-Za-z_][\w.-]{0,31}));")

_NOT_UTF8: Final = "the document's bytes are not in the encoding that it names"
_NOT_WELL_FORMED: Final = "the document is not well-formed XML"
_CUT_OFF: Final = "the document ends in the middle"
_TOO_LONG: Final = "the document is longer or deeper than is read"
_HAS_DOCTYPE: Final = "the document has a document type, which was not read"
_ODD_CHARACTERS: Final = "the document has characters that XML does not allow"

_NO_ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType({})


class Element(NamedTuple):
    """An element. A named tuple, because a gateway makes us read tens of thousands a second."""

    name: str
    prefix: str
    namespace: str
    attributes: Mapping[str, str]
    """By local name; declarations of namespaces are not among them."""
    text: str
    children: tuple["Element", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Markup:
    """A document: its outermost elements, of which a well-formed one has one."""

    elements: tuple[Element, ...]
    oddities: tuple[str, ...]


def read_markup(body: bytes) -> Markup:
    """Read a document, well-formed or not."""
    reading = _Reading()
    if len(body) > MAX_DOCUMENT_BYTES:
        reading.oddities[_TOO_LONG] = None
        body = body[:MAX_DOCUMENT_BYTES]
    reading.read(_decode(body, reading.oddities))
    return Markup(elements=tuple(reading.top.children), oddities=tuple(reading.oddities))


def walk(element: Element) -> Iterator[Element]:
    """Walk an element and all that is in it, outermost first."""
    waiting = [element]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(current.children))


def _decode(body: bytes, oddities: dict[str, None]) -> str:
    """Turn bytes into text: by their mark, as UTF-8, as declared, or as much of UTF-8 as there is."""
    text = _decode_strictly(body)
    if text is None:
        oddities[_NOT_UTF8] = None
        text = body.decode("utf-8", errors="replace")
    if _FORBIDDEN.search(text):
        oddities[_ODD_CHARACTERS] = None
        text = _FORBIDDEN.sub(_REPLACEMENT, text)
    return text


def _decode_strictly(body: bytes) -> str | None:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return _decoded(body, encoding, skip=len(mark) if encoding == "utf-8" else 0)
    if body[:2] in {b"<\0", b"\0<"}:
        return _decoded(body, "utf-16-le" if body[0] else "utf-16-be")
    text = _decoded(body, "utf-8")
    if text is None and (found := _DECLARATION.match(body)):
        encoding = _DECLARED_ENCODINGS.get(found[1].decode("ascii").upper(), "")
        return _decoded(body, encoding) if encoding else None
    return text


def _decoded(body: bytes, encoding: str, *, skip: int = 0) -> str | None:
    try:
        return body[skip:].decode(encoding)
    except UnicodeDecodeError:
        return None


@dataclass(slots=True)
class _Open:
    """An element whose end has not been seen."""

    name: str
    attributes: Mapping[str, str]
    scope: Mapping[str, str]
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class _Reading:
    """One pass over a document."""

    def __init__(self) -> None:
        self.oddities: dict[str, None] = {}
        self.top = _Open("", _NO_ATTRIBUTES, _NO_ATTRIBUTES)
        self._open = [self.top]
        self._elements = 0
        self._loose_tags = 0

    def read(self, text: str) -> None:
        position = 0
        while position < len(text):
            bracket = text.find("<", position)
            if bracket < 0:
                self._take_text(text[position:])
                break
            if bracket > position:
                self._take_text(text[position:bracket])
            position = self._read_tag(text, bracket)
            if self._elements >= MAX_ELEMENTS:
                self.oddities[_TOO_LONG] = None
                break
        if len(self._open) > 1:
            self.oddities[_CUT_OFF] = None
        while len(self._open) > 1:
            self._close()

    def _read_tag(self, text: str, start: int) -> int:
        """Read what begins with an angle bracket; give the position behind it."""
        if found := _TAG.match(text, start):
            is_end, name, rest = found.groups()
            if is_end:
                self._end(name)
            else:
                self._start(name, rest)
            return found.end()
        if text.startswith(("<!", "<?"), start):
            return self._read_declaration(text, start)
        self.oddities[_NOT_WELL_FORMED] = None
        name = _NAME.match(text, start + 1)
        end = self._loose_tag_end(text, name.end()) if name else None
        if name is None or end is None:
            self._take_literally("<")
            return start + 1
        self._start(name[0], text[name.end() : end - 1])
        return end

    def _read_declaration(self, text: str, start: int) -> int:
        if text.startswith("<!--", start):
            return self._behind(text, "-->", start + 4)
        if text.startswith("<![CDATA[", start):
            end = self._behind(text, "]]>", start + 9)
            self._take_literally(text[start + 9 : end].removesuffix("]]>"))
            return end
        if text.startswith("<?", start):
            return self._behind(text, "?>", start + 2)
        return self._behind_doctype(text, start)

    def _behind(self, text: str, closing: str, start: int) -> int:
        end = text.find(closing, start)
        if end >= 0:
            return end + len(closing)
        self.oddities[_CUT_OFF] = None
        return len(text)

    def _behind_doctype(self, text: str, start: int) -> int:
        """Step over `<!DOCTYPE …>` with its declarations between brackets."""
        self.oddities[_HAS_DOCTYPE] = None
        end = text.find(">", start)
        declarations = text.find("[", start, end if end >= 0 else len(text))
        if declarations >= 0:
            return self._behind(text, ">", self._behind(text, "]", declarations))
        return self._behind(text, ">", start)

    def _loose_tag_end(self, text: str, position: int) -> int | None:
        """Find where a malformed tag ends; None where it does not, so that its bracket was none of a tag."""
        if self._loose_tags < MAX_LOOSE_TAGS:
            self._loose_tags += 1
            if found := _LOOSE_TAG_END.match(text, position, position + _LOOSE_TAG_CHARS):
                return found.end()
        found = _BROKEN_TAG_END.match(text, position)
        return found.end() if found else None

    def _start(self, name: str, rest: str) -> None:
        is_empty = rest.endswith("/")
        scope = self._open[-1].scope
        attributes: Mapping[str, str] = _NO_ATTRIBUTES
        if "=" in rest:
            attributes, declared = self._attributes(rest)
            if declared:
                scope = {**scope, **declared}
        self._elements += 1
        self._open.append(_Open(name, attributes, scope))
        if is_empty or len(self._open) > MAX_DEPTH:
            if not is_empty:
                self.oddities[_TOO_LONG] = None
            self._close()

    def _attributes(self, rest: str) -> tuple[Mapping[str, str], dict[str, str]]:
        """Read what stands in a tag behind the name: attributes, and prefixes that are declared."""
        attributes: dict[str, str] = {}
        declared: dict[str, str] = {}
        for found in _ATTRIBUTE.finditer(rest):
            name, double, single, bare = found.groups()
            if name is None:
                continue
            if bare is not None or (double is None and single is None):
                self.oddities[_NOT_WELL_FORMED] = None
            value = self._resolve(double or single or (bare or "").removesuffix("/"))[:MAX_TEXT_CHARS]
            prefix, colon, local = name.rpartition(":")
            if prefix == "xmlns" or (not colon and local == "xmlns"):
                declared["" if not colon else local] = value
            elif len(attributes) < MAX_ATTRIBUTES:
                attributes.setdefault(local, value)
        return attributes, declared

    def _end(self, name: str) -> None:
        if self._open[-1].name == name and len(self._open) > 1:
            self._close()
            return
        self.oddities[_NOT_WELL_FORMED] = None
        if any(frame.name == name for frame in self._open[1:]):
            while self._open[-1].name != name:
                self._close()
            self._close()

    def _close(self) -> None:
        frame = self._open.pop()
        prefix, _, name = frame.name.rpartition(":")
        text = "".join(frame.texts).strip()[:MAX_TEXT_CHARS] if frame.texts else ""
        self._open[-1].children.append(
            Element(name, prefix, frame.scope.get(prefix, ""), frame.attributes, text, tuple(frame.children))
        )

    def _take_text(self, text: str) -> None:
        if not text.isspace():
            self._take_literally(self._resolve(text))

    def _take_literally(self, text: str) -> None:
        frame = self._open[-1]
        if len(self._open) > 1:
            frame.texts.append(text)
        elif not text.isspace():
            self.oddities[_NOT_WELL_FORMED] = None

    def _resolve(self, text: str) -> str:
        """Put characters in the place of references to them."""
        if "&" not in text:
            return text
        resolved = 0

        def character(found: re.Match[str]) -> str:
            nonlocal resolved
            decimal, hexadecimal, name = found.groups()
            if name is not None:
                known = _ENTITIES.get(name)
                resolved += known is not None
                return found[0] if known is None else known
            resolved += 1
            point = int(decimal) if decimal else int(hexadecimal, 16)
            return _REPLACEMENT if point > _MAX_CODE_POINT else _FORBIDDEN.sub(_REPLACEMENT, chr(point))

        result = _REFERENCE.sub(character, text)
        if resolved != text.count("&"):
            self.oddities[_NOT_WELL_FORMED] = None
        return result

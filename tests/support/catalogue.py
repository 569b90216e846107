"""The command line's translations: what the source asks for, what the catalogue has, and its compiled form.

Run it to compile the catalogue after every change:  python tests/support/catalogue.py
It lists the messages that have no translation, ready to be put into the .po file.

Conventions: a message is (singular, plural or None). Only literals can be translated, so a call of `_`,
`mark` or `counted` with anything else is passed over, save that `_(variable)` relies on a `mark` elsewhere.
Source: GNU gettext manual, "The Format of PO Files" and "The Format of GNU MO Files".
"""

import ast
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Final

CLI: Final = Path(__file__).resolve().parents[2] / "cli/callseal/cli"
PO: Final = CLI / "locale/zh_CN/LC_MESSAGES/callseal.po"
MO: Final = PO.with_suffix(".mo")
TYPER_MARK: Final = "#. typer"
"""Comment above the messages that typer, not our source, asks for."""

_MAGIC: Final = 0x950412DE
_HEADER: Final = struct.Struct("<7I")
_ONE: Final = frozenset({"_", "mark"})
_COUNTED: Final = "counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message of the catalogue, and what it is in Chinese: one form, also where English has two."""

    one: str
    many: str | None
    translation: str
    of_typer: bool


def wanted(root: Path = CLI) -> dict[str, str | None]:
    """Return the messages that the source asks for, each with its plural."""
    found: dict[str, str | None] = {}
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                texts = [text for argument in node.args if (text := _text(argument)) is not None]
                if node.func.id in _ONE and texts:
                    found.setdefault(texts[0], None)
                elif node.func.id == _COUNTED:
                    found[texts[0]] = texts[1]
    return found


def entries(text: str) -> list[Entry]:
    """Return the entries of a .po file, its header left out."""
    return [entry for block in text.split("\n\n") if (entry := _entry(block)) and entry.one]


def places(message: str) -> frozenset[str]:
    """Return the names of the places to fill in a message."""
    return frozenset(name for _text, name, _spec, _conversion in Formatter().parse(message) if name)


def compiled(text: str) -> bytes:
    """Return the .mo file of a .po file."""
    header = next(entry for block in text.split("\n\n") if (entry := _entry(block)))
    pairs = [(header.one, header.translation)]
    pairs += [
        (entry.one if entry.many is None else f"{entry.one}\0{entry.many}", entry.translation)
        for entry in entries(text)
    ]
    data = sorted((one.encode(), other.encode()) for one, other in pairs)
    keys, values = [one for one, _other in data], [other for _one, other in data]
    tables_at = _HEADER.size
    texts_at = tables_at + 16 * len(data)
    tables, texts = b"", b""
    for strings in (keys, values):
        for string in strings:
            tables += struct.pack("<2I", len(string), texts_at + len(texts))
            texts += string + b"\0"
    head = _HEADER.pack(_MAGIC, 0, len(data), tables_at, tables_at + 8 * len(data), 0, texts_at)
    return head + tables + texts


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _entry(block: str) -> Entry | None:
    fields: dict[str, str] = {}
    for keyword, text in _lines(block):
        fields[keyword] = fields.get(keyword, "") + text
    if "msgid" not in fields:
        return None
    return Entry(
        one=fields["msgid"],
        many=fields.get("msgid_plural"),
        translation=fields.get("msgstr", fields.get("msgstr[0]", "")),
        of_typer=TYPER_MARK in block.splitlines(),
    )


def _lines(block: str) -> Iterator[tuple[str, str]]:
    keyword = ""
    for line in block.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith('"'):
            keyword, _space, line = line.partition(" ")  # noqa: PLW2901 - what is left of it
        yield keyword, ast.literal_eval(line)


def _written(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def main() -> int:
    """Compile the catalogue; list what it lacks."""
    text = PO.read_text(encoding="utf-8")
    MO.write_bytes(compiled(text))
    has = {entry.one for entry in entries(text) if entry.translation}
    missing = {one: many for one, many in wanted().items() if one not in has}
    for one, many in missing.items():
        lines = [f"msgid {_written(one)}"]
        lines += ['msgstr ""'] if many is None else [f"msgid_plural {_written(many)}", 'msgstr[0] ""']
        sys.stdout.write("\n".join(lines) + "\n\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

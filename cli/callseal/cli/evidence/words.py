"""The words of a statement, and the commands of its steps: sections of text files, with places to fill.

A section begins with ``=== <name>``; a place is written ``@name@``. What comes from a recording may hold
anything, so whatever fills a place is made harmless first: a telephone's display name must not become a
heading or a command. `Fill.raw` is for texts of our own, and `Fill.commands` takes nothing else.

Conventions: an unknown section or place is a KeyError, which is a bug of ours.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from importlib.resources import files
from typing import Final

from callseal.cli.output import clean
from callseal.seal.reasons import Language

_PLACE: Final = re.compile(r"@([a-z0-9_]+)@")
_SECTION: Final = re.compile(r"^=== (.+)\n", re.MULTILINE)
_MARKUP: Final = re.compile(r"([\\`*_\[\]<>|#&~])")
# What commands are filled with: hashes, ids, numbers, names of objects. No sign that a shell takes notice of.
_HARMLESS: Final = re.compile(r"[A-Za-z0-9 .,:_\\-]*")


class Words:
    """The sections of one file."""

    def __init__(self, text: str) -> None:
        _, *parts = _SECTION.split(text)
        self._sections = {name: body.strip("\n") for name, body in zip(parts[::2], parts[1::2], strict=True)}

    @property
    def names(self) -> AbstractSet[str]:
        """The sections."""
        return self._sections.keys()

    def places(self, name: str) -> AbstractSet[str]:
        """Return the places of a section that are to be filled."""
        return set(_PLACE.findall(self._sections[name]))

    def section(self, name: str) -> str:
        """Return a section as it stands there."""
        return self._sections[name]

    def text(self, name: str, values: Mapping[str, str], raw: Mapping[str, str] | None = None) -> str:
        """Return a section of prose, filled; `raw` is put in as it is."""
        harmless = {key: plain(value) for key, value in values.items()}
        return _fill(self._sections[name], {**harmless, **(raw or {})})

    def commands(self, name: str, values: Mapping[str, str], lines: str = "") -> str:
        """Return a section of commands, filled; `lines` are commands for its place of that name.

        ValueError for a value that a shell could take for more than a text.
        """
        body = self._sections[name]
        for key in self.places(name) - {"lines"}:
            if _HARMLESS.fullmatch(values[key]) is None:
                raise ValueError(f"{key} can't stand in a command")
        filled = _fill(body, {**values, "lines": lines})
        # Without lines nothing is left of their place, not even an empty line.
        return "\n".join(line for line in filled.split("\n") if line)


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    return _MARKUP.sub(r"\\\1", clean(text))


@cache
def read(name: str) -> Words:
    """Return the sections of one of the files."""
    return Words((files("callseal.cli.evidence") / "words" / name).read_text(encoding="utf-8"))


def prose(language: Language) -> Words:
    """Return the words in one language."""
    return read(f"{language.value}.md")


def steps() -> Words:
    """Return the commands, which are the same in every language."""
    return read("steps.txt")


def _fill(text: str, values: Mapping[str, str]) -> str:
    # One pass: what a value brings with it is not looked at again.
    return _PLACE.sub(lambda place: values[place[1]], text)

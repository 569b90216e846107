"""A text that must not show: passphrases and private keys.

Conventions: whoever needs the text asks for it by name (``reveal``), so that every such place can be
found; printing, formatting, logging and pickling give stars or an error, never the text.
"""

from hmac import compare_digest
from typing import NoReturn


class Secret:
    """Holds a text that masks itself; compared in constant time."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def reveal_bytes(self) -> bytes:
        """Return the text as UTF-8; bytes from a terminal that are no UTF-8 come back as they were."""
        return self._text.encode("utf-8", "surrogateescape")

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self.reveal_bytes(), other.reveal_bytes())

    __hash__ = None  # type: ignore[assignment]  # a hash of the text would be a way to guess it

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere: call reveal() where its text is truly needed")

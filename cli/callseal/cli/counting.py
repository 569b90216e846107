"""How far a search is whose end nobody knows, shown on standard error where somebody watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from rich.console import Console

from callseal.cli.i18n import _

Counted: TypeAlias = Callable[[str, int], None]
"""Is told the name of a place, and how many objects were seen in it so far."""

EVERY: Final = 1000
"""Objects between two words: a page of an S3 listing."""


def unseen(_place: str, _number: int, /) -> None:
    """Take no notice of how far it is."""


@contextmanager
def counting() -> Iterator[Counted]:
    """Show what is being looked through."""
    if not sys.stderr.isatty():
        yield unseen
        return
    with Console(stderr=True).status(_("looking through the stores")) as status:
        words = _("looking through {place}: {number} objects")
        yield lambda place, number: status.update(words.format(place=place, number=number))

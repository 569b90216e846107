"""Recordings that a device's ledger speaks of, and of which nothing ever came.

A ledger travels by itself, and ahead of the recordings: it says that one was finished, and what its manifest
is. One that was taken from the desk before it was brought leaves no other trace.

Conventions: looked for in all stores of the settings, once each of them was looked through. What was told
stays told until the recording comes, also when its entry has long been let go of. "Not checked": a desk may
still be bringing what it recorded without a network.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final
from uuid import UUID

from callseal.archive.examining import Ledgers
from callseal.archive.tools import Site, Tools, full_scan_note
from callseal.archive.troubles import Code, Trouble, trouble
from callseal.seal.timestamp import write_time
from callseal.seal.verify import NOT_CHECKED

MAX_TOLD: Final = 100
"""Recordings of one device that are told one by one."""

_SUBJECT: Final = "never came "


class NeverCame:
    """Looks for what never came, by the ledgers in one store; `sites` are all stores of the settings."""

    def __init__(
        self,
        site: Site,
        sites: Sequence[Site],
        tools: Tools,
        *,
        tell: Callable[[str, str, Sequence[Trouble]], None],
    ) -> None:
        """`tell` remembers what is wrong with a subject of a device."""
        self._site = site
        self._sites = tuple(sites)
        self._tools = tools
        self._tell = tell

    def look(self, device: str, ledgers: Ledgers) -> None:
        """Tell what a device finished more than `Limits.incomplete` ago, and what came meanwhile.

        Raises StoreError.
        """
        memory = self._tools.memory
        told = self._told(device)
        for one in [one for one in told if memory.is_known(device, one)]:
            told.remove(one)
            self._tell(device, f"{_SUBJECT}{one}", ())
        # What is copied here from elsewhere is told there.
        if self._site.filled or not all(memory.note(full_scan_note(one)) for one in self._others()):
            return
        ledger = ledgers.ledger(device)
        if ledger is None:
            return
        chain = ledger.chain
        before = self._tools.now() - self._tools.limits.incomplete
        missing = (
            (recording, end)
            for recording, end in chain.newest_ends(chain.size)
            if end.manifest is not None
            and end.at < before
            and recording not in told
            and not memory.is_known(device, recording)
        )
        for recording, end in islice(missing, max(0, MAX_TOLD - len(told))):
            words = (
                f"{recording}: finished at {write_time(end.at)} by entry {end.sequence} of {device}, and"
                " nothing of it came to any store"
            )
            self._tell(device, f"{_SUBJECT}{recording}", (trouble(Code.NEVER_CAME, words, NOT_CHECKED),))

    def _others(self) -> Sequence[Site]:
        return [one for one in self._sites if one.name != self._site.name]

    def _told(self, device: str) -> set[UUID]:
        found = self._tools.memory.troubles(self._site.name, device)
        return {
            UUID(one.subject.removeprefix(_SUBJECT)) for one in found if one.trouble.code == Code.NEVER_CAME
        }

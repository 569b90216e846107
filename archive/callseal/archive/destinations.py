"""Where recordings of one store belong besides: copies that are wanted, and stores that nobody knows.

A manifest names the stores that its recording is meant for. Those that the custodian fills get a copy. Where
the settings lack one, that is told, device by device: its recordings lie in one place less than they should.

Conventions: which stores are filled is noted. Once that has changed, all recordings are looked at anew, so
that those that were received before come to a store that was added. Used from one lane.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Final

from callseal.archive.memory import Memory
from callseal.archive.tools import Site
from callseal.archive.troubles import Code, Trouble, trouble
from callseal.seal.manifest import Manifest
from callseal.seal.verify import NOT_CHECKED
from callseal.store.names import RecordingName

MAX_UNKNOWN: Final = 100
"""Names of stores, one device each, that are told: more are no slip in somebody's settings."""

_SUBJECT: Final = "store "


class Destinations:
    """What belongs elsewhere too, of the recordings in one store; `sites` are all stores of the settings."""

    def __init__(
        self,
        site: Site,
        sites: Sequence[Site],
        memory: Memory,
        *,
        tell: Callable[[str, str, Sequence[Trouble]], None],
    ) -> None:
        """`tell` remembers what is wrong with a subject of a device."""
        self._memory = memory
        self._tell = tell
        self._known = frozenset(one.name for one in sites)
        own = () if site.filled else sites
        self._targets = frozenset(one.name for one in own if one.filled and one.name != site.name)
        self._note = f"targets of {site.name}"
        self._changed = memory.note(self._note) != self._sum
        self._told: set[tuple[str, str]] = set()
        for one in memory.troubles(site.name):
            if one.trouble.code == Code.NO_SUCH_STORE:
                self._remember(one.device, one.subject.removeprefix(_SUBJECT))

    @property
    def changed(self) -> bool:
        """Whether other stores are filled now than when all recordings were looked at."""
        return self._changed

    def considered(self) -> None:
        """Note that all recordings were looked at."""
        self._memory.set_note(self._note, self._sum)
        self._changed = False

    def take(self, name: RecordingName, manifest: Manifest) -> None:
        """Want the copies of a recording that was received, and tell of stores that the settings lack."""
        for store in manifest.stores:
            if store in self._targets:
                self._memory.want_copy(store, name)
            elif store not in self._known and (name.device, store) not in self._told:
                self._tell_unknown(name.device, store)

    @property
    def _sum(self) -> int:
        return zlib.crc32("\n".join(sorted(self._targets)).encode())

    def _remember(self, device: str, store: str) -> None:
        if store in self._known:
            self._tell(device, _SUBJECT + store, ())
        else:
            self._told.add((device, store))

    def _tell_unknown(self, device: str, store: str) -> None:
        if len(self._told) >= MAX_UNKNOWN:
            return
        self._told.add((device, store))
        words = (
            f"{device}: its recordings are also meant for the store {store}, which the settings don't have"
        )
        self._tell(device, _SUBJECT + store, (trouble(Code.NO_SUCH_STORE, words, NOT_CHECKED),))

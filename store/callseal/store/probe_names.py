"""The names of what an examination of a store leaves behind, and how to know them.

::

    recordings/<device>/check-<run>     put by the device, and what the attacks are tried on
    receipts/<device>/check-<run>       put by the custodian, read by the device
    receipts/dev-otherdevices/check-<run>                          which the device must not read
    retention/<device>/check-<run>      put by the custodian
    access/check-<run>                  put by a reader
    fleet/check                         put by the custodian, replaced by the next examination

Where somebody was let put what must be refused, it stands there as well, with a dot and who it was behind it.

Conventions: `run` is 32 hexadecimal digits, new for every examination. Nothing that recordings, ledgers,
receipts and records are called looks like that (`names` parses none of these), and none is a folder: who
lists devices' days does not meet them.
"""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from callseal.store.names import ACCESS, FLEET, LEDGER, RECEIPTS, RECORDINGS, RETENTION, STAMPS, fleet_name

OTHER_DEVICE: Final = "dev-otherdevices"
"""A device that is none: a real one's id is a hash, which spells no words."""

_WORD: Final = "check"
_PATTERN: Final = re.compile(
    rf"((recordings|ledger|stamps|receipts|retention)/dev-[a-z2-7]{{12}}/|access/|){_WORD}-[0-9a-f]{{32}}(\.[a-z]+)?"
    rf"|fleet/{_WORD}"
)


def is_probe_name(name: str) -> bool:
    """Tell whether an object is left from an examination, and so no finding of anybody's."""
    return _PATTERN.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeNames:
    """The names of one examination; ValueError for a malformed device."""

    device: str
    run: UUID

    def __post_init__(self) -> None:
        fleet_name(self.device)  # only for its check
        if self.device == OTHER_DEVICE:
            raise ValueError("that device stands for another one")

    @property
    def own(self) -> str:
        """What the device puts among its recordings."""
        return self._of(RECORDINGS, self.device)

    @property
    def wrong(self) -> str:
        """What comes with a wrong hash: it must never be there."""
        return f"{self.own}.wrong"

    @property
    def in_parts(self) -> str:
        """What is begun in parts and abandoned."""
        return f"{self.own}.parts"

    @property
    def with_lock(self) -> str:
        """What would bring a retention of its own: it must never be there."""
        return f"{self.own}.lock"

    @property
    def ledger(self) -> str:
        """What is begun in the device's ledger and abandoned."""
        return self._of(LEDGER, self.device)

    @property
    def own_receipt(self) -> str:
        """What the custodian puts among the device's receipts."""
        return self._of(RECEIPTS, self.device)

    @property
    def foreign_recording(self) -> str:
        """A name among another device's recordings."""
        return self._of(RECORDINGS, OTHER_DEVICE)

    @property
    def foreign_ledger(self) -> str:
        """A name in another device's ledger."""
        return self._of(LEDGER, OTHER_DEVICE)

    @property
    def foreign_receipt(self) -> str:
        """What the custodian puts among another device's receipts."""
        return self._of(RECEIPTS, OTHER_DEVICE)

    @property
    def stamp(self) -> str:
        """A name among the device's stamps."""
        return self._of(STAMPS, self.device)

    @property
    def retention(self) -> str:
        """What the custodian puts among the records of retention."""
        return self._of(RETENTION, self.device)

    @property
    def access(self) -> str:
        """What a reader puts among the records of access."""
        return f"{ACCESS}{_WORD}-{self.run.hex}"

    @property
    def outside(self) -> str:
        """A name that stands below none of the prefixes."""
        return f"{_WORD}-{self.run.hex}"

    @property
    def fleet(self) -> str:
        """What the custodian puts beside the fleet's state, the same every time."""
        return f"{FLEET}{_WORD}"

    def _of(self, prefix: str, device: str) -> str:
        return f"{prefix}{device}/{_WORD}-{self.run.hex}"

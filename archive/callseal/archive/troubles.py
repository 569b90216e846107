"""What a custodian tells: codes for programs, words for people.

Conventions: exit codes are those of `seal.verify`: 12 altered, 13 bad signature, 14 signer untrusted, 15 not
everything could be checked; the gravest is the smallest. Codes never change their meaning. Words name
objects by their names in the store, which hold nothing of a customer; names that a stranger chose are made
fit for one line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from callseal.seal.verify import ALTERED, BAD_SIGNATURE, NOT_CHECKED, UNTRUSTED, Finding

MAX_WORDS: Final = 400
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class Code(StrEnum):
    """What is wrong."""

    ALTERED = "recording-altered"
    BAD_SIGNATURE = "recording-bad-signature"
    UNTRUSTED = "recording-untrusted"
    WAITING = "recording-waiting"
    """Something that it is checked by is not here yet."""
    INCOMPLETE = "recording-incomplete"
    """Its manifest, which comes last, is not here."""
    EXTRA_OBJECT = "extra-object"
    """Somebody put what no manifest knows."""
    EXTRA_VERSION = "extra-version"
    """Somebody put other bytes under the name of what was there."""
    HIDDEN = "object-hidden"
    """Somebody put a delete marker over what is still there."""
    GONE = "object-gone"
    """What a receipt vouches for is there no more, or other bytes are."""
    FORGED = "receipt-forged"
    """What lies there as a receipt is none that counts."""
    COPY_FAILED = "copy-failed"
    """What lies in one store can't be copied to another."""
    CLOCKS_DIFFER = "clocks-differ"
    """Our clock and the store's differ so much that no receipt can be dated."""
    NEVER_CAME = "recording-never-came"
    """A device's ledger says that a recording was finished, and nothing of it is in any store."""
    NO_SUCH_STORE = "store-unknown"
    """Recordings are meant for a store that the settings don't have."""
    FLEET_NOT_WRITTEN = "fleet-not-written"
    """The newest word on the devices can't be written where others read it."""
    LEDGER_NOT_COPIED = "ledger-not-copied"
    """A segment or stamp is not the device's own, and was not copied."""


_BY_EXIT_CODE: Final = {
    ALTERED: Code.ALTERED,
    BAD_SIGNATURE: Code.BAD_SIGNATURE,
    UNTRUSTED: Code.UNTRUSTED,
    NOT_CHECKED: Code.WAITING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong."""

    code: str
    exit_code: int
    words: str


def trouble(code: Code, words: str, exit_code: int = ALTERED) -> Trouble:
    """Return what is told; `words` become one line of a length that fits everywhere."""
    return Trouble(code=code.value, exit_code=exit_code, words=_line(words))


def of_exit_code(exit_code: int, words: str) -> Trouble:
    """Return what is told of a recording whose check ended so."""
    return trouble(_BY_EXIT_CODE.get(exit_code, Code.ALTERED), words, exit_code)


def of_ledger(finding: Finding) -> Trouble:
    """Return what is told of a finding about a ledger: its code, ``ledger-`` before it."""
    code = f"ledger-{finding.code or finding.outcome.value}"
    words = _line(f"{finding.object}: {finding.words}")
    return Trouble(code=code, exit_code=finding.exit_code, words=words)


def of_retention(event: str, fields: Mapping[str, str], exit_code: int) -> Trouble:
    """Return what is told of a protection that could not be extended, by how it is logged."""
    words = ", ".join(f"{name} {value}" for name, value in fields.items())
    return Trouble(code=event.replace(".", "-"), exit_code=exit_code, words=_line(words))


def _line(words: str) -> str:
    return "".join(sign if sign.isprintable() else _REPLACEMENT for sign in words)[:MAX_WORDS]

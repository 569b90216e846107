"""The alarms of all services: how grave each is, and what it means to people.

Conventions: codes are those of the services' status and never change their meaning (docs/format.md). Critical
is where sound is lost or in danger now, or somebody tampered with what is stored; a warning is what a person
has to look after before it becomes that. A code that is not known here is a warning and stands for itself,
but one about a ledger that a custodian found: what could be a forged past is never less than critical.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from callseal.cli.i18n import _, mark
from callseal.cli.monitoring import Verdict

CUSTODIAN: Final = "custodian"
_LEDGER: Final = "ledger-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What an alarm means; `words` are translated where they are shown."""

    verdict: Verdict
    words: str


def _warning(words: str) -> Meaning:
    return Meaning(verdict=Verdict.WARNING, words=words)


def _critical(words: str) -> Meaning:
    return Meaning(verdict=Verdict.CRITICAL, words=words)


MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        # The agent.
        "memory-unprotected": _warning(mark("Keys and sound in memory may reach the disk.")),
        "no-certificate": _warning(mark("Nobody vouches for this device yet, or not any more.")),
        "one-recipient": _warning(mark("Only one key can read the recordings.")),
        "quarantined": _warning(mark("Something lies in quarantine.")),
        "recovered": _warning(mark("An agent died; its recordings were recovered.")),
        "not-recovered": _critical(mark("A recording could not be recovered.")),
        "agent-faulty": _critical(mark("A fault in the agent itself.")),
        "spool-filling": _warning(mark("The disk for recordings is filling.")),
        "spool-full": _critical(mark("The disk for recordings is full: calls are refused or not recorded.")),
        "spool-failed": _critical(mark("The disk for recordings has failed, or can't be used.")),
        "second-spool": _warning(mark("The second disk for recordings is missing.")),
        "second-spool-used": _warning(mark("Recordings go to the second disk.")),
        "ledger-failed": _critical(mark("The ledger can't be written.")),
        "write-failed": _critical(mark("The disk refused to take a recording.")),
        "record-failed": _critical(mark("A call could not be recorded.")),
        "source-failed": _critical(mark("Where calls come from has failed.")),
        "calls-refused": _critical(mark("Calls were turned away: the recording server takes no more.")),
        "file-limit": _warning(mark("The system lets this process open too few files for its calls.")),
        "media-fault": _critical(mark("A fault in the part of the agent that takes the sound.")),
        "workers-dying": _critical(mark("Processes that take the sound die again and again.")),
        # The uploader.
        "no-store": _warning(mark("Recordings are meant for a store that the settings don't have.")),
        "store-unreachable": _warning(mark("A store can't be reached; recordings wait.")),
        "store-denied": _critical(mark("A store does not accept the credentials.")),
        "store-refused": _critical(mark("A store refuses what is sent.")),
        "bundle-broken": _critical(mark("A recording can't be sent: its files are not what they should be.")),
        "ledger-refused": _critical(mark("A store has another ledger of this device.")),
        "queue-failed": _warning(mark("What was sent can't be noted on the disk.")),
        "receipt-refused": _critical(mark("A receipt does not count.")),
        "receipt-late": _warning(mark("Receipts are late: is the custodian running?")),
        "upload-stuck": _warning(mark("A recording is tried again and again, and can't be sent.")),
        "not-cleared": _warning(mark("A local copy can't be deleted, though all its receipts are there.")),
        "watch-failed": _warning(mark("New recordings are noticed late.")),
        # The custodian.
        "memory-failed": _warning(mark("The custodian can't remember what it has done.")),
        "custodian-untrusted": _critical(
            mark("Nobody vouches for the custodian any more: it can give no receipts.")
        ),
        "clocks-differ": _critical(
            mark("The clocks of the custodian and a store differ: no receipts are given.")
        ),
        "recording-never-came": _critical(mark("A finished recording never came to any store.")),
        "store-unknown": _warning(mark("Recordings are meant for a store that the custodian doesn't know.")),
        "fleet-not-written": _warning(mark("How the devices are can't be written to a store.")),
        "recording-altered": _critical(mark("A stored recording is not what its device sealed.")),
        "recording-bad-signature": _critical(mark("A stored recording has a bad signature.")),
        "recording-untrusted": _critical(mark("Nobody vouches for the device of a stored recording.")),
        "recording-waiting": _warning(mark("Stored recordings can't be checked yet.")),
        "recording-incomplete": _warning(mark("Recordings never arrived whole.")),
        "extra-object": _warning(mark("Somebody put what belongs to no recording.")),
        "extra-version": _critical(mark("Somebody put other bytes over a stored object.")),
        "object-hidden": _critical(mark("Somebody tried to delete a stored object.")),
        "object-gone": _critical(mark("A stored object is gone, though it was received.")),
        "receipt-forged": _critical(mark("A receipt in a store is forged.")),
        "retention-clocks-differ": _critical(
            mark("The clocks of the custodian and a store differ: no protection is extended.")
        ),
        "retention-failed": _warning(mark("The protection of recordings can't be extended.")),
        "retention-late": _warning(mark("Protections of recordings are renewed too slowly.")),
        "retention-missing": _critical(mark("What belongs to a stored recording is gone.")),
        "retention-refused": _critical(mark("A decision about keeping a recording does not count.")),
        "evidence-failed": _warning(mark("The protection of what proves recordings can't be extended.")),
        "evidence-late": _warning(mark("Protections of what proves recordings are renewed too slowly.")),
        "copy-failed": _warning(mark("Recordings can't be copied to another store.")),
        "ledger-not-copied": _warning(mark("A part of a ledger was not copied.")),
        "ledger-heartbeat-late": _warning(mark("A device has been silent for too long.")),
        "ledger-clock-stepped": _warning(mark("The clock of a device was set.")),
        "ledger-still-open": _warning(mark("A recording has been running for very long.")),
        "ledger-open-without-end": _warning(mark("A device never told how a recording ended.")),
        "ledger-not-covered": _warning(mark("No checkpoint covers the newest entries of a ledger.")),
        "ledger-not-read": _warning(mark("A ledger could not be read.")),
        "ledger-not-caught-up": _warning(mark("A ledger is not checked to its end yet.")),
        "ledger-not-checked": _warning(mark("A ledger could not be checked.")),
    }
)
_UNKNOWN_LEDGER: Final = mark("Something is wrong with the ledger of a device.")


def verdict(service: str, code: str) -> Verdict:
    """Return how grave an alarm of a service is."""
    known = MEANINGS.get(code)
    if known is not None:
        return known.verdict
    return Verdict.CRITICAL if service == CUSTODIAN and code.startswith(_LEDGER) else Verdict.WARNING


def words(service: str, code: str) -> str:
    """Return what an alarm means; a code that nobody knows stands for itself."""
    known = MEANINGS.get(code)
    if known is not None:
        return _(known.words)
    return _(_UNKNOWN_LEDGER) if service == CUSTODIAN and code.startswith(_LEDGER) else code

"""The queue's tables, and the values that go in and out of them.

::

    recording   one a finished recording in ready/                     open → done, or broken
    delivery    one a recording and site that it is meant for          sending → sent → receipted
                (a site that the custodian fills:                      awaited → receipted)
    object      one an object and site, in the order of sending        see `outcome`
    part        one a part of an object that goes in parts; `tag` is empty until the store has it
    poll        one a receipt that is waited for, and the site in which it will appear
    segment     one a site: how far it has the device's ledger
    note        what else must be remembered

Conventions: times are wall clock milliseconds since 1970; sites are store names; a recording is its id in
text, which sorts by age. Everything here can be made again from ``ready/`` and costs no more than sending
it again: it is our own note, and proves nothing.
"""

from dataclasses import dataclass
from typing import Final

from callseal.store.interface import Span
from callseal.uploader.outcome import RowState
from callseal.uploader.plan import Put

VERSION: Final = 1
"""Of the tables below, in the database's ``user_version``; a newer one is not touched."""

OPEN: Final = "open"
DONE: Final = "done"
BROKEN: Final = "broken"

SENDING: Final = "sending"
SENT: Final = "sent"
AWAITED: Final = "awaited"
RECEIPTED: Final = "receipted"

TABLES: Final = (
    """CREATE TABLE recording (
        id TEXT NOT NULL PRIMARY KEY, device TEXT NOT NULL, prefix TEXT NOT NULL, manifest BLOB NOT NULL,
        ended_at_ms INTEGER NOT NULL, ready_at_ms INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
        state TEXT NOT NULL, planned INTEGER NOT NULL, not_before_ms INTEGER NOT NULL,
        error TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE delivery (
        id TEXT NOT NULL, site TEXT NOT NULL, state TEXT NOT NULL, sent_at_ms INTEGER NOT NULL,
        received_at_ms INTEGER NOT NULL, error TEXT NOT NULL, PRIMARY KEY (id, site)) WITHOUT ROWID""",
    """CREATE TABLE object (
        id TEXT NOT NULL, site TEXT NOT NULL, place INTEGER NOT NULL, file TEXT NOT NULL,
        size_bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, state TEXT NOT NULL, upload TEXT NOT NULL,
        attempted INTEGER NOT NULL, version TEXT, tries INTEGER NOT NULL, not_before_ms INTEGER NOT NULL,
        error TEXT NOT NULL, PRIMARY KEY (id, site, place)) WITHOUT ROWID""",
    """CREATE TABLE part (
        id TEXT NOT NULL, site TEXT NOT NULL, place INTEGER NOT NULL, number INTEGER NOT NULL,
        offset_bytes INTEGER NOT NULL, size_bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, tag TEXT NOT NULL,
        PRIMARY KEY (id, site, place, number)) WITHOUT ROWID""",
    """CREATE TABLE poll (
        id TEXT NOT NULL, site TEXT NOT NULL, via TEXT NOT NULL, tries INTEGER NOT NULL,
        not_before_ms INTEGER NOT NULL, PRIMARY KEY (id, site, via)) WITHOUT ROWID""",
    """CREATE TABLE segment (
        site TEXT NOT NULL PRIMARY KEY, sent INTEGER NOT NULL, attempted INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE note (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Each holds only what still has to be done: what is done costs nothing to pass over.
    """CREATE INDEX object_waiting ON object (site, id, place, not_before_ms, size_bytes)
        WHERE state = 'waiting'""",
    """CREATE INDEX object_again ON object (site, not_before_ms, state, size_bytes)
        WHERE state IN ('doubt', 'refused', 'broken')""",
    "CREATE INDEX poll_due ON poll (via, not_before_ms)",
    "CREATE INDEX delivery_open ON delivery (state, site, id) WHERE state <> 'receipted'",
    "CREATE INDEX recording_state ON recording (state, not_before_ms)",
    "CREATE INDEX recording_unplanned ON recording (planned) WHERE planned = 0",
)

NAMES: Final = ("recording", "delivery", "object", "part", "poll", "segment", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A recording that is to be sent: to `sites` by us; of `awaited` only the receipt is waited for."""

    id: str
    device: str
    prefix: str
    manifest_sha256: bytes
    ended_at_ms: int
    ready_at_ms: int
    puts: tuple[Put, ...]
    sites: tuple[str, ...]
    awaited: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Which object on its way to which site: `place` is its number in the order of sending."""

    id: str
    site: str
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object on its way to one site; `upload` is empty while it does not go in parts."""

    key: Key
    file: str
    name: str
    size_bytes: int
    sha256: bytes
    state: RowState
    upload: str
    attempted: bool
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPart:
    """One part of an object; `tag` is what the store calls it, empty until it has it."""

    number: int
    span: Span
    sha256: bytes
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """A receipt that is waited for: for `site`, in the store `via`."""

    id: str
    device: str
    site: str
    via: str
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something in the queue that a person must look at."""

    site: str
    id: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The queue in figures: recordings not everywhere yet, without all receipts, and all that lie here."""

    waiting: int = 0
    waiting_bytes: int = 0
    oldest_waiting_ms: int | None = None
    unreceipted: int = 0
    local_bytes: int = 0

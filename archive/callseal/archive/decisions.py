"""The decisions about keeping recordings, as they lie in a store: read, believed or not, and added to.

Conventions: a record counts if a custodian whom we trust signed it, if it is about the recording and lies
under its own name. What does not is told, and decides nothing: whoever may only add could put junk there.
Where a name has several versions, the first that holds counts. The time at which the store took a record, by
the store's own clock, is the proof that it was there before its signer was revoked; in a folder that clock is
its owner's.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final, Protocol
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal.errors import RemoteError, RetentionError
from callseal.seal.jws import MAX_SIZE_BYTES
from callseal.seal.keys import Role, TrustStore
from callseal.seal.retention import (
    Decision,
    RetentionRecord,
    State,
    fold,
    open_record,
    record_id,
    sign_record,
)
from callseal.seal.verify.reading import read_up_to
from callseal.store.errors import StoreMissing
from callseal.store.interface import ObjectInfo, StoreReader, StoreWriter
from callseal.store.names import RETENTION, parse_retention_name, retention_name, retention_prefix

MAX_RECORDS: Final = 10_000
"""Names under one recording: more is no work of people, and reading them would keep the others waiting."""


class Store(StoreReader, StoreWriter, Protocol):
    """What decisions are read from and added to."""


class Signer(Protocol):
    """Who signs: a custodian's key and its certificates (DER, leaf first)."""

    @property
    def key(self) -> Ed25519PrivateKey:
        """The private key."""

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The certificates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A record that counts for nothing, and why."""

    name: str
    version: str
    problem: RemoteError


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was decided about one recording.

    `objects` are names and versions of the records that count; `refused` those that do not.
    """

    state: State = State()  # noqa: RUF009 - frozen, so that all may share it
    objects: tuple[tuple[str, str], ...] = ()
    refused: tuple[Refused, ...] = ()


class Decisions:
    """The decisions in one store."""

    def __init__(self, store: Store, trust: TrustStore) -> None:
        self._store = store
        self._trust = trust

    def of(self, device: str, recording: UUID) -> Decided:
        """Return what was decided about a recording.

        Raises StoreError, and RetentionError for more names than people make: a part of them may say the
        opposite of the whole, so that nothing is done on a part.
        """
        records: list[RetentionRecord] = []
        objects: list[tuple[str, str]] = []
        refused: list[Refused] = []
        listed = self._store.versions(retention_prefix(device, recording))
        for count, (name, versions) in enumerate(groupby(listed, lambda item: item.name)):
            if count == MAX_RECORDS:
                raise RetentionError(f"{name}: more than {MAX_RECORDS} records lie there: nobody made them")
            found, wrong = self._first_good(versions)
            refused += wrong
            if found is not None:
                records.append(found[0])
                objects.append((name, found[1]))
        return Decided(state=fold(records), objects=tuple(objects), refused=tuple(refused))

    def recordings(self) -> Iterator[tuple[str, UUID, str]]:
        """Yield each recording with decisions: device, id, and the newest record's name in the listing.

        The records themselves are not read; those that were hidden are among them. Raises StoreError.
        """
        parsed = (parse_retention_name(item.name) for item in self._store.versions(RETENTION))
        known = (item for item in parsed if item is not None)
        for (device, recording), group in groupby(known, lambda item: item[:2]):
            yield device, recording, str(max(record for _device, _recording, record in group))

    def put(self, record: RetentionRecord, data: bytes) -> None:
        """Add a signed record. Raises StoreError."""
        name = retention_name(record.device, record.id, record.record)
        self._store.put(name, data, hashlib.sha256(data).digest())

    def _first_good(
        self, versions: Iterator[ObjectInfo]
    ) -> tuple[tuple[RetentionRecord, str] | None, list[Refused]]:
        refused: list[Refused] = []
        for item in versions:
            try:
                return (self._read(item), item.version), refused
            except StoreMissing:
                continue  # hidden or removed since it was listed
            except RemoteError as problem:
                refused.append(Refused(name=item.name, version=item.version, problem=problem))
        return None, refused

    def _read(self, item: ObjectInfo) -> RetentionRecord:
        with closing(self._store.get(item.name, item.version)) as file:
            record, chain = open_record(read_up_to(file, MAX_SIZE_BYTES + 1))
        self._trust.check(chain, at=record.at, role=Role.CUSTODIAN, anchored_before=item.modified_at)
        if parse_retention_name(item.name) != (record.device, record.id, record.record):
            raise RetentionError(f"{item.name}: the record of another name, put here")
        return record


def make_records(
    decisions: Sequence[Decision],
    *,
    device: str,
    recording: UUID,
    by: str,
    reason: str,
    signer: Signer,
    trust: TrustStore,
    after: Sequence[State],
    now: datetime,
    random: Sequence[bytes],
) -> list[tuple[RetentionRecord, bytes]]:
    """Return new records and their signed forms, in their order; they count more than those in `after`.

    `random` is for `uuid7`, one for each. Raises UntrustedSigner where nobody would believe the signer, and
    ValueError for what no record can say.
    """
    before = [state.newest for state in after if state.newest is not None]
    newest = max(before, key=lambda item: item.record, default=None)
    made: list[tuple[RetentionRecord, bytes]] = []
    for decision, bits in zip(decisions, random, strict=True):
        record = RetentionRecord(
            record=record_id(now, bits, after=newest),
            id=recording,
            device=device,
            by=by,
            reason=reason,
            decision=decision,
        )
        trust.check(signer.chain, at=record.at, role=Role.CUSTODIAN)
        made.append((record, sign_record(record, signer.key, signer.chain)))
        newest = record
    return made

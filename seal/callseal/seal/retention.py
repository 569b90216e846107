"""What was decided about keeping a recording: its class, the dates that its term counts from, its holds.

Each decision is a record of its own and is never changed; a later one takes its place. It is a JWS as in
`jws`, signed with a custodian's key. Its protected header has ``typ`` ``callseal-retention+jws``, which is
required on reading: nothing else that the same key signs can be taken for one (RFC 8725, section 3.11).

`fold` makes one `State` of all records of a recording. Of each kind the newest counts, holds by their names:
a hold ends by a release of the same name and by nothing else.

Conventions: a record's id is a UUID of version 7 whose time is the record's `at`, to the millisecond, so that
records have one order, and nobody can say one time in the name and another inside. A day is a date without a
zone. `reason` and `by` are for people; they stand in the store unencrypted.

Source: docs/format.md, "Retention".
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal.errors import RetentionError
from callseal.seal.fields import Fields, JsonObject, read_object
from callseal.seal.jws import open_jws, sign_jws
from callseal.seal.timestamp import to_milliseconds, write_time
from callseal.seal.uuid7 import time_ms, uuid7

TYPE: Final = "callseal-retention/1"
JWS_TYPE: Final = "callseal-retention+jws"

MAX_SIZE_BYTES: Final = 64 * 1024
MAX_REASON: Final = 500
MAX_BY: Final = 200
MIN_YEAR: Final = 1900
MAX_YEAR: Final = 2200
"""A date beyond is a slip of the finger, and a protection until then could never be taken back."""

_WHERE: Final = "retention record"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

_TYPE_PATTERN: Final = re.compile(re.escape(TYPE))
_ID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DEVICE_PATTERN: Final = re.compile(r"dev-[a-z2-7]{12}")
_TOKEN_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DAY_PATTERN: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# One line that says something, without signs that a terminal obeys or that turn the direction of writing.
_LINE: Final = r"(?=.*\S)[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
_REASON_PATTERN: Final = re.compile(rf"{_LINE}{{1,{MAX_REASON}}}")
_BY_PATTERN: Final = re.compile(rf"{_LINE}{{1,{MAX_BY}}}")


class Action(StrEnum):
    """What a record does."""

    CLASS = "class"
    CONTRACT_END = "contract-end"
    DISPUTE_SETTLED = "dispute-settled"
    HOLD = "hold"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetClass:
    """The recording belongs to this retention class; ValueError for what is no name of one."""

    retention_class: str

    def __post_init__(self) -> None:
        _check_token("a retention class", self.retention_class)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractEnd:
    """The contract ended, or will end, that day; ValueError for a day that can't be meant."""

    day: date

    def __post_init__(self) -> None:
        _check_day(self.day)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeSettled:
    """Its dispute was settled that day; ValueError for a day that can't be meant."""

    day: date

    def __post_init__(self) -> None:
        _check_day(self.day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Nothing of it may be deleted until the hold of this name is lifted; ValueError for no name."""

    name: str

    def __post_init__(self) -> None:
        _check_token("a hold's name", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The hold of this name is lifted; ValueError for no name."""

    name: str

    def __post_init__(self) -> None:
        _check_token("a hold's name", self.name)


Decision: TypeAlias = SetClass | ContractEnd | DisputeSettled | Hold | Release


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRecord:
    """One decision about the recording `id`; ValueError for what a record could not say."""

    record: UUID
    id: UUID
    device: str
    by: str
    reason: str
    decision: Decision

    def __post_init__(self) -> None:
        if time_ms(self.record) is None:
            raise ValueError("record is no UUID of version 7")
        _ = self.at  # raises ValueError for a time behind the calendar's end
        if _DEVICE_PATTERN.fullmatch(self.device) is None:
            raise ValueError("a device is dev- and 12 characters of base32")
        for name, value, pattern, limit in (
            ("by", self.by, _BY_PATTERN, MAX_BY),
            ("reason", self.reason, _REASON_PATTERN, MAX_REASON),
        ):
            if pattern.fullmatch(value) is None:
                raise ValueError(f"{name} is one line of 1 to {limit} characters")

    @property
    def at(self) -> datetime:
        """When it was decided: the time in the record's id."""
        try:
            return _EPOCH + (time_ms(self.record) or 0) * _MILLISECOND
        except OverflowError as problem:
            raise ValueError("record has a time behind the calendar's end") from problem


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all records of a recording come to.

    `retention_class` is None where no record names one: then the manifest's counts. `holds` are those that
    were not lifted, by their names, each with the record that put it. `records` are all, the oldest first.
    """

    retention_class: str | None = None
    contract_end: date | None = None
    settled: date | None = None
    holds: Mapping[str, RetentionRecord] = field(default_factory=lambda: MappingProxyType({}))
    records: tuple[RetentionRecord, ...] = ()

    @property
    def newest(self) -> RetentionRecord | None:
        """The newest record, None where there is none."""
        return self.records[-1] if self.records else None

    @property
    def concerns_term(self) -> bool:
        """Whether any record is about the term, and not about holds alone."""
        return any(not isinstance(item.decision, Hold | Release) for item in self.records)

    @property
    def ever_held(self) -> bool:
        """Whether any record was about a hold, so that a hold on the objects may be one of ours."""
        return any(isinstance(item.decision, Hold | Release) for item in self.records)


def fold(records: Iterable[RetentionRecord]) -> State:
    """Return what the records of one recording come to, in whatever order they are given."""
    ordered = tuple(sorted({item.record: item for item in records}.values(), key=lambda item: item.record))
    retention_class: str | None = None
    contract_end: date | None = None
    settled: date | None = None
    holds: dict[str, RetentionRecord] = {}
    for item in ordered:
        match item.decision:
            case SetClass(retention_class=name):
                retention_class = name
            case ContractEnd(day=day):
                contract_end = day
            case DisputeSettled(day=day):
                settled = day
            case Hold(name=name):
                holds[name] = item
            case Release(name=name):
                holds.pop(name, None)
    return State(
        retention_class=retention_class,
        contract_end=contract_end,
        settled=settled,
        holds=MappingProxyType(holds),
        records=ordered,
    )


def record_id(now: datetime, random: bytes, *, after: RetentionRecord | None = None) -> UUID:
    """Return the id of a record that is made now and counts more than the one before it.

    A clock that was ahead when that one was made must not keep it the newest for ever: then the new one is
    dated a millisecond behind it. `random` as for `uuid7`; ValueError for a time outside of 48 bits.
    """
    now_ms = (to_milliseconds(now) - _EPOCH) // _MILLISECOND
    if after is not None:
        now_ms = max(now_ms, (time_ms(after.record) or 0) + 1)
    return uuid7(now_ms, random)


def sign_record(record: RetentionRecord, key: Ed25519PrivateKey, chain: Sequence[bytes]) -> bytes:
    """Return the signed form; `chain` is the custodian's certificate in DER, leaf first.

    SealError if the chain belongs to another key.
    """
    action, name, value = _written(record.decision)
    values: JsonObject = {
        "type": TYPE,
        "record": str(record.record),
        "id": str(record.id),
        "device": record.device,
        "at": write_time(record.at),
        "by": record.by,
        "action": action.value,
        "reason": record.reason,
        name: value,
    }
    return sign_jws(json.dumps(values, separators=(",", ":")).encode(), key, chain, {"typ": JWS_TYPE})


def open_record(data: bytes) -> tuple[RetentionRecord, tuple[bytes, ...]]:
    """Return the record in a signed form, and the signer's certificate chain (DER, leaf first).

    Raises RetentionError and SignatureError. The signature is checked; whether the signer is a custodian whom
    we trust is for `keys.TrustStore.check` to say (``at=record.at, role=Role.CUSTODIAN``), and whether it is
    about this recording, and lies under its own name, for who compares `id`, `device` and `record`.
    """
    opened = open_jws(data, error=RetentionError)
    if opened.header.get("typ") != JWS_TYPE:
        raise RetentionError(
            f"{_WHERE}: the protected header's typ is not {JWS_TYPE}: this is no such record"
        )
    values = read_object(opened.payload, what=_WHERE, limit_bytes=MAX_SIZE_BYTES, error=RetentionError)
    fields = Fields(values, where=_WHERE, error=RetentionError)
    fields.text("type", _TYPE_PATTERN)
    try:
        record = RetentionRecord(
            record=UUID(fields.text("record", _ID_PATTERN)),
            id=UUID(fields.text("id", _ID_PATTERN)),
            device=fields.text("device", _DEVICE_PATTERN),
            by=fields.text("by", _BY_PATTERN),
            reason=fields.text("reason", _REASON_PATTERN),
            decision=_READERS[fields.choice("action", Action)](fields),
        )
    except ValueError as problem:
        raise RetentionError(f"{_WHERE}: {problem}") from problem
    if fields.time("at") != record.at:
        raise fields.wrong("at", "the time in the record's id")
    return record, opened.chain


def _written(decision: Decision) -> tuple[Action, str, str]:
    """Return a decision's action, and the name and the value of the field that goes with it."""
    match decision:
        case SetClass(retention_class=name):
            return Action.CLASS, "class", name
        case ContractEnd(day=day):
            return Action.CONTRACT_END, "contract_end", day.isoformat()
        case DisputeSettled(day=day):
            return Action.DISPUTE_SETTLED, "settled", day.isoformat()
        case Hold(name=name):
            return Action.HOLD, "hold", name
        case Release(name=name):
            return Action.RELEASE, "hold", name


def action_of(decision: Decision) -> Action:
    """Return the action that a decision is written as."""
    return _written(decision)[0]


def value_of(decision: Decision) -> str:
    """Return what a decision sets, as it is written: a class, a day, a hold's name."""
    return _written(decision)[2]


_READERS: Final[Mapping[Action, Callable[[Fields], Decision]]] = MappingProxyType(
    {
        Action.CLASS: lambda fields: SetClass(retention_class=fields.text("class", _TOKEN_PATTERN)),
        Action.CONTRACT_END: lambda fields: ContractEnd(day=_day(fields, "contract_end")),
        Action.DISPUTE_SETTLED: lambda fields: DisputeSettled(day=_day(fields, "settled")),
        Action.HOLD: lambda fields: Hold(name=fields.text("hold", _TOKEN_PATTERN)),
        Action.RELEASE: lambda fields: Release(name=fields.text("hold", _TOKEN_PATTERN)),
    }
)


def _day(fields: Fields, key: str) -> date:
    text = fields.text(key, _DAY_PATTERN)
    try:
        return date.fromisoformat(text)
    except ValueError as problem:
        raise fields.wrong(key, "a day like 2026-11-21") from problem


def _check_token(what: str, name: str) -> None:
    if _TOKEN_PATTERN.fullmatch(name) is None:
        raise ValueError(f"{what} is 1 to 64 lower-case letters, digits and . _ -")


def _check_day(day: date) -> None:
    if not MIN_YEAR <= day.year <= MAX_YEAR:
        raise ValueError(f"a day from {MIN_YEAR} to {MAX_YEAR} is meant")

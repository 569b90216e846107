"""Retention records: what people decided, signed, in one order, and nothing else can be taken for one."""

import base64
import contextlib
import json
import random as shuffling
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import RemoteError, RetentionError, SealError, SignatureError
from callseal.seal.jws import sign_jws
from callseal.seal.keys import generate_signing_key
from callseal.seal.retention import (
    JWS_TYPE,
    MAX_BY,
    MAX_REASON,
    ContractEnd,
    Decision,
    DisputeSettled,
    Hold,
    Release,
    RetentionRecord,
    SetClass,
    fold,
    open_record,
    record_id,
    sign_record,
)
from support.received import custodian
from support.sealed_recordings import organisation, recording_id

AT: Final = datetime(2026, 11, 22, 1, 2, 3, 456_000, tzinfo=UTC)
SIGNER: Final = custodian()
RECORD: Final = RetentionRecord(
    record=record_id(AT, bytes(10)),
    id=recording_id(),
    device=organisation().device,
    by="archivist @ central",
    reason="保单终止",
    decision=ContractEnd(day=date(2031, 5, 31)),
)
SIGNED: Final = sign_record(RECORD, SIGNER.key, SIGNER.chain)
DECISIONS: Final[tuple[tuple[Decision, dict[str, str]], ...]] = (
    (SetClass(retention_class="sales-short"), {"action": "class", "class": "sales-short"}),
    (ContractEnd(day=date(2031, 5, 31)), {"action": "contract-end", "contract_end": "2031-05-31"}),
    (DisputeSettled(day=date(2028, 2, 29)), {"action": "dispute-settled", "settled": "2028-02-29"}),
    (Hold(name="case-17"), {"action": "hold", "hold": "case-17"}),
    (Release(name="case-17"), {"action": "release", "hold": "case-17"}),
)


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def payload(data: bytes = SIGNED) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(unb64(json.loads(data)["payload"]))
    return document


def signed(values: object) -> bytes:
    """Sign any JSON as if it were a record."""
    return sign_jws(json.dumps(values).encode(), SIGNER.key, SIGNER.chain, {"typ": JWS_TYPE})


def records(*decisions: Decision) -> list[RetentionRecord]:
    """Return a record for each decision, a minute apart."""
    return [
        replace(RECORD, record=record_id(AT + timedelta(minutes=number), bytes(10)), decision=decision)
        for number, decision in enumerate(decisions)
    ]


@pytest.mark.parametrize(("decision", "fields"), DECISIONS)
def test_a_record_opens_with_what_was_put_in_and_is_written_as_its_format_says(
    decision: Decision, fields: dict[str, str]
) -> None:
    record = replace(RECORD, decision=decision)

    data = sign_record(record, SIGNER.key, SIGNER.chain)

    assert open_record(data) == (record, SIGNER.chain)
    assert payload(data) == {
        "type": "callseal-retention/1",
        "record": str(RECORD.record),
        "id": str(recording_id()),
        "device": organisation().device,
        "at": "2026-11-22T01:02:03.456Z",
        "by": "archivist @ central",
        "reason": "保单终止",
        **fields,
    }


@pytest.mark.parametrize("header", [{}, {"typ": "callseal-receipt+jws"}, {"typ": 7}, {"typ": None}])
def test_nothing_else_that_the_key_signs_is_a_record(header: dict[str, Any]) -> None:
    other = sign_jws(json.dumps(payload()).encode(), SIGNER.key, SIGNER.chain, header)

    with pytest.raises(RetentionError, match="typ"):
        open_record(other)


def test_an_altered_record_is_refused() -> None:
    document = json.loads(SIGNED)
    altered = json.dumps(payload() | {"contract_end": "2026-11-23"}).encode()
    document["payload"] = base64.urlsafe_b64encode(altered).rstrip(b"=").decode()

    with pytest.raises(SignatureError):
        open_record(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "callseal-retention/2"}, "type"),
        ({"record": "019a1ff8-e9d7-49c9-9dd8-dd37220d739c"}, "record"),
        ({"record": "019A1FF8-e9d7-79c9-9dd8-dd37220d739c"}, "record"),
        ({"id": "x"}, "id"),
        ({"device": "dev-1"}, "device"),
        ({"at": "2026-11-22T01:02:03.457Z"}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"by": ""}, "by"),
        ({"by": "x" * (MAX_BY + 1)}, "by"),
        ({"reason": "   "}, "reason"),
        ({"reason": "two\nlines"}, "reason"),
        ({"reason": "turned \u202e round"}, "reason"),
        ({"reason": "x" * (MAX_REASON + 1)}, "reason"),
        ({"action": "destroy"}, "action"),
        ({"action": "hold"}, "hold: missing"),
        ({"contract_end": "2031-5-31"}, "contract_end"),
        ({"contract_end": "2031-02-29"}, "contract_end"),
        ({"contract_end": "2201-01-01"}, "2200"),
        ({"contract_end": "1026-11-22"}, "1900"),
        ({"contract_end": 20310531}, "contract_end"),
        ({"action": "hold", "hold": "Case 17"}, "hold"),
        ({"action": "hold", "hold": "../x"}, "hold"),
        ({"action": "class", "class": ""}, "class"),
    ],
)
def test_what_is_malformed_is_refused_by_the_name_of_its_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RetentionError, match=words):
        open_record(signed(payload() | change))


@pytest.mark.parametrize("field", list(payload()))
def test_no_field_may_be_missing(field: str) -> None:
    values = payload()
    del values[field]

    with pytest.raises(RetentionError, match=f"{field}: missing"):
        open_record(signed(values))


def test_names_that_are_not_known_are_passed_over() -> None:
    assert open_record(signed(payload() | {"later": 1}))[0] == RECORD


@pytest.mark.parametrize(
    "change",
    [
        {"device": "desk"},
        {"by": "a\tb"},
        {"reason": ""},
        {"reason": "\ud800"},
        {"record": recording_id().__class__(int=0)},
    ],
)
def test_what_a_record_could_not_say_is_not_constructed(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        replace(RECORD, **change)


def test_nobody_signs_in_the_name_of_another_key() -> None:
    with pytest.raises(SealError, match="another signing key"):
        sign_record(RECORD, generate_signing_key(), SIGNER.chain)


def test_a_record_is_dated_by_its_id() -> None:
    assert RECORD.at == AT


def test_a_new_record_counts_more_than_one_by_a_clock_that_was_ahead() -> None:
    ahead = replace(RECORD, record=record_id(AT + timedelta(days=900), bytes(10)))

    made = record_id(AT, bytes(10), after=ahead)

    assert made > ahead.record
    assert replace(RECORD, record=made).at == ahead.at + timedelta(milliseconds=1)


def test_without_records_nothing_is_decided() -> None:
    state = fold([])

    assert (state.retention_class, state.contract_end, state.settled, dict(state.holds)) == (None,) * 3 + (
        {},
    )
    assert state.newest is None
    assert not state.ever_held
    assert not state.concerns_term


def test_of_each_kind_the_newest_counts() -> None:
    state = fold(
        records(
            SetClass(retention_class="sales-long"),
            ContractEnd(day=date(2031, 5, 31)),
            DisputeSettled(day=date(2028, 1, 1)),
            SetClass(retention_class="sales-short"),
            ContractEnd(day=date(2030, 5, 31)),
            DisputeSettled(day=date(2027, 1, 1)),
        )
    )

    assert state.retention_class == "sales-short"
    assert state.contract_end == date(2030, 5, 31)
    assert state.settled == date(2027, 1, 1)


@pytest.mark.parametrize(
    ("decisions", "held"),
    [
        ((Hold(name="a"),), {"a"}),
        ((Hold(name="a"), Hold(name="b"), Release(name="a")), {"b"}),
        ((Hold(name="a"), Release(name="b")), {"a"}),
        ((Hold(name="a"), Release(name="a"), Hold(name="a")), {"a"}),
        ((Hold(name="a"), Hold(name="a"), Release(name="a")), set()),
        ((Release(name="a"),), set()),
        ((Hold(name="a"), ContractEnd(day=date(2030, 1, 1)), SetClass(retention_class="x")), {"a"}),
    ],
)
def test_a_hold_is_lifted_by_a_release_of_its_name_and_nothing_else(
    decisions: tuple[Decision, ...], held: set[str]
) -> None:
    assert set(fold(records(*decisions)).holds) == held


@given(st.lists(st.sampled_from([decision for decision, _fields in DECISIONS]), max_size=8), st.randoms())
def test_the_order_in_which_records_are_read_changes_nothing(
    decisions: list[Decision], chance: shuffling.Random
) -> None:
    made = records(*decisions)
    mixed = [*made, *made[:2]]
    chance.shuffle(mixed)

    assert fold(mixed) == fold(made)


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_the_remote_error(data: bytes) -> None:
    with contextlib.suppress(RemoteError):
        open_record(data)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*payload(), "hold", "class", "settled"]), JSON)
def test_any_value_in_any_field_raises_only_the_remote_error(field: str, value: object) -> None:
    with contextlib.suppress(RemoteError):
        open_record(signed(payload() | {field: value}))


@given(st.sampled_from(DECISIONS), st.text(max_size=12))
def test_any_text_as_a_decisions_value_raises_only_the_remote_error(
    decision: tuple[Decision, dict[str, str]], text: str
) -> None:
    changed = {name: text for name in decision[1] if name != "action"}

    with contextlib.suppress(RemoteError):
        open_record(signed(payload() | decision[1] | changed))


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_byte_of_a_record_changes_what_it_says(position: int, change: int) -> None:
    altered = bytearray(SIGNED)
    altered[position] ^= change

    with contextlib.suppress(RemoteError):
        assert open_record(bytes(altered)) == (RECORD, SIGNER.chain)

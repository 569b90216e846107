"""The state of a recording in the making: what was written is read, and what is none raises one error."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import ManifestError
from callseal.seal.manifest import Direction, Origin
from callseal.seal.state import MAX_SIZE_BYTES, Continues, Purpose, RecordingState, parse_state

RECORDING = UUID("01a1ff8e-9d79-7000-8000-000000000001")
STATE = RecordingState(
    id=RECORDING,
    device="dev-abcdefghijkl",
    site="北京",
    source="bridge",
    origin=Origin.LIVE,
    direction=Direction.INBOUND,
    started_at=datetime(2026, 11, 21, 22, 13, 27, 622_000, tzinfo=UTC),
    opened_at=datetime(2026, 11, 21, 22, 13, 29, 1_000, tzinfo=UTC),
    rate_hz=8000,
    encoding=27,
    business_type="sales",
    retention_class="sales-long",
    stores=("primary", "second"),
    recipients=("sha256:" + "0" * 64,),
    software="callseal/0.1.0",
)
FULL = replace(
    STATE,
    purpose=Purpose.DISCARD,
    reasons=("emergency",),
    continues=Continues(id=UUID("01a1ff8e-9d79-7000-8000-000000000000"), sample=48_000),
)
EMPTY = replace(
    STATE, rate_hz=None, encoding=None, business_type=None, retention_class=None, stores=(), recipients=()
)


@pytest.mark.parametrize("state", [STATE, FULL, EMPTY])
def test_what_was_written_is_read(state: RecordingState) -> None:
    assert parse_state(state.to_bytes()) == state


def test_the_file_holds_the_fields_of_the_format_page() -> None:
    values = json.loads(FULL.to_bytes())

    assert list(values) == [
        *("type", "id", "device", "site", "source", "origin", "direction", "started_at", "opened_at"),
        *("rate_hz", "encoding", "business_type", "retention_class", "stores", "recipients", "software"),
        *("purpose", "reasons", "continues"),
    ]
    assert values["type"] == "callseal-state/1"
    assert values["purpose"] == "discard"
    assert values["continues"] == {"id": "01a1ff8e-9d79-7000-8000-000000000000", "sample": 48_000}


@given(st.binary(max_size=200))
def test_noise_raises_only_the_one_error(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_state(data)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=140),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from(sorted(json.loads(FULL.to_bytes()))), _VALUES)
def test_any_value_in_any_field_is_read_or_raises_the_one_error(key: str, value: object) -> None:
    values = json.loads(FULL.to_bytes()) | {key: value}

    try:
        state = parse_state(json.dumps(values).encode())
    except ManifestError:
        return

    assert isinstance(state, RecordingState)


@given(st.data())
def test_any_damage_is_read_or_raises_the_one_error(data: st.DataObject) -> None:
    good = FULL.to_bytes()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, len(good)))
    damaged = good[:start] + data.draw(st.binary(max_size=10)) + good[end:]

    try:
        state = parse_state(damaged)
    except ManifestError:
        return

    assert isinstance(state, RecordingState)


@pytest.mark.parametrize("key", sorted(json.loads(STATE.to_bytes())))
def test_no_field_may_be_missing(key: str) -> None:
    values = json.loads(STATE.to_bytes())
    del values[key]

    with pytest.raises(ManifestError, match=key):
        parse_state(json.dumps(values).encode())


def test_names_that_a_later_version_may_add_are_passed_over() -> None:
    values = json.loads(STATE.to_bytes()) | {"later": [1, 2]}

    assert parse_state(json.dumps(values).encode()) == STATE


def test_one_that_is_too_long_is_not_read() -> None:
    with pytest.raises(ManifestError, match="allowed"):
        parse_state(STATE.to_bytes() + b" " * MAX_SIZE_BYTES)

"""Access records: what is written is read again, and of anything else nothing is believed."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.access import (
    EVIDENCE,
    MAX_KEYS,
    MAX_NAME,
    MAX_REASON,
    MAX_RECORDINGS,
    MAX_SIZE_BYTES,
    OPEN,
    AccessRecord,
    Account,
    check_reason,
    fit_line,
    read,
    write,
)
from callseal.seal.errors import AccessError
from callseal.seal.uuid7 import uuid7
from support.sealed_recordings import recording_id

AT: Final = datetime(2026, 11, 22, 1, 2, 3, 456_000, tzinfo=UTC)
RECORD: Final = AccessRecord(
    record=uuid7(round(AT.timestamp() * 1000), bytes(range(10))),
    at=AT,
    action=OPEN,
    recordings=(recording_id(0), recording_id(1)),
    reason="投诉 2026-118：客户要求复核 (complaint)",
    account=Account(name="zhang", uid=1000, sudo_from=None),
    machine="desk-7",
    remote=None,
    keys=(f"sha256:{'ab' * 32}",),
    software="callseal/0.1.0",
)


def edited(edit: Callable[[dict[str, Any]], object]) -> bytes:
    """Return the record's file with something changed in it."""
    values: dict[str, Any] = json.loads(write(RECORD))
    edit(values)
    return json.dumps(values).encode()


# --- both ways ----------------------------------------------------------------------------------------


def test_the_file_is_what_the_format_says() -> None:
    assert json.loads(write(RECORD)) == {
        "type": "callseal-access/1",
        "record": str(RECORD.record),
        "at": "2026-11-22T01:02:03.456Z",
        "action": "open",
        "recordings": [str(recording_id(0)), str(recording_id(1))],
        "reason": "投诉 2026-118：客户要求复核 (complaint)",
        "account": {"name": "zhang", "uid": 1000, "sudo_from": None},
        "machine": "desk-7",
        "from": None,
        "keys": [f"sha256:{'ab' * 32}"],
        "software": "callseal/0.1.0",
    }


LINES: Final = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=MAX_NAME
).filter(lambda text: bool(text.strip()))


@given(
    reason=LINES,
    machine=LINES,
    remote=st.none() | LINES,
    sudo_from=st.none() | LINES,
    uid=st.integers(0, (1 << 32) - 1),
    recordings=st.lists(st.uuids(), unique=True, max_size=5),
    action=st.sampled_from([OPEN, EVIDENCE, "what-comes-later"]),
)
def test_what_is_written_is_read_again(
    *,
    reason: str,
    machine: str,
    remote: str | None,
    sudo_from: str | None,
    uid: int,
    recordings: list[UUID],
    action: str,
) -> None:
    record = replace(
        RECORD,
        reason=reason,
        machine=machine,
        remote=remote,
        account=Account(name=machine, uid=uid, sudo_from=sudo_from),
        recordings=tuple(recordings),
        action=action,
    )

    assert read(write(record)) == record


def test_the_largest_record_is_read_again() -> None:
    record = replace(
        RECORD,
        recordings=tuple(UUID(int=number) for number in range(MAX_RECORDINGS)),
        keys=tuple(f"sha256:{number:064x}" for number in range(MAX_KEYS)),
        reason="𝄞" * MAX_REASON,
        machine="机" * MAX_NAME,
    )

    assert read(write(record)) == record


def test_names_that_a_later_version_adds_are_passed_over() -> None:
    assert read(edited(lambda values: values.update(ticket=["A", 7]))) == RECORD


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "type",
        "record",
        "at",
        "action",
        "recordings",
        "reason",
        "account",
        "machine",
        "from",
        "keys",
        "software",
    ],
)
def test_a_record_without_one_of_its_fields_is_refused(name: str) -> None:
    with pytest.raises(AccessError, match=name):
        read(edited(lambda values: values.pop(name)))


@pytest.mark.parametrize("name", ["name", "uid", "sudo_from"])
def test_an_account_without_one_of_its_fields_is_refused(name: str) -> None:
    with pytest.raises(AccessError, match=name):
        read(edited(lambda values: values["account"].pop(name)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "callseal-access/2"),
        ("record", "6587277c-01f2-4630-8c76-96b61a2c2094"),
        ("record", str(RECORD.record).upper()),
        ("record", None),
        ("at", "2026-11-22T01:02:03Z"),
        ("at", 1_795_000_000),
        ("action", ""),
        ("action", "Open"),
        ("action", "open\n"),
        ("action", "a" * 33),
        ("recordings", "all"),
        ("recordings", ["not-an-id"]),
        ("recordings", [str(recording_id(0))] * 2),
        ("recordings", [str(UUID(int=number)) for number in range(MAX_RECORDINGS + 1)]),
        ("reason", ""),
        ("reason", " \u3000 "),
        ("reason", "two\nlines"),
        ("reason", "\x1b[2Jcleared"),
        ("reason", "\u202eturned round"),
        ("reason", "x" * (MAX_REASON + 1)),
        ("reason", None),
        ("account", "root"),
        ("account", {"name": "", "uid": 0, "sudo_from": None}),
        ("account", {"name": "a", "uid": -1, "sudo_from": None}),
        ("account", {"name": "a", "uid": True, "sudo_from": None}),
        ("account", {"name": "a", "uid": 1.0, "sudo_from": None}),
        ("account", {"name": "a", "uid": 1, "sudo_from": "b\u2028c"}),
        ("machine", "m" * (MAX_NAME + 1)),
        ("from", ""),
        ("from", 7),
        ("keys", ["sha256:AB"]),
        ("keys", [f"sha256:{'ab' * 32}"] * 2),
        ("keys", ["AGE-SECRET-KEY-1QQQ"]),
        ("software", None),
    ],
)
def test_a_value_that_the_format_does_not_allow_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(AccessError, match=name.rstrip("s")):
        read(edited(lambda values: values.update({name: value})))


def test_what_is_too_large_is_refused_unread() -> None:
    with pytest.raises(AccessError, match="more than"):
        read(b" " * MAX_SIZE_BYTES + write(RECORD))


def test_a_name_that_stands_twice_is_refused() -> None:
    twice = write(RECORD).replace(b'"action"', b'"action": "list", "action"', 1)

    with pytest.raises(AccessError):
        read(twice)


def test_a_record_cut_at_any_place_is_refused() -> None:
    data = write(RECORD).rstrip(b"\n")

    for length in range(len(data)):
        with pytest.raises(AccessError):
            read(data[:length])


def test_what_stands_behind_a_record_is_refused() -> None:
    with pytest.raises(AccessError):
        read(write(RECORD) + b"{}")


@given(st.binary(max_size=300))
def test_of_any_bytes_only_the_one_error_comes_out(data: bytes) -> None:
    with pytest.raises(AccessError):
        read(data)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(name=st.sampled_from(sorted(json.loads(write(RECORD)))), value=JSON)
def test_of_any_value_only_the_one_error_comes_out(name: str, value: object) -> None:
    data = edited(lambda values: values.update({name: value}))

    with contextlib.suppress(AccessError):
        record = read(data)
        assert read(write(record)) == record


@given(position=st.integers(0, len(write(RECORD)) - 1), bit=st.integers(0, 7))
def test_of_any_flipped_bit_only_the_one_error_comes_out(position: int, bit: int) -> None:
    data = bytearray(write(RECORD))
    data[position] ^= 1 << bit

    with contextlib.suppress(AccessError):
        record = read(bytes(data))
        assert read(write(record)) == record


# --- what can't be made -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"record": UUID(int=4)},
        {"at": AT.replace(tzinfo=None)},
        {"action": "Open it"},
        {"recordings": (recording_id(0), recording_id(0))},
        {"reason": "a\tb"},
        {"machine": ""},
        {"remote": "a\nb"},
        {"keys": ("sha256:",)},
        {"software": "x" * (MAX_NAME + 1)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_record_that_no_reader_would_take_is_never_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(RECORD, **changes)


@pytest.mark.parametrize("reason", ["客户投诉", "x", "A-1: \u3000全角空格", "x" * MAX_REASON, " inside "])
def test_a_reason_is_any_line_of_text(reason: str) -> None:
    check_reason(reason)


@given(st.text(max_size=2 * MAX_NAME))
def test_whatever_a_machine_is_called_a_record_can_say_it(name: str) -> None:
    record = replace(RECORD, machine=fit_line(name), account=Account(name=fit_line(name), uid=0))

    assert read(write(record)) == record


def test_a_name_that_a_record_can_say_stays_as_it_is() -> None:
    assert fit_line("前台-7.example") == "前台-7.example"
    assert fit_line("bad\x1bname\udcff") == "bad�name�"

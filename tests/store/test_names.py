"""Names in a store: built and parsed by one rule, with the UTC day and nothing personal."""

from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.store.errors import StoreRefused
from callseal.store.names import (
    LEDGER,
    MAX_NUMBER,
    RECEIPTS,
    STAMPS,
    RecordingName,
    check_name,
    device_prefix,
    ledger_name,
    parse_ledger_name,
    parse_receipt_name,
    parse_recording_name,
    parse_stamp_name,
    receipt_name,
    recording_name,
    stamp_name,
)

DEVICE = "dev-eh7ddx5bksrg"
ID = UUID("019a1ff8-e9d7-79c9-9dd8-dd37220d739c")
HASH = "0123456789abcdef" * 4
OBJECTS = [
    "manifest.json",
    "manifest.sig",
    f"audio-{HASH}.age",
    f"call-{HASH}.age",
    f"tail-{HASH}.age",
    f"add-1-{HASH}.age",
    "add-12.json",
    "add-12.sig",
]


def test_a_recording_lies_under_its_device_and_its_utc_day() -> None:
    beijing = timezone(timedelta(hours=8))
    place = recording_name(DEVICE, datetime(2026, 11, 22, 7, 59, tzinfo=beijing), ID)

    assert place.prefix == f"recordings/{DEVICE}/2026/11/21/{ID}/"
    assert place.prefix.startswith(device_prefix(DEVICE))


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_built_can_be_parsed(name: str) -> None:
    place = RecordingName(device=DEVICE, day=date(2026, 11, 21), id=ID)

    full = place.object(name)

    check_name(full)
    assert parse_recording_name(full) == (place, name)


def test_a_recordings_folder_itself_can_be_parsed() -> None:
    place = RecordingName(device=DEVICE, day=date(2026, 11, 21), id=ID)

    assert parse_recording_name(place.prefix) == (place, "")


@given(
    st.from_regex(r"dev-[a-z2-7]{12}", fullmatch=True),
    st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - a bound has no zone
    st.uuids(),
    st.sampled_from(OBJECTS),
)
def test_any_recordings_names_can_be_parsed(device: str, time: datetime, recording: UUID, name: str) -> None:
    place = recording_name(device, time, recording)

    assert parse_recording_name(place.object(name)) == (place, name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "recordings",
        "recordings/",
        f"recordings/{DEVICE}/2026/11/21/{ID}",
        f"recordings/{DEVICE}/2026/11/21/{ID}/manifest.json/x",
        f"recordings/{DEVICE}/2026/11/21/{ID}/x",
        f"recordings/{DEVICE}/2026/11/21/{ID}/audio-{HASH[:-1]}.age",
        f"recordings/{DEVICE}/2026/11/21/{ID}/add-{HASH}.age",
        f"recordings/{DEVICE}/2026/11/21/{str(ID).upper()}/manifest.json",
        f"recordings/{DEVICE}/2026/11/21/{ID.hex}/manifest.json",
        f"recordings/{DEVICE}/2026/2/1/{ID}/manifest.json",
        f"recordings/{DEVICE}/2026/02/30/{ID}/manifest.json",
        f"recordings/{DEVICE}/２０２６/11/21/{ID}/manifest.json",
        f"recordings/{DEVICE.upper()}/2026/11/21/{ID}/manifest.json",
        f"recordings/../2026/11/21/{ID}/manifest.json",
        f"ledger/{DEVICE}/2026/11/21/{ID}/manifest.json",
        f"/recordings/{DEVICE}/2026/11/21/{ID}/manifest.json",
    ],
)
def test_any_other_name_is_no_recordings(name: str) -> None:
    assert parse_recording_name(name) is None


@given(st.text(max_size=120))
def test_any_text_is_parsed_or_not_and_raises_nothing(name: str) -> None:
    found = parse_recording_name(name)

    assert found is None or found[0].prefix + found[1] == name


@given(st.text(max_size=40))
def test_any_name_that_passes_stays_below_the_folder_it_is_put_in(name: str) -> None:
    try:
        check_name(name)
    except StoreRefused:
        return

    assert name.isascii()
    assert not any(part.startswith(".") or not part for part in name.split("/"))


@pytest.mark.parametrize("device", ["", "desk-7", "dev-", "dev-eh7ddx5bksr1", "dev-eh7ddx5bksrg/x"])
def test_a_malformed_device_has_no_place(device: str) -> None:
    with pytest.raises(ValueError, match="device"):
        recording_name(device, datetime(2026, 11, 21, tzinfo=UTC), ID)


def test_a_time_without_a_zone_has_no_day() -> None:
    with pytest.raises(ValueError, match="zone"):
        recording_name(DEVICE, datetime(2026, 11, 21), ID)  # noqa: DTZ001 - that is the fault


@pytest.mark.parametrize("name", ["", "../x", "state", "audio.age"])
def test_what_no_recording_has_is_not_named(name: str) -> None:
    with pytest.raises(ValueError, match="no object"):
        RecordingName(device=DEVICE, day=date(2026, 11, 21), id=ID).object(name)


def test_segments_stamps_and_receipts_lie_under_their_device() -> None:
    assert ledger_name(DEVICE, 0) == f"{LEDGER}{DEVICE}/0.jsonl"
    assert stamp_name(DEVICE, 100) == f"{STAMPS}{DEVICE}/100.tsr"
    assert receipt_name(DEVICE, ID) == f"{RECEIPTS}{DEVICE}/{ID}.json"


@given(st.from_regex(r"dev-[a-z2-7]{12}", fullmatch=True), st.integers(1, MAX_NUMBER), st.uuids())
def test_any_segment_stamp_and_receipt_can_be_parsed(device: str, number: int, recording: UUID) -> None:
    names = ledger_name(device, number), stamp_name(device, number), receipt_name(device, recording)

    assert parse_ledger_name(names[0]) == (device, number)
    assert parse_stamp_name(names[1]) == (device, number)
    assert parse_receipt_name(names[2]) == (device, recording)
    for name in names:
        check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ledger/",
        "ledger/.jsonl",
        f"ledger/{DEVICE}/",
        f"ledger/{DEVICE}/.jsonl",
        f"ledger/{DEVICE}/00.jsonl",
        f"ledger/{DEVICE}/-1.jsonl",
        f"ledger/{DEVICE}/+1.jsonl",
        f"ledger/{DEVICE}/1_0.jsonl",
        f"ledger/{DEVICE}/１.jsonl",
        f"ledger/{DEVICE}/9007199254740992.jsonl",
        f"ledger/{DEVICE}/1.jsonl/2.jsonl",
        f"ledger/{DEVICE}/1.json",
        f"ledger/{DEVICE.upper()}/1.jsonl",
        f"ledger/{DEVICE}x/1.jsonl",
        f"/ledger/{DEVICE}/1.jsonl",
        f"stamps/{DEVICE}/0.tsr",
        f"stamps/{DEVICE}/01.tsr",
        f"stamps/{DEVICE}/1.jsonl",
        f"receipts/{DEVICE}/1.json",
        f"receipts/{DEVICE}/{str(ID).upper()}.json",
        f"receipts/{DEVICE}/{ID.hex}.json",
        f"receipts/{DEVICE}/{{{ID}}}.json",
        f"receipts/{DEVICE}/{ID}.json/",
        f"receipts/../{ID}.json",
    ],
)
def test_any_other_name_is_no_segments_stamps_or_receipts(name: str) -> None:
    assert parse_ledger_name(name) is None
    assert parse_stamp_name(name) is None
    assert parse_receipt_name(name) is None


@given(st.text(max_size=80))
def test_any_text_is_a_segments_stamps_or_receipts_name_or_not(name: str) -> None:
    ledger, stamp, receipt = parse_ledger_name(name), parse_stamp_name(name), parse_receipt_name(name)

    assert ledger is None or ledger_name(*ledger) == name
    assert stamp is None or stamp_name(*stamp) == name
    assert receipt is None or receipt_name(*receipt) == name


@pytest.mark.parametrize("number", [-1, MAX_NUMBER + 1])
def test_a_number_out_of_range_has_no_name(number: int) -> None:
    with pytest.raises(ValueError, match="number"):
        ledger_name(DEVICE, number)


def test_a_checkpoint_over_nothing_has_no_stamp() -> None:
    with pytest.raises(ValueError, match="one entry or more"):
        stamp_name(DEVICE, 0)


def test_a_malformed_device_has_no_ledger_stamp_or_receipt() -> None:
    with pytest.raises(ValueError, match="device"):
        ledger_name("../x", 0)
    with pytest.raises(ValueError, match="device"):
        stamp_name("../x", 1)
    with pytest.raises(ValueError, match="device"):
        receipt_name("../x", ID)

"""A service's status: what was written is read, half of one never is, and an old one shows its age."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import SpoolError
from callseal.seal.status import Alarm, Reading, State, Status, read, status_path, write

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STATUS = Status(
    service="uploader",
    pid=4711,
    started_at=NOW - timedelta(hours=1),
    updated_at=NOW,
    state=State.READY,
    reasons=("starting-up",),
    alarms=(Alarm(code="store-unreachable", since=NOW, detail="primary: 磁盘未挂载"),),
    counters={"sent": 12, "waiting_now": 0},
    version="0.1.0",
)


def reading(folder: Path, now: datetime = NOW) -> Reading | None:
    return read(folder, "uploader", now=now, stale_after_s=30.0)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path, STATUS)

    assert reading(tmp_path) == Reading(status=STATUS, age_s=0.0, stale=False)
    assert [path.name for path in tmp_path.iterdir()] == ["uploader.json"]


def test_the_file_holds_the_fields_that_were_agreed(tmp_path: Path) -> None:
    write(tmp_path, STATUS)

    values = json.loads((tmp_path / "uploader.json").read_bytes())

    assert list(values) == [
        *("type", "service", "pid", "started_at", "updated_at"),
        *("state", "reasons", "alarms", "counters", "version"),
    ]
    assert list(values["alarms"][0]) == ["code", "since", "detail"]


def test_a_later_status_replaces_the_first(tmp_path: Path) -> None:
    write(tmp_path, STATUS)

    write(tmp_path, replace(STATUS, state=State.STOPPING))

    found = reading(tmp_path)
    assert found is not None
    assert found.status.state is State.STOPPING


@pytest.mark.parametrize(("age_s", "stale"), [(29.0, False), (31.0, True), (-31.0, True)])
def test_an_old_status_is_stale_and_so_is_one_from_the_future(
    tmp_path: Path, age_s: float, stale: object
) -> None:
    write(tmp_path, STATUS)

    found = reading(tmp_path, NOW + timedelta(seconds=age_s))

    assert found is not None
    assert (found.age_s, found.stale) == (age_s, stale)


def test_a_service_that_never_ran_has_none(tmp_path: Path) -> None:
    assert reading(tmp_path) is None


def test_the_status_of_another_service_is_refused(tmp_path: Path) -> None:
    write(tmp_path, replace(STATUS, service="agent"))
    (tmp_path / "agent.json").rename(tmp_path / "uploader.json")

    with pytest.raises(SpoolError, match="another service"):
        reading(tmp_path)


def test_a_folder_that_is_gone_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="refused"):
        write(tmp_path / "gone", STATUS)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "callseal-status/2"},
        {"pid": 0},
        {"pid": "4711"},
        {"state": "fine"},
        {"updated_at": "yesterday"},
        {"reasons": ["two words"]},
        {"alarms": [{"code": "x", "since": "2026-11-21T12:00:00.000Z"}]},
        {"alarms": [{}] * 65},
        {"counters": {"sent": -1}},
        {"counters": {"sent": 1.5}},
        {"counters": {"Sent Calls": 1}},
        {"counters": {f"c{number}": 0 for number in range(257)}},
        {"counters": []},
        {"version": ""},
    ],
)
def test_a_malformed_status_is_refused_with_its_path(tmp_path: Path, change: dict[str, object]) -> None:
    write(tmp_path, STATUS)
    path = tmp_path / "uploader.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))

    with pytest.raises(SpoolError, match=r"uploader\.json"):
        reading(tmp_path)


@given(data=st.binary(max_size=300))
def test_any_bytes_raise_only_the_spools_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("status")
    (folder / "uploader.json").write_bytes(data)

    with pytest.raises(SpoolError):
        reading(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"service": "../agent"},
        {"pid": 0},
        {"reasons": ("Two words",)},
        {"counters": {"sent": -1}},
        {"counters": {"a b": 1}},
        {"version": ""},
        {"updated_at": datetime(2026, 11, 21)},  # noqa: DTZ001 - that is the fault
        {"alarms": STATUS.alarms * 65},
    ],
)
def test_a_status_that_could_not_be_read_back_can_not_be_made(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(STATUS, **change)  # type: ignore[arg-type]


def test_an_alarm_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line"):
        replace(STATUS.alarms[0], detail="two\nlines")


def test_a_services_name_is_no_way_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="service"):
        status_path(tmp_path, "../x")

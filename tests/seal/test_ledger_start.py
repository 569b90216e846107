"""A ledger goes on from what its folders say, and never begins anew in place of a damaged one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from callseal.seal.errors import SpoolError
from callseal.seal.ledger import Code, Journal, Kind
from support.journals import call, check, journal, refusing_at, start
from support.ledgers import Time, device, device_key, manifest, recording


def edited(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def worked(folder: Path) -> Journal:
    """Return a closed journal of three segments and an unfinished one."""
    ledger = journal(folder)
    start(ledger)
    for number in range(3):
        call(ledger, number)
        ledger.publish()
    ledger.append(Kind.OPENED, recording=recording(9))
    ledger.close()
    return ledger


def test_a_line_torn_by_a_power_cut_is_dropped_and_the_whole_ones_stay(tmp_path: Path) -> None:
    ledger = journal(tmp_path / "whole")
    for number in range(3):
        ledger.append(Kind.OPENED, recording=recording(number))
    ledger.close()
    data = (tmp_path / "whole" / "open.jsonl").read_bytes()
    first, second = data.index(b"\n") + 1, data.index(b"\n", data.index(b"\n") + 1) + 1

    for length in range(first, len(data), 7):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / "open.jsonl").write_bytes(data[:length])

        again = journal(folder)

        assert again.place is not None
        assert again.place.sequence == (1 if length >= second else 0)
        assert (folder / "open.jsonl").read_bytes() == data[: second if length >= second else first]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b'"open":0', b'"open":1'),
        lambda data: data.replace(b'"sequence":4', b'"sequence":5'),
        lambda data: data + data.splitlines(keepends=True)[-1],
        lambda data: b"".join(data.splitlines(keepends=True)[1:]),
        lambda data: b"no entry\n" + data,
        lambda data: data + b"no entry\n",
    ],
)
def test_a_whole_line_that_does_not_fit_stops_the_start(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    ledger = journal(tmp_path)
    start(ledger)
    call(ledger, 1)
    ledger.publish()
    for _ in range(3):
        ledger.append(Kind.HEARTBEAT, open_=0)
    ledger.close()
    edited(tmp_path / "open.jsonl", change)
    before = (tmp_path / "open.jsonl").read_bytes()

    with pytest.raises(SpoolError, match="not begun anew"):
        journal(tmp_path)

    assert (tmp_path / "open.jsonl").read_bytes() == before


@pytest.mark.parametrize("head", [None, b"", b"{}", b"[]"])
def test_without_head_json_the_segments_tell_where_it_stands(tmp_path: Path, head: bytes | None) -> None:
    ledger = worked(tmp_path)
    path = tmp_path / "head.json"
    path.unlink()
    if head is not None:
        path.write_bytes(head)

    again = journal(tmp_path)

    assert again.place == ledger.place
    assert list(again.open_recordings) == [recording(9)]
    assert again.end_of(recording(2)) == (Kind.CLOSED, manifest(2))
    start(again)
    again.publish()
    assert {finding.code for finding in check(tmp_path).findings} == {Code.OPEN_WITHOUT_END}


@pytest.mark.parametrize("name", ["previous", "peaks", "size"])
def test_a_head_json_that_is_not_the_segments_own_is_not_believed(tmp_path: Path, name: str) -> None:
    ledger = worked(tmp_path)
    values = json.loads((tmp_path / "head.json").read_bytes())
    values |= {"previous": "0" * 64, "peaks": ["0" * 64] * 3, "size": 7} if name == "peaks" else {}
    values |= {"previous": "0" * 64} if name == "previous" else {}
    values |= {"size": 5, "peaks": values["peaks"][:2]} if name == "size" else {}
    (tmp_path / "head.json").write_text(json.dumps(values))

    again = journal(tmp_path)

    assert again.place == ledger.place


@pytest.mark.parametrize("left", [b"", b"\n", b"no entry\n"])
def test_a_newest_segment_that_is_no_longer_one_stops_the_start(tmp_path: Path, left: bytes) -> None:
    worked(tmp_path)
    (tmp_path / "5.jsonl").write_bytes(left)

    with pytest.raises(SpoolError, match="not begun anew"):
        journal(tmp_path)


def test_a_finished_segment_without_its_checkpoint_stops_the_start(tmp_path: Path) -> None:
    worked(tmp_path)
    (tmp_path / "head.json").unlink()
    (tmp_path / "open.jsonl").unlink()
    edited(tmp_path / "5.jsonl", lambda data: b"".join(data.splitlines(keepends=True)[:-1]))

    with pytest.raises(SpoolError, match="not begun anew"):
        journal(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"".join(data.splitlines(keepends=True)[:-1]),
        lambda data: b"".join(data.splitlines(keepends=True)[1:]),
        lambda data: data + data,
        lambda data: data.replace(b'"ok"', b'"failed"'),
        lambda data: data[:0],
    ],
)
def test_a_segment_behind_head_json_that_does_not_fit_stops_the_start(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    ledger = journal(tmp_path)
    start(ledger)
    ledger.publish()
    older = (tmp_path / "head.json").read_bytes()
    call(ledger, 1)
    ledger.publish()
    ledger.close()
    (tmp_path / "head.json").write_bytes(older)
    edited(tmp_path / "1.jsonl", change)

    with pytest.raises(SpoolError, match="not begun anew"):
        journal(tmp_path)


def test_an_older_head_json_is_brought_up_to_date(tmp_path: Path) -> None:
    ledger = journal(tmp_path)
    start(ledger)
    ledger.publish()
    older = (tmp_path / "head.json").read_bytes()
    call(ledger, 1)
    ledger.publish()
    call(ledger, 2)
    ledger.publish()
    ledger.close()
    (tmp_path / "head.json").write_bytes(older)

    again = journal(tmp_path)

    assert again.place == ledger.place
    assert again.end_of(recording(2)) == (Kind.CLOSED, manifest(2))


def test_segments_may_be_taken_away_once_they_are_stored(tmp_path: Path) -> None:
    ledger = worked(tmp_path)
    for path in tmp_path.glob("[0-9]*.jsonl"):
        path.unlink()

    again = journal(tmp_path)

    assert again.place == ledger.place


def test_a_ledger_that_lost_its_newest_segment_is_not_begun_anew(tmp_path: Path) -> None:
    worked(tmp_path)
    (tmp_path / "5.jsonl").unlink()
    (tmp_path / "open.jsonl").unlink()

    with pytest.raises(SpoolError, match=r"entries 5 to 6.*missing.*new key"):
        journal(tmp_path)


@pytest.mark.parametrize(
    "lost", [["head.json", "0.jsonl"], ["head.json", "3.jsonl"], ["5.jsonl", "head.json"]]
)
def test_a_ledger_with_a_hole_is_not_begun_anew(tmp_path: Path, lost: list[str]) -> None:
    worked(tmp_path)
    for name in lost:
        (tmp_path / name).unlink()

    with pytest.raises(SpoolError, match="not begun anew"):
        journal(tmp_path)


def test_a_ledger_of_which_only_the_unfinished_segment_is_left_is_not_begun_anew(tmp_path: Path) -> None:
    worked(tmp_path)
    for path in tmp_path.iterdir():
        if path.name != "open.jsonl":
            path.unlink()

    with pytest.raises(SpoolError, match="entries 0 to 6 are missing"):
        journal(tmp_path)


@pytest.mark.parametrize("name", ["5.jsonl", "0.jsonl"])
def test_segments_that_were_altered_stop_the_start_where_they_are_needed(tmp_path: Path, name: str) -> None:
    worked(tmp_path)
    (tmp_path / "head.json").unlink()
    edited(tmp_path / name, lambda data: data.replace(b'"opened"', b'"paused"'))

    with pytest.raises(SpoolError, match="not begun anew"):
        journal(tmp_path)


def test_another_devices_ledger_is_not_gone_on_with(tmp_path: Path) -> None:
    worked(tmp_path)

    with pytest.raises(SpoolError, match="spool of its own"):
        Journal([tmp_path], device=device("another"), key=device_key("another"), clocks=Time())


def test_a_folder_that_can_not_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(SpoolError, match="bring the folder back"):
        journal(tmp_path / "first", tmp_path / "file")


def test_of_two_folders_the_one_with_more_entries_goes_on(tmp_path: Path) -> None:
    folders = tmp_path / "first", tmp_path / "second"
    ledger = journal(*folders, step=refusing_at(2, "sync line"))
    for number in range(5):
        ledger.append(Kind.OPENED, recording=recording(number))
    ledger.close()
    assert ledger.folder == folders[1]

    again = journal(*folders)

    assert again.folder == folders[1]
    assert again.place == ledger.place
    first, second = ((folder / "open.jsonl").read_bytes() for folder in folders)
    assert second.startswith(first)


def test_two_folders_with_two_histories_stop_the_start(tmp_path: Path) -> None:
    folders = tmp_path / "first", tmp_path / "second"
    for number, folder in enumerate(folders):
        ledger = journal(folder)
        ledger.append(Kind.OPENED, recording=recording(number))
        ledger.close()

    with pytest.raises(SpoolError, match="another history"):
        journal(*folders)


def test_two_folders_with_two_finished_histories_stop_the_start(tmp_path: Path) -> None:
    folders = tmp_path / "first", tmp_path / "second"
    for number, folder in enumerate(folders):
        ledger = journal(folder)
        ledger.append(Kind.OPENED, recording=recording(number))
        ledger.publish()
        ledger.close()
        (folder / "head.json").unlink()

    with pytest.raises(SpoolError, match="two histories"):
        journal(*folders)


def test_what_a_failed_disk_still_holds_has_to_be_the_same_history(tmp_path: Path) -> None:
    folders = tmp_path / "first", tmp_path / "second"
    ledger = journal(*folders, step=refusing_at(2, "sync line"))
    for number in range(4):
        ledger.append(Kind.OPENED, recording=recording(number))
    ledger.publish()
    ledger.close()
    journal(*folders).close()
    forked = journal(tmp_path / "other")
    forked.append(Kind.OPENED, recording=recording(99))
    (tmp_path / "other" / "open.jsonl").rename(folders[0] / "open.jsonl")

    with pytest.raises(SpoolError, match="two histories"):
        journal(*folders)

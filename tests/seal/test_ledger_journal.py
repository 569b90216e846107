"""The journal keeps every entry that it acknowledged, once, whatever happens to its process and its disks."""

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from callseal.seal.durable import Step, no_step
from callseal.seal.errors import SpoolError
from callseal.seal.ledger import Chain, Code, Journal, Kind, entry_hash, split_line, verify_chain
from callseal.seal.ledger.journal import PUBLISH_INTERVAL_MS
from callseal.seal.ledger.recovery import MAX_SEGMENT_ENTRIES
from callseal.seal.ledger.state import MAX_ENDS
from support.killed_child import killed_at
from support.ledgers import (
    CERTIFICATE,
    SETTINGS,
    Time,
    device,
    device_key,
    manifest,
    public_key,
    recording,
)


def journal(*folders: Path, time: Time | None = None, step: Step = no_step) -> Journal:
    return Journal(folders, device=device(), key=device_key(), clocks=time or Time(), step=step)


def start(ledger: Journal) -> None:
    ledger.append(Kind.STARTED, software="callseal/0.1.0", settings=SETTINGS, x5c=[CERTIFICATE])


def call(ledger: Journal, number: int) -> None:
    ledger.append(Kind.OPENED, recording=recording(number))
    ledger.append(
        Kind.CLOSED, recording=recording(number), manifest=manifest(number), result="ok", reasons=[]
    )


def check(*folders: Path) -> Chain:
    """Check the finished segments, as they reach a store from all folders."""
    paths = [path for folder in folders for path in folder.glob("[0-9]*.jsonl")]
    segments = sorted((int(path.stem), path.read_bytes()) for path in paths)
    return verify_chain(segments, device=device(), public_key=public_key(), every_signature=True)


def refusing_at(number: int, name: str = "", problem: int = errno.EIO) -> Step:
    """Return a step that a disk refuses: the one of this number, from 0, among those of this name."""
    steps = 0

    def step(step_name: str) -> None:
        nonlocal steps
        steps += name in step_name
        if name in step_name and steps == number + 1:
            raise OSError(problem, os.strerror(problem))

    return step


def edited(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def test_what_the_journal_writes_is_a_ledger_without_fault(tmp_path: Path) -> None:
    time = Time()
    ledger = journal(tmp_path / "ledger", time=time)
    start(ledger)
    for number in range(5):
        time.passed_s += 60
        call(ledger, number)
        ledger.append(Kind.HEARTBEAT, open_=0)
        ledger.publish()
    ledger.append(Kind.STOPPED, code="signal")
    last = ledger.publish()
    ledger.close()

    chain = check(tmp_path / "ledger")

    assert chain.findings == ()
    assert chain.head == ledger.place
    assert last == tmp_path / "ledger" / "16.jsonl"
    names = sorted(path.name for path in (tmp_path / "ledger").iterdir())
    assert names == ["0.jsonl", "10.jsonl", "13.jsonl", "16.jsonl", "4.jsonl", "7.jsonl", "head.json"]


def test_only_the_service_can_read_the_ledger(tmp_path: Path) -> None:
    ledger = journal(tmp_path / "ledger")
    start(ledger)
    ledger.publish()
    start(ledger)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ledger").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "ledger").stat().st_mode) == 0o700


def test_an_entrys_place_is_its_number_and_its_hash(tmp_path: Path) -> None:
    ledger = journal(tmp_path)
    assert ledger.place is None

    place = ledger.append(Kind.HEARTBEAT, open_=0)

    line = (tmp_path / "open.jsonl").read_bytes()
    assert (place.sequence, place.head) == (0, entry_hash(split_line(line)[0]))
    assert ledger.place == place


def test_the_next_process_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    first = journal(tmp_path)
    start(first)
    call(first, 1)
    first.publish()
    first.append(Kind.OPENED, recording=recording(2))
    first.close()

    second = journal(tmp_path)
    assert second.place == first.place
    assert list(second.open_recordings) == [recording(2)]
    assert second.end_of(recording(1)) == (Kind.CLOSED, manifest(1))
    assert second.end_of(recording(2)) is None
    second.append(
        Kind.RECOVERED, recording=recording(2), manifest=manifest(2), result="degraded", reasons=["recovered"]
    )
    second.publish()

    assert not second.open_recordings
    assert check(tmp_path).findings == ()


def test_checkpoints_come_every_minute_and_every_hundred_entries(tmp_path: Path) -> None:
    time = Time()
    ledger = journal(tmp_path, time=time)

    assert not ledger.publish_due()
    assert ledger.publish() is None
    ledger.append(Kind.HEARTBEAT, open_=0)
    time.passed_s += PUBLISH_INTERVAL_MS / 1000 - 0.001
    assert not ledger.publish_due()
    time.passed_s += 0.001
    assert ledger.publish_due()
    assert ledger.publish() == tmp_path / "0.jsonl"
    assert not ledger.publish_due()
    for _ in range(MAX_SEGMENT_ENTRIES):
        ledger.append(Kind.HEARTBEAT, open_=0)

    assert (tmp_path / "1.jsonl").exists()
    assert not (tmp_path / "open.jsonl").exists()


def test_what_an_earlier_process_left_unpublished_is_due_at_once(tmp_path: Path) -> None:
    first = journal(tmp_path)
    start(first)
    first.close()

    assert journal(tmp_path).publish_due()


def test_a_step_of_the_clock_is_told_before_the_next_entry(tmp_path: Path) -> None:
    time = Time()
    ledger = journal(tmp_path, time=time)
    start(ledger)
    time.wrong_s = -3600

    place = ledger.append(Kind.HEARTBEAT, open_=0)
    ledger.publish()

    assert place.sequence == 2
    assert b'"kind":"clock-stepped","by_ms":-3600000}' in (tmp_path / "0.jsonl").read_bytes()
    assert [(finding.code, finding.exit_code) for finding in check(tmp_path).findings] == [
        (Code.CLOCK_BACK, 0)
    ]


def test_a_step_of_the_clock_between_two_processes_is_told(tmp_path: Path) -> None:
    first = journal(tmp_path)
    start(first)
    first.publish()
    first.close()

    second = journal(tmp_path, time=Time(passed_s=60, wrong_s=7200))
    start(second)

    assert b'"by_ms":7200000' in (tmp_path / "open.jsonl").read_bytes()


def test_steps_of_the_clock_are_the_journals_own_business(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="itself"):
        journal(tmp_path).append(Kind.CLOCK_STEPPED)


def test_fields_of_another_kind_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    ledger = journal(tmp_path)

    with pytest.raises(ValueError, match="open"):
        ledger.append(Kind.STOPPED, code="signal", open_=3)

    assert ledger.place is None
    assert not (tmp_path / "open.jsonl").exists()


def test_a_key_of_another_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not that of"):
        Journal([tmp_path], device=device("another"), key=device_key(), clocks=Time())
    with pytest.raises(ValueError, match="folder"):
        Journal([], device=device(), key=device_key(), clocks=Time())


def test_a_closed_journal_takes_nothing_more(tmp_path: Path) -> None:
    ledger = journal(tmp_path)
    start(ledger)
    ledger.close()

    with pytest.raises(SpoolError, match="closed"):
        start(ledger)


def test_only_the_newest_ends_are_remembered(tmp_path: Path) -> None:
    ledger = journal(tmp_path)
    for number in range(MAX_ENDS + 1):
        ledger.append(
            Kind.EXEMPT, recording=recording(number), manifest=manifest(number), result="exempt", reasons=[]
        )
    ledger.close()

    again = journal(tmp_path)

    for reader in (ledger, again):
        assert reader.end_of(recording(0)) is None
        assert reader.end_of(recording(1)) == (Kind.EXEMPT, manifest(1))


def acknowledged(tmp_path: Path, ledger: Journal) -> Iterator[None]:
    """Do a small day's work, and tell after each entry what was acknowledged."""
    note = os.open(tmp_path / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for work in (
        lambda: start(ledger),
        lambda: ledger.append(Kind.OPENED, recording=recording(1)),
        ledger.publish,
        lambda: ledger.append(Kind.HEARTBEAT, open_=1),
        lambda: ledger.append(Kind.HEARTBEAT, open_=1),
        ledger.publish,
        lambda: ledger.append(Kind.STOPPED, code="signal"),
    ):
        work()
        place = ledger.place
        assert place is not None
        os.write(note, b"%d %b\n" % (place.sequence, place.head.hex().encode()))
        yield
    os.close(note)


def all_acknowledged(tmp_path: Path, chain: Chain) -> bool:
    """Tell whether every entry that was acknowledged is in the chain."""
    path = tmp_path / "acknowledged"
    places = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return all(
        (digest := chain.entry_hash(int(sequence))) is not None and digest.hex() == head
        for sequence, head in places
    )


def goes_on(tmp_path: Path, *folders: Path) -> None:
    """Assert that nothing acknowledged is lost or doubled, and that the next process goes on."""
    ledger = journal(*folders, time=Time(passed_s=60))
    size = 0 if ledger.place is None else ledger.place.sequence + 1
    start(ledger)
    ledger.publish()
    ledger.close()

    chain = check(*folders)
    assert all_acknowledged(tmp_path, chain)
    assert chain.size == size + 1
    assert {finding.code for finding in chain.findings} <= {Code.OPEN_WITHOUT_END}


def test_wherever_the_process_is_killed_no_entry_is_lost_or_doubled(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        place = tmp_path / str(number)
        place.mkdir()

        def work(step: Step, place: Path = place) -> None:
            for _ in acknowledged(place, journal(place / "ledger", step=step)):
                pass

        killed = killed_at(number, work)

        goes_on(place, place / "ledger")
        number += 1

    assert number > 30


def test_wherever_the_first_disk_refuses_the_second_goes_on(tmp_path: Path) -> None:
    number, refused = 0, True
    while refused:
        place = tmp_path / str(number)
        place.mkdir()
        folders = place / "first", place / "second"
        ledger = journal(*folders, step=refusing_at(number))

        for _ in acknowledged(place, ledger):
            pass

        refused = bool(ledger.failed_folders)
        assert ledger.folder == folders[1 if refused else 0]
        ledger.close()
        goes_on(place, *folders)
        number += 1

    assert number > 30


@pytest.mark.parametrize("refused", [1, 7, 9, 13])
def test_wherever_the_process_is_killed_after_the_first_disk_refused_no_entry_is_lost(
    tmp_path: Path, refused: int
) -> None:
    number, killed = 0, True
    while killed:
        place = tmp_path / str(number)
        place.mkdir()
        folders = place / "first", place / "second"

        def work(kill: Step, place: Path = place, folders: Sequence[Path] = folders) -> None:
            refuse = refusing_at(refused)

            def step(name: str) -> None:
                kill(name)
                refuse(name)

            for _ in acknowledged(place, journal(*folders, step=step)):
                pass

        killed = killed_at(number, work)

        goes_on(place, *folders)
        number += 1

    assert number > 30


def test_wherever_a_start_is_killed_the_next_one_goes_on(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        place = tmp_path / str(number)
        place.mkdir()
        for _ in acknowledged(place, journal(place / "ledger")):
            pass

        def work(step: Step, place: Path = place) -> None:
            journal(place / "ledger", step=step).publish()

        killed = killed_at(number, work)

        goes_on(place, place / "ledger")
        number += 1

    assert number > 10


def test_when_no_disk_is_left_the_error_says_so_and_no_later_call_pretends(tmp_path: Path) -> None:
    ledger = journal(tmp_path, step=refusing_at(2, "sync line"))
    start(ledger)

    for _ in range(2):
        ledger.append(Kind.HEARTBEAT, open_=0)

    with pytest.raises(SpoolError, match="the disk refused") as refused:
        ledger.append(Kind.HEARTBEAT, open_=0)
    with pytest.raises(SpoolError, match="no folder takes") as later:
        ledger.append(Kind.HEARTBEAT, open_=0)
    assert not refused.value.full
    assert not later.value.full
    assert ledger.folder is None
    assert ledger.failed_folders == (tmp_path,)


def test_a_disk_that_was_only_full_may_be_gone_on_with_once_there_is_room(tmp_path: Path) -> None:
    ledger = journal(tmp_path, step=refusing_at(1, "write line", errno.ENOSPC))
    start(ledger)
    place = ledger.append(Kind.HEARTBEAT, open_=0)
    with pytest.raises(SpoolError) as refused:
        ledger.append(Kind.HEARTBEAT, open_=0)

    again = journal(tmp_path)

    assert refused.value.full
    assert again.place == place
    assert again.append(Kind.HEARTBEAT, open_=0).sequence == 2


def test_a_broken_disk_is_told_even_if_the_other_one_is_only_full(tmp_path: Path) -> None:
    first, second = refusing_at(0, "sync line"), refusing_at(2, "write open.jsonl", errno.ENOSPC)

    def step(name: str) -> None:
        first(name)
        second(name)

    ledger = journal(tmp_path / "first", tmp_path / "second", step=step)
    start(ledger)
    ledger.publish()

    with pytest.raises(SpoolError) as refused:
        start(ledger)

    assert not refused.value.full
    assert len(ledger.failed_folders) == 2


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

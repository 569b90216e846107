"""The journal keeps every entry that it acknowledged, once, whatever happens to its process and its disks."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from callseal.seal.durable import Step
from callseal.seal.errors import SpoolError
from callseal.seal.ledger import Chain, Code, Journal, Kind
from support.journals import check, journal, refusing_at, start
from support.killed_child import killed_at
from support.ledgers import Time, recording


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

"""A worker tells the ledger through the agent: durable when it returns, and nothing of it is lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import pytest

from callseal.agent.errors import RecorderError
from callseal.agent.media.remote_ledger import CHANNELS, LedgerDesk, RemoteLedger
from callseal.agent.media.worker_protocol import pairs
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import LedgerPlace
from support.chronicles import chronicle, clocks_of
from support.sealed_recordings import organisation

OWNER = organisation()
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FIRST, SECOND = UUID(int=1), UUID(int=2)


class Gone(Exception):  # noqa: N818 - stands for the end of the process
    """The worker ended."""


def gone() -> NoReturn:
    raise Gone


@dataclass
class Room:
    """A ledger, and both sides of the way to it."""

    folder: Path
    remote: RemoteLedger = field(init=False)
    desk: LedgerDesk = field(init=False)

    def __post_init__(self) -> None:
        ledger = chronicle([self.folder], OWNER.device_key, clocks_of(lambda: NOON, lambda: 0.0))
        ours, self.theirs = pairs(CHANNELS)
        self.desk = LedgerDesk(ledger, ours)
        self.remote = RemoteLedger(self.theirs, gone)

    def written(self) -> str:
        """Give what is on the disk."""
        return "".join(path.read_text() for path in self.folder.glob("*.jsonl"))

    def end(self) -> None:
        """Let the worker end."""
        for channel in self.theirs:
            channel.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    found = Room(tmp_path / "ledger")
    yield found
    found.end()


def test_an_entry_is_on_the_disk_when_the_worker_goes_on(room: Room) -> None:
    room.remote.note(Kind.OPENED, recording=FIRST)

    assert str(FIRST) in room.written()
    assert room.remote.is_open(FIRST)
    assert not room.remote.is_open(SECOND)
    assert isinstance(room.remote.place, LedgerPlace)


def test_many_threads_tell_the_ledger_at_once(room: Room) -> None:
    recordings = [UUID(int=number) for number in range(100)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda one: room.remote.note(Kind.OPENED, recording=one), recordings))

    assert all(str(one) in room.written() for one in recordings)


def test_what_a_worker_left_open_is_known_when_it_has_ended(room: Room) -> None:
    """And what had its end noted, as it may not have been moved any more."""
    room.remote.note(Kind.OPENED, recording=FIRST)
    room.remote.note(Kind.OPENED, recording=SECOND)
    room.remote.note(Kind.FAILED, recording=SECOND, result="failed", reasons=("write-failed",))
    room.end()

    assert room.desk.close() == {FIRST, SECOND}
    assert not room.desk.is_asked


def test_a_mistake_in_one_entry_stands_in_no_others_way(room: Room) -> None:
    with pytest.raises(RecorderError):
        room.remote.note(Kind.CLOCK_STEPPED)

    room.remote.note(Kind.OPENED, recording=FIRST)

    assert str(FIRST) in room.written()


def test_a_worker_whose_agent_is_gone_ends(tmp_path: Path) -> None:
    ours, theirs = pairs(1)
    remote = RemoteLedger(theirs, gone)
    ours[0].close()

    with pytest.raises(Gone):
        remote.note(Kind.OPENED, recording=FIRST)
    theirs[0].close()
    assert not list(tmp_path.iterdir())

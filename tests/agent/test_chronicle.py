"""The agent's side of the ledger: on time, complete, and never a reason to lose a call."""

import errno
import os
import tracemalloc
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from callseal.agent.chronicle import Chronicle
from callseal.seal.ledger.chain import verify_chain
from callseal.seal.ledger.entry import Kind, parse_entry, split_line
from support.chronicles import chronicle, clocks_of
from support.sealed_recordings import organisation

OWNER = organisation()
STARTED_AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
RECORDING = UUID("01a2008c-156a-7f82-82d9-cfeb0fa321d7")


@dataclass
class Agent:
    """A ledger, its clock, and what was alarmed."""

    folder: Path
    elapsed_s: float = 0.0
    alarms: dict[str, str] = field(default_factory=dict)

    def open(self) -> Chronicle:
        clocks = clocks_of(lambda: STARTED_AT + timedelta(seconds=self.elapsed_s), lambda: self.elapsed_s)
        return chronicle(
            [self.folder],
            OWNER.device_key,
            clocks,
            alarm=self.alarms.__setitem__,
            clear=lambda code: self.alarms.pop(code, None),
        )

    def kinds(self) -> list[Kind]:
        """Give the kinds of all entries on the disk, in order."""
        paths = sorted(self.folder.glob("[0-9]*.jsonl"), key=lambda path: int(path.stem))
        lines = [line for path in (*paths, self.folder / "open.jsonl") for line in _lines(path)]
        return [parse_entry(split_line(line)[0]).kind for line in lines if line.startswith(b'{"entry"')]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(folder=tmp_path / "ledger")


def test_an_agent_that_only_waits_says_every_minute_that_it_is_there(agent: Agent) -> None:
    ledger = agent.open()
    ledger.started("callseal/1", bytes(32), OWNER.chain)

    for _ in range(180):
        agent.elapsed_s += 1
        ledger.tick(running=0)
    ledger.stopped(0)

    assert agent.kinds() == [Kind.STARTED, *[Kind.HEARTBEAT] * 3, Kind.STOPPED]


def test_what_was_noted_is_published_within_a_minute_and_the_chain_verifies(agent: Agent) -> None:
    ledger = agent.open()
    ledger.started("callseal/1", bytes(32), OWNER.chain)
    ledger.note(Kind.OPENED, recording=RECORDING)
    agent.elapsed_s = 60

    ledger.tick(running=1)

    segments = [
        (int(path.stem), path.read_bytes())
        for path in sorted(agent.folder.glob("[0-9]*.jsonl"), key=lambda path: int(path.stem))
    ]
    public_key = OWNER.device_key.public_key()
    chain = verify_chain(segments, device=OWNER.device, public_key=public_key)
    assert chain.opened(RECORDING) == 1
    assert [finding for finding in chain.findings if finding.exit_code] == []


def test_a_clock_that_is_set_is_noted_with_how_far(agent: Agent) -> None:
    ledger = agent.open()
    ledger.started("callseal/1", bytes(32), OWNER.chain)
    ahead = timedelta(hours=2)
    clocks = clocks_of(lambda: STARTED_AT + ahead, lambda: agent.elapsed_s)
    ledger = chronicle([agent.folder], OWNER.device_key, clocks)

    ledger.note(Kind.OPENED, recording=RECORDING)

    assert agent.kinds() == [Kind.STARTED, Kind.CLOCK_STEPPED, Kind.OPENED]


def test_what_a_full_disk_refused_is_noted_once_there_is_room(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = agent.open()
    ledger.started("callseal/1", bytes(32), OWNER.chain)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", _refusing(errno.ENOSPC))
        ledger.note(Kind.OPENED, recording=RECORDING)
        during = dict(agent.alarms)
    agent.elapsed_s += 10

    ledger.tick(running=1)

    assert list(during) == ["ledger-failed"]
    assert agent.alarms == {}
    assert agent.kinds() == [Kind.STARTED, Kind.OPENED]


def test_a_disk_that_failed_is_not_tried_again_and_the_alarm_stays(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = agent.open()
    ledger.started("callseal/1", bytes(32), OWNER.chain)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", _refusing(errno.EIO))
        ledger.note(Kind.OPENED, recording=RECORDING)
    agent.elapsed_s += 3600

    ledger.tick(running=1)

    assert list(agent.alarms) == ["ledger-failed"]
    assert agent.kinds() == [Kind.STARTED]


def test_a_damaged_ledger_is_an_alarm_and_no_new_chain_is_begun(agent: Agent) -> None:
    ledger = agent.open()
    ledger.started("callseal/1", bytes(32), OWNER.chain)
    ledger.stopped(0)
    (agent.folder / "head.json").unlink()
    segment = agent.folder / "0.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"sequence":0', b'"sequence":7'))
    before = {path.name: path.read_bytes() for path in agent.folder.iterdir()}

    ledger = agent.open()
    ledger.note(Kind.OPENED, recording=RECORDING)
    agent.elapsed_s += 60
    ledger.tick(running=1)

    assert list(agent.alarms) == ["ledger-failed"]
    assert ledger.place is None
    assert {path.name: path.read_bytes() for path in agent.folder.iterdir()} == before


def _refusing(number: int) -> object:
    def refuse(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_ledger_that_stays_broken_costs_no_more_memory_each_time_it_is_asked(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked four times a second, and a disk may stay broken for weeks: no heartbeat waits for it."""
    ledger = agent.open()

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", refuse)
    monkeypatch.setattr(os, "fsync", refuse)
    ledger.note(Kind.OPENED, recording=RECORDING)
    ledger.tick(0)
    tracemalloc.start()
    before_bytes, _ = tracemalloc.get_traced_memory()

    for _ in range(2000):
        agent.elapsed_s += 60
        ledger.tick(0)

    after_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after_bytes - before_bytes < 20_000


def test_an_entry_that_fits_no_ledger_stands_in_the_way_of_no_other(agent: Agent) -> None:
    """It is a bug and told as one; the calls after it are recorded."""
    ledger = agent.open()

    with pytest.raises(ValueError, match="reasons"):
        ledger.note(Kind.FAILED, recording=RECORDING, result="failed", reasons=["No Code"])
    ledger.note(Kind.OPENED, recording=RECORDING)

    assert agent.kinds() == [Kind.OPENED]

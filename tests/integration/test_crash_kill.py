"""An agent is killed in the middle of its calls: at most a second of each is lost, and nothing was readable.

In real time, with the real recorder; 20 agents, in a soak 200. Half of them work as at a desk, half as at a
gateway. Calls begin and end all the while, so that kills fall into every moment of a recording's life.
"""

import hashlib
import os
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from callseal.config.settings import BANK_FLUSH_S, DESK_FLUSH_S, Seal
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import Result
from callseal.seal.recovery import Recovered
from support import pattern_agent
from support.pattern_agent import MAX_TALKS, OWNER, Agent, Course, Habit, holds_marker, lost_s
from support.recovered import open_finished
from support.sealed_recordings import check_folder
from support.stepped_recording import read_ledger
from support.whole_spool import faults

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("disks")]

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
ROUNDS = 10 if SOAK else 1
AGENTS = 20
CALLS = 2
LONGEST_S = 9.0
MAX_LOST_S = 1.0
DESK = Habit(flush_s=DESK_FLUSH_S)
GATEWAY = Habit(flush_s=BANK_FLUSH_S, banked=True, sync_s=Seal.model_fields["sync_s"].default, late_blocks=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What one call lost."""

    habit: Habit
    over: bool
    lost_s: float


def _killed(root: Path, dice: random.Random) -> Iterator[tuple[Agent, Habit]]:
    """Run some agents at once, and yield each once it has been killed at a moment of its own."""
    agents = []
    for number in range(AGENTS):
        habit = (DESK, GATEWAY)[number % 2]
        lengths = random.Random(dice.random())  # noqa: S311 - noise, and repeatable

        def talk_s(lengths: random.Random = lengths) -> float:
            return lengths.uniform(0.5, 12.0)

        agent = pattern_agent.start([root / str(number)], habit, Course(at_once=CALLS, talk_s=talk_s))
        agents.append((time.monotonic() + dice.uniform(1.0, LONGEST_S), number, agent, habit))
    try:
        for at_s, _, agent, habit in sorted(agents, key=lambda item: item[:2]):
            time.sleep(max(0.0, at_s - time.monotonic()))
            agent.kill()
            yield agent, habit
    finally:
        for _, _, agent, _ in agents:
            agent.kill()


def _losses(agent: Agent, habit: Habit) -> Iterator[Loss]:
    """Recover what a killed agent left, check all of it, and yield what each of its calls lost."""
    (root,) = agent.spools
    assert not any(holds_marker(path) for path in root.rglob("*") if path.is_file())

    recovered = pattern_agent.recover([root])

    assert all(isinstance(item, Recovered) for item in recovered), recovered
    assert pattern_agent.recover([root]) == []
    assert not any(holds_marker(path) for path in root.rglob("*") if path.is_file())
    assert list((root / "open").iterdir()) == []
    assert list((root / "quarantine").iterdir()) == []
    assert faults(root, OWNER) == []
    told = read_ledger(root)
    manifests = {path.name: check_folder(path, OWNER) for path in (root / "ready").iterdir()}
    talks = agent.board.talks()
    assert len(talks) < MAX_TALKS
    # One more may have begun without having been given out to who would speak.
    assert 0 <= len(manifests) - len(talks) <= 1
    for recording, manifest in manifests.items():
        opened, *ends = told.of(manifest.id)
        assert opened is Kind.OPENED, recording
        assert len(ends) == 1, recording
        assert told.manifests(manifest.id) == [hashlib.sha256(manifest.to_bytes()).digest()]
    for talk in talks:
        manifest = manifests[str(talk.recording)]
        plaintext = open_finished(root / "ready" / str(talk.recording), manifest, pattern_agent.reader())
        if talk.over:
            assert "recovered" not in manifest.reasons
        elif talk.said_samples == 0:
            assert manifest.result is Result.FAILED
        yield Loss(habit=habit, over=talk.over, lost_s=lost_s(talk, plaintext))


@pytest.mark.soak
def test_a_killed_agent_loses_at_most_a_second_of_each_call(tmp_path: Path) -> None:
    seed = random.randrange(2**32) if SOAK else 20261121  # noqa: S311 - a seed
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated
    dice = random.Random(seed)  # noqa: S311 - noise, and repeatable
    found = [
        loss
        for round_number in range(ROUNDS)
        for agent, habit in _killed(tmp_path / str(round_number), dice)
        for loss in _losses(agent, habit)
    ]

    for name, habit in (("desk", DESK), ("gateway", GATEWAY)):
        lost = sorted(loss.lost_s for loss in found if loss.habit is habit and not loss.over)
        median, most = statistics.median(lost), lost[-1]
        print(f"{name}: {len(lost)} calls cut off, lost median {median:.2f} s, most {most:.2f} s")  # noqa: T201 - the figure
        assert len(lost) >= AGENTS // 2 * ROUNDS
        assert 0 < most <= MAX_LOST_S
    assert max(loss.lost_s for loss in found if loss.over) == 0

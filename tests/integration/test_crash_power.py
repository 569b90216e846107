"""The power fails in the middle of calls: what is on the disk at that moment is recovered, and is enough.

Agents record on a file system of their own. At moments of chance all stand still, and its device is copied as
it is: what the kernel still held back is not in the copy, as after a power cut. The copy is mounted, which
replays its journal, and recovered. 10 cuts each way of working, in a soak 100. Nobody stands still in the
middle of a sync; so some file systems are cut off from their device while all goes on.
"""

import contextlib
import os
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from callseal.config.settings import BANK_FLUSH_S, DESK_FLUSH_S, Seal
from callseal.seal.recovery import Recovered
from support import pattern_agent
from support.disks import Disk, make_image, mounted, place_for_images
from support.pattern_agent import MARKER, OWNER, Agent, Course, Habit, Talk, holds_marker, lost_s
from support.recovered import open_finished
from support.sealed_recordings import check_folder
from support.whole_spool import faults

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("disks")]

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
CUTS = 100 if SOAK else 10
CUTS_AT_ONCE = 25 if SOAK else 1
DISKS_AT_ONCE = 4
AGENTS = 2
CALLS = 3
IMAGE_MB = 96
DESK = Habit(flush_s=DESK_FLUSH_S)
GATEWAY = Habit(flush_s=BANK_FLUSH_S, banked=True, sync_s=Seal.model_fields["sync_s"].default, late_blocks=8)
NEVER_SYNCED = Habit(flush_s=0.5, banked=True)


@dataclass
class Losses:
    """What was lost of calls that were cut off, and of calls that had been over."""

    cut_off_s: list[float] = field(default_factory=list)
    over_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        median, most = statistics.median(self.cut_off_s), max(self.cut_off_s)
        return f"{len(self.cut_off_s)} calls cut off, lost median {median:.2f} s, most {most:.2f} s"


@contextlib.contextmanager
def _agents(disk: Disk, habit: Habit, dice: random.Random, longest_s: float) -> Iterator[list[Agent]]:
    found = []
    try:
        for number in range(AGENTS):
            lengths = random.Random(dice.random())  # noqa: S311 - noise, and repeatable

            def talk_s(lengths: random.Random = lengths) -> float:
                return lengths.uniform(longest_s / 5, longest_s)

            root = disk.folder / str(number)
            found.append(pattern_agent.start([root], habit, Course(at_once=CALLS, talk_s=talk_s)))
        yield found
    finally:
        for agent in found:
            agent.kill()


def _cut(disk: Disk, agents: list[Agent], copy: Path, folder: Path, losses: Losses) -> None:
    """Cut the power at this moment, as far as a copy can tell, and recover what is on it."""
    with contextlib.ExitStack() as standing:
        for agent in agents:
            standing.enter_context(agent.stopped())
        talks = [agent.board.talks() for agent in agents]
        disk.copy(copy)
    assert not holds_marker(copy)
    with mounted(copy, folder):
        for agent, said in zip(agents, talks, strict=True):
            _recover(folder / agent.spools[0].name, said, losses)
    assert not holds_marker(copy)


def _recover(root: Path, said: list[Talk], losses: Losses) -> None:
    """Recover a spool whose power failed, check all of it, and note what each call lost."""
    found = pattern_agent.recover([root])
    assert all(isinstance(item, Recovered) for item in found), found
    assert pattern_agent.recover([root]) == []
    assert list((root / "open").iterdir()) == list((root / "quarantine").iterdir()) == []
    assert faults(root, OWNER) == []
    manifests = {path.name: check_folder(path, OWNER) for path in (root / "ready").iterdir()}
    assert 0 <= len(manifests) - len(said) <= 1
    for talk in said:
        recording = str(talk.recording)
        plaintext = open_finished(root / "ready" / recording, manifests[recording], pattern_agent.reader())
        (losses.over_s if talk.over else losses.cut_off_s).append(lost_s(talk, plaintext))


def _many_cuts(
    folder: Path, habit: Habit, *, seed: int, cuts: int, pause_s: float, longest_s: float
) -> Losses:
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated
    dice = random.Random(seed)  # noqa: S311 - noise, and repeatable
    losses = Losses()
    with place_for_images(2 * IMAGE_MB) as place, contextlib.ExitStack() as used:
        disk: Disk | None = None
        agents: list[Agent] = []
        for number in range(cuts):
            if number % 10 == 0:  # anew, before the disk is full and the calls are at their end
                used.close()
                image = make_image(place / "image", IMAGE_MB)
                disk = used.enter_context(mounted(image, folder / "disk"))
                agents = used.enter_context(_agents(disk, habit, dice, longest_s))
                time.sleep(2.0)
            time.sleep(dice.uniform(0.1, pause_s))
            if disk is not None:
                _cut(disk, agents, place / "copy", folder / "copy", losses)
    return losses


def _seed() -> int:
    return random.randrange(2**32) if SOAK else 20261121  # noqa: S311 - a seed


@pytest.mark.soak
def test_at_a_desk_a_power_cut_costs_at_most_a_second_of_a_call(tmp_path: Path) -> None:
    losses = _many_cuts(tmp_path, DESK, seed=_seed(), cuts=CUTS, pause_s=1.2, longest_s=8.0)

    print(f"desk: {losses}")  # noqa: T201 - the figure
    assert len(losses.cut_off_s) >= CUTS * AGENTS
    assert 0 < max(losses.cut_off_s) <= 1.0
    assert max(losses.over_s) == 0


@pytest.mark.soak
def test_at_a_gateway_a_power_cut_costs_at_most_five_seconds_of_a_call(tmp_path: Path) -> None:
    losses = _many_cuts(tmp_path, GATEWAY, seed=_seed(), cuts=CUTS, pause_s=2.4, longest_s=15.0)

    print(f"gateway: {losses}")  # noqa: T201 - the figure
    assert len(losses.cut_off_s) >= CUTS * AGENTS
    assert 1.0 < max(losses.cut_off_s) <= 5.0
    assert max(losses.over_s, default=0) == 0


@pytest.mark.soak
def test_a_disk_that_is_cut_off_at_any_moment_costs_no_more(tmp_path: Path) -> None:
    """In the middle of a sync too; desks and gateways in turn, each with a disk of its own."""
    seed = _seed()
    print(f"seed {seed}")  # noqa: T201 - so that a failing run can be repeated
    dice = random.Random(seed)  # noqa: S311 - noise, and repeatable
    losses = {False: Losses(), True: Losses()}
    for round_number in range(CUTS_AT_ONCE):
        folder = tmp_path / str(round_number)
        folder.mkdir()
        with place_for_images(DISKS_AT_ONCE * IMAGE_MB) as place:
            images = [make_image(place / str(number), IMAGE_MB) for number in range(DISKS_AT_ONCE)]
            with contextlib.ExitStack() as used:
                running = []
                for number, image in enumerate(images):
                    disk = used.enter_context(mounted(image, folder / str(number)))
                    habit = (DESK, GATEWAY)[number % 2]
                    agents = used.enter_context(_agents(disk, habit, dice, 8.0))
                    at_s = time.monotonic() + dice.uniform(1.5, 9.0)
                    running.append((at_s, number, disk, agents, losses[habit.banked]))
                cut = [_cut_off(*item) for item in sorted(running, key=lambda item: item[:2])]
            for image, said, where in cut:
                assert not holds_marker(image)
                with mounted(image, folder / image.name) as disk:
                    for root, talks in said.items():
                        _recover(disk.folder / root, talks, where)

    print(f"desk: {losses[False]}; gateway: {losses[True]}")  # noqa: T201 - the figure
    assert max(losses[False].cut_off_s) <= 1.0
    assert max(losses[True].cut_off_s) <= 5.0
    assert max(losses[False].over_s + losses[True].over_s, default=0) == 0


def _cut_off(
    at_s: float, _number: int, disk: Disk, agents: list[Agent], losses: Losses
) -> tuple[Path, dict[str, list[Talk]], Losses]:
    """Cut a disk off at its moment; give its image, and what had been said by then."""
    time.sleep(max(0.0, at_s - time.monotonic()))
    # A call that ends in the moment between the cut and the look at it had no disk any more to end on.
    over = {talk.recording for agent in agents for talk in agent.board.talks() if talk.over}
    disk.cut_off()
    said = {
        agent.spools[0].name: [replace(talk, over=talk.recording in over) for talk in agent.board.talks()]
        for agent in agents
    }
    for agent in agents:
        agent.kill()
    return disk.image, said, losses


def test_without_any_sync_a_power_cut_is_seen_to_cost_more(tmp_path: Path) -> None:
    """What the promises above are worth: the same cuts find a recorder out that only hands to the kernel."""
    losses = _many_cuts(tmp_path, NEVER_SYNCED, seed=_seed(), cuts=2, pause_s=2.0, longest_s=1e6)

    assert max(losses.cut_off_s) > 1.0


def test_plaintext_that_is_on_a_disk_is_found_by_the_search(tmp_path: Path) -> None:
    with (
        place_for_images(2 * IMAGE_MB) as place,
        mounted(make_image(place / "image", IMAGE_MB), tmp_path / "disk") as disk,
    ):
        (disk.folder / "deleted").write_bytes(b"said: " + MARKER)
        os.sync()
        (disk.folder / "deleted").unlink()

        disk.copy(place / "copy")

        assert holds_marker(place / "copy")

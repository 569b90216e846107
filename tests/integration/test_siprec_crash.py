"""A recording server is killed in the middle of its calls: of each at most the last second is lost.

Ten kills at random moments, with several calls each; in a soak a hundred. Every other server has its sound
taken by workers. What was sent until then is known to the packet: what is lost is counted and not guessed.
"""

import os
import random
import statistics
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from callseal.cli.demo.office import AGENT
from callseal.seal.manifest import Result
from support.desk import Recorded
from support.recorder_life import begin, get_ready, kill
from support.recording_server import Copies, Copy, RecordingServer, channels_of, recording_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.soak,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("disks"),
]

SOAK = bool(os.environ.get("CALLSEAL_SOAK"))
ROUNDS = 20 if SOAK else 2
SERVERS = 5
CALLS = 3
KILLS_AT_START = 4
SHORTEST_S = 1.5
LONGEST_S = 6.0
MAX_LOST_S = 1.0
RATE_HZ = 8000
PACKET_BYTES = 160
SILENCE = b"\xff"
"""What stands for what did not come; no sound that is sent has it."""


class Doomed:
    """A server whose calls are talked in until it is killed, in a thread of its own."""

    def __init__(self, server: RecordingServer, gateway: Copies, seconds: float, seed: int) -> None:
        self.server = server
        self._gateway = gateway
        self._seconds = seconds
        self._seed = seed
        self.copies: list[Copy] = [gateway.copy() for _ in range(CALLS)]
        self.sounds: list[list[bytes]] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.sounds = self._gateway.talk_in(self.copies, self._seconds, seed=self._seed)
        kill(self.server)

    def end(self) -> None:
        """Wait until it is dead."""
        self._thread.join()


def lost_s(recorded: Recorded, sounds: list[bytes]) -> float:
    """Give how much of what was sent is missing at the end; all before that must be there as it was sent."""
    lost = 0.0
    for sound, channel in zip(sounds, channels_of(recorded.inner), strict=True):
        begun = channel.find(sound[:PACKET_BYTES])
        kept = channel[begun : begun + len(sound)].rstrip(SILENCE) if begun >= 0 else b""
        assert kept == sound[: len(kept)], "what is there is not what was sent"
        lost = max(lost, (len(sound) - len(kept)) / RATE_HZ)
    return lost


def test_a_killed_server_loses_at_most_the_last_second_of_each_call(tmp_path: Path) -> None:
    seed = random.randrange(2**32) if SOAK else 20261122  # noqa: S311 - a seed
    dice = random.Random(seed)  # noqa: S311 - moments, and repeatable
    lost: list[float] = []
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                recording_server(tmp_path / str(number), source=f"workers = {1 + number % 2}", start=False)
            )
            for number in range(SERVERS)
        ]
        gateways = [stack.enter_context(server.gateway()) for server in servers]
        for server in servers:
            server.office.start(AGENT)
        for number in range(ROUNDS):
            for server in servers:
                get_ready(server)
            doomed = [
                Doomed(server, gateway, dice.uniform(SHORTEST_S, LONGEST_S), number * SERVERS + index)
                for index, (server, gateway) in enumerate(zip(servers, gateways, strict=True))
            ]
            for one in doomed:
                one.end()
                one.server.office.start(AGENT)
            for one in doomed:
                get_ready(one.server)
                recordings = one.server.of(*one.copies)
                assert {item.manifest.reasons for item in recordings} == {("recovered",)}
                assert {item.manifest.result for item in recordings} == {Result.DEGRADED}
                lost += map(lost_s, recordings, one.sounds)

    told = f"{ROUNDS * SERVERS} kills, {len(lost)} calls, seed {seed}: lost"
    print(f"{told} {statistics.mean(lost):.2f} s on average, {max(lost):.2f} s at most")  # noqa: T201
    assert len(lost) == ROUNDS * SERVERS * CALLS
    assert max(lost) <= MAX_LOST_S


def test_a_server_that_was_killed_takes_calls_again_and_keeps_no_plaintext(tmp_path: Path) -> None:
    """What is found on the disk after the kill opens with the key alone."""
    with recording_server(tmp_path) as server, server.gateway() as gateway:
        copy = gateway.copy()
        (sounds,) = gateway.talk_in([copy], 2.0)
        kill(server)
        left = [path.read_bytes() for path in server.office.root.rglob("*") if path.is_file()]
        begin(server)

        after = gateway.copy()
        heard = gateway.talk(after, 0.5, seed=2)
        after.bye()
        (recorded,) = server.of(after)

    pieces = [sound[at : at + 40] for sound in sounds for at in range(0, len(sound), 40)]
    assert not any(piece in data for data in left for piece in pieces)
    assert heard[0] in channels_of(recorded.inner)[0]


def test_a_server_that_is_killed_again_while_it_starts_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Whatever the second one had done of the first one's recovery, the third ends it."""
    dice = random.Random(20261122)  # noqa: S311 - moments, and repeatable
    with recording_server(tmp_path) as server, server.gateway() as gateway:
        copies = [gateway.copy() for _ in range(CALLS)]
        sounds = gateway.talk_in(copies, 2.0)
        kill(server)
        for _ in range(KILLS_AT_START):
            server.office.start(AGENT)
            time.sleep(dice.uniform(0.4, 1.4))  # the moment of the next death
            kill(server)

        begin(server)

        recordings = server.of(*copies)
        kept = len(server.recordings())

    assert kept == len(copies)
    assert max(map(lost_s, recordings, sounds)) <= MAX_LOST_S

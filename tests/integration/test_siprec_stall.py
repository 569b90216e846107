"""The recorder's process is stopped for seconds: what the system has kept meanwhile is recorded, all of it.

As when a virtual machine is moved, or memory is short. What the system had no room for is missing, and the
recording says how much, to the packet.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from callseal.seal.manifest import Result
from support.desk import Recorded
from support.recorder_life import stopped
from support.recording_server import channels_of, recording_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("siprec")]

SHORT_STOP_S = 4.0
LONG_STOP_S = 7.0
LEAD_S = 1.2
AFTER_S = 1.5
PACKET_BYTES = 160
SILENCE = b"\xff" * PACKET_BYTES
NOISE = bytes(1400)
"""No RTP: version 0."""
NOISE_BUFFERS_BYTES = 8 * 1024 * 1024
"""More than any buffer of ours holds."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One stream, as it was sent and as it is recorded."""

    missing: tuple[int, ...]
    """The numbers of packets that are not there."""
    samples: int
    """How long the recording is."""
    sent: int
    report: dict[str, Any]

    @property
    def is_told(self) -> bool:
        """Whether the recording tells of exactly what is missing."""
        here = (self.sent - len(self.missing)) * PACKET_BYTES
        told = self.report["lost"], self.report["placed"], self.report["unreceived_samples"]
        return told == (len(self.missing), self.sent - len(self.missing), self.samples - here)


def compared(recorded: Recorded, sounds: list[bytes]) -> list[Compared]:
    """Look for each packet at its place; what is not it must be silence."""
    found = []
    for number, (sound, channel) in enumerate(zip(sounds, channels_of(recorded.inner), strict=True)):
        begun = channel.find(sound[:PACKET_BYTES])
        assert begun >= 0, "the first packet is not there"
        missing = []
        for at in range(0, len(sound), PACKET_BYTES):
            here = channel[begun + at : begun + at + PACKET_BYTES]
            if here != sound[at : at + PACKET_BYTES]:
                assert here == SILENCE, "something is there that was not sent"
                missing.append(at // PACKET_BYTES)
        report = next(one for one in recorded.streams["streams"] if one["channel"] == number)
        found.append(
            Compared(
                missing=tuple(missing),
                samples=len(channel),
                sent=len(sound) // PACKET_BYTES,
                report=report,
            )
        )
    return found


def test_four_seconds_without_the_processor_cost_nothing(tmp_path: Path) -> None:
    with recording_server(tmp_path) as server, server.gateway() as gateway:
        copies = [gateway.copy() for _ in range(25)]
        talking = gateway.talking_in(copies, LEAD_S + SHORT_STOP_S + AFTER_S)
        time.sleep(LEAD_S)  # the talk before the stop

        with stopped(server):
            time.sleep(SHORT_STOP_S)  # the stop itself
        sounds = talking.over()
        codes = {copy.bye().code for copy in copies}

        recorded = server.of(*copies)

    assert codes == {200}
    for one, sent in zip(recorded, sounds, strict=True):
        assert one.manifest.result is Result.OK
        assert all(sound in channel for sound, channel in zip(sent, channels_of(one.inner), strict=True))
        assert all(stream.is_told and not stream.missing for stream in compared(one, sent))


def test_what_a_longer_stop_costs_is_told_to_the_packet(tmp_path: Path) -> None:
    """A stranger fills one stream's buffer meanwhile: that stream has a hole, and all others are whole."""
    with recording_server(tmp_path) as server, server.gateway() as gateway, server.gateway() as stranger:
        copies = [gateway.copy() for _ in range(10)]
        talking = gateway.talking_in(copies, LEAD_S + LONG_STOP_S + AFTER_S)
        time.sleep(LEAD_S)  # the talk before the stop

        with stopped(server):
            noise = NOISE_BUFFERS_BYTES // len(NOISE)
            for _ in range(noise):
                stranger.sound.send(NOISE, copies[0].ports[0])
            time.sleep(LONG_STOP_S)  # the stop itself
        sounds = talking.over()
        codes = {copy.bye().code for copy in copies}

        recorded = server.of(*copies)

    streams = [compared(one, sent) for one, sent in zip(recorded, sounds, strict=True)]
    flooded = streams[0][0]
    assert codes == {200}
    assert all(stream.is_told for pair in streams for stream in pair)
    assert not any(stream.missing for pair in streams[1:] for stream in pair)
    assert not streams[0][1].missing
    # The hole is one piece, as long as the stop; what else did not get in was the stranger's.
    assert len(flooded.missing) * 0.02 >= LONG_STOP_S - 1.0
    assert flooded.missing == tuple(range(flooded.missing[0], flooded.missing[-1] + 1))
    assert flooded.report["strangers"] > 0
    assert flooded.report["dropped_by_kernel"] == len(flooded.missing) + noise - flooded.report["strangers"]
    gaps = [gap for gap in recorded[0].streams["gaps"] if gap["channel"] == 0]
    assert any(gap["end_sample"] - gap["start_sample"] >= len(flooded.missing) * 160 - 800 for gap in gaps)

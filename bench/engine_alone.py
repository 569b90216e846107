"""The media engine by itself, in a process of its own: its recorder writes what comes, and nothing else.

    python bench/engine_alone.py CALLS FOLDER [srtp]

Opens the calls, prints their ports in one line of JSON, and waits for the end of its standard input. Then it
closes them and prints what it tells of each stream. What was said in call 7 lies in FOLDER/00007.raw, two
channels of µ-law in turn.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from rtp_programs import SUITE, key_of
from rtpengine_peer import FIRST_PORT, LAST_PORT

from callseal.agent.call import (
    AudioFormat,
    Block,
    Call,
    Ending,
    EndReason,
    Event,
    Party,
    StreamReport,
)
from callseal.agent.media.engine import Engine
from callseal.agent.media.plans import RecordingPlan, StreamPlan
from callseal.agent.sdp.session import Crypto, Format
from callseal.codecs.au import Encoding

FORM: Final = AudioFormat(encoding=Encoding.ULAW, rate_hz=8000)
PCMU: Final = Format(payload_type=0, name="PCMU", clock_hz=8000)


class Files:
    """A recorder: one file a call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[UUID, int] = {}
        self._sizes: dict[UUID, int] = {}
        self.reports: dict[tuple[int, int], StreamReport] = {}

    def open(self, call: Call, format: AudioFormat) -> UUID:  # noqa: A002 - the word of the contract
        del format
        recording = UUID(int=int(call.agent.number))
        path = self._folder / f"{recording.int:05}.raw"
        self._files[recording] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return recording

    def write(self, block: Block) -> None:
        final = block.payload.shape[1] - block.tentative_samples
        for number, recording in enumerate(block.recordings):
            # A place that was jumped over becomes zeros, which nobody says: a comparison finds it.
            start = int(block.start_samples[number])
            os.pwrite(self._files[recording], block.payload[number, :final].data, start * 2)

    def event(self, recording: UUID, event: Event) -> None:
        if isinstance(event, StreamReport):
            self.reports[recording.int, event.channel] = event

    def close(self, recording: UUID, end: EndReason) -> None:
        del end
        os.close(self._files.pop(recording))

    def exempt(self, call: Call, end: EndReason, events: Sequence[Event] = ()) -> UUID:
        raise NotImplementedError

    def discard(self, recording: UUID, end: EndReason) -> None:
        raise NotImplementedError


def plan(call: int, ports: tuple[int, ...], now: datetime, *, encrypted: bool) -> RecordingPlan:
    streams = tuple(
        StreamPlan(
            port=port,
            label=str(side + 1),
            channels=(side,),
            formats=(PCMU,),
            crypto=_crypto(2 * call + side) if encrypted else None,
        )
        for side, port in enumerate(ports)
    )
    about = Call(
        source="siprec",
        direction="inbound",
        started_at=now,
        agent=Party(number=str(call)),
        customer=Party(number=""),
    )
    return RecordingPlan(call=about, format=FORM, streams=streams)


def _crypto(stream: int) -> Crypto:
    return Crypto(tag=1, suite=SUITE.value, key_and_salt=key_of(stream))


async def run(calls: int, folder: Path, *, encrypted: bool) -> int:
    problems: list[str] = []
    engine = Engine(
        address="127.0.0.1",
        first_port=FIRST_PORT,
        last_port=LAST_PORT,
        max_calls=calls,
        now=lambda: datetime.now(UTC),
        alarm=lambda code, words: problems.append(f"{code}: {words}"),
    )
    files = Files(folder)
    engine.start(files)
    reservations = []
    ports: list[int] = []
    for call in range(calls):
        reserved = await engine.reserve(2)
        await engine.open(reserved.id, (plan(call, reserved.ports, datetime.now(UTC), encrypted=encrypted),))
        reservations.append(reserved.id)
        ports += reserved.ports
    print(json.dumps(ports), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    end = EndReason(ending=Ending.HANGUP, at=datetime.now(UTC))
    for reservation in reservations:
        await engine.close(reservation, end)
    await engine.stop(end)
    reports = [files.reports[call, side] for call in range(calls) for side in (0, 1)]
    print(json.dumps([{"lost": one.lost + one.late, "slips": one.slips} for one in reports]), flush=True)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    sys.exit(asyncio.run(run(int(sys.argv[1]), Path(sys.argv[2]), encrypted="srtp" in sys.argv[3:])))

"""The media thread: what the event loop asks is done, and its end leaves nothing behind."""

import asyncio
import functools
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import ParamSpec
from uuid import UUID

import numpy as np
import pytest

from callseal.agent.call import NOW, Answered, Digit, StreamReport
from callseal.agent.errors import PortsExhausted, SourceError
from callseal.agent.media.engine import SILENT_S, Engine
from callseal.agent.media.plans import RecordingPlan, Reservation
from callseal.seal.errors import SpoolError
from support.kept_sound import SoundKeeper
from support.media_room import CALL, END, NOON, ULAW, find, plan
from support.rtp_sender import Gateway, Stream, codes

SECOND = 8000


P = ParamSpec("P")


def in_a_loop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Run a test's coroutine to its end."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Clock:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@asynccontextmanager
async def running(
    recorder: SoundKeeper, *, ports: tuple[int, int] = (25000, 25999), clock: Clock | None = None
) -> AsyncIterator[Engine]:
    engine = Engine(
        address="127.0.0.1",
        first_port=ports[0],
        last_port=ports[1],
        max_calls=50,
        now=lambda: NOON,
        alarm=lambda _code, _detail: None,
        monotonic=clock or time.monotonic,
    )
    engine.start(recorder)
    try:
        yield engine
    finally:
        await engine.stop(END)


async def opened(engine: Engine, reserved: Reservation) -> UUID:
    streams = tuple(plan(port, channel) for channel, port in enumerate(reserved.ports))
    (recording,) = await engine.open(reserved.id, (RecordingPlan(call=CALL, format=ULAW, streams=streams),))
    return recording


async def until(recorder: SoundKeeper, recording: UUID, samples: int) -> None:
    """Wait until so much is kept, for good or tentatively."""
    for _ in range(1000):
        kept = recorder.kept[recording]
        if kept.samples + (0 if kept.tentative is None else len(kept.tentative)) >= samples:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the sound never came")


@in_a_loop
async def test_a_call_is_recorded_in_real_time() -> None:
    recorder, gateway = SoundKeeper(), Gateway()
    sound = codes(1, 2 * SECOND)
    async with running(recorder) as engine:
        reserved = await engine.reserve(2)
        recording = await opened(engine, reserved)
        await engine.note(recording, Answered(at=NOON, position_samples=NOW))
        begun_s = time.monotonic()
        for at_s, data in Stream(port=reserved.ports[0], sound=sound.tobytes()).packets():
            await asyncio.sleep(max(begun_s + at_s - time.monotonic(), 0))
            gateway.send(data, reserved.ports[0])
        await engine.close(reserved.id, END)

    kept = recorder.kept[recording]
    at = find(kept.sound, 0, sound)
    (answered,) = kept.of(Answered)
    assert abs(answered.position_samples - at) < SECOND
    assert kept.of(StreamReport)[0].placed == 100
    assert kept.end == END
    gateway.close()


@in_a_loop
async def test_what_has_come_is_handed_on_while_the_call_runs() -> None:
    recorder = SoundKeeper()
    async with running(recorder) as engine:
        reserved = await engine.reserve(1)
        recording = await opened(engine, reserved)

        await until(recorder, recording, 2 * SECOND)

        kept = recorder.kept[recording]
        assert kept.samples % SECOND == 0
        assert engine.statistics.recordings == 1
        assert engine.counters()["ticks"] > 0


@in_a_loop
async def test_events_go_to_the_recorder_from_the_media_thread() -> None:
    recorder = SoundKeeper()
    async with running(recorder) as engine:
        reserved = await engine.reserve(1)
        recording = await opened(engine, reserved)

        await engine.note(recording, Digit(channel=0, position_samples=5, duration_ms=1))

    assert recorder.kept[recording].of(Digit)


@in_a_loop
async def test_calls_that_run_when_it_stops_are_closed_with_what_came() -> None:
    recorder, gateway = SoundKeeper(), Gateway()
    async with running(recorder, ports=(26300, 26399)) as engine:
        reserved = await engine.reserve(2)
        recording = await opened(engine, reserved)
        for _, data in Stream(port=reserved.ports[0], sound=codes(2, 800).tobytes()).packets():
            gateway.send(data, reserved.ports[0])

    kept = recorder.kept[recording]
    assert kept.end == END
    assert kept.of(StreamReport)[0].packets == 5
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", reserved.ports[0]))
    gateway.close()


@in_a_loop
async def test_it_says_when_it_takes_no_sound() -> None:
    recorder, clock = SoundKeeper(), Clock()
    async with running(recorder, clock=clock) as engine:
        assert engine.why_not() is None
    assert engine.why_not() == "media-down"


@in_a_loop
async def test_a_thread_that_hangs_is_noticed() -> None:
    recorder, clock = SoundKeeper(), Clock()
    async with running(recorder, clock=clock) as engine:
        clock.ahead_s = SILENT_S * 1e9

        assert engine.silent_s > SILENT_S


@in_a_loop
async def test_what_is_asked_after_the_end_is_refused_and_never_waited_for() -> None:
    async with running(SoundKeeper()) as engine:
        pass

    with pytest.raises(SourceError):
        await engine.reserve(1)


@in_a_loop
async def test_stopping_twice_does_nothing() -> None:
    async with running(SoundKeeper()) as engine:
        await engine.stop(END)

        await engine.stop(END)

    assert engine.why_not() == "media-down"


@in_a_loop
async def test_errors_come_back_to_who_asked() -> None:
    async with running(SoundKeeper(), ports=(26000, 26003)) as engine:
        with pytest.raises(PortsExhausted):
            await engine.reserve(3)
        with pytest.raises(SourceError):
            await engine.close(77, END)

        assert engine.why_not() is None


@in_a_loop
async def test_ports_that_nobody_waits_for_any_more_are_given_back() -> None:
    clock = Clock()
    async with running(SoundKeeper(), ports=(26100, 26103), clock=clock) as engine:
        waiting = asyncio.create_task(engine.reserve(2))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        for _ in range(1000):
            try:
                reserved = await engine.reserve(2)
                break
            except PortsExhausted:
                clock.ahead_s += 0.1
                await asyncio.sleep(0.01)

        assert len(reserved.ports) == 2


@in_a_loop
async def test_hundreds_of_commands_at_once_are_all_answered() -> None:
    recorder = SoundKeeper()
    async with running(recorder) as engine:
        reserved = await asyncio.gather(*(engine.reserve(2) for _ in range(100)))
        recordings = await asyncio.gather(*(opened(engine, one) for one in reserved))
        await asyncio.gather(*(engine.close(one.id, END) for one in reserved))

    assert len(set(recordings)) == 100
    assert all(recorder.kept[one].end == END for one in recordings)
    assert all(np.all(recorder.kept[one].sound == 0xFF) for one in recordings)


@in_a_loop
async def test_a_mistake_in_one_command_is_told_and_the_thread_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = SoundKeeper()
    async with running(recorder) as engine:
        reserved = await engine.reserve(1)

        def broken(_call: object, _format: object) -> UUID:
            raise RuntimeError("a mistake")

        monkeypatch.setattr(recorder, "open", broken)
        with pytest.raises(SourceError):
            await opened(engine, reserved)
        monkeypatch.undo()

        recording = await opened(engine, reserved)

    assert recorder.kept[recording].end == END


@in_a_loop
async def test_a_system_that_allows_too_few_files_is_said_and_lowers_the_number_of_calls() -> None:
    alarms: list[tuple[str, str]] = []
    engine = Engine(
        address="127.0.0.1",
        first_port=26200,
        last_port=26299,
        max_calls=10_000_000,
        now=lambda: NOON,
        alarm=lambda code, detail: alarms.append((code, detail)),
    )

    engine.start(SoundKeeper())
    await engine.stop(END)

    assert 0 < engine.capacity < 10_000_000
    assert [code for code, _ in alarms] == ["file-limit"]


@in_a_loop
async def test_a_full_disk_is_told_to_who_opens_and_the_ports_stay_reserved() -> None:
    recorder = SoundKeeper()
    async with running(recorder) as engine:
        reserved = await engine.reserve(1)
        recorder.is_full = True

        with pytest.raises(SpoolError):
            await opened(engine, reserved)

        recorder.is_full = False
        recording = await opened(engine, reserved)
    assert recorder.kept[recording].end == END


@in_a_loop
async def test_of_a_call_that_can_not_be_opened_as_a_whole_no_sound_is_kept() -> None:
    recorder = SoundKeeper()
    async with running(recorder) as engine:
        reserved = await engine.reserve(1)
        fine = RecordingPlan(call=CALL, format=ULAW, streams=(plan(reserved.ports[0], 0),))
        wrong = RecordingPlan(call=CALL, format=ULAW, streams=(plan(9, 0),))

        with pytest.raises(SourceError):
            await engine.open(reserved.id, (fine, wrong))

    assert [kept.is_discarded for kept in recorder.kept.values()] == [True, True]


@in_a_loop
async def test_a_call_that_must_not_be_recorded_is_destroyed() -> None:
    recorder = SoundKeeper()
    async with running(recorder) as engine:
        reserved = await engine.reserve(1)
        recording = await opened(engine, reserved)

        await engine.discard(reserved.id, END)

        with pytest.raises(SourceError):
            await engine.note(recording, Answered(at=NOON, position_samples=NOW))
        await engine.release(reserved.id)
    assert recorder.kept[recording].is_discarded


@in_a_loop
async def test_a_call_that_is_not_recorded_leaves_its_trace() -> None:
    recorder = SoundKeeper()
    async with running(recorder) as engine:
        await engine.trace(CALL, END)

    assert recorder.traces == [END]


@in_a_loop
async def test_a_recording_that_was_begun_for_who_waits_no_more_is_closed_at_the_end() -> None:
    recorder = SoundKeeper()
    async with running(recorder) as engine:
        reserved = await engine.reserve(1)
        waiting = asyncio.create_task(opened(engine, reserved))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert all(kept.end is not None for kept in recorder.kept.values())

"""The media thread's work without its thread: real sockets, and a clock that a test moves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import AudioFormat, Call, Ending, EndReason, Party
from callseal.agent.media.commands import Change, Close, Command, Open, Reserve, Shut
from callseal.agent.media.plans import RecordingPlan, Reservation, StreamPlan
from callseal.agent.media.ports import PortTurns
from callseal.agent.media.studio import Studio
from callseal.agent.sdp.session import Crypto, Format
from callseal.codecs.au import Encoding
from support.kept_sound import Kept, SoundKeeper
from support.rtp_sender import Gateway, Stream

PCMU = Format(payload_type=0, name="PCMU", clock_hz=8000)
PCMA = Format(payload_type=8, name="PCMA", clock_hz=8000)
G722 = Format(payload_type=9, name="G722", clock_hz=8000)
NOISE = Format(payload_type=13, name="CN", clock_hz=8000)
KEYS = Format(payload_type=101, name="TELEPHONE-EVENT", clock_hz=8000)
USUAL = (PCMU, PCMA, NOISE, KEYS)

ULAW = AudioFormat(encoding=Encoding.ULAW, rate_hz=8000)
ALAW = AudioFormat(encoding=Encoding.ALAW, rate_hz=8000)
NARROW = AudioFormat(encoding=Encoding.PCM16, rate_hz=8000)
WIDE = AudioFormat(encoding=Encoding.PCM16, rate_hz=16000)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = EndReason(ending=Ending.HANGUP, at=NOON)
CALL = Call(
    source="siprec",
    direction="inbound",
    started_at=NOON,
    agent=Party(number="1001"),
    customer=Party(number="+8613800138000"),
)
TICK_S = 0.37
FIRST_PORT = 21000
LAST_PORT = 29999


def plan(
    port: int,
    channel: int | tuple[int, ...],
    *,
    formats: tuple[Format, ...] = USUAL,
    address: str = "",
    crypto: Crypto | None = None,
    sending: bool = True,
) -> StreamPlan:
    """Plan a stream."""
    channels = channel if isinstance(channel, tuple) else (channel,)
    return StreamPlan(
        port=port,
        label=f"label-{port % 2}",
        channels=channels,
        formats=formats,
        address=address,
        crypto=crypto,
        sending=sending,
    )


class MediaRoom:
    """A studio, what it records, and the gateway that sends to it."""

    def __init__(
        self, *, address: str = "127.0.0.1", ports: tuple[int, int] = (FIRST_PORT, LAST_PORT)
    ) -> None:
        self.now_s = 1000.0
        self.recorder = SoundKeeper()
        self.faults: list[tuple[str, Exception]] = []
        self.gateway = Gateway(address)
        self.turns = PortTurns(*ports)
        self.studio = Studio(
            recorder=self.recorder,
            address=address,
            ports=self.turns,
            monotonic=lambda: self.now_s,
            fault=lambda where, problem: self.faults.append((where, problem)),
        )

    def reserve(self, streams: int = 2) -> Reservation:
        """Bind ports."""
        reserved = self.execute(Reserve(streams=streams))
        assert isinstance(reserved, Reservation)
        return reserved

    def execute(self, command: Command) -> object:
        """Do what the event loop would ask."""
        return self.studio.execute(command)

    def open(
        self,
        reserved: Reservation,
        streams: Sequence[StreamPlan] | None = None,
        form: AudioFormat = ULAW,
    ) -> UUID:
        """Begin one recording: by default of two legs."""
        if streams is None:
            streams = [plan(port, channel) for channel, port in enumerate(reserved.ports)]
        recording = self.recorder.open(CALL, form)
        plans = (RecordingPlan(call=CALL, format=form, streams=tuple(streams)),)
        self.execute(Open(reservation=reserved.id, plans=plans, recordings=(recording,)))
        return recording

    def change(self, recording: UUID, *streams: StreamPlan) -> None:
        """Let signalling say something else."""
        self.execute(Change(recording=recording, streams=streams))

    def close(self, reserved: Reservation) -> None:
        """End a call."""
        ended = self.execute(Close(reservation=reserved.id))
        assert isinstance(ended, tuple)
        for recording in ended:
            self.recorder.close(recording, END)

    def kept(self, recording: UUID) -> Kept:
        """Give what was recorded."""
        return self.recorder.kept[recording]

    def play(self, streams: Sequence[Stream], seconds: float, *, tick_s: float = TICK_S) -> None:
        """Let streams send from now on, for so long, and tick meanwhile."""
        begun_s = self.now_s
        due = self._in_turn(streams, seconds)
        ticked_s = 0.0
        for at_s, data, stream in due:
            while at_s > ticked_s + tick_s:
                ticked_s += tick_s
                self.now_s = begun_s + ticked_s
                self.studio.tick()
            self.now_s = begun_s + at_s
            self.gateway.send(data, stream.port, stream.source)
        while ticked_s + tick_s <= seconds:
            ticked_s += tick_s
            self.now_s = begun_s + ticked_s
            self.studio.tick()
        self.now_s = begun_s + seconds

    @staticmethod
    def _in_turn(streams: Sequence[Stream], seconds: float) -> list[tuple[float, bytes, Stream]]:
        sent = [
            (at_s, data, stream) for stream in streams for at_s, data in stream.packets() if at_s <= seconds
        ]
        return sorted(sent, key=lambda one: one[0])

    def rest(self, seconds: float, *, tick_s: float = TICK_S) -> None:
        """Let time pass without sound."""
        self.play((), seconds, tick_s=tick_s)

    def shut(self) -> None:
        """End all and give the sockets back."""
        self.execute(Shut())
        self.gateway.close()


@contextmanager
def media_room(
    *, address: str = "127.0.0.1", ports: tuple[int, int] = (FIRST_PORT, LAST_PORT)
) -> Iterator[MediaRoom]:
    """Give a room, and shut it."""
    room = MediaRoom(address=address, ports=ports)
    try:
        yield room
    finally:
        room.shut()


def find(sound: NDArray[np.generic], channel: int, wanted: NDArray[np.generic]) -> int:
    """Give the position at which a stretch begins in a channel; AssertionError unless all of it is there."""
    heard = sound[:, channel]
    windows = np.lib.stride_tricks.sliding_window_view(heard, 80)
    starts = np.flatnonzero((windows == wanted[:80]).all(1))
    assert len(starts) == 1, f"the stretch begins {len(starts)} times"
    start = int(starts[0])
    assert np.array_equal(heard[start : start + len(wanted)], wanted)
    return start

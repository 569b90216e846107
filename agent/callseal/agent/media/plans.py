"""What signalling asks of the media engine.

Conventions: sound of one call goes to one or more recordings; each has streams, each stream a local port that
was reserved for it. Times are aware, UTC; the engine turns them into positions.
"""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from callseal.agent.call import AudioFormat, Call, EndReason, Event
from callseal.agent.sdp.session import Crypto, Format


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """One stream that is expected at a port of ours."""

    port: int
    label: str
    channels: tuple[int, ...]
    """(0,), (1,), or (0, 1) for a stream that carries both parties. Several on one channel are mixed."""
    formats: tuple[Format, ...]
    """All that may come, the one for sound that was preferred first; CN and TELEPHONE-EVENT among them."""
    address: str = ""
    """Where the gateway says it comes from; a hint for learning the source, no more."""
    crypto: Crypto | None = None
    """The sender's key, for SRTP."""
    sending: bool = True
    """False while the gateway says that nothing comes (inactive, port 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlan:
    """One recording of a call."""

    call: Call
    format: AudioFormat
    streams: tuple[StreamPlan, ...]
    from_now: bool = False
    """Whether what waits at the ports is thrown away: it came while it was not to be recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Ports that are bound and listened to; sound that comes before the recording is opened is kept."""

    id: int
    ports: tuple[int, ...]
    """RTP ports, even; RTCP is the next one."""


class MediaEngine(Protocol):
    """Takes the sound of calls and writes it to the recorder, in a thread (or process) of its own.

    All methods may be called from the event loop; they return quickly or are awaited. Raises SourceError
    where no port is free (`PortsExhausted`) and SpoolError where no spool takes the recording.
    """

    async def reserve(self, streams: int) -> Reservation:
        """Bind ports for that many streams."""
        ...

    async def release(self, reservation: int) -> None:
        """Give back the ports of a call that came to nothing."""
        ...

    async def open(self, reservation: int, plans: tuple[RecordingPlan, ...]) -> tuple[UUID, ...]:
        """Begin the recordings of a call: their bundles stand in the spool when this returns."""
        ...

    async def add_ports(self, reservation: int, streams: int) -> Reservation:
        """Bind ports for that many more streams of a call; gives the new ones only."""
        ...

    async def change(self, recording: UUID, streams: tuple[StreamPlan, ...]) -> None:
        """Take other streams, formats or keys for a recording from now on; the ports stay as they are."""
        ...

    async def note(self, recording: UUID, event: Event) -> None:
        """Note what happened; an event's position of -1 means now."""
        ...

    async def discard(self, reservation: int, end: EndReason) -> None:
        """Destroy what was recorded of a call that must not be: it ends exempt.

        The ports stay until they are released, so that no other call gets what is still sent there.
        """
        ...

    async def trace(self, call: Call, end: EndReason) -> UUID:
        """Leave the trace of a call that is not recorded: a bundle without sound."""
        ...

    async def close(self, reservation: int, end: EndReason) -> None:
        """End all recordings of a call: what has arrived is written, the ports are given back."""
        ...

"""What the event loop asks of the media thread, as values that could also go to another process."""

from dataclasses import dataclass
from uuid import UUID

from callseal.agent.call import Call, EndReason, Event
from callseal.agent.sources.siprec.plans import RecordingPlan, StreamPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Bind ports for a call; answered by a `Reservation`."""

    streams: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPorts:
    """Bind ports for more streams of a call; answered by a `Reservation` of the new ones."""

    reservation: int
    streams: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Give back the ports of a call that came to nothing."""

    reservation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Begin the recordings of a call; answered by their UUIDs in the order of the plans."""

    reservation: int
    plans: tuple[RecordingPlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Take other streams for a recording from now on."""

    recording: UUID
    streams: tuple[StreamPlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Note an event; a position of `NOW` is put right."""

    recording: UUID
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """End all recordings of a call and give back its ports."""

    reservation: int
    end: EndReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Destroy the sound of all recordings of a call, and give back its ports."""

    reservation: int
    end: EndReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Leave the trace of a call that is not recorded; answered by its UUID."""

    call: Call
    end: EndReason


Command = Reserve | AddPorts | Release | Open | Change | Note | Close | Discard | Trace

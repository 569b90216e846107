"""What the event loop asks of the media thread, as values that could also go to another process."""

from dataclasses import dataclass
from uuid import UUID

from callseal.agent.call import Event
from callseal.agent.media.plans import RecordingPlan, StreamPlan


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
    """Take sound for recordings that the recorder has begun, in the order of the plans."""

    reservation: int
    plans: tuple[RecordingPlan, ...]
    recordings: tuple[UUID, ...]


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
    """Write what has come of a call, give back its ports; answered by the recordings to be closed."""

    reservation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Read nothing more of a call, but keep its ports; answered by the recordings to be destroyed."""

    reservation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindSilent:
    """Answered by the recordings of which nothing has come for so long."""

    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shut:
    """Write what has come of all calls, give back all ports; answered by the recordings to be closed."""


Command = Reserve | AddPorts | Release | Open | Change | Note | Close | Discard | FindSilent | Shut

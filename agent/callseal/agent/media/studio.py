"""All that the media thread owns: the ports of calls, and the racks in which their recordings run.

Not for several threads. A rack in which something goes wrong is told of as a fault and does not take the
others with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, assert_never
from uuid import UUID

from callseal.agent.call import Recorder
from callseal.agent.errors import SourceError
from callseal.agent.media.commands import (
    AddPorts,
    Change,
    Close,
    Command,
    Discard,
    FindSilent,
    Note,
    Open,
    Release,
    Reserve,
    Shut,
)
from callseal.agent.media.plans import RecordingPlan, Reservation, StreamPlan
from callseal.agent.media.ports import PortTurns
from callseal.agent.media.rack import Rack
from callseal.agent.media.scratch import Scratch
from callseal.agent.media.sockets import Inbox, SocketPair, bind_pair, family_of
from callseal.agent.media.statistics import Statistics

MAX_STREAMS: Final = 64
"""Of one call, over all its changes."""
MAX_EARLY_S: Final = 2.0
"""A recording begins at most so long before it is opened, however long its ports have waited."""
RTCP_EVERY_S: Final = 5.0
"""As often as senders report (RFC 3550 section 6.2)."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Booking:
    """A call, as far as sockets and recordings go."""

    reserved_s: float
    pairs: dict[int, SocketPair]
    recordings: list[UUID] = field(default_factory=list)
    owners: dict[int, UUID] = field(default_factory=dict)
    """Whose sound comes to a port."""

    def claim(self, recording: UUID, streams: tuple[StreamPlan, ...]) -> None:
        """Give ports to a recording; SourceError where another one has any: a packet is read once."""
        for stream in streams:
            if self.owners.get(stream.port, recording) != recording:
                raise SourceError(f"port {stream.port} belongs to another recording of this call")
        self.owners.update((stream.port, recording) for stream in streams)

    def forget(self, now_s: float) -> None:
        """Throw away what waits at the ports, as if they had been reserved now."""
        for pair in self.pairs.values():
            pair.empty()
        self.reserved_s = now_s


class Studio:
    """Carries out commands, and ticks."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        address: str,
        ports: PortTurns,
        monotonic: Callable[[], float],
        fault: Callable[[str, Exception], None],
    ) -> None:
        """`fault` hears where something of ours went wrong, and what."""
        self._recorder = recorder
        self._address = address
        self._ports = ports
        self._monotonic = monotonic
        self._fault = fault
        self._inbox = Inbox(family_of(address))
        self._scratch = Scratch()
        self._bookings: dict[int, _Booking] = {}
        self._last_booking = 0
        self._racks: list[Rack] = []
        self._rack_of: dict[UUID, Rack] = {}
        self._rtcp_s = monotonic()
        self._faults = 0
        self._ended = Statistics()

    # --- commands -----------------------------------------------------------------------------------------

    def execute(self, command: Command) -> object:  # noqa: C901 - a case a command
        """Do what the event loop asks; gives the answer, or raises SourceError."""
        answer: object = None
        match command:
            case Reserve(streams=streams):
                answer = self._reserve(streams)
            case AddPorts(reservation=reservation, streams=streams):
                answer = self._add_ports(reservation, streams)
            case Release(reservation=reservation):
                self._release(reservation)
            case Open(reservation=reservation, plans=plans, recordings=recordings):
                self._open(self._booking(reservation), plans, recordings)
            case Change(recording=recording, streams=streams):
                self._change(recording, streams)
            case Note(recording=recording, event=event):
                self._rack(recording).note(recording, event, self._monotonic())
            case Close(reservation=reservation):
                answer = self._end(reservation, lambda rack, recording: rack.end(recording, self._inbox))
            case Discard(reservation=reservation):
                answer = self._discard(self._booking(reservation))
            case FindSilent(for_s=for_s):
                since_s = self._monotonic() - for_s
                answer = tuple(one for rack in self._racks for one in rack.silent(since_s))
            case Shut():
                answer = self._shut()
            case _:
                assert_never(command)
        return answer

    def _reserve(self, streams: int) -> Reservation:
        pairs = self._bind(streams)
        self._last_booking += 1
        self._bookings[self._last_booking] = _Booking(reserved_s=self._monotonic(), pairs=pairs)
        return Reservation(id=self._last_booking, ports=tuple(pairs))

    def _add_ports(self, reservation: int, streams: int) -> Reservation:
        booking = self._booking(reservation)
        if len(booking.pairs) + streams > MAX_STREAMS:
            raise SourceError(f"a call has no more than {MAX_STREAMS} streams")
        pairs = self._bind(streams)
        booking.pairs.update(pairs)
        return Reservation(id=reservation, ports=tuple(pairs))

    def _bind(self, streams: int) -> dict[int, SocketPair]:
        """Bind that many pairs, or none: PortsExhausted where there are fewer, SourceError without files."""
        if not 0 <= streams <= MAX_STREAMS:
            raise SourceError(f"a call has no more than {MAX_STREAMS} streams")
        pairs: dict[int, SocketPair] = {}
        try:
            while len(pairs) < streams:
                port = self._ports.take(self._monotonic())
                pair = None
                try:
                    pair = bind_pair(self._address, port)
                finally:
                    if pair is None:
                        self._ports.give_back(port, self._monotonic())
                if pair is not None:
                    pairs[port] = pair
        except OSError as problem:
            self._put_back(pairs)
            raise SourceError(f"no socket for another stream: {problem.strerror}") from problem
        except SourceError:
            self._put_back(pairs)
            raise
        return pairs

    def _put_back(self, pairs: dict[int, SocketPair]) -> None:
        """Free ports that nobody has been told of: they need no rest."""
        for port, pair in reversed(pairs.items()):
            pair.close()
            self._ports.put_back(port)

    def _unbind(self, pairs: dict[int, SocketPair]) -> None:
        for port, pair in pairs.items():
            pair.close()
            self._ports.give_back(port, self._monotonic())

    def _release(self, reservation: int) -> None:
        if self._booking(reservation).recordings:
            raise SourceError(f"reservation {reservation} has recordings: it is closed, not released")
        self._unbind(self._bookings.pop(reservation).pairs)

    def _open(
        self, booking: _Booking, plans: tuple[RecordingPlan, ...], recordings: tuple[UUID, ...]
    ) -> None:
        """Take sound for all recordings of a call, or for none."""
        if any(plan.from_now for plan in plans):
            booking.forget(self._monotonic())
        opened: list[UUID] = []
        try:
            for plan, recording in zip(plans, recordings, strict=True):
                booking.claim(recording, plan.streams)
                rack = self._room_for(plan, booking.reserved_s)
                rack.open(recording, plan, booking.pairs, booking.reserved_s)
                self._rack_of[recording] = rack
                opened.append(recording)
        except Exception:
            for recording in opened:
                self._rack_of.pop(recording).drop(recording)
            kept = {port: owner for port, owner in booking.owners.items() if owner not in recordings}
            booking.owners = kept
            self._clear_up()
            raise
        booking.recordings += opened

    def _room_for(self, plan: RecordingPlan, reserved_s: float) -> Rack:
        for rack in self._racks:
            if rack.has_room_for(plan):
                return rack
        rack = Rack(
            form=plan.format,
            recorder=self._recorder,
            scratch=self._scratch,
            phase=len(self._racks),
            started_s=max(reserved_s, self._monotonic() - MAX_EARLY_S),
            monotonic=self._monotonic,
            fault=self._went_wrong,
        )
        self._racks.append(rack)
        return rack

    def _change(self, recording: UUID, streams: tuple[StreamPlan, ...]) -> None:
        rack = self._rack(recording)
        booking = next(item for item in self._bookings.values() if recording in item.recordings)
        booking.claim(recording, streams)
        rack.change(recording, streams, booking.pairs, self._inbox)

    def _end(self, reservation: int, end: Callable[[Rack, UUID], None]) -> tuple[UUID, ...]:
        """End all recordings of a call and give back its ports; gives the recordings."""
        booking = self._booking(reservation)
        del self._bookings[reservation]
        ended = self._end_each(booking, end)
        self._unbind(booking.pairs)
        return ended

    def _discard(self, booking: _Booking) -> tuple[UUID, ...]:
        """Drop all recordings of a call. Its ports stay until they are released.

        The gateway may go on sending there what must not be in anybody else's recording.
        """
        dropped = self._end_each(booking, Rack.drop)
        booking.recordings, booking.owners = [], {}
        return dropped

    def _end_each(self, booking: _Booking, end: Callable[[Rack, UUID], None]) -> tuple[UUID, ...]:
        for recording in booking.recordings:
            try:
                end(self._rack_of.pop(recording), recording)
            except Exception as problem:  # noqa: BLE001 - the call's other recordings are ended all the same
                self._went_wrong("end", problem)
        self._clear_up()
        return tuple(booking.recordings)

    def _shut(self) -> tuple[UUID, ...]:
        ended: list[UUID] = []
        for reservation in list(self._bookings):
            ended += self._end(reservation, lambda rack, recording: rack.end(recording, self._inbox))
        return tuple(ended)

    def _clear_up(self) -> None:
        """Let go of racks without recordings."""
        for rack in [rack for rack in self._racks if rack.is_empty]:
            self._racks.remove(rack)
            self._ended = rack.add_to(self._ended)

    def _booking(self, reservation: int) -> _Booking:
        booking = self._bookings.get(reservation)
        if booking is None:
            raise SourceError(f"there is no reservation {reservation}")
        return booking

    def _rack(self, recording: UUID) -> Rack:
        rack = self._rack_of.get(recording)
        if rack is None:
            raise SourceError(f"recording {recording} does not run")
        return rack

    # --- the clock ----------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Read what has come, place it, and hand on what is due."""
        with_rtcp = self._monotonic() - self._rtcp_s >= RTCP_EVERY_S
        if with_rtcp:
            self._rtcp_s = self._monotonic()
        for rack in self._racks:
            try:
                rack.tick(self._inbox)
                if with_rtcp:
                    rack.read_rtcp(self._inbox)
            except Exception as problem:  # noqa: BLE001 - one bank's trouble is not the others'
                self._went_wrong("bank", problem)

    def statistics(self) -> Statistics:
        """Count what runs and what was."""
        counted = replace(self._ended, faults=self._faults)
        for rack in self._racks:
            counted = rack.add_to(counted)
        return counted

    def _went_wrong(self, where: str, problem: Exception) -> None:
        self._faults += 1
        self._fault(where, problem)

"""The streams of a rack: each has a row of the bank, a socket that is read, and a coding.

Conventions: as in `rack`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from callseal.agent.call import AudioFormat
from callseal.agent.errors import SourceError
from callseal.agent.media.conversion import Conversion
from callseal.agent.media.intake import Intake
from callseal.agent.media.lane import Lane
from callseal.agent.media.plans import StreamPlan
from callseal.agent.media.sockets import Inbox, SocketPair
from callseal.codecs.errors import BankFullError
from callseal.codecs.timeline import Bank


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A stream goes on in another coding."""

    lane: Lane
    codec: str


class Lanes:
    """All streams of a bank."""

    def __init__(self, bank: Bank, form: AudioFormat, monotonic: Callable[[], float]) -> None:
        self._bank = bank
        self._form = form
        self._intake = Intake(bank.rows, monotonic)
        self._conversion = Conversion(bank.rows, form)
        self._lanes: dict[int, Lane] = {}

    def __len__(self) -> int:
        """Count the streams."""
        return len(self._lanes)

    def __getitem__(self, row: int) -> Lane:
        """Give the stream in a row."""
        return self._lanes[row]

    @property
    def packets(self) -> int:
        """How many datagrams were read."""
        return self._intake.packets

    @property
    def strangers(self) -> int:
        """How many of them were from others than the streams' sources."""
        return self._intake.strangers

    def add(
        self, recording: UUID, plans: Sequence[StreamPlan], pairs: Mapping[int, SocketPair]
    ) -> list[Lane]:
        """Begin streams, in rows that stand together where there are such; all, or with SourceError none."""
        lanes: list[Lane] = []
        for plan in plans:
            pair = pairs.get(plan.port)
            if pair is None:
                raise SourceError(f"port {plan.port} was not reserved for this call")
            lanes.append(Lane.of(plan, pair, recording))
        self._seat(lanes)
        try:
            for lane in lanes:
                self._lanes[lane.row] = lane
                self._intake.begin(lane)
                self._conversion.begin(lane)
        except SourceError:
            self.remove(lanes)
            raise
        self._intake.listen_to(self._lanes.values())
        return lanes

    def _seat(self, lanes: Sequence[Lane]) -> None:
        expected = [lane.expected(self._form) for lane in lanes]
        try:
            rows = self._bank.take(expected)
        except BankFullError:
            rows = tuple(self._bank.take([one])[0] for one in expected)
        for lane, row in zip(lanes, rows, strict=True):
            lane.row = row

    def change(self, lane: Lane, plan: StreamPlan) -> None:
        """Take another plan for a stream; SourceError for keys of no use, and it stays as it was."""
        before, lane.plan = lane.plan, plan
        if plan.crypto != before.crypto:
            try:
                self._intake.change_key(lane)
            except SourceError:
                lane.plan = before
                self._intake.change_key(lane)
                raise
        if plan.address != before.address:
            lane.learner.announce(plan.address)
        if plan.formats != before.formats:
            self._conversion.change(lane)
            self._bank.change(lane.row, lane.expected(self._form))

    def remove(self, lanes: Iterable[Lane]) -> None:
        """End streams: their sockets are not read any more, their rows are free."""
        gone = list(lanes)
        for lane in gone:
            self._lanes.pop(lane.row, None)
            self._intake.end(lane)
            self._conversion.end(lane)
        self._intake.listen_to(self._lanes.values())
        if gone:
            self._bank.free([lane.row for lane in gone])

    def read(self, inbox: Inbox, only: Iterable[Lane] | None = None) -> list[Changed]:
        """Read what has come for all streams, or some, and place it; gives what changed its coding."""
        changed: list[Changed] = []
        for load in self._intake.loads(inbox, only):
            converted, switches = self._conversion.convert(load, self._lanes)
            for switch in switches:
                lane = self._lanes[switch.row]
                clock_hz = lane.clock_hz
                codec = lane.play(switch.payload_type)
                if lane.clock_hz != clock_hz:
                    self._bank.change(lane.row, lane.expected(self._form))
                if codec:
                    changed.append(Changed(lane=lane, codec=codec))
            packets = converted.packets
            self._bank.put(
                packets.rows, packets.lengths, converted.rows, converted.counts, now_s=converted.read_s
            )
        return changed

    def are_silent(self, lanes: Iterable[Lane], since_s: float) -> bool:
        """Say whether nothing of these streams has come since then, by the monotonic clock."""
        return all(self._intake.alive_s(lane) < since_s for lane in lanes)

    def read_rtcp(self, inbox: Inbox) -> None:
        """Read the reports of the senders."""
        self._intake.read_rtcp(inbox)

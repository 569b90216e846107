"""The recording server without sound, in a process of its own.

    python bench/signalling_server.py sip | source PORT FOLDER

sip     the SIP server, which answers every INVITE with the same description
source  all that the agent does for a call but sound and recordings: description, metadata, rules, notes on
        the disk

Prints "ready". For each line of its standard input it prints, as JSON, how many calls it has taken and how
many dialogs it has; at the end of the input it stops.
"""

import asyncio
import json
import logging
import secrets
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import structlog

from callseal.agent.call import AudioFormat, Block, Call, EndReason, Event, Recorder
from callseal.agent.media.plans import RecordingPlan, Reservation, StreamPlan
from callseal.agent.numbering import Numbering
from callseal.agent.sdp.policy import ALWAYS, AnswerPolicy
from callseal.agent.sip.endpoint import Endpoint
from callseal.agent.sip.events import Event as SipEvent
from callseal.agent.sip.events import Invited
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.server import SipServer
from callseal.agent.sources.siprec.describing import House
from callseal.agent.sources.siprec.source import Listen, SiprecSource
from callseal.agent.tagging import Tagging
from callseal.config.load import read_settings

MAX_CALLS: Final = 20_000
HOST: Final = "127.0.0.1"
ANSWER: Final = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0\r\na=recvonly\r\na=label:1\r\n"
    b"m=audio 40002 RTP/AVP 0\r\na=recvonly\r\na=label:2\r\n"
)
SETTINGS: Final = 'schema = 1\n[device]\nsite = "bench"\n[[source]]\ntype = "siprec"\n'
Count = Callable[[], dict[str, int]]


class Deaf:
    """A media engine that promises everything and hears nothing."""

    capacity = MAX_CALLS

    def __init__(self) -> None:
        self.taken = 0

    def start(self, recorder: Recorder, lost: Callable[[Collection[int]], None]) -> None:
        pass

    async def stop(self, end: EndReason) -> None:
        pass

    def why_not(self) -> str | None:
        return None

    def counters(self) -> Mapping[str, int]:
        return {}

    async def reserve(self, streams: int) -> Reservation:
        self.taken += 1
        return Reservation(id=self.taken, ports=tuple(range(10_000, 10_000 + 2 * streams, 2)))

    async def add_ports(self, reservation: int, streams: int) -> Reservation:
        return Reservation(id=reservation, ports=tuple(range(20_000, 20_000 + 2 * streams, 2)))

    async def open(self, reservation: int, plans: tuple[RecordingPlan, ...]) -> tuple[UUID, ...]:
        del reservation
        return tuple(uuid4() for _ in plans)

    async def trace(self, call: Call, end: EndReason) -> UUID:
        del call, end
        return uuid4()

    async def silent(self, since_s: float) -> tuple[UUID, ...]:
        del since_s
        return ()

    async def release(self, reservation: int) -> None:
        pass

    async def change(self, recording: UUID, streams: tuple[StreamPlan, ...]) -> None:
        pass

    async def note(self, recording: UUID, event: Event) -> None:
        pass

    async def discard(self, reservation: int, end: EndReason) -> None:
        pass

    async def close(self, reservation: int, end: EndReason) -> None:
        pass


class Idle:
    """The recorder of an engine that hears nothing: it is never asked."""

    def open(self, call: Call, format: AudioFormat) -> UUID:  # noqa: A002 - the word of the contract
        raise NotImplementedError

    def write(self, block: Block) -> None:
        raise NotImplementedError

    def event(self, recording: UUID, event: Event) -> None:
        raise NotImplementedError

    def close(self, recording: UUID, end: EndReason) -> None:
        raise NotImplementedError

    def exempt(self, call: Call, end: EndReason, events: Sequence[Event] = ()) -> UUID:
        raise NotImplementedError

    def discard(self, recording: UUID, end: EndReason) -> None:
        raise NotImplementedError


async def run_sip(port: int) -> None:
    taken = 0

    def answer(event: SipEvent) -> None:
        nonlocal taken
        if isinstance(event, Invited):
            taken += 1
            server.accept(event.transaction, body=ANSWER, content_type="application/sdp")

    endpoint = Endpoint(contact=lambda _flow: f"<sip:{HOST}:{port}>;+sip.srs", random=secrets.token_bytes)
    server = SipServer(endpoint, on_event=answer, peers=Peers())
    await server.start((HOST, port))
    await report(lambda: {"taken": taken, "dialogs": endpoint.counts.dialogs})
    await server.stop()


async def run_source(port: int, folder: Path) -> None:
    settings = read_settings(SETTINGS.encode(), folder / "callseal.toml")
    numbering = Numbering(region="CN", outside_prefix="", emergency=("110",))
    house = House(
        numbering=numbering,
        tagging=Tagging.of(settings, numbering),
        inside=(),
        policy=AnswerPolicy(max_streams=8, codecs=ALWAYS),
        more_parties="mix",
        max_calls=MAX_CALLS,
        media_address=lambda reached: reached,
    )
    engine = Deaf()
    source = SiprecSource(
        listen=Listen(address=(HOST, port)),
        house=house,
        engine=engine,
        spool=folder,
        room=lambda: None,
        now=lambda: datetime.now(UTC),
        random=secrets.token_bytes,
        alarm=lambda code, words: print(f"{code}: {words}", file=sys.stderr),
    )
    running = asyncio.create_task(source.run(Idle()))
    while source.address is None:
        if running.done():
            await running
        await asyncio.sleep(0.05)
    await report(lambda: {"taken": engine.taken, "dialogs": source.counters()["siprec_running"]})
    await source.drain(0)
    await running


async def report(count: Count) -> None:
    """Say what was counted as often as that is asked for."""
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(count() | {"cpu_ms": int(time.process_time() * 1000)}), flush=True)


def main() -> int:
    mode, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    asyncio.run(run_sip(port) if mode == "sip" else run_source(port, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())

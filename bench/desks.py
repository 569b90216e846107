"""What many desk agents cost at one telephone system: each while it waits, and while it records a call.

    python bench/desks.py [--desks 50] [--seconds 20] [--calls 1 10 50]

Every desk is an agent of its own, as on its own PC, with a telephone that registers through it by digest at
one Kamailio, and does so again every minute. First all wait; then, stage by stage, as many as `--calls` says
call somebody at the same Kamailio, are told of the recording as the default settings want it, and talk. All
telephones are in this process (`telephones.py`).

Noted is what agent and bridge child take together, from /proc: processor time over so many seconds, and
memory. "Alone" is what a desk would take if none but itself ran on the machine; PSS and RSS are what the
kernel says. Every recording is opened: it must be "ok", announced whole to both, with each voice on its own
channel. Limits, for each desk: in a call at most 5 % of a core and 120 MB, idle at most 1 %. Exit 1 beyond
them. Needs Kamailio.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import platform
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from processes import (
    cpu_s,
    family,
    machine_cpu_s,
    memory_alone_bytes,
    memory_bytes,
    own_cpu_s,
    resident_bytes,
)
from telephones import FRAME_SAMPLES, REFRESH_S, Sound, Telephone

from callseal.cli.demo.office import AGENT, Office
from callseal.codecs import g711
from callseal.seal.manifest import Result

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.desk import Desk, Recorded
from support.kamailio import Kamailio
from support.sound import RATE_HZ, Samples, demo_speech, likeness

CALL_LIMIT: Final = 0.05
IDLE_LIMIT: Final = 0.01
MEMORY_LIMIT_MB: Final = 120.0
IDLE_S: Final = 30
START_S: Final = 120.0
SETTLE_S: Final = 5.0
"""After all have registered."""
CALLS_A_SECOND: Final = 10
CLOSE_S: Final = 30.0
FIRST_PORT, LAST_PORT = 30_000, 32_767
GROUP_NICE: Final = "-15"
"""Weighs 28 times as much: Linux shares processor time out by sessions (sched(7), autogroup), of which each
bridge child has one, and all agents, Kamailio and these telephones are but one together."""
RTP_PORTS: Final = 20
"""Of one desk."""
AT_ONCE: Final = 4
"""Agents that start beside each other."""
MOST_FILES: Final = 4096
MOST_WEIGHED: Final = 10
"""Desks whose memory is looked at: that takes a while, in which all talk on."""
VOICE_S: Final = 3
LEAST_S: Final = 20
"""The announcements take 12.4 s; after that a voice must be heard whole."""
ALIKE: Final = 0.8
"""A jitter buffer that drops or repeats 20 ms costs a quarter second of the comparison."""
PASSWORD: Final = "bench"  # noqa: S105 - of a telephone system of our own


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One desk, its telephone, and whom it calls."""

    at: Desk
    phone: Telephone
    far: Telephone

    @property
    def pid(self) -> int:
        return self.at.office.process(AGENT).pid


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What desks took in one state, in the desks' order, and what the rest of the machine did meanwhile."""

    agents: tuple[float, ...]
    """Shares of a core."""
    children: tuple[float, ...]
    alone_mb: tuple[float, ...]
    pss_mb: tuple[float, ...]
    rss_mb: tuple[float, ...]
    load: float
    pbx: float
    others: float
    """What no program of this run took, kernel work for nobody included."""

    @property
    def desks(self) -> tuple[float, ...]:
        return tuple(agent + child for agent, child in zip(self.agents, self.children, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What became of the calls of one stage."""

    calls: int
    cost: Cost
    faults: tuple[str, ...]
    """Of each desk whose recording is not as it should be."""
    heard: int
    missed: int
    worst_ms: float


def used_s(places: Sequence[Place], pbx: Kamailio) -> list[float]:
    """Read processor time: of each agent, each child, this process, Kamailio, all that run, the machine."""
    pids = [pid for place in places for pid in family(place.pid)]
    if len(pids) != 2 * len(places):
        raise SystemExit("a desk has not just an agent and a child")
    own = [own_cpu_s(pid) for pid in pids]
    return [*own[::2], *own[1::2], time.process_time(), cpu_s(pbx.process.pid), machine_cpu_s()]


async def measure(places: Sequence[Place], watched: int, pbx: Kamailio, seconds: float) -> Cost:
    """Watch the first desks for some seconds."""
    began_s, before = time.monotonic(), await asyncio.to_thread(used_s, places, pbx)
    await asyncio.sleep(seconds)
    lasted_s, after = time.monotonic() - began_s, await asyncio.to_thread(used_s, places, pbx)
    shares = [(now - then) / lasted_s for now, then in zip(after, before, strict=True)]
    *desks, load, system, machine = shares
    pids = [place.pid for place in places[: min(watched, MOST_WEIGHED)]]

    def megabytes(read: Callable[[int], int]) -> tuple[float, ...]:
        return tuple(read(pid) / 1e6 for pid in pids)

    return Cost(
        agents=tuple(desks[:watched]),
        children=tuple(desks[len(places) : len(places) + watched]),
        alone_mb=await asyncio.to_thread(megabytes, memory_alone_bytes),
        pss_mb=await asyncio.to_thread(megabytes, memory_bytes),
        rss_mb=await asyncio.to_thread(megabytes, resident_bytes),
        load=load,
        pbx=system,
        others=machine - sum(desks) - load - system,
    )


@contextmanager
def running(folder: Path, count: int, pbx: Kamailio) -> Iterator[list[Desk]]:
    """Run the desks; their telephones are not registered yet."""
    desks: list[Desk] = []
    ports = free_ports()
    with ExitStack() as stack:
        while len(desks) < count:
            batch = [
                new_desk(folder / f"desk{len(desks) + index}", ports, pbx)
                for index in range(min(AT_ONCE, count - len(desks)))
            ]
            for desk in batch:
                stack.enter_context(desk.office).start(AGENT)
            for desk in batch:
                wait_listening(desk)
            desks += batch
        yield desks


def new_desk(folder: Path, ports: Iterator[int], pbx: Kamailio) -> Desk:
    """Make a desk as `callseal init` would, with ports of this machine that are free."""
    listen = next(ports)
    first = next(port for port in ports if port % 2 == 0)
    *_rest, last = itertools.islice(ports, RTP_PORTS)
    office = Office.create(
        folder,
        listen=f"127.0.0.1:{listen}",
        pbx=pbx.uri(),
        phone="",
        rtp_ports=f"{first}-{last}",
        rules="",
        now=datetime.now(UTC),
    )
    return Desk(office=office, bridge_port=listen, pbx_port=pbx.port, phone_port=0)


def free_ports() -> Iterator[int]:
    """Give ports below those that the system gives away, and beside those of the tests."""
    for port in range(FIRST_PORT, LAST_PORT + 1):
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as stream:
            try:
                datagrams.bind(("127.0.0.1", port))
                stream.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
    raise SystemExit(f"there are not enough free ports from {FIRST_PORT} to {LAST_PORT}")


def wait_listening(desk: Desk) -> None:
    """Wait until nothing but its telephone is missing."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and desk.office.process(AGENT).poll() is None:
        reading = desk.office.status(AGENT)
        if reading is not None and set(reading.status.reasons) <= {"phone-not-registered"}:
            return
        time.sleep(0.1)
    raise SystemExit(f"a desk does not start\n{desk.office.log_tail(AGENT, 20)}")


async def talk(
    places: Sequence[Place],
    calls: int,
    pbx: Kamailio,
    seconds: float,
    *,
    sound: Sound,
    heard: Sequence[Samples],
) -> Talk:
    """Let so many desks call and talk, and look at what they recorded."""
    talking = places[:calls]
    before = [recorded(place.at) for place in talking]
    placed = []
    for place in talking:
        placed.append(await place.phone.call(place.far.user))
        await asyncio.sleep(1 / CALLS_A_SECOND)
    streams = list(sound.streams)
    sound.worst_s = 0.0
    cost = await measure(places, calls, pbx, seconds)
    worst_s = sound.worst_s
    for place, call in zip(talking, placed, strict=True):
        await place.phone.hang_up(call)
    faults = []
    for place, count in zip(talking, before, strict=True):
        found = faults_of(await asyncio.to_thread(opened, place.at, count), heard)
        faults += [f"{place.phone.user}: {'; '.join(found)}"] if found else []
    return Talk(
        calls=calls,
        cost=cost,
        faults=tuple(faults),
        heard=sum(stream.heard for stream in streams),
        missed=sum(stream.missed for stream in streams),
        worst_ms=worst_s * 1000,
    )


def recorded(desk: Desk) -> int:
    """Count a desk's recordings."""
    return len(list((desk.office.spool / "ready").iterdir()))


def opened(desk: Desk, before: int) -> list[Recorded]:
    """Wait for a desk's next recording."""
    try:
        recordings = desk.wait_for(before + 1, CLOSE_S)
    except AssertionError:
        return []
    return sorted(recordings, key=lambda one: one.manifest.ended_at)[before:]


def faults_of(recordings: Sequence[Recorded], voices: Sequence[Samples]) -> list[str]:
    """Say what is wrong with what one call left."""
    if len(recordings) != 1:
        return [f"{len(recordings)} recordings of a call"]
    (recording,) = recordings
    found = []
    if recording.manifest.result is not Result.OK or recording.manifest.reasons:
        found.append(f"{recording.manifest.result.value} {', '.join(recording.manifest.reasons)}")
    told = recording.disclosures
    if not told or not all(one["complete"] and len(one["heard_by"]) == 2 for one in told):
        found.append("not announced whole to both")
    announced = max((one["end_sample"] for one in told), default=0)  # which is recorded above the voices
    for name, track, voice in zip(("agent", "customer"), recording.audio, voices, strict=True):
        score = likeness(track[announced:], voice)
        if score < ALIKE:
            found.append(f"{name} heard at {score:.2f}")
    return found


def spoken(name: str) -> tuple[Samples, list[bytes]]:
    """Give a voice, and its frames."""
    samples = demo_speech(name)[: VOICE_S * RATE_HZ]
    payload = g711.encode(samples, g711.Law.MU).tobytes()
    return samples, [
        payload[at : at + FRAME_SAMPLES] for at in range(0, len(payload) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    ]


async def run(
    desks: Sequence[Desk], pbx: Kamailio, stages: Sequence[int], seconds: float
) -> tuple[Cost, list[Talk]]:
    """Register everybody, wait, and let them talk stage by stage."""
    sound = Sound()
    near, near_frames = spoken("en-agent")
    away, far_frames = spoken("en-customer")
    places = []
    for index, desk in enumerate(desks):
        known = {"password": PASSWORD, "registrar": pbx.port, "sound": sound}
        phone = Telephone(near_user(index), proxy=desk.bridge_port, **known)
        far = Telephone(far_user(index), proxy=pbx.port, **known)
        await phone.open(near_frames)
        await far.open(far_frames)
        places.append(Place(at=desk, phone=phone, far=far))
    telephones = [one for place in places for one in (place.phone, place.far)]
    for one in telephones:
        await one.register()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sound.run())]
        for index, one in enumerate(telephones):
            first_s = REFRESH_S * (index + 1) / len(telephones)
            tasks.append(group.create_task(one.stay_registered(first_s)))
        for desk in desks:
            if not await asyncio.to_thread(desk.office.wait_ready, AGENT, START_S):
                raise SystemExit(f"a desk is not ready\n{desk.office.log_tail(AGENT, 20)}")
        await asyncio.sleep(SETTLE_S)
        idle = await measure(places, len(places), pbx, max(seconds, IDLE_S))
        talks = [await talk(places, calls, pbx, seconds, sound=sound, heard=(near, away)) for calls in stages]
        for task in tasks:
            task.cancel()
    for one in telephones:
        one.close()
    return idle, talks


@contextmanager
def put_before_others() -> Iterator[None]:
    """Weigh this session more for a while, where that may be done: root may."""
    group = Path("/proc/self/autogroup")
    before = "0"
    with contextlib.suppress(OSError):
        before = group.read_text().split()[-1]
        group.write_text(GROUP_NICE)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            group.write_text(before)


def near_user(index: int) -> str:
    """Give a desk's extension."""
    return str(6000 + index)


def far_user(index: int) -> str:
    """Give whom it calls."""
    return f"138001{index:05}"


def show(name: str, values: Sequence[float], limit: float | None = None) -> bool:
    """Print median and maximum beside a limit; say whether the limit is kept."""
    worst = max(values)
    judged = "" if limit is None else f"{limit:10.3f}{worst / limit:10.2f}"
    print(f"{name:46}{statistics.median(values):10.3f}{worst:10.3f}{judged}")
    return limit is None or worst <= limit


def show_state(name: str, cost: Cost, limit: float) -> bool:
    """Print one state's rows; say whether its limits are kept."""
    kept = show(f"{name}: share of a core", cost.desks, limit)
    show("    of it the agent", cost.agents)
    show("    of it the child", cost.children)
    kept &= show(f"{name}: memory alone, MB", cost.alone_mb, MEMORY_LIMIT_MB)
    show("    PSS beside the others, MB", cost.pss_mb)
    show("    RSS of both processes, MB", cost.rss_mb)
    print(
        f"    cores taken: desks {sum(cost.desks):.2f}, telephones {cost.load:.2f}, Kamailio {cost.pbx:.2f}, "
        f"others {cost.others:.2f}"
    )
    return kept


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--desks", type=int, default=50)
    parser.add_argument(
        "--seconds", type=int, default=20, help="how long calls are watched; idle: 30 at least"
    )
    parser.add_argument("--calls", type=int, nargs="+", help="how many call at a time, stage by stage")
    options = parser.parse_args()
    if options.seconds < LEAST_S:
        parser.error(f"--seconds: at least {LEAST_S}")
    count = options.desks
    stages = sorted({min(calls, count) for calls in options.calls or (1, 10, count)})
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    users = {user: PASSWORD for index in range(count) for user in (near_user(index), far_user(index))}
    with (
        put_before_others(),
        tempfile.TemporaryDirectory() as name,
        Kamailio.start(Path(name) / "pbx", users=users) as pbx,
        running(Path(name), count, pbx) as desks,
    ):
        idle, talks = asyncio.run(run(desks, pbx, stages, options.seconds))
    print(f"{count} desks, {os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    print(f"{'':46}{'median':>10}{'maximum':>10}{'limit':>10}{'ratio':>10}")
    kept = show_state("idle", idle, IDLE_LIMIT)
    for stage in talks:
        kept &= show_state(f"{stage.calls} in a call", stage.cost, CALL_LIMIT)
        kept &= not stage.faults
        print(
            f"    recorded and ok: {stage.calls - len(stage.faults)} of {stage.calls}; packets heard "
            f"{stage.heard}, missed {stage.missed}; sent late by {stage.worst_ms:.0f} ms at most"
        )
        for fault in stage.faults:
            print(f"    {fault}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

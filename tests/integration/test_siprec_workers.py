"""Several processes take the sound of a gateway's calls: what befalls one harms no other's calls."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callseal.cli.demo.office import AGENT, UPLOADER
from callseal.seal.manifest import Result
from support.eventually import eventually
from support.process import children
from support.recording_server import Copies, Copy, RecordingServer, channels_of, recording_server
from support.sip_peer import Message

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

WORKERS = "workers = 2\n"
SECOND = 8000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RecordingServer]:
    with recording_server(tmp_path / "siprec", source=WORKERS + "drain_s = 1.0\n") as running:
        eventually(lambda: counter(running, "media_workers") == 2, "both workers")
        yield running


def agent(server: RecordingServer) -> int:
    return server.office.process(AGENT).pid


def counter(server: RecordingServer, name: str) -> int:
    reading = server.office.status(AGENT)
    return 0 if reading is None else reading.status.counters.get(name, 0)


def alarms(server: RecordingServer) -> set[str]:
    reading = server.office.status(AGENT)
    return set() if reading is None else {alarm.code for alarm in reading.status.alarms}


def worker_of(server: RecordingServer, copy: Copy) -> int:
    """Give the process that holds the port of a call's sound."""
    lines = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    inode = next(line[9] for line in lines if int(line[1].rpartition(":")[2], 16) == copy.ports[0])
    for pid in children(agent(server)):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()) == f"socket:[{inode}]":
                    return pid
    raise AssertionError("no worker holds the port")


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def bye(gateway: Copies, copy: Copy, limit_s: float = 20.0) -> Message:
    """Wait until the server hangs up, and take it."""
    asked = copy.dialog.asked("BYE", limit_s)
    copy.dialog.answer(200, to=asked)
    return asked


def verified(server: RecordingServer) -> None:
    """Have the uploader send it all, and `callseal verify` look at it."""
    office = server.office
    office.start(UPLOADER)
    office.stop(AGENT)
    waiting = office.spool / "ready"
    names = {path.name for path in waiting.iterdir()}

    def is_sent() -> bool:
        there = {path.parent.name for path in office.store_path.rglob("manifest.json")}
        return names <= there and not office.ledger_waits()

    eventually(is_sent, "all of it in the store")
    command = [sys.executable, "-m", "callseal.cli", "verify", "--config", str(office.config_file)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def is_recorded(server: RecordingServer, copies: Sequence[Copy], sounds: Sequence[list[bytes]]) -> None:
    for recorded, sound in zip(server.of(*copies), sounds, strict=True):
        agents, customers = channels_of(recorded.inner)
        assert sound[0] in agents
        assert sound[1] in customers
        assert recorded.manifest.result is Result.OK, recorded.manifest.reasons


def test_calls_are_spread_over_the_workers_and_recorded_byte_for_byte(
    server: RecordingServer, gateway: Copies
) -> None:
    copies = [gateway.copy() for _ in range(6)]
    workers = [worker_of(server, copy) for copy in copies]

    sounds = gateway.talk_in(copies, 3.0)
    for copy in copies:
        copy.bye()

    assert sorted(workers.count(worker) for worker in set(workers)) == [3, 3]
    is_recorded(server, copies, sounds)
    eventually(lambda: counter(server, "recordings_ok") == 6, "the results in the status")
    eventually(lambda: counter(server, "media_packets") == 6 * 2 * 150, "the packets in the status")
    verified(server)


def test_a_worker_that_is_killed_takes_only_its_own_calls_with_it(
    server: RecordingServer, gateway: Copies
) -> None:
    """The gateway hears of it, what was safe is kept at once, and soon there is a worker again."""
    struck, spared = gateway.copy(), gateway.copy()
    killed = worker_of(server, struck)
    first = gateway.talk_in([struck, spared], 4.0)
    killed_at = datetime.now(UTC)

    os.kill(killed, signal.SIGKILL)
    died_s = time.monotonic()

    assert "500" in bye(gateway, struck).header("Reason")
    (cut,) = server.of(struck)
    assert time.monotonic() - died_s < 5.0
    assert (cut.manifest.result, cut.manifest.reasons) == (Result.DEGRADED, ("recovered", "media-died"))
    began_at = datetime.fromisoformat(cut.vcon["dialog"][0]["start"])
    lost_s = (killed_at - began_at).total_seconds() - cut.manifest.duration_samples / SECOND
    # A gateway's sound is written every 0.75 s, what was last read lies a tick behind.
    assert lost_s < 1.5
    agents, _ = channels_of(cut.inner)
    assert first[0][0][: SECOND * 2] in agents
    eventually(lambda: counter(server, "media_workers") == 2, "a worker in its place")
    assert killed not in children(agent(server))
    eventually(lambda: "recovered" in alarms(server), "the alarm")

    fresh = [gateway.copy() for _ in range(2)]
    later = gateway.talk_in([spared, *fresh], 2.0, seed=2)
    for copy in (spared, *fresh):
        copy.bye()

    (kept,) = server.of(spared)
    agents, customers = channels_of(kept.inner)
    assert first[1][0] in agents
    assert first[1][1] in customers
    assert later[0][0] in agents
    is_recorded(server, fresh, later[1:])
    verified(server)


def test_a_worker_that_stands_still_is_ended(server: RecordingServer, gateway: Copies) -> None:
    copy = gateway.copy()
    worker = worker_of(server, copy)
    gateway.talk(copy, 3.0)

    os.kill(worker, signal.SIGSTOP)

    bye(gateway, copy, 25.0)
    (cut,) = server.of(copy)
    assert cut.manifest.reasons == ("recovered", "media-died")
    assert not is_alive(worker)


def test_a_stop_ends_the_calls_of_all_workers_in_order(server: RecordingServer, gateway: Copies) -> None:
    copies = [gateway.copy() for _ in range(2)]
    workers = children(agent(server))
    sounds = gateway.talk_in(copies, 2.0)

    assert server.office.stop(AGENT) == {AGENT: 0}

    assert not any(map(is_alive, workers))
    for copy, sound in zip(copies, sounds, strict=True):
        bye(gateway, copy)
        (ended,) = server.of(copy)
        assert ended.manifest.reasons == ("drain-limit",)
        assert sound[0] in channels_of(ended.inner)[0]
    assert not list((server.office.spool / "open").iterdir())


def test_a_second_signal_does_not_wait_for_calls(tmp_path: Path) -> None:
    settings = WORKERS + "drain_s = 600.0\n"
    with recording_server(tmp_path / "siprec", source=settings) as server, server.gateway() as gateway:
        copy = gateway.copy()
        gateway.talk(copy, 1.5)
        process = server.office.process(AGENT)
        process.terminate()
        eventually(lambda: "siprec-stopping" in reasons(server), "the end announced")

        process.terminate()

        assert process.wait(30) == 0
        (ended,) = server.of(copy)
        assert ended.manifest.reasons == ("drain-limit",)


def reasons(server: RecordingServer) -> tuple[str, ...]:
    reading = server.office.status(AGENT)
    return () if reading is None else reading.status.reasons


def test_workers_do_not_outlive_an_agent_that_is_killed(server: RecordingServer, gateway: Copies) -> None:
    copies = [gateway.copy() for _ in range(2)]
    workers = children(agent(server))
    gateway.talk_in(copies, 3.0)

    server.office.process(AGENT).kill()
    server.office.process(AGENT).wait()
    eventually(lambda: not any(map(is_alive, workers)), "the end of the workers")
    server.office.start(AGENT)
    assert server.office.wait_ready(AGENT, 20), server.office.log_tail(AGENT, 30)

    for cut in server.of(*copies):
        assert cut.manifest.reasons == ("recovered",)
        assert cut.manifest.duration_samples > SECOND
    verified(server)


def test_without_a_worker_gateways_are_sent_elsewhere(server: RecordingServer, gateway: Copies) -> None:
    """And where workers die again and again, a person is called."""
    killed: set[int] = set()
    while len(killed) < 6:
        for worker in set(children(agent(server))) - killed:
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
        time.sleep(0.01)

    refused = gateway.copy()

    assert refused.answer.code == 503
    assert refused.answer.header("Retry-After")
    eventually(lambda: "media-down" in reasons(server), "the status")
    eventually(lambda: "workers-dying" in alarms(server), "the alarm")
    eventually(lambda: not reasons(server), "a worker at last")
    copy = gateway.copy()
    sounds = gateway.talk_in([copy], 1.5)
    copy.bye()
    is_recorded(server, [copy], sounds)

"""A recorder that can't take a call says so, and the gateway finds another; what has begun goes on."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callseal.cli.demo.office import AGENT
from callseal.seal.manifest import Result
from support.programs import refused as not_allowed
from support.recorder_life import (
    alarms,
    answers,
    begin,
    is_there,
    kill,
    of_group,
    options,
    refused,
    settle,
    status,
)
from support.recording_server import channels_of, recording_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SPOOL_MB = 96
RESERVE_MB = 48
DRAIN_S = 3.0


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Put a small disk in memory where the spool will be."""
    folder.mkdir(parents=True, mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SPOOL_MB}m,mode=0700", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        not_allowed("a small file system can't be mounted, which takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_sends_new_calls_elsewhere_and_running_ones_go_on(tmp_path: Path) -> None:
    """Full for new calls is what leaves room for those that run; once there is room again they are taken."""
    with small_disk(tmp_path / "spool"), recording_server(tmp_path, start=False) as server:
        settle(server, ("min_free_mb = 512", f"min_free_mb = {RESERVE_MB}"))
        begin(server)
        with server.gateway() as gateway:
            first = answers(server, 200)
            running = gateway.copy()
            talking = gateway.talking(running, 4.0)
            ballast = server.office.spool / "ballast"
            ballast.write_bytes(bytes((SPOOL_MB - RESERVE_MB) * 2**20))

            full = answers(server, 503)
            late = gateway.copy()
            reasons = status(server).reasons
            sounds = talking.over()
            running.bye()
            ballast.unlink()
            again = answers(server, 200)
            after = gateway.copy()
            heard_after = gateway.talk(after, 1.0, seed=2)
            after.bye()

            recorded, recorded_after = server.of(running, after)

    assert first.header("Retry-After") == again.header("Retry-After") == ""
    assert full.header("Retry-After").isdigit()
    assert refused(late) == (503, True)
    assert "spool-full" in reasons
    assert recorded.manifest.result is Result.OK
    assert sounds[0] in channels_of(recorded.inner)[0]
    assert sounds[1] in channels_of(recorded.inner)[1]
    assert heard_after[0] in channels_of(recorded_after.inner)[0]


def test_a_stop_takes_no_new_calls_and_lets_running_ones_finish(tmp_path: Path) -> None:
    """The agent ends as soon as its last call has, long before the limit."""
    with recording_server(tmp_path, source="drain_s = 60.0") as server, server.gateway() as gateway:
        running = gateway.copy()
        talking = gateway.talking(running, 3.0)
        process = server.office.process(AGENT)

        process.send_signal(signal.SIGTERM)
        stopping = answers(server, 503)
        late = gateway.copy()
        update = running.again(method="UPDATE")
        sounds = talking.over()
        goodbye = running.bye()
        code = process.wait(20)

        (recorded,) = server.of(running)

    assert stopping.header("Retry-After").isdigit()
    assert refused(late) == (503, True)
    assert (update.code, goodbye.code, code) == (200, 200, 0)
    assert (recorded.manifest.result, recorded.manifest.reasons) == (Result.OK, ())
    assert sounds[0] in channels_of(recorded.inner)[0]
    assert sounds[1] in channels_of(recorded.inner)[1]


def test_calls_that_outlast_the_limit_are_hung_up_and_kept_whole(tmp_path: Path) -> None:
    with recording_server(tmp_path, source=f"drain_s = {DRAIN_S}") as server, server.gateway() as gateway:
        copies = [gateway.copy() for _ in range(3)]
        process = server.office.process(AGENT)

        process.send_signal(signal.SIGTERM)
        sounds = gateway.talk_in(copies, DRAIN_S - 1.0)
        byes = [copy.dialog.asked("BYE", DRAIN_S + 10.0) for copy in copies]
        for copy, bye in zip(copies, byes, strict=True):
            copy.dialog.answer(200, to=bye)
        code = process.wait(20)

        recorded = server.of(*copies)

    assert code == 0
    assert all("stops" in bye.header("Reason") for bye in byes)
    for one, (agent, customer) in zip(recorded, sounds, strict=True):
        assert (one.manifest.result, one.manifest.reasons) == (Result.DEGRADED, ("drain-limit",))
        assert one.call["complete"] is True
        assert agent in channels_of(one.inner)[0]
        assert customer in channels_of(one.inner)[1]


def test_a_second_signal_ends_the_calls_at_once(tmp_path: Path) -> None:
    with recording_server(tmp_path, source="drain_s = 600.0") as server, server.gateway() as gateway:
        running = gateway.copy()
        sounds = gateway.talk(running, 1.0)
        process = server.office.process(AGENT)

        process.send_signal(signal.SIGTERM)
        answers(server, 503)
        process.send_signal(signal.SIGTERM)
        bye = running.dialog.asked("BYE", 10.0)
        running.dialog.answer(200, to=bye)
        code = process.wait(20)

        (recorded,) = server.of(running)

    assert code == 0
    assert recorded.manifest.reasons == ("drain-limit",)
    assert sounds[0] in channels_of(recorded.inner)[0]
    assert sounds[1] in channels_of(recorded.inner)[1]


def test_a_goodbye_that_is_lost_is_said_again_before_the_agent_ends(tmp_path: Path) -> None:
    with recording_server(tmp_path, source="drain_s = 0.0") as server, server.gateway() as gateway:
        running = gateway.copy()
        process = server.office.process(AGENT)

        process.send_signal(signal.SIGTERM)
        lost = running.dialog.asked("BYE", 10.0)
        again = running.dialog.asked("BYE", 5.0)
        running.dialog.answer(200, to=again)
        code = process.wait(20)

    assert again.text == lost.text
    assert code == 0


def test_a_call_goes_on_after_a_crash_and_its_recordings_are_linked(tmp_path: Path) -> None:
    """The gateway's next INVITE within the call is new to the process, and the recovered one is its past."""
    with recording_server(tmp_path) as server, server.gateway() as gateway:
        body, headers = of_group("g-81d5c0a7")
        copy = gateway.copy(body, headers)
        before = gateway.talk(copy, 2.0)
        kill(server)
        begin(server)

        changed = copy.again(body, headers)
        copy.ports = [int(line.split(" ")[1]) for line in changed.body.split("\r\n") if line[:2] == "m="]
        after = gateway.talk(copy, 1.5, seed=2)
        goodbye = copy.bye()

        recovered, continued = server.all_of(copy, 2)
        raised = alarms(server)

    assert (changed.code, goodbye.code) == (200, 200)
    assert "recovered" in raised
    assert (recovered.manifest.result, recovered.manifest.reasons) == (Result.DEGRADED, ("recovered",))
    assert before[0][:8000] in channels_of(recovered.inner)[0]
    assert after[0] in channels_of(continued.inner)[0]
    assert after[1] in channels_of(continued.inner)[1]
    assert {"relation": "continues", "id": str(recovered.manifest.id)} in continued.call["links"]
    assert copy.call_id in recovered.call["sip_call_ids"]
    assert copy.call_id in continued.call["sip_call_ids"]


def test_a_call_that_comes_anew_after_a_crash_is_of_the_same_conversation(tmp_path: Path) -> None:
    """Some gateways give the session up and begin another of the same group."""
    with recording_server(tmp_path) as server, server.gateway() as gateway:
        lost = gateway.copy(*of_group("g-5be2f904"))
        gateway.talk(lost, 1.5)
        kill(server)
        begin(server)

        anew = gateway.copy(*of_group("g-5be2f904"))
        sounds = gateway.talk(anew, 1.0, seed=2)
        anew.bye()

        recovered, recorded = server.of(lost, anew)

    assert sounds[0] in channels_of(recorded.inner)[0]
    link = {"relation": "same-conversation", "id": str(recovered.manifest.id)}
    assert recorded.call["links"] == [link]
    assert recorded.call["conversation"] == recovered.call["conversation"] == "g-5be2f904"


def test_what_belongs_to_a_call_before_the_crash_is_refused_until_it_is_begun_again(tmp_path: Path) -> None:
    """481 tells a gateway that the session is gone; an INVITE within it takes it up."""
    with recording_server(tmp_path) as server, server.gateway() as gateway:
        copy = gateway.copy()
        gateway.talk(copy, 1.2)
        kill(server)
        begin(server)

        update = copy.again(method="UPDATE")
        changed = copy.again(*of_group("g-7f3a90cc5d1e"))
        after = copy.again(method="UPDATE")
        goodbye = copy.bye()

    assert (update.code, changed.code, after.code, goodbye.code) == (481, 200, 200, 200)


def test_of_two_recorders_one_dies_and_the_other_has_all(tmp_path: Path) -> None:
    """A gateway that copies to both: the dead one lacks its last second, the other nothing."""
    with (
        recording_server(tmp_path / "one") as one,
        recording_server(tmp_path / "two") as two,
        one.gateway() as to_one,
        two.gateway() as to_two,
    ):
        calls_one, calls_two = [to_one.copy() for _ in range(3)], [to_two.copy() for _ in range(3)]
        whole: list[list[bytes]] = []
        sender = threading.Thread(target=lambda: whole.extend(to_two.talk_in(calls_two, 5.0)))
        sender.start()
        sent = to_one.talk_in(calls_one, 2.5)
        kill(one)

        assert not is_there(one)
        other = options(two)
        sender.join()
        for copy in calls_two:
            copy.bye()
        begin(one)

        of_one, of_two = one.of(*calls_one), two.of(*calls_two)

    assert other.code == 200
    for recorded, sounds in zip(of_two, whole, strict=True):
        assert recorded.manifest.result is Result.OK
        assert all(
            sound in channel for sound, channel in zip(sounds, channels_of(recorded.inner), strict=True)
        )
    for recorded, sounds in zip(of_one, sent, strict=True):
        assert recorded.manifest.reasons == ("recovered",)
        for sound, channel in zip(sounds, channels_of(recorded.inner), strict=True):
            assert sound[:-8000] in channel


def test_a_gateway_that_asks_first_finds_the_recorder_that_lives(tmp_path: Path) -> None:
    with recording_server(tmp_path / "one") as one, recording_server(tmp_path / "two") as two:
        begun = [options(one).code, options(two).code]
        kill(one)

        with two.gateway() as gateway:
            copy = gateway.copy()
            sounds = gateway.talk(copy, 1.0)
            copy.bye()
            (recorded,) = two.of(copy)

    assert begun == [200, 200]
    assert sounds[0] in channels_of(recorded.inner)[0]

"""More than the recorder can take: what is too much is refused, what runs is not harmed."""

import resource
from pathlib import Path

import pytest

from callseal.cli.demo.office import AGENT
from callseal.seal.manifest import Result
from support.recorder_life import alarms, answers, begin, get_ready, refused, settle
from support.recording_server import Copies, Copy, RecordingServer, channels_of, recording_server, session

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MAX_CALLS = 3
SOUND_S = 1.5
FILES = 298
"""What remains of them beside the agent's own is enough for 6 of the 50 calls in the settings."""
FILE_CALLS = 6


def check_whole(server: RecordingServer, copies: list[Copy], sounds: list[list[bytes]]) -> None:
    """Make sure that calls were recorded from their first to their last byte."""
    for recorded, sent in zip(server.of(*copies), sounds, strict=True):
        assert recorded.manifest.result is Result.OK
        assert all(sound in channel for sound, channel in zip(sent, channels_of(recorded.inner), strict=True))


def talked(gateway: Copies, copies: list[Copy]) -> list[list[bytes]]:
    """Talk in all of them, and hang up."""
    sounds = gateway.talk_in(copies, SOUND_S)
    assert [copy.bye().code for copy in copies] == [200] * len(copies)
    return sounds


def test_one_call_too_many_is_sent_elsewhere_until_another_ends(tmp_path: Path) -> None:
    with recording_server(tmp_path, start=False) as server, server.gateway() as gateway:
        settle(server, ("max_calls = 50", f"max_calls = {MAX_CALLS}"))
        begin(server)
        copies = [gateway.copy() for _ in range(MAX_CALLS)]

        more = [gateway.copy() for _ in range(20)]
        full = answers(server, 503)
        update = copies[0].again(method="UPDATE")
        sounds = talked(gateway, copies)
        again = answers(server, 200)
        after = gateway.copy()
        sounds += talked(gateway, [after])
        check_whole(server, [*copies, after], sounds)
        kept = len(server.recordings())

    assert [copy.answer.code for copy in copies] == [200] * MAX_CALLS
    assert {refused(copy) for copy in more} == {(503, True)}
    assert full.header("Retry-After").isdigit()
    assert (update.code, again.code, after.answer.code) == (200, 200, 200)
    assert kept == MAX_CALLS + 1


def test_calls_without_a_port_are_refused_and_those_that_have_one_go_on(tmp_path: Path) -> None:
    """A call of four streams takes the ports of two: the next gets 503, whatever the limit of calls says."""
    with recording_server(tmp_path, start=False) as server, server.gateway() as gateway:
        first = int(server.office.config_file.read_text().partition('rtp_ports = "')[2].partition("-")[0])
        last = first + 4 * MAX_CALLS - 1
        settle(
            server,
            (f"{first}-{first + 399}", f"{first}-{last}"),
            ("max_calls = 50", f"max_calls = {MAX_CALLS}"),
        )
        begin(server)
        usual = gateway.copy()
        wide = gateway.copy(session(labels="1234"), "Content-Type: application/sdp\r\n")

        more = [gateway.copy() for _ in range(5)]
        wider = usual.again(session(labels="123", version=2))
        update = usual.again(method="UPDATE")
        sounds = gateway.talk(usual, SOUND_S)
        goodbyes = [usual.bye().code, wide.bye().code]

        check_whole(server, [usual], [sounds])

    assert (len(wide.ports), {refused(copy) for copy in more}) == (4, {(503, True)})
    assert (wider.code, update.code, goodbyes) == (488, 200, [200, 200])


def test_a_system_that_allows_few_files_gets_fewer_calls_and_an_alarm(tmp_path: Path) -> None:
    """Rather fewer calls from the beginning than recordings that break off."""
    with recording_server(tmp_path, start=False) as server, server.gateway() as gateway:
        server.office.start(AGENT)
        resource.prlimit(server.office.process(AGENT).pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        get_ready(server)
        raised = alarms(server)

        copies = [gateway.copy() for _ in range(FILE_CALLS)]
        more = [gateway.copy() for _ in range(5)]
        sounds = talked(gateway, copies)

        check_whole(server, copies, sounds)

    assert "file-limit" in raised
    assert [copy.answer.code for copy in copies] == [200] * FILE_CALLS
    assert {refused(copy) for copy in more} == {(503, True)}


def test_a_storm_of_calls_costs_those_that_run_nothing(tmp_path: Path) -> None:
    """Hundreds of INVITEs that nobody acknowledges, while a call is talked in."""
    with recording_server(tmp_path, start=False) as server, server.gateway() as gateway:
        settle(server, ("max_calls = 50", f"max_calls = {MAX_CALLS}"))
        begin(server)
        copies = [gateway.copy() for _ in range(MAX_CALLS)]
        with server.gateway() as storm:
            talking = gateway.talking_in(copies, 4.0)
            for _ in range(400):
                dialog = storm.peer.call("srs")
                dialog.number = 1
                storm.peer.send(dialog.compose("INVITE", branch=f"z9hG4bK{dialog.call_id}"))
            sounds = talking.over()
        codes = [copy.bye().code for copy in copies]

        check_whole(server, copies, sounds)

    assert codes == [200] * MAX_CALLS

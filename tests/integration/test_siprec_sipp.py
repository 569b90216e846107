"""Well-behaved programs as gateways: each flow by sipp, and a telephone that calls the recorder itself."""

import re
from pathlib import Path

import pytest

from callseal.cli.demo.office import AGENT
from support.baresip import Baresip
from support.desk import Recorded
from support.eventually import eventually
from support.programs import free_udp_port
from support.recording_server import RecordingServer, channels_of
from support.rtp_sender import codes
from support.sipp_gateway import Load, Transport, run
from support.sound import demo_speech, likeness

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("siprec-media"),
]

SOUND = codes(5, 8000).tobytes()
ONE = Load()
MANY = Load(calls=50, a_second=20)
LOSSY = Load(calls=20, a_second=20, lost_percent=15)


def recorded_by(
    server: RecordingServer,
    folder: Path,
    name: str,
    *,
    transport: Transport = "u1",
    load: Load = ONE,
    expected: int = 1,
) -> list[Recorded]:
    """Run a scenario to its end, and give what it left."""
    before = {path.name for path in (server.office.spool / "ready").iterdir()}
    with run(folder, name, port=server.port, sound=SOUND, transport=transport, load=load) as sipp:
        sipp.finish()
    recorded = server.wait_for(len(before) + expected)
    return [one for one in recorded if one.path.name not in before]


def running(server: RecordingServer) -> int | None:
    """Give how many sessions the status tells of."""
    reading = server.office.status(AGENT)
    return None if reading is None else reading.status.counters.get("siprec_running")


def is_heard(recorded: Recorded) -> bool:
    """Say whether what was sent is on both channels, byte for byte: the one stream has all voices."""
    return all(SOUND in channel for channel in channels_of(recorded.inner))


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_a_call_is_recorded_whatever_it_comes_by(
    server: RecordingServer, tmp_path: Path, transport: Transport
) -> None:
    (recorded,) = recorded_by(server, tmp_path, "basic", transport=transport)

    assert is_heard(recorded)
    assert recorded.manifest.result.value == "ok"
    assert recorded.manifest.reasons == ("one-stream",)
    assert recorded.call["is_mixed"] is True


def test_hold_and_resume_are_marked(server: RecordingServer, tmp_path: Path) -> None:
    (recorded,) = recorded_by(server, tmp_path, "hold")

    assert is_heard(recorded)
    assert [(one["channel"], one["held"]) for one in recorded.streams["holds"]] == [
        (0, True),
        (1, True),
        (0, False),
        (1, False),
    ]


def test_who_takes_over_is_told_in_an_update(server: RecordingServer, tmp_path: Path) -> None:
    (recorded,) = recorded_by(server, tmp_path, "update")

    (change,) = recorded.call["parties_changed"]
    assert is_heard(recorded)
    assert recorded.vcon["parties"][0]["sip"] == "sip:6001@house.example"
    assert recorded.vcon["parties"][change["agent"]]["sip"] == "sip:6002@house.example"


def test_a_transfer_into_another_session_is_linked(server: RecordingServer, tmp_path: Path) -> None:
    earlier, later = recorded_by(server, tmp_path, "transfer", expected=2)

    assert is_heard(earlier)
    assert later.call["links"] == [{"relation": "same-conversation", "id": str(earlier.manifest.id)}]
    assert later.vcon["parties"][0]["sip"] == "sip:6002@house.example"


def test_an_offer_of_the_recorders_own_is_taken(server: RecordingServer, tmp_path: Path) -> None:
    (recorded,) = recorded_by(server, tmp_path, "delayed")

    assert is_heard(recorded)
    assert recorded.vcon["parties"][0]["sip"] == "sip:6001@house.example"


def test_a_call_that_is_taken_back_leaves_a_trace_and_no_session(
    server: RecordingServer, tmp_path: Path
) -> None:
    (recorded,) = recorded_by(server, tmp_path, "cancelled")

    assert "no-media" in recorded.manifest.reasons
    eventually(lambda: running(server) == 0, "no session is left")


def test_fifty_calls_that_begin_twenty_a_second_are_all_recorded(
    server: RecordingServer, tmp_path: Path
) -> None:
    recorded = recorded_by(server, tmp_path, "basic", load=MANY, expected=MANY.calls)

    assert len(recorded) == MANY.calls
    assert all(is_heard(one) for one in recorded)
    assert {one.manifest.reasons for one in recorded} == {("one-stream",)}
    assert len({one.vcon["parties"][1]["tel"] for one in recorded}) == MANY.calls


def test_messages_that_are_lost_and_sent_again_make_no_call_twice(
    server: RecordingServer, tmp_path: Path
) -> None:
    recorded = recorded_by(server, tmp_path, "basic", load=LOSSY, expected=LOSSY.calls)

    sent = re.findall(
        r"^UDP message sent .*\n\n(INVITE|BYE) ", (tmp_path / "basic.msg").read_text(), re.MULTILINE
    )
    assert len(sent) > 2 * LOSSY.calls
    assert len(recorded) == LOSSY.calls
    assert all(is_heard(one) for one in recorded)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_telephone_that_calls_the_recorder_is_recorded(
    server: RecordingServer, tmp_path: Path, *, encrypted: bool
) -> None:
    said = demo_speech("en-agent")
    seconds = len(said) // 8000 + 2
    before = len(server.recordings())

    with Baresip.start(
        tmp_path,
        "6001",
        port=free_udp_port(),
        rtp=free_udp_port(12),
        says=said,
        call=f"sip:srs@127.0.0.1:{server.port}",
        quit_after_s=seconds,
        encrypted=encrypted,
    ) as telephone:
        telephone.finish(seconds + 20)

    recorded = server.wait_for(before + 1)[-1]
    assert [likeness(channel, said) > 0.95 for channel in recorded.audio] == [True, True]
    assert recorded.streams["streams"][0]["encrypted"] is encrypted
    assert recorded.call["is_mixed"] is True

"""A gateway that goes away without a word: its calls end and make room for others."""

from pathlib import Path

import pytest

from support.eventually import eventually
from support.recorder_life import status
from support.recording_server import channels_of, recording_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("siprec-silence"),
]

LIMIT = "media_timeout_s = 3.0\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_call_of_which_nothing_comes_any_more_is_ended_and_kept(tmp_path: Path, workers: int) -> None:
    with (
        recording_server(tmp_path, source=f"{LIMIT}workers = {workers}") as server,
        server.gateway() as gone,
        server.gateway() as there,
    ):
        lost, kept = gone.copy(), there.copy()
        sounds = gone.talk(lost, 1.0)
        talking = there.talking(kept, 8.0, seed=2)

        bye = lost.dialog.asked("BYE", 10.0)
        lost.dialog.answer(200, to=bye)
        (ended,) = server.of(lost)
        eventually(lambda: status(server).counters["siprec_running"] == 1, "one call less")
        talking.over()
        kept.bye()
        (whole,) = server.of(kept)

    assert "media-timeout" in ended.manifest.reasons
    assert ended.manifest.result.value == "degraded"
    assert sounds[0] in channels_of(ended.inner)[0]
    assert "cause=408" in bye.header("Reason")
    assert whole.manifest.reasons == ()


def test_without_a_limit_a_silent_call_goes_on(tmp_path: Path) -> None:
    with recording_server(tmp_path, source="media_timeout_s = 0.0") as server, server.gateway() as gateway:
        copy = gateway.copy()
        gateway.talk(copy, 0.5)

        assert not gateway.peer.pending("BYE", 3.0)
        copy.bye()
        (recorded,) = server.of(copy)

    assert "media-timeout" not in recorded.manifest.reasons

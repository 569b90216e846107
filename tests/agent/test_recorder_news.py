"""What is known of a call is on the disk: at a desk at once, at a gateway soon, and seldom enough."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from callseal.agent.call import Digit, Document, Event, Gap, PartiesChanged, Party
from callseal.agent.recorder import AGAIN_S, LATER_S, SOON_S
from callseal.seal.vcon import open_vcon
from support.recorded_calls import (
    CALL,
    HANGUP,
    QUIET,
    ULAW,
    Desk,
    answered,
    bodies,
    open_bundle,
    recording_desk,
    recovery,
    unsealed,
)
from support.stream_reports import REPORT

GAP = Gap(channel=0, start_samples=0, end_samples=800, expected=False)
DIGIT = Digit(channel=0, position_samples=800, duration_ms=100)
INVITE = Document(at=HANGUP.at, kind="sip-message", content_type="message/sip", body=b"INVITE sip:x SIP/2.0")
TRANSFER = PartiesChanged(position_samples=0, agent=Party(number="8009"), customer=CALL.customer)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Desk]:
    with recording_desk(tmp_path / "spool", banked=True) as found:
        yield found


def _after(desk: Desk, seconds: float) -> None:
    """Let time pass as the service does: a tick four times a second."""
    for _ in range(round(seconds * 4)):
        desk.clock.elapsed_s += 0.25
        desk.recorder.tick()


def _sealed(desk: Desk, recording: UUID) -> bytes:
    path = desk.spool.root / "open" / str(recording) / "call.vcon.age"
    return path.read_bytes() if path.exists() else b""


def test_at_a_gateway_a_call_is_described_soon_after_it_began_with_all_that_came_by_then(
    gateway: Desk,
) -> None:
    recording = gateway.recorder.open(QUIET, ULAW)
    gateway.recorder.event(recording, INVITE)
    gateway.recorder.event(recording, answered())
    at_once = _sealed(gateway, recording)

    _after(gateway, SOON_S)

    found, _ = open_vcon(unsealed(gateway.spool.root / "open" / str(recording) / "call.vcon.age"))
    attachments = found["attachments"]
    assert at_once == b""
    assert isinstance(attachments, list)
    assert len(attachments) == 1
    assert bodies(found, "analysis", "type", "call")[0]["answered_at_sample"] == 0


@pytest.mark.parametrize("event", [INVITE, TRANSFER])
def test_documents_and_transfers_are_on_the_disk_within_seconds(gateway: Desk, event: Event) -> None:
    recording = gateway.recorder.open(QUIET, ULAW)
    _after(gateway, 10)
    before = _sealed(gateway, recording)
    gateway.recorder.event(recording, event)

    _after(gateway, SOON_S)

    assert _sealed(gateway, recording) != before


def test_a_gateway_that_sends_document_after_document_costs_one_sealing_in_seconds(gateway: Desk) -> None:
    recording = gateway.recorder.open(QUIET, ULAW)
    _after(gateway, 10)
    seen = {_sealed(gateway, recording)}

    for _ in range(48):
        gateway.recorder.event(recording, INVITE)
        _after(gateway, 0.25)
        seen.add(_sealed(gateway, recording))

    assert 2 <= len(seen) - 1 <= 12 / AGAIN_S + 1


@pytest.mark.parametrize("banked", [True, False])
def test_gaps_and_keys_wait_for_one_sealing_and_are_not_forgotten(
    tmp_path: Path,
    banked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    with recording_desk(tmp_path / "spool", banked=banked) as desk:
        recording = desk.recorder.open(QUIET, ULAW)
        _after(desk, 10)
        before = _sealed(desk, recording)
        for _ in range(20):
            desk.recorder.event(recording, GAP)
            desk.recorder.event(recording, DIGIT)
            _after(desk, 1)
        meanwhile = _sealed(desk, recording)

        _after(desk, LATER_S - 20)

        found, _ = open_vcon(unsealed(desk.spool.root / "open" / str(recording) / "call.vcon.age"))
    (streams,) = bodies(found, "analysis", "type", "streams")
    assert meanwhile == before
    assert isinstance(streams["gaps"], list)
    assert len(streams["gaps"]) == 20


def test_at_the_end_everything_is_told_at_once(gateway: Desk) -> None:
    recording = gateway.recorder.open(QUIET, ULAW)
    for event in (INVITE, answered(), GAP, TRANSFER, REPORT):
        gateway.recorder.event(recording, event)

    gateway.recorder.close(recording, HANGUP)

    opened = open_bundle(gateway.ready()[0])
    (streams,) = bodies(opened.vcon, "analysis", "type", "streams")
    (call,) = bodies(opened.vcon, "analysis", "type", "call")
    assert len(str(streams["streams"])) > 100
    assert isinstance(call["parties_changed"], list)
    assert opened.manifest.reasons == ("no-media-customer",)


def test_a_call_that_ends_before_it_was_described_leaves_a_trace_in_a_crash(gateway: Desk) -> None:
    recording = gateway.recorder.open(QUIET, ULAW)

    recovery(gateway).run()

    (folder,) = gateway.ready()
    opened = open_bundle(folder)
    assert folder.name == str(recording)
    assert opened.manifest.reasons == ("recovered",)
    assert opened.vcon["uuid"] == str(recording)


def test_at_a_desk_news_are_on_the_disk_at_once(tmp_path: Path) -> None:
    with recording_desk(tmp_path / "spool") as desk:
        recording = desk.recorder.open(QUIET, ULAW)
        before = _sealed(desk, recording)

        desk.recorder.event(recording, TRANSFER)

        assert before not in {b"", _sealed(desk, recording)}

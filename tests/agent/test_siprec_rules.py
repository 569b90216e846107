"""What the settings' rules forbid is not recorded, also where the gateway does not say who called whom."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from callseal.agent.call import Document
from callseal.agent.sources.siprec.talk import MAX_EARLY_DOCUMENTS, Talk
from support.recording_server import metadata, multipart, session
from support.siprec_desk import in_a_loop, siprec_desk
from support.siprec_roles import invite

SDP_LINE = "Content-Type: application/sdp\r\n"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRIVATE = "6009"
CISCO = "User-Agent: Cisco-SIPGateway"
"""Whose order of participants tells nothing of who called."""


def rule(direction: str, side: str) -> str:
    """Write a rule that keeps a private line from being recorded."""
    return f'[[rule]]\ndirection = "{direction}"\n{side} = "{PRIVATE}"\nrecord = "never"\n'


@pytest.mark.parametrize("side", ["called", "calling"])
@pytest.mark.parametrize("direction", ["any", "unknown"])
@in_a_loop
async def test_a_private_line_is_not_recorded_though_nobody_knows_who_called(
    tmp_path: Path, direction: str, side: str
) -> None:
    body = multipart(session(), metadata(agent=PRIVATE))
    with siprec_desk(tmp_path, rules=rule(direction, side)) as desk:
        await desk.ask("INVITE", body, headers=CISCO)
        await desk.ask("BYE")

        assert [end.reasons[0] for _, end in desk.engine.traces] == ["rule-never"]


@pytest.mark.parametrize("side", ["called", "calling"])
@in_a_loop
async def test_a_private_line_is_not_recorded_among_colleagues_either(tmp_path: Path, side: str) -> None:
    body = multipart(session(), metadata(agent=PRIVATE, customer="6002"))
    with siprec_desk(tmp_path, rules=rule("internal", side)) as desk:
        await desk.ask("INVITE", body)
        await desk.ask("BYE")

        assert [end.reasons[0] for _, end in desk.engine.traces] == ["rule-never"]


@in_a_loop
async def test_a_call_for_help_leaves_its_trace_and_no_sound(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        await desk.ask("INVITE", multipart(session(), metadata(agent="6001", customer="110")))
        await desk.ask("BYE")

        ((call, end),) = desk.engine.traces
        assert end.reasons[0] == "emergency"
        assert (call.direction, call.customer.number) == ("outbound", "110")


def test_what_is_told_of_a_call_that_is_not_recorded_fills_no_memory() -> None:
    talk = Talk(started_at=NOON, invite=invite())
    documents = [
        Document(at=NOON, kind="sip-message", content_type="message/sip", body=b"%d" % number)
        for number in range(1000)
    ]

    for document in documents:
        talk.keep([document])

    assert talk.documents == [documents[0], *documents[1 - MAX_EARLY_DOCUMENTS :]]


@in_a_loop
async def test_a_gateway_that_is_refused_again_and_again_does_not_fill_the_log(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk, capture_logs() as told:
        answers = [
            await desk.ask("INVITE", (session(formats="96"), SDP_LINE), caller=desk.other(f"call-{number}"))
            for number in range(20)
        ]

    assert answers == [488] * 20
    assert [line["event"] for line in told] == ["siprec.refused"]

"""Calls that go oddly: each leaves its trace, gives back what it had, and is taken for no mistake of ours."""

from pathlib import Path

import pytest

from callseal.agent.call import AGENT, CUSTOMER, NOW, Answered, PartiesChanged
from callseal.agent.errors import PortsExhausted, SourceError
from callseal.agent.sources.siprec import sessions as module
from callseal.seal.errors import SpoolError
from support.recording_server import metadata, multipart, session
from support.sip_caller import SipCaller
from support.siprec_desk import SiprecDesk, in_a_loop, siprec_desk

NEVER = '[[rule]]\ncalling = "9999"\nrecord = "never"\n'
SDP_LINE = "Content-Type: application/sdp\r\n"
METADATA_LINE = "Content-Type: application/rs-metadata+xml\r\n"
ONE = (session(labels=("",)), SDP_LINE)
"""What a telephone offers for one half of a call."""


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "METADATA_WAIT_S", 0.01)


def four(*, gone: tuple[int, ...] = (), version: int = 1) -> str:
    """Write an offer of four streams, some of which are refused."""
    offer = session(labels=("1", "2", "3", "4"), version=version)
    for index in gone:
        offer = offer.replace(f"m=audio {40_000 + 2 * index} ", "m=audio 0 ")
    return offer


@in_a_loop
async def test_a_call_that_turns_out_to_be_never_recorded_has_one_trace_and_frees_its_ports(
    tmp_path: Path,
) -> None:
    with siprec_desk(tmp_path, rules=NEVER) as desk:
        await desk.ask("INVITE", multipart(session(), metadata()))
        told = await desk.ask("UPDATE", (metadata(agent="9999"), METADATA_LINE))
        ended = await desk.ask("BYE")

        assert (told, ended) == (200, 200)
        assert [end.reasons for end in desk.engine.discarded.values()] == [("rule-never",)]
        assert desk.engine.traces == []
        assert desk.engine.bookings == {}


@in_a_loop
async def test_what_must_not_be_recorded_keeps_its_ports_while_the_gateway_sends_there(
    tmp_path: Path,
) -> None:
    with siprec_desk(tmp_path, rules=NEVER) as desk:
        await desk.ask("INVITE", multipart(session(), metadata()))
        await desk.ask("UPDATE", (metadata(agent="9999"), METADATA_LINE))

        held = sum(len(one.ports) for one in desk.engine.bookings.values())
        again = await desk.ask("INVITE", multipart(session(version=2), metadata(agent="9999")))

        assert (held, again) == (2, 200)


@in_a_loop
async def test_a_trace_that_no_disk_takes_costs_no_ports(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        desk.engine.refuses["open"] = desk.engine.refuses["trace"] = SpoolError("the disk is full")
        await desk.ask("INVITE", (session(), SDP_LINE))

        assert desk.engine.asked["trace"] == 1
        assert desk.engine.bookings == {}
        assert desk.sessions.running == 0


@in_a_loop
async def test_a_disk_that_fills_up_between_answer_and_recording_ends_the_call_and_is_its_reason(
    tmp_path: Path,
) -> None:
    with siprec_desk(tmp_path) as desk:
        desk.engine.refuses["open"] = SpoolError("the disk is full")
        await desk.ask("INVITE", (session(), SDP_LINE))
        await desk.settled()

        ((_, end),) = desk.engine.traces
        assert end.reasons == ("write-failed",)
        assert len(desk.hung_up) == 1
        assert desk.engine.bookings == {}


@in_a_loop
async def test_of_more_streams_with_recordings_of_their_own_one_may_leave(tmp_path: Path) -> None:
    with siprec_desk(tmp_path, more_parties="link") as desk:
        await desk.ask("INVITE", multipart(four(), metadata()))
        before = {recording: desk.engine.plan_of(recording) for recording in desk.engine.opened}
        left = await desk.ask("INVITE", multipart(four(gone=(2,), version=2), metadata()))
        owner = {label: recording for recording, plan in before.items() for label in plan}

        assert left == 200
        assert desk.engine.plan_of(owner["4"]) == before[owner["4"]]
        assert desk.engine.plan_of(owner["3"]) == {}


@in_a_loop
async def test_a_main_stream_may_leave_while_others_have_recordings_of_their_own(tmp_path: Path) -> None:
    with siprec_desk(tmp_path, more_parties="link") as desk:
        await desk.ask("INVITE", multipart(four(), metadata()))
        count = len(desk.engine.opened)
        left = await desk.ask("INVITE", multipart(four(gone=(0,), version=2), metadata()))
        back = await desk.ask("INVITE", multipart(four(version=3), metadata()))

        assert (left, back) == (200, 200)
        assert len(desk.engine.opened) == count


@in_a_loop
async def test_a_change_that_the_engine_refuses_leaves_the_call_as_it_was(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        await desk.ask("INVITE", multipart(session(), metadata()))
        desk.engine.refuses["change"] = SourceError("there is no room for another stream")
        refused = await desk.ask("INVITE", multipart(session(labels=("1", "2", "3"), version=2), metadata()))
        del desk.engine.refuses["change"]
        told = await desk.ask("UPDATE", (metadata(customer="+8613900139000"), METADATA_LINE))
        (recording,) = desk.engine.opened

        assert (refused, told) == (488, 200)
        assert desk.engine.plan_of(recording) == {"1": (AGENT,), "2": (CUSTOMER,)}


@in_a_loop
async def test_a_joining_stream_for_which_there_is_no_disk_costs_the_others_nothing(tmp_path: Path) -> None:
    with siprec_desk(tmp_path, more_parties="link") as desk:
        await desk.ask("INVITE", multipart(session(), metadata()))
        desk.engine.refuses["open"] = SpoolError("the disk is full")
        refused = await desk.ask("INVITE", multipart(four(version=2), metadata()))
        del desk.engine.refuses["open"]
        told = await desk.ask("UPDATE", (metadata(customer="+8613900139000"), METADATA_LINE))
        ended = await desk.ask("BYE")

        assert (refused, told, ended) == (488, 200, 200)
        assert len(desk.engine.opened) == len(desk.engine.ended) == 1


@in_a_loop
async def test_what_must_not_be_recorded_is_exempt_however_it_ends(tmp_path: Path) -> None:
    with siprec_desk(tmp_path, rules=NEVER) as desk:
        await desk.ask("INVITE", multipart(session(), metadata(agent="9999")))
        (reservation,) = desk.engine.bookings
        desk.sessions.lose({reservation})
        await desk.settled()

        assert [end.reasons for _, end in desk.engine.traces] == [("rule-never",)]


@in_a_loop
async def test_an_update_that_the_engine_can_not_follow_is_no_mistake_of_ours(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        await desk.ask("INVITE", multipart(session(), metadata()))
        desk.engine.refuses["note"] = SourceError("the media engine does not run")
        told = await desk.ask("UPDATE", (metadata(customer="+8613900139000"), METADATA_LINE))

        assert told == 200


@in_a_loop
async def test_who_asks_for_an_offer_and_gets_no_engine_is_refused_and_forgotten(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        desk.engine.refuses["reserve"] = PortsExhausted("no UDP port is free")
        refused = await desk.ask("INVITE")

        assert refused == 503
        assert desk.sessions.running == 0


@in_a_loop
async def test_a_mistake_of_ours_in_a_new_call_leaves_nothing_of_it(tmp_path: Path) -> None:
    with siprec_desk(tmp_path, bugs=(ZeroDivisionError,)) as desk:
        desk.engine.refuses["open"] = ZeroDivisionError("ours")
        refused = await desk.ask("INVITE", multipart(session(), metadata()))

        assert refused == 500
        assert desk.sessions.running == 0
        assert desk.engine.bookings == {}


@in_a_loop
async def test_the_answer_is_told_of_with_the_time_at_which_it_stands_in_the_recording(
    tmp_path: Path,
) -> None:
    with siprec_desk(tmp_path) as desk:

        async def slowly() -> None:
            desk.pass_time(1.5)

        desk.engine.before_open = slowly
        await desk.ask("INVITE", (session(), SDP_LINE))
        (recording,) = desk.engine.opened
        answered = [event for event in desk.engine.events[recording] if isinstance(event, Answered)]

        assert [(event.at, event.position_samples) for event in answered] == [(desk.now, NOW)]


@in_a_loop
async def test_agent_and_customer_keep_their_channels_when_the_metadata_names_them_the_other_way_round(
    tmp_path: Path,
) -> None:
    with siprec_desk(tmp_path) as desk:
        first, second = "+8613800138000", "+8613900139000"
        await desk.ask("INVITE", multipart(session(), metadata(agent=first, customer=second)))
        (recording,) = desk.engine.opened
        before = desk.engine.plan_of(recording)
        turned = metadata(agent=first, customer=second).replace("p-agent", "p-x")
        turned = turned.replace("p-customer", "p-agent").replace("p-x", "p-customer")
        await desk.ask("UPDATE", (turned, METADATA_LINE))

        assert desk.engine.plan_of(recording) == before
        assert not [one for one in desk.engine.events[recording] if isinstance(one, PartiesChanged)]


@in_a_loop
async def test_a_voice_that_turns_out_to_be_the_other_sides_is_told_of_with_the_place(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        await desk.ask("INVITE", (session(), SDP_LINE))
        (recording,) = desk.engine.opened
        guessed = desk.engine.plan_of(recording)
        await desk.ask("UPDATE", (metadata(), METADATA_LINE))
        (told,) = [one for one in desk.engine.events[recording] if isinstance(one, PartiesChanged)]

        assert guessed == {"1": (CUSTOMER,), "2": (AGENT,)}
        assert desk.engine.plan_of(recording) == {"1": (AGENT,), "2": (CUSTOMER,)}
        assert ("callseal:channels", "1=agent 2=customer") in told.attributes


@in_a_loop
async def test_a_stream_that_stays_alone_stays_on_its_channel(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        await desk.ask("INVITE", (session(), SDP_LINE))
        (recording,) = desk.engine.opened
        before = desk.engine.plan_of(recording)
        gone = session(version=2).replace("m=audio 40002 ", "m=audio 0 ")
        await desk.ask("INVITE", (gone, SDP_LINE))

        assert desk.engine.plan_of(recording)["1"] == before["1"]


@in_a_loop
async def test_m_lines_may_change_places_and_keep_their_channels(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        await desk.ask("INVITE", multipart(session(), metadata()))
        (recording,) = desk.engine.opened
        before = desk.engine.plan_of(recording)
        await desk.ask("INVITE", multipart(session(labels=("2", "1"), version=2), metadata()))

        assert desk.engine.plan_of(recording) == before


@in_a_loop
async def test_an_invite_that_is_taken_back_while_its_recording_opens_gives_all_back(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        caller = desk.caller

        async def cancel() -> None:
            caller.send("CANCEL", cseq=1, branch="z9hG4bK-one", to_tag="")
            desk.hand_over(caller)

        desk.engine.before_open = cancel
        body, line = multipart(session(), metadata())
        caller.send(
            "INVITE",
            branch="z9hG4bK-one",
            body=body.encode(),
            content_type=line.removeprefix("Content-Type: ").strip(),
            headers="Require: siprec",
        )
        desk.hand_over(caller)
        await desk.settled()

        assert desk.sessions.running == 0
        assert desk.engine.bookings == {}
        assert list(desk.engine.ended) == list(desk.engine.opened)


@in_a_loop
async def test_a_delayed_offer_that_is_answered_with_port_0_leaves_a_trace(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        caller = desk.caller
        caller.send("INVITE", headers="Require: siprec")
        desk.hand_over(caller)
        await desk.settled()
        (answer,) = [one for one in caller.heard() if getattr(one, "status", 0) == 200]
        caller.to_tag = answer.headers.to_tag
        none = session(direction="sendonly").replace("m=audio 40000", "m=audio 0").replace("40002", "0")
        await desk.acknowledge(caller, none)
        await desk.ask("BYE")

        assert [end.reasons for _, end in desk.engine.traces] == [("no-media",)]
        assert desk.engine.bookings == {}


@in_a_loop
async def test_a_wall_clock_that_goes_back_ends_no_call_and_loses_none(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        await desk.ask("INVITE", multipart(session(), metadata()))
        desk.pass_time(-3600)
        told = await desk.ask("UPDATE", (metadata(customer="+8613900139000"), METADATA_LINE))
        other = desk.other("call-2")
        began = await desk.ask("INVITE", multipart(session(), metadata()), caller=other)
        await desk.ask("BYE", caller=other)
        await desk.ask("BYE")

        assert (told, began) == (200, 200)
        assert len(desk.engine.ended) == 2
        assert desk.engine.bookings == {}


def half(desk: SiprecDesk, call_id: str, end: str) -> SipCaller:
    """Make one half of what a telephone copies."""
    caller = desk.other(call_id)
    caller.user = f"2000@192.0.2.9;x-{end};x-refci=27298698;x-nearenddevice=SEP28;x-farendaddr=1000"
    return caller


@in_a_loop
async def test_halves_may_end_in_any_order_and_a_late_one_is_a_call_of_its_own(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        near, far = half(desk, "call-near", "nearend"), half(desk, "call-far", "farend")
        began = [await desk.ask("INVITE", ONE, caller=one) for one in (near, far)]
        await desk.ask("BYE", caller=near)
        first = list(desk.engine.ended)
        await desk.ask("BYE", caller=far)
        again = half(desk, "call-late", "farend")
        late = await desk.ask("INVITE", ONE, caller=again)
        await desk.ask("BYE", caller=again)

        assert (began, first, late) == ([200, 200], [], 200)
        assert len(desk.engine.ended) == 2
        assert desk.engine.bookings == {}


@in_a_loop
async def test_a_half_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        near, far = half(desk, "call-near", "nearend"), half(desk, "call-far", "farend")
        for one in (near, far):
            await desk.ask("INVITE", ONE, caller=one)
        await desk.ask("BYE", caller=near)
        (recording,) = desk.engine.opened

        assert [stream.channels for stream in desk.engine.streams[recording]] == [(CUSTOMER,)]


@in_a_loop
async def test_the_second_half_of_a_call_is_taken_where_no_other_call_would_be(tmp_path: Path) -> None:
    with siprec_desk(tmp_path, max_calls=1) as desk:
        near, far = half(desk, "call-near", "nearend"), half(desk, "call-far", "farend")
        halves = [await desk.ask("INVITE", ONE, caller=one) for one in (near, far)]
        other = await desk.ask("INVITE", multipart(session(), metadata()), caller=desk.other("call-3"))

        assert (halves, other) == ([200, 200], 503)


@in_a_loop
async def test_a_second_half_that_is_refused_takes_nothing_from_the_first(tmp_path: Path) -> None:
    with siprec_desk(tmp_path) as desk:
        near, far = half(desk, "call-near", "nearend"), half(desk, "call-far", "farend")
        await desk.ask("INVITE", ONE, caller=near)
        desk.engine.refuses["add_ports"] = PortsExhausted("no UDP port is free")
        refused = await desk.ask("INVITE", ONE, caller=far)
        await desk.ask("BYE", caller=near)

        assert refused == 503
        assert len(desk.engine.ended) == 1
        assert desk.engine.bookings == {}


@in_a_loop
async def test_a_server_that_stops_keeps_what_calls_without_metadata_have_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "METADATA_WAIT_S", 0.3)
    with siprec_desk(tmp_path) as desk:
        await desk.ask("INVITE", (session(), SDP_LINE))
        await desk.sessions.drain(0)

        assert [end.reasons for end in desk.engine.ended.values()] == [("drain-limit",)]
        assert desk.engine.bookings == {}

"""Calls of a registered softphone by way of a telephone system, out and in: sound, announcement, metadata."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from support.desk_hearing import (
    LEAD_S,
    agent_voice,
    announcement,
    announcing,
    customer_voice,
    holds_of,
    is_announced,
    is_heard,
    is_not_heard,
    is_ok,
    later,
    over_and_over,
    parties_of,
    stand_apart,
)
from support.desk_room import AGENT_USER, CUSTOMER, SECOND, THIRD, Room, room, seconds
from support.ear import Ear
from support.line import ONLY_SOAK, SOAK
from support.scripted_party import messages
from support.sound import RATE_HZ

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("desk-1")]

TALK_S = LEAD_S + 2.3
WITH_CUSTOMER = (AGENT_USER, f"+86{CUSTOMER}")
BALLAST = "X-Ballast: " + "0123456789" * 120
"""With it an INVITE no longer fits into the 1,300 bytes up to which RFC 3261 has UDP (section 18.1.1)."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("calls")
    with room(folder, rules=announcing(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Lend a house whose telephone is a scenario, and whose telephone system asks callers for nothing."""
    with room(tmp_path_factory.mktemp("scripted"), phone_registers=False, challenges_calls=False) as running:
        yield running


def test_a_call_out_is_announced_to_both_and_recorded_on_two_channels(house: Room) -> None:
    """The telephone system asks for a password, which the telephone has and the desk has not."""
    before = house.count()
    with (
        Ear(later(customer_voice())) as far,
        house.softphone(later(agent_voice())) as phone,
        house.person("callee", far) as person,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        time.sleep(TALK_S)
        phone.command("hangup")
        person.finish()
        phone.wait("CALL_CLOSED")
        (recording,) = house.left(before)

        is_ok(recording)
        assert recording.manifest.direction.value == "outbound"
        told = is_announced(recording, [phone.heard, far.heard])
        stand_apart(recording, agent_voice(), customer_voice(), start=told)
        is_heard(phone.heard, customer_voice())
        is_heard(far.heard, agent_voice())
        assert parties_of(recording) == [WITH_CUSTOMER]
        assert len(recording.call["sip_call_ids"]) == 2
        assert recording.call["ended_by"] == "agent"
    assert any(line.split(" by ")[1].startswith(AGENT_USER) for line in house.pbx.saw("INVITE"))
    for secret in ("pa55", "nonce", CUSTOMER):
        assert secret not in house.log


def test_a_call_in_rings_the_registered_telephone_and_is_recorded_on_two_channels(house: Room) -> None:
    before = house.count()
    with (
        Ear(later(customer_voice())) as far,
        house.softphone(later(agent_voice())) as phone,
        house.person("caller", far, pause_s=TALK_S) as person,
    ):
        phone.wait("CALL_ESTABLISHED")
        person.finish()
        phone.wait("CALL_CLOSED")
        (recording,) = house.left(before)

        is_ok(recording)
        assert recording.manifest.direction.value == "inbound"
        told = is_announced(recording, [phone.heard, far.heard])
        stand_apart(recording, agent_voice(), customer_voice(), start=told)
        is_heard(phone.heard, customer_voice())
        is_heard(far.heard, agent_voice())
        assert parties_of(recording) == [WITH_CUSTOMER]
        assert recording.call["ended_by"] == "customer"


def test_what_is_said_before_the_answer_is_heard_and_recorded(house: Room) -> None:
    """183 with a description: the network's voice reaches the telephone, and the announcement waits."""
    before = house.count()
    with (
        Ear(customer_voice()) as far,
        house.softphone(np.zeros(0, np.int16)) as phone,
        house.person("callee_early", far, pause_s=2.4) as person,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        time.sleep(1.6)
        phone.command("hangup")
        person.finish()
        phone.wait("CALL_CLOSED")
        (recording,) = house.left(before)

        answered = recording.call["answered_at_sample"]
        assert answered >= 2 * RATE_HZ
        is_heard(recording.audio[1][:answered], customer_voice())
        is_heard(phone.heard, customer_voice())
        is_announced(recording, [phone.heard, far.heard])


def test_a_busy_customer_is_passed_on(house: Room) -> None:
    before = house.count()
    with house.softphone(agent_voice()) as phone, house.person("callee_busy") as person:
        phone.command("dial", house.uri(CUSTOMER))
        assert phone.wait("CALL_CLOSED")["param"] == "486 Busy Here"
        person.finish()
    (recording,) = house.left(before)

    assert recording.manifest.reasons == ("unanswered-busy",)
    assert recording.call["sip_code"] == 486


def test_a_telephone_that_is_sent_elsewhere_calls_there(house: Room) -> None:
    """302 reaches the telephone with its Contact; the call that follows is recorded."""
    before = house.count()
    with (
        Ear(over_and_over(customer_voice())) as far,
        house.softphone(over_and_over(agent_voice())) as phone,
        house.person("callee_moved", target=house.uri(SECOND)) as moved,
        house.person("callee", far, number=SECOND) as person,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        time.sleep(2.6)
        phone.command("hangup")
        moved.finish()
        person.finish()
        turned_away, recording = house.left(before, 2)

    assert turned_away.manifest.result.value == "exempt"
    assert turned_away.call["sip_code"] == 302
    is_ok(recording)
    assert parties_of(recording) == [(AGENT_USER, f"+86{SECOND}")]
    stand_apart(recording, agent_voice(), customer_voice())


def test_a_call_out_that_is_given_up_stops_ringing(house: Room) -> None:
    before = house.count()
    with house.softphone(agent_voice()) as phone, house.person("callee_rings") as person:
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_RINGING")
        phone.command("hangup")
        person.finish()
    (recording,) = house.left(before)

    assert recording.manifest.reasons == ("unanswered-cancelled",)


def test_a_call_in_that_is_given_up_stops_ringing(house: Room) -> None:
    before = house.count()
    with house.softphone(agent_voice(), answers=False) as phone, house.person("caller_gives_up") as person:
        phone.wait("CALL_INCOMING")
        person.finish()
        phone.wait("CALL_CLOSED")
    (recording,) = house.left(before)

    assert recording.manifest.reasons == ("unanswered-cancelled",)


def test_a_customer_may_hang_up(house: Room) -> None:
    before = house.count()
    with (
        Ear(customer_voice()) as far,
        house.softphone(agent_voice()) as phone,
        house.person("callee_leaves", far, number=SECOND, pause_s=2.6) as person,
    ):
        phone.command("dial", house.uri(SECOND))
        phone.wait("CALL_CLOSED", 15)
        person.finish()
    (recording,) = house.left(before)

    assert recording.call["ended_by"] == "customer"
    stand_apart(recording, agent_voice(), customer_voice())


@pytest.mark.parametrize("inbound", [False, True])
def test_an_invite_longer_than_a_packet_of_ethernet_goes_by_udp_all_the_same(
    scripted: Room, *, inbound: bool
) -> None:
    """What the desk does not know is carried to the other side, whole."""
    before = scripted.count()
    with Ear(agent_voice()) as near, Ear(customer_voice()) as far:
        if inbound:
            called = scripted.script_phone("callee", near)
            calling = scripted.person("caller", far, pause_s=2.6, header=BALLAST)
        else:
            called = scripted.person("callee", far)
            calling = scripted.script_phone("caller", near, pause_s=2.6, header=BALLAST)
        with called as callee, calling as caller:
            caller.finish()
            callee.finish()
            arrived = next(text for text in messages(callee) if "INVITE sip:" in text)
    (recording,) = scripted.left(before)

    assert BALLAST in arrived
    assert "X-Callseal" not in arrived
    assert "Via: SIP/2.0/TCP" not in arrived
    is_ok(recording)
    stand_apart(recording, agent_voice(), customer_voice())


@pytest.mark.parametrize(
    "header", ["Supported: 100rel, timer, path, replaces", "P-Asserted-Identity: <sip:boss@pbx.example>"]
)
def test_what_a_caller_offers_besides_does_no_harm(scripted: Room, header: str) -> None:
    before = scripted.count()
    with (
        scripted.script_phone("callee") as phone,
        scripted.person("caller", pause_s=0.5, header=header) as person,
    ):
        person.finish()
        phone.finish()

    is_ok(scripted.left(before)[0])


@pytest.mark.parametrize("inbound", [pytest.param(False, marks=ONLY_SOAK), True])
def test_a_network_that_loses_messages_costs_no_call(scripted: Room, *, inbound: bool) -> None:
    """An eighth of the messages is lost on either side: each is repeated, and counts once."""
    before = scripted.count()
    with Ear(over_and_over(agent_voice())) as near, Ear(over_and_over(customer_voice())) as far:
        if inbound:
            called = scripted.script_phone("callee", near, lost_percent=12)
            calling = scripted.person("caller", far, pause_s=3, lost_percent=12)
        else:
            called = scripted.person("callee", far, lost_percent=12)
            calling = scripted.script_phone("caller", near, pause_s=3, lost_percent=12)
        with called as callee, calling as caller:
            caller.finish()
            callee.finish()
    (recording,) = scripted.left(before, limit_s=40)

    is_ok(recording)
    stand_apart(recording, agent_voice(), customer_voice())


@pytest.mark.parametrize("refreshed_by", [pytest.param("caller", marks=ONLY_SOAK), "callee"])
def test_a_call_with_a_session_timer_is_refreshed_and_goes_on(scripted: Room, refreshed_by: str) -> None:
    """RFC 4028: re-INVITE and UPDATE that change nothing are answered; the sound goes on."""
    before = scripted.count()
    with Ear(over_and_over(agent_voice())) as near, Ear(over_and_over(customer_voice())) as far:
        if refreshed_by == "callee":
            called = scripted.person("callee_refreshes", far, number=THIRD)
            calling = scripted.script_phone("caller", near, calls=THIRD, pause_s=3)
        else:
            called = scripted.person("callee", far, number=THIRD)
            calling = scripted.script_phone("caller_refreshes", near, calls=THIRD, pause_s=1)
        with called as callee, calling as caller:
            caller.finish()
            callee.finish()
    (recording,) = scripted.left(before)

    is_ok(recording)
    stand_apart(recording, agent_voice(), customer_voice())
    assert holds_of(recording) == []


@pytest.mark.soak
@pytest.mark.skipif(not SOAK, reason="takes a minute")
@pytest.mark.timeout(200)
def test_the_desk_refreshes_a_session_that_is_its_to_refresh(scripted: Room) -> None:
    """Half of 90 s after the answer at the latest; then the call goes on."""
    before = scripted.count()
    with (
        scripted.person("callee_expects_refresh") as person,
        scripted.script_phone("caller", pause_s=55) as phone,
    ):
        phone.finish(100)
        person.finish()
    (recording,) = scripted.left(before)

    assert recording.call["ended_by"] == "agent"
    assert seconds(recording) >= 54


def test_nobody_is_told_twice(house: Room) -> None:
    """A call that is given up while the announcement plays has heard a part of it, and says so."""
    before = house.count()
    with house.softphone(agent_voice()) as phone, Ear() as far, house.person("callee", far) as person:
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        time.sleep(0.8)
        phone.command("hangup")
        person.finish()
    (recording,) = house.left(before)

    (told,) = recording.disclosures
    assert recording.manifest.reasons == ("disclosure-incomplete",)
    assert not told["complete"]
    assert told["end_sample"] - told["start_sample"] < announcement().size
    is_not_heard(recording.audio[1], agent_voice())

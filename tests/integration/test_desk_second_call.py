"""A second call while the first is held, and what becomes of a third."""

import time
from pathlib import Path

import pytest

from support.desk_hearing import (
    agent_voice,
    customer_voice,
    holds_of,
    is_heard,
    is_not_heard,
    is_ok,
    over_and_over,
    parties_of,
    third_voice,
)
from support.desk_room import AGENT_USER, CUSTOMER, SECOND, THIRD, Room, room
from support.ear import Ear
from support.sip_peer import Peer
from support.sound import RATE_HZ

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("desk-2")]


def test_a_second_call_while_the_first_is_held_is_recorded_apart(tmp_path: Path) -> None:
    """A third caller hears that the line is busy, so that the telephone system may ring elsewhere."""
    with (
        room(tmp_path) as house,
        Ear(over_and_over(customer_voice())) as one,
        Ear(over_and_over(third_voice())) as two,
    ):
        with (
            house.softphone(over_and_over(agent_voice())) as phone,
            house.person("callee", one) as first,
            house.person("callee", two, number=SECOND) as second,
        ):
            phone.command("dial", house.uri(CUSTOMER))
            phone.wait("CALL_ESTABLISHED")
            time.sleep(2.5)
            phone.command("hold")
            time.sleep(0.5)
            seen = len(phone.events)
            phone.command("dial", house.uri(SECOND))
            phone.wait("CALL_ESTABLISHED", after=seen)
            time.sleep(0.5)
            answer = turned_away(house)
            time.sleep(2.4)
            phone.command("hangup")
            phone.wait("CALL_CLOSED", after=seen)
            second.finish()
            phone.command("resume")
            time.sleep(2.8)
            phone.command("hangup")
            first.finish()
        recordings = {parties_of(recording)[0]: recording for recording in house.left(0, 3)}

    assert answer == 486
    held = recordings[(AGENT_USER, f"+86{CUSTOMER}")]
    other = recordings[(AGENT_USER, f"+86{SECOND}")]
    refused = recordings[(AGENT_USER, f"+86{THIRD}")]
    assert [held.manifest.result.value, other.manifest.result.value] == ["ok", "ok"]
    is_heard(held.audio[1], customer_voice())
    is_heard(held.audio[0], agent_voice())
    is_heard(other.audio[1], third_voice())
    is_heard(other.audio[0], agent_voice())
    is_not_heard(other.audio[1], customer_voice())
    is_not_heard(held.audio[1], third_voice())
    (_, was_held, from_s), (_, is_held, until_s) = holds_of(held)
    assert was_held
    assert not is_held
    assert until_s - from_s >= 3
    after = round((until_s + 0.25) * RATE_HZ)
    is_heard(over_and_over(customer_voice(), 4), held.audio[1][after : after + 2 * RATE_HZ])
    is_heard(over_and_over(agent_voice(), 4), held.audio[0][after : after + 2 * RATE_HZ])
    assert refused.manifest.result.value == "exempt"
    assert refused.manifest.reasons == ("over-capacity",)


def turned_away(house: Room) -> int:
    """Let somebody call who finds no line free; give the code that they are told."""
    with Peer(house.outside[THIRD], house.pbx.port) as caller:
        dialog = caller.call(AGENT_USER, user=THIRD)
        dialog.ask("INVITE", "v=0\r\n")
        refusal = dialog.final("INVITE")
        dialog.acknowledge(refusal)
    return refusal.code


def test_beyond_capacity_a_call_may_pass_unrecorded(tmp_path: Path) -> None:
    """With when_down = "pass" a call that finds no line is connected past the desk, and leaves a trace."""
    settings = 'max_calls = 1\nwhen_down = "pass"\n'
    with (
        room(tmp_path, settings=settings) as house,
        Ear(over_and_over(customer_voice())) as one,
        Ear(over_and_over(third_voice())) as two,
    ):
        with (
            house.softphone(over_and_over(agent_voice())) as phone,
            house.person("callee", one) as first,
            house.person("callee", two, number=SECOND) as second,
        ):
            phone.command("dial", house.uri(CUSTOMER))
            phone.wait("CALL_ESTABLISHED")
            phone.command("hold")
            time.sleep(0.5)
            seen = len(phone.events)
            phone.command("dial", house.uri(SECOND))
            phone.wait("CALL_ESTABLISHED", after=seen)
            time.sleep(2.5)
            phone.command("hangup")
            phone.wait("CALL_CLOSED", after=seen)
            second.finish()
            phone.command("resume")
            time.sleep(0.5)
            phone.command("hangup")
            first.finish()
        is_heard(two.heard, agent_voice())
        recordings = {parties_of(recording)[0][1]: recording for recording in house.left(0, 2)}

    passed = recordings[f"+86{SECOND}"]
    assert passed.manifest.result.value == "exempt"
    assert passed.manifest.reasons == ("over-capacity",)
    assert passed.inner == b""
    assert passed.call["answered_at"] is not None
    is_ok(recordings[f"+86{CUSTOMER}"])

"""Holding and taking back, from either side and from both: time goes on, and so does the sound."""

import time
from collections.abc import Iterator

import pytest

from support.desk import Recorded
from support.desk_hearing import (
    agent_voice,
    customer_voice,
    holds_of,
    is_heard,
    is_not_heard,
    is_ok,
    over_and_over,
)
from support.desk_room import CUSTOMER, Room, room, seconds
from support.ear import Ear
from support.line import ONLY_SOAK
from support.sound import RATE_HZ, Samples

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("desk-1")]

AGENT_HOLDS, CUSTOMER_HOLDS = 0, 1
BEFORE_S, HELD_S, AFTER_S = 1.0, 1.0, 2.7
NOWHERE = "0.0.0.0"  # noqa: S104 - an address for sound that nobody wants
SLACK_S = 0.4
TONE_S = 0.25
"""From the end of a hold until both talk again, with the first packets' way through two jitter buffers."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(tmp_path_factory.mktemp("holds"), challenges_calls=False) as running:
        yield running


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(tmp_path_factory.mktemp("scripted"), phone_registers=False, challenges_calls=False) as running:
        yield running


def held_once(recording: Recorded, channel: int) -> tuple[float, float]:
    """Check that one side held once; give from when to when, in seconds of the recording."""
    (first, was_held, from_s), (second, is_held, until_s) = holds_of(recording)
    assert (first, was_held) == (second, not is_held) == (channel, True)
    assert abs(until_s - from_s - HELD_S) <= SLACK_S
    return from_s, until_s


def talked_again(recording: Recorded, until_s: float, near: Samples, far: Samples) -> None:
    """Check that both are heard and recorded after a hold, the recording's last seconds."""
    after = round((until_s + TONE_S) * RATE_HZ)
    window = round((AFTER_S - SLACK_S - TONE_S) * RATE_HZ)
    for track, said in (
        (recording.audio[0][after:], agent_voice()),
        (recording.audio[1][after:], customer_voice()),
        (near[-window:], customer_voice()),
        (far[-window:], agent_voice()),
    ):
        # Two seconds of what goes on and on, so that they are in the track wherever it begins.
        is_heard(over_and_over(said, 4), track[: 2 * RATE_HZ])


def test_the_softphone_holds_and_takes_back(house: Room) -> None:
    before = house.count()
    with (
        Ear(over_and_over(customer_voice())) as far,
        house.softphone(over_and_over(agent_voice())) as phone,
        house.person("callee", far) as person,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        began_s = time.monotonic()
        time.sleep(BEFORE_S)
        phone.command("hold")
        time.sleep(HELD_S)
        phone.command("resume")
        time.sleep(AFTER_S)
        phone.command("hangup")
        lasted_s = time.monotonic() - began_s
        person.finish()
        phone.wait("CALL_CLOSED")
        (recording,) = house.left(before)

        is_ok(recording)
        answered_s = recording.call["answered_at_sample"] / RATE_HZ
        assert abs(seconds(recording) - answered_s - lasted_s) <= SLACK_S
        from_s, until_s = held_once(recording, AGENT_HOLDS)
        assert abs(from_s - answered_s - BEFORE_S) <= SLACK_S
        talked_again(recording, until_s, phone.heard, far.heard)


@pytest.mark.parametrize(
    ("direction", "address"),
    [
        ("sendonly", NOWHERE),
        pytest.param("sendonly", "127.0.0.1", marks=ONLY_SOAK),
        pytest.param("inactive", "127.0.0.1", marks=ONLY_SOAK),
    ],
)
def test_the_customer_side_holds_and_takes_back(house: Room, direction: str, address: str) -> None:
    """By direction, or by the address 0.0.0.0 as older telephone systems do (RFC 3264 section 8.4)."""
    before = house.count()
    with (
        Ear(over_and_over(customer_voice())) as far,
        house.softphone(over_and_over(agent_voice())) as phone,
        house.person("callee_holds", far, pause_s=HELD_S, hold=direction, hold_ip=address) as person,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        time.sleep(2 * HELD_S + AFTER_S)
        phone.command("hangup")
        person.finish()
        phone.wait("CALL_CLOSED")
        (recording,) = house.left(before)

        is_ok(recording)
        _from_s, until_s = held_once(recording, CUSTOMER_HOLDS)
        talked_again(recording, until_s, phone.heard, far.heard)


@pytest.mark.parametrize(
    ("direction", "address"), [("inactive", NOWHERE), pytest.param("inactive", "127.0.0.1", marks=ONLY_SOAK)]
)
def test_a_telephone_holds_as_older_ones_do(scripted: Room, direction: str, address: str) -> None:
    before = scripted.count()
    with (
        Ear(over_and_over(agent_voice())) as near,
        Ear(over_and_over(customer_voice())) as far,
        scripted.person("callee", far) as person,
        scripted.script_phone("caller_holds", near, pause_s=2.5, hold=direction, hold_ip=address) as phone,
    ):
        phone.finish()
        person.finish()
        (recording,) = scripted.left(before)

        is_ok(recording)
        (_, was_held, from_s), (_, is_held, until_s) = holds_of(recording)
        assert was_held
        assert not is_held
        assert abs(until_s - from_s - 2.5) <= SLACK_S
        held = slice(round((from_s + TONE_S) * RATE_HZ), round((until_s - TONE_S) * RATE_HZ))
        is_not_heard(recording.audio[0][held], customer_voice())
        assert seconds(recording) >= 7
        after = round((until_s + TONE_S) * RATE_HZ)
        is_heard(over_and_over(agent_voice(), 4), recording.audio[0][after : after + 2 * RATE_HZ])
        is_heard(over_and_over(customer_voice(), 4), recording.audio[1][after : after + 2 * RATE_HZ])


def test_both_hold_and_only_the_second_to_take_back_brings_the_sound(house: Room) -> None:
    before = house.count()
    with (
        Ear(over_and_over(customer_voice())) as far,
        house.softphone(over_and_over(agent_voice())) as phone,
        house.person("callee_holds_too", far, pause_s=1.5) as person,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        time.sleep(2.0)  # half a second into the customer side's hold
        phone.command("hold")
        time.sleep(2.5)  # a second after that one took back
        phone.command("resume")
        time.sleep(AFTER_S)
        phone.command("hangup")
        person.finish()
        phone.wait("CALL_CLOSED")
        (recording,) = house.left(before)

        holds = holds_of(recording)
        assert [(channel, held) for channel, held, _ in holds] == [
            (CUSTOMER_HOLDS, True),
            (AGENT_HOLDS, True),
            (CUSTOMER_HOLDS, False),
            (AGENT_HOLDS, False),
        ]
        talked_again(recording, holds[-1][2], phone.heard, far.heard)

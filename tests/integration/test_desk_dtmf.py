"""Keys that are pressed in a call: passed on, noted, and never told."""

import json
import time
from collections.abc import Iterator

import pytest

from support.desk import Recorded
from support.desk_hearing import agent_voice, customer_voice, is_ok, keys_of, over_and_over
from support.desk_room import AGENT_USER, COLLEAGUE, Room, room
from support.process import files_below
from support.softphone import Softphone
from support.sound import RATE_HZ

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("desk-1")]

KEYS = "159#"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(tmp_path_factory.mktemp("keys")) as running:
        yield running


def pressed(listener: Softphone) -> str:
    """Give the keys that a softphone was told of."""
    return "".join(event["param"] for event in listener.events if event["type"] == "CALL_DTMF_START")


def wait_for_keys(listener: Softphone, limit_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while len(pressed(listener)) < len(KEYS) and time.monotonic() < deadline_s:
        time.sleep(0.05)


def marks(recording: Recorded) -> list[tuple[int, float]]:
    """Give channel and moment of each key."""
    return [(digit["channel"], digit["sample"] / RATE_HZ) for digit in keys_of(recording)]


@pytest.mark.parametrize("by_customer", [False, True])
def test_keys_arrive_on_the_other_side_and_leave_a_mark_without_their_digit(
    house: Room, *, by_customer: bool
) -> None:
    """RFC 4733, both ways: as many marks as keys, on the channel of who pressed them, in order."""
    before = house.count()
    with (
        house.softphone(over_and_over(customer_voice()), user=COLLEAGUE, through_desk=False) as far,
        house.softphone(over_and_over(agent_voice())) as near,
    ):
        near.command("dial", house.uri(COLLEAGUE))
        near.wait("CALL_ESTABLISHED")
        time.sleep(1.0)
        presser, listener = (far, near) if by_customer else (near, far)
        for key in KEYS:
            presser.command("sndcode", key)
            time.sleep(0.35)
        wait_for_keys(listener)
        near.command("hangup")
        far.wait("CALL_CLOSED")
        (recording,) = house.left(before)

        assert pressed(listener) == KEYS
    found = marks(recording)
    assert [channel for channel, _ in found] == [1 if by_customer else 0] * len(KEYS)
    assert found == sorted(found, key=lambda mark: mark[1])
    assert all(set(digit) == {"channel", "sample", "duration_ms"} for digit in keys_of(recording))
    assert all(0 <= digit["duration_ms"] <= 1_000 for digit in keys_of(recording))
    is_ok(recording)


def test_no_key_stands_in_a_log_or_a_file(house: Room) -> None:
    """Somebody may be dialling a card number: it is nowhere, not even as a list of single keys."""
    before = house.count()
    dialled = "8675309"
    with (
        house.softphone(over_and_over(customer_voice()), user=COLLEAGUE, through_desk=False) as far,
        house.softphone(over_and_over(agent_voice())) as near,
    ):
        near.command("dial", house.uri(COLLEAGUE))
        near.wait("CALL_ESTABLISHED")
        time.sleep(0.5)
        for key in dialled:
            near.command("sndcode", key)
            time.sleep(0.3)
        near.command("hangup")
        far.wait("CALL_CLOSED")
        (recording,) = house.left(before)

    assert len(marks(recording)) == len(dialled)
    digits = json.dumps(keys_of(recording))
    assert dialled not in digits
    lines = [line for line in house.log.splitlines() if AGENT_USER not in line]
    for key in dialled:
        assert not any(f'"{key}"' in line or f"digit={key}" in line for line in lines)
    for path, content in files_below(house.at.office.root).items():
        assert dialled.encode() not in content, path

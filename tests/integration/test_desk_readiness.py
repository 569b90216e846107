"""Whether a desk would take and record a call, and why not: each reason as a code that has words."""

import os
import signal
import time
from pathlib import Path

import pytest

from callseal.cli.demo.office import AGENT
from callseal.seal.reasons import REASONS
from support.desk_hearing import agent_voice
from support.desk_room import Room, room
from support.kamailio import Transport
from support.line import ONLY_SOAK

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("desk-3")]

BACK_S = 2.0
"""How soon a bridge whose child died takes calls again."""


def why_not(house: Room) -> tuple[str, ...]:
    return tuple(house.status().status.reasons)


def test_a_desk_is_ready_while_its_telephone_is_registered(tmp_path: Path) -> None:
    """Not before, and not after it signs off."""
    with room(tmp_path) as house:
        house.wait_reason("phone-not-registered")
        with house.softphone(agent_voice()):
            house.wait_ready()
            assert why_not(house) == ()
        house.wait_reason("phone-not-registered")

        assert all(code in REASONS for code in why_not(house))


def test_a_registration_that_is_not_renewed_runs_out(tmp_path: Path) -> None:
    """The telephone is gone without a word; the registrar's time decides, not the telephone's wish."""
    with room(tmp_path, expires_s=4) as house:
        with house.softphone(agent_voice()) as phone:
            house.wait_ready()
            phone.process.kill()
            phone.process.wait()
        house.wait_reason("phone-not-registered", 12)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("transport", ["tcp", pytest.param("udp", marks=ONLY_SOAK)])
def test_a_desk_whose_telephone_system_is_silent_says_so(tmp_path: Path, transport: Transport) -> None:
    """By TCP it is known at once; by UDP the desk asks once a minute, and half a minute for an answer."""
    with room(tmp_path, transport=transport) as house, house.softphone(agent_voice()):
        house.wait_ready()
        house.pbx.stop()
        house.wait_reason("pbx-unreachable", 120)
        house.pbx.start_again()
        house.wait_reason("pbx-unreachable", 120, gone=True)


def test_a_child_that_dies_is_back_within_two_seconds(tmp_path: Path) -> None:
    with room(tmp_path, phone_registers=False) as house:
        dead = house.child
        os.kill(dead, signal.SIGKILL)
        died_s = time.monotonic()
        while not (new := house.children()) or new == [dead]:
            assert time.monotonic() - died_s < BACK_S
            time.sleep(0.02)
        house.wait_ready(BACK_S)

        assert house.child != dead
        assert house.at.office.process(AGENT).poll() is None


def test_five_deaths_in_a_minute_are_told_and_stay_told(tmp_path: Path) -> None:
    with room(tmp_path, phone_registers=False) as house:
        for _death in range(5):
            deadline_s = time.monotonic() + 10
            while not (living := house.children()):
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
            os.kill(living[0], signal.SIGKILL)
            while house.children() == living:
                time.sleep(0.02)
        house.wait_reason("bridge-failing")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ((("min_free_mb = 512", "min_free_mb = 1000000"),), "spool-full"),
    ],
    ids=["spool"],
)
def test_a_desk_that_could_not_record_says_why(
    tmp_path: Path, edit: tuple[tuple[str, str], ...], told: str
) -> None:
    with room(tmp_path, edit=edit) as house, house.softphone(agent_voice()):
        house.wait_reason(told)

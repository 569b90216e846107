"""The bridge's child dies, or hangs, at any moment of a call: nobody else hangs, and no sound is lost."""

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from support.desk_deaths import BACK_S, END_S, HANG_S, Signal, die, level, speaks, try_next_call
from support.desk_hearing import agent_voice, customer_voice, is_ok, over_and_over
from support.desk_phases import PHASES, Phase
from support.desk_room import CUSTOMER, room
from support.desk_scene import scene
from support.ear import Ear
from support.line import SOAK
from support.process import descriptors
from support.sound import RATE_HZ

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

AT_A_TIME = 4
"""Of one agent: at the fifth death within a minute it waits before it starts another child."""
DEATHS = 100
HANGS = ("talking", "ringing", "an INVITE has just come")


def rounds() -> list[tuple[Phase, Signal]]:
    """Give each phase once, and a few that hang; or all of them, again and again."""
    if not SOAK:
        hanging = [phase for phase in PHASES if phase.name in HANGS]
        return [*((phase, "SIGKILL") for phase in PHASES), *((phase, "SIGSTOP") for phase in hanging)]
    all_of_them: list[tuple[Phase, Signal]] = []
    while len(all_of_them) < DEATHS:
        for how in ("SIGKILL", "SIGSTOP"):
            all_of_them += [(phase, how) for phase in PHASES]
    random.Random(4733).shuffle(all_of_them)  # noqa: S311 - an order, and repeatable
    return all_of_them[:DEATHS]


def in_parts(some: Sequence[tuple[Phase, Signal]]) -> list[Sequence[tuple[Phase, Signal]]]:
    return [some[at : at + AT_A_TIME] for at in range(0, len(some), AT_A_TIME)]


@pytest.mark.soak
@pytest.mark.parametrize(
    "part", in_parts(rounds()), ids=lambda part: "; ".join(f"{p.name} ({s})" for p, s in part)
)
def test_nobody_hangs_and_nothing_is_lost_when_the_child_dies(
    tmp_path: Path, part: Sequence[tuple[Phase, Signal]]
) -> None:
    """Both parties are told, the recording is kept, another child is there in 2 s, the next call is right."""
    with scene(tmp_path) as at:
        try_next_call(at)
        held = descriptors(at.agent)
        backs_s = [die(at, phase, how) for phase, how in part]
        level(at, held)

    assert min(backs_s) <= BACK_S, backs_s


@pytest.mark.xdist_group("desk")
@pytest.mark.parametrize(
    ("transport", "how", "limit_s"),
    [("udp", signal.SIGKILL, END_S), ("tcp", signal.SIGSTOP, HANG_S + END_S)],
    ids=["killed", "hanging"],
)
def test_a_softphone_and_its_telephone_system_are_told_and_go_on(
    tmp_path: Path, transport: Literal["udp", "tcp"], how: signal.Signals, limit_s: float
) -> None:
    """Real ones: both end the call, stay registered, and the next one is right."""
    with (
        room(tmp_path, transport=transport) as house,
        Ear(over_and_over(customer_voice())) as ear,
        Ear(over_and_over(customer_voice())) as next_ear,
        house.softphone(over_and_over(agent_voice()), transport=transport) as phone,
    ):
        with house.person("callee", ear) as customer:
            phone.command("dial", house.uri(CUSTOMER))
            phone.wait("CALL_ESTABLISHED")
            time.sleep(2.0)
            os.kill(house.child, how)
            phone.wait("CALL_CLOSED", limit_s)
            customer.finish()
        (cut,) = house.left(0)
        house.wait_ready()
        seen = len(phone.events)
        with house.person("callee", next_ear) as customer:
            phone.command("dial", house.uri(CUSTOMER))
            phone.wait("CALL_ESTABLISHED", after=seen)
            time.sleep(3.5)
            phone.command("hangup")
            customer.finish()
        (whole,) = house.left(1)

    assert (cut.manifest.result.value, cut.manifest.reasons) == ("degraded", ("bridge-died",))
    assert (cut.manifest.duration_samples or 0) >= RATE_HZ
    is_ok(whole)
    for channel, track in enumerate(whole.audio):
        speaks(channel, track[-2 * RATE_HZ :])

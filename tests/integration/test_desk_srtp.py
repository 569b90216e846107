"""SRTP (SDES) between telephone and desk, and G.722 where both sides have it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.codecs import au
from support.desk_hearing import (
    agent_voice,
    customer_voice,
    is_heard,
    is_not_heard,
    is_ok,
    later,
    over_and_over,
    stand_apart,
)
from support.desk_room import COLLEAGUE, CUSTOMER, Room, room
from support.ear import Ear
from support.line import ONLY_SOAK
from support.softphone import Codec, Srtp
from support.sound import RATE_HZ

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("desk-2")]

TALK_S = 3.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(tmp_path_factory.mktemp("srtp")) as running:
        yield running


def talk(house: Room, srtp: Srtp, *, inbound: bool = False) -> None:
    """Let softphone and customer talk; both must be heard and recorded."""
    before = house.count()
    with (
        Ear(over_and_over(customer_voice())) as far,
        house.softphone(over_and_over(agent_voice()), srtp=srtp) as phone,
        house.person("caller" if inbound else "callee", far, pause_s=TALK_S) as person,
    ):
        if not inbound:
            phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        if not inbound:
            time.sleep(TALK_S)
            phone.command("hangup")
        person.finish()
        phone.wait("CALL_CLOSED")
        is_heard(phone.heard, customer_voice())
        is_heard(far.heard, agent_voice()[RATE_HZ // 2 :])
        assert phone.is_encrypted is (srtp != "off")
    (recording,) = house.left(before)
    is_ok(recording)
    stand_apart(recording, agent_voice()[RATE_HZ // 2 :], customer_voice())


@pytest.mark.parametrize(
    ("srtp", "inbound"),
    [
        pytest.param("off", False, marks=ONLY_SOAK),
        pytest.param("optional", True, marks=ONLY_SOAK),
        ("optional", False),
        ("required", False),
    ],
)
def test_a_telephone_may_encrypt_or_not_where_that_is_optional(
    house: Room, srtp: Srtp, *, inbound: bool
) -> None:
    """The telephone's leg is encrypted, the telephone system's is not: both are heard and recorded."""
    talk(house, srtp, inbound=inbound)


def test_where_encryption_is_required_it_is_used_both_ways(tmp_path: Path) -> None:
    with room(tmp_path, settings='phone_srtp = "required"\n') as house:
        talk(house, "required")
        talk(house, "required", inbound=True)


@pytest.mark.parametrize(("setting", "srtp"), [("required", "off"), ("off", "required")])
def test_a_telephone_that_does_not_do_as_the_settings_say_is_refused(
    tmp_path: Path, setting: Srtp, srtp: Srtp
) -> None:
    """488, and the customer's telephone does not ring."""
    with (
        room(tmp_path, settings=f'phone_srtp = "{setting}"\n') as house,
        house.softphone(agent_voice(), srtp=srtp) as phone,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        assert phone.wait("CALL_CLOSED")["param"].startswith("488")
        assert house.pbx.saw("INVITE") == []


@pytest.mark.parametrize(
    ("near", "far", "wide"),
    [
        (("G722/16000/1", "PCMU/8000/1"), ("G722/16000/1", "PCMU/8000/1"), True),
        (("G722/16000/1", "PCMU/8000/1"), ("PCMU/8000/1",), False),
        pytest.param(("PCMA/8000/1",), ("G722/16000/1", "PCMA/8000/1"), False, marks=ONLY_SOAK),
    ],
    ids=["both", "only-the-telephone", "only-the-far-side"],
)
def test_wideband_is_used_where_both_have_it(
    tmp_path: Path, near: tuple[Codec, ...], far: tuple[Codec, ...], *, wide: bool
) -> None:
    """G.722 on both legs, and a recording of 16 kHz; never G.722 on one leg alone."""
    with room(tmp_path, settings="wideband = true\n") as house:
        with (
            house.softphone(
                later(customer_voice(), 0.5), user=COLLEAGUE, through_desk=False, codecs=far
            ) as colleague,
            house.softphone(later(agent_voice(), 0.5), codecs=near) as phone,
        ):
            phone.command("dial", house.uri(COLLEAGUE))
            phone.wait("CALL_ESTABLISHED")
            time.sleep(3.3)
            phone.command("hangup")
            for end in (phone, colleague):
                end.wait("CALL_CLOSED")
            is_heard(phone.heard, customer_voice())
            is_heard(colleague.heard, agent_voice())
            coded = {end.codec for end in (phone, colleague)}
        (recording,) = house.left(0)

    assert (coded == {"G722"}) is wide
    assert ("G722" in coded) is wide
    is_ok(recording)
    rate_hz = au.parse(recording.inner).rate_hz
    assert rate_hz == (16_000 if wide else 8_000) or not wide
    step = rate_hz // 8_000
    for channel, own, other in ((0, agent_voice(), customer_voice()), (1, customer_voice(), agent_voice())):
        is_heard(recording.audio[channel][::step], own)
        is_not_heard(recording.audio[channel][::step], other)

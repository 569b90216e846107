"""UDP, TCP and TLS 1.3 between telephone, desk and telephone system: every call out and in is heard."""

import time
from pathlib import Path

import pytest

from support.desk_hearing import (
    agent_voice,
    customer_voice,
    is_heard,
    is_ok,
    over_and_over,
    stand_apart,
)
from support.desk_room import CUSTOMER, Room, room
from support.ear import Ear
from support.kamailio import Transport
from support.line import ONLY_SOAK
from support.sip_certificates import Authority
from support.softphone import Transport as PhoneTransport
from support.sound import RATE_HZ

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("desk-3")]


def call_out_and_in(house: Room, transport: PhoneTransport, *, seconds: float = 3.4) -> None:
    """Let the softphone call and be called; both must be heard and recorded."""
    before = house.count()
    # Who takes a call may speak before the way to the other one is open.
    window = slice(RATE_HZ // 2, round((seconds - 0.6) * RATE_HZ))
    near, far = agent_voice()[window], customer_voice()[window]
    with (
        Ear(over_and_over(customer_voice())) as one,
        house.softphone(over_and_over(agent_voice()), transport=transport) as phone,
        house.person("callee", one) as person,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        time.sleep(seconds)
        phone.command("hangup")
        person.finish()
        phone.wait("CALL_CLOSED")
        is_heard(phone.heard, far)
        is_heard(one.heard, near)
        seen = len(phone.events)
        with (
            Ear(over_and_over(customer_voice())) as two,
            house.person("caller", two, pause_s=seconds) as caller,
        ):
            phone.wait("CALL_ESTABLISHED", after=seen)
            caller.finish()
            phone.wait("CALL_CLOSED", after=seen)
            is_heard(two.heard, near)
    for recording in house.left(before, 2):
        is_ok(recording)
        stand_apart(recording, near, far)


@pytest.mark.parametrize(
    ("phone", "pbx"),
    [
        ("udp", "tcp"),
        ("tcp", "tls"),
        pytest.param("tcp", "udp", marks=ONLY_SOAK),
        pytest.param("tcp", "tcp", marks=ONLY_SOAK),
        pytest.param("udp", "tls", marks=ONLY_SOAK),
    ],
)
def test_calls_go_out_and_come_in(tmp_path: Path, phone: PhoneTransport, pbx: Transport) -> None:
    with room(tmp_path, transport=pbx) as house:
        call_out_and_in(house, phone, seconds=2.4)

        registered = house.pbx.saw("REGISTER")[-1]
        assert f" from {pbx}:127.0.0.1:" in registered
        assert f"transport={pbx}" in registered or pbx == "udp"


def test_a_telephone_system_that_was_started_anew_is_found_again(tmp_path: Path) -> None:
    """The desk opens its connection again, and the telephone, registering again, can be called."""
    with room(tmp_path, transport="tls") as house:
        with house.softphone(agent_voice()):
            house.wait_ready()
            house.pbx.stop()
            house.wait_reason("pbx-unreachable")
            house.pbx.start_again()
            house.wait_reason("pbx-unreachable", gone=True)
        call_out_and_in(house, "udp", seconds=2.4)


@pytest.mark.parametrize("fault", ["stranger", "name"])
def test_a_telephone_system_that_cannot_prove_who_it_is_gets_nothing(tmp_path: Path, fault: str) -> None:
    """Another authority's certificate, or another name in it: no connection, and the desk says so."""
    tmp_path.mkdir(exist_ok=True)
    known, strange = Authority(tmp_path / "known"), Authority(tmp_path / "strange")
    certificate = (
        strange.issue("pbx", "127.0.0.1") if fault == "stranger" else known.issue("pbx", "other.example")
    )
    with room(tmp_path, transport="tls", authority=known, certificate=certificate) as house:
        house.wait_reason("pbx-unreachable")
        with house.softphone(agent_voice(), password="wrong") as phone:  # noqa: S106 - nobody asks for it
            phone.command("dial", house.uri(CUSTOMER))
            assert phone.wait("CALL_CLOSED")["param"].startswith(("503", "408"))

        assert house.pbx.saw("INVITE") == []
        assert house.pbx.saw("REGISTER") == []
        assert CUSTOMER not in house.log

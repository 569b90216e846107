"""Calls that are handed on: by the telephone, by the telephone system, by whoever was called."""

import time
from collections.abc import Iterator

import pytest

from support.desk import Recorded
from support.desk_hearing import (
    agent_voice,
    announcement,
    announcing,
    customer_voice,
    goes_on,
    holds_of,
    is_heard,
    is_not_heard,
    is_ok,
    over_and_over,
    parties_of,
    third_voice,
)
from support.desk_room import AGENT_USER, CUSTOMER, SECOND, Room, room
from support.ear import Ear
from support.scripted_party import messages
from support.sip_peer import Dialog, Peer, describe
from support.sound import RATE_HZ, Samples, locate

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("desk-2")]

FIRST_S = 3.6
"""The announcement, and two seconds of talk."""
SECOND_S = 4.6
"""The way to somebody else, the announcement, and more than two seconds of talk."""
END = 2 * RATE_HZ
"""Of what somebody has heard: the last two seconds."""
SETTLED = RATE_HZ // 2
"""From a message until the sound that it brings."""
AGENT_WITH_CUSTOMER = (AGENT_USER, f"+86{CUSTOMER}")
SECOND_WITH_CUSTOMER = (f"+86{SECOND}", f"+86{CUSTOMER}")
AGENT_WITH_SECOND = (AGENT_USER, f"+86{SECOND}")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Lend a house whose telephone system lets in who is registered: nobody can answer for a third leg."""
    folder = tmp_path_factory.mktemp("transfers")
    with room(folder, rules=announcing(folder), challenges_calls=False) as running:
        yield running


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("scripted")
    with room(folder, rules=announcing(folder), phone_registers=False, challenges_calls=False) as running:
        yield running


def changed_at(recording: Recorded) -> int:
    """Give the position where somebody else took part."""
    (change,) = recording.call["parties_changed"]
    return int(change["from_sample"])


def handed_to_second(recording: Recorded, heard_by_second: Samples, heard_by_customer: Samples) -> None:
    """Check a recording in which the agent's place was taken by the second person, who heard it announced."""
    is_ok(recording)
    assert parties_of(recording) == [AGENT_WITH_CUSTOMER, SECOND_WITH_CUSTOMER]
    at = changed_at(recording)
    first, again = recording.disclosures
    before, after = recording.audio[:, :at], recording.audio[:, again["end_sample"] :]
    goes_on(before[0][first["end_sample"] :], agent_voice())
    goes_on(before[1][first["end_sample"] :], customer_voice())
    goes_on(after[0], third_voice())
    goes_on(after[1], customer_voice())
    is_not_heard(after[0], agent_voice())
    is_not_heard(before[0], third_voice())
    assert first["complete"]
    assert again["complete"]
    assert "agent" in again["heard_by"]
    assert again["start_sample"] >= at - RATE_HZ // 2
    assert locate(heard_by_second, announcement())[1] >= 0.99
    goes_on(heard_by_second[-END:], customer_voice())
    goes_on(heard_by_customer[-END:], third_voice())


def test_a_call_that_the_telephone_hands_on_goes_on_with_somebody_else(house: Room) -> None:
    """Blind transfer: REFER is carried out by the desk, and one recording has it all."""
    before = house.count()
    with (
        Ear(over_and_over(customer_voice())) as one,
        Ear(over_and_over(third_voice())) as two,
        house.softphone(over_and_over(agent_voice())) as phone,
        house.person("callee_leaves", one, pause_s=FIRST_S + SECOND_S) as customer,
        house.person("callee", two, number=SECOND) as second,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        time.sleep(FIRST_S)
        phone.command("transfer", house.uri(SECOND))
        phone.wait("CALL_CLOSED")
        customer.finish()
        second.finish()
        (recording,) = house.left(before)

        handed_to_second(recording, two.heard, one.heard)
    assert "REFER sip:" not in "".join(messages(customer))


def test_a_telephone_that_leaves_as_soon_as_its_transfer_is_accepted_ends_nothing(scripted: Room) -> None:
    """Many telephones send BYE right after the 202."""
    before = scripted.count()
    with (
        Ear(over_and_over(agent_voice())) as near,
        Ear(over_and_over(customer_voice())) as one,
        Ear(over_and_over(third_voice())) as two,
        scripted.person("callee_leaves", one, pause_s=FIRST_S + SECOND_S) as customer,
        scripted.person("callee", two, number=SECOND) as second,
        scripted.script_phone(
            "caller_refers_and_leaves", near, pause_s=FIRST_S, target=scripted.uri(SECOND)
        ) as phone,
    ):
        phone.finish()
        customer.finish()
        second.finish()
        arrived = next(text for text in messages(second) if "INVITE sip:" in text)
        (recording,) = scripted.left(before)

        handed_to_second(recording, two.heard, one.heard)
    assert f"Referred-By: <{scripted.uri(AGENT_USER)}>" in arrived


def test_a_transfer_to_somebody_who_is_busy_leaves_the_call_as_it_was(scripted: Room) -> None:
    """The telephone is told, and both talk on."""
    before = scripted.count()
    with (
        Ear(over_and_over(agent_voice())) as near,
        Ear(over_and_over(customer_voice())) as one,
        Peer(scripted.at.phone_port, scripted.desk_port) as phone,
        scripted.person("callee", one) as customer,
        scripted.person("callee_busy", number=SECOND) as second,
    ):
        call = placed(phone, CUSTOMER, near.port)
        time.sleep(2.0)
        told = referred(call, f"sip:{SECOND}@127.0.0.1:{scripted.pbx.port}")
        second.finish()
        sizes = near.heard.size, one.heard.size
        time.sleep(2.5)
        call.hang_up()
        customer.finish()
        goes_on(near.heard[sizes[0] :][: 2 * RATE_HZ], customer_voice())
        goes_on(one.heard[sizes[1] :][: 2 * RATE_HZ], agent_voice())
    (recording,) = scripted.left(before)

    assert told[-1].startswith("SIP/2.0 486")
    assert parties_of(recording) == [AGENT_WITH_CUSTOMER]
    assert len(recording.disclosures) == 1
    is_ok(recording)


def test_nobody_stays_alone_on_the_line_when_a_transfer_fails(scripted: Room) -> None:
    """The telephone has left already, and the other is busy: the customer is hung up on."""
    before = scripted.count()
    with (
        scripted.person("callee") as customer,
        scripted.person("callee_busy", number=SECOND) as second,
        scripted.script_phone("caller_refers_and_leaves", pause_s=2.0, target=scripted.uri(SECOND)) as phone,
    ):
        phone.finish()
        second.finish()
        customer.finish(20)
    (recording,) = scripted.left(before)

    assert parties_of(recording) == [AGENT_WITH_CUSTOMER]


def test_the_called_side_may_hand_on_too(house: Room) -> None:
    """REFER from the telephone system's side: the customer's place is taken."""
    before = house.count()
    with (
        Ear(over_and_over(customer_voice())) as one,
        Ear(over_and_over(third_voice())) as two,
        house.softphone(over_and_over(agent_voice())) as phone,
        house.person("callee_refers", one, pause_s=FIRST_S, target=house.uri(SECOND)) as customer,
        house.person("callee", two, number=SECOND) as second,
    ):
        phone.command("dial", house.uri(CUSTOMER))
        phone.wait("CALL_ESTABLISHED")
        customer.finish()
        time.sleep(SECOND_S)
        phone.command("hangup")
        second.finish()
        phone.wait("CALL_CLOSED")
        (recording,) = house.left(before)

        assert parties_of(recording) == [AGENT_WITH_CUSTOMER, AGENT_WITH_SECOND]
        at = changed_at(recording)
        end = recording.disclosures[1]["end_sample"]
        goes_on(recording.audio[1][recording.disclosures[0]["end_sample"] : at], customer_voice())
        goes_on(recording.audio[1][end:], third_voice())
        goes_on(recording.audio[0][end:], agent_voice())
        goes_on(phone.heard[-END:], third_voice())
        goes_on(two.heard[-END:], agent_voice())
        assert locate(two.heard, announcement())[1] >= 0.99


def test_an_attended_transfer_by_the_telephone_system_is_followed(house: Room) -> None:
    """A re-INVITE with another address for the sound and another identity: same call, other customer."""
    before, switched = house.count(), len(house.pbx.saw("INVITE sip:callseal-line@"))
    with (
        Ear(over_and_over(third_voice())) as two,
        house.softphone(over_and_over(agent_voice())) as phone,
    ):
        with (
            Ear(over_and_over(customer_voice())) as one,
            house.person(
                "callee_passes_on", one, pause_s=FIRST_S, second=SECOND, second_ear=str(two.port)
            ) as customer,
        ):
            phone.command("dial", house.uri(CUSTOMER))
            phone.wait("CALL_ESTABLISHED")
            invite = next(text for text in messages(customer) if "INVITE sip:" in text)
            house.pbx.wait_for("INVITE sip:callseal-line@", switched + 1)
            one.hush()
            two.speak_to(int(invite.partition("m=audio ")[2].partition(" ")[0]))
            time.sleep(3.0)
            phone.command("hangup")
            customer.finish()
        phone.wait("CALL_CLOSED")
        (recording,) = house.left(before)

        is_ok(recording)
        assert parties_of(recording) == [AGENT_WITH_CUSTOMER, AGENT_WITH_SECOND]
        at = changed_at(recording)
        goes_on(recording.audio[1][recording.disclosures[0]["end_sample"] : at], customer_voice())
        goes_on(recording.audio[1][at + SETTLED :], third_voice())
        goes_on(recording.audio[0][at + SETTLED :], agent_voice())
        goes_on(phone.heard[-END:], third_voice())
        goes_on(two.heard[-END:], agent_voice())


def test_an_attended_transfer_by_the_telephone_joins_its_two_calls(scripted: Room) -> None:
    """REFER with Replaces: the two who were called talk on, in the first call's recording."""
    before = scripted.count()
    with (
        Ear(over_and_over(agent_voice())) as near,
        Ear(over_and_over(customer_voice())) as one,
        Ear(over_and_over(third_voice())) as two,
        Peer(scripted.at.phone_port, scripted.desk_port) as phone,
        scripted.person("callee", one) as customer,
        scripted.person("callee_leaves", two, number=SECOND, pause_s=2.6 + SECOND_S) as second,
    ):
        first = placed(phone, CUSTOMER, near.port)
        time.sleep(FIRST_S)
        first.ask("INVITE", describe(near.port, direction="sendonly", version=2))
        first.acknowledge(first.response(200))
        other = placed(phone, SECOND, near.port)
        time.sleep(2.6)
        tags = (other.remote.partition("tag=")[2], other.local.partition("tag=")[2])
        replaces = f"{other.call_id}%3Bto-tag%3D{tags[0]}%3Bfrom-tag%3D{tags[1]}"
        told = referred(first, f"sip:{SECOND}@127.0.0.1:{scripted.pbx.port}?Replaces={replaces}")
        for ended in (first, other):
            ended.hung_up_on()
        second.finish()
        customer.finish()
        assert told[-1].startswith("SIP/2.0 200")
        held, other_recording = scripted.left(before, 2)
        if parties_of(held)[0] != AGENT_WITH_CUSTOMER:
            held, other_recording = other_recording, held

        assert parties_of(held) == [AGENT_WITH_CUSTOMER, SECOND_WITH_CUSTOMER]
        assert parties_of(other_recording) == [AGENT_WITH_SECOND]
        at = changed_at(held)
        end = max([at, *(one_of["end_sample"] for one_of in held.disclosures)])
        (_, _, held_from_s), _ = holds_of(held)
        talk = slice(held.disclosures[0]["end_sample"], round(held_from_s * RATE_HZ))
        goes_on(held.audio[0][talk], agent_voice())
        goes_on(held.audio[1][talk], customer_voice())
        goes_on(held.audio[0][end:], third_voice())
        goes_on(held.audio[1][end:], customer_voice())
        is_heard(other_recording.audio[1], third_voice())
        goes_on(two.heard[-END:], customer_voice())
        goes_on(one.heard[-END:], third_voice())


def placed(phone: Peer, number: str, port: int) -> Dialog:
    """Call a number; gives the call once it is taken."""
    dialog = phone.call(number)
    dialog.ask("INVITE", describe(port))
    dialog.acknowledge(dialog.response(200, limit_s=10))
    return dialog


def referred(dialog: Dialog, target: str) -> list[str]:
    """Ask for a transfer; give what is told of it, the last line with how it ended."""
    dialog.ask("REFER", extra=f"Refer-To: <{target}>\r\n")
    dialog.response(202, "REFER")
    told: list[str] = []
    while not told or told[-1].startswith("SIP/2.0 1"):
        news = dialog.asked("NOTIFY", 10)
        dialog.answer(200, to=news)
        told.append(news.body)
    return told

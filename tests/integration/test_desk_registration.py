"""A softphone behind its desk: it registers, and what is no call passes to the telephone system and back."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.cli.demo.office import AGENT
from support.desk_hearing import agent_voice
from support.desk_room import AGENT_USER, CUSTOMER, PASSWORDS, SECOND, Room, room
from support.process import files_below
from support.programs import free_udp_port
from support.sip_peer import Message, Peer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.xdist_group("desk-3")]

UNKNOWN = "13600136000"
PRESENCE = "Event: presence\r\nExpires: 60\r\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(tmp_path_factory.mktemp("registration")) as running:
        yield running


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(tmp_path_factory.mktemp("scripted"), phone_registers=False, challenges_calls=False) as running:
        yield running


@pytest.fixture
def phone(scripted: Room) -> Iterator[Peer]:
    with Peer(scripted.at.phone_port, scripted.desk_port) as peer:
        yield peer


@pytest.fixture
def outside(scripted: Room) -> Iterator[Peer]:
    with Peer(scripted.outside[CUSTOMER], scripted.pbx.port) as peer:
        yield peer


# --- registration -----------------------------------------------------------------------------------------


def test_a_telephone_registers_with_its_password_and_is_found_at_the_desk(house: Room) -> None:
    """The registrar knows the desk's address for it; nothing secret stays on the desk."""
    seen = len(house.pbx.saw("REGISTER"))
    with house.softphone(agent_voice()) as phone:
        asked, proven = house.pbx.wait_for("REGISTER", seen + 2)[seen : seen + 2]
        port = phone.port

    assert f"from udp:127.0.0.1:{house.pbx_face} " in asked
    assert " by <null> " in asked
    assert f" by {AGENT_USER} " in proven
    contact = proven.split(" at ")[1]
    assert f"sip:{AGENT_USER}" in contact
    assert f"@127.0.0.1:{house.pbx_face}" in contact
    assert str(port) not in contact
    password = PASSWORDS[AGENT_USER].encode()
    for path, content in files_below(house.at.office.root).items():
        assert password not in content, path
        assert b"nonce" not in content, path


def test_a_telephone_that_signs_off_is_signed_off_at_the_registrar(house: Room) -> None:
    """Then a call to it is answered by the telephone system: it knows nobody of that name."""
    with house.softphone(agent_voice()):
        pass
    with Peer(house.outside[SECOND], house.pbx.port) as caller:
        dialog = caller.call(AGENT_USER, user=SECOND)
        dialog.ask("INVITE")
        refusal = dialog.final("INVITE")
        dialog.acknowledge(refusal)

    assert refusal.code == 404


def test_a_wrong_password_is_the_telephones_affair(house: Room) -> None:
    before = len(house.pbx.saw("REGISTER"))
    with house.softphone(agent_voice(), password="not-this-one") as phone:  # noqa: S106 - wrong on purpose
        house.pbx.wait_for("REGISTER", before + 2)
        time.sleep(0.5)

        assert "OK" not in phone.command("reginfo")
    house.wait_reason("phone-not-registered")


def test_a_desk_that_was_started_anew_still_knows_its_telephone(tmp_path: Path) -> None:
    """A softphone registers once a minute or an hour: a call in must find it before."""
    with room(tmp_path) as house, house.softphone(agent_voice(), answers=False) as phone:
        house.wait_ready()
        registrations = len(house.pbx.saw("REGISTER"))
        house.at.office.stop(AGENT)
        house.at.office.start(AGENT)
        house.wait_ready()
        with house.person("caller_gives_up") as person:
            phone.wait("CALL_INCOMING")
            person.finish()

        assert len(house.pbx.saw("REGISTER")) == registrations


# --- what is no call --------------------------------------------------------------------------------------


def test_a_message_passes_both_ways(phone: Peer, outside: Peer) -> None:
    for sender, receiver, user, called in (
        (phone, outside, AGENT_USER, CUSTOMER),
        (outside, phone, CUSTOMER, AGENT_USER),
    ):
        asking = sender.call(called, user=user)
        asking.ask("MESSAGE", "good morning", "Content-Type: text/plain\r\nX-Colour: blue\r\n")
        came = receiver.request("MESSAGE")
        reply(receiver, came, 202)

        assert asking.final("MESSAGE").code == 202
        assert came.body == "good morning"
        assert came.header("X-Colour") == "blue"


@pytest.mark.parametrize("method", ["OPTIONS", "INFO", "PUBLISH", "NOTIFY", "NONSENSE"])
def test_other_requests_pass_and_their_answers_come_back(phone: Peer, outside: Peer, method: str) -> None:
    asking = phone.call(CUSTOMER)
    asking.ask(method)
    came = outside.request(method)
    reply(outside, came, 415)

    assert asking.final(method).code == 415
    assert int(came.header("Max-Forwards")) < 70


def test_a_subscription_lives_and_its_news_come_back(phone: Peer, outside: Peer) -> None:
    """SUBSCRIBE begins a dialog of its own, by whose route the NOTIFYs come."""
    asking = phone.call(CUSTOMER)
    asking.ask("SUBSCRIBE", extra=PRESENCE)
    watched = outside.taken(method="SUBSCRIBE")
    watched.answer(200, extra="Expires: 60\r\n")
    asking.established(asking.response(200, "SUBSCRIBE"))
    for state in ("active", "terminated"):
        watched.ask("NOTIFY", extra=f"Event: presence\r\nSubscription-State: {state}\r\n")
        news = asking.asked("NOTIFY")
        asking.answer(200, to=news)

        assert watched.response(200, "NOTIFY").code == 200
        assert news.header("Subscription-State") == state
    asking.ask("SUBSCRIBE", extra="Event: presence\r\nExpires: 0\r\n")
    again = watched.asked("SUBSCRIBE")
    watched.answer(200, to=again)
    asking.response(200, "SUBSCRIBE")


def test_the_desk_answers_for_itself(scripted: Room, phone: Peer) -> None:
    """OPTIONS without a user, as telephones ask whether their proxy lives."""
    asking = phone.call("nobody")
    asking.target = f"sip:127.0.0.1:{scripted.desk_port}"
    asking.ask("OPTIONS")

    assert asking.final("OPTIONS").code == 200
    assert scripted.pbx.saw(r"OPTIONS sip:nobody") == []


@pytest.mark.parametrize("route", ["", "Route: <sip:127.0.0.1:{port};lr>\r\n"])
def test_the_desk_carries_nothing_to_places_of_the_senders_choice(
    scripted: Room, phone: Peer, route: str
) -> None:
    """It is no open relay: whatever a request names, it goes to the telephone system or nowhere."""
    with Peer(free_udp_port(), scripted.desk_port) as elsewhere:
        asking = phone.call(UNKNOWN)
        asking.target = f"sip:{UNKNOWN}@127.0.0.1:{elsewhere.port}"
        asking.ask("MESSAGE", extra=route.format(port=elsewhere.port))
        answer = asking.final("MESSAGE", limit_s=10)
        with pytest.raises(AssertionError):
            elsewhere.request("MESSAGE", 0.3)

    assert answer.code >= 400


def test_nobody_but_its_telephone_can_be_reached_through_a_desk(house: Room) -> None:
    with (
        house.softphone(agent_voice()),
        Peer(house.outside[SECOND], house.pbx_face) as sender,
    ):
        asking = sender.call("6777", user=SECOND)
        asking.ask("MESSAGE")

        assert asking.final("MESSAGE").code in (404, 480)


def reply(peer: Peer, request: Message, code: int) -> None:
    """Answer a request outside of dialogs."""
    vias = "".join(f"Via: {value}\r\n" for value in request.headers("Via"))
    peer.send(
        f"SIP/2.0 {code} Said\r\n{vias}From: {request.header('From')}\r\nTo: {request.header('To')};tag=x\r\n"
        f"Call-ID: {request.header('Call-ID')}\r\nCSeq: {request.header('CSeq')}\r\nContent-Length: 0\r\n\r\n"
    )

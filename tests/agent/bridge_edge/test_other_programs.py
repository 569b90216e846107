"""Other programs of this machine, which may say anything: they get no calls, and keep nobody from any."""

import pytest

from callseal.agent.sip.flow import Transport
from callseal.agent.sources.bridge.edge.faces import PHONE
from callseal.agent.sources.bridge.edge.gate import Admission
from callseal.agent.sources.bridge.edge.pace import BURST, PER_S
from support.edge_room import PHONE_AT, Peer, Room

SOMEWHERE = ("127.0.0.1", 7777)
INSTANCE = '+sip.instance="<urn:uuid:1>"'
AOR = "<sip:100@pbx.example.com>"
SECONDS_OF_RINGING = 60


def called(room: Room) -> tuple[Transport, int, tuple[str, int]]:
    """Let the telephone system call the telephone past the child; give where the INVITE goes."""
    room.gate.admission = Admission(way="pass")
    room.sent.clear()
    room.pbx.ask("INVITE", "sip:100@192.0.2.10:5060", "Contact: <sip:x@192.0.2.1>", call="a call")
    (sent,) = [each for each in room.sent if each.data.startswith(b"INVITE")]
    return sent.flow.transport, sent.flow.connection, sent.destination


@pytest.mark.parametrize("answer", [None, 401, 403])
@pytest.mark.parametrize("contact", ["<sip:100@127.0.0.1:6000>", "<sip:100@127.0.0.1:7777>"])
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_telephone_stays_where_it_is_registered_until_the_registrar_says_otherwise(
    answer: int | None, contact: str, transport: Transport
) -> None:
    room = Room()
    room.phone.register(f"<sip:100@127.0.0.1:6000>;{INSTANCE}")
    connection = 9 if transport is Transport.TCP else 0
    program = Peer(room, PHONE, SOMEWHERE, transport=transport, connection=connection)

    program.ask(
        "REGISTER", "sip:pbx.example.com", f"Contact: {contact};{INSTANCE}", who=f"{AOR};tag=1", to=AOR
    )
    asked = room.pbx.got("REGISTER")
    if answer:
        room.pbx.answer(asked, answer)
    room.phone.register(f"<sip:100@127.0.0.1:6000>;{INSTANCE}", cseq=2)

    assert called(room) == (Transport.UDP, 0, PHONE_AT)


def test_a_telephone_that_has_moved_is_called_at_its_new_place_once_that_is_registered() -> None:
    room = Room()
    room.phone.register(f"<sip:100@127.0.0.1:6000>;{INSTANCE}")
    moved = Peer(room, PHONE, SOMEWHERE, transport=Transport.TCP, connection=9)

    moved.register(f"<sip:100@127.0.0.1:7777;transport=tcp>;{INSTANCE}")

    assert called(room) == (Transport.TCP, 9, SOMEWHERE)
    assert room.router.bindings.take_changed()


def test_contacts_that_a_program_invents_do_not_keep_a_telephone_from_registering() -> None:
    room = Room()
    program = Peer(room, PHONE, SOMEWHERE)
    for number in range(200):
        contact = f"Contact: <sip:100@127.0.0.1:{7000 + number}>"
        program.ask("OPTIONS", "sip:200@pbx.example.com", contact, call=str(number))
    room.pbx.inbox.clear()

    room.phone.register()

    assert called(room) == (Transport.UDP, 0, PHONE_AT)


def test_a_call_for_a_number_goes_to_who_registered_for_it_not_to_who_has_its_name() -> None:
    room = Room()
    program = Peer(room, PHONE, SOMEWHERE)
    program.ask("OPTIONS", "sip:200@pbx.example.com", "Contact: <sip:100@127.0.0.1:7777>")
    room.pbx.inbox.clear()

    room.phone.register()

    (registration,) = room.router.registrations(room.now_s)
    assert registration.told == "sip:100-2@192.0.2.10:5060"
    assert called(room) == (Transport.UDP, 0, PHONE_AT)


def test_a_configured_telephone_gets_its_calls_whatever_others_say() -> None:
    room = Room(configured="sip:100@127.0.0.1:6000")
    program = Peer(room, PHONE, SOMEWHERE)

    program.ask("OPTIONS", "sip:200@pbx.example.com", "Contact: <sip:100@127.0.0.1:7777>")

    assert called(room) == (Transport.UDP, 0, PHONE_AT)
    room.gate.admission = Admission(way="line")
    room.pbx.ask("INVITE", "sip:100@192.0.2.10:5060", "Contact: <sip:x@192.0.2.1>", call="another")
    assert room.gate.admitted[-1][2].phone_uri == ""


def test_a_call_that_rings_while_a_program_sends_thousands_of_requests_is_answered_as_ever() -> None:
    room = Room()
    room.phone.register()
    room.pbx.ask("INVITE", "sip:100@192.0.2.10:5060", "Contact: <sip:x@192.0.2.1>", call="a call")
    invite = room.child.got("INVITE")
    room.child.answer(invite, 180)
    program = Peer(room, PHONE, SOMEWHERE)
    for second in range(SECONDS_OF_RINGING):
        for number in range(100):
            program.ask("OPTIONS", "sip:200@pbx.example.com", call=f"{second} {number}")
            room.pbx.answer(room.pbx.got("OPTIONS"), 404)
        room.wait(1.0)

    room.child.answer(invite, 200, ("contact", "<sip:callseal-line@127.0.0.1:40001>"))

    assert room.pbx.heard(200).headers.get("contact") == "<sip:callseal-line@192.0.2.10:5060>"
    assert program.statuses == [404] * 100 * SECONDS_OF_RINGING


def test_calls_without_a_password_one_after_the_other_do_not_keep_others_out() -> None:
    room = Room()
    program = Peer(room, PHONE, SOMEWHERE)
    room.pbx.ask("INVITE", "sip:100@192.0.2.10:5060", "Contact: <sip:x@192.0.2.1>", call="a call")
    running = room.child.got("INVITE")
    room.child.answer(running, 180)
    for number in range(300):
        room.pbx.ask("INVITE", "sip:100@192.0.2.10:5060", call=str(number))
        room.child.answer(room.child.got("INVITE"), 407)
        room.wait(0.02)

    room.phone.ask("INVITE", "sip:200@pbx.example.com", "Contact: <sip:100@127.0.0.1:6000>", call="another")

    assert room.child.got("INVITE").headers.get("x-callseal-from") == "phone"
    assert room.router.calls.facts(running.headers.get("x-callseal-call") or "") is not None
    assert 503 not in program.statuses + room.pbx.statuses


@pytest.mark.parametrize("is_configured", [True, False])
def test_a_program_that_begins_calls_without_end_leaves_few_traces_and_the_telephone_its_calls(
    *, is_configured: bool
) -> None:
    room = Room(configured="sip:100@127.0.0.1:6000" if is_configured else "")
    room.gate.admission = Admission(way="refuse", status=486)
    if not is_configured:
        room.phone.register()
    program = Peer(room, PHONE, SOMEWHERE)
    for number in range(1000):
        program.ask("INVITE", "sip:200@pbx.example.com", call=str(number))
        room.wait(0.01)
    assert len(room.gate.admitted) <= BURST + PER_S * 10

    room.phone.ask("INVITE", "sip:200@pbx.example.com", "Contact: <sip:100@127.0.0.1:6000>", call="another")

    room.phone.heard(486)
    assert {503, 486} == set(program.statuses)


def test_a_telephone_that_writes_escapes_which_need_not_be_is_heard_with_them() -> None:
    """Its digest covers the request URI as it wrote it (RFC 7616 section 3.4.6)."""
    room = Room()
    room.phone.ask("INVITE", "sip:%2B8613%38@pbx.example.com", "Contact: <sip:100@127.0.0.1:6000>")
    token = room.child.got("INVITE").headers.get("x-callseal-call")

    room.child.ask(
        "INVITE", "sip:+86138@pbx.example.com", f"X-Callseal-Call: {token}", "X-Callseal-To: pbx", call="2"
    )  # fmt: skip

    assert room.pbx.got("INVITE").uri == "sip:%2B8613%38@pbx.example.com"

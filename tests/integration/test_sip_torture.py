"""Everything that may happen to a transaction or a dialog, by UDP, TCP and TLS, beside a call that runs.

Messages are lost, come twice, cross, come too early, too late or never. What no timer of a test can wait for
(32 s without an ACK, sessions that expire) is tried at the endpoint alone.
"""

from collections.abc import Iterator

import pytest

from support.eventually import eventually
from support.sip_beside import Beside, beside
from support.sip_peer import Message
from support.sip_wire import OFFER, SIPREC_OFFER, Caller, Wire, branch, call

pytestmark = pytest.mark.integration

BY_DATAGRAM = pytest.mark.parametrize("at", ["UDP"], indirect=True, scope="module")
"""For what is sent again by UDP alone (RFC 3261 section 17.2.2)."""


@pytest.fixture(scope="module", params=["UDP", "TCP", "TLS"])
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    with beside(request.param, tmp_path_factory.mktemp("torture")) as running:
        yield running


@pytest.fixture
def wire(at: Beside) -> Iterator[Wire]:
    """Lend a new way to the server, which must be alive afterwards and the call beside too."""
    with at.open() as opened:
        yield opened
    at.check()


def tag_of(message: Message) -> str:
    return message.header("To").partition("tag=")[2]


def test_an_invite_that_comes_again_gets_the_same_answer(wire: Wire) -> None:
    """The answer was lost: a second one with another tag would be a second call."""
    caller = Caller(wire)
    text = caller.send("INVITE", SIPREC_OFFER, extra="Require: siprec\r\n")
    first = wire.answer(caller.call_id, "INVITE")

    wire.send(text)
    second = wire.answer(caller.call_id, "INVITE")
    caller.acknowledge(second)

    assert first.code == 200
    assert second.text == first.text
    assert caller.ask("BYE").code == 200


def test_an_answer_is_sent_again_until_it_is_acknowledged(wire: Wire) -> None:
    """By TCP and TLS too (RFC 3261 section 13.3.1.4)."""
    caller = Caller(wire)
    caller.send("INVITE", SIPREC_OFFER)

    answers = [wire.answer(caller.call_id, "INVITE") for _ in range(3)]
    caller.acknowledge(answers[0])
    goodbye = caller.ask("BYE")

    assert len({answer.text for answer in answers}) == 1
    assert goodbye.code == 200
    with pytest.raises(AssertionError, match="did not come"):
        wire.answer(caller.call_id, "INVITE", limit_s=3.0)


def test_an_ack_that_comes_again_changes_nothing(wire: Wire) -> None:
    caller = Caller(wire)
    answer = caller.invite()

    for _ in range(3):
        caller.acknowledge(answer)

    assert caller.ask("UPDATE").code == 200
    assert caller.ask("BYE").code == 200


def test_a_change_that_comes_again_gets_the_same_answer(wire: Wire) -> None:
    with call(wire) as caller:
        text = caller.send("INVITE", SIPREC_OFFER)
        first = wire.answer(caller.call_id, "INVITE")
        wire.send(text)
        second = wire.answer(caller.call_id, "INVITE")
        caller.acknowledge(second)

    assert first.code == 200
    assert second.text == first.text


@BY_DATAGRAM
def test_an_end_that_comes_again_gets_the_same_answer(wire: Wire) -> None:
    caller = Caller(wire)
    caller.invite()
    text = caller.send("BYE")
    first = wire.answer(caller.call_id, "BYE")

    wire.send(text)
    second = wire.answer(caller.call_id, "BYE")

    assert first.code == 200
    assert second.text == first.text


@BY_DATAGRAM
def test_any_question_that_comes_again_gets_the_same_answer(wire: Wire) -> None:
    with call(wire) as caller:
        texts = [
            caller.send("UPDATE", OFFER, kind="application/sdp"),
            caller.send("INFO", "x", kind="text/plain"),
        ]
        firsts = [wire.answer(caller.call_id, method) for method in ("UPDATE", "INFO")]
        for text in texts:
            wire.send(text)
        seconds = [wire.answer(caller.call_id, method) for method in ("UPDATE", "INFO")]

    assert [answer.code for answer in firsts] == [200, 200]
    assert [answer.text for answer in seconds] == [answer.text for answer in firsts]


def test_a_call_is_taken_back_before_it_is_answered(wire: Wire, at: Beside) -> None:
    caller = Caller(wire, user="later")
    caller.send("INVITE", SIPREC_OFFER)
    trying = wire.wait(lambda m: m.code == 100, "100")

    wire.send(caller.compose("CANCEL", via=caller.invited))
    cancel = wire.answer(caller.call_id, "CANCEL")
    invite = wire.answer(caller.call_id, "INVITE")
    caller.acknowledge(invite)

    assert trying.header("Call-ID") == caller.call_id
    assert (cancel.code, invite.code) == (200, 487)
    eventually(lambda: at.server.ended(caller.call_id) is not None, "the end of the call")


def test_a_call_that_is_taken_back_too_late_goes_on(wire: Wire) -> None:
    caller = Caller(wire)
    answer = caller.invite()

    wire.send(caller.compose("CANCEL", via=caller.invited, to_tag=""))
    cancel = wire.answer(caller.call_id, "CANCEL")
    update = caller.ask("UPDATE")

    assert (answer.code, cancel.code, update.code) == (200, 200, 200)
    assert caller.ask("BYE").code == 200


def test_taking_back_what_was_never_sent_is_refused(wire: Wire) -> None:
    caller = Caller(wire)

    answer = caller.ask("CANCEL")

    assert answer.code == 481


def test_a_call_is_refused_once_and_for_all(wire: Wire) -> None:
    caller = Caller(wire, user="busy")
    text = caller.send("INVITE", SIPREC_OFFER)
    first = wire.answer(caller.call_id, "INVITE")

    wire.send(text)
    second = wire.answer(caller.call_id, "INVITE")
    caller.acknowledge(first)

    assert first.code == 486
    assert second.text == first.text


def test_an_end_of_another_call_is_refused(wire: Wire) -> None:
    with call(wire) as caller:
        caller.number += 1
        wire.send(caller.compose("BYE", to_tag="another"))
        answer = wire.answer(caller.call_id, "BYE")

    assert answer.code == 481


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "INFO", "PRACK"])
def test_what_belongs_to_no_call_is_refused(wire: Wire, method: str) -> None:
    caller = Caller(wire, to_tag="unknown")

    answer = caller.ask(method)

    assert answer.code == 481


def test_a_call_of_an_earlier_process_is_taken_over(wire: Wire) -> None:
    """Its gateway knows our tag from then."""
    caller = Caller(wire, to_tag="earlier", number=41)

    answer = caller.invite()

    assert answer.code == 200
    assert tag_of(answer) == "earlier"
    assert caller.ask("BYE").code == 200


@pytest.mark.parametrize("number", [0, 1])
def test_numbers_that_go_back_are_refused(wire: Wire, number: int) -> None:
    with call(wire) as caller:
        caller.ask("UPDATE")
        wire.send(caller.compose("INFO", number=number))
        answer = wire.answer(caller.call_id, "INFO")
        after = caller.ask("UPDATE")

    assert answer.code == 500
    assert after.code == 200


def test_numbers_may_leave_gaps(wire: Wire) -> None:
    with call(wire) as caller:
        caller.number += 1_000_000
        answer = caller.ask("UPDATE")

    assert answer.code == 200


def test_a_request_that_came_two_ways_is_one_call(wire: Wire) -> None:
    """A proxy that forks makes two of one (RFC 3261 section 8.2.2.2)."""
    caller = Caller(wire)
    caller.send("INVITE", SIPREC_OFFER)
    first = wire.answer(caller.call_id, "INVITE")

    wire.send(caller.compose("INVITE", SIPREC_OFFER))
    second = wire.wait(lambda m: m.code == 482, "482")
    wire.send(caller.compose("ACK", via=second.header("Via").partition("branch=")[2].partition(";")[0]))
    caller.acknowledge(first)

    assert first.code == 200
    assert caller.ask("BYE").code == 200


def test_two_callers_may_have_one_call_id(wire: Wire) -> None:
    one = Caller(wire)
    one.invite()
    two = Caller(wire, call_id=one.call_id, number=10)
    text = two.compose("INVITE", SIPREC_OFFER).replace("tag=near", "tag=other")
    wire.send(text)
    answer = wire.answer(two.call_id, "INVITE")
    wire.send(two.compose("ACK", to_tag=tag_of(answer)).replace("tag=near", "tag=other"))

    goodbye = one.ask("BYE")
    two.to_tag, two.number = tag_of(answer), 11
    wire.send(two.compose("BYE").replace("tag=near", "tag=other"))
    second_goodbye = wire.answer(two.call_id, "BYE")

    assert answer.code == 200
    assert tag_of(answer) != one.to_tag
    assert (goodbye.code, second_goodbye.code) == (200, 200)


@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE", "MESSAGE", "REFER", "FOO", "invite"])
def test_what_a_recorder_does_not_do_is_refused_with_what_it_does(wire: Wire, method: str) -> None:
    caller = Caller(wire)

    answer = caller.ask(method)

    assert answer.code == 405
    assert "INVITE" in answer.header("Allow")


def test_an_extension_that_nobody_knows_is_refused_by_name(wire: Wire) -> None:
    caller = Caller(wire)

    answer = caller.invite(extra="Require: siprec, foo99\r\n")

    assert answer.code == 420
    assert answer.header("Unsupported") == "foo99"


@pytest.mark.parametrize("require", ["siprec", "100rel,siprec", "timer", "SIPREC"])
def test_what_gateways_require_is_there(wire: Wire, require: str) -> None:
    caller = Caller(wire)

    answer = caller.invite(extra=f"Require: {require}\r\nSession-Expires: 1800;refresher=uac\r\n")

    assert answer.code == 200
    assert caller.ask("BYE").code == 200


def test_a_call_without_an_offer_gets_one(wire: Wire) -> None:
    caller = Caller(wire)

    answer = caller.invite("")

    assert answer.code == 200
    assert "m=audio" in answer.body
    assert caller.ask("BYE").code == 200


def test_short_header_names_are_as_good_as_long_ones(wire: Wire) -> None:
    caller = Caller(wire)
    text = caller.compose("INVITE", SIPREC_OFFER, number=1)
    for name, short in (
        ("Via", "v"),
        ("From", "f"),
        ("To", "t"),
        ("Call-ID", "i"),
        ("Contact", "m"),
        ("Content-Type", "c"),
        ("Content-Length", "l"),
    ):
        text = text.replace(f"\r\n{name}:", f"\r\n{short}:", 1)

    wire.send(text)
    answer = wire.answer(caller.call_id, "INVITE")
    caller.number = 1
    caller.acknowledge(answer)

    assert answer.code == 200
    assert caller.ask("BYE").code == 200


def test_a_change_while_another_is_decided_has_to_wait(wire: Wire) -> None:
    with call(wire) as caller:
        caller.user = "later"
        caller.send("INVITE", SIPREC_OFFER)
        first = caller.invited
        caller.send("INVITE", SIPREC_OFFER)
        answer = wire.answer(caller.call_id, "INVITE")
        wire.send(caller.compose("ACK", via=caller.invited))
        wire.send(caller.compose("CANCEL", number=caller.number - 1, via=first))
        cancelled = wire.wait(lambda m: m.code == 487, "487")
        wire.send(caller.compose("ACK", number=caller.number - 1, via=first))
        caller.user = "recorder"

    assert answer.code in {491, 500}
    assert cancelled.method == "INVITE"


def test_both_hang_up_at_once(wire: Wire, at: Beside) -> None:
    caller = Caller(wire)
    caller.invite()

    at.server.hang_up(caller.call_id)
    caller.send("BYE")
    theirs = wire.wait(lambda m: m.method == "BYE" and not m.code, "BYE")
    ours = wire.answer(caller.call_id, "BYE")

    assert theirs.header("Call-ID") == caller.call_id
    assert ours.code == 200
    eventually(lambda: at.server.ended(caller.call_id) is not None, "the end of the call")


def test_answers_and_acknowledgements_of_nothing_are_passed_over(wire: Wire) -> None:
    caller = Caller(wire)
    for first in ("SIP/2.0 200 OK", "SIP/2.0 100 Trying", "SIP/2.0 699 What"):
        request, _, rest = caller.compose("BYE").partition("\r\n")
        assert request.startswith("BYE")
        wire.send(f"{first}\r\n{rest}")
    wire.send(caller.compose("ACK"))
    wire.send(caller.compose("ACK", to_tag="unknown"))

    answer = caller.ask("OPTIONS")

    assert answer.code == 200
    assert wire.pending() == []


def test_a_call_moves_to_another_port_or_connection(at: Beside, wire: Wire) -> None:
    """As after a gateway's fail-over, or behind an address translation."""
    caller = Caller(wire)
    caller.invite()

    with at.open() as other:
        caller.wire = other
        change = caller.invite()
        goodbye = caller.ask("BYE")

    assert (change.code, goodbye.code) == (200, 200)


def test_a_branch_of_another_sender_is_another_transaction(wire: Wire) -> None:
    """That branches are unique is an agreement; who breaks it must not get another's answer."""
    via = branch()
    one, two = Caller(wire), Caller(wire)
    wire.send(one.compose("OPTIONS", number=1, via=via))
    first = wire.answer(one.call_id, "OPTIONS")

    wire.send(two.compose("OPTIONS", number=1, via=via))
    second = wire.answer(two.call_id, "OPTIONS")

    assert (first.code, second.code) == (200, 200)

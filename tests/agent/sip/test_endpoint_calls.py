"""Whole calls: set up and torn down, with every message repeated and every one lost once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sip.events import Acknowledged, Ended, How, Invited
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.message import Request, parse_message
from support.lossy_call import LossyCall
from support.sip_caller import ANSWER, CONTACT, SDP, SipCaller, flow_over, header, statuses

TRANSPORTS = list(Transport)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_is_set_up_and_torn_down(transport: Transport) -> None:
    caller = SipCaller(flow=flow_over(transport))

    trying = caller.send("INVITE", body=SDP, headers="Require: siprec")
    invited = caller.invited()
    answered = caller.accept(invited.transaction)
    caller.to_tag = invited.dialog.local_tag
    after_ack = caller.ack()
    after_bye = caller.send("BYE")

    assert statuses(trying) == [100]
    assert statuses(answered) == [200]
    assert after_ack == []
    assert statuses(after_bye) == [200]
    acknowledged, ended = caller.take_events()
    assert isinstance(acknowledged, Acknowledged)
    assert acknowledged.dialog == invited.dialog
    assert isinstance(ended, Ended)
    assert (ended.dialog, ended.how) == (invited.dialog, How.BYE)
    assert caller.endpoint.dialogs == ()


def test_the_answer_says_who_we_are_and_what_may_be_asked() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP, headers="Require: siprec\nRecord-Route: <sip:192.0.2.7;lr>")
    invited = caller.invited()

    (answer,) = caller.accept(invited.transaction)

    assert header(answer, "contact") == CONTACT
    assert answer.headers.all("allow") == (
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "UPDATE",
        "INFO",
        "PRACK",
    )
    assert "siprec" in answer.headers.all("supported")
    assert header(answer, "record-route") == "<sip:192.0.2.7;lr>"
    assert answer.to_tag == invited.dialog.local_tag
    assert (answer.content_type, answer.body) == ("application/sdp", ANSWER)


def test_a_provisional_answer_makes_no_dialog() -> None:
    caller = SipCaller()

    (trying,) = caller.send("INVITE", body=SDP)

    assert trying.to_tag == ""


def test_the_application_sees_the_request_as_it_came() -> None:
    caller = SipCaller()
    data = caller.write("INVITE", body=SDP)

    caller.deliver(data)

    assert bytes(caller.invited().request) == data


def test_an_invite_repeated_before_the_answer_gets_the_same_trying() -> None:
    caller = SipCaller()
    data = caller.write("INVITE", body=SDP)
    first = caller.deliver(data)

    again = caller.deliver(data)

    assert again == first
    assert len(caller.take_events()) == 1


def test_an_invite_repeated_after_the_answer_gets_the_same_answer() -> None:
    caller = SipCaller()
    data = caller.write("INVITE", body=SDP)
    caller.deliver(data)
    answered = caller.accept(caller.invited().transaction)

    again = caller.deliver(data)

    assert again == answered
    assert caller.take_events() == []


def test_an_invite_repeated_after_the_ack_disturbs_nobody() -> None:
    caller = SipCaller()
    data = caller.write("INVITE", body=SDP)
    caller.deliver(data)
    invited = caller.invited()
    caller.accept(invited.transaction)
    caller.to_tag = invited.dialog.local_tag
    caller.ack()
    caller.take_events()

    again = caller.deliver(data)

    assert again == []
    assert caller.take_events() == []
    assert caller.endpoint.dialogs == (invited.dialog,)


@pytest.mark.parametrize("method", ["BYE", "OPTIONS", "REGISTER", "FOO", "UPDATE", "INFO", "PRACK"])
def test_a_repeated_request_gets_the_same_answer_and_is_handled_once(method: str) -> None:
    caller = SipCaller()
    caller.established()
    data = caller.write(method)
    first = caller.deliver(data)
    caller.take_events()

    again = caller.deliver(data)

    assert again == first
    assert len(first) == 1
    assert caller.take_events() == []


def test_the_answer_follows_a_peer_to_its_new_connection() -> None:
    caller = SipCaller(flow=flow_over(Transport.TCP, connection=1))
    data = caller.write("INVITE", body=SDP)
    caller.deliver(data)
    invited = caller.invited()
    caller.flow = flow_over(Transport.TCP, connection=2)
    caller.deliver(data)

    caller.endpoint.accept(invited.transaction, body=ANSWER, content_type="application/sdp", now_s=0.0)

    (outgoing,) = caller.endpoint.take_outgoing()
    assert outgoing.flow.connection == 2


def test_requests_of_ours_follow_a_peer_to_its_new_connection() -> None:
    caller = SipCaller(flow=flow_over(Transport.TCP, connection=1))
    invited = caller.call()
    caller.flow = flow_over(Transport.TCP, connection=2)
    caller.ack()

    caller.endpoint.hang_up(invited.dialog, caller.now_s)

    (outgoing,) = caller.endpoint.take_outgoing()
    assert outgoing.flow.connection == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Via: ", b"v: "),
        (b"Call-ID: ", b"i:"),
        (b"Contact: ", b"m : "),
        (b"From: <sip:gateway", b'From: "A, \\"B\\" <x>;tag=q" <sip:gateway'),
        (b"Max-Forwards: 70", b"Max-Forwards: 70\r\nSubject: caf\xe9\r\n folded"),
        (b"Max-Forwards: 70\r\n", b""),
        (b"Max-Forwards: 70", b"Max-Forwards: 0"),
        (b"\r\n", b"\n"),
        (b"Content-Length: ", b"Content-Length: 9"),
        (b"INVITE sip:srs@192.0.2.1:5070 ", b"INVITE sip:anything;x=y "),
    ],
)
def test_what_is_odd_but_readable_is_a_call_like_any_other(old: bytes, new: bytes) -> None:
    caller = SipCaller()
    data = caller.write("INVITE", body=SDP, headers="Require: siprec").replace(old, new)

    trying = caller.deliver(data)
    invited = caller.invited()
    answered = caller.accept(invited.transaction)

    assert statuses(trying) == [100]
    assert statuses(answered) == [200]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_unconfirmed_answer_is_sent_again_at_growing_intervals(transport: Transport) -> None:
    caller = SipCaller(flow=flow_over(transport))
    caller.call()
    times = []

    while caller.now_s < 31.75:
        if caller.wait(0.25):
            times.append(caller.now_s)

    # RFC 3261 section 13.3.1.4: T1, doubled up to T2, whatever the transport.
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_that_is_never_confirmed_is_hung_up(transport: Transport) -> None:
    caller = SipCaller(flow=flow_over(transport))
    invited = caller.call()

    sent = caller.wait(32.0)

    assert statuses(sent)[-1] == "BYE"
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert (ended.dialog, ended.how) == (invited.dialog, How.NO_ACK)
    assert caller.endpoint.dialogs == ()


def test_an_ack_ends_the_repetitions() -> None:
    caller = SipCaller()
    caller.established()

    sent = caller.wait(60.0)

    assert sent == []


def test_a_bye_before_the_ack_ends_the_repetitions() -> None:
    caller = SipCaller()
    caller.call()

    caller.send("BYE")

    assert caller.wait(60.0) == []


def test_a_second_ack_says_nothing_new() -> None:
    caller = SipCaller()
    caller.established()

    caller.ack()

    assert caller.take_events() == []


def test_an_ack_of_nothing_is_dropped() -> None:
    caller = SipCaller()

    answered = caller.send("ACK", to_tag="unknown")

    assert answered == []
    assert caller.take_events() == []
    assert caller.endpoint.counts.dropped == 1


def test_an_ack_with_another_number_confirms_nothing() -> None:
    caller = SipCaller()
    caller.call()

    caller.ack(cseq=7)

    assert caller.take_events() == []
    assert statuses(caller.wait(0.5)) == [200]


def test_the_ack_to_a_refusal_ends_its_repetitions_over_udp() -> None:
    caller = SipCaller()
    data = caller.write("INVITE", body=SDP, branch="z9hG4bK-refused")
    caller.deliver(data)
    refused_transaction = caller.invited().transaction
    caller.endpoint.reject(refused_transaction, 488, "Not Acceptable Here", now_s=0.0)
    refused = caller.heard()
    repeated = caller.wait(1.6)

    caller.send("ACK", cseq=1, branch="z9hG4bK-refused", to_tag=refused[0].to_tag)

    assert statuses(refused) == [488]
    assert statuses(repeated) == [488, 488]
    assert caller.wait(40.0) == []
    assert caller.take_events() == []


def test_a_refusal_is_said_once_over_a_connection() -> None:
    caller = SipCaller(flow=flow_over(Transport.TLS))
    caller.send("INVITE", body=SDP, branch="z9hG4bK-refused")
    caller.endpoint.reject(caller.invited().transaction, 488, "Not Acceptable Here", now_s=0.0)

    sent = [*caller.heard(), *caller.wait(10.0)]
    caller.send("ACK", cseq=1, branch="z9hG4bK-refused")

    assert statuses(sent) == [488]
    assert caller.endpoint.counts.transactions == 0
    assert caller.endpoint.due_s() is None


@pytest.mark.parametrize("branch", ["z9hG4bK-same", "z9hG4bK"])
def test_a_peer_whose_branches_are_all_alike_is_understood(branch: str) -> None:
    """RFC 4475 section 3.2.1: a branch that is only the cookie names no transaction."""
    caller = SipCaller()
    caller.send("INVITE", body=SDP, branch=branch)
    invited = caller.invited()
    caller.accept(invited.transaction)
    caller.to_tag = invited.dialog.local_tag

    caller.send("ACK", cseq=1, branch=branch)
    again = caller.send("INVITE", body=SDP, branch=branch)
    second = caller.take_events()[-1]
    caller.send("OPTIONS", branch=branch)

    assert statuses(again) == [100]
    assert isinstance(second, Invited)
    assert not second.is_new


def test_a_peer_without_branches_is_understood() -> None:
    caller = SipCaller()
    data = caller.write("INVITE", body=SDP, branch="gone").replace(b";branch=gone", b"")
    caller.deliver(data)
    invited = caller.invited()
    answered = caller.accept(invited.transaction)

    again = caller.deliver(data)

    assert again == answered


def test_an_invite_without_contact_is_taken() -> None:
    caller = SipCaller()
    data = caller.write("INVITE", body=SDP).replace(b"Contact:", b"X-Contact:")

    caller.deliver(data)
    invited = caller.invited()
    caller.accept(invited.transaction)
    caller.to_tag = invited.dialog.local_tag
    caller.ack()
    caller.endpoint.hang_up(invited.dialog, caller.now_s)

    (bye,) = caller.heard()
    assert isinstance(bye, Request)
    assert bye.uri == "sip:192.0.2.9:5060"


def test_an_answer_goes_where_the_via_says_when_rport_is_not_asked_for() -> None:
    caller = SipCaller(flow=flow_over(remote=("192.0.2.9", 54321)))
    data = (
        caller.write("OPTIONS").replace(b"192.0.2.9:54321", b"gateway.example:5062").replace(b";rport", b"")
    )

    caller.endpoint.receive(parse_message(data, is_stream=False), caller.flow, 0.0)

    (outgoing,) = caller.endpoint.take_outgoing()
    assert outgoing.destination == ("192.0.2.9", 5062)


def test_too_late_an_answer_of_the_application_is_told_so() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP, branch="z9hG4bK-1")
    invited = caller.invited()
    caller.send("CANCEL", cseq=1, branch="z9hG4bK-1")

    accepted = caller.endpoint.accept(invited.transaction, body=ANSWER, content_type="x/y", now_s=1.0)
    rejected = caller.endpoint.reject(invited.transaction, 488, "No", now_s=1.0)

    assert not accepted
    assert not rejected
    assert caller.heard() == []


def test_an_application_that_never_answers_does_not_leave_the_peer_waiting() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP)
    invited = caller.invited()

    sent = caller.wait(60.0)

    assert statuses(sent) == [500]
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert (ended.dialog, ended.how) == (invited.dialog, How.UNANSWERED)


def test_nothing_is_left_of_calls_that_are_over() -> None:
    caller = SipCaller()
    caller.established(headers="Supported: timer")
    caller.send("BYE")

    caller.wait(33.0)

    counts = caller.endpoint.counts
    assert (counts.dialogs, counts.transactions, counts.pending, counts.stored_bytes) == (0, 0, 0, 0)
    assert caller.endpoint.due_s() is None


@given(st.lists(st.booleans(), max_size=6))
def test_whatever_is_lost_the_call_comes_about_once(lost: list[bool]) -> None:
    call = LossyCall(lost)

    call.run()

    assert [type(event) for event in call.events] == [Invited, Acknowledged, Ended]
    assert isinstance(call.events[-1], Ended)
    assert call.events[-1].how is How.BYE
    assert call.is_over
    assert call.endpoint.counts.dialogs == 0

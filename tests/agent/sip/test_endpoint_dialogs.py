"""Requests within a call, requests taken back, and calls that another process began."""

import pytest

from callseal.agent.sip.dialog import ADOPTED_CSEQ
from callseal.agent.sip.events import Acknowledged, Asked, DialogId, Ended, How, Invited
from callseal.agent.sip.message import Request
from support.sip_caller import (
    ANSWER,
    METADATA,
    METADATA_TYPE,
    SDP,
    SDP_TYPE,
    SipCaller,
    header,
    statuses,
)

MIXED_TYPE = "multipart/mixed;boundary=b"
MIXED = (
    b"--b\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--b\r\nContent-Type: "
    b"application/rs-metadata+xml\r\n\r\n" + METADATA + b"\r\n--b--\r\n"
)


def test_a_reinvite_belongs_to_its_call() -> None:
    caller = SipCaller()
    first = caller.established()

    trying = caller.send("INVITE", body=SDP)
    again = caller.invited()
    answered = caller.accept(again.transaction)
    caller.ack()

    assert statuses(trying) == [100]
    assert statuses(answered) == [200]
    assert again.dialog == first.dialog
    assert not again.is_new
    assert not again.is_orphan
    (acknowledged,) = caller.take_events()
    assert isinstance(acknowledged, Acknowledged)
    assert caller.wait(60.0) == []


def test_a_refused_reinvite_leaves_the_call_as_it_is() -> None:
    caller = SipCaller()
    first = caller.established()
    caller.send("INVITE", body=SDP, branch="z9hG4bK-re")

    caller.endpoint.reject(caller.invited().transaction, 488, "Not Acceptable Here", now_s=0.0)

    assert statuses(caller.heard()) == [488]
    caller.send("ACK", cseq=caller.cseq, branch="z9hG4bK-re")
    assert caller.take_events() == []
    assert caller.endpoint.dialogs == (first.dialog,)
    assert statuses(caller.send("BYE")) == [200]


def test_a_reinvite_that_is_never_confirmed_ends_the_call() -> None:
    caller = SipCaller()
    caller.established()
    caller.send("INVITE", body=SDP)
    caller.accept(caller.invited().transaction)

    sent = caller.wait(32.0)

    assert statuses(sent)[-1] == "BYE"
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert ended.how is How.NO_ACK


def test_a_second_reinvite_waits_for_the_first() -> None:
    caller = SipCaller()
    caller.established()
    caller.send("INVITE", body=SDP)
    caller.invited()

    (refused,) = caller.send("INVITE", body=SDP)

    assert statuses([refused]) == [500]
    assert 0 <= int(header(refused, "retry-after")) <= 10
    assert caller.take_events() == []


def test_a_reinvite_stands_for_a_lost_ack() -> None:
    caller = SipCaller()
    caller.call()

    caller.send("INVITE", body=SDP)
    caller.accept(caller.invited().transaction)
    caller.ack()

    assert caller.wait(60.0) == []


def test_nothing_crosses_an_offer_of_ours() -> None:
    caller = SipCaller()
    caller.send("INVITE")
    invited = caller.invited()
    caller.accept(invited.transaction)
    caller.to_tag = invited.dialog.local_tag

    crossing = caller.send("INVITE", body=SDP)
    updating = caller.send("UPDATE", body=SDP)

    assert statuses(crossing) == [491]
    assert statuses(updating) == [491]


def test_the_answer_to_an_offer_of_ours_comes_with_the_ack() -> None:
    caller = SipCaller()
    caller.send("INVITE")
    invited = caller.invited()
    caller.accept(invited.transaction)
    caller.to_tag = invited.dialog.local_tag

    caller.send("ACK", cseq=1, body=SDP)

    (acknowledged,) = caller.take_events()
    assert isinstance(acknowledged, Acknowledged)
    assert acknowledged.request.body == SDP
    assert statuses(caller.send("INVITE", body=SDP)) == [100]


def test_an_update_with_metadata_waits_for_the_application() -> None:
    caller = SipCaller()
    first = caller.established()

    at_once = caller.send("UPDATE", body=METADATA, content_type=METADATA_TYPE)
    (asked,) = caller.take_events()

    assert at_once == []
    assert isinstance(asked, Asked)
    assert asked.dialog == first.dialog
    assert asked.request.body == METADATA
    assert statuses(caller.accept(asked.transaction, body=b"")) == [200]


def test_an_update_without_body_is_answered_here() -> None:
    caller = SipCaller()
    caller.established()

    (answer,) = caller.send("UPDATE", headers="Supported: timer\nSession-Expires: 600;refresher=uac")

    assert statuses([answer]) == [200]
    assert header(answer, "session-expires") == "600;refresher=uac"
    assert caller.take_events() == []


@pytest.mark.parametrize(("body", "content_type"), [(SDP, SDP_TYPE), (MIXED, MIXED_TYPE)])
def test_an_offer_in_an_update_waits_for_the_one_before(body: bytes, content_type: str) -> None:
    caller = SipCaller()
    caller.established()
    caller.send("INVITE", body=SDP)

    refused = caller.send("UPDATE", body=body, content_type=content_type)

    assert statuses(refused) == [500]


def test_metadata_in_an_update_waits_for_nobody() -> None:
    caller = SipCaller()
    caller.established()
    caller.send("INVITE", body=SDP)
    caller.take_events()

    caller.send("UPDATE", body=METADATA, content_type=METADATA_TYPE)

    (asked,) = caller.take_events()
    assert isinstance(asked, Asked)


@pytest.mark.parametrize("method", ["INFO", "PRACK"])
def test_a_question_with_something_in_it_is_passed_on(method: str) -> None:
    caller = SipCaller()
    caller.established()
    caller.send(method, body=METADATA, content_type=METADATA_TYPE)
    (asked,) = caller.take_events()

    assert isinstance(asked, Asked)
    caller.endpoint.reject(asked.transaction, 415, "Unsupported Media Type", now_s=0.0)

    assert statuses(caller.heard()) == [415]
    assert len(caller.endpoint.dialogs) == 1


@pytest.mark.parametrize("method", ["INFO", "PRACK"])
def test_a_question_with_nothing_in_it_is_agreed_to(method: str) -> None:
    caller = SipCaller()
    caller.established()

    answered = caller.send(method)

    assert statuses(answered) == [200]
    assert caller.take_events() == []


def test_a_question_is_not_left_open_for_ever() -> None:
    caller = SipCaller()
    caller.established()
    caller.send("INFO", body=METADATA, content_type=METADATA_TYPE)

    sent = caller.wait(61.0)

    assert statuses(sent) == [500]
    assert len(caller.endpoint.dialogs) == 1


@pytest.mark.parametrize("number", [4, 9])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "OPTIONS", "PRACK", "BYE"])
def test_an_old_number_is_refused(method: str, number: int) -> None:
    caller = SipCaller()
    caller.established()
    caller.send("OPTIONS", cseq=9)
    caller.send("INFO", cseq=9)

    (refused,) = caller.send(method, cseq=number, body=SDP if method == "INVITE" else b"")

    if method == "OPTIONS":  # asks about us, not about the call
        assert statuses([refused]) == [200]
    else:
        assert statuses([refused]) == [500]
        assert header(refused, "retry-after").isdigit()
    assert len(caller.endpoint.dialogs) == 1


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "INFO", "PRACK"])
def test_requests_of_calls_that_are_not_known_are_told_so(method: str) -> None:
    caller = SipCaller()

    answered = caller.send(method, to_tag="from-before")

    assert statuses(answered) == [481]
    assert caller.take_events() == []


def test_a_wrong_tag_ends_no_call() -> None:
    caller = SipCaller()
    caller.established()

    answered = caller.send("BYE", to_tag="guessed")

    assert statuses(answered) == [481]
    assert len(caller.endpoint.dialogs) == 1


def test_a_bye_ends_what_still_waits() -> None:
    caller = SipCaller()
    caller.established()
    caller.send("INVITE", body=SDP)
    reinvited = caller.invited()
    caller.send("INFO", body=METADATA, content_type=METADATA_TYPE)
    caller.take_events()

    sent = caller.send("BYE")

    assert sorted(map(str, statuses(sent))) == ["200", "487", "487"]
    assert not caller.endpoint.accept(reinvited.transaction, now_s=0.0)
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert ended.request is not None
    assert ended.request.method == "BYE"


def test_a_bye_may_require_anything() -> None:
    caller = SipCaller()
    caller.established()

    answered = caller.send("BYE", headers="Require: foo99")

    assert statuses(answered) == [200]


def test_a_cancelled_invite_is_over() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP, branch="z9hG4bK-c")
    invited = caller.invited()

    sent = caller.send("CANCEL", cseq=1, branch="z9hG4bK-c")

    assert statuses(sent) == [200, 487]
    assert {message.to_tag for message in sent} == {invited.dialog.local_tag}
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert (ended.dialog, ended.how) == (invited.dialog, How.CANCELLED)
    assert caller.endpoint.dialogs == ()


def test_a_cancel_after_the_answer_changes_nothing() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP, branch="z9hG4bK-c")
    caller.accept(caller.invited().transaction)

    sent = caller.send("CANCEL", cseq=1, branch="z9hG4bK-c")

    assert statuses(sent) == [200]
    assert caller.take_events() == []
    assert len(caller.endpoint.dialogs) == 1


def test_a_cancel_of_nothing_is_told_so() -> None:
    caller = SipCaller()

    sent = caller.send("CANCEL", cseq=1, branch="z9hG4bK-nothing")

    assert statuses(sent) == [481]


def test_a_cancelled_reinvite_leaves_the_call() -> None:
    caller = SipCaller()
    caller.established()
    caller.send("INVITE", cseq=2, body=SDP, branch="z9hG4bK-c")
    again = caller.invited()

    sent = caller.send("CANCEL", cseq=2, branch="z9hG4bK-c")

    assert statuses(sent) == [200, 487]
    assert not caller.endpoint.accept(again.transaction, now_s=0.0)
    assert caller.take_events() == []
    assert len(caller.endpoint.dialogs) == 1


def test_a_call_of_an_earlier_process_is_taken_over() -> None:
    caller = SipCaller()
    caller.to_tag = "before-restart"
    caller.cseq = 6

    caller.send("INVITE", body=SDP)
    orphan = caller.invited()
    (answer,) = caller.accept(orphan.transaction)
    caller.ack()
    caller.take_events()

    assert (orphan.is_new, orphan.is_orphan) == (False, True)
    assert orphan.dialog == DialogId(
        call_id=caller.call_id, local_tag="before-restart", remote_tag=caller.from_tag
    )
    assert answer.to_tag == "before-restart"
    assert statuses(caller.send("BYE")) == [200]
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)


def test_requests_of_ours_in_a_call_taken_over_count_on() -> None:
    caller = SipCaller()
    caller.to_tag = "before-restart"
    caller.cseq = 6
    orphan = caller.established()

    caller.endpoint.hang_up(orphan.dialog, caller.now_s)

    (bye,) = caller.heard()
    assert bye.cseq.number > ADOPTED_CSEQ
    assert bye.from_tag == "before-restart"


@pytest.mark.parametrize(("said", "answered"), [(488, 481), (404, 481), (481, 481), (503, 503)])
def test_a_call_that_is_not_taken_over_does_not_exist(said: int, answered: int) -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP, to_tag="before-restart")

    caller.endpoint.reject(caller.invited().transaction, said, "No", now_s=0.0)

    assert statuses(caller.heard()) == [answered]
    assert caller.endpoint.dialogs == ()
    assert caller.take_events() == []


def test_a_change_in_a_call_taken_over_is_refused_as_in_any_other() -> None:
    caller = SipCaller()
    caller.to_tag = "before-restart"
    caller.established()
    caller.send("INVITE", body=SDP)

    caller.endpoint.reject(caller.invited().transaction, 488, "Not Acceptable Here", now_s=0.0)

    assert statuses(caller.heard()) == [488]
    assert len(caller.endpoint.dialogs) == 1


def test_while_it_is_not_known_whether_a_call_is_taken_over_its_requests_wait() -> None:
    caller = SipCaller()
    caller.to_tag = "before-restart"
    caller.send("INVITE", body=SDP)
    caller.invited()

    sent = [*caller.send("INVITE", body=SDP), *caller.send("UPDATE"), *caller.send("INFO")]

    assert statuses(sent) == [500, 500, 500]
    assert caller.take_events() == []


def test_a_bye_before_a_call_is_taken_over_ends_it() -> None:
    caller = SipCaller()
    caller.to_tag = "before-restart"
    caller.send("INVITE", body=SDP)
    orphan = caller.invited()

    sent = caller.send("BYE")

    assert sorted(map(str, statuses(sent))) == ["200", "487"]
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert ended.dialog == orphan.dialog
    assert not caller.endpoint.accept(orphan.transaction, body=ANSWER, now_s=0.0)


def test_requests_of_ours_go_where_the_peer_said_last() -> None:
    caller = SipCaller()
    first = caller.established(headers="Contact: <sip:192.0.2.20>\nRecord-Route: <sip:192.0.2.7:5066;lr>")
    caller.send("UPDATE", headers="Contact: <sip:192.0.2.30:5090>")

    caller.endpoint.hang_up(first.dialog, caller.now_s)

    (outgoing,) = caller.endpoint.take_outgoing()
    bye = outgoing.data.decode()
    assert bye.startswith("BYE sip:192.0.2.30:5090 SIP/2.0\r\n")
    assert "\r\nRoute: <sip:192.0.2.7:5066;lr>\r\n" in bye
    assert outgoing.destination == ("192.0.2.7", 5066)


def test_two_calls_of_one_gateway_do_not_meet() -> None:
    caller = SipCaller()
    other = SipCaller(caller.endpoint, call_id="call-2")
    first = caller.established()
    second = other.established()

    caller.send("BYE")

    assert caller.endpoint.dialogs == (second.dialog,)
    assert first.dialog not in caller.endpoint.dialogs


def test_an_invitation_names_its_flow() -> None:
    caller = SipCaller()

    caller.send("INVITE", body=SDP)

    invited = caller.invited()
    assert invited.flow == caller.flow
    assert isinstance(invited, Invited)
    assert isinstance(invited.request, Request)

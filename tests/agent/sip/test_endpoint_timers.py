"""Sessions that are refreshed or not, and calls that we end."""

from dataclasses import replace

import pytest

from callseal.agent.sip.events import Ended, How, Invited
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.via import BRANCH_COOKIE
from support.sip_caller import SDP, SipCaller, answer_to, flow_over, header, statuses

PEER_REFRESHES = "Supported: timer\nSession-Expires: 600;refresher=uac"
WE_REFRESH = "Supported: timer\nSession-Expires: 600;refresher=uas\nAllow: INVITE, ACK, BYE, UPDATE"


def test_a_peer_that_knows_timers_is_asked_to_refresh() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP, headers="Supported: timer")

    (answer,) = caller.accept(caller.invited().transaction)

    assert header(answer, "session-expires") == "1800;refresher=uac"
    assert answer.headers.all("require") == ("timer",)


def test_a_peer_that_knows_no_timers_is_not_bothered() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP)

    (answer,) = caller.accept(caller.invited().transaction)

    assert answer.headers.get("session-expires") is None
    assert answer.headers.get("require") is None


def test_a_session_that_is_not_refreshed_ends() -> None:
    caller = SipCaller()
    invited = caller.established(headers=PEER_REFRESHES)

    before = caller.wait(599.5)
    after = caller.wait(1.0)

    assert before == []
    assert statuses(after)[:1] == ["BYE"]
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert (ended.dialog, ended.how) == (invited.dialog, How.EXPIRED)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_session_that_is_refreshed_goes_on(method: str) -> None:
    caller = SipCaller()
    caller.established(headers=PEER_REFRESHES)
    caller.wait(590)

    caller.send(method, body=SDP if method == "INVITE" else b"", headers=PEER_REFRESHES)
    if method == "INVITE":
        caller.accept(caller.invited().transaction)
        caller.ack()
        caller.take_events()

    assert caller.wait(590) == []
    assert caller.take_events() == []


def test_a_refresh_without_a_timer_ends_the_timing() -> None:
    caller = SipCaller()
    caller.established(headers=PEER_REFRESHES)

    caller.send("UPDATE")

    assert caller.wait(10_000) == []


def test_where_the_peer_leaves_it_to_us_we_refresh() -> None:
    caller = SipCaller()
    caller.established(headers=WE_REFRESH)

    (update,) = caller.wait(300.2)
    caller.deliver(answer_to(update, 200, "OK", "Session-Expires: 600;refresher=uac"))
    (again,) = caller.wait(300)

    assert isinstance(update, Request)
    assert update.method == "UPDATE"
    assert header(update, "session-expires") == "600;refresher=uac"
    assert header(update, "contact")
    assert again.cseq.number == update.cseq.number + 1
    assert caller.take_events() == []


def test_we_do_not_promise_a_refresh_that_the_peer_would_not_take() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP, headers="Session-Expires: 600\nAllow: INVITE, ACK, BYE")

    (answer,) = caller.accept(caller.invited().transaction)

    assert answer.headers.get("session-expires") is None


def test_the_peer_may_take_the_refreshing_over() -> None:
    caller = SipCaller()
    caller.established(headers=WE_REFRESH)
    (update,) = caller.wait(300.2)

    caller.deliver(answer_to(update, 200, "OK", "Session-Expires: 600;refresher=uas"))

    assert caller.wait(599) == []
    assert statuses(caller.wait(2))[:1] == ["BYE"]


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_does_not_know_the_call_any_more_ends_it(status: int) -> None:
    caller = SipCaller()
    caller.established(headers=WE_REFRESH)
    (update,) = caller.wait(300.2)

    sent = caller.deliver(answer_to(update, status, "Gone"))

    assert statuses(sent) == ["BYE"]
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert ended.how is How.EXPIRED


def test_a_peer_that_does_not_answer_any_more_ends_the_call() -> None:
    caller = SipCaller()
    caller.established(headers=WE_REFRESH)

    sent = caller.wait(333)

    assert statuses(sent)[-1] == "BYE"
    assert set(statuses(sent)) == {"UPDATE", "BYE"}
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert ended.how is How.EXPIRED


@pytest.mark.parametrize("status", [405, 491, 500])
def test_a_refused_refresh_is_tried_again_and_ends_nothing(status: int) -> None:
    caller = SipCaller()
    caller.established(headers=WE_REFRESH)
    (update,) = caller.wait(300.2)

    caller.deliver(answer_to(update, status, "No"))
    (again,) = caller.wait(75.2)

    assert again.cseq.number == update.cseq.number + 1
    assert caller.take_events() == []


def test_a_peer_that_wants_a_longer_interval_gets_it() -> None:
    caller = SipCaller()
    caller.established(headers=WE_REFRESH)
    (update,) = caller.wait(300.2)

    caller.deliver(answer_to(update, 422, "Session Interval Too Small", "Min-SE: 1200"))
    (again,) = caller.wait(0.7)

    assert header(again, "session-expires") == "1200;refresher=uac"


@pytest.mark.parametrize("transport", list(Transport))
def test_we_hang_up_with_a_bye(transport: Transport) -> None:
    caller = SipCaller(flow=flow_over(transport))
    invited = caller.established()

    caller.endpoint.hang_up(invited.dialog, caller.now_s, reason='SIP;cause=503;text="recorder stops"')
    (bye,) = caller.heard()
    caller.deliver(answer_to(bye, 200, "OK"))

    assert isinstance(bye, Request)
    assert bye.method == "BYE"
    assert (bye.from_tag, bye.to_tag) == (invited.dialog.local_tag, caller.from_tag)
    assert bye.call_id == caller.call_id
    assert bye.via.transport == transport.value
    assert len(bye.via.branch) > len(BRANCH_COOKIE)
    assert bye.via.branch.startswith(BRANCH_COOKIE)
    assert header(bye, "reason") == 'SIP;cause=503;text="recorder stops"'
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert (ended.dialog, ended.how) == (invited.dialog, How.HUNG_UP)


def test_a_bye_of_ours_is_repeated_over_udp_until_given_up() -> None:
    caller = SipCaller()
    invited = caller.established()
    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    caller.heard()

    sent = caller.wait(33)

    # RFC 3261 section 17.1.2.2: after 0.5, 1, 2 and then 4 s each, up to 32 s.
    assert statuses(sent) == ["BYE"] * 10
    (ended,) = caller.take_events()
    assert isinstance(ended, Ended)
    assert ended.how is How.HUNG_UP
    assert caller.endpoint.counts.transactions == 0


def test_a_bye_of_ours_is_said_once_over_a_connection() -> None:
    caller = SipCaller(flow=flow_over(Transport.TCP))
    invited = caller.established()
    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    caller.heard()

    sent = caller.wait(33)

    assert sent == []
    assert isinstance(caller.take_events()[0], Ended)


def test_a_provisional_answer_slows_the_repetitions_down() -> None:
    caller = SipCaller()
    invited = caller.established()
    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    (bye,) = caller.heard()

    caller.deliver(answer_to(bye, 100, "Trying"))

    assert caller.wait(3.9) == []
    assert statuses(caller.wait(0.2)) == ["BYE"]


def test_we_wait_for_the_ack_before_we_hang_up() -> None:
    caller = SipCaller()
    invited = caller.call()

    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    before = caller.heard()
    after = caller.ack()

    assert before == []
    assert statuses(after) == ["BYE"]


def test_nothing_is_begun_in_a_call_that_we_end() -> None:
    caller = SipCaller()
    invited = caller.established()
    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    caller.heard()

    sent = [*caller.send("INVITE", body=SDP), *caller.send("UPDATE")]

    assert statuses(sent) == [481, 481]
    assert caller.take_events() == []


def test_two_byes_that_cross_end_the_call_once() -> None:
    caller = SipCaller()
    invited = caller.established()
    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    (bye,) = caller.heard()

    crossing = caller.send("BYE")
    caller.deliver(answer_to(bye, 481, "Call/Transaction Does Not Exist"))

    assert statuses(crossing) == [200]
    assert len([event for event in caller.take_events() if isinstance(event, Ended)]) == 1


def test_hanging_up_twice_is_hanging_up_once() -> None:
    caller = SipCaller()
    invited = caller.established()

    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    caller.endpoint.hang_up(replace(invited.dialog, call_id="unknown"), caller.now_s)

    assert statuses(caller.heard()) == ["BYE"]


def test_hanging_up_before_the_answer_refuses_the_call() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP)
    invited = caller.invited()

    caller.endpoint.hang_up(invited.dialog, caller.now_s)

    assert statuses(caller.heard()) == [487]
    assert isinstance(caller.take_events()[0], Ended)


def test_answers_to_nothing_are_dropped() -> None:
    caller = SipCaller()
    invited = caller.established()
    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    (bye,) = caller.heard()
    forged = answer_to(bye, 200, "OK").replace(bye.via.branch.encode(), b"z9hG4bK-guessed")

    caller.deliver(forged)

    assert caller.take_events() == []
    assert caller.endpoint.counts.dropped == 1


def test_a_second_answer_to_a_request_of_ours_says_nothing_new() -> None:
    caller = SipCaller()
    invited = caller.established()
    caller.endpoint.hang_up(invited.dialog, caller.now_s)
    (bye,) = caller.heard()
    answer = answer_to(bye, 200, "OK")
    caller.deliver(answer)
    caller.take_events()

    caller.deliver(answer)

    assert caller.take_events() == []
    assert caller.endpoint.counts.dropped == 0


def test_a_long_sleep_ends_what_had_to_end_meanwhile() -> None:
    caller = SipCaller()
    caller.established(headers=PEER_REFRESHES)
    other = SipCaller(caller.endpoint, call_id="call-2")
    other.send("INVITE", body=SDP)
    waiting = other.invited()

    caller.endpoint.tick(10_000.0)

    assert isinstance(waiting, Invited)
    kinds = {event.how for event in caller.endpoint.take_events() if isinstance(event, Ended)}
    assert kinds == {How.EXPIRED, How.UNANSWERED}
    messages = caller.heard()
    assert any(isinstance(message, Response) and message.status == 500 for message in messages)

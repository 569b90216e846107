"""What is refused, and how: so that a gateway knows what to do next."""

import pytest

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.limits import Limits
from callseal.agent.sip.message import Headers, Request, parse_message
from support.sip_caller import METADATA, METADATA_TYPE, SDP, SipCaller, flow_over, header, statuses

UNKNOWN = ["REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "REFER", "FOO", "invite"]


@pytest.mark.parametrize("method", UNKNOWN)
def test_other_methods_are_not_allowed(method: str) -> None:
    caller = SipCaller()

    (refused,) = caller.send(method)

    assert statuses([refused]) == [405]
    assert "INVITE" in refused.headers.all("allow")
    assert refused.to_tag


def test_options_tells_what_is_understood() -> None:
    caller = SipCaller()

    (answer,) = caller.send("OPTIONS")

    assert statuses([answer]) == [200]
    assert set(answer.headers.all("accept")) == {
        "application/sdp",
        "application/rs-metadata",
        "application/rs-metadata+xml",
        "multipart/mixed",
    }
    assert {"siprec", "timer"} <= set(answer.headers.all("supported"))
    assert "UPDATE" in answer.headers.all("allow")
    assert "+sip.srs" in header(answer, "contact")


@pytest.mark.parametrize(
    "required", ["", "siprec", "100rel,siprec", "siprec, timer", "Siprec", "record-aware"]
)
def test_what_gateways_require_is_understood(required: str) -> None:
    caller = SipCaller()

    answered = caller.send("INVITE", body=SDP, headers=f"Require: {required}" if required else "")

    assert statuses(answered) == [100]


def test_what_nobody_knows_is_named_in_the_refusal() -> None:
    caller = SipCaller()

    (refused,) = caller.send("INVITE", body=SDP, headers="Require: siprec, foo99\nRequire: bar")

    assert statuses([refused]) == [420]
    assert refused.headers.all("unsupported") == ("foo99", "bar")
    assert caller.take_events() == []


def test_one_call_that_comes_two_ways_is_taken_once() -> None:
    caller = SipCaller()
    caller.send("INVITE", cseq=1, body=SDP, branch="z9hG4bK-one-way")
    caller.invited()

    again = caller.send("INVITE", cseq=1, body=SDP, branch="z9hG4bK-another-way")

    assert statuses(again) == [482]
    assert caller.take_events() == []


def test_a_call_that_was_refused_may_come_again() -> None:
    caller = SipCaller()
    caller.send("INVITE", cseq=1, body=SDP)
    caller.endpoint.reject(caller.invited().transaction, 503, "Service Unavailable", now_s=0.0)
    caller.heard()

    again = caller.send("INVITE", cseq=1, body=SDP)

    assert statuses(again) == [100]
    assert caller.invited().is_new


def test_a_call_that_is_over_is_forgotten() -> None:
    caller = SipCaller()
    caller.established()
    caller.send("BYE")
    caller.wait(33)

    again = caller.send("INVITE", cseq=1, body=SDP, to_tag="")

    assert statuses(again) == [100]


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_who_is_not_ready_sends_gateways_elsewhere(method: str) -> None:
    caller = SipCaller()
    caller.endpoint.set_readiness(False, 17)

    (refused,) = caller.send(method)

    assert statuses([refused]) == [503]
    assert header(refused, "retry-after") == "17"
    assert caller.take_events() == []


def test_who_is_ready_again_is_called_again() -> None:
    caller = SipCaller()
    caller.endpoint.set_readiness(False)
    caller.endpoint.set_readiness(True)

    assert statuses(caller.send("OPTIONS")) == [200]
    assert statuses(caller.send("INVITE")) == [100]


def test_running_calls_go_on_while_no_new_ones_are_taken() -> None:
    caller = SipCaller()
    caller.established()
    caller.endpoint.set_readiness(False)

    assert statuses(caller.send("OPTIONS")) == [200]
    assert statuses(caller.send("UPDATE")) == [200]
    assert statuses(caller.send("INVITE", body=SDP)) == [100]
    caller.accept(caller.invited().transaction)
    caller.ack()
    assert statuses(caller.send("BYE")) == [200]


def test_calls_beyond_the_limit_are_sent_elsewhere_until_one_ends() -> None:
    first = SipCaller(limits=Limits(dialogs=1))
    second = SipCaller(first.endpoint, call_id="call-2")
    first.established()

    (refused,) = second.send("INVITE", body=SDP)
    asked = second.send("OPTIONS")
    first.send("BYE")
    taken = second.send("INVITE", body=SDP)

    assert statuses([refused]) == [503]
    assert header(refused, "retry-after").isdigit()
    assert statuses(asked) == [503]
    assert statuses(taken) == [100]
    assert first.endpoint.counts.refused == 1


def test_calls_that_wait_for_the_application_have_a_limit() -> None:
    first = SipCaller(limits=Limits(pending=1))
    second = SipCaller(first.endpoint, call_id="call-2")
    first.send("INVITE", body=SDP)

    refused = second.send("INVITE", body=SDP)

    assert statuses(refused) == [503]


def test_questions_of_one_call_have_a_limit_of_their_own() -> None:
    caller = SipCaller(limits=Limits(pending_in_dialog=2))
    other = SipCaller(caller.endpoint, call_id="call-2")
    caller.established()
    for _ in range(2):
        caller.send("INFO", body=METADATA, content_type=METADATA_TYPE)

    refused = caller.send("INFO", body=METADATA, content_type=METADATA_TYPE)

    assert statuses(refused) == [500]
    assert statuses(other.send("INVITE", body=SDP)) == [100]


def test_without_room_for_transactions_calls_still_end() -> None:
    caller = SipCaller(limits=Limits(transactions=2))
    other = SipCaller(caller.endpoint, call_id="call-2")
    caller.established()
    caller.send("OPTIONS")

    refused = other.send("INVITE", body=SDP)
    ended = caller.send("BYE")

    assert statuses(refused) == [503]
    assert statuses(ended) == [200]
    assert caller.endpoint.counts.transactions == 2
    assert caller.endpoint.dialogs == ()


def test_text_that_is_kept_has_a_limit() -> None:
    limit = 50_000
    first = SipCaller(limits=Limits(stored_bytes=limit))
    sent = []

    for number in range(20):
        caller = SipCaller(first.endpoint, call_id=f"call-{number}")
        sent += caller.send("INVITE", body=bytes(10_000))

    assert set(statuses(sent)) == {100, 503}
    assert first.endpoint.counts.stored_bytes < limit + 12_000


def test_what_is_kept_of_a_call_is_counted_as_it_grows() -> None:
    caller = SipCaller(flow=flow_over(Transport.TCP))
    caller.established()
    before = caller.endpoint.counts.stored_bytes

    caller.send("UPDATE", headers=f"Contact: <sip:{'a' * 1000}@192.0.2.9>")

    assert caller.endpoint.counts.stored_bytes >= before + 950


def test_a_session_timer_that_is_too_short_is_refused() -> None:
    caller = SipCaller()

    (refused,) = caller.send("INVITE", body=SDP, headers="Supported: timer\nSession-Expires: 60")

    assert statuses([refused]) == [422]
    assert header(refused, "min-se") == "90"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"SIP/2.0\r\n", b"SIP/3.0\r\n", 505),
        (b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE", 400),
        (b"CSeq: 1 OPTIONS", b"CSeq: abc OPTIONS", 400),
        (b"Call-ID: call-1\r\n", b"", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: many", 400),
        (b"OPTIONS sip:srs@192.0.2.1:5070", b"OPTIONS http:example.org", 416),
    ],
)
def test_what_is_malformed_is_answered_where_that_is_possible(old: bytes, new: bytes, status: int) -> None:
    caller = SipCaller()
    with pytest.raises(SipSyntaxError) as caught:
        parse_message(caller.write("OPTIONS").replace(old, new, 1), is_stream=False)

    caller.endpoint.reject_malformed(caught.value, caller.flow, 0.0)

    (outgoing,) = caller.endpoint.take_outgoing()
    assert outgoing.data.startswith(f"SIP/2.0 {status} ".encode())
    assert outgoing.destination == caller.flow.remote
    assert caller.endpoint.counts.malformed == 1
    assert caller.endpoint.counts.transactions == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Via: SIP/2.0/UDP", b"Via: XXX/UDP"),
        (b":5060;branch", b":99999999;branch"),
        (b"Via:", b"X-Via:"),
        (b"OPTIONS sip:", b"\x00\x01\x02"),
    ],
)
def test_what_has_no_way_back_is_not_answered(old: bytes, new: bytes) -> None:
    caller = SipCaller()

    answered = caller.deliver(caller.write("OPTIONS").replace(old, new, 1))

    assert answered == []
    assert statuses(caller.send("OPTIONS")) == [200]


@pytest.mark.parametrize(
    "fields",
    [(), (("via", "XXX"),), (("via", "SIP/2.0/UDP 192.0.2.9;branch=x"), ("call-id", "a\rb"))],
)
def test_an_answer_that_cannot_be_written_is_not_sent(fields: tuple[tuple[str, str], ...]) -> None:
    caller = SipCaller()
    request = Request(method="OPTIONS", uri="sip:srs@192.0.2.1", headers=Headers(fields=fields))

    caller.endpoint.reject_malformed(
        SipSyntaxError("odd", status=400, request=request), caller.flow, caller.now_s
    )

    assert caller.endpoint.take_outgoing() == []
    assert caller.endpoint.counts.malformed == 1


def test_a_refusal_that_refuses_nothing_is_an_error_of_ours() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP)
    transaction = caller.invited().transaction

    with pytest.raises(ValueError, match="300"):
        caller.endpoint.reject(transaction, 200, "OK", now_s=0.0)

    assert statuses(caller.accept(transaction)) == [200]


def test_a_header_with_a_line_end_is_an_error_of_ours_and_changes_nothing() -> None:
    caller = SipCaller()
    caller.send("INVITE", body=SDP)
    transaction = caller.invited().transaction

    with pytest.raises(ValueError, match="line"):
        caller.endpoint.accept(transaction, headers=[("server", "x\r\nEvil: 1")], now_s=0.0)

    assert caller.heard() == []
    assert statuses(caller.accept(transaction)) == [200]

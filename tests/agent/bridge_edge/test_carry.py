"""The two halves of a bridged call say what the telephones would have said to each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response, parse_message
from callseal.agent.sources.bridge.edge.carry import GRACE_S, MAX_CALLS_KNOWN, Calls
from support.carried_legs import (
    CARRIED,
    CREDENTIALS,
    INVITE,
    added,
    answer,
    begun,
    invite,
    numbered,
    referred,
    second,
    sent_on,
    sip,
)
from support.sip_text import request_of

FIRST = f"{1:032x}"
"""The first token of `numbered`."""


def test_a_call_is_known_by_a_token_that_nobody_can_guess() -> None:
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return bytes(range(size))

    facts = begun(Calls(random=random))

    assert facts.token == bytes(range(16)).hex()
    assert asked == [16]
    assert facts.side == "phone"


def test_the_child_learns_which_call_it_is_and_no_credentials() -> None:
    calls = numbered()
    facts = begun(calls)

    line = calls.to_line(facts, invite())

    gone = {name for name, _ in invite().headers.fields} - {name for name, _ in line.headers.fields}
    assert gone == {"proxy-authorization", "x-callseal-anything", "replaces"}
    assert line.headers.all("x-callseal-call") == (facts.token,)
    assert line.headers.all("x-callseal-from") == ("phone",)
    assert line.body == invite().body
    assert b"5ecret" not in bytes(line) + line.raw


def test_the_second_leg_says_what_the_first_one_said() -> None:
    calls = numbered()
    facts = begun(calls)
    own = second(facts.token)

    leg = sent_on(calls, own)

    assert added(own, leg) == (*CARRIED, ("proxy-authorization", CREDENTIALS))
    assert added(leg, own) == (("x-callseal-call", facts.token), ("x-callseal-to", "pbx"))
    assert (leg.uri, leg.body) == (own.uri, own.body)


def test_a_call_from_the_telephone_system_reaches_the_telephone_in_the_same_way() -> None:
    calls = numbered()
    facts = begun(calls, "pbx")
    own = second(facts.token, "phone")

    leg = sent_on(calls, own, "phone")

    assert set(CARRIED) < set(added(own, leg))


def test_what_the_child_says_itself_is_not_said_twice() -> None:
    calls = numbered()
    facts = begun(calls)
    own = second(facts.token)
    own = own.with_headers(Headers(fields=(*own.headers.fields, ("subject", "Mine"))))

    leg = sent_on(calls, own)

    assert leg.headers.all("subject") == ("Mine",)


def test_nothing_goes_back_to_whom_it_came_from() -> None:
    calls = numbered()
    facts = begun(calls)
    own = second(facts.token, "phone")

    leg = sent_on(calls, own, "phone")

    assert added(own, leg) == ()


@pytest.mark.parametrize(("token", "to"), [("0" * 32, "pbx"), (FIRST, "line"), (FIRST, ""), ("", "pbx")])
def test_a_leg_of_no_call_goes_nowhere(token: str, to: str) -> None:
    calls = numbered()
    begun(calls)

    assert calls.second_leg(second(token, to), 1.0) is None


def test_the_acknowledgement_of_the_second_leg_has_its_credentials() -> None:
    calls = numbered()
    facts = begun(calls)
    sent_on(calls, second(facts.token))
    ack = Request(
        method="ACK", uri="sip:x@h", headers=Headers(fields=(("call-id", "second"), ("cseq", "7 ACK")))
    )
    other = Request(
        method="ACK", uri="sip:x@h", headers=Headers(fields=(("call-id", "second"), ("cseq", "8 ACK")))
    )

    assert added(ack, calls.acknowledging(facts.token, ack)) == (("proxy-authorization", CREDENTIALS),)
    assert calls.acknowledging(facts.token, other) == other
    assert calls.acknowledging("unknown", ack) == ack


def test_an_invite_to_no_address_is_the_peers_fault_and_leaves_nothing() -> None:
    calls = numbered()
    request = request_of(sip(INVITE.replace("sip:0301234@pbx.example.com SIP/2.0", "sip:1@h:99999 SIP/2.0")))

    with pytest.raises(SipSyntaxError):
        calls.begin(request, "phone", 0.0)

    assert len(calls) == 0


def test_more_calls_than_can_be_known_are_refused() -> None:
    calls = numbered()
    for _ in range(MAX_CALLS_KNOWN):
        begun(calls)

    assert calls.begin(invite(), "phone", 0.0) is None
    calls.forget(f"{1:032x}")
    assert calls.begin(invite(), "phone", 0.0) is not None


def test_a_call_is_forgotten_some_time_after_it_is_over() -> None:
    calls = numbered()
    facts = begun(calls)

    calls.forget_old(1000.0, {facts.token})
    calls.forget_old(1000.0 + GRACE_S - 0.1, set())
    assert calls.facts(facts.token) == facts
    calls.forget_old(1000.0 + GRACE_S, set())

    assert calls.facts(facts.token) is None
    assert len(calls) == 0


def test_what_happens_in_a_call_keeps_it_known() -> None:
    calls = numbered()
    facts = begun(calls)
    received = second(facts.token)
    calls.second_leg(received, 20.0)
    calls.forget_old(20.0 + GRACE_S - 1, ())
    calls.passing(received, received, answer(received, 180, "Ringing"), 60.0)
    calls.forget_old(60.0 + GRACE_S - 1, ())
    calls.passing(invite(), calls.to_line(facts, invite()), answer(invite(), 180, "Ringing"), 100.0)
    calls.forget_old(100.0 + GRACE_S - 1, ())

    assert calls.facts(facts.token) == facts


NAMES = st.sampled_from(
    (
        *("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate", "replaces"),
        *("x-callseal-call", "x-callseal-to", "x-callseal-from", "contact", "content-x", "require", "via"),
        *("p-asserted-identity", "privacy", "reason", "x-a"),
    )
)
VALUES = st.sampled_from([FIRST, "phone", "pbx", "line", "a <CID:b>", "", "ä\udc80"]) | st.text(max_size=9)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12).map(tuple)


@given(first=FIELDS, own=FIELDS, heard=FIELDS, status=st.integers(100, 699), other=st.integers(100, 699))
def test_whatever_is_said_no_mark_gets_out_and_no_password_in(
    first: tuple[tuple[str, str], ...],
    own: tuple[tuple[str, str], ...],
    heard: tuple[tuple[str, str], ...],
    status: int,
    other: int,
) -> None:
    calls = numbered()
    incoming = invite()
    incoming = incoming.with_headers(Headers(fields=(*incoming.headers.fields, *first)))
    facts = calls.begin(incoming, "phone", 0.0)
    assert facts is not None
    leg = second(facts.token)
    leg = leg.with_headers(Headers(fields=(*leg.headers.fields, *own)))

    line = calls.to_line(facts, incoming)
    out = sent_on(calls, leg)
    calls.passing(leg, out, Response(status=status, reason="x", headers=Headers(fields=heard)), 1.0)
    back = calls.passing(incoming, line, answer(incoming, other, "Own"), 2.0)

    assert not {"authorization", "proxy-authorization", "replaces"} & {
        name for name, _ in line.headers.fields
    }
    assert line.headers.all("x-callseal-call") == (facts.token,)
    assert not [name for name, _ in out.headers.fields if name.startswith("x-callseal-")]
    assert not [name for name, _ in back.headers.fields if name.startswith("x-callseal-")]
    assert len(out.headers.all("content-x")) == sum(name == "content-x" for name, _ in own)
    if other not in (401, 407) or other != status:
        assert not back.headers.all("www-authenticate") + back.headers.all("proxy-authenticate")


def test_what_goes_out_can_be_read_again() -> None:
    calls = numbered()
    facts = begun(calls)

    for request in (calls.to_line(facts, invite()), sent_on(calls, second(facts.token))):
        again = parse_message(bytes(request), is_stream=True)
        assert isinstance(again, Request)
        assert [item for item in again.headers.fields if item[0] != "content-length"] == [
            item for item in request.headers.fields if item[0] != "content-length"
        ]


def test_no_password_and_no_number_gets_into_a_log() -> None:
    calls = numbered()
    facts = begun(calls)
    calls.expect_transfer(referred(facts.token, referred_by="<sip:201@pbx.example.com>"))
    sent_on(calls, second(facts.token))

    shown = repr(vars(calls))

    assert facts.token in shown
    for secret in ("5ecret", "n0nce", "201", "0301234"):
        assert secret not in shown

"""What one half of a bridged call is answered, the other half is answered too."""

import pytest

from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response
from callseal.agent.sources.bridge.edge.carry import Calls
from callseal.agent.sources.bridge.edge.facts import Facts
from support.carried_legs import (
    CHALLENGE,
    added,
    answer,
    begun,
    invite,
    numbered,
    second,
    sent_on,
)


def passed_back(heard: tuple[Response, ...], own: Response, calls: Calls, facts: Facts) -> Response:
    """Return what becomes of the child's own answer to the first leg, after the second leg was answered."""
    received = second(facts.token)
    forwarded = sent_on(calls, received)
    for response in heard:
        assert calls.passing(received, forwarded, response, 2.0) == response
    first = invite()
    return calls.passing(first, calls.to_line(facts, first), own, 3.0)


@pytest.mark.parametrize(
    ("status", "name"), [(401, "www-authenticate"), (407, "proxy-authenticate"), (407, "www-authenticate")]
)
def test_the_telephone_systems_challenge_reaches_the_telephone(status: int, name: str) -> None:
    calls = numbered()
    facts = begun(calls)
    challenge = answer(second(facts.token), status, "Who are you?", (name, CHALLENGE), (name, "Digest b"))
    own = answer(invite(), status, "Unauthorized")

    back = passed_back((challenge,), own, calls, facts)

    assert added(own, back) == ((name, CHALLENGE), (name, "Digest b"))
    assert (back.status, back.reason) == (status, "Who are you?")


def test_a_challenge_goes_with_its_own_status_alone() -> None:
    calls = numbered()
    facts = begun(calls)
    challenge = answer(second(facts.token), 407, "Who?", ("proxy-authenticate", CHALLENGE))
    own = answer(invite(), 480, "Temporarily Unavailable")

    back = passed_back((challenge,), own, calls, facts)

    assert back == own


def test_the_last_refusal_counts() -> None:
    calls = numbered()
    facts = begun(calls)
    short = answer(second(facts.token), 422, "Session Interval Too Small", ("warning", '399 a "x"'))
    busy = answer(second(facts.token), 486, "Occupied", ("retry-after", "60"))

    back = passed_back((short, busy), answer(invite(), 486, "Busy Here"), calls, facts)

    assert (back.reason, back.headers.get("retry-after"), back.headers.get("warning")) == (
        "Occupied",
        "60",
        None,
    )


@pytest.mark.parametrize(("heard_status", "own_status"), [(183, 180), (200, 200), (486, 480)])
def test_what_is_said_with_an_answer_goes_with_one_of_its_class(heard_status: int, own_status: int) -> None:
    calls = numbered()
    facts = begun(calls)
    said = (
        ("p-asserted-identity", '"Bob" <sip:0301234@pbx.example.com>'),
        ("privacy", "none"),
        ("alert-info", "<urn:alert:source:external>"),
        ("call-info", "<http://x/y>;purpose=info"),
        ("warning", '399 pbx "late"'),
        ("retry-after", "5"),
        ("reason", "Q.850;cause=16"),
        ("error-info", "<sip:sorry@pbx>"),
        ("user-to-user", "00ff"),
        ("authentication-info", 'nextnonce="n"'),
    )
    not_said = (
        ("server", "PBX"),
        ("contact", "<sip:x@pbx>"),
        ("record-route", "<sip:pbx;lr>"),
        ("rseq", "1"),
    )
    heard = answer(second(facts.token), heard_status, "Heard", *said, *not_said)
    own = answer(invite(), own_status, "Own", ("contact", "<sip:callseal-phone@127.0.0.1:41000>"))

    back = passed_back((heard,), own, calls, facts)

    assert added(own, back) == said
    assert back.reason == "Own"
    assert back.headers.all("contact") == ("<sip:callseal-phone@127.0.0.1:41000>",)


@pytest.mark.parametrize(("own_status", "heard_status"), [(200, 180), (180, 100), (503, 200)])
def test_an_answer_of_another_class_brings_nothing(own_status: int, heard_status: int) -> None:
    calls = numbered()
    facts = begun(calls)
    heard = answer(
        second(facts.token), heard_status, "Heard", ("alert-info", "<urn:x>"), ("warning", '399 a "x"')
    )
    own = answer(invite(), own_status, "Own")

    assert passed_back((heard,), own, calls, facts) == own


def test_what_the_child_answers_itself_is_not_answered_twice() -> None:
    calls = numbered()
    facts = begun(calls)
    heard = answer(second(facts.token), 503, "Full", ("retry-after", "60"))
    own = answer(invite(), 503, "Own", ("retry-after", "5"))

    back = passed_back((heard,), own, calls, facts)

    assert back.headers.all("retry-after") == ("5",)


@pytest.mark.parametrize("status", [302, 485])
def test_who_is_redirected_is_told_where_to(status: int) -> None:
    calls = numbered()
    facts = begun(calls)
    there = (("contact", "<sip:300@pbx.example.com>;q=1"), ("contact", "<sip:301@pbx.example.com>"))
    own = answer(invite(), status, "Own", ("contact", "<sip:callseal-phone@127.0.0.1:41000>"))

    back = passed_back((answer(second(facts.token), status, "Moved", *there),), own, calls, facts)

    assert back.headers.all("contact") == tuple(value for _, value in there)


def test_nobody_is_redirected_to_the_child() -> None:
    calls = numbered()
    facts = begun(calls)
    own = answer(invite(), 302, "Moved", ("contact", "<sip:callseal-phone@127.0.0.1:41000>"))

    back = passed_back((), own, calls, facts)

    assert back.headers.all("contact") == ()


def test_an_answer_to_anything_else_stays_as_it_is() -> None:
    calls = numbered()
    facts = begun(calls)
    sent_on(calls, second(facts.token))
    bye = Request(method="BYE", uri="sip:x@h", headers=invite().headers)
    foreign = second("0" * 32)

    for request in (bye, foreign, invite()):
        response = answer(request, 401, "Unauthorized", ("www-authenticate", CHALLENGE))
        assert calls.passing(request, request, response, 2.0) is response


def test_a_telephone_that_forges_the_mark_learns_nothing_and_says_nothing() -> None:
    calls = numbered()
    facts = begun(calls)
    received = second(facts.token)
    forwarded = sent_on(calls, received)
    calls.passing(received, forwarded, answer(received, 407, "No", ("proxy-authenticate", CHALLENGE)), 2.0)
    # A call that goes straight through: what the telephone wrote is not in what is sent.
    forged = second(facts.token, call_id="forged")
    straight = forged.with_headers(Headers(fields=forged.headers.fields[:-4]))
    response = answer(forged, 407, "Authenticate", ("proxy-authenticate", "Digest other"))

    assert calls.passing(forged, straight, response, 3.0) is response
    own = answer(invite(), 407, "Own")
    back = calls.passing(invite(), calls.to_line(facts, invite()), own, 4.0)
    assert back.headers.all("proxy-authenticate") == (CHALLENGE,)

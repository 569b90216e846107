"""The leg that a transfer adds says who referred and what it replaces, and no more."""

from callseal.agent.sip.headers import Headers
from callseal.agent.sources.bridge.edge.carry import MAX_TRANSFERS_KNOWN
from support.carried_legs import CHALLENGE, added, answer, begun, invite, numbered, referred, second, sent_on


def test_a_transfers_leg_says_who_referred_and_what_it_replaces_and_no_more() -> None:
    calls = numbered()
    facts = begun(calls, "pbx")
    sent_on(calls, second(facts.token, "phone"), "phone")
    calls.expect_transfer(
        referred(facts.token, replaces="far@x;to-tag=1;from-tag=2", referred_by="<sip:201@pbx.example.com>")
    )
    own = second(facts.token, call_id="third")

    leg = sent_on(calls, own)

    assert added(own, leg) == (
        ("referred-by", "<sip:201@pbx.example.com>"),
        ("replaces", "far@x;to-tag=1;from-tag=2"),
        ("require", "replaces"),
    )


def test_a_transfer_in_the_telephones_name_keeps_its_privacy_and_not_its_password() -> None:
    calls = numbered()
    facts = begun(calls)
    sent_on(calls, second(facts.token))
    calls.expect_transfer(referred(facts.token))
    own = second(facts.token, call_id="third")

    leg = sent_on(calls, own)

    assert added(own, leg) == (("p-preferred-identity", "<sip:201@pbx.example.com>"), ("privacy", "id"))


def test_a_transfer_goes_to_the_telephone_system() -> None:
    calls = numbered()
    facts = begun(calls, "pbx")
    calls.expect_transfer(referred(facts.token, referred_by="<sip:201@h>"))

    sent_on(calls, second(facts.token, "phone"), "phone")
    leg = sent_on(calls, second(facts.token, call_id="third"))

    assert leg.headers.get("referred-by") == "<sip:201@h>"


def test_a_transfers_leg_that_is_sent_again_is_the_same() -> None:
    calls = numbered()
    facts = begun(calls, "pbx")
    calls.expect_transfer(referred(facts.token, referred_by="<sip:201@h>"))
    sent_on(calls, second(facts.token, call_id="third"))

    again = sent_on(calls, second(facts.token, call_id="third", number=8))
    other = sent_on(calls, second(facts.token, call_id="fourth"))

    assert again.headers.get("referred-by") == "<sip:201@h>"
    assert other.headers.get("referred-by") is None


def test_a_challenge_of_a_transfers_leg_reaches_nobody() -> None:
    calls = numbered()
    facts = begun(calls)
    sent_on(calls, second(facts.token))
    calls.expect_transfer(referred(facts.token))
    received = second(facts.token, call_id="third")
    leg = sent_on(calls, received)
    calls.passing(received, leg, answer(received, 407, "No", ("proxy-authenticate", CHALLENGE)), 2.0)
    own = answer(invite(), 407, "Own")

    back = calls.passing(invite(), calls.to_line(facts, invite()), own, 3.0)

    assert back == own


def test_many_transfers_of_one_call_take_no_more_room() -> None:
    calls = numbered()
    facts = begun(calls, "pbx")
    for index in range(MAX_TRANSFERS_KNOWN + 1):
        calls.expect_transfer(referred(facts.token, referred_by=f"<sip:{index}@h>"))
        sent_on(calls, second(facts.token, call_id=f"leg-{index}"))

    oldest = sent_on(calls, second(facts.token, call_id="leg-0", number=8))
    newest = sent_on(calls, second(facts.token, call_id=f"leg-{MAX_TRANSFERS_KNOWN}", number=8))

    assert oldest.headers.get("referred-by") is None
    assert newest.headers.get("referred-by") == f"<sip:{MAX_TRANSFERS_KNOWN}@h>"


def test_a_transfer_of_no_call_is_passed_over() -> None:
    calls = numbered()

    calls.expect_transfer(referred("unknown"))

    assert len(calls) == 0


def test_what_the_child_requires_itself_is_required_too() -> None:
    calls = numbered()
    facts = begun(calls, "pbx")
    calls.expect_transfer(referred(facts.token, replaces="far@x;to-tag=1;from-tag=2"))
    own = second(facts.token, call_id="third")
    own = own.with_headers(Headers(fields=(*own.headers.fields, ("require", "timer"))))

    leg = sent_on(calls, own)

    assert leg.headers.all("require") == ("timer", "replaces")

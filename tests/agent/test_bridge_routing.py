"""Routing: each INVITE goes where it belongs and is recorded as the rules say, whatever stands in it."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.call import Party
from callseal.agent.numbering import Numbering
from callseal.agent.sources.bridge import protocol
from callseal.agent.sources.bridge.edge.facts import Facts
from callseal.agent.sources.bridge.protocol import Refuse, Route
from callseal.agent.sources.bridge.routing import (
    NOT_FOUND,
    UNAVAILABLE,
    Desk,
    Plan,
    announcement_key,
    party,
    plan,
)
from callseal.agent.tagging import Tagging
from support.sealed_recordings import STARTED_AT
from support.settings_text import LEAST, settings_of

MOBILE = "+8613800138000"
TOKEN = "0123456789abcdef" * 2
OUTBOUND = Facts(
    token=TOKEN,
    side="phone",
    request_uri="sip:13800138000@127.0.0.1:5060",
    request_user="13800138000",
    from_address='"Wang Fang" <sip:8001@127.0.0.1>',
    to_address="<sip:13800138000@127.0.0.1>",
    call_id="abc@desk",
)
INBOUND = Facts(
    token=TOKEN,
    side="pbx",
    request_uri="sip:8001@192.0.2.7:5060",
    request_user="8001",
    from_address='"李雷" <sip:013800138000@pbx.example;user=phone>',
    to_address="<sip:8001@bridge.example>",
    call_id="def@pbx",
)


def _desk(rules: str = "", *, phone: str = "sip:8001@127.0.0.1:5070", agent: str = "") -> Desk:
    settings = settings_of(LEAST + rules)
    numbering = Numbering(
        region=settings.numbers.region,
        outside_prefix=settings.numbers.outside_prefix,
        emergency=settings.numbers.emergency,
    )
    return Desk(
        pbx_target="pbx.example:5060",
        phone=phone,
        agent=agent,
        on_failure="no-record",
        hold_talk=True,
        ring_timeout_s=60.0,
        response_timeout_s=6.0,
        numbering=numbering,
        tagging=Tagging.of(settings, numbering),
        edge="127.0.0.1:5060",
    )


def _plan(facts: Facts, desk: Desk | None = None, rules: str = "") -> Plan:
    return plan(3, facts, desk or _desk(rules), STARTED_AT)


def _customer(from_uri: str) -> Party:
    planned = _plan(replace(INBOUND, from_address=from_uri))
    assert planned.call is not None
    return planned.call.customer


def test_a_call_from_the_desk_goes_to_the_telephone_system_and_is_recorded() -> None:
    planned = _plan(OUTBOUND)

    assert planned.command == Route(
        call=3,
        token=TOKEN,
        target="sip:13800138000@pbx.example:5060",
        from_uri='"Wang Fang" <sip:8001@127.0.0.1>',
        caller="agent",
        record=True,
        announcement="zh+en",
        on_failure="no-record",
        hold_talk=True,
        response_timeout_s=6.0,
        ring_timeout_s=60.0,
    )
    assert planned.recorded
    assert planned.exempt_reason == ""


def test_what_is_known_of_an_outbound_call_is_noted() -> None:
    call = _plan(OUTBOUND, rules='[[rule]]\nbusiness = "sales"\nannouncements = ["zh"]\n').call

    assert call is not None
    assert (call.source, call.direction, call.started_at) == ("bridge", "outbound", STARTED_AT)
    assert call.agent == Party(number="8001", uri="sip:8001@127.0.0.1", name="Wang Fang")
    assert call.customer == Party(number=MOBILE, uri="sip:13800138000@pbx.example:5060")
    assert call.sip_call_ids == ("abc@desk",)
    assert (call.business, call.retention_class, call.announcements) == ("sales", "sales", ("zh",))


def test_a_call_from_the_telephone_system_goes_to_the_desk() -> None:
    planned = _plan(INBOUND)

    assert isinstance(planned.command, Route)
    assert planned.command.target == "sip:8001@127.0.0.1:5070"
    assert planned.command.caller == "customer"
    assert planned.call is not None
    assert planned.call.direction == "inbound"
    assert planned.call.customer == Party(
        number=MOBILE, uri="sip:013800138000@pbx.example;user=phone", name="李雷"
    )
    assert planned.call.agent == Party(number="8001", uri="sip:8001@bridge.example")


def test_the_agents_name_in_the_settings_wins_over_the_telephones() -> None:
    for facts in (OUTBOUND, INBOUND):
        call = _plan(facts, _desk(agent="desk-7")).call

        assert call is not None
        assert call.agent.name == "desk-7"


@pytest.mark.parametrize("dialled", ["110", "120", "%31%31%30", "86110", "010110", "+86-119"])
def test_a_call_for_help_is_connected_unannounced_and_unrecorded(dialled: str) -> None:
    planned = _plan(replace(OUTBOUND, request_user=dialled), rules='[[rule]]\nrecord = "always"\n')

    assert isinstance(planned.command, Route)
    assert planned.command.target == f"sip:{dialled}@pbx.example:5060"
    assert (planned.command.record, planned.command.announcement) == (False, "")
    assert planned.exempt_reason == "emergency"
    assert not planned.recorded


def test_a_private_line_is_connected_unannounced_and_unrecorded() -> None:
    planned = _plan(OUTBOUND, rules='[[rule]]\ncalled = "+861*"\nrecord = "never"\n')

    assert isinstance(planned.command, Route)
    assert (planned.command.record, planned.command.announcement) == (False, "")
    assert planned.exempt_reason == "rule-never"


def test_a_rule_without_announcements_records_and_plays_none() -> None:
    planned = _plan(OUTBOUND, rules="[[rule]]\nannouncements = []\n")

    assert isinstance(planned.command, Route)
    assert (planned.command.record, planned.command.announcement) == (True, "")


@pytest.mark.parametrize(
    "uri",
    [
        "sip:13800138000@pbx.example",
        "sip:13800138000@pbx.example:5080;user=phone",
        "sips:13800138000@pbx.example",
        "tel:+8613800138000",
        "sip:13800138000@127.0.0.1:5061",
    ],
)
def test_the_second_leg_asks_for_what_the_telephone_asked_for(uri: str) -> None:
    """A digest covers the request URI: another one would make the telephone's password worth nothing."""
    planned = _plan(replace(OUTBOUND, request_uri=uri))

    assert isinstance(planned.command, Route)
    assert planned.command.target == uri


@pytest.mark.parametrize("host", ["127.0.0.1:5060", "127.0.0.1"])
def test_a_telephone_that_takes_the_edge_for_the_telephone_system_is_understood(host: str) -> None:
    planned = _plan(replace(OUTBOUND, request_uri=f"sip:13800138000@{host};user=phone"))

    assert isinstance(planned.command, Route)
    assert planned.command.target == "sip:13800138000@pbx.example:5060"


def test_an_inbound_call_goes_to_the_telephone_that_has_registered() -> None:
    planned = _plan(replace(INBOUND, phone_uri="sip:8001-0x5@127.0.0.1:41000;transport=tcp"))

    assert isinstance(planned.command, Route)
    assert planned.command.target == "sip:8001-0x5@127.0.0.1:41000;transport=tcp"


def test_a_caller_who_is_withheld_is_known_by_what_the_telephone_system_asserts() -> None:
    anonymous = "Anonymous <sip:anonymous@anonymous.invalid>"

    planned = _plan(replace(INBOUND, from_address=anonymous, asserted="<sip:13800138000@pbx.example>"))

    assert planned.call is not None
    assert planned.call.customer.number == MOBILE


def test_whom_a_transfer_brings_is_read_from_the_address() -> None:
    found = party('"Han Mei" <sip:13800138000@pbx.example>', _desk().numbering)

    assert found == Party(number=MOBILE, uri="sip:13800138000@pbx.example", name="Han Mei")


def test_without_a_telephone_inbound_calls_are_refused_and_leave_a_trace() -> None:
    planned = _plan(INBOUND, _desk(phone=""))

    assert planned.command == Refuse(call=3, code=UNAVAILABLE)
    assert planned.call is not None
    assert planned.call.customer.number == MOBILE


@pytest.mark.parametrize(
    "dialled",
    [
        "",
        " ",
        "138 0013",
        "1\r\nX: y",
        "1\t",
        "a@b",
        "<1>",
        'a"b',
        "1>",
        "一一零",
        "1\udcc4",
        "1" * 129,
        "a:b",
        "#1",
    ],
)
def test_what_can_not_stand_in_a_request_is_not_dialled(dialled: str) -> None:
    planned = _plan(replace(OUTBOUND, request_user=dialled))

    assert planned == Plan(command=Refuse(call=3, code=NOT_FOUND), call=None)


@pytest.mark.parametrize("dialled", ["*72", "%2372", "wang.fang", "+8613800138000", "1" * 128])
def test_feature_codes_names_and_long_numbers_are_dialled_as_they_are(dialled: str) -> None:
    planned = _plan(replace(OUTBOUND, request_user=dialled))

    assert isinstance(planned.command, Route)
    assert planned.command.target == f"sip:{dialled}@pbx.example:5060"


@pytest.mark.parametrize(
    ("from_uri", "party"),
    [
        ("<sip:8613800138000@h>", Party(number=MOBILE, uri="sip:8613800138000@h")),
        ("sip:13800138000@h;tag=7", Party(number=MOBILE, uri="sip:13800138000@h")),
        ("sips:13800138000@h", Party(number=MOBILE, uri="sips:13800138000@h")),
        ("Li Lei <sip:13800138000@h>", Party(number=MOBILE, uri="sip:13800138000@h", name="Li Lei")),
        ('"" <sip:13800138000@h>', Party(number=MOBILE, uri="sip:13800138000@h")),
        ('"a \\"b\\" \\\\c" <sip:1380@h>', Party(number="1380", uri="sip:1380@h", name='a "b" \\c')),
        (
            "<tel:+8613800138000;phone-context=x>",
            Party(number=MOBILE, uri="tel:+8613800138000;phone-context=x"),
        ),
        ("<sip:8001:secret@h>", Party(number="8001", uri="sip:8001:secret@h")),
        (
            "<sip:anonymous@anonymous.invalid>",
            Party(number="anonymous", uri="sip:anonymous@anonymous.invalid"),
        ),
        ("<sip:pbx.example>", Party(number="", uri="sip:pbx.example")),
        ('"unfinished <sip:13800138000@h>', Party(number="")),
        ("<sip:13800138000@h", Party(number="")),
        ("", Party(number="")),
        ("<>", Party(number="")),
    ],
)
def test_the_callers_number_and_name_are_read_from_every_form_of_address(from_uri: str, party: Party) -> None:
    assert _customer(from_uri) == party


def test_a_display_name_can_not_pass_itself_off_as_an_address() -> None:
    """Else a caller could choose the number on record, and with it the rule that counts."""
    forged = '"<sip:8002@pbx.example>" <sip:13800138000@pbx.example>'
    never = '[[rule]]\ncalling = "8002"\nrecord = "never"\n'

    planned = _plan(replace(INBOUND, from_address=forged), rules=never)

    assert planned.recorded
    assert planned.call is not None
    assert planned.call.customer.number == MOBILE
    assert planned.call.customer.name == "<sip:8002@pbx.example>"


def test_a_very_long_name_is_cut() -> None:
    assert _customer(f'"{"王" * 5000}" <sip:1@h>').name == "王" * 128


def test_a_name_that_was_no_utf_8_is_replaced_where_it_can_not_be_written() -> None:
    """GBK bytes arrive as halves of surrogate pairs, which neither metadata nor pjsua2 can hold."""
    gbk = "王".encode("gbk").decode("utf-8", "surrogateescape")

    planned = _plan(replace(INBOUND, from_address=f'"{gbk}" <sip:13800138000@h>', call_id=gbk))

    assert isinstance(planned.command, Route)
    assert planned.command.from_uri == '"\ufffd\ufffd" <sip:13800138000@h>'
    assert planned.call is not None
    assert planned.call.customer == Party(number=MOBILE, uri="sip:13800138000@h", name="\ufffd\ufffd")
    assert planned.call.sip_call_ids == ("\ufffd\ufffd",)


def test_a_plan_that_goes_on_unrecorded_plays_nothing() -> None:
    unrecorded = _plan(OUTBOUND).unrecorded("spool-full")

    assert isinstance(unrecorded.command, Route)
    assert (unrecorded.command.record, unrecorded.command.announcement) == (False, "")
    assert unrecorded.exempt_reason == "spool-full"
    assert not unrecorded.recorded
    assert unrecorded.call == _plan(OUTBOUND).call


def test_what_is_turned_away_gets_the_status_codes_of_sip() -> None:
    assert (NOT_FOUND, UNAVAILABLE) == (404, 480)


def test_a_programme_is_named_by_its_announcements_in_order() -> None:
    assert announcement_key(("zh", "en")) == "zh+en"
    assert announcement_key(()) == ""


_ADDRESSES = st.one_of(
    st.text(max_size=60),
    st.text(alphabet='<>":;@\\ sip\r\n', max_size=40),
    st.builds("{}<sip:{}@{}>{}".format, *[st.text(max_size=10)] * 4),
    st.text(alphabet=st.characters(categories=["Cs", "Cc", "L"]), max_size=20),
)
_USERS = st.text(max_size=40) | st.text(alphabet="0123456789+*%;?&\r\n\t @<>", max_size=20)


_INVITES = st.builds(
    Facts,
    token=st.just(TOKEN),
    side=st.sampled_from(["phone", "pbx"]),
    request_uri=st.builds("sip:{}@{}".format, _USERS, st.text(max_size=10)) | st.text(max_size=60),
    request_user=_USERS,
    from_address=_ADDRESSES,
    to_address=_ADDRESSES,
    asserted=_ADDRESSES,
    call_id=st.text(max_size=20) | st.text(alphabet=st.characters(categories=["Cs", "Cc"])),
)


@given(_INVITES)
def test_whatever_an_invite_holds_a_plan_can_be_made_sent_and_written(invited: Facts) -> None:
    planned = _plan(invited)

    assert protocol.decode(protocol.encode(planned.command)) == planned.command
    if isinstance(planned.command, Route):
        assert re.fullmatch(r"(?:sips?|tel):[!-~]+", planned.command.target, re.IGNORECASE)
        assert "\r" not in planned.command.from_uri
        assert "\n" not in planned.command.from_uri
        assert planned.call is not None
    if planned.call is not None:
        for who in (planned.call.agent, planned.call.customer):
            json.dumps([who.number, who.uri, who.name], ensure_ascii=False).encode()
        "".join(planned.call.sip_call_ids).encode()

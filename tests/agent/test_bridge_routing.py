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
from callseal.agent.sources.bridge.protocol import Invited, Refuse, Route
from callseal.agent.sources.bridge.routing import (
    FORBIDDEN,
    NOT_FOUND,
    UNAVAILABLE,
    Desk,
    Plan,
    announcement_key,
    plan,
)
from callseal.agent.tagging import Tagging
from support.sealed_recordings import STARTED_AT
from support.settings_text import LEAST, settings_of

MOBILE = "+8613800138000"
DESK = Desk(
    pbx_hosts=frozenset({"192.0.2.1", "192.0.2.2"}),
    pbx_port=5060,
    pbx_target="pbx.example:5060",
    phone="sip:8001@127.0.0.1:5070",
    agent="",
    on_failure="no-record",
    hold_talk=True,
    ring_timeout_s=60.0,
    response_timeout_s=6.0,
)
OUTBOUND = Invited(
    call=3,
    source_host="127.0.0.1",
    source_port=5070,
    request_user="13800138000",
    from_uri='"Wang Fang" <sip:8001@127.0.0.1>',
    to_uri="<sip:13800138000@127.0.0.1>",
    sip_call_id="abc@desk",
)
INBOUND = Invited(
    call=4,
    source_host="192.0.2.1",
    source_port=5060,
    request_user="8001",
    from_uri='"李雷" <sip:013800138000@pbx.example;user=phone>;tag=1',
    to_uri="<sip:8001@bridge.example>",
    sip_call_id="def@pbx",
)


def _plan(invited: Invited, desk: Desk = DESK, rules: str = "") -> Plan:
    settings = settings_of(LEAST + rules)
    numbering = Numbering(
        region=settings.numbers.region,
        outside_prefix=settings.numbers.outside_prefix,
        emergency=settings.numbers.emergency,
    )
    return plan(invited, desk, numbering, Tagging.of(settings, numbering), STARTED_AT)


def _customer(from_uri: str) -> Party:
    planned = _plan(replace(INBOUND, from_uri=from_uri))
    assert planned.call is not None
    return planned.call.customer


def test_a_call_from_the_desk_goes_to_the_telephone_system_and_is_recorded() -> None:
    planned = _plan(OUTBOUND)

    assert planned.command == Route(
        call=3,
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
    for invited in (OUTBOUND, INBOUND):
        call = _plan(invited, replace(DESK, agent="desk-7")).call

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
    ("host", "port"),
    [
        ("198.51.100.7", 5060),
        ("192.0.2.1", 5061),
        ("192.0.2.3", 5060),
        ("pbx.example", 5060),
        ("localhost", 5070),
        ("", 0),
        ("::2", 5060),
        ("127.0.0.1.example", 5070),
    ],
)
def test_an_invite_from_anywhere_else_is_turned_away_without_a_trace_of_its_names(
    host: str, port: int
) -> None:
    planned = _plan(replace(OUTBOUND, source_host=host, source_port=port))

    assert planned == Plan(command=Refuse(call=3, code=FORBIDDEN), call=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]"])
def test_any_loopback_address_is_this_machine(host: str) -> None:
    assert _plan(replace(OUTBOUND, source_host=host)).recorded


def test_without_a_telephone_inbound_calls_are_refused_and_leave_a_trace() -> None:
    planned = _plan(INBOUND, replace(DESK, phone=""))

    assert planned.command == Refuse(call=4, code=UNAVAILABLE)
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

    planned = _plan(replace(INBOUND, from_uri=forged), rules=never)

    assert planned.recorded
    assert planned.call is not None
    assert planned.call.customer.number == MOBILE
    assert planned.call.customer.name == "<sip:8002@pbx.example>"


def test_a_very_long_name_is_cut() -> None:
    assert _customer(f'"{"王" * 5000}" <sip:1@h>').name == "王" * 128


def test_a_name_that_was_no_utf_8_is_replaced_where_it_can_not_be_written() -> None:
    """GBK bytes arrive as halves of surrogate pairs, which neither metadata nor pjsua2 can hold."""
    gbk = "王".encode("gbk").decode("utf-8", "surrogateescape")

    planned = _plan(replace(INBOUND, from_uri=f'"{gbk}" <sip:13800138000@h>', sip_call_id=gbk))

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
    assert (FORBIDDEN, NOT_FOUND, UNAVAILABLE) == (403, 404, 480)


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
    Invited,
    call=st.integers(1, 100),
    source_host=st.sampled_from(["127.0.0.1", "192.0.2.1", "::1"]) | st.text(max_size=20),
    source_port=st.sampled_from([5060, 5070]),
    request_user=_USERS,
    from_uri=_ADDRESSES,
    to_uri=_ADDRESSES,
    sip_call_id=st.text(max_size=20) | st.text(alphabet=st.characters(categories=["Cs", "Cc"])),
)


@given(_INVITES)
def test_whatever_an_invite_holds_a_plan_can_be_made_sent_and_written(invited: Invited) -> None:
    planned = _plan(invited)

    assert protocol.decode(protocol.encode(planned.command)) == planned.command
    if isinstance(planned.command, Route):
        assert re.fullmatch(r"sip:[!-~]+@[!-~]+", planned.command.target)
        assert "\r" not in planned.command.from_uri
        assert "\n" not in planned.command.from_uri
        assert planned.call is not None
    if planned.call is not None:
        for party in (planned.call.agent, planned.call.customer):
            json.dumps([party.number, party.uri, party.name], ensure_ascii=False).encode()
        "".join(planned.call.sip_call_ids).encode()

"""Who is the agent, who the customer, and whose voice goes to which channel."""

from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.call import Direction
from callseal.agent.siprec.parties import Roles
from support import siprec_bodies
from support.siprec_bodies import CUSTOMER, complete, partial
from support.siprec_roles import roles

AGENT_FIRST = ((0,), (1,))
CUSTOMER_FIRST = ((1,), (0,))


def call(*aors: str, streams: bool = True) -> bytes:
    """Write a document with these participants, each with a stream of its own."""
    elements = ['<session session_id="s"/>']
    for number, aor in enumerate(aors, start=1):
        elements.append(f'<participant participant_id="p{number}"><nameID aor="{aor}"/></participant>')
        elements.append(f'<stream stream_id="m{number}"><label>{number}</label></stream>')
        if streams:
            elements.append(
                f'<participantstreamassoc participant_id="p{number}"><send>m{number}</send>'
                "</participantstreamassoc>"
            )
    return complete(*elements)


def numbers(told: Roles) -> tuple[str, str]:
    """Give the agent's and the customer's numbers."""
    return told.agent.number, told.customer.number


@pytest.mark.parametrize(
    ("body", "agent", "direction", "channels"),
    [
        (siprec_bodies.CUBE, "8001", "outbound", AGENT_FIRST),
        (siprec_bodies.ORACLE, "+8675595099", "unknown", CUSTOMER_FIRST),
        (siprec_bodies.SONUS, "8001", "outbound", CUSTOMER_FIRST),
        (siprec_bodies.BROADWORKS, "li.wei", "outbound", ((0, 1),)),
        (siprec_bodies.AUDIOCODES, "8001", "inbound", CUSTOMER_FIRST),
        (siprec_bodies.SEMS, "Extension-8001", "inbound", CUSTOMER_FIRST),
        (siprec_bodies.CALL_ID_AS_SESSION, "8001", "outbound", AGENT_FIRST),
        (siprec_bodies.EMPTY_IDS, "8001", "inbound", CUSTOMER_FIRST),
        (siprec_bodies.DUMMY, "8001", "inbound", CUSTOMER_FIRST),
        (
            siprec_bodies.netsapiens(agent="8001", group="58cc3154ca0bdd2b", sequence=0),
            "8001",
            "inbound",
            CUSTOMER_FIRST,
        ),
    ],
)
def test_agent_customer_direction_and_channels_are_told_for_each_gateway(
    body: bytes, agent: str, direction: Direction, channels: tuple[tuple[int, ...], ...]
) -> None:
    told = roles(body)

    assert numbers(told) == (agent, CUSTOMER)
    assert told.direction == direction
    assert told.channels == channels
    assert told.others == ()


def test_numbers_of_the_house_decide_before_all_else() -> None:
    told = roles(siprec_bodies.ORACLE, inside=("+8613800138000",))

    assert numbers(told) == (CUSTOMER, "+8675595099")
    assert told.direction == "outbound"
    assert told.channels == AGENT_FIRST


@pytest.mark.parametrize("glob", ["+86755*", "0755*", "075595099", "+8675595099"])
def test_a_number_of_the_house_may_be_given_in_e164_or_as_it_is_dialled(glob: str) -> None:
    assert numbers(roles(siprec_bodies.ORACLE, inside=(glob,))) == ("+8675595099", CUSTOMER)


@pytest.mark.parametrize(
    ("aors", "agent", "customer"),
    [
        (("sip:+8613800138000@h", "sip:95099@h"), "95099", CUSTOMER),
        (("tel:+86-138-0013-8000", "tel:8001;phone-context=pbx.example"), "8001", CUSTOMER),
        (("sip:anonymous@anonymous.invalid", "sip:8001@h"), "8001", ""),
        (("NOCALLERID", "sip:8001@h"), "8001", ""),
        (("sip:li.wei@pbx.example", "sip:13800138000@h"), "li.wei", CUSTOMER),
        (("sip:10.1.0.9", "sip:8001@h"), "8001", ""),
        (("sip:8001@[2001:db8::1]:5060", "sip:13800138000@[2001:db8::2]"), "8001", CUSTOMER),
        (("sip:8001@h:99999", "sip:13800138000@h:99999"), "8001", CUSTOMER),
        (("&lt;sip:8001@h&gt;;tag=1", "&quot;Wang&quot; &lt;sip:13800138000@h&gt;"), "8001", CUSTOMER),
    ],
)
def test_a_number_is_read_from_whatever_stands_in_the_place_of_an_address(
    aors: tuple[str, ...], agent: str, customer: str
) -> None:
    assert numbers(roles(call(*aors))) == (agent, customer)


def test_a_number_of_another_place_is_no_extension() -> None:
    told = roles(call("sip:62345678@h", "sip:8001@h"))

    assert numbers(told) == ("8001", "62345678")
    assert told.direction == "inbound"


def test_names_that_are_shown_are_kept() -> None:
    told = roles(siprec_bodies.CUBE)

    assert (told.customer.name, told.customer.uri) == ("Wang Fang", "sip:13800138000@10.1.0.9")


TWO_OUTSIDE = call("sip:13800138000@h", "sip:13900139000@h")


@pytest.mark.parametrize(
    ("fields", "agent", "direction"),
    [
        ({"x_call_direction": "incoming"}, "+8613900139000", "inbound"),
        ({"x_call_direction": "Outbound"}, "+8613800138000", "outbound"),
        ({"from": "<sip:13900139000@h>;tag=1", "x_call_direction": "in"}, "+8613800138000", "inbound"),
        ({"from": "<sip:13900139000@h>;tag=1"}, "+8613800138000", "unknown"),
        ({}, "+8613900139000", "unknown"),
    ],
)
def test_where_numbers_say_nothing_the_direction_and_the_caller_do(
    fields: dict[str, str], agent: str, direction: Direction
) -> None:
    told = roles(TWO_OUTSIDE, fields=fields)

    assert told.agent.number == agent
    assert told.direction == direction


def test_a_guess_is_said_to_be_one() -> None:
    assert (
        "nothing tells the agent from the customer; who calls was taken for the customer"
        in roles(TWO_OUTSIDE).oddities
    )
    assert roles(siprec_bodies.SONUS).oddities == ()


@pytest.mark.parametrize(
    ("role", "direction"), [("calling", "outbound"), ("called", "inbound"), ("observer", "outbound")]
)
def test_a_role_beside_a_participant_tells_who_called(role: str, direction: Direction) -> None:
    body = call("sip:8001@h", "sip:13800138000@h").replace(
        b'8001@h"/>', f'8001@h"/><role>{role}</role>'.encode()
    )

    assert roles(body).direction == direction


def test_cisco_begins_with_the_recorded_leg_so_that_its_order_tells_nothing() -> None:
    told = roles(siprec_bodies.CUBE, fields={"user_agent": "Cisco-SIPGateway/Cisco IOS 17.12.1"})

    assert numbers(told) == ("8001", CUSTOMER)
    assert told.direction == "unknown"


@pytest.mark.parametrize(("user", "other"), [("li.wei", "zhao.min"), ("zhao.min", "li.wei")])
@pytest.mark.parametrize(
    "element", ["broadWorksRecordingMetadata><userID", "netsapiensExtension><user userID"]
)
def test_between_colleagues_the_one_for_whom_it_is_recorded_is_the_agent(
    element: str, user: str, other: str
) -> None:
    wrapper = element.partition(">")[0]
    told_user = f"<{element}>{user}@h</userID>" if "broad" in element else f'<{element}="{user}@h"/>'
    extension = f"{told_user}</{wrapper}></recording>".encode()
    body = call("sip:li.wei@h", "sip:zhao.min@h").replace(b"</recording>", extension)

    assert numbers(roles(body)) == (user, other)


@pytest.mark.parametrize("inside", [(), ("800?",)])
def test_a_call_between_extensions_is_internal(inside: tuple[str, ...]) -> None:
    told = roles(call("sip:8001@h", "sip:8002@h"), inside=inside)

    assert numbers(told) == ("8002", "8001")
    assert told.direction == "internal"
    assert told.channels == CUSTOMER_FIRST


def test_more_parties_are_others_and_go_to_the_channel_of_their_side() -> None:
    told = roles(call("sip:13800138000@h", "sip:8001@h", "sip:8002@h", "sip:13900139000@h"))

    assert numbers(told) == ("8001", CUSTOMER)
    assert [party.number for party in told.others] == ["8002", "+8613900139000"]
    assert told.channels == ((1,), (0,), (0,), (1,))
    assert [party.number for (party,) in told.speakers] == [CUSTOMER, "8001", "8002", "+8613900139000"]


def test_a_party_alone_is_the_agent_only_if_it_is_of_the_house() -> None:
    assert numbers(roles(call("sip:8001@h"))) == ("8001", "")
    assert numbers(roles(call("sip:13800138000@h"))) == ("", CUSTOMER)


@pytest.mark.parametrize(
    ("fields", "agent", "customer"),
    [
        ({"from": '"Wang" <sip:13800138000@h>;tag=1', "to": "<sip:record@10.1.0.2>"}, "", CUSTOMER),
        ({"from": "<sip:8001@h>;tag=1", "to": "<sip:+8613800138000@h>"}, "8001", CUSTOMER),
        ({"from": "<sip:13800138000@h>;tag=1", "to": "<sip:9876@10.1.0.2>"}, "", CUSTOMER),
        (
            {"from": "<sip:src@gw>;tag=1", "p_asserted_identity": "<tel:+8613800138000>", "to": "<sip:r@h>"},
            "",
            CUSTOMER,
        ),
        ({}, "", ""),
    ],
)
def test_without_metadata_the_headers_name_who_calls(
    fields: dict[str, str], agent: str, customer: str
) -> None:
    told = roles(labels=("", ""), fields=fields)

    assert numbers(told) == (agent, customer)
    assert len(told.channels) == 2
    assert set(told.channels) == {(0,), (1,)}


@pytest.mark.parametrize(
    ("labels", "channels"),
    [
        (("1", "2"), CUSTOMER_FIRST),
        (("2", "1"), AGENT_FIRST),
        (("", ""), CUSTOMER_FIRST),
        (("x", "y"), CUSTOMER_FIRST),
        (("x", "1"), AGENT_FIRST),
        (("2", ""), AGENT_FIRST),
        (("1",), ((1,),)),
        (("2",), ((0,),)),
        (("1", "2", "3"), ((1,), (0,), (1,))),
        ((), ()),
    ],
)
def test_a_line_is_found_by_its_label_else_by_its_place(
    labels: tuple[str, ...], channels: tuple[tuple[int, ...], ...]
) -> None:
    told = roles(call("sip:13800138000@h", "sip:8001@h"), labels=labels)

    assert told.channels == channels


def test_lines_of_which_nothing_is_known_are_the_callers_and_the_others_in_turn() -> None:
    told = roles(labels=("", "", "", ""))

    assert told.channels == ((1,), (0,), (1,), (0,))
    assert told.oddities == (
        "the metadata does not tell whose voice a stream carries; its place among them did",
    )


def test_where_only_receivers_are_told_the_other_one_is_heard() -> None:
    body = complete(
        '<participant participant_id="a"><nameID aor="sip:8001@h"/></participant>',
        '<participant participant_id="b"><nameID aor="sip:13800138000@h"/></participant>',
        '<stream stream_id="1"><label>1</label></stream><stream stream_id="2"><label>2</label></stream>',
        '<participantstreamassoc participant_id="a"><recv>1</recv></participantstreamassoc>',
        '<participantstreamassoc participant_id="b"><recv>2</recv></participantstreamassoc>',
    )

    assert roles(body, labels=("1", "2")).channels == CUSTOMER_FIRST


def test_two_streams_of_one_sender_still_fill_both_channels() -> None:
    both = (
        b'<participantstreamassoc participant_id="p1"><send>m1</send><send>m2</send></participantstreamassoc>'
    )
    body = call("sip:13800138000@h", "sip:8001@h", streams=False).replace(
        b"</recording>", both + b"</recording>"
    )

    told = roles(body, labels=("1", "2"))

    assert told.channels == CUSTOMER_FIRST
    assert any(oddity.startswith("both streams name one and the same sender") for oddity in told.oddities)


@pytest.mark.parametrize(
    "body", [siprec_bodies.BROADWORKS, siprec_bodies.EMERGENCY_GATEWAY, call("sip:8001@h"), complete()]
)
def test_all_in_one_stream_is_mixed_and_goes_to_both_channels(body: bytes) -> None:
    told = roles(body, labels=("1",))

    assert told.channels == ((0, 1),)
    assert told.is_mixed


def test_one_stream_of_two_is_not_mixed_when_it_has_one_sender() -> None:
    told = roles(call("sip:8001@h", "sip:13800138000@h"), labels=("1",))

    assert told.channels == ((0,),)
    assert not told.is_mixed


def test_a_mixture_beside_separate_streams_is_left_out() -> None:
    body = call("sip:8001@h", "sip:13800138000@h").replace(
        b"</recording>", b'<stream stream_id="m3"><label>3</label><mode>mixed</mode></stream></recording>'
    )

    assert roles(body).channels == ((0,), (1,), ())


def test_nobody_changes_places_because_a_gateway_tells_things_in_another_order() -> None:
    first = roles(TWO_OUTSIDE)
    turned = call("sip:13900139000@h", "sip:13800138000@h")

    after = roles(turned, before=first)

    assert numbers(after) == numbers(first)
    assert numbers(roles(turned)) == tuple(reversed(numbers(first)))


def test_after_a_transfer_the_customer_stays_and_the_new_agent_takes_the_place() -> None:
    first = roles(TWO_OUTSIDE)

    after = roles(call("sip:13700137000@h", "sip:13800138000@h"), before=first)

    assert numbers(after) == ("+8613700137000", CUSTOMER)


def test_a_customer_who_stays_is_the_customer_beside_another_from_outside() -> None:
    first = roles(call("sip:13800138000@h", "sip:8001@h"))

    after = roles(call("sip:13900139000@h", "sip:13800138000@h", "sip:8001@h"), before=first)

    assert numbers(after) == ("8001", CUSTOMER)
    assert [party.number for party in after.others] == ["+8613900139000"]


def test_an_update_that_brings_the_other_party_completes_the_call() -> None:
    update = partial('<participant participant_id="p2"><nameID aor="sip:13800138000@h"/></participant>')
    first = roles(call("sip:8001@h"))

    after = roles(call("sip:8001@h"), update, before=first)

    assert (numbers(first), numbers(after)) == (("8001", ""), ("8001", CUSTOMER))


def test_dummies_hold_their_place_only_while_nobody_real_is_there() -> None:
    alone = roles(call("sip:dummy@h", "sip:13800138000@h"))

    assert numbers(alone) == ("dummy", CUSTOMER)
    assert numbers(roles(call("sip:dummy@h", "sip:13800138000@h", "sip:8001@h"))) == ("8001", CUSTOMER)
    others = roles(call("sip:dummy@h", "sip:13800138000@h", "sip:8001@h", "sip:8002@h")).others
    assert [party.number for party in others] == ["8002"]


def test_bytes_that_are_no_text_do_not_get_into_parties() -> None:
    written = b'"Caf\xe9" <sip:13800138000@h>;tag=1'.decode("utf-8", errors="surrogateescape")

    told = roles(labels=("",), fields={"from": written})

    assert (told.customer.name, told.customer.number) == ("Caf?", CUSTOMER)


@given(st.lists(st.text(max_size=30), max_size=4), st.text(max_size=40), st.booleans())
def test_parties_are_told_whatever_stands_in_the_place_of_their_addresses(
    aors: list[str],
    written: str,
    escaped: bool,  # noqa: FBT001
) -> None:
    body = call(*(escape(aor, {'"': "&quot;"}) if escaped else aor for aor in aors))

    told = roles(body, inside=("8*",), labels=("1", "2"), fields={"from": written, "to": written})

    assert {channel for channels in told.channels for channel in channels} == {0, 1}

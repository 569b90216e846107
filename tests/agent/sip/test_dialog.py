"""Dialogs: the table, and the requests that we make in them."""

import pytest

from callseal.agent.sip.dialog import ADOPTED_CSEQ, TABLE, Dialog, Stage, Turn, table_text
from callseal.agent.sip.events import DialogId
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.message import Request, parse_message
from support.sip_caller import GATEWAY, SDP, SipCaller, flow_over

VIA = "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK-x"
CONTACT = "Contact: <sip:gateway@192.0.2.9:5062>"


def dialog(
    headers: str = CONTACT,
    *,
    transport: Transport = Transport.UDP,
    reply_to: tuple[str, int] = GATEWAY,
    is_orphan: bool = False,
) -> Dialog:
    caller = SipCaller()
    data = caller.write("INVITE", body=SDP, headers=headers, to_tag="ours" if is_orphan else "")
    request = parse_message(data, is_stream=False)
    assert isinstance(request, Request)
    name = DialogId(call_id="call-1", local_tag="ours", remote_tag=caller.from_tag)
    return Dialog(name, request, flow=flow_over(transport), reply_to=reply_to, is_orphan=is_orphan)


def test_every_stage_can_be_left() -> None:
    stages = set(Stage)

    left = {stage for (stage, _), (after, _, _) in TABLE.items() if after is not stage}

    assert stages - left == {Stage.ENDED}


def test_a_bye_ends_every_stage() -> None:
    ending = {
        stage for (stage, turn), (after, _, _) in TABLE.items() if turn is Turn.BYE and after is Stage.ENDED
    }

    assert ending == set(Stage) - {Stage.ENDED}


def test_whoever_is_told_of_an_end_is_told_how() -> None:
    silent = {
        (stage, turn) for (stage, turn), (after, how, _) in TABLE.items() if after is Stage.ENDED and not how
    }

    # The application has refused it: that needs no telling.
    assert silent == {(Stage.EARLY, Turn.REJECTED)}


def test_the_text_shows_the_whole_table() -> None:
    text = table_text()

    assert len(text.splitlines()) == 2 + len(TABLE)


def test_a_request_of_ours_turns_the_parties_round() -> None:
    made = dialog()

    bye = made.request("BYE", VIA, (("reason", "SIP;cause=200"),))

    assert bye.uri == "sip:gateway@192.0.2.9:5062"
    assert (bye.from_tag, bye.to_tag) == ("ours", "from-call-1")
    assert bye.cseq == (1, "BYE")
    assert bye.headers.get("route") is None
    assert bye.headers.get("reason") == "SIP;cause=200"
    assert parse_message(bytes(bye), is_stream=True) is not None


def test_requests_of_ours_are_numbered() -> None:
    made = dialog()

    numbers = [made.request("UPDATE", VIA).cseq.number for _ in range(3)]

    assert numbers == [1, 2, 3]


def test_requests_of_ours_in_a_dialog_taken_over_have_numbers_never_used_before() -> None:
    made = dialog(is_orphan=True)

    bye = made.request("BYE", VIA)

    assert bye.cseq.number == ADOPTED_CSEQ + 1
    assert bye.from_tag == "ours"


def test_a_loose_route_is_gone_by_in_order() -> None:
    made = dialog(f"{CONTACT}\nRecord-Route: <sip:192.0.2.7;lr>, <sip:192.0.2.8:5080;lr>")

    bye = made.request("BYE", VIA)

    assert bye.uri == "sip:gateway@192.0.2.9:5062"
    assert bye.headers.all("route") == ("<sip:192.0.2.7;lr>", "<sip:192.0.2.8:5080;lr>")
    assert made.next_hop() == ("192.0.2.7", 5060)


def test_a_strict_route_takes_the_request_uri() -> None:
    # RFC 3261 section 12.2.1.1, "If the first URI of the route set does not contain the lr parameter"
    made = dialog(f"{CONTACT}\nRecord-Route: <sip:192.0.2.7>, <sip:192.0.2.8;lr>")

    bye = made.request("BYE", VIA)

    assert bye.uri == "sip:192.0.2.7"
    assert bye.headers.all("route") == ("<sip:192.0.2.8;lr>", "<sip:gateway@192.0.2.9:5062>")


@pytest.mark.parametrize("route", ["<<<>>>", "<sip:>", '"', "<sip:192.0.2.7:99999;lr>"])
def test_a_route_that_nobody_can_read_is_repeated_as_it_is(route: str) -> None:
    made = dialog(f"{CONTACT}\nRecord-Route: {route}")

    bye = made.request("BYE", VIA)

    assert bye.uri == "sip:gateway@192.0.2.9:5062"
    assert bye.headers.all("route") == (route,)
    assert made.next_hop() == GATEWAY


@pytest.mark.parametrize(
    ("contact", "next_hop"),
    [
        ("<sip:192.0.2.33>", ("192.0.2.33", 5060)),
        ("<sip:gw@192.0.2.33:5099>;isfocus", ("192.0.2.33", 5099)),
        ("sip:gw@192.0.2.33:5099;src", ("192.0.2.33", 5099)),
        ("<sip:gateway.example>", GATEWAY),  # names are not looked up
        ("<sip:0.0.0.0:5060>", GATEWAY),
        ("<sip:224.0.0.1:5060>", GATEWAY),
        ("<sip:[2001:db8::1]:5060>", GATEWAY),  # this flow is IPv4
        ("<<<>>>", GATEWAY),
        ("<tel:+8613800138000>", GATEWAY),
        ("*", GATEWAY),
    ],
)
def test_requests_of_ours_go_to_an_address_that_is_one(contact: str, next_hop: tuple[str, int]) -> None:
    made = dialog(f"Contact: {contact}")

    assert made.next_hop() == next_hop


def test_tls_has_a_port_of_its_own() -> None:
    made = dialog("Contact: <sips:192.0.2.33>", transport=Transport.TLS)

    assert made.next_hop() == ("192.0.2.33", 5061)


def test_without_a_contact_the_peer_is_where_it_called_from() -> None:
    made = dialog("Contact: <<<>>>", reply_to=("2001:db8::9", 5062))

    bye = made.request("BYE", VIA)

    assert bye.uri == "sip:[2001:db8::9]:5062"


def test_only_an_invite_or_update_moves_the_peer() -> None:
    made = dialog()
    caller = SipCaller()
    info = parse_message(caller.write("INFO", headers="Contact: <sip:192.0.2.44>"), is_stream=False)
    update = parse_message(caller.write("UPDATE", headers="Contact: <sip:192.0.2.55>"), is_stream=False)
    assert isinstance(info, Request)
    assert isinstance(update, Request)

    made.hear(info, made.flow, GATEWAY)
    after_info = made.next_hop()
    made.hear(update, made.flow, GATEWAY)

    assert after_info == ("192.0.2.9", 5062)
    assert made.next_hop() == ("192.0.2.55", 5060)

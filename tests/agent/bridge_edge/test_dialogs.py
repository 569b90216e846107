"""What the edge knows of the dialogs of its child, so that it can hang up in its name."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response, parse_message
from callseal.agent.sources.bridge.edge.dialogs import MAX_DIALOGS
from support.witnessed_dialogs import (
    CALL,
    CHILD_INVITE,
    KAMAILIO_INVITE,
    answer_to,
    called,
    child_answer,
    exchanged,
    far_answer,
    request,
    response,
    within,
    witness,
)


def methods(ends: Sequence[tuple[Request, str]]) -> list[tuple[str, int]]:
    return [(one.method, one.cseq.number) for one, _ in ends]


def ack(number: int) -> Request:
    return within("ACK", number, from_line=True)


# --- what counts up to then ---------------------------------------------------------------------------


def test_the_bye_has_a_number_above_all_that_the_child_has_used() -> None:
    dialogs = witness()
    called(dialogs, far_answer())
    dialogs.request(ack(7001), from_line=True, other="pbx", now_s=1.0)
    for number in (7005, 7004):  # datagrams overtake each other
        exchanged(
            dialogs, info := within("INFO", number, from_line=True), answer_to(info, 200), from_line=True
        )
    exchanged(dialogs, info := within("INFO", 9000, from_line=False), answer_to(info, 200), from_line=False)

    assert methods(dialogs.endings()) == [("BYE", 7006)]


def test_what_the_child_said_while_it_rang_counts_too() -> None:
    dialogs = witness()
    invite = called(dialogs, far_answer("180 Ringing"))
    exchanged(dialogs, prack := within("PRACK", 7002, from_line=True), answer_to(prack, 200), from_line=True)
    early = dialogs.of(prack, from_line=True)
    assert early is not None
    assert early.take_refer_id(1) == ""

    dialogs.response(invite, invite, far_answer(), 1.0)

    dialog = dialogs.of(prack, from_line=True)
    assert dialog is not None
    assert dialog.take_refer_id(2) == "2"
    assert methods(dialogs.endings()) == [("ACK", 7001), ("BYE", 7003)]


def test_only_its_own_acknowledgement_is_one() -> None:
    dialogs = witness()
    called(dialogs, far_answer())

    dialogs.request(ack(7000), from_line=True, other="pbx", now_s=1.0)
    dialogs.request(within("ACK", 7001, from_line=False), from_line=False, other="pbx", now_s=1.0)

    assert methods(dialogs.endings()) == [("ACK", 7001), ("BYE", 7002)]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("from_line", [True, False])
def test_who_has_moved_is_found_where_it_went(method: str, *, from_line: bool) -> None:
    dialogs = witness()
    called(dialogs, far_answer())
    dialogs.request(ack(7001), from_line=True, other="pbx", now_s=0.0)
    there = "Contact: <sip:moved@10.1.0.9:6000>\n"
    asked = within(method, 7100, from_line=from_line, more="" if from_line else there)
    more = (("Contact", "<sip:moved@10.1.0.9:6000>" if from_line else "<sip:callseal-line@127.0.0.1>"),)

    exchanged(dialogs, asked, answer_to(asked, 200, *more), from_line=from_line)

    bye, _ = dialogs.endings()[-1]
    assert bye.uri == "sip:moved@10.1.0.9:6000"
    assert bye.headers.all("route") == ("<sip:192.0.2.1;lr;r2=on>", "<sip:10.1.0.1;lr;r2=on>")


def test_who_wanted_to_move_and_was_refused_is_where_it_was() -> None:
    dialogs = witness()
    called(dialogs, far_answer())
    asked = within("INVITE", 8, from_line=False, more="Contact: <sip:moved@10.1.0.9:6000>\n")

    exchanged(dialogs, asked, answer_to(asked, 488), from_line=False)

    assert dialogs.endings()[-1][0].uri == "sip:0301234@10.1.0.9:5062;line=3"


def test_a_second_invite_of_the_child_is_acknowledged_too() -> None:
    dialogs = witness()
    called(dialogs, far_answer())
    dialogs.request(ack(7001), from_line=True, other="pbx", now_s=0.0)
    asked = within("INVITE", 7002, from_line=True)
    exchanged(dialogs, asked, answer_to(asked, 200), from_line=True)

    assert methods(dialogs.endings()) == [("ACK", 7002), ("BYE", 7003)]


@pytest.mark.parametrize("from_line", [True, False])
def test_a_call_that_was_hung_up_is_not_hung_up_again(*, from_line: bool) -> None:
    dialogs = witness()
    invite = called(dialogs, far_answer())

    dialogs.request(within("BYE", 7002, from_line=from_line), from_line=from_line, other="pbx", now_s=1.0)
    dialogs.response(invite, invite, far_answer(), 1.5)  # late copies of its answers
    dialogs.response(invite, invite, far_answer("180 Ringing"), 1.5)

    assert len(dialogs) == 0
    assert dialogs.endings() == []


@pytest.mark.parametrize("from_line", [True, False])
def test_a_call_that_one_side_knows_no_more_is_over(*, from_line: bool) -> None:
    dialogs = witness()
    called(dialogs, far_answer())
    asked = within("UPDATE", 7002, from_line=from_line)

    exchanged(dialogs, asked, answer_to(asked, 481), from_line=from_line)

    assert dialogs.endings() == []


def test_what_was_asked_before_the_end_is_answered_in_vain() -> None:
    dialogs = witness()
    called(dialogs, far_answer())
    asked = within("UPDATE", 7002, from_line=True)
    dialogs.request(asked, from_line=True, other="pbx", now_s=0.0)
    dialogs.request(within("BYE", 7003, from_line=True), from_line=True, other="pbx", now_s=0.0)

    dialogs.response(asked, asked, answer_to(asked, 200), 1.0)

    assert dialogs.endings() == []


def test_a_fork_that_answers_when_nobody_waits_for_it_makes_no_call() -> None:
    dialogs = witness()
    invite = called(dialogs, far_answer())
    dialogs.request(ack(7001), from_line=True, other="pbx", now_s=32.0)

    dialogs.response(invite, invite, far_answer(tag="late9"), 32.0)

    assert methods(dialogs.endings()) == [("BYE", 7002)]


def test_a_call_that_stands_does_not_begin_anew() -> None:
    dialogs = witness()
    called(dialogs, far_answer())
    again = request(CHILD_INVITE, ("z9hG4bKPj9", "z9hG4bKPj10"), ("CSeq: 7001", "CSeq: 7002"))
    dialogs.request(again, from_line=True, other="pbx", token=CALL, now_s=1.0)

    dialogs.response(again, again, far_answer("180 Ringing"), 1.0)
    dialogs.response(again, again, far_answer("486 Busy Here"), 1.0)

    assert methods(dialogs.endings()) == [("ACK", 7001), ("BYE", 7002)]


def test_a_call_that_rings_or_was_refused_is_left_to_its_invite() -> None:
    dialogs = witness()
    invite = called(dialogs, far_answer("180 Ringing"), far_answer("180 Ringing", tag="fork9"))
    assert len(dialogs) == 2
    dialogs.response(invite, invite, far_answer("486 Busy Here"), 1.0)
    assert (len(dialogs), dialogs.tokens(1.0)) == (0, set())

    called(dialogs, far_answer("180 Ringing"))

    assert dialogs.endings() == []


def test_of_the_forks_of_a_call_those_that_answer_remain() -> None:
    dialogs = witness()
    called(
        dialogs,
        far_answer("180 Ringing", tag="one"),
        far_answer("180 Ringing", tag="two"),
        far_answer(tag="two"),
        far_answer(tag="three"),
    )

    ends = dialogs.endings()

    assert [(one.method, one.to_tag) for one, _ in ends] == [
        ("ACK", "two"),
        ("BYE", "two"),
        ("ACK", "three"),
        ("BYE", "three"),
    ]


def test_a_call_that_comes_back_to_its_own_desk_is_two_dialogs() -> None:
    dialogs = witness()
    out = called(dialogs)
    back = request(CHILD_INVITE, ("127.0.0.1:41000;rport;branch=z9hG4bKPj9", "192.0.2.1;branch=z9hG4bKk"))
    dialogs.request(back, from_line=False, other="pbx", token="d" * 32, now_s=0.0)
    ok = far_answer()
    dialogs.response(back, back, ok, 1.0)
    dialogs.response(out, out, ok, 1.0)
    asked = within("UPDATE", 7002, from_line=True, more="Contact: <sip:callseal-line@127.0.0.1:41000>\n")
    heard = within("UPDATE", 7002, from_line=False, more="")

    assert len(dialogs) == 2
    assert dialogs.tokens(1.0) == {CALL, "d" * 32}
    ours, theirs = dialogs.of(asked, from_line=True), dialogs.of(asked, from_line=False)
    assert ours is not None
    assert theirs is not None
    assert (ours.token, theirs.token) == (CALL, "d" * 32)
    assert dialogs.of(heard, from_line=True) is theirs


# --- what comes after the end -------------------------------------------------------------------------


def test_an_answer_that_comes_too_late_is_acknowledged_and_hung_up_once() -> None:
    dialogs = witness()
    invite = called(dialogs, far_answer("180 Ringing"))
    exchanged(dialogs, prack := within("PRACK", 7003, from_line=True), answer_to(prack, 200), from_line=True)
    dialogs.endings()

    first, again, fork = (dialogs.orphan(invite, far_answer(tag=tag)) for tag in ("far9", "far9", "other"))

    assert methods(first) == [("ACK", 7001), ("BYE", 7004)]
    assert methods(again) == [("ACK", 7001)]
    assert [one.to_tag for one, _ in fork] == ["other", "other"]
    assert {side for _, side in (*first, *again, *fork)} == {"pbx"}
    assert first[1][0].uri == "sip:0301234@10.1.0.9:5062;line=3"
    assert first[1][0].headers.all("route") == ("<sip:192.0.2.1;lr;r2=on>", "<sip:10.1.0.1;lr;r2=on>")


def test_a_late_answer_within_a_call_that_was_hung_up_is_acknowledged() -> None:
    dialogs = witness()
    called(dialogs, far_answer())
    dialogs.request(ack(7001), from_line=True, other="pbx", now_s=0.0)
    asked = within("INVITE", 7002, from_line=True)
    dialogs.request(asked, from_line=True, other="pbx", now_s=0.0)
    assert methods(dialogs.endings()) == [("BYE", 7003)]

    late = dialogs.orphan(asked, answer_to(asked, 200))

    assert methods(late) == [("ACK", 7002)]


def test_an_answer_to_nobodys_invite_gets_nothing() -> None:
    assert witness().orphan(request(CHILD_INVITE), far_answer()) == []


def test_after_the_end_nothing_is_left() -> None:
    dialogs = witness()
    called(dialogs, far_answer())

    dialogs.endings()

    assert (len(dialogs), dialogs.tokens(0.0), dialogs.endings()) == (0, set(), [])


# --- which call it is ---------------------------------------------------------------------------------


def test_a_call_is_in_use_from_its_invite_to_its_bye() -> None:
    dialogs = witness()
    invite = called(dialogs)
    assert dialogs.tokens(0.0) == {CALL}
    dialogs.response(invite, invite, far_answer(), 1.0)
    dialogs.request(within("BYE", 7002, from_line=True), from_line=True, other="pbx", now_s=2.0)

    assert dialogs.tokens(2.0) == {CALL}  # another fork may still answer
    assert dialogs.tokens(33.0) == set()


def test_a_replaced_call_is_found_by_what_its_telephone_knows_it_by() -> None:
    dialogs = witness()
    invite = request(KAMAILIO_INVITE)
    dialogs.request(invite, from_line=False, other="phone", token=CALL, now_s=0.0)
    dialogs.response(invite, invite, child_answer("180 Ringing"), 1.0)

    assert dialogs.find_replaced("1-8734@10.1.0.7", "child7", "caller7") == CALL
    dialogs.response(invite, invite, child_answer(), 1.0)
    assert dialogs.find_replaced("1-8734@10.1.0.7", "child7", "caller7") == CALL
    assert dialogs.find_replaced("1-8734@10.1.0.7", "caller7", "child7") is None
    assert dialogs.find_replaced("1-8734@10.1.0.7", "child7", "") is None
    assert dialogs.find_replaced("1-8734@10.1.0.7", "child7", "caller7", side="pbx") is None


def test_no_name_and_no_number_gets_into_a_log() -> None:
    dialogs = witness()
    called(dialogs, far_answer())

    shown = repr(dialogs.of(within("BYE", 1, from_line=True), from_line=True))

    assert CALL in shown
    assert "0301234" not in shown
    assert "Anna" not in shown


# --- limits -------------------------------------------------------------------------------------------


def test_dialogs_whose_end_was_lost_give_way_to_new_ones() -> None:
    dialogs = witness(max_dialogs=3)
    for index in range(5):
        change = ("pj-9", f"pj-{index}")
        invite = request(CHILD_INVITE, change)
        dialogs.request(invite, from_line=True, other="pbx", token=f"{index}", now_s=0.0)
        ok = far_answer()
        dialogs.response(invite, invite, response(bytes(ok).decode().replace("\r\n", "\n"), change), 0.0)

    assert [one.call_id for one, _ in dialogs.endings() if one.method == "BYE"] == ["pj-2", "pj-3", "pj-4"]


def test_a_dialog_that_goes_on_takes_nobodys_place() -> None:
    dialogs = witness(max_dialogs=2)
    invite = request(KAMAILIO_INVITE)
    dialogs.request(invite, from_line=False, other="pbx", token=CALL, now_s=0.0)
    dialogs.response(invite, invite, child_answer(), 0.0)

    called(dialogs, far_answer("180 Ringing"), far_answer("180 Ringing"), far_answer())

    assert methods(dialogs.endings()) == [("BYE", 1), ("ACK", 7001), ("BYE", 7002)]


@pytest.mark.parametrize("status", ["180 Ringing", "200 OK"])
def test_one_invite_cannot_fill_the_table_with_forks(status: str) -> None:
    dialogs = witness()

    called(dialogs, *(far_answer(status, tag=f"fork-{index}") for index in range(100)))

    assert len(dialogs) == 8


# --- anything -----------------------------------------------------------------------------------------

TAGS = st.sampled_from(["child9", "far9", "fork9", ""])
ADDRESSES = st.sampled_from(
    ["sip:1@10.1.0.9", "<sip:2@10.1.0.9;x=%00>", "*", '"a', "<sip:ä@h>", "<>", "tel:1", "<sip:h>"]
)
TEXTS = ADDRESSES | st.text("<>;,lrcs=sip:@ \"'", max_size=9)
MORE = st.lists(st.tuples(st.sampled_from(["contact", "record-route"]), TEXTS), max_size=4).map(tuple)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Request, Response, bool]:
    method = draw(st.sampled_from(["INVITE", "INVITE", "UPDATE", "ACK", "BYE", "INFO", "REFER"]))
    tags = draw(TAGS), draw(TAGS)
    number = draw(st.sampled_from([0, 7, 2**31 - 1]))
    common = (
        ("via", f"SIP/2.0/UDP h;branch=z9hG4bK{draw(st.integers(0, 3))}"),
        ("call-id", "pj-9"),
        ("cseq", f"{number} {method}"),
    )
    origin = ("from", f"<sip:1@h>;tag={tags[0]}")
    asked = (*common, origin, ("to", f"<sip:2@h>;tag={tags[1]}"), *draw(MORE))
    told = (*common, origin, ("to", f"<sip:2@h>;tag={draw(TAGS)}"), *draw(MORE))
    status = draw(st.sampled_from([100, 180, 200, 302, 481, 500]))
    return (
        Request(method=method, uri="sip:2@h", headers=Headers(fields=asked)),
        Response(status=status, reason="x", headers=Headers(fields=told)),
        draw(st.booleans()),
    )


@given(script=st.lists(steps(), max_size=30))
def test_whatever_goes_by_it_ends_in_whole_messages(script: list[tuple[Request, Response, bool]]) -> None:
    dialogs = witness()
    for index, (asked, answer, from_line) in enumerate(script):
        dialogs.request(asked, from_line=from_line, other="pbx", token=f"{index}", now_s=float(index))
        dialogs.response(asked, asked, answer, float(index))
        dialogs.find_replaced(asked.call_id, asked.to_tag, asked.from_tag)
    assert len(dialogs) <= MAX_DIALOGS

    ends = dialogs.endings()
    for asked, answer, _ in script:
        ends += dialogs.orphan(asked, answer)

    for one, _ in ends:
        fields = (("via", "SIP/2.0/UDP h;branch=z9hG4bKx"), *one.headers.fields)
        again = parse_message(bytes(one.with_headers(Headers(fields=fields))), is_stream=True)
        assert isinstance(again, Request)
        assert (again.method, again.uri, again.cseq) == (one.method, one.uri, one.cseq)

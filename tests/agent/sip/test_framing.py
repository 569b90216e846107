"""Messages out of a stream: whole, byte by byte, several at once, with keep-alives; what breaks a stream."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.framing import PONG, Framer, Item, KeepAlive, Pong, is_keep_alive
from callseal.agent.sip.message import MAX_BODY_BYTES, MAX_HEAD_BYTES, Request, Response, parse_message
from support.sip_text import request_text, response_text

BODY = "v=0\r\n\r\nINVITE sip:none@example.net SIP/2.0\r\n\r\n"
INVITE = request_text(more=(f"Content-Length: {len(BODY)}",), body=BODY)
BYE = request_text("BYE", more=("Content-Length: 0",))
OK = response_text(more=("l: 0",))
PING = b"\r\n\r\n"
STREAM = INVITE + BYE + PING + OK + b"\r\n" + INVITE


def _messages(*data: bytes) -> list[Item]:
    return [parse_message(each, is_stream=True) for each in data]


def _fed(framer: Framer, pieces: Iterable[bytes]) -> list[Item]:
    return [item for piece in pieces for item in framer.feed(piece)]


def _refusal(framer: Framer, data: bytes) -> SipSyntaxError:
    with pytest.raises(SipSyntaxError) as caught:
        list(framer.feed(data))
    return caught.value


def test_a_whole_message_comes_at_once() -> None:
    framer = Framer()

    assert list(framer.feed(INVITE)) == _messages(INVITE)
    assert not framer.is_mid_message


def test_several_messages_in_one_segment_come_in_their_order() -> None:
    items = list(Framer().feed(STREAM))

    assert items == [*_messages(INVITE, BYE), KeepAlive(), *_messages(OK, INVITE)]


def test_byte_by_byte_is_the_same() -> None:
    framer = Framer()

    items = _fed(framer, (STREAM[at : at + 1] for at in range(len(STREAM))))

    assert items == list(Framer().feed(STREAM))
    assert not framer.is_mid_message


def test_cut_at_any_length_a_message_is_waited_for() -> None:
    for size in range(1, len(INVITE)):
        framer = Framer()

        assert list(framer.feed(INVITE[:size])) == []
        assert framer.is_mid_message
        assert list(framer.feed(INVITE[size:])) == _messages(INVITE)


def test_what_trails_a_message_waits_for_its_rest() -> None:
    framer = Framer()

    assert list(framer.feed(BYE + INVITE[:20])) == _messages(BYE)
    assert framer.is_mid_message
    assert list(framer.feed(INVITE[20:])) == _messages(INVITE)


def test_lines_may_end_with_lf_alone() -> None:
    data = BYE.replace(b"\r\n", b"\n")

    assert list(Framer().feed(data + data)) == _messages(BYE, BYE)


@pytest.mark.parametrize("pieces", [(PING,), (b"\r\n", b"\r\n"), (b"\r", b"\n\r", b"\n"), (b"\n\n",)])
def test_a_keep_alive_is_told_once(pieces: tuple[bytes, ...]) -> None:
    framer = Framer()

    items = _fed(framer, pieces)

    assert items == [KeepAlive()]
    assert PONG == b"\r\n"
    assert not framer.is_mid_message


def test_a_single_blank_line_between_messages_is_no_keep_alive() -> None:
    framer = Framer()

    items = _fed(framer, (BYE, b"\r\n", BYE, b"\r\n", BYE))

    assert items == _messages(BYE, BYE, BYE)


@pytest.mark.parametrize("pieces", [(b"\r\n",), (b"\r", b"\n"), (b"\n",)])
def test_a_blank_line_that_is_waited_for_is_a_pong_and_the_next_is_none(pieces: tuple[bytes, ...]) -> None:
    framer = Framer()
    framer.expect_pong()

    items = _fed(framer, (*pieces, BYE, b"\r\n", BYE))

    assert items == [Pong(), *_messages(BYE, BYE)]


def test_a_pong_is_found_among_messages() -> None:
    framer = Framer()
    framer.expect_pong()

    items = _fed(framer, (BYE + b"\r\n" + OK,))

    assert items == [*_messages(BYE), Pong(), *_messages(OK)]


def test_the_peer_s_own_keep_alive_is_no_pong() -> None:
    framer = Framer()
    framer.expect_pong()

    items = _fed(framer, (PING, b"\r\n", PING))

    assert items == [KeepAlive(), Pong(), KeepAlive()]


def test_half_a_keep_alive_from_long_ago_is_no_part_of_a_pong() -> None:
    framer = Framer()
    before = _fed(framer, (BYE, b"\r\n"))
    framer.expect_pong()

    items = _fed(framer, (b"\r\n", PING))

    assert before == _messages(BYE)
    assert items == [Pong(), KeepAlive()]


def test_a_flood_of_blank_lines_is_one_keep_alive() -> None:
    framer = Framer()

    assert list(framer.feed(b"\r\n" * 100_000)) == [KeepAlive()]
    assert list(framer.feed(BYE)) == _messages(BYE)


@pytest.mark.parametrize(
    ("data", "is_one"), [(PING, True), (b"", True), (b"\0\0\0\0", True), (b"\r\n", True), (BYE, False)]
)
def test_a_datagram_of_nothing_is_a_keep_alive(data: bytes, *, is_one: bool) -> None:
    assert is_keep_alive(data) == is_one


def test_messages_before_a_broken_one_are_given_first() -> None:
    messages, error = _outcome([BYE + OK + b"GET / HTTP/1.0\r\n\r\n" + BYE])

    assert messages == _messages(BYE, OK)
    assert error


def test_a_broken_stream_stays_broken() -> None:
    framer = Framer()
    first = _refusal(framer, b"GET / HTTP/1.0\r\n\r\n")

    assert _refusal(framer, BYE) is first
    assert _refusal(framer, b"") is first
    assert not framer.is_mid_message


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request_text("BYE"), 400),
        (request_text("BYE", more=("Content-Length: -5",)), 400),
        (request_text("BYE", more=("Content-Length: 0", "Content-Length: 5")), 400),
        (request_text("BYE", more=(f"Content-Length: {MAX_BODY_BYTES + 1}",)), 413),
        (request_text("BYE", without="CSeq", more=("Content-Length: 0",)), 400),
        (request_text("BYE", more=("X: 1",) * 300), 513),
        (request_text("BYE") .removesuffix(b"\r\n") + b"X: " + b"x" * MAX_HEAD_BYTES, 513),
    ],
)  # fmt: skip
def test_what_breaks_a_stream_is_answered(data: bytes, status: int) -> None:
    error = _refusal(Framer(), data)

    assert error.status == status
    assert error.request is not None
    assert error.request.method == "BYE"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\n\n",
        response_text(),
        request_text("ACK"),
        request_text(without="Via", more=("Content-Length: 0",)),
        b"x" * MAX_HEAD_BYTES,
        b"INVITE x SIP/2.0\r\nX: " + b"a" * 200_000,
    ],
)
def test_what_breaks_a_stream_and_has_no_way_back_is_not_answered(data: bytes) -> None:
    error = _refusal(Framer(), data)

    assert (error.status, error.request) == (0, None)


def test_the_largest_body_is_taken() -> None:
    data = request_text(more=(f"Content-Length: {MAX_BODY_BYTES}",)) + b"x" * MAX_BODY_BYTES

    (message,) = Framer().feed(data)

    assert isinstance(message, Request | Response)
    assert len(message.body) == MAX_BODY_BYTES


@pytest.mark.timeout(60)
def test_a_message_byte_by_byte_costs_its_length() -> None:
    """Beginning anew with each byte would look at 25,000,000,000 of them: minutes, not a second."""
    lines = ("X: " + "x" * 1000,) * 60
    messages = [request_text(more=(*lines, "Content-Length: 9000")) + b"x" * 9000] * 12
    framer = Framer()

    items = _fed(framer, (data[at : at + 1] for data in messages for at in range(len(data))))

    assert len(items) == len(messages)


@pytest.mark.timeout(60)
def test_many_messages_in_one_segment_cost_their_length() -> None:
    """Moving the rest down behind each message would move 800,000,000,000 bytes: minutes, not a second."""
    count = 80_000

    items = Framer().feed((BYE + b"\r\n") * count)

    assert sum(1 for _ in items) == count


@given(
    parts=st.lists(
        st.sampled_from([INVITE, BYE, OK, PING, b"\r\n", b"\r", b"\n", b"\xff", b"X: "]), max_size=8
    ),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_however_a_stream_is_cut_its_messages_are_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})

    assert _outcome(data[start:end] for start, end in pairwise(edges)) == _outcome([data])


@given(data=st.binary(max_size=400))
def test_bytes_by_chance_are_no_message(data: bytes) -> None:
    messages, _ = _outcome([data, PING, data])

    assert messages == []


def _outcome(pieces: Iterable[bytes]) -> tuple[list[Item], str]:
    """Give messages and error; when keep-alives come depends on the cuts, so they are left out."""
    framer = Framer()
    messages: list[Item] = []
    try:
        for piece in pieces:
            for item in framer.feed(piece):
                messages += [] if isinstance(item, KeepAlive | Pong) else [item]
    except SipSyntaxError as error:
        return messages, str(error)
    return messages, ""

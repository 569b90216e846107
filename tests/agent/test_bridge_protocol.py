"""Service and child: every message arrives as it was sent, and nothing else is taken for one."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.errors import ProtocolError
from callseal.agent.sources.bridge import protocol
from callseal.agent.sources.bridge.protocol import (
    MAX_FDS,
    MAX_MESSAGE_BYTES,
    Announcing,
    Beat,
    Message,
    Refuse,
    Route,
    Start,
    Stop,
    decode,
    encode,
    receive,
    send,
)

KINDS: tuple[type[Message], ...] = (*get_args(protocol.Command), *get_args(protocol.Report))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ROUTE = Route(
    call=7,
    token="0123456789abcdef" * 2,
    target="sip:110@pbx",
    from_uri="<sip:8001@desk>",
    caller="agent",
    record=True,
    announcement="zh+en",
    on_failure="record",
    hold_talk=False,
    response_timeout_s=6.0,
    ring_timeout_s=60.5,
)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def _open_fds() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def _changed(message: Message, **changes: object) -> bytes:
    return json.dumps({**json.loads(encode(message)), **changes}).encode()


def _without(message: Message, name: str) -> bytes:
    fields = json.loads(encode(message))
    del fields[name]
    return json.dumps(fields).encode()


@st.composite
def _messages(draw: st.DrawFn, kinds: tuple[type[Message], ...] = KINDS) -> Message:
    kind = draw(st.sampled_from(kinds))
    with_numbers: dict[str, st.SearchStrategy[Any]] = {
        name: NUMBERS for name in kind.__annotations__ if name.endswith("_s")
    }
    built: st.SearchStrategy[Any] = st.builds(kind, **with_numbers)
    message: Message = draw(built)
    return message


def test_there_is_no_message_that_these_tests_leave_out() -> None:
    kinds = {
        item
        for item in vars(protocol).values()
        if isinstance(item, type) and item.__module__ == protocol.__name__
    }

    assert kinds == set(KINDS)
    assert len(KINDS) == 24


@given(_messages())
def test_every_message_comes_back_as_it_was(message: Message) -> None:
    assert decode(encode(message)) == message


def test_a_message_is_one_readable_json_object() -> None:
    assert json.loads(encode(Beat(at_s=1.5, calls=2))) == {"is": "beat", "at_s": 1.5, "calls": 2}
    assert decode(b'{"is": "beat", "at_s": 3, "calls": 2}') == Beat(at_s=3.0, calls=2)


def test_a_name_that_was_no_utf_8_arrives_as_it_was() -> None:
    message = replace(ROUTE, from_uri='"\udcc4\udce3" <sip:8001@desk>')

    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b'{"is": "stop"', "no JSON"),
        (b'{"is": "stop"}{"is": "stop"}', "no JSON"),
        (b"[" * MAX_MESSAGE_BYTES, "no JSON"),
        (b'{"is": "refuse", "call": ' + b"9" * 5000 + b', "code": 1}', "no JSON"),
        (b'{"is": "beat", "at_s": NaN, "calls": 1}', "no JSON"),
        (b'{"is": "beat", "at_s": -Infinity, "calls": 1}', "no JSON"),
        (b'"stop"', "no JSON object"),
        (b'["stop"]', "no JSON object"),
        (b"{}", "unknown kind"),
        (b'{"is": "message"}', "unknown kind"),
        (b'{"is": ["stop"]}', "unknown kind"),
        (b'{"is": "Stop"}', "unknown kind"),
        (b'{"is": "stop", "call": 1}', "too many or too few"),
        (b'{"is": "beat", "at_s": 1e999, "calls": 1}', r"Beat\.at_s is not finite"),
        (b'{"is": "beat", "at_s": 1' + b"0" * 400 + b', "calls": 1}', r"Beat\.at_s is int, not float"),
        (b'{"is": "beat", "at_s": true, "calls": 1}', r"Beat\.at_s is bool"),
        (b'{"is": "beat", "at_s": 1.0, "calls": 1.0}', r"Beat\.calls is float"),
        (b'{"is": "beat", "at_s": 1.0, "calls": true}', r"Beat\.calls is bool"),
        (b'{"is": "beat", "at_s": 1.0, "calls": null}', r"Beat\.calls is NoneType"),
        (_without(ROUTE, "target"), "too many or too few"),
        (_changed(ROUTE, target=5), r"Route\.target is int"),
        (_changed(ROUTE, record=1), r"Route\.record is int"),
        (_changed(ROUTE, caller="both"), r"Route\.caller is none of agent, customer"),
        (_changed(ROUTE, caller=["agent"]), r"Route\.caller is none of"),
        (_changed(ROUTE, on_failure=""), r"Route\.on_failure is none of"),
        (_changed(Announcing(call=1, at_s=1.0, heard_by=[]), heard_by="agent"), r"heard_by is str"),
        (_changed(Announcing(call=1, at_s=1.0, heard_by=[]), heard_by=[1]), r"heard_by is int"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_whole_message_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        decode(data)


@given(st.binary(max_size=200))
def test_any_bytes_raise_only_the_protocols_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data)


@given(
    _messages(),
    st.dictionaries(
        st.sampled_from(["is", "call", "at_s", "code", "heard_by", "caller", "announcements", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
            ),
            max_leaves=5,
        ),
        min_size=1,
    ),
)
def test_any_change_to_a_message_gives_a_whole_one_or_raises_only_the_protocols_error(
    message: Message, changes: dict[str, object]
) -> None:
    try:
        found = decode(_changed(message, **changes))
    except ProtocolError:
        return

    assert decode(encode(found)) == found


@given(_messages())
def test_a_message_that_was_cut_anywhere_is_none(message: Message) -> None:
    data = encode(message)

    for size in range(len(data)):
        with pytest.raises(ProtocolError):
            decode(data[:size])


def test_a_message_over_the_limit_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="over 65536"):
        encode(protocol.Fault(where="invite", detail="x" * MAX_MESSAGE_BYTES))


def test_messages_arrive_one_by_one_and_in_their_order(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    for message in (ROUTE, Refuse(call=2, code=486), Stop()):
        send(ours, message)

    assert [receive(theirs) for _ in range(3)] == [
        (ROUTE, []),
        (Refuse(call=2, code=486), []),
        (Stop(), []),
    ]


def test_the_largest_message_arrives_whole(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    room = MAX_MESSAGE_BYTES - len(encode(protocol.Fault(where="", detail="")))
    message = protocol.Fault(where="", detail="x" * room)

    send(ours, message)

    assert receive(theirs) == (message, [])


def test_files_travel_beside_the_message_and_are_not_handed_to_other_programs(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    sent = [os.memfd_create(f"tap-{number}") for number in range(3)]
    for number, fd in enumerate(sent):
        os.write(fd, f"tap {number}".encode())

    send(ours, protocol.Tapped(call=1, at_s=2.0), tuple(sent))
    received = receive(theirs)
    for fd in sent:
        os.close(fd)

    assert received is not None
    message, fds = received
    assert message == protocol.Tapped(call=1, at_s=2.0)
    assert [os.pread(fd, 100, 0) for fd in fds] == [b"tap 0", b"tap 1", b"tap 2"]
    assert not any(os.get_inheritable(fd) for fd in fds)
    for fd in fds:
        os.close(fd)


def test_more_files_than_the_limit_are_not_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _theirs = ends

    with pytest.raises(ProtocolError, match="65 descriptors"):
        send(ours, Stop(), (ours.fileno(),) * (MAX_FDS + 1))


def _nonsense(channel: socket.socket, fd: int) -> None:
    socket.send_fds(channel, [b"nonsense"], [fd])


def _too_long(channel: socket.socket, fd: int) -> None:
    socket.send_fds(channel, [encode(Stop()) + b" " * MAX_MESSAGE_BYTES], [fd])


def _too_many_files(channel: socket.socket, fd: int) -> None:
    socket.send_fds(channel, [encode(Stop())], [fd] * (MAX_FDS + 1))


@pytest.mark.parametrize("offend", [_nonsense, _too_long, _too_many_files])
def test_a_message_that_is_refused_leaves_no_file_open(
    ends: tuple[socket.socket, socket.socket], offend: Callable[[socket.socket, int], None]
) -> None:
    ours, theirs = ends
    before = _open_fds()
    offend(ours, ours.fileno())

    with pytest.raises(ProtocolError):
        receive(theirs)

    assert _open_fds() == before


def test_the_end_of_the_other_side_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    send(ours, Stop())

    ours.close()

    assert receive(theirs) == (Stop(), [])
    assert receive(theirs) is None


def test_where_nothing_waits_the_caller_is_told_so(ends: tuple[socket.socket, socket.socket]) -> None:
    _ours, theirs = ends
    theirs.setblocking(False)

    with pytest.raises(BlockingIOError):
        receive(theirs)


def test_what_the_service_starts_with_names_its_announcements_in_order() -> None:
    start = Start(
        host="127.0.0.1",
        edge="127.0.0.1:41000",
        phone_media="127.0.0.1",
        pbx_media="192.0.2.7",
        rtp_port=4000,
        rtp_ports=100,
        max_calls=2,
        rate_hz=8000,
        phone_srtp="optional",
        announcements=["zh+en", "zh"],
        scratch="/run/callseal",
    )

    found = decode(encode(start))

    assert isinstance(found, Start)
    assert found.announcements == ["zh+en", "zh"]

"""What is sent again, and what is not: the proxy between peers whose messages get lost or come twice."""

import pytest

from callseal.agent.sip.flow import Transport
from callseal.agent.sip.message import Request, Response
from support.proxy_room import ProxyRoom


def times_of(room: ProxyRoom, method: str, seconds: float) -> list[float]:
    """Let time pass, and return when the telephone system heard a request, counted from now."""
    begin_s = room.now_s
    times = []
    while (due_s := room.proxy.due_s()) is not None and due_s <= begin_s + seconds:
        room.wait(due_s - room.now_s)
        times += [room.now_s - begin_s for said in room.pbx.said() if said == method]
    room.wait(begin_s + seconds - room.now_s)
    return times


@pytest.mark.parametrize("method", ["INVITE", "REGISTER"])
def test_a_request_that_comes_again_is_not_passed_on_again(method: str) -> None:
    room = ProxyRoom()

    request = room.ask(method)
    for _ in range(3):
        room.send(room.phone, request)

    assert room.pbx.said() == [method]
    assert len(room.router.routed) == 1


def test_an_invite_that_comes_again_is_told_how_far_it_got() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()

    room.send(room.phone, invite)
    assert room.phone.said() == [100]
    room.answer(arrived, 183)
    room.send(room.phone, invite)
    assert room.phone.said() == [183, 183]
    room.answer(arrived, 486)
    room.send(room.phone, invite)

    assert room.phone.said() == [486, 486]


def test_an_accepted_invite_that_comes_again_is_absorbed() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()
    room.answer(arrived, 200)
    room.phone.take()
    room.pbx.take()

    room.send(room.phone, invite)

    assert (room.phone.said(), room.pbx.said()) == ([], [])


def test_any_other_answer_is_kept_for_a_request_that_comes_again() -> None:
    room = ProxyRoom()
    request = room.ask("SUBSCRIBE")
    (arrived,) = room.pbx.take()
    room.answer(arrived, 200)
    room.phone.take()

    room.wait(31.9)
    room.send(room.phone, request)

    assert room.phone.said() == [200]
    assert room.pbx.said() == []


def test_over_udp_an_invite_is_sent_again_until_any_answer() -> None:
    room = ProxyRoom()
    _, arrived = room.invited()

    assert times_of(room, "INVITE", 3.5) == [0.5, 1.5, 3.5]
    room.answer(arrived, 100)

    assert times_of(room, "INVITE", 30.0) == []


def test_over_udp_any_other_request_is_sent_again_until_its_final_answer() -> None:
    room = ProxyRoom()
    room.ask("MESSAGE")
    (arrived,) = room.pbx.take()

    assert times_of(room, "MESSAGE", 8.0) == [0.5, 1.5, 3.5, 7.5]
    room.answer(arrived, 100)
    assert times_of(room, "MESSAGE", 8.0) == [4.0, 8.0]
    room.answer(arrived, 200)

    assert times_of(room, "MESSAGE", 30.0) == []


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_over_a_connection_nothing_is_sent_again(method: str) -> None:
    room = ProxyRoom(pbx=Transport.TCP)

    room.ask(method)
    room.wait(31.9)

    assert room.pbx.said() == [method]


def test_each_2xx_and_each_ack_is_passed_on_whenever_it_comes() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()

    for _ in range(3):
        room.answer(arrived, 200)
        room.wait(4.0)
    (first, *_) = room.phone.take()
    room.acknowledge(invite, first)
    room.acknowledge(invite, first)

    assert room.pbx.said() == ["ACK", "ACK"]
    room.wait(19.9)
    room.answer(arrived, 200)
    assert room.phone.said() == [200]
    room.wait(0.2)
    room.answer(arrived, 200)
    assert room.phone.said() == []
    assert room.is_empty()
    assert room.proxy.counts.dropped == 1


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_2xx_is_never_sent_again_by_the_proxy(transport: Transport) -> None:
    room = ProxyRoom(phone=transport, pbx=transport)
    _, arrived = room.invited()
    room.answer(arrived, 200)

    room.wait(64.0)

    assert room.phone.said() == [200]


def test_over_udp_a_refusal_is_sent_again_until_its_ack() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()
    room.answer(arrived, 486)
    (refusal,) = room.phone.take()

    room.wait(3.6)
    assert room.phone.said() == [486] * 3
    room.acknowledge(invite, refusal)
    room.wait(30.0)

    assert room.phone.said() == []


def test_a_refusal_that_comes_again_is_acknowledged_again_and_passed_on_once() -> None:
    room = ProxyRoom()
    _, arrived = room.invited()

    for _ in range(3):
        room.answer(arrived, 486)

    assert room.pbx.said() == ["ACK"] * 3
    assert room.phone.said() == [486]
    room.wait(31.9)
    room.answer(arrived, 486)
    assert room.pbx.said() == ["ACK"]


def test_an_ack_of_a_refusal_that_comes_again_is_absorbed() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()
    room.answer(arrived, 486)
    (refusal,) = room.phone.take()
    room.pbx.take()

    for _ in range(3):
        room.acknowledge(invite, refusal)

    assert room.pbx.said() == []


def test_a_final_answer_that_comes_again_is_passed_on_once() -> None:
    room = ProxyRoom()
    room.ask("REGISTER")
    (arrived,) = room.pbx.take()

    for _ in range(3):
        room.answer(arrived, 200)

    assert room.phone.said() == [200]


def test_a_provisional_answer_after_the_final_one_is_not_passed_on() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()
    room.answer(arrived, 486)
    room.phone.take()

    room.answer(arrived, 180)
    room.send(room.phone, invite)

    assert room.phone.said() == [486]


def test_answers_to_what_was_never_sent_are_dropped_and_counted() -> None:
    room = ProxyRoom()
    foreign = room.phone.write("INVITE")

    room.answer(foreign, 200)
    room.answer(foreign, 404)

    assert (room.phone.said(), room.pbx.said()) == ([], [])
    assert room.proxy.counts.dropped == 2


def test_an_answer_that_names_another_method_is_dropped() -> None:
    room = ProxyRoom()
    room.ask("MESSAGE")
    (arrived,) = room.pbx.take()
    assert isinstance(arrived, Request)
    other = Request(method="INVITE", uri=arrived.uri, headers=arrived.headers.with_first("cseq", "1 INVITE"))

    room.answer(other, 200)

    assert room.phone.said() == []
    assert room.proxy.counts.dropped == 1


def test_two_refusals_of_which_the_second_differs_count_as_one() -> None:
    room = ProxyRoom()
    _, arrived = room.invited()

    room.answer(arrived, 486)
    room.answer(arrived, 603)
    room.answer(arrived, 200)

    assert room.phone.said() == [486]
    assert isinstance(room.router.passed[0], Response)
    assert len(room.router.passed) == 1

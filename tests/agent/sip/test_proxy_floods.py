"""Whoever floods one face of the proxy keeps nobody's calls from passing."""

from callseal.agent.sip.proxy_limits import ProxyLimits
from support.proxy_room import ProxyRoom


def test_answered_requests_make_room_for_new_ones_from_either_side() -> None:
    room = ProxyRoom(limits=ProxyLimits(transactions=20))
    for _ in range(100):
        room.ask("OPTIONS")
        room.answer(room.pbx.take()[0], 404)
    assert room.phone.said() == [404] * 100

    room.ask("INVITE")
    room.ask("MESSAGE", party=room.pbx)

    assert room.pbx.said() == ["INVITE"]
    assert room.phone.said() == [100, "MESSAGE"]
    assert room.proxy.counts.refused == 0
    assert room.proxy.counts.transactions <= 22


def test_a_flood_makes_room_at_its_own_face_first() -> None:
    """The other side's answered request is still known when it comes again."""
    room = ProxyRoom(limits=ProxyLimits(transactions=20))
    asked = room.ask("MESSAGE", party=room.pbx)
    room.answer(room.phone.take()[0], 200, party=room.phone)
    assert room.pbx.said() == [200]
    for _ in range(50):
        room.ask("OPTIONS")
        room.answer(room.pbx.take()[0], 404)
    room.phone.take()

    room.send(room.pbx, asked)

    assert room.pbx.said() == [200]
    assert room.phone.said() == []


def test_requests_that_wait_fill_no_more_than_their_own_faces_share() -> None:
    room = ProxyRoom(limits=ProxyLimits(pending=10, pending_of_face=6))
    for _ in range(10):
        room.ask("OPTIONS")
    assert room.phone.said() == [503] * 4

    room.ask("INVITE", party=room.pbx)

    assert room.phone.said() == ["INVITE"]
    assert room.pbx.said() == ["OPTIONS"] * 6 + [100]


def test_the_share_comes_back_when_the_requests_end() -> None:
    room = ProxyRoom(limits=ProxyLimits(pending_of_face=2))
    for _ in range(3):
        room.ask("INVITE")
    first, second = room.pbx.take()
    room.answer(first, 486)
    room.answer(second, 200)
    room.phone.take()

    room.ask("OPTIONS")
    room.ask("OPTIONS")
    room.ask("OPTIONS")

    assert room.phone.said() == [503]

"""Messages that are longer than the bridge's child can read, in calls of either side: they arrive whole."""

from collections.abc import Iterator

import pytest

from support.desk import NO_ANNOUNCEMENT, Desk, desk
from support.sip_peer import Dialog, Peer, describe

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60), pytest.mark.xdist_group("desk")]

IDENTITY = "e" * 8_000
HEADER = f"Identity: {IDENTITY}\r\n"
CANDIDATES = "".join(f"a=candidate:{n} 1 udp 2130706431 192.0.2.9 5000 typ host\r\n" for n in range(100))
CUSTOMER = "13800138000"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("long") / "desk", rules=NO_ANNOUNCEMENT) as at:
        yield at


@pytest.fixture
def parties(running: Desk) -> Iterator[tuple[Peer, Peer]]:
    with (
        Peer(running.phone_port, running.bridge_port) as phone,
        Peer(running.pbx_port, running.bridge_port) as pbx,
    ):
        yield phone, pbx


def taken(caller: Dialog, called: Dialog, answer: str = "") -> None:
    """Let a call be taken, with further headers in the answer, and end it."""
    called.answer(200, describe(40_002), extra=answer)
    called.asked("ACK")
    caller.acknowledge(caller.response(200))
    caller.hang_up()
    called.hung_up_on()


def test_a_call_of_the_telephone_with_a_signed_identity_is_put_through(parties: tuple[Peer, Peer]) -> None:
    phone, pbx = parties
    caller = phone.call(CUSTOMER)
    caller.ask("INVITE", describe(40_000), HEADER)

    called = pbx.taken()

    assert called.invite is not None
    assert called.invite.header("Identity") == IDENTITY
    taken(caller, called)


def test_a_call_of_the_telephone_system_with_a_signed_identity_is_put_through(
    parties: tuple[Peer, Peer],
) -> None:
    phone, pbx = parties
    caller = pbx.call("6001", user=CUSTOMER)
    caller.ask("INVITE", describe(40_000), HEADER)

    called = phone.taken()

    assert called.invite is not None
    assert called.invite.header("Identity") == IDENTITY
    taken(caller, called)


def test_a_long_answer_is_heard(parties: tuple[Peer, Peer]) -> None:
    phone, pbx = parties
    caller = phone.call(CUSTOMER)
    caller.ask("INVITE", describe(40_000))

    taken(caller, pbx.taken(), answer=f"X-Long: {IDENTITY}\r\n")


def test_a_description_with_very_many_candidates_is_understood_to_its_end(parties: tuple[Peer, Peer]) -> None:
    phone, pbx = parties
    caller = phone.call(CUSTOMER)
    caller.ask("INVITE", describe(40_000, extra=CANDIDATES) + "m=video 0 RTP/AVP 96\r\n")

    called = pbx.taken()
    called.answer(200, describe(40_002))
    called.asked("ACK")
    answer = caller.response(200)
    caller.acknowledge(answer)
    caller.hang_up()
    called.hung_up_on()

    assert [line.split(" ")[0] for line in answer.body.split("\r\n") if line.startswith("m=")] == [
        "m=audio",
        "m=video",
    ]

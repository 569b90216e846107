"""Transactions: the tables of RFC 3261 section 17 and RFC 6026, and their timers."""

import math

import pytest

from callseal.agent.sip.flow import Transport
from callseal.agent.sip.transaction import (
    CLIENT,
    INVITE_CLIENT,
    INVITE_PROXIED,
    INVITE_SERVER,
    MACHINES,
    SERVER,
    Action,
    Input,
    Machine,
    State,
    Transaction,
    table_text,
)
from support.sip_caller import GATEWAY, flow_over

KEY = ("z9hG4bK-1", "192.0.2.9:5060", "call-1", 1, "tag", "INVITE")


def transaction(machine: Machine, transport: Transport = Transport.UDP) -> Transaction:
    made = Transaction(machine, 1, KEY, flow=flow_over(transport), destination=GATEWAY)
    made.data = b"message"
    return made


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_state_can_be_left(machine: Machine) -> None:
    states = {state for state, _ in machine.table} | {state for state, _ in machine.table.values()}

    left = {state for (state, _), (after, _) in machine.table.items() if after is not state}

    assert states - left == {State.TERMINATED}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_state_has_an_end_in_time(machine: Machine) -> None:
    states = {state for state, _ in machine.table}

    ending = {state for state, what in machine.table if what is Input.END}
    # What a proxy has passed on is ended by the other side, which has an end in time itself.
    passed_on = {State.PROCEEDING} if machine is INVITE_PROXIED else set()

    assert states - ending == passed_on


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_text_shows_the_whole_table(machine: Machine) -> None:
    text = table_text(machine)

    assert len(text.splitlines()) == 2 + len(machine.table)
    assert all(line.startswith("| ") and line.endswith(" |") for line in text.splitlines())


@pytest.mark.parametrize(
    ("machine", "story", "transport", "lasts_s"),
    [
        (INVITE_SERVER, [Input.FAILURE], Transport.UDP, 32.0),  # H
        (INVITE_SERVER, [Input.FAILURE], Transport.TCP, 32.0),  # H
        (INVITE_SERVER, [Input.FAILURE, Input.ACK], Transport.UDP, 5.0),  # I
        (INVITE_SERVER, [Input.FAILURE, Input.ACK], Transport.TCP, 0.0),  # I
        (INVITE_SERVER, [Input.SUCCESS], Transport.UDP, 32.0),  # L
        (INVITE_SERVER, [Input.SUCCESS], Transport.TLS, 32.0),  # L
        (INVITE_SERVER, [Input.SUCCESS, Input.ACK], Transport.UDP, 32.0),  # L runs on
        (INVITE_PROXIED, [Input.SUCCESS], Transport.UDP, 32.0),  # L
        (INVITE_PROXIED, [Input.PROVISIONAL, Input.SUCCESS, Input.SUCCESS], Transport.TCP, 32.0),  # L runs on
        (INVITE_PROXIED, [Input.SUCCESS, Input.ACK], Transport.UDP, 32.0),  # L runs on
        (INVITE_PROXIED, [Input.FAILURE], Transport.UDP, 32.0),  # H
        (INVITE_PROXIED, [Input.FAILURE, Input.ACK], Transport.UDP, 5.0),  # I
        (INVITE_PROXIED, [Input.FAILURE, Input.ACK], Transport.TLS, 0.0),  # I
        (INVITE_CLIENT, [], Transport.UDP, 32.0),  # B
        (INVITE_CLIENT, [], Transport.TCP, 32.0),  # B
        (INVITE_CLIENT, [Input.CANCEL], Transport.UDP, 32.0),  # B runs on
        (INVITE_CLIENT, [Input.PROVISIONAL], Transport.UDP, 212.0),  # C, and section 9.1
        (INVITE_CLIENT, [Input.PROVISIONAL, Input.CANCEL], Transport.UDP, 32.0),  # section 9.1
        (INVITE_CLIENT, [Input.CANCEL, Input.PROVISIONAL], Transport.TCP, 32.0),  # section 9.1
        (INVITE_CLIENT, [Input.SUCCESS], Transport.UDP, 32.0),  # M
        (INVITE_CLIENT, [Input.SUCCESS, Input.SUCCESS], Transport.TLS, 32.0),  # M runs on
        (INVITE_CLIENT, [Input.FAILURE], Transport.UDP, 32.0),  # D
        (INVITE_CLIENT, [Input.FAILURE], Transport.TCP, 0.0),  # D
        (INVITE_CLIENT, [Input.UNSENT], Transport.TCP, 0.0),
        (CLIENT, [Input.UNSENT], Transport.TCP, 0.0),
        (SERVER, [Input.SUCCESS], Transport.UDP, 32.0),  # J
        (SERVER, [Input.FAILURE], Transport.TCP, 0.0),  # J
        (CLIENT, [], Transport.UDP, 32.0),  # F
        (CLIENT, [], Transport.TCP, 32.0),  # F
        (CLIENT, [Input.PROVISIONAL], Transport.UDP, 32.0),  # F runs on
        (CLIENT, [Input.SUCCESS], Transport.UDP, 5.0),  # K
        (CLIENT, [Input.FAILURE], Transport.TCP, 0.0),  # K
    ],
)
def test_states_last_as_long_as_the_rfc_says(
    machine: Machine, story: list[Input], transport: Transport, lasts_s: float
) -> None:
    made = transaction(machine, transport)
    made.begin(100.0)
    for what in story:
        made.take(what, 100.0)

    times = [100.0]
    while not made.is_over:
        times.append(made.due_s)
        made.on_time(made.due_s)

    assert times[-1] == 100.0 + lasts_s


def test_over_udp_a_refusal_is_sent_again_at_growing_intervals() -> None:
    made = transaction(INVITE_SERVER)
    made.take(Input.FAILURE, 0.0)

    times = []
    while made.state is State.COMPLETED:
        due_s = made.due_s
        if made.on_time(due_s) is Action.SEND:
            times.append(due_s)

    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


@pytest.mark.parametrize("cancelled_s", [None, 0.2, 5.0])
def test_over_udp_an_invite_is_sent_again_at_intervals_that_double_without_end(
    cancelled_s: float | None,
) -> None:
    made = transaction(INVITE_CLIENT)
    made.begin(0.0)

    times = []
    while not made.is_over:
        due_s = made.due_s
        if cancelled_s is not None and due_s > cancelled_s:
            made.take(Input.CANCEL, cancelled_s)
        if made.on_time(due_s) is Action.SEND:
            times.append(due_s)

    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


def test_a_cancel_waits_for_the_first_provisional_answer() -> None:
    made = transaction(INVITE_CLIENT)
    made.begin(0.0)

    actions = [made.take(Input.CANCEL, 1.0), made.take(Input.CANCEL, 1.1), made.take(Input.PROVISIONAL, 1.2)]

    assert actions == [Action.NOTHING, Action.NOTHING, Action.CANCEL]
    assert made.take(Input.CANCEL, 1.3) is Action.NOTHING


def test_what_the_other_side_has_heard_is_not_kept() -> None:
    made = transaction(INVITE_SERVER)
    made.take(Input.SUCCESS, 0.0)

    made.take(Input.ACK, 0.0)

    assert made.data == b""
    assert made.take(Input.REQUEST, 0.0) is Action.NOTHING


@pytest.mark.parametrize("machine", [INVITE_SERVER, SERVER], ids=lambda machine: machine.name)
def test_a_request_that_waits_has_the_time_that_it_is_given(machine: Machine) -> None:
    made = transaction(machine)

    assert made.due_s == math.inf
    made.end_s = 60.0

    assert made.on_time(60.0) is Action.GIVE_UP
    assert not made.is_over


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_what_is_not_in_the_table_changes_nothing(machine: Machine) -> None:
    made = transaction(machine)
    before = made.state
    foreign = [what for what in Input if (before, what) not in machine.table]

    actions = [made.take(what, 0.0) for what in foreign]

    assert set(actions) == {Action.NOTHING}
    assert made.state is before

"""SRTP received out of order, anew, again, forged: which packets are taken."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.codecs.srtp import REPLAY_PACKETS, ROLL_OVERS, SEARCHES, SOURCES, SrtpBank
from callseal.codecs.srtp_protector import Protector
from callseal.codecs.srtp_suite import Suite
from support.srtp_batches import SrtpLine, master, rtp, unprotect

SUITES = pytest.mark.parametrize(
    "suite", [Suite.AES_128_CM_80, Suite.AES_256_GCM], ids=lambda suite: suite.value
)


@SUITES
def test_the_count_goes_on_when_the_sequence_number_begins_anew(suite: Suite) -> None:
    line = SrtpLine(suite)

    opened = [line.receive(*line.send(*range(start, start + 50))) for start in range(65400, 65700, 50)]

    assert all(all(batch.good) for batch in opened)


@SUITES
def test_packets_around_the_new_beginning_may_come_in_any_order_and_in_any_batch(suite: Suite) -> None:
    line = SrtpLine(suite)
    line.receive(*line.send(65530))
    packets = line.send(*range(65531, 65542))
    late = packets.pop(2)

    opened = line.receive(*reversed(packets)), line.receive(late)

    assert opened[0].good == [True] * 10
    assert opened[1].packets == (rtp(65533, ssrc=1),)


@SUITES
@pytest.mark.parametrize("missed", [(40_000,), (20_000, 50_000), (30_000, 60_000, 90_000, 120_000)])
def test_a_loss_of_ten_thousands_of_packets_is_got_over(suite: Suite, missed: tuple[int, ...]) -> None:
    line = SrtpLine(suite)
    line.receive(*line.send(100))
    line.send(*missed)

    opened = (
        line.receive(*line.send(missed[-1] + 1, missed[-1] + 2)),
        line.receive(*line.send(missed[-1] + 3)),
    )

    assert opened[0].good == [True, True]
    assert opened[1].good == [True]


@SUITES
@pytest.mark.parametrize("roll_over", [0, 1, ROLL_OVERS - 1])
def test_who_joins_a_stream_that_has_run_for_hours_finds_its_roll_over_counter(
    suite: Suite, roll_over: int
) -> None:
    line = SrtpLine(suite, roll_over=roll_over)

    opened = line.receive(*line.send(*range(65530, 65550)))

    assert opened.good == [True] * 20


@SUITES
def test_a_first_packet_that_is_broken_does_not_hide_the_stream(suite: Suite) -> None:
    line = SrtpLine(suite)
    first, *others = line.send(1, 2, 3)

    opened = line.receive(first[:-1] + bytes((first[-1] ^ 1,)), *others)

    assert opened.good == [False, True, True]


@SUITES
def test_the_same_packet_is_taken_once_in_one_batch_and_in_later_ones(suite: Suite) -> None:
    line = SrtpLine(suite)
    packets = line.send(1, 2, 3)

    opened = [
        line.receive(*packets, *packets),
        line.receive(*packets),
        line.receive(*line.send(4), packets[1]),
    ]

    assert opened[0].good == [True, True, True, False, False, False]
    assert opened[1].good == [False, False, False]
    assert opened[2].good == [True, False]


@SUITES
def test_a_packet_from_too_long_ago_is_refused_whether_it_came_before_or_not(suite: Suite) -> None:
    line = SrtpLine(suite)
    came, never, barely = line.send(1000, 1001, 1002)
    line.receive(came)
    line.receive(*line.send(1001 + REPLAY_PACKETS))

    opened = line.receive(came, never, barely)

    assert opened.good == [False, False, True]


@SUITES
def test_a_forged_packet_does_not_move_the_window(suite: Suite) -> None:
    line = SrtpLine(suite)
    line.receive(*line.send(1))
    forged = Protector(suite, bytes(suite.key_and_salt_bytes)).protect(rtp(30_000, ssrc=1))

    opened = line.receive(forged, *line.send(2)), line.receive(*line.send(3))

    assert opened[0].good == [False, True]
    assert opened[1].good == [True]


@SUITES
def test_a_new_source_of_a_stream_counts_from_the_beginning(suite: Suite) -> None:
    line = SrtpLine(suite)
    line.receive(*line.send(*range(65530, 65540), ssrc=1))
    line.sender = Protector(suite, master(suite))

    opened = line.receive(*line.send(7, 8, ssrc=2))

    assert opened.packets == (rtp(7, ssrc=2), rtp(8, ssrc=2))


@SUITES
def test_sources_that_take_turns_are_all_followed(suite: Suite) -> None:
    bank = SrtpBank()
    stream = bank.open(suite, master(suite))
    senders = {ssrc: Protector(suite, master(suite)) for ssrc in range(SOURCES)}

    opened = []
    for start in range(65500, 65600, 20):
        packets = [
            (stream, senders[ssrc].protect(rtp(start + ssrc + step, ssrc=ssrc)))
            for step in range(20)
            for ssrc in senders
        ]
        for ssrc in range(0, SOURCES, 2):  # two new sources at most are begun in one batch
            pair = [packet for packet in packets if packet[1][11] in {ssrc, ssrc + 1}]
            opened.append(unprotect(bank, pair))

    assert all(all(batch.good) for batch in opened)


def test_a_flood_of_sources_costs_a_few_attempts_and_the_real_one_is_still_heard() -> None:
    line = SrtpLine(Suite.AES_128_CM_80)
    stranger = Protector(Suite.AES_128_CM_80, bytes(30))
    for batch in range(2 * SEARCHES):
        flood = [stranger.protect(rtp(1, ssrc=1000 * batch + number)) for number in range(100, 200)]
        assert not any(line.receive(*flood).good)

    opened = line.receive(*line.send(1, 2))

    assert opened.good == [True, True]


@SUITES
@pytest.mark.parametrize("mki", [b"\1", b"\0\0\0\7"])
def test_packets_that_name_their_master_key_are_taken_when_it_is_ours(suite: Suite, mki: bytes) -> None:
    line = SrtpLine(suite, mki=mki)
    other = Protector(suite, master(suite), mki=bytes(len(mki)))

    opened = line.receive(*line.send(1), other.protect(rtp(2, ssrc=1)), *line.send(3))

    assert opened.packets == (rtp(1, ssrc=1), None, rtp(3, ssrc=1))


def test_a_stream_that_was_closed_forgets_its_key_and_its_place_is_used_again() -> None:
    line = SrtpLine(Suite.AES_128_CM_80)
    line.receive(*line.send(1))
    packets = line.send(2)

    line.bank.close(line.stream)
    again = line.bank.open(Suite.AES_128_CM_80, bytes(30))

    assert again == line.stream
    assert line.receive(*packets).good == [False]


def test_packets_of_a_closed_stream_are_refused_and_those_beside_them_are_taken() -> None:
    line = SrtpLine(Suite.AES_128_CM_80)
    other = line.bank.open(Suite.AES_128_GCM, master(Suite.AES_128_GCM))
    line.receive(*line.send(1))
    line.bank.close(line.stream)

    sealed = Protector(Suite.AES_128_GCM, master(Suite.AES_128_GCM)).protect(rtp(1))
    opened = unprotect(line.bank, [(line.stream, line.send(2)[0]), (other, sealed)])

    assert opened.good == [False, True]


def test_a_stream_is_closed_once() -> None:
    line = SrtpLine(Suite.AES_128_CM_80)
    line.bank.close(line.stream)

    with pytest.raises(KeyError):
        line.bank.close(line.stream)


def test_a_key_of_the_wrong_length_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="30 bytes"):
        SrtpBank().open(Suite.AES_128_CM_80, bytes(29))


def test_a_bank_grows_with_its_streams() -> None:
    bank = SrtpBank()

    streams = [bank.open(Suite.AES_128_GCM, bytes((number,)) * 28) for number in range(100)]

    packets = [
        (stream, Protector(Suite.AES_128_GCM, bytes((number,)) * 28).protect(rtp(1)))
        for number, stream in enumerate(streams)
    ]
    assert len(set(streams)) == 100
    assert unprotect(bank, packets).good == [True] * 100


def test_rows_that_do_not_lie_together_are_the_callers_fault() -> None:
    line = SrtpLine(Suite.AES_128_CM_80)
    rows = np.zeros((4, 512), np.uint8)[:, ::2]

    with pytest.raises(ValueError, match="together"):
        line.bank.unprotect(np.full(4, line.stream), rows, np.zeros(4, np.int64))


@SUITES
def test_no_packet_at_all_is_no_trouble(suite: Suite) -> None:
    assert SrtpLine(suite).receive().packets == ()


@SUITES
@given(st.data())
def test_whatever_comes_nothing_is_raised_and_a_real_packet_beside_it_is_taken(
    suite: Suite, data: st.DataObject
) -> None:
    line = SrtpLine(suite, mki=data.draw(st.sampled_from([b"", b"\1"])))
    junk = data.draw(
        st.lists(st.binary(max_size=64) | st.binary(max_size=60).map(lambda rest: b"\x90\x08" + rest))
    )

    opened = line.receive(*junk, *line.send(1))

    assert opened.good[-1]
    assert not any(opened.good[:-1])


@SUITES
@given(st.data())
def test_a_packet_that_is_cut_anywhere_or_claims_another_length_is_refused(
    suite: Suite, data: st.DataObject
) -> None:
    line = SrtpLine(suite)
    (packet,) = line.send(1)
    cut = packet[: data.draw(st.integers(0, len(packet) - 1))]
    lying = bytes((packet[0] | data.draw(st.integers(1, 31)),)) + packet[1:]

    opened = line.receive(cut, lying)

    assert opened.good == [False, False]


@given(st.permutations(range(65_500, 65_560)), st.lists(st.integers(1, 59), max_size=5))
def test_in_whatever_order_and_batches_packets_come_each_is_taken_once(
    order: list[int], cuts: list[int]
) -> None:
    line = SrtpLine(Suite.AES_128_CM_80)
    sealed = dict(zip(range(65_500, 65_560), line.send(*range(65_500, 65_560)), strict=True))
    borders = [0, *sorted(cuts), len(order)]

    taken = []
    for start, stop in pairwise(borders):
        opened = line.receive(*[sealed[number] for number in order[start:stop]])
        taken += opened.good

    assert all(taken)

"""Anything at all may come in a stream: it harms no other, and nothing is raised."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from callseal.codecs.rtp import Extension, Packet
from callseal.codecs.timeline import Bank, Form
from support.streamed import PCMU, RATE_HZ, SILENCE, put

# Few values, so that they meet: the same source twice, the same number again, a clock that is nearly right.
PACKETS = st.builds(
    Packet,
    payload_type=st.sampled_from([0, 0, 0, 13, 101, 96]),
    sequence=st.integers(0, 30) | st.integers(0, 0xFFFF),
    ts=st.integers(0, 60).map(lambda step: step * 160)
    | st.integers(0, 40 * RATE_HZ)
    | st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 2) | st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=4) | st.integers(0, 1700).map(bytes),
    marker=st.booleans(),
    csrc=st.lists(st.just(1), max_size=3).map(tuple),
    extension=st.none() | st.just(Extension(profile=1, data=bytes(8))),
    padding_bytes=st.sampled_from([0, 0, 0, 1, 255]),
).map(bytes)
DATAGRAMS = PACKETS | PACKETS.map(lambda data: data[: len(data) // 2]) | st.binary(max_size=60)
READINGS = st.lists(
    st.tuples(
        st.floats(0.0, 3.0),
        st.lists(DATAGRAMS, max_size=30),
        st.lists(DATAGRAMS, max_size=10),
        st.booleans(),
        st.sampled_from(["drained", "drained", "drained", "more", "finish"]),
    ),
    max_size=12,
)


@given(READINGS)
@settings(deadline=None)
def test_anything_that_comes_stays_in_its_own_place(
    readings: list[tuple[float, list[bytes], list[bytes], bool, str]],
) -> None:
    bank = Bank(rows=6, form=Form(rate_hz=RATE_HZ, sample_bytes=1), started_s=0.0)
    rows = bank.take([PCMU] * 6)
    wild = [rows[1], rows[4]]
    quiet = [row for row in rows if row not in wild]
    now_s = 0.0
    sound = []
    sent = 0

    for step_s, first, second, queued, then in readings:
        now_s += step_s
        batches = [(row, batch) for row, batch in zip(wild, (first, second), strict=True) if batch]
        sent += sum(len(batch) for _, batch in batches)
        if batches:
            put(bank, batches, now_s, np.full(len(batches), queued))
        if then != "more":
            bank.drained(now_s)
        while bank.is_due:
            sound.append(bank.close().payload[quiet].copy())
        if then == "finish":
            bank.finish(wild[:1], now_s)
        sound.append(bank.ahead(now_s)[quiet])

    assert all((piece == SILENCE).all() for piece in sound)
    counts = [bank.counts(row) for row in rows]
    assert sum(told.packets for told in counts) == sent
    for told in counts:
        assert min(told.lost, told.duplicates, told.late, told.placed, told.covered_samples) >= 0
        assert told.placed + told.malformed + told.unknown + told.events + told.comfort_noise <= told.packets


@given(st.lists(st.integers(0, 1699), min_size=1, max_size=200), st.integers(0, 4 * RATE_HZ))
@settings(deadline=None)
def test_packets_of_all_sizes_write_what_they_say_and_not_a_byte_beside(sizes: list[int], begin: int) -> None:
    """Wherever in the ring they come to stand, its end included."""
    bank = Bank(rows=3, form=Form(rate_hz=RATE_HZ, sample_bytes=1), started_s=0.0)
    _, row, _ = bank.take([PCMU] * 3)
    start_s = 1.0 + begin / RATE_HZ
    expected = b""
    now_s = 0.0
    pieces = []
    packets = []
    ts = 0
    for number, size in enumerate(sizes):
        payload = bytes((number * 7 + index) % 127 for index in range(size))
        packets.append(bytes(Packet(payload_type=0, sequence=number, ts=ts, ssrc=7, payload=payload)))
        # Who is longer than any real packet is, or holds nothing, leaves silence.
        kept = 0 < size <= 1600
        expected += payload if kept else bytes([SILENCE]) * size
        ts += size

    sent = 0
    while sent < len(packets) or now_s < start_s + ts / RATE_HZ + 2.0:
        now_s += 0.373
        due = [] if now_s < start_s else packets[sent : sent + 8]
        sent += len(due)
        if due:
            # As if they had come by their clock: what is sent together spans no more than a tick.
            reach = sum(sizes[:sent]) / RATE_HZ
            now_s = max(now_s, start_s + reach)
            put(bank, [(row, due)], now_s)
        bank.drained(now_s)
        while bank.is_due:
            pieces.append(bank.close().payload.copy())

    whole = np.concatenate(pieces, axis=1)
    assert expected.strip(bytes([SILENCE])) in whole[row].tobytes()
    assert (whole[[0, 2]] == SILENCE).all()

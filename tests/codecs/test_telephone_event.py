"""Keys that were pressed: each is told once, with where and how long, and never which."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.codecs.errors import PayloadError
from callseal.codecs.telephone_event import MAX_EVENTS, TIMEOUT_S, EventReader, Press


def _event(key: int, duration_ts: int, *, end: bool = False) -> bytes:
    return struct.pack("!BBH", key, 0x80 * end | 10, duration_ts)


def _press(key: int = 5, *, length: int = 4) -> list[bytes]:
    """Give a press as telephones send it: an update each 20 ms, its end three times."""
    updates = [_event(key, 160 * number) for number in range(1, length)]
    return updates + [_event(key, 160 * length, end=True)] * 3


def _read(reader: EventReader, payloads: list[bytes], *, ts: int, now_s: float = 0.0) -> list[Press]:
    return [
        press
        for number, payload in enumerate(payloads)
        for press in reader.put(payload, ts=ts, now_s=now_s + number * 0.02)
    ]


def test_a_press_is_told_once_though_its_end_comes_three_times() -> None:
    assert _read(EventReader(), _press(), ts=8000) == [Press(ts=8000, duration_ts=640)]


def test_presses_that_follow_one_another_are_told_one_by_one() -> None:
    reader = EventReader()

    presses = _read(reader, _press(), ts=8000) + _read(reader, _press(), ts=9600, now_s=0.2)

    assert [press.ts for press in presses] == [8000, 9600]


@pytest.mark.parametrize("lost", range(6))
def test_a_packet_that_is_lost_costs_no_press(lost: int) -> None:
    payloads = _press()
    del payloads[lost]

    assert _read(EventReader(), payloads, ts=8000) == [Press(ts=8000, duration_ts=640)]


def test_packets_that_come_in_disorder_or_twice_are_one_press() -> None:
    first, second, third, *ends = _press()

    presses = _read(EventReader(), [second, first, second, *ends, third, ends[0]], ts=8000)

    assert presses == [Press(ts=8000, duration_ts=640)]


def test_a_press_whose_end_was_lost_is_told_when_the_next_begins() -> None:
    reader = EventReader()

    presses = _read(reader, _press()[:3], ts=8000) + _read(reader, _press(), ts=16000, now_s=0.5)

    assert presses == [Press(ts=8000, duration_ts=480), Press(ts=16000, duration_ts=640)]


def test_a_press_whose_end_was_lost_is_told_after_a_while() -> None:
    reader = EventReader()
    _read(reader, _press()[:3], ts=8000)

    assert reader.expired(0.04 + TIMEOUT_S - 0.01) == ()
    assert reader.expired(0.04 + TIMEOUT_S + 0.01) == (Press(ts=8000, duration_ts=480),)
    assert reader.expired(100.0) == ()


def test_a_key_that_is_held_when_the_stream_ends_is_told() -> None:
    reader = EventReader()
    _read(reader, _press()[:3], ts=8000)

    assert reader.finish() == (Press(ts=8000, duration_ts=480),)
    assert reader.finish() == ()


def test_a_press_too_long_for_one_event_is_one_press() -> None:
    """RFC 4733 section 2.5.1.3: another piece begins where the duration can't grow any more."""
    reader = EventReader()
    pieces = [(_event(5, 0x8000), 1000), (_event(5, 0xFFFF), 1000), (_event(5, 800, end=True), 1000 + 0xFFFF)]

    presses = [press for payload, ts in pieces for press in reader.put(payload, ts=ts, now_s=0.1)]

    assert presses == [Press(ts=1000, duration_ts=0xFFFF + 800)]


def test_short_presses_may_share_one_packet() -> None:
    """RFC 4733 section 2.5.1.5: one begins where the one before ended."""
    reader = EventReader()

    presses = reader.put(_event(1, 400, end=True) + _event(2, 800, end=True), ts=1000, now_s=0.0)

    assert presses == (Press(ts=1000, duration_ts=400), Press(ts=1400, duration_ts=800))


def test_timestamps_may_begin_anew() -> None:
    reader = EventReader()

    presses = _read(reader, _press(), ts=2**32 - 320) + _read(reader, _press(), ts=1000, now_s=0.2)

    assert [press.ts for press in presses] == [2**32 - 320, 1000]


def test_a_source_that_begins_anew_with_an_earlier_clock_is_heard_after_a_while() -> None:
    reader = EventReader()
    _read(reader, _press(), ts=10_000_000)

    assert _read(reader, _press(), ts=50, now_s=5.0) == [Press(ts=50, duration_ts=640)]


def test_tones_of_the_line_are_no_keys() -> None:
    assert _read(EventReader(), _press(36), ts=8000) == []


def test_which_key_it_was_is_told_by_nothing() -> None:
    told = {tuple(_read(EventReader(), _press(key), ts=8)) for key in range(17)}

    assert told == {(Press(ts=8, duration_ts=640),)}


@pytest.mark.parametrize("payload", [b"", b"\x05", b"\x05\x8a\x03", _event(5, 1) * (MAX_EVENTS + 1)])
def test_what_is_no_event_is_refused(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        EventReader().put(payload, ts=0, now_s=0.0)


@given(st.lists(st.tuples(st.binary(max_size=12), st.integers(0, 2**32 - 1), st.floats(0, 9))))
def test_whatever_comes_only_the_remote_error_is_raised(packets: list[tuple[bytes, int, float]]) -> None:
    reader = EventReader()
    presses: list[Press] = []

    for payload, ts, now_s in packets:
        try:
            presses += reader.put(payload, ts=ts, now_s=now_s)
        except PayloadError:
            continue

    assert len(presses) <= 4 * len(packets)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.codecs.sequences import MAX_DROPOUT, Sequences


class Stream:
    """One stream's numbers, given piece by piece as packets are read."""

    def __init__(self, rows: int = 3, row: int = 1) -> None:
        self.row = row
        self.counted = Sequences(rows)

    def begin(self, number: int) -> None:
        self.counted.restart(np.array([self.row]), np.array([number % (1 << 16)], np.uint16))

    def read(self, *numbers: int) -> list[bool]:
        sequence = np.array([number % (1 << 16) for number in numbers], np.uint16)
        row = np.full(len(numbers), self.row)
        return [bool(again) for again in self.counted.note(row, sequence, np.array([0]))]

    @property
    def told(self) -> tuple[int, int, int]:
        """Lost, duplicates, reordered."""
        counted = self.counted
        return (
            counted.lost(self.row),
            int(counted.duplicates[self.row]),
            int(counted.reordered[self.row]),
        )


@pytest.fixture
def stream() -> Stream:
    stream = Stream()
    stream.begin(65534)
    return stream


def test_numbers_in_order_lose_nothing_across_the_wrap(stream: Stream) -> None:
    stream.read(65534, 65535, 0, 1)

    assert stream.told == (0, 0, 0)


def test_what_is_missing_is_lost_and_is_found_again_when_it_comes(stream: Stream) -> None:
    stream.read(65534, 1, 2)
    missing = stream.told

    stream.read(0, 65535)

    assert (missing, stream.told) == ((2, 0, 0), (0, 0, 2))


def test_duplicates_hide_no_loss(stream: Stream) -> None:
    again = stream.read(65534, 65534, 0, 0, 1)

    assert again == [False, True, False, True, False]
    assert stream.told == (1, 2, 0)


def test_a_duplicate_is_known_seconds_later(stream: Stream) -> None:
    stream.read(*range(65534, 65534 + 300))

    again = stream.read(65535)

    assert (again, stream.told) == ([True], (0, 1, 0))


def test_who_counts_anew_has_lost_nothing_and_is_counted_on_from_there(stream: Stream) -> None:
    stream.read(65534, 65535, 0)

    stream.read(30_000, 30_001)
    anew = stream.told
    stream.read(30_003)

    assert (anew, stream.told) == ((0, 0, 0), (1, 0, 0))


def test_one_number_from_nowhere_changes_nothing(stream: Stream) -> None:
    stream.read(65534, 65535, 30_000, 0, 1)

    assert stream.told == (0, 0, 0)


def test_a_gap_up_to_the_limit_of_rfc_3550_is_loss(stream: Stream) -> None:
    stream.read(65534)

    stream.read(65534 + MAX_DROPOUT)

    assert stream.told == (MAX_DROPOUT - 1, 0, 0)


def test_numbers_before_the_first_one_count(stream: Stream) -> None:
    stream.read(65534, 65533, 65535)

    assert stream.told == (0, 0, 1)


def test_another_source_with_the_same_numbers_is_no_duplicate(stream: Stream) -> None:
    stream.read(65534, 65535, 0)

    stream.begin(65534)
    again = stream.read(65534, 65535, 0)

    assert (again, stream.told) == ([False] * 3, (0, 0, 0))


def test_streams_beside_it_are_counted_for_themselves() -> None:
    counted = Sequences(4)
    counted.restart(np.array([0, 2]), np.array([5, 9], np.uint16))

    counted.note(np.array([0, 0, 2, 2]), np.array([5, 7, 9, 9], np.uint16), np.array([0, 2]))

    assert [counted.lost(row) for row in range(4)] == [1, 0, 0, 0]
    assert counted.duplicates.tolist() == [0, 0, 1, 0]


@given(
    st.integers(0, 65535),
    st.lists(st.integers(0, 120), min_size=1, max_size=120),
    st.lists(st.integers(1, 30), min_size=1, max_size=30),
)
def test_any_order_is_counted_as_a_simple_reader_would(first: int, order: list[int], cuts: list[int]) -> None:
    """However the packets are cut into readings."""
    stream = Stream()
    stream.begin(first + order[0])
    seen: set[int] = set()
    duplicates = reordered = 0
    for number in order:
        duplicates += number in seen
        reordered += number not in seen and number < max(seen, default=number)
        seen.add(number)

    begin = index = 0
    while begin < len(order):
        size = cuts[index % len(cuts)]
        stream.read(*(first + number for number in order[begin : begin + size]))
        begin, index = begin + size, index + 1

    assert stream.told == (max(order) - min(order) + 1 - len(seen), duplicates, reordered)

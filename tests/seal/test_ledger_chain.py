"""What a ledger says is read correctly, and whatever it holds, reading it ends with findings."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.ledger import (
    Code,
    Kind,
    compare_checkpoints,
    compare_copies,
    entry_hash,
    inclusion_proof,
    leaf_hash,
    root_from_inclusion,
    sign_line,
    split_line,
    verify_chain,
)
from callseal.seal.ledger.checkpoint import parse_checkpoint, sign_checkpoint, write_line
from callseal.seal.ledger.findings import MAX_FINDINGS_A_CODE
from callseal.seal.ledger.walk import MAX_UNVERIFIED
from support.ledgers import (
    BEGAN,
    Scribe,
    device,
    device_key,
    edit,
    lines_of,
    manifest,
    notes,
    public_key,
    read,
    recording,
    scribe,
)

HONEST = scribe(10)


@pytest.mark.parametrize("every_signature", [False, True])
def test_what_became_of_a_recording_is_told(every_signature: bool) -> None:  # noqa: FBT001 - pytest fills it in
    chain = HONEST.chain(every_signature=every_signature)

    end = chain.end(recording(3))

    assert end is not None
    assert (end.kind, end.sequence, end.manifest, end.result) == (Kind.CLOSED, 12, manifest(3), "ok")
    assert end.at == BEGAN + timedelta(minutes=4)
    assert chain.opened(recording(3)) == 11
    assert chain.end(recording(99)) is None
    assert chain.opened(recording(99)) is None


def test_places_times_and_hashes_are_those_of_the_entries() -> None:
    chain = HONEST.chain()

    data = [
        split_line(line)[0] for _, text in HONEST.segments for line in text.splitlines(keepends=True)[:-1]
    ]
    assert chain.size == len(data) == 31
    assert [chain.entry_hash(sequence) for sequence in range(31)] == [entry_hash(item) for item in data]
    assert chain.head == HONEST.state.place
    assert chain.at(0) == BEGAN
    assert all(chain.authentic(sequence) for sequence in range(31))
    for beyond in (-1, 31):
        assert chain.entry_hash(beyond) is None
        assert chain.at(beyond) is None
        assert not chain.authentic(beyond)


def test_an_entry_is_proved_to_be_under_a_checkpoint() -> None:
    chain = HONEST.chain()
    data = split_line(lines_of(HONEST.segments, 4)[2])[0]
    checkpoint = parse_checkpoint(notes(HONEST.segments)[7])

    proof = inclusion_proof(chain.leaves, 12, checkpoint.size)

    assert root_from_inclusion(leaf_hash(data), 12, checkpoint.size, proof) == checkpoint.root


def test_roots_are_told_at_every_size() -> None:
    chain = HONEST.chain()
    checkpoint = parse_checkpoint(notes(HONEST.segments)[7])

    assert list(chain.checkpoint_sizes()) == [1, *range(4, 32, 3)]
    assert chain.root_at(checkpoint.size) == checkpoint.root
    assert chain.root_at(5) == inclusion_root(5)
    assert chain.root_at(32) is None
    assert chain.note_sha256(5) is None


def inclusion_root(size: int) -> bytes:
    """Return the root over the first entries, by a proof for the last of them."""
    chain = HONEST.chain()
    proof = inclusion_proof(chain.leaves, size - 1, size)
    return root_from_inclusion(chain.leaves[size - 1], size - 1, size, proof)


def test_of_several_ends_the_last_one_counts() -> None:
    ledger = scribe(1)
    ledger.open(50)
    ledger.write(Kind.FAILED, 50, result="failed", reasons=("write-failed",))
    ledger.end(50, Kind.RECOVERED, "degraded", ["recovered"])
    ledger.publish()

    end = ledger.chain().end(recording(50))

    assert end is not None
    assert (end.kind, end.result, end.manifest) == (Kind.RECOVERED, "degraded", manifest(50))


def test_a_recording_that_goes_on_is_no_fault() -> None:
    ledger = scribe(1)
    ledger.open(50)
    ledger.publish()

    chain = ledger.chain()

    assert [(finding.code, finding.exit_code) for finding in chain.findings] == [(Code.STILL_OPEN, 0)]


def test_an_exempt_recording_needs_no_opening_and_others_do() -> None:
    ledger = scribe(1)
    ledger.end(50, Kind.EXEMPT, "exempt", ["emergency"])
    ledger.end(51, Kind.RECOVERED, "degraded", ["recovered"])
    ledger.publish()

    chain = ledger.chain()

    assert [(finding.code, finding.exit_code) for finding in chain.findings] == [(Code.END_WITHOUT_OPEN, 0)]
    assert str(recording(51)) in chain.findings[0].words


def test_a_clock_that_was_set_and_said_so_is_no_fault() -> None:
    ledger = scribe(2)
    ledger.time.wrong_s = -7200
    ledger.write(Kind.CLOCK_STEPPED, by_ms=-7_200_000)
    ledger.work(1, begin=2)

    chain = ledger.chain()

    assert [(finding.code, finding.exit_code) for finding in chain.findings] == [(Code.CLOCK_BACK, 0)]


@pytest.mark.parametrize(("wrong_s", "by_ms"), [(3600, None), (3600, 1000), (0, 1000), (-1.5, None)])
def test_a_clock_that_was_set_and_did_not_say_so_is_found(wrong_s: float, by_ms: int | None) -> None:
    ledger = scribe(2)
    ledger.time.wrong_s = wrong_s
    if by_ms is not None:
        ledger.write(Kind.CLOCK_STEPPED, by_ms=by_ms)
    ledger.work(1, begin=2)

    chain = ledger.chain()

    first = chain.findings[0]
    assert (first.code, first.sequence, first.exit_code) == (Code.CLOCK_STEPPED, 7, 12)


def test_a_machine_that_slept_was_not_set() -> None:
    ledger = scribe(2)
    ledger.write(Kind.STOPPED, code="signal")
    ledger.beat(after_s=8 * 3600)
    ledger.publish()

    assert ledger.chain().findings == ()


def test_segments_that_two_folders_both_have_do_no_harm() -> None:
    twice = sorted([*HONEST.segments, *HONEST.segments[3:6]])

    chain = read(twice)

    assert chain.findings == ()
    assert chain.size == 31


def test_the_segment_that_grows_is_checked_line_by_line() -> None:
    ledger = scribe(2)
    ledger.beat()
    ledger.beat()
    growing = 7, b"".join(ledger.lines)

    chain = read([*ledger.segments, growing])

    assert [(finding.code, finding.sequence, finding.exit_code) for finding in chain.findings] == [
        (Code.NOT_COVERED, 7, 0)
    ]
    assert chain.authentic(8)


def test_a_line_that_is_just_being_written_is_no_fault() -> None:
    ledger = scribe(2)
    ledger.beat()
    growing = 7, ledger.lines[0][:-50]

    chain = read([*ledger.segments, growing])

    assert [(finding.code, finding.exit_code) for finding in chain.findings] == [(Code.NOT_COVERED, 0)]
    assert chain.size == 7


def test_a_kind_from_a_later_version_is_not_checked_and_said_so() -> None:
    ledger = scribe(2)
    ledger.beat()
    data = split_line(ledger.lines[0])[0].replace(b'"heartbeat"', b'"inspected"')
    note = sign_checkpoint(device(), 8, root_with(data), device_key())
    segment = 7, sign_line(data, device_key()) + write_line(note)

    chain = read([*ledger.segments, segment])

    assert [(finding.code, finding.sequence, finding.exit_code) for finding in chain.findings] == [
        (Code.NOT_CHECKED, 7, 15)
    ]
    assert chain.authentic(7)


def root_with(data: bytes) -> bytes:
    """Return the root over the ledger of two calls and one more entry."""
    tree = scribe(2).state.tree
    tree.append(leaf_hash(data))
    return tree.root()


def test_an_empty_ledger_has_nothing_to_say() -> None:
    chain = read([])

    assert (chain.size, chain.head, chain.findings) == (0, None, ())


def test_another_devices_entries_are_refused() -> None:
    foreign = Scribe(key=device_key("another"))
    foreign.start()
    foreign.publish()

    chain = read(foreign.segments)

    assert chain.size == 0
    assert {finding.code for finding in chain.findings} == {Code.ALTERED}


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [b"no entry\n", *lines],
        lambda lines: [*lines, lines[0]],
        lambda lines: [lines[0], *lines],
        lambda lines: [*lines[:-1], lines[0], lines[-1]],
        lambda lines: lines[:-1],
        lambda lines: [*lines[:-1], lines[-1][:-2]],
        lambda lines: lines[-1:],
        lambda lines: [*lines[:-1], b'{"checkpoint":"no note"}\n'],
        lambda lines: [*lines[:-1], write_line(notes(HONEST.segments)[2].decode())],
        lambda lines: [
            *lines[:-1],
            write_line(sign_checkpoint(device("another"), 16, bytes(32), device_key("another"))),
        ],
        lambda lines: [*lines[:-1], write_line(sign_checkpoint(device(), 16, bytes(32), device_key()))],
    ],
)
def test_a_segment_that_was_tampered_with_is_found(change: object) -> None:
    assert callable(change)

    chain = read(edit(HONEST.segments, 5, change(lines_of(HONEST.segments, 5))))

    assert Code.ALTERED in {finding.code for finding in chain.findings if finding.exit_code == 12}


def test_a_segment_under_another_number_is_found() -> None:
    segments = [(first + (first == 13), data) for first, data in HONEST.segments]

    chain = read(segments)

    assert [finding.code for finding in chain.findings] == [Code.ALTERED]
    assert chain.findings[0].words == "segment 14 begins with entry 13"


def test_a_checkpoint_that_a_witness_signed_too_is_read() -> None:
    lines = lines_of(HONEST.segments, 5)
    note = notes(HONEST.segments)[5].decode() + "— witness.example/w1 " + "AAAA" * 20 + "\n"

    chain = read(edit(HONEST.segments, 5, [*lines[:-1], write_line(note)]))

    assert chain.findings == ()


def test_a_number_far_beyond_the_end_takes_no_memory() -> None:
    ledger = scribe(1)
    data = split_line(ledger.write(Kind.HEARTBEAT, open=0))[0]
    far = data.replace(b'"sequence":4', b'"sequence":900000000000')

    chain = read([*ledger.segments, (900_000_000_000, sign_line(far, device_key()))])

    assert chain.size == 4
    assert Code.ALTERED in {finding.code for finding in chain.findings}


def test_one_fault_a_line_does_not_bury_the_report() -> None:
    data = b"no entry\n" * 1000

    chain = read([(0, data)])

    altered = [finding for finding in chain.findings if finding.code is Code.ALTERED]
    assert len(altered) == MAX_FINDINGS_A_CODE + 1
    assert altered[-1].words.startswith("and 90")


def test_every_entry_of_a_long_ledger_is_vouched_for() -> None:
    ledger = Scribe()
    ledger.start()
    for _ in range(MAX_UNVERIFIED + 200):
        ledger.beat()
        if len(ledger.lines) == 50:
            ledger.publish()
    ledger.publish()
    heard: list[int] = []

    chain = verify_chain(ledger.segments, device=device(), public_key=public_key(), progress=heard.append)

    assert chain.findings == ()
    assert all(chain.authentic(sequence) for sequence in range(chain.size))
    assert heard == [chain.size]


def test_a_forged_entry_does_not_hide_the_genuine_end_of_a_recording() -> None:
    ledger = scribe(1)
    ledger.end(0, Kind.DISCARDED, "exempt", ["emergency"])
    forged = sign_line(split_line(ledger.lines[0])[0], device_key("another"))

    chain = read([*ledger.segments, (4, forged)])

    end = chain.end(recording(0))
    assert end is not None
    assert end.kind is Kind.CLOSED


def test_a_checkpoint_kept_elsewhere_that_nobody_signed_accuses_nobody() -> None:
    chain = HONEST.chain()
    forged = sign_checkpoint(device(), 99, bytes(32), device_key("another")).encode()

    findings = compare_checkpoints(chain, [forged, b"no note", *notes(HONEST.segments)])

    assert [(finding.code, finding.exit_code) for finding in findings] == [(Code.NOT_CHECKED, 15)] * 2


def test_checkpoints_at_sizes_of_their_own_are_compared_too() -> None:
    chain = HONEST.chain()
    root = chain.root_at(5)
    assert root is not None

    fitting = sign_checkpoint(device(), 5, root, device_key()).encode()
    other = sign_checkpoint(device(), 5, bytes(32), device_key()).encode()

    assert compare_checkpoints(chain, [fitting]) == ()
    assert [finding.code for finding in compare_checkpoints(chain, [other])] == [Code.REWRITTEN]


def test_a_copy_that_lags_behind_is_only_a_note() -> None:
    findings = compare_copies(HONEST.chain(), read(HONEST.segments[:8]))

    assert [(finding.code, finding.exit_code) for finding in findings] == [(Code.CUT_OFF, 0)]


def test_ledgers_of_two_devices_are_not_compared() -> None:
    other = verify_chain([], device=device("another"), public_key=public_key("another"))

    with pytest.raises(ValueError, match="nothing to compare"):
        compare_copies(HONEST.chain(), other)


@given(st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=200)), max_size=4))
def test_whatever_segments_hold_reading_them_raises_nothing(segments: list[tuple[int, bytes]]) -> None:
    chain = read(segments)

    assert chain.size == 0


@given(st.integers(0, 10), st.integers(0, 3), st.integers(0, 600), st.integers(0, 4), st.binary(max_size=4))
def test_whatever_is_altered_is_found_or_changes_nothing(
    number: int, line: int, begin: int, count: int, instead: bytes
) -> None:
    lines = lines_of(HONEST.segments, number)
    line %= len(lines)
    lines[line] = lines[line][:begin] + instead + lines[line][begin + count :]

    chain = read(edit(HONEST.segments, number, lines), every_signature=True)
    quick = read(edit(HONEST.segments, number, lines))

    same = b"".join(lines) == HONEST.segments[number][1]
    torn = {finding.code for finding in chain.findings} == {Code.NOT_COVERED}
    assert same or torn or any(finding.exit_code for finding in chain.findings)
    # Without every signature a damaged one may go by, and never a damaged entry.
    entries = HONEST.chain().hashes.to_bytes()
    told = torn or any(finding.exit_code for finding in quick.findings)
    assert told or quick.hashes.to_bytes() == entries

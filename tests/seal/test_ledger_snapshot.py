"""A check that goes on from a snapshot finds and answers what one from the first entry on does."""

import base64
import contextlib
import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import LedgerError
from callseal.seal.ledger import (
    Chain,
    Code,
    Finding,
    Kind,
    Snapshot,
    compare_checkpoints,
    compare_copies,
    read_snapshot,
    verify_chain,
)
from callseal.seal.ledger.checkpoint import sign_checkpoint, write_line
from callseal.seal.ledger.snapshot import MAX_ENDS
from callseal.seal.verify import DeviceLedger, Outcome
from callseal.seal.verify.ledger import standing
from support.kept_ledgers import Writer
from support.ledgers import (
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
from support.sealed_recordings import organisation, recording_id

Segments: TypeAlias = Sequence[tuple[int, bytes]]
CALLS: Final = 8
NUMBERS: Final = range(60)


def check(segments: Segments, after: Snapshot | None = None, at: Sequence[int] = ()) -> Chain:
    """Return what a check of these segments says, from a snapshot on if one is given."""
    return verify_chain(
        segments, device=device(), public_key=public_key(), after=after, snapshots_at=frozenset(at)
    )


def snapshot(segments: Segments) -> Snapshot:
    """Return what is known behind these segments, as it comes back from a file."""
    taken = check(segments, at=range(10_000)).snapshot
    assert taken is not None
    return read_snapshot(taken.to_bytes())


def restarted() -> Scribe:
    """Return the ledger of an agent that died in a call, found another one again, and went on."""
    ledger = scribe(3)
    ledger.open(40)
    ledger.open(41)
    ledger.publish()
    ledger.time.start_again()
    ledger.start()
    ledger.end(41, Kind.RECOVERED, "degraded", ["recovered"])
    ledger.publish()
    ledger.work(4, begin=42)
    return ledger


def failed_and_recovered() -> Scribe:
    """Return a ledger in which a recording that failed is recovered later, and one ends twice."""
    ledger = scribe(2)
    ledger.open(40)
    ledger.write(Kind.FAILED, 40, result="failed", reasons=("write-failed",))
    ledger.publish()
    ledger.work(2, begin=41)
    ledger.end(40, Kind.RECOVERED, "degraded", ["recovered"])
    ledger.publish()
    ledger.write(Kind.RECOVERED, 41, after_s=1, manifest=manifest(7), result="degraded", reasons=())
    ledger.publish()
    ledger.work(2, begin=44)
    return ledger


def stepped() -> Scribe:
    """Return a ledger whose clock was set, once openly and once not, with a silence between."""
    ledger = scribe(3)
    ledger.time.wrong_s = -7200
    ledger.write(Kind.CLOCK_STEPPED, by_ms=-7_200_000)
    ledger.publish()
    ledger.beat(after_s=3600)
    ledger.publish()
    ledger.time.wrong_s = 900
    ledger.work(3, begin=20)
    return ledger


def exchanged() -> Segments:
    """Return a ledger in which two entries changed places."""
    segments = scribe(CALLS).segments
    lines = lines_of(segments, 4)
    return edit(segments, 4, [lines[0], lines[2], lines[1], lines[3]])


def altered() -> Segments:
    """Return a ledger in which a recording ends with another manifest than it did."""
    segments = scribe(CALLS).segments
    lines = lines_of(segments, 4)
    lines[2] = lines[2].replace(manifest(3).hex().encode(), manifest(99).hex().encode())
    return edit(segments, 4, lines)


def shortened() -> Segments:
    """Return a ledger without one entry and, later, without one segment."""
    segments = scribe(CALLS).segments
    lines = lines_of(segments, 3)
    cut = edit(segments, 3, [lines[0], *lines[2:]])
    return [*cut[:6], *cut[7:]]


def forked() -> Segments:
    """Return a ledger with two segments of one number."""
    machine = scribe(5)
    older = copy.deepcopy(machine)
    machine.work(3, begin=5)
    older.work(1, begin=50)
    return sorted([*machine.segments, older.segments[-1]])


def strange_checkpoint() -> Segments:
    """Return a ledger in which another key signed a checkpoint."""
    honest = scribe(CALLS)
    lines = lines_of(honest.segments, 4)
    said = notes(honest.segments)[4].decode().split("\n")[1:3]
    note = sign_checkpoint(device(), int(said[0]), base64.b64decode(said[1]), device_key("another"))
    return edit(honest.segments, 4, [*lines[:-1], write_line(note)])


LEDGERS: Final[dict[str, Callable[[], Segments]]] = {
    "honest": lambda: scribe(CALLS).segments,
    "restarted": lambda: restarted().segments,
    "failed and recovered": lambda: failed_and_recovered().segments,
    "clock set": lambda: stepped().segments,
    "exchanged": exchanged,
    "altered": altered,
    "shortened": shortened,
    "forked": forked,
    "strange checkpoint": strange_checkpoint,
}


def answers(chain: Chain, base: int) -> dict[str, object]:
    """Return all that a chain answers about its entries from `base` on, and about recordings."""
    entries = range(base, chain.size + 1)
    return {
        "size": chain.size,
        "head": chain.head,
        "clocks": chain.clocks,
        "hashes": [chain.entry_hash(sequence) for sequence in entries],
        "times": [chain.at(sequence) for sequence in entries],
        "authentic": [chain.authentic(sequence) for sequence in entries],
        "checkpoints": [size for size in chain.checkpoint_sizes() if size > base],
        "notes": [chain.note_sha256(size) for size in entries if size > base],
        "ends": [chain.end(recording(number)) for number in NUMBERS],
        "opened": [chain.opened(recording(number)) for number in NUMBERS],
        "opened at": [chain.opened_at(recording(number)) for number in NUMBERS],
        "open": set(chain.open_recordings()),
        "running": set(chain.running()),
    }


def told(chain: Chain, base: int) -> set[Finding]:
    """Return the faults, whenever they were, and the notes from entry `base` on."""
    notes_since = {Code.STILL_OPEN}
    return {
        finding
        for finding in chain.findings
        if finding.exit_code
        or finding.code in notes_since
        or (finding.sequence is not None and finding.sequence >= base)
    }


@pytest.mark.parametrize("name", list(LEDGERS))
def test_going_on_at_any_segment_finds_and_answers_what_the_whole_does(name: str) -> None:
    segments = LEDGERS[name]()
    whole = check(segments)
    taken = 0

    for cut in range(1, len(segments)):
        before = check(segments[:cut], at=[segments[cut][0]]).snapshot
        if before is None or segments[cut - 1][0] == segments[cut][0]:
            continue
        taken += 1
        chain = check(segments[cut:], after=read_snapshot(before.to_bytes()))
        assert chain.base == segments[cut][0]
        assert told(chain, chain.base) == told(whole, chain.base)
        assert answers(chain, chain.base) == answers(whole, chain.base)

    assert taken >= len(segments) // 2


@pytest.mark.parametrize("name", list(LEDGERS))
def test_going_on_segment_by_segment_comes_to_the_same_end(name: str) -> None:
    segments = LEDGERS[name]()
    last = snapshot(segments[:1])
    begun = 1

    for cut in range(2, len(segments)):
        chain = check(segments[begun:cut], after=last, at=[segments[cut][0]])
        if chain.snapshot is not None:
            last, begun = read_snapshot(chain.snapshot.to_bytes()), cut
    chain = check(segments[begun:], after=last)

    assert told(chain, chain.base) == told(check(segments), chain.base)
    assert answers(chain, chain.base) == answers(check(segments), chain.base)


def test_roots_are_told_from_the_snapshot_on() -> None:
    segments = scribe(CALLS).segments
    whole = check(segments)

    chain = check(segments[4:], after=snapshot(segments[:4]))

    assert chain.base == 10
    sizes = range(10, whole.size + 1)
    assert [chain.root_at(size) for size in sizes] == [whole.root_at(size) for size in sizes]
    assert chain.root_at(9) is None
    assert chain.root_at(whole.size + 1) is None


def test_nothing_is_said_of_single_entries_below_the_snapshot() -> None:
    segments = scribe(CALLS).segments

    chain = check(segments[4:], after=snapshot(segments[:4]))

    for sequence in (-1, 0, 9):
        assert chain.entry_hash(sequence) is None
        assert chain.at(sequence) is None
        assert not chain.authentic(sequence)


def test_rows_of_a_chain_hold_what_is_behind_the_snapshot_and_no_more() -> None:
    segments = scribe(CALLS).segments

    chain = check(segments[4:], after=snapshot(segments[:4]))

    rows = len(chain.hashes), len(chain.leaves), len(chain.times_ms)
    assert rows == (chain.size - chain.base,) * 3


def test_with_nothing_new_the_ledger_ends_where_the_snapshot_was_taken() -> None:
    ledger = scribe(CALLS)

    chain = check([], after=snapshot(ledger.segments))

    assert (chain.base, chain.size) == (ledger.state.size, ledger.state.size)
    assert chain.head == ledger.state.place
    assert chain.clocks == ledger.state.clocks
    assert chain.findings == ()


def test_a_ledger_written_anew_behind_the_snapshot_is_found() -> None:
    honest, other = scribe(CALLS), scribe(3)
    other.work(CALLS - 3, begin=30)
    firsts = [first for first, _ in honest.segments]

    chain = check(other.segments[6:], after=snapshot(honest.segments[:6]))

    assert [first for first, _ in other.segments] == firsts
    found = [finding for finding in chain.findings if finding.exit_code == 12]
    assert (found[0].code, found[0].sequence) == (Code.ALTERED, firsts[6] - 1)


def test_no_snapshot_is_taken_behind_a_checkpoint_that_the_device_did_not_sign() -> None:
    segments = strange_checkpoint()

    taken = check(segments[:5], at=range(10_000)).snapshot

    assert taken is not None
    assert taken.size == segments[4][0]


def test_no_snapshot_is_taken_where_a_segment_has_no_checkpoint() -> None:
    segments = scribe(2).segments
    open_ended = edit(segments, 2, lines_of(segments, 2)[:-1])

    taken = check(open_ended, at=range(10_000)).snapshot

    assert taken is not None
    assert taken.size == segments[2][0]


def test_a_snapshot_is_taken_only_where_one_was_asked_for() -> None:
    segments = scribe(CALLS).segments

    taken = check(segments, at=[5, 7, 10_000]).snapshot

    assert taken is not None
    assert taken.size == 7
    assert check(segments).snapshot is None


def test_a_hole_found_once_is_told_ever_after() -> None:
    segments = shortened()
    last = snapshot(segments)
    ledger = scribe(CALLS)
    ledger.work(2, begin=CALLS)

    chain = check(ledger.segments[CALLS + 1 :], after=last)

    gaps = [finding.sequence for finding in chain.findings if finding.code is Code.GAP]
    assert gaps == [8, 16]


def long_ended(calls: int) -> tuple[Scribe, Snapshot]:
    """Return a ledger of so many more recordings than a snapshot keeps, and a snapshot of it."""
    ledger = Scribe()
    ledger.start()
    for number in range(MAX_ENDS + calls):
        ledger.open(number)
        ledger.end(number)
    ledger.publish()
    return ledger, snapshot(ledger.segments)


def test_a_snapshot_keeps_the_newest_ends_only() -> None:
    ledger, last = long_ended(3)

    chain = check([], after=last)

    assert chain.end(recording(2)) is None
    assert chain.end(recording(3)) == ledger.chain().end(recording(3))


@pytest.mark.parametrize("kind", [Kind.RECOVERED, Kind.EXEMPT, Kind.OPENED])
def test_a_recording_that_was_let_go_of_does_not_come_back_unnoticed(kind: Kind) -> None:
    ledger, last = long_ended(3)
    if kind is Kind.OPENED:
        ledger.open(1)
    ledger.write(
        Kind.CLOSED if kind is Kind.OPENED else kind,
        1,
        after_s=1,
        manifest=manifest(99),
        result="ok",
        reasons=(),
    )
    ledger.publish()

    chain = check(ledger.segments[1:], after=last, at=range(10_000))

    assert Code.REPLACED in {finding.code for finding in ledger.chain().findings}
    first = next(item for item in chain.findings if item.exit_code)
    assert (first.code, first.exit_code) == (Code.BEFORE_BASE, 15)
    assert chain.doubtful(recording(1))
    assert chain.snapshot is None  # only a check of the whole may go on from here


def test_recordings_that_are_new_are_in_no_doubt() -> None:
    ledger, last = long_ended(3)
    ledger.work(2, begin=MAX_ENDS + 3)

    chain = check(ledger.segments[1:], after=last)

    assert chain.findings == ()
    assert not chain.doubtful(recording(MAX_ENDS + 3))


def test_an_id_from_the_future_that_was_let_go_of_does_not_come_back_either() -> None:
    ledger = Scribe()
    ledger.start()
    ledger.end(9_999, Kind.EXEMPT, "exempt", ["emergency"])
    for number in range(MAX_ENDS):
        ledger.end(number, Kind.EXEMPT, "exempt", ["emergency"])
    ledger.publish()
    last = snapshot(ledger.segments)
    ledger.write(Kind.CLOSED, 9_999, manifest=manifest(1), result="ok", reasons=())
    ledger.publish()

    chain = check(ledger.segments[1:], after=last)

    assert recording(9_999) > recording(MAX_ENDS)
    assert chain.doubtful(recording(9_999))


def test_what_two_segments_of_one_number_differ_in_is_not_lost_at_a_snapshot() -> None:
    machine = scribe(5)
    other = copy.deepcopy(machine)
    machine.work(1, begin=5)
    other.work(1, begin=50)
    torn = other.segments[-1][0], b"".join(lines_of(other.segments, 6)[:-1])

    taken = check([*machine.segments, torn], at=range(10_000)).snapshot

    assert taken is None


def test_an_entry_older_than_the_snapshot_is_not_judged_by_what_is_gone() -> None:
    segments = scribe(CALLS).segments

    chain = check([*segments[2:3], *segments[4:]], after=snapshot(segments[:4]))

    assert {Code.BEFORE_BASE} <= {finding.code for finding in chain.findings if finding.exit_code == 15}


def test_a_snapshot_of_another_device_is_refused() -> None:
    last = snapshot(scribe(2).segments)

    with pytest.raises(ValueError, match="snapshot is one of"):
        verify_chain([], device=device("another"), public_key=public_key("another"), after=last)


def checked_from(writer: Writer, segments: int) -> DeviceLedger:
    """Return the ledger as it is found from a snapshot behind so many segments on."""
    kept = sorted(writer.kept.segments.items())
    key = writer.signing_key.public_key()
    name = writer.owner.device
    before = verify_chain(kept[:segments], device=name, public_key=key, snapshots_at=range(10_000))
    return DeviceLedger(
        chain=verify_chain(kept[segments:], device=name, public_key=key, after=before.snapshot)
    )


def test_recordings_pinned_behind_the_snapshot_are_judged_as_by_the_whole_ledger() -> None:
    writer = Writer(organisation())
    writer.start()
    early = writer.record(0)
    writer.add(Kind.OPENED, recording=recording_id(1))
    writer.publish()
    writer.beat(1)
    later = [writer.record(1, opened=False), writer.record(2), writer.record(3, end=Kind.RECOVERED)]
    forged = writer.record(4, end=None)
    writer.tell(early, Kind.RECOVERED)
    writer.publish()

    part, whole = checked_from(writer, 1), writer.checked()

    assert part.chain.base == 4
    for sealed in (*later, forged):
        assert standing(sealed.manifest, sealed.sha256, part) == standing(
            sealed.manifest, sealed.sha256, whole
        )
    assert standing(later[0].manifest, later[0].sha256, part).finding.exit_code == 0


@pytest.mark.parametrize("changes", [{}, {"ledger": None}])
def test_a_recording_pinned_before_the_snapshot_is_not_checked_and_never_called_altered(
    changes: dict[str, Any],
) -> None:
    writer = Writer(organisation())
    writer.start()
    sealed = writer.record(0, **changes)
    writer.beat(5)
    writer.publish()
    writer.beat(200)
    writer.publish()

    found = standing(sealed.manifest, sealed.sha256, checked_from(writer, 1)).finding

    assert (found.outcome, found.exit_code, found.code) == (Outcome.NOT_CHECKED, 15, "before-base")


def test_copies_are_compared_whole() -> None:
    segments = scribe(CALLS).segments
    whole, part = read(segments), check(segments[4:], after=snapshot(segments[:4]))

    with pytest.raises(ValueError, match="from entry 10 on only"):
        compare_checkpoints(part, [])
    with pytest.raises(ValueError, match="from entry 10 on only"):
        compare_copies(whole, part)


LAST: Final = snapshot(restarted().segments)
BROKEN: Final = snapshot(shortened())


def values(taken: Snapshot = LAST) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(taken.to_bytes())
    return document


@pytest.mark.parametrize("taken", [LAST, BROKEN, snapshot(failed_and_recovered().segments)])
def test_a_snapshot_comes_back_from_its_file_as_it_was(taken: Snapshot) -> None:
    assert read_snapshot(taken.to_bytes()) == taken


@pytest.mark.parametrize("name", list(values()))
def test_no_field_of_a_snapshot_may_be_missing(name: str) -> None:
    document = values()
    del document[name]

    with pytest.raises(LedgerError, match=f"{name}: missing"):
        read_snapshot(json.dumps(document).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"type": "callseal-ledger-snapshot/2"},
        {"device": "desk"},
        {"size": 0},
        {"size": 2**53},
        {"head": "00"},
        {"track": "sound"},
        {"track": "lost"},
        {"peaks": []},
        {"clocks": {}},
        {"last_kind": "slept"},
        {"started": -2},
        {"stopped": 1000},
        {"missing": 1},
        {"missing": 1000},
        {"told": [{}]},
        {"told": values()["told"] * 2},
        {"times": []},
        {"forgotten": "nothing"},
        {"faults": [{"code": "gap", "words": "a hole", "sequence": 1, "exit_code": 0}]},
        {"counts": [{"code": "gap", "exit_code": 12, "count": 0}]},
    ],
)
def test_a_snapshot_that_does_not_hang_together_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(LedgerError):
        read_snapshot(json.dumps(values() | change).encode())


def test_the_number_of_faults_is_remembered_with_them() -> None:
    ledger = Scribe()
    ledger.start()
    for number in range(150):
        ledger.time.wrong_s += 100
        ledger.open(number)
        ledger.end(number)
    ledger.publish()
    last = snapshot(ledger.segments)
    ledger.time.wrong_s += 100
    ledger.beat()
    ledger.publish()

    chain = check(ledger.segments[1:], after=last)

    assert told(chain, chain.base) == told(ledger.chain(), chain.base)
    assert chain.findings[-1].words == "and 51 more of these"


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_the_ledgers_error(data: bytes) -> None:
    with contextlib.suppress(LedgerError):
        read_snapshot(data)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(list(values())), JSON)
def test_any_value_in_any_field_raises_only_the_ledgers_error(name: str, value: object) -> None:
    with contextlib.suppress(LedgerError):
        read_snapshot(json.dumps(values() | {name: value}).encode())


@given(
    st.sampled_from(["recording", "opened", "open", "end", "sealed_before", "replaced", "recovered"]), JSON
)
def test_any_value_in_any_field_of_a_recording_raises_only_the_ledgers_error(
    name: str, value: object
) -> None:
    document = values()
    document["told"][0][name] = value

    with contextlib.suppress(LedgerError):
        read_snapshot(json.dumps(document).encode())


@given(st.data())
def test_whatever_stands_behind_a_snapshot_reading_it_raises_nothing(data: st.DataObject) -> None:
    segments = scribe(2).segments
    after = snapshot(segments)
    drawn = data.draw(st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=200)), max_size=3))

    chain = check(drawn, after=after)

    assert chain.size == after.size


def test_a_snapshot_says_nothing_impossible() -> None:
    with pytest.raises(ValueError, match="out of range"):
        replace(LAST, size=0)
    with pytest.raises(ValueError, match="no peaks"):
        replace(BROKEN, peaks=(bytes(32),))

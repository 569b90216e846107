"""What an attacker does to a ledger, which check finds it, and which weaker one alone would not.

Each test is one row of the threat model. "Alone" is the chain with its own signatures and checkpoints;
"elsewhere" are checkpoints that lie in a second store; stamps are RFC 3161 time stamps on checkpoints.
"""

import copy
import hashlib
from collections.abc import Iterable
from datetime import timedelta

from callseal.seal.ledger import (
    Code,
    Finding,
    Kind,
    Stamp,
    check_times,
    compare_checkpoints,
    compare_copies,
    sign_checkpoint,
    sign_line,
)
from callseal.seal.ledger.checkpoint import write_line
from callseal.seal.ledger.entry import split_line
from support.ledgers import (
    BEGAN,
    Scribe,
    device_key,
    edit,
    lines_of,
    manifest,
    notes,
    read,
    recording,
    scribe,
)


def failed(findings: Iterable[Finding]) -> set[Code]:
    """Return the codes of what is not a mere note."""
    return {finding.code for finding in findings if finding.exit_code}


def stamp(note: bytes, *, minutes: float) -> Stamp:
    """Return a time stamp on a checkpoint, so many minutes after the ledger began."""
    size = int(note.split(b"\n")[1])
    return Stamp(size=size, note_sha256=hashlib.sha256(note).digest(), at=BEGAN + timedelta(minutes=minutes))


def resigned(honest: Scribe, *, without: int) -> Scribe:
    """Return the ledger as whoever has the device's key would write it anew without one recording."""
    forger = Scribe()
    forger.start()
    forger.publish()
    for number in range(len(honest.segments) - 1):
        forger.beat(after_s=39)
        if number != without:
            forger.open(number)
            forger.end(number)
        else:
            forger.time.passed_s += 21
        forger.publish()
    return forger


def test_an_honest_ledger_passes_every_check() -> None:
    honest = scribe(10)
    kept = notes(honest.segments)

    chain = honest.chain()

    assert chain.findings == ()
    assert compare_checkpoints(chain, kept) == ()
    assert check_times(chain, [stamp(kept[5], minutes=6), stamp(kept[10], minutes=12)]) == ()
    assert compare_copies(chain, honest.chain()) == ()


def test_an_entry_deleted_is_found_by_the_chain_alone() -> None:
    honest = scribe(10)
    lines = lines_of(honest.segments, 5)

    chain = read(edit(honest.segments, 5, [lines[0], *lines[2:]]))

    gap = next(finding for finding in chain.findings if finding.code is Code.GAP)
    assert gap.sequence == 14
    assert gap.exit_code == 12
    assert chain.opened(recording(4)) is None
    assert chain.end(recording(5)) is not None


def test_a_whole_segment_deleted_is_found_by_the_chain_alone() -> None:
    honest = scribe(10)

    chain = read([*honest.segments[:5], *honest.segments[6:]])

    assert chain.findings[0].code is Code.GAP
    assert chain.findings[0].words == "entries 13 to 15 are missing"
    assert chain.entry_hash(13) is None
    assert chain.at(13) is None
    assert not chain.authentic(13)
    assert chain.authentic(16)


def test_entries_exchanged_are_found_by_the_chain_alone() -> None:
    honest = scribe(10)
    lines = lines_of(honest.segments, 5)

    chain = read(edit(honest.segments, 5, [lines[0], lines[2], lines[1], lines[3]]))

    assert {Code.GAP, Code.ALTERED} <= failed(chain.findings)


def test_an_entry_altered_is_found_by_the_chain_alone() -> None:
    honest = scribe(10)
    lines = lines_of(honest.segments, 5)
    lines[2] = lines[2].replace(manifest(4).hex().encode(), manifest(99).hex().encode())

    chain = read(edit(honest.segments, 5, lines))

    assert failed(chain.findings) == {Code.ALTERED, Code.BAD_SIGNATURE}
    bad = next(finding for finding in chain.findings if finding.code is Code.BAD_SIGNATURE)
    assert (bad.sequence, bad.exit_code) == (15, 13)
    assert [chain.authentic(sequence) for sequence in (14, 15, 16)] == [True, False, True]
    assert chain.end(recording(4)) is None


def test_the_newest_entry_altered_is_found_by_the_chain_alone() -> None:
    honest = scribe(3)
    lines = lines_of(honest.segments, 3)
    lines[2] = lines[2].replace(b'"ok"', b'"failed"')

    chain = read(edit(honest.segments, 3, lines))

    assert failed(chain.findings) == {Code.ALTERED, Code.BAD_SIGNATURE}


def test_an_entry_signed_by_another_key_is_found_by_the_chain_alone() -> None:
    honest = scribe(10)
    lines = lines_of(honest.segments, 10)
    lines[2] = sign_line(split_line(lines[2])[0], device_key("another"))

    covered = read(edit(honest.segments, 10, lines))
    every = read(edit(honest.segments, 10, lines), every_signature=True)
    uncovered = read(edit(honest.segments, 10, lines[:-1]))

    assert failed(covered.findings) == set()  # the checkpoint says that these are the bytes of the entry
    assert failed(every.findings) == failed(uncovered.findings) == {Code.BAD_SIGNATURE}


def test_a_checkpoint_signed_by_another_key_vouches_for_nothing() -> None:
    forger = Scribe(key=device_key())
    forger.start()
    line = sign_line(split_line(forger.lines[0])[0], device_key("another"))
    note = sign_checkpoint(forger.device, 1, forger.state.tree.root(), device_key("another"))

    chain = read([(0, line + write_line(note))])

    assert failed(chain.findings) == {Code.BAD_SIGNATURE}
    assert not chain.authentic(0)


def test_the_newest_entries_cut_off_are_found_only_with_a_checkpoint_or_a_stamp_from_elsewhere() -> None:
    honest = scribe(10)
    kept = notes(honest.segments)

    chain = read(honest.segments[:8])

    assert chain.findings == ()
    elsewhere = compare_checkpoints(chain, kept)
    assert [(finding.code, finding.sequence, finding.exit_code) for finding in elsewhere] == [
        (Code.CUT_OFF, 22, 12)
    ]
    assert "newest 9 entries" in elsewhere[0].words
    assert failed(check_times(chain, [stamp(kept[10], minutes=11)])) == {Code.CUT_OFF}
    assert failed(compare_copies(chain, honest.chain())) == {Code.CUT_OFF}


def test_a_chain_written_anew_with_the_stolen_key_is_found_only_with_what_lies_elsewhere() -> None:
    honest = scribe(10)
    kept = notes(honest.segments)

    chain = resigned(honest, without=4).chain(every_signature=True)

    assert chain.findings == ()
    assert chain.opened(recording(4)) is None
    elsewhere = compare_checkpoints(chain, kept[:6])
    assert [(finding.code, finding.exit_code) for finding in elsewhere] == [(Code.REWRITTEN, 12)]
    assert failed(check_times(chain, [stamp(kept[5], minutes=6)])) == {Code.REWRITTEN}
    assert Code.FORK in failed(compare_copies(chain, honest.chain()))


def test_where_the_rewriting_begins_is_told() -> None:
    honest = scribe(10)
    chain = resigned(honest, without=4).chain()

    found = compare_checkpoints(chain, notes(honest.segments)[:7])

    assert found[0].sequence == 13
    assert found[0].words.startswith("entries 13 to 15 are others")


def test_a_new_entry_back_dated_behind_younger_ones_is_found_by_the_chain_alone() -> None:
    forger = scribe(10)
    forger.time.passed_s -= 3600
    forger.work(1, begin=10)

    chain = forger.chain()

    back = [finding for finding in chain.findings if finding.code is Code.CLOCK_BACK]
    assert [(finding.sequence, finding.exit_code) for finding in back] == [(31, 12)]


def test_a_clock_set_back_over_a_restart_is_told_as_what_may_be_honest() -> None:
    forger = scribe(10)
    forger.time.start_again()
    forger.time.wrong_s = -3600
    forger.work(1, begin=10)

    chain = forger.chain()

    back = [finding for finding in chain.findings if finding.code is Code.CLOCK_BACK]
    assert [(finding.sequence, finding.exit_code) for finding in back] == [(31, 0)]
    assert failed(chain.findings) == set()


def test_entries_back_dated_by_a_stopped_clock_are_found_only_with_stamps() -> None:
    # The agent is stopped, the clock set back to that moment hours later, and the agent started again.
    forger = scribe(10)
    stamped = stamp(notes(forger.segments)[10], minutes=5 * 60)
    forger.work(1, begin=10)

    chain = forger.chain()

    assert chain.findings == ()
    assert compare_checkpoints(chain, notes(forger.segments)) == ()
    found = check_times(chain, [stamped])
    assert [(finding.code, finding.sequence, finding.exit_code) for finding in found] == [
        (Code.BACKDATED, 31, 15)
    ]


def test_an_entry_younger_than_the_stamp_on_it_is_found_only_with_stamps() -> None:
    forger = scribe(10)
    stamped = stamp(notes(forger.segments)[10], minutes=4)

    chain = forger.chain()

    assert chain.findings == ()
    found = check_times(chain, [stamped])
    assert [(finding.code, finding.exit_code) for finding in found] == [(Code.BACKDATED, 12)]
    assert found[0].words.endswith("and was there at 2026-11-21T08:04:00.000Z")


def test_a_recording_opened_and_never_closed_is_found_by_the_chain_alone() -> None:
    killed = scribe(3)
    killed.open(50)
    killed.publish()
    assert failed(killed.chain().findings) == set()

    killed.start()
    killed.publish()

    chain = killed.chain()
    found = [finding for finding in chain.findings if finding.exit_code]
    assert [(finding.code, finding.sequence, finding.exit_code) for finding in found] == [
        (Code.OPEN_WITHOUT_END, 10, 12)
    ]
    assert str(recording(50)) in found[0].words
    assert chain.open_recordings() == (recording(50),)


def test_a_recording_left_open_by_an_agent_that_ended_in_order_is_found() -> None:
    stopped = scribe(3)
    stopped.open(50)
    stopped.write(Kind.STOPPED, code="signal")
    stopped.publish()

    chain = stopped.chain()

    assert failed(chain.findings) == {Code.OPEN_WITHOUT_END}


def test_a_machine_set_back_to_an_older_copy_of_itself_is_found_only_by_comparing_copies() -> None:
    machine = scribe(5)
    snapshot = copy.deepcopy(machine)
    machine.work(3, begin=5)
    snapshot.work(3, begin=50)

    chain, other = machine.chain(), snapshot.chain()

    assert chain.findings == other.findings == ()
    forks = compare_copies(chain, other)
    assert forks[0].code is Code.FORK
    assert forks[0].sequence == 17
    assert failed(compare_checkpoints(other, notes(machine.segments))) == {Code.REWRITTEN}


def test_two_segments_of_one_number_are_found_by_the_chain_alone() -> None:
    machine = scribe(5)
    snapshot = copy.deepcopy(machine)
    machine.work(1, begin=5)
    snapshot.work(1, begin=50)

    chain = read([*machine.segments, snapshot.segments[-1]])

    assert Code.FORK in failed(chain.findings)


def test_an_agent_switched_off_leaves_a_silence_that_is_told_from_when_to_when() -> None:
    silent = scribe(3)
    silent.beat(after_s=1800)
    silent.publish()

    chain = silent.chain()

    assert [(finding.code, finding.exit_code) for finding in chain.findings] == [(Code.SILENCE, 0)]
    assert chain.findings[0].words == (
        "no sign of life from 2026-11-21T08:03:00.000Z to 2026-11-21T08:33:00.000Z"
    )


def test_an_agent_that_ended_in_order_is_not_called_silent() -> None:
    night = scribe(3)
    night.write(Kind.STOPPED, code="signal")
    night.time.passed_s += 36_000
    night.time.start_again()
    night.start()
    night.publish()

    chain = night.chain()

    assert chain.findings == ()

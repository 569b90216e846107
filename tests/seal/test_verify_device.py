"""A device's ledger and all that it speaks of: deleted, cut off, rewritten, forked, back-dated, never ended.

Each attack is named, and so is the check that finds it; where a weaker check alone would not, that is shown.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callseal.seal.keys import Role, TrustStore, certify, chain_der, create_root, self_signed
from callseal.seal.ledger.entry import Kind, entry_hash
from callseal.seal.revocation import Revocations, revoke
from callseal.seal.stamp import request
from callseal.seal.verify import (
    Check,
    DeviceReport,
    Finding,
    Outcome,
    StoreCheck,
    gravest,
    verify_device,
    verify_presence,
    verify_recording,
)
from support.kept_ledgers import MINUTE, AtHand, KeptLedger, Writer
from support.sealed_recordings import STARTED_AT, Organisation, organisation
from support.tsa import StampingAuthority

OWNER = organisation()
DAY = timedelta(days=1)
LATER = STARTED_AT + 30 * DAY


@pytest.fixture
def writer() -> Writer:
    """Return a device that recorded three calls, each published by itself."""
    begun = Writer(OWNER)
    begun.start()
    for number in range(3):
        begun.record(number)
        begun.publish()
    return begun


def verified(
    *copies: KeptLedger, trust: TrustStore = OWNER.trust, against: Iterable[KeptLedger] | None = None
) -> DeviceReport:
    return verify_device(OWNER.device, copies, trust, against=None if against is None else tuple(against))


def wrong(findings: Iterable[Finding]) -> list[tuple[Check, str | None, int]]:
    """Give what was found: which check, which code of the ledger, which exit code."""
    return [(found.check, found.code, found.exit_code) for found in findings if found.exit_code]


def test_a_ledger_as_it_was_written_is_ok_and_says_how_far_it_goes(writer: Writer) -> None:
    report = verified(writer.kept)

    assert (report.ok, report.exit_code) == (True, 0)
    assert report.facts is not None
    assert (report.facts.entries, report.facts.checkpoints, report.facts.stamps) == (7, 3, 0)
    assert report.facts.first_at == STARTED_AT
    assert report.facts.newest_at == writer.now


def test_a_ledger_without_a_stamp_says_so(writer: Writer) -> None:
    notes = [finding for finding in verified(writer.kept).findings if finding.outcome is Outcome.NOTE]

    assert [finding.check for finding in notes] == [Check.STAMP]


def test_a_device_without_a_ledger_is_not_ok() -> None:
    assert wrong(verified().findings) == [(Check.LEDGER, None, 15)]


def test_a_ledger_that_can_not_be_read_is_not_checked_and_not_altered(writer: Writer) -> None:
    writer.kept.unreadable = True

    report = verified(writer.kept)

    assert wrong(report.findings) == [(Check.LEDGER, None, 15)]
    assert report.ledger is None


def test_progress_is_heard(writer: Writer) -> None:
    heard: list[int] = []

    verify_device(OWNER.device, [writer.kept], OWNER.trust, progress=heard.append)

    assert heard[-1] == 7


# --- the attacks ----------------------------------------------------------------------------------------


def test_a_deleted_recording_is_missed_by_the_ledger(writer: Writer) -> None:
    ledger = verified(writer.kept).ledger
    recordings = [recording for recording, _end in writer.checked().chain.newest_ends(9)]
    here = set(recordings[:1] + recordings[2:])

    settled = verify_presence(ledger, (), here, OWNER.trust, settled_before=LATER)
    at_once = verify_presence(ledger, (), here, OWNER.trust, settled_before=STARTED_AT)
    complete = verify_presence(ledger, (), set(recordings), OWNER.trust, settled_before=LATER)

    assert wrong(settled) == [(Check.PRESENCE, "missing", 12)]
    assert settled[0].object == str(recordings[1])
    assert wrong(at_once) == [(Check.PRESENCE, "on-its-way", 15)]
    assert complete == ()


def test_a_ledger_that_goes_on_for_a_day_settles_what_is_missing_whatever_the_clock_says(
    writer: Writer,
) -> None:
    writer.add(Kind.HEARTBEAT, after=2 * DAY, open=0)
    writer.publish()

    found = verify_presence(
        verified(writer.kept).ledger, (), set(), OWNER.trust, settled_before=STARTED_AT - DAY
    )

    assert {finding.code for finding in found} == {"missing"}


def test_what_could_not_be_kept_at_all_is_not_missed_and_said_so(writer: Writer) -> None:
    """An agent that made away with a call would say the same, and nobody else can tell."""
    sealed = writer.record(4, end=None)
    writer.add(Kind.FAILED, recording=sealed.id, manifest=None, result="failed", reasons=("write-failed",))
    writer.publish()
    here = {recording for recording, _end in writer.checked().chain.newest_ends(9)} - {sealed.id}

    (found,) = verify_presence(writer.checked(), (), here, OWNER.trust, settled_before=LATER)

    assert (found.outcome, found.code, found.exit_code) == (Outcome.NOTE, "not-kept", 0)
    assert found.object == str(sealed.id)


def test_a_recording_that_was_opened_and_whose_ledger_ends_there_is_not_checked(writer: Writer) -> None:
    """Cut off behind its beginning, or its agent was killed then and never seen again."""
    sealed = writer.record(4, end=None)
    writer.publish()
    here = {recording for recording, _end in writer.checked().chain.newest_ends(9)}

    settled = verify_presence(writer.checked(), (), here, OWNER.trust, settled_before=LATER)
    running = verify_presence(writer.checked(), (), here, OWNER.trust, settled_before=STARTED_AT)

    assert [(one.object, one.code, one.exit_code) for one in settled] == [(str(sealed.id), "never-ended", 15)]
    assert running == ()


def test_a_recording_that_the_agents_next_start_found_without_an_end_is_told_once(writer: Writer) -> None:
    writer.record(4, end=None)
    writer.start()
    writer.publish()
    here = {recording for recording, _end in writer.checked().chain.newest_ends(9)}

    assert verify_presence(writer.checked(), (), here, OWNER.trust, settled_before=LATER) == ()
    assert verified(writer.kept).exit_code == 12


@pytest.mark.parametrize("now", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_a_clock_at_the_calendars_end_is_judged_like_any_other(now: datetime) -> None:
    far = Writer(OWNER, now)
    far.start()
    far.record()
    far.publish()

    found = verify_presence(verified(far.kept).ledger, (), set(), OWNER.trust, settled_before=LATER)

    assert len(wrong(found)) == 1


# --- in every store that it is meant for ------------------------------------------------------------------


def test_a_recording_that_one_of_its_stores_lacks_is_not_well_though_another_has_it() -> None:
    manifest = Writer(OWNER).record(stores=("primary", "second")).manifest
    there = {manifest.id}
    stores = {"primary": there, "second": there - there, "other": there - there}
    late = StoreCheck(stores, settled_before=LATER)
    behind = StoreCheck(stores, settled_before=STARTED_AT, newest_at=LATER)
    soon = StoreCheck(stores, settled_before=STARTED_AT, newest_at=STARTED_AT + DAY)
    whole = StoreCheck({**stores, "second": there}, settled_before=LATER)

    for check in (late, behind, soon, whole):
        check.take(manifest)
        check.take(manifest)

    assert [(one.object, one.code, one.exit_code) for one in late.findings()] == [
        (str(manifest.id), "not-stored", 15)
    ]
    assert behind.findings() == late.findings()
    assert soon.findings() == whole.findings() == ()


def test_thousands_that_are_missing_are_counted(writer: Writer) -> None:
    for number in range(10, 1110):
        writer.record(number, opened=False)
    writer.publish()

    found = verify_presence(writer.checked(), (), set(), OWNER.trust, settled_before=LATER)

    assert len(found) == 1001
    assert found[-1].words == "and 103 more that are gone"


def test_a_deleted_segment_is_a_gap(writer: Writer) -> None:
    del writer.kept.segments[3]

    assert (Check.LEDGER, "gap", 12) in wrong(verified(writer.kept).findings)


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_newest_segment_that_was_cut_is_found_though_its_lines_fit(writer: Writer, lines: int) -> None:
    """A segment has its name only once it is finished, and then ends with its checkpoint."""
    whole = writer.kept.segments[5].splitlines(keepends=True)
    writer.kept.segments[5] = b"".join(whole[:lines]) + whole[lines][:20]

    assert 12 in {code for _check, _code, code in wrong(verified(writer.kept).findings)}


def test_an_altered_segment_is_found(writer: Writer) -> None:
    writer.kept.segments[3] = writer.kept.segments[3].replace(b'"closed"', b'"failed"')

    assert {12, 13} & {code for _check, _code, code in wrong(verified(writer.kept).findings)}


def test_the_newest_entries_cut_off_are_found_by_a_second_copy_only(writer: Writer) -> None:
    whole = writer.kept.copied("second site")
    del writer.kept.segments[5]

    alone = verified(writer.kept)
    compared = verified(writer.kept, against=[whole])

    assert alone.ok
    assert (Check.COPY, "cut-off", 12) in wrong(compared.findings)


def test_the_newest_entries_cut_off_are_found_by_a_single_checkpoint_kept_elsewhere(writer: Writer) -> None:
    del writer.kept.segments[5]

    compared = verified(writer.kept, against=[KeptLedger(checkpoints=[writer.notes[-1]])])

    assert (Check.COPY, "cut-off", 12) in wrong(compared.findings)


def test_a_checkpoint_that_somebody_made_up_proves_nothing(writer: Writer) -> None:
    forger = writer.copied()
    forger.signing_key = organisation("Stranger").device_key
    forger.beat(3)
    made_up = KeptLedger(checkpoints=[forger.publish()])

    assert {code for _check, _code, code in wrong(verified(writer.kept, against=[made_up]).findings)} == {15}


def test_a_ledger_written_anew_with_the_stolen_key_is_found_by_a_second_copy_only(writer: Writer) -> None:
    thief = Writer(OWNER)
    thief.start()
    for number in (0, 1, 2):
        thief.record(number, site="elsewhere")
        thief.publish()

    alone = verified(thief.kept)
    compared = verified(thief.kept, against=[writer.kept])
    by_one_note = verified(thief.kept, against=[KeptLedger(checkpoints=[writer.notes[0]])])

    assert alone.ok
    assert {(Check.COPY, "rewritten", 12), (Check.COPY, "fork", 12)} <= set(wrong(compared.findings))
    assert wrong(by_one_note.findings) == [(Check.COPY, "rewritten", 12)]


def test_a_machine_set_back_to_an_older_copy_of_itself_has_two_entries_with_one_number(
    writer: Writer,
) -> None:
    snapshot = writer.copied()
    snapshot.kept.place = "spool"
    writer.record(3)
    writer.publish()
    snapshot.record(4)
    snapshot.publish()

    report = verified(writer.kept, snapshot.kept)

    assert (Check.LEDGER, "fork", 12) in wrong(report.findings)
    assert any("not the same in here and in spool" in finding.words for finding in report.findings)


def test_a_recording_that_was_opened_and_never_ended_is_found_once_the_agent_began_again(
    writer: Writer,
) -> None:
    writer.record(3, end=None)
    writer.publish()
    running = verified(writer.kept)
    writer.start()
    writer.publish()

    begun_again = verified(writer.kept)

    assert running.ok
    assert wrong(begun_again.findings) == [(Check.PRESENCE, "open-without-end", 12)]


def test_a_ledger_that_is_gone_altogether_is_missed_by_its_second_copy(writer: Writer) -> None:
    assert wrong(verified(against=[writer.kept]).findings) == [(Check.COPY, None, 12)]


def hashes(report: DeviceReport) -> list[bytes]:
    """Give the hashes of the entries that were found."""
    return [] if report.ledger is None else list(report.ledger.chain.hashes)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_bytes_a_store_holds_for_a_segment_are_judged_and_never_raised(
    writer: Writer, data: st.DataObject
) -> None:
    kept = writer.kept.copied("store")
    first = data.draw(st.sampled_from(sorted(kept.segments)))
    whole = kept.segments[first]
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    kept.segments[first] = whole[:begin] + data.draw(st.binary(max_size=40)) + whole[end:]

    quick = verified(kept)
    thorough = verify_device(OWNER.device, [kept], OWNER.trust, every_signature=True)

    # A later checkpoint vouches for entries whose own signature nobody looked at; what they say is the same.
    assert not quick.ok or hashes(quick) == [entry_hash(entry) for entry in writer.entries]
    assert thorough.ok == (kept.segments == writer.kept.segments)


# --- several copies -------------------------------------------------------------------------------------


def test_a_spool_may_be_ahead_of_the_store_and_may_have_let_go_of_old_segments(writer: Writer) -> None:
    store, spool = writer.kept.copied("store"), writer.kept.copied("spool")
    spool.keeps_all = False
    del store.segments[5], spool.segments[0]

    report = verified(store, spool)

    assert report.ok
    assert report.facts is not None
    assert report.facts.entries == 7
    assert report.places == ("store", "spool")


def test_a_store_that_is_a_day_behind_another_place_is_not_ok(writer: Writer) -> None:
    """Nobody has brought it there for so long, or somebody has cut it off."""
    writer.add(Kind.HEARTBEAT, after=2 * DAY, open=0)
    writer.publish()
    store, spool = writer.kept.copied("store"), writer.kept.copied("spool")
    del store.segments[5], store.segments[7]

    assert wrong(verified(store, spool).findings) == [(Check.COPY, "cut-off", 15)]
    assert wrong(verified(KeptLedger(place="store"), spool).findings) == [(Check.COPY, "cut-off", 15)]


def test_a_store_that_lost_a_segment_is_found_by_another_place(writer: Writer) -> None:
    store, spool = writer.kept.copied("store"), writer.kept.copied("spool")
    del store.segments[3]

    report = verified(store, spool)

    assert wrong(report.findings) == [(Check.COPY, "gap", 12)]


def test_a_second_copy_that_agrees_is_said_so(writer: Writer) -> None:
    report = verified(writer.kept, against=[writer.kept.copied("second site")])

    assert report.ok
    assert any("same ledger lies in second site" in finding.words for finding in report.findings)


def test_a_second_copy_that_lags_behind_or_has_only_a_part_is_no_fault_of_the_first(writer: Writer) -> None:
    behind, part = writer.kept.copied("behind"), writer.kept.copied("part")
    del behind.segments[5], part.segments[0], part.segments[3]

    assert verified(writer.kept, against=[behind]).ok
    assert verified(writer.kept, against=[part]).ok


def test_a_second_copy_without_this_ledger_is_not_checked(writer: Writer) -> None:
    assert wrong(verified(writer.kept, against=[]).findings) == [(Check.COPY, None, 15)]


# --- who vouches for the device --------------------------------------------------------------------------


def test_without_a_trusted_root_no_ledger_is_ok(writer: Writer) -> None:
    assert wrong(verified(writer.kept, trust=TrustStore()).findings) == [(Check.SIGNER, None, 14)]


def test_a_ledger_in_the_name_of_another_device_is_not_checked() -> None:
    stranger = Writer(organisation("Stranger"))
    stranger.start()
    stranger.publish()

    assert verified(stranger.kept).exit_code == 15


def with_chain(*chain: x509.Certificate) -> Organisation:
    return replace(OWNER, chain=chain_der(chain))


def test_a_device_that_was_enrolled_later_is_vouched_for_by_its_newest_certificate() -> None:
    writer = Writer(with_chain(self_signed(OWNER.device_key, role=Role.DEVICE, now=STARTED_AT, years=1)))
    writer.start()
    writer.publish()
    before = verified(writer.kept)
    writer.owner = OWNER
    writer.start()
    writer.publish()

    assert wrong(before.findings) == [(Check.SIGNER, None, 14)]
    assert verified(writer.kept).ok


def test_a_certificate_of_another_role_does_not_vouch_for_a_ledger() -> None:
    key = OWNER.device_key.public_key()
    custodian = certify(OWNER.root_key, OWNER.root, key, role=Role.CUSTODIAN, now=STARTED_AT - DAY, years=1)
    writer = Writer(with_chain(custodian))
    writer.start()
    writer.publish()

    assert wrong(verified(writer.kept).findings) == [(Check.SIGNER, None, 14)]


def test_a_ledger_that_goes_on_after_its_certificate_ended_is_untrusted(writer: Writer) -> None:
    writer.add(Kind.HEARTBEAT, after=21 * 366 * DAY, open=0)
    writer.publish()

    assert (Check.SIGNER, None, 14) in wrong(verified(writer.kept).findings)


# --- time stamps, by a real authority --------------------------------------------------------------------


def an_hour_ago() -> tuple[Organisation, Writer]:
    """Give a device that recorded a call an hour ago: authorities stamp the time that it is."""
    now = datetime.now(UTC)
    root_key, root = create_root("Example Insurance", now=now - DAY, years=2)
    leaf = certify(root_key, root, OWNER.device_key.public_key(), role=Role.DEVICE, now=now - DAY, years=1)
    owner = replace(OWNER, root_key=root_key, root=root, chain=chain_der([leaf]))
    writer = Writer(owner, now - timedelta(hours=1))
    writer.start()
    return owner, writer


def stamped(writer: Writer, authority: StampingAuthority) -> int:
    """Have the newest checkpoint stamped; return its size."""
    size = len(writer.entries)
    writer.kept.stamps[size] = authority.answer(request(writer.notes[-1], nonce=7))
    return size


@pytest.fixture
def authority(tmp_path: Path) -> StampingAuthority:
    return StampingAuthority(tmp_path / "tsa")


def checked(
    owner: Organisation, writer: Writer, authority: StampingAuthority | None, **options: TrustStore
) -> DeviceReport:
    return verify_device(
        owner.device,
        [writer.kept],
        options.get("trust", owner.trust),
        tsa_roots=() if authority is None else (authority.root,),
    )


@pytest.mark.integration
def test_a_stamp_that_holds_says_when_all_entries_were_there(authority: StampingAuthority) -> None:
    owner, writer = an_hour_ago()
    writer.publish()
    size = stamped(writer, authority)

    report = checked(owner, writer, authority)

    assert report.ok
    assert report.facts is not None
    assert report.facts.anchor is not None
    assert (report.facts.stamps, report.facts.anchor.size) == (1, size)


@pytest.mark.integration
def test_a_stamp_is_not_checked_without_a_root_and_untrusted_with_another(
    authority: StampingAuthority, tmp_path: Path
) -> None:
    owner, writer = an_hour_ago()
    writer.publish()
    stamped(writer, authority)
    other = StampingAuthority(tmp_path / "other", name="Other TSA")

    without = checked(owner, writer, None)
    foreign = checked(owner, writer, other)

    assert wrong(without.findings) == [(Check.STAMP, None, 15)]
    assert wrong(foreign.findings) == [(Check.STAMP, None, 14)]
    assert without.facts is not None
    assert without.facts.anchor is None


@pytest.mark.integration
def test_an_altered_stamp_and_one_on_something_else_are_altered(authority: StampingAuthority) -> None:
    owner, writer = an_hour_ago()
    writer.publish()
    size = stamped(writer, authority)
    good = writer.kept.stamps[size]
    altered = bytearray(good)
    altered[len(altered) // 2] ^= 1
    writer.kept.stamps[size] = bytes(altered)
    first = checked(owner, writer, authority).exit_code
    writer.kept.stamps[size] = authority.answer(request(b"something else", nonce=7))

    second = checked(owner, writer, authority).exit_code

    assert (first, second) == (12, 12)


@pytest.mark.integration
def test_the_newest_entries_cut_off_are_found_by_a_stamp_on_them(authority: StampingAuthority) -> None:
    owner, writer = an_hour_ago()
    writer.publish()
    writer.beat(2)
    writer.publish()
    stamped(writer, authority)
    del writer.kept.segments[1]

    assert wrong(checked(owner, writer, authority).findings) == [(Check.STAMP, "cut-off", 12)]


@pytest.mark.integration
def test_a_ledger_written_anew_with_the_stolen_key_is_found_by_a_stamp(authority: StampingAuthority) -> None:
    owner, writer = an_hour_ago()
    writer.beat(2)
    writer.publish()
    stamped(writer, authority)
    thief = Writer(owner, writer.began)
    thief.start()
    thief.record(1)
    thief.publish()
    without = checked(owner, thief, authority)
    thief.kept.stamps = dict(writer.kept.stamps)

    assert without.ok
    assert wrong(checked(owner, thief, authority).findings) == [(Check.STAMP, None, 12)]


@pytest.mark.integration
def test_an_entry_dated_later_than_the_stamp_on_it_is_found(authority: StampingAuthority) -> None:
    """Dated ahead: recorded today and made to look like tomorrow."""
    owner, writer = an_hour_ago()
    writer.add(Kind.HEARTBEAT, after=DAY, open=0)
    writer.publish()
    stamped(writer, authority)

    assert (Check.STAMP, "backdated", 12) in wrong(checked(owner, writer, authority).findings)


@pytest.mark.integration
def test_an_entry_dated_before_the_stamp_that_it_stands_behind_is_not_ok(
    authority: StampingAuthority,
) -> None:
    """Back-dated: written today behind entries that are stamped today, and made to look like last week."""
    owner, writer = an_hour_ago()
    writer.now -= timedelta(days=7)
    writer.began -= timedelta(days=7)
    writer.publish()
    stamped(writer, authority)
    without = checked(owner, writer, authority)
    writer.record(1)
    writer.publish()

    assert without.ok
    assert (Check.STAMP, "backdated", 15) in wrong(checked(owner, writer, authority).findings)


def revoking(owner: Organisation, since: datetime) -> TrustStore:
    leaf = x509.load_der_x509_certificate(owner.chain[0])
    reason = x509.ReasonFlags.key_compromise
    crl = revoke(owner.root_key, owner.root, (), [leaf], since=since, reason=reason, now=since + DAY)
    return TrustStore([owner.root], Revocations([crl]))


@pytest.mark.integration
def test_of_a_revoked_device_counts_what_a_stamp_shows_to_have_been_there_before(
    authority: StampingAuthority,
) -> None:
    """The ledger up to the stamp, and the recordings that end there; nothing that was written afterwards."""
    owner, writer = an_hour_ago()
    before = writer.record(0, started_at=writer.now, ended_at=writer.now + MINUTE)
    writer.publish()
    stamped(writer, authority)
    later = revoking(owner, datetime.now(UTC) + timedelta(hours=1))
    earlier = revoking(owner, datetime.now(UTC) - timedelta(minutes=30))
    whole = checked(owner, writer, authority, trust=later)
    after = writer.record(1)
    writer.publish()

    report = checked(owner, writer, authority, trust=later)
    evidence = AtHand(kept=report.ledger)
    codes = [
        gravest(verify_recording(one.reader, one.prefix, later, evidence).findings) for one in (before, after)
    ]

    assert whole.ok
    assert (Check.SIGNER, None, 14) in wrong(report.findings)
    assert codes == [0, 14]
    assert checked(owner, writer, authority, trust=earlier).exit_code == 14
    assert checked(owner, writer, None, trust=later).exit_code == 14

"""A recording against its device's ledger: exchanged, slipped in, signed again; and what can't be told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from callseal.seal.keys import TrustStore, generate_signing_key
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import Result
from callseal.seal.revocation import Revocations, revoke
from callseal.seal.verify import (
    Anchor,
    Check,
    DeviceLedger,
    Finding,
    Outcome,
    Report,
    verify_device,
    verify_recording,
)
from callseal.seal.verify.ledger import LATE_ENTRIES
from support.kept_ledgers import MINUTE, AtHand, Sealed, Writer, seal
from support.sealed_recordings import STARTED_AT, Organisation, organisation, sealed_object

OWNER = organisation()


@pytest.fixture
def writer() -> Writer:
    """Return a device that has just begun."""
    begun = Writer(OWNER)
    begun.start()
    return begun


def verified(sealed: Sealed, ledger: DeviceLedger | None, trust: TrustStore = OWNER.trust) -> Report:
    return verify_recording(sealed.reader, sealed.prefix, trust, AtHand(kept=ledger))


def told(report: Report) -> Finding:
    """Give what the ledger tells."""
    (found,) = (finding for finding in report.findings if finding.check is Check.LEDGER)
    return found


def test_a_recording_that_its_ledger_knows_is_ok(writer: Writer) -> None:
    sealed = writer.record()
    writer.publish()

    report = verified(sealed, writer.checked())

    assert report.ok
    assert told(report).words == f"entry 2 of {OWNER.device} says closed, with this manifest"


@pytest.mark.parametrize(
    ("kind", "result", "reasons"),
    [
        (Kind.RECOVERED, Result.DEGRADED, ("recovered",)),
        (Kind.EXEMPT, Result.EXEMPT, ("rule-never",)),
        (Kind.DISCARDED, Result.EXEMPT, ("rule-never",)),
        (Kind.FAILED, Result.FAILED, ("write-failed",)),
    ],
)
def test_whatever_became_of_a_recording_the_one_that_the_ledger_names_is_ok(
    writer: Writer, kind: Kind, result: Result, reasons: tuple[str, ...]
) -> None:
    sealed = writer.record(end=kind, opened=kind is not Kind.EXEMPT, result=result, reasons=reasons)
    writer.publish()

    assert verified(sealed, writer.checked()).ok


def test_of_several_ends_the_last_counts(writer: Writer) -> None:
    sealed = writer.record(end=None, result=Result.DEGRADED, reasons=("recovered",))
    writer.add(Kind.FAILED, recording=sealed.id, manifest=None, result="failed", reasons=("write-failed",))
    writer.tell(sealed, Kind.RECOVERED)
    writer.publish()

    assert verified(sealed, writer.checked()).ok


# --- a recording in the place of another one, by whoever has the device's key -----------------------------


def exempted(sealed: Sealed, writer: Writer) -> Sealed:
    """Make of a recording a call that was never recorded."""
    call = next(item for item in sealed.manifest.objects if item.kind == "call")
    manifest = replace(
        sealed.manifest,
        result=Result.EXEMPT,
        reasons=("rule-never",),
        objects=(call,),
        duration_samples=0,
        rate_hz=None,
        encoding=None,
        ledger=writer.place,
    )
    return seal(manifest, OWNER, {call.name: sealed.files[call.name]})


@pytest.mark.parametrize("kind", [Kind.EXEMPT, Kind.DISCARDED, Kind.CLOSED, Kind.FAILED])
def test_a_sealed_recording_that_ends_once_more_as_another_was_replaced(writer: Writer, kind: Kind) -> None:
    """An agent who wants a call gone lets it be exempt afterwards, and tells the ledger so."""
    false = exempted(writer.record(), writer)
    writer.tell(false, kind)
    writer.publish()

    report = verified(false, writer.checked())
    device = verify_device(OWNER.device, [writer.kept], OWNER.trust)

    assert report.intact
    assert (report.exit_code, told(report).outcome) == (12, Outcome.FAILED)
    assert "replaced" in told(report).words
    assert {(one.check, one.code) for one in device.findings if one.exit_code} == {
        (Check.PRESENCE, "replaced")
    }
    assert device.exit_code == 12


def test_a_sealed_recording_that_is_said_to_have_failed_afterwards_leaves_its_ledger_altered(
    writer: Writer,
) -> None:
    sealed = writer.record()
    writer.add(Kind.FAILED, recording=sealed.id, manifest=None, result="failed", reasons=("write-failed",))
    writer.publish()

    assert verify_device(OWNER.device, [writer.kept], OWNER.trust).exit_code == 12


def test_a_recording_recovered_in_the_place_of_a_sealed_one_is_not_ok_and_not_altered(writer: Writer) -> None:
    """A crash can do that, and so can whoever wants to look like one."""
    sealed = writer.record()
    writer.start()
    manifest = replace(sealed.manifest, result=Result.DEGRADED, reasons=("recovered",), ledger=writer.place)
    again = seal(manifest, OWNER)
    writer.tell(again, Kind.RECOVERED)
    writer.publish()

    report = verified(again, writer.checked())

    assert (report.exit_code, told(report).outcome) == (15, Outcome.NOT_CHECKED)
    assert verify_device(OWNER.device, [writer.kept], OWNER.trust).exit_code == 15


def test_a_discarded_recording_that_is_discarded_anew_is_not_ok_and_not_altered(writer: Writer) -> None:
    call = exempted(writer.record(end=None), writer)
    writer.tell(call, Kind.DISCARDED)
    writer.start()
    objects = {name: data for name, data in call.files.items() if name.endswith(".age")}
    again = seal(replace(call.manifest, ledger=writer.place), OWNER, objects)
    writer.tell(again, Kind.EXEMPT)
    writer.publish()

    assert verified(again, writer.checked()).exit_code == 15


def test_an_end_that_is_told_twice_is_one_end(writer: Writer) -> None:
    sealed = writer.record()
    writer.tell(sealed)
    writer.publish()

    assert verified(sealed, writer.checked()).ok
    assert verify_device(OWNER.device, [writer.kept], OWNER.trust).ok


# --- when it was made ------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
MOMENT = timedelta(seconds=61)


@pytest.mark.parametrize("began", [-480 * HOUR, -2 * HOUR, HOUR, 480 * HOUR])
def test_a_recording_dated_otherwise_than_its_ledger_entries_is_not_ok(
    writer: Writer, began: timedelta
) -> None:
    """Whoever has the device's key makes a recording today, and gives it the date that he needs."""
    began_at = STARTED_AT + began
    sealed = writer.record(started_at=began_at, ended_at=began_at + MOMENT)
    writer.publish()

    report = verified(sealed, writer.checked())

    assert (report.exit_code, told(report).outcome) == (15, Outcome.NOT_CHECKED)
    assert "dated otherwise" in told(report).words


def test_a_recording_that_claims_to_have_lasted_since_long_ago_is_not_ok(writer: Writer) -> None:
    sealed = writer.record(started_at=STARTED_AT - 480 * HOUR)
    writer.publish()

    assert verified(sealed, writer.checked()).exit_code == 15


def test_an_exempt_call_dated_otherwise_than_its_entry_is_not_ok(writer: Writer) -> None:
    writer.beat(20)
    began_at = STARTED_AT - 480 * HOUR
    fields = {"result": Result.EXEMPT, "reasons": ("rule-never",), "opened": False, "end": Kind.EXEMPT}
    sealed = writer.record(started_at=began_at, ended_at=began_at + MOMENT, **fields)  # type: ignore[arg-type]
    writer.publish()

    assert verified(sealed, writer.checked()).exit_code == 15


def test_a_time_at_the_calendars_end_is_judged_like_any_other(writer: Writer) -> None:
    sealed = writer.record(ended_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    writer.publish()

    assert verified(sealed, writer.checked()).exit_code == 15


def test_a_long_exempt_call_is_ok(writer: Writer) -> None:
    fields = {"result": Result.EXEMPT, "reasons": ("emergency",), "opened": False, "end": Kind.EXEMPT}
    sealed = writer.record(started_at=STARTED_AT - 5 * HOUR, **fields)  # type: ignore[arg-type]
    writer.publish()

    assert verified(sealed, writer.checked()).ok


def test_a_call_that_went_on_in_a_second_folder_for_hours_is_ok(writer: Writer) -> None:
    fields = {"result": Result.DEGRADED, "reasons": ("disk-changed",)}
    sealed = writer.record(started_at=STARTED_AT - 5 * HOUR, **fields)  # type: ignore[arg-type]
    writer.publish()

    assert verified(sealed, writer.checked()).ok


def test_an_exempt_call_whose_agent_died_and_began_again_days_later_is_ok(writer: Writer) -> None:
    writer.add(Kind.STARTED, after=72 * HOUR, software="callseal/test", settings=bytes(32), x5c=OWNER.chain)
    fields = {"result": Result.EXEMPT, "reasons": ("emergency",), "opened": False, "end": Kind.EXEMPT}
    sealed = writer.record(**fields)  # type: ignore[arg-type]
    writer.publish()

    assert verified(sealed, writer.checked()).ok


def test_a_recording_recovered_days_later_is_ok(writer: Writer) -> None:
    sealed = writer.record(end=None, result=Result.DEGRADED, reasons=("recovered",))
    writer.add(Kind.HEARTBEAT, after=72 * HOUR, open=0)
    writer.tell(sealed, Kind.RECOVERED)
    writer.publish()

    assert verified(sealed, writer.checked()).ok


def test_without_a_ledger_a_recording_is_never_ok(writer: Writer) -> None:
    sealed = writer.record()

    report = verified(sealed, None)

    assert (report.exit_code, told(report).outcome) == (15, Outcome.NOT_CHECKED)
    assert report.intact


def substituted(sealed: Sealed) -> Sealed:
    """Put another sound in the place of a recording's, and sign again with the device's stolen key."""
    audio = sealed_object("audio", b"another sound")
    call = next(item for item in sealed.manifest.objects if item.kind == "call")
    manifest = replace(sealed.manifest, objects=(audio, call))
    return seal(manifest, OWNER, {audio.name: b"another sound", call.name: sealed.files[call.name]})


def test_a_recording_signed_again_with_the_stolen_key_is_substituted(writer: Writer) -> None:
    """The signature fits, the signer is trusted, all is as the manifest says: only the ledger finds it."""
    false = substituted(writer.record())
    writer.publish()

    report = verified(false, writer.checked())

    assert report.intact
    assert (report.exit_code, told(report).outcome) == (12, Outcome.FAILED)
    assert "substituted" in told(report).words


def test_a_recording_that_claims_to_be_newer_than_its_end_is_not_ok_and_in_time_altered(
    writer: Writer,
) -> None:
    sealed = writer.record()
    false = seal(replace(sealed.manifest, ledger=writer.place), OWNER)
    writer.publish()
    soon = verified(false, writer.checked())
    writer.beat(LATE_ENTRIES + 1)
    writer.publish()

    late = verified(false, writer.checked())

    assert (soon.exit_code, late.exit_code) == (15, 12)
    assert "substituted" in told(late).words


def test_a_recording_slipped_in_with_the_stolen_key_is_unknown_to_the_ledger(writer: Writer) -> None:
    writer.record()
    false = Writer(OWNER).record(1, end=None, ledger=writer.place)
    writer.publish()
    soon = verified(false, writer.checked())
    writer.beat(LATE_ENTRIES + 1)
    writer.publish()

    late = verified(false, writer.checked())

    assert false.manifest.ledger is not None
    assert (soon.exit_code, told(soon).outcome) == (15, Outcome.NOT_CHECKED)
    assert (late.exit_code, told(late).words) == (12, "slipped in: its device's ledger does not know it")


def test_a_recording_slipped_in_without_a_place_in_the_ledger_is_unknown_at_once(writer: Writer) -> None:
    false = Writer(OWNER).record(1, end=None, opened=False, ledger=None)
    writer.publish()

    report = verified(false, writer.checked())

    assert (report.exit_code, told(report).words) == (12, "slipped in: its device's ledger does not know it")


def test_a_recording_older_than_the_ledger_is_neither_altered_nor_ok() -> None:
    old = Writer(OWNER).record(end=None, opened=False, ledger=None)
    later = Writer(OWNER, STARTED_AT + timedelta(days=1))
    later.start()
    later.publish()

    report = verified(old, later.checked())

    assert (report.exit_code, told(report).outcome) == (15, Outcome.NOT_CHECKED)
    assert "before its device kept a ledger" in told(report).words


def test_a_recording_whose_end_is_not_published_yet_is_not_ok_and_not_altered(writer: Writer) -> None:
    writer.publish()
    sealed = writer.record()

    report = verified(sealed, writer.checked())

    assert (report.exit_code, told(report).words) == (15, "its ledger entries are not here yet")


def test_a_recording_out_of_another_history_is_found(writer: Writer) -> None:
    """The machine was set back to an older copy: the recording stands behind an entry that is not there."""
    other = writer.copied()
    other.add(Kind.HEARTBEAT, open=3)
    sealed = other.record()
    writer.beat(4)
    writer.publish()

    report = verified(sealed, writer.checked())

    assert report.exit_code == 12
    assert "not the one in the device's ledger" in told(report).words


def test_an_entry_that_is_missing_proves_nothing(writer: Writer) -> None:
    writer.publish()
    writer.beat(2)
    place = writer.place
    writer.publish()
    sealed = writer.record(ledger=place)
    writer.publish()
    del writer.kept.segments[1]

    report = verified(sealed, writer.checked())

    assert (report.exit_code, told(report).outcome) == (15, Outcome.NOT_CHECKED)


def test_a_recording_of_which_the_ledger_says_that_nothing_was_kept_is_altered(writer: Writer) -> None:
    sealed = writer.record(end=None)
    writer.add(Kind.FAILED, recording=sealed.id, manifest=None, result="failed", reasons=("write-failed",))
    writer.publish()

    report = verified(sealed, writer.checked())

    assert report.exit_code == 12
    assert "nothing of this recording could be kept" in told(report).words


def test_a_result_that_the_ledger_tells_otherwise_is_altered(writer: Writer) -> None:
    sealed = writer.record(end=None)
    writer.add(
        Kind.CLOSED,
        recording=sealed.id,
        manifest=sealed.sha256,
        result="degraded",
        reasons=("clipped-agent",),
    )
    writer.publish()

    report = verified(sealed, writer.checked())

    assert (report.exit_code, told(report).words) == (12, "the ledger says another result than the manifest")


def test_an_end_that_the_device_did_not_sign_vouches_for_nothing(writer: Writer) -> None:
    """Whoever keeps the store can write a line, and can't sign it."""
    sealed = writer.record(end=None)
    writer.publish()
    forger = writer.copied()
    forger.signing_key = generate_signing_key()
    forger.tell(sealed)
    forger.publish()

    report = verified(sealed, forger.checked())

    assert (report.exit_code, told(report).outcome) == (15, Outcome.NOT_CHECKED)


def test_another_devices_ledger_says_nothing(writer: Writer) -> None:
    other = Writer(organisation("Another"))
    other.start()
    other.publish()
    sealed = writer.record()

    assert verified(sealed, other.checked()).exit_code == 15


# --- a signer whose key was revoked --------------------------------------------------------------------


def revoking(owner: Organisation, since: datetime) -> TrustStore:
    """Trust the organisation, which took its device's certificate back."""
    leaf = x509.load_der_x509_certificate(owner.chain[0])
    crl = revoke(
        owner.root_key,
        owner.root,
        (),
        [leaf],
        since=since,
        reason=x509.ReasonFlags.key_compromise,
        now=since + timedelta(days=1),
    )
    return TrustStore([owner.root], Revocations([crl]))


SINCE = datetime(2026, 12, 1, tzinfo=UTC)


def anchored(writer: Writer, *anchors: tuple[int, datetime]) -> DeviceLedger:
    """Give the ledger, with time stamps on so many entries."""
    stamps = tuple(Anchor(size=size, at=at, authority="CN=Example TSA") for size, at in anchors)
    return replace(writer.checked(), anchors=stamps)


@pytest.mark.parametrize(
    ("anchors", "code"),
    [
        ((), 14),
        (((3, SINCE - MINUTE),), 0),
        (((9, SINCE - MINUTE),), 0),
        (((3, SINCE),), 14),
        (((2, SINCE - MINUTE),), 14),
        (((2, SINCE - timedelta(days=3)), (3, SINCE + MINUTE)), 14),
        (((3, SINCE + MINUTE), (9, SINCE - MINUTE)), 0),
    ],
    ids=[
        "no stamp",
        "stamped before, up to its end",
        "stamped before, and further",
        "stamped at that very moment",
        "stamped before, but not up to its end",
        "its end stamped only afterwards",
        "a later checkpoint stamped earlier",
    ],
)
def test_what_a_revoked_device_signed_counts_only_where_a_stamp_shows_that_it_was_there_before(
    writer: Writer, anchors: Sequence[tuple[int, datetime]], code: int
) -> None:
    sealed = writer.record()
    writer.beat(8)
    writer.publish()

    report = verified(sealed, anchored(writer, *anchors), revoking(OWNER, SINCE))

    assert report.exit_code == code
    signer = next(finding for finding in report.findings if finding.check is Check.SIGNER)
    assert "revoked since 2026-12-01T00:00:00.000Z" in signer.words


def test_a_stamp_on_the_ledger_does_not_help_a_substituted_recording_of_a_revoked_device(
    writer: Writer,
) -> None:
    false = substituted(writer.record())
    writer.publish()

    report = verified(false, anchored(writer, (3, SINCE - MINUTE)), revoking(OWNER, SINCE))

    wrong = {finding.check: finding.exit_code for finding in report.findings if finding.exit_code}
    assert wrong == {Check.SIGNER: 14, Check.LEDGER: 12}

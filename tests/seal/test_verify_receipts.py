"""Receipts: what a custodian read back must be what lies here; what holds is a proof for a revoked device."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal.keys import Role, TrustStore, certify, chain_der, generate_signing_key
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME
from callseal.seal.receipt import Receipt, ReceiptObject, sign_receipt
from callseal.seal.revocation import Revocations, revoke
from callseal.seal.verify import Check, Finding, Outcome, Report, Vouched, verify_presence, verify_recording
from support.kept_ledgers import MINUTE, AtHand, Sealed, Writer
from support.sealed_recordings import STARTED_AT, Organisation, organisation, recording_id

OWNER = organisation()
RECEIVED_AT = STARTED_AT + timedelta(hours=1)
LATER = datetime(2026, 12, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Custodian:
    """A custodian of an organisation."""

    key: Ed25519PrivateKey
    certificate: x509.Certificate

    def sign(self, receipt: Receipt) -> bytes:
        return sign_receipt(receipt, self.key, chain_der([self.certificate]))


def custodian(owner: Organisation = OWNER, role: Role = Role.CUSTODIAN) -> Custodian:
    """Certify a new custodian."""
    key = generate_signing_key()
    then = STARTED_AT - timedelta(days=1)
    certificate = certify(owner.root_key, owner.root, key.public_key(), role=role, now=then, years=1)
    return Custodian(key=key, certificate=certificate)


def receipt_for(sealed: Sealed) -> Receipt:
    """Vouch for a recording as it is."""
    return Receipt(
        id=sealed.id,
        device=sealed.manifest.device,
        site="primary",
        received_at=RECEIVED_AT,
        manifest=sealed.sha256,
        objects=tuple(
            ReceiptObject(
                name=sealed.prefix + name,
                version="1",
                size_bytes=len(data),
                sha256=hashlib.sha256(data).digest(),
            )
            for name, data in sealed.files.items()
        ),
    )


@pytest.fixture
def writer() -> Writer:
    """Return a device that has just begun."""
    begun = Writer(OWNER)
    begun.start()
    return begun


@pytest.fixture
def sealed(writer: Writer) -> Sealed:
    recorded = writer.record()
    writer.publish()
    return recorded


def verified(writer: Writer, sealed: Sealed, *receipts: bytes, trust: TrustStore = OWNER.trust) -> Report:
    evidence = AtHand(kept=writer.checked(), received={sealed.id: receipts})
    return verify_recording(sealed.reader, sealed.prefix, trust, evidence)


def told(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.check is Check.RECEIPT]


def test_a_receipt_that_holds_is_said_so(writer: Writer, sealed: Sealed) -> None:
    report = verified(writer, sealed, custodian().sign(receipt_for(sealed)))

    assert report.ok
    assert [finding.outcome for finding in told(report)] == [Outcome.OK]
    assert "2026-11-22T00:58:30.250Z" in told(report)[0].words


def test_a_recording_without_a_receipt_is_no_worse_for_it(writer: Writer, sealed: Sealed) -> None:
    report = verified(writer, sealed)

    assert report.ok
    assert told(report) == []


def test_a_forged_receipt_is_a_bad_signature(writer: Writer, sealed: Sealed) -> None:
    data = custodian().sign(receipt_for(sealed))
    forged = data[:-10] + (b"A" if data[-10:-9] != b"A" else b"B") + data[-9:]

    assert verified(writer, sealed, forged).exit_code == 13


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100])
def test_what_is_no_receipt_is_altered(writer: Writer, sealed: Sealed, data: bytes) -> None:
    assert verified(writer, sealed, data).exit_code == 12


def test_a_receipt_by_a_stranger_is_untrusted(writer: Writer, sealed: Sealed) -> None:
    stranger = custodian(organisation("Stranger"))

    assert verified(writer, sealed, stranger.sign(receipt_for(sealed))).exit_code == 14


def test_a_device_can_not_vouch_for_itself_as_a_custodian(writer: Writer, sealed: Sealed) -> None:
    own = sign_receipt(receipt_for(sealed), OWNER.device_key, OWNER.chain)

    assert verified(writer, sealed, own).exit_code == 14


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: replace(one, id=recording_id(7)), "another recording"),
        (lambda one: replace(one, device="dev-aaaaaaaaaaaa"), "another recording"),
        (lambda one: replace(one, manifest=bytes(32)), "another manifest"),
        (lambda one: replace(one, objects=one.objects[:2]), "did not receive audio-"),
        (
            lambda one: replace(one, objects=(replace(one.objects[0], sha256=bytes(32)), *one.objects[1:])),
            f"received another {MANIFEST_NAME}",
        ),
        (
            lambda one: replace(
                one, objects=(one.objects[0], replace(one.objects[1], size_bytes=63), *one.objects[2:])
            ),
            f"received another {SIGNATURE_NAME}",
        ),
        (
            lambda one: replace(one, objects=(*one.objects, replace(one.objects[0], name="add-1.json"))),
            "received add-1.json, and it is not here",
        ),
        (
            lambda one: replace(one, objects=tuple(replace(o, name="x/" + o.name) for o in one.objects)),
            "did not receive",
        ),
    ],
    ids=["id", "device", "manifest", "fewer objects", "hash", "size", "more objects", "another place"],
)
def test_a_receipt_that_does_not_agree_is_altered_and_says_how(
    writer: Writer, sealed: Sealed, change: Callable[[Receipt], Receipt], words: str
) -> None:
    report = verified(writer, sealed, custodian().sign(change(receipt_for(sealed))))

    assert report.exit_code == 12
    assert words in told(report)[0].words


def test_a_receipt_finds_a_recording_that_was_signed_again(writer: Writer, sealed: Sealed) -> None:
    """Also where whoever has the device's key wrote the ledger anew."""
    thief = Writer(OWNER)
    thief.start()
    false = thief.record(site="elsewhere")
    thief.publish()

    report = verified(thief, false, custodian().sign(receipt_for(sealed)))

    assert [finding.check for finding in report.findings if finding.exit_code] == [Check.RECEIPT]
    assert "another manifest" in told(report)[0].words


def test_receipts_that_can_not_be_read_are_not_checked(writer: Writer, sealed: Sealed) -> None:
    evidence = AtHand(kept=writer.checked(), unreadable=True)

    report = verify_recording(sealed.reader, sealed.prefix, OWNER.trust, evidence)

    assert (report.exit_code, [finding.outcome for finding in told(report)]) == (15, [Outcome.NOT_CHECKED])


def revoking(certificate: x509.Certificate, since: datetime) -> TrustStore:
    """Trust the organisation, which took a certificate back."""
    reason = x509.ReasonFlags.key_compromise
    crl = revoke(OWNER.root_key, OWNER.root, (), [certificate], since=since, reason=reason, now=LATER)
    return TrustStore([OWNER.root], Revocations([crl]))


@pytest.mark.parametrize(
    ("since", "code"), [(RECEIVED_AT + MINUTE, 0), (RECEIVED_AT - MINUTE, 14)], ids=["after", "before"]
)
def test_a_recording_of_a_revoked_device_counts_if_a_custodian_had_it_before(
    writer: Writer, sealed: Sealed, since: datetime, code: int
) -> None:
    trust = revoking(x509.load_der_x509_certificate(OWNER.chain[0]), since)

    without = verified(writer, sealed, trust=trust)
    with_receipt = verified(writer, sealed, custodian().sign(receipt_for(sealed)), trust=trust)

    assert (without.exit_code, with_receipt.exit_code) == (14, code)


def test_a_revoked_custodian_vouches_for_nothing(writer: Writer, sealed: Sealed) -> None:
    one = custodian()
    trust = revoking(one.certificate, RECEIVED_AT + MINUTE)

    assert verified(writer, sealed, one.sign(receipt_for(sealed)), trust=trust).exit_code == 14


@pytest.mark.parametrize(
    ("stored_at", "code"),
    [(RECEIVED_AT, 0), (RECEIVED_AT + 2 * MINUTE, 14), (None, 14)],
    ids=["before", "after", "nobody knows"],
)
def test_a_revoked_custodians_receipt_counts_if_the_store_had_it_before(
    writer: Writer, sealed: Sealed, stored_at: datetime | None, code: int
) -> None:
    one = custodian()
    trust = revoking(one.certificate, RECEIVED_AT + MINUTE)
    data = one.sign(receipt_for(sealed))
    evidence = AtHand(kept=writer.checked(), received={sealed.id: [data]}, stored_at=stored_at)
    vouched = Vouched(id=sealed.id, name="receipts/x", data=data, stored_at=stored_at)

    report = verify_recording(sealed.reader, sealed.prefix, trust, evidence)
    (gone,) = verify_presence(None, [vouched], set(), trust, settled_before=LATER)

    assert report.exit_code == code
    assert gone.exit_code == (code or 12)


def test_a_receipt_for_another_manifest_does_not_help_a_revoked_device(
    writer: Writer, sealed: Sealed
) -> None:
    trust = revoking(x509.load_der_x509_certificate(OWNER.chain[0]), RECEIVED_AT + MINUTE)
    false = replace(receipt_for(sealed), manifest=bytes(32))

    report = verified(writer, sealed, custodian().sign(false), trust=trust)

    assert {finding.exit_code for finding in report.findings if finding.exit_code} == {12, 14}


def test_a_recording_that_a_custodian_received_and_that_is_gone_is_deleted(sealed: Sealed) -> None:
    """Also where its device's ledger is gone with it."""
    good = Vouched(id=sealed.id, name="receipts/x", data=custodian().sign(receipt_for(sealed)))

    found = verify_presence(None, [good], set(), OWNER.trust, settled_before=LATER)
    here = verify_presence(None, [good], {sealed.id}, OWNER.trust, settled_before=LATER)

    assert [(finding.exit_code, finding.object, finding.code) for finding in found] == [
        (12, str(sealed.id), "missing")
    ]
    assert here == ()


def test_a_receipt_by_a_stranger_does_not_make_a_recording_missing(sealed: Sealed) -> None:
    data = custodian(organisation("Stranger")).sign(receipt_for(sealed))
    foreign = Vouched(id=sealed.id, name="receipts/x", data=data)

    found = verify_presence(None, [foreign], set(), OWNER.trust, settled_before=LATER)

    assert [(finding.exit_code, finding.object) for finding in found] == [(14, "receipts/x")]

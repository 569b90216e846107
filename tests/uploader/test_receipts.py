"""Receipts: only what a custodian whom we trust says of exactly what was sent lets a local copy go."""

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import KeyFileError
from callseal.seal.jws import sign_jws
from callseal.seal.keys import (
    Role,
    TrustStore,
    certify,
    chain_der,
    generate_signing_key,
    self_signed,
    write_certificates,
)
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME
from callseal.seal.receipt import JWS_TYPE, Receipt, ReceiptObject, sign_receipt
from callseal.seal.revocation import Revocations, revoke
from callseal.uploader.receipts import (
    AHEAD,
    BEHIND,
    MAX_RECEIPT_BYTES,
    Accepted,
    KeptTrust,
    ReceiptRefused,
    Receipts,
    Refusal,
    Sent,
    SentObject,
)
from support.sealed_recordings import STARTED_AT, Organisation, organisation, recording_id

OWNER = organisation()
STRANGER = organisation("Stranger")
ENDED_AT = STARTED_AT + timedelta(seconds=61)
RECEIVED_AT = STARTED_AT + timedelta(minutes=5)
NOW = STARTED_AT + timedelta(hours=1)
PREFIX = f"recordings/{OWNER.device}/2026/11/21/{recording_id()}/"
MANIFEST = hashlib.sha256(b"manifest").digest()
AUDIO = f"{PREFIX}audio-{'a' * 64}.age"


def hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


SENT = Sent(
    id=recording_id(),
    device=OWNER.device,
    site="primary",
    manifest=MANIFEST,
    ended_at=ENDED_AT,
    objects=(
        SentObject(name=AUDIO, size_bytes=70_000, sha256=hashed("audio"), version="v-audio"),
        SentObject(name=PREFIX + SIGNATURE_NAME, size_bytes=64, sha256=hashed("sig"), version="v-sig"),
        SentObject(name=PREFIX + MANIFEST_NAME, size_bytes=900, sha256=MANIFEST, version="v-manifest"),
    ),
)
RECEIPT = Receipt(
    id=SENT.id,
    device=SENT.device,
    site=SENT.site,
    received_at=RECEIVED_AT,
    manifest=MANIFEST,
    objects=tuple(
        ReceiptObject(name=one.name, version=one.version, size_bytes=one.size_bytes, sha256=one.sha256)
        for one in SENT.objects
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Custodian:
    """A key, and a certificate that says it is a custodian's."""

    key: Ed25519PrivateKey
    certificate: x509.Certificate

    @property
    def name(self) -> str:
        return str(self.certificate.subject.rfc4514_string()).partition("CN=")[2][:16]

    def sign(self, receipt: Receipt) -> bytes:
        return sign_receipt(receipt, self.key, chain_der([self.certificate]))


def custodian(
    owner: Organisation = OWNER,
    role: Role = Role.CUSTODIAN,
    *,
    since: datetime = STARTED_AT - timedelta(days=1),
    years: int = 1,
) -> Custodian:
    key = generate_signing_key()
    certificate = certify(owner.root_key, owner.root, key.public_key(), role=role, now=since, years=years)
    return Custodian(key=key, certificate=certificate)


CUSTODIAN = custodian()
SIGNED = CUSTODIAN.sign(RECEIPT)


def receipts(trust: TrustStore = OWNER.trust, *, now: datetime = NOW) -> Receipts:
    return Receipts(lambda: trust, now=lambda: now)


def refused(data: bytes, sent: Sent = SENT, by: Receipts | None = None) -> ReceiptRefused:
    with pytest.raises(ReceiptRefused) as raised:
        (by or receipts()).check(data, sent)
    return raised.value


def changed_object(number: int, **changes: Any) -> Receipt:
    objects = list(RECEIPT.objects)
    objects[number] = replace(objects[number], **changes)
    return replace(RECEIPT, objects=tuple(objects))


def without_versions(sent: Sent = SENT) -> Sent:
    return replace(sent, objects=tuple(replace(one, version="") for one in sent.objects))


def test_a_receipt_on_exactly_what_was_sent_counts() -> None:
    found = receipts().check(SIGNED, SENT)

    assert found == Accepted(
        custodian=CUSTODIAN.name,
        received_at=RECEIVED_AT,
        versions={one.name: one.version for one in SENT.objects},
    )


def test_where_a_stores_answer_was_lost_the_versions_of_the_receipt_are_taken_over() -> None:
    found = receipts().check(SIGNED, without_versions())

    assert found.versions == {one.name: one.version for one in RECEIPT.objects}


def test_the_order_of_objects_says_nothing() -> None:
    turned = replace(RECEIPT, objects=RECEIPT.objects[::-1])

    assert receipts().check(CUSTODIAN.sign(turned), SENT).received_at == RECEIVED_AT


@pytest.mark.parametrize(
    ("receipt", "refusal"),
    [
        (replace(RECEIPT, id=recording_id(1)), Refusal.OTHER_RECORDING),
        (replace(RECEIPT, device="dev-aaaaaaaaaaaa"), Refusal.OTHER_DEVICE),
        (replace(RECEIPT, site="secondary"), Refusal.OTHER_SITE),
        (replace(RECEIPT, manifest=bytes(32)), Refusal.OTHER_MANIFEST),
        (replace(RECEIPT, objects=RECEIPT.objects[1:]), Refusal.OBJECT_MISSING),
        (replace(RECEIPT, objects=RECEIPT.objects[:-1]), Refusal.OBJECT_MISSING),
        (
            replace(
                RECEIPT, objects=(*RECEIPT.objects, replace(RECEIPT.objects[0], name=PREFIX + "add-1.json"))
            ),
            Refusal.OBJECT_SURPLUS,
        ),
        (changed_object(0, name=AUDIO.replace("/21/", "/22/")), Refusal.OBJECT_SURPLUS),
        (changed_object(0, sha256=bytes(32)), Refusal.OBJECT_DIFFERS),
        (changed_object(0, size_bytes=69_999), Refusal.OBJECT_DIFFERS),
        (changed_object(1, sha256=bytes(32)), Refusal.OBJECT_DIFFERS),
        (changed_object(2, sha256=bytes(32)), Refusal.OBJECT_DIFFERS),
        (changed_object(0, version="v-other"), Refusal.VERSION_DIFFERS),
        (changed_object(2, version="v-other"), Refusal.VERSION_DIFFERS),
        (changed_object(0, version=""), Refusal.VERSION_MISSING),
    ],
)
def test_a_receipt_that_differs_in_anything_is_refused_and_says_in_what(
    receipt: Receipt, refusal: Refusal
) -> None:
    found = refused(CUSTODIAN.sign(receipt))

    assert found.refusal is refusal
    assert not found.later
    assert str(found)


def test_a_version_that_nobody_knows_is_not_taken_over() -> None:
    found = refused(CUSTODIAN.sign(changed_object(0, version="")), without_versions())

    assert found.refusal is Refusal.VERSION_MISSING


@pytest.mark.parametrize(
    "other",
    [
        replace(SENT, id=recording_id(1)),
        replace(SENT, site="secondary"),
        replace(SENT, device=STRANGER.device),
        replace(
            SENT,
            manifest=hashed("the next manifest"),
            objects=(*SENT.objects[:2], replace(SENT.objects[2], sha256=hashed("the next manifest"))),
        ),
    ],
    ids=["another recording", "another site", "another device", "an older manifest"],
)
def test_a_receipt_that_was_given_for_something_else_counts_for_nothing_here(other: Sent) -> None:
    """Whoever may write to a store may copy a true receipt to any name in it."""
    assert refused(SIGNED, other).refusal in {
        Refusal.OTHER_RECORDING,
        Refusal.OTHER_SITE,
        Refusal.OTHER_DEVICE,
        Refusal.OTHER_MANIFEST,
    }


def test_a_custodian_of_nobodys_making_is_refused() -> None:
    key = generate_signing_key()
    own = self_signed(key, role=Role.CUSTODIAN, now=STARTED_AT, years=1)

    found = refused(Custodian(key=key, certificate=own).sign(RECEIPT))

    assert found.refusal is Refusal.SIGNER


def test_a_device_is_no_custodian_not_even_of_its_own_recordings() -> None:
    own = sign_receipt(RECEIPT, OWNER.device_key, OWNER.chain)

    assert refused(own).refusal is Refusal.SIGNER
    assert refused(custodian(role=Role.DEVICE).sign(RECEIPT)).refusal is Refusal.SIGNER


def test_a_device_that_certifies_itself_as_a_custodian_is_refused() -> None:
    """With its own key, and in the name of its organisation."""
    own = self_signed(OWNER.device_key, role=Role.CUSTODIAN, now=STARTED_AT, years=1)

    assert refused(sign_receipt(RECEIPT, OWNER.device_key, chain_der([own]))).refusal is Refusal.SIGNER


def test_a_certificate_by_a_device_makes_no_custodian() -> None:
    key = generate_signing_key()
    device = x509.load_der_x509_certificate(OWNER.chain[0])
    forged = certify(OWNER.device_key, device, key.public_key(), role=Role.CUSTODIAN, now=STARTED_AT, years=1)

    found = refused(Custodian(key=key, certificate=forged).sign(RECEIPT))

    assert found.refusal is Refusal.SIGNER


def test_a_custodian_of_another_organisation_is_refused() -> None:
    assert refused(custodian(STRANGER).sign(RECEIPT)).refusal is Refusal.SIGNER


def test_without_a_root_nobody_is_believed_and_that_may_change() -> None:
    found = refused(SIGNED, by=receipts(TrustStore()))

    assert found.refusal is Refusal.SIGNER
    assert found.later


@pytest.mark.parametrize("since", [STARTED_AT - timedelta(days=1), RECEIVED_AT + timedelta(days=1)])
def test_a_custodian_that_was_revoked_vouches_for_nothing_whatever_time_it_writes(since: datetime) -> None:
    taken_back = revoke(
        OWNER.root_key,
        OWNER.root,
        [],
        [CUSTODIAN.certificate],
        since=since,
        reason=x509.ReasonFlags.key_compromise,
        now=since + timedelta(days=1),
    )
    trust = TrustStore([OWNER.root], Revocations([taken_back]))

    found = refused(SIGNED, by=receipts(trust))

    assert found.refusal is Refusal.SIGNER
    assert "revoked" in str(found)


def test_a_certificate_that_did_not_hold_then_counts_for_nothing() -> None:
    late = custodian(since=RECEIVED_AT + timedelta(days=1))

    assert refused(late.sign(RECEIPT)).refusal is Refusal.SIGNER


def test_roots_that_can_not_be_read_keep_every_copy_here_for_now() -> None:
    def broken() -> TrustStore:
        raise KeyFileError("damaged", path=Path("/etc/roots.pem"))

    found = refused(SIGNED, by=Receipts(broken, now=lambda: NOW))

    assert found.refusal is Refusal.TRUST_UNREADABLE
    assert found.later
    assert "roots.pem" in str(found)


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        (ENDED_AT - AHEAD, True),
        (ENDED_AT - AHEAD - timedelta(milliseconds=1), False),
        (NOW + BEHIND, True),
        (NOW + BEHIND + timedelta(milliseconds=1), False),
    ],
)
def test_a_receipt_is_neither_older_than_its_recording_nor_from_the_future(
    at: datetime, *, counts: bool
) -> None:
    signer = custodian(since=STARTED_AT - timedelta(days=10))
    data = signer.sign(replace(RECEIPT, received_at=at))

    if counts:
        assert receipts().check(data, SENT).received_at == at
    else:
        assert refused(data).refusal in {Refusal.TOO_EARLY, Refusal.FROM_THE_FUTURE}


def test_a_receipt_from_the_future_counts_once_the_clock_here_is_right() -> None:
    data = CUSTODIAN.sign(RECEIPT)

    early = refused(data, by=receipts(now=STARTED_AT - timedelta(days=20_000)))

    assert early.refusal is Refusal.FROM_THE_FUTURE
    assert early.later
    assert receipts().check(data, SENT).received_at == RECEIVED_AT


@pytest.mark.parametrize("ended_at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_a_recording_at_an_end_of_the_calendar_is_judged_like_any_other(ended_at: datetime) -> None:
    sent = replace(SENT, ended_at=ended_at)

    with contextlib.suppress(ReceiptRefused):
        receipts().check(SIGNED, sent)


def payload() -> dict[str, Any]:
    text = json.loads(SIGNED)["payload"]
    values: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return values


@pytest.mark.parametrize("field", list(payload()))
def test_a_byte_altered_in_any_field_is_found(field: str) -> None:
    """The signature is over all of them."""
    document = json.loads(SIGNED)
    text = json.dumps(payload(), separators=(",", ":"))
    at = text.index(f'"{field}":') + len(field) + 4
    altered = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
    document["payload"] = base64.urlsafe_b64encode(altered.encode()).rstrip(b"=").decode()

    found = refused(json.dumps(document).encode())

    assert found.refusal is Refusal.SIGNATURE


def test_another_kind_of_document_by_the_same_custodian_is_no_receipt() -> None:
    other = sign_jws(
        json.dumps(payload()).encode(),
        CUSTODIAN.key,
        chain_der([CUSTODIAN.certificate]),
        {"typ": "callseal-fleet+jws"},
    )

    assert refused(other).refusal is Refusal.MALFORMED


def test_a_truncated_receipt_is_refused_at_every_length() -> None:
    for length in range(0, len(SIGNED), 7):
        assert refused(SIGNED[:length]).refusal in {Refusal.MALFORMED, Refusal.SIGNATURE}


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff" * 100, b'{"payload":' * 5000])
def test_what_is_no_receipt_is_refused(data: bytes) -> None:
    assert refused(data).refusal is Refusal.MALFORMED


def test_a_huge_receipt_is_refused_unread() -> None:
    found = refused(SIGNED + b" " * (MAX_RECEIPT_BYTES - len(SIGNED) + 1))

    assert found.refusal is Refusal.TOO_LARGE


def test_white_space_around_a_receipt_is_no_reason_to_refuse_it() -> None:
    """The signature is not over it, and up to the limit a reader takes it."""
    assert receipts().check(SIGNED + b"\n" * 1000, SENT).received_at == RECEIVED_AT


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_byte_of_a_receipt_changes_what_it_says(position: int, change: int) -> None:
    altered = bytearray(SIGNED)
    altered[position] ^= change

    with contextlib.suppress(ReceiptRefused):
        assert receipts().check(bytes(altered), SENT) == receipts().check(SIGNED, SENT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(list(payload())), JSON)
def test_whatever_a_custodian_signs_raises_nothing_but_a_refusal(field: str, value: object) -> None:
    data = sign_jws(
        json.dumps(payload() | {field: value}).encode(),
        CUSTODIAN.key,
        chain_der([CUSTODIAN.certificate]),
        {"typ": JWS_TYPE},
    )

    with contextlib.suppress(ReceiptRefused):
        receipts().check(data, SENT)


@pytest.mark.parametrize(
    "change",
    [
        lambda: replace(SENT, objects=SENT.objects[:-1]),
        lambda: replace(SENT, objects=(*SENT.objects, SENT.objects[0])),
        lambda: replace(SENT, manifest=bytes(32)),
    ],
    ids=["no manifest", "twice", "another manifest"],
)
def test_what_can_not_have_been_sent_is_not_constructed(change: Callable[[], Sent]) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        change()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    roots = tmp_path / "trust.pem"
    write_certificates(roots, [OWNER.root])
    return roots, tmp_path / "revoked.pem"


def write_revocations(path: Path, *certificates: x509.Certificate) -> None:
    taken_back = revoke(
        OWNER.root_key,
        OWNER.root,
        [],
        certificates,
        since=STARTED_AT,
        reason=x509.ReasonFlags.key_compromise,
        now=NOW,
    )
    path.write_bytes(taken_back.public_bytes(Encoding.PEM))


def test_a_revocation_list_that_comes_while_the_uploader_runs_counts_at_once(
    files: tuple[Path, Path],
) -> None:
    roots, revocations = files
    judge = Receipts(KeptTrust(roots, revocations), now=lambda: NOW)
    judge.check(SIGNED, SENT)

    write_revocations(revocations, CUSTODIAN.certificate)

    assert refused(SIGNED, by=judge).refusal is Refusal.SIGNER


def test_files_that_did_not_change_are_not_read_again(files: tuple[Path, Path]) -> None:
    trust = KeptTrust(*files)

    assert trust() is trust()


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_became_unreadable_ends_all_belief_until_it_is_mended(
    files: tuple[Path, Path], which: int
) -> None:
    judge = Receipts(KeptTrust(*files), now=lambda: NOW)
    judge.check(SIGNED, SENT)
    whole = files[which].read_bytes() if files[which].exists() else None
    files[which].write_bytes(b"-----BEGIN X509 CRL-----\ndamaged\n-----END X509 CRL-----\n")

    damaged = [refused(SIGNED, by=judge).refusal for _ in range(2)]
    if whole is None:
        files[which].unlink()
    else:
        files[which].write_bytes(whole)

    assert damaged == [Refusal.TRUST_UNREADABLE] * 2
    assert judge.check(SIGNED, SENT).received_at == RECEIVED_AT


def test_a_replaced_file_of_the_same_size_and_time_is_read_again(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    roots, revocations = files
    write_revocations(revocations)
    trust = KeptTrust(roots, revocations)
    before, found = trust(), revocations.stat()
    other = tmp_path / "other.pem"
    other.write_bytes(revocations.read_bytes())
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(revocations)

    assert trust() is not before

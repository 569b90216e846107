"""Revocation: from when on a key no longer counts, for us and for stock tools, and what never gets lost."""

import base64
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callseal.seal.errors import KeyFileError, UntrustedSigner
from callseal.seal.keys import (
    Role,
    Signer,
    TrustStore,
    certify,
    chain_der,
    create_root,
    generate_signing_key,
    write_certificates,
)
from callseal.seal.revocation import (
    CRL,
    KEY_OID,
    MAX_LISTS,
    MAX_REVOCATIONS_FILE_BYTES,
    VALID_FOR,
    Revocations,
    entries_of,
    key_hash,
    number_of,
    revoke,
    write_pem,
)
from support.age_peers import need

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STOLEN = NOW - timedelta(days=9)
DAY = timedelta(days=1)
KEY_COMPROMISE, SUPERSEDED = x509.ReasonFlags.key_compromise, x509.ReasonFlags.superseded

ROOT_KEY, ROOT = create_root("Example Insurance", now=NOW - 400 * DAY, years=20)
OTHER_ROOT_KEY, OTHER_ROOT = create_root("Example Insurance", now=NOW, years=20)
DEVICE_KEY, SECOND_KEY = generate_signing_key(), generate_signing_key()


def certificate(
    key: Ed25519PrivateKey,
    *,
    root_key: Ed25519PrivateKey = ROOT_KEY,
    root: x509.Certificate = ROOT,
    role: Role = Role.DEVICE,
) -> x509.Certificate:
    return certify(root_key, root, key.public_key(), role=role, now=NOW - 300 * DAY, years=3)


DEVICE, SECOND = certificate(DEVICE_KEY), certificate(SECOND_KEY)


def revoked(
    *certificates: x509.Certificate,
    previous: tuple[CRL, ...] = (),
    since: datetime = STOLEN,
    reason: x509.ReasonFlags = KEY_COMPROMISE,
    now: datetime = NOW,
) -> CRL:
    return revoke(ROOT_KEY, ROOT, previous, certificates, since=since, reason=reason, now=now)


def trust(*lists: CRL) -> TrustStore:
    return TrustStore([ROOT], Revocations(lists))


def checked(
    store: TrustStore,
    *,
    leaf: x509.Certificate = DEVICE,
    anchored_before: datetime | None = None,
    at: datetime = STOLEN - DAY,
) -> Signer:
    return store.check(chain_der([leaf]), at=at, role=Role.DEVICE, anchored_before=anchored_before)


def handmade(
    change: Callable[[x509.CertificateRevocationListBuilder], x509.CertificateRevocationListBuilder],
) -> CRL:
    """Make a list that the true root signed, and that says what `change` made of it."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(ROOT.subject).last_update(NOW)
    return change(builder.next_update(NOW + DAY)).sign(ROOT_KEY, None)


def handmade_entry(*extensions: tuple[x509.ExtensionType, bool]) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(DEVICE.serial_number).revocation_date(STOLEN)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.build()


# --- what a list says -------------------------------------------------------------------------------


def test_a_revoked_certificate_is_revoked_since_the_date_given() -> None:
    known = Revocations([revoked(DEVICE)])

    assert known.since(DEVICE) == STOLEN
    assert known.since(SECOND) is None


def test_every_certificate_of_a_stolen_key_counts_as_revoked() -> None:
    """The thief, or a clerk who knows of nothing, has the same key certified once more."""
    again = certificate(DEVICE_KEY)

    known = Revocations([revoked(DEVICE)])

    assert again.serial_number != DEVICE.serial_number
    assert known.since(again) == STOLEN


def test_an_entry_says_the_reason_and_names_the_key() -> None:
    (entry,) = entries_of(revoked(DEVICE, reason=SUPERSEDED))

    assert entry.serial == DEVICE.serial_number
    assert entry.reason is SUPERSEDED
    assert entry.key == key_hash(DEVICE_KEY.public_key())


def test_an_entry_that_another_program_made_counts_for_its_certificate() -> None:
    foreign = handmade(
        lambda builder: builder.add_extension(x509.CRLNumber(7), critical=False).add_revoked_certificate(
            handmade_entry()
        )
    )

    known = Revocations([foreign]).vouched_by([ROOT])

    assert known.since(DEVICE) == STOLEN
    assert known.since(certificate(DEVICE_KEY)) is None


def test_a_later_list_keeps_everything_that_an_earlier_one_held() -> None:
    first = revoked(DEVICE)

    second = revoked(SECOND, previous=(first,), since=NOW, reason=SUPERSEDED)

    known = Revocations([second])
    assert (known.since(DEVICE), known.since(SECOND)) == (STOLEN, NOW)
    assert {entry.reason for entry in entries_of(second)} == {KEY_COMPROMISE, SUPERSEDED}
    assert (number_of(first), number_of(second)) == (1, 2)


@pytest.mark.parametrize(
    ("since", "expected"),
    [(STOLEN + DAY, STOLEN), (STOLEN - DAY, STOLEN - DAY)],
    ids=["later-is-not-believed", "earlier-is"],
)
def test_revoking_again_never_gives_a_thief_time_back(since: datetime, expected: datetime) -> None:
    again = revoked(DEVICE, previous=(revoked(DEVICE),), since=since)

    assert Revocations([again]).since(DEVICE) == expected


def test_two_lists_of_one_number_are_joined_by_the_next() -> None:
    """Two people revoked at the same time, each without the other's list."""
    both = revoked(previous=(revoked(DEVICE), revoked(SECOND)))

    assert number_of(both) == 2
    assert len(entries_of(both)) == 2


def test_a_list_can_be_renewed_without_revoking_anything() -> None:
    renewed = revoked(previous=(revoked(DEVICE),), now=NOW + 300 * DAY, since=NOW)

    assert Revocations([renewed]).since(DEVICE) == STOLEN
    assert renewed.next_update_utc == NOW + 300 * DAY + VALID_FOR


def test_a_fraction_of_a_second_is_rounded_against_the_thief() -> None:
    since = STOLEN + timedelta(microseconds=999_999)

    assert Revocations([revoked(DEVICE, since=since)]).since(DEVICE) == STOLEN


@pytest.mark.parametrize(
    ("since", "reason", "words"),
    [
        (NOW + DAY, KEY_COMPROMISE, "still to come"),
        (datetime(1900, 1, 1, tzinfo=UTC), KEY_COMPROMISE, "no date"),
        (STOLEN, x509.ReasonFlags.certificate_hold, "for good"),
        (STOLEN, x509.ReasonFlags.remove_from_crl, "for good"),
    ],
)
def test_what_is_no_revocation_is_refused(since: datetime, reason: x509.ReasonFlags, words: str) -> None:
    with pytest.raises(KeyFileError, match=words):
        revoked(DEVICE, since=since, reason=reason)


def test_a_root_revokes_only_what_it_issued() -> None:
    foreign = certificate(SECOND_KEY, root_key=OTHER_ROOT_KEY, root=OTHER_ROOT)

    with pytest.raises(KeyFileError, match="not issued by this root"):
        revoked(foreign)


def test_another_roots_list_is_not_carried_on() -> None:
    foreign = revoke(
        OTHER_ROOT_KEY, OTHER_ROOT, [], [], since=NOW, reason=x509.ReasonFlags.unspecified, now=NOW
    )

    with pytest.raises(KeyFileError, match="no trusted root signed"):
        revoked(DEVICE, previous=(foreign,))


def test_a_roots_key_needs_its_own_certificate() -> None:
    with pytest.raises(KeyFileError, match="do not belong together"):
        revoke(ROOT_KEY, OTHER_ROOT, [], [DEVICE], since=STOLEN, reason=KEY_COMPROMISE, now=NOW)


# --- which list counts ------------------------------------------------------------------------------


def test_the_newest_list_of_a_root_counts_wherever_it_stands() -> None:
    first = revoked(DEVICE)
    second = revoked(SECOND, previous=(first,))

    for lists in ((first, second), (second, first)):
        known = Revocations(lists).vouched_by([ROOT])
        assert known.lists == (second,)


def test_of_two_lists_with_one_number_both_count() -> None:
    known = Revocations([revoked(DEVICE), revoked(SECOND)]).vouched_by([ROOT])

    assert known.since(DEVICE) == known.since(SECOND) == STOLEN


def test_each_root_has_a_list_of_its_own() -> None:
    foreign = certificate(SECOND_KEY, root_key=OTHER_ROOT_KEY, root=OTHER_ROOT)
    theirs = revoke(OTHER_ROOT_KEY, OTHER_ROOT, [], [foreign], since=NOW, reason=KEY_COMPROMISE, now=NOW)

    known = Revocations([revoked(DEVICE), theirs]).vouched_by([ROOT, OTHER_ROOT])

    assert (known.since(DEVICE), known.since(foreign)) == (STOLEN, NOW)
    assert known.by_root(OTHER_ROOT) == (theirs,)


def test_a_list_by_nobody_whom_we_trust_is_named_not_passed_over(tmp_path: Path) -> None:
    """A list that was swapped for another's would un-revoke everything, unseen."""
    path = tmp_path / "revoked.pem"
    path.write_bytes(write_pem([revoked(DEVICE)]))

    with pytest.raises(KeyFileError, match="no trusted root signed") as raised:
        Revocations.from_file(path).vouched_by([OTHER_ROOT])

    assert raised.value.path == path


def test_a_list_is_stale_once_its_next_one_is_due() -> None:
    known = Revocations([revoked(DEVICE)])

    assert not known.stale(NOW + VALID_FOR)
    assert known.stale(NOW + VALID_FOR + timedelta(seconds=1))
    assert known.since(DEVICE) == STOLEN


def test_without_a_list_nothing_is_stale() -> None:
    assert Revocations().next_update is None
    assert not Revocations().stale(NOW)


# --- files ------------------------------------------------------------------------------------------


def test_a_missing_file_revokes_nothing(tmp_path: Path) -> None:
    assert Revocations.from_file(tmp_path / "revoked.pem").lists == ()


def test_a_file_that_cannot_be_looked_at_is_not_taken_for_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(KeyFileError, match="can't be read"):
        Revocations.from_file(tmp_path / "file" / "revoked.pem")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"nothing is revoked\n", id="other-text"),
        pytest.param(write_pem([revoked(DEVICE)])[:-10], id="cut-off"),
        pytest.param(write_pem([revoked(DEVICE)]) + b"-----BEGIN X509 CRL-----\nMII", id="second-cut-off"),
        pytest.param(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", id="malformed"),
        pytest.param(write_pem([revoked(DEVICE)] * (MAX_LISTS + 1)), id="too-many"),
        pytest.param(b" " * (MAX_REVOCATIONS_FILE_BYTES + 1), id="too-long"),
    ],
)
def test_a_damaged_file_is_not_taken_for_an_empty_one(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "revoked.pem"
    path.write_bytes(data)

    with pytest.raises(KeyFileError) as raised:
        Revocations.from_file(path)

    assert raised.value.path == path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda builder: builder, "says not which", id="no-number"),
        pytest.param(
            lambda builder: builder.add_extension(x509.CRLNumber(1), critical=False).add_extension(
                x509.UnrecognizedExtension(KEY_OID, b"\x05\x00"), critical=True
            ),
            "critical",
            id="critical-in-the-list",
        ),
        pytest.param(
            lambda builder: builder.add_extension(x509.CRLNumber(1), critical=False).add_revoked_certificate(
                handmade_entry((x509.InvalidityDate(STOLEN.replace(tzinfo=None)), True))
            ),
            "critical",
            id="critical-in-an-entry",
        ),
        pytest.param(
            lambda builder: builder.add_extension(x509.CRLNumber(1), critical=False).add_revoked_certificate(
                handmade_entry((x509.UnrecognizedExtension(KEY_OID, b"\x04\x1f" + bytes(31)), False))
            ),
            "names a key",
            id="key-of-another-length",
        ),
    ],
)
def test_a_list_that_says_what_is_not_understood_is_refused(
    change: Callable[[x509.CertificateRevocationListBuilder], x509.CertificateRevocationListBuilder],
    words: str,
) -> None:
    with pytest.raises(KeyFileError, match=words):
        Revocations([handmade(change)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=8), position=st.integers(0, 400), form=st.sampled_from(["der", "pem", "other"])
)
def test_any_bytes_at_all_are_a_true_list_or_a_key_file_error(
    tmp_path: Path, data: bytes, position: int, form: str
) -> None:
    path = tmp_path / "revoked.pem"
    whole = PLAIN.public_bytes(serialization.Encoding.DER) if form == "der" else write_pem([PLAIN])
    altered = whole[:position] + data + whole[position + len(data) :]
    framed = b"-----BEGIN X509 CRL-----\n%s-----END X509 CRL-----\n" % base64.encodebytes(altered)
    path.write_bytes({"der": framed, "pem": altered, "other": data}[form])

    try:
        known = Revocations.from_file(path).vouched_by([ROOT])
    except KeyFileError as problem:
        raised = problem
    else:
        assert known.since(DEVICE) == STOLEN
        return

    assert raised.path == path


PLAIN = revoked(DEVICE)


# --- what trust makes of it -------------------------------------------------------------------------


def test_a_revoked_signer_is_not_trusted_even_for_a_call_before_the_theft() -> None:
    """Whoever has the key dates a recording as he likes."""
    with pytest.raises(UntrustedSigner, match="revoked since 2026-11-12T12:00:00"):
        checked(trust(PLAIN))


def test_what_was_anchored_before_the_revocation_counts() -> None:
    signer = checked(trust(PLAIN), anchored_before=STOLEN - timedelta(seconds=1))

    assert signer.revoked_since == STOLEN


@pytest.mark.parametrize("anchored_before", [STOLEN, STOLEN + DAY])
def test_an_anchor_from_after_the_revocation_proves_nothing(anchored_before: datetime) -> None:
    with pytest.raises(UntrustedSigner, match="no proof from before"):
        checked(trust(PLAIN), anchored_before=anchored_before)


def test_a_signer_that_is_not_revoked_needs_no_anchor() -> None:
    signer = checked(trust(PLAIN), leaf=SECOND)

    assert signer.revoked_since is None


def test_roots_and_revocations_come_from_their_files(tmp_path: Path) -> None:
    write_certificates(tmp_path / "trust.pem", [ROOT])
    (tmp_path / "revoked.pem").write_bytes(write_pem([PLAIN]))

    store = TrustStore.from_files(tmp_path / "trust.pem", tmp_path / "revoked.pem")

    assert store.revocations.since(DEVICE) == STOLEN
    with pytest.raises(UntrustedSigner, match="revoked"):
        checked(store)


def test_without_a_revocations_file_every_certified_device_is_trusted(tmp_path: Path) -> None:
    write_certificates(tmp_path / "trust.pem", [ROOT])

    for revocations_file in (None, tmp_path / "revoked.pem"):
        store = TrustStore.from_files(tmp_path / "trust.pem", revocations_file)

        assert checked(store).revoked_since is None


def test_a_foreign_list_beside_the_roots_is_named(tmp_path: Path) -> None:
    write_certificates(tmp_path / "trust.pem", [OTHER_ROOT])
    (tmp_path / "revoked.pem").write_bytes(write_pem([PLAIN]))

    with pytest.raises(KeyFileError) as raised:
        TrustStore.from_files(tmp_path / "trust.pem", tmp_path / "revoked.pem")

    assert raised.value.path == tmp_path / "revoked.pem"


def test_without_roots_nobody_is_trusted_and_no_list_matters(tmp_path: Path) -> None:
    (tmp_path / "revoked.pem").write_bytes(write_pem([PLAIN]))

    store = TrustStore.from_files(tmp_path / "trust.pem", tmp_path / "revoked.pem")

    with pytest.raises(UntrustedSigner, match="no trusted root"):
        checked(store, leaf=SECOND)


# --- stock tools ------------------------------------------------------------------------------------


@pytest.fixture
def openssl() -> str:
    return need("openssl", "apt-get install openssl")


@pytest.mark.integration
def test_openssl_reads_a_list_and_its_signature(openssl: str, tmp_path: Path) -> None:
    write_certificates(tmp_path / "root.pem", [ROOT])
    (tmp_path / "revoked.pem").write_bytes(write_pem([PLAIN]))

    files = ("-in", tmp_path / "revoked.pem", "-CAfile", tmp_path / "root.pem")
    shown = subprocess.run(
        [openssl, "crl", *files, "-noout", "-text"], capture_output=True, text=True, check=True
    )

    assert "verify OK" in shown.stderr
    assert f"{DEVICE.serial_number:X}" in shown.stdout.replace(":", "").upper()
    assert "Key Compromise" in shown.stdout
    assert "2.25.177426496864459306299645084244260803624" in shown.stdout


@pytest.mark.integration
def test_openssl_refuses_a_revoked_certificate_and_takes_another(openssl: str, tmp_path: Path) -> None:
    write_certificates(tmp_path / "root.pem", [ROOT])
    write_certificates(tmp_path / "revoked-device.pem", [DEVICE])
    write_certificates(tmp_path / "device.pem", [SECOND])
    (tmp_path / "revoked.pem").write_bytes(write_pem([PLAIN]))

    files = ("-CAfile", tmp_path / "root.pem", "-CRLfile", tmp_path / "revoked.pem")
    at = ("-attime", str(int(NOW.timestamp())))
    refused, taken = (
        subprocess.run(
            [openssl, "verify", "-crl_check", *files, *at, tmp_path / name],
            capture_output=True,
            text=True,
            check=False,
        )
        for name in ("revoked-device.pem", "device.pem")
    )

    assert refused.returncode != 0
    assert "certificate revoked" in refused.stderr
    assert taken.returncode == 0

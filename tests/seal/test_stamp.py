"""Stamps: a stamp is good only if a trusted authority made it on exactly this note."""

import contextlib
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st
from rfc3161_client import decode_timestamp_response

from callseal.seal.errors import RemoteError, StampError, StampUnchecked, UntrustedSigner
from callseal.seal.keys import read_certificates
from callseal.seal.stamp import MAX_NOTE_BYTES, MAX_STAMP_BYTES, Stamp, open_stamp, read_stamp, request
from support.tsa import Signer, StampingAuthority

RECORDED: Final = Path(__file__).with_name("stamps")
"""Answers of openssl's own authority, made by ``stamps/make.sh``."""
NOTE: Final = (RECORDED / "note.txt").read_bytes()
ONE: Final = (RECORDED / "one.tsr").read_bytes()
CHAIN: Final = (RECORDED / "chain.tsr").read_bytes()
ROOTS: Final = read_certificates(RECORDED / "root.pem")
NONCE: Final = 0x8123456789ABCDEF


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> StampingAuthority:
    return StampingAuthority(tmp_path_factory.mktemp("tsa") / "authority")


@pytest.fixture(scope="module")
def token_info(authority: StampingAuthority) -> bytes:
    """Return the TSTInfo of a good stamp on NOTE, to be signed by others."""
    return authority.content(authority.answer(request(NOTE, nonce=NONCE)))


def test_a_stamp_says_when_and_by_whom() -> None:
    stamp = read_stamp(ONE, NOTE, ROOTS)

    assert stamp == Stamp(
        at=decode_timestamp_response(ONE).tst_info.gen_time, authority="CN=Example TSA,O=Example", serial=1
    )
    assert stamp.at.utcoffset() == timedelta(0)


def test_a_chain_whose_certificates_come_unsorted_is_read() -> None:
    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        decode_timestamp_response(CHAIN)

    stamp = read_stamp(CHAIN, NOTE, ROOTS)

    assert (stamp.authority, stamp.serial) == ("CN=Example TSA 2,O=Example", 2)


@pytest.mark.parametrize("data", [ONE, CHAIN], ids=["one", "chain"])
def test_a_stamp_on_another_note_is_refused(data: bytes) -> None:
    with pytest.raises(StampError, match="something else"):
        read_stamp(data, NOTE + b" ", ROOTS)


def test_without_a_root_nothing_is_ever_checked() -> None:
    with pytest.raises(StampUnchecked, match="not checked") as raised:
        read_stamp(ONE, NOTE, [])

    assert raised.value.exit_code == 15


def test_what_can_be_checked_without_a_root_is_checked() -> None:
    assert open_stamp(ONE, NOTE) == read_stamp(ONE, NOTE, ROOTS)
    with pytest.raises(StampError, match="something else"):
        open_stamp(ONE, b"other")
    with pytest.raises(StampError, match="altered"):
        open_stamp(ONE[:-1] + bytes([ONE[-1] ^ 1]), NOTE)


def test_an_authority_that_no_root_vouches_for_is_untrusted_and_nothing_worse() -> None:
    other = self_signed("Other Root")

    with pytest.raises(UntrustedSigner, match="CN=Example TSA,O=Example") as raised:
        read_stamp(ONE, NOTE, [other])

    assert raised.value.exit_code == 14


def test_an_altered_stamp_of_an_unknown_authority_is_altered_first_of_all() -> None:
    altered = ONE[:-1] + bytes([ONE[-1] ^ 1])

    with pytest.raises(StampError, match="altered"):
        read_stamp(altered, NOTE, [self_signed("Other Root")])


def test_the_signer_itself_is_no_root_that_vouches_for_it() -> None:
    certificates = decode_timestamp_response(ONE).signed_data.certificates
    (signer,) = (x509.load_der_x509_certificate(item) for item in certificates)

    with pytest.raises(UntrustedSigner):
        read_stamp(ONE, NOTE, [signer])


def test_a_root_that_is_given_twice_counts_once() -> None:
    assert read_stamp(ONE, NOTE, [*ROOTS, *ROOTS, self_signed("Other Root")]).serial == 1


@pytest.mark.parametrize("change", [1, 0x80, 0x20])
def test_no_byte_of_a_stamp_can_be_altered(change: int) -> None:
    for position in range(len(ONE)):
        altered = bytearray(ONE)
        altered[position] ^= change

        with pytest.raises(RemoteError):
            read_stamp(bytes(altered), NOTE, ROOTS)


def test_a_stamp_that_is_cut_off_anywhere_is_refused() -> None:
    for length in range(len(ONE)):
        with pytest.raises(StampError):
            read_stamp(ONE[:length], NOTE, ROOTS)


def test_bytes_behind_a_stamp_are_refused() -> None:
    with pytest.raises(StampError, match="behind its end"):
        read_stamp(ONE + b"\x00", NOTE, ROOTS)


def test_a_stamp_larger_than_any_is_refused() -> None:
    with pytest.raises(StampError, match="more than the"):
        read_stamp(bytes(MAX_STAMP_BYTES + 1), NOTE, ROOTS)


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_the_remote_error(data: bytes) -> None:
    with contextlib.suppress(RemoteError):
        read_stamp(data, NOTE, ROOTS)


@given(st.data())
def test_any_mutation_of_a_real_stamp_raises_only_the_remote_error(data: st.DataObject) -> None:
    mutant = bytearray(data.draw(st.sampled_from([ONE, CHAIN])))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(mutant)))
        end = min(len(mutant), start + data.draw(st.integers(0, 20)))
        source = data.draw(st.integers(0, len(mutant)))
        copied = bytes(mutant[source : source + data.draw(st.integers(0, 60))])
        mutant[start:end] = data.draw(st.one_of(st.just(copied), st.binary(max_size=8)))

    with contextlib.suppress(RemoteError):
        # What still passes says what the authority said: no mutant says anything else.
        assert read_stamp(bytes(mutant), NOTE, ROOTS) in {
            read_stamp(ONE, NOTE, ROOTS),
            read_stamp(CHAIN, NOTE, ROOTS),
        }


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("30053003020102", "the authority refused: rejection"),
        ("300e300c02010230070c056275737921", "rejection: busy!"),
        ("30053003040102", "not an answer"),
        ("30053003020105", "revocation notification"),
        ("3005300302013f", "status 63"),
    ],
)
def test_an_authority_that_refuses_is_quoted(answer: str, words: str) -> None:
    with pytest.raises(StampError, match=words):
        read_stamp(bytes.fromhex(answer), NOTE, ROOTS)


def test_words_of_a_refusal_can_not_move_the_cursor() -> None:
    text = b"\x1b[2J" + b"x" * 100
    string = b"\x0c" + bytes([len(text)]) + text
    free_text = b"\x30" + bytes([len(string)]) + string
    status = b"\x02\x01\x02" + free_text
    info = b"\x30" + bytes([len(status)]) + status

    with pytest.raises(StampError) as raised:
        read_stamp(b"\x30" + bytes([len(info)]) + info, NOTE, ROOTS)

    assert str(raised.value).isprintable()


def test_a_request_is_over_the_sha256_and_wants_the_certificate() -> None:
    question = request(NOTE, nonce=NONCE)

    assert hashlib.sha256(NOTE).digest() in question
    assert question.endswith(b"\x01\x01\xff")
    assert request(NOTE, nonce=NONCE) == question


@pytest.mark.parametrize("nonce", [0, -1, 1 << 64])
def test_a_nonce_has_1_to_64_bits(nonce: int) -> None:
    with pytest.raises(ValueError, match="nonce"):
        request(NOTE, nonce=nonce)


@pytest.mark.parametrize("note", [b"", bytes(MAX_NOTE_BYTES + 1)])
def test_a_note_has_its_limits(note: bytes) -> None:
    with pytest.raises(ValueError, match="note"):
        request(note, nonce=1)


@pytest.mark.integration
@pytest.mark.parametrize("nonce", [1, 0x7F, 0x80, 0xFF, NONCE, (1 << 64) - 1])
def test_openssl_answers_our_request_and_accepts_the_stamp(authority: StampingAuthority, nonce: int) -> None:
    answer = authority.answer(request(NOTE, nonce=nonce))

    stamp = read_stamp(answer, NOTE, [authority.root], nonce=nonce)

    assert stamp.authority == "CN=Example TSA"
    assert "Verification: OK" in authority.verify(answer, NOTE)


@pytest.mark.integration
def test_an_answer_to_another_question_is_refused(authority: StampingAuthority) -> None:
    answer = authority.answer(request(NOTE, nonce=NONCE))

    with pytest.raises(StampError, match="nonce"):
        read_stamp(answer, NOTE, [authority.root], nonce=NONCE - 1)


@pytest.mark.integration
def test_an_authority_that_does_not_take_sha256_refuses(tmp_path: Path) -> None:
    authority = StampingAuthority(tmp_path / "strict", digests="sha512")

    with pytest.raises(StampError, match=r"the authority refused: rejection: .*algorithm"):
        read_stamp(authority.answer(request(NOTE, nonce=NONCE)), NOTE, [authority.root])


@pytest.mark.integration
def test_a_token_signed_by_hand_is_as_good_as_an_authoritys(
    authority: StampingAuthority, token_info: bytes
) -> None:
    answer = authority.sign(token_info, authority.signer)

    assert read_stamp(answer, NOTE, [authority.root], nonce=NONCE).authority == "CN=Example TSA"


@pytest.mark.integration
@pytest.mark.parametrize("digest", ["sha384", "sha512"])
def test_longer_digests_are_fine(authority: StampingAuthority, token_info: bytes, digest: str) -> None:
    answer = authority.sign(token_info, authority.signer, "-md", digest)

    assert read_stamp(answer, NOTE, [authority.root]).authority == "CN=Example TSA"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("bound", "options", "words"),
    [
        (False, (), "which certificate signed it"),
        (False, ("-noattr",), "malformed"),
        (True, ("-md", "sha1"), "digest"),
        (True, ("-nocerts",), "0 certificates"),
        (True, ("-keyid",), "not an answer"),
    ],
)
def test_a_token_signed_in_a_way_that_proves_too_little_is_refused(
    authority: StampingAuthority,
    token_info: bytes,
    bound: bool,  # noqa: FBT001 - pytest gives it by name
    options: tuple[str, ...],
    words: str,
) -> None:
    answer = authority.sign(token_info, authority.signer, *options, bound=bound)

    with pytest.raises(StampError, match=words):
        read_stamp(answer, NOTE, [authority.root])


@pytest.mark.integration
def test_two_signatures_are_one_too_many(authority: StampingAuthority, token_info: bytes) -> None:
    other = authority.certify("Second TSA")

    answer = authority.sign(token_info, authority.signer, "-signer", other.certificate, "-inkey", other.key)

    with pytest.raises(StampError, match="2 signatures"):
        read_stamp(answer, NOTE, [authority.root])


@pytest.mark.integration
@pytest.mark.parametrize(
    ("purposes", "critical", "is_authority"),
    [
        ((), True, False),
        ((ExtendedKeyUsageOID.SERVER_AUTH,), True, False),
        ((ExtendedKeyUsageOID.TIME_STAMPING,), False, False),
        ((ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH), True, False),
        ((ExtendedKeyUsageOID.TIME_STAMPING,), True, True),
    ],
    ids=["none", "another", "not critical", "and another", "of an authority"],
)
def test_a_certificate_that_is_not_for_time_stamping_alone_stamps_nothing(
    authority: StampingAuthority,
    token_info: bytes,
    purposes: tuple[x509.ObjectIdentifier, ...],
    critical: bool,  # noqa: FBT001 - pytest gives it by name
    is_authority: bool,  # noqa: FBT001
) -> None:
    signer = authority.certify("Not a TSA", purposes=purposes, critical=critical, authority=is_authority)

    answer = authority.sign(token_info, signer)

    with pytest.raises(StampError):
        read_stamp(answer, NOTE, [authority.root])
    with pytest.raises(StampError):
        open_stamp(answer, NOTE)


@pytest.mark.integration
@pytest.mark.parametrize("days", [(-20, -10), (10, 20)], ids=["ended", "not begun"])
def test_a_certificate_counts_at_the_time_stamped_only(
    authority: StampingAuthority, token_info: bytes, days: tuple[int, int]
) -> None:
    now = datetime.now(UTC)
    begin, end = (now + timedelta(days=one) for one in days)
    signer = authority.certify("Old TSA", valid=(begin, end))

    answer = authority.sign(token_info, signer)

    with pytest.raises(UntrustedSigner, match=r"expired|not yet valid"):
        read_stamp(answer, NOTE, [authority.root])


@pytest.mark.integration
@pytest.mark.parametrize("spelling", [str, str.upper], ids=["the same issuer", "in capitals"])
def test_no_authority_can_give_itself_another_name(
    authority: StampingAuthority, token_info: bytes, spelling: Callable[[str], str]
) -> None:
    """A second certificate of that number and key, signed by nobody, must not be the one that is shown."""
    real = authority.certify("Small TSA", number=4711)
    forged = forged_twin(authority, real, "Famous TSA", spelling)

    answer = authority.sign(token_info, forged, "-certfile", real.certificate)

    with pytest.raises(RemoteError):
        read_stamp(answer, NOTE, [authority.root])


@pytest.mark.integration
def test_anyone_may_send_further_certificates_along(authority: StampingAuthority, token_info: bytes) -> None:
    other = authority.certify("Somebody else")

    answer = authority.sign(token_info, authority.signer, "-certfile", other.certificate)

    assert read_stamp(answer, NOTE, [authority.root]).authority == "CN=Example TSA"


def self_signed(name: str) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=400))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def forged_twin(
    authority: StampingAuthority, real: Signer, name: str, spelling: Callable[[str], str]
) -> Signer:
    """Return a certificate with the number and key of a real one, in another name, signed by its own key."""
    key = serialization.load_pem_private_key(real.key.read_bytes(), None)
    certificate = x509.load_pem_x509_certificate(real.certificate.read_bytes())
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's keys are on a curve")
    issuer = [x509.NameAttribute(item.oid, spelling(str(item.value))) for item in certificate.issuer]
    # Longer than the real one, so that it stands behind it in a sorted set and OpenSSL finds the real one.
    padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(200))
    twin = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name(issuer))
        .public_key(key.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(padding, critical=False)
        .sign(key, hashes.SHA256())
    )
    return authority.write(key, twin)

"""Keys are read exactly, written as age writes them, and the private ones do not show."""

import pickle

import pytest

from callseal.seal import bech32
from callseal.seal.age import (
    HybridIdentity,
    HybridRecipient,
    Identity,
    ScryptIdentity,
    ScryptRecipient,
    X25519Identity,
    X25519Recipient,
    fingerprint,
    parse_identity,
    parse_recipient,
)
from callseal.seal.errors import KeyFileError
from callseal.seal.secret import Secret

CLASSIC = X25519Identity.generate()
HYBRID = HybridIdentity.generate()
BOTH = pytest.mark.parametrize("identity", [CLASSIC, HYBRID], ids=["classic", "hybrid"])

# An identity of the format's test vectors; its recipient is what `age-keygen -y` says.
KNOWN_IDENTITY = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"
KNOWN_RECIPIENT = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"


def test_a_known_identity_has_its_known_recipient() -> None:
    identity = parse_identity(KNOWN_IDENTITY)

    assert identity.recipient.text == KNOWN_RECIPIENT
    assert identity.text == Secret(KNOWN_IDENTITY)


@BOTH
def test_keys_read_back_as_they_were_written(identity: Identity) -> None:
    again = parse_identity(identity.text.reveal())

    assert again == identity
    assert again.text == identity.text
    assert parse_recipient(identity.recipient.text) == identity.recipient


@BOTH
def test_a_private_key_does_not_show(identity: Identity) -> None:
    shown = f"{identity!r} {identity} {identity.text} {identity.text!r} {identity.text:>20}"

    _, data = bech32.decode(identity.text.reveal())
    assert identity.text.reveal() not in shown
    assert repr(data)[2:-1] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(identity.text)


def test_keys_have_the_prefixes_and_lengths_of_their_kind() -> None:
    assert CLASSIC.recipient.text.startswith("age1")
    assert HYBRID.recipient.text.startswith("age1pq1")
    assert len(HYBRID.recipient.text) == 1959
    assert CLASSIC.text.reveal().startswith("AGE-SECRET-KEY-1")
    assert HYBRID.text.reveal().startswith("AGE-SECRET-KEY-PQ-1")
    assert (CLASSIC.kind, HYBRID.kind) == ("X25519", "mlkem768x25519")


def test_a_fingerprint_is_the_hash_of_the_recipient_string() -> None:
    recipient = parse_recipient(KNOWN_RECIPIENT)

    # printf %s age1xmwwc06l... | sha256sum
    assert fingerprint(recipient) == "sha256:9e9cf52b19daa549b28f974dd27fdc7af405b194d64a74a9597e79d1d387da05"


def test_a_passphrase_has_no_fingerprint() -> None:
    with pytest.raises(KeyFileError, match="no fingerprint"):
        fingerprint(ScryptRecipient(passphrase=Secret("x")))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CLASSIC.text.reveal(), "PRIVATE key"),
        (HYBRID.text.reveal().lower(), "PRIVATE key"),
        (CLASSIC.recipient.text.upper(), "lower case"),
        (bech32.encode("age1yubikey", bytes(33)), "not a kind of recipient"),
        (bech32.encode("age", bytes(31)), "32 bytes"),
        (bech32.encode("age1pq", bytes(1215)), "1216 bytes"),
        (bech32.encode("age", bytes(32)), "low order"),
        (bech32.encode("age1pq", HYBRID.recipient.public_key[:1184] + bytes(32)), "not a valid"),
        (bech32.encode("age1pq", b"\xff" * 1184 + HYBRID.recipient.public_key[1184:]), "not a valid"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "character 12"),
        ("", "no key prefix"),
    ],
    # The texts hold fresh keys: names must not, or they differ from one test process to the next.
    ids=range(11),
)
def test_what_is_no_recipient_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(KeyFileError, match=reason) as caught:
        parse_recipient(text)

    assert text[20:40] not in str(caught.value) or not text[20:40]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CLASSIC.recipient.text, "public half"),
        (HYBRID.recipient.text, "public half"),
        (CLASSIC.text.reveal().lower(), "upper case"),
        (bech32.encode("AGE-SECRET-KEY-", bytes(31)), "32 bytes"),
        (bech32.encode("AGE-SECRET-KEY-PQ-", bytes(33)), "32 bytes"),
        (bech32.encode("AGE-PLUGIN-X-", bytes(32)), "not a kind of identity"),
    ],
    ids=range(6),
)
def test_what_is_no_identity_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(KeyFileError, match=reason) as caught:
        parse_identity(text)

    assert text[20:40] not in str(caught.value)


def test_a_recipient_is_valid_once_it_is_constructed() -> None:
    with pytest.raises(KeyFileError):
        X25519Recipient(public_key=bytes(32))
    with pytest.raises(KeyFileError):
        HybridRecipient(public_key=bytes(32))


@pytest.mark.parametrize("work_factor", [0, 21])
def test_a_work_factor_that_no_reader_takes_is_refused(work_factor: int) -> None:
    with pytest.raises(KeyFileError, match="work factor"):
        ScryptRecipient(passphrase=Secret("x"), work_factor=work_factor)


def test_an_empty_passphrase_seals_nothing() -> None:
    with pytest.raises(KeyFileError, match="empty"):
        ScryptRecipient(passphrase=Secret(""))


def test_a_passphrase_is_the_same_whichever_way_it_is_asked_for() -> None:
    identity = ScryptIdentity(passphrase=Secret("correct horse"))

    assert identity.text == identity.recipient.passphrase == Secret("correct horse")
    assert identity.text != Secret("another")
    assert identity.text.__eq__("correct horse") is NotImplemented

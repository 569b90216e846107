"""What is sealed here opens with other people's age, and the other way round."""

import hashlib
import io
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from callseal.seal.age import (
    Encryptor,
    HybridIdentity,
    Identity,
    Recipient,
    X25519Identity,
    decrypt,
    open_age,
)
from callseal.seal.keyfile import read_identities, read_recipients, write_identity
from callseal.seal.secret import Secret
from support import age_peers, answer_prompt

pytestmark = pytest.mark.integration

CLASSIC, OTHER = X25519Identity.generate(), X25519Identity.generate()
HYBRID = HybridIdentity.generate()
BOTH = pytest.mark.parametrize("identity", [CLASSIC, HYBRID], ids=["classic", "hybrid"])
SIZES_BYTES = [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073]
PLAINTEXTS = [(bytes(range(251)) * (size // 251 + 1))[:size] for size in SIZES_BYTES]
EACH = pytest.mark.parametrize("plaintext", PLAINTEXTS, ids=map(str, SIZES_BYTES))
CREATED = datetime(2026, 11, 21, tzinfo=UTC)
HOUR_BYTES = 3600 * 8000 * 2  # of stereo G.711
PASSPHRASE = Secret("correct horse battery staple")
TIMEOUT_S = 60


def seal(plaintext: bytes, *recipients: Recipient) -> bytes:
    encryptor = Encryptor(recipients)
    return encryptor.header() + encryptor.update(plaintext) + encryptor.finish()


def run(*command: str | Path, stdin: bytes = b"") -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr.decode(errors="replace") + done.stdout.decode(errors="replace")
    return done.stdout


@pytest.fixture
def age() -> str:
    return age_peers.need("age", "apt-get install age")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.txt"
    write_identity(path, CLASSIC, passphrase=None, created=CREATED)
    return path


@EACH
def test_age_opens_what_we_sealed(age: str, key_file: Path, plaintext: bytes) -> None:
    file = seal(plaintext, OTHER.recipient, CLASSIC.recipient)

    assert run(age, "-d", "-i", key_file, stdin=file) == plaintext


@EACH
@pytest.mark.parametrize("armored", [False, True], ids=["binary", "armored"])
def test_we_open_what_age_sealed(age: str, plaintext: bytes, *, armored: bool) -> None:
    options = ["-a"] if armored else []
    recipients = ["-r", OTHER.recipient.text, "-r", CLASSIC.recipient.text]

    file = run(age, *options, *recipients, stdin=plaintext)

    assert b"".join(decrypt(open_age(io.BytesIO(file)), [CLASSIC])) == plaintext


def test_age_keygen_and_we_read_one_anothers_key_files(age: str, key_file: Path, tmp_path: Path) -> None:
    keygen = age_peers.need("age-keygen", "apt-get install age")
    theirs = tmp_path / "theirs.txt"
    run(keygen, "-o", theirs)
    recipients = tmp_path / "recipients.txt"
    recipients.write_bytes(b"# both\n\n" + run(keygen, "-y", key_file) + run(keygen, "-y", theirs))

    listed = read_recipients(recipients)
    file = run(age, "-R", recipients, stdin=b"call")

    assert listed == (CLASSIC.recipient, read_identities(theirs, passphrase=None)[0].recipient)
    for identity in (CLASSIC, *read_identities(theirs, passphrase=None)):
        assert b"".join(decrypt(io.BytesIO(file), [identity])) == b"call"


def test_age_opens_a_file_with_our_sealed_identity(age: str, tmp_path: Path) -> None:
    sealed_key, file, opened = tmp_path / "key.age", tmp_path / "call.age", tmp_path / "call"
    write_identity(sealed_key, CLASSIC, passphrase=PASSPHRASE, created=CREATED)
    file.write_bytes(seal(b"call", CLASSIC.recipient))

    run(
        sys.executable,
        answer_prompt.__file__,
        PASSPHRASE.reveal(),
        age,
        "-d",
        "-i",
        sealed_key,
        "-o",
        opened,
        file,
    )

    assert opened.read_bytes() == b"call"


def test_we_read_an_identity_that_age_sealed(age: str, key_file: Path, tmp_path: Path) -> None:
    sealed_key = tmp_path / "key.age"

    run(sys.executable, answer_prompt.__file__, PASSPHRASE.reveal(), age, "-p", "-o", sealed_key, key_file)

    assert read_identities(sealed_key, passphrase=lambda: PASSPHRASE) == (CLASSIC,)


@BOTH
def test_typage_opens_what_we_sealed(identity: Identity) -> None:
    files = [seal(plaintext, identity.recipient) for plaintext in PLAINTEXTS]

    assert age_peers.typage_decrypt(identity.text.reveal(), files) == PLAINTEXTS


@BOTH
def test_we_open_what_typage_sealed(identity: Identity) -> None:
    files = age_peers.typage_encrypt([identity.recipient.text], PLAINTEXTS)

    assert [b"".join(decrypt(io.BytesIO(file), [identity])) for file in files] == PLAINTEXTS


@BOTH
def test_typage_derives_the_same_recipient(identity: Identity) -> None:
    assert age_peers.typage_recipient(identity.text.reveal()) == identity.recipient.text


@EACH
def test_pyrage_opens_what_we_sealed(plaintext: bytes) -> None:
    theirs = pyrage.x25519.Identity.from_str(CLASSIC.text.reveal())

    assert pyrage.decrypt(seal(plaintext, OTHER.recipient, CLASSIC.recipient), [theirs]) == plaintext


@EACH
def test_we_open_what_pyrage_sealed(plaintext: bytes) -> None:
    recipients = [pyrage.x25519.Recipient.from_str(one.recipient.text) for one in (OTHER, CLASSIC)]

    file = pyrage.encrypt(plaintext, recipients)

    assert b"".join(decrypt(io.BytesIO(file), [CLASSIC])) == plaintext


@pytest.fixture(scope="module")
def hour() -> bytes:
    """Give an hour of what no cipher could mistake for silence."""
    return hashlib.shake_128(b"an hour of talk").digest(HOUR_BYTES)


def test_an_hour_of_stereo_passes_between_age_and_us_both_ways(
    age: str, key_file: Path, tmp_path: Path, hour: bytes
) -> None:
    ours, theirs, plain = tmp_path / "ours.age", tmp_path / "theirs.age", tmp_path / "plain"
    ours.write_bytes(seal(hour, CLASSIC.recipient))
    plain.write_bytes(hour)

    run(age, "-r", CLASSIC.recipient.text, "-o", theirs, plain)

    assert run(age, "-d", "-i", key_file, ours) == hour
    with theirs.open("rb") as file:
        assert _digest(decrypt(file, [CLASSIC])) == hashlib.sha256(hour).digest()


def test_an_hour_of_stereo_passes_between_pyrage_and_us_both_ways(hour: bytes) -> None:
    theirs = pyrage.x25519.Identity.from_str(CLASSIC.text.reveal())
    file = pyrage.encrypt(hour, [theirs.to_public()])

    assert pyrage.decrypt(seal(hour, CLASSIC.recipient), [theirs]) == hour
    assert _digest(decrypt(io.BytesIO(file), [CLASSIC])) == hashlib.sha256(hour).digest()


@BOTH
def test_an_hour_of_stereo_passes_between_typage_and_us_both_ways(identity: Identity, hour: bytes) -> None:
    (file,) = age_peers.typage_encrypt([identity.recipient.text], [hour])
    (opened,) = age_peers.typage_decrypt(identity.text.reveal(), [seal(hour, identity.recipient)])

    assert opened == hour
    assert _digest(decrypt(io.BytesIO(file), [identity])) == hashlib.sha256(hour).digest()


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()

"""Re-wrapped files open for whom they were re-wrapped, for nobody else, and hold what they held."""

import io
import itertools
import subprocess
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.age import (
    Encryptor,
    HybridIdentity,
    Identity,
    Recipient,
    ScryptRecipient,
    X25519Identity,
    decrypt,
    read_header,
    rewrap,
    rewrap_header,
)
from callseal.seal.errors import HeaderError, HeaderMacError, KeyFileError, NoIdentityMatch, RemoteError
from callseal.seal.keyfile import write_identity
from callseal.seal.secret import Secret
from support import age_peers

OLD, NEW, RECOVERY = (X25519Identity.generate() for _ in range(3))
OLD_HYBRID, NEW_HYBRID, RECOVERY_HYBRID = (HybridIdentity.generate() for _ in range(3))
WAYS = pytest.mark.parametrize(
    ("old", "new", "recovery"),
    [
        pytest.param(OLD, NEW, RECOVERY, id="classic"),
        pytest.param(OLD_HYBRID, NEW_HYBRID, RECOVERY_HYBRID, id="post-quantum"),
        pytest.param(OLD, NEW_HYBRID, RECOVERY_HYBRID, id="classic-to-post-quantum"),
    ],
)
PLAINTEXT = bytes(range(251)) * 800  # four chunks
CREATED = datetime(2026, 11, 21, tzinfo=UTC)


def seal(plaintext: bytes, *recipients: Recipient) -> bytes:
    encryptor = Encryptor(recipients)
    return encryptor.header() + encryptor.update(plaintext) + encryptor.finish()


def rewrapped(file: bytes, old: Identity, *recipients: Recipient) -> bytes:
    return b"".join(rewrap(io.BytesIO(file), [old], recipients))


def opened(file: bytes, *identities: Identity) -> bytes:
    return b"".join(decrypt(io.BytesIO(file), identities))


def payload(file: bytes) -> bytes:
    source = io.BytesIO(file)
    read_header(source)
    return source.read()


@WAYS
def test_both_new_keys_open_what_one_old_key_opened(old: Identity, new: Identity, recovery: Identity) -> None:
    file = rewrapped(seal(PLAINTEXT, old.recipient), old, new.recipient, recovery.recipient)

    assert opened(file, new) == PLAINTEXT
    assert opened(file, recovery) == PLAINTEXT


@WAYS
def test_the_old_key_opens_the_copy_no_more(old: Identity, new: Identity, recovery: Identity) -> None:
    file = rewrapped(seal(PLAINTEXT, old.recipient), old, new.recipient, recovery.recipient)

    with pytest.raises(NoIdentityMatch):
        opened(file, old)


@WAYS
def test_the_payload_is_the_same_byte_for_byte(old: Identity, new: Identity, recovery: Identity) -> None:
    file = seal(PLAINTEXT, old.recipient, recovery.recipient if old.kind == recovery.kind else old.recipient)

    copy = rewrapped(file, old, new.recipient)

    assert payload(copy) == payload(file)


@pytest.mark.parametrize(
    "recipients",
    [
        pytest.param([NEW.recipient, NEW_HYBRID.recipient], id="mixed"),
        pytest.param([], id="none"),
        pytest.param([NEW.recipient, ScryptRecipient(passphrase=Secret("p"))], id="passphrase-beside-key"),
    ],
)
def test_recipients_that_one_file_cannot_have_are_refused(recipients: list[Recipient]) -> None:
    with pytest.raises(KeyFileError):
        rewrapped(seal(b"call", OLD.recipient), OLD, *recipients)


def test_a_header_that_was_altered_is_not_made_good_again() -> None:
    """A stanza that somebody added would vanish, and with it the trace of the attempt."""
    file = seal(b"call", OLD.recipient)
    altered = file.replace(b"--- ", b"-> added by somebody\n\n--- ", 1)

    with pytest.raises(HeaderMacError):
        rewrapped(altered, OLD, NEW.recipient)


def test_whoever_cannot_open_a_file_cannot_rewrap_it() -> None:
    with pytest.raises(NoIdentityMatch):
        rewrapped(seal(b"call", OLD.recipient), RECOVERY, NEW.recipient)


@pytest.mark.parametrize("missing_bytes", [1, 16])
def test_a_file_cut_off_before_its_payload_is_refused(missing_bytes: int) -> None:
    file = seal(b"", OLD.recipient)
    nonce_end = len(file) - len(payload(file)) + 16

    with pytest.raises(HeaderError, match="cut off"):
        rewrapped(file[: nonce_end - missing_bytes], OLD, NEW.recipient)


def test_a_recording_cut_off_by_a_crash_keeps_what_it_has() -> None:
    file = seal(PLAINTEXT, OLD.recipient)[:-1000]

    copy = rewrapped(file, OLD, NEW.recipient)

    assert payload(copy) == payload(file)


def test_a_header_alone_fits_the_payload_that_lies_elsewhere() -> None:
    file = seal(PLAINTEXT, OLD.recipient)

    header = rewrap_header(read_header(io.BytesIO(file)), [OLD], [NEW.recipient])

    assert opened(header + payload(file), NEW) == PLAINTEXT


class Endless(io.RawIOBase):
    """A sealed file of any length, in pieces as small as a pipe's."""

    def __init__(self, head: bytes, size_bytes: int) -> None:
        self._head = io.BytesIO(head)
        self._left_bytes = size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]  # typeshed's Buffer is wider
        data = self._head.read(min(len(buffer), 1000))
        if not data:
            data = bytes(min(len(buffer), 60_000, self._left_bytes))
            self._left_bytes -= len(data)
        buffer[: len(data)] = data
        return len(data)


def test_a_long_recording_is_copied_in_flat_memory() -> None:
    size_bytes = 64 * 1024 * 1024
    source = io.BufferedReader(Endless(seal(b"", OLD.recipient)[:-16], size_bytes))

    tracemalloc.start()
    copied = sum(map(len, itertools.islice(rewrap(source, [OLD], [NEW.recipient]), 1, None)))
    _now, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert copied == size_bytes
    assert peak_bytes < 8 * 1024 * 1024


@given(data=st.binary(max_size=300), begins_well=st.booleans(), position=st.integers(0, 400))
def test_any_bytes_at_all_give_a_copy_or_the_remote_error(
    data: bytes, *, begins_well: bool, position: int
) -> None:
    file = seal(b"call", OLD.recipient)
    file = file[:position] + data if begins_well else data

    try:
        copy = rewrapped(file, OLD, NEW.recipient)
    except RemoteError:
        return

    assert payload(copy) == payload(file)


@pytest.mark.integration
def test_stock_age_opens_a_copy_with_the_new_key_only(tmp_path: Path) -> None:
    age = age_peers.need("age", "apt-get install age")
    for name, identity in (("old", OLD), ("new", NEW)):
        write_identity(tmp_path / name, identity, passphrase=None, created=CREATED)
    file = subprocess.run(
        [age, "-r", OLD.recipient.text], input=PLAINTEXT, capture_output=True, check=True
    ).stdout

    copy = rewrapped(file, OLD, NEW.recipient, RECOVERY.recipient)

    new, old = (
        subprocess.run([age, "-d", "-i", tmp_path / name], input=copy, capture_output=True, check=False)
        for name in ("new", "old")
    )
    assert (new.returncode, new.stdout) == (0, PLAINTEXT)
    assert old.returncode != 0


@pytest.mark.integration
def test_others_open_a_post_quantum_copy() -> None:
    file = age_peers.typage_encrypt([OLD_HYBRID.recipient.text], [PLAINTEXT])[0]

    copy = rewrapped(file, OLD_HYBRID, RECOVERY_HYBRID.recipient, NEW_HYBRID.recipient)

    assert age_peers.typage_decrypt(NEW_HYBRID.text.reveal(), [copy]) == [PLAINTEXT]

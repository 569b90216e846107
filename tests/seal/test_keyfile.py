"""Key files are read as age reads them, and a mistake in one is named by its line before any harm is done."""

import os
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal import bech32
from callseal.seal.age import Encryptor, HybridIdentity, Identity, X25519Identity, armor
from callseal.seal.errors import KeyFileError, WrongPassphrase
from callseal.seal.keyfile import (
    KEY_FILE_LIMIT_BYTES,
    read_identities,
    read_recipients,
    write_identity,
)
from callseal.seal.secret import Secret

DAILY, RECOVERY = X25519Identity.generate(), X25519Identity.generate()
HYBRID = HybridIdentity.generate()
BOTH = pytest.mark.parametrize("identity", [DAILY, HYBRID], ids=["classic", "hybrid"])
CREATED = datetime(2026, 11, 21, 21, 0, tzinfo=timezone(timedelta(hours=8)))
PASSPHRASE = Secret("correct horse battery staple")
QUICK = 4  # a work factor for tests


def recipients_file(folder: Path, *lines: str) -> Path:
    path = folder / "recipients.txt"
    path.write_text("\n".join(lines))
    return path


def test_recipients_are_read_with_comments_and_empty_lines(tmp_path: Path) -> None:
    path = recipients_file(
        tmp_path, "# daily", DAILY.recipient.text, "", f"  {RECOVERY.recipient.text}\r", "# end 结束"
    )

    assert read_recipients(path) == (DAILY.recipient, RECOVERY.recipient)


def test_a_file_saved_by_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "recipients.txt"
    path.write_bytes(b"\xef\xbb\xbf" + HYBRID.recipient.text.encode() + b"\r\n")

    assert read_recipients(path) == (HYBRID.recipient,)


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ([DAILY.recipient.text, "age1oops"], 2, "checksum|character"),
        ([DAILY.recipient.text, "# again", DAILY.recipient.text], 3, "same recipient as in line 1"),
        ([DAILY.recipient.text, HYBRID.recipient.text], 2, "mixed"),
        ([HYBRID.recipient.text, DAILY.recipient.text], 2, "mixed"),
        (["", "ssh-ed25519 AAAA"], 2, "character"),
        ([bech32.encode("age1yubikey", bytes(33))], 1, "not a kind of recipient"),
    ],
)
def test_a_mistake_is_named_by_its_line(tmp_path: Path, lines: list[str], line: int, reason: str) -> None:
    path = recipients_file(tmp_path, *lines)

    with pytest.raises(KeyFileError, match=reason) as caught:
        read_recipients(path)

    assert (caught.value.path, caught.value.line) == (path, line)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("lines", [[], ["", "# nobody"]])
def test_a_file_without_recipients_is_refused(tmp_path: Path, lines: list[str]) -> None:
    path = recipients_file(tmp_path, *lines)

    with pytest.raises(KeyFileError, match="no recipient"):
        read_recipients(path)


@pytest.mark.parametrize("before", ["", "# old key: ", "key="])
@pytest.mark.parametrize("lower", [False, True])
@BOTH
def test_a_private_key_among_recipients_is_shouted_about_and_not_repeated(
    tmp_path: Path,
    identity: Identity,
    before: str,
    lower: bool,  # noqa: FBT001 - a pytest parameter
) -> None:
    secret = identity.text.reveal()
    line = before + (secret.lower() if lower else secret)
    path = recipients_file(tmp_path, "age1 this line is broken too", "", line)

    with pytest.raises(KeyFileError, match="PRIVATE KEY") as caught:
        read_recipients(path)

    assert caught.value.line == 3
    assert secret[-30:].lower() not in str(caught.value).lower()


def test_an_ssh_private_key_among_recipients_is_shouted_about(tmp_path: Path) -> None:
    path = recipients_file(tmp_path, "-----BEGIN OPENSSH PRIVATE KEY-----", "b3BlbnNzaC1rZXkt")

    with pytest.raises(KeyFileError, match="PRIVATE KEY"):
        read_recipients(path)


def test_a_sealed_identity_given_as_recipients_is_named_for_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "key.age"
    write_identity(path, DAILY, passphrase=PASSPHRASE, created=CREATED, work_factor=QUICK)

    with pytest.raises(KeyFileError, match="encrypted file"):
        read_recipients(path)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"#" * (KEY_FILE_LIMIT_BYTES + 1))

    for path, reason in [
        (tmp_path / "none", "cannot be read"),
        (tmp_path, "cannot be read"),
        (large, "larger"),
    ]:
        with pytest.raises(KeyFileError, match=reason) as caught:
            read_recipients(path)
        assert caught.value.path == path


@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_file_at_all_is_read_or_refused_with_a_key_file_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)

    with pytest.raises(KeyFileError):
        read_recipients(path)
    with pytest.raises(KeyFileError):
        read_identities(path, passphrase=lambda: PASSPHRASE)


@BOTH
def test_an_identity_is_written_as_age_keygen_writes_it(tmp_path: Path, identity: Identity) -> None:
    path = tmp_path / "key.txt"

    write_identity(path, identity, passphrase=None, created=CREATED)

    assert path.read_text() == (
        "# created: 2026-11-21T13:00:00Z\n"
        f"# public key: {identity.recipient.text}\n"
        f"{identity.text.reveal()}\n"
    )
    assert read_identities(path, passphrase=None) == (identity,)


@BOTH
def test_a_sealed_identity_opens_with_its_passphrase(tmp_path: Path, identity: Identity) -> None:
    path = tmp_path / "key.age"

    write_identity(path, identity, passphrase=PASSPHRASE, created=CREATED, work_factor=QUICK)

    assert read_identities(path, passphrase=lambda: PASSPHRASE) == (identity,)


def test_a_sealed_identity_leaves_nothing_readable_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "key.age"

    write_identity(path, DAILY, passphrase=PASSPHRASE, created=CREATED, work_factor=QUICK)

    assert list(tmp_path.iterdir()) == [path]
    assert b"AGE-SECRET-KEY" not in path.read_bytes()
    assert DAILY.recipient.text.encode() not in path.read_bytes()


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["plain", "sealed"])
def test_only_the_owner_can_read_a_key_file(tmp_path: Path, passphrase: Secret | None) -> None:
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        write_identity(path, DAILY, passphrase=passphrase, created=CREATED, work_factor=QUICK)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.txt"
    write_identity(path, DAILY, passphrase=None, created=CREATED)

    with pytest.raises(KeyFileError, match="already") as caught:
        write_identity(path, RECOVERY, passphrase=None, created=CREATED)

    assert caught.value.exit_code == 78
    assert read_identities(path, passphrase=None) == (DAILY,)


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "key.txt"
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(KeyFileError, match="already"):
        write_identity(path, DAILY, passphrase=None, created=CREATED)

    assert not (tmp_path / "elsewhere").exists()


def test_a_disk_that_fails_leaves_no_half_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing_fsync(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", failing_fsync)

    with pytest.raises(KeyFileError, match="No space left"):
        write_identity(tmp_path / "key.txt", DAILY, passphrase=None, created=CREATED)

    assert list(tmp_path.iterdir()) == []


def test_a_wrong_passphrase_is_told_apart_from_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "key.age"
    write_identity(path, DAILY, passphrase=PASSPHRASE, created=CREATED, work_factor=QUICK)

    with pytest.raises(WrongPassphrase) as wrong:
        read_identities(path, passphrase=lambda: Secret("wrong"))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(KeyFileError, match="damaged") as damaged:
        read_identities(path, passphrase=lambda: PASSPHRASE)

    assert (wrong.value.exit_code, damaged.value.exit_code) == (11, 78)


def test_nobody_is_asked_for_a_passphrase_that_is_not_needed(tmp_path: Path) -> None:
    path = tmp_path / "key.txt"
    write_identity(path, DAILY, passphrase=None, created=CREATED)

    def ask() -> Secret:
        raise AssertionError("asked")

    assert read_identities(path, passphrase=ask) == (DAILY,)


def test_a_sealed_identity_without_anybody_to_ask_says_so(tmp_path: Path) -> None:
    path = tmp_path / "key.age"
    write_identity(path, DAILY, passphrase=PASSPHRASE, created=CREATED, work_factor=QUICK)

    with pytest.raises(KeyFileError, match="nobody to ask"):
        read_identities(path, passphrase=None)


def test_an_identity_sealed_to_a_key_says_so(tmp_path: Path) -> None:
    path = tmp_path / "key.age"
    encryptor = Encryptor([RECOVERY.recipient])
    data = encryptor.header() + encryptor.update(DAILY.text.reveal_bytes()) + encryptor.finish()

    for content in (data, armor(data)):
        path.write_bytes(content)
        with pytest.raises(KeyFileError, match="sealed to a key"):
            read_identities(path, passphrase=lambda: PASSPHRASE)


def test_several_identities_stand_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(f"# both\n{DAILY.text.reveal()}\n\n{HYBRID.text.reveal()}\n")

    assert read_identities(path, passphrase=None) == (DAILY, HYBRID)


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (f"# key\n{DAILY.recipient.text}\n".encode(), 2, "public half"),
        (b"\n" + DAILY.text.reveal_bytes()[:-1] + b"\n", 2, "checksum"),
        (b"# only a comment\n", None, "no identity"),
        (b"ok\xff\n", 1, "UTF-8"),
    ],
    # The texts hold fresh keys: names must not, or they differ from one test process to the next.
    ids=["public half", "checksum", "no identity", "no UTF-8"],
)
def test_a_mistake_in_an_identity_file_is_named_and_not_repeated(
    tmp_path: Path, content: bytes, line: int | None, reason: str
) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(content)

    with pytest.raises(KeyFileError, match=reason) as caught:
        read_identities(path, passphrase=None)

    assert caught.value.line == line
    assert DAILY.text.reveal()[20:40] not in str(caught.value)


def test_a_creation_time_is_written_in_utc(tmp_path: Path) -> None:
    write_identity(tmp_path / "a", DAILY, passphrase=None, created=CREATED)
    write_identity(tmp_path / "b", DAILY, passphrase=None, created=CREATED.astimezone(UTC))

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

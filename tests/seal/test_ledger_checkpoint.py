"""A checkpoint is a signed note that every witness of transparency logs can read."""

import base64
import shlex
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import LedgerError, SignatureError
from callseal.seal.ledger import Checkpoint, open_checkpoint, sign_checkpoint, signature_of, signed_text
from callseal.seal.ledger.checkpoint import (
    MAX_SIGNATURES,
    key_hash,
    parse_checkpoint,
    read_line,
    write_line,
)
from support.ledgers import device, device_key, public_key

ROOT = bytes(range(32))
NOTE = sign_checkpoint(device(), 42, ROOT, device_key()).encode()
TEXT, _, SIGNATURES = NOTE.partition(b"\n\n")
WITNESS = "— witness.example/w1 " + base64.b64encode(bytes(76)).decode() + "\n"

# The example of C2SP tlog-checkpoint.md and signed-note.md.
EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9n"
    "To+zyWE+xeMcTOAYQ8=\n"
).encode()


def test_a_checkpoint_has_the_five_lines_of_the_format_page() -> None:
    lines = NOTE.decode().split("\n")

    name = f"callseal.ledger/{device()}"
    assert lines[:4] == [name, "42", base64.b64encode(ROOT).decode(), ""]
    assert lines[4].startswith(f"— {name} ")
    assert lines[5:] == [""]


def test_what_was_signed_is_read_back() -> None:
    checkpoint = open_checkpoint(NOTE, public_key(), device())

    assert checkpoint == Checkpoint(origin=f"callseal.ledger/{device()}", size=42, root=ROOT)


def test_the_specifications_own_example_is_read() -> None:
    checkpoint = parse_checkpoint(EXAMPLE)

    assert checkpoint.origin == "example.com/behind-the-sofa"
    assert checkpoint.size == 20852163
    assert len(signature_of(EXAMPLE)) == 64


def test_a_key_is_named_as_the_specification_says() -> None:
    key = Ed25519PublicKey.from_public_bytes(bytes(32))

    name = key_hash("example.com/log", key)

    # printf '%s\n\001' example.com/log | cat - <(head -c 32 /dev/zero) | sha256sum | cut -c 1-8
    assert name.hex() == "a3ad76db"


def test_stock_openssl_checks_a_checkpoint(tmp_path: Path) -> None:
    pem = public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key").write_bytes(pem)
    (tmp_path / "text").write_bytes(signed_text(NOTE))
    (tmp_path / "signature").write_bytes(signature_of(NOTE))

    command = "openssl pkeyutl -verify -pubin -inkey key -rawin -in text -sigfile signature"
    run = subprocess.run(shlex.split(command), cwd=tmp_path, capture_output=True, check=True)

    assert b"Verified Successfully" in run.stdout


def test_the_signatures_of_witnesses_do_no_harm() -> None:
    for note in (NOTE + WITNESS.encode(), TEXT + b"\n\n" + WITNESS.encode() + SIGNATURES):
        assert open_checkpoint(note, public_key(), device()).size == 42
        assert signature_of(note) == signature_of(NOTE)


def test_lines_for_later_extensions_are_passed_over() -> None:
    text = f"callseal.ledger/{device()}\n3\n{base64.b64encode(ROOT).decode()}\nextension\n"
    name = f"callseal.ledger/{device()}"
    signature = base64.b64encode(key_hash(name, public_key()) + device_key().sign(text.encode())).decode()

    checkpoint = open_checkpoint(f"{text}\n— {name} {signature}\n".encode(), public_key(), device())

    assert (checkpoint.size, checkpoint.root) == (3, ROOT)


def test_a_checkpoint_of_another_device_is_refused() -> None:
    with pytest.raises(LedgerError, match="origin"):
        open_checkpoint(NOTE, public_key(), device("another"))


def test_a_checkpoint_that_another_key_signed_is_refused() -> None:
    forged = sign_checkpoint(device(), 42, ROOT, device_key("another")).encode()

    with pytest.raises(SignatureError, match="not signed by the key"):
        open_checkpoint(forged, public_key(), device())


@pytest.mark.parametrize(("what", "instead"), [(b"\n42\n", b"\n43\n"), (b"AAEC", b"AAED")])
def test_an_altered_checkpoint_is_refused(what: bytes, instead: bytes) -> None:
    assert what in NOTE

    with pytest.raises(SignatureError, match="altered"):
        open_checkpoint(NOTE.replace(what, instead, 1), public_key(), device())


def test_a_second_signature_of_the_device_has_to_fit_too() -> None:
    other = sign_checkpoint(device(), 43, ROOT, device_key()).encode().partition(b"\n\n")[2]

    with pytest.raises(SignatureError, match="altered"):
        open_checkpoint(NOTE + other, public_key(), device())


def with_text(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n\n" + SIGNATURES


ORIGIN, SIZE, ROOT_TEXT = TEXT.decode().split("\n")


@pytest.mark.parametrize(
    "note",
    [
        b"",
        TEXT + b"\n",
        TEXT + b"\n\n",
        NOTE[:-1],
        NOTE + b"\n",
        NOTE + b"more\n",
        NOTE.replace(b"\n\n", b"\n \n"),
        NOTE.replace(b"\n42\n", b"\r\n42\n"),
        NOTE.replace("—".encode(), b"--"),
        NOTE.replace(b"\n42\n", b"\n42\xff\n"),
        with_text(ORIGIN, SIZE),
        with_text("", ORIGIN, SIZE, ROOT_TEXT),
        with_text(ORIGIN, "042", ROOT_TEXT),
        with_text(ORIGIN, "-1", ROOT_TEXT),
        with_text(ORIGIN, "４２", ROOT_TEXT),
        with_text(ORIGIN, str(1 << 53), ROOT_TEXT),
        with_text(ORIGIN, SIZE, ROOT_TEXT.rstrip("=")),
        with_text(ORIGIN, SIZE, ROOT_TEXT[:-2] + "9="),
        with_text(ORIGIN, SIZE, base64.b64encode(ROOT[:31]).decode()),
        TEXT + "\n\n— name AAAA\n".encode(),
        TEXT + "\n\n— na+me AAAAAAAA\n".encode(),
        TEXT + "\n\n— nameAAAAAAAA\n".encode(),
        NOTE + WITNESS.encode() * MAX_SIGNATURES,
        NOTE + b"x" * (1 << 17),
    ],
)
def test_what_is_no_checkpoint_is_refused(note: bytes) -> None:
    with pytest.raises(LedgerError):
        open_checkpoint(note, public_key(), device())


@given(
    st.binary(max_size=300)
    | st.builds(lambda data, n: NOTE[:n] + data + NOTE[n:], st.binary(), st.integers(0, 200))
)
def test_whatever_a_note_holds_only_the_ledgers_errors_come_out(note: bytes) -> None:
    try:
        open_checkpoint(note, public_key(), device())
        signature_of(note)
        signed_text(note)
    except (LedgerError, SignatureError):
        pass
    else:
        assert open_checkpoint(note, public_key(), device()).root == ROOT


@given(st.binary(max_size=300))
def test_whatever_a_line_holds_only_the_ledgers_error_comes_out(data: bytes) -> None:
    for line in (data, b'{"checkpoint":' + data):
        try:
            note = read_line(line)
        except LedgerError:
            continue
        assert isinstance(note, bytes)


def test_a_line_carries_its_note_byte_for_byte() -> None:
    line = write_line(NOTE.decode())

    assert line.endswith(b'\\n"}\n')
    assert line.count(b"\n") == 1
    assert read_line(line) == NOTE

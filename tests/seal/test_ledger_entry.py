"""An entry of the ledger is written byte for byte as the format page says, and read strictly."""

import base64
import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import LedgerError, SignatureError
from callseal.seal.fields import MAX_INTEGER
from callseal.seal.ledger import (
    ENDS,
    Clocks,
    Entry,
    Kind,
    entry_hash,
    parse_entry,
    sign_line,
    split_line,
    verify_line,
)
from callseal.seal.ledger.entry import MAX_LINE_BYTES, first_previous
from callseal.seal.ledger.quick import read_said
from callseal.seal.manifest import Result
from support.ledgers import (
    BEGAN,
    BOOT,
    CERTIFICATE,
    SETTINGS,
    device,
    device_key,
    manifest,
    public_key,
    recording,
)

HEARTBEAT = Entry(
    device=device(),
    sequence=7,
    previous=first_previous(device()),
    clocks=Clocks(at=BEGAN, boot=BOOT, uptime_ms=123_456),
    kind=Kind.HEARTBEAT,
    open=2,
)
CLOSED = replace(
    HEARTBEAT,
    kind=Kind.CLOSED,
    open=None,
    recording=recording(1),
    manifest=manifest(1),
    result="degraded",
    reasons=("recovered", "too-quiet-agent"),
)
LINE = sign_line(CLOSED.to_bytes(), device_key())

hashes = st.binary(min_size=32, max_size=32)
tokens = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
numbers = st.integers(0, MAX_INTEGER)
OWN: dict[Kind, dict[str, st.SearchStrategy[object]]] = {
    Kind.STARTED: {
        "software": st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=128),
        "settings": hashes,
        "x5c": st.lists(st.binary(max_size=600), min_size=1, max_size=4).map(tuple),
    },
    Kind.STOPPED: {"code": tokens},
    Kind.HEARTBEAT: {"open": numbers},
    Kind.SETTINGS: {"settings": hashes},
    Kind.CLOCK_STEPPED: {"by_ms": st.integers(-MAX_INTEGER, MAX_INTEGER)},
    Kind.OPENED: {"recording": st.uuids()},
    Kind.PAUSED: {"recording": st.uuids(), "sample": numbers},
    Kind.RESUMED: {"recording": st.uuids(), "sample": numbers},
}
for end in ENDS:
    OWN[end] = {
        "recording": st.uuids(),
        "manifest": st.none() | hashes if end is Kind.FAILED else hashes,
        "result": st.sampled_from([result.value for result in Result]),
        "reasons": st.lists(tokens, max_size=64).map(tuple),
    }


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Draw an entry of any kind."""
    kind = draw(st.sampled_from(Kind))
    return Entry(
        device=device(),
        sequence=draw(numbers),
        previous=draw(hashes),
        clocks=Clocks(
            at=BEGAN + timedelta(milliseconds=draw(st.integers(-(10**12), 10**12))),
            boot=draw(st.from_regex("[0-9a-f]{16}", fullmatch=True)),
            uptime_ms=draw(numbers),
        ),
        kind=kind,
        **{name: draw(values) for name, values in OWN[kind].items()},  # type: ignore[arg-type]
    )


def test_an_entry_is_written_without_white_space_in_the_order_of_the_format_page() -> None:
    data = CLOSED.to_bytes()

    assert data.decode() == (
        f'{{"device":"{device()}","sequence":7,"previous":"{first_previous(device()).hex()}",'
        f'"at":"2026-11-21T08:00:00.000Z","boot":"{BOOT}","uptime_ms":123456,"kind":"closed",'
        f'"recording":"{recording(1)}","manifest":"{manifest(1).hex()}","result":"degraded",'
        '"reasons":["recovered","too-quiet-agent"]}'
    )


def of_kind(kind: Kind, **own: object) -> Entry:
    """Return an entry of this kind."""
    return replace(HEARTBEAT, kind=kind, **{"open": None} | own)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        (
            of_kind(Kind.STARTED, software="callseal/0.1.0", settings=SETTINGS, x5c=(CERTIFICATE,)),
            "software settings x5c",
        ),
        (of_kind(Kind.STOPPED, code="signal"), "code"),
        (HEARTBEAT, "open"),
        (of_kind(Kind.SETTINGS, settings=SETTINGS), "settings"),
        (of_kind(Kind.CLOCK_STEPPED, by_ms=-5000), "by_ms"),
        (of_kind(Kind.OPENED, recording=recording(1)), "recording"),
        (of_kind(Kind.PAUSED, recording=recording(1), sample=8000), "recording sample"),
        (of_kind(Kind.RESUMED, recording=recording(1), sample=8000), "recording sample"),
        (replace(CLOSED, kind=Kind.FAILED, manifest=None), "recording manifest result reasons"),
    ],
)
def test_each_kind_has_its_own_fields_in_their_order(entry: Entry, names: str) -> None:
    values = json.loads(entry.to_bytes())

    common = "device sequence previous at boot uptime_ms kind"
    assert list(values) == f"{common} {names}".split()


def test_the_first_entry_follows_a_text_that_names_the_device() -> None:
    text = f"callseal-ledger/1 {device()}"

    run = subprocess.run(["sha256sum"], input=text.encode(), capture_output=True, check=True)

    assert run.stdout.split()[0].decode() == first_previous(device()).hex()


@given(entries())
def test_an_entry_says_the_same_after_writing_and_reading(entry: Entry) -> None:
    line = sign_line(entry.to_bytes(), device_key())

    assert verify_line(line, public_key()) == entry
    assert split_line(line)[0] == entry.to_bytes()


@given(entries())
def test_reading_at_a_glance_says_what_careful_reading_says(entry: Entry) -> None:
    said = read_said(sign_line(entry.to_bytes(), device_key()))

    assert said.data == entry.to_bytes()
    assert (said.device.decode(), said.sequence, said.kind) == (entry.device, entry.sequence, entry.kind)
    assert (bytes.fromhex(said.previous.decode()), said.boot.decode()) == (entry.previous, entry.clocks.boot)
    assert (said.at_ms, said.uptime_ms) == (entry.clocks.at_ms, entry.clocks.uptime_ms)
    assert (said.manifest, said.result, said.by_ms) == (entry.manifest, entry.result, entry.by_ms)
    assert (said.recording and UUID(bytes=said.recording)) == entry.recording


@given(entries(), st.integers(0, 400), st.integers(0, 3), st.binary(max_size=3))
def test_a_glance_takes_nothing_that_careful_reading_refuses(
    entry: Entry, begin: int, count: int, instead: bytes
) -> None:
    line = sign_line(entry.to_bytes(), device_key())
    line = line[:begin] + instead + line[begin + count :]

    try:
        said = read_said(line)
    except LedgerError:
        return

    assert split_line(line)[0] == said.data
    assert said.kind is None or parse_entry(said.data).kind is said.kind


def test_stock_tools_check_a_line(tmp_path: Path) -> None:
    pem = public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key").write_bytes(pem)
    (tmp_path / "line").write_bytes(LINE)
    script = r"""
        set -e
        sed 's/^{"entry":\(.*\),"signature":"[^"]*"}$/\1/' line | tr -d '\n' > entry
        sed 's/.*"signature":"\([^"]*\)"}$/\1/' line | base64 -d > signature
        { printf 'callseal-ledger/1\n'; cat entry; } > signed
        openssl pkeyutl -verify -pubin -inkey key -rawin -in signed -sigfile signature >&2
        sha256sum entry | cut -c 1-64
    """

    run = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=True)

    assert b"Verified Successfully" in run.stderr
    assert run.stdout.decode().strip() == entry_hash(CLOSED.to_bytes()).hex()


def test_a_line_that_another_key_signed_is_refused() -> None:
    with pytest.raises(SignatureError, match="another key"):
        verify_line(LINE, public_key("another"))


def test_a_signature_over_something_else_can_not_pass_for_one_over_an_entry() -> None:
    data = CLOSED.to_bytes()
    signature = base64.b64encode(device_key().sign(data))

    with pytest.raises(SignatureError):
        verify_line(b'{"entry":' + data + b',"signature":"' + signature + b'"}\n', public_key())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        LINE[:-1],
        LINE + b"\n",
        LINE[:-1] + b"\r\n",
        b" " + LINE,
        LINE.replace(b'{"entry":', b'{"entry" :'),
        LINE.replace(b',"signature"', b', "signature"'),
        LINE.replace(b'=="}', b'="}'),
        LINE.replace(b'=="}', b'AA"}'),
        LINE.replace(b'=="}', b'=","more":1}'),
        LINE.replace(b'"sequence"', b'\n"sequence"'),
        b'{"entry":' + b"x" * MAX_LINE_BYTES + LINE,
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(LedgerError):
        split_line(line)


def test_a_signature_has_one_spelling() -> None:
    _, signature = split_line(LINE)
    text = base64.b64encode(signature)
    last = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:85] + last[last.index(text[85]) + 1 :][:1] + b"=="

    assert base64.b64decode(other) == signature
    with pytest.raises(LedgerError, match="signature"):
        split_line(LINE.replace(text, other))


def altered(**changes: object) -> bytes:
    """Return an entry with other values, unsigned; None takes a field away."""
    values = json.loads(CLOSED.to_bytes()) | changes
    return json.dumps({name: value for name, value in values.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        CLOSED.to_bytes() + b"}",
        CLOSED.to_bytes().replace(b'"sequence":7', b'"sequence":7,"sequence":7'),
        altered(device="dev-0"),
        altered(device=...),
        altered(sequence=-1),
        altered(sequence=True),
        altered(sequence=7.0),
        altered(sequence=1 << 53),
        altered(previous="00"),
        altered(previous=first_previous(device()).hex().upper()),
        altered(at="2026-11-21T08:00:00Z"),
        altered(at="2026-13-21T08:00:00.000Z"),
        altered(boot="00112233445566AA"),
        altered(uptime_ms="1"),
        altered(kind="ended"),
        altered(kind=None),
        altered(kind="heartbeat"),
        altered(recording=str(recording(1)).upper()),
        altered(recording=None),
        altered(manifest=None),
        altered(manifest=...),
        altered(result="fine"),
        altered(result=None),
        altered(reasons="no-media"),
        altered(reasons=["No media"]),
        altered(reasons=["no-media"] * 65),
    ],
)
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    with pytest.raises(LedgerError):
        parse_entry(data)


def test_a_name_from_a_later_version_is_passed_over() -> None:
    data = altered(shift="night")

    assert parse_entry(data) == CLOSED


anything = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
wrong_entries = anything.map(
    lambda value: json.dumps(dict.fromkeys(json.loads(CLOSED.to_bytes()), value)).encode()
)


@given(st.binary(max_size=200) | wrong_entries)
def test_whatever_an_entry_holds_only_the_ledgers_error_comes_out(data: bytes) -> None:
    for line in (data, b'{"entry":' + data + LINE[-105:]):
        with pytest.raises(LedgerError):
            read_said(line)
    with pytest.raises(LedgerError):
        parse_entry(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"open": None},
        {"open": -1},
        {"code": "signal"},
        {"recording": recording(1)},
        {"kind": Kind.STARTED, "open": None},
        {"kind": Kind.STARTED, "open": None, "software": "callseal", "settings": SETTINGS},
        {"kind": Kind.OPENED},
        {"sequence": -1},
        {"previous": b"short"},
        {"device": "device"},
    ],
)
def test_an_entry_that_none_could_be_is_not_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"entry|device|out of range"):
        replace(HEARTBEAT, **changes)  # type: ignore[arg-type]

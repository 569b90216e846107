"""The manifest: read as it was written, and refused where it was not written by us."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import ManifestError, SignatureError
from callseal.seal.keys import generate_signing_key
from callseal.seal.manifest import (
    MAX_SIZE_BYTES,
    LedgerPlace,
    Manifest,
    ManifestObject,
    object_name,
    parse,
    sign,
    verify_signature,
)
from support.sealed_recordings import AUDIO, CALL, STARTED_AT, manifest_of, organisation, sealed_object

OWNER = organisation()
MANIFEST = manifest_of(OWNER, sealed_object("audio", AUDIO), sealed_object("call", CALL))


def altered(**changes: object) -> bytes:
    return json.dumps(json.loads(MANIFEST.to_bytes()) | changes).encode()


def altered_object(**changes: object) -> bytes:
    first, *rest = json.loads(MANIFEST.to_bytes())["objects"]
    return altered(objects=[first | changes, *rest])


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST,
        replace(MANIFEST, ledger=LedgerPlace(sequence=7, head=bytes(32))),
        replace(MANIFEST, rate_hz=None, encoding=None, duration_samples=0, business_type=None),
        replace(MANIFEST, retention_class=None, reasons=("rule-never",), recipients=(), stores=()),
        replace(MANIFEST, objects=(replace(MANIFEST.objects[0], plaintext_sha512=None),)),
        replace(MANIFEST, site="", x5c=(*OWNER.chain, *OWNER.chain)),
    ],
)
def test_a_manifest_is_read_back_as_it_was_written(manifest: Manifest) -> None:
    data = manifest.to_bytes()

    assert parse(data) == manifest


def test_a_manifest_holds_the_fields_that_were_agreed_and_no_others() -> None:
    expected = (
        "type profile id device site source origin direction started_at ended_at duration_samples rate_hz"
        " encoding business_type retention_class stores result reasons recipients objects ledger software x5c"
    )

    values = json.loads(MANIFEST.to_bytes())

    assert list(values) == expected.split()
    assert list(values["objects"][0]) == ["name", "size_bytes", "sha256", "plaintext_sha512"]


def test_times_are_written_in_utc_with_milliseconds_whatever_the_zone() -> None:
    beijing = timezone(timedelta(hours=8))
    started_at = datetime(2026, 11, 22, 7, 58, 30, 250_999, tzinfo=beijing)

    values = json.loads(replace(MANIFEST, started_at=started_at).to_bytes())

    assert values["started_at"] == "2026-11-21T23:58:30.250Z"


def test_a_name_that_this_version_does_not_know_is_passed_over() -> None:
    assert parse(altered(colour="blue")) == MANIFEST


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("another major type", altered(type="callseal-manifest/2")),
        ("another profile", altered(profile="sm4-v1")),
        ("an id that is none", altered(id="1")),
        ("an id in capitals", altered(id=str(MANIFEST.id).upper())),
        ("a device with a path in it", altered(device="dev-../../../../")),
        ("a site with a line feed", altered(site="a\nb")),
        ("an unknown result", altered(result="fine")),
        ("an unknown origin", altered(origin="found")),
        ("a time without a zone", altered(started_at="2026-11-21T23:58:30.250")),
        ("a time that is no time", altered(started_at="2026-13-41T23:58:30.250Z")),
        ("an end before the start", altered(ended_at="2026-11-21T23:58:30.249Z")),
        ("a negative length", altered(duration_samples=-1)),
        ("a length with a fraction", altered(duration_samples=1.0)),
        ("a length that is true", altered(duration_samples=True)),
        ("a length beyond 53 bits", altered(duration_samples=1 << 53)),
        ("no objects", altered(objects=[])),
        ("too many objects", altered(objects=[{}] * 65)),
        ("objects that are none", altered(objects=["a"])),
        ("too many reasons", altered(reasons=["no-media"] * 65)),
        ("a reason that is a sentence", altered(reasons=["no media at all"])),
        ("no certificate", altered(x5c=[])),
        ("a certificate that is no base64", altered(x5c=["*"])),
        ("a certificate in two spellings", altered(x5c=["QQ==", "QR=="])),
        ("a certificate too large", altered(x5c=["AAAA" * 4096])),
        ("half a surrogate pair", altered(site="\ud800")),
        ("an object's path", altered_object(name="../" + MANIFEST.objects[0].name)),
        ("an object's absolute path", altered_object(name="/etc/passwd")),
        ("an object named as an addition", altered_object(name="add-" + MANIFEST.objects[0].name)),
        ("an object's hash that its name does not carry", altered_object(sha256="00" * 32)),
        ("an object's hash in capitals", altered_object(sha256=MANIFEST.objects[0].sha256.hex().upper())),
        ("an object's hash cut short", altered_object(plaintext_sha512="00")),
        ("an object twice", altered(objects=json.loads(MANIFEST.to_bytes())["objects"][:1] * 2)),
        ("a field twice", MANIFEST.to_bytes().replace(b"{", b'{"id": "", ', 1)),
        ("NaN", MANIFEST.to_bytes().replace(b"488000", b"NaN")),
        ("too large a number", MANIFEST.to_bytes().replace(b'"id"', b'"unknown": 1e999, "id"', 1)),
        ("a number of five thousand digits", MANIFEST.to_bytes().replace(b"488000", b"9" * 5000)),
        ("a list", b"[]"),
        ("nothing", b""),
        ("another encoding", MANIFEST.to_bytes().decode().encode("utf-16")),
        ("a thousand open brackets", b"[" * 100_000),
        ("too many bytes", MANIFEST.to_bytes() + b" " * MAX_SIZE_BYTES),
    ],
)
def test_a_malformed_manifest_is_refused(what: str, data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(data)


@pytest.mark.parametrize("key", json.loads(MANIFEST.to_bytes()))
def test_no_field_may_be_missing(key: str) -> None:
    values = json.loads(MANIFEST.to_bytes())
    del values[key]

    with pytest.raises(ManifestError, match=key):
        parse(json.dumps(values).encode())


@pytest.mark.parametrize("key", json.loads(MANIFEST.to_bytes()))
@pytest.mark.parametrize("value", [-1, 0.5, "\x00", {"a": 1}, [1], [[]]])
def test_no_field_may_be_of_another_type(key: str, value: object) -> None:
    with pytest.raises(ManifestError, match=key):
        parse(altered(**{key: value}))


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(ManifestError) as caught:
        parse(altered(source="+86 138 0013 8000"))

    assert "138" not in str(caught.value)


@given(st.binary(max_size=400))
def test_any_bytes_raise_only_the_manifest_error(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from(list(json.loads(MANIFEST.to_bytes()))), JSON)
def test_any_value_in_any_field_is_read_or_refused(key: str, value: object) -> None:
    data = altered(**{key: value})

    try:
        manifest = parse(data)
    except ManifestError:
        return

    assert parse(manifest.to_bytes()) == manifest


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "desk-7"},
        {"started_at": datetime(2026, 11, 21, 23, 58)},  # noqa: DTZ001 - that is the fault
        {"ended_at": STARTED_AT - timedelta(seconds=1)},
        {"objects": ()},
        {"x5c": ()},
        {"reasons": ("No media",)},
        {"duration_samples": -1},
    ],
)
def test_a_manifest_that_could_not_be_read_back_can_not_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(MANIFEST, **changes)  # type: ignore[arg-type]


def test_an_object_that_contradicts_itself_can_not_be_made() -> None:
    name = object_name("audio", bytes(32))

    with pytest.raises(ValueError, match="SHA-256"):
        ManifestObject(name=name, size_bytes=0, sha256=bytes([1]) * 32, plaintext_sha512=None)


def test_a_signature_fits_its_bytes_and_its_key() -> None:
    data = MANIFEST.to_bytes()

    signature = sign(data, OWNER.device_key)

    verify_signature(data, signature, OWNER.device_key.public_key())
    assert len(signature) == 64


@pytest.mark.parametrize(
    ("data", "cut", "key"),
    [
        (MANIFEST.to_bytes() + b" ", 64, OWNER.device_key),
        (MANIFEST.to_bytes(), 63, OWNER.device_key),
        (MANIFEST.to_bytes(), 64, generate_signing_key()),
    ],
)
def test_a_signature_fits_nothing_else(data: bytes, cut: int, key: object) -> None:
    signature = sign(MANIFEST.to_bytes(), OWNER.device_key)[:cut]

    with pytest.raises(SignatureError):
        verify_signature(data, signature, key.public_key())  # type: ignore[attr-defined]


def test_times_are_those_of_the_call() -> None:
    assert parse(MANIFEST.to_bytes()).started_at == STARTED_AT.astimezone(UTC)

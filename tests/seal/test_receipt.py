"""Receipts: what a custodian vouches for, and nothing else that he signs can be taken for one."""

import base64
import contextlib
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import ReceiptError, RemoteError, SealError, SignatureError, UntrustedSigner
from callseal.seal.jws import sign_jws
from callseal.seal.keys import Role, certify, chain_der, generate_signing_key
from callseal.seal.receipt import (
    JWS_TYPE,
    MAX_NAME,
    MAX_OBJECTS,
    MAX_VERSION,
    Receipt,
    ReceiptObject,
    open_receipt,
    sign_receipt,
)
from support.sealed_recordings import STARTED_AT, organisation, recording_id

OWNER: Final = organisation()
KEY: Final = generate_signing_key()
CHAIN: Final = chain_der(
    [
        certify(
            OWNER.root_key,
            OWNER.root,
            KEY.public_key(),
            role=Role.CUSTODIAN,
            now=STARTED_AT - timedelta(days=1),
            years=1,
        )
    ]
)
RECEIVED_AT: Final = datetime(2026, 11, 22, 1, 2, 3, 456_000, tzinfo=UTC)
HASH: Final = hashlib.sha256(b"bytes").digest()
RECEIPT: Final = Receipt(
    id=recording_id(),
    device=OWNER.device,
    site="primary",
    received_at=RECEIVED_AT,
    manifest=hashlib.sha256(b"manifest").digest(),
    objects=(
        ReceiptObject(
            name=f"recordings/{OWNER.device}/2026/11/21/{recording_id()}/manifest.json",
            version="3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY",
            size_bytes=1234,
            sha256=HASH,
        ),
        ReceiptObject(name="manifest.sig", version="", size_bytes=64, sha256=HASH),
    ),
)
SIGNED: Final = sign_receipt(RECEIPT, KEY, CHAIN)


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def payload() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(unb64(json.loads(SIGNED)["payload"]))
    return document


def signed(values: object) -> bytes:
    """Sign any JSON as if it were a receipt."""
    return sign_jws(json.dumps(values).encode(), KEY, CHAIN, {"typ": JWS_TYPE})


def test_a_receipt_opens_with_what_was_put_in_and_who_signed() -> None:
    assert open_receipt(SIGNED) == (RECEIPT, CHAIN)


def test_a_receipt_is_written_as_its_format_says() -> None:
    document = json.loads(SIGNED)

    header = json.loads(unb64(document["signatures"][0]["protected"]))
    assert list(header) == ["alg", "typ", "x5c"]
    assert header["typ"] == "callseal-receipt+jws"
    values = payload()
    assert list(values) == ["type", "id", "device", "site", "received_at", "manifest", "objects"]
    assert values["type"] == "callseal-receipt/1"
    assert values["received_at"] == "2026-11-22T01:02:03.456Z"
    assert values["objects"][1] == {
        "name": "manifest.sig",
        "version": "",
        "size_bytes": 64,
        "sha256": HASH.hex(),
    }


def test_a_custodian_is_trusted_as_one_and_in_no_other_role() -> None:
    receipt, chain = open_receipt(SIGNED)

    signer = OWNER.trust.check(chain, at=receipt.received_at, role=Role.CUSTODIAN)

    assert signer.role is Role.CUSTODIAN
    with pytest.raises(UntrustedSigner, match="role"):
        OWNER.trust.check(chain, at=receipt.received_at, role=Role.DEVICE)


@pytest.mark.parametrize(
    "header", [{}, {"typ": "JWS"}, {"cty": "application/vcon"}, {"typ": 7}, {"typ": None}]
)
def test_nothing_else_that_the_key_signs_is_a_receipt(header: dict[str, Any]) -> None:
    other = sign_jws(json.dumps(payload()).encode(), KEY, CHAIN, header)

    with pytest.raises(ReceiptError, match="typ"):
        open_receipt(other)


def test_an_altered_receipt_is_refused() -> None:
    document = json.loads(SIGNED)
    altered = json.dumps(payload() | {"site": "secondary"}).encode()
    document["payload"] = base64.urlsafe_b64encode(altered).rstrip(b"=").decode()

    with pytest.raises(SignatureError):
        open_receipt(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "callseal-receipt/2"}, "type"),
        ({"id": "019A1FF8-e9d7-79c9-9dd8-dd37220d739c"}, "id"),
        ({"device": "dev-1"}, "device"),
        ({"site": "the store"}, "site"),
        ({"received_at": "yesterday"}, "received_at"),
        ({"manifest": "00"}, "manifest"),
        ({"objects": []}, "objects"),
        ({"objects": {}}, "objects"),
        ({"objects": [7]}, "objects"),
    ],
)
def test_what_is_malformed_is_refused_by_the_name_of_its_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ReceiptError, match=words):
        open_receipt(signed(payload() | change))


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "../x"},
        {"name": "a//b"},
        {"name": "a" * (MAX_NAME + 1)},
        {"version": "v 1"},
        {"version": "v" * (MAX_VERSION + 1)},
        {"size_bytes": -1},
        {"size_bytes": 1.0},
        {"sha256": HASH.hex().upper()},
    ],
)
def test_an_object_that_is_malformed_is_refused(change: dict[str, Any]) -> None:
    values = payload()
    values["objects"][0] |= change

    with pytest.raises(ReceiptError):
        open_receipt(signed(values))


@pytest.mark.parametrize("field", list(payload()))
def test_no_field_may_be_missing(field: str) -> None:
    values = payload()
    del values[field]

    with pytest.raises(ReceiptError, match=f"{field}: missing"):
        open_receipt(signed(values))


def test_names_that_are_not_known_are_passed_over() -> None:
    assert open_receipt(signed(payload() | {"later": 1}))[0] == RECEIPT


def test_no_object_stands_there_twice() -> None:
    values = payload()
    values["objects"].append(values["objects"][0])

    with pytest.raises(ReceiptError, match="each name once"):
        open_receipt(signed(values))


def test_the_largest_receipt_can_be_read_again() -> None:
    version = "v" * MAX_VERSION
    objects = tuple(
        ReceiptObject(name=f"{number:x}".rjust(MAX_NAME, "x"), version=version, size_bytes=1, sha256=HASH)
        for number in range(MAX_OBJECTS)
    )
    largest = replace(RECEIPT, objects=objects)

    assert open_receipt(sign_receipt(largest, KEY, CHAIN))[0] == largest


@pytest.mark.parametrize(
    "change",
    [
        {"device": "desk"},
        {"site": "A"},
        {"manifest": b""},
        {"objects": ()},
        {"objects": RECEIPT.objects * 2},
        {"received_at": datetime(2026, 11, 22)},  # noqa: DTZ001 - that is the fault
    ],
)
def test_what_a_receipt_could_not_say_is_not_constructed(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        replace(RECEIPT, **change)


def test_nobody_signs_in_the_name_of_another_key() -> None:
    with pytest.raises(SealError, match="another signing key"):
        sign_receipt(RECEIPT, generate_signing_key(), CHAIN)


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_the_remote_error(data: bytes) -> None:
    with contextlib.suppress(RemoteError):
        open_receipt(data)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(list(payload())), JSON)
def test_any_value_in_any_field_raises_only_the_remote_error(field: str, value: object) -> None:
    with contextlib.suppress(RemoteError):
        open_receipt(signed(payload() | {field: value}))


@given(st.sampled_from(["name", "version", "size_bytes", "sha256"]), JSON)
def test_any_value_in_any_field_of_an_object_raises_only_the_remote_error(field: str, value: object) -> None:
    values = payload()
    values["objects"][0][field] = value

    with contextlib.suppress(RemoteError):
        open_receipt(signed(values))


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_byte_of_a_receipt_changes_what_it_says(position: int, change: int) -> None:
    altered = bytearray(SIGNED)
    altered[position] ^= change

    with contextlib.suppress(RemoteError):
        assert open_receipt(bytes(altered)) == (RECEIPT, CHAIN)

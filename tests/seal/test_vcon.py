"""The vCon: what the draft asks for, signed so that nothing in it can be changed unseen."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import OKPKey

from callseal.seal.errors import SealError, SignatureError, VconError
from callseal.seal.jws import MAX_SIZE_BYTES
from callseal.seal.keys import generate_signing_key
from callseal.seal.vcon import (
    Analysis,
    Attachment,
    Dialog,
    DialogType,
    Disposition,
    Party,
    Vcon,
    content_hash,
    open_vcon,
    sign_vcon,
)
from support.sealed_recordings import organisation

OWNER = organisation()
START = datetime(2026, 11, 21, 18, 58, tzinfo=UTC)
RECORDING = UUID("019a1ff8-e9d7-79c9-9dd8-dd37220d739c")
AGENT, CUSTOMER, RECORDER = range(3)
DIALOG = Dialog(
    type=DialogType.RECORDING,
    start=START,
    duration_s=61.5,
    parties=(AGENT, CUSTOMER),
    originator=CUSTOMER,
    mediatype="audio/basic",
    filename="audio.age",
    content_hash=content_hash(hashlib.sha512(b"x").digest()),
)
VCON = Vcon(
    uuid=RECORDING,
    created_at=START,
    parties=(
        Party(sip="sip:4711@pbx.example", name="王芳", validation="login"),
        Party(tel="+441632960001"),
        Party(name="callseal recorder", uuid=RECORDING),
    ),
    dialog=(DIALOG,),
    analysis=(Analysis(type="report", schema="callseal-checks/1", body={"result": "ok", "reasons": []}),),
    attachments=(Attachment(purpose="disclosure", start=START, party=RECORDER, body={"played_s": 4.2}),),
)
SIGNED = sign_vcon(VCON, OWNER.device_key, OWNER.chain)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def resigned(change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    """Give the signed vCon another protected header, signed again by the true key."""
    document = json.loads(SIGNED)
    header = change(json.loads(unb64(document["signatures"][0]["protected"])))
    protected = b64(json.dumps(header).encode())
    signature = OWNER.device_key.sign(f"{protected}.{document['payload']}".encode())
    document["signatures"][0] |= {"protected": protected, "signature": b64(signature)}
    return json.dumps(document).encode()


def signed_payload(payload: object) -> bytes:
    """Sign any JSON with the true key as if it were a vCon."""
    document = json.loads(SIGNED)
    protected = document["signatures"][0]["protected"]
    body = b64(json.dumps(payload).encode())
    signature = OWNER.device_key.sign(f"{protected}.{body}".encode())
    signatures = [{"protected": protected, "signature": b64(signature)}]
    return json.dumps({"payload": body, "signatures": signatures}).encode()


def test_a_signed_vcon_opens_with_what_was_put_in_and_who_signed() -> None:
    document, chain = open_vcon(SIGNED)

    assert document == VCON.to_json()
    assert chain == OWNER.chain


# RFC 9864 has a newer word for the same signature, which few readers know yet.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_another_implementation_of_jws_verifies_it() -> None:
    public_key = OWNER.device_key.public_key()
    pem = public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    registry = joserfc_jws.JWSRegistry(algorithms=["EdDSA"], strict_check_header=False)
    registry.max_header_length = 64 * 1024  # its own limit is too low for any certificate

    opened = joserfc_jws.deserialize_json(json.loads(SIGNED), OKPKey.import_key(pem), registry=registry)

    assert json.loads(opened.payload) == VCON.to_json()


def test_a_stereo_recording_says_who_is_on_which_channel_and_who_called() -> None:
    dialog = DIALOG.to_json()

    assert dialog == {
        "type": "recording",
        "start": "2026-11-21T18:58:00.000Z",
        "duration": 61.5,
        "parties": [0, 1],
        "originator": 1,
        "mediatype": "audio/basic",
        "filename": "audio.age",
        "content_hash": "sha512-" + b64(hashlib.sha512(b"x").digest()),
    }


def test_the_originator_is_left_out_where_the_first_party_is_it() -> None:
    assert "originator" not in replace(DIALOG, originator=AGENT).to_json()


def test_a_channel_that_nobody_is_on_keeps_its_place() -> None:
    assert replace(DIALOG, parties=(None, CUSTOMER)).to_json()["parties"] == [None, 1]


def test_a_call_that_nobody_answered_says_why_and_has_no_content() -> None:
    dialog = Dialog(
        type=DialogType.INCOMPLETE,
        start=START,
        parties=(AGENT, CUSTOMER),
        originator=AGENT,
        disposition=Disposition.BUSY,
    )

    assert dialog.to_json() == {
        "type": "incomplete",
        "start": "2026-11-21T18:58:00.000Z",
        "parties": [0, 1],
        "disposition": "busy",
    }


def test_attachments_and_analyses_hold_json_itself_and_not_a_text_of_it() -> None:
    document, _ = open_vcon(SIGNED)

    assert document["attachments"] == [
        {
            "purpose": "disclosure",
            "start": "2026-11-21T18:58:00.000Z",
            "party": 2,
            "dialog": 0,
            "mediatype": "application/json",
            "encoding": "json",
            "body": {"played_s": 4.2},
        }
    ]
    assert document["analysis"] == [
        {
            "type": "report",
            "dialog": 0,
            "mediatype": "application/json",
            "vendor": "callseal",
            "schema": "callseal-checks/1",
            "encoding": "json",
            "body": {"result": "ok", "reasons": []},
        }
    ]


def test_a_body_of_null_stays_there() -> None:
    assert Analysis(type="report", schema="x/1", body=None).to_json()["body"] is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: replace(DIALOG, type=DialogType.INCOMPLETE, disposition=Disposition.BUSY),
        lambda: replace(DIALOG, disposition=Disposition.BUSY),
        lambda: Dialog(type=DialogType.INCOMPLETE, start=START),
        lambda: replace(DIALOG, duration_s=-1.0),
        lambda: replace(DIALOG, duration_s=float("nan")),
        lambda: replace(VCON, dialog=(replace(DIALOG, parties=(0, 3)),)),
        lambda: replace(VCON, dialog=(replace(DIALOG, originator=3),)),
        lambda: replace(VCON, attachments=(replace(VCON.attachments[0], party=-1),)),
        lambda: replace(VCON, attachments=(replace(VCON.attachments[0], dialog=1),)),
        lambda: replace(VCON, analysis=(replace(VCON.analysis[0], dialog=1),)),
        lambda: replace(VCON, parties=(Party(),) * 65),
        lambda: content_hash(b"short"),
    ],
)
def test_a_vcon_that_contradicts_itself_can_not_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()


def test_the_certificate_stands_in_the_protected_header_and_nowhere_else() -> None:
    document = json.loads(SIGNED)

    header = json.loads(unb64(document["signatures"][0]["protected"]))

    assert header["alg"] == "EdDSA"
    assert header["uuid"] == str(RECORDING)
    assert [base64.b64decode(item) for item in header["x5c"]] == list(OWNER.chain)
    assert document["signatures"][0].keys() == {"protected", "signature"}


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # of the library, on the way to our refusal
def test_every_changed_byte_is_noticed() -> None:
    for place in range(len(SIGNED)):
        data = bytearray(SIGNED)
        data[place] ^= 1

        with pytest.raises((VconError, SignatureError)):
            open_vcon(bytes(data))


def test_every_cut_is_noticed() -> None:
    for size in range(len(SIGNED)):
        with pytest.raises(VconError):
            open_vcon(SIGNED[:size])


def test_a_stranger_who_signs_again_shows_his_own_certificate() -> None:
    stranger = organisation("Stranger")
    document = json.loads(SIGNED)
    header = {"x5c": [base64.b64encode(stranger.chain[0]).decode()]}
    document["signatures"][0]["header"] = header

    _, chain = open_vcon(json.dumps(document).encode())

    assert chain == OWNER.chain


def test_a_strangers_signature_under_the_true_certificate_does_not_fit() -> None:
    document = json.loads(SIGNED)
    protected = document["signatures"][0]["protected"]
    signature = generate_signing_key().sign(f"{protected}.{document['payload']}".encode())
    document["signatures"][0]["signature"] = b64(signature)

    with pytest.raises(SignatureError, match="altered"):
        open_vcon(json.dumps(document).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header | {"alg": "none"},
        lambda header: header | {"alg": "HS256"},
        lambda header: header | {"alg": "RS256"},
        lambda header: header | {"alg": ["EdDSA"]},
        lambda header: {key: value for key, value in header.items() if key != "alg"},
        lambda header: {key: value for key, value in header.items() if key != "x5c"},
        lambda header: header | {"crit": ["b64"], "b64": False},
        lambda header: header | {"x5c": header["x5c"] * 5},
        lambda header: header | {"x5c": [header["x5c"][0] + "\n"]},
        lambda header: header | {"uuid": "another"},
        lambda header: header | {"pad": "x" * 65536},
    ],
)
def test_a_header_that_asks_for_anything_else_is_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    with pytest.raises(VconError):
        open_vcon(resigned(change))


@pytest.mark.parametrize("x5c", [[], ["QQ=="]])
def test_a_header_without_a_usable_certificate_proves_nothing(x5c: list[str]) -> None:
    with pytest.raises(SignatureError):
        open_vcon(resigned(lambda header: header | {"x5c": x5c}))


@pytest.mark.parametrize("count", [0, 2])
def test_exactly_one_signature_is_read(count: int) -> None:
    document = json.loads(SIGNED)
    document["signatures"] *= count

    with pytest.raises(VconError):
        open_vcon(json.dumps(document).encode())


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "text",
        {},
        {"uuid": 7},
        {"uuid": str(RECORDING), "parties": {}},
        {"uuid": str(RECORDING), "dialog": [1]},
        {"uuid": str(RECORDING), "attachments": [{}] * 4097},
    ],
)
def test_a_signed_document_that_is_no_vcon_is_refused(payload: object) -> None:
    with pytest.raises(VconError):
        open_vcon(signed_payload(payload))


@pytest.mark.parametrize("padding", ["=", "==", " ", "\n"])
def test_the_signature_has_one_spelling_only(padding: str) -> None:
    document = json.loads(SIGNED)
    document["signatures"][0]["signature"] += padding

    with pytest.raises(VconError):
        open_vcon(json.dumps(document).encode())


def test_a_document_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(VconError, match="bytes"):
        open_vcon(SIGNED + b" " * MAX_SIZE_BYTES)


def test_a_vcon_too_large_to_be_read_again_is_not_signed() -> None:
    attachment = replace(VCON.attachments[0], body="x" * MAX_SIZE_BYTES)

    with pytest.raises(SealError, match="bytes"):
        sign_vcon(replace(VCON, attachments=(attachment,)), OWNER.device_key, OWNER.chain)


def test_a_vcon_is_not_signed_under_a_certificate_of_another_key() -> None:
    with pytest.raises(SealError, match="another signing key"):
        sign_vcon(VCON, generate_signing_key(), OWNER.chain)


def test_a_value_that_json_can_not_hold_is_not_signed() -> None:
    attachment = replace(VCON.attachments[0], body=float("nan"))

    with pytest.raises(SealError, match="NaN"):
        sign_vcon(replace(VCON, attachments=(attachment,)), OWNER.device_key, OWNER.chain)


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_the_errors_of_a_vcon(data: bytes) -> None:
    with pytest.raises((VconError, SignatureError)):
        open_vcon(data)


@given(
    st.dictionaries(
        st.sampled_from(["payload", "signatures", "x"]),
        st.recursive(
            st.none() | st.text(max_size=20) | st.integers(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["protected", "signature", "header"]), inner)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_json_raises_only_the_errors_of_a_vcon(document: object) -> None:
    with pytest.raises((VconError, SignatureError)):
        open_vcon(json.dumps(document).encode())

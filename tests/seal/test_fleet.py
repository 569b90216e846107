"""Fleet records: what a custodian last said of a device, and nothing else that he signs passes for one."""

import base64
import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import FleetError, RemoteError, SealError, SignatureError, UntrustedSigner
from callseal.seal.fleet import (
    JWS_TYPE,
    MAX_DETAIL,
    MAX_FINDINGS,
    MAX_SITE,
    Counts,
    FleetFinding,
    FleetRecord,
    NewestEntry,
    fit_detail,
    fit_site,
    open_fleet,
    sign_fleet,
)
from callseal.seal.jws import sign_jws
from callseal.seal.keys import Role, certify, chain_der, generate_signing_key
from support.sealed_recordings import STARTED_AT, organisation

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
AT: Final = datetime(2026, 11, 22, 1, 2, 3, 456_000, tzinfo=UTC)
RECORD: Final = FleetRecord(
    device=OWNER.device,
    site="北京 2",
    at=AT,
    newest_entry=NewestEntry(sequence=671_599, at=AT - timedelta(seconds=40)),
    newest_heartbeat_at=AT - timedelta(seconds=41),
    open=1,
    arrived_at=AT - timedelta(seconds=30),
    software="callseal/0.1.0",
    recordings=Counts(received=12, incomplete=1, refused=2),
    findings=(FleetFinding(code="gap", detail="entries 13 to 15 are missing"),),
)
UNKNOWN: Final = FleetRecord(device=OWNER.device, at=AT)
SIGNED: Final = sign_fleet(RECORD, KEY, CHAIN)


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def payload() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(unb64(json.loads(SIGNED)["payload"]))
    return document


def signed(values: object) -> bytes:
    """Sign any JSON as if it were a fleet record."""
    return sign_jws(json.dumps(values).encode(), KEY, CHAIN, {"typ": JWS_TYPE})


@pytest.mark.parametrize("record", [RECORD, UNKNOWN])
def test_a_record_opens_with_what_was_put_in_and_who_signed(record: FleetRecord) -> None:
    assert open_fleet(sign_fleet(record, KEY, CHAIN)) == (record, CHAIN)


def test_a_record_is_written_as_its_format_says() -> None:
    document = json.loads(SIGNED)

    header = json.loads(unb64(document["signatures"][0]["protected"]))
    assert header["typ"] == "callseal-fleet+jws"
    assert payload() == {
        "type": "callseal-fleet/1",
        "device": OWNER.device,
        "site": "北京 2",
        "at": "2026-11-22T01:02:03.456Z",
        "newest_entry": {"sequence": 671_599, "at": "2026-11-22T01:01:23.456Z"},
        "newest_heartbeat_at": "2026-11-22T01:01:22.456Z",
        "open": 1,
        "arrived_at": "2026-11-22T01:01:33.456Z",
        "software": "callseal/0.1.0",
        "recordings": {"received": 12, "incomplete": 1, "refused": 2},
        "findings": [{"code": "gap", "detail": "entries 13 to 15 are missing"}],
    }


def test_a_custodian_is_trusted_as_one_and_in_no_other_role() -> None:
    record, chain = open_fleet(SIGNED)

    assert OWNER.trust.check(chain, at=record.at, role=Role.CUSTODIAN).role is Role.CUSTODIAN
    with pytest.raises(UntrustedSigner, match="role"):
        OWNER.trust.check(chain, at=record.at, role=Role.DEVICE)


@pytest.mark.parametrize("header", [{}, {"typ": "JWS"}, {"typ": "callseal-receipt+jws"}, {"typ": 7}])
def test_nothing_else_that_the_key_signs_is_a_fleet_record(header: dict[str, Any]) -> None:
    other = sign_jws(json.dumps(payload()).encode(), KEY, CHAIN, header)

    with pytest.raises(FleetError, match="typ"):
        open_fleet(other)


def test_an_altered_record_is_refused() -> None:
    document = json.loads(SIGNED)
    altered = json.dumps(payload() | {"findings": []}).encode()
    document["payload"] = base64.urlsafe_b64encode(altered).rstrip(b"=").decode()

    with pytest.raises(SignatureError):
        open_fleet(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "callseal-fleet/2"}, "type"),
        ({"device": "dev-1"}, "device"),
        ({"site": ""}, "site"),
        ({"site": "a\nb"}, "site"),
        ({"site": "a" * (MAX_SITE + 1)}, "site"),
        ({"at": None}, "at"),
        ({"newest_entry": {"sequence": -1, "at": "2026-11-22T01:01:23.456Z"}}, "sequence"),
        ({"newest_entry": {"sequence": 1}}, "at"),
        ({"newest_heartbeat_at": "now"}, "newest_heartbeat_at"),
        ({"open": True}, "open"),
        ({"arrived_at": 7}, "arrived_at"),
        ({"software": "ü"}, "software"),
        ({"recordings": {"received": 1, "incomplete": 1}}, "refused"),
        ({"findings": [{"code": "gap", "detail": "\x1b[2J"}]}, "detail"),
        ({"findings": [{"code": "gap", "detail": "\u202eabc"}]}, "detail"),
        ({"findings": [{"code": "gap", "detail": " "}]}, "detail"),
        ({"findings": [{"code": "A", "detail": "a"}]}, "code"),
        ({"findings": [{"code": "gap", "detail": "a"}] * (MAX_FINDINGS + 1)}, "findings"),
    ],
)
def test_what_is_malformed_is_refused_by_the_name_of_its_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(FleetError, match=words):
        open_fleet(signed(payload() | change))


@pytest.mark.parametrize("field", list(payload()))
def test_no_field_may_be_missing(field: str) -> None:
    values = payload()
    del values[field]

    with pytest.raises(FleetError, match=f"{field}: missing"):
        open_fleet(signed(values))


def test_names_that_are_not_known_are_passed_over() -> None:
    assert open_fleet(signed(payload() | {"later": 1}))[0] == RECORD


def test_the_largest_record_can_be_read_again() -> None:
    finding = FleetFinding(code="c" * 64, detail="\U0001f4de" * MAX_DETAIL)
    largest = replace(RECORD, site="\U0001f4de" * MAX_SITE, findings=(finding,) * MAX_FINDINGS)

    assert open_fleet(sign_fleet(largest, KEY, CHAIN))[0] == largest


@pytest.mark.parametrize(
    "change",
    [
        {"device": "desk"},
        {"site": ""},
        {"open": -1},
        {"software": ""},
        {"at": datetime(2026, 11, 22)},  # noqa: DTZ001 - that is the fault
        {"arrived_at": datetime(2026, 11, 22)},  # noqa: DTZ001 - that is the fault
        {"findings": RECORD.findings * (MAX_FINDINGS + 1)},
    ],
)
def test_what_a_record_could_not_say_is_not_constructed(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        replace(RECORD, **change)


@pytest.mark.parametrize(("received", "refused"), [(-1, 0), (0, 2**53)])
def test_a_count_that_is_no_count_is_not_constructed(received: int, refused: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Counts(received=received, refused=refused)


def test_nobody_signs_in_the_name_of_another_key() -> None:
    with pytest.raises(SealError, match="another signing key"):
        sign_fleet(RECORD, generate_signing_key(), CHAIN)


@given(st.text())
def test_any_words_are_made_fit_for_a_detail(words: str) -> None:
    assert FleetFinding(code="gap", detail=fit_detail(words)).detail


@given(st.text())
def test_any_site_is_made_fit_or_left_out(site: str) -> None:
    assert replace(RECORD, site=fit_site(site)).device == RECORD.device


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_the_remote_error(data: bytes) -> None:
    with contextlib.suppress(RemoteError):
        open_fleet(data)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(list(payload())), JSON)
def test_any_value_in_any_field_raises_only_the_remote_error(field: str, value: object) -> None:
    with contextlib.suppress(RemoteError):
        open_fleet(signed(payload() | {field: value}))


@given(st.sampled_from(["newest_entry", "recordings"]), st.text(max_size=12), JSON)
def test_any_value_inside_a_field_raises_only_the_remote_error(field: str, name: str, value: object) -> None:
    values = payload()
    values[field] |= {name: value, "sequence": value, "received": value}

    with contextlib.suppress(RemoteError):
        open_fleet(signed(values))


# A byte of the certificate's serial number may become one that the library warns of.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_byte_of_a_record_changes_what_it_says(position: int, change: int) -> None:
    altered = bytearray(SIGNED)
    altered[position] ^= change

    with contextlib.suppress(RemoteError):
        assert open_fleet(bytes(altered)) == (RECORD, CHAIN)

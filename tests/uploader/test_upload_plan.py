"""The plan: the manifest is the commit, so everything else goes before it."""

import hashlib
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.manifest import Manifest, ManifestObject
from callseal.store.capabilities import MIB, Capabilities, PartLimits
from callseal.store.errors import StoreRefused
from callseal.uploader.plan import WHOLE_LIMIT_BYTES, plan_parts, plan_puts
from support.sealed_recordings import STARTED_AT, manifest_of, organisation, recording_id, sealed_object

OWNER = organisation()
AUDIO, CALL, TAIL, NOTE = (sealed_object(kind, kind.encode()) for kind in ("audio", "call", "tail", "note"))


@pytest.mark.parametrize(
    "objects", [(CALL, AUDIO, TAIL, NOTE), (NOTE, TAIL, AUDIO, CALL), (AUDIO, NOTE, CALL, TAIL)]
)
def test_audio_first_then_call_tail_and_the_rest_then_signature_then_manifest(
    objects: tuple[ManifestObject, ...],
) -> None:
    manifest = manifest_of(OWNER, *objects)

    plan = plan_puts(manifest, b"{}", b"signature")

    files = [put.file for put in plan]
    assert files == [AUDIO.name, CALL.name, TAIL.name, NOTE.name, "manifest.sig", "manifest.json"]


def test_a_recording_without_audio_is_sent_all_the_same() -> None:
    plan = plan_puts(manifest_of(OWNER, CALL), b"{}", b"signature")

    assert [put.file for put in plan] == [CALL.name, "manifest.sig", "manifest.json"]


def test_every_put_knows_its_place_and_its_hash() -> None:
    manifest = manifest_of(OWNER, CALL)

    call, signature, commit = plan_puts(manifest, b"{}", b"signature")

    prefix = f"recordings/{OWNER.device}/2026/11/21/{recording_id()}/"
    assert (call.name, call.sha256) == (prefix + CALL.name, CALL.sha256)
    assert (call.size_bytes, signature.size_bytes, commit.size_bytes) == (CALL.size_bytes, 9, 2)
    assert (signature.name, signature.sha256) == (
        prefix + "manifest.sig",
        hashlib.sha256(b"signature").digest(),
    )
    assert (commit.name, commit.sha256) == (prefix + "manifest.json", hashlib.sha256(b"{}").digest())


def test_the_day_in_the_place_is_that_in_utc() -> None:
    beijing = timezone(timedelta(hours=8))
    manifest: Manifest = replace(manifest_of(OWNER, CALL), started_at=STARTED_AT.astimezone(beijing))

    assert "/2026/11/21/" in plan_puts(manifest, b"{}", b"signature")[0].name


def capabilities(parts: PartLimits | None, largest: int | None = None) -> Capabilities:
    return Capabilities(
        exclusive_put=True,
        versions=True,
        lock=True,
        checked_put=True,
        max_object_size_bytes=largest,
        parts=parts,
    )


def test_an_ordinary_call_goes_in_one_request() -> None:
    assert plan_parts(WHOLE_LIMIT_BYTES, capabilities(PartLimits())) is None


def test_a_store_without_parts_gets_everything_in_one_request() -> None:
    assert plan_parts(1000 * WHOLE_LIMIT_BYTES, capabilities(None)) is None


@given(st.integers(min_value=WHOLE_LIMIT_BYTES + 1, max_value=10_000 * 5 * 1024 * MIB))
def test_parts_keep_to_the_stores_limits_and_together_are_the_object(size_bytes: int) -> None:
    limits = PartLimits()

    plan = plan_parts(size_bytes, capabilities(limits))

    assert plan is not None
    spans = list(plan.spans())
    assert 2 <= len(spans) == plan.count <= limits.max_count
    assert all(
        limits.min_size_bytes <= span.size_bytes == plan.part_size_bytes <= limits.max_size_bytes
        for span in spans[:-1]
    )
    assert 1 <= spans[-1].size_bytes <= plan.part_size_bytes
    ends = [0, *(span.offset_bytes + span.size_bytes for span in spans)]
    assert [span.offset_bytes for span in spans] == ends[:-1]
    assert ends[-1] == size_bytes


def test_parts_are_as_large_as_the_store_asks_for() -> None:
    plan = plan_parts(100 * MIB, capabilities(PartLimits(min_size_bytes=20 * MIB)))

    assert plan is not None
    assert plan.part_size_bytes == 20 * MIB


@pytest.mark.parametrize(
    "able", [capabilities(PartLimits(max_size_bytes=8 * MIB, max_count=2)), capabilities(None, 17 * MIB)]
)
def test_what_a_store_can_not_take_at_all_is_refused_before_a_byte_is_sent(able: Capabilities) -> None:
    with pytest.raises(StoreRefused, match=str(18 * MIB)):
        plan_parts(18 * MIB, able)


def test_what_is_too_large_for_one_request_goes_in_parts_and_is_not_refused() -> None:
    able = capabilities(PartLimits(), 5 * 1024 * MIB)

    plan = plan_parts(6 * 1024 * MIB, able)

    assert plan is not None
    assert plan.count <= PartLimits().max_count
    assert plan_parts(10 * MIB, capabilities(PartLimits(), 8 * MIB)) is not None

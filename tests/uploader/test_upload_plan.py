"""The plan: the manifest is the commit, so everything else goes before it."""

import hashlib
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.manifest import Manifest, ManifestObject
from callseal.uploader.plan import plan_puts
from callseal.uploader.retry import FIRST_WAIT_S, LONGEST_WAIT_S, Retry
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
    assert (signature.name, signature.sha256) == (
        prefix + "manifest.sig",
        hashlib.sha256(b"signature").digest(),
    )
    assert (commit.name, commit.sha256) == (prefix + "manifest.json", hashlib.sha256(b"{}").digest())


def test_the_day_in_the_place_is_that_in_utc() -> None:
    beijing = timezone(timedelta(hours=8))
    manifest: Manifest = replace(manifest_of(OWNER, CALL), started_at=STARTED_AT.astimezone(beijing))

    assert "/2026/11/21/" in plan_puts(manifest, b"{}", b"signature")[0].name


def test_a_store_that_never_failed_is_tried_at_once() -> None:
    assert Retry().due(0.0)


@given(st.integers(min_value=0, max_value=100), st.floats(min_value=0, max_value=1))
def test_the_wait_grows_with_each_failure_and_has_an_end(failures: int, random: float) -> None:
    now_s, retry = 1000.0, Retry()
    for _ in range(failures + 1):
        retry = retry.failed(now_s, random)

    wait_s = retry.not_before_s - now_s

    full_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**failures)
    assert full_s / 2 <= wait_s <= full_s
    assert not retry.due(now_s)
    assert retry.due(retry.not_before_s)

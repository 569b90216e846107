"""A recording sealed to two post-quantum keys, opened by somebody else's age (npm age-encryption)."""

from pathlib import Path

import pytest

from callseal.seal.age import HybridIdentity
from callseal.seal.manifest import parse
from support.age_peers import typage_decrypt
from support.recorded_calls import (
    POST_QUANTUM,
    RATE_HZ,
    open_bundle,
    recipients,
    record_call,
    recording_desk,
    talk,
)

pytestmark = pytest.mark.integration


def test_each_of_two_post_quantum_keys_opens_sound_and_metadata(tmp_path: Path) -> None:
    """Byte for byte what Callseal itself opens, over more than one chunk."""
    recovery = HybridIdentity(seed=bytes(32))
    with recording_desk(tmp_path / "spool", keys=recipients(POST_QUANTUM, recovery)) as desk:
        record_call(desk, samples=talk(12 * RATE_HZ))
        (path,) = desk.ready()
    ours = open_bundle(path, POST_QUANTUM)
    manifest = parse((path / "manifest.json").read_bytes())
    files = {item.kind: (path / item.name).read_bytes() for item in manifest.objects}

    for identity in (POST_QUANTUM, recovery):
        sound, metadata = typage_decrypt(identity.text.reveal(), [files["audio"], files["call"]])

        assert sound == ours.inner
        assert metadata.startswith(b"{")
    assert len(ours.inner) > 65_536 * 2

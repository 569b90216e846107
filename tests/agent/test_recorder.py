"""The recorder: what a source hands in lies in the spool sealed, signed and whole, and nowhere else."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from callseal.agent.call import (
    AudioFormat,
    Block,
    Disclosure,
    Recorder,
)
from callseal.agent.errors import RecorderError
from callseal.agent.rows import MAX_GAP_S
from callseal.codecs import au, g711
from callseal.codecs.au import Encoding
from callseal.seal.age import HybridIdentity, X25519Identity, fingerprint
from callseal.seal.errors import NoIdentityMatch
from callseal.seal.manifest import Direction, Origin, Result
from callseal.seal.tail import read_slots
from callseal.seal.vcon import open_vcon
from callseal.seal.verify import LocalFolder, verify_recording
from support.recorded_calls import (
    CALL,
    CLASSIC,
    CUSTOMER_NAME,
    CUSTOMER_NUMBER,
    HANGUP,
    OWNER,
    PCM16,
    POST_QUANTUM,
    QUIET,
    RATE_HZ,
    ULAW,
    Desk,
    answered,
    block,
    bodies,
    coded,
    open_bundle,
    recipients,
    record_call,
    recording_desk,
    talk,
    unsealed,
)
from support.sealed_recordings import STARTED_AT

ALAW = AudioFormat(encoding=Encoding.ALAW, rate_hz=RATE_HZ)
TOLD = Disclosure(
    name="zh",
    language="zh-CN",
    sha256="ab" * 32,
    start_samples=100,
    end_samples=4000,
    complete=True,
    heard_by=("agent", "customer"),
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with recording_desk(tmp_path / "spool") as found:
        yield found


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_recorder_is_what_sources_are_written_for(desk: Desk) -> None:
    recorder: Recorder = desk.recorder

    recording = recorder.open(QUIET, ULAW)

    assert recording.version == 7
    assert recording.int >> 80 == int(STARTED_AT.timestamp() * 1000)  # RFC 9562 section 5.7
    assert (desk.spool.root / "open" / str(recording)).is_dir()


@pytest.mark.parametrize("form", [ULAW, ALAW, PCM16], ids=lambda form: form.encoding.name)
@pytest.mark.parametrize("identity", [CLASSIC, POST_QUANTUM], ids=["X25519", "post-quantum"])
def test_a_recording_verifies_and_gives_back_every_sample(
    tmp_path: Path, form: AudioFormat, identity: X25519Identity | HybridIdentity
) -> None:
    with recording_desk(tmp_path / "spool", recipients(identity)) as desk:
        frames = record_call(desk, form)
        (folder,) = desk.ready()

    report = verify_recording(LocalFolder(folder), LocalFolder(folder).prefix, OWNER.trust)
    opened = open_bundle(folder, identity)

    assert report.intact, report.findings
    assert desk.results == [Result.OK]
    assert desk.alarms == []
    assert opened.inner[: au.HEADER_BYTES] == bytes(
        au.AuHeader(encoding=form.encoding, rate_hz=RATE_HZ, channels=2)
    )
    assert np.array_equal(opened.frames, frames)


def test_the_manifest_says_what_the_recording_is(desk: Desk) -> None:
    record_call(desk)

    (folder,) = desk.ready()
    manifest = open_bundle(folder).manifest

    assert str(manifest.id) == folder.name
    assert (manifest.device, manifest.site, manifest.source) == (OWNER.device, "bj", "bridge")
    assert (manifest.origin, manifest.direction) == (Origin.LIVE, Direction.OUTBOUND)
    assert (manifest.started_at, manifest.ended_at) == (STARTED_AT, HANGUP.at)
    assert (manifest.duration_samples, manifest.rate_hz, manifest.encoding) == (24_000, 8000, 1)
    assert (manifest.business_type, manifest.retention_class) == ("sales", "sales-long")
    assert (manifest.stores, manifest.software) == (("primary",), "callseal/0.0.0")
    assert (manifest.result, manifest.reasons) == (Result.OK, ())
    assert manifest.recipients == (fingerprint(CLASSIC.recipient),)
    assert [item.kind for item in manifest.objects] == ["audio", "call"]


def test_every_recipient_can_open_and_nobody_else(tmp_path: Path) -> None:
    daily, offline, stranger = (HybridIdentity(seed=bytes([number]) * 32) for number in range(3))

    with recording_desk(tmp_path / "spool", recipients(daily, offline)) as desk:
        record_call(desk)
        (folder,) = desk.ready()

    assert open_bundle(folder, daily).inner == open_bundle(folder, offline).inner
    with pytest.raises(NoIdentityMatch):
        open_bundle(folder, stranger)


def test_the_metadata_carries_call_announcement_checks_and_result(desk: Desk) -> None:
    record_call(desk, call=CALL, events=(answered(), TOLD))

    (folder,) = desk.ready()
    opened = open_bundle(folder)
    (call,) = bodies(opened.vcon, "analysis", "type", "call")
    (checks,) = bodies(opened.vcon, "analysis", "type", "checks")
    (told,) = bodies(opened.vcon, "attachments", "purpose", "disclosure")

    assert opened.vcon["uuid"] == folder.name
    assert (call["result"], call["ending"], call["ended_by"]) == ("ok", "hangup", "customer")
    assert (checks["outcome"], checks["reasons"]) == ("pass", [])
    assert (told["announcement"], told["complete"]) == ("zh", True)


def test_no_plaintext_is_in_the_spool_while_recording_or_afterwards(desk: Desk) -> None:
    marker = b"CALLSEAL PLAINTEXT MARKER %06d "
    sound = b"".join(marker % number for number in range(12_000))
    frames = np.frombuffer(sound[: len(sound) // 2 * 2], np.uint8).reshape(-1, 2)
    secrets = (b"PLAINTEXT MARKER", CUSTOMER_NUMBER[1:].encode(), CUSTOMER_NAME.encode(), b".snd")
    recording = desk.recorder.open(QUIET, ULAW)
    seen: list[dict[str, bytes]] = []

    for start in range(0, frames.shape[0], 20_000):
        desk.clock.elapsed_s += 2.5
        desk.recorder.write(block(recording, start, frames[start : start + 20_000]))
        seen.append(_files(desk.spool.root))
    desk.recorder.event(recording, answered())
    seen.append(_files(desk.spool.root))
    desk.recorder.close(recording, HANGUP)
    seen.append(_files(desk.spool.root))

    grown = [files[f"open/{recording}/audio.age"] for files in seen[:-1]]
    assert len(grown[-1]) > 5 * 65_536
    for files in seen:
        assert not [name for name, data in files.items() for secret in secrets if secret in data]
    (folder,) = desk.ready()
    assert secrets[0] in open_bundle(folder).inner


def test_the_sound_reaches_the_disk_while_the_call_runs(desk: Desk) -> None:
    recording = desk.recorder.open(QUIET, PCM16)
    path = desk.spool.root / "open" / str(recording) / "audio.age"
    header_bytes = path.stat().st_size

    desk.recorder.write(block(recording, 0, talk(5 * RATE_HZ)))

    # 5 s of linear stereo are 160,000 bytes: two whole chunks of 64 KiB.
    assert path.stat().st_size == header_bytes + 2 * (65_536 + 16)


def test_the_chunk_that_is_not_full_is_kept_safe_as_often_as_the_settings_say(tmp_path: Path) -> None:
    with recording_desk(tmp_path / "spool", flush_s=0.5) as desk:
        recording = desk.recorder.open(QUIET, PCM16)
        tail = desk.spool.root / "open" / str(recording) / "tail"
        kept = []

        for step in range(20):
            desk.clock.elapsed_s += 0.1
            desk.recorder.write(block(recording, step * 800, talk(800)))
            kept.append(len(read_slots(tail.read_bytes())) and read_slots(tail.read_bytes())[0].number)

    assert kept == [0] * 4 + [1] * 5 + [2] * 5 + [3] * 5 + [4]


def test_a_source_that_falls_silent_loses_nothing_that_it_had_said(tmp_path: Path) -> None:
    """Between two deliveries the clock alone makes safe what has come."""
    with recording_desk(tmp_path / "spool", flush_s=0.5) as desk:
        recording = desk.recorder.open(QUIET, PCM16)
        desk.recorder.write(block(recording, 0, talk(800)))
        tail = desk.spool.root / "open" / str(recording) / "tail"
        before = read_slots(tail.read_bytes())
        desk.clock.elapsed_s += 0.5

        desk.recorder.tick()

        assert before == ()
        assert [slot.number for slot in read_slots(tail.read_bytes())] == [1]


def test_the_metadata_is_in_the_spool_from_the_beginning_and_follows_every_event(desk: Desk) -> None:
    recording = desk.recorder.open(CALL, ULAW)
    path = desk.spool.root / "open" / str(recording) / "call.vcon.age"
    opened, _ = open_vcon(unsealed(path))

    desk.recorder.event(recording, TOLD)
    followed, _ = open_vcon(unsealed(path))

    assert bodies(opened, "analysis", "type", "call")[0]["result"] == "recording"
    assert bodies(opened, "attachments", "purpose", "disclosure") == []
    assert len(bodies(followed, "attachments", "purpose", "disclosure")) == 1


@pytest.mark.parametrize("form", [ULAW, ALAW, PCM16], ids=lambda form: form.encoding.name)
def test_a_gap_is_filled_with_silence_so_that_what_follows_keeps_its_place(
    desk: Desk, form: AudioFormat
) -> None:
    first, second = coded(talk(1000, 1), form), coded(talk(500, 2), form)
    recording = desk.recorder.open(QUIET, form)

    desk.recorder.write(block(recording, 700, first))
    desk.recorder.write(block(recording, 2000, second))
    desk.recorder.close(recording, HANGUP)

    (folder,) = desk.ready()
    opened = open_bundle(folder)
    silence = 0 if form.encoding.law is None else g711.silence(form.encoding.law)
    assert opened.manifest.duration_samples == 2500
    assert np.all(opened.frames[:700] == silence)
    assert np.array_equal(opened.frames[700:1700], first)
    assert np.all(opened.frames[1700:2000] == silence)
    assert np.array_equal(opened.frames[2000:], second)


def test_a_step_back_and_a_leap_ahead_are_refused_and_harm_nothing(desk: Desk) -> None:
    frames = coded(talk(1000), ULAW)
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.write(block(recording, 0, frames))

    for start in (0, 999, -1, 1001 + MAX_GAP_S * RATE_HZ):
        with pytest.raises(RecorderError, match="1000 is the next"):
            desk.recorder.write(block(recording, start, frames))
    desk.recorder.write(block(recording, 1000, frames))
    desk.recorder.close(recording, HANGUP)

    (folder,) = desk.ready()
    assert np.array_equal(open_bundle(folder).frames, np.concatenate([frames, frames]))


@pytest.mark.parametrize(("form", "other"), [(ULAW, PCM16), (PCM16, ULAW)])
def test_samples_of_another_format_are_refused_and_harm_nothing(
    desk: Desk, form: AudioFormat, other: AudioFormat
) -> None:
    recording = desk.recorder.open(QUIET, form)

    with pytest.raises(RecorderError, match="samples are"):
        desk.recorder.write(block(recording, 0, coded(talk(100), other)))
    desk.recorder.write(block(recording, 0, coded(talk(100), form)))
    desk.recorder.close(recording, HANGUP)

    (folder,) = desk.ready()
    assert np.array_equal(open_bundle(folder).frames, coded(talk(100), form))


def test_a_recording_that_is_not_open_takes_nothing(desk: Desk) -> None:
    stranger = UUID("019a1ff8-e9d7-79c9-9dd8-dd37220d739c")
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.close(recording, HANGUP)

    for number in (stranger, recording):
        with pytest.raises(RecorderError, match="not open"):
            desk.recorder.write(block(number, 0, coded(talk(10), ULAW)))
        with pytest.raises(RecorderError, match="not open"):
            desk.recorder.event(number, answered())
        with pytest.raises(RecorderError, match="not open"):
            desk.recorder.close(number, HANGUP)
        with pytest.raises(RecorderError, match="not open"):
            desk.recorder.discard(number, HANGUP)


def test_several_calls_at_once_do_not_mix(desk: Desk) -> None:
    frames = [coded(talk(4000, seed), ULAW) for seed in range(3)]
    recordings = [desk.recorder.open(QUIET, ULAW) for _ in frames]
    bank = Block(
        recordings=tuple(recordings),
        start_samples=np.zeros(3, np.int64),
        payload=np.stack(frames).astype(np.uint8),
        present=np.ones((3, 2, 50), np.bool_),
    )

    desk.recorder.write(bank)
    for recording in reversed(recordings):
        desk.recorder.close(recording, HANGUP)

    found = {folder.name: open_bundle(folder).frames for folder in desk.ready()}
    for recording, expected in zip(recordings, frames, strict=True):
        assert np.array_equal(found[str(recording)], expected)


def test_a_call_without_a_single_sample_is_still_a_whole_recording(desk: Desk) -> None:
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.close(recording, HANGUP)

    (folder,) = desk.ready()
    opened = open_bundle(folder)

    assert opened.inner == bytes(au.AuHeader(encoding=Encoding.ULAW, rate_hz=RATE_HZ, channels=2))
    assert opened.manifest.duration_samples == 0

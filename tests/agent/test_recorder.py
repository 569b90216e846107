"""The recorder: what a source hands in lies in the spool sealed, signed and whole, and nowhere else."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from callseal.agent.call import (
    AudioFormat,
    Block,
    Call,
    Disclosure,
    DisclosureFailed,
    Ending,
    EndReason,
    Event,
    MediaLost,
    Party,
    Recorder,
)
from callseal.agent.errors import RecorderError
from callseal.agent.recorder import MAX_GAP_S
from callseal.codecs import au, g711
from callseal.codecs.au import Encoding
from callseal.seal.age import HybridIdentity, X25519Identity, fingerprint
from callseal.seal.errors import NoIdentityMatch
from callseal.seal.manifest import Direction, Origin, Result
from callseal.seal.reasons import REASONS
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
    open_bundle,
    recipients,
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


def _coded(samples: NDArray[np.int16], form: AudioFormat) -> "NDArray[np.uint8] | NDArray[np.int16]":
    law = form.encoding.law
    return samples if law is None else g711.encode(samples, law)


def _record(
    desk: Desk,
    form: AudioFormat = ULAW,
    *,
    call: Call = QUIET,
    samples: NDArray[np.int16] | None = None,
    events: tuple[Event, ...] = (answered(),),
    end: EndReason = HANGUP,
) -> "NDArray[np.uint8] | NDArray[np.int16]":
    """Record a whole call in blocks of a quarter second; gives its frames."""
    frames = _coded(talk(3 * RATE_HZ) if samples is None else samples, form)
    recording = desk.recorder.open(call, form)
    for event in events:
        desk.recorder.event(recording, event)
    for start in range(0, frames.shape[0], 2000):
        desk.clock.elapsed_s += 0.25
        desk.recorder.write(block(recording, start, frames[start : start + 2000]))
    desk.recorder.close(recording, end)
    return frames


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
        frames = _record(desk, form)
        (folder,) = desk.ready()

    report = verify_recording(LocalFolder(folder), LocalFolder(folder).prefix, OWNER.trust)
    opened = open_bundle(folder, identity)

    assert report.ok, report.findings
    assert desk.results == [Result.OK]
    assert desk.alarms == []
    assert opened.inner[: au.HEADER_BYTES] == bytes(
        au.AuHeader(encoding=form.encoding, rate_hz=RATE_HZ, channels=2)
    )
    assert np.array_equal(opened.frames, frames)


def test_the_manifest_says_what_the_recording_is(desk: Desk) -> None:
    _record(desk)

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
        _record(desk)
        (folder,) = desk.ready()

    assert open_bundle(folder, daily).inner == open_bundle(folder, offline).inner
    with pytest.raises(NoIdentityMatch):
        open_bundle(folder, stranger)


def test_the_metadata_carries_call_announcement_checks_and_result(desk: Desk) -> None:
    _record(desk, call=CALL, events=(answered(), TOLD))

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


def test_what_was_written_is_made_durable_as_often_as_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[float] = []
    with recording_desk(tmp_path / "spool", flush_s=0.5) as desk:
        monkeypatch.setattr(os, "fdatasync", lambda _fd: synced.append(desk.clock.elapsed_s))

        _record(desk, samples=talk(2 * RATE_HZ))

    assert synced == [0.5, 1.0, 1.5, 2.0]


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
    first, second = _coded(talk(1000, 1), form), _coded(talk(500, 2), form)
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
    frames = _coded(talk(1000), ULAW)
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
        desk.recorder.write(block(recording, 0, _coded(talk(100), other)))
    desk.recorder.write(block(recording, 0, _coded(talk(100), form)))
    desk.recorder.close(recording, HANGUP)

    (folder,) = desk.ready()
    assert np.array_equal(open_bundle(folder).frames, _coded(talk(100), form))


def test_a_recording_that_is_not_open_takes_nothing(desk: Desk) -> None:
    stranger = UUID("019a1ff8-e9d7-79c9-9dd8-dd37220d739c")
    recording = desk.recorder.open(QUIET, ULAW)
    desk.recorder.close(recording, HANGUP)

    for number in (stranger, recording):
        with pytest.raises(RecorderError, match="not open"):
            desk.recorder.write(block(number, 0, _coded(talk(10), ULAW)))
        with pytest.raises(RecorderError, match="not open"):
            desk.recorder.event(number, answered())
        with pytest.raises(RecorderError, match="not open"):
            desk.recorder.close(number, HANGUP)
        with pytest.raises(RecorderError, match="not open"):
            desk.recorder.discard(number, HANGUP)


def test_several_calls_at_once_do_not_mix(desk: Desk) -> None:
    frames = [_coded(talk(4000, seed), ULAW) for seed in range(3)]
    recordings = [desk.recorder.open(QUIET, ULAW) for _ in frames]
    payload: NDArray[np.uint8] = np.stack(frames).astype(np.uint8)
    bank = Block(
        recordings=tuple(recordings),
        start_samples=np.zeros(3, np.int64),
        payload=payload,
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


# --- results ----------------------------------------------------------------------------------------


def _outcome(desk: Desk) -> tuple[Result, tuple[str, ...]]:
    (folder,) = desk.ready()
    manifest = open_bundle(folder).manifest
    assert desk.results == [manifest.result]
    assert set(manifest.reasons) <= set(REASONS)
    (call,) = bodies(open_bundle(folder).vcon, "analysis", "type", "call")
    assert (call["result"], call["reasons"]) == (manifest.result.value, list(manifest.reasons))
    return manifest.result, manifest.reasons


def test_a_call_that_was_announced_as_due_is_ok(desk: Desk) -> None:
    _record(desk, call=CALL, events=(answered(), TOLD))

    assert _outcome(desk) == (Result.OK, ())


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((answered(),), "disclosure-missing"),
        (
            (answered(), replace(TOLD, start_samples=None, end_samples=None, complete=False, heard_by=())),
            "disclosure-missing",
        ),
        ((answered(), replace(TOLD, complete=False)), "disclosure-incomplete"),
        ((answered(), replace(TOLD, heard_by=("agent",))), "disclosure-incomplete"),
        ((answered(), replace(TOLD, name="en")), "disclosure-incomplete"),
        ((answered(), DisclosureFailed(detail="no player")), "disclosure-failed"),
    ],
)
def test_a_call_whose_announcement_was_not_heard_whole_by_both_is_degraded(
    desk: Desk, events: tuple[Event, ...], reason: str
) -> None:
    _record(desk, call=CALL, events=events)

    assert _outcome(desk) == (Result.DEGRADED, (reason,))


def test_every_announcement_that_is_due_must_have_been_heard(desk: Desk) -> None:
    both = replace(CALL, announcements=("zh", "en"))

    _record(desk, call=both, events=(answered(), TOLD))

    assert _outcome(desk) == (Result.DEGRADED, ("disclosure-incomplete",))


def test_a_call_that_nobody_answered_owes_no_announcement_and_is_ok(desk: Desk) -> None:
    end = EndReason(ending=Ending.BUSY, at=HANGUP.at, reasons=("unanswered-busy",))

    _record(desk, call=CALL, events=(), end=end)

    assert _outcome(desk) == (Result.OK, ("unanswered-busy",))


def test_lost_sound_degrades_a_recording(desk: Desk) -> None:
    _record(desk, events=(answered(), MediaLost(position_samples=5, detail="x")))

    assert _outcome(desk) == (Result.DEGRADED, ("media-lost",))


def test_what_the_source_says_of_the_end_degrades_a_recording(desk: Desk) -> None:
    end = EndReason(ending=Ending.SOURCE_DIED, at=HANGUP.at, reasons=("bridge-died", "bridge-died"))

    _record(desk, end=end)

    assert _outcome(desk) == (Result.DEGRADED, ("bridge-died",))


def test_what_the_checks_find_degrades_a_recording(desk: Desk) -> None:
    samples = talk(12 * RATE_HZ)
    samples[:, 1] = 0

    _record(desk, samples=samples)

    assert _outcome(desk) == (Result.DEGRADED, ("silent-customer",))


@pytest.mark.parametrize("law", g711.Law)
@pytest.mark.parametrize("linear", [False, True])
def test_clipping_is_found_also_where_two_laws_were_recorded_as_linear_samples(
    desk: Desk, law: g711.Law, *, linear: bool
) -> None:
    loud = talk(3 * RATE_HZ)
    loud[:, 0] *= np.int16(8)
    loud[:200, 0] = 32767
    received = g711.encode(loud, law)
    form = PCM16 if linear else ULAW if law is g711.Law.MU else ALAW

    _record(desk, form, samples=g711.decode(received, law))

    assert _outcome(desk) == (Result.DEGRADED, ("clipped-agent",))


def test_before_the_answer_and_during_the_announcement_nothing_is_judged(desk: Desk) -> None:
    samples = talk(6 * RATE_HZ)
    samples[: 4 * RATE_HZ] = 32767
    told = replace(TOLD, start_samples=RATE_HZ, end_samples=4 * RATE_HZ)

    _record(desk, call=CALL, samples=samples, events=(answered(RATE_HZ), told))

    assert _outcome(desk) == (Result.OK, ())


def test_half_a_second_of_silence_is_no_quiet_call(desk: Desk) -> None:
    _record(desk, samples=np.ones((4000, 2), np.int16))

    assert _outcome(desk) == (Result.OK, ())
    (checks,) = bodies(open_bundle(desk.ready()[0]).vcon, "analysis", "type", "checks")
    assert checks["outcome"] == "not-checked"


def test_the_recording_begins_when_its_first_sample_was_spoken(desk: Desk) -> None:
    taken = replace(answered(), at=STARTED_AT + timedelta(seconds=20), position_samples=2 * RATE_HZ)

    _record(desk, events=(taken,))

    dialog = open_bundle(desk.ready()[0]).vcon["dialog"]
    assert isinstance(dialog, list)
    assert isinstance(dialog[0], dict)
    assert dialog[0]["start"] == "2026-11-21T23:58:48.250Z"
    assert dialog[0]["duration"] == 3.0


def test_a_clock_that_was_set_back_during_the_call_does_not_break_the_bundle(desk: Desk) -> None:
    _record(desk, end=replace(HANGUP, at=STARTED_AT - timedelta(hours=1)))

    manifest = open_bundle(desk.ready()[0]).manifest
    assert manifest.ended_at == manifest.started_at


# --- calls without audio ----------------------------------------------------------------------------


def test_a_call_that_is_not_recorded_leaves_a_signed_trace_with_the_reason(desk: Desk) -> None:
    end = replace(HANGUP, reasons=("emergency",))

    recording = desk.recorder.exempt(CALL, end)

    (folder,) = desk.ready()
    opened = open_bundle(folder)
    report = verify_recording(LocalFolder(folder), LocalFolder(folder).prefix, OWNER.trust)
    assert folder.name == str(recording)
    assert report.ok
    assert _outcome(desk) == (Result.EXEMPT, ("emergency",))
    assert [item.kind for item in opened.manifest.objects] == ["call"]
    assert (opened.manifest.duration_samples, opened.manifest.rate_hz) == (0, None)
    assert opened.manifest.encoding is None
    assert bodies(opened.vcon, "analysis", "type", "checks") == []


def test_a_discarded_recording_leaves_no_audio_anywhere(desk: Desk) -> None:
    recording = desk.recorder.open(QUIET, PCM16)
    desk.recorder.write(block(recording, 0, talk(10 * RATE_HZ)))
    audio = desk.spool.root / "open" / str(recording) / "audio.age"
    assert audio.stat().st_size > 4 * 65_536

    desk.recorder.discard(recording, replace(HANGUP, reasons=("refused",)))

    (folder,) = desk.ready()
    opened = open_bundle(folder)
    assert _outcome(desk) == (Result.EXEMPT, ("refused",))
    assert [item.kind for item in opened.manifest.objects] == ["call"]
    assert (opened.manifest.duration_samples, opened.manifest.rate_hz) == (0, None)
    assert max(len(data) for data in _files(desk.spool.root).values()) < 20_000
    assert desk.alarms == []


def test_two_calls_never_share_an_id(desk: Desk) -> None:
    recordings = [desk.recorder.exempt(CALL, HANGUP) for _ in range(20)]

    assert len(set(recordings)) == 20
    assert len(desk.ready()) == 20


def test_names_that_can_not_be_written_are_alarmed_and_do_not_stop_the_sound(desk: Desk) -> None:
    """Half a surrogate pair has no UTF-8: the metadata can't be signed, and the sound is kept."""
    broken = replace(QUIET, customer=Party(number="", name="\udcc4"))
    recording = desk.recorder.open(broken, ULAW)
    desk.recorder.write(block(recording, 0, _coded(talk(40_000), ULAW)))
    desk.recorder.event(recording, answered())

    desk.recorder.close(recording, HANGUP)

    assert {code for code, _ in desk.alarms} == {"write-failed"}
    assert desk.results == [Result.FAILED]
    audio = unsealed(desk.spool.root / "open" / str(recording) / "audio.age")
    assert len(audio) == au.HEADER_BYTES + 80_000

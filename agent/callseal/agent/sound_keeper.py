"""Keeps the sound of recordings: brings it to their disks, and goes on elsewhere where a disk refuses.

Shell: it writes the spools. A disk that refuses does not stop a call: it gets nothing more to keep, an alarm
is raised at once, and the call goes on as another recording in the next spool, with what the first disk never
confirmed. Nothing here raises SpoolError.
"""

import contextlib
from collections.abc import Callable, Mapping
from uuid import UUID

import structlog

from callseal.agent.binding import Binder, Policy
from callseal.agent.call import AudioFormat
from callseal.agent.opener import WRITE_FAILED, Opener
from callseal.agent.recording import Recording, frames_before, frames_of, silence
from callseal.agent.spools import Spools
from callseal.codecs import au
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Spool
from callseal.seal.writer import Buffer, Rescue, SealedFile, SealedObject, Staged

log = structlog.get_logger("callseal.recorder")


class SoundKeeper:
    """Writes the inner files of recordings."""

    def __init__(
        self,
        *,
        spools: Spools,
        opener: Opener,
        binder: Binder,
        policy: Policy,
        alarm: Callable[[str, str], None],
    ) -> None:
        """`alarm` takes a code and words."""
        self._spools = spools
        self._opener = opener
        self._binder = binder
        self._policy = policy
        self._alarm = alarm
        self._staged: dict[SealedFile, tuple[Spool, Staged]] = {}

    def append_silence(self, entry: Recording, samples: int) -> None:
        """Measure silence, and write it."""
        if entry.format is not None:
            frames = silence(entry.format, samples)
            entry.measure(frames)
            entry.ahead = b""
            self.append(entry, au.to_bytes(frames))

    def append(self, entry: Recording, inner: Buffer) -> None:
        """Write on in a recording's inner file; what is ahead is known already."""
        if entry.writer is None or entry.broken or not len(inner):
            return
        try:
            entry.writer.write(inner)
        except SpoolError as error:
            self.disk_failed(entry, error)

    @property
    def patience_s(self) -> float:
        """How long what has come now may have to wait: blocks of a bank are as far apart as its flushes.

        One that came a little early would have to wait for the next, and be two blocks old by then.
        """
        return self._policy.flush_s / 2 if self._policy.banked else self._policy.flush_s

    def flush_if_due(self, entry: Recording, now_s: float, after_s: float) -> None:
        """Make safe what has come, `after_s` after the last time."""
        if now_s - entry.flushed_s < after_s or entry.writer is None or entry.broken:
            return
        if not entry.is_unsafe:
            return
        entry.flushed_s, entry.is_unsafe = now_s, False
        try:
            if self._policy.banked:
                self._staged[entry.writer] = entry.spool, entry.writer.stage(entry.ahead)
            else:
                entry.writer.flush(entry.ahead)
        except SpoolError as error:
            self.disk_failed(entry, error)

    def finish(self, entry: Recording) -> SealedObject | None:
        """Close the sealed file; where its disk refuses, another one is tried once. None if all refuse.

        What might have changed still, and has not come again, is as it is now.
        """
        if entry.ahead and entry.format is not None:
            last, entry.ahead = entry.ahead, b""
            entry.measure(frames_of(entry.format, last))
            self.append(entry, last)
        for _ in self._spools.all:
            if entry.writer is None or entry.broken:
                return None
            try:
                return entry.writer.close()
            except SpoolError as error:
                self.disk_failed(entry, error)
        return None

    # --- a bank -------------------------------------------------------------------------------------

    def staged(self, spool: Spool) -> Mapping[SealedFile, Staged]:
        """Return how far the recordings in a spool have come: what a sync that begins now will make safe."""
        return {writer: how_far for writer, (where, how_far) in self._staged.items() if where is spool}

    def synced(self, staged: Mapping[SealedFile, Staged]) -> None:
        """Note that a sync of all that was staged has ended well."""
        for writer, how_far in staged.items():
            if writer in self._staged:
                writer.synced(how_far)

    def unstage(self, entry: Recording) -> None:
        """No longer have a recording synced with the others."""
        if entry.writer is not None:
            self._staged.pop(entry.writer, None)

    # --- a disk that fails --------------------------------------------------------------------------

    def disk_failed(self, entry: Recording, error: SpoolError) -> None:
        """Leave a recording whose disk refused as it is, say so, and go on in another spool if any is."""
        log.error("recording.write.failed", recording=str(entry.id), detail=str(error))
        self._alarm(WRITE_FAILED, f"recording {entry.id}: {error}")
        self._spools.distrust(entry.spool, error)
        entry.broken = True
        if entry.writer is None or entry.format is None:
            return
        entry.writer.abandon()
        self.unstage(entry)
        for spool in self._spools.usable(other_than=entry.spool):
            recording = self._opener.new_id()
            try:
                self._go_on(entry, entry.format, entry.writer.rescue(), spool, recording)
            except SpoolError as second:
                self._opener.note_failed(recording)
                # Some of the sound may lie there: whoever destroys the call's sound means that too.
                entry.earlier = (*entry.earlier, recording)
                log.error("recording.go-on.failed", recording=str(entry.id), detail=str(second))  # noqa: TRY400
                self._alarm(WRITE_FAILED, f"recording {entry.id}: {second}")
                self._spools.distrust(spool, second)
            else:
                return

    def _go_on(
        self, entry: Recording, form: AudioFormat, rescue: Rescue, spool: Spool, recording: UUID
    ) -> None:
        """Turn a broken recording into one that goes on in another spool; its sources notice nothing."""
        first = entry.first_sample + frames_before(form, rescue.start_bytes)
        fresh = self._opener.open_in(spool, recording, entry.call, form, going_on=entry, first_sample=first)
        inner = rescue.plaintext[au.HEADER_BYTES :] if rescue.start_bytes == 0 else rescue.plaintext
        fresh.measure_first(frames_of(form, inner))
        fresh.events = entry.events
        with contextlib.ExitStack() as undo:
            if fresh.writer is not None:
                undo.callback(fresh.writer.abandon)
                fresh.writer.write(inner)
                fresh.writer.flush(entry.ahead)
            self._binder.save_metadata(fresh)
            fresh.described = True
            undo.pop_all()
        self._opener.note_failed(entry.id)
        log.warning("recording.goes-on", recording=str(entry.id), as_=str(fresh.id), spool=str(spool.root))
        entry.go_on_as(fresh)

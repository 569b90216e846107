"""Opens recordings: each in the first spool that takes it.

Shell: it writes spool and ledger. The ledger is told before anything of a call is on a disk, and of every
recording that came to nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from callseal.agent.binding import Binder, Policy
from callseal.agent.call import AudioFormat, Call
from callseal.agent.chronicle import Ledger
from callseal.agent.recording import Recording, inner_header, new_meter
from callseal.agent.spools import Spools
from callseal.seal.age import Recipient
from callseal.seal.errors import SpoolError
from callseal.seal.ledger.entry import Kind
from callseal.seal.manifest import Result
from callseal.seal.spool import Spool
from callseal.seal.state import Purpose
from callseal.seal.uuid7 import uuid7
from callseal.seal.writer import SealedFile

WRITE_FAILED: Final = "write-failed"
"""The reason, and the alarm, of a recording whose disk refused."""

log = structlog.get_logger("callseal.recorder")


class Opener:
    """Begins recordings in the spools of a device."""

    def __init__(
        self,
        *,
        spools: Spools,
        ledger: Ledger,
        binder: Binder,
        recipients: Sequence[Recipient],
        policy: Policy,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        random: Callable[[int], bytes],
        alarm: Callable[[str, str], None],
    ) -> None:
        """`alarm` takes a code and words."""
        self._spools = spools
        self._ledger = ledger
        self._binder = binder
        self._recipients = tuple(recipients)
        self._policy = policy
        self._now = now
        self._monotonic = monotonic
        self._random = random
        self._alarm = alarm

    def open(self, call: Call, form: AudioFormat | None, *, reasons: Sequence[str] = ()) -> Recording:
        """Begin in the first spool that takes it; SpoolError if none does. Without a `form`, no sound."""
        refused: SpoolError | None = None
        for spool in self._spools.usable(with_sound=form is not None):
            recording = self.new_id()
            try:
                return self.open_in(spool, recording, call, form, reasons=reasons)
            except SpoolError as error:
                if form is not None:
                    self.note_failed(recording)
                log.error("recording.begin.failed", spool=str(spool.root), detail=str(error))  # noqa: TRY400
                self._alarm(WRITE_FAILED, f"{spool.root}: {error}")
                self._spools.distrust(spool, error)
                refused = error
        raise refused or SpoolError("no spool takes a recording: each is full, or its disk has failed")

    def new_id(self) -> UUID:
        """Give an id that no recording has."""
        return uuid7(int(self._now().timestamp() * 1000), self._random(10))

    def open_in(
        self,
        spool: Spool,
        recording: UUID,
        call: Call,
        form: AudioFormat | None,
        *,
        reasons: Sequence[str] = (),
        going_on: Recording | None = None,
        first_sample: int = 0,
    ) -> Recording:
        """Begin in this spool; SpoolError if it does not take it.

        `going_on` is the recording of the same call that ends before its sample `first_sample`.
        """
        if form is not None:
            # Before anything of the call is on the disk: who takes away the rest can't take away this.
            self._ledger.note(Kind.OPENED, recording=recording)
        entry = Recording(
            id=recording,
            spool=spool,
            bundle=spool.begin(recording),
            call=call,
            opened_at=self._now() if going_on is None else going_on.time_of(first_sample),
            format=form,
            samples=first_sample,
            first_sample=first_sample,
            flushed_s=self._monotonic(),
            continues=None if going_on is None else going_on.place_of(first_sample),
        )
        self._binder.put_state(entry, Purpose.RECORD if form else Purpose.DISCARD, reasons)
        if form is not None:
            entry.meter = new_meter(form)
            entry.writer = SealedFile(
                entry.bundle.audio_path,
                self._recipients,
                banked=self._policy.banked,
                ahead_bytes=self._policy.ahead_bytes(form),
            )
            entry.writer.write(inner_header(form))
        return entry

    def note_failed(self, recording: UUID, reasons: tuple[str, ...] = (WRITE_FAILED,)) -> None:
        """Tell the ledger that a recording came to nothing, or goes no further."""
        self._ledger.note(Kind.FAILED, recording=recording, result=Result.FAILED.value, reasons=reasons)

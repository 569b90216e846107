"""A desk's spool that fills up: recordings of any size, signed by its device and told in its ledger.

What comes after the agent (uploader, stores, custodian) never opens an object: their content is random
bytes. The clock is the real one: a custodian compares a device's times with its own.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from callseal.seal.ledger import Kind, system_clocks
from callseal.seal.manifest import Manifest, Result, sign
from callseal.seal.spool import Spool
from callseal.seal.uuid7 import uuid7
from support.chronicles import chronicle
from support.sealed_recordings import Organisation, manifest_of, sealed_object

CALL_SIZE_BYTES: Final = 1500


def _utc_now() -> datetime:
    return datetime.now(UTC)


class FilledSpool:
    """A spool, and the agent's part in it; its lock is held while the context lasts."""

    def __init__(
        self,
        root: Path,
        owner: Organisation,
        chance: random.Random,
        *,
        stores: Sequence[str] = ("primary",),
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.spool: Final = Spool.create(root)
        self.owner: Final = owner
        self.manifests: Final[dict[UUID, Manifest]] = {}
        self._chance = chance
        self._stores = tuple(stores)
        self._now = now
        self._ledger = chronicle([self.spool.ledger_path], owner.device_key, system_clocks)
        self._locks = ExitStack()

    def __enter__(self) -> Self:
        self._locks.enter_context(self.spool.lock())
        self._ledger.started("callseal/0.0.0", bytes(32), self.owner.chain)
        return self

    def __exit__(self, *_reason: object) -> None:
        self._ledger.stopped(0)
        self._locks.close()

    def record(self, size_bytes: int, stores: Sequence[str] = ()) -> UUID:
        """Leave one more recording in ``ready/``, whose sealed sound has this size.

        It is meant for `stores`, or for those of the spool if none is named.
        """
        at = self._now()
        recording = uuid7(int(at.timestamp() * 1000), self._chance.randbytes(10))
        audio, call = self._chance.randbytes(size_bytes), self._chance.randbytes(CALL_SIZE_BYTES)
        self._ledger.note(Kind.OPENED, recording=recording)
        bundle = self.spool.begin(recording)
        bundle.audio_path.write_bytes(audio)
        bundle.put_vcon(call)
        manifest = replace(
            manifest_of(self.owner, sealed_object("audio", audio), sealed_object("call", call)),
            id=recording,
            started_at=at,
            ended_at=at + timedelta(seconds=1),
            stores=tuple(stores) or self._stores,
            ledger=self._ledger.place,
        )
        data = manifest.to_bytes()
        bundle.bind(manifest, sign(data, self.owner.device_key))
        sha256 = hashlib.sha256(data).digest()
        self._ledger.note(Kind.CLOSED, recording=recording, manifest=sha256, result=Result.OK.value)
        bundle.release()
        self.manifests[recording] = manifest
        return recording

    def publish(self) -> None:
        """Put the newest entries under a checkpoint, for the uploader to send."""
        self._ledger.publish()

"""Sends one recording to one store, and leaves a durable marker once the store has all of it.

Conventions: sending is idempotent: whatever was done before, doing it again ends in the same place. The
marker ``sent/<store>/<id>.json`` is written after the last put has returned, whole or not at all; it is
our own note that nothing is left to send, and no proof of anything: nothing is ever deleted on its word.
The bundle's signature is not checked here; a bundle that was altered is sent as it is, and found centrally.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from callseal.seal import durable
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import ManifestError, SpoolError
from callseal.seal.fields import JsonValue, write_object
from callseal.seal.manifest import parse
from callseal.seal.spool import Bundle, Spool
from callseal.seal.timestamp import write_time
from callseal.store.errors import SourceAltered
from callseal.store.interface import StoreWriter
from callseal.uploader.errors import BundleBroken, UploadError
from callseal.uploader.plan import plan_puts

MARKER_TYPE: Final = "callseal-sent/1"

_STORE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A configured store: its name, and what writes to it."""

    name: str
    writer: StoreWriter

    def __post_init__(self) -> None:
        if _STORE_PATTERN.fullmatch(self.name) is None:
            raise UploadError("a store's name is lower-case letters, digits and . _ -")


def marker_path(spool: Spool, store: str, recording: UUID) -> Path:
    """Return where the marker of a recording that `store` has taken lies."""
    return spool.sent_path(store) / f"{recording}.json"


def is_sent(spool: Spool, store: str, recording: UUID) -> bool:
    """Tell whether the marker is there; SpoolError if the disk does not say."""
    path = marker_path(spool, store, recording)
    try:
        return path.exists()
    except OSError as problem:
        raise SpoolError(f"{path}: {problem.strerror}") from problem


def send(spool: Spool, bundle: Bundle, target: Target, *, now: datetime, step: Step = no_step) -> None:
    """Put every object of a recording, the manifest last, then write the marker.

    Raises BundleBroken for a bundle that can't be sent as it is, SpoolError, and what the store raises:
    StoreUnreachable (try later) or StoreRefused (a person must look).
    """
    try:
        manifest_bytes, signature = bundle.manifest_bytes(), bundle.signature()
        manifest = parse(manifest_bytes)
    except (SpoolError, ManifestError) as problem:
        raise BundleBroken(f"{bundle.path}: {problem}") from problem
    if manifest.id != bundle.id:
        raise BundleBroken(f"{bundle.path}: holds the manifest of another recording")
    versions: list[JsonValue] = []
    for put in plan_puts(manifest, manifest_bytes, signature):
        step(f"put {put.file}")
        try:
            version = target.writer.put(put.name, bundle.path / put.file, put.sha256)
        except SourceAltered as problem:
            raise BundleBroken(f"{bundle.path}: {problem}") from problem
        versions.append({"name": put.name, "version": version, "sha256": put.sha256.hex()})
    marker: dict[str, JsonValue] = {
        "type": MARKER_TYPE,
        "id": str(bundle.id),
        "store": target.name,
        "sent_at": write_time(now),
        "objects": versions,
    }
    path = marker_path(spool, target.name, bundle.id)
    step("write marker")
    try:
        durable.replace_file(path, write_object(marker))
    except OSError as problem:
        raise SpoolError(f"{path}: the disk refused: {problem.strerror}") from problem

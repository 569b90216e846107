"""Which recordings belong to one conversation, also when this process was not there for all of it.

A gateway goes on with a call after the recorder was started anew: it sends a re-INVITE of a dialog that
nobody here remembers. And a transfer may come as the end of one recording session and the beginning of
another. Both are found again here.

What is remembered lies in small files, one a running dialog, so that a process that dies leaves behind what
the next one needs. They hold ids of recordings and keyed hashes, no number and no name; the key lies beside
them, so it keeps no secret from who may read the spool, but the hashes of two spools can't be compared. They
are our own notes and no proof: what they led to stands in the signed metadata.

Shell: files. Several threads may write and ask at the same time.

Conventions: times are seconds of the wall clock, given by the caller; files are written without being synced,
since after a power cut the gateway has given the call up.
"""

import hashlib
import hmac
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from uuid import UUID

from callseal.agent.sip.events import DialogId
from callseal.seal.durable import FILE_MODE, write_all

MAX_CONVERSATIONS: Final = 50_000
"""Keys that are remembered at most: a day of a thousand seats."""
REMEMBER_S: Final = 4 * 3600.0
"""How long after it was last seen a conversation may go on: a transfer within a shift."""
MAX_LINKS: Final = 16
"""Recordings that one is linked with at most; the newest count."""
MAX_NOTES: Final = 50_000
MAX_NOTE_BYTES: Final = 16 * 1024

_KEY_NAME: Final = "key"
_KEY_BYTES: Final = 32
_SUFFIX: Final = ".json"


class Notes:
    """The notes in one folder, and what this process adds to them."""

    def __init__(self, folder: Path, *, random: Callable[[int], bytes], now_s: float) -> None:
        """Make the folder, and read what a process before this one left; OSError if that can't be done."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._key = _key(folder / _KEY_NAME, random)
        self._dialogs: dict[str, tuple[UUID, ...]] = {}
        self._conversations: OrderedDict[str, tuple[float, tuple[UUID, ...]]] = OrderedDict()
        self._lock = threading.Lock()
        self._read(now_s)

    def begun(
        self, dialog: DialogId, recordings: Iterable[UUID], conversation: Iterable[str], now_s: float
    ) -> None:
        """Note that a dialog has these recordings, of a conversation that is known by these keys."""
        ids = tuple(recordings)
        keys = [self._hash("conversation", key) for key in conversation]
        with self._lock:
            for key in keys:
                self._remember(key, ids, now_s)
        text = json.dumps({"recordings": [str(one) for one in ids], "conversation": keys})
        path = self._path(dialog)
        temporary = path.with_suffix(".tmp")
        _write(temporary, text.encode("ascii"))
        temporary.replace(path)

    def ended(self, dialog: DialogId) -> None:
        """Forget a dialog; its conversation may go on."""
        self._path(dialog).unlink(missing_ok=True)
        self._dialogs.pop(self._path(dialog).stem, None)

    def left_behind(self, dialog: DialogId) -> tuple[UUID, ...]:
        """Return the recordings that a process before this one had begun of a dialog."""
        return self._dialogs.get(self._path(dialog).stem, ())

    def of_conversation(self, conversation: Iterable[str], now_s: float) -> tuple[UUID, ...]:
        """Return earlier recordings of a conversation, the newest last."""
        found: dict[UUID, None] = {}
        with self._lock:
            self._forget(now_s)
            for key in conversation:
                _, recordings = self._conversations.get(self._hash("conversation", key), (0.0, ()))
                found.update(dict.fromkeys(recordings))
        return tuple(found)[-MAX_LINKS:]

    def _remember(self, key: str, recordings: tuple[UUID, ...], now_s: float) -> None:
        _, before = self._conversations.pop(key, (0.0, ()))
        merged = tuple(dict.fromkeys((*before, *recordings)))[-MAX_LINKS:]
        self._conversations[key] = (now_s, merged)
        if len(self._conversations) > MAX_CONVERSATIONS:
            self._conversations.popitem(last=False)

    def _forget(self, now_s: float) -> None:
        while self._conversations:
            seen_s, _ = next(iter(self._conversations.values()))
            if now_s - seen_s <= REMEMBER_S:
                return
            self._conversations.popitem(last=False)

    def _path(self, dialog: DialogId) -> Path:
        name = self._hash("dialog", f"{dialog.call_id}\0{dialog.local_tag}\0{dialog.remote_tag}")
        return self._folder / f"{name}{_SUFFIX}"

    def _hash(self, kind: str, text: str) -> str:
        data = f"{kind}\0{text}".encode("utf-8", "surrogateescape")
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()

    def _read(self, now_s: float) -> None:
        """Take in what was left; what is older than anything that may go on is removed."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}"))[:MAX_NOTES]:
            try:
                if now_s - path.stat().st_mtime > REMEMBER_S:
                    path.unlink()
                    continue
                text = path.read_bytes()[: MAX_NOTE_BYTES + 1]
                document = json.loads(text) if len(text) <= MAX_NOTE_BYTES else {}
                recordings = tuple(UUID(one) for one in document["recordings"])
                keys = tuple(str(key) for key in document["conversation"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                recordings, keys = (), ()  # a note that can't be read leads nowhere
                path.unlink(missing_ok=True)
            if recordings:
                self._dialogs[path.stem] = recordings
            for key in keys:
                self._remember(key, recordings, now_s)


def _key(path: Path, random: Callable[[int], bytes]) -> bytes:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) == _KEY_BYTES:
        return found
    key = random(_KEY_BYTES)
    _write(path, key)
    return key


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE
    )
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)

"""Who opens a recording says why, and that is kept in a store before anything is given out.

::

    settings: does any store ask? ──▶ without --reason: a usage error, nothing was read
    recordings found, keys read ──▶ note() ──▶ a record in a store ──▶ only then is anything decrypted

Which store keeps the record: the one that the copy lies in, if it asks; otherwise the first of the settings
that asks. So it makes no difference which copy of a recording is opened, one in the spool or in a folder
included. Where none asks and a reason was given all the same, the copy's own store keeps it.

Conventions: `Visit.note` returns once the records are as durable as the store can make them; whatever it
raises must end the command. It is called once, before the first byte is decrypted, with all that is about to
be opened: an attempt that then fails was noted too.
This module asks the operating system who is at the keyboard; what the environment says of that (``sudo``,
``ssh``) is what it says, and no proof.
"""

import hashlib
import os
import pwd
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Self
from uuid import UUID

from callseal.cli import output, places
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.cli.places import Copy, Scope, StorePlace
from callseal.config.settings import Settings
from callseal.seal.access import (
    MAX_KEYS,
    MAX_REASON,
    MAX_RECORDINGS,
    AccessRecord,
    Account,
    check_reason,
    fit_line,
    write,
)
from callseal.seal.age import Identity, fingerprint
from callseal.seal.keys import TrustStore
from callseal.seal.timestamp import to_milliseconds
from callseal.seal.uuid7 import RANDOM_SIZE_BYTES, uuid7
from callseal.store.errors import StoreError
from callseal.store.names import access_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who is at the keyboard: the account, the machine, and where a remote session comes from."""

    account: Account
    machine: str
    remote: str | None

    @classmethod
    def here(cls, env: Mapping[str, str]) -> Self:
        """Return who runs this process."""
        uid = os.getuid()
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = str(uid)
        sudo_from = env.get("SUDO_USER")
        remote = env.get("SSH_CONNECTION", "").partition(" ")[0]
        return cls(
            account=Account(
                name=fit_line(name), uid=uid, sudo_from=fit_line(sudo_from) if sudo_from else None
            ),
            machine=fit_line(socket.gethostname()),
            remote=fit_line(remote) if remote else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A recording that is about to be opened; `place` is None for one that lies in no store.

    `id` is None where no recording can be told.
    """

    id: UUID | None
    place: StorePlace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a command may open, and for which reason; made before anything is read."""

    reason: str | None
    asking: tuple[StorePlace, ...]
    """The stores of the settings that ask, in their order."""
    stores: tuple[StorePlace, ...]
    """The stores that the command looks in."""

    @classmethod
    def of(cls, reason: str | None, scope: Scope) -> Self:
        """Judge what was given; UsageFault for what is no reason, and where one is asked for and missing."""
        stores = tuple(place for place in scope.places if isinstance(place, StorePlace))
        asking = tuple(_asking(stores, scope.settings, scope.trust))
        if reason is not None:
            reason = _checked(reason)
        elif asking or any(place.asks for place in stores):
            names = ", ".join(dict.fromkeys(place.name for place in chain(asking, stores) if place.asks))
            words = _(
                "the store {name} asks who opens a recording for a reason, and keeps it: give --reason TEXT;"
                " nothing was opened"
            )
            raise UsageFault(words.format(name=names))
        return cls(reason=reason, asking=asking, stores=stores)

    def opened(self, copy: Copy) -> Opened:
        """Return what is opened with a copy that was found in one of the places."""
        own = next((place for place in self.stores if place.name == copy.place), None)
        return Opened(id=copy.id, place=own)

    def note(self, action: str, opened: Iterable[Opened], identities: Sequence[Identity]) -> None:
        """Keep the records of what is about to be opened with these keys; StoreError if that fails.

        Nothing is kept where no store asks and no reason was given.
        """
        if self.reason is None:
            return
        kept: dict[str, tuple[StorePlace, dict[UUID, None]]] = {}
        for one in opened:
            place = self._keeper(one)
            if place is None:
                words = _("the reason is kept nowhere: what is opened lies in no store, and none asks")
                output.warning(words)
                continue
            _place, ids = kept.setdefault(place.name, (place, {}))
            if one.id is not None:
                ids[one.id] = None
        keys = _keys(identities)
        visitor = Visitor.here(os.environ)
        for place, ids in kept.values():
            for some in _batches(tuple(ids)):
                record = _record(action, some, self.reason, visitor, keys, now=datetime.now(UTC))
                _keep(place, record)

    def _keeper(self, one: Opened) -> StorePlace | None:
        """Return the store that keeps the record of an access."""
        if one.place is not None and one.place.asks:
            return one.place
        return self.asking[0] if self.asking else one.place


def folder_opened(folder: Path, recording: UUID | None, scope: Scope) -> Opened:
    """Return what is opened with a recording that was named by its folder; it may lie in a store."""
    root = places.enclosing_root(folder)
    place = None if root is None else places.folder_place(root, scope.settings, scope.trust)
    return Opened(id=recording, place=place)


def _asking(
    stores: Sequence[StorePlace], settings: Settings | None, trust: TrustStore
) -> Iterator[StorePlace]:
    """Yield the stores of the settings that ask, those that the command has open anyway as they are."""
    there = {place.name: place for place in stores if place.asks}
    for item in () if settings is None else settings.stores:
        if item.ask_reason:
            yield there.get(item.name) or places.store_place(item, trust)


def _checked(reason: str) -> str:
    stripped = reason.strip()
    try:
        check_reason(stripped)
    except ValueError as problem:
        words = _("--reason: 1 to {limit} characters in one line, without control characters")
        raise UsageFault(words.format(limit=MAX_REASON)) from problem
    return stripped


def _keys(identities: Sequence[Identity]) -> tuple[str, ...]:
    keys = tuple(dict.fromkeys(fingerprint(one.recipient) for one in identities))
    if len(keys) > MAX_KEYS:
        words = _("more than {limit} private keys at a time: name those that are needed with -i")
        raise UsageFault(words.format(limit=MAX_KEYS))
    return keys


def _batches(ids: tuple[UUID, ...]) -> Iterator[tuple[UUID, ...]]:
    """Yield the recordings as records can hold them; one without any is a record too."""
    for begin in range(0, max(len(ids), 1), MAX_RECORDINGS):
        yield ids[begin : begin + MAX_RECORDINGS]


def _record(
    action: str,
    recordings: tuple[UUID, ...],
    reason: str,
    visitor: Visitor,
    keys: tuple[str, ...],
    *,
    now: datetime,
) -> AccessRecord:
    at = to_milliseconds(now)
    return AccessRecord(
        record=uuid7(round(at.timestamp() * 1000), secrets.token_bytes(RANDOM_SIZE_BYTES)),
        at=at,
        action=action,
        recordings=recordings,
        reason=reason,
        account=visitor.account,
        machine=visitor.machine,
        remote=visitor.remote,
        keys=keys,
        software=f"callseal/{version('callseal')}",
    )


def _keep(place: StorePlace, record: AccessRecord) -> None:
    data = write(record)
    try:
        place.store.put(access_name(record.at.date(), record.record), data, hashlib.sha256(data).digest())
    except StoreError as problem:
        words = _("{name}: the access could not be noted there, so nothing was opened: {problem}")
        raise type(problem)(words.format(name=place.name, problem=problem)) from problem

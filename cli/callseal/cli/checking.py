"""Looks at all that the settings name, without starting or making anything.

Conventions: each check gives one result or more and raises nothing for what it finds. *Failed* is what keeps
a service from starting or from doing its work, *warning* what a person should know. What a service makes by
itself at its first start (the spool's folder) may be missing.
This module touches files.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.agent import announcement
from callseal.agent.errors import AnnouncementError as SoundError
from callseal.agent.errors import SourceError
from callseal.agent.identity import key_path
from callseal.agent.sources.bridge import reach
from callseal.agent.sources.bridge.source import missing
from callseal.cli.i18n import _, counted
from callseal.config.announcement import Builtin, read_announcement
from callseal.config.errors import AnnouncementError
from callseal.config.settings import DirectoryStore as DirectorySettings
from callseal.config.settings import Settings
from callseal.config.sources import BridgeSource as BridgeSettings
from callseal.seal.errors import KeyFileError, UntrustedSigner
from callseal.seal.keyfile import read_recipients
from callseal.seal.keys import (
    Role,
    TrustStore,
    chain_der,
    device_id,
    leaf_public_key,
    read_certificates,
    read_signing_key,
)
from callseal.seal.revocation import Revocations, entries_of
from callseal.seal.spool import MARKER_NAME
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreError
from callseal.store.names import RECORDINGS

BRIDGE_RATE_HZ: Final = 8000
"""The rate at which announcements are played into calls."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MEBIBYTE: Final = 1024 * 1024
_ENOUGH_RECIPIENTS: Final = 2


class Outcome(StrEnum):
    """What came of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check found, and on what: a file, a folder, an announcement."""

    check: str
    subject: str
    outcome: Outcome
    words: str


def check_settings(settings: Settings) -> Iterator[Result]:
    """Yield what all checks find."""
    yield from _recipients(settings.seal.recipients_file)
    key, result = _device_key(key_path(settings.device.key_file, os.environ))
    yield result
    trust, result = _roots(settings.trust.roots_file)
    yield result
    trust, found = _revocations(settings.trust.revocations_file, trust, datetime.now(UTC))
    yield from found
    yield _certificate(settings.device.certificate_file, key, trust)
    for item in settings.announcements:
        yield _announcement(item.name, item.language, item.file)
    for folder in settings.spool.folders():
        yield _spool(folder, settings.spool.min_free_mb)
    yield from _same_disk(settings.spool.folders())
    for source in settings.sources:
        if isinstance(source, BridgeSettings):
            yield from _bridge(source)
    if not settings.stores:
        words = _("no store is named: recordings stay on this machine")
        yield Result(check="store", subject="[[store]]", outcome=Outcome.WARNING, words=words)
    for store in settings.stores:
        if isinstance(store, DirectorySettings):
            yield _store(store.name, store.path)


def _recipients(path: Path) -> Iterator[Result]:
    try:
        recipients = read_recipients(path)
    except KeyFileError as problem:
        yield _failed("recipients", path, _bare(problem))
        return
    words = counted("{number} recipient ({kind})", "{number} recipients ({kind})", len(recipients))
    words = words.format(number=len(recipients), kind=recipients[0].kind)
    if len(recipients) >= _ENOUGH_RECIPIENTS:
        yield _ok("recipients", path, words)
        return
    why = _("{found}: if that key is lost, so is every recording: add one for recovery, kept offline")
    yield _warning("recipients", path, why.format(found=words))


def _device_key(path: Path) -> tuple[Ed25519PrivateKey | None, Result]:
    try:
        key = read_signing_key(path)
        mode = path.stat().st_mode
    except KeyFileError as problem:
        return None, _failed("device-key", path, _bare(problem))
    except OSError as problem:
        return None, _failed("device-key", path, problem.strerror or str(problem))
    words = _("this is {device}").format(device=device_id(key.public_key()))
    if mode & _OTHERS:
        why = _("{found}; but other accounts may read it (mode {mode}): make it 600")
        mode_text = f"{stat.S_IMODE(mode):o}"
        return key, _failed("device-key", path, why.format(found=words, mode=mode_text))
    return key, _ok("device-key", path, words)


def _roots(path: Path) -> tuple[TrustStore, Result]:
    try:
        trust = TrustStore.from_file(path)
    except KeyFileError as problem:
        return TrustStore(), _failed("roots", path, _bare(problem))
    except OSError as problem:
        return TrustStore(), _failed("roots", path, problem.strerror or str(problem))
    if not trust.roots:
        words = _("missing: nothing verifies as trusted on this machine")
        return trust, _warning("roots", path, words)
    names = ", ".join(root.subject.rfc4514_string() for root in trust.roots)
    return trust, _ok("roots", path, names)


def _revocations(path: Path, trust: TrustStore, now: datetime) -> tuple[TrustStore, list[Result]]:
    """Give the roots together with what they took back; nothing is said of a file that is not there."""
    try:
        trust = TrustStore(trust.roots, Revocations.from_file(path))
    except KeyFileError as problem:
        return trust, [_failed("revocations", path, _bare(problem))]
    lists = trust.revocations.lists
    if not lists:
        return trust, []
    number = sum(map(len, map(entries_of, lists)))
    words = counted("{number} certificate taken back", "{number} certificates taken back", number)
    words = words.format(number=number)
    if trust.revocations.stale(now):
        why = _("{found}; but a newer list should have come by now: fetch it, or have it renewed")
        return trust, [_warning("revocations", path, why.format(found=words))]
    return trust, [_ok("revocations", path, words)]


def _certificate(path: Path, key: Ed25519PrivateKey | None, trust: TrustStore) -> Result:
    try:
        if path.exists():
            return _certificate_there(path, key, trust)
    except KeyFileError as problem:
        return _failed("certificate", path, _bare(problem))
    except UntrustedSigner as problem:
        return _warning("certificate", path, str(problem))
    except OSError as problem:
        return _failed("certificate", path, problem.strerror or str(problem))
    words = _("missing: until the organisation certified this device, recordings verify as untrusted")
    return _warning("certificate", path, words)


def _certificate_there(path: Path, key: Ed25519PrivateKey | None, trust: TrustStore) -> Result:
    chain = chain_der(read_certificates(path))
    public_key = leaf_public_key(chain)
    if key is not None and public_key != key.public_key():
        words = _("is that of another key: {device}").format(device=device_id(public_key))
        return _failed("certificate", path, words)
    if not trust.roots:
        return _ok("certificate", path, device_id(public_key))
    signer = trust.check(chain, at=datetime.now(UTC), role=Role.DEVICE)
    end = signer.certificate.not_valid_after_utc.date().isoformat()
    words = _("{device}, vouched for until {end}").format(device=signer.device_id, end=end)
    return _ok("certificate", path, words)


def _announcement(name: str, language: str, file: Builtin | Path) -> Result:
    try:
        sound = announcement.read(name, language, str(file), read_announcement(file), BRIDGE_RATE_HZ)
    except (AnnouncementError, SoundError) as problem:
        return _failed("announcement", name, str(problem))
    words = _("{file}: {seconds} s").format(file=file, seconds=f"{sound.samples.size / BRIDGE_RATE_HZ:.1f}")
    return _ok("announcement", name, words)


def _spool(folder: Path, min_free_mb: int) -> Result:
    try:
        return _spool_folder(folder, min_free_mb)
    except OSError as problem:
        return _failed("spool", folder, problem.strerror or str(problem))


def _spool_folder(folder: Path, min_free_mb: int) -> Result:
    try:
        found = folder.stat(follow_symlinks=False)
    except FileNotFoundError:
        return _spool_to_be(folder)
    if not stat.S_ISDIR(found.st_mode):
        return _failed("spool", folder, _("not a folder of its own (a link is none)"))
    if found.st_uid != os.geteuid():
        words = _("belongs to user {owner}, and this check runs as user {user}; the service must own it")
        return _failed("spool", folder, words.format(owner=found.st_uid, user=os.geteuid()))
    if found.st_mode & _OTHERS:
        words = _("open to other accounts (mode {mode}): make it 700")
        return _failed("spool", folder, words.format(mode=f"{stat.S_IMODE(found.st_mode):o}"))
    if not (folder / MARKER_NAME).exists() and not any(folder.iterdir()):
        words = _("empty, and never made a spool: is its disk mounted? `callseal spool init` makes a new one")
        return _failed("spool", folder, words)
    return _spool_room(folder, min_free_mb)


def _spool_room(folder: Path, min_free_mb: int) -> Result:
    figures = os.statvfs(folder)
    free_mb = figures.f_bavail * figures.f_frsize // _MEBIBYTE
    if free_mb < min_free_mb:
        words = _("only {free} MB free: less than {limit} MB counts as full, and calls are not recorded")
        return _failed("spool", folder, words.format(free=free_mb, limit=min_free_mb))
    return _ok("spool", folder, _("{free} MB free").format(free=free_mb))


def _same_disk(folders: list[Path]) -> Iterator[Result]:
    """Yield a warning where the second folder is on the disk whose failure it is there for."""
    try:
        disks = {folder.stat().st_dev for folder in folders}
    except OSError:
        return  # said of the folder itself already
    if len(disks) < len(folders):
        words = _("on the same disk as the first folder: it helps against nothing")
        yield Result(check="spool", subject=str(folders[-1]), outcome=Outcome.WARNING, words=words)


def _spool_to_be(folder: Path) -> Result:
    above = next(path for path in folder.parents if path.exists())
    if os.access(above, os.W_OK | os.X_OK) and above.is_dir():
        return _ok("spool", folder, _("not there yet; the agent makes it"))
    words = _("not there, and this account can't make it in {folder}")
    return _failed("spool", folder, words.format(folder=above))


def _store(name: str, path: Path) -> Result:
    subject = f"{name} ({path})"
    try:
        list(islice(DirectoryStore(path).list(RECORDINGS), 1))
    except StoreError as problem:
        return _failed("store", subject, str(problem).removeprefix(f"{path}: "))
    return _ok("store", subject, _("can be reached"))


def _bridge(source: BridgeSettings) -> Iterator[Result]:
    what = missing()
    if what:
        yield _failed("bridge", str(source.listen), what)
    try:
        known = reach.addresses(source.pbx.bare_host, source.pbx.port)
    except SourceError as problem:
        yield _failed("pbx", str(source.pbx), str(problem))
    else:
        yield _ok("pbx", str(source.pbx), ", ".join(sorted(known)))


def _bare(problem: KeyFileError) -> str:
    if problem.line is None:
        return problem.message
    return _("line {line}: {message}").format(line=problem.line, message=problem.message)


def _ok(check: str, subject: Path | str, words: str) -> Result:
    return Result(check=check, subject=str(subject), outcome=Outcome.OK, words=words)


def _warning(check: str, subject: Path | str, words: str) -> Result:
    return Result(check=check, subject=str(subject), outcome=Outcome.WARNING, words=words)


def _failed(check: str, subject: Path | str, words: str) -> Result:
    return Result(check=check, subject=str(subject), outcome=Outcome.FAILED, words=words)

"""One examination of a live S3 store: asks with each account's credentials, and judges what came of it.

Conventions: what is protected is looked at again after every attack: not the answer counts but the object.
Attempts on a bucket's settings carry nonsense, so that they change nothing where they are allowed; what is
put is a few bytes under a name of `probe_names`.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from callseal.config.central import S3Store
from callseal.store.accounts import Account, Answer, Kind
from callseal.store.names import FLEET
from callseal.store.policies import fleet_bucket_of
from callseal.store.preparing import Retention, judge_lock, wanted_retention
from callseal.store.probe_names import ProbeNames
from callseal.store.verdicts import (
    OK,
    Cause,
    Outcome,
    Verdict,
    allowed,
    busy,
    found_wrong,
    refused,
    taken,
    withstood,
)
from callseal.store.verdicts import verdict as verdict_of

PROBE: Final = b"callseal store check\n"
"""All that probes hold."""

CLOCK_TOLERANCE: Final = timedelta(hours=1)
"""By how much this machine's clock and the store's may differ before a lock looks shorter than it is."""

SHORTER: Final = timedelta(hours=12)
"""By how much a lock is tried to be shortened; half of the shortest that settings can ask for."""

LONGER: Final = timedelta(seconds=2)
"""By how much the custodian extends a lock, to show that it can; the probe stays that much longer."""

_OTHER: Final = b"callseal store check: other bytes\n"
_NO_VERSION: Final = "00000000000000000000000000000000"  # of the length of a real one, and nobody's


class Party(StrEnum):
    """Whose credentials are used; the values are stable."""

    AGENT = "agent"
    CUSTODIAN = "custodian"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """How one version is protected."""

    mode: str
    until: datetime


Ask: TypeAlias = Callable[[], Answer]


class Trial:
    """The accounts, the probes, and what is known of them so far."""

    def __init__(
        self,
        item: S3Store,
        accounts: Mapping[Party, Account],
        names: ProbeNames,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._item = item
        self._accounts = accounts
        self._now = now
        self._version: str | None = None
        self._lock: Lock | None = None
        self._put_at: datetime | None = None
        self._there: set[str] = set()
        self.names = names

    def has(self, party: Party) -> bool:
        """Tell whether credentials were given for somebody."""
        return party in self._accounts

    # What is asked for.

    def put(self, party: Party, name: str, data: bytes = PROBE, **more: object) -> Answer:
        """Put a probe, with its hash and, where the store knows that, only where nothing is."""
        only = {"IfNoneMatch": "*"} if self._item.conditional_put else {}
        return self._on(party, "PutObject", name, Body=data, **{**_sha256(data), **only, **more})

    def put_wrong(self, party: Party) -> Answer:
        """Put bytes with the hash of others."""
        return self.put(party, self.names.wrong, PROBE, **_sha256(_OTHER))

    def replace_fleet(self, party: Party) -> Answer:
        """Put something in place of what is among the fleet's state."""
        return self._on(party, "PutObject", self.names.fleet, Body=PROBE, **_sha256(PROBE))

    def begin(self, party: Party, name: str) -> tuple[Answer, dict[str, object]]:
        """Begin to put in parts; return the answer, and what names the undertaking."""
        answer = self._on(party, "CreateMultipartUpload", name, ChecksumAlgorithm="SHA256")
        return answer, {"UploadId": answer.reply.get("UploadId", "")}

    def on(self, party: Party, operation: str, name: str, **more: object) -> Answer:
        """Ask for something that is about one object."""
        return self._on(party, operation, name, **more)

    def on_version(self, party: Party, operation: str, **more: object) -> Answer:
        """Ask for something that is about the very version that was put."""
        return self._on(party, operation, self.names.own, VersionId=self._version, **more)

    def on_bucket(self, party: Party, operation: str, **more: object) -> Answer:
        """Ask for something that is about the bucket of the recordings."""
        return self._accounts[party].ask(operation, Bucket=self._item.bucket, **more)

    def on_fleet_bucket(self, party: Party, operation: str, **more: object) -> Answer:
        """Ask for something that is about the bucket of the fleet's state."""
        return self._accounts[party].ask(operation, Bucket=fleet_bucket_of(self._item), **more)

    def change(self, party: Party, operation: str, **more: object) -> Answer:
        """Ask for a change of the bucket's settings, with a body that can't be carried out."""
        return self._accounts[party].ask_nonsense(operation, Bucket=self._item.bucket, **more)

    def prefix(self, name: str) -> str:
        """Return how a name, or its beginning, stands in the bucket."""
        return f"{self._item.prefix}{name}"

    def delete_nothing(self, party: Party) -> Answer:
        """Ask for the end of a version that nobody has: no lock stands in the way of that, only a right."""
        return self._on(party, "DeleteObject", self.names.wrong, VersionId=_NO_VERSION)

    def retention(
        self, *, by: timedelta = timedelta(), mode: str | None = None
    ) -> Mapping[str, Mapping[str, object]]:
        """Return a retention that differs from the one that holds, ready to be put."""
        held = self._lock or Lock(mode="GOVERNANCE", until=self._now() + timedelta(days=1))
        return {"Retention": {"Mode": mode or held.mode, "RetainUntilDate": held.until + by}}

    # What is judged.

    def puts_own(self, party: Party) -> Verdict:
        """Put the object that the attacks are tried on."""
        self._put_at = self._now()
        answer = self.put(party, self.names.own)
        version = answer.reply.get("VersionId")
        if not answer.done:
            return allowed(answer)
        self._there.add(self.names.own)
        if not isinstance(version, str) or version == "null":
            return Verdict(outcome=Outcome.FAILED, cause=Cause.NO_VERSION)
        self._version = version
        return OK

    def puts(self, party: Party, name: str) -> Verdict:
        """Put something that somebody else will ask for."""
        answer = self.put(party, name)
        if answer.done:
            self._there.add(name)
        return allowed(answer)

    def is_there(self, name: str) -> bool:
        """Tell whether a probe was put."""
        return name in self._there

    @property
    def has_version(self) -> bool:
        """Whether there is a version to try attacks on."""
        return self._version is not None

    def adds_in_parts(self, party: Party, name: str) -> Verdict:
        """Begin, put a part, list the parts, and abandon all."""
        answer, upload = self.begin(party, name)
        if not answer.done:
            return allowed(answer)
        part = self._on(party, "UploadPart", name, PartNumber=1, Body=PROBE, **upload, **_sha256(PROBE))
        listed = self._on(party, "ListParts", name, **upload)
        abandoned = self._on(party, "AbortMultipartUpload", name, **upload)
        return next((found for found in map(allowed, (part, listed, abandoned)) if found != OK), OK)

    def begins(self, party: Party, name: str) -> Verdict:
        """Begin to put, and abandon it: shows the right to put and leaves nothing."""
        answer, upload = self.begin(party, name)
        if answer.done:
            return allowed(self._on(party, "AbortMultipartUpload", name, **upload))
        return allowed(answer)

    def must_not_begin(self, party: Party, name: str) -> Verdict:
        """Try to begin to put; clears away where that goes well."""
        answer, upload = self.begin(party, name)
        if answer.done:
            self._on(party, "AbortMultipartUpload", name, **upload)
        return refused(answer)

    def refuses_wrong_put(self, party: Party) -> Verdict:
        """Put bytes with the hash of others, and see that nothing is there."""
        verdict = found_wrong(self.put_wrong(party))
        witness = self._witness()
        if verdict == OK and witness is not None:
            there = self._on(witness, "GetObject", self.names.wrong)
            if there.done:
                return Verdict(outcome=Outcome.FAILED, cause=Cause.WAS_DONE)
        return verdict

    def refuses_wrong_part(self, party: Party) -> Verdict:
        """Put a part with the hash of another."""
        name = self.names.in_parts
        answer, upload = self.begin(party, name)
        if not answer.done:
            return verdict_of(Outcome.NOT_CHECKED, Cause.WAS_REFUSED, answer)
        part = self._on(party, "UploadPart", name, PartNumber=1, Body=PROBE, **upload, **_sha256(_OTHER))
        self._on(party, "AbortMultipartUpload", name, **upload)
        return found_wrong(part)

    def refuses_second_by_parts(self, party: Party) -> Verdict:
        """Make, of parts, an object under a name that is taken."""
        name = self.names.own
        answer, upload = self.begin(party, name)
        if not answer.done:
            return verdict_of(Outcome.NOT_CHECKED, Cause.WAS_REFUSED, answer)
        part = self._on(party, "UploadPart", name, PartNumber=1, Body=PROBE, **upload, **_sha256(PROBE))
        if not part.done:
            self._on(party, "AbortMultipartUpload", name, **upload)
            return verdict_of(Outcome.NOT_CHECKED, Cause.WAS_REFUSED, part)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part.reply.get("ETag", ""), **_sha256(PROBE)}]}
        ended = self._on(
            party, "CompleteMultipartUpload", name, MultipartUpload=parts, IfNoneMatch="*", **upload
        )
        if not ended.done:
            self._on(party, "AbortMultipartUpload", name, **upload)
        return taken(ended)

    def reads_version(self, party: Party) -> Verdict:
        """Read the version that was put, and be told of one that is nobody's."""
        answer, data = self._read(party, self.names.own, VersionId=self._version)
        if not answer.done:
            return allowed(answer)
        if data != PROBE:
            return Verdict(outcome=Outcome.FAILED, cause=Cause.OTHER_BYTES)
        other = self._on(party, "GetObject", self.names.own, VersionId=_NO_VERSION)
        return verdict_of(Outcome.FAILED, Cause.OTHER_BYTES, other) if other.done else OK

    def reads(self, party: Party, name: str) -> Verdict:
        """Read a probe whole."""
        answer, data = self._read(party, name)
        if answer.done and data != PROBE:
            return Verdict(outcome=Outcome.FAILED, cause=Cause.OTHER_BYTES)
        return allowed(answer)

    def has_versions(self, party: Party) -> Verdict:
        """See that the bucket keeps versions."""
        answer = self.on_bucket(party, "GetBucketVersioning")
        if answer.done and answer.reply.get("Status") != "Enabled":
            return Verdict(outcome=Outcome.FAILED, cause=Cause.NOT_THERE)
        return allowed(answer)

    def has_retention(self, party: Party) -> Verdict:
        """See that new objects are protected as the settings ask for."""
        answer = self.on_bucket(party, "GetObjectLockConfiguration")
        if not answer.done:
            absent = answer.kind in {Kind.MISSING, Kind.INVALID, Kind.UNKNOWN}
            return verdict_of(Outcome.FAILED, Cause.NOT_THERE, answer) if absent else allowed(answer)
        wanted = wanted_retention(self._item)
        locks, found = judge_lock(answer)
        if wanted is not None and (not locks or found is None):
            return Verdict(outcome=Outcome.FAILED, cause=Cause.NOT_THERE)
        if wanted is not None and found is not None and found.is_weaker_than(wanted):
            return Verdict(outcome=Outcome.FAILED, cause=Cause.LOCK_WEAKER, answer=str(found))
        return OK

    def is_locked(self, party: Party) -> Verdict:
        """See that the version that was put is protected as the settings ask for."""
        answer, lock = self._look(party)
        wanted = wanted_retention(self._item)
        if not answer.done:
            return allowed(answer)
        if lock is None or wanted is None or self._put_at is None:
            return Verdict(outcome=Outcome.FAILED, cause=Cause.NOT_THERE)
        self._lock = lock
        left = lock.until - self._put_at + CLOCK_TOLERANCE
        found = Retention(mode=lock.mode, days=left // timedelta(days=1))
        if found.is_weaker_than(wanted):
            return Verdict(outcome=Outcome.FAILED, cause=Cause.LOCK_WEAKER, answer=str(found))
        return OK

    @property
    def is_protected(self) -> bool:
        """Whether the version that was put is known to be locked."""
        return self._lock is not None

    def extends(self, party: Party) -> Verdict:
        """Extend the lock a little, as the custodian does."""
        answer = self.on_version(party, "PutObjectRetention", **self.retention(by=LONGER))
        _seen, lock = self._look(party)
        if answer.done and self._lock is not None and (lock is None or lock.until <= self._lock.until):
            return Verdict(outcome=Outcome.FAILED, cause=Cause.NOT_THERE)
        self._lock = lock or self._lock
        return allowed(answer)

    def holds(self, party: Party) -> Verdict:
        """Put a legal hold, see it, and lift it."""
        on = self.on_version(party, "PutObjectLegalHold", LegalHold={"Status": "ON"})
        seen = self.on_version(party, "GetObjectLegalHold")
        held = seen.reply.get("LegalHold") == {"Status": "ON"}
        off = self.on_version(party, "PutObjectLegalHold", LegalHold={"Status": "OFF"})
        if on.done and seen.done and not held:
            return Verdict(outcome=Outcome.FAILED, cause=Cause.NOT_THERE)
        return next((found for found in map(allowed, (on, seen, off)) if found != OK), OK)

    def withstands(self, attack: Ask, *, by_right: bool, able: Ask | None = None) -> Verdict:
        """Try an attack on the version that was put, then look whether it and its lock are what they were.

        `by_right`: the account lacks the right, so that the lock is not even asked. `able` asks for what the
        account can do if it has that right: where it has not, the lock was not tried.
        """
        if able is not None:
            shown = able()
            if not shown.done:
                return busy(shown) or verdict_of(Outcome.NOT_CHECKED, Cause.WAS_REFUSED, shown)
            self._look_again()  # an attack on what held before would fail for being out of date
        answer = attack()
        verdict = refused(answer) if by_right else withstood(answer)
        if verdict.outcome is not Outcome.NOT_CHECKED:
            witness = self._witness()
            cause = None if witness is None else self._harm(witness)
            if cause is not None:
                return verdict_of(Outcome.FAILED, cause, answer)
        return verdict

    def _look_again(self) -> None:
        witness = self._witness()
        if witness is not None:
            self._lock = self._look(witness)[1] or self._lock

    def _harm(self, witness: Party) -> Cause | None:
        """Return what became of the version since it was last looked at; None for nothing."""
        before = self._lock
        seen, lock = self._look(witness)
        if seen.kind is Kind.MISSING:
            self._version = None
            return Cause.GONE
        if seen.done:
            self._lock = lock
            if before is not None and (lock is None or _weaker(lock, before)):
                return Cause.LOCK_WEAKER
        return None

    def _look(self, party: Party) -> tuple[Answer, Lock | None]:
        answer = self.on_version(party, "GetObjectRetention")
        found = answer.reply.get("Retention")
        fields = found if isinstance(found, dict) else {}
        mode, until = fields.get("Mode"), fields.get("RetainUntilDate")
        if isinstance(mode, str) and isinstance(until, datetime):
            return answer, Lock(mode=mode, until=until.astimezone(UTC))
        if answer.kind in {Kind.MISSING, Kind.INVALID} and self._is_readable(party):
            # The version is there; it is the lock that is not (NoSuchObjectLockConfiguration).
            return Answer(status=200), None
        return answer, None

    def _is_readable(self, party: Party) -> bool:
        return self.on_version(party, "GetObject").done

    def _witness(self) -> Party | None:
        seeing = (Party.CUSTODIAN, Party.SUPERVISOR, Party.ADMINISTRATOR)
        return next((party for party in seeing if self.has(party)), None)

    def _read(self, party: Party, name: str, **more: object) -> tuple[Answer, bytes]:
        return self._accounts[party].read(Bucket=self._bucket_of(name), Key=self.prefix(name), **more)

    def _on(self, party: Party, operation: str, name: str, **more: object) -> Answer:
        account = self._accounts[party]
        return account.ask(operation, Bucket=self._bucket_of(name), Key=self.prefix(name), **more)

    def _bucket_of(self, name: str) -> str:
        return fleet_bucket_of(self._item) if name.startswith(FLEET) else self._item.bucket


def _weaker(lock: Lock, before: Lock) -> bool:
    return lock.until < before.until or (lock.mode != "COMPLIANCE" and before.mode == "COMPLIANCE")


def _sha256(data: bytes) -> dict[str, object]:
    return {"ChecksumSHA256": base64.b64encode(hashlib.sha256(data).digest()).decode()}

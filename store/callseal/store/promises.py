"""What a live S3 store and each role's rights are held to, as a table.

It is the table of ``docs/who-may-do-what.md``, row by row. What only an administrator could attack is in it
only where an administrator's credentials are at hand, since no role of ours has such rights.

Conventions: the order is that in which rows are tried: some need what others have put, and what tries to
destroy comes last. `code` is stable.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, TypeAlias

from callseal.config.central import S3Store
from callseal.store.accounts import Answer
from callseal.store.names import FLEET
from callseal.store.trial import LONGER, SHORTER, Party, Trial
from callseal.store.verdicts import Verdict, allowed, refused, taken

Attempt: TypeAlias = Callable[[Trial], Verdict]
Asking: TypeAlias = Callable[[Trial], Answer]

_AGENT: Final = Party.AGENT
_CUSTODIAN: Final = Party.CUSTODIAN
_SUPERVISOR: Final = Party.SUPERVISOR
_ADMINISTRATOR: Final = Party.ADMINISTRATOR

_CHANGES: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "lifecycle": ("PutBucketLifecycleConfiguration", {"LifecycleConfiguration": {"Rules": []}}),
    "policy": ("PutBucketPolicy", {"Policy": "{}"}),
    "versions": ("PutBucketVersioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
    "lock": ("PutObjectLockConfiguration", {"ObjectLockConfiguration": {}}),
}


class Expected(StrEnum):
    """What a row promises; the values are stable."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    SO = "so"
    """It is about the store and not about anybody's rights."""


class Needs(StrEnum):
    """What must have been put before a row can say anything."""

    NOTHING = ""
    VERSION = "version"
    LOCK = "lock"
    OWN_RECEIPT = "own-receipt"
    FOREIGN_RECEIPT = "foreign-receipt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One promise: who, what (`code`), and what must come of it."""

    party: Party
    code: str
    expected: Expected
    attempt: Attempt
    needs: Needs = Needs.NOTHING


def table(item: S3Store, *, administrator: bool) -> tuple[Row, ...]:
    """Return the promises that a store of these settings is held to."""
    by_custodian = item.filled_by == "custodian"
    filler = _CUSTODIAN if by_custodian else _AGENT
    return (
        *_filler(filler),
        *_store(filler, exclusive=item.conditional_put, locked=item.lock != "none"),
        *_custodian(by_custodian=by_custodian, locked=item.lock != "none"),
        *_supervisor(locked=item.lock != "none"),
        *_agent(fills=not by_custodian),
        *_settings(_AGENT),
        *_settings(_CUSTODIAN),
        *_settings(_SUPERVISOR),
        *_destruction(item, administrator=administrator),
    )


def _filler(who: Party) -> Iterator[Row]:
    """Yield what who brings recordings must be able to do; the attacks are tried on what it puts."""
    yield _may(who, "adds-recording", lambda one: one.puts_own(who))
    yield _may(who, "adds-in-parts", lambda one: one.adds_in_parts(who, one.names.in_parts))
    yield _may(who, "adds-ledger", lambda one: one.begins(who, one.names.ledger))


def _store(filler: Party, *, exclusive: bool, locked: bool) -> Iterator[Row]:
    """Yield what the store itself must do, whoever asks."""
    yield _so(filler, "wrong-hash", lambda one: one.refuses_wrong_put(filler))
    yield _so(filler, "wrong-hash-of-part", lambda one: one.refuses_wrong_part(filler))
    if exclusive:
        yield _so(filler, "second-put", lambda one: taken(one.put(filler, one.names.own)), Needs.VERSION)
        yield _so(
            filler, "second-put-in-parts", lambda one: one.refuses_second_by_parts(filler), Needs.VERSION
        )
    yield _so(_CUSTODIAN, "versions", lambda one: one.has_versions(_CUSTODIAN))
    yield _so(_CUSTODIAN, "reads-by-version", lambda one: one.reads_version(_CUSTODIAN), Needs.VERSION)
    if locked:
        yield _so(_CUSTODIAN, "default-retention", lambda one: one.has_retention(_CUSTODIAN))
        yield _so(_CUSTODIAN, "locked", lambda one: one.is_locked(_CUSTODIAN), Needs.VERSION)


def _custodian(*, by_custodian: bool, locked: bool) -> Iterator[Row]:
    who = _CUSTODIAN
    yield from _reads_all(who)
    yield _may(who, "adds-receipt", lambda one: one.puts(who, one.names.own_receipt))
    yield _may(who, "adds-receipt-of-other-device", lambda one: one.puts(who, one.names.foreign_receipt))
    yield _may(who, "adds-retention-record", lambda one: one.puts(who, one.names.retention))
    if locked:
        yield _may(who, "extends-lock", lambda one: one.extends(who), Needs.LOCK)
        yield _may(who, "legal-hold", lambda one: one.holds(who), Needs.LOCK)
    yield _may(who, "replaces-fleet", lambda one: allowed(one.replace_fleet(who)))
    yield from _reads_fleet(who)
    if not by_custodian:
        yield _must_not_put(who, "adds-foreign-recording", lambda one: one.names.foreign_recording)
        yield _must_not_put(who, "adds-foreign-ledger", lambda one: one.names.foreign_ledger)
    yield _must_not_put(who, "adds-access-record", lambda one: one.names.access)
    yield _must_not_put(who, "adds-elsewhere", lambda one: one.names.outside)


def _supervisor(*, locked: bool) -> Iterator[Row]:
    who = _SUPERVISOR
    yield from _reads_all(who)
    if locked:
        yield _may(
            who, "reads-lock", lambda one: allowed(one.on_version(who, "GetObjectRetention")), Needs.LOCK
        )
    yield _may(who, "adds-access-record", lambda one: one.puts(who, one.names.access))
    yield from _reads_fleet(who)
    yield _must_not_put(who, "adds-foreign-recording", lambda one: one.names.foreign_recording)
    yield _must_not_put(who, "adds-foreign-ledger", lambda one: one.names.foreign_ledger)
    yield _must_not_put(who, "forges-receipt", lambda one: one.names.own_receipt)
    yield _must_not_put(who, "adds-retention-record", lambda one: one.names.retention)
    yield _must_not_put(who, "adds-elsewhere", lambda one: one.names.outside)
    yield _must_not(who, "replaces-fleet", lambda one: one.replace_fleet(who))


def _agent(*, fills: bool) -> Iterator[Row]:
    who = _AGENT
    yield _may(who, "reads-own-receipt", lambda one: one.reads(who, one.names.own_receipt), Needs.OWN_RECEIPT)
    yield _must_not(
        who,
        "reads-receipt-of-other-device",
        lambda one: one.on(who, "GetObject", one.names.foreign_receipt),
        Needs.FOREIGN_RECEIPT,
    )
    for code, operation in (("reads-own-recording", "GetObject"), ("looks-at-own-recording", "HeadObject")):
        yield _must_not(who, code, _on_own(who, operation), Needs.VERSION)
    yield _must_not(who, "reads-by-version", lambda one: one.on_version(who, "GetObject"), Needs.VERSION)
    yield _must_not(who, "lists", lambda one: one.on_bucket(who, "ListObjectsV2", MaxKeys=1))
    yield _must_not(who, "lists-own", _lists_own(who))
    yield _must_not(who, "lists-versions", lambda one: one.on_bucket(who, "ListObjectVersions", MaxKeys=1))
    yield _must_not(who, "lists-uploads", lambda one: one.on_bucket(who, "ListMultipartUploads"))
    if not fills:
        yield _must_not_put(who, "adds-recording", lambda one: one.names.own)
    yield _must_not(who, "adds-with-own-lock", _with_own_lock(who), Needs.LOCK)
    yield _must_not_put(who, "adds-foreign-recording", lambda one: one.names.foreign_recording)
    yield Row(
        party=who,
        code="adds-foreign-recording-in-parts",
        expected=Expected.REFUSED,
        attempt=lambda one: one.must_not_begin(who, one.names.foreign_recording),
    )
    yield _must_not_put(who, "adds-foreign-ledger", lambda one: one.names.foreign_ledger)
    yield _must_not_put(who, "forges-receipt", lambda one: one.names.own_receipt)
    yield _must_not_put(who, "adds-retention-record", lambda one: one.names.retention)
    yield _must_not_put(who, "adds-access-record", lambda one: one.names.access)
    yield _must_not_put(who, "adds-stamp", lambda one: one.names.stamp)
    yield _must_not_put(who, "adds-elsewhere", lambda one: one.names.outside)
    yield _must_not(who, "replaces-fleet", lambda one: one.replace_fleet(who))
    yield _must_not(who, "reads-fleet", lambda one: one.on_fleet_bucket(who, "ListObjectsV2", MaxKeys=1))


def _settings(who: Party) -> Iterator[Row]:
    """Yield what nobody but an administrator may change of the bucket."""
    for name, (operation, parameters) in _CHANGES.items():
        yield _must_not(who, f"changes-{name}", _changes(who, operation, parameters))


def _destruction(item: S3Store, *, administrator: bool) -> Iterator[Row]:
    """Yield what is tried on the object that was put, the worst last."""
    locked, strict = item.lock != "none", item.lock == "compliance"
    for who in (_AGENT, _SUPERVISOR):
        if locked:
            yield _must_withstand(who, "changes-lock-of-object", _extends(who), by_right=True)
        yield _must_withstand(who, "lifts-hold", _lifts(who), by_right=True, needs=Needs.VERSION)
    # These have the right to change locks: only the lock itself stands in their way.
    owners = (_CUSTODIAN, _ADMINISTRATOR) if administrator else (_CUSTODIAN,)
    for who in owners if strict else owners[:1] if locked else ():
        yield _must_withstand(who, "shortens-lock", _shortens(who), by_right=False, able=_extends(who))
        if strict:
            yield _must_withstand(who, "weakens-lock", _weakens(who), by_right=False, able=_extends(who))
    for who in (_AGENT, _CUSTODIAN, _SUPERVISOR):
        yield _must_not(who, "deletes-any-version", _deletes_nothing(who))
        hides = _on_own(who, "DeleteObject")
        yield _must_withstand(who, "hides", hides, by_right=True, needs=Needs.VERSION)
        yield _must_withstand(who, "deletes", _deletes(who), by_right=True, needs=Needs.VERSION)
        bypass = _deletes(who, bypass=True)
        yield _must_withstand(who, "deletes-past-lock", bypass, by_right=True, needs=Needs.VERSION)
    admin, able = _ADMINISTRATOR, _deletes_nothing(_ADMINISTRATOR)
    if administrator and locked:
        yield _must_withstand(admin, "deletes", _deletes(admin), by_right=False, able=able)
    if administrator and strict:
        bypass = _deletes(admin, bypass=True)
        yield _must_withstand(admin, "deletes-past-lock", bypass, by_right=False, able=able)


def _reads_all(who: Party) -> Iterator[Row]:
    yield _may(who, "lists", lambda one: allowed(one.on_bucket(who, "ListObjectsV2", MaxKeys=1)))
    yield _may(
        who, "lists-versions", lambda one: allowed(one.on_bucket(who, "ListObjectVersions", MaxKeys=1))
    )
    yield _may(who, "reads", lambda one: one.reads(who, one.names.own), Needs.VERSION)
    if who is not _CUSTODIAN:
        yield _may(who, "reads-by-version", lambda one: one.reads_version(who), Needs.VERSION)


def _reads_fleet(who: Party) -> Iterator[Row]:
    yield _may(
        who,
        "reads-fleet",
        lambda one: allowed(one.on_fleet_bucket(who, "ListObjectsV2", Prefix=one.prefix(FLEET), MaxKeys=1)),
    )


def _deletes_nothing(who: Party) -> Asking:
    return lambda one: one.delete_nothing(who)


def _must_not_put(who: Party, code: str, name: Callable[[Trial], str]) -> Row:
    # Each under a name of its own: what one was let put must not stand in the way of the next attempt.
    return _must_not(who, code, lambda one: one.put(who, f"{name(one)}.{who}"))


def _on_own(who: Party, operation: str) -> Asking:
    return lambda one: one.on(who, operation, one.names.own)


def _on_version(who: Party, operation: str) -> Asking:
    return lambda one: one.on_version(who, operation)


def _lists_own(who: Party) -> Asking:
    return lambda one: one.on_bucket(who, "ListObjectsV2", Prefix=one.prefix(one.names.own), MaxKeys=1)


def _with_own_lock(who: Party) -> Asking:
    """Bring a lock of its own: it could be shorter than the bucket's, or of a hundred years."""

    def ask(one: Trial) -> Answer:
        fields = one.retention()["Retention"]
        mode, until = fields["Mode"], fields["RetainUntilDate"]
        return one.put(who, one.names.with_lock, ObjectLockMode=mode, ObjectLockRetainUntilDate=until)

    return ask


def _changes(who: Party, operation: str, parameters: Mapping[str, object]) -> Asking:
    return lambda one: one.change(who, operation, **parameters)


def _extends(who: Party) -> Asking:
    """Ask for what no lock forbids, so that only a lack of the right can."""
    return lambda one: one.on_version(who, "PutObjectRetention", **one.retention(by=LONGER))


def _shortens(who: Party) -> Asking:
    return lambda one: one.on_version(who, "PutObjectRetention", **one.retention(by=-SHORTER))


def _weakens(who: Party) -> Asking:
    return lambda one: one.on_version(who, "PutObjectRetention", **one.retention(mode="GOVERNANCE"))


def _lifts(who: Party) -> Asking:
    return lambda one: one.on_version(who, "PutObjectLegalHold", LegalHold={"Status": "OFF"})


def _deletes(who: Party, *, bypass: bool = False) -> Asking:
    more: dict[str, object] = {"BypassGovernanceRetention": True} if bypass else {}
    return lambda one: one.on_version(who, "DeleteObject", **more)


def _may(who: Party, code: str, attempt: Attempt, needs: Needs = Needs.NOTHING) -> Row:
    return Row(party=who, code=code, expected=Expected.ALLOWED, attempt=attempt, needs=needs)


def _so(who: Party, code: str, attempt: Attempt, needs: Needs = Needs.NOTHING) -> Row:
    return Row(party=who, code=code, expected=Expected.SO, attempt=attempt, needs=needs)


def _must_not(who: Party, code: str, ask: Asking, needs: Needs = Needs.NOTHING) -> Row:
    return Row(
        party=who,
        code=code,
        expected=Expected.REFUSED,
        attempt=lambda one: refused(ask(one)),
        needs=needs,
    )


def _must_withstand(
    who: Party,
    code: str,
    ask: Asking,
    *,
    by_right: bool,
    able: Asking | None = None,
    needs: Needs = Needs.LOCK,
) -> Row:
    def attempt(one: Trial) -> Verdict:
        shown = None if able is None else partial(able, one)
        return one.withstands(lambda: ask(one), by_right=by_right, able=shown)

    return Row(
        party=who,
        code=code,
        expected=Expected.REFUSED,
        attempt=attempt,
        needs=needs,
    )

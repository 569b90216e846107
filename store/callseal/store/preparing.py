"""Sets up an S3 store's buckets, with an administrator's credentials: versions, lock, lifecycle.

What is there already is compared and told, and only ever made stronger where nothing was said before: a
default retention that somebody chose stays as it is, and where it is weaker than the settings that is a
finding. Running it again changes nothing.

::

    recordings   versions; Object Lock with a default retention (settings: lock, lock_days); what was begun in
                 parts and never ended goes after a week; not public
    fleet        no lock; versions that were replaced, where somebody switched versions on, go after a day

Conventions: `judge_…` and `with_rules` are pure. Days of a retention in years are 365 each, as in S3. What is
set is read back: a store that says yes and keeps nothing is found.

Source: Amazon S3 API Reference: CreateBucket, PutObjectLockConfiguration, PutBucketLifecycleConfiguration,
PutPublicAccessBlock.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from callseal.config.central import S3Store
from callseal.store.accounts import Account, Answer, Kind
from callseal.store.errors import StoreDenied, StoreRefused, StoreUnreachable
from callseal.store.policies import fleet_bucket_of

STALE_PARTS_DAYS: Final = 7
"""An upload that was not touched for so long will not be ended: the queue begins another."""

REPLACED_DAYS: Final = 1

_DAYS_OF_YEAR: Final = 365
_STALE_PARTS_RULE: Final = "callseal-stale-parts"
_REPLACED_RULE: Final = "callseal-replaced"
_HOME_REGION: Final = "us-east-1"  # the one that must not be named when a bucket is made
_ENABLED: Final = "Enabled"

Rule: TypeAlias = Mapping[str, object]


class Feature(StrEnum):
    """What a bucket has; the values are stable."""

    BUCKET = "bucket"
    VERSIONS = "versions"
    LOCK = "lock"
    RETENTION = "retention"
    EXPIRY = "expiry"
    STALE_PARTS = "stale-parts"
    REPLACED = "replaced"
    NOT_PUBLIC = "not-public"


class State(StrEnum):
    """How it was found; the values are stable."""

    MADE = "made"
    THERE = "there"
    UNSUPPORTED = "unsupported"
    WEAKER = "weaker"
    """Weaker than the settings ask for, and not changed: somebody has to decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One feature of one bucket; `found` is what stands there, in the words of the S3 API."""

    bucket: str
    feature: Feature
    state: State
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How new objects are protected by default."""

    mode: str
    days: int

    def __str__(self) -> str:
        return f"{self.mode}, {self.days} d"

    def is_weaker_than(self, other: "Retention") -> bool:
        """Tell whether `other` promises more: a stricter mode, or more days."""
        return self.days < other.days or (self.mode != "COMPLIANCE" and other.mode == "COMPLIANCE")


def wanted_retention(item: S3Store) -> Retention | None:
    """Return the default retention that the settings ask for; None where they ask for no lock."""
    return None if item.lock == "none" else Retention(mode=item.lock.upper(), days=item.lock_days)


def judge_lock(answer: Answer) -> tuple[bool, Retention | None]:
    """Return whether a bucket has a lock, and its default retention, by the answer to the question for it."""
    found = _mapping(answer.reply.get("ObjectLockConfiguration"))
    default = _mapping(_mapping(found.get("Rule")).get("DefaultRetention"))
    mode, days, years = default.get("Mode"), default.get("Days"), default.get("Years")
    total = (days if isinstance(days, int) else 0) + _DAYS_OF_YEAR * (years if isinstance(years, int) else 0)
    retention = Retention(mode=mode, days=total) if isinstance(mode, str) else None
    return found.get("ObjectLockEnabled") == _ENABLED, retention


def judge_expiry(rules: Sequence[Rule], prefix: str) -> str:
    """Return the id of a rule that removes or hides objects whose names begin with `prefix`, else nothing."""
    for rule in rules:
        begin = _prefix_of(rule)
        if rule.get("Status") == _ENABLED and (begin.startswith(prefix) or prefix.startswith(begin)):
            # A rule for markers alone is harmless: they go once they hide nothing any more.
            removes = {*_mapping(rule.get("Expiration"))} - {"ExpiredObjectDeleteMarker"}
            if removes or rule.get("NoncurrentVersionExpiration"):
                return str(rule.get("ID", "?"))
    return ""


def with_rules(present: Sequence[Rule], ours: Sequence[Rule]) -> list[Rule] | None:
    """Return a bucket's rules with ours among them, None if they are: a store takes all rules or none."""
    ids = {rule["ID"] for rule in ours}
    kept = [rule for rule in present if rule.get("ID") not in ids]
    if all(any(_has(rule, one) for rule in present) for one in ours):
        return None
    return [*kept, *ours]


def rules_of(*, fleet: bool) -> Sequence[Rule]:
    """Return the lifecycle rules of a bucket of ours."""
    whole = {"Status": _ENABLED, "Filter": {"Prefix": ""}}
    stale = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": STALE_PARTS_DAYS}}
    replaced = {"NoncurrentVersionExpiration": {"NoncurrentDays": REPLACED_DAYS}}
    rules: list[Rule] = [{"ID": _STALE_PARTS_RULE, **whole, **stale}]
    return [*rules, {"ID": _REPLACED_RULE, **whole, **replaced}] if fleet else rules


def prepare(account: Account, item: S3Store) -> Iterator[Finding]:
    """Set up the buckets of a store, telling each feature as it is done.

    Raises StoreUnreachable, StoreDenied (the account is no administrator's), StoreRefused.
    """
    yield from _Bucket(account, item, item.bucket).prepare_recordings()
    yield from _Bucket(account, item, fleet_bucket_of(item)).prepare_fleet()


class _Bucket:
    """One bucket, looked at and set up."""

    def __init__(self, account: Account, item: S3Store, bucket: str) -> None:
        self._account = account
        self._item = item
        self._bucket = bucket

    def prepare_recordings(self) -> Iterator[Finding]:
        wanted = wanted_retention(self._item)
        made = self._make(lock=wanted is not None)
        yield self._finding(Feature.BUCKET, State.MADE if made else State.THERE)
        yield self._versions()
        if wanted is not None:
            yield from self._lock(wanted)
        hides = judge_expiry(self._rules(), self._item.prefix)
        if hides:
            yield self._finding(Feature.EXPIRY, State.WEAKER, hides)
        yield from self._lifecycle(Feature.STALE_PARTS, rules_of(fleet=False))
        yield self._close()

    def prepare_fleet(self) -> Iterator[Finding]:
        made = self._make(lock=False)
        yield self._finding(Feature.BUCKET, State.MADE if made else State.THERE)
        _locks, retention = judge_lock(self._lock_configuration())
        if retention is not None:
            # A state of every minute that can't be replaced for a year is no weakness, but a mistake.
            yield self._finding(Feature.LOCK, State.WEAKER, str(retention))
        yield from self._lifecycle(Feature.REPLACED, rules_of(fleet=True))
        yield self._close()

    def _make(self, *, lock: bool) -> bool:
        answer = self._ask("HeadBucket")
        if answer.done:
            return False
        if answer.kind is not Kind.MISSING:
            raise self._problem("HeadBucket", answer)
        options: dict[str, object] = {"ObjectLockEnabledForBucket": True} if lock else {}
        if self._item.region != _HOME_REGION:
            options["CreateBucketConfiguration"] = {"LocationConstraint": self._item.region}
        self._change("CreateBucket", **options)
        return True

    def _versions(self) -> Finding:
        if self._has_versions():
            return self._finding(Feature.VERSIONS, State.THERE)
        self._change("PutBucketVersioning", VersioningConfiguration={"Status": _ENABLED})
        return self._finding(Feature.VERSIONS, State.MADE if self._has_versions() else State.WEAKER)

    def _has_versions(self) -> bool:
        return self._known("GetBucketVersioning").reply.get("Status") == _ENABLED

    def _lock(self, wanted: Retention) -> Iterator[Finding]:
        locks, found = judge_lock(self._lock_configuration())
        yield self._finding(Feature.LOCK, State.THERE if locks else State.WEAKER)
        if not locks:
            return
        state = State.THERE
        if found is None:
            rule = {"DefaultRetention": {"Mode": wanted.mode, "Days": wanted.days}}
            self._change(
                "PutObjectLockConfiguration",
                ObjectLockConfiguration={"ObjectLockEnabled": _ENABLED, "Rule": rule},
            )
            _locks, found = judge_lock(self._lock_configuration())
            state = State.MADE
        if found is None or found.is_weaker_than(wanted):
            state = State.WEAKER
        yield self._finding(Feature.RETENTION, state, "" if found is None else str(found))

    def _lock_configuration(self) -> Answer:
        answer = self._ask("GetObjectLockConfiguration")
        absent = {Kind.MISSING, Kind.UNKNOWN, Kind.INVALID}
        if not answer.done and answer.kind not in absent:
            raise self._problem("GetObjectLockConfiguration", answer)
        return answer

    def _lifecycle(self, feature: Feature, ours: Sequence[Rule]) -> Iterator[Finding]:
        rules = with_rules(self._rules(), ours)
        if rules is None:
            yield self._finding(feature, State.THERE)
            return
        answer = self._ask("PutBucketLifecycleConfiguration", LifecycleConfiguration={"Rules": rules})
        if answer.kind is Kind.UNKNOWN:
            yield self._finding(feature, State.UNSUPPORTED, str(answer))
            return
        if not answer.done:
            raise self._problem("PutBucketLifecycleConfiguration", answer)
        kept = with_rules(self._rules(), ours) is None
        yield self._finding(feature, State.MADE if kept else State.UNSUPPORTED)

    def _rules(self) -> list[Rule]:
        answer = self._ask("GetBucketLifecycleConfiguration")
        if answer.kind in {Kind.MISSING, Kind.UNKNOWN}:
            return []
        if not answer.done:
            raise self._problem("GetBucketLifecycleConfiguration", answer)
        rules = answer.reply.get("Rules", [])
        return [_mapping(rule) for rule in rules] if isinstance(rules, list) else []

    def _close(self) -> Finding:
        names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        closed = dict.fromkeys(names, True)
        answer = self._ask("GetPublicAccessBlock")
        if answer.done and _mapping(answer.reply.get("PublicAccessBlockConfiguration")) == closed:
            return self._finding(Feature.NOT_PUBLIC, State.THERE)
        answer = self._ask("PutPublicAccessBlock", PublicAccessBlockConfiguration=closed)
        if answer.done:
            return self._finding(Feature.NOT_PUBLIC, State.MADE)
        if answer.kind in {Kind.DENIED, Kind.BUSY}:
            raise self._problem("PutPublicAccessBlock", answer)
        return self._finding(Feature.NOT_PUBLIC, State.UNSUPPORTED, str(answer))

    def _known(self, operation: str) -> Answer:
        answer = self._ask(operation)
        if not answer.done:
            raise self._problem(operation, answer)
        return answer

    def _change(self, operation: str, **parameters: object) -> None:
        answer = self._ask(operation, **parameters)
        if not answer.done:
            raise self._problem(operation, answer)

    def _ask(self, operation: str, **parameters: object) -> Answer:
        return self._account.ask(operation, Bucket=self._bucket, **parameters)

    def _problem(self, operation: str, answer: Answer) -> Exception:
        words = f"store {self._item.name!r}: bucket {self._bucket!r}: {operation}: {answer}"
        if answer.code in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
            return StoreRefused(f"{words}: the name is taken: choose another in the settings")
        if answer.kind is Kind.DENIED:
            return StoreDenied(f"{words}: this is for an administrator's credentials (--profile)")
        if answer.kind is Kind.BUSY:
            return StoreUnreachable(f"{words}: try again later")
        return StoreRefused(words)

    def _finding(self, feature: Feature, state: State, found: str = "") -> Finding:
        return Finding(bucket=self._bucket, feature=feature, state=state, found=found)


def _prefix_of(rule: Rule) -> str:
    """Return what names a rule is for: its prefix, in any of the three places where S3 lets it stand."""
    given = _mapping(rule.get("Filter"))
    places = (rule.get("Prefix"), given.get("Prefix"), _mapping(given.get("And")).get("Prefix"))
    return next((one for one in places if isinstance(one, str)), "")


def _has(rule: Rule, wanted: Rule) -> bool:
    """Tell whether a rule does what another does, wherever its prefix stands and whatever it is called."""
    actions = [name for name in wanted if name not in {"ID", "Status", "Filter"}]
    same = all(rule.get(name) == wanted[name] for name in actions)
    limited = _mapping(_mapping(rule.get("Filter")).get("And"))
    return same and rule.get("Status") == _ENABLED and not _prefix_of(rule) and not limited


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}

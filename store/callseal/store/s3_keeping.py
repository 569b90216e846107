"""Protecting the objects of an S3 store from deletion: retention until a time, and legal holds.

What holds is never weakened: neither shortened, nor turned from compliance into governance. S3 refuses that
too where it is S3; here it is refused on any store.

Conventions: times of protection are whole seconds, never earlier than asked for.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from botocore.exceptions import ClientError

from callseal.store.errors import StoreRefused
from callseal.store.s3_buckets import S3Buckets
from callseal.store.s3_errors import code_of

Mode: TypeAlias = Literal["COMPLIANCE", "GOVERNANCE"]

# Nothing holds this version; or its bucket was made without object lock, so that nothing can.
_NO_LOCK_CODES: Final = frozenset(
    {
        "NoSuchObjectLockConfiguration",
        "NoSuchObjectLegalHold",  # SeaweedFS
        "ObjectLockConfigurationNotFoundError",
        "InvalidRequest",
    }
)
_ONE_SECOND: Final = timedelta(seconds=1)


def retention(buckets: S3Buckets, name: str, version: str) -> tuple[Mode, datetime] | None:
    """Return how and until when a version is protected."""
    bucket, key = buckets.place(name)
    with buckets.asking(name) as client:
        try:
            found = client.get_object_retention(Bucket=bucket, Key=key, VersionId=version)["Retention"]
        except ClientError as problem:
            if code_of(problem) in _NO_LOCK_CODES:
                return None
            raise
        # Read here, where what is missing means that no S3 store has answered.
        return found["Mode"], found["RetainUntilDate"].astimezone(UTC)


def retain(buckets: S3Buckets, name: str, version: str, until: datetime, mode: Mode) -> None:
    """Protect a version until then; StoreRefused for what would shorten it, or for a time without a zone."""
    if until.tzinfo is None:
        raise StoreRefused(f"{buckets.what(name)}: a time without a zone protects until nobody knows when")
    wanted = whole_second(until)
    held = retention(buckets, name, version)
    if held is not None:
        if wanted < held[1]:
            raise StoreRefused(f"{buckets.what(name)}: protected until {held[1]}, which is never shortened")
        mode = "COMPLIANCE" if held[0] == "COMPLIANCE" else mode
        if held == (mode, wanted):
            return
    bucket, key = buckets.place(name)
    with buckets.asking(name) as client:
        client.put_object_retention(
            Bucket=bucket,
            Key=key,
            VersionId=version,
            Retention={"Mode": mode, "RetainUntilDate": wanted},
            ChecksumAlgorithm="SHA256",
        )


def is_held(buckets: S3Buckets, name: str, version: str) -> bool:
    """Tell whether a version is under a legal hold."""
    bucket, key = buckets.place(name)
    with buckets.asking(name) as client:
        try:
            found = client.get_object_legal_hold(Bucket=bucket, Key=key, VersionId=version)["LegalHold"]
        except ClientError as problem:
            if code_of(problem) in _NO_LOCK_CODES:
                return False
            raise
        return found["Status"] == "ON"


def hold(buckets: S3Buckets, name: str, version: str, *, on: bool) -> None:
    """Put a version under a legal hold, or lift that."""
    bucket, key = buckets.place(name)
    with buckets.asking(name) as client:
        client.put_object_legal_hold(
            Bucket=bucket,
            Key=key,
            VersionId=version,
            LegalHold={"Status": "ON" if on else "OFF"},
            ChecksumAlgorithm="SHA256",
        )


def whole_second(at: datetime) -> datetime:
    """Return the first whole second that is not before `at`, in UTC."""
    floor = at.astimezone(UTC).replace(microsecond=0)
    return floor if floor == at else floor + _ONE_SECOND

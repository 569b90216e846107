"""Who may do what in an S3 store, as IAM policy documents: the least that each role needs.

::

    device         adds its own recordings and ledger, reads its own receipts: an agent and its uploader
    every-device   the same for all devices at once, each an IAM user that is called like its device (AWS)
    custodian      reads everything, adds receipts and retention records, extends locks, holds the fleet
    reader         reads everything, adds records of access: supervisors and inspectors
    stamping       reads ledgers, adds stamps
    add-only       a bucket's policy, not an account's: whoever puts must say that nothing may be there (AWS)

No role may delete, shorten a lock, pass one by, or change the bucket: that is the administrator's, whose
credentials are on no machine of ours.

Conventions: pure; ARNs are of the partition that goes with the region. A policy only ever allows (but
``add-only``, which only forbids), so what it does not say is refused. Nothing in them depends on the name of
a recording: rights end at a device's prefix.

Source: AWS Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3"; Amazon S3
User Guide, "Enforce conditional writes on Amazon S3 buckets".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from callseal.config.central import S3Store
from callseal.store.names import ACCESS, FLEET, LEDGER, RECEIPTS, RECORDINGS, RETENTION, STAMPS, fleet_name

DEVICE_PLACEHOLDER: Final = "dev-DEVICE"
"""Stands for a device that nobody has named; no device is called that, so such a policy gives no right."""

USER_NAME: Final = "${aws:username}"
"""AWS puts the IAM user's name in its place; who has none (a role) gets no right by it."""

FLEET_SUFFIX: Final = "-fleet"

_VERSION: Final = "2012-10-17"  # the only one that knows policy variables
_PARTITIONS: Final = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))
_PARTITION: Final = "aws"

_ADD: Final = ("s3:PutObject",)
_ADD_IN_PARTS: Final = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
_READ: Final = ("s3:GetObject", "s3:GetObjectVersion")
_READ_LOCK: Final = ("s3:GetObjectRetention", "s3:GetObjectLegalHold")
_LOCK: Final = (*_READ_LOCK, "s3:PutObjectRetention", "s3:PutObjectLegalHold")
_LIST: Final = ("s3:ListBucket", "s3:ListBucketVersions")
_LOOK_AT_BUCKET: Final = ("s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration")

Json: TypeAlias = "str | Sequence[Json] | Mapping[str, Json]"


class Role(StrEnum):
    """For whom a policy is; the values are stable."""

    DEVICE = "device"
    EVERY_DEVICE = "every-device"
    CUSTODIAN = "custodian"
    READER = "reader"
    STAMPING = "stamping"
    ADD_ONLY = "add-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The buckets that policies are about; every object's name begins with `prefix`."""

    bucket: str
    fleet_bucket: str
    prefix: str = ""
    partition: str = _PARTITION
    filled_by_custodian: bool = False
    """Whether the custodian brings the recordings there, from the other stores."""

    @property
    def arn(self) -> str:
        """The bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def fleet_arn(self) -> str:
        """The bucket for the fleet's state."""
        return f"arn:{self.partition}:s3:::{self.fleet_bucket}"

    def below(self, *prefixes: str) -> list[Json]:
        """Return the objects whose names begin with one of these."""
        return [f"{self.arn}/{self.prefix}{one}*" for one in prefixes]

    def fleet(self) -> list[Json]:
        """Return the objects that tell the fleet's state."""
        return [f"{self.fleet_arn}/{self.prefix}{FLEET}*"]


def fleet_bucket_of(item: S3Store) -> str:
    """Return the bucket for what is replaced all the time."""
    return item.fleet_bucket or f"{item.bucket}{FLEET_SUFFIX}"


def place_of(item: S3Store) -> Place:
    """Return the place that settings describe."""
    found = (partition for begin, partition in _PARTITIONS if item.region.startswith(begin))
    return Place(
        bucket=item.bucket,
        fleet_bucket=fleet_bucket_of(item),
        prefix=item.prefix,
        partition=next(found, _PARTITION),
        filled_by_custodian=item.filled_by == "custodian",
    )


def device_policy(place: Place, device: str) -> Mapping[str, Json]:
    """Return what one device may do; ValueError for what no device is called."""
    fleet_name(device)  # only for its check
    return _of_device(place, device)


def policies(place: Place, device: str | None = None) -> Mapping[Role, Mapping[str, Json]]:
    """Return all policies of a store; ValueError for what no device is called.

    Without a device its policy holds a placeholder.
    """
    own = _of_device(place, DEVICE_PLACEHOLDER) if device is None else device_policy(place, device)
    return {
        Role.DEVICE: own,
        Role.EVERY_DEVICE: _of_device(place, USER_NAME),
        Role.CUSTODIAN: _of_custodian(place),
        Role.READER: _of_reader(place),
        Role.STAMPING: _of_stamping(place),
        Role.ADD_ONLY: _add_only(place),
    }


def text_of(policy: Mapping[str, Json]) -> str:
    """Return a policy as it is handed to a store."""
    return json.dumps(policy, indent=2)


def _of_device(place: Place, device: str) -> Mapping[str, Json]:
    receipts = _allow("OwnReceipts", ["s3:GetObject"], place.below(f"{RECEIPTS}{device}/"))
    if place.filled_by_custodian:
        return _document(receipts)
    own = place.below(f"{RECORDINGS}{device}/", f"{LEDGER}{device}/")
    return _document(_allow("OwnRecordings", _ADD_IN_PARTS, own), receipts)


def _of_custodian(place: Place) -> Mapping[str, Json]:
    statements = [
        _allow("ReadAll", (*_READ, *_LOCK), place.below("")),
        _allow("LookAtBucket", (*_LIST, *_LOOK_AT_BUCKET), [place.arn]),
        _allow("AddFindings", _ADD, place.below(RECEIPTS, RETENTION)),
        _allow("FleetState", ("s3:GetObject", "s3:PutObject"), place.fleet()),
        _allow("FleetList", ("s3:ListBucket",), [place.fleet_arn]),
    ]
    if place.filled_by_custodian:
        copies = place.below(RECORDINGS, LEDGER, STAMPS)
        statements.append(_allow("BringRecordings", _ADD_IN_PARTS, copies))
    return _document(*statements)


def _of_reader(place: Place) -> Mapping[str, Json]:
    return _document(
        _allow("ReadAll", (*_READ, *_READ_LOCK), place.below("")),
        _allow("LookAtBucket", _LIST, [place.arn]),
        _allow("AddAccess", _ADD, place.below(ACCESS)),
        _allow("FleetState", ("s3:GetObject",), place.fleet()),
        _allow("FleetList", ("s3:ListBucket",), [place.fleet_arn]),
    )


def _of_stamping(place: Place) -> Mapping[str, Json]:
    # Names of objects are no secret (no number, no class), so listing is not limited to prefixes: not every
    # store knows the condition s3:prefix.
    return _document(
        _allow("ReadLedgers", _READ, place.below(LEDGER, STAMPS)),
        _allow("List", _LIST, [place.arn]),
        _allow("AddStamps", _ADD, place.below(STAMPS)),
    )


def _add_only(place: Place) -> Mapping[str, Json]:
    statement: dict[str, Json] = {
        "Sid": "OnlyWhereNothingIs",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": place.below(""),
        # Parts have no such header; what they become has (CompleteMultipartUpload).
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    }
    return _document(statement)


def _allow(sid: str, actions: Sequence[str], resources: Sequence[Json]) -> dict[str, Json]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _document(*statements: Mapping[str, Json]) -> Mapping[str, Json]:
    return {"Version": _VERSION, "Statement": list(statements)}

"""The policies give each role what it needs and no more, at its own prefixes and nowhere else."""

import fnmatch
import json
from collections.abc import Mapping
from typing import Final

import pytest

from callseal.config.central import S3Store
from callseal.store.policies import (
    DEVICE_PLACEHOLDER,
    USER_NAME,
    Place,
    Role,
    device_policy,
    place_of,
    policies,
    text_of,
)

DEVICE: Final = "dev-abcdefghijkl"
OTHER: Final = "dev-mnopqrstuvwx"
PLACE: Final = Place(bucket="rec", fleet_bucket="rec-fleet", prefix="callseal/")
ARN: Final = "arn:aws:s3:::rec"
FLEET_ARN: Final = "arn:aws:s3:::rec-fleet"
EVERYWHERE: Final = (
    "recordings/dev-abcdefghijkl/2026/11/21/x/manifest.json",
    "recordings/dev-mnopqrstuvwx/2026/11/21/x/manifest.json",
    "ledger/dev-abcdefghijkl/0.jsonl",
    "ledger/dev-mnopqrstuvwx/0.jsonl",
    "stamps/dev-abcdefghijkl/1.tsr",
    "receipts/dev-abcdefghijkl/x.json",
    "receipts/dev-mnopqrstuvwx/x.json",
    "retention/dev-abcdefghijkl/x/y.json",
    "access/2026/11/21/x.json",
    "elsewhere",
)
NOBODYS: Final = (
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:BypassGovernanceRetention",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectAcl",
    "s3:PutBucketAcl",
    "s3:ReplicateDelete",
)


def allows(policy: Mapping[str, object], action: str, arn: str) -> bool:
    """Judge as IAM does what only allows: some statement names the action and the resource."""
    statements = policy["Statement"]
    assert isinstance(statements, list)
    assert all(one["Effect"] == "Allow" and "Condition" not in one for one in statements)
    return any(
        any(fnmatch.fnmatchcase(action, one) for one in statement["Action"])
        and any(fnmatch.fnmatchcase(arn, one) for one in statement["Resource"])
        for statement in statements
    )


def reach(policy: Mapping[str, object], action: str) -> set[str]:
    """Give those of the names everywhere, in the bucket, on which an action is allowed."""
    return {name for name in EVERYWHERE if allows(policy, action, f"{ARN}/callseal/{name}")}


def roles(place: Place = PLACE) -> dict[Role, Mapping[str, object]]:
    return {role: policy for role, policy in policies(place, DEVICE).items() if role is not Role.ADD_ONLY}


def test_a_device_puts_its_own_recordings_and_ledger_and_reads_its_own_receipts() -> None:
    policy = device_policy(PLACE, DEVICE)

    own = {
        "recordings/dev-abcdefghijkl/2026/11/21/x/manifest.json",
        "ledger/dev-abcdefghijkl/0.jsonl",
    }
    for action in ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"):
        assert reach(policy, action) == own
    assert reach(policy, "s3:GetObject") == {"receipts/dev-abcdefghijkl/x.json"}


@pytest.mark.parametrize(
    "action",
    [
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:ListBucketMultipartUploads",
        "s3:PutObjectRetention",
        "s3:PutObjectLegalHold",
        "s3:GetObjectRetention",
        "s3:PutObjectTagging",
        *NOBODYS,
    ],
)
def test_a_device_has_no_other_right(action: str) -> None:
    policy = device_policy(PLACE, DEVICE)

    assert reach(policy, action) == set()
    assert not any(
        allows(policy, action, arn) for arn in (ARN, FLEET_ARN, f"{FLEET_ARN}/callseal/fleet/x.json")
    )


def test_a_device_has_no_right_in_a_store_that_the_custodian_fills_but_to_read_its_receipts() -> None:
    place = Place(bucket="rec", fleet_bucket="rec-fleet", prefix="callseal/", filled_by_custodian=True)

    policy = device_policy(place, DEVICE)

    assert reach(policy, "s3:PutObject") == set()
    assert reach(policy, "s3:GetObject") == {"receipts/dev-abcdefghijkl/x.json"}


@pytest.mark.parametrize("filled_by_custodian", [False, True])
@pytest.mark.parametrize("action", NOBODYS)
def test_nobody_may_destroy_or_change_the_bucket(action: str, *, filled_by_custodian: bool) -> None:
    place = Place(bucket="rec", fleet_bucket="rec-fleet", filled_by_custodian=filled_by_custodian)

    for policy in roles(place).values():
        for arn in (ARN, FLEET_ARN, f"{ARN}/recordings/x", f"{FLEET_ARN}/fleet/x"):
            assert not allows(policy, action, arn)


PUTS: Final[Mapping[Role, set[str]]] = {
    Role.CUSTODIAN: {"receipts/", "retention/"},
    Role.READER: {"access/"},
    Role.STAMPING: {"stamps/"},
}


@pytest.mark.parametrize("role", PUTS, ids=str)
def test_each_role_puts_only_what_is_its_own_to_say(role: Role) -> None:
    found = reach(roles()[role], "s3:PutObject")

    assert {name.partition("/")[0] + "/" for name in found} == PUTS[role]


def test_who_brings_copies_may_put_recordings_but_speaks_for_no_reader() -> None:
    place = Place(bucket="rec", fleet_bucket="rec-fleet", prefix="callseal/", filled_by_custodian=True)

    found = reach(roles(place)[Role.CUSTODIAN], "s3:PutObject")

    assert found == {name for name in EVERYWHERE if not name.startswith(("access/", "elsewhere"))}


@pytest.mark.parametrize("role", [Role.CUSTODIAN, Role.READER], ids=str)
def test_who_reads_reads_all_of_it_by_version(role: Role) -> None:
    policy = roles()[role]

    for action in ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention"):
        assert reach(policy, action) == set(EVERYWHERE)
    assert allows(policy, "s3:ListBucket", ARN)
    assert allows(policy, "s3:ListBucketVersions", ARN)
    assert allows(policy, "s3:GetObject", f"{FLEET_ARN}/callseal/fleet/dev-abcdefghijkl.json")


def test_only_the_custodian_touches_locks_and_the_fleet() -> None:
    found = roles()

    for action, arn in (
        ("s3:PutObjectRetention", f"{ARN}/callseal/recordings/x"),
        ("s3:PutObjectLegalHold", f"{ARN}/callseal/recordings/x"),
        ("s3:PutObject", f"{FLEET_ARN}/callseal/fleet/dev-abcdefghijkl.json"),
    ):
        assert [role for role, policy in found.items() if allows(policy, action, arn)] == [Role.CUSTODIAN]


def test_stamping_reads_no_recording() -> None:
    found = reach(roles()[Role.STAMPING], "s3:GetObject")

    assert {name.partition("/")[0] for name in found} == {"ledger", "stamps"}


def test_nothing_reaches_outside_the_settings_prefix() -> None:
    for policy in roles().values():
        for action in ("s3:PutObject", "s3:GetObject", "s3:PutObjectRetention"):
            assert not allows(policy, action, f"{ARN}/recordings/{DEVICE}/x")
            assert not allows(policy, action, f"{ARN}/receipts/{DEVICE}/x")


def test_a_bucket_whose_name_begins_alike_is_another() -> None:
    for policy in roles().values():
        for action in ("s3:PutObject", "s3:GetObject", "s3:ListBucket"):
            assert not allows(policy, action, f"{ARN}2")
            assert not allows(policy, action, f"{ARN}2/callseal/recordings/{DEVICE}/x")


@pytest.mark.parametrize(
    "device", ["", "*", "dev-*", "dev-abcdefghijk?", "dev-abcdefghijkl/..", "dev-ABCDEFGHIJKL"]
)
def test_a_policy_is_for_one_device_and_no_pattern(device: str) -> None:
    with pytest.raises(ValueError, match="device"):
        device_policy(PLACE, device)
    with pytest.raises(ValueError, match="device"):
        policies(PLACE, device)


def test_without_a_device_the_policy_gives_no_device_a_right() -> None:
    policy = policies(PLACE)[Role.DEVICE]

    assert DEVICE_PLACEHOLDER in text_of(policy)
    assert all(reach(policy, action) == set() for action in ("s3:PutObject", "s3:GetObject"))


def test_the_policy_for_every_device_is_that_of_one_with_the_users_name_in_its_place() -> None:
    found = text_of(policies(PLACE)[Role.EVERY_DEVICE])

    assert json.loads(found.replace(USER_NAME, DEVICE)) == device_policy(PLACE, DEVICE)
    assert json.loads(found)["Version"] == "2012-10-17", "older versions take the variable for a name"


def test_the_buckets_own_policy_only_forbids_and_lets_parts_pass() -> None:
    (statement,) = json.loads(text_of(policies(PLACE)[Role.ADD_ONLY]))["Statement"]

    assert statement["Effect"] == "Deny"
    assert statement["Action"] == "s3:PutObject"
    assert statement["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }


@pytest.mark.parametrize(
    ("region", "begin"),
    [
        ("us-east-1", "arn:aws:s3:::"),
        ("cn-north-1", "arn:aws-cn:s3:::"),
        ("us-gov-west-1", "arn:aws-us-gov:s3:::"),
    ],
)
def test_resources_are_named_as_the_region_names_them(region: str, begin: str) -> None:
    item = S3Store(name="central", type="s3", endpoint="https://s3.example.com", bucket="rec", region=region)

    place = place_of(item)

    assert place.arn == f"{begin}rec"
    assert place.fleet_arn == f"{begin}rec-fleet"
    assert f'"{begin}rec/recordings/{DEVICE}/*"' in text_of(device_policy(place, DEVICE))


def test_policies_are_json_of_allowed_size() -> None:
    for role, policy in policies(PLACE, DEVICE).items():
        text = text_of(policy)
        assert json.loads(text) == policy
        # IAM counts no white space; 2,048 is the least of its limits (a user's inline policies).
        assert len("".join(text.split())) < 2048, role

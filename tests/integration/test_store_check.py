"""A real S3 store with exactly the policies that are printed: everything that must be refused is."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import pytest

from callseal.config.central import S3Store
from callseal.store.accounts import Account
from callseal.store.checking import Result, check, exit_code
from callseal.store.errors import StoreRefused
from callseal.store.policies import Role, place_of, policies, text_of
from callseal.store.preparing import Feature, Finding, State, prepare
from callseal.store.probe_names import is_probe_name
from callseal.store.promises import Expected
from callseal.store.trial import Party
from callseal.store.verdicts import Outcome
from support.seaweed import ADMIN, S3Server

DEVICE: Final = "dev-abcdefghijkl"
LOCK_DAYS: Final = 1
_ROLES: Final = {
    Party.AGENT: Role.DEVICE,
    Party.CUSTODIAN: Role.CUSTODIAN,
    Party.SUPERVISOR: Role.READER,
}

pytest_plugins = ["support.seaweed_fixture"]
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

Settings = Callable[..., S3Store]


@pytest.fixture
def settings(s3_server: S3Server) -> Settings:
    """Return a way to the settings of a store whose buckets are not there yet."""

    def make(**more: object) -> S3Store:
        found = s3_server.settings(f"rec-{uuid4().hex[:12]}", lock_days=LOCK_DAYS)
        return found.model_copy(update=more)

    return make


def prepared(item: S3Store) -> list[Finding]:
    return list(prepare(Account(item, ADMIN), item))


def let_in(s3_server: S3Server, item: S3Store, **instead: str) -> None:
    """Let everybody in with the policies that are printed, or with another `instead`, by party."""
    documents = policies(place_of(item), DEVICE)
    for party, role in _ROLES.items():
        s3_server.allow(party.value, instead.get(party.value, text_of(documents[role])))


def examined(item: S3Store, *parties: Party) -> list[Result]:
    accounts = {
        party: Account(item, ADMIN if party is Party.ADMINISTRATOR else party.value)
        for party in parties or tuple(Party)
    }
    return list(check(item, accounts, device=DEVICE, run=uuid4(), now=lambda: datetime.now(UTC)))


def broken(results: list[Result]) -> set[tuple[str, str]]:
    return {(one.row.party.value, one.row.code) for one in results if one.verdict.outcome is Outcome.FAILED}


@pytest.mark.parametrize("lock", ["compliance", "governance", "none"])
@pytest.mark.parametrize("prefix", ["", "callseal/"])
def test_what_is_set_up_and_allowed_as_printed_keeps_every_promise(
    s3_server: S3Server, settings: Settings, lock: str, prefix: str
) -> None:
    item = settings(lock=lock, prefix=prefix)
    prepared(item)
    let_in(s3_server, item)

    results = examined(item)

    # Without a lock nobody can be tried on one.
    unchecked = {one.row.code for one in results if one.verdict.outcome is Outcome.NOT_CHECKED}
    assert broken(results) == set()
    assert unchecked == (set() if lock != "none" else {"adds-with-own-lock"})
    assert sum(one.row.expected is Expected.REFUSED for one in results) > 50


def test_what_is_left_behind_is_small_known_by_its_name_and_nothing_half_done(
    s3_server: S3Server, settings: Settings
) -> None:
    item = settings()
    prepared(item)
    let_in(s3_server, item)

    examined(item)

    client = s3_server.client()
    buckets = [client.list_object_versions(Bucket=name) for name in (item.bucket, f"{item.bucket}-fleet")]
    left = [one for listing in buckets for one in listing.get("Versions", [])]
    assert len(left) == 6
    assert all(is_probe_name(one["Key"]) and one["Size"] < 100 for one in left)
    assert [listing.get("DeleteMarkers", []) for listing in buckets] == [[], []]
    assert client.list_multipart_uploads(Bucket=item.bucket).get("Uploads", []) == []


def test_an_administrator_without_rights_has_tried_no_lock(s3_server: S3Server, settings: Settings) -> None:
    """That he is refused says nothing of what an administrator would be."""
    item = settings()
    prepared(item)
    let_in(s3_server, item)
    s3_server.allow("nobody", text_of(policies(place_of(item), DEVICE)[Role.READER]))
    accounts = {party: Account(item, party.value) for party in _ROLES}
    accounts[Party.ADMINISTRATOR] = Account(item, "nobody")

    results = list(check(item, accounts, device=DEVICE, run=uuid4(), now=lambda: datetime.now(UTC)))

    own = [one.verdict for one in results if one.row.party is Party.ADMINISTRATOR]
    assert {one.outcome for one in own} == {Outcome.NOT_CHECKED}
    assert exit_code(results) == 15


def test_a_too_wide_policy_of_a_device_is_found_and_the_rows_name_it(
    s3_server: S3Server, settings: Settings
) -> None:
    item = settings()
    prepared(item)
    actions = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    wide = {"Effect": "Allow", "Action": actions, "Resource": [f"arn:aws:s3:::{item.bucket}/*"]}
    receipts = policies(place_of(item), DEVICE)[Role.DEVICE]["Statement"]
    assert isinstance(receipts, list)
    let_in(s3_server, item, agent=json.dumps({"Version": "2012-10-17", "Statement": [wide, receipts[1]]}))

    results = examined(item)

    assert exit_code(results) == 21
    assert broken(results) == {
        ("agent", "adds-foreign-recording"),
        ("agent", "adds-foreign-recording-in-parts"),
        ("agent", "adds-foreign-ledger"),
        ("agent", "forges-receipt"),
        ("agent", "adds-retention-record"),
        ("agent", "adds-access-record"),
        ("agent", "adds-stamp"),
        ("agent", "adds-elsewhere"),
    }


def test_where_everybody_is_an_administrator_only_the_lock_stands_in_the_way(
    s3_server: S3Server, settings: Settings
) -> None:
    item = settings()
    prepared(item)
    everybody = dict.fromkeys(Party, Account(item, ADMIN))

    results = list(check(item, everybody, device=DEVICE, run=uuid4(), now=lambda: datetime.now(UTC)))

    held = {
        one.row.code
        for one in results
        if one.row.expected is Expected.REFUSED and one.verdict.outcome is Outcome.OK
    }
    assert held == {"deletes", "deletes-past-lock", "shortens-lock", "weakens-lock"}
    states = {one.state for one in prepared(item)}
    assert states == {State.THERE, State.UNSUPPORTED}, "the attempts changed the bucket"


def test_a_bucket_without_a_lock_breaks_the_promise_of_one(s3_server: S3Server, settings: Settings) -> None:
    item = settings()
    prepared(item.model_copy(update={"lock": "none"}))
    let_in(s3_server, item)

    results = examined(item)

    assert {("custodian", "default-retention"), ("custodian", "locked")} <= broken(results)
    assert exit_code(results) == 21


def test_setting_up_twice_changes_nothing(settings: Settings) -> None:
    item = settings()

    first, again = prepared(item), prepared(item)

    assert {one.state for one in first} == {State.MADE, State.THERE, State.UNSUPPORTED}
    assert {one.state for one in again} == {State.THERE, State.UNSUPPORTED}
    assert [(one.bucket, one.feature) for one in first] == [(one.bucket, one.feature) for one in again]


def test_a_bucket_without_a_lock_is_told_and_left_as_it_is(settings: Settings) -> None:
    item = settings()
    prepared(item.model_copy(update={"lock": "none"}))

    found = prepared(item)

    assert Finding(bucket=item.bucket, feature=Feature.LOCK, state=State.WEAKER) in found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"lock_days": 1}, {"lock_days": 2}),
        ({"lock": "governance"}, {"lock": "compliance"}),
        ({"lock": "governance", "lock_days": 9}, {"lock": "compliance", "lock_days": 1}),
    ],
)
def test_a_weaker_default_retention_is_told_and_left_as_it_is(
    settings: Settings, before: dict[str, object], after: dict[str, object]
) -> None:
    item = settings()
    prepared(item.model_copy(update=before))

    found, again = (prepared(item.model_copy(update=after)) for _time in range(2))

    states = {one.feature: one.state for one in found if one.bucket == item.bucket}
    assert states[Feature.RETENTION] is State.WEAKER
    assert found == again


def test_a_stronger_default_retention_is_well(settings: Settings) -> None:
    item = settings(lock_days=9)
    prepared(item)

    found = prepared(item.model_copy(update={"lock": "governance", "lock_days": 2}))

    assert not any(one.state is State.WEAKER for one in found)


def test_rules_of_somebody_elses_stay_beside_ours(s3_server: S3Server, settings: Settings) -> None:
    item = settings(prefix="callseal/")
    client = s3_server.client()
    client.create_bucket(Bucket=item.bucket, ObjectLockEnabledForBucket=True)
    client.put_bucket_lifecycle_configuration(
        Bucket=item.bucket,
        LifecycleConfiguration={
            "Rules": [
                {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}
            ]
        },
    )

    found = prepared(item)

    rules = client.get_bucket_lifecycle_configuration(Bucket=item.bucket)["Rules"]
    assert {rule["ID"] for rule in rules} == {"logs", "callseal-stale-parts"}
    assert not any(one.state is State.WEAKER for one in found)


def test_a_rule_that_removes_recordings_is_told(s3_server: S3Server, settings: Settings) -> None:
    item = settings()
    client = s3_server.client()
    client.create_bucket(Bucket=item.bucket, ObjectLockEnabledForBucket=True)
    client.put_bucket_lifecycle_configuration(
        Bucket=item.bucket,
        LifecycleConfiguration={
            "Rules": [
                {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
            ]
        },
    )

    found = prepared(item)

    assert Finding(bucket=item.bucket, feature=Feature.EXPIRY, state=State.WEAKER, found="old") in found


def test_who_is_no_administrator_is_told_to_be_one(s3_server: S3Server, settings: Settings) -> None:
    item = settings()
    let_in(s3_server, item)

    with pytest.raises(StoreRefused, match="administrator"):
        list(prepare(Account(item, "agent"), item))

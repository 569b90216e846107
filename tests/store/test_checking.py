"""An examination finds what is wrong with a store, and says nothing of a store that is well."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from callseal.config.central import S3Store
from callseal.store.accounts import Account
from callseal.store.checking import Result, check, exit_code
from callseal.store.errors import StoreDenied, StoreRefused, StoreUnreachable
from callseal.store.policies import Role, place_of, policies, text_of
from callseal.store.preparing import prepare
from callseal.store.probe_names import is_probe_name
from callseal.store.promises import Expected, table
from callseal.store.trial import Party
from callseal.store.verdicts import Outcome
from support.bad_store import ADMIN, BadStore, Fault, serving

DEVICE: Final = "dev-abcdefghijkl"
RUN: Final = UUID("019ac000-0000-7000-8000-000000000001")
_ROLES: Final = {
    Party.AGENT: Role.DEVICE,
    Party.CUSTODIAN: Role.CUSTODIAN,
    Party.SUPERVISOR: Role.READER,
}


@pytest.fixture
def store() -> BadStore:
    return BadStore()


@pytest.fixture
def endpoint(store: BadStore) -> Iterator[str]:
    with serving(store) as found:
        yield found


@pytest.fixture
def item(store: BadStore, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """Return the settings of a store that was set up, and where everybody has the rights of the policies."""
    made = S3Store(name="central", type="s3", endpoint=endpoint, bucket="rec", lock_days=30)
    profiles = {ADMIN: ADMIN, **{party.value: party.value for party in _ROLES}}
    credentials = tmp_path / "credentials"
    credentials.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = x\n"
            for name, key in profiles.items()
        )
    )
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    documents = policies(place_of(made), DEVICE)
    for party, role in _ROLES.items():
        store.allow(party.value, text_of(documents[role]))
    for _finding in prepare(Account(made, ADMIN), made):
        pass
    return made


Examine = Callable[..., list[Result]]


@pytest.fixture
def examine(item: S3Store) -> Examine:
    def run(*parties: Party, settings: S3Store = item) -> list[Result]:
        accounts = {
            party: Account(settings, ADMIN if party is Party.ADMINISTRATOR else party.value)
            for party in parties or tuple(Party)
        }
        device = DEVICE if Party.AGENT in accounts else None
        return list(check(settings, accounts, device=device, run=RUN, now=lambda: datetime.now(UTC)))

    return run


def broken(results: list[Result]) -> set[tuple[str, str]]:
    return {(one.row.party.value, one.row.code) for one in results if one.verdict.outcome is Outcome.FAILED}


FINDINGS: Final[Mapping[Fault, set[tuple[str, str]]]] = {
    Fault.TAKES_WRONG_HASH: {("agent", "wrong-hash")},
    Fault.TAKES_WRONG_PART: {("agent", "wrong-hash-of-part")},
    Fault.FORGETS_IF_NONE_MATCH: {("agent", "second-put")},
    Fault.FORGETS_IT_FOR_PARTS: {("agent", "second-put-in-parts")},
    Fault.DELETES_LOCKED: {("administrator", "deletes")},
    Fault.DELETES_QUIETLY: {("administrator", "deletes")},
    Fault.SHORTENS: {("custodian", "shortens-lock"), ("administrator", "shortens-lock")},
    Fault.SHORTENS_QUIETLY: {("custodian", "shortens-lock"), ("administrator", "shortens-lock")},
    Fault.TO_GOVERNANCE: {("custodian", "weakens-lock"), ("administrator", "weakens-lock")},
    Fault.IGNORES_VERSION: {("custodian", "reads-by-version"), ("supervisor", "reads-by-version")},
    Fault.LOCKS_NOTHING: {("custodian", "locked")},
}
"""What an examination says of each fault, no more and no less."""


def test_a_store_without_a_fault_keeps_every_promise(examine: Examine) -> None:
    results = examine()

    assert [one for one in results if one.verdict.outcome is not Outcome.OK] == []
    assert exit_code(results) == 0


@pytest.mark.parametrize("fault", FINDINGS, ids=str)
def test_each_fault_is_found_and_nothing_else(store: BadStore, examine: Examine, fault: Fault) -> None:
    store.faults.add(fault)

    results = examine()

    assert broken(results) == FINDINGS[fault]
    assert exit_code(results) == 21


def test_a_store_that_alters_what_it_holds_is_found_by_whoever_reads(
    store: BadStore, examine: Examine
) -> None:
    store.faults.add(Fault.ALTERS)

    results = examine()

    readers = {("custodian", "reads"), ("supervisor", "reads"), ("agent", "reads-own-receipt")}
    assert readers <= broken(results)


def test_where_everybody_may_do_everything_all_that_must_be_refused_by_right_is_found(
    store: BadStore, item: S3Store, examine: Examine
) -> None:
    store.faults.add(Fault.ALLOWS_EVERYTHING)

    results = examine()

    held = {
        (one.row.party.value, one.row.code)
        for one in results
        if one.row.expected is Expected.REFUSED and one.verdict.outcome is Outcome.OK
    }
    # Only the lock is left to stand in anybody's way.
    assert {code for _who, code in held} == {"deletes", "deletes-past-lock", "shortens-lock", "weakens-lock"}
    assert store.buckets[item.bucket].retention == ("COMPLIANCE", 30), "the attempts changed the settings"


@pytest.mark.parametrize("code", ["adds-foreign-recording", "adds-foreign-recording-in-parts"])
def test_a_device_that_can_write_under_anothers_prefix_is_found(
    store: BadStore, examine: Examine, code: str
) -> None:
    actions, resources = ["s3:PutObject", "s3:AbortMultipartUpload"], ["arn:aws:s3:::rec/recordings/*"]
    store.allow("agent", json.dumps({"Statement": [{"Action": actions, "Resource": resources}]}))

    assert ("agent", code) in broken(examine())


def test_a_bucket_without_a_lock_breaks_the_promise_of_one(store: BadStore, examine: Examine) -> None:
    store.buckets["rec"].locks = False
    store.buckets["rec"].retention = None

    assert {("custodian", "default-retention"), ("custodian", "locked")} <= broken(examine())


def test_a_bucket_without_versions_is_found(store: BadStore, examine: Examine) -> None:
    store.buckets["rec"].versions = False

    assert {("agent", "adds-recording"), ("custodian", "versions")} <= broken(examine())


def test_a_shorter_lock_than_the_settings_ask_for_is_found(item: S3Store, examine: Examine) -> None:
    longer = item.model_copy(update={"lock_days": 400})

    results = examine(settings=longer)

    assert broken(results) == {("custodian", "default-retention"), ("custodian", "locked")}


def test_what_has_no_credentials_is_told_as_not_checked(examine: Examine) -> None:
    results = examine(Party.AGENT)

    unchecked = [one for one in results if one.verdict.outcome is Outcome.NOT_CHECKED]
    assert broken(results) == set()
    assert {Party.CUSTODIAN, Party.SUPERVISOR} <= {one.row.party for one in unchecked}
    assert exit_code(results) == 15


@pytest.mark.parametrize("party", list(Party), ids=str)
def test_nobody_alone_breaks_a_promise_for_want_of_the_others(examine: Examine, party: Party) -> None:
    assert broken(examine(party)) == set()


def test_every_promise_of_the_table_is_told_whoever_is_there(item: S3Store, examine: Examine) -> None:
    for parties in ([Party.AGENT], [Party.SUPERVISOR], [Party.CUSTODIAN, Party.ADMINISTRATOR]):
        results = examine(*parties)

        wanted = table(item, administrator=Party.ADMINISTRATOR in parties)
        assert [one.row.code for one in results] == [row.code for row in wanted]


def test_rows_are_known_by_who_and_code(item: S3Store) -> None:
    for filled_by in ("uploader", "custodian"):
        rows = table(item.model_copy(update={"filled_by": filled_by}), administrator=True)

        names = [(row.party, row.code) for row in rows]
        assert len(names) == len(set(names)) > 80


def test_all_that_is_left_behind_is_small_and_known_by_its_name(store: BadStore, examine: Examine) -> None:
    examine()

    left = [
        (key, one)
        for bucket in store.buckets.values()
        for key, many in bucket.objects.items()
        for one in many
    ]
    assert len(left) == 6
    assert all(is_probe_name(key) and len(one.data) < 100 for key, one in left)
    assert not any(bucket.uploads for bucket in store.buckets.values())


def test_what_a_store_lets_be_put_wrongly_is_known_by_its_name_too(store: BadStore, examine: Examine) -> None:
    store.faults.add(Fault.ALLOWS_EVERYTHING)

    examine()

    keys = [key for bucket in store.buckets.values() for key in bucket.objects]
    assert len(keys) > 20
    assert [key for key in keys if not is_probe_name(key)] == []


def test_a_store_that_only_the_custodian_fills_lets_no_device_put(
    store: BadStore, item: S3Store, examine: Examine
) -> None:
    copies = item.model_copy(update={"filled_by": "custodian"})
    for party, role in _ROLES.items():
        store.allow(party.value, text_of(policies(place_of(copies), DEVICE)[role]))

    results = examine(settings=copies)

    assert broken(results) == set()
    assert exit_code(results) == 0


@pytest.mark.parametrize("lock", ["governance", "none"])
def test_what_settings_do_not_ask_for_is_not_promised(examine: Examine, item: S3Store, lock: str) -> None:
    results = examine(settings=item.model_copy(update={"lock": lock}))

    assert broken(results) == set()


def test_credentials_that_nobody_knows_end_an_examination(item: S3Store) -> None:
    with pytest.raises(StoreDenied, match="nobody"):
        Account(item, "nobody")


def test_a_bucket_that_is_not_there_ends_an_examination_with_what_to_do(
    item: S3Store, examine: Examine
) -> None:
    with pytest.raises(StoreRefused, match="callseal store init"):
        examine(settings=item.model_copy(update={"bucket": "elsewhere"}))


def test_a_store_that_is_not_there_is_unreachable(item: S3Store, examine: Examine) -> None:
    with pytest.raises(StoreUnreachable, match="central"):
        examine(settings=item.model_copy(update={"endpoint": "http://127.0.0.1:9"}))


def test_an_agent_without_a_device_is_no_agent(item: S3Store) -> None:
    accounts = {Party.AGENT: Account(item, "agent")}

    with pytest.raises(ValueError, match="device"):
        list(check(item, accounts, device=None, run=RUN, now=lambda: datetime.now(UTC)))

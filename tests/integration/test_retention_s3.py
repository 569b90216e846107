"""Protections and holds on a real S3 store: what was decided is what the store enforces, and nothing less."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from botocore.exceptions import ClientError

from callseal.archive.retention import Outcome, Retention
from callseal.archive.term import Periods
from callseal.config.terms import shipped_terms
from callseal.seal.keys import write_certificates
from callseal.seal.receipt import Receipt
from callseal.seal.retention import ContractEnd, Hold, Release
from callseal.store.interface import CentralStore
from callseal.store.opening import open_store
from support.commands import PROGRAM, Commands, Ran
from support.received import decide, receive, write_custodian
from support.sealed_recordings import organisation
from support.seaweed import S3Server
from support.settings_text import LEAST

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytest_plugins = ("support.seaweed_fixture",)
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

DAYS: Final = timedelta(days=1)
NOW: Final = datetime.now(UTC)
PERIODS: Final = Periods(lock=400 * DAYS, renew=60 * DAYS)
OBJECTS: Final = 5  # four of the recording, and its receipt
END: Final = ContractEnd(day=date(2031, 5, 31))
LOCKED: Final = datetime(2041, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Central:
    """A store with one recording that was received, and who looks after it."""

    store: CentralStore
    client: "S3Client"
    bucket: str
    receipt: Receipt
    retention: Retention

    def kept(self) -> list[tuple[str, str, datetime | None]]:
        look = self.retention.keeping.look(self.receipt.device, self.receipt.id)
        return [(name, version, until) for (name, version), until in look.locks]

    def ends(self) -> set[datetime | None]:
        return {until for _name, _version, until in self.kept()}

    def undeletable(self) -> int:
        """Try to delete each object, by version, with all rights; return how many the store kept."""
        count = 0
        for name, version, _until in self.kept():
            try:
                self.client.delete_object(
                    Bucket=self.bucket, Key=name, VersionId=version, BypassGovernanceRetention=True
                )
            except ClientError:
                count += 1
        return count


@pytest.fixture
def central(s3_server: S3Server) -> Central:
    bucket = s3_server.bucket()
    store = open_store(s3_server.settings(bucket))
    receipt, _manifest = receive(store)
    retention = Retention(
        store, organisation().trust, shipped_terms(), periods=PERIODS, now=lambda: datetime.now(UTC)
    )
    return Central(
        store=store, client=s3_server.client(), bucket=bucket, receipt=receipt, retention=retention
    )


@pytest.fixture
def callseal(
    central: Central, s3_server: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Commands]:
    """Return the command line of the custodian's machine."""
    write_certificates(tmp_path / "trust.pem", [organisation().root])
    config = tmp_path / "callseal.toml"
    config.write_text(LEAST + s3_server.settings_text(central.bucket) + write_custodian(tmp_path))
    home = tmp_path / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        commands = Commands(home, capsys, patch)
        commands.use(config)
        yield commands


def test_what_is_renewed_can_not_be_deleted_by_anybody(central: Central) -> None:
    done = list(central.retention.renew(NOW))

    assert [one.outcome for one in done] == [Outcome.EXTENDED] * OBJECTS
    assert all(until is not None and until >= NOW + 400 * DAYS for until in central.ends())
    assert central.undeletable() == OBJECTS
    assert list(central.retention.renew(NOW + DAYS)) == []


def test_a_contracts_end_protects_until_the_end_of_the_term_and_no_decision_shortens_that(
    central: Central,
) -> None:
    decide(central.store, central.receipt, END, at=NOW)
    list(central.retention.apply(central.receipt.device, central.receipt.id, NOW))
    decide(central.store, central.receipt, ContractEnd(day=date(2027, 1, 1)), at=NOW + timedelta(minutes=1))

    list(central.retention.apply(central.receipt.device, central.receipt.id, NOW))

    ends = [until for _name, _version, until in central.kept()]
    assert ends.count(LOCKED) == OBJECTS + 1
    assert central.undeletable() == OBJECTS + 2


def test_a_hold_stops_deletion_until_it_is_lifted(central: Central) -> None:
    device, recording = central.receipt.device, central.receipt.id
    unprotected = central.ends() == {None}
    decide(central.store, central.receipt, Hold(name="case-17"), at=NOW)
    list(central.retention.apply(device, recording, NOW))
    held = {central.store.is_held(name, version) for name, version, _until in central.kept()}

    decide(central.store, central.receipt, Release(name="case-17"), at=NOW + timedelta(minutes=1))
    list(central.retention.apply(device, recording, NOW))

    assert unprotected
    assert held == {True}
    assert {central.store.is_held(name, version) for name, version, _until in central.kept()} == {False}


def test_a_hold_is_enforced_by_the_store_itself(central: Central) -> None:
    one = central.receipt.objects[0]
    central.store.hold(one.name, one.version, on=True)

    with pytest.raises(ClientError):
        central.client.delete_object(Bucket=central.bucket, Key=one.name, VersionId=one.version)

    central.store.hold(one.name, one.version, on=False)
    central.client.delete_object(Bucket=central.bucket, Key=one.name, VersionId=one.version)


def test_what_somebody_puts_on_top_is_neither_protected_nor_believed(central: Central) -> None:
    (record,) = decide(central.store, central.receipt, Hold(name="case-17"), at=NOW)
    look = central.retention.keeping.look(central.receipt.device, central.receipt.id)
    recordname = look.decided.objects[0][0]
    junk = [central.receipt.objects[0].name, recordname, look.objects[OBJECTS - 1][0]]
    tops = {
        name: central.client.put_object(Bucket=central.bucket, Key=name, Body=b"{}")["VersionId"]
        for name in junk
    }

    done = list(central.retention.renew(NOW))

    assert str(record.record) in recordname
    extended = {(one.name, one.version) for one in done if one.outcome is Outcome.EXTENDED}
    assert len(extended) == OBJECTS + 1
    assert extended.isdisjoint(tops.items())
    assert {central.store.is_held(name, version) for name, version, _until in central.kept()} == {True}


def test_an_object_hidden_by_a_delete_marker_is_still_protected(central: Central) -> None:
    one = central.receipt.objects[0]
    central.client.delete_object(Bucket=central.bucket, Key=one.name)

    done = list(central.retention.renew(NOW))

    assert (one.name, one.version) in {(item.name, item.version) for item in done}
    assert central.store.locked_until(one.name, one.version) is not None


def test_a_receipt_hidden_by_a_delete_marker_still_vouches(central: Central) -> None:
    (record,) = decide(central.store, central.receipt, Hold(name="case-17"), at=NOW)
    look = central.retention.keeping.look(central.receipt.device, central.receipt.id)
    for name, _version in look.objects[-2:]:
        central.client.delete_object(Bucket=central.bucket, Key=name)

    done = list(central.retention.renew(NOW))

    assert [one.outcome for one in done].count(Outcome.EXTENDED) == OBJECTS + 1
    assert [one.outcome for one in done].count(Outcome.HELD) == OBJECTS + 1
    assert central.retention.keeping.look(record.device, record.id).decided.state.holds.keys() == {"case-17"}


def test_an_object_that_was_deleted_for_good_is_told(central: Central) -> None:
    one = central.receipt.objects[0]
    central.client.delete_object(Bucket=central.bucket, Key=one.name, VersionId=one.version)

    done = list(central.retention.renew(NOW))

    assert [(item.name, item.exit_code) for item in done if item.outcome is Outcome.MISSING] == [
        (one.name, 12)
    ]


def test_a_store_that_went_away_is_told_and_finished_when_it_is_back(
    central: Central, s3_server: S3Server
) -> None:
    s3_server.seaweed.kill()
    away = list(central.retention.renew(NOW))
    s3_server.seaweed.start()

    done = list(central.retention.renew(NOW))

    assert {one.exit_code for one in away} == {20}
    assert [one.outcome for one in done] == [Outcome.EXTENDED] * OBJECTS


def test_an_account_without_the_right_is_told_and_nothing_is_thought_protected(
    central: Central, s3_server: S3Server
) -> None:
    s3_server.allow("reader", _policy("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention"))
    store = open_store(s3_server.settings(central.bucket, profile="reader"))
    retention = Retention(
        store, organisation().trust, shipped_terms(), periods=PERIODS, now=lambda: datetime.now(UTC)
    )

    done = list(retention.renew(NOW))

    assert {one.outcome for one in done} == {Outcome.FAILED}
    assert {one.exit_code for one in done} == {21}
    assert central.ends() == {None}


def test_set_asks_before_it_protects_for_years(central: Central, callseal: Commands) -> None:
    command = ("retention", "set", str(central.receipt.id), *_words())

    refused = callseal(*command)
    nothing_noted = central.retention.keeping.decisions.of(central.receipt.device, central.receipt.id)
    done = callseal(*command, "--yes", "--json")

    assert (refused.code, nothing_noted.objects) == (2, ())
    assert "central: 5 objects, not protected now, will be protected until 2041-06-01" in refused.err
    assert "can't be undone" in refused.err
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert len(document["extended"]) == OBJECTS + 1
    assert document["stores"][0]["protected_until"] == "2041-06-01T12:00:00.000Z"
    assert document["stores"][0]["destroyable_from"] == "2041-06-01T12:00:00.000Z"
    assert central.ends() == {LOCKED}


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2), ("", 2)])
def test_a_person_answers_at_the_terminal(
    central: Central, callseal: Commands, tmp_path: Path, answer: str, code: int
) -> None:
    command = ["retention", "set", str(central.receipt.id), *_words()]

    ran = _answered(answer, [*command, "--config", str(tmp_path / "callseal.toml")])

    assert ran.code == code, ran.err
    assert "Go on?" in ran.err
    assert central.ends() == ({LOCKED} if code == 0 else {None})


def test_a_hold_by_the_command_line_is_on_every_object_and_can_be_lifted(
    central: Central, callseal: Commands
) -> None:
    recording = str(central.receipt.id)

    held = callseal("hold", "add", recording, "--name", "case-17", "--reason", "lawsuit")
    is_held = {central.store.is_held(name, version) for name, version, _until in central.kept()}
    listed = callseal("hold", "list", "--json")
    lifted = callseal("hold", "remove", recording, "--name", "case-17", "--reason", "settled")

    assert (held.code, lifted.code) == (0, 0), held.err + lifted.err
    assert f"{OBJECTS + 1} objects were put on hold" in held.err
    assert is_held == {True}
    assert [one["hold"] for one in json.loads(listed.out)["holds"]] == ["case-17"]
    assert {central.store.is_held(name, version) for name, version, _until in central.kept()} == {False}


def _words() -> tuple[str, ...]:
    return ("--contract-end", END.day.isoformat(), "--reason", "policy ends")


def _answered(answer: str, command: list[str]) -> Ran:
    """Run the program with a terminal as its standard input, on which this answer was typed."""
    terminal, theirs = os.openpty()
    try:
        os.write(terminal, f"{answer}\n".encode())
        ran = subprocess.run(
            [PROGRAM, *command],
            stdin=theirs,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    finally:
        os.close(theirs)
        os.close(terminal)
    return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def _policy(*actions: str) -> dict[str, object]:
    everything = ["arn:aws:s3:::*", "arn:aws:s3:::*/*"]
    rights = [*actions, "s3:ListBucket", "s3:ListBucketVersions"]
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": rights, "Resource": everything}],
    }

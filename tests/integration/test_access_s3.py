"""Recordings in an S3 store: found, proved and opened with a reader's rights; each opening is kept there."""

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from callseal.config.central import S3Store as S3Settings
from callseal.seal.age import X25519Identity, decrypt
from callseal.store.directory import DirectoryStore
from callseal.store.interface import CentralStore
from callseal.store.names import (
    ACCESS,
    LEDGER,
    RECORDINGS,
    STAMPS,
    parse_ledger_name,
    parse_recording_name,
)
from callseal.store.opening import open_store
from callseal.store.policies import Role, place_of, policies
from support.bundle import CUSTOMER, STORE_NAME, Archive, make_archive, settings_text
from support.commands import Commands
from support.seaweed import S3Server
from support.tsa import StampingAuthority, serving

pytest_plugins = ["support.seaweed_fixture"]
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

REASON: Final = "complaint 2026-118"
READER, LEAST, SILENT, STAMPING = "reader", "least", "silent", "stamping"
"""Who reads as we advise; who may read and add records, and no more; who may add nothing; who stamps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Central:
    """An archive whose recordings lie in an S3 store, and nowhere else that the settings name."""

    archive: Archive
    server: S3Server
    bucket: str
    store: CentralStore
    """As its administrator sees it."""

    def settings(self, profile: str, **changes: str) -> Path:
        """Let somebody in and write settings for them; return their file."""
        item = self.server.settings(self.bucket)
        reader: dict[str, object] = {**policies(place_of(item))[Role.READER]}
        rights: dict[str, tuple[dict[str, object], ...]] = {
            READER: (reader,),
            LEAST: (least_policy(item),),
            SILENT: (reader, denial(item)),
            STAMPING: ({**policies(place_of(item))[Role.STAMPING]},),
        }
        self.server.allow(profile, *rights[profile])
        office = self.archive.office
        table = self.server.settings_text(self.bucket, profile=profile, name=STORE_NAME)
        for key, value in changes.items():
            table = "".join(
                f'{key} = "{value}"\n' if line.startswith(f"{key} =") else line
                for line in table.splitlines(keepends=True)
            )
        path = office.root / f"{profile}{len(changes)}.toml"
        path.write_text(settings_text(office).partition("[[store]]")[0] + table)
        return path

    def records(self) -> list[dict[str, Any]]:
        """Return the access records, the oldest first."""
        found = []
        for item in self.store.list(ACCESS):
            with self.store.get(item.name) as file:
                found.append(json.loads(file.read()))
        return found

    def object_of(self, recording: object, ending: str) -> str:
        """Return the name of a recording's object that ends so."""
        names = (item.name for item in self.store.list(RECORDINGS))
        return next(name for name in names if f"/{recording}/" in name and name.endswith(ending))


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return make_archive(tmp_path_factory.mktemp("office"))


@pytest.fixture
def central(s3_server: S3Server, office: Archive, tmp_path: Path) -> Central:
    """Return an archive in a bucket of its own."""
    archive = office.copied(tmp_path / "office")
    bucket = s3_server.bucket()
    store = open_store(s3_server.settings(bucket))
    copy_into(store, DirectoryStore(archive.office.store_path))
    return Central(archive=archive, server=s3_server, bucket=bucket, store=store)


def copy_into(store: CentralStore, source: DirectoryStore) -> None:
    for item in source.list(""):
        with source.get(item.name) as file:
            data = file.read()
        store.put(item.name, data, hashlib.sha256(data).digest())


def least_policy(item: S3Settings) -> dict[str, object]:
    """Return the right to read and list, but no versions, and to add records of access."""
    bucket = f"arn:aws:s3:::{item.bucket}"
    rights = (
        ("s3:ListBucket", bucket),
        ("s3:GetObject", f"{bucket}/*"),
        ("s3:PutObject", f"{bucket}/{ACCESS}*"),
    )
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": [action], "Resource": [resource]} for action, resource in rights
        ],
    }


def denial(item: S3Settings) -> dict[str, object]:
    """Return what takes away the right to add records."""
    resource = f"arn:aws:s3:::{item.bucket}/{ACCESS}*"
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": ["s3:PutObject"], "Resource": [resource]}],
    }


@pytest.fixture
def callseal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    home = tmp_path / "home"
    home.mkdir()
    return Commands(home, capsys, monkeypatch)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a port that answers nobody: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- a reader's work ------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [READER, LEAST])
def test_a_recording_is_opened_and_the_access_lies_in_the_store(
    callseal: Commands, central: Central, out: Path, who: str
) -> None:
    office, recording = central.archive.office, central.archive.recordings[0]
    callseal.use(central.settings(who))

    refused = callseal("open", str(recording), "-i", office.key_file, "-o", out / "call.wav")
    nothing = left_behind(out)
    ran = callseal(
        *("open", str(recording), "-i", office.key_file, "-o", out / "call.wav", "--reason", REASON)
    )

    (record,) = central.records()
    assert (refused.code, refused.out, nothing) == (2, "", [])
    assert ran.code == 0
    assert str(CUSTOMER.number) in ran.out
    assert left_behind(out) == ["call.wav"]
    assert (record["reason"], record["recordings"]) == (REASON, [str(recording)])
    assert ("may not list versions" in ran.err) == (who == LEAST)


def test_the_list_shows_who_spoke_and_all_of_it_is_one_access(callseal: Commands, central: Central) -> None:
    callseal.use(central.settings(READER))

    plain = callseal("list", "--json", "--store", STORE_NAME)
    ran = callseal(
        *("list", "--json", "--store", STORE_NAME, "-i", central.archive.office.key_file),
        *("--reason", REASON),
    )

    (record,) = central.records()
    rows = json.loads(ran.out)["recordings"]
    assert (plain.code, ran.code) == (0, 0)
    assert [row["id"] for row in json.loads(plain.out)["recordings"]] == [row["id"] for row in rows]
    assert {row["parties"]["customer"]["tel"] for row in rows} == {CUSTOMER.number}
    assert record["action"] == "list"
    assert sorted(record["recordings"]) == sorted(row["id"] for row in rows)


def test_what_is_proved_is_the_same_as_of_a_folder(callseal: Commands, central: Central) -> None:
    office = central.archive.office
    callseal.use(central.settings(READER))

    folder = callseal("verify", "--store", office.store_path, "--json", "--roots", office.roots_file)
    ran = callseal("verify", "--store", STORE_NAME, "--json", "--roots", office.roots_file)

    there, here = json.loads(folder.out), json.loads(ran.out)
    for document in (there, here):
        for row in (*document["recordings"], *document["devices"]):
            row.pop("place", None)
            row.pop("places", None)
    assert len(here["recordings"]) == 3
    assert here["recordings"] == there["recordings"]
    assert (ran.code, here["strangers"]) == (folder.code, [])


def test_evidence_is_made_from_what_lies_in_the_store(
    callseal: Commands, central: Central, out: Path
) -> None:
    callseal.use(central.settings(READER))

    ran = callseal(
        *("open", str(central.archive.recordings[1]), "-i", central.archive.office.key_file),
        *("--evidence", out / "evidence", "--reason", REASON),
    )

    assert ran.code == 0
    assert (out / "evidence" / "audio.wav").is_file()
    assert list((out / "evidence" / "ledger").iterdir())
    assert [record["action"] for record in central.records()] == ["evidence"]


def test_a_recording_is_re_wrapped_out_of_the_store(callseal: Commands, central: Central, out: Path) -> None:
    new, recording = X25519Identity.generate(), central.archive.recordings[0]
    (out / "new.txt").write_text(f"{new.recipient.text}\n")
    callseal.use(central.settings(READER))

    ran = callseal(
        *("keys", "rewrap", str(recording), "-i", central.archive.office.key_file, "-R", out / "new.txt"),
        *("-o", out / "copies", "--reason", REASON),
    )

    (copy,) = (out / "copies").iterdir()
    (call,) = copy.glob("call-*.age")
    with call.open("rb") as file:
        assert b'"payload"' in b"".join(decrypt(file, [new]))
    assert ran.code == 0
    assert (copy / "manifest.sig").is_file()
    assert [record["action"] for record in central.records()] == ["rewrap"]


# --- a store that can't keep the record -----------------------------------------------------------------


def openings(central: Central, out: Path) -> list[list[str | Path]]:
    name, key = str(central.archive.recordings[0]), central.archive.office.key_file
    bundle, recipients = central.archive.office.bundle(central.archive.recordings[2]), "recipients.txt"
    return [
        ["open", name, "-i", key],
        ["open", name, "-i", key, "-o", out / "call.wav"],
        ["open", name, "-i", key, "--raw", "-o", out / "call.au"],
        ["open", name, "-i", key, "--evidence", out / "evidence"],
        ["open", bundle, "-i", key, "-o", out / "call.wav"],
        ["list", "-i", key],
        ["keys", "rewrap", name, "-i", key, "-R", bundle.parents[2] / recipients, "-o", out / "copies"],
    ]


def test_without_the_right_to_keep_a_record_nothing_is_given_out(
    callseal: Commands, central: Central, out: Path
) -> None:
    callseal.use(central.settings(SILENT))

    ran = [callseal(*command, "--reason", REASON) for command in openings(central, out)]

    assert [(one.code, one.out) for one in ran] == [(21, "")] * 7
    assert all("nothing was opened" in one.err for one in ran)
    assert left_behind(out) == []
    assert central.records() == []


def test_where_the_store_can_t_be_reached_nothing_of_a_copy_in_the_spool_is_given_out(
    callseal: Commands, central: Central, out: Path, closed_port: int
) -> None:
    office = central.archive.office
    callseal.use(central.settings(READER, endpoint=f"http://127.0.0.1:{closed_port}"))

    ran = callseal(
        *("open", office.bundle(central.archive.recordings[2]), "-i", office.key_file),
        *("-o", out / "call.wav", "--reason", REASON),
    )

    assert (ran.code, ran.out) == (20, "")
    assert left_behind(out) == []


# --- somebody with the right to add puts something on top -----------------------------------------------


def cover(central: Central, name: str, data: bytes) -> None:
    """Put a newer version on top, as a client does that does not ask whether the name is taken."""
    central.server.client().put_object(Bucket=central.bucket, Key=name, Body=data)


@pytest.mark.parametrize("ending", ["manifest.json", "manifest.sig", ".age"])
def test_what_was_put_on_top_of_a_recording_is_not_what_is_opened(
    callseal: Commands, central: Central, ending: str
) -> None:
    office, recording = central.archive.office, central.archive.recordings[0]
    name = central.object_of(recording, ending)
    cover(central, name, b"what a thief put on top")
    callseal.use(central.settings(READER))

    opened = callseal("open", str(recording), "-i", office.key_file, "--reason", REASON)
    verified = callseal("verify", str(recording), "--store", STORE_NAME)
    listed = callseal("list", "--store", STORE_NAME)

    assert opened.code == 0
    assert f"{name} has 2 versions" in opened.err
    assert verified.code in {0, 15}
    assert "ALTERED" not in verified.out
    assert listed.code == 0


def test_who_can_t_see_versions_takes_what_is_on_top_for_an_alteration_and_is_told_why(
    callseal: Commands, central: Central
) -> None:
    recording = central.archive.recordings[0]
    cover(central, central.object_of(recording, "manifest.json"), b"{}")
    callseal.use(central.settings(LEAST))

    ran = callseal(
        *("open", str(recording), "-i", central.archive.office.key_file, "--reason", REASON),
    )

    assert (ran.code, ran.out) == (12, "")
    assert "may not list versions" in ran.err


def test_an_access_is_not_undone_by_what_is_put_on_its_record_or_hides_it(
    callseal: Commands, central: Central
) -> None:
    key = central.archive.office.key_file
    callseal.use(central.settings(READER))
    for number, recording in enumerate(central.archive.recordings[:2]):
        callseal("open", str(recording), "-i", key, "--reason", f"{REASON}, {number}")
        time.sleep(0.002)  # records sort by their millisecond
    first, second = (item.name for item in central.store.list(ACCESS))
    cover(central, first, b"{}")
    central.server.client().delete_object(Bucket=central.bucket, Key=second)

    ran = callseal("list", "--access", "--json")

    assert ran.code == 0
    assert [row["reason"] for row in json.loads(ran.out)["records"]] == [f"{REASON}, 1", f"{REASON}, 0"]
    assert f"{first} has 2 versions" in ran.err


# --- stamps ---------------------------------------------------------------------------------------------


def test_a_ledger_in_the_store_is_stamped_whatever_was_put_on_top_of_it(
    callseal: Commands, central: Central, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    authority = StampingAuthority(tmp_path / "tsa")
    config = central.settings(STAMPING)
    newest = max(
        (item.name for item in central.store.list(LEDGER)), key=lambda name: parse_ledger_name(name) or ()
    )
    cover(central, newest, b"{}")

    with serving(authority.answer) as url:
        command = ("stamp", "--tsa", url, "--tsa-roots", authority.roots_file, "--config", config, "--json")
        first, again = callseal(*command), callseal(*command)

    outcomes = [json.loads(ran.out)["devices"][0]["outcome"] for ran in (first, again)]
    assert outcomes == ["stamped", "already"]
    assert (first.code, again.code) == (0, 0)
    assert f"{newest} has 2 versions" in first.err
    assert len(list(central.store.list(STAMPS))) == 1


def test_names_in_the_store_are_those_that_the_archive_had(central: Central) -> None:
    parsed = [parse_recording_name(item.name) for item in central.store.list(RECORDINGS)]

    assert None not in parsed
    assert len(parsed) > 6

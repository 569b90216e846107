"""``callseal custodian`` and ``callseal store drill``: from the settings to what is said and how it ends."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from callseal.archive.fleet import read_fleet
from callseal.seal import status
from callseal.seal.keys import (
    Role,
    certify,
    chain_der,
    create_root,
    generate_signing_key,
    read_certificates,
    write_certificates,
    write_signing_key,
)
from callseal.seal.ledger.entry import Kind
from callseal.seal.receipt import open_receipt
from callseal.seal.revocation import revoke, write_pem
from callseal.seal.status import State
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreMissing
from callseal.store.names import receipt_name
from support.commands import PROGRAM, Commands
from support.custody import PRIMARY, SECOND, bring, bring_ledger, content, directory
from support.eventually import eventually
from support.kept_ledgers import MINUTE, Sealed, Writer
from support.organisation_cli import certify as certify_by_command
from support.organisation_cli import make_root, passphrase_in
from support.sealed_recordings import Organisation

LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """A central machine with its settings, its stores, and an organisation of the present day."""

    root: Path
    owner: Organisation
    stores: dict[str, DirectoryStore]

    @property
    def config(self) -> Path:
        return self.root / "callseal.toml"

    @property
    def folder(self) -> Path:
        return self.root / "custodian"

    def record(self, *, ledger: bool = True) -> Sealed:
        """Let a device record a call a moment ago, and bring it to the first store."""
        now = datetime.now(UTC).replace(microsecond=0)
        writer = Writer(self.owner, now - 10 * MINUTE)
        writer.start()
        sealed = writer.record(
            started_at=now - 8 * MINUTE,
            ended_at=now - 7 * MINUTE,
            stores=tuple(self.stores),
        )
        writer.add(Kind.STOPPED, code="0")
        writer.publish()
        if ledger:
            bring_ledger(self.stores[PRIMARY], writer)
        bring(self.stores[PRIMARY], sealed)
        return sealed

    def has_receipt(self, sealed: Sealed, store: str = PRIMARY, about: str = "") -> bool:
        try:
            data = content(self.stores[store], receipt_name(self.owner.device, sealed.id, about))
        except StoreMissing:
            return False
        receipt, chain = open_receipt(data)
        self.owner.trust.check(chain, at=receipt.received_at, role=Role.CUSTODIAN)
        return receipt.id == sealed.id


def make_centre(root: Path, *names: str, role: Role = Role.CUSTODIAN) -> Centre:
    now = datetime.now(UTC) - timedelta(days=1)
    root_key, root_certificate = create_root("Example Insurance", now=now, years=5)
    device_key, key = generate_signing_key(), generate_signing_key()
    leaf = certify(root_key, root_certificate, device_key.public_key(), role=Role.DEVICE, now=now, years=2)
    owner = Organisation(
        root_key=root_key, root=root_certificate, device_key=device_key, chain=chain_der([leaf])
    )
    own = certify(root_key, root_certificate, key.public_key(), role=role, now=now, years=2)
    write_certificates(root / "trust.pem", [root_certificate])
    write_signing_key(root / "custodian.key", key)
    write_certificates(root / "custodian.pem", [own])
    stores = {name: directory(root, name) for name in names or (PRIMARY,)}
    centre = Centre(root=root, owner=owner, stores=stores)
    tables = "".join(
        f'[[store]]\nname = "{name}"\ntype = "directory"\npath = "{root / name}"\n'
        f'filled_by = "{"uploader" if name == PRIMARY else "custodian"}"\n'
        for name in stores
    )
    centre.config.write_text(
        f'schema = 1\n[device]\nsite = "hq"\n[custodian]\npath = "{centre.folder}"\nscan_s = 1.0\n'
        f"scrub_share = 0.0\n{tables}"
    )
    return centre


@pytest.fixture
def centre(tmp_path: Path, callseal: Commands) -> Centre:
    made = make_centre(tmp_path)
    callseal.use(made.config)
    return made


def test_one_round_gives_a_receipt_says_so_and_ends_well(centre: Centre, callseal: Commands) -> None:
    sealed = centre.record()

    ran = callseal("custodian", "--once")

    assert (ran.code, centre.has_receipt(sealed)) == (0, True), ran.err
    assert ran.out.splitlines()[1].split() == [PRIMARY, "1", "0", "1", "0", "0", "0", "0"]


def test_its_json_has_names_that_programs_can_rely_on(centre: Centre, callseal: Commands) -> None:
    centre.record()

    ran = callseal("custodian", "--once", "--json")

    said = json.loads(ran.out)
    assert (said["type"], said["exit_code"]) == ("callseal-custodian/1", 0)
    (store,) = said["stores"]
    assert (store["store"], store["received_now"], store["full_scan"]) == (PRIMARY, 1, True)
    assert store["recordings"] == {"received": 1, "waiting": 0, "incomplete": 0, "refused": 0}
    assert (store["error"], store["troubles"]) == (None, [])


def test_the_newest_word_on_each_device_is_written_for_those_who_watch_over_them(
    centre: Centre, callseal: Commands
) -> None:
    sealed = centre.record()
    callseal("custodian", "--once")

    (entry,) = read_fleet(centre.stores[PRIMARY], centre.owner.trust)

    assert entry.record is not None
    assert (entry.record.device, entry.record.site) == (centre.owner.device, sealed.manifest.site)
    assert (entry.record.recordings.received, entry.record.findings) == (1, ())


def test_another_store_is_filled_in_one_round_too(tmp_path: Path, callseal: Commands) -> None:
    centre = make_centre(tmp_path, PRIMARY, SECOND)
    callseal.use(centre.config)
    sealed = centre.record()

    ran = callseal("custodian", "--once")

    assert ran.code == 0, ran.err
    assert centre.has_receipt(sealed, SECOND)
    assert centre.has_receipt(sealed, PRIMARY, about=SECOND)


def test_what_is_not_here_yet_ends_with_15_and_is_told(centre: Centre, callseal: Commands) -> None:
    sealed = centre.record(ledger=False)

    ran = callseal("custodian", "--once")

    assert (ran.code, centre.has_receipt(sealed)) == (15, False)
    assert "recording-waiting" in ran.err


def test_what_is_altered_ends_with_12_in_every_round(centre: Centre, callseal: Commands) -> None:
    sealed = centre.record()
    audio = next((centre.stores[PRIMARY].root / sealed.prefix).glob("audio-*"))
    audio.write_bytes(bytes(audio.stat().st_size))

    first = callseal("custodian", "--once")
    second = callseal("custodian", "--once")

    assert (first.code, second.code, centre.has_receipt(sealed)) == (12, 12, False)
    assert "recording-altered" in second.err


def test_a_store_that_is_not_there_ends_with_20_and_the_other_is_served(
    tmp_path: Path, callseal: Commands
) -> None:
    centre = make_centre(tmp_path, "away", PRIMARY)
    callseal.use(centre.config)
    (centre.stores["away"].root / ".callseal-store").unlink()
    sealed = centre.record()

    ran = callseal("custodian", "--once")

    assert centre.has_receipt(sealed)
    assert ran.code in {15, 20}
    assert "is its disk mounted?" in ran.err


@pytest.mark.parametrize("missing", ["custodian.key", "custodian.pem"])
def test_without_key_or_certificate_it_does_not_start_and_says_how_to_get_them(
    centre: Centre, callseal: Commands, missing: str
) -> None:
    (centre.root / missing).unlink()

    ran = callseal("custodian", "--once")

    assert ran.code == 78
    assert missing in ran.err
    assert "callseal keys certify --role custodian" in ran.err


def test_a_devices_certificate_makes_no_custodian(tmp_path: Path, callseal: Commands) -> None:
    centre = make_centre(tmp_path, role=Role.DEVICE)
    callseal.use(centre.config)
    sealed = centre.record()

    ran = callseal("custodian", "--once")

    assert (ran.code, centre.has_receipt(sealed)) == (14, False)
    assert "callseal keys certify --role custodian" in ran.err


def test_another_custodians_certificate_is_refused(centre: Centre, callseal: Commands) -> None:
    (centre.root / "custodian.key").unlink()
    write_signing_key(centre.root / "custodian.key", generate_signing_key())

    ran = callseal("custodian", "--once")

    assert ran.code == 78
    assert "not for the key" in ran.err


def test_a_key_that_others_may_read_is_refused(centre: Centre, callseal: Commands) -> None:
    (centre.root / "custodian.key").chmod(0o644)

    ran = callseal("custodian", "--once")

    assert ran.code == 78
    assert "chmod 600" in ran.err


def test_a_systemd_credential_is_used_instead_of_the_key_file(
    centre: Centre, callseal: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = centre.record()
    credentials = centre.root / "credentials"
    credentials.mkdir()
    (centre.root / "custodian.key").rename(credentials / "custodian.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))

    ran = callseal("custodian", "--once")

    assert (ran.code, centre.has_receipt(sealed)) == (0, True), ran.err


def test_a_machine_without_the_table_is_no_custodian(centre: Centre, callseal: Commands) -> None:
    source = '[[source]]\ntype = "bridge"\npbx = "sip:pbx.example"\n'
    store = f'[[store]]\nname = "{PRIMARY}"\ntype = "directory"\npath = "{centre.root / PRIMARY}"\n'
    centre.config.write_text(f'schema = 1\n[device]\nsite = "hq"\n{source}{store}')

    ran = callseal("custodian", "--once")

    assert ran.code == 78
    assert "custodian" in ran.err


@pytest.mark.parametrize(
    "options", [("--json",), ("--once", "--enroll"), ("-o", "x.csr"), ("--once", "--out")]
)
def test_options_that_do_not_go_together_are_a_usage_error(
    centre: Centre, callseal: Commands, options: tuple[str, ...]
) -> None:
    ran = callseal("custodian", *options)

    assert ran.code == 2


def test_a_custodian_is_made_by_enrolling_and_certifying(centre: Centre, callseal: Commands) -> None:
    for name in ("custodian.key", "custodian.pem", "trust.pem"):
        (centre.root / name).unlink()
    passphrase = passphrase_in(centre.root)
    asked = centre.root / "custodian.csr"

    enrolled = callseal("custodian", "--enroll", "-o", asked)
    root = make_root(callseal, centre.root, passphrase)
    certified = certify_by_command(
        callseal, asked, root, passphrase, centre.root / "custodian.pem", "--role", "custodian"
    )
    (centre.root / "root.key.pem").rename(centre.root / "trust.pem")
    ran = callseal("custodian", "--once")

    assert (enrolled.code, certified.code, ran.code) == (0, 0, 0), ran.err
    assert "--role custodian" in enrolled.err
    shown = next(line for line in enrolled.out.splitlines() if line.startswith("fingerprint"))
    assert shown in certified.out


def test_enrolling_again_keeps_the_key(centre: Centre, callseal: Commands) -> None:
    before = (centre.root / "custodian.key").read_bytes()

    ran = callseal("custodian", "--enroll", "-o", centre.root / "again.csr")

    assert ran.code == 0
    assert (centre.root / "custodian.key").read_bytes() == before


def test_the_service_receives_what_comes_says_how_it_is_and_ends_well(
    centre: Centre, callseal: Commands
) -> None:
    def state() -> State | None:
        found = status.read(centre.folder / "status", "custodian", now=datetime.now(UTC), stale_after_s=30.0)
        return None if found is None else found.status.state

    with subprocess.Popen([PROGRAM, "custodian"], env=os.environ, stderr=subprocess.PIPE) as service:
        try:
            eventually(lambda: (centre.folder / "status").exists() and state() is State.READY, "ready")
            sealed = centre.record()
            eventually(lambda: centre.has_receipt(sealed), "a receipt")
        finally:
            service.send_signal(signal.SIGTERM)
        _out, log = service.communicate(timeout=LIMIT_S)

    assert service.returncode == 0
    assert b'"event": "custodian.received"' in log
    assert b"Traceback" not in log
    assert state() is State.STOPPING


def test_a_custodian_that_is_revoked_while_it_runs_ends_and_says_so(
    centre: Centre, callseal: Commands
) -> None:
    leaf = read_certificates(centre.root / "custodian.pem")[0]
    now = datetime.now(UTC)
    listed = revoke(
        centre.owner.root_key,
        centre.owner.root,
        [],
        [leaf],
        since=now,
        reason=x509.ReasonFlags.key_compromise,
        now=now,
    )
    new = centre.root / "revoked.new"
    new.write_bytes(write_pem([listed]))
    with subprocess.Popen([PROGRAM, "custodian"], env=os.environ, stderr=subprocess.PIPE) as service:
        try:
            sealed = centre.record()
            eventually(lambda: centre.has_receipt(sealed), "a receipt")
            new.rename(centre.root / "revoked.pem")
            _out, log = service.communicate(timeout=LIMIT_S)
        finally:
            service.kill()

    assert service.returncode == 14
    assert b"revoked" in log
    assert b"Traceback" not in log


def test_what_is_wrong_is_an_alarm_of_the_service(centre: Centre, callseal: Commands) -> None:
    sealed = centre.record()
    audio = next((centre.stores[PRIMARY].root / sealed.prefix).glob("audio-*"))
    audio.write_bytes(bytes(audio.stat().st_size))

    def alarms() -> list[str]:
        folder = centre.folder / "status"
        if not folder.exists():
            return []
        found = status.read(folder, "custodian", now=datetime.now(UTC), stale_after_s=30.0)
        return [] if found is None else [alarm.code for alarm in found.status.alarms]

    with subprocess.Popen([PROGRAM, "custodian"], env=os.environ, stderr=subprocess.DEVNULL) as service:
        try:
            eventually(lambda: alarms() == ["recording-altered"], "an alarm")
        finally:
            service.send_signal(signal.SIGTERM)
        service.wait(timeout=LIMIT_S)

    assert service.returncode == 0


def test_a_drill_reads_what_was_received_and_says_how_much(centre: Centre, callseal: Commands) -> None:
    sealed = centre.record()
    callseal("custodian", "--once")

    ran = callseal("store", "drill", "--count", "5", "--json")

    said = json.loads(ran.out)
    (store,) = said["stores"]
    assert (ran.code, said["type"], store["recordings"], store["objects"]) == (0, "callseal-drill/1", 1, 4)
    assert store["size_bytes"] == sum(map(len, sealed.files.values()))


def test_a_drill_that_finds_altered_bytes_ends_with_12(centre: Centre, callseal: Commands) -> None:
    sealed = centre.record()
    callseal("custodian", "--once")
    audio = next((centre.stores[PRIMARY].root / sealed.prefix).glob("audio-*"))
    audio.write_bytes(bytes(audio.stat().st_size))

    ran = callseal("store", "drill")

    assert ran.code == 12
    assert "altered" in ran.err
    assert ran.out.splitlines()[1].split()[-1] == "1"


def test_a_drill_where_nothing_was_received_checked_nothing(centre: Centre, callseal: Commands) -> None:
    ran = callseal("store", "drill")

    assert ran.code == 15
    assert "nothing was received" in ran.err


def test_a_drill_of_a_store_that_is_not_there_ends_with_20(centre: Centre, callseal: Commands) -> None:
    (centre.stores[PRIMARY].root / ".callseal-store").unlink()

    ran = callseal("store", "drill")

    assert ran.code == 20


@pytest.mark.parametrize(
    "options",
    [("--share", "0.1", "--count", "1"), ("--store", "elsewhere"), ("--share", "2"), ("--count", "0")],
)
def test_a_drill_that_can_not_be_meant_is_a_usage_error(
    centre: Centre, callseal: Commands, options: tuple[str, ...]
) -> None:
    ran = callseal("store", "drill", *options)

    assert ran.code == 2

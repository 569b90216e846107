"""``callseal health``: how the services are, in words and figures, and never better than what is known."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from callseal.cli import alarm_words
from callseal.cli.health import LASTS_WARNING_S, STALE_AFTER_S
from callseal.cli.monitoring import Verdict, gravest
from callseal.seal.disk import Disk
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Spool
from callseal.seal.status import Alarm, State, Status, status_path, write
from support.commands import Commands, Ran
from support.sealed_recordings import make_ready, organisation

GIB = 1 << 30
WAITING = {
    "waiting_now": 3,
    "waiting_bytes_now": 5 * 1024 * 1024,
    "oldest_waiting_now_s": 7200,
    "unreceipted_now": 8,
    "local_bytes_now": 9,
}


class Machine:
    """A machine with settings and a spool, whose services say what a test lets them."""

    def __init__(self, root: Path, callseal: Commands) -> None:
        self._callseal = callseal
        self.spool = Spool.create(root / "spool")
        self.second = Spool.create(root / "second")
        self.custodian = root / "custodian"
        self.config = root / "callseal.toml"
        self.configure()

    def configure(self, more: str = "", *, spool: str = "", source: bool = True) -> None:
        """Write settings."""
        text = f'schema = 1\n[device]\nsite = "bj"\n[spool]\npath = "{self.spool.root}"\n{spool}\n'
        if source:
            text += '[[source]]\ntype = "bridge"\npbx = "sip:127.0.0.1:5070"\n'
            text += '[[store]]\nname = "primary"\ntype = "directory"\npath = "store"\n'
        self.config.write_text(text + more)

    def says(
        self,
        service: str,
        *,
        age_s: float = 0.0,
        state: State = State.READY,
        alarms: Sequence[str] = (),
        reasons: Sequence[str] = (),
        counters: dict[str, int] | None = None,
    ) -> None:
        """Let a service say how it is."""
        now = datetime.now(UTC)
        folder = self.custodian / "status" if service == "custodian" else self.spool.status_path
        folder.mkdir(parents=True, exist_ok=True)
        status = Status(
            service=service,
            pid=4711,
            started_at=now - timedelta(days=1),
            updated_at=now - timedelta(seconds=age_s),
            state=state,
            reasons=tuple(reasons),
            alarms=tuple(
                Alarm(code=code, since=now - timedelta(minutes=number + 1), detail=f"about {code}")
                for number, code in enumerate(alarms)
            ),
            counters=counters or {},
            version="0.1.0",
        )
        write(folder, status)

    def well(self) -> None:
        """Let both services be well."""
        self.says("agent")
        self.says("uploader", counters=WAITING)

    def health(self, *options: str) -> Ran:
        return self._callseal("health", "--config", self.config, *options)

    def json(self) -> dict[str, Any]:
        ran = self.health("--json")
        document: dict[str, Any] = json.loads(ran.out)
        assert document["exit_code"] == ran.code
        return document


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
    """Say how many percent of the disk of 100 GiB under each spool are used; None: it does not answer."""
    percent: dict[str, int | None] = {"spool": 40, "second": 40}

    def of(folder: Path) -> Disk:
        share = percent[folder.name]
        if share is None:
            raise SpoolError(f"{folder}: no answer")
        return Disk(used_bytes=share * GIB, free_bytes=(100 - share) * GIB)

    monkeypatch.setattr(Disk, "of", of)
    return percent


@pytest.fixture
def machine(tmp_path: Path, callseal: Commands, disks: dict[str, int | None]) -> Machine:
    assert disks
    return Machine(tmp_path, callseal)


def test_services_that_are_well_are_ok(machine: Machine) -> None:
    machine.well()

    ran = machine.health()

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == "OK: all services answer"


def test_what_waits_and_what_lacks_a_receipt_is_told(machine: Machine) -> None:
    machine.well()
    with machine.spool.lock():
        make_ready(machine.spool, organisation())

    ran, found = machine.health(), machine.json()

    for line in ("Recordings here", "Waiting to be sent", "Without all receipts"):
        assert line in ran.out
    assert "3 (5.0 MiB)" in ran.out
    assert "2 hours" in ran.out
    assert found["recordings"] == {
        "local": 1,
        "waiting": 3,
        "waiting_bytes": 5 * 1024 * 1024,
        "oldest_waiting_s": 7200,
        "unreceipted": 8,
    }


@pytest.mark.parametrize("service", ["agent", "uploader"])
def test_a_service_that_never_ran_is_critical(machine: Machine, service: str) -> None:
    machine.well()
    status_path(machine.spool.status_path, service).unlink()

    ran = machine.health()

    assert ran.code == 2
    assert f"CRITICAL: {service}: does not answer: it never ran here" in ran.out


@pytest.mark.parametrize(("service", "limit_s"), [("agent", 10), ("uploader", 30)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_last_word_of_a_service_that_died_is_not_believed(
    machine: Machine, service: str, limit_s: int, sign: int
) -> None:
    """Nor one from the future: somebody set the clock."""
    machine.well()
    machine.says(service, age_s=sign * (limit_s - 5))
    fresh = machine.health().code
    machine.says(service, age_s=sign * (limit_s + 5), alarms=["one-recipient"], counters=WAITING)

    ran, found = machine.health(), machine.json()

    assert STALE_AFTER_S[service] == limit_s
    assert (fresh, ran.code) == (0, 2)
    assert f"{service}: does not answer: its last word is" in ran.out
    assert found["alarms"] == []
    assert [one["answers"] for one in found["services"] if one["service"] == service] == [False]


def test_figures_of_an_uploader_that_does_not_answer_are_unknown(machine: Machine) -> None:
    machine.well()
    machine.says("uploader", age_s=100, counters=WAITING | {"disk_lasts_now_s": 60})

    found = machine.json()

    assert found["recordings"] == {
        "local": 0,
        "waiting": None,
        "waiting_bytes": None,
        "oldest_waiting_s": None,
        "unreceipted": None,
    }
    assert found["disk_lasts_s"] is None
    assert "unknown" in machine.health().out


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (State.STARTING, 1),
        (State.READY, 0),
        (State.NOT_READY, 2),
        (State.STOPPING, 1),
        (State.FAILED, 2),
    ],
)
def test_a_service_that_is_not_ready_is_not_well(machine: Machine, state: State, code: int) -> None:
    machine.well()
    machine.says("agent", state=state)

    assert machine.health().code == code


def test_why_an_agent_is_not_ready_is_said_in_words(machine: Machine) -> None:
    machine.well()
    machine.says("agent", state=State.NOT_READY, reasons=["spool-full"])

    assert "The disk for recordings was full." in machine.health().out


@pytest.mark.parametrize(
    ("service", "alarms", "code"),
    [
        ("agent", ["one-recipient"], 1),
        ("agent", ["one-recipient", "write-failed"], 2),
        ("uploader", ["store-unreachable"], 1),
        ("uploader", ["store-denied"], 2),
        ("uploader", ["never-heard-of"], 1),
    ],
)
def test_alarms_make_the_verdict(machine: Machine, service: str, alarms: list[str], code: int) -> None:
    machine.well()
    machine.says(service, alarms=alarms, counters=WAITING)

    ran, found = machine.health(), machine.json()

    assert ran.code == code
    assert {one["code"] for one in found["alarms"]} == set(alarms)
    for alarm in alarms:
        assert f"about {alarm}" in ran.out
        assert alarm in ran.out.splitlines()[0]


def test_alarms_are_shown_gravest_first_and_with_what_they_mean(machine: Machine) -> None:
    machine.well()
    machine.says("agent", alarms=["recovered", "spool-full", "one-recipient"])

    ran, found = machine.health(), machine.json()

    assert [one["code"] for one in found["alarms"]] == ["spool-full", "one-recipient", "recovered"]
    assert "Only one key can read the recordings." in ran.out


@pytest.mark.parametrize(
    ("percent", "code", "verdict"),
    [(80, 0, "ok"), (81, 1, "warning"), (95, 1, "warning"), (96, 2, "critical")],
)
def test_a_disk_that_fills_is_told_by_the_limits_of_the_settings(
    machine: Machine, disks: dict[str, int | None], percent: int, code: int, verdict: str
) -> None:
    machine.well()
    disks["spool"] = percent

    found = machine.json()

    assert found["exit_code"] == code
    assert [(disk["used_percent"], disk["verdict"]) for disk in found["disks"]] == [(percent, verdict)]


def test_a_disk_with_too_little_room_counts_as_full_whatever_its_share(machine: Machine) -> None:
    machine.configure(spool="min_free_mb = 100000")
    machine.well()

    assert machine.json()["disks"][0]["verdict"] == "critical"


def test_a_full_disk_is_less_grave_while_the_second_has_room(
    machine: Machine, disks: dict[str, int | None]
) -> None:
    machine.configure(spool=f'second_path = "{machine.second.root}"')
    machine.well()
    disks["spool"] = 99
    one = machine.json()
    disks["second"] = 99
    both = machine.json()

    assert (one["verdict"], both["verdict"]) == ("warning", "critical")


def test_a_disk_that_does_not_answer_is_unknown_and_why_is_said(
    machine: Machine, disks: dict[str, int | None]
) -> None:
    machine.well()
    disks["spool"] = None

    ran = machine.health()

    assert ran.code == 3
    assert "no answer" in ran.out.splitlines()[0]


@pytest.mark.parametrize(("lasts_s", "code"), [(LASTS_WARNING_S - 1, 1), (LASTS_WARNING_S, 0), (None, 0)])
def test_a_disk_that_is_full_tomorrow_is_a_warning_today(
    machine: Machine, lasts_s: int | None, code: int
) -> None:
    machine.well()
    machine.says("uploader", counters=WAITING | ({} if lasts_s is None else {"disk_lasts_now_s": lasts_s}))

    found = machine.json()

    assert (found["exit_code"], found["disk_lasts_s"]) == (code, lasts_s)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"type": "callseal-status/2"}'])
def test_a_status_that_can_not_be_read_is_unknown_and_nothing_better(machine: Machine, damage: bytes) -> None:
    machine.well()
    status_path(machine.spool.status_path, "agent").write_bytes(damage)

    ran, found = machine.health(), machine.json()

    assert ran.code == 3
    assert "agent: can't be read" in ran.out
    assert "agent.json" in found["services"][0]["error"]


def test_what_is_critical_is_not_hidden_by_what_is_unknown(machine: Machine) -> None:
    machine.well()
    status_path(machine.spool.status_path, "agent").write_bytes(b"{}")
    machine.says("uploader", alarms=["store-denied"])

    assert machine.health().code == 2


def test_the_custodian_is_looked_at_where_the_settings_have_one(machine: Machine) -> None:
    machine.configure(f'[custodian]\npath = "{machine.custodian}"\n', source=False)
    silent = machine.health()
    machine.says("custodian")
    well = machine.json()
    machine.says("custodian", alarms=["receipt-forged"])
    forged = machine.health()

    assert (silent.code, well["exit_code"], forged.code) == (2, 0, 2)
    assert [one["service"] for one in well["services"]] == ["custodian"]
    assert well["disks"] == []
    assert "CRITICAL: custodian: does not answer" in silent.out
    assert "A receipt in a store is forged." in forged.out


@pytest.mark.parametrize("options", [("--no-such-option",), ("surplus",), ("--config",)])
def test_a_command_that_was_asked_wrongly_is_unknown_and_no_warning(
    callseal: Commands, options: tuple[str, ...]
) -> None:
    """A monitoring system would take the code of a usage error, 2, for a verdict."""
    ran = callseal("health", *options)

    assert ran.code == 3
    assert ran.out == ""
    assert "callseal: " in ran.err


def test_settings_that_can_not_be_read_are_unknown(machine: Machine) -> None:
    missing = machine.config
    missing.unlink()
    absent = machine.health()
    missing.write_text("schema = [")

    broken = machine.health("--json")

    assert (absent.code, broken.code) == (3, 3)
    assert str(machine.config) in absent.err
    assert "Traceback" not in broken.err


def test_help_is_help(callseal: Commands) -> None:
    ran = callseal("health", "--help")

    assert ran.code == 0
    assert "Example: callseal health --json" in ran.out


def test_the_json_has_the_names_that_programs_rely_on(machine: Machine) -> None:
    machine.well()
    machine.says("agent", alarms=["recovered"])

    found = machine.json()

    assert list(found) == [
        "type",
        "verdict",
        "exit_code",
        "checked_at",
        "services",
        "alarms",
        "recordings",
        "disks",
        "disk_lasts_s",
    ]
    assert (found["type"], found["verdict"]) == ("callseal-health/1", "warning")
    assert list(found["services"][0]) == [
        "service",
        "verdict",
        "answers",
        "state",
        "reasons",
        "pid",
        "started_at",
        "updated_at",
        "age_s",
        "version",
        "counters",
        "error",
    ]
    assert list(found["alarms"][0]) == ["service", "code", "verdict", "since", "detail"]
    assert list(found["disks"][0]) == ["path", "verdict", "used_percent", "free_bytes", "error"]
    assert found["services"][1]["counters"] == WAITING


def test_nothing_is_changed_by_looking(machine: Machine, tmp_path: Path) -> None:
    machine.well()
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))

    machine.health()

    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_of_several_verdicts_the_gravest_counts() -> None:
    assert gravest([]) is Verdict.OK
    assert gravest([Verdict.OK, Verdict.WARNING]) is Verdict.WARNING
    assert gravest([Verdict.UNKNOWN, Verdict.WARNING]) is Verdict.UNKNOWN
    assert gravest([Verdict.UNKNOWN, Verdict.CRITICAL]) is Verdict.CRITICAL


@pytest.mark.parametrize("code", list(alarm_words.MEANINGS))
def test_every_alarm_is_a_warning_or_critical_and_has_words(code: str) -> None:
    assert alarm_words.verdict("agent", code) in {Verdict.WARNING, Verdict.CRITICAL}
    assert alarm_words.words("agent", code).endswith((".", "?"))


def test_what_a_custodian_finds_in_a_ledger_is_critical_unless_it_is_known_to_be_harmless() -> None:
    assert alarm_words.verdict("custodian", "ledger-forked") is Verdict.CRITICAL
    assert alarm_words.verdict("custodian", "ledger-heartbeat-late") is Verdict.WARNING
    assert alarm_words.verdict("agent", "ledger-forked") is Verdict.WARNING
    assert alarm_words.words("custodian", "ledger-forked") != "ledger-forked"

"""A desk is not called ready while its recordings could not be read, or not be believed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from callseal.agent.key_watch import LOOK_EVERY_S, KeyWatch
from callseal.seal.age import X25519Identity
from callseal.seal.device import DeviceSigner
from callseal.seal.keyfile import read_recipients
from support.sealed_recordings import organisation

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class _Alarms:
    def __init__(self) -> None:
        self.standing: dict[str, str] = {}

    def raise_(self, code: str, words: str) -> None:
        self.standing[code] = words

    def clear(self, code: str) -> None:
        self.standing.pop(code, None)


def _watch(path: Path, alarms: _Alarms) -> KeyWatch:
    owner = organisation()
    signer = DeviceSigner(device="dev-abcdefghijkl", key=owner.device_key, chain=owner.chain)
    return KeyWatch(path, read_recipients(path), signer, alarm=alarms.raise_, clear=alarms.clear)


@pytest.fixture
def recipients_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipients.txt"
    path.write_text(X25519Identity.generate().recipient.text + "\n")
    return path


def test_keys_that_are_right_are_no_reason(recipients_file: Path) -> None:
    alarms = _Alarms()

    why_not = _watch(recipients_file, alarms).why_not(NOW, 0.0)

    assert why_not == ()
    assert alarms.standing == {}


@pytest.mark.parametrize("content", [None, "", "no key\n", "another"])
def test_a_file_that_went_wrong_under_the_agent_is_told_and_its_repair_too(
    recipients_file: Path, content: str | None
) -> None:
    alarms = _Alarms()
    watch = _watch(recipients_file, alarms)
    before = recipients_file.read_text()
    if content is None:
        recipients_file.unlink()
    else:
        other = X25519Identity.generate().recipient.text
        recipients_file.write_text(content.replace("another", other))

    told = watch.why_not(NOW, 0.0), dict(alarms.standing)
    recipients_file.write_text(before)
    soon = watch.why_not(NOW, LOOK_EVERY_S / 2)
    later = watch.why_not(NOW, LOOK_EVERY_S)

    assert told[0] == ("keys-wrong",)
    assert list(told[1]) == ["keys-wrong"]
    assert soon == ("keys-wrong",)
    assert later == ()
    assert alarms.standing == {}


def test_a_certificate_that_has_expired_is_told(recipients_file: Path) -> None:
    alarms = _Alarms()

    why_not = _watch(recipients_file, alarms).why_not(NOW + timedelta(days=365 * 60), 0.0)

    assert why_not == ("keys-wrong",)
    assert "expired" in alarms.standing["keys-wrong"]

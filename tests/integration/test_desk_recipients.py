"""An agent that seals to one key alone records, and says all the time what that may cost."""

from pathlib import Path

import pytest

from callseal.seal.age import X25519Identity
from support.desk import desk

pytestmark = pytest.mark.integration


def test_one_recipient_alone_is_a_standing_alarm(tmp_path: Path) -> None:
    only = tmp_path / "only.txt"
    only.write_text(X25519Identity.generate().recipient.text + "\n")
    edit = (('recipients_file = "recipients.txt"', f'recipients_file = "{only}"'),)

    with desk(tmp_path / "desk", edit=edit) as at:
        reading = at.office.status("agent")

    assert reading is not None
    assert "one-recipient" in {alarm.code for alarm in reading.status.alarms}


def test_two_recipients_are_enough(tmp_path: Path) -> None:
    with desk(tmp_path / "desk") as at:
        reading = at.office.status("agent")

    assert reading is not None
    assert "one-recipient" not in {alarm.code for alarm in reading.status.alarms}

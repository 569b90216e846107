"""The page that shows the states of SIP says what the code does."""

from pathlib import Path

import pytest

from callseal.agent.sip import dialog, transaction

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sip-states.md"


@pytest.mark.parametrize("machine", transaction.MACHINES, ids=lambda one: one.name)
def test_the_page_has_each_machine_of_transactions(machine: transaction.Machine) -> None:
    page = PAGE.read_text()

    table = transaction.table_text(machine)

    assert table.rstrip() in page


def test_the_page_has_the_machine_of_dialogs_and_no_other_table() -> None:
    page = PAGE.read_text()

    table = dialog.table_text()

    assert table.rstrip() in page
    assert page.count("\n| --- ") == 1 + len(transaction.MACHINES)

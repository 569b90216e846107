"""``callseal store``: makes stores (``init``), examines them (``check``), reads again (``drill``)."""

import typer

from callseal.cli import drill_command
from callseal.cli.commands import add
from callseal.cli.i18n import _
from callseal.cli.store_check import check
from callseal.cli.store_init import init


def register(app: typer.Typer) -> None:
    """Add the group's commands."""
    words = _(
        "Make a folder a store, or all stores that the settings name.\n\nOnly a folder that was made a store"
        " is written to: the empty folder that an unmounted disk leaves behind is none. For S3 it needs an"
        " administrator's credentials: it makes the buckets, with versions and a lock, and shows what each"
        " role must be allowed. What is there already is compared, and never made weaker."
    )
    add(app, "init", words, "callseal store init /srv/recordings")(init)
    words = _(
        "Prove that an S3 store keeps what it promises, and that each role can do what it must and nothing"
        " else, by trying it with that role's credentials.\n\nIt leaves a few small objects behind, which"
        " stay as long as the store's lock lasts; no recording is touched."
    )
    example = (
        "callseal store check --agent-profile desk1 --device dev-… --custodian-profile custodian"
        " --supervisor-profile supervisor"
    )
    add(app, "check", words, example)(check)
    add(app, "drill", drill_command.words(), drill_command.EXAMPLE)(drill_command.drill)

"""What keeps the demo from going on.

Conventions: as in `callseal.cli.errors`.
"""

from typing import ClassVar, Final

from callseal.cli.errors import CliError

NO_SOURCE: Final = 40


class DemoFailed(CliError):  # noqa: N818 - says what is wrong better than "...Error" would
    """A step of the demo did not succeed; the words say which, and where to look."""

    exit_code: ClassVar[int] = NO_SOURCE

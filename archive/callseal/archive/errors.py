"""What can go wrong on the central side, each with its exit code. A store's errors are the store's.

::

    ArchiveError                 1   a bug of ours
    ├── AuthorityUnreachable    20   temporary: the time-stamping authority does not answer; try again later
    ├── AuthorityRefused        21   permanent: it says no, or what it answers is no stamp on what was asked
    └── ScratchFailed           30   temporary: the folder for temporary files can't be written

Conventions: ``permanent`` tells whether the same step can succeed later without anybody doing anything.
"""

from typing import ClassVar


class ArchiveError(Exception):
    """Base of all errors of this part; raised itself only for a bug of ours."""

    exit_code: ClassVar[int] = 1
    permanent: ClassVar[bool] = True


class AuthorityUnreachable(ArchiveError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The authority can't be reached, does not answer in time, or is out of order."""

    exit_code: ClassVar[int] = 20
    permanent: ClassVar[bool] = False


class AuthorityRefused(ArchiveError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The authority does not stamp this, or answers with something that must not be kept."""

    exit_code: ClassVar[int] = 21


class ScratchFailed(ArchiveError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The disk refuses a temporary file."""

    exit_code: ClassVar[int] = 30
    permanent: ClassVar[bool] = False

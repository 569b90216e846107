"""What can go wrong on the central side, each with its exit code. A store's errors are the store's.

::

    ArchiveError                 1   a bug of ours
    ├── AuthorityUnreachable    20   temporary: the time-stamping authority does not answer; try again later
    ├── AuthorityRefused        21   permanent: it says no, or what it answers is no stamp on what was asked
    ├── ScratchFailed           30   temporary: the folder for temporary files can't be written
    ├── MemoryFailed            30   temporary: the custodian's own folder can't be written
    ├── NotCustodian            14   permanent: its certificate holds no more, or was revoked
    ├── CopyRefused             12   permanent: what lies in a store is not what it should be
    └── SourceFailed            20   temporary: the store that is copied from fails

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


class MemoryFailed(ArchiveError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The folder for what the custodian remembers can't be used."""

    exit_code: ClassVar[int] = 30
    permanent: ClassVar[bool] = False


class NotCustodian(ArchiveError):  # noqa: N818 - says what is wrong better than "...Error" would
    """This custodian's certificate does not hold (any more), so that it must sign nothing."""

    exit_code: ClassVar[int] = 14


class CopyRefused(ArchiveError):  # noqa: N818 - says what is wrong better than "...Error" would
    """Something is not copied, because it is not what it should be; `found` is the check's exit code."""

    exit_code: ClassVar[int] = 12

    def __init__(self, message: str, found: int = 12) -> None:
        super().__init__(message)
        self.found = found


class SourceFailed(ArchiveError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The store that something is copied from can't be read; the one that it is copied to may be well."""

    exit_code: ClassVar[int] = 20
    permanent: ClassVar[bool] = False

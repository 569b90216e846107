"""What a command itself finds wrong, each with its exit code. What the parts below raise has its own.

::

    CliError             1   a bug of ours
    ├── UsageFault       2   options that do not go together, a file that is there already
    ├── NotFound        10   no recording of that name, no audio in it
    │   └── Ambiguous   10   a short name that several recordings have
    ├── WrongKey        11   none of the keys given opens the recording
    ├── AlteredObject   12   an object is not what the device sealed; `object` and `chunk` say where
    ├── Untrusted       14   nobody trusted vouches for the signer, and --strict was asked for
    └── NotChecked      15   something could not be read, so that nothing can be said of it

Conventions: messages are in the user's language, name the place, and say what to do.
"""

from typing import ClassVar


class CliError(Exception):
    """Base of all errors of this part; raised itself only for a bug of ours."""

    exit_code: ClassVar[int] = 1
    permanent: ClassVar[bool] = True


class UsageFault(CliError):  # noqa: N818 - typer's own is called UsageError
    """The command can't be done as it was asked for."""

    exit_code: ClassVar[int] = 2


class NotFound(CliError):  # noqa: N818 - says what is wrong better than "...Error" would
    """There is no such recording, or not what was asked of it."""

    exit_code: ClassVar[int] = 10


class Ambiguous(NotFound):
    """Several recordings have a name like that."""


class WrongKey(CliError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The recording is sealed to others."""

    exit_code: ClassVar[int] = 11


class AlteredObject(CliError):  # noqa: N818 - says what is wrong better than "...Error" would
    """An object of a recording is not what its device sealed."""

    exit_code: ClassVar[int] = 12

    def __init__(self, message: str, *, object_name: str, chunk: int | None = None) -> None:
        super().__init__(message)
        self.object_name = object_name
        self.chunk = chunk


class Untrusted(CliError):  # noqa: N818 - says what is wrong better than "...Error" would
    """Nobody whom we trust vouches for the signer."""

    exit_code: ClassVar[int] = 14


class NotChecked(CliError):  # noqa: N818 - says what is wrong better than "...Error" would
    """Something could not be read."""

    exit_code: ClassVar[int] = 15

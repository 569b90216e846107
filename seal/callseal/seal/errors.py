"""What can go wrong in the sealing part, each with its exit code.

::

    SealError                    1   a bug of ours: an object used in a way its contract forbids
    ├── RemoteError             12   bytes from outside are not what they should be
    │   ├── HeaderError         12   age: the header is malformed         ("header failure")
    │   ├── HeaderMacError      12   age: the header's MAC does not fit   ("HMAC failure")
    │   ├── PayloadError        12   age: a chunk altered or cut off      ("payload failure")
    │   ├── ArmorError          12   age: the ASCII armor is malformed    ("armor failure")
    │   ├── NoIdentityMatch     11   age: none of the keys opens it       ("no match")
    │   ├── ManifestError       12   the manifest is malformed or does not fit its objects
    │   ├── VconError           12   the vCon is malformed
    │   ├── LedgerError         12   an entry, a checkpoint or a proof of the ledger is malformed
    │   ├── StampError          12   the time stamp is malformed, altered, or on something else
    │   ├── ReceiptError        12   the custodian's receipt is malformed
    │   ├── RetentionError      12   a record about keeping a recording is malformed
    │   ├── AccessError         12   an access record is malformed
    │   ├── FleetError          12   a fleet record is malformed
    │   ├── SignatureError      13   a signature does not fit
    │   └── UntrustedSigner     14   the signature fits, nobody we trust vouches for its key
    │       └── StampUnchecked  15   no root is known that could vouch for a stamping authority
    ├── KeyFileError            78   the caller's own key, recipient or passphrase file
    │   └── WrongPassphrase     11
    └── SpoolError              30   the disk: may work again later

Conventions: every class has ``exit_code`` (what the command line ends with) and ``permanent`` (false:
the same call may succeed later). Only the ``RemoteError`` family may escape a parser that is fed bytes
from outside. The words in quotes are the failure classes of the C2SP test vectors (CCTV, ``age``);
they stand in ``failure``. No message carries a secret or a customer's number.
"""

import errno
from pathlib import Path
from typing import ClassVar, Final

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class SealError(Exception):
    """Base of all errors of this part; raised itself only for a misuse that is a bug of ours."""

    exit_code: ClassVar[int] = 1
    permanent: ClassVar[bool] = True


class RemoteError(SealError):
    """Bytes from outside are wrong: altered, cut off, malformed, or not for us."""

    exit_code: ClassVar[int] = 12


class HeaderError(RemoteError):
    """The header of an age file is malformed, or breaks one of the limits."""

    failure: ClassVar[str] = "header failure"


class HeaderMacError(RemoteError):
    """A key opened the header of an age file, and its MAC does not fit: the header was altered."""

    failure: ClassVar[str] = "HMAC failure"


class PayloadError(RemoteError):
    """A chunk of an age file is altered, missing or surplus.

    ``chunk`` counts from 0. ``truncated`` means that the file ends exactly behind a whole chunk that is not
    its last: what a recording looks like whose recorder died, and what was read before is authentic.
    """

    failure: ClassVar[str] = "payload failure"

    def __init__(self, message: str, *, chunk: int | None = None, truncated: bool = False) -> None:
        super().__init__(message)
        self.chunk = chunk
        self.truncated = truncated


class ArmorError(RemoteError):
    """The ASCII armor around an age file is malformed."""

    failure: ClassVar[str] = "armor failure"


class NoIdentityMatch(RemoteError):  # noqa: N818 - the name that the format's vectors use
    """None of the identities given opens the age file."""

    exit_code: ClassVar[int] = 11
    failure: ClassVar[str] = "no match"


class ManifestError(RemoteError):
    """A manifest is malformed, or does not fit the objects that it lists."""


class VconError(RemoteError):
    """A vCon is malformed."""


class StampError(RemoteError):
    """A time stamp is malformed, altered, or was made on something else."""


class ReceiptError(RemoteError):
    """A custodian's receipt is malformed."""


class LedgerError(RemoteError):
    """A line, a checkpoint or a proof of the ledger is malformed, or does not fit the rest."""


class AccessError(RemoteError):
    """An access record is malformed."""


class RetentionError(RemoteError):
    """A record about keeping a recording is malformed."""


class FleetError(RemoteError):
    """A fleet record is malformed."""


class SignatureError(RemoteError):
    """A signature does not fit the bytes that it stands for."""

    exit_code: ClassVar[int] = 13


class UntrustedSigner(RemoteError):  # noqa: N818 - says what is wrong better than "...Error" would
    """A signature fits, and its key is vouched for by no root that we trust."""

    exit_code: ClassVar[int] = 14


class StampUnchecked(UntrustedSigner):
    """No root of a time-stamping authority is known, so that nothing can be said of who stamped."""

    exit_code: ClassVar[int] = 15


class KeyFileError(SealError):
    """A key, recipient or identity, or its file, is of no use; ``path`` and ``line`` say where."""

    exit_code: ClassVar[int] = 78

    def __init__(self, message: str, *, path: Path | None = None, line: int | None = None) -> None:
        self.message = message
        self.path = path
        self.line = line
        where = "" if path is None else f"{path}: " if line is None else f"{path}, line {line}: "
        super().__init__(f"{where}{message}")


class WrongPassphrase(KeyFileError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The passphrase does not open the sealed key file."""

    exit_code: ClassVar[int] = 11


class SpoolError(SealError):
    """The spool's disk refused or failed; the same step may succeed later."""

    exit_code: ClassVar[int] = 30
    permanent: ClassVar[bool] = False

    @property
    def full(self) -> bool:
        """Whether the disk only had no room, so that what it did take is sound."""
        return isinstance(self.__cause__, OSError) and self.__cause__.errno in _NO_ROOM

"""What can go wrong with a store, each with its exit code.

::

    StoreError (OSError)      1   a bug of ours
    ├── StoreUnreachable     20   temporary: not there, not writable, full, too busy; try again later
    │   └── UploadGone       20   temporary: the store does not know this undertaking; begin another
    ├── StoreRefused         21   permanent: other bytes stand under that name, or no such name is allowed
    │   ├── NameTaken        21   permanent: something stands under that name, and the store does not say what
    │   └── StoreDenied      21   the account lacks the right, or its credentials are no longer good
    ├── StoreMissing         10   permanent: no object of that name
    └── SourceAltered        12   permanent: the local file is not what its hash says

Conventions: ``permanent`` tells whether the same call can succeed later without anybody doing anything. A
store's error is an OSError, so that a reader of objects that knows nothing of stores (``seal.verify``)
can treat it as what it is: input or output that failed.
"""

from typing import ClassVar


class StoreError(OSError):
    """Base of all errors of this part; raised itself only for a bug of ours."""

    exit_code: ClassVar[int] = 1
    permanent: ClassVar[bool] = True


class StoreUnreachable(StoreError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The store can't be reached, or can't take anything at the moment."""

    exit_code: ClassVar[int] = 20
    permanent: ClassVar[bool] = False


class UploadGone(StoreUnreachable):
    """A store does not know, or no longer knows, an object that is put in parts (NoSuchUpload)."""


class StoreRefused(StoreError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The store will not do this, however often it is asked."""

    exit_code: ClassVar[int] = 21


class NameTaken(StoreRefused):
    """Something stands under that name already: what we put there before, or somebody else's (412)."""


class StoreDenied(StoreRefused):
    """The account may not do this, or the store does not accept its credentials.

    It is about the account and not about the object: other objects will fare no better, and all of them will
    go once a person has mended it. So it is not permanent in the sense of this part.
    """

    permanent: ClassVar[bool] = False


class StoreMissing(StoreError):  # noqa: N818 - says what is wrong better than "...Error" would
    """There is no object of that name (or of that version)."""

    exit_code: ClassVar[int] = 10


class SourceAltered(StoreError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The local file that was to be stored is not the one that its hash was taken of."""

    exit_code: ClassVar[int] = 12

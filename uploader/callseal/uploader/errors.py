"""What can go wrong in the uploader itself, each with its exit code. A store's errors are the store's.

::

    UploadError              1   a bug of ours
    ├── BundleBroken        12   permanent: what lies in ready/ is no whole recording; a person must look
    └── QueueNewer          30   permanent: a newer version of callseal made the queue; that one must run here

Conventions: ``permanent`` tells whether the same step can succeed later without anybody doing anything.
"""

from typing import ClassVar


class UploadError(Exception):
    """Base of all errors of this part; raised itself only for a bug of ours."""

    exit_code: ClassVar[int] = 1
    permanent: ClassVar[bool] = True


class BundleBroken(UploadError):  # noqa: N818 - says what is wrong better than "...Error" would
    """A recording in ``ready/`` can't be sent as it is: no manifest, a malformed one, an object missing."""

    exit_code: ClassVar[int] = 12


class QueueNewer(UploadError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The queue was written by a newer version, in a form that this one does not know."""

    exit_code: ClassVar[int] = 30

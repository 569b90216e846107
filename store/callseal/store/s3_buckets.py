"""Where the objects of an S3 store lie, and how it is asked: bucket and key of a name, and one request.

Names that begin with ``fleet/`` lie in a bucket of their own, without versions and lock.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from callseal.config import central
from callseal.store.errors import StoreError
from callseal.store.names import FLEET
from callseal.store.s3_bodies import SentBody
from callseal.store.s3_client import CONNECTIONS, Access, Clients, Clock
from callseal.store.s3_errors import REMOTE_ERRORS, is_about_credentials, translate
from callseal.store.s3_puts import Puts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Buckets:
    """The buckets of one store, and the client that asks them. For any number of threads."""

    def __init__(
        self,
        settings: central.S3Store,
        *,
        profile: str | None = None,
        connections: int = CONNECTIONS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._settings = settings
        self._fleet_bucket = settings.fleet_bucket or f"{settings.bucket}-fleet"
        self._clients = Clients(settings, profile=profile, connections=connections, clock=clock)

    def place(self, name: str) -> tuple[str, str]:
        """Return the bucket and the key of an object."""
        bucket = self._fleet_bucket if name.startswith(FLEET) else self._settings.bucket
        return bucket, f"{self._settings.prefix}{name}"

    def places(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """Return in which buckets, and under which prefixes of keys, objects of a prefix lie."""
        if prefix.startswith(FLEET):
            return ((self._fleet_bucket, self.key(prefix)),)
        main = (self._settings.bucket, self.key(prefix))
        return (main, (self._fleet_bucket, self.key(FLEET))) if FLEET.startswith(prefix) else (main,)

    def key(self, name: str) -> str:
        """Return the key of a name, or the prefix of keys of a prefix of names."""
        return f"{self._settings.prefix}{name}"

    def name(self, key: str) -> str:
        """Return the name of a key, or the prefix of names of a prefix of keys."""
        return key[len(self._settings.prefix) :]

    def what(self, name: str) -> str:
        """Return what to call an object in a message."""
        return f"{self._settings.name}: {'/'.join(self.place(name))}"

    @contextlib.contextmanager
    def asking(self, name: str) -> Iterator["S3Client"]:
        """Give the client for one request about a name, or a prefix; raises errors of ours only."""
        with self._access(name) as access:
            yield access.client

    @contextlib.contextmanager
    def putting(self, name: str, body: bytes | SentBody) -> Iterator[Puts]:
        """Give what puts an object or a part; raises errors of ours only.

        What the body itself raised counts before what became of the request thereby.
        """
        with self._access(name, body) as access:
            yield access.puts

    @contextlib.contextmanager
    def _access(self, name: str, body: bytes | SentBody = b"") -> Iterator[Access]:
        access = None
        try:
            access = self._clients.current()
            yield access
        except REMOTE_ERRORS as problem:
            if isinstance(body, SentBody) and body.problem is not None:
                raise body.problem from None
            if isinstance(problem, StoreError):
                raise
            if access is not None and is_about_credentials(problem):
                self._clients.doubt(access)
            raise translate(problem, self.what(name)) from problem

"""The client of an S3 store, made from the settings, and made anew when the credentials change.

botocore's own chain finds the credentials: variables, the profile in their file, the machine's role. It reads
the file once; who replaces keys in it expects that a service takes them without being started again, so the
file is looked at, at most every `LOOK_S`, and so it is when the store refuses what we have.

What is left to us and not to botocore: trying again (one attempt: the uploader knows better when),
checksums (ours, over what we know that the bytes are; none that the store might not know), proxies (none:
a variable left in some environment must not send recordings another way).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import boto3.session
import botocore.session
from botocore.config import Config

from callseal.config import central
from callseal.store.s3_puts import Puts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S: Final = 10.0
# The end of an upload in parts may take minutes; the store sends blanks meanwhile. Silence is something else.
READ_TIMEOUT_S: Final = 60.0
CONNECTIONS: Final = 10
LOOK_S: Final = 5.0

Clock: TypeAlias = Callable[[], float]
"""Seconds that never go back."""

_Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]


def make_client(
    settings: central.S3Store, *, profile: str | None = None, connections: int = CONNECTIONS
) -> "S3Client":
    """Make a client for a store; `profile` is used instead of the one in the settings.

    Raises what botocore raises (ProfileNotFound, InvalidConfigError …): see `s3_errors.translate`.
    """
    return _client(_session(settings, profile), settings, connections)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a store is asked with one set of credentials: by the client, and for what is put without it."""

    client: "S3Client"
    puts: Puts


class Clients:
    """The one access that a store uses, replaced when other credentials are there; for any thread."""

    def __init__(
        self,
        settings: central.S3Store,
        *,
        profile: str | None = None,
        connections: int = CONNECTIONS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._settings = settings
        self._session = partial(_session, settings, profile)
        self._connections = connections
        self._clock = clock
        self._lock = threading.Lock()
        self._access: Access | None = None
        self._files: tuple[Path, ...] = ()
        self._stamp: _Stamp = ()
        self._looked_s = 0.0
        self._is_doubted = False

    def current(self) -> Access:
        """Return what has the newest credentials that are known; raises what `make_client` raises."""
        with self._lock:
            now_s = self._clock()
            if self._access is None or (now_s - self._looked_s >= LOOK_S and self._is_stale()):
                self._make()
                self._looked_s = now_s
            elif now_s - self._looked_s >= LOOK_S:
                self._looked_s = now_s
            assert self._access is not None  # noqa: S101 - for the type checker: `_make` sets it or raises
            return self._access

    def doubt(self, access: Access) -> None:
        """Say that the store did not accept these credentials: others are looked for."""
        with self._lock:
            self._is_doubted = self._is_doubted or access is self._access

    def _is_stale(self) -> bool:
        return self._is_doubted or _stamp(self._files) != self._stamp

    def _make(self) -> None:
        session = self._session()
        self._files = tuple(
            Path(str(session.get_config_variable(name))).expanduser()
            for name in ("credentials_file", "config_file")
        )
        # Taken before the files are read: a change in between is then seen at the next look.
        self._stamp = _stamp(self._files)
        client = _client(session, self._settings, self._connections)
        self._access = Access(client=client, puts=Puts(client, session.get_credentials()))
        self._is_doubted = False


def _session(settings: central.S3Store, profile: str | None) -> botocore.session.Session:
    return botocore.session.Session(profile=profile or settings.profile or None)


def _client(session: botocore.session.Session, settings: central.S3Store, connections: int) -> "S3Client":
    return boto3.session.Session(botocore_session=session).client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        verify=None if settings.ca_file is None else str(settings.ca_file),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if settings.path_style else "virtual"},
            retries={"total_max_attempts": 1, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=max(connections, 1),
            tcp_keepalive=True,
            proxies={},
            user_agent_extra=f"callseal/{version('callseal')}",
        ),
    )


def _stamp(files: tuple[Path, ...]) -> _Stamp:
    """Return what changes when one of the files is replaced or written to."""
    return tuple(map(_file_stamp, files))


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

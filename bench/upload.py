"""How fast recordings come to an S3 store, beside `aws s3 cp`, `rclone copy` and the store's own ceiling.

    python bench/upload.py [large | small | queue]…

The store is SeaweedFS on this machine, one for all; each contestant copies the same folder of finished
recordings (four objects each) into a bucket of its own, with as many connections. Ours is the uploader's
whole process, from its start until the last recording is in the store, with its durable queue, its hashes and
its order of objects; theirs is the program from start to end. "Once it runs" leaves out our start: a service
starts once. The ceiling is a client that only sends requests that were made before (`raw_puts`): with the
headers of ours, which let the store refuse a name that is taken and compare a hash, and plain. To reach:
large files not slower than the others, small ones three times as fast, or as near to the ceiling as may be.

``queue``: an uploader whose store is away, with 10,000 recordings waiting: how soon it is ready, and its
memory with 1,000 and with 10,000. To reach: 2 s, and no more memory.

The others are taken where they are installed (Debian: awscli, rclone).
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from raw_puts import credentials_of, raw_puts, send_all

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.central import UPLOADER, Service, said, write_desk
from support.filled_spool import CALL_SIZE_BYTES, FilledSpool
from support.sealed_recordings import organisation
from support.seaweed import ADMIN, S3Server, serving

MIB: Final = 1024 * 1024
CONNECTIONS: Final = 8
LARGE: Final = (6, 100 * MIB)
SMALL: Final = (750, 2048)
QUEUED: Final = (1_000, 10_000)
READY_LIMIT_S: Final = 2.0
RUNS: Final = 3
LIMIT_S: Final = 600.0
OBJECTS_EACH: Final = 4
MANY: Final = 1_000  # of fewer objects a rate says little
OURS: Final = "callseal uploader"
OWNER: Final = organisation()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How long one contestant took, and how many objects a second it sent once it ran (0: not known)."""

    took_s: float
    running: float = 0.0


def table(server: S3Server, bucket: str, endpoint: str = "") -> str:
    """Give the store's table of the settings."""
    return (
        f'[[store]]\nname = "primary"\ntype = "s3"\nendpoint = "{endpoint or server.endpoint}"\n'
        f'bucket = "{bucket}"\nprofile = "{ADMIN}"\n'
    )


def fill(folder: Path, count: int, size_bytes: int) -> None:
    """Leave recordings in the spool of a desk."""
    with FilledSpool(folder / "spool", OWNER, random.Random(1)) as filled:  # noqa: S311 - any bytes will do
        for _ in range(count):
            filled.record(size_bytes)


def ours(server: S3Server, folder: Path, count: int) -> Run:
    """Run the uploader until all recordings are sent."""
    shutil.rmtree(folder / "spool" / "upload", ignore_errors=True)
    config = write_desk(
        folder, OWNER, table(server, server.bucket()), uploader=f"connections = {CONNECTIONS}\n"
    )
    service = Service(UPLOADER, config, server.environment())
    service.log.unlink(missing_ok=True)
    began_s = time.perf_counter()
    service.start()
    first_count, first_s = 0, began_s
    try:
        while (found := sent(service.log)) < count:
            if found and not first_count:
                first_count, first_s = found, time.perf_counter()
            if not service.is_running or time.perf_counter() - began_s > LIMIT_S:
                raise SystemExit(f"the uploader did not come to its end:\n{service.tail()}")
            time.sleep(0.02)
        ended_s = time.perf_counter()
        running = (count - first_count) * OBJECTS_EACH / (ended_s - first_s)
        return Run(took_s=ended_s - began_s, running=running)
    finally:
        service.kill()


def sent(log: Path) -> int:
    """Count the recordings that an uploader says it has sent."""
    return log.read_bytes().count(b'"upload.sent"') if log.exists() else 0


def theirs(server: S3Server, folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yield what the other programs take for the same folder."""
    source = folder / "spool" / "ready"
    if shutil.which("aws"):
        config = folder / "aws.config"
        config.write_text(
            f"[default]\ns3 =\n  max_concurrent_requests = {CONNECTIONS}\n  addressing_style = path\n"
        )
        command = [
            *("aws", "--endpoint-url", server.endpoint, "--region", "us-east-1", "s3", "cp", "--recursive"),
            *("--only-show-errors", str(source), f"s3://{server.bucket()}/"),
        ]
        yield (
            "aws s3 cp",
            timed(command, {**environment, "AWS_PROFILE": ADMIN, "AWS_CONFIG_FILE": str(config)}),
        )
    if shutil.which("rclone"):
        remote = {
            "RCLONE_CONFIG_STORE_TYPE": "s3",
            "RCLONE_CONFIG_STORE_PROVIDER": "Other",
            "RCLONE_CONFIG_STORE_ENV_AUTH": "true",
            "RCLONE_CONFIG_STORE_ENDPOINT": server.endpoint,
            "RCLONE_CONFIG_STORE_REGION": "us-east-1",
        }
        command = [
            *("rclone", "copy", "--config", os.devnull, "--transfers", str(CONNECTIONS)),
            *("--s3-no-check-bucket", str(source), f"store:{server.bucket()}/"),
        ]
        yield "rclone copy", timed(command, {**environment, **remote, "AWS_PROFILE": ADMIN})


def timed(command: list[str], environment: Mapping[str, str]) -> float:
    """Return how long a command takes."""
    began_s = time.perf_counter()
    # rclone 1.60 does not start with a CA bundle of one's own, and the store is on loopback without TLS.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    subprocess.run(command, check=True, env={**kept, **environment})
    return time.perf_counter() - began_s


def ceiling(server: S3Server, folder: Path) -> Iterator[tuple[str, float]]:
    """Yield what a client takes that does nothing else than to send."""
    endpoint = urlsplit(server.endpoint)
    credentials = credentials_of(ADMIN, server.credentials_file)
    for name, as_ours in (("ceiling, puts as ours", True), ("ceiling, plain puts", False)):
        address = f"{server.endpoint}/{server.bucket()}/"
        puts = raw_puts(folder / "spool" / "ready", address, credentials, as_ours=as_ours)
        yield name, send_all(puts, endpoint.hostname or "", endpoint.port or 0, CONNECTIONS)


def race(server: S3Server, name: str, count: int, size_bytes: int) -> None:
    """Let all copy the same, in turn, several times; the shortest times count."""
    total_mb = count * (size_bytes + CALL_SIZE_BYTES) / 1e6
    objects = count * OBJECTS_EACH
    best: dict[str, Run] = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name_of_folder:
        folder = Path(name_of_folder)
        fill(folder, count, size_bytes)
        for _ in range(RUNS):
            runs = {OURS: ours(server, folder, count)}
            for one, took_s in (*theirs(server, folder, server.environment()), *ceiling(server, folder)):
                runs[one] = Run(took_s=took_s)
            for one, run in runs.items():
                best[one] = min(run, best.get(one, run), key=lambda found: found.took_s)
    own = best[OURS]
    print(f"{name}: {count} recordings, {objects} objects, {total_mb:.0f} MB")
    for one, run in best.items():
        print(
            f"  {one:21} {run.took_s:6.2f} s  {total_mb / run.took_s:6.1f} MB/s"
            f"  {objects / run.took_s:6.0f} objects/s  ours is {run.took_s / own.took_s:.2f} times as fast"
        )
    if objects >= MANY:
        print(f"  ours, once it runs: {own.running:.0f} objects/s")


def queue(count: int) -> None:
    """Start an uploader with many recordings and no store; print how soon it is ready, and its memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        fill(folder, count, 200)
        stores = (
            '[[store]]\nname = "primary"\ntype = "s3"\nendpoint = "http://127.0.0.1:9"\nbucket = "none"\n'
        )
        config = write_desk(folder, OWNER, stores)
        keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
        for round_name in ("first start", "next start"):
            service = Service(UPLOADER, config, keys)
            began = datetime.now(UTC)
            service.start()
            try:
                took_s = wait_ready(folder / "spool", began, count)
                time.sleep(5)
                print(
                    f"{count} waiting, {round_name}: ready in {took_s:.2f} s"
                    f" ({took_s / READY_LIMIT_S:.2f} of the limit), {resident_mb(service):.0f} MB"
                )
            finally:
                service.kill()


def wait_ready(spool: Path, began: datetime, count: int) -> float:
    """Return how long it takes until the service says that it is ready and knows of all of them."""
    deadline_s = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline_s:
        reading = said(spool, UPLOADER)
        if (
            reading is not None
            and reading.status.started_at >= began
            and reading.status.state.value == "ready"
            and reading.status.counters.get("waiting_now") == count
        ):
            return (datetime.now(UTC) - began).total_seconds()
        time.sleep(0.02)
    raise SystemExit("the uploader does not get ready")


def resident_mb(service: Service) -> float:
    """Return a process's memory."""
    text = Path(f"/proc/{service.pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1000


def main() -> None:
    """Print the figures that are asked for, or all."""
    wanted = set(sys.argv[1:]) or {"large", "small", "queue"}
    if wanted & {"large", "small"}:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
            server = stack.enter_context(serving(folder))
            if "large" in wanted:
                race(server, "large", *LARGE)
            if "small" in wanted:
                race(server, "small", *SMALL)
    if "queue" in wanted:
        for count in QUEUED:
            queue(count)


if __name__ == "__main__":
    main()

"""How fast recordings come to an S3 store, beside `aws s3 cp` and `rclone copy` on the same store.

    python bench/upload.py [large | small | queue]…

The store is SeaweedFS on this machine, one for all; each contestant copies the same folder of finished
recordings (four objects each) into a bucket of its own, with as many connections. Ours is the uploader's
whole process, from its start until the last recording is in the store, with its durable queue, its hashes and
its order of objects; theirs is the program from start to end. To reach: large files not slower than the
others, small ones three times as fast.

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

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
OWNER: Final = organisation()


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


def ours(server: S3Server, folder: Path, count: int) -> float:
    """Run the uploader until all recordings are sent; return how long it took."""
    shutil.rmtree(folder / "spool" / "upload", ignore_errors=True)
    config = write_desk(
        folder, OWNER, table(server, server.bucket()), uploader=f"connections = {CONNECTIONS}\n"
    )
    service = Service(UPLOADER, config, server.environment())
    service.log.unlink(missing_ok=True)
    began_s = time.perf_counter()
    service.start()
    try:
        while sent(service.log) < count:
            if not service.is_running or time.perf_counter() - began_s > LIMIT_S:
                raise SystemExit(f"the uploader did not come to its end:\n{service.tail()}")
            time.sleep(0.02)
        return time.perf_counter() - began_s
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


def race(server: S3Server, name: str, count: int, size_bytes: int) -> None:
    """Let all copy the same, in turn, several times; the shortest times count."""
    total_mb = count * (size_bytes + CALL_SIZE_BYTES) / 1e6
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name_of_folder:
        folder = Path(name_of_folder)
        fill(folder, count, size_bytes)
        for _ in range(RUNS):
            times = {"callseal uploader": ours(server, folder, count)}
            times.update(theirs(server, folder, server.environment()))
            best = {one: min(took_s, best.get(one, took_s)) for one, took_s in times.items()}
    own_s = best["callseal uploader"]
    print(f"{name}: {count} recordings, {count * OBJECTS_EACH} objects, {total_mb:.0f} MB")
    objects = count * OBJECTS_EACH
    for one, took_s in best.items():
        print(
            f"  {one:18} {took_s:6.2f} s  {total_mb / took_s:6.1f} MB/s  {objects / took_s:6.0f} objects/s"
            f"  ours is {took_s / own_s:.2f} times as fast"
        )


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

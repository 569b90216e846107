"""How fast we seal, beside Debian's `age` on the same file in the same run; both write to memory (tmpfs).

    taskset -c 0 python bench/seal.py

The figure to reach is a ratio of 0.8. Each is run several times in turn and the best time of each counts.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from callseal.seal.age import Encryptor, HybridIdentity, Recipient, X25519Identity

SIZE_BYTES = 256 * 1024 * 1024
ROUNDS = 5
GOAL = 0.8
PIECES_BYTES = {"1 MiB pieces": 1024 * 1024, "64 KiB pieces": 64 * 1024, "1,600-byte pieces": 1600}


def seal(plain: Path, sealed: Path, recipient: Recipient, piece_bytes: int) -> None:
    encryptor = Encryptor([recipient])
    with plain.open("rb") as source, sealed.open("wb") as target:
        target.write(encryptor.header())
        while piece := source.read(piece_bytes):
            target.write(encryptor.update(piece))
        target.write(encryptor.finish())


def headers_per_s(recipient: Recipient, count: int = 500) -> float:
    start = time.perf_counter()
    for _ in range(count):
        encryptor = Encryptor([recipient])
        encryptor.header()
        encryptor.finish()
    return count / (time.perf_counter() - start)


def main() -> int:
    identity = X25519Identity.generate()
    recipient = identity.recipient
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        plain, sealed = Path(folder, "plain"), Path(folder, "sealed")
        plain.write_bytes(bytes(range(256)) * (SIZE_BYTES // 256))

        def ours(piece_bytes: int) -> Callable[[], None]:
            return lambda: seal(plain, sealed, recipient, piece_bytes)

        def peer() -> None:
            subprocess.run(["age", "-r", recipient.text, "-o", sealed, plain], check=True)

        runs = {"age": peer} | {name: ours(size_bytes) for name, size_bytes in PIECES_BYTES.items()}
        best_s = dict.fromkeys(runs, float("inf"))
        for _ in range(ROUNDS):
            for name, run in runs.items():
                sealed.unlink(missing_ok=True)
                start = time.perf_counter()
                run()
                best_s[name] = min(best_s[name], time.perf_counter() - start)

    rates = {name: SIZE_BYTES / 1e6 / seconds for name, seconds in best_s.items()}
    for name, rate in rates.items():
        print(f"{name:20} {rate:7.0f} MB/s   {rate / rates['age']:.2f} of age")
    for kind, someone in (("X25519", recipient), ("post-quantum", HybridIdentity.generate().recipient)):
        print(f"{kind:20} {1e6 / headers_per_s(someone):7.0f} µs for an empty file")
    ratio = rates["64 KiB pieces"] / rates["age"]
    print(f"ratio {ratio:.2f}, to reach: {GOAL}")
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

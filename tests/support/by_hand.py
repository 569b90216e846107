"""Follows a statement as an expert would: its commands, in a shell that has nothing else than it asks for."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.age_peers import need

PROGRAMS: Final = (
    *("age", "openssl", "sha256sum"),
    *("sh", "cat", "cmp", "grep", "head", "mktemp", "tail", "test", "tr", "wc"),
)
"""What the statement asks for, and nothing besides: no Python, no jq, no base64, nothing of ours."""

_BLOCK: Final = re.compile(
    r"^```sh\n(.*?)^```$(?:\n\n[^\n`]+\n\n^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)
_STEP: Final = re.compile(r"^### (?:(\d+)\. )?(.+)$", re.MULTILINE)
_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement, taken apart."""

    text: str

    @classmethod
    def of(cls, folder: Path, language: str = "en") -> "Statement":
        return cls(text=(folder / f"STATEMENT.{language}.md").read_text(encoding="utf-8"))

    @property
    def commands(self) -> list[str]:
        """The commands of each step, the preparation first."""
        return [block[0] for block in _BLOCK.findall(self.text)]

    @property
    def printed(self) -> str:
        """What all of them must print."""
        return "".join(block[1] for block in _BLOCK.findall(self.text))

    @property
    def steps(self) -> dict[str, int]:
        """The numbers of the steps by their titles."""
        return {title: int(number) for number, title in _STEP.findall(self.text) if number}


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What came of it; `passed` are the numbers of the steps that ended as they should."""

    code: int
    out: str
    err: str

    @property
    def passed(self) -> list[int]:
        return [
            int(number) for number in re.findall(r"^step (\d+): as it should be$", self.out, re.MULTILINE)
        ]


def follow(folder: Path, scratch: Path, *, language: str = "en") -> Followed:
    """Give all commands of a folder's statement, in their order; it ends at the first that fails."""
    bin_folder = scratch / "bin"
    if not bin_folder.exists():
        bin_folder.mkdir()
        for name in PROGRAMS:
            (bin_folder / name).symlink_to(need(name, f"apt-get install {name}"))
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    ran = subprocess.run(
        ["/bin/sh", "-eu", "-c", "\n".join(Statement.of(folder, language).commands)],
        cwd=folder,
        env={"PATH": str(bin_folder), "TMPDIR": str(temporary), "HOME": os.devnull},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return Followed(code=ran.returncode, out=ran.stdout, err=ran.stderr)
